"""Lane shapes that bounds at the lightest runs do not exclude, at any widths."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.bounded import Bounded, Shapes, best_first
from hao.program.engines import UNFIT, may_fit, priced, widest
from hao.program.field import Field, Group
from hao.program.graph import ABSENT, ROLES, Graph
from hao.program.hunt import NO_LIMIT, bufferings
from hao.program.lanes import lane_bounds
from hao.program.partly import PartlyPriced, in_budget, in_time
from hao.program.rough import (
    EACH,
    any_by_stage,
    any_within,
    left_within,
    rough_tables,
)
from hao.program.sieve import sieved, swept_bound
from hao.program.sweep import make_net
from hao.program.tables import Choice, joined

Ints = NDArray[np.int64]

LOOSE = 1.5
"""Limit, relative to the least bound, above which a quick engine is sought first.

Source: chosen here; below it few lane shapes are left anyway.
"""

FAR_ABOVE = 4.0
"""Limit, relative to the least bound, above which engines are bounded by their cost.

Source: chosen here. At 2.3 to 2.5 (three networks with bits of 4, 6 and 8) the search
by cycles is faster, by 1.4 to more than 10 times.
"""

VARIED_PLACES = 4.0
"""Shapes of runs at a place from which sweeps take so long that `LOOSE` is far above.

Source: chosen here. With bits of 4, 6 and 8 networks have 1.0 to 2.9, with options of
all kinds (digits, MobileNetV2) 7.3 and 8.6.
"""

MOST_SHAPES = 500_000
"""Most lane shapes that are kept for other widths and searches (chosen here)."""


def may_run_within(field: Field, cycles: int, spend: int) -> bool:
    """Return whether lane shapes, by rough bounds, may run a frame in some cycles.

    Args:
        field: Where to search.
        cycles: Most cycles.
        spend: Most accuracy cost [micro-points].
    """
    return any(
        any_within(field, group, double, cycles)
        for double, group in _all_widths(field, spend)
    )


def may_run_by_stage(field: Field, cycles: int, spend: int) -> bool:
    """Return what `may_run_within` does by bounds of stages alone, in less time."""
    return any(
        any_by_stage(field, group, double, cycles)
        for double, group in _all_widths(field, spend)
    )


def _all_widths(field: Field, spend: int) -> Iterator[tuple[bool, Group]]:
    stages = {tuple(widths.needs) for widths in field.widths}
    groups = [field.joint(field.widths, roles, spend) for roles in stages]
    for double in bufferings(field):
        yield from ((double, group) for group in groups if group is not None)


def shapes_of(
    field: Field, group: Group, double: bool, limit: int, spend: int = NO_LIMIT
) -> Bounded:
    """Return the lane shapes that bounds at a group's lightest runs do not exclude.

    Args:
        field: Where to search.
        group: Combinations of widths.
        double: Whether the engines double-buffer.
        limit: Most cycles.
        spend: Most accuracy cost [micro-points], by which few are excluded too.

    Returns:
        Lane shapes with the least cycles of any engine of each, best first.
    """
    parts, tables = [], field.tables(double)
    quickest = swept_bound(tables, group.light, double, 0.0)
    for some in rough_shapes(field, group, double, limit, spend):
        rows = sieved(tables, some, quickest, limit)
        parts.append(priced(field, group, double, some.take(rows), limit))
    return best_first(parts, group.roles)


def _in_budget(
    field: Field,
    group: Group,
    double: bool,
    some: Choice,
    limits: tuple[int | Ints, int | Ints],
) -> Choice:
    """Return the lane shapes of a group that may keep limits on cycles and cost."""
    cycles, cost = limits
    graph, roles = field.graph, tuple(some.lanes)
    tables = _partly_priced(field, double)
    allowed = np.logical_or.reduce([widths.allowed for widths in group.widths])
    bits = widest(field, group.widths, double, some)
    parts = []
    for own in np.unique(bits, axis=0):
        most = dict(zip(roles, own.tolist(), strict=True))
        wide = np.array([most.get(role, ABSENT) for role in ROLES])
        own_ways = allowed & (graph.bits <= wide).all(axis=1)
        within = graph.within(own_ways, int(np.max(cost)))
        if UNFIT not in own and within.any():
            here = some.take((bits == own).all(axis=1))
            net = make_net(graph, within)
            parts.append(in_budget(tables, net, here, cycles=cycles, cost=cost))
    return joined(parts, roles)


def any_in_budgets(
    field: Field, group: Group, double: bool, cycles: Ints, cost: Ints
) -> bool:
    """Return whether lane shapes of a group may keep one of some pairs of limits.

    Args:
        field: Where to search.
        group: Combinations of widths.
        double: Whether the engines double-buffer.
        cycles: Most cycles of each pair.
        cost: Most accuracy cost of each [micro-points].

    Returns:
        If not, no engine does.
    """
    left = left_within(field, group, double, int(cycles.max()))
    if left is None or len(left) > EACH:
        return True
    left = left.take(may_fit(field, group.widths, double, left))
    return len(_in_budget(field, group, double, left, (cycles, cost))) > 0


def _partly_priced(field: Field, double: bool) -> PartlyPriced:
    """Return the tables at one buffering, no exact prices taken: made once."""
    key = "partly priced", double
    made = field.bounds.get(key)
    if not isinstance(made, PartlyPriced):
        rough = rough_tables(field, double)
        made = PartlyPriced(exact=field.tables(double), rough=rough)
        field.bounds[key] = made
    return made


def rough_shapes(
    field: Field, group: Group, double: bool, limit: int, spend: int = NO_LIMIT
) -> Iterator[Choice]:
    """Yield the lane shapes that bounds with prices of few runs do not exclude.

    Mostly, these bounds exclude all or little.

    Args:
        field: Where to search.
        group: Combinations of widths.
        double: Whether the engines double-buffer.
        limit: Most cycles.
        spend: Most accuracy cost [micro-points].
    """
    left = left_within(field, group, double, limit)
    if left is None:
        yield from lane_bounds(field, group, double).each(limit)
    elif len(left):
        left = left.take(may_fit(field, group.widths, double, left))
        if len(left) <= EACH:
            left = in_time(_partly_priced(field, double), group.light, left, limit)
            if len(left) and spend < NO_LIMIT:
                left = _in_budget(field, group, double, left, (limit, spend))
        yield left


def shapes_within(
    field: Field, roles: tuple[Role, ...], double: bool, limit: int, spend: int
) -> Bounded:
    """Return the lane shapes that bounds at the lightest runs do not exclude.

    Args:
        field: Where to search.
        roles: Stages that are built.
        double: Whether the engines double-buffer.
        limit: Most cycles.
        spend: Most accuracy cost [micro-points].

    Returns:
        Lane shapes with the least cycles of any engine of each, at any widths and
        depths of buffers; best first. They are kept with the field.
    """
    known = known_shapes(field, roles, double, limit, spend)
    if known is not None:
        return known.within(limit)
    group = field.joint(field.widths, roles, spend)
    if group is None:
        return best_first([], roles)
    found = shapes_of(field, group, double, limit, spend)
    if found.bound.size <= MOST_SHAPES:
        kept = field.shapes if spend < NO_LIMIT else field.shapes_at_any_cost
        kept[roles, double] = Shapes(limit, spend, found)
    return found


def known_shapes(
    field: Field, roles: tuple[Role, ...], double: bool, limit: int, spend: int
) -> Bounded | None:
    """Return lane shapes that hold all within some limits, if some are known."""
    for kept in (field.shapes, field.shapes_at_any_cost):
        known = kept.get((roles, double))
        if known is not None and limit <= known.limit and spend <= known.spend:
            return known.shapes
    return None


def is_loose(field: Field, group: Group, double: bool, limit: int) -> bool:
    """Return whether a limit is above what engines take, as far as a quick one helps.

    Args:
        field: Where to search.
        group: Combinations of widths of the same stages.
        double: Whether the engines double-buffer.
        limit: Cycles.
    """
    return _is_above(field, group, double, limit, LOOSE)


def far_above(graph: Graph) -> float:
    """Return from how many times the least bound engines are bounded by their cost."""
    return LOOSE if graph.shapes_at_places > VARIED_PLACES else FAR_ABOVE


def is_far_above(field: Field, group: Group, double: bool, limit: int) -> bool:
    """Return whether a limit is so far above what engines take that few are too slow.

    Args:
        field: Where to search.
        group: Combinations of widths of the same stages.
        double: Whether the engines double-buffer.
        limit: Cycles.
    """
    return _is_above(field, group, double, limit, far_above(field.graph))


def _is_above(
    field: Field, group: Group, double: bool, limit: int, factor: float
) -> bool:
    # Rough bounds, which cost little, are no more than those of lane shapes.
    if not any_within(field, group, double, int(limit / factor)):
        return False
    return limit > factor * lane_bounds(field, group, double).least


def lane_blocks(measured: Mapping[Role, Ints], choice: Choice) -> Ints:
    """Return the least blocks of lane shapes: every stage by itself.

    Args:
        measured: Per stage, the least blocks, of shape (pixels, lanes).
        choice: Lane shapes.
    """
    total = np.zeros(len(choice), dtype=np.int64)
    for role, lane in choice.lanes.items():
        total += measured[role][choice.pixels, lane]
    return total
