"""What engines may reach at best: bounds of the goal over all widths that may fit."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.by_cost import Sums, exact_goals, sums_of
from hao.program.engines import (
    STEP,
    UNFIT,
    widest,
)
from hao.program.exact import dual_bound, guessed_rate
from hao.program.field import Group
from hao.program.gather import periods_of
from hao.program.graph import ABSENT, ROLES
from hao.program.hunt import Hunt, Least, Union, dearest, goal_of
from hao.program.periods import RunPeriods
from hao.program.sieve import Bound
from hao.program.sweep import make_net, sweep
from hao.program.tables import Choice

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


SPREAD = np.geomspace(0.25, 4.0, 9)
"""Prices of accuracy tried on some engines, relative to one known (chosen here)."""

GUESSED = 64
"""Engines, the fastest, from which a price of accuracy is guessed (chosen here)."""

SAMPLED = 16
"""Engines to which a price of accuracy is adapted (chosen here)."""


def within_reach(hunt: Hunt, group: Group, double: bool, choice: Choice) -> Ints:
    """Return the engines that a bound over all widths that may fit does not exclude."""
    reach = reach_of(hunt, group, double, choice)
    return np.flatnonzero(reach <= hunt.of_interest)


def are_few(
    hunt: Hunt,
    group: Group,
    double: bool,
    kept: list[tuple[Choice, Ints]],
    most: int,
) -> bool:
    """Return whether the engines that come near the best are few.

    Where they are not, those that were near an earlier best only are dropped first.

    Args:
        hunt: What found them.
        group: Combinations of widths.
        double: Whether the engines double-buffer.
        kept: Engines, and their cycles at the fewest bits; far ones are dropped.
        most: How many are few.
    """
    if sum(cycles.size for _, cycles in kept) > most:
        kept[:] = [
            (choice.take(near), cycles[near])
            for choice, cycles in kept
            for near in [within_reach(hunt, group, double, choice)]
        ]
    return sum(cycles.size for _, cycles in kept) <= most


def reach_of(hunt: Hunt, group: Group, double: bool, choice: Choice) -> Floats:
    """Return a bound of the goal for engines, over all widths at which they may fit.

    It is infinite where there are none, and `-inf` where nothing is known: before a
    price of accuracy is, or where no way costs too much. Depths of buffers may be
    relaxed.
    """
    result = np.full(len(choice), -np.inf)
    if not result.size:
        return result
    every = [w for w in group.widths if w.floor <= hunt.cost_of_interest]
    if len(every) == 1:
        own = [every[0].bits[role] for role in choice.lanes]
        bits = np.broadcast_to(np.array(own), (len(choice), len(own)))
    else:
        bits = widest(hunt.field, every, double, choice)
        result[(bits == UNFIT).any(axis=1)] = np.inf
    code = (bits * 16 ** np.arange(bits.shape[1])).sum(axis=1)
    every_code, first = np.unique(code, return_index=True)
    for own_code, place in zip(every_code, first, strict=True):
        if result[place] == np.inf:
            continue
        own_ = dict(zip(choice.lanes, map(int, bits[place]), strict=True))
        union = union_of(hunt, group, own_)
        if union.dearest <= hunt.cost or (hunt.rate is None and union.sums is None):
            continue
        rows = np.flatnonzero(code == own_code)
        for start in range(0, rows.size, STEP):
            some = rows[start : start + STEP]
            result[some] = _bound(hunt, union, double, choice.take(some))
    return result


def guess_price(hunt: Hunt, group: Group, double: bool, choice: Choice) -> None:
    """Guess a price of accuracy from some engines, where the least cost is sought.

    One that is known stays. Bounds at any price hold; before one there are none.

    Args:
        hunt: What is sought.
        group: Combinations of widths.
        double: Whether the engines double-buffer.
        choice: Engines, the most promising first.
    """
    if hunt.least is not Least.COST or hunt.rate or not len(choice):
        return
    union = most_ways(hunt, group)
    if union is not None and union.dearest > hunt.cost:
        some = choice.take(np.arange(min(GUESSED, len(choice))))
        periods = periods_of(hunt.field.tables(double), some, union.net.runs)
        hunt.rate = guessed_rate(union.net, periods, double)


def most_ways(hunt: Hunt, group: Group) -> Union | None:
    """Return all ways of a group of the cost of interest, `None` if there are none."""
    every = [w for w in group.widths if w.floor <= hunt.cost_of_interest]
    if not every:
        return None
    most = {role: max(w.bits[role] for w in every) for role in group.roles}
    return union_of(hunt, group, most)


def fit_price(
    hunt: Hunt, union: Union, double: bool, choice: Choice
) -> tuple[float, int]:
    """Return the price of accuracy that excludes most of some engines, and how many.

    If it excludes any, it is the one that others of the same ways are bounded at next.

    Args:
        hunt: What is sought; it knows a price.
        union: Ways of the engines.
        double: Whether these double-buffer.
        choice: Engines, of which `SAMPLED` are tried, spread evenly.
    """
    places = np.linspace(0, len(choice) - 1, SAMPLED).astype(np.int64)
    tables = hunt.field.tables(double)
    periods = periods_of(tables, choice.take(places), union.net.runs)
    assert hunt.rate is not None, "else nothing is known"
    tried = np.append(union.rates.get(double, hunt.rate) * SPREAD, hunt.rate)
    found = _priced(hunt, union, double, periods, tried)
    excluded = (found > hunt.of_interest).sum(axis=1)
    best = int(np.lexsort((found.mean(axis=1), excluded))[-1])
    if excluded[best]:
        union.rates[double] = float(tried[best])
    return float(tried[best]), int(excluded[best])


def union_of(hunt: Hunt, group: Group, bits: Mapping[Role, int]) -> Union:
    """Return the ways of a group at no more than some bits, of the cost of interest."""
    key, spend = (id(group), tuple(bits.values())), hunt.cost_of_interest
    known = hunt.unions.get(key)
    if known is None or known.spend != spend:
        graph = hunt.field.graph
        most = np.array([bits.get(role, ABSENT) for role in ROLES])
        allowed = np.logical_or.reduce([w.allowed for w in group.widths])
        allowed &= (graph.bits <= most).all(axis=1)
        apart = hunt.apart
        count = None if apart is None else apart.count
        net = make_net(graph, graph.within(allowed, spend), count)
        if known is None:
            sums = None if apart else sums_of(net, spend)
            known = Union(group, spend, net, dearest(net), sums, {})
        else:
            # Sums that were too many stay so: prices exclude more for their time.
            sums = None if known.sums is None else sums_of(net, spend)
            known = replace(known, spend=spend, net=net, sums=sums)
        hunt.unions[key] = known
    return known


def _bound(hunt: Hunt, union: Union, double: bool, choice: Choice) -> Floats:
    """Return a bound of engines: exact but for depths, or at a price of accuracy."""
    if union.sums is not None:
        return summed_bound(hunt, union.sums, double)(choice, {})
    periods = periods_of(hunt.field.tables(double), choice, union.net.runs)
    assert hunt.rate is not None, "else nothing is known"
    rate = union.rates.get(double, hunt.rate)
    bound: Floats = _priced(hunt, union, double, periods, np.array([rate]))[0]
    left = np.flatnonzero(bound <= hunt.of_interest)
    if not left.size:
        return bound
    # What stays is looked at again, at the price that excludes most of some of it.
    order = left[np.argsort(bound[left], kind="stable")]
    best, excluded = fit_price(hunt, union, double, choice.take(order))
    if excluded and best != rate:
        again = _priced(hunt, union, double, periods.take(left), np.array([best]))[0]
        bound[left] = np.maximum(bound[left], again)
    return bound


def _priced(
    hunt: Hunt,
    union: Union,
    double: bool,
    periods: RunPeriods,
    rates: Floats,
) -> Floats:
    """Return bounds of engines at prices of accuracy, of shape (rates, engines)."""
    swept = sweep(union.net, periods, double_buffered=double, rate=rates[:, None])
    return dual_bound(
        np.asarray(swept.total, dtype=np.float64),
        rates[:, None],
        goal=goal_of(hunt.least),
        budget=hunt.cycles,
        spend=hunt.cost,
    )


def exact_bound(
    hunt: Hunt, sums: Sums, periods: RunPeriods, double: bool, size: int
) -> Floats:
    """Return the least of the goal that engines reach within the hunt's limits."""
    goals = exact_goals(
        sums,
        periods,
        double_buffered=double,
        goal=goal_of(hunt.least),
        budget=hunt.budgets(sums.whole),
    )
    return np.broadcast_to(goals.astype(np.float64), (size,))


def summed_bound(hunt: Hunt, sums: Sums, double: bool) -> Bound:
    """Return the bound that all sums of costs give: exact but for what is open.

    Args:
        hunt: What is sought.
        sums: Of the ways that there are.
        double: Whether engines double-buffer.
    """
    tables = hunt.field.tables(double)

    def bound(choice: Choice, at_best: Mapping[Role, Bools]) -> Floats:
        periods = periods_of(tables, choice, sums.net.runs, at_best)
        return exact_bound(hunt, sums, periods, double, len(choice))

    return bound
