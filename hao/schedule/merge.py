"""Operators that the tools join: two adders in a row, and logic that fits one LUT.

Source: Vitis HLS schedule reports print the first adder of such a pair with 0 ns and
the second as core TAddSub; logic that one operator alone uses is "grouped into LUT" and
prints 0 ns.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hao.schedule.graph import OperatorGraph, OperatorKind
from hao.schedule.ir import Instruction
from hao.schedule.operators import DelayTable

_WIDENING = frozenset(("zext", "sext", "trunc", "freeze"))


def merge_operators(
    graph: OperatorGraph,
    body: Sequence[Instruction],
    nodes: Mapping[str, int],
    *,
    carried: frozenset[str],
    timing: DelayTable,
) -> None:
    """Take the delay of operators that the next one takes in.

    Args:
        graph: Whose operators change.
        body: Instructions of the loop.
        nodes: Operator by value.
        carried: Values that iterations hand on; nothing is joined across them.
        timing: Delays.
    """
    behind = _Behind(body, nodes, carried, graph)
    joined: set[int] = set()
    for item in body:
        node = nodes.get(item.name)
        if node is None:
            continue
        outer = graph.operators[node]
        for value in item.ops:
            source = behind.operator(value)
            if source is None or source in joined or source == node:
                continue
            inner = graph.operators[source]
            if outer.kind is OperatorKind.LOGIC and inner.kind is OperatorKind.LOGIC:
                inner.delay = 0.0
            elif outer.kind is OperatorKind.ADD and inner.kind is OperatorKind.ADD:
                inner.delay = 0.0
                outer.delay = max(outer.delay, timing.three(outer.width))
                joined.add(node)
                break


class _Behind:
    """The operators behind values that a single instruction uses."""

    def __init__(
        self,
        body: Sequence[Instruction],
        nodes: Mapping[str, int],
        carried: frozenset[str],
        graph: OperatorGraph,
    ) -> None:
        self._items = {item.name: item for item in body}
        self._nodes = nodes
        self._carried = carried
        self._graph = graph
        self._uses: dict[str, int] = defaultdict(int)
        for item in body:
            for value in item.ops:
                self._uses[value] += 1

    def operator(self, value: str) -> int | None:
        """Return the operator of a value that is used once, through wires."""
        while value in self._nodes and self._uses[value] == 1:
            node = self._nodes[value]
            item = self._items.get(value)
            if value in self._carried or item is None:
                return None
            if self._graph.operators[node].kind is not OperatorKind.WIRE:
                return node
            if item.op not in _WIDENING:
                return None
            value = item.ops[0]
        return None
