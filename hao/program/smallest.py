"""The engine of the fewest blocks that is fast enough, among those of some widths."""

import numpy as np

from hao.program.closing import try_engines
from hao.program.engines import STEP, expand, may_fit
from hao.program.field import Group
from hao.program.hunt import Hunt
from hao.program.rough import any_within
from hao.program.shapes import known_shapes, lane_blocks, rough_shapes
from hao.program.sieve import sieved, swept_bound
from hao.program.tables import joined


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
        shapes = known.within(limit).choice
    else:
        parts = list(rough_shapes(field, group, double, limit))
        shapes = joined(parts, group.roles)
    blocks = lane_blocks(field, group, double, hunt.measure, shapes)
    order = np.argsort(blocks, kind="stable")
    tables = field.tables(double)
    quickest = swept_bound(tables, group.light, double, 0.0)
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
        for engines in expand(field, group, double, some, limit):
            try_engines(hunt, group.widths, double, *engines)
