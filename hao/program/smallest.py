"""The engine of the fewest blocks that is fast enough, among those of some widths."""

from collections.abc import Iterator
from functools import partial

import numpy as np

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
    known = known_shapes(field, group.roles, double, limit, hunt.cost_of_interest)
    if known is not None:
        _try_in_order(hunt, group, double, known.within(limit).choice)
    elif left_within(field, group, double, limit) is not None:
        few = list(rough_shapes(field, group, double, limit))
        _try_in_order(hunt, group, double, joined(few, group.roles))
    else:
        for some in _smaller_first(hunt, group, double):
            _try_in_order(hunt, group, double, some)


def _smaller_first(hunt: Hunt, group: Group, double: bool) -> Iterator[Choice]:
    """Yield the lane shapes that may be in time, those of few blocks first.

    Each round lists those between two sizes, so that what is larger than the design
    found is never listed.
    """
    field = hunt.field
    bounds = lane_bounds(field, group, double)
    blocks = {
        role: field.lane_measure(group, role, double, hunt.measure)
        for role in group.roles
    }
    least = sum(own.min(axis=1) for own in blocks.values())
    largest = sum(
        own.max(axis=1, where=own < FAR, initial=0) for own in blocks.values()
    )
    above, most = -1, int(np.min(least))
    while above < min(hunt.blocks, int(np.max(largest))):
        most = min(max(most + 1, int(most * GROWTH)), hunt.blocks)
        sizes = Sizes(blocks=blocks, above=above, most=most)
        yield joined(list(bounds.each(hunt.cycles, sizes)), group.roles)
        above = most


def _try_in_order(hunt: Hunt, group: Group, double: bool, shapes: Choice) -> None:
    """Try the engines of some lane shapes in the order of their least blocks."""
    field, limit = hunt.field, hunt.cycles
    blocks = lane_blocks(field, group, double, hunt.measure, shapes)
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
