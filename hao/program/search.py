"""The best engine, partition and options of a problem: exact, over the whole space.

`find` looks for one design within a budget of cycles, a limit on accuracy cost and a
limit on blocks that has the least of one of them. It goes through the groups of widths
(`hao.program.engines`), discards engines by their cycles at the fewest bits, then by a
Lagrangian bound of all engines at once (`hao.program.sweep`), and closes what is left,
engine by engine, by labels (`hao.program.labels`). Nothing is passed over: where it
finds no better design there is none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import ceil
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.ir.tensor import MAX_BITS
from hao.program.by_cost import Sums, exact_goals, sums_of
from hao.program.engines import (
    STEP,
    UNFIT,
    expand,
    fitting,
    light_cycles,
    may_fit,
    widest,
)
from hao.program.exact import (
    Apart,
    Goal,
    Outlook,
    Way,
    dual_bound,
    guessed_rate,
    outlooks,
)
from hao.program.field import Field, Group, Listed
from hao.program.fit import (
    FEWEST_LUTS,
    Measure,
    Room,
    lanes_match,
    neighbours,
)
from hao.program.graph import ABSENT, FAR, ROLES, Graph, Widths
from hao.program.labels import best_way
from hao.program.lanes import Bounded, LaneBounds, lane_bounds
from hao.program.sweep import Net, make_net, sweep
from hao.program.tables import Choice, Periods, joined, periods_of

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Progress = Callable[[str], None]

NO_LIMIT = 1 << 40
"""Above any latency [cycles] (an hour at 300 MHz), cost or measure of interest."""

LOOSE = 1.5
"""Limit, relative to the least bound, above which a quick engine is sought first.

Source: chosen here; below it few lane shapes are left anyway.
"""

BATCH = 4_096
"""Engines whose Lagrangian bound is computed side by side (chosen here)."""

CLOSED = 32
"""Engines whose outlook is computed side by side (chosen here)."""

QUICK = 24
"""Fast engines that are tried first where the smallest is sought (chosen here)."""

MOST_LISTED = 50_000
"""Most engines of a group that are kept for the next search (chosen here).

Of small networks, millions are as good as the best: the fastest is then found anew.
"""

MANY_SHAPES = 30_000
"""Lane shapes from which on a bound with a price on accuracy pays (chosen here)."""

COMPARED = 200_000
"""Numbers that an engine is compared with before it is kept (chosen here).

Where prices depend on many options, engines have thousands of rows, hardly one of them
beats another in all, and comparing all with all took most of the time.
"""

LOOKED_AT = 4_096
"""Lane shapes among which better designs are sought first (chosen here)."""

NEAREST = 6
"""Lane shapes of these, of the lowest bounds, that are tried (chosen here)."""

TOGETHER = 1_500_000
"""Prices of runs on engines that are looked at side by side: more of them fall out of
the processor's caches (chosen here)."""

SPREAD = np.geomspace(2.0**-5, 2.0**5, 9)
"""Prices of accuracy tried on many engines, relative to a guess (chosen here)."""


class Least(Enum):
    """What a search makes small, within limits on the other two."""

    CYCLES = "cycles"
    COST = "cost"
    BLOCKS = "blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Most cycles, accuracy cost [micro-points] and measured blocks of a design."""

    cycles: int = NO_LIMIT
    cost: int = NO_LIMIT
    blocks: int = NO_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A design as indices of a field.

    Attributes:
        widths: Widths of the stages.
        double: Whether the engine double-buffers.
        place: Index of its pixels at once.
        columns: Column of each stage's grid.
        steps: Steps of lanes onto DSPs, per stage.
        way: Partition and options.
        blocks: Measured blocks of the stages.
    """

    widths: Widths
    double: bool
    place: int
    columns: dict[Role, int]
    steps: dict[Role, int]
    way: Way
    blocks: int

    def engine(self, field: Field) -> Choice:
        """Return its engine as a choice of one."""
        grids = field.tables(self.double).grids
        return Choice(
            pixels=np.array([self.place]),
            lanes={r: grids[r].lane_of[[c]] for r, c in self.columns.items()},
            columns={r: np.array([c]) for r, c in self.columns.items()},
        )


@dataclass(slots=True)
class Counts:
    """What a search looked at: engines priced, bounded, closed by labels."""

    priced: int = 0
    bounded: int = 0
    closed: int = 0


@dataclass(slots=True)
class _Hunt:
    """One search under way: limits tighten whenever a better design is found."""

    field: Field
    least: Least
    cycles: int
    cost: int
    blocks: int
    measure: Measure
    counts: Counts
    asked: int
    apart: Apart | None
    best: Found | None
    rates: dict[tuple[int, bool], float]
    nets: dict[int, tuple[Net, bool]]
    unions: dict[tuple[int, tuple[int, ...]], "_Union"]
    sums: dict[int, Sums | None]
    tolerance: float
    rate: float | None = None
    ties: bool = True

    @property
    def cost_of_interest(self) -> int:
        """Return the most accuracy cost of what is looked at [micro-points].

        What is as good as the best design known decides ties, in the next search.
        """
        ties = self.ties and self.best is not None
        return self.cost + (ties and self.least is Least.COST)

    @property
    def of_interest(self) -> float:
        """Return the most that the goal of an engine may be bound by to be kept."""
        limit: int = self.cost_of_interest
        if self.least is not Least.COST:
            limit = self.cycles + (self.ties and self.best is not None)
        return limit + 1e-3

    def take(self, found: Found) -> None:
        """Keep a design, and look for better ones only."""
        self.best = found
        match self.least:
            case Least.CYCLES:
                self.cycles = found.way.cycles - 1
            case Least.COST:
                allowance = 0 if self.apart is None else self.apart.allowance
                sought = found.way.cost - ceil(self.tolerance * found.way.cost)
                self.cost = sought - 1 + allowance
            case Least.BLOCKS:
                self.blocks = found.blocks - 1
            case _:
                assert_never(self.least)


def find(
    field: Field,
    least: Least,
    limits: Limits,
    *,
    measure: Measure = FEWEST_LUTS,
    counts: Counts | None = None,
    first: bool = False,
    apart: Apart | None = None,
    tolerance: float = 0.0,
    progress: Progress = lambda _: None,
) -> Found | None:
    """Return the design with the least of something within limits, or `None`.

    Args:
        field: Where to search.
        least: What to make small.
        limits: Most of everything.
        measure: How blocks are counted.
        counts: Added up to, if given.
        first: Whether the first design within the limits will do.
        apart: Earlier answers to stay apart from; the field's costs hold its penalties.
        tolerance: Share of its accuracy cost by which a design that is found may be
            beaten, where that cost is to be small.
        progress: Told of each group of widths that is searched.
    """
    allowance = 0 if apart is None else apart.allowance
    hunt = _Hunt(
        field=field,
        least=least,
        cycles=limits.cycles,
        cost=limits.cost + allowance,
        blocks=limits.blocks,
        measure=measure,
        counts=Counts() if counts is None else counts,
        asked=limits.cost + allowance,
        apart=apart,
        best=None,
        rates={},
        nets={},
        unions={},
        sums={},
        tolerance=tolerance,
    )
    open_ = [w for w in field.widths if w.floor <= hunt.cost]
    known = [w for w in open_ if all(_listed(hunt, w, d) for d in _bufferings(field))]
    _search_listed(hunt, known)
    fresh = [w for w in open_ if not any(w is k for k in known)]
    for group in field.groups(fresh, hunt.cost_of_interest):
        if min(w.floor for w in group.widths) > hunt.cost:
            continue
        for double in _bufferings(field):
            _search_group(hunt, group, double)
            if first and hunt.best is not None:
                return hunt.best
        progress(
            f"widths {_named(group)}: {hunt.counts.priced} engines priced, "
            + (
                "none yet"
                if hunt.best is None
                else f"best {hunt.best.way.cycles} cycles"
            )
        )
    return hunt.best


def may_run_within(field: Field, cycles: int) -> bool:
    """Return whether lane shapes, by their bounds, may run a frame in some cycles.

    Args:
        field: Where to search, at any accuracy cost.
        cycles: Most cycles.
    """
    return any(
        lane_bounds(field, group, double).within(cycles).bound.size
        for group in field.groups(field.widths, NO_LIMIT)
        for double in _bufferings(field)
    )


def _bufferings(field: Field) -> tuple[bool, ...]:
    """Return the bufferings on offer, double buffers first: they mostly win."""
    return tuple(sorted(set(field.problem.space.buffering), reverse=True))


def _listed(hunt: _Hunt, widths: Widths, double: bool) -> Listed | None:
    """Return a list that holds all engines that the hunt is after, if one is known."""
    listed = hunt.field.listed.get((id(widths), double))
    if listed is None or hunt.cycles > listed.cycles or hunt.cost > listed.cost:
        return None
    return listed


def _search_listed(hunt: _Hunt, open_: list[Widths]) -> None:
    """Search engines that an earlier search has listed."""
    for double in _bufferings(hunt.field):
        lists: dict[int, tuple[Listed, list[Widths]]] = {}
        for widths in open_:
            listed = _listed(hunt, widths, double)
            assert listed is not None, "limits only tighten"
            lists.setdefault(id(listed), (listed, []))[1].append(widths)
        for listed, members in lists.values():
            rows = np.flatnonzero(listed.least <= hunt.cycles)
            if rows.size:
                _try_engines(
                    hunt, members, double, listed.choice.take(rows), listed.least[rows]
                )


def _named(group: Group) -> str:
    first = ",".join(str(b) for b in group.widths[0].bits.values())
    more = len(group.widths) - 1
    return first if not more else f"{first} and {more} more"


def _search_group(hunt: _Hunt, group: Group, double: bool) -> None:
    """Search the engines of one group at one buffering."""
    field = hunt.field
    # Engines as good as the best are listed too, for what comes next.
    hunt.ties = hunt.least is not Least.BLOCKS
    ties = hunt.best is not None and hunt.least is Least.CYCLES
    limit = hunt.cycles + ties
    lanes = lane_bounds(field, group, double)
    if hunt.least is Least.CYCLES and limit > LOOSE * lanes.least:
        limit = min(limit, _quick_limit(hunt, group, double))
    bounded = lanes.within(limit)
    if hunt.least is Least.COST and bounded.bound.size > MANY_SHAPES:
        bounded = _priced_lanes(hunt, group, double) or bounded
    order = np.arange(bounded.bound.size)
    value = bounded.bound
    if hunt.least is Least.BLOCKS:
        value = _lane_blocks(hunt, group, double, bounded.choice)
        order = np.argsort(value, kind="stable")
    start, step = 0, 512
    kept: list[tuple[Choice, Ints]] = []
    sorted_ = False
    while start < order.size:
        if hunt.least is Least.COST and hunt.rate is not None and not sorted_:
            # With a price known, engines that may be cheap come first.
            order, sorted_ = order[start:], True
            reach = _reach(hunt, group, double, bounded.choice.take(order))
            fine = np.flatnonzero(reach <= hunt.of_interest)
            order = order[fine[np.argsort(reach[fine], kind="stable")]]
            start = 0
        rows = order[start : start + step]
        start, step = start + step, min(STEP, 4 * step)
        limit = min(limit, hunt.cycles + 1)
        if hunt.least is Least.BLOCKS:
            rows = rows[value[rows] <= hunt.blocks]
        rows = rows[bounded.bound[rows] <= limit]
        if not rows.size:
            if sorted_:
                continue
            break
        hunt.counts.priced += rows.size
        shapes = bounded.choice.take(rows)
        shapes = shapes.take(_within_reach(hunt, group, double, shapes))
        for choice, cycles in expand(field, group, double, shapes, limit):
            near = _within_reach(hunt, group, double, choice)
            if not near.size:
                continue
            some = choice.take(near), cycles[near]
            _try_engines(hunt, group.widths, double, *some)
            if hunt.ties:
                kept.append(some)
                hunt.ties = sum(c.size for _, c in kept) <= MOST_LISTED
    if hunt.ties:
        limit = min(limit, hunt.cycles + (hunt.least is Least.CYCLES))
        _list(hunt, group, double, limit, kept)


def _priced_lanes(hunt: _Hunt, group: Group, double: bool) -> Bounded | None:
    """Return the lane shapes that may keep the limits by a bound that prices accuracy.

    Where options make runs much faster, the lightest runs exclude next to nothing. A
    design of the quickest engines then comes first, to know a cost and a price.

    Returns:
        Their bounds are 0; `None` where no price is known.
    """
    if hunt.apart is not None:
        return None
    if hunt.best is None:
        _start(hunt, group, double)
    if hunt.best is None or not hunt.rate:
        return None
    graph, rate = hunt.field.graph, hunt.rate
    allowed = np.logical_or.reduce([w.allowed for w in group.widths])
    within = graph.within(allowed, hunt.cost_of_interest)
    if not within.any():
        return None
    net = make_net(graph, within)
    lanes = LaneBounds(hunt.field, group, double, net, rate)
    found = lanes.within(hunt.cycles + rate * hunt.cost_of_interest + 1)
    # The less the best design costs, the fewer lane shapes are left.
    while found.bound.size > MANY_SHAPES:
        first = found.choice.take(np.arange(min(LOOKED_AT, found.bound.size)))
        if not _try_nearest(hunt, group, double, first):
            break
        found = lanes.within(hunt.cycles + rate * hunt.cost_of_interest + 1)
    return Bounded(found.choice, np.zeros_like(found.bound))


def _start(hunt: _Hunt, group: Group, double: bool) -> None:
    """Look for designs among the engines that are quickest at the ends of the cost."""
    field = hunt.field
    floor = min(widths.floor for widths in group.widths)
    for each in (*field.groups(group.widths, floor), group):
        _, point = _first_limit(field, each, double)
        if point is None:
            continue
        for choice, cycles in expand(field, group, double, point, hunt.cycles):
            _try_engines(hunt, group.widths, double, choice, cycles)


def _try_nearest(hunt: _Hunt, group: Group, double: bool, shapes: Choice) -> bool:
    """Look for better designs on the lane shapes of the lowest bounds, if any.

    Returns:
        Whether there was one.
    """
    known = hunt.best
    reach = _reach(hunt, group, double, shapes)
    order = np.argsort(reach, kind="stable")[:NEAREST]
    order = order[reach[order] <= hunt.of_interest]
    for choice, cycles in expand(
        hunt.field, group, double, shapes.take(order), hunt.cycles
    ):
        _try_engines(hunt, group.widths, double, choice, cycles)
    return hunt.best is not known


def _list(
    hunt: _Hunt,
    group: Group,
    double: bool,
    cycles: int,
    kept: Sequence[tuple[Choice, Ints]],
) -> None:
    """Keep engines of a group for the next search, all that come near the best.

    Args:
        hunt: What found them.
        group: Combinations of widths.
        double: Whether the engines double-buffer.
        cycles: Every engine of at most so many cycles that may keep the hunt's limits
            is among them, and every one as good as the hunt's best design.
        kept: Engines, and their cycles at the fewest bits.
    """
    choice = joined([choice for choice, _ in kept], group.roles)
    least = np.concatenate([np.zeros(0, np.int64), *(c for _, c in kept)])
    # Most were kept before the best was known.
    near = _within_reach(hunt, group, double, choice)
    cost = hunt.cost_of_interest if hunt.least is Least.COST else hunt.asked
    listed = Listed(
        cycles=cycles, cost=cost, choice=choice.take(near), least=least[near]
    )
    for widths in group.widths:
        hunt.field.listed[id(widths), double] = listed


def _within_reach(hunt: _Hunt, group: Group, double: bool, choice: Choice) -> Ints:
    """Return the engines that a bound over all widths that may fit does not exclude."""
    reach = _reach(hunt, group, double, choice)
    return np.flatnonzero(reach <= hunt.of_interest)


def _reach(hunt: _Hunt, group: Group, double: bool, choice: Choice) -> Floats:
    """Return a bound of the goal for engines, over all widths at which they may fit.

    It is infinite where there are none, and `-inf` where nothing is known: before a
    price of accuracy is, or where no way costs too much. Depths of buffers may be
    relaxed.
    """
    result = np.full(len(choice), -np.inf)
    every = [w for w in group.widths if w.floor <= hunt.cost_of_interest]
    if len(every) == 1:
        own = [every[0].bits[role] for role in choice.lanes]
        bits = np.broadcast_to(np.array(own), (len(choice), len(own)))
    else:
        bits = widest(hunt.field, every, double, choice)
        result[(bits == UNFIT).any(axis=1)] = np.inf
    code = (bits * 16 ** np.arange(bits.shape[1])).sum(axis=1)
    every_code, first = np.unique(code, return_index=True)
    for own_code, place in zip(every_code, first, strict=True):
        if result[place] == np.inf:
            continue
        own_ = dict(zip(choice.lanes, map(int, bits[place]), strict=True))
        union = _union(hunt, group, own_)
        if union.dearest <= hunt.cost or (hunt.rate is None and union.sums is None):
            continue
        rows = np.flatnonzero(code == own_code)
        step = max(1, min(STEP, TOGETHER // len(union.net.runs)))
        for start in range(0, rows.size, step):
            some = rows[start : start + step]
            result[some] = _bound(hunt, union, double, choice.take(some))
    return result


@dataclass(frozen=True, slots=True)
class _Union:
    """The ways of a group at no more than some bits.

    Attributes:
        group: The group, held so that its identity stays its own.
        net: The ways; may be from when more cost was of interest.
        dearest: Cost of the dearest way [micro-points].
        sums: Sums of costs in the net, if they are few.
    """

    group: Group
    net: Net
    dearest: int
    sums: Sums | None


def _union(hunt: _Hunt, group: Group, bits: Mapping[Role, int]) -> _Union:
    """Return the ways of a group at no more than some bits."""
    key = id(group), tuple(bits.values())
    if key not in hunt.unions:
        graph = hunt.field.graph
        most = np.array([bits.get(role, ABSENT) for role in ROLES])
        allowed = np.logical_or.reduce([w.allowed for w in group.widths])
        allowed &= (graph.bits <= most).all(axis=1)
        apart = hunt.apart
        net = make_net(
            graph,
            graph.within(allowed, hunt.cost_of_interest),
            None if apart is None else apart.count,
        )
        sums = None if apart else sums_of(net, hunt.cost_of_interest)
        hunt.unions[key] = _Union(group, net, _dearest(net), sums)
    return hunt.unions[key]


def _bound(hunt: _Hunt, union: _Union, double: bool, choice: Choice) -> Floats:
    """Return a bound of engines: exact but for depths, or at a price of accuracy."""
    periods = periods_of(hunt.field.tables(double), choice, union.net.runs)
    if union.sums is not None:
        return _exact_bound(hunt, union.sums, periods, double, len(choice))
    rates = np.full((1, 1), hunt.rate)
    swept = sweep(union.net, periods, double_buffered=double, rate=rates)
    total = np.asarray(swept.total, dtype=np.float64)
    bound: Floats = dual_bound(
        np.broadcast_to(total, (1, len(choice))),
        rates,
        goal=_goal(hunt.least),
        budget=hunt.cycles,
        spend=hunt.cost,
    )
    return np.ravel(bound)


def _exact_bound(
    hunt: _Hunt, sums: Sums, periods: Mapping[int, Periods], double: bool, size: int
) -> Floats:
    """Return the least of the goal that engines reach within the hunt's limits."""
    return exact_goals(
        sums,
        periods,
        size,
        double_buffered=double,
        goal=_goal(hunt.least),
        budget=hunt.cycles,
    ).astype(np.float64)


def _quick_limit(hunt: _Hunt, group: Group, double: bool) -> int:
    """Return a latency that some design of a group has within the cost.

    The fewest bits may cost too much together, though each is affordable; then what
    costs least is taken, whose ways all cost the same.
    """
    if hunt.apart is not None:
        return NO_LIMIT
    if _dearest(group.light) <= hunt.cost:
        return _first_limit(hunt.field, group, double)[0]
    floor = min(widths.floor for widths in group.widths)
    cheapest = hunt.field.groups(group.widths, floor)
    return min(_first_limit(hunt.field, each, double)[0] for each in cheapest)


def _first_limit(field: Field, group: Group, double: bool) -> tuple[int, Choice | None]:
    """Return a latency that some engine of a group reaches at its lightest runs.

    Some lane shapes are drawn, those with the lowest bounds priced, and the best one
    improved; only what it saves depends on the draw. `NO_LIMIT` if none is found. The
    lane shapes that reach it come with it.
    """
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
            for widths in group.widths:
                fits = np.flatnonzero(fitting(field, widths, double, choice))
                if fits.size == 0:
                    continue
                place = fits[np.argmin(exact[fits])]
                if best is None or int(exact[place]) < best[0]:
                    one = choice.take(np.array([place]))
                    best = (
                        int(exact[place]),
                        Choice(pixels=one.pixels, lanes=one.lanes, columns={}),
                    )
    return best


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


def _lane_blocks(hunt: _Hunt, group: Group, double: bool, choice: Choice) -> Ints:
    """Return the least blocks of lane shapes: every stage by itself."""
    field = hunt.field
    total = np.zeros(len(choice), dtype=np.int64)
    for role, lane in choice.lanes.items():
        total += field.lane_measure(group, role, double, hunt.measure)[
            choice.pixels, lane
        ]
    return total


def _try_engines(
    hunt: _Hunt,
    members: Sequence[Widths],
    double: bool,
    choice: Choice,
    cycles: Ints,
) -> None:
    """Look for better designs among engines with known least cycles."""
    order = np.argsort(cycles, kind="stable")
    choice, cycles = choice.take(order), cycles[order]
    served: list[tuple[Widths, NDArray[np.bool_]]] = []
    for widths in sorted(members, key=_widest_first):
        if widths.floor > hunt.cost:
            continue
        open_ = cycles <= hunt.cycles
        if hunt.least is not Least.BLOCKS:
            # Whatever runs on narrower stages runs on an engine that is wider too.
            for wider, fits in served:
                if _runs_all(hunt.field.graph, wider, widths):
                    open_ &= ~fits
        rows = np.flatnonzero(open_)
        if rows.size == 0:
            continue
        some = rows[fitting(hunt.field, widths, double, choice.take(rows))]
        fits = np.zeros(cycles.size, dtype=np.bool_)
        fits[some] = True
        served.append((widths, fits))
        if some.size:
            _close(hunt, widths, double, choice.take(some), cycles[some])


def _widest_first(widths: Widths) -> tuple[list[int], int, int]:
    wide = [-bits for bits in widths.bits.values()]
    return wide, -len(widths.passes), -len(widths.skips)


def _runs_all(graph: Graph, wider: Widths, widths: Widths) -> bool:
    """Return whether some widths run all that others do, nothing of it slower.

    In one pass a layer is never slower than in two.
    """
    for number, role in enumerate(ROLES):
        if wider.bits[role] < widths.bits[role]:
            return False
        if role in widths.skips and role not in wider.skips:
            return False
        if role in widths.passes and role not in wider.passes:
            most = graph.most[:, number]
            if wider.bits[role] <= most[most < MAX_BITS].max(initial=ABSENT):
                return False
    return True


def _net(hunt: _Hunt, widths: Widths) -> tuple[Net, bool]:
    """Return the ways of at most the cost, and whether all of them cost no more."""
    key = id(widths)
    if key not in hunt.nets:
        graph = hunt.field.graph
        allowed = graph.within(widths.allowed, hunt.cost)
        apart = hunt.apart
        net = make_net(graph, allowed, None if apart is None else apart.count)
        hunt.nets[key] = net, apart is None and _dearest(net) <= hunt.cost
    return hunt.nets[key]


def _sums(hunt: _Hunt, widths: Widths, net: Net) -> Sums | None:
    """Return the sums of costs in a net, `None` if too many or if answers differ."""
    if hunt.apart is not None:
        return None
    key = id(widths)
    if key not in hunt.sums:
        hunt.sums[key] = sums_of(net, hunt.cost)
    return hunt.sums[key]


def _dearest(net: Net) -> int:
    """Return the largest cost of any way over a net [micro-points]."""
    to_go: list[int] = []

    def most(node: int) -> int:
        ways = [e.cost + to_go[e.stop] for e in net.entries.get(node, ())]
        if node in net.finishes:
            ways.append(net.finishes[node].cost)
        return max(ways)

    for stop in net.stops:
        to_go.append(most(stop.end))
    return most(0)


def _close(
    hunt: _Hunt, widths: Widths, double: bool, choice: Choice, cycles: Ints
) -> None:
    """Look for better designs among engines of given widths, best first."""
    net, free = _net(hunt, widths)
    case = _Case(hunt, net, widths, double)
    if hunt.least is Least.BLOCKS:
        _close_blocks(case, choice)
        return
    if free and hunt.least is Least.CYCLES:
        # Whatever is fastest is cheap enough. The cycles are those of a search that
        # may have allowed a higher cost: lower bounds then, not to be taken for exact.
        for row in range(cycles.size):
            if int(cycles[row]) > hunt.cycles:
                return
            one = choice.take(np.array([row]))
            case.settle_all(one, case.periods(one), case.rate(one))
        return
    sums = _sums(hunt, widths, net)
    for start in range(0, cycles.size, BATCH):
        rows = np.arange(start, min(start + BATCH, cycles.size))
        rows = rows[cycles[rows] <= hunt.cycles]
        if rows.size == 0:
            return
        hunt.counts.bounded += rows.size
        prune = sums is None
        some, periods, bound, rates = _bounds(case, choice.take(rows), prune=prune)
        if sums is not None and len(some):
            bound = _exact_bound(hunt, sums, periods, double, len(some))
        order = np.argsort(bound, kind="stable")
        for first in range(0, order.size, CLOSED):
            part = order[first : first + CLOSED]
            if float(bound[part[0]]) > _goal_limit(hunt) + 1e-3:
                break
            own = {number: made.take(part) for number, made in periods.items()}
            case.settle_all(some.take(part), own, rates[part])


@dataclass(frozen=True, slots=True)
class _Case:
    """Engines of given widths and buffering under a hunt."""

    hunt: _Hunt
    net: Net
    widths: Widths
    double: bool

    def periods(self, choice: Choice) -> dict[int, Periods]:
        """Return the periods of engines."""
        return periods_of(self.hunt.field.tables(self.double), choice, self.net.runs)

    def rate(self, choice: Choice) -> Floats:
        """Return a guess of the price of accuracy for each engine."""
        rates, key = self.hunt.rates, (id(self.widths), self.double)
        if key not in rates:
            rates[key] = guessed_rate(self.net, self.periods(choice), self.double)
        return np.full(len(choice), rates[key])

    def outlooks(
        self, periods: Mapping[int, Periods], rates: Floats
    ) -> list[Outlook | None]:
        """Return what is to come for engines side by side."""
        hunt = self.hunt
        return outlooks(
            self.net,
            periods,
            double_buffered=self.double,
            goal=_goal(hunt.least),
            budget=hunt.cycles,
            spend=hunt.cost,
            rates=rates,
        )

    def way(self, periods: Mapping[int, Periods], outlook: Outlook) -> Way | None:
        """Return the best way of one engine within the limits, if there is one."""
        hunt = self.hunt
        hunt.counts.closed += 1
        return best_way(
            self.net,
            periods,
            outlook,
            double_buffered=self.double,
            goal=_goal(hunt.least),
            budget=hunt.cycles,
            spend=hunt.cost,
            apart=hunt.apart,
        )

    def settle_all(
        self, choice: Choice, periods: Mapping[int, Periods], rates: Floats
    ) -> None:
        """Keep the best design of each engine that has a better one."""
        for place, outlook in enumerate(self.outlooks(periods, rates)):
            limit = _goal_limit(self.hunt)
            if outlook is None or outlook.least > limit + 1e-3:
                continue
            one = np.array([place])
            way = self.way({n: made.take(one) for n, made in periods.items()}, outlook)
            if way is not None:
                self.keep(choice.take(one), way)

    def keep(self, one: Choice, way: Way) -> None:
        """Keep a design of one engine that fits the board."""
        columns, room = self.columns(one), self.room(one)
        steps = room.best_steps(columns, self.hunt.measure)
        assert steps is not None, "the engine fits"
        self.hunt.take(
            Found(
                widths=self.widths,
                double=self.double,
                place=int(one.pixels[0]),
                columns=columns,
                steps=steps,
                way=way,
                blocks=room.measured(columns, steps, self.hunt.measure),
            )
        )

    def room(self, one: Choice) -> Room:
        """Return the room of one engine's pixels."""
        return self.hunt.field.room(self.widths, int(one.pixels[0]), self.double)

    @staticmethod
    def columns(one: Choice) -> dict[Role, int]:
        """Return the columns of one engine."""
        return {role: int(index[0]) for role, index in one.columns.items()}


def _goal_limit(hunt: _Hunt) -> int:
    return hunt.cost if hunt.least is Least.COST else hunt.cycles


def _goal(least: Least) -> Goal:
    return Goal.COST if least is Least.COST else Goal.CYCLES


def _bounds(
    case: _Case, choice: Choice, *, prune: bool
) -> tuple[Choice, dict[int, Periods], Floats, Floats]:
    """Return the engines within reach, their periods, bounds and best rates.

    Args:
        case: What they are engines of.
        choice: Engines.
        prune: Leave out engines that take at least as long as another one in every row.
    """
    hunt = case.hunt
    every = case.periods(choice)
    if prune:
        first = _distinct(every, len(choice))
        choice = choice.take(first)
        every = {number: made.take(first) for number, made in every.items()}
    goal, limit = _goal(hunt.least), _goal_limit(hunt) + 1e-3
    bound = np.full(len(choice), -np.inf)
    sharpest = case.rate(choice)
    alive = np.arange(len(choice))
    for spread in (np.ones(1), SPREAD, SPREAD**0.25):
        some = {number: made.take(alive) for number, made in every.items()}
        rates = sharpest[None, alive] * spread[:, None]
        swept = sweep(case.net, some, double_buffered=case.double, rate=rates)
        total = np.broadcast_to(np.asarray(swept.total, dtype=np.float64), rates.shape)
        bounds = dual_bound(
            total, rates, goal=goal, budget=hunt.cycles, spend=hunt.cost
        )
        best = bounds.argmax(axis=0)
        across = np.arange(alive.size)
        better = bounds[best, across] > bound[alive]
        sharpest[alive[better]] = rates[best, across][better]
        bound[alive] = np.maximum(bound[alive], bounds[best, across])
        alive = alive[bound[alive] <= limit]
        if alive.size == 0:
            break
    if alive.size:
        key = id(case.widths), case.double
        hunt.rate = float(sharpest[alive[np.argmin(bound[alive])]])
        hunt.rates[key] = hunt.rate
    if prune and alive.size:
        alive = _undominated(every, alive[np.argsort(bound[alive])])
    return (
        choice.take(alive),
        {number: made.take(alive) for number, made in every.items()},
        bound[alive],
        sharpest[alive],
    )


def _distinct(periods: Mapping[int, Periods], size: int) -> Ints:
    """Return one of all engines whose periods are equal, and every other engine.

    Engines are paired by a random sum of their rows and then compared row by row, so
    that no engine stands for one that differs.
    """
    rows = [v for made in periods.values() for v in made.arrays if v.ndim]
    rng = np.random.default_rng(0)
    total = np.zeros(size, dtype=np.uint64)
    for values in rows:
        total = total + values.astype(np.uint64) * rng.integers(2**63, dtype=np.uint64)
    _, first, group = np.unique(total, return_index=True, return_inverse=True)
    twin = first[group.reshape(-1)]
    alone = twin == np.arange(size)
    for values in rows:
        alone |= values != values[twin]
    return np.flatnonzero(alone)


def _row_table(periods: Mapping[int, Periods], size: int) -> Ints:
    """Return the rows of all runs that differ between engines, (size, rows)."""
    rows = [v for made in periods.values() for v in made.arrays if v.ndim]
    return np.stack(rows, axis=1) if rows else np.zeros((size, 0), dtype=np.int64)


def _undominated(periods: Mapping[int, Periods], alive: Ints) -> Ints:
    """Return the engines of `alive` that none of the first kept ones beats in all rows.

    Args:
        periods: Of all engines.
        alive: Engines, the most promising first.
    """
    table = _row_table({n: made.take(alive) for n, made in periods.items()}, alive.size)
    most = max(1, COMPARED // max(1, table.shape[1]))
    kept: list[int] = []
    for place in range(alive.size):
        if not (table[kept[:most]] <= table[place]).all(axis=1).any():
            kept.append(place)
    return alive[kept]


def _close_blocks(case: _Case, choice: Choice) -> None:
    """Look for designs of fewer blocks, smallest engines first."""
    hunt = case.hunt
    choice, periods, _, rates = _bounds(case, choice, prune=False)
    if not len(choice):
        return
    least = np.zeros(len(choice), dtype=np.int64)
    for place in np.unique(choice.pixels):
        here = np.flatnonzero(choice.pixels == place)
        room = hunt.field.room(case.widths, int(place), case.double)
        columns = {role: index[here] for role, index in choice.columns.items()}
        least[here] = room.least_measures(columns, hunt.measure)
    table = _row_table(periods, len(choice))
    # What a fast engine cannot do, no engine that is nowhere faster can.
    quick = np.argsort(table.sum(axis=1), kind="stable")[:QUICK]
    failed: list[int] = []
    order = np.concatenate([quick, np.argsort(least, kind="stable")])
    for row in order:
        if int(least[row]) > hunt.blocks:
            continue
        if failed and (table[failed] <= table[row]).all(axis=1).any():
            continue
        one = choice.take(np.array([row]))
        columns_, room = case.columns(one), case.room(one)
        steps = room.best_steps(columns_, hunt.measure)
        assert steps is not None, "the engine fits"
        if room.measured(columns_, steps, hunt.measure) > hunt.blocks:
            continue
        own = {number: made.take(np.array([row])) for number, made in periods.items()}
        (outlook,) = case.outlooks(own, rates[[row]])
        way = None if outlook is None else case.way(own, outlook)
        if way is None:
            failed.append(int(row))
        else:
            case.keep(one, way)
