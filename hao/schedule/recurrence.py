"""Which period a loop's recurrences allow, and what initiation interval they force.

Registers may stand anywhere along a cycle, and a carried value is forwarded in the cycle
in which it is made: this is what the tool's own decisions follow. The multiplexer in
front of a carried register does not count (it may cost the clock, not the interval). A
memory is different: what was written can be read from the next clock edge on, and the
read takes a whole cycle.
"""

import math
from dataclasses import dataclass
from enum import Enum

from hao.schedule.cycles import Arc, largest_ratio
from hao.schedule.graph import Edge, Kind, OperatorGraph

CERTAIN = 0.9
"""Share of the budget below which a recurrence is sure to close, see docs/schedule.md."""

HOPELESS = 1.1
"""Share of the budget above which it is sure not to."""


class Verdict(Enum):
    """Whether a loop can begin an iteration every cycle, as far as recurrences go."""

    FITS = "II 1"
    DOUBTFUL = "may fail"
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The worst recurrence of a loop.

    Attributes:
        ratio: Cycles that an iteration needs, before rounding up; 0 without recurrence.
        least_period: Clock period at which an interval of 1 is possible, uncertainty not
            included [ns]; `None` where no period is short enough: a memory is read,
            changed and written, or a division is part of it.
        cycle: Operators along it, by number.
        distance: Iterations that it spans.
    """

    ratio: float
    least_period: float | None
    cycle: tuple[int, ...]
    distance: int

    @property
    def verdict(self) -> Verdict:
        """Return the band that the ratio lies in."""
        if self.ratio < CERTAIN:
            return Verdict.FITS
        return Verdict.DOUBTFUL if self.ratio <= HOPELESS else Verdict.FAILS

    @property
    def interval(self) -> int:
        """Return the least initiation interval, at least 1 [cycles]."""
        return max(1, math.ceil(self.ratio - 1e-6))


def find_recurrence(graph: OperatorGraph, budget: float) -> Recurrence:
    """Return the worst recurrence of a loop at a budget for logic in a cycle [ns]."""
    size = len(graph.operators)
    costs = [_cost(graph, edge) for edge in graph.edges]
    pairs = list(zip(graph.edges, costs, strict=True))
    arcs = [
        Arc(edge.start, edge.end, time / budget + cycles, edge.distance)
        for edge, (time, cycles) in pairs
    ]
    ratio, cycle = largest_ratio(size, arcs)
    if not cycle:
        return Recurrence(0.0, 0.0, (), 0)
    found = tuple(arc.start for arc in cycle)
    distance = round(sum(arc.distance for arc in cycle))
    return Recurrence(max(0.0, ratio), _least_period(size, pairs), found, distance)


def _cost(graph: OperatorGraph, edge: Edge) -> tuple[float, int]:
    """Return the time [ns] and the whole cycles that an edge takes."""
    start, end = graph.operators[edge.start], graph.operators[edge.end]
    if edge.clocked:
        # Both ends lie on clock edges; the read's own set-up is part of its cycle.
        taken = end.delay if end.kind is Kind.LOAD else 0.0
        return start.delay + start.out - taken, start.latency + 1
    return start.delay + start.out, max(0, start.latency - 1)


def _least_period(
    size: int, pairs: list[tuple[Edge, tuple[float, int]]]
) -> float | None:
    """Return the period [ns] that allows an interval of 1; `None` if none does."""
    whole = [Arc(e.start, e.end, float(cycles), e.distance) for e, (_, cycles) in pairs]
    if largest_ratio(size, whole)[0] >= 1.0 - 1e-9:
        return None
    arcs = [
        Arc(e.start, e.end, time, e.distance - cycles) for e, (time, cycles) in pairs
    ]
    return max(0.0, largest_ratio(size, arcs)[0])
