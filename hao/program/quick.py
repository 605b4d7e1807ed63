"""Engines that are quick, found by drawing some: latencies that are reached.

What they save depends on the draw, no answer does.
"""

import numpy as np
from numpy.typing import NDArray

from hao.program.engines import (
    expand,
    fitting,
    light_cycles,
    may_fit,
)
from hao.program.field import Field, Group
from hao.program.fit import (
    lanes_match,
    neighbours,
)
from hao.program.graph import FAR
from hao.program.hunt import NO_LIMIT, Hunt, bufferings, dearest
from hao.program.lanes import bounds_key
from hao.program.rough import any_within
from hao.program.tables import Choice

Bools = NDArray[np.bool_]

TRIED = 16
"""Engines, the fastest, that are tried on the board at a time (chosen here)."""


def is_quick(field: Field, cycles: int, spend: int) -> bool:
    """Return whether some drawn engine runs a frame in some cycles.

    Args:
        field: Where to search.
        cycles: Most cycles.
        spend: Accuracy cost that no way may exceed, or the least of any way
            [micro-points].

    Returns:
        If not, others may.
    """
    return any(
        any_within(field, group, double, cycles)
        and first_limit(field, group, double)[0] <= min(cycles, NO_LIMIT - 1)
        for group in field.groups(field.widths, spend)[:1]
        for double in bufferings(field)
    )


def quick_limit(hunt: Hunt, group: Group, double: bool) -> int:
    """Return a latency that some design of a group has within the cost.

    The fewest bits may cost too much together, though each is affordable; then what
    costs least is taken, whose ways all cost the same.
    """
    if hunt.apart is not None:
        return NO_LIMIT
    if dearest(group.light) <= hunt.cost:
        return first_limit(hunt.field, group, double)[0]
    floor = min(widths.floor for widths in group.widths)
    cheapest = hunt.field.groups(group.widths, floor)
    return min(first_limit(hunt.field, each, double)[0] for each in cheapest)


def first_limit(field: Field, group: Group, double: bool) -> tuple[int, Choice | None]:
    """Return a latency that some engine of a group reaches at its lightest runs.

    Some lane shapes are drawn, those with the lowest bounds priced, and the best one
    improved; only what it saves depends on the draw. `NO_LIMIT` if none is found. The
    lane shapes that reach it come with it. It is made once, and kept with the field.
    """
    key = "quick", *bounds_key(group, double)
    if key not in field.quick:
        field.quick[key] = _first_limit(field, group, double)
    return field.quick[key]


def _first_limit(field: Field, group: Group, double: bool) -> tuple[int, Choice | None]:
    tables = field.tables(double)
    rng = np.random.default_rng(0)
    size = 60_000
    lanes = {r: rng.integers(0, tables.grids[r].lanes, size) for r in group.roles}
    pixels = rng.integers(0, len(field.pixels), size)
    best, point = NO_LIMIT, None
    drawn = Choice(pixels=pixels, lanes=lanes, columns={})
    for _ in range(6):
        fine = _lanes_match(field, double, drawn)
        fine &= may_fit(field, group.widths, double, drawn)
        drawn = drawn.take(np.flatnonzero(fine))
        if not len(drawn):
            return best, point
        found = _quickest(field, group, double, drawn)
        if found is None or found[0] >= best:
            return best, point
        best, point = found
        drawn = _around(field, group, double, point)
    return best, point


def _lanes_match(field: Field, double: bool, choice: Choice) -> Bools:
    """Return which lane shapes hand channels on that the next stage can take."""
    grids = field.tables(double).grids
    fine = np.ones(len(choice), dtype=np.bool_)
    for left, right in neighbours(choice.lanes):
        fine &= lanes_match(
            grids[left].lanes_out[choice.lanes[left]],
            grids[right].lanes_in[choice.lanes[right]],
        )
    return fine


def _quickest(
    field: Field, group: Group, double: bool, drawn: Choice
) -> tuple[int, Choice] | None:
    """Return the least cycles of some lane shapes, and the lane shapes that have it."""
    cycles = light_cycles(field, group, double, drawn)
    order = np.argsort(cycles, kind="stable")[:64]
    best: tuple[int, Choice] | None = None
    for start in range(0, order.size, 8):
        rows = order[start : start + 8]
        limit = int(FAR) - 1 if best is None else best[0] - 1
        if int(cycles[rows[0]]) > limit:
            break
        for choice, exact in expand(field, group, double, drawn.take(rows), limit):
            inside = np.flatnonzero(exact < (FAR if best is None else best[0]))
            inside = inside[np.argsort(exact[inside], kind="stable")]
            for first in range(0, inside.size, TRIED):
                some = inside[first : first + TRIED]
                fits = _fits(field, group, double, choice.take(some))
                if fits.any():
                    one = choice.take(some[[np.argmax(fits)]])
                    point = Choice(pixels=one.pixels, lanes=one.lanes, columns={})
                    best = int(exact[some[np.argmax(fits)]]), point
                    break
    return best


def _fits(field: Field, group: Group, double: bool, choice: Choice) -> Bools:
    """Return which engines fit the board under any widths of a group."""
    fine = np.zeros(len(choice), dtype=np.bool_)
    for widths in group.widths:
        rows = np.flatnonzero(~fine)
        fine[rows] = fitting(field, widths, double, choice.take(rows))
    return fine


def _around(field: Field, group: Group, double: bool, point: Choice) -> Choice:
    """Return the lane shapes that differ from one in one stage, or in pixels."""
    grids = field.tables(double).grids
    parts: list[Choice] = []
    for role in group.roles:
        lane = np.arange(grids[role].lanes)
        for place in range(len(field.pixels)):
            lanes = {r: np.full(lane.size, point.lanes[r][0]) for r in group.roles}
            lanes[role] = lane
            parts.append(
                Choice(pixels=np.full(lane.size, place), lanes=lanes, columns={})
            )
    return Choice(
        pixels=np.concatenate([p.pixels for p in parts]),
        lanes={r: np.concatenate([p.lanes[r] for p in parts]) for r in group.roles},
        columns={},
    )
