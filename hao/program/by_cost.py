"""Least cycles at every accuracy cost, for many engines side by side: exact.

Where few layers have a choice, few sums of costs can occur. The dynamic program of
`hao.program.sweep` then runs once for each of them, with no price of accuracy and no
gap: it says of thousands of engines at once what the labels of `hao.program.labels` say
of one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.program.exact import Goal, least_costs
from hao.program.graph import FAR
from hao.program.periods import RunPeriods
from hao.program.sweep import Net, period

Ints = NDArray[np.int64]

MOST_SUMS = 20_000
"""Sums of costs, counted at every pair of runs, up to which all are tried.

Source: chosen here; at this count a batch of engines takes some 0.5 s.
"""

MOST_CYCLES = 4_000_000
"""Cycles that are kept at a time: sums of costs of all stops, times engines."""


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of costs that can occur in a net.

    Attributes:
        net: The net.
        behind: Per stop, the costs of what may follow it, ascending [micro-points].
        whole: Costs of whole ways, ascending [micro-points].
    """

    net: Net
    behind: tuple[Ints, ...]
    whole: Ints


def sums_of(net: Net, spend: int) -> Sums | None:
    """Return the sums of costs in a net, or `None` if there are too many.

    Args:
        net: What ways there are.
        spend: Most cost of a whole way that is of interest [micro-points].
    """
    rest, come = least_costs(net), [int(FAR)] * len(net.stops)
    for entry in net.entries[0]:
        come[entry.stop] = min(come[entry.stop], entry.cost)
    for number in range(len(net.stops) - 1, -1, -1):
        for entry in net.entries.get(net.stops[number].end, ()):
            come[entry.stop] = min(come[entry.stop], come[number] + entry.cost)
    behind: list[Ints] = []
    count = 0

    def sums(node: int, most: int) -> Ints:
        parts = [
            entry.cost + behind[entry.stop]
            for entry in net.entries.get(node, ())
            if entry.cost + rest[entry.stop] <= most
        ]
        if node in net.finishes:
            parts.append(np.array([net.finishes[node].cost]))
        every = np.unique(np.concatenate([np.zeros(0, np.int64), *parts]))
        return every[every <= most]

    for number, stop in enumerate(net.stops):
        behind.append(sums(stop.end, spend - come[number]))
        count += sum(behind[e.stop].size for e in net.entries.get(stop.end, ()))
        if count > MOST_SUMS:
            return None
    return Sums(net, tuple(behind), sums(0, spend))


def exact_goals(
    sums: Sums,
    periods: RunPeriods,
    *,
    double_buffered: bool,
    goal: Goal,
    budget: int | Ints,
) -> Ints:
    """Return the least of a goal that each engine reaches within the limits.

    Args:
        sums: Of the net; their costs are within the limit on cost.
        periods: Of the net's runs.
        double_buffered: Whether weights load while another run computes.
        goal: Cycles or cost.
        budget: Most cycles, of all sums or of each of `Sums.whole`; for `Goal.COST`.

    Returns:
        Cycles or micro-points; `FAR` where an engine cannot keep the limits. One number
        where nothing depends on the engine.
    """
    size = periods.size
    rows = max(1, sum(costs.size for costs in sums.behind))
    step = max(1, MOST_CYCLES // rows)
    result = np.full(size, FAR, dtype=np.int64)
    for start in range(0, size, step):
        index = np.arange(start, min(start + step, size))
        some = periods.take(index)
        cycles = _least_cycles(sums, some, index.size, double_buffered)
        if goal is Goal.CYCLES:
            result[index] = cycles.min(axis=0, initial=FAR)
            continue
        within = cycles <= np.reshape(budget, (-1, 1))
        first = within.argmax(axis=0)
        found = within.any(axis=0)
        result[index[found]] = sums.whole[first[found]]
    return result


def _least_cycles(sums: Sums, periods: RunPeriods, size: int, double: bool) -> Ints:
    """Return the least cycles of whole ways, of shape (costs, engines)."""
    net, behind = sums.net, sums.behind
    to_go: list[Ints] = []

    def add(result: Ints, costs: Ints, cost: int, stop: int, took: Ints) -> None:
        place = np.searchsorted(costs, cost + behind[stop])
        fine = np.flatnonzero(place < costs.size)
        place = place[fine]
        result[place] = np.minimum(result[place], took + to_go[stop][fine])

    for number, stop in enumerate(net.stops):
        here, costs = periods[stop.run], behind[number]
        result = np.full((costs.size, size), FAR, dtype=np.int64)
        finish = net.finishes.get(stop.end)
        if finish is not None and costs.size and finish.cost <= costs[-1]:
            result[np.searchsorted(costs, finish.cost)] = here.alone
        for entry in net.entries.get(stop.end, ()):
            took = period(here, periods[entry.run], double_buffered=double)
            add(result, costs, entry.cost, entry.stop, took)
        to_go.append(result)
    whole = np.full((sums.whole.size, size), FAR, dtype=np.int64)
    for entry in net.entries[0]:
        first = periods[entry.run].serial
        add(whole, sums.whole, entry.cost, entry.stop, first)
    return whole
