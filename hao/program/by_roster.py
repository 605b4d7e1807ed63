"""The design of least cost among the engines of a roster (`hao.program.roster`).

Whole engines are bounded side by side, then those that are left at their widths; these
are closed from the best bound on. That is as exact as the search that it stands for.
Searches for the fastest or the smallest go by the same engines as by a list.
"""

import numpy as np
from numpy.typing import NDArray

from hao.program.closing import SPREAD, ClosingTask, Served, ways_of, widest_first
from hao.program.engines import expand, fitting
from hao.program.exact import Goal, dual_bound, guessed_rate
from hao.program.field import Field, Listed
from hao.program.gather import periods_of
from hao.program.graph import Widths
from hao.program.hunt import NO_LIMIT, Hunt, Least, bufferings
from hao.program.periods import RunPeriods
from hao.program.roster import Roster, Rosters
from hao.program.shapes import shapes_within
from hao.program.sweep import Net, make_net, sweep
from hao.program.tables import Choice, joined

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

MOST_ENGINES = 20_000
"""Engines up to which a roster is made (chosen here)."""

FASTEST = 32
"""Engines, the fastest, by which prices of accuracy are chosen (chosen here)."""

FINE = 4
"""Of these, those by which prices are chosen more finely (chosen here)."""

NEAR = np.array([0.85, 1.0, 1.18])
"""Prices tried on every engine at its widths, relative to the best (chosen here)."""

PAIRS = 24
"""Engines whose bounds at their widths are computed side by side (chosen here)."""


def rosters_of(hunt: Hunt) -> list[tuple[bool, Roster]] | None:
    """Return the rosters for a search, `None` where it is not to go by them.

    They are made, and kept, for searches of a problem that is asked again for its least
    cost, ties left as they come; other searches go by what was listed before them.
    """
    field = hunt.field
    if not field.asked_again or hunt.least is not Least.COST or not hunt.tolerance:
        return None
    found = []
    for double in bufferings(field):
        known = field.rosters.get(double)
        if known is None or not known.tells(hunt.cycles):
            made = _made(field, double, hunt.cycles)
            known = field.rosters[double] = Rosters(hunt.cycles, made)
        if known.rosters is None:
            return None
        found += [(double, roster) for roster in known.rosters]
    return found


def list_engines(hunt: Hunt) -> None:
    """List the engines of rosters as those that an earlier search went through.

    Nothing is listed where rosters were not made for as many cycles. Engines that are
    too slow at all widths that any of them fits at are left out.
    """
    field = hunt.field
    for double in bufferings(field):
        known = field.rosters.get(double)
        if known is None or known.rosters is None or not known.tells(hunt.cycles):
            continue
        of_stages = {tuple(r.choice.columns): r for r in known.rosters}
        for roles in dict.fromkeys(tuple(widths.needs) for widths in field.widths):
            choice = joined([], roles)
            least = np.zeros(0, dtype=np.int64)
            if roles in of_stages:
                choice, least = _in_time(hunt, of_stages[roles], double)
            listed = Listed(
                cycles=hunt.cycles,
                cost=hunt.cost,
                choice=choice,
                least=least,
                bound=np.full(least.size, -np.inf),
            )
            for widths in field.widths:
                if tuple(widths.needs) == roles:
                    field.listed[id(widths), double] = listed


def _in_time(hunt: Hunt, roster: Roster, double: bool) -> tuple[Choice, Ints]:
    """Return the engines that may keep a hunt's limits, and their least cycles."""
    graph = hunt.field.graph
    within = graph.within(roster.anywhere, hunt.cost)
    if not within.any():
        return roster.choice.take(np.zeros(0, dtype=np.int64)), roster.least[:0]
    net = make_net(graph, within)
    swept = sweep(net, roster.periods, double_buffered=double)
    hunt.counts.priced += roster.least.size
    least = np.broadcast_to(swept.total, roster.least.shape).astype(np.int64)
    rows = np.flatnonzero(least <= hunt.cycles)
    return roster.choice.take(rows), least[rows]


def _made(field: Field, double: bool, cycles: int) -> list[Roster] | None:
    """Return a roster for each set of stages, `None` where engines are too many."""
    rosters = []
    for roles in dict.fromkeys(tuple(widths.needs) for widths in field.widths):
        group = field.joint(field.widths, roles, NO_LIMIT)
        assert group is not None, "the stages are of some widths"
        shapes = shapes_within(field, roles, double, cycles, NO_LIMIT)
        parts, least, count = [], [np.zeros(0, dtype=np.int64)], 0
        for choice, took in expand(field, group, double, shapes.choice, cycles):
            parts.append(choice)
            least.append(took)
            count += took.size
            if count > MOST_ENGINES:
                return None
        engines = joined(parts, roles)
        if len(engines):
            made = _at_widths(
                field, group.widths, double, engines, np.concatenate(least)
            )
            rosters += [] if made is None else [made]
    return rosters


def _at_widths(
    field: Field, every: tuple[Widths, ...], double: bool, choice: Choice, least: Ints
) -> Roster | None:
    """Return engines with the widest widths that each fits at, `None` if none fits."""
    served = Served(field.graph, len(choice))
    pairs: list[tuple[Ints, Widths]] = []
    for widths in sorted(every, key=widest_first):
        rows = np.flatnonzero(~served.at(widths))
        if rows.size:
            rows = rows[fitting(field, widths, double, choice.take(rows))]
        if rows.size:
            served.add(widths, rows)
            pairs.append((rows, widths))
    if not pairs:
        return None
    kept, engine = np.unique(
        np.concatenate([rows for rows, _ in pairs]), return_inverse=True
    )
    counts = [rows.size for rows, _ in pairs]
    allowed = np.stack([widths.allowed for _, widths in pairs])
    runs = np.unique(field.graph.run[allowed.any(axis=0)]).tolist()
    return Roster(
        choice=choice.take(kept),
        least=least[kept],
        periods=periods_of(field.tables(double), choice.take(kept), runs),
        engine=engine.reshape(-1),
        widths=np.repeat(np.arange(len(pairs)), counts),
        allowed=allowed,
        names=tuple(id(widths.allowed) for _, widths in pairs),
    )


def search_roster(hunt: Hunt, roster: Roster, double: bool) -> None:
    """Look for the design of least cost among the engines of a roster."""
    found = _Search(hunt, roster, double)
    pairs = found.pairs()
    for start in range(0, pairs.size, PAIRS):
        if hunt.cost < found.floor or not found.close(pairs[start : start + PAIRS]):
            return


class _Search:
    """One search of a roster."""

    def __init__(self, hunt: Hunt, roster: Roster, double: bool) -> None:
        self._hunt, self._roster, self._double = hunt, roster, double
        graph, apart = hunt.field.graph, hunt.apart
        count = None if apart is None else apart.count
        within = graph.within(roster.anywhere, hunt.cost_of_interest)
        self._net = make_net(graph, within, count) if within.any() else None
        by_arcs = {id(widths.allowed): widths for widths in hunt.field.widths}
        self._own = [by_arcs[name] for name in roster.names]
        self._floors = np.array([w.floor for w in self._own])[roster.widths]
        self.floor = int(self._floors.min())
        self._rate = 0.0
        self._reach: Floats = np.zeros(0)

    def pairs(self) -> Ints:
        """Return engines with widths that bounds of whole engines leave, best first."""
        hunt, roster, net = self._hunt, self._roster, self._net
        open_ = np.flatnonzero(roster.least <= hunt.cycles)
        if net is None or not open_.size:
            return np.zeros(0, dtype=np.int64)
        quick = open_[np.argsort(roster.least[open_], kind="stable")[:FASTEST]]
        self._rate = self._sharpest(net, roster.some(quick))
        whole = np.full(len(roster.choice), np.inf)
        rates = np.array([self._rate])
        whole[open_] = self._bound(net, roster.some(open_), rates)[0]
        self._reach = np.maximum(whole[roster.engine], self._floors)
        order = np.argsort(self._reach, kind="stable")
        return order[self._reach[order] <= hunt.cost + 1e-3]

    def _sharpest(self, net: Net, periods: RunPeriods) -> float:
        """Return about the best price for the engine of the least bound of some."""
        rate = max(guessed_rate(net, periods, self._double), 1e-9)
        for spread in (SPREAD, SPREAD**0.25):
            bounds = self._bound(net, periods, rate * spread)
            best = bounds.max(axis=0)
            first = np.argsort(best, kind="stable")[:FINE]
            rate = float(rate * spread[bounds[:, first[0]].argmax()])
            periods = periods.take(first)
        return rate

    def _bound(
        self,
        net: Net,
        periods: RunPeriods,
        rates: Floats,
        barred: Bools | None = None,
    ) -> Floats:
        """Return bounds of the cost of engines at each rate, (rates, engines)."""
        swept = sweep(
            net,
            periods,
            double_buffered=self._double,
            rate=rates[:, None],
            barred=barred,
        )
        return dual_bound(
            np.asarray(swept.total, dtype=np.float64),
            rates[:, None],
            goal=Goal.COST,
            budget=self._hunt.cycles,
            spend=self._hunt.cost,
        )

    def close(self, pairs: Ints) -> bool:
        """Close engines at their widths, best bound first.

        Returns:
            Whether any of them was within the reach of the bounds.
        """
        hunt, roster, net = self._hunt, self._roster, self._net
        assert net is not None, "there are ways"
        pairs = pairs[self._reach[pairs] <= hunt.cost + 1e-3]
        if not pairs.size:
            return False
        engines = roster.engine[pairs]
        barred = ~roster.allowed[roster.widths[pairs]].T
        bounds = self._bound(net, roster.some(engines), self._rate * NEAR, barred)
        rates = self._rate * NEAR[bounds.argmax(axis=0)]
        bound = np.maximum(bounds.max(axis=0), self._floors[pairs])
        hunt.counts.bounded += pairs.size
        for place in np.argsort(bound, kind="stable"):
            if bound[place] > hunt.cost + 1e-3:
                break
            widths = self._own[roster.widths[pairs[place]]]
            one = engines[[place]]
            case = ClosingTask(hunt, ways_of(hunt, widths)[0], widths, self._double)
            periods = roster.some(one)
            case.settle_all(roster.choice.take(one), periods, rates[[place]])
        return True
