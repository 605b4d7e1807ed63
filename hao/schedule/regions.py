"""Loops of a function: their blocks, what dominates what, and what decides a block.

A loop's body is looked at as a graph without cycles: edges back to its head and out of
it are left out. Two blocks of it exclude each other where no path joins them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hao.schedule.ir import Instruction, IrFunction

Graph = Mapping[str, list[str]]


def _postorder(succ: Graph, start: str) -> list[str]:
    """Return what can be reached, every block behind those it leads to."""
    order: list[str] = []
    seen = {start}
    stack = [(start, iter(succ[start]))]
    while stack:
        block, rest = stack[-1]
        for after in rest:
            if after not in seen:
                seen.add(after)
                stack.append((after, iter(succ[after])))
                break
        else:
            order.append(block)
            stack.pop()
    return order


def dominators(succ: Graph, start: str) -> dict[str, str]:
    """Return the immediate dominator of every block; that of the start is itself.

    Source: Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
    """
    order = _postorder(succ, start)
    rank = {block: at for at, block in enumerate(order)}
    pred: dict[str, list[str]] = {block: [] for block in order}
    for block in order:
        for after in succ[block]:
            pred[after].append(block)
    above = {start: start}
    changed = True
    while changed:
        changed = False
        for block in reversed(order[:-1]):
            new = ""
            for before in pred[block]:
                if before in above:
                    new = before if not new else _meet(above, rank, new, before)
            if above.get(block) != new:
                above[block] = new
                changed = True
    return above


def _meet(above: Mapping[str, str], rank: Mapping[str, int], a: str, b: str) -> str:
    while a != b:
        while rank[a] < rank[b]:
            a = above[a]
        while rank[b] < rank[a]:
            b = above[b]
    return a


def spans(above: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Return for every block when a walk of the tree enters and leaves it."""
    below: dict[str, list[str]] = {block: [] for block in above}
    root = ""
    for block, up in above.items():
        if block == up:
            root = block
        else:
            below[up].append(block)
    found: dict[str, tuple[int, int]] = {}
    entered: dict[str, int] = {}
    clock = 0
    stack = [root]
    while stack:
        block = stack[-1]
        clock += 1
        if block not in entered:
            entered[block] = clock
            stack += below[block]
        else:
            stack.pop()
            if block not in found:
                found[block] = (entered[block], clock)
    return found


@dataclass(slots=True)
class Loop:
    """A loop.

    Attributes:
        function: That it is in.
        head: Block that every iteration begins with.
        latch: Number of the loop's debug node.
        order: Its blocks; each stands behind those that lead to it.
        succ: Blocks that follow one in the same iteration.
        pred: Blocks that come before one in the same iteration.
    """

    function: IrFunction
    head: str
    latch: int
    order: list[str]
    succ: dict[str, list[str]]
    pred: dict[str, list[str]]
    _above: dict[str, str] = field(default_factory=dict)
    _spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    _deciding: dict[str, list[str]] = field(default_factory=dict)
    _guards: dict[str, frozenset[str]] = field(default_factory=dict)

    def instructions(self) -> Iterable[Instruction]:
        """Yield the instructions in the order of the blocks."""
        for block in self.order:
            yield from self.function.blocks[block]

    def end(self, block: str) -> Instruction:
        """Return the instruction that leaves a block."""
        return self.function.blocks[block][-1]

    def dominates(self, a: str, b: str) -> bool:
        """Return whether every way to `b` within an iteration goes through `a`."""
        if not self._spans:
            self._above = dominators(self.succ, self.head)
            self._spans = spans(self._above)
        first, last = self._spans[a]
        return first <= self._spans[b][0] <= last

    def above(self, block: str) -> str:
        """Return the immediate dominator of a block within the body."""
        self.dominates(self.head, self.head)
        return self._above[block]

    def deciding(self, block: str) -> list[str]:
        """Return the blocks whose branches decide at once whether a block is run."""
        if not self._deciding:
            self._decide()
        return self._deciding[block]

    def guards(self, block: str) -> frozenset[str]:
        """Return all blocks whose branches decide whether a block is run."""
        if block not in self._guards:
            found: set[str] = set()
            waiting = list(self.deciding(block))
            while waiting:
                at = waiting.pop()
                if at not in found:
                    found.add(at)
                    waiting += self.deciding(at)
            self._guards[block] = frozenset(found)
        return self._guards[block]

    def choosing(self, block: str) -> frozenset[str]:
        """Return the blocks whose branches decide from where a block is entered."""
        if len(self.pred[block]) < 2:
            return frozenset()
        top = self.above(block)
        found: set[str] = set()
        waiting = []
        for before in self.pred[block]:
            if len(self.succ[before]) > 1:
                found.add(before)
            if before != top:
                waiting.append(before)
        seen: set[str] = set()
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            for decider in self.deciding(at):
                if self.dominates(top, decider):
                    found.add(decider)
                    if decider != top:
                        waiting.append(decider)
        return frozenset(found)

    def _decide(self) -> None:
        """Find control dependences (Ferrante, Ottenstein, Warren 1987)."""
        end = "end"
        back: dict[str, list[str]] = {
            block: list(self.pred[block]) for block in self.order
        }
        back[end] = [block for block in self.order if not self.succ[block]]
        behind = dominators(back, end)
        self._deciding = {block: [] for block in self.order}
        for block in self.order:
            if len(self.succ[block]) < 2:
                continue
            stop = behind[block]
            for after in self.succ[block]:
                at = after
                while at not in (stop, end):
                    if block not in self._deciding[at]:
                        self._deciding[at].append(block)
                    at = behind[at]


def find_loops(function: IrFunction) -> list[Loop]:
    """Return the loops of a function, inner ones too."""
    start = next(iter(function.blocks))
    succ = {
        block: list(dict.fromkeys(body[-1].labels)) if body else []
        for block, body in function.blocks.items()
    }
    above = dominators(succ, start)
    within = spans(above)
    pred: dict[str, list[str]] = {block: [] for block in succ}
    for block in above:
        for after in succ[block]:
            pred[after].append(block)
    bodies: dict[str, set[str]] = {}
    nodes: dict[str, int] = {}
    for block in above:
        for head in succ[block]:
            if _covers(within, head, block):
                bodies.setdefault(head, {head}).update(
                    _natural(pred, head, block, above)
                )
                nodes[head] = function.blocks[block][-1].loop
    loops = []
    for head, body in bodies.items():
        # An inner loop that was not unrolled is passed through once.
        inside = {
            block: [
                after
                for after in succ[block]
                if after in body and not _covers(within, after, block)
            ]
            for block in body
        }
        order = _postorder(inside, head)[::-1]
        kept = {block: inside[block] for block in order}
        before: dict[str, list[str]] = {block: [] for block in order}
        for block in order:
            for after in kept[block]:
                before[after].append(block)
        loops.append(Loop(function, head, nodes[head], order, kept, before))
    return loops


def _covers(within: Mapping[str, tuple[int, int]], a: str, b: str) -> bool:
    """Return whether a block dominates another, by the spans of the tree."""
    return within[a][0] <= within[b][0] <= within[a][1]


def _natural(
    pred: Graph, head: str, latch: str, reachable: Mapping[str, str]
) -> set[str]:
    """Return the blocks from which a latch is reached without its head."""
    body: set[str] = set()
    waiting = [latch]
    while waiting:
        block = waiting.pop()
        if block != head and block not in body and block in reachable:
            body.add(block)
            waiting += pred[block]
    return body
