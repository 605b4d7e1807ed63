"""Bounds of the ways through a net, and what a way is and must keep.

Bounds of what is still to come behind a stop: least cycles, least cost, and least
cycles plus priced cost, at the price that makes the Lagrangian bound largest. What they
leave open `hao.program.labels` closes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from operator import mul
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.program.graph import Settled
from hao.program.periods import RunPeriods
from hao.program.sweep import Net, sweep

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


def guessed_rate(net: Net, periods: RunPeriods, double: bool) -> float:
    """Return about how many cycles a micro-point buys on some engine."""
    rates = np.array([[0.0], [1e6], [1e-9]])
    swept = sweep(net, periods, double_buffered=double, rate=rates)
    low, steep, least = map(float, np.min(swept.total, axis=1))
    cost_of_fast = (least - low) / 1e-9
    cheapest = _least_cost(net)
    cycles_of_cheap = steep - 1e6 * cheapest
    saved = max(cycles_of_cheap - low, 1.0)
    return saved / max(cost_of_fast - cheapest, 1.0)


def _least_cost(net: Net) -> int:
    return _least_from(net, 0, least_costs(net))


def _least_from(net: Net, node: int, to_go: list[int]) -> int:
    ways = [e.cost + to_go[e.stop] for e in net.entries.get(node, ())]
    if node in net.finishes:
        ways.append(net.finishes[node].cost)
    return min(ways)


def least_costs(net: Net) -> list[int]:
    """Return the least cost behind each stop [micro-points]."""
    to_go: list[int] = []
    behind: dict[int, int] = {}
    for stop in net.stops:
        # All stops before a node go on alike.
        if stop.end not in behind:
            behind[stop.end] = _least_from(net, stop.end, to_go)
        to_go.append(behind[stop.end])
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
    periods: RunPeriods,
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
    to_go: Floats = np.broadcast_to(swept.to_go, (len(net.stops), *tried.shape)).astype(
        np.float64
    )
    result: list[Outlook | None] = []
    for place, row in enumerate(best):
        least = float(bound[row, place])
        if float(total[0, place]) > budget or least > limit + slack(limit):
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


@dataclass(frozen=True, kw_only=True)
class Apart:
    """Earlier answers that a way must stay apart from.

    The costs of the net then hold a penalty for agreeing, so that bounds know of it;
    labels count real costs and agreements each for themselves.

    Attributes:
        costs: Real accuracy cost of each site's options [micro-points].
        kinds: Of each site's options (`Site.kinds`).
        answers: Kind of option of every free site that each earlier answer settles.
        overlap: Most sites that may agree with each of them.
        penalty: Of agreeing in one site with each answer [micro-points].
    """

    costs: tuple[tuple[int, ...], ...]
    kinds: tuple[tuple[int, ...], ...]
    answers: tuple[Mapping[int, int], ...]
    overlap: tuple[int, ...]
    penalty: tuple[int, ...]

    @property
    def allowance(self) -> int:
        """Return the penalties that a way within the overlap may have at most."""
        return sum(map(mul, self.overlap, self.penalty))

    def count(self, settled: Settled) -> tuple[int, ...]:
        """Return the real cost of some options, and how many agree with each answer."""
        cost = sum(self.costs[site][option] for site, option in settled)
        agree = (
            sum(answer.get(site) == self.kinds[site][o] for site, o in settled)
            for answer in self.answers
        )
        return cost, *agree


def slack(limit: float) -> float:
    """Return by how much a bound in floating point may be off."""
    return 1e-3 + 1e-9 * abs(limit)


def sharpest_rate(
    net: Net,
    periods: RunPeriods,
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
