"""The least cost where most engines are fast enough: bounds with a price on accuracy.

Where options make runs much faster, as blocks that are left out do, engines at their
lightest runs exclude next to nothing, and each is worth a look only for what it costs.
Bounds that add up run by run (`hao.program.additive`), with a price on accuracy, are
cheap enough for all lane shapes of all widths at once. They leave out what a run loads
beside the one before it. Where small maps make that most of the time, as a sample of
what they leave tells, a sweep of all ways follows, at prices that suit the sample.
Depths of buffers and widths come next, best first, and what is left is closed as
everywhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.additive import Additive, additive
from hao.program.bounded import Bounded
from hao.program.by_cost import Sums, sums_of
from hao.program.closing import try_engines
from hao.program.engines import UNFIT, expand, may_fit, members, priced, widest
from hao.program.field import Group
from hao.program.gather import periods_of
from hao.program.graph import ABSENT, FAR, ROLES
from hao.program.hunt import Hunt
from hao.program.lanes import lane_bounds
from hao.program.quick import first_limit
from hao.program.reach import (
    SAMPLED,
    fit_price,
    guess_price,
    most_ways,
    summed_bound,
)
from hao.program.sieve import FEW, sieved, swept_bound
from hao.program.sweep import Net, make_net, sweep
from hao.program.tables import Choice, joined

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

SPREAD = (0.7, 1.0, 1.4)
"""Prices of accuracy tried on every engine, relative to one known (chosen here)."""

MANY_LEFT = 30_000
"""Lane shapes from which on it is asked whether a sweep excludes more (chosen here).

Fewer are tried sooner than a sweep of a large network is made.
"""

SWEPT_SAMPLE = 128
"""Lane shapes, evenly spaced, that tell whether a sweep excludes more (chosen here)."""

SWEPT_SPREAD = np.geomspace(2.0**-6, 2.0**3, 19)
"""Prices that are tried on them, relative to one known (chosen here)."""

WORTH = 0.3
"""Share of them that a sweep must exclude to be made for all (chosen here)."""

SWEPT_TOGETHER = 1_024
"""Engines that are swept side by side (chosen here)."""

FIRST, GROWTH, MOST = 16, 4, 1_024
"""Lane shapes whose engines are listed before the best is asked again (chosen here)."""

CHEAP_SHAPES = 16
"""Lane shapes, the quickest at the least cost, that are tried (chosen here)."""

FAIR = 0.5
"""Share of a sample that a price must exclude for pairs to be bounded with it (chosen
here)."""


def start(hunt: Hunt, group: Group, double: bool) -> None:
    """Look for a design and a price among engines quickest at the ends of the cost."""
    field = hunt.field
    floor = min(widths.floor for widths in group.widths)
    for each in (*field.groups(group.widths, floor), group):
        _, point = first_limit(field, each, double)
        if point is None:
            continue
        for choice, cycles in expand(field, group, double, point, hunt.cycles):
            try_engines(hunt, group.widths, double, choice, cycles)


def sieved_by_price(
    hunt: Hunt, group: Group, double: bool, found: Bounded, limit: int
) -> Bounded:
    """Return the lane shapes that bounds of pairs with a price do not exclude.

    Args:
        hunt: What is sought: the least cost, or cycles.
        group: Combinations of widths.
        double: Whether the engines double-buffer.
        found: Lane shapes of the group.
        limit: Most cycles.
    """
    if found.bound.size <= FEW:
        return found
    # The less the best design costs, the more is excluded.
    _try_cheap(hunt, group, double, found.choice)
    guess_price(hunt, group, double, found.choice)
    union, tables = most_ways(hunt, group), hunt.field.tables(double)
    if union is None:
        return found.take(np.zeros(0, dtype=np.int64))
    if union.dearest <= hunt.cost:
        return found
    if union.sums is not None:
        summed = summed_bound(hunt, union.sums, double)
        rows = sieved(tables, found.choice, summed, hunt.of_interest)
        return found.take(np.sort(rows))
    if not hunt.rate:
        return found
    rate, excluded = fit_price(hunt, union, double, found.choice)
    if excluded < FAIR * SAMPLED:
        return found  # bounds of pairs exclude less still
    reach = min(limit, hunt.cycles + 1) + rate * hunt.cost_of_interest + 1
    bound = swept_bound(tables, union.net, double, rate)
    return found.take(np.sort(sieved(tables, found.choice, bound, reach)))


def _try_cheap(hunt: Hunt, group: Group, double: bool, shapes: Choice) -> None:
    """Look for a design on the lane shapes that are quickest at the least cost.

    Where the fewest bits make most lane shapes fast enough, bounds with a price exclude
    little before some design of a low cost is known.
    """
    field = hunt.field
    floor = min(widths.floor for widths in group.widths)
    for each in field.groups(group.widths, floor):
        quick = priced(field, each, double, shapes, int(FAR)).choice
        some = quick.take(np.arange(min(CHEAP_SHAPES, len(quick))))
        for choice, cycles in expand(field, group, double, some, hunt.cycles):
            try_engines(hunt, each.widths, double, choice, cycles)


def engines_by_price(
    hunt: Hunt, group: Group, double: bool
) -> Iterator[tuple[Choice, Ints]]:
    """Yield the engines that may cost less than the best known, some at a time.

    The caller tries them before it asks for more. A price of accuracy is known.

    Args:
        hunt: What is sought: the least cost.
        group: All widths of the same stages.
        double: Whether the engines double-buffer.

    Yields:
        Engines, and a lower bound of their cycles: none.
    """
    own = _Priced(hunt, group, double)
    for shapes in own.promising():
        yield from own.engines(shapes)
    shapes, bound = own.shapes()
    for rows in own.growing(bound):
        yield from own.engines(shapes.take(rows))


@dataclass(frozen=True, slots=True)
class _Ways:
    """Ways that cost little enough, and the same as they add up run by run."""

    net: Net
    added: Additive
    sums: Sums | None


class _Priced:
    """Engines of some widths under bounds with a price on accuracy."""

    def __init__(self, hunt: Hunt, group: Group, double: bool) -> None:
        assert hunt.rate, "a price of accuracy is known"
        self._hunt, self._group, self._double = hunt, group, double
        self._rates = [hunt.rate * spread for spread in SPREAD]
        self._swept_rates = np.zeros(0)
        self._known: dict[tuple[bytes, int], _Ways | None] = {}
        self._parts: list[Choice] = []
        self._tables = hunt.field.tables(double)
        self._allowed: Bools = np.logical_or.reduce([w.allowed for w in group.widths])

    def _ways(self, allowed: Bools) -> _Ways | None:
        """Return the ways over some arcs that cost little enough, if there are any."""
        graph, spend = self._hunt.field.graph, self._hunt.cost_of_interest
        key = allowed.tobytes(), spend
        if key not in self._known:
            within = graph.within(allowed, spend)
            self._known[key] = None
            if within.any():
                net = make_net(graph, within)
                sums = sums_of(net, spend)
                self._known[key] = _Ways(net, additive(net, self._tables), sums)
        return self._known[key]

    def _bound(
        self,
        ways: _Ways,
        choice: Choice,
        at_best: Mapping[Role, Bools] | None = None,
    ) -> Floats:
        budget = self._hunt.cycles
        bound = ways.added.bound(choice, at_best, rates=self._rates, budget=budget)
        if ways.sums is None and not self._swept_rates.size:
            return bound
        left = np.flatnonzero(bound <= self._hunt.of_interest)
        for start in range(0, left.size, SWEPT_TOGETHER):
            some = left[start : start + SWEPT_TOGETHER]
            whole = self._over_whole_ways(ways, choice.take(some), at_best)
            bound[some] = np.maximum(bound[some], whole)
        return bound

    def _over_whole_ways(
        self, ways: _Ways, choice: Choice, at_best: Mapping[Role, Bools] | None
    ) -> Floats:
        if ways.sums is not None:
            summed = summed_bound(self._hunt, ways.sums, self._double)
            return summed(choice, at_best or {})
        rates = self._swept_rates
        return np.asarray(self._swept(ways.net, choice, rates, at_best).max(axis=0))

    def _swept(
        self,
        net: Net,
        choice: Choice,
        rates: Floats,
        at_best: Mapping[Role, Bools] | None = None,
    ) -> Floats:
        """Return bounds over whole ways, of shape (rates, engines)."""
        periods = periods_of(self._tables, choice, net.runs, at_best)
        across = rates[:, None]
        swept = sweep(net, periods, double_buffered=self._double, rate=across)
        bound = (np.asarray(swept.total) - self._hunt.cycles) / across
        return np.broadcast_to(bound, (rates.size, len(choice)))

    def promising(self) -> Iterator[Choice]:
        """Yield lane shapes that are to be tried first; then `shapes` has the others.

        Where bounds are exact but for depths of buffers, some of each count of pixels:
        what they cost excludes most of the next.
        """
        field = self._hunt.field
        bounds = lane_bounds(field, self._group, self._double)
        for shapes in bounds.each(self._hunt.cycles):
            ways = self._ways(self._allowed)
            if ways is None:
                return
            some = self._sieved(ways, shapes)
            some = some.take(self._fitting(some))
            if ways.sums is not None:
                some, _ = self.at_widths(self._within(ways, some)[0])
                yield some.take(np.arange(min(FIRST, len(some))))
                some = some.take(np.arange(min(FIRST, len(some)), len(some)))
            self._parts.append(some)

    def shapes(self) -> tuple[Choice, Floats]:
        """Return the lane shapes that bounds do not exclude, best first."""
        whole = joined(self._parts, self._group.roles)
        ways = self._ways(self._allowed)
        if ways is None:
            return whole.take(np.zeros(0, dtype=np.int64)), np.zeros(0)
        if ways.sums is not None:
            return self.at_widths(whole)
        whole, bound = self._within(ways, whole)
        if bound.size > MANY_LEFT:
            self._swept_rates = self._worth(ways.net, whole)
        if self._swept_rates.size:
            whole, bound = self._within(ways, self._sieved(ways, whole))
        order = np.argsort(bound, kind="stable")
        return whole.take(order), bound[order]

    def _sieved(self, ways: _Ways, shapes: Choice) -> Choice:
        """Return the lane shapes that no pair of their stages rules out."""

        def bound_of(some: Choice, at_best: Mapping[Role, Bools]) -> Floats:
            return self._bound(ways, some, at_best)

        limit = self._hunt.of_interest
        rows = sieved(self._tables, shapes, bound_of, limit)
        return shapes.take(rows)

    def _worth(self, net: Net, shapes: Choice) -> Floats:
        """Return the prices at which a sweep excludes many of some lane shapes.

        None, where it does not: it is not worth its time then.
        """
        places = np.linspace(0, len(shapes) - 1, SWEPT_SAMPLE).astype(np.int64)
        rates = (self._hunt.rate or 0.0) * SWEPT_SPREAD
        bound = self._swept(net, shapes.take(places), rates)
        excluded = bound > self._hunt.of_interest
        first = int(excluded.sum(axis=1).argmax())
        if excluded[first].mean() < WORTH:
            return np.zeros(0)
        second = int((excluded & ~excluded[first]).sum(axis=1).argmax())
        return np.unique(rates[[first, second]])

    def _fitting(self, choice: Choice) -> Bools:
        """Return the engines that may fit at some widths."""
        return may_fit(self._hunt.field, self._group.widths, self._double, choice)

    def _within(self, ways: _Ways, choice: Choice) -> tuple[Choice, Floats]:
        """Return the engines that may cost little enough, and their bounds."""
        bound = self._bound(ways, choice)
        fine = np.flatnonzero(bound <= self._hunt.of_interest)
        return choice.take(fine), bound[fine]

    def engines(self, shapes: Choice) -> Iterator[tuple[Choice, Ints]]:
        """Yield the engines of lane shapes within reach, the cheapest first.

        As `engines_by_price` does.
        """
        self._hunt.counts.priced += len(shapes)
        engines, reach = self.at_widths(self.deepened(shapes))
        for part in self.growing(reach):
            yield engines.take(part), np.zeros(part.size, dtype=np.int64)

    def growing(self, bound: Floats) -> Iterator[Ints]:
        """Yield places of rising bounds, more each time, while they are of interest."""
        begin, step = 0, FIRST
        while begin < bound.size and bound[begin] <= self._hunt.of_interest:
            rows = np.arange(begin, min(begin + step, bound.size))
            begin, step = begin + step, min(MOST, GROWTH * step)
            yield rows[bound[rows] <= self._hunt.of_interest]

    def deepened(self, shapes: Choice) -> Choice:
        """Return the engines of lane shapes, with depths of buffers, within reach."""
        ways = self._ways(self._allowed)
        if ways is None:
            return shapes.take(np.zeros(0, dtype=np.int64))
        for role in shapes.lanes:
            grid = self._tables.grids[role]
            shapes = members(grid, role, shapes)
            shapes, _ = self._within(ways, shapes.take(self._fitting(shapes)))
        return shapes

    def at_widths(self, engines: Choice) -> tuple[Choice, Floats]:
        """Return engines with bounds over the widths that may fit, best first."""
        field, roles = self._hunt.field, tuple(engines.lanes)
        spend = self._hunt.cost_of_interest
        every = [w for w in self._group.widths if w.floor <= spend]
        if not len(engines):
            return engines, np.zeros(0)
        bits = widest(field, every, self._double, engines)
        bound = np.full(len(engines), np.inf)
        kinds, kind = np.unique(bits, axis=0, return_inverse=True)
        for number, own in enumerate(kinds):
            if (own == UNFIT).any():
                continue
            most = dict(zip(roles, own.tolist(), strict=True))
            wide = np.array([most.get(role, ABSENT) for role in ROLES])
            allowed = self._allowed & (field.graph.bits <= wide).all(axis=1)
            ways = self._ways(allowed)
            if ways is not None:
                rows = np.flatnonzero(kind.reshape(-1) == number)
                bound[rows] = self._bound(ways, engines.take(rows))
        fine = np.flatnonzero(bound <= self._hunt.of_interest)
        order = fine[np.argsort(bound[fine], kind="stable")]
        return engines.take(order), bound[order]
