"""The least cost where most engines are fast enough: bounds with a price on accuracy.

Where options make runs much faster, as blocks that are left out do, engines at their
lightest runs exclude next to nothing, and each is worth a look only for what it costs.
Bounds that add up run by run (`hao.program.additive`), with a price on accuracy, are
cheap enough for all lane shapes of all widths at once. Depths of buffers and widths
follow, best first, and what is left is closed as everywhere.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.additive import Additive, additive
from hao.program.closing import try_engines
from hao.program.engines import UNFIT, expand, may_fit, members, widest
from hao.program.field import Group
from hao.program.graph import ABSENT, ROLES
from hao.program.hunt import Hunt
from hao.program.lanes import lane_bounds
from hao.program.quick import first_limit
from hao.program.reach import reach_of
from hao.program.sieve import sieved
from hao.program.sweep import make_net
from hao.program.tables import Choice

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

SPREAD = (0.7, 1.0, 1.4)
"""Prices of accuracy tried on every engine, relative to one known (chosen here)."""

FIRST, GROWTH, MOST = 16, 4, 1_024
"""Lane shapes whose engines are listed before the best is asked again (chosen here)."""

NEAREST = 6
"""Lane shapes of these that are tried (chosen here)."""


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


def try_some(hunt: Hunt, group: Group, double: bool, some: Choice) -> bool:
    """Look for better designs on the best of some lane shapes.

    Returns:
        Whether there was one.
    """
    known = hunt.best
    reach = reach_of(hunt, group, double, some)
    order = np.argsort(reach, kind="stable")[:NEAREST]
    order = order[reach[order] <= hunt.of_interest]
    for choice, cycles in expand(
        hunt.field, group, double, some.take(order), hunt.cycles
    ):
        try_engines(hunt, group.widths, double, choice, cycles)
    return hunt.best is not known


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
    priced = _Priced(hunt, group, double)
    shapes, bound = priced.shapes()
    begin, step = 0, FIRST
    while begin < bound.size and bound[begin] <= hunt.of_interest:
        rows = np.arange(begin, min(begin + step, bound.size))
        begin, step = begin + step, min(MOST, GROWTH * step)
        rows = rows[bound[rows] <= hunt.of_interest]
        hunt.counts.priced += rows.size
        engines, reach = priced.at_widths(priced.deepened(shapes.take(rows)))
        first, some = 0, FIRST
        while first < reach.size and reach[first] <= hunt.of_interest:
            part = np.arange(first, min(first + some, reach.size))
            first, some = first + some, min(MOST, GROWTH * some)
            part = part[reach[part] <= hunt.of_interest]
            yield engines.take(part), np.zeros(part.size, dtype=np.int64)


class _Priced:
    """Engines of some widths under additive bounds."""

    def __init__(self, hunt: Hunt, group: Group, double: bool) -> None:
        assert hunt.rate, "a price of accuracy is known"
        self._hunt, self._group, self._double = hunt, group, double
        self._rates = [hunt.rate * spread for spread in SPREAD]
        self._tables = hunt.field.tables(double)
        self._allowed: Bools = np.logical_or.reduce([w.allowed for w in group.widths])

    def _additive(self, allowed: Bools) -> Additive | None:
        """Return the ways over some arcs that cost little enough, if there are any."""
        graph = self._hunt.field.graph
        within = graph.within(allowed, self._hunt.cost_of_interest)
        return additive(make_net(graph, within), self._tables) if within.any() else None

    def _bound(
        self,
        ways: Additive,
        choice: Choice,
        at_best: Mapping[Role, Bools] | None = None,
    ) -> Floats:
        budget = self._hunt.cycles
        return ways.bound(choice, at_best, rates=self._rates, budget=budget)

    def shapes(self) -> tuple[Choice, Floats]:
        """Return the lane shapes that bounds do not exclude, best first."""
        hunt, field = self._hunt, self._hunt.field
        ways = self._additive(self._allowed)
        parts: list[Choice] = []
        bounds = [np.zeros(0)]
        every = lane_bounds(field, self._group, self._double).each(hunt.cycles)
        for shapes in every if ways is not None else ():
            assert ways is not None, "else there are no shapes"

            def bound_of(
                some: Choice,
                at_best: Mapping[Role, Bools],
                ways: Additive = ways,
            ) -> Floats:
                return self._bound(ways, some, at_best)

            rows = sieved(field, self._double, shapes, bound_of, hunt.of_interest)
            some = shapes.take(rows)
            some, bound = self._within(ways, some)
            parts.append(some)
            bounds.append(bound)
        return _sorted(parts, self._group.roles, np.concatenate(bounds))

    def _within(self, ways: Additive, choice: Choice) -> tuple[Choice, Floats]:
        """Return the engines that may fit and cost little enough, and their bounds."""
        field, widths = self._hunt.field, self._group.widths
        choice = choice.take(may_fit(field, widths, self._double, choice))
        bound = self._bound(ways, choice)
        fine = np.flatnonzero(bound <= self._hunt.of_interest)
        return choice.take(fine), bound[fine]

    def deepened(self, shapes: Choice) -> Choice:
        """Return the engines of lane shapes, with depths of buffers, within reach."""
        ways = self._additive(self._allowed)
        if ways is None:
            return shapes.take(np.zeros(0, dtype=np.int64))
        for role in shapes.lanes:
            grid = self._tables.grids[role]
            shapes = members(grid, role, shapes)
            shapes, _ = self._within(ways, shapes)
        return shapes

    def at_widths(self, engines: Choice) -> tuple[Choice, Floats]:
        """Return engines with bounds over the widths that may fit, best first."""
        field, roles = self._hunt.field, tuple(engines.lanes)
        every = [w for w in self._group.widths if w.floor <= self._hunt.cost]
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
            ways = self._additive(allowed)
            if ways is not None:
                rows = np.flatnonzero(kind.reshape(-1) == number)
                bound[rows] = self._bound(ways, engines.take(rows))
        fine = np.flatnonzero(bound <= self._hunt.of_interest)
        order = fine[np.argsort(bound[fine], kind="stable")]
        return engines.take(order), bound[order]


def _sorted(
    parts: Sequence[Choice], roles: Sequence[Role], bound: Floats
) -> tuple[Choice, Floats]:
    """Return lane shapes of some parts as one, those with the lowest bounds first."""
    none = np.zeros(0, dtype=np.int64)
    whole = Choice(
        pixels=np.concatenate([none, *(part.pixels for part in parts)]),
        lanes={
            role: np.concatenate([none, *(part.lanes[role] for part in parts)])
            for role in roles
        },
        columns={},
    )
    order = np.argsort(bound, kind="stable")
    return whole.take(order), bound[order]
