"""Whether any lane shapes may be in time, by bounds that need no prices of runs.

Pricing every run on every configuration is most of what it takes to refuse a network.
Here runs take at least what `hao.program.rough_tables` says, and lanes of dense and
pointwise stages the LUTs and DSPs of their multipliers alone, without buffers. Lane
shapes are bounded stage by stage; where these bounds leave many, pairs of stages over
all whole ways, then each by itself. So what is excluded is in no design in time.
"""

import numpy as np
from numpy.typing import NDArray

from hao.cost.bram import URAM_BITS, URAM_WORDS
from hao.cost.catalogue import column_area
from hao.ir.partition import Role
from hao.program.engines import areas_fit, may_fit
from hao.program.field import Field, Group, LaneArea
from hao.program.fit import DSP_PRICES, priced_luts
from hao.program.gather import periods_of
from hao.program.graph import Widths
from hao.program.lanes import LaneBounds, bounds_key
from hao.program.products import BoardKey, bare_lanes, lane_pairs
from hao.program.rough_tables import RoughTables
from hao.program.sieve import FEW, sieved, swept_bound
from hao.program.space import Grid, depthwise_grid
from hao.program.sweep import sweep
from hao.program.tables import Choice, Priced
from hao.program.triples import Prices

Ints = NDArray[np.int64]

HALF_BITS = 18 * 1024
"""Bits of a half of a block RAM. Source: UG573."""

FIRST_TRIED = 64
"""Lane shapes of which one may show at once that a limit is kept (chosen here)."""

MOST = 500_000
"""Lane shapes above which a limit is taken to be loose (chosen here)."""

SAMPLED, WORTH = 512, 8
"""Lane shapes that are tried to see whether bounds of pairs are worth it: where more
than one in so many keeps the limit, they are not (chosen here)."""

FAR_BELOW = 0.7
"""Share of a limit that lane shapes keep by rough bounds which likely keep the limit
(chosen here)."""

EACH = 16_384
"""Lane shapes up to which each is bounded by itself (chosen here)."""


def any_within(field: Field, group: Group, double: bool, limit: int) -> bool:
    """Return whether lane shapes of a group may run a frame in some cycles.

    Args:
        field: What is searched.
        group: Combinations of widths.
        double: Whether engines double-buffer.
        limit: Most cycles.

    Returns:
        If not, no engine does.
    """
    if _takes_less_than_work(field):
        return True
    if _left_of_more(field, group, double, limit) is None:
        bounds = _bounds(field, group, double)
        first, whole = bounds.some(limit, FEW)
        if not whole:
            # Where a limit is loose, some of the first that are listed keep it.
            tried = first.take(_spread(len(first), FIRST_TRIED))
            if (_cycles(bounds.prices.tables, group, double, tried) <= limit).any():
                return True
    left = left_within(field, group, double, limit)
    return left is None or len(left) > 0


def quickest(field: Field, group: Group, double: bool, limit: int, most: int) -> Choice:
    """Return lane shapes that rough bounds leave far below a limit, quickest first.

    Args:
        field: What is searched.
        group: Combinations of widths.
        double: Whether engines double-buffer.
        limit: Most cycles.
        most: How many are wanted.
    """
    bounds = _bounds(field, group, double)
    some, _ = bounds.some(int(FAR_BELOW * limit), EACH)
    some = some.take(may_fit(field, group.widths, double, some))
    cycles = _cycles(bounds.prices.tables, group, double, some)
    return some.take(np.argsort(cycles, kind="stable")[:most])


def left_within(field: Field, group: Group, double: bool, limit: int) -> Choice | None:
    """Return the lane shapes of a group that may run a frame in some cycles.

    Args:
        field: What is searched.
        group: Combinations of widths.
        double: Whether engines double-buffer.
        limit: Most cycles.

    Returns:
        All that do are among them; `None` where rough bounds exclude few.
    """
    key = "rough", *bounds_key(group, double), limit
    if key not in field.bounds:
        left = _left_of_more(field, group, double, limit)
        if left is None:
            left = _left_within(field, group, double, limit)
        else:
            prices = rough_prices(field, group, double)
            left = left.take(areas_fit(field, prices.areas, left))
            left = left.take(_cycles(prices.tables, group, double, left) <= limit)
        field.bounds[key] = left
        if left is not None and len(left) <= EACH:
            _listed(field, group, double).append((group, limit, left))
    found = field.bounds[key]
    return found if isinstance(found, Choice) else None


_Listed = list[tuple[Group, int, Choice]]
"""Groups with a limit and the few lane shapes that rough bounds leave within it."""


def _listed(field: Field, group: Group, double: bool) -> _Listed:
    """Return what is known of the stages of a group at one buffering."""
    key = "rough lists", group.roles, double
    found = field.bounds.setdefault(key, [])
    assert isinstance(found, list)
    return found


def _left_of_more(
    field: Field, group: Group, double: bool, limit: int
) -> Choice | None:
    """Return the few lane shapes left of a group of more ways, if one is known.

    What none of its widths and ways bring within a limit, none of fewer do.
    """
    own = {id(widths) for widths in group.widths}
    for other, most, left in _listed(field, group, double):
        within = limit <= most and group.spend <= other.spend
        if within and own <= {id(widths) for widths in other.widths}:
            return left
    return None


def any_by_stage(field: Field, group: Group, double: bool, limit: int) -> bool:
    """Return what `any_within` does by bounds of stages alone, in less time."""
    if _takes_less_than_work(field):
        return True
    return len(_bounds(field, group, double).some(limit, 0)[0]) > 0


def _takes_less_than_work(field: Field) -> bool:
    """Return whether runs, and tiles, may take less than rough bounds say."""
    return field.problem.board.calibration.step_cycles < 0


def _bounds(field: Field, group: Group, double: bool) -> LaneBounds:
    key = "rough bounds", *bounds_key(group, double)
    bounds = field.bounds.get(key)
    if not isinstance(bounds, LaneBounds):
        bounds = LaneBounds(field, group, double, rough_prices(field, group, double))
        field.bounds[key] = bounds
    return bounds


def _left_within(field: Field, group: Group, double: bool, limit: int) -> Choice | None:
    if _takes_less_than_work(field):
        return None
    bounds = _bounds(field, group, double)
    left, whole = bounds.some(limit, FEW)
    if not whole:
        if _is_loose(bounds, group, double, limit, left):
            return None
        # Without one of the stages there are no pairs beside it.
        most = MOST if len(group.roles) == len(Role) else EACH
        left, whole = bounds.some(limit, most)
        if not whole or _is_loose(bounds, group, double, limit, left):
            return None
        tables = bounds.prices.tables
        bound = swept_bound(tables, group.light, double, 0.0)
        left = left.take(sieved(tables, left, bound, limit))
    if len(left) <= EACH:
        tables = bounds.prices.tables
        left = left.take(_cycles(tables, group, double, left) <= limit)
    return left


def _is_loose(
    bounds: LaneBounds, group: Group, double: bool, limit: int, some: Choice
) -> bool:
    """Return whether so many of some lane shapes keep a limit that few are excluded."""
    tried = some.take(_spread(len(some), SAMPLED))
    cycles = _cycles(bounds.prices.tables, group, double, tried)
    kept = np.count_nonzero(cycles <= limit)
    return bool(kept * WORTH > len(tried))


def _spread(count: int, most: int) -> Ints:
    """Return places spread evenly over some."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def _cycles(tables: Priced, group: Group, double: bool, choice: Choice) -> Ints:
    """Return the least cycles of some lane shapes over all whole ways."""
    if not len(choice):
        return np.zeros(0, dtype=np.int64)
    periods = periods_of(tables, choice, group.light.runs)
    swept = sweep(group.light, periods, double_buffered=double)
    result: Ints = np.broadcast_to(swept.total, (len(choice),)).astype(np.int64)
    return result


def rough_prices(field: Field, group: Group, double: bool) -> Prices:
    """Return what runs and lane shapes of a group take at least.

    Args:
        field: What is searched.
        group: Combinations of widths.
        double: Whether engines double-buffer.
    """
    tables = rough_tables(field, double)
    areas = {
        role: _least_area(field, group.widths, tables.grids[role], double)
        for role in group.roles
    }
    return Prices(tables=tables, areas=areas)


def rough_tables(field: Field, double: bool) -> RoughTables:
    """Return what runs take at least at one buffering: made once.

    Args:
        field: What is searched.
        double: Whether engines double-buffer.
    """
    known = field.bounds.get(("rough tables", double))
    if isinstance(known, RoughTables):
        return known
    depths, room = field.problem.space.depths, field.problem.board.usable
    other = field.bounds.get(("rough tables", not double))
    tables = RoughTables(
        graph=field.graph,
        setting=field.setting(np.array(field.pixels)[:, None], double),
        grids={r: _bare_grid(field, r) for r in Role if field.needs(r)},
        words=max(*depths, URAM_WORDS),
        bits=max(HALF_BITS * room.bram_18k, URAM_BITS * URAM_WORDS * room.uram),
        # What runs compute does not depend on how weights load.
        computed=other.computed if isinstance(other, RoughTables) else {},
    )
    field.bounds["rough tables", double] = tables
    return tables


def _bare_grid(field: Field, role: Role) -> Grid:
    """Return the lane shapes of a stage; dense and pointwise ones have no columns."""
    space = field.problem.space
    if role is Role.DEPTHWISE:
        return depthwise_grid(field.needs(role), space)
    simd, pe = lane_pairs(*space.lanes_of(role))
    none = np.zeros(0, dtype=np.int64)
    return Grid(
        role=role,
        first=simd,
        second=pe,
        lane_of=none,
        words=none,
        in_uram=none > 0,
        starts=np.zeros(simd.size + 1, dtype=np.int64),
        held=(),
    )


def _least_area(
    field: Field, widths: tuple[Widths, ...], grid: Grid, double: bool
) -> LaneArea:
    """Return what lane shapes of a stage take at least under any of some widths."""
    role, problem = grid.role, field.problem
    shape = len(field.pixels), grid.lanes
    if role is not Role.DEPTHWISE:
        lanes = problem.space.lanes_of(role)
        key, ring = BoardKey(problem.board), role is Role.DENSE
        bits = {w.bits[role] for w in widths}
        surrogate = np.minimum.reduce(
            [
                bare_lanes(key, problem.act_bits, b, field.pixels, lanes, ring)
                for b in bits
            ]
        )
        return _area_of(surrogate, np.zeros(shape, dtype=np.int64))
    offers = {(w.bits[role], id(w.needs)): w for w in widths}
    columns = np.arange(grid.lanes)
    setting = field.setting(np.array(field.pixels)[:, None], double)
    least: list[tuple[Ints, Ints]] = []
    for each in offers.values():
        stages = grid.columns(columns, each.bits[role])
        area = column_area(stages, each.needs[role], setting, ring=False)
        luts = [np.broadcast_to(priced_luts(area, p), shape) for p in DSP_PRICES]
        least.append((np.stack(luts), np.broadcast_to(area.base.bram_18k, shape)))
    return _area_of(
        np.minimum.reduce([luts for luts, _ in least]),
        np.minimum.reduce([bram for _, bram in least]),
    )


def _area_of(surrogate: Ints, bram_18k: Ints) -> LaneArea:
    return LaneArea(
        surrogate=surrogate,
        bram_18k=bram_18k,
        columns_surrogate=surrogate,
        columns_bram=bram_18k,
    )
