"""Lane shapes that bounds at the lightest runs do not exclude, at any widths."""

from hao.ir.partition import Role
from hao.program.bounded import Bounded, Shapes, best_first
from hao.program.engines import (
    priced,
)
from hao.program.field import Field, Group
from hao.program.hunt import NO_LIMIT, Hunt, bufferings
from hao.program.lanes import lane_bounds
from hao.program.rough import any_within
from hao.program.sieve import sieved, swept_bound

LOOSE = 1.5
"""Limit, relative to the least bound, above which a quick engine is sought first.

Source: chosen here; below it few lane shapes are left anyway.
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
    stages = {tuple(widths.needs) for widths in field.widths}
    groups = [field.joint(field.widths, roles, spend) for roles in stages]
    return any(
        any_within(field, group, double, cycles)
        for double in bufferings(field)
        for group in groups
        if group is not None
    )


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
    known = _known_shapes(field, roles, double, limit, spend)
    if known is not None:
        return known.within(limit)
    group = field.joint(field.widths, roles, spend)
    if group is None:
        return best_first([], roles)
    parts = []
    # Bounds that need no prices of runs come first: mostly, they exclude all or little.
    open_ = any_within(field, group, double, limit)
    quickest = swept_bound(field, double, group.light, 0.0)
    for some in lane_bounds(field, group, double).each(limit) if open_ else ():
        rows = sieved(field, double, some, quickest, limit)
        parts.append(priced(field, group, double, some.take(rows), limit))
    found = best_first(parts, roles)
    if found.bound.size <= MOST_SHAPES:
        kept = field.shapes if spend < NO_LIMIT else field.shapes_at_any_cost
        kept[roles, double] = Shapes(limit, spend, found)
    return found


def _known_shapes(
    field: Field, roles: tuple[Role, ...], double: bool, limit: int, spend: int
) -> Bounded | None:
    """Return lane shapes that hold all within some limits, if some are known."""
    for kept in (field.shapes, field.shapes_at_any_cost):
        known = kept.get((roles, double))
        if known is not None and limit <= known.limit and spend <= known.spend:
            return known.shapes
    return None


def is_loose(hunt: Hunt, group: Group, double: bool, limit: int) -> bool:
    """Return whether a limit is far above what engines take, and nothing is known."""
    field, spend = hunt.field, hunt.cost_of_interest
    if _known_shapes(field, group.roles, double, limit, spend) is not None:
        return False
    joint = field.joint(field.widths, group.roles, spend)
    assert joint is not None, "the group is part of it"
    return is_far_above(field, joint, double, limit)


def is_far_above(field: Field, joint: Group, double: bool, limit: int) -> bool:
    """Return whether a limit is far above what engines of the same stages take.

    Args:
        field: Where to search.
        joint: Combinations of widths of the same stages.
        double: Whether the engines double-buffer.
        limit: Cycles.
    """
    if not any_within(field, joint, double, limit):
        return False
    return limit > LOOSE * lane_bounds(field, joint, double).least
