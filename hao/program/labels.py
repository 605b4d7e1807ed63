"""The best way through a net for one engine: exact, by labels.

A label is what a way has taken and cost before a stop: cycles and micro-points. Of two
labels at one stop, one that is no better in either is dropped; so is one whose way
cannot end within the limits, by the bounds of `hao.program.exact` of what is still to
come. No integer program and no tolerance is involved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.program.exact import Apart, Goal, Outlook, Way, least_costs, slack
from hao.program.first_way import FIRST_WAY, priced_ways
from hao.program.graph import Settled
from hao.program.periods import RunPeriods, Single
from hao.program.sweep import Entry, Net

Ints = NDArray[np.int64]

TOGETHER = 1_000_000
"""Labels that are made at a time (chosen here)."""

DOMINANCE_ROWS = 256
"""Labels that are compared with each other at a time (chosen here)."""


def best_way(
    net: Net,
    periods: RunPeriods,
    outlook: Outlook,
    *,
    double_buffered: bool,
    goal: Goal,
    budget: int,
    spend: int,
    apart: Apart | None = None,
) -> Way | None:
    """Return the way with the least of the goal within both limits, or `None`.

    Of equals, one with the least of the other.

    Args:
        net: What ways there are.
        periods: Of one engine, arrays of one element.
        outlook: Of that engine, at limits no tighter.
        double_buffered: Whether weights load while another run computes.
        goal: What to minimise.
        budget: Most cycles.
        spend: Most cost [micro-points]; with `apart`, its allowance included.
        apart: Earlier answers to stay apart from.
    """
    if goal is Goal.COST and apart is None and spend > FIRST_WAY * outlook.least:
        # A way that there is keeps labels few where no better design is known yet.
        known = priced_ways(net, periods, outlook.rate, double_buffered)
        costs = [cost for cycles, cost in known if cycles <= budget]
        spend = min([spend, *costs])
    search = _Search(net, periods, double_buffered, outlook, apart)
    return search.run(goal, budget, spend)


_Waiting = tuple[Ints, Ints, Ints]
"""Labels, the labels before them, and the arcs that led to them."""

_End = tuple[int, int, int, int]
"""Cycles, cost, label and node of the end of a way."""


def _rank(end: _End, goal: Goal) -> tuple[int, int]:
    match goal:
        case Goal.CYCLES:
            return end[0], end[1]
        case Goal.COST:
            return end[1], end[0]
        case _:
            assert_never(goal)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ways:
    """The entries of a node side by side, arrays of one length.

    Attributes:
        stops: Numbers of their stops.
        ends: Nodes behind these.
        arcs: Arcs of the graph.
        added: What each adds to a label but for cycles.
        opening: Cycles of what opens the stop's run (`Periods.opening`), by entry.
        serial: The same where nothing runs beside.
        alone: Cycles of the run by itself.
    """

    stops: Ints
    ends: Ints
    arcs: Ints
    added: Ints
    opening: Ints
    serial: Ints
    alone: Ints

    def take(self, index: Ints) -> "_Ways":
        """Return the entries at `index`."""
        return _Ways(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


class _Search:
    """One run of the label method.

    A label is a row: cycles, cost as the net has it, and with earlier answers the real
    cost and how many choices agree with each of them.
    """

    def __init__(
        self,
        net: Net,
        periods: RunPeriods,
        double: bool,
        outlook: Outlook,
        apart: Apart | None,
    ) -> None:
        self._net, self._double, self._rate = net, double, outlook.rate
        self._apart = apart
        self._periods = periods.singles()
        self._fast, self._priced = outlook.cycles, outlook.priced
        self._rest = np.array(least_costs(net), dtype=np.int64)
        self._sure = self._harmless()
        # Every label kept: its parent and the arc that led to it.
        self._parent: list[Ints] = []
        self._arc: list[Ints] = []
        self._count = 0
        self._known: dict[int, _Ways] = {}
        self._budget = self._spend = 0

    def _row(self, cost: int, settled: Settled) -> tuple[int, ...]:
        more = () if self._apart is None else self._apart.count(settled)
        return 0, cost, *more

    def _rows(self, entries: Sequence[Entry]) -> Ints:
        """Return what entries add to a label but for cycles, shape (entries, .)."""
        arcs = self._net.graph.arcs
        return np.array([self._row(e.cost, arcs[e.arc].settled) for e in entries])

    def _harmless(self) -> list[Ints]:
        """Return for each stop the agreements up to which no way from it has too many.

        Labels with fewer are worth the same; counted alike, more of them are dropped.
        """
        if self._apart is None:
            return []
        to_go: list[Ints] = []
        behind: dict[int, Ints] = {}

        def most(node: int) -> Ints:
            ways = []
            if entries := self._net.entries.get(node):
                after = np.stack([to_go[entry.stop] for entry in entries])
                ways.append((self._rows(entries)[:, 3:] + after).max(axis=0))
            if node in self._net.finishes:
                finish = self._net.finishes[node]
                ways.append(np.array(self._row(finish.cost, finish.settled)[3:]))
            highest: Ints = np.stack(ways).max(axis=0)
            return highest

        for stop in self._net.stops:
            # All stops before a node go on alike.
            if stop.end not in behind:
                behind[stop.end] = most(stop.end)
            to_go.append(behind[stop.end])
        return [np.array(self._apart.overlap) - each for each in to_go]

    def run(self, goal: Goal, budget: int, spend: int) -> Way | None:
        """Return the best way, `None` if none keeps the limits."""
        self._budget, self._spend = budget, spend
        best = self._overlapping(goal) if self._double else self._in_turn(goal)
        return None if best is None else self._way(best)

    def _overlapping(self, goal: Goal) -> _End | None:
        """Return the best end where the weights of a run load beside the one before."""
        net = self._net
        best: _End | None = None
        waiting: dict[int, list[_Waiting]] = {}

        def push(node: int, labels: Ints, ids: Ints, run: Single | None) -> None:
            ways = self._ways(node)
            took = ways.serial
            if run is not None:
                beside = np.asarray(run[1]) + ways.opening
                took = np.maximum(run[0], beside.max(axis=1))
            for some, parent, place in self._made(ways, took, labels, ids):
                # Places ascend: labels of one entry follow each other.
                _, first = np.unique(place, return_index=True)
                for part in np.split(np.arange(place.size), first[1:]):
                    stop = int(ways.stops[place[part[0]]])
                    arcs = ways.arcs[place[part]]
                    waiting.setdefault(stop, []).append(
                        (some[part], parent[part], arcs)
                    )

        push(0, *self._begin(), None)
        for number in range(len(net.stops) - 1, -1, -1):
            if number not in waiting:
                continue
            stop = net.stops[number]
            labels, ids = self._settle(waiting.pop(number))
            run = self._periods[stop.run]
            finish = net.finishes.get(stop.end)
            if finish is not None:
                ends = labels + self._row(finish.cost, finish.settled)
                ends[:, 0] += run[0]
                best = self._ended(ends, ids, stop.end, goal, best)
            if stop.end in net.entries:
                push(stop.end, labels, ids, run)
        return best

    def _begin(self) -> tuple[Ints, Ints]:
        """Return the label before anything, and its number: none."""
        return np.array([self._row(0, ())]), np.array([-1])

    def _in_turn(self, goal: Goal) -> _End | None:
        """Return the best end where no run reaches into the next.

        What ran before a node does not matter then: its labels are all compared.
        """
        net = self._net
        best: _End | None = None
        waiting: dict[int, list[_Waiting]] = {}
        for node in sorted({0, *(stop.end for stop in net.stops)}):
            labels, ids = self._begin()
            if node:
                if node not in waiting:
                    continue
                labels, ids = self._settle(waiting.pop(node))
            finish = net.finishes.get(node) if node else None
            if finish is not None:
                ends = labels + self._row(finish.cost, finish.settled)
                best = self._ended(ends, ids, node, goal, best)
            if node not in net.entries:
                continue
            ways = self._ways(node)
            for end in np.unique(ways.ends):
                some = ways.take(np.flatnonzero(ways.ends == end))
                if self._apart is None:
                    # Of two, one that takes as long and costs as much is of no use.
                    both = np.stack([some.serial + some.alone, some.added[:, 1]], 1)
                    some = some.take(self._best(both))
                for made, parent, place in self._made(some, some.serial, labels, ids):
                    made[:, 0] += some.alone[place]
                    waiting.setdefault(int(end), []).append(
                        (made, parent, some.arcs[place])
                    )
        return best

    def _ways(self, node: int) -> "_Ways":
        """Return the entries of a node side by side."""
        if node not in self._known:
            net, entries = self._net, self._net.entries[node]
            runs = [self._periods[entry.run] for entry in entries]
            stops = [entry.stop for entry in entries]
            self._known[node] = _Ways(
                stops=np.array(stops),
                ends=np.array([net.stops[stop].end for stop in stops]),
                arcs=np.array([entry.arc for entry in entries]),
                added=self._rows(entries),
                opening=np.array([run[2] for run in runs]),
                serial=np.array([run[3] for run in runs]),
                alone=np.array([self._periods[net.stops[s].run][0] for s in stops]),
            )
        return self._known[node]

    def _made(
        self, ways: "_Ways", took: Ints, labels: Ints, ids: Ints
    ) -> Iterator[tuple[Ints, Ints, Ints]]:
        """Yield labels at the stops of entries that may end within the limits.

        Args:
            ways: The entries.
            took: Cycles until each of their stops begins.
            labels: Before them.
            ids: Numbers of these labels.

        Yields:
            Labels, the numbers of those before them, and places of their entries,
            ascending.
        """
        count = max(1, TOGETHER // len(ways.arcs))
        for start in range(0, len(labels), count):
            made = labels[None, start : start + count] + ways.added[:, None]
            made[..., 0] += took[:, None]
            place, row = np.nonzero(self._may_end(made, ways.stops[:, None]))
            some = made[place, row]
            if self._apart is not None:
                fine = self._within(some)
                place, row, some = place[fine], row[fine], some[fine]
                sure = np.stack(self._sure)[ways.stops[place]]
                some[:, 3:] = np.maximum(some[:, 3:], sure)
            if place.size:
                yield some, ids[start + row], place

    def _may_end(self, labels: Ints, stops: Ints) -> NDArray[np.bool_]:
        """Return which labels at stops may end within the limits, by all bounds."""
        cycles, cost = labels[..., 0], labels[..., 1]
        fine: NDArray[np.bool_] = cycles + self._fast[stops] <= self._budget
        fine &= cost + self._rest[stops] <= self._spend
        reach = self._budget + self._rate * self._spend
        priced = cycles + self._rate * cost + self._priced[stops]
        fine &= priced <= reach + slack(reach)
        return fine

    def _ended(
        self, ends: Ints, ids: Ints, node: int, goal: Goal, best: _End | None
    ) -> _End | None:
        """Return the best end so far, and tighten the limits to it."""
        for place in np.flatnonzero(self._within(ends)):
            real = 1 if self._apart is None else 2
            end = int(ends[place, 0]), int(ends[place, real]), int(ids[place]), node
            if best is None or _rank(end, goal) < _rank(best, goal):
                best = end
        # Of equals, those with less of the other still go on.
        if best is not None and goal is Goal.CYCLES:
            self._budget = best[0]
        elif best is not None:
            allowance = 0 if self._apart is None else self._apart.allowance
            self._spend = best[1] + allowance
        return best

    def _within(self, labels: Ints) -> NDArray[np.bool_]:
        fine = (labels[:, 0] <= self._budget) & (labels[:, 1] <= self._spend)
        if self._apart is not None:
            real = self._spend - self._apart.allowance
            few = labels[:, 3:] <= np.array(self._apart.overlap)
            fine &= (labels[:, 2] <= real) & few.all(axis=1)
        return fine

    def _settle(self, waiting: Sequence[_Waiting]) -> tuple[Ints, Ints]:
        """Return the labels of a stop that no other beats, and their numbers."""
        labels = np.concatenate([w[0] for w in waiting])
        parent = np.concatenate([w[1] for w in waiting])
        arc = np.concatenate([w[2] for w in waiting])
        order = self._best(labels)
        self._parent.append(parent[order])
        self._arc.append(arc[order])
        ids = np.arange(self._count, self._count + order.size)
        self._count += order.size
        return labels[order], ids

    def _best(self, labels: Ints) -> Ints:
        """Return the places of labels that no other beats, by cycles."""
        order = np.lexsort((labels[:, 1], labels[:, 0]))
        if self._apart is None:
            cost = labels[order, 1]
            least = np.minimum.accumulate(cost)
            ends: Ints = order[np.concatenate([[True], cost[1:] < least[:-1]])]
            return ends
        # The net's cost, real cost plus penalties, is for bounds alone.
        value = np.delete(labels, 1, axis=1)
        order = np.lexsort((*value.T[:0:-1], value[:, 0]))
        best: Ints = order[_undominated(value[order])]
        return best

    def _way(self, best: _End) -> Way:
        cycles, cost, label, node = best
        parents, arcs_of = np.concatenate(self._parent), np.concatenate(self._arc)
        arcs: list[int] = []
        while label >= 0:
            arcs.append(int(arcs_of[label]))
            label = int(parents[label])
        arcs.reverse()
        settled = [pair for arc in arcs for pair in self._net.graph.arcs[arc].settled]
        settled += self._net.finishes[node].settled
        return Way(cycles, cost, tuple(arcs), tuple(sorted(settled)))


def _undominated(values: Ints) -> Ints:
    """Return the places of rows that no row before them equals or beats everywhere.

    Args:
        values: Of shape (rows, figures), sorted by the first figure, then the others:
            no row beats one before it.
    """
    kept = np.zeros((0, values.shape[1]), dtype=np.int64)
    places: list[Ints] = []
    for start in range(0, len(values), DOMINANCE_ROWS):
        some = values[start : start + DOMINANCE_ROWS]
        fine = ~_beaten(kept, some)
        here = np.flatnonzero(fine)
        some = some[fine]
        # Of these, a row that an earlier one beats; the relation is transitive.
        wins = (some[:, None, :] <= some[None, :, :]).all(axis=2)
        fine = np.logical_not(np.triu(wins, k=1).any(axis=0))
        places.append(start + here[fine])
        kept = np.concatenate([kept, some[fine]])
    return np.concatenate(places)


def _beaten(kept: Ints, some: Ints) -> NDArray[np.bool_]:
    """Return which rows of `some` a row of `kept` equals or beats everywhere."""
    beaten = np.zeros(len(some), dtype=np.bool_)
    for start in range(0, len(kept), 4 * DOMINANCE_ROWS):
        part = kept[start : start + 4 * DOMINANCE_ROWS]
        left = np.flatnonzero(~beaten)
        fine = np.ones((len(part), left.size), dtype=np.bool_)
        for column in range(some.shape[1]):
            fine &= part[:, None, column] <= some[None, left, column]
        beaten[left] = fine.any(axis=0)
    return beaten
