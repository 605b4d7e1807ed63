"""How deep a loop's pipeline is, and how many registers it takes.

Operators are placed as early as possible and chained within a clock period; none
straddles a clock edge, but for products longer than a period, which are cut. Accesses
are not kept apart for want of ports, and the latency of the bus is not counted.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from hao.schedule.graph import OperatorGraph, OperatorKind

_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The earliest schedule of an iteration.

    Attributes:
        depth: From begin to end of an iteration [cycles].
        registers: Bits that cross clock edges, and those handed to the next iteration.
    """

    depth: int
    registers: int


def find_pipeline(graph: OperatorGraph, budget: float) -> Pipeline:
    """Return the earliest schedule at a budget for logic in a cycle [ns]."""
    operators = graph.operators
    before: list[list[tuple[int, bool]]] = [[] for _ in operators]
    for edge in graph.edges:
        if edge.distance == 0:
            before[edge.end].append((edge.start, edge.clocked))
    ends = [(0, 0.0)] * len(operators)
    uses: list[list[int]] = [[] for _ in operators]
    for node in _in_order(before):
        cycle, time = 0, 0.0
        for start, clocked in before[node]:
            ready = (ends[start][0] + 1, 0.0) if clocked else ends[start]
            cycle, time = max((cycle, time), ready)
        operator = operators[node]
        if time > 0 and time + operator.delay > budget + _SLACK:
            cycle, time = cycle + 1, 0.0
        if operator.latency:
            ends[node] = (cycle + operator.latency, operator.out)
        else:
            whole = max(0, math.ceil((time + operator.delay - _SLACK) / budget) - 1)
            ends[node] = (cycle + whole, time + operator.delay - whole * budget)
        for start, _ in before[node]:
            uses[start].append(cycle)
    registers = 0
    for operator, (made, _), used in zip(operators, ends, uses, strict=True):
        if operator.kind is OperatorKind.CARRIED:
            # It is handed over when it is first needed, not at the first cycle.
            made = min(used, default=0)
            registers += operator.bits
        registers += operator.bits * max(0, max(used, default=0) - made)
    depth = max((end[0] for end in ends), default=0) + 1
    return Pipeline(depth, registers)


def _in_order(before: Sequence[Sequence[tuple[int, bool]]]) -> Iterable[int]:
    """Return operators behind all those that they need: most often by number."""
    late = any(start > node for node, each in enumerate(before) for start, _ in each)
    if not late:
        return range(len(before))
    needs = {node: [start for start, _ in each] for node, each in enumerate(before)}
    return TopologicalSorter(needs).static_order()
