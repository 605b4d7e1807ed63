"""The best way through a net for one engine: exact, by labels.

A label is what a way has taken and cost before a stop: cycles and micro-points. Of two
labels at one stop, one that is no better in either is dropped; so is one whose way
cannot end within the limits, by three bounds of what is still to come: least cycles,
least cost, and least cycles plus priced cost, at the price that makes the Lagrangian
bound largest. No integer program and no tolerance is involved.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.program.graph import FAR, Settled
from hao.program.sweep import Entry, Net, period, sweep
from hao.program.tables import Periods

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Goal(Enum):
    """What a way is to have the least of."""

    CYCLES = "cycles"
    COST = "cost"


@dataclass(frozen=True, slots=True)
class Way:
    """A way from end to end.

    Attributes:
        cycles: Latency of a frame.
        cost: Accuracy cost [micro-points].
        arcs: Arcs of the graph in order.
        settled: Option of every site that it settles.
    """

    cycles: int
    cost: int
    arcs: tuple[int, ...]
    settled: Settled


RATES = np.array([0.0, 0.72, 0.9, 1.0, 1.12, 1.4])
"""Prices of accuracy that are tried, relative to the guess; 0 for cycles alone.

Source: chosen here; the guess comes from many engines, each with a best of its own.
"""


def guessed_rate(net: Net, periods: Mapping[int, Periods], double: bool) -> float:
    """Return about how many cycles a micro-point buys on some engine."""
    fast = sweep(net, periods, double_buffered=double)
    steep = sweep(net, periods, double_buffered=double, rate=1e6)
    least = sweep(net, periods, double_buffered=double, rate=1e-9)
    low = float(np.min(fast.total))
    cost_of_fast = (float(np.min(least.total)) - low) / 1e-9
    cheapest = _least_cost(net)
    cycles_of_cheap = float(np.min(steep.total)) - 1e6 * cheapest
    saved = max(cycles_of_cheap - low, 1.0)
    return saved / max(cost_of_fast - cheapest, 1.0)


def _least_cost(net: Net) -> int:
    to_go: list[int] = []
    for stop in net.stops:
        to_go.append(_least_from(net, stop.end, to_go))
    return _least_from(net, 0, to_go)


def _least_from(net: Net, node: int, to_go: list[int]) -> int:
    ways = [e.cost + to_go[e.stop] for e in net.entries.get(node, ())]
    if node in net.finishes:
        ways.append(net.finishes[node].cost)
    return min(ways)


def least_costs(net: Net) -> list[int]:
    """Return the least cost behind each stop [micro-points]."""
    to_go: list[int] = []
    for stop in net.stops:
        to_go.append(_least_from(net, stop.end, to_go))
    return to_go


def dual_bound(
    swept: Floats,
    rates: Floats,
    *,
    goal: Goal,
    budget: int,
    spend: int,
) -> Floats:
    """Return the Lagrangian bound of the goal at each rate.

    Args:
        swept: Least cycles plus priced cost, of shape (rates, ...).
        rates: Prices [cycles per micro-point], of a shape that broadcasts with it.
        goal: What is bounded.
        budget: Most cycles; for `Goal.COST`.
        spend: Most cost [micro-points]; for `Goal.CYCLES`.
    """
    match goal:
        case Goal.CYCLES:
            return np.asarray(swept - rates * spend, dtype=np.float64)
        case Goal.COST:
            return np.asarray((swept - budget) / rates, dtype=np.float64)
        case _:
            assert_never(goal)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is still to come behind each stop, for one engine.

    Attributes:
        least: Lower bound of the goal.
        cycles: Least cycles.
        priced: Least cycles plus priced cost.
        rate: The price [cycles per micro-point].
    """

    least: float
    cycles: Floats
    priced: Floats
    rate: float


def outlooks(
    net: Net,
    periods: Mapping[int, Periods],
    *,
    double_buffered: bool,
    goal: Goal,
    budget: int,
    spend: int,
    rates: Floats,
) -> list[Outlook | None]:
    """Return the outlook of engines side by side; `None` where no way keeps the limits.

    Args:
        net: What ways there are.
        periods: Of the engines.
        double_buffered: Whether weights load while another run computes.
        goal: What is minimised.
        budget: Most cycles.
        spend: Most cost [micro-points].
        rates: First guess of each engine's price of accuracy [cycles per micro-point].
    """
    tried = np.maximum(rates, 1e-9)[None, :] * RATES[:, None]
    swept = sweep(net, periods, double_buffered=double_buffered, rate=tried)
    total = np.broadcast_to(np.asarray(swept.total, dtype=np.float64), tried.shape)
    limit = budget if goal is Goal.CYCLES else spend
    bound = dual_bound(total[1:], tried[1:], goal=goal, budget=budget, spend=spend)
    best = bound.argmax(axis=0)
    to_go: Floats = np.stack(
        [np.broadcast_to(each, tried.shape) for each in swept.to_go]
    ).astype(np.float64)
    result: list[Outlook | None] = []
    for place, row in enumerate(best):
        least = float(bound[row, place])
        if float(total[0, place]) > budget or least > limit + _slack(limit):
            result.append(None)
            continue
        result.append(
            Outlook(
                least,
                to_go[:, 0, place],
                to_go[:, 1 + row, place],
                float(tried[1 + row, place]),
            )
        )
    return result


def best_way(
    net: Net,
    periods: Mapping[int, Periods],
    outlook: Outlook,
    *,
    double_buffered: bool,
    goal: Goal,
    budget: int,
    spend: int,
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
        spend: Most cost [micro-points].
    """
    search = _Search(net, periods, double_buffered, outlook)
    return search.run(goal, budget, spend)


def _slack(limit: float) -> float:
    """Return by how much a bound in floating point may be off."""
    return 1e-3 + 1e-9 * abs(limit)


def sharpest_rate(
    net: Net,
    periods: Mapping[int, Periods],
    double_buffered: bool,
    *,
    budget: int,
    spend: int,
) -> float:
    """Return the price of accuracy that bounds the cycles of ways best.

    Args:
        net: What ways there are.
        periods: Of one engine.
        double_buffered: Whether weights load while another run computes.
        budget: Cycles of a way that there is.
        spend: Its cost [micro-points].
    """
    rate = max(guessed_rate(net, periods, double_buffered), 1e-9)
    for spread in (np.geomspace(2.0**-7, 2.0**7, 15), np.geomspace(0.55, 1.8, 9)):
        rates = (rate * spread)[:, None]
        swept = sweep(net, periods, double_buffered=double_buffered, rate=rates)
        total = np.broadcast_to(
            np.asarray(swept.total, dtype=np.float64), (rates.size, 1)
        )
        bound = dual_bound(total, rates, goal=Goal.CYCLES, budget=budget, spend=spend)
        rate = float(rates[int(np.argmax(bound)), 0])
    return rate


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


class _Search:
    """One run of the label method."""

    def __init__(
        self,
        net: Net,
        periods: Mapping[int, Periods],
        double: bool,
        outlook: Outlook,
    ) -> None:
        self._net, self._double, self._rate = net, double, outlook.rate
        self._periods = {n: _single(p) for n, p in periods.items()}
        self._fast, self._priced = outlook.cycles, outlook.priced
        self._rest = least_costs(net)
        # Every label kept: its parent and the arc that led to it.
        self._parent: list[Ints] = []
        self._arc: list[Ints] = []
        self._count = 0
        self._waiting: dict[int, list[tuple[Ints, Ints, Ints, int]]] = {}

    def run(self, goal: Goal, budget: int, spend: int) -> Way | None:
        net = self._net
        best: _End | None = None
        self._budget, self._spend = budget, spend
        none = np.array([-1])
        for entry in net.entries[0]:
            after = self._periods[entry.run]
            first = after[5]
            if self._double:
                first = max(after[3], after[4])
            self._push(entry, np.array([first]), np.array([entry.cost]), none)
        for number in range(len(net.stops) - 1, -1, -1):
            waiting = self._waiting.pop(number, None)
            if waiting is None:
                continue
            cycles, cost, ids = self._settle(number, waiting)
            stop = net.stops[number]
            alone, beside, ddr = self._periods[stop.run][:3]
            finish = net.finishes.get(stop.end)
            if finish is not None:
                ends, spent = cycles + alone, cost + finish.cost
                fine = np.flatnonzero((ends <= self._budget) & (spent <= self._spend))
                for place in fine:
                    end = int(ends[place]), int(spent[place]), int(ids[place]), stop.end
                    if best is None or _rank(end, goal) < _rank(best, goal):
                        best = end
                # Of equals, those with less of the other still go on.
                if best is not None and goal is Goal.CYCLES:
                    self._budget = best[0]
                elif best is not None:
                    self._spend = best[1]
            for entry in net.entries.get(stop.end, ()):
                after = self._periods[entry.run]
                if self._double:
                    took = max(alone, beside + after[3], ddr + after[4])
                else:
                    took = alone + after[5]
                self._push(entry, cycles + took, cost + entry.cost, ids)
        return None if best is None else self._way(best)

    def _push(self, entry: Entry, cycles: Ints, cost: Ints, parent: Ints) -> None:
        stop = entry.stop
        fine = cycles + self._fast[stop] <= self._budget
        fine &= cost + self._rest[stop] <= self._spend
        reach = self._budget + self._rate * self._spend
        priced = cycles + self._rate * cost + self._priced[stop]
        fine &= priced <= reach + _slack(reach)
        if fine.any():
            self._waiting.setdefault(stop, []).append(
                (cycles[fine], cost[fine], parent[fine], entry.arc)
            )

    def _settle(
        self, number: int, waiting: list[tuple[Ints, Ints, Ints, int]]
    ) -> tuple[Ints, Ints, Ints]:
        """Return the labels of a stop that no other beats, and their numbers."""
        cycles = np.concatenate([w[0] for w in waiting])
        cost = np.concatenate([w[1] for w in waiting])
        parent = np.concatenate([w[2] for w in waiting])
        arc = np.concatenate([np.full(w[0].size, w[3]) for w in waiting])
        order = np.lexsort((cost, cycles))
        least = np.minimum.accumulate(cost[order])
        kept = np.concatenate([[True], cost[order][1:] < least[:-1]])
        order = order[kept]
        self._parent.append(parent[order])
        self._arc.append(arc[order])
        ids = np.arange(self._count, self._count + order.size)
        self._count += order.size
        return cycles[order], cost[order], ids

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


def _single(made: Periods) -> tuple[int, int, int, int, int, int]:
    """Return the periods of a single engine as integers."""
    values = (made.alone, made.beside, made.ddr, made.opening, made.opening_ddr)
    alone, beside, ddr, opening, opening_ddr = (int(np.min(value)) for value in values)
    return alone, beside, ddr, opening, opening_ddr, made.serial


def way_cycles(
    net: Net, periods: Mapping[int, Periods], way: Way, *, double_buffered: bool
) -> int:
    """Return the cycles of a given way, added up anew."""
    runs = [net.graph.arcs[arc].run for arc in way.arcs]
    total = 0
    for before, after in zip((None, *runs), (*runs, None), strict=True):
        if before is None:
            assert after is not None
            first = periods[after]
            total += int(
                np.max(np.maximum(first.opening, first.opening_ddr))
                if double_buffered
                else first.serial
            )
        elif after is None:
            total += int(np.max(periods[before].alone))
        else:
            total += int(
                np.max(
                    period(
                        periods[before], periods[after], double_buffered=double_buffered
                    )
                )
            )
            if not double_buffered:
                total += periods[after].serial
    return min(total, int(FAR))
