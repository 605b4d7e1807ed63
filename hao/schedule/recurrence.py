"""Which period a loop's recurrences allow, and what initiation interval they force.

Registers may stand anywhere along a cycle, and a carried value is forwarded in the
cycle in which it is made: this is what the tool's own decisions follow. The multiplexer
in front of a carried register does not count (it may cost the clock, not the interval).
A memory is different: what was written can be read from the next clock edge on, and the
read takes a whole cycle.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from hao.schedule.cycles import TimedEdge, components, largest_ratio
from hao.schedule.graph import Edge, OperatorGraph, OperatorKind

CERTAIN = 0.9
"""Share of the budget below which a recurrence is sure to close: docs/schedule.md."""

HOPELESS = 1.1
"""Share of the budget above which it is sure not to."""


class IntervalVerdict(Enum):
    """Whether a loop reaches the interval it is meant to, as far as recurrences go."""

    FITS = "fits"
    DOUBTFUL = "may fail"
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The worst recurrence of a loop.

    Attributes:
        ratio: Cycles that an iteration needs, before rounding up; 0 without recurrence.
        least_period: Clock period, less the uncertainty, at which an interval of 1 is
            possible [ns]; `None` where none is long enough: a memory is read, changed
            and written, or a division is part of it.
        cycle: Operators along it, by number.
        distance: Iterations that it spans.
    """

    ratio: float
    least_period: float | None
    cycle: tuple[int, ...]
    distance: int

    def verdict(self, target: int = 1) -> IntervalVerdict:
        """Return whether an iteration can begin every `target` cycles."""
        if self.ratio < CERTAIN * target:
            return IntervalVerdict.FITS
        return (
            IntervalVerdict.DOUBTFUL
            if self.ratio <= HOPELESS * target
            else IntervalVerdict.FAILS
        )

    @property
    def interval(self) -> int:
        """Return the least initiation interval, at least 1 [cycles]."""
        return max(1, math.ceil(self.ratio - 1e-6))


def find_recurrences(
    graph: OperatorGraph, budgets: Sequence[float]
) -> tuple[Recurrence, ...]:
    """Return a loop's worst recurrence at some budgets for logic in a cycle [ns]."""
    edges = _cyclic_edges(graph)
    if not edges:
        return tuple(Recurrence(0.0, 0.0, (), 0) for _ in budgets)
    # Operators on no cycle are left out; the rest are numbered anew.
    nodes = sorted({edge.start for edge in edges})
    number = {node: at for at, node in enumerate(nodes)}
    timed = [_Timed(graph, edge, number) for edge in edges]
    least = _least_period(len(nodes), timed)
    found = []
    for budget in budgets:
        arcs = [
            TimedEdge(
                item.start, item.end, item.time / budget + item.cycles, item.distance
            )
            for item in timed
        ]
        ratio, cycle = largest_ratio(len(nodes), arcs)
        distance = round(sum(arc.distance for arc in cycle))
        path = tuple(nodes[arc.start] for arc in cycle)
        found.append(Recurrence(max(0.0, ratio), least, path, distance))
    return tuple(found)


def _cyclic_edges(graph: OperatorGraph) -> list[Edge]:
    """Return the edges that lie on a cycle."""
    ends = ((edge.start, edge.end) for edge in graph.edges)
    part_of = components(len(graph.operators), ends)
    return [edge for edge in graph.edges if part_of[edge.start] == part_of[edge.end]]


class _Timed:
    """An edge with the time [ns] and the whole cycles that it takes."""

    __slots__ = ("cycles", "distance", "end", "start", "time")

    def __init__(
        self, graph: OperatorGraph, edge: Edge, number: dict[int, int]
    ) -> None:
        start, end = graph.operators[edge.start], graph.operators[edge.end]
        self.start, self.end = number[edge.start], number[edge.end]
        self.distance = edge.distance
        self.time = start.delay + start.out
        self.cycles = max(0, start.latency - 1)
        if edge.clocked:
            # Both ends lie on clock edges; the read's set-up is part of its cycle.
            self.time -= end.delay if end.kind is OperatorKind.LOAD else 0.0
            self.cycles = start.latency + 1


def _least_period(size: int, timed: Sequence[_Timed]) -> float | None:
    """Return the period [ns] that allows an interval of 1; `None` if none does."""
    whole = [TimedEdge(i.start, i.end, float(i.cycles), i.distance) for i in timed]
    if largest_ratio(size, whole)[0] >= 1.0 - 1e-9:
        return None
    arcs = [TimedEdge(i.start, i.end, i.time, i.distance - i.cycles) for i in timed]
    return max(0.0, largest_ratio(size, arcs)[0])
