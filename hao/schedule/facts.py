"""What is known where a block of a loop runs, and which ways no iteration takes.

A branch tells on each of its sides whether its condition holds, or which number a value
equals. A side that contradicts what is known already is never taken: after `x == 0` the
branch on `x == 1` goes one way only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hao.schedule.ir import Instruction, constant, type_bits
from hao.schedule.regions import Loop

_SAME_LOW_BITS = frozenset(("zext", "sext", "trunc", "freeze", "and"))


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of a value: whether it equals a number, or (`None`) is true."""

    holds: bool
    number: int | None

    def contradicts(self, other: "Fact") -> bool:
        """Return whether both cannot be."""
        if self.number == other.number:
            return self.holds != other.holds
        return self.holds and other.holds


Facts = Mapping[str, Fact]


def exclude(a: Facts, b: Facts) -> bool:
    """Return whether what is known in two blocks cannot be in one iteration."""
    return any(a[name].contradicts(b[name]) for name in a.keys() & b.keys())


class LoopFacts:
    """What is known in the blocks of a loop.

    Attributes:
        known: Facts by block.
        ways: Blocks from which one is entered, never-taken sides left out.
    """

    def __init__(self, loop: Loop) -> None:
        self._values = {item.name: item for item in loop.function.instructions()}
        self.known: dict[str, Facts] = {loop.head: {}}
        self.ways: dict[str, list[str]] = {loop.head: []}
        for block in loop.order[1:]:
            entering = []
            ways = []
            for before in loop.pred[block]:
                facts = self._behind(loop.end(before), self.known[before], block)
                reached = before == loop.head or self.ways[before]
                if facts is not None and reached:
                    entering.append(facts)
                    ways.append(before)
            self.ways[block] = ways
            self.known[block] = _common(entering)

    def _behind(self, end: Instruction, known: Facts, block: str) -> Facts | None:
        """Return what is known behind a side of a branch; `None` if never taken."""
        sides = [at for at, label in enumerate(end.labels) if label == block]
        if len(end.labels) < 2 or len(sides) != 1:
            return known
        if end.op == "switch":
            if sides[0] == 0:
                return known
            number = constant(end.ops[sides[0]])
            name, fact = self._root(end.ops[0]), Fact(True, number)
        else:
            name, fact = self._tested(end.ops[0], sides[0] == 0)
        old = known.get(name)
        if old is not None and old.contradicts(fact):
            return None
        if old is not None and old.holds and old.number is not None:
            return known  # equality says more than the rest
        return {**known, name: fact}

    def _tested(self, condition: str, holds: bool) -> tuple[str, Fact]:
        item = self._values.get(condition)
        if item is not None and item.op == "icmp" and item.detail in ("eq", "ne"):
            number = constant(item.ops[1])
            if number is not None:
                equal = holds == (item.detail == "eq")
                return self._root(item.ops[0]), Fact(equal, number)
        return condition, Fact(holds, None)

    def _root(self, value: str) -> str:
        """Return a name for the low bits of what a value is made from."""
        item = self._values.get(value)
        bits = item.width if item is not None else 0
        while item is not None and item.op in _SAME_LOW_BITS:
            if item.op == "and":
                mask = constant(item.ops[1])
                if mask is None or mask < 0 or mask & (mask + 1):
                    break
                bits = min(bits, mask.bit_length())
            elif item.op == "trunc":
                bits = min(bits, item.width)
            else:
                bits = min(bits, type_bits(item.types[0]))
            value = item.ops[0]
            item = self._values.get(value)
        return f"{value} {bits}"


def _common(facts: list[Facts]) -> Facts:
    """Return what is known whichever way a block is entered."""
    if not facts:
        return {}
    first, *others = facts
    return {
        name: fact
        for name, fact in first.items()
        if all(other.get(name) == fact for other in others)
    }
