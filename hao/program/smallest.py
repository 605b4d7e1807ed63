"""The engine of the fewest blocks that is fast enough, among those of some widths."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.closing import try_engines
from hao.program.engines import STEP, expand, may_fit
from hao.program.field import Group
from hao.program.graph import FAR
from hao.program.hunt import Hunt
from hao.program.lanes import lane_bounds
from hao.program.reach import within_reach
from hao.program.rough import any_within, left_within
from hao.program.shapes import known_shapes, lane_blocks, rough_shapes
from hao.program.sieve import sieved, swept_bound
from hao.program.tables import Choice, joined
from hao.program.triples import Sizes

Ints = NDArray[np.int64]

GROWTH = 1.3
"""How much larger the lane shapes of each round are than those of the one before.

Source: chosen here; their number about doubles.
"""


def search_smallest(hunt: Hunt, group: Group, double: bool) -> None:
    """Search the engines of one group for the least blocks, those of few first.

    Where slow engines are fast enough most are: only those that may be small enough
    are priced.

    Args:
        hunt: What is sought.
        group: Combinations of widths of the same stages.
        double: Whether the engines double-buffer.
    """
    field, limit = hunt.field, hunt.cycles
    if not any_within(field, group, double, limit):
        return
    measured = {
        role: field.lane_measure(group, role, double, hunt.measure)
        for role in group.roles
    }
    for shapes in _in_time(hunt, group, double, measured):
        _try_in_order(hunt, group, double, shapes, lane_blocks(measured, shapes))


def _in_time(
    hunt: Hunt, group: Group, double: bool, measured: Mapping[Role, Ints]
) -> Iterator[Choice]:
    """Yield the lane shapes that may be in time; where they are many, small ones first.

    Each round then lists those between two sizes, so that what is larger than the
    design found is never listed.
    """
    field, limit = hunt.field, hunt.cycles
    known = known_shapes(field, group.roles, double, limit, hunt.cost_of_interest)
    if known is not None:
        yield known.within(limit).choice
        return
    if left_within(field, group, double, limit) is not None:
        yield joined(list(rough_shapes(field, group, double, limit)), group.roles)
        return
    bounds = lane_bounds(field, group, double)
    least = sum(own.min(axis=1) for own in measured.values())
    largest = sum(
        own.max(axis=1, where=own < FAR, initial=0) for own in measured.values()
    )
    above, most = -1, int(np.min(least))
    while above < min(hunt.blocks, int(np.max(largest))):
        most = min(max(most + 1, int(most * GROWTH)), hunt.blocks)
        sizes = Sizes(blocks=measured, above=above, most=most)
        yield joined(list(bounds.each(limit, sizes)), group.roles)
        above = most


def _try_in_order(
    hunt: Hunt, group: Group, double: bool, shapes: Choice, blocks: Ints
) -> None:
    """Try the engines of some lane shapes in the order of their least blocks."""
    field, limit = hunt.field, hunt.cycles
    order = np.argsort(blocks, kind="stable")
    tables = field.tables(double)
    quickest = swept_bound(tables, group.light, double, 0.0)
    near = partial(within_reach, hunt, group, double)
    start, step = 0, 512
    while start < order.size:
        rows = order[start : start + step]
        start, step = start + step, min(STEP, 4 * step)
        rows = rows[blocks[rows] <= hunt.blocks]
        if not rows.size:
            break
        hunt.counts.priced += rows.size
        some = shapes.take(rows)
        some = some.take(np.flatnonzero(may_fit(field, group.widths, double, some)))
        some = some.take(sieved(tables, some, quickest, limit))
        for engines in expand(field, group, double, some, limit, near=near):
            try_engines(hunt, group.widths, double, *engines)
