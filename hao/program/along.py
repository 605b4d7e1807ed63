"""The least accuracy cost within each of many budgets at once, as a front asks for.

Prices, periods and sweeps do not depend on the budget: what an engine takes at least,
cycles and priced cost, bounds its cost within every budget. So engines are gone through
once, at the largest budget and the highest cost, swept at a few prices of accuracy, and
kept for the budgets within which they may cost no more than the best design that is
known there. Each budget's engines are then closed as everywhere, and listed for the
searches that decide ties.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.bounded import Bounded
from hao.program.closing import Served, close, ways_of, widest_first
from hao.program.engines import UNFIT, expand, fitting, priced, widest
from hao.program.field import Field, Group, Listed
from hao.program.gather import periods_of
from hao.program.graph import Widths
from hao.program.hunt import Counts, Found, Hunt, Least, Progress, bufferings
from hao.program.periods import RunPeriods
from hao.program.reach import union_of
from hao.program.rough import any_within
from hao.program.shapes import any_in_budgets, is_far_above, shapes_within
from hao.program.sweep import Net, sweep
from hao.program.tables import Choice, joined

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

RATES = np.geomspace(0.25, 16.0, 9)
"""Prices of accuracy that are tried, relative to that of the whole front.

Source: chosen here; a front is steep where it is cheap, and flat where it is dear.
"""

SWEPT = 2_048
"""Engines that are swept at all prices side by side (chosen here)."""

TELLING = 32
"""Engines of these that tell which price is tried first (chosen here)."""

FIRST = 3
"""Lane shapes of each budget that are tried first (chosen here)."""

CLOSED_FIRST = 8
"""Engines of each budget that are closed first (chosen here)."""

MOST_ALONG = 50_000
"""Lane shapes of some widths above which budgets are asked one by one (chosen here)."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a front asks for between its ends.

    Attributes:
        cycles: The budgets, the largest first.
        spend: Cost that some design has within each of them [micro-points].
        rate: Price of accuracy of the whole front [cycles per micro-point].
    """

    cycles: Sequence[int]
    spend: int
    rate: float


@dataclass(frozen=True, slots=True)
class Within:
    """The design of least cost within a budget.

    Attributes:
        found: The design; of equal cost, any.
        listed: All engines that have one of no more cost, by widths and buffering.
    """

    found: Found
    listed: Mapping[tuple[int, bool], Listed]


def least_within(
    field: Field,
    budgets: Budgets,
    counts: Counts,
    progress: Progress = lambda _: None,
) -> list[Within] | None:
    """Return the design of least accuracy cost within each of some budgets.

    Args:
        field: Where to search.
        budgets: The budgets.
        counts: Added up to.
        progress: Told of each group of widths that is searched.

    Returns:
        `None` where engines are better gone through budget by budget: most are within
        the largest.
    """
    stages = dict.fromkeys(tuple(widths.needs) for widths in field.widths)
    for roles in stages:
        joint = field.joint(field.widths, roles, budgets.spend)
        if joint is None:
            continue
        for double in bufferings(field):
            if is_far_above(field, joint, double, budgets.cycles[0]):
                return None
    along = _Along(field, budgets, counts)
    groups = field.groups(field.widths, budgets.spend)
    for number, double in enumerate(bufferings(field)):
        # What one buffering finds mostly excludes the other before it is priced.
        open_ = {roles for roles in stages if not number or along.any(roles, double)}
        for group in groups:
            if group.roles not in open_:
                along.skip(group, double)
            elif not along.search(group, double):
                return None
            progress(f"front: {counts.priced} engines priced")
    return along.result()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """Engines of a group at one buffering that some budgets are left with.

    Attributes:
        widths: The group's.
        double: Whether the engines double-buffer.
        choice: The engines.
        least: Their cycles at the fewest bits.
        bound: Bounds of their cost within each budget, of shape (budgets, engines).
    """

    widths: tuple[Widths, ...]
    double: bool
    choice: Choice
    least: Ints
    bound: Floats

    @classmethod
    def none(cls, group: Group, double: bool, budgets: int) -> "_Kept":
        """Return no engines."""
        return cls(
            widths=group.widths,
            double=double,
            choice=joined([], group.roles),
            least=np.zeros(0, dtype=np.int64),
            bound=np.zeros((budgets, 0)),
        )

    def listed(self, place: int, cycles: int, cost: int) -> Listed:
        """Return the engines that may have a design within one of the budgets.

        Args:
            place: Of the budget.
            cycles: The budget.
            cost: Most accuracy cost of the design [micro-points].
        """
        bound = self.bound[place]
        rows = np.flatnonzero((self.least <= cycles) & (bound <= cost + 1e-3))
        return Listed(
            cycles=cycles,
            cost=cost,
            choice=self.choice.take(rows),
            least=self.least[rows],
            bound=bound[rows],
        )


class _Along:
    """One pass over all engines for many budgets."""

    def __init__(self, field: Field, budgets: Budgets, counts: Counts) -> None:
        self._field, self._spend = field, budgets.spend
        self._budgets = np.array(budgets.cycles, dtype=np.int64)
        self._rates = budgets.rate * RATES
        self._counts = counts
        most = budgets.cycles[0]
        # What nets hold serves all budgets: ways of any cost that is of interest.
        self._wide = Hunt(field=field, least=Least.COST, cycles=most, cost=self._spend)
        self._hunts = [
            Hunt(
                field=field,
                least=Least.COST,
                cycles=budget,
                cost=self._spend,
                counts=counts,
                nets=self._wide.nets,
            )
            for budget in budgets.cycles
        ]
        self._kept: list[_Kept] = []

    def any(self, roles: tuple[Role, ...], double: bool) -> bool:
        """Return whether engines of some stages may be better within some budget."""
        joint = self._field.joint(self._field.widths, roles, self._spend)
        costs = np.array([hunt.cost_of_interest for hunt in self._hunts])
        return joint is not None and any_in_budgets(
            self._field, joint, double, self._budgets, costs
        )

    def skip(self, group: Group, double: bool) -> None:
        """Note that no engine of a group at one buffering is of interest."""
        self._kept.append(_Kept.none(group, double, self._budgets.size))

    def search(self, group: Group, double: bool) -> bool:
        """Search the engines of one group at one buffering.

        Returns:
            Whether these were few enough; if not, nothing is known.
        """
        field, limit = self._field, int(self._budgets[0])
        if not any_within(field, group, double, limit):
            self.skip(group, double)
            return True
        shapes = shapes_within(field, group.roles, double, limit, self._spend)
        if shapes.bound.size > MOST_ALONG:
            return False
        found = priced(field, group, double, shapes.choice, limit)
        bound = self._reach(group, double, found)
        first = np.unique(np.argsort(bound, axis=1, kind="stable")[:, :FIRST])
        first = first[self._open(bound, found.bound)[:, first].any(axis=0)]
        tried = self._engines(group, double, found.choice.take(first))
        best = np.argsort(tried.bound, axis=1, kind="stable")[:, :CLOSED_FIRST]
        self._close(tried, np.unique(best))
        rows = np.flatnonzero(self._open(bound, found.bound).any(axis=0))
        self._counts.priced += rows.size
        kept = self._engines(group, double, found.choice.take(rows))
        self._close(kept, np.arange(kept.least.size))
        self._kept.append(kept)
        return True

    def _engines(self, group: Group, double: bool, shapes: Choice) -> _Kept:
        """Return the engines of some lane shapes that some budgets are left with."""
        parts, least = [], [np.zeros(0, dtype=np.int64)]
        bounds = [np.zeros((self._budgets.size, 0))]
        limit = int(self._budgets[0])
        for choice, cycles in expand(self._field, group, double, shapes, limit):
            bound = self._reach(group, double, Bounded(choice, cycles))
            rows = np.flatnonzero(self._open(bound, cycles).any(axis=0))
            parts.append(choice.take(rows))
            least.append(cycles[rows])
            bounds.append(bound[:, rows])
        return _Kept(
            widths=group.widths,
            double=double,
            choice=joined(parts, group.roles),
            least=np.concatenate(least),
            bound=np.concatenate(bounds, axis=1),
        )

    def _open(self, bound: Floats, cycles: Ints) -> Bools:
        """Return which engines may be of interest within each budget."""
        limits = np.array([hunt.of_interest for hunt in self._hunts])
        result: Bools = bound <= limits[:, None]
        return result & (cycles <= self._budgets[:, None])

    def _reach(self, group: Group, double: bool, engines: Bounded) -> Floats:
        """Return bounds of the cost of engines within each budget, (budgets, engines).

        They hold for all widths at which the engines may fit; infinite where there are
        none. Depths of buffers may be relaxed.
        """
        choice = engines.choice
        result = np.full((self._budgets.size, len(choice)), np.inf)
        if not len(choice):
            return result
        bits = widest(self._field, group.widths, double, choice)
        code = (bits * 16 ** np.arange(bits.shape[1])).sum(axis=1)
        every, first = np.unique(code, return_index=True)
        for own, place in zip(every, first, strict=True):
            if (bits[place] == UNFIT).any():
                continue
            own_bits = dict(zip(choice.lanes, map(int, bits[place]), strict=True))
            rows = np.flatnonzero(code == own)
            result[:, rows] = _least_cost(group, own_bits)
            rows = rows[self._open(result[:, rows], engines.bound[rows]).any(axis=0)]
            if rows.size:
                net = union_of(self._wide, group, own_bits).net
                some = Bounded(choice.take(rows), engines.bound[rows])
                result[:, rows] = self._bounds(net, double, some)
        return result

    def _bounds(self, net: Net, double: bool, engines: Bounded) -> Floats:
        """Return bounds of the cost of engines within each budget.

        Those that a price excludes are not bounded at others.
        """
        tables, choice = self._field.tables(double), engines.choice
        bound = np.full((self._budgets.size, len(choice)), -np.inf)
        for start in range(0, len(choice), SWEPT):
            rows = np.arange(start, min(start + SWEPT, len(choice)))
            periods = periods_of(tables, choice.take(rows), net.runs)
            for rates in self._prices(net, double, periods, engines.bound[rows]):
                left = self._open(bound[:, rows], engines.bound[rows]).any(axis=0)
                rows, periods = rows[left], periods.take(np.flatnonzero(left))
                if not rows.size:
                    break
                priced = _bounds_at(net, periods, double, rates, self._budgets)
                bound[:, rows] = np.maximum(bound[:, rows], priced.max(axis=0))
        return bound

    def _prices(
        self, net: Net, double: bool, periods: RunPeriods, cycles: Ints
    ) -> list[Floats]:
        """Return the prices of accuracy, those first that exclude most of a sample."""
        if cycles.size < 2 * TELLING:
            return [self._rates]
        places = np.linspace(0, cycles.size - 1, TELLING).astype(np.int64)
        some = periods.take(places)
        bound = _bounds_at(net, some, double, self._rates, self._budgets)
        out = [~self._open(own, cycles[places]).any(axis=0) for own in bound]
        first = int(np.argmax([each.sum() for each in out]))
        if not out[first].any():
            return [self._rates]
        return [self._rates[[first]], np.delete(self._rates, first)]

    def _close(self, kept: _Kept, rows: Ints) -> None:
        """Look for better designs among some engines, within each budget."""
        choice = kept.choice.take(rows)
        served = Served(self._field.graph, rows.size)
        for widths in sorted(kept.widths, key=widest_first):
            open_ = self._open(kept.bound[:, rows], kept.least[rows]).any(axis=0)
            some = np.flatnonzero(open_ & ~served.at(widths))
            if some.size:
                engines = choice.take(some)
                some = some[fitting(self._field, widths, kept.double, engines)]
            if some.size:
                served.add(widths, some)
                least = kept.least[rows[some]]
                self._close_at(widths, kept.double, choice.take(some), least)

    def _close_at(
        self, widths: Widths, double: bool, choice: Choice, least: Ints
    ) -> None:
        """Look for better designs among engines of given widths, and least cycles."""
        net, _ = ways_of(self._wide, widths)
        bounds = self._bounds(net, double, Bounded(choice, least))
        for place, hunt in enumerate(self._hunts):
            if widths.floor > hunt.cost:
                continue
            open_ = (bounds[place] <= hunt.cost + 1e-3) & (least <= hunt.cycles)
            some = np.flatnonzero(open_)
            if some.size:
                some = some[np.argsort(bounds[place, some], kind="stable")]
                known = hunt.best
                close(hunt, widths, double, choice.take(some), least[some])
                if hunt.best is not None and hunt.best is not known:
                    self._share(hunt.best)

    def _share(self, found: Found) -> None:
        """Let all budgets know of a design."""
        for hunt in self._hunts:
            if found.way.cycles <= hunt.cycles and found.way.cost <= hunt.cost:
                hunt.take(found)

    def result(self) -> list[Within]:
        """Return the design of least cost within each budget."""
        result = []
        for place, hunt in enumerate(self._hunts):
            assert hunt.best is not None, "some design costs no more"
            listed: dict[tuple[int, bool], Listed] = {}
            for kept in self._kept:
                own = kept.listed(place, hunt.cycles, hunt.best.way.cost)
                for widths in kept.widths:
                    listed[id(widths), kept.double] = own
            result.append(Within(hunt.best, listed))
        return result


def _least_cost(group: Group, bits: Mapping[Role, int]) -> int:
    """Return the least cost of ways at no more than some bits, for no price at all."""
    return min(
        widths.floor
        for widths in group.widths
        if all(widths.bits[role] <= most for role, most in bits.items())
    )


def _bounds_at(
    net: Net, periods: RunPeriods, double: bool, rates: Floats, budgets: Ints
) -> Floats:
    """Return bounds of cost at prices of accuracy, (prices, budgets, engines).

    Where nothing depends on the engine, there is one for all of them.
    """
    across = rates[:, None]
    swept = sweep(net, periods, double_buffered=double, rate=across)
    total = np.asarray(swept.total, dtype=np.float64)
    return np.asarray((total[:, None] - budgets[:, None]) / across[:, None])
