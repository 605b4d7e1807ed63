"""Lane shapes that are too slow, shown with exact prices of few runs.

Pricing every run of a network on every configuration is most of what it takes to refuse
a network whose lane shapes rough bounds nearly exclude. Mostly it is not needed: a run
that no fastest way takes, at its rough price, is on none at its exact one, which is no
less. So runs are priced exactly only where the best ways of the most promising lane
shapes take them, until all of these are; the others stay at their rough prices.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.exact import guessed_rate
from hao.program.gather import periods_of
from hao.program.hunt import dearest
from hao.program.periods import RunPeriods
from hao.program.run_table import RunTable
from hao.program.space import Grid
from hao.program.sweep import Net, runs_of_best, sweep
from hao.program.tables import Choice, Priced, Tables

Ints = NDArray[np.int64]

TRACED = 12
"""Lane shapes, of the best of those left, whose best ways are priced (chosen here)."""

BEST = 64
"""Lane shapes, the best, among which these are spread evenly (chosen here)."""

SPREAD = (0.5, 1.0, 2.0, 0.0)
"""Prices of accuracy tried in turn, relative to a guess (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartlyPriced:
    """Tables of runs, exact for some of them, rough for the others.

    Attributes:
        exact: Exact prices; added to.
        rough: What runs take at least.
        priced: Runs whose exact price is taken.
        plans: What `hao.program.gather` keeps of how tables are read.
        shelves: What it keeps of rows; those with more exact prices share it.
    """

    exact: Tables
    rough: Priced
    priced: frozenset[int] = frozenset()
    plans: dict[object, object] = field(default_factory=dict)
    shelves: dict[object, object] = field(default_factory=dict)

    @property
    def pixels(self) -> tuple[int, ...]:
        """Return the pixels at once, in the order of the rows' first axis."""
        return self.exact.pixels

    @property
    def grids(self) -> Mapping[Role, Grid]:
        """Return the configurations of each stage."""
        return self.exact.grids

    @property
    def batch(self) -> int:
        """Return the frames of a start."""
        return self.exact.batch

    def table(self, number: int) -> RunTable:
        """Return the table of run `number` of the graph."""
        return (self.exact if number in self.priced else self.rough).table(number)

    def of(self, net: Net) -> "PartlyPriced":
        """Return the tables with all exact prices of a net's runs that are made."""
        made = self.exact.made(net.runs)
        if made <= self.priced:
            return self
        return replace(self, priced=self.priced | made, plans={})


def in_time(tables: PartlyPriced, net: Net, choice: Choice, limit: float) -> Choice:
    """Return the lane shapes over whose ways a frame may take few enough cycles.

    Args:
        tables: Prices.
        net: What ways there are.
        choice: Lane shapes.
        limit: Most cycles.
    """
    return _left(tables, net, choice, 0.0, limit)


def in_budget(
    tables: PartlyPriced,
    net: Net,
    choice: Choice,
    *,
    cycles: int | Ints,
    cost: int | Ints,
) -> Choice:
    """Return the lane shapes that bounds with a price of accuracy do not exclude.

    Args:
        tables: Prices.
        net: What ways there are.
        choice: Lane shapes.
        cycles: Most cycles; of several pairs of limits, one must be kept.
        cost: Most accuracy cost with each of them [micro-points].
    """
    if not len(choice):
        return choice
    periods = periods_of(tables.of(net), choice, net.runs)
    rates = [0.0]
    if dearest(net) > np.min(cost):
        guess = max(guessed_rate(net, periods, tables.exact.double_buffered), 1e-9)
        rates = [guess * spread for spread in SPREAD]
    for rate in rates:
        reach = float(np.max(cycles + rate * np.asarray(cost))) + 1
        choice = _left(tables, net, choice, rate, reach)
    return choice


def _left(
    tables: PartlyPriced, net: Net, choice: Choice, rate: float, reach: float
) -> Choice:
    """Return the lane shapes of at most so many cycles plus priced cost.

    Args:
        tables: Prices.
        net: What ways there are.
        choice: Lane shapes.
        rate: Price of accuracy [cycles per micro-point].
        reach: Most cycles plus priced cost.
    """
    double = tables.exact.double_buffered
    while len(choice):
        tables = tables.of(net)
        periods = periods_of(tables, choice, net.runs)
        swept = sweep(net, periods, double_buffered=double, rate=rate)
        total = np.broadcast_to(swept.total, (len(choice),))
        order = np.argsort(total, kind="stable")
        order = order[total[order] <= reach]
        choice, best = choice.take(order), order[:BEST]
        if not best.size:
            break
        places = np.linspace(0, best.size - 1, min(best.size, TRACED)).astype(np.int64)
        taken = _taken(net, periods.take(best[places]), double, rate)
        if taken <= tables.priced:
            break
        for run in taken - tables.priced:
            tables.exact.table(run)
    return choice


def _taken(net: Net, some: RunPeriods, double: bool, rate: float) -> set[int]:
    """Return the runs on a best way of each of some engines."""
    to_go = sweep(net, some, double_buffered=double, rate=rate).to_go
    taken: set[int] = set()
    for place in range(some.size):
        single = some.take(np.array([place])).singles()
        taken |= runs_of_best(net, single, to_go[:, place].tolist(), double, rate)
    return taken
