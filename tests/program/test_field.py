"""Tables, bounds, fits and labels of a field against plain enumeration."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.cost.pairs import besides
from hao.cost.paths import Path
from hao.cost.prices import price_segment
from hao.cost.segment_price import SegmentPrice
from hao.engine.stages import lanes_match
from hao.errors import InfeasibleError
from hao.ir.partition import Role
from hao.ir.tensor import Shape
from hao.program import quick, reach, search, shapes, sieve
from hao.program.bounded import best_first
from hao.program.by_cost import exact_goals, sums_of
from hao.program.codesign import choose_fastest, choose_most_accurate, field_of
from hao.program.dominance import distinct
from hao.program.engines import expand, fitting, priced, widest
from hao.program.exact import Goal, outlooks
from hao.program.field import Field, Group
from hao.program.fit import neighbours
from hao.program.gather import periods_of
from hao.program.graph import FAR
from hao.program.hunt import Found, Hunt, Least, Limits
from hao.program.labels import best_way
from hao.program.lanes import lane_bounds
from hao.program.periods import RowPlaces, RunPeriods
from hao.program.problem import Problem
from hao.program.search import find
from hao.program.sieve import sieved, swept_bound
from hao.program.space import Grid, Space
from hao.program.sweep import Net, make_net, sweep
from hao.program.tables import Choice
from tests.program.instances import (
    Builder,
    board,
    random_options,
    random_problem,
)

SEEDS = (0, 1, 2, 3, 6, 8, 9)
Engine = tuple[int, ...]
Ints = NDArray[np.int64]


def _field(seed: int, choices: int = 1) -> Field:
    return Field(random_problem(seed, choices=choices, layers=3))


def _bufferings(field: Field) -> tuple[bool, ...]:
    return field.problem.space.buffering


def _all_engines(field: Field, group: Group, double: bool) -> Choice:
    """Return every tuple of pixels and columns whose lanes match."""
    grids = field.tables(double).grids
    roles = group.roles
    counts = [range(grids[role].words.size) for role in roles]
    found = [
        engine
        for engine in product(range(len(field.pixels)), *counts)
        if all(
            lanes_match(
                int(grids[a].lanes_out[grids[a].lane_of[engine[1 + roles.index(a)]]]),
                int(grids[b].lanes_in[grids[b].lane_of[engine[1 + roles.index(b)]]]),
            )
            for a, b in neighbours(dict.fromkeys(roles))
        )
    ]
    table = np.array(found, dtype=np.int64).reshape(-1, 1 + len(roles))
    columns = {role: table[:, 1 + i] for i, role in enumerate(roles)}
    return Choice(
        pixels=table[:, 0],
        lanes={role: grids[role].lane_of[index] for role, index in columns.items()},
        columns=columns,
    )


def _key(choice: Choice, row: int) -> Engine:
    columns = (int(index[row]) for index in choice.columns.values())
    return (int(choice.pixels[row]), *columns)


def _cycles(field: Field, net: Net, double: bool, choice: Choice) -> Ints:
    periods = periods_of(field.tables(double), choice, net.runs)
    swept = sweep(net, periods, double_buffered=double)
    return np.broadcast_to(swept.total, (len(choice),))


def _cases(field: Field) -> Iterator[tuple[Group, bool]]:
    for group in field.groups(field.widths, 1 << 40):
        for double in _bufferings(field):
            yield group, double


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_every_engine_within_a_limit_is_listed(seed: int, share: float) -> None:
    field = _field(seed)
    for group, double in _cases(field):
        every = _all_engines(field, group, double)
        if not len(every):
            continue
        cycles = _cycles(field, group.light, double, every)
        real = np.sort(cycles[cycles < FAR])
        if not real.size:
            continue
        limit = int(real[int(share * (real.size - 1))])
        expected = {}
        for widths in group.widths:
            fits = fitting(field, widths, double, every)
            for row in np.flatnonzero(fits & (cycles <= limit)):
                expected[_key(every, int(row))] = int(cycles[row])
        parts = [
            priced(field, group, double, some, limit)
            for some in lane_bounds(field, group, double).each(limit)
        ]
        bounded = best_first(parts, group.roles)
        assert (np.diff(bounded.bound) >= 0).all()
        listed = {}
        for choice, exact in expand(field, group, double, bounded.choice, limit):
            ordered = {role: choice.columns[role] for role in group.roles}
            choice = Choice(pixels=choice.pixels, lanes=choice.lanes, columns=ordered)
            for place in range(len(choice)):
                listed[_key(choice, place)] = int(exact[place])
        assert expected.items() <= listed.items()
        assert all(value <= limit for value in listed.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_bounds_of_lane_shapes_are_below_every_engine(seed: int) -> None:
    field = _field(seed)
    for group, double in _cases(field):
        every = _all_engines(field, group, double)
        if not len(every):
            continue
        cycles = _cycles(field, group.light, double, every)
        parts = [
            priced(field, group, double, some, int(FAR) - 1)
            for some in lane_bounds(field, group, double).each(1 << 45)
        ]
        bounded = best_first(parts, group.roles)
        bound = {
            (
                int(bounded.choice.pixels[row]),
                *(int(i[row]) for i in (bounded.choice.lanes[r] for r in group.roles)),
            ): int(bounded.bound[row])
            for row in range(bounded.bound.size)
        }
        for row in range(len(every)):
            key = (
                int(every.pixels[row]),
                *(int(every.lanes[r][row]) for r in group.roles),
            )
            if key in bound:
                assert bound[key] <= cycles[row]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rate", [0.0, 0.01, 1.0])
def test_the_sieve_keeps_all_that_are_within_the_limit(
    seed: int, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sieve, "FEW", 0)
    monkeypatch.setattr(sieve, "SHARED", 0)
    field, dropped = _field(seed, choices=2), 0
    for group, double in _cases(field):
        allowed = np.logical_or.reduce([w.allowed for w in group.widths])
        net = make_net(field.graph, allowed)
        for choice in lane_bounds(field, group, double).each(1 << 45):
            periods = periods_of(field.tables(double), choice, net.runs)
            swept = sweep(net, periods, double_buffered=double, rate=rate)
            total = np.broadcast_to(swept.total, (len(choice),)).astype(np.float64)
            for limit in np.quantile(total, [0.0, 0.1, 0.5]):
                tables = field.tables(double)
                bound = swept_bound(tables, net, double, rate)
                kept = sieved(tables, choice, bound, limit)
                assert set(np.flatnonzero(total <= limit)) <= set(kept)
                dropped += len(choice) - kept.size
    # Fields without one of the stages have no pairs beside it.
    stages = max(len(group.roles) for group, _ in _cases(field))
    assert (dropped > 0) == (stages == len(Role))


@pytest.mark.parametrize("percent", [33, 36, 40])
def test_columns_that_are_left_out_are_part_of_no_engine_that_fits(
    percent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[tuple[Role, bool], NDArray[np.bool_]] = {}
    real = Field._may_fit

    def noted(self: Field, grid: Grid, double: bool) -> NDArray[np.bool_]:
        kept[grid.role, double] = real(self, grid, double)
        return np.ones(grid.words.size, dtype=np.bool_)

    monkeypatch.setattr(Field, "_may_fit", noted)
    problem, fitted = random_problem(2, layers=3), 0
    had = problem.board.resources
    lut, dsp = had.lut * percent // 100, had.dsp * percent // 100
    less = replace(had, lut=lut, dsp=dsp)
    board = replace(problem.board, resources=less, lutram=lut)
    field = Field(replace(problem, board=board))
    for group, double in _cases(field):
        every = _all_engines(field, group, double)
        for widths in group.widths:
            fits = fitting(field, widths, double, every)
            fitted += int(fits.sum())
            for role, index in every.columns.items():
                if role is not Role.DEPTHWISE:
                    assert kept[role, double][index[fits]].all()
    assert fitted
    assert any((~columns).any() for columns in kept.values())


@pytest.mark.parametrize("seed", [2, 3, 6, 9])
def test_other_costs_give_what_a_problem_of_its_own_gives(seed: int) -> None:
    problem = random_problem(seed, choices=2, layers=3)
    rng = np.random.default_rng(seed)
    options = tuple(
        replace(option, cost_micro=int(rng.integers(0, 1_000_000)))
        for option in problem.options
    )
    fresh = replace(problem, options=options)
    fewest = find(Field(problem), Least.CYCLES, Limits())
    assert fewest is not None
    field_of(problem).tables(True)
    again = problem.with_option_costs(options)
    assert field_of(again).tables(True) is field_of(problem).tables(True)
    assert again.graph.arcs == fresh.graph.arcs
    assert again.graph.finishes == fresh.graph.finishes
    for budget in (fewest.way.cycles, fewest.way.cycles * 3 // 2):
        answers = [
            choose_most_accurate(one, budget=budget) for one in (again, fresh, problem)
        ]
        assert answers[0].design == answers[1].design
        assert answers[0].objective == answers[1].objective


def _price_rows(price: SegmentPrice, batch: int) -> tuple[int, ...]:
    """Return cycles alone, and of what loads are added to, of single columns."""

    def value(path: Path) -> int:
        return path.constant + sum(int(np.ravel(t)[0]) for t in path.terms.values())

    ddr = max(value(path) for path in price.ddr)
    alone = max([ddr, *(value(path) for path in price.paths)])
    if not all(bool(f[0]) for f in price.feasible.values()):
        alone = int(FAR)
    arrays = value(price.standing), value(price.held)
    return alone, *besides(alone, value(price.beside), ddr, arrays, batch=batch)


@pytest.mark.parametrize("seed", SEEDS)
def test_tables_hold_the_prices_of_single_engines(seed: int) -> None:
    field = _field(seed, choices=2)
    rng = np.random.default_rng(seed)
    for group, double in _cases(field):
        every = _all_engines(field, group, double)
        if not len(every):
            continue
        rows = rng.choice(len(every), min(6, len(every)), replace=False)
        some = every.take(rows)
        tables = field.tables(double)
        numbers = range(len(field.graph.runs))
        numbers_ = [
            n
            for n in numbers
            if all(r in some.columns for r, _ in field.graph.runs[n].invocation.stages)
        ]
        periods = periods_of(tables, some, numbers_)
        for place in range(len(some)):
            px = field.pixels[int(some.pixels[place])]
            columns = {
                role: tables.grids[role].columns(index[[place]], 8)
                for role, index in some.columns.items()
            }
            for number in numbers_:
                run = field.graph.runs[number]
                price = price_segment(
                    run.invocation, columns, run.weight_bits, field.setting(px, double)
                )
                made = periods[number]
                got = tuple(
                    int(np.broadcast_to(v, (len(some),))[place])
                    for v in (made.alone, *made.beside)
                )
                want = _price_rows(price, field.problem.board.batch)
                assert got[0] == want[0] or min(got[0], want[0]) >= FAR
                if want[0] < FAR:
                    assert got[1:] == want[1:]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_engine_fits_if_some_steps_do(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def all_columns(self: Field, grid: Grid, double: bool) -> NDArray[np.bool_]:
        return np.ones(grid.words.size, dtype=np.bool_)

    monkeypatch.setattr(Field, "_may_fit", all_columns)
    field = _field(seed)
    rng = np.random.default_rng(seed)
    seen = set()
    for group, double in _cases(field):
        every = _all_engines(field, group, double)
        if not len(every):
            continue
        some = every.take(rng.choice(len(every), min(60, len(every)), replace=False))
        for widths in group.widths:
            fits = fitting(field, widths, double, some)
            for row in range(len(some)):
                room = field.room(widths, int(some.pixels[row]), double)
                columns = {
                    role: int(index[row]) for role, index in some.columns.items()
                }
                steps = room.best_steps(columns)
                assert bool(fits[row]) == (steps is not None)
                seen.add(steps is not None)
                if steps is not None:
                    single = {r: np.array([c]) for r, c in columns.items()}
                    taken = {r: np.array([s]) for r, s in steps.items()}
                    assert room.fits(single, taken)[0]
    assert seen


def _all_ways(net: Net, periods: RunPeriods, double: bool) -> list[tuple[int, int]]:
    """Return cycles and cost of every way of one engine, by recursion."""

    def one(values: Ints) -> int:
        return int(np.ravel(values)[0])

    found = []

    def onward(node: int, before: int | None, cycles: int, cost: int) -> None:
        if before is not None and node in net.finishes:
            alone = one(periods[before].alone)
            found.append((cycles + alone, cost + net.finishes[node].cost))
        for entry in net.entries.get(node, ()):
            after = periods[entry.run]
            stop = net.stops[entry.stop]
            if before is None:
                took = one(after.serial)
            else:
                here = periods[before]
                took = one(here.alone)
                if double:
                    pairs = zip(here.beside, after.opening, strict=True)
                    took = max(took, *(one(a) + one(b) for a, b in pairs))
                else:
                    took += one(after.serial)
            onward(stop.end, stop.run, cycles + took, cost + entry.cost)

    onward(0, None, 0, 0)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_find_the_best_way_of_an_engine(seed: int) -> None:
    field = _field(seed, choices=3)
    rng = np.random.default_rng(seed)
    for widths in field.widths[:2]:
        (group,) = field.groups([widths], 1 << 40)
        for double in _bufferings(field):
            every = _all_engines(field, group, double)
            if not len(every):
                continue
            one = every.take(rng.choice(len(every), 1))
            net = make_net(field.graph, widths.allowed)
            periods = periods_of(field.tables(double), one, net.runs)
            ways = [way for way in _all_ways(net, periods, double) if way[0] < FAR]
            if not ways:
                continue
            costs = sorted({cost for _, cost in ways})
            cycles = sorted({taken for taken, _ in ways})
            for goal, limits in product(Goal, product(costs[:4], cycles[:4])):
                spend, budget = limits
                inside = [w for w in ways if w[0] <= budget and w[1] <= spend]
                key = (lambda w: w) if goal is Goal.CYCLES else (lambda w: w[::-1])
                want = min(inside, key=key, default=None)
                for rate in (1e-6, 1e-3, 1.0):
                    (outlook,) = outlooks(
                        net,
                        periods,
                        double_buffered=double,
                        goal=goal,
                        budget=budget,
                        spend=spend,
                        rates=np.array([rate]),
                    )
                    way = None
                    if outlook is not None:
                        way = best_way(
                            net,
                            periods,
                            outlook,
                            double_buffered=double,
                            goal=goal,
                            budget=budget,
                            spend=spend,
                        )
                    got = None if way is None else (way.cycles, way.cost)
                    assert got == want


@pytest.mark.parametrize("seed", SEEDS)
def test_sums_of_costs_tell_the_best_ways_of_engines_side_by_side(seed: int) -> None:
    field = _field(seed, choices=3)
    rng = np.random.default_rng(seed)
    widths = field.widths[-1]
    (group,) = field.groups([widths], 1 << 40)
    for double in _bufferings(field):
        every = _all_engines(field, group, double)
        if not len(every):
            continue
        some = every.take(rng.choice(len(every), 5))
        net = make_net(field.graph, widths.allowed)
        periods = periods_of(field.tables(double), some, net.runs)
        ways = []
        for place in range(len(some)):
            own = periods.take(np.array([place]))
            ways.append([way for way in _all_ways(net, own, double) if way[0] < FAR])
        costs = sorted({cost for found in ways for _, cost in found})
        cycles = sorted({taken for found in ways for taken, _ in found})
        for goal, spend, budget in product(Goal, costs[::3], cycles[:9:2]):
            sums = sums_of(net, spend)
            assert sums is not None
            got = exact_goals(
                sums, periods, double_buffered=double, goal=goal, budget=budget
            )
            for place, found in enumerate(ways):
                want = min(
                    (
                        taken if goal is Goal.CYCLES else cost
                        for taken, cost in found
                        if cost <= spend and (taken <= budget or goal is Goal.CYCLES)
                    ),
                    default=FAR,
                )
                assert min(got[place], FAR) == want
            if goal is Goal.COST:
                # Of ties with a known design, only those as fast are of interest.
                kept = exact_goals(
                    sums,
                    periods,
                    double_buffered=double,
                    goal=goal,
                    budget=np.where(sums.whole >= spend, cycles[0], budget),
                )
                for place, found in enumerate(ways):
                    fast = any(c <= spend and t <= cycles[0] for t, c in found)
                    slow = got[place] == spend and not fast
                    assert kept[place] == (FAR if slow else got[place])


@pytest.mark.parametrize("rate", [0.0, 1e-3, 1e-1])
def test_what_tiles_load_in_all_bounds_engines_whose_depths_are_open(
    rate: float,
) -> None:
    sharper = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        # Weights that take longer to load than to be used, in several tiles.
        made = Builder(Shape(channels=64, height=2, width=2))
        for channels in rng.choice([64, 80, 96], 4).tolist():
            made.conv(channels, 1)
        problem = Problem(
            network=made.network(),
            options=random_options(rng, made.network(), 2),
            board=board(lut=400_000, bram_18k=900, ddr_kbytes_per_s=800_000),
            act_bits=8,
            space=Space(pixels=(1,), lanes=(4, 8), taps=(1,), depths=(128, 512, 2048)),
        )
        field = Field(problem)
        group = field.by_stages(field.widths, 1 << 40)[-1]
        allowed = np.logical_or.reduce([widths.allowed for widths in group.widths])
        net = make_net(field.graph, allowed)
        every = _all_engines(field, group, True)
        shapes = replace(every, columns={})
        exact, open_ = (
            periods_of(field.tables(True), choice, net.runs)
            for choice in (every, shapes)
        )
        assert not exact.loading
        three = exact, open_, replace(open_, loading=())
        least, bound, loose = (
            sweep(net, periods, double_buffered=True, rate=rate).total
            for periods in three
        )
        assert (bound <= least + 1e-6).all()
        assert (bound >= loose - 1e-6).all()
        sharper += int((bound > loose + 1).sum())
    assert sharper > 200


@pytest.mark.parametrize("seed", [*SEEDS, 7, 12])
def test_the_widest_that_may_fit_is_no_narrower_than_what_fits(seed: int) -> None:
    field = _field(seed, choices=3)
    narrowed = False
    for group, double in _cases(field):
        every = _all_engines(field, group, double)
        if not len(every):
            continue
        shapes = Choice(pixels=every.pixels, lanes=every.lanes, columns={})
        for choice in (every, shapes):
            found = widest(field, group.widths, double, choice)
            for widths in group.widths:
                own = np.array([widths.bits[role] for role in choice.lanes])
                fits = fitting(field, widths, double, every)
                assert (found[fits] >= own).all()
            top = np.max([[w.bits[r] for r in group.roles] for w in group.widths], 0)
            narrowed |= bool((found < top).any())
    assert narrowed or seed not in (7, 12)


def test_a_listed_search_finds_what_a_fresh_one_finds() -> None:
    compared = 0
    for seed in (2, 3, 6, 8, 9):
        problem = random_problem(seed, choices=3, layers=4)
        try:
            first = choose_fastest(problem)
        except InfeasibleError:
            continue
        assert choose_fastest(problem).design == first.design
        compared += 1
    assert compared


def test_a_quick_limit_is_reached_within_the_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # At seed 4 the fewest bits that each layer can afford take 1735 cycles, but all of
    # them together cost too much: no design is that fast.
    problem = random_problem(4, choices=3, layers=4)
    seen: list[int] = []

    def noted(hunt: Hunt, group: Group, double: bool) -> int:
        seen.append(real(hunt, group, double))
        return seen[-1]

    real = quick.quick_limit
    monkeypatch.setattr(search, "quick_limit", noted)
    monkeypatch.setattr(shapes, "LOOSE", 1e-3)
    fastest = find(Field(problem), Least.CYCLES, Limits())
    assert fastest is not None
    floor = Field(problem).widths[0].floor
    for share in (0.0, 0.3, 0.6, 1.0):
        cost = int(floor + share * (fastest.way.cost - floor))
        seen.clear()
        found = find(Field(problem), Least.CYCLES, Limits(cost=cost))
        assert found is not None
        assert min(seen) >= found.way.cycles


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_a_known_design_is_beaten_or_returned(seed: int) -> None:
    problem = random_problem(seed, choices=3, layers=4)
    field = Field(problem)
    best = find(field, Least.CYCLES, Limits())
    if best is None:
        return
    assert find(field, Least.CYCLES, Limits(), known=best) is best
    cheap = find(field, Least.COST, Limits())
    assert cheap is not None
    limits = Limits(cost=cheap.way.cost)
    got = find(field, Least.CYCLES, limits, known=cheap)
    want = find(Field(problem), Least.CYCLES, limits)
    assert got is not None
    assert want is not None
    assert got.way.cycles == want.way.cycles


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_a_first_design_is_found_where_there_is_one(seed: int) -> None:
    problem = random_problem(seed, choices=3, layers=4)
    best = find(Field(problem), Least.CYCLES, Limits())
    if best is None:
        return
    floor = Field(problem).widths[0].floor
    for share, spend in product((0.9, 1.0, 1.1, 3.0), (floor, best.way.cost)):
        limits = Limits(cycles=int(share * best.way.cycles), cost=spend)
        first = find(Field(problem), Least.CYCLES, limits, first=True)
        assert (first is None) == (find(Field(problem), Least.CYCLES, limits) is None)
        if first is not None:
            assert first.way.cycles <= limits.cycles
            assert first.way.cost <= spend


@pytest.mark.parametrize("seed", SEEDS)
def test_a_searched_field_answers_like_a_fresh_one(seed: int) -> None:
    problem = random_problem(seed, choices=3, layers=4)
    field = Field(problem)
    fastest = find(field, Least.CYCLES, Limits())
    if fastest is None:
        return
    rng = np.random.default_rng(seed)
    slow = int(fastest.way.cycles * 1.3) + 1
    for _ in range(6):
        least = Least(rng.choice([each.value for each in Least]))
        cost = int(rng.integers(field.widths[0].floor, fastest.way.cost + 1))
        limits = Limits(cycles=int(rng.integers(fastest.way.cycles, slow)), cost=cost)
        again, fresh = find(field, least, limits), find(Field(problem), least, limits)
        assert (again is None) == (fresh is None)
        if again is not None and fresh is not None:
            assert _value(again, least) == _value(fresh, least)


@pytest.mark.parametrize(("most", "left"), [(12, 12), (11, 4), (4, 4), (3, None)])
def test_engines_far_from_the_best_are_dropped_before_a_list_is_given_up(
    most: int, left: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = Field(random_problem(2, choices=3, layers=4))
    (group, *_) = field.by_stages(field.widths, field.widths[0].floor)
    hunt = Hunt(field=field, least=Least.COST, cycles=1)
    # Two lists of six engines, of each of which the two at the third pixels are near.
    pixels = np.arange(6) % 3
    engines = Choice(pixels=pixels, lanes={}, columns={})
    kept = [(engines, pixels), (engines, pixels)]
    monkeypatch.setattr(
        reach, "within_reach", lambda *args: np.flatnonzero(args[3].pixels == 2)
    )
    assert reach.are_few(hunt, group, True, kept, most) is (left is not None)
    if left is not None:
        assert sum(len(choice) for choice, _ in kept) == left
        assert all((cycles == choice.pixels).all() for choice, cycles in kept)


def _value(found: Found, least: Least) -> int:
    match least:
        case Least.CYCLES:
            return found.way.cycles
        case Least.COST:
            return found.way.cost
        case Least.BLOCKS:
            return found.blocks


def test_engines_that_differ_do_not_stand_for_each_other() -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(0, 3, (3, 200))
    one, two, none = (np.full((1, 1), value) for value in (1, 2, 0))
    varies, fixed = np.array([False]), np.array([True])
    layout = RowPlaces(
        {0: 0}, {0: 0}, {}, (varies, varies, varies, fixed, fixed, fixed)
    )
    alone, beside, ddr = table[:, None]
    made = RunPeriods(layout, (alone, beside, ddr, one, two, none))
    first = distinct(made, 200)
    rows = {tuple(column) for column in table.T}
    assert {tuple(table[:, place]) for place in first} == rows
    assert first.size == len(rows)
