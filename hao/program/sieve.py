"""Lane shapes that bounds of pairs do not exclude.

`hao.program.lanes` bounds lane shapes stage by stage, so that what several runs of a
chain take on different stages does not add up. Here one stage at a time is left open,
at the best of its lane shapes for every run, and each pair of the other two is bounded
over all whole ways. Many engines share a pair, so this excludes most of them at a
fraction of what it takes to bound each by itself.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.engines import STEP
from hao.program.gather import periods_of
from hao.program.sweep import Net, sweep
from hao.program.tables import Choice, Priced

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FEW = 4_096
"""Engines up to which each is bounded by itself (chosen here)."""

SHARED = 2
"""Engines that a pair must stand for on average (chosen here)."""

Bound = Callable[[Choice, Mapping[Role, NDArray[np.bool_]]], Floats]
"""Bounds of engines, some stages at the best of some lane shapes (`periods_of`)."""


def swept_bound(tables: Priced, net: Net, double: bool, rate: float) -> Bound:
    """Return the bound that a sweep of all ways gives.

    Args:
        tables: Prices.
        net: What ways there are.
        double: Whether engines double-buffer.
        rate: Price of accuracy, which counts as cycles [cycles per micro-point].
    """

    def bound(choice: Choice, at_best: Mapping[Role, NDArray[np.bool_]]) -> Floats:
        periods = periods_of(tables, choice, net.runs, at_best)
        swept = sweep(net, periods, double_buffered=double, rate=rate)
        return np.broadcast_to(swept.total, (len(choice),)).astype(np.float64)

    return bound


def sieved(tables: Priced, choice: Choice, bound_of: Bound, limit: float) -> Ints:
    """Return the lane shapes that no pair of their stages rules out, best bounds first.

    Args:
        tables: Prices.
        choice: Lane shapes of all stages.
        bound_of: How engines with open stages are bounded.
        limit: Highest bound of interest.
    """
    rows = np.arange(len(choice))
    if len(choice.lanes) < len(Role) or rows.size <= FEW:
        return rows
    sizes = {role: tables.grids[role].lanes for role in choice.lanes}
    highest = np.full(rows.size, -np.inf)
    for role in sorted(sizes, key=lambda r: _pairs(choice, sizes, r)[0].size):
        some = choice.take(rows)
        first, pair = _pairs(some, sizes, role)
        if first.size * SHARED > rows.size:
            continue
        bound = _bounds(tables, some, first, role, bound_of)
        highest[rows] = np.maximum(highest[rows], bound[pair])
        rows = rows[(bound <= limit)[pair]]
        if rows.size <= FEW:
            break
    return rows[np.argsort(highest[rows], kind="stable")]


def _pairs(choice: Choice, sizes: Mapping[Role, int], role: Role) -> tuple[Ints, Ints]:
    """Return an engine of every pair of stages beside one, and each engine's pair."""
    key, space = choice.pixels, int(choice.pixels.max(initial=0)) + 1
    for other, lane in choice.lanes.items():
        if other is not role:
            key, space = key * sizes[other] + lane, space * sizes[other]
    engine = np.full(space, -1, dtype=np.int64)
    engine[key] = np.arange(key.size)
    there = engine >= 0
    return engine[there], (np.cumsum(there) - 1)[key]


def _bounds(
    tables: Priced, choice: Choice, first: Ints, role: Role, bound_of: Bound
) -> Floats:
    """Return the bounds of pairs with one stage at its best."""
    used = np.zeros((len(tables.pixels), tables.grids[role].lanes), dtype=np.bool_)
    used[choice.pixels, choice.lanes[role]] = True
    bound = np.empty(first.size)
    for start in range(0, first.size, STEP):
        some = choice.take(first[start : start + STEP])
        pairs = Choice(
            pixels=some.pixels,
            lanes={r: lane for r, lane in some.lanes.items() if r is not role},
            columns={},
        )
        bound[start : start + STEP] = bound_of(pairs, {role: used})
    return bound
