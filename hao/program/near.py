"""What comes near a proven optimum: the columns and arcs of its integer program."""

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.engines import expand, fitting, priced
from hao.program.exact import Apart, sharpest_rate
from hao.program.field import Field, Group
from hao.program.gather import periods_of
from hao.program.hunt import Found
from hao.program.lanes import lane_bounds
from hao.program.shapes import known_shapes
from hao.program.sweep import make_net, through
from hao.program.tables import Choice

Ints = NDArray[np.int64]

NEAR = 16
"""Engines whose columns the integer program chooses from (chosen here)."""

QUICKEST = 256
"""Lane shapes that these engines are of (chosen here)."""

SHARES = (0.25, 0.35, 0.5, 0.7, 1.0)
"""Shares of the limit below which lane shapes are looked for in turn (chosen here)."""

NEAR_PERCENT = 1
"""How much slower than the optimum they may be, at the fewest bits (chosen here)."""


def columns_near(
    field: Field, found: Found, apart: Apart | None = None
) -> dict[Role, Ints]:
    """Return the columns of engines near a found one, per stage.

    They share its widths, pixels and buffering, fit the board and are, at the fewest
    bits, at most `NEAR_PERCENT` slower.
    """
    limit = found.way.cycles + found.way.cycles * NEAR_PERCENT // 100
    spend = found.way.cost + (0 if apart is None else apart.allowance)
    columns = {role: {index} for role, index in found.columns.items()}
    for group in field.groups([found.widths], spend):
        engines: list[tuple[int, tuple[int, ...]]] = []
        shapes = _quick_shapes(field, group, found, limit)
        if shapes is None:
            continue
        shapes = priced(field, group, found.double, shapes, limit).choice
        quick = shapes.take(np.arange(min(QUICKEST, len(shapes))))
        for choice, cycles in expand(field, group, found.double, quick, limit):
            fits = np.flatnonzero(fitting(field, found.widths, found.double, choice))
            for row in fits[np.argsort(cycles[fits], kind="stable")][:NEAR]:
                engine = tuple(int(choice.columns[r][row]) for r in found.columns)
                engines.append((int(cycles[row]), engine))
        for _, engine in sorted(engines)[:NEAR]:
            for role, index in zip(found.columns, engine, strict=True):
                columns[role].add(index)
    return {role: np.array(sorted(found_)) for role, found_ in columns.items()}


def _quick_shapes(
    field: Field, group: Group, found: Found, limit: int
) -> Choice | None:
    """Return lane shapes at a design's pixels, those of the least bounds if many.

    Where few are too slow there are millions; pricing all took as long as the search.
    """
    way, roles = found.way, group.roles
    known = known_shapes(field, roles, found.double, way.cycles, group.spend)
    if known is not None:
        here = known.within(limit).choice
        return here.take(np.flatnonzero(here.pixels == found.place))
    bounds = lane_bounds(field, group, found.double)
    for share in SHARES:
        every = bounds.each(int(share * limit))
        shapes = next((s for s in every if int(s.pixels[0]) == found.place), None)
        if shapes is not None and len(shapes) >= QUICKEST:
            break
    return shapes


def arcs_in_play(
    field: Field, found: Found, apart: Apart | None = None
) -> tuple[int, ...]:
    """Return the arcs on ways of a found engine that keep its latency and cost.

    An arc is out if every way over it takes more cycles, or more cycles plus priced
    cost, than the design.
    """
    graph, way = field.graph, found.way
    spend = way.cost + (0 if apart is None else apart.allowance)
    count = None if apart is None else apart.count
    net = make_net(graph, graph.within(found.widths.allowed, spend), count)
    periods = periods_of(field.tables(found.double), found.engine(field), net.runs)
    rate = sharpest_rate(net, periods, found.double, budget=way.cycles, spend=spend)
    kept = {entry.arc for entries in net.entries.values() for entry in entries}
    for price in (0.0, rate):
        reach = way.cycles + price * spend + 1e-3
        least = through(net, periods, double_buffered=found.double, rate=price)
        kept &= {arc for arc, cycles in least.items() if cycles <= reach}
    return tuple(sorted(kept | set(way.arcs)))
