"""From a loop of optimised LLVM IR to its graph of operators."""

from hao.schedule.binding import bound_to_fabric
from hao.schedule.build_accesses import AccessBuilder, is_access
from hao.schedule.built import BuiltLoop, Surroundings
from hao.schedule.counters import counter_bits, counter_starts, counter_steps
from hao.schedule.graph import OperatorGraph, OperatorKind
from hao.schedule.ir import Instruction, SourceLine
from hao.schedule.merge import merge_operators
from hao.schedule.operators import Context, DelayTable
from hao.schedule.regions import Loop
from hao.schedule.widths import ValueWidths

_NOTES = ("@llvm.lifetime", "@llvm.dbg", "@llvm.assume", "@llvm.experimental")
_NO_OPERATOR = frozenset(("br", "switch", "ret", "unreachable", "alloca", "fence"))


def build_graph(loop: Loop, around: Surroundings) -> BuiltLoop:
    """Return the operators of a loop and their dependences."""
    return _Builder(loop, around).build()


class _Builder:
    """One loop on its way into a graph."""

    def __init__(self, loop: Loop, around: Surroundings) -> None:
        self._loop = loop
        self._around = around
        self._body = list(loop.instructions())
        self._inside = {item.name: item for item in self._body}
        self._outside = {
            item.name: item
            for item in loop.function.instructions()
            if item.name not in self._inside
        }
        self._carried = frozenset(
            item.name for item in loop.function.blocks[loop.head] if item.op == "phi"
        )
        steps = counter_steps(self._body, self._carried)
        bits = counter_bits(loop, self._inside, self._outside, steps)
        widths = ValueWidths(self._body, self._carried, self._outside, bits)
        starts = counter_starts(self._inside, steps)
        self._built = BuiltLoop(loop, OperatorGraph(), widths, steps, starts)
        self._timing = DelayTable(around.delays, around.budget, around.clock, widths)
        self._conditions: dict[str, int | None] = {}

    def build(self) -> BuiltLoop:
        """Return the graph."""
        graph, nodes = self._built.graph, self._built.nodes
        accesses = AccessBuilder(
            self._built, self._around, self._timing, self._join_condition
        )
        for rank, item in enumerate(self._body):
            if is_access(item):
                accesses.add(rank, item)
            else:
                self._add(item)
        merge_operators(
            graph, self._body, nodes, carried=self._carried, timing=self._timing
        )
        for item in self._body:
            if item.name in self._carried:
                for value in item.ops:
                    if value in nodes:
                        graph.join(nodes[value], nodes[item.name], 1)
        accesses.join()
        return self._built

    def _add(self, item: Instruction) -> None:
        if item.op in _NO_OPERATOR:
            return
        if item.op == "call" and item.detail.startswith(_NOTES):
            return
        operator = self._timing.of(item, self._context(item))
        node = self._built.graph.add(operator)
        self._built.nodes[item.name] = node
        if item.name in self._carried:
            return
        for value in item.ops:
            start = self._built.nodes.get(value)
            if start is not None:
                self._built.graph.join(start, node)
        if item.op == "phi" and operator.kind is not OperatorKind.WIRE:
            for block in self._loop.choosing(item.block):
                self._join_condition(block, node)

    def _context(self, item: Instruction) -> Context:
        where = self._around.module.debug.place(item.location)
        if where.line == 0:
            where = self._near(item)
        fabric = None
        if item.op == "mul":
            fabric = bound_to_fabric(self._around.pragmas, where)
        return Context(where, item.name in self._carried, fabric)

    def _near(self, item: Instruction) -> SourceLine:
        """Return the line of what an instruction without one works on."""
        debug = self._around.module.debug
        for value in item.ops:
            source = self._inside.get(value) or self._outside.get(value)
            if source is not None:
                place = debug.place(source.location)
                if place.line:
                    return place
        return debug.place(self._loop.end(item.block).location)

    def _join_condition(self, block: str, node: int) -> None:
        """Let an operator wait for the condition at the end of a block."""
        if block not in self._conditions:
            self._conditions[block] = self._condition(self._loop.end(block))
        start = self._conditions[block]
        if start is not None:
            self._built.graph.join(start, node)

    def _condition(self, end: Instruction) -> int | None:
        """Return the operator that decides a branch; `None` for none in the loop."""
        start = self._built.nodes.get(end.ops[0]) if end.ops else None
        if start is None or end.op == "br":
            return start
        place = self._around.module.debug.place(end.location)
        width = self._built.widths.operand(end, 0)
        node = self._built.graph.add(self._timing.compare(width, place))
        self._built.graph.join(start, node)
        return node
