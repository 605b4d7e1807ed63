"""From a loop of optimised LLVM IR to its graph of operators."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hao.schedule.accesses import Access, Reach, find_dependences
from hao.schedule.binding import bound_to_fabric
from hao.schedule.delays import Delays
from hao.schedule.graph import Kind, OperatorGraph
from hao.schedule.ir import Instruction, Module, Place, constant, type_bits
from hao.schedule.layout import Layout
from hao.schedule.memory import Address, Addresses, Storage, Variable
from hao.schedule.operators import Context, Target, Timing, classify
from hao.schedule.prepare import FIFO
from hao.schedule.regions import Loop
from hao.schedule.source import Pragma, pragmas_of
from hao.schedule.variables import Variables
from hao.schedule.widths import Widths

_TRANSFER = ("@llvm.memcpy", "@llvm.memmove", "@llvm.memset")
_NOTES = ("@llvm.lifetime", "@llvm.dbg", "@llvm.assume", "@llvm.experimental")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a loop is looked at with.

    Attributes:
        module: That it is in.
        layout: Sizes of its types.
        variables: Of the module.
        pragmas: Of the source.
        delays: Of the part.
        budget: Time for logic in a clock period [ns].
        clock: The clock period [ns].
    """

    module: Module
    layout: Layout
    variables: Variables
    pragmas: Sequence[Pragma]
    delays: Delays
    budget: float
    clock: float


@dataclass(slots=True)
class BuiltLoop:
    """A loop and what was made of it.

    Attributes:
        loop: The loop.
        graph: Its operators.
        accesses: Accesses by variable.
        widths: Bits of its values.
        steps: What every iteration adds to the values that only count.
        starts: What these begin with, where that is a constant.
        nodes: Operator by value.
    """

    loop: Loop
    graph: OperatorGraph
    widths: Widths
    steps: dict[str, int]
    starts: dict[str, int]
    nodes: dict[str, int] = field(default_factory=dict)
    accesses: dict[tuple[str, str], list[Access]] = field(default_factory=dict)
    variables: dict[tuple[str, str], Variable] = field(default_factory=dict)


def build_graph(loop: Loop, around: Surroundings) -> BuiltLoop:
    """Return the operators of a loop and their dependences."""
    return _Builder(loop, around).build()


class _Builder:
    """One loop on its way into a graph."""

    def __init__(self, loop: Loop, around: Surroundings) -> None:
        self.loop = loop
        self.around = around
        self.body = list(loop.instructions())
        self._by_name = {item.name: item for item in self.body}
        self.inside = set(self._by_name)
        self.carried = frozenset(
            item.name for item in loop.function.blocks[loop.head] if item.op == "phi"
        )
        self.outside = outside = {
            item.name: item
            for item in loop.function.instructions()
            if item.name not in self.inside
        }
        self.steps = _steps(self.body, self.carried)
        widths = Widths(
            self.body,
            self.carried,
            outside,
            _limits(loop, self._by_name, outside, self.steps),
        )
        starts = _starts(self._by_name, self.steps)
        self.built = BuiltLoop(loop, OperatorGraph(), widths, self.steps, starts)
        self.addresses: Addresses = around.variables.addresses(
            loop.function, self.carried
        )
        self.users = _users(self.body)
        self.timing = Timing(around.delays, around.budget, around.clock, widths)
        self.branch: dict[str, int | None] = {}
        self.fresh: set[str] = set()

    def build(self) -> BuiltLoop:
        for item in self.body:
            if item.op == "call" and item.detail.startswith("@llvm.lifetime.start"):
                self.fresh.add(item.ops[-1])
        for rank, item in enumerate(self.body):
            self._add(rank, item)
        self._merge_adders()
        for item in self.body:
            if item.name in self.carried:
                for value in item.ops:
                    if value in self.built.nodes:
                        self.built.graph.join(
                            self.built.nodes[value], self.built.nodes[item.name], 1
                        )
        self._join_accesses()
        return self.built

    def _add(self, rank: int, item: Instruction) -> None:
        op = item.op
        if op in ("br", "switch", "ret", "unreachable", "alloca", "fence"):
            return
        if op == "call" and item.detail.startswith(_NOTES):
            return
        is_access = op in ("load", "store") or (
            op == "call" and item.detail.startswith((*_TRANSFER, FIFO))
        )
        if is_access:
            self._add_access(rank, item)
            return
        operator = classify(item, self._context(item), self.timing)
        node = self.built.graph.add(operator)
        self.built.nodes[item.name] = node
        if item.name in self.carried:
            return
        self._join_operands(item, node)
        if op == "phi" and operator.kind is not Kind.WIRE:
            for block in self.loop.choosing(item.block):
                self._join_condition(block, node)

    def _context(self, item: Instruction) -> Context:
        where = self.around.module.debug.place(item.location)
        if where.line == 0:
            where = self._near(item)
        fabric = None
        if item.op == "mul":
            fabric = bound_to_fabric(self.around.pragmas, where)
        return Context(where, item.name in self.carried, fabric)

    def _near(self, item: Instruction) -> Place:
        """Return the line of what an instruction without one works on."""
        debug = self.around.module.debug
        for value in item.ops:
            source = self._by_name.get(value) or self.outside.get(value)
            if source is not None:
                place = debug.place(source.location)
                if place.line:
                    return place
        return debug.place(self.loop.end(item.block).location)

    def _join_operands(self, item: Instruction, node: int) -> None:
        for value in item.ops:
            start = self.built.nodes.get(value)
            if start is not None:
                self.built.graph.join(start, node)

    def _join_condition(self, block: str, node: int) -> None:
        """Let an operator wait for the condition at the end of a block."""
        if block not in self.branch:
            self.branch[block] = self._condition(self.loop.end(block))
        start = self.branch[block]
        if start is not None:
            self.built.graph.join(start, node)

    def _condition(self, end: Instruction) -> int | None:
        value = end.ops[0] if end.ops else ""
        start = self.built.nodes.get(value)
        if start is None or end.op == "br":
            return start
        place = self.around.module.debug.place(end.location)
        width = self.built.widths.operand(end, 0)
        node = self.built.graph.add(self.timing.compare(width, place))
        self.built.graph.join(start, node)
        return node

    def _add_access(self, rank: int, item: Instruction) -> None:
        place = self.around.module.debug.place(item.location)
        if item.op in ("load", "store"):
            pointer = item.ops[-1]
            kind = item.type if item.op == "load" else item.types[0]
            size = self.around.layout.size(kind)
            self._one_access(rank, item, pointer, size, item.op == "store")
            return
        if item.detail.startswith(FIFO):
            node = self.built.graph.add(self.timing.fifo(item.detail, place))
            self.built.nodes[item.name] = node
            self._guard(item, node)
            if not item.detail.endswith(("_empty", "_full")):
                self._note(
                    rank, item, item.ops[0], 0, node, writes="write" in item.detail
                )
            if len(item.ops) > 1:
                reads_word = "write" in item.detail
                self._note(rank, item, item.ops[1], 0, node, writes=not reads_word)
            return
        size = constant(item.ops[2]) or 0
        if item.detail.startswith("@llvm.memset"):
            self._one_access(rank, item, item.ops[0], size, True)
            return
        read = self._one_access(rank, item, item.ops[1], size, False)
        made = self._one_access(rank, item, item.ops[0], size, True)
        self.built.graph.join(read, made)

    def _variable(self, pointer: str) -> Variable:
        base = self.addresses.of(pointer).base
        return self.around.variables.find(self.loop.function, base)

    def _one_access(
        self, rank: int, item: Instruction, pointer: str, size: int, writes: bool
    ) -> int:
        """Add a read or a write of some bytes."""
        place = self.around.module.debug.place(item.location)
        address = self.addresses.of(pointer)
        variable = self._variable(pointer)
        guarded = bool(self.loop.guards(item.block))
        moves = any(name in self.inside for name, _ in address.terms)
        elements = self._positions(variable, address, size)
        target = Target(
            variable.storage, variable.in_luts, elements, writes, moves, guarded
        )
        operator = self.timing.access(target, place, 8 * size)
        node = self.built.graph.add(operator)
        if not writes or item.op == "call":
            self.built.nodes[item.name] = node
        for value in item.ops if item.op != "call" else (pointer,):
            start = self.built.nodes.get(value)
            if start is not None and start != node:
                self.built.graph.join(start, node)
        for name, _ in address.terms:
            start = self.built.nodes.get(name)
            if start is not None and start != node:
                self.built.graph.join(start, node)
        if writes or variable.storage is Storage.BUS:
            self._guard(item, node)
        self._note(rank, item, pointer, size, node, writes=writes)
        return node

    def _positions(self, variable: Variable, address: Address, size: int) -> int:
        """Return at how many places of a variable an access may go."""
        whole = self.around.layout.size(variable.type)
        step = math.gcd(*(factor for _, factor in address.terms)) or size
        low, high = self._span(address)
        return max(
            1, min(whole // max(1, step, size), (high - low) // max(1, step) + 1)
        )

    def _guard(self, item: Instruction, node: int) -> None:
        for block in self.loop.guards(item.block):
            self._join_condition(block, node)

    def _note(
        self,
        rank: int,
        item: Instruction,
        pointer: str,
        size: int,
        node: int,
        *,
        writes: bool,
    ) -> None:
        variable = self._variable(pointer)
        address = self.addresses.of(pointer)
        self.built.variables[variable.key] = variable
        self.built.accesses.setdefault(variable.key, []).append(
            Access(node, item.block, rank, address, self._span(address), size, writes)
        )

    def _span(self, address: Address) -> tuple[int, int]:
        """Return the least and the largest byte that an access may begin at."""
        low = high = address.offset
        for name, factor in address.terms:
            held = self.built.widths.range(name, self._type(name))
            if held.plain < type_bits(self._type(name)):
                least, most = 0, (1 << held.plain) - 1
            else:
                most = 1 << held.signed - 1
                least = -most
            ends = (factor * least, factor * most)
            low, high = low + min(ends), high + max(ends)
        return low, high

    def _type(self, name: str) -> str:
        item = self._by_name.get(name) or self.outside.get(name)
        return item.type if item is not None else "i64"

    def _join_accesses(self) -> None:
        reach = Reach(self.loop)
        graph = self.built.graph
        for key, accesses in self.built.accesses.items():
            variable = self.built.variables[key]
            if variable.storage not in (Storage.REGISTERS, Storage.MEMORY):
                continue
            own = [
                item
                for item in pragmas_of(self.around.pragmas, "dependence")
                if item.variable == variable.name and self._holds(item)
            ]
            clocked = variable.storage is Storage.MEMORY
            carries = key[1] not in self.fresh
            for found in find_dependences(
                self.loop, reach, variable, accesses, self.steps, own, carries=carries
            ):
                if found.write.node == found.read.node:
                    continue
                if clocked:
                    graph.order(found.write.node, found.read.node, found.distance)
                else:
                    graph.join(found.write.node, found.read.node, found.distance)

    def _holds(self, pragma: Pragma) -> bool:
        """Return whether a pragma stands in this loop."""
        first, last = self.around.module.debug.loop_range(self.loop.latch)
        return pragma.path == first.path and first.line <= pragma.line <= last.line

    def _merge_adders(self) -> None:
        """Let two adders in a row become one of three operands, as the tool does.

        Source: Vitis HLS schedule reports print the first of such a pair with 0 ns and
        the second as core TAddSub. Logic that one operator alone uses joins its LUT.
        """
        operators = self.built.graph.operators
        joined: set[int] = set()
        for item in self.body:
            node = self.built.nodes.get(item.name)
            if node is None:
                continue
            outer = operators[node]
            for value in item.ops:
                source = self._through_wires(value)
                inner = operators[source] if source is not None else None
                if inner is None or source in joined or source == node:
                    continue
                if outer.kind is Kind.LOGIC and inner.kind is Kind.LOGIC:
                    inner.delay = 0.0
                elif outer.kind is Kind.ADD and inner.kind is Kind.ADD:
                    inner.delay = 0.0
                    outer.delay = max(outer.delay, self.timing.three(outer.width))
                    joined.add(node)
                    break

    def _through_wires(self, value: str) -> int | None:
        """Return the operator behind a value that nothing else uses."""
        node = self.built.nodes.get(value)
        while node is not None and len(self.users.get(value, ())) == 1:
            if value in self.carried:
                return None
            if self.built.graph.operators[node].kind is not Kind.WIRE:
                return node
            item = self._by_name.get(value)
            if item is None or item.op not in ("zext", "sext", "trunc", "freeze"):
                return None
            value = item.ops[0]
            node = self.built.nodes.get(value)
        return None


def _users(body: Sequence[Instruction]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for item in body:
        for value in item.ops:
            if value[0] == "%":
                found[value].append(item.name)
    return found


def _steps(body: Sequence[Instruction], carried: frozenset[str]) -> dict[str, int]:
    """Return what every iteration adds to the values that do nothing but count."""
    by_name = {item.name: item for item in body}
    found: dict[str, int] = {}
    for name in carried:
        for value in by_name[name].ops:
            item = by_name.get(value)
            if item is not None and item.op == "add" and item.ops[0] == name:
                step = constant(item.ops[1])
                if step is not None:
                    found[name] = step
    return found


def _starts(
    by_name: Mapping[str, Instruction], steps: Mapping[str, int]
) -> dict[str, int]:
    """Return what the counters begin with, where that is a constant."""
    return {
        name: first
        for name in steps
        for first in map(constant, by_name[name].ops)
        if first is not None
    }


def _limits(
    loop: Loop,
    by_name: Mapping[str, Instruction],
    outside: Mapping[str, Instruction],
    steps: Mapping[str, int],
) -> dict[str, int]:
    """Return the bits of the counters, and of their sums, that the loop's end compares.

    They reach the bound and no more: a constant, or what a narrower type holds.
    """
    blocks = set(loop.order)
    found: dict[str, int] = {}
    for block in loop.order:
        end = loop.end(block)
        leaves = any(label not in blocks for label in end.labels)
        compare = by_name.get(end.ops[0]) if end.ops and leaves else None
        if compare is None or compare.op != "icmp":
            continue
        value, bound = compare.ops
        item = by_name.get(value)
        name = item.ops[0] if item is not None and item.op == "add" else value
        limit = constant(bound)
        source = outside.get(bound)
        bits = 0
        if limit is not None and limit > 0:
            bits = limit.bit_length()
        elif source is not None and source.op == "zext":
            bits = type_bits(source.types[0])
        if bits and steps.get(name, 0) > 0:
            found[name] = found[value] = bits
    return found
