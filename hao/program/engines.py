"""Engines by the depths of their buffers: exact cycles at the fewest bits, and fit.

`expand` takes lane shapes (`hao.program.lanes`), prices them with the depths of buffers
relaxed to the best of each row, then with those of the dense stage, then all;
`fitting` says which engines fit the board at given widths.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.bounded import Bounded
from hao.program.field import Field, Group, LaneArea
from hao.program.fit import DSP_PRICES
from hao.program.gather import periods_of
from hao.program.graph import Widths
from hao.program.space import Grid
from hao.program.sweep import sweep
from hao.program.tables import Choice

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STEP = 4_096
"""Engines priced between two looks at the best known (chosen here).

Numbers of one run on so many fit a core's first cache.
"""

MEMBERS = 4_096
"""Most engines that buffer depths are multiplied out to at once.

Source: chosen here. What a sweep holds of them, some hundred runs each, is most of a
search's memory on a large board.
"""


def expand(
    field: Field,
    group: Group,
    double: bool,
    choice: Choice,
    limit: int,
    *,
    near: Callable[[Choice], Ints] | None = None,
) -> Iterator[tuple[Choice, Ints]]:
    """Yield engines with every depth of their buffers and their least cycles.

    Args:
        field: What is searched.
        group: Combinations of widths.
        double: Whether engines double-buffer.
        choice: Lane shapes.
        limit: Only engines of at most so many cycles are yielded.
        near: Which engines are of interest; depths of buffers may be relaxed.
    """
    # Of a depthwise stage, lane shapes are the columns.
    own: dict[Role, Ints] = {
        r: x for r, x in choice.lanes.items() if r is Role.DEPTHWISE
    }
    waiting = [replace(choice, columns={**choice.columns, **own})]
    while waiting:
        part = waiting.pop()
        if near is not None:
            part = part.take(near(part))
        cycles = light_cycles(field, group, double, part)
        fine = np.flatnonzero(cycles <= limit)
        part, cycles = part.take(fine), cycles[fine]
        if not len(part):
            continue
        role = next((r for r in part.lanes if r not in part.columns), None)
        if role is None:
            yield part, cycles
            continue
        grid = field.tables(double).grids[role]
        count = (grid.starts[1:] - grid.starts[:-1])[part.lanes[role]]
        ends = np.cumsum(count)
        start = 0
        while start < len(part):
            taken = ends - (ends[start - 1] if start else 0)
            stop = max(start + 1, int(np.searchsorted(taken, MEMBERS, side="right")))
            deep = members(grid, role, part.take(np.arange(start, stop)))
            waiting.append(deep.take(may_fit(field, group.widths, double, deep)))
            start = stop


def light_cycles(field: Field, group: Group, double: bool, choice: Choice) -> Ints:
    """Return the cycles of engines at the fewest bits; other depths at best."""
    if not len(choice):
        return np.zeros(0, dtype=np.int64)
    periods = periods_of(field.tables(double), choice, group.light.runs)
    swept = sweep(group.light, periods, double_buffered=double)
    result: Ints = np.broadcast_to(swept.total, (len(choice),)).astype(np.int64)
    return result


def priced(
    field: Field, group: Group, double: bool, choice: Choice, limit: int
) -> Bounded:
    """Return the lane shapes that may fit and be in time, with their least cycles.

    Args:
        field: What is searched.
        group: Combinations of widths.
        double: Whether engines double-buffer.
        choice: Lane shapes; buffers are taken at the best depth for each run.
        limit: Most cycles.
    """
    rows = np.flatnonzero(may_fit(field, group.widths, double, choice))
    found = []
    for start in range(0, rows.size, STEP):
        some = rows[start : start + STEP]
        cycles = light_cycles(field, group, double, choice.take(some))
        fine = cycles <= limit
        found.append((some[fine], cycles[fine]))
    none = np.zeros(0, dtype=np.int64)
    kept = np.concatenate([none, *(some for some, _ in found)])
    bound = np.concatenate([none, *(cycles for _, cycles in found)])
    order = np.argsort(bound, kind="stable")
    return Bounded(choice.take(kept[order]), bound[order])


def members(grid: Grid, role: Role, choice: Choice) -> Choice:
    """Return the engines with every buffer depth of one stage."""
    start = grid.starts[choice.lanes[role]]
    count = grid.starts[choice.lanes[role] + 1] - start
    source = np.repeat(np.arange(count.size), count)
    offset = np.arange(source.size) - np.repeat(np.cumsum(count) - count, count)
    taken = choice.take(source)
    columns = {**taken.columns, role: start[source] + offset}
    return Choice(pixels=taken.pixels, lanes=taken.lanes, columns=columns)


def may_fit(
    field: Field, every: Sequence[Widths], double: bool, choice: Choice
) -> Bools:
    """Return which engines may fit the board under any of some widths.

    Depths of buffers may be relaxed, DSP lanes are taken in fractions: at each of
    several prices of a DSP in LUTs, the least of every stage must add up to no more
    than the board has.

    Args:
        field: What is searched.
        every: Widths with the same stages.
        double: Whether engines double-buffer.
        choice: Engines, or lane shapes.
    """
    areas = {role: field.lane_area(every, role, double) for role in choice.lanes}
    return areas_fit(field, areas, choice)


def areas_fit(field: Field, areas: Mapping[Role, LaneArea], choice: Choice) -> Bools:
    """Return which engines take no more than the board has, by areas of stages.

    Args:
        field: What is searched.
        areas: What the stages take at least.
        choice: Engines, or lane shapes.
    """
    bram = np.zeros(len(choice), dtype=np.int64)
    sums = np.zeros((len(DSP_PRICES), len(choice)), dtype=np.int64)
    for role, lane in choice.lanes.items():
        area = areas[role]
        if role in choice.columns:
            place = choice.pixels, choice.columns[role]
            bram += area.columns_bram[place]
            sums += area.columns_surrogate[:, *place]
        else:
            bram += area.bram_18k[choice.pixels, lane]
            sums += area.surrogate[:, choice.pixels, lane]
    result: Bools = (bram <= field.limit.bram_18k) & (sums <= field.caps[:, None]).all(
        axis=0
    )
    return result


UNFIT = -9
"""Bits of an engine that fits the board under none of some widths."""


def widest(field: Field, every: Sequence[Widths], double: bool, choice: Choice) -> Ints:
    """Return the most bits of each stage under any widths that engines may fit at.

    Args:
        field: What is searched.
        every: Widths with the same stages.
        double: Whether engines double-buffer.
        choice: Engines, or lane shapes.

    Returns:
        Of shape (engines, stages); `UNFIT` where no widths fit.
    """
    roles = tuple(choice.lanes)
    result = np.full((len(choice), len(roles)), UNFIT, dtype=np.int64)
    bits = {id(w): np.array([w.bits[role] for role in roles]) for w in every}
    for widths in sorted(every, key=lambda w: -int(bits[id(w)].sum())):
        own = bits[id(widths)]
        rows = np.flatnonzero((result < own).any(axis=1))
        fine = rows[may_fit(field, (widths,), double, choice.take(rows))]
        result[fine] = np.maximum(result[fine], own)
    return result


def fitting(field: Field, widths: Widths, double: bool, choice: Choice) -> Bools:
    """Return which engines fit the board with some DSP steps.

    Args:
        field: What is searched.
        widths: Widths of the stages.
        double: Whether engines double-buffer.
        choice: Engines.
    """
    fine = np.zeros(len(choice), dtype=np.bool_)
    for place in np.unique(choice.pixels):
        rows = np.flatnonzero(choice.pixels == place)
        room = field.room(widths, int(place), double)
        columns = {role: index[rows] for role, index in choice.columns.items()}
        fine[rows] = room.fits_somehow(columns)
    return fine
