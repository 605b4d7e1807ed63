"""Rough bounds of lane shapes are below exact ones, and exclude no engine in time."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from hao.answer.candidates import BitRules
from hao.hw.board_file import load_board
from hao.hw.calibration import Calibration
from hao.options.bits import bit_options
from hao.program import rough, sieve
from hao.program.by_cost import exact_goals, sums_of
from hao.program.codesign import field_of
from hao.program.engines import light_cycles, priced
from hao.program.exact import Goal
from hao.program.field import Field, Group
from hao.program.gather import periods_of
from hao.program.graph import FAR
from hao.program.hunt import NO_LIMIT, bufferings
from hao.program.lanes import LaneBounds, lane_bounds
from hao.program.partly import PartlyPriced, in_budget, in_time
from hao.program.periods import Periods
from hao.program.problem import Problem
from hao.program.rough import (
    any_by_stage,
    any_within,
    left_within,
    rough_prices,
    rough_tables,
)
from hao.program.sweep import make_net
from hao.program.tables import Choice
from hao.program.triples import Prices
from hao.zoo import build_network
from tests.program.instances import random_problem

SEEDS = (0, 2, 6, 9)
BATCHES = (1, 3, 1, 2)
"""Frames of a start, of each of them."""

DRAWN = 400


def _zoo_problem(name: str, size: int) -> Problem:
    network = build_network(name, size)
    options = bit_options(
        network,
        choices=BitRules().choices,
        drop_by_bits={4: 3.0, 6: 1.0, 8: 0.1},
        keep_first_last=True,
        two_passes=True,
    )
    return Problem(network=network, options=options, board=load_board("zu3eg"))


@cache
def _cases() -> list[tuple[Field, Group]]:
    fields_ = [
        Field(p.on_board(replace(p.board, batch=batch)))
        for seed, batch in zip(SEEDS, BATCHES, strict=True)
        for p in [random_problem(seed, choices=2, layers=4)]
    ]
    fields_.append(Field(_zoo_problem("mobilenet_v4_conv_small_050", 96)))
    fields_.append(Field(_zoo_problem("resnet8_cifar", 32)))
    return [
        (field, group)
        for field in fields_
        for group in field.groups(field.widths, NO_LIMIT)[:3]
    ]


def _drawn(field: Field, group: Group) -> Choice:
    rng = np.random.default_rng(0)
    grids = field.tables(True).grids
    return Choice(
        pixels=rng.integers(0, len(field.pixels), DRAWN),
        lanes={r: rng.integers(0, grids[r].lanes, DRAWN) for r in group.roles},
        columns={},
    )


def _rows(periods: Periods) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    every = periods.alone, *periods.beside, *periods.opening, periods.serial
    return [np.broadcast_to(row, (DRAWN,)) for row in every]


def _check_runs(field: Field, group: Group, double: bool, prices: Prices) -> None:
    choice, numbers = _drawn(field, group), group.light.runs
    low = periods_of(prices.tables, choice, numbers)
    exact = periods_of(field.tables(double), choice, numbers)
    for number in numbers:
        # Where no buffer holds the run, only that it cannot be done is of interest.
        possible = np.broadcast_to(exact[number].alone, (DRAWN,)) < FAR
        pairs = zip(_rows(low[number]), _rows(exact[number]), strict=True)
        assert all((least <= own)[possible].all() for least, own in pairs)


def test_no_run_is_shorter_and_no_stage_smaller_than_rough_prices_say() -> None:
    for field, group in _cases():
        for double in bufferings(field):
            prices = rough_prices(field, group, double)
            _check_runs(field, group, double, prices)
            for role in group.roles:
                least = field.lane_area(group.widths, role, double)
                own = prices.areas[role]
                assert (own.surrogate <= least.surrogate).all()
                assert (own.bram_18k <= least.bram_18k).all()


def _engines(choice: Choice) -> set[tuple[int, ...]]:
    return set(zip(choice.pixels, *choice.lanes.values(), strict=True))


def test_what_rough_bounds_exclude_exact_bounds_exclude() -> None:
    excluded = 0
    for field, group in _cases():
        for double in bufferings(field):
            exact = lane_bounds(field, group, double)
            least = exact.least
            if least >= FAR:
                continue
            for limit in (least // 2, least * 9 // 10, least, least * 3 // 2):
                if any_within(field, group, double, limit):
                    assert any_by_stage(field, group, double, limit)
                    continue
                excluded += 1
                for some in exact.each(limit):
                    assert not len(priced(field, group, double, some, limit).choice)
    assert excluded


@pytest.mark.parametrize("percent", [100, 110, 150])
def test_bounds_of_pairs_leave_all_lane_shapes_in_time(
    percent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Few lane shapes are taken for many; none are tried first.
    for module, name in ((rough, "FEW"), (sieve, "FEW"), (sieve, "SHARED")):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(rough, "WORTH", 1)
    monkeypatch.setattr(rough, "EACH", 0)
    dropped = 0
    for field, group in _cases()[2:4]:
        field.bounds.clear()
        exact = lane_bounds(field, group, True)
        limit = exact.least * percent // 100
        left = left_within(field, group, True, limit)
        assert left is not None
        for some in exact.each(limit):
            fast = priced(field, group, True, some, limit).choice
            assert _engines(fast) <= _engines(left)
        prices = rough_prices(field, group, True)
        every, whole = LaneBounds(field, group, True, prices).some(limit, 1_000)
        assert whole
        assert _engines(left) <= _engines(every)
        dropped += len(every) - len(left)
    assert dropped


def test_what_is_left_of_more_ways_and_cycles_holds_for_fewer() -> None:
    narrower = 0
    for field, _ in _cases()[::3]:
        first = field.widths[0]
        wide = field.joint(field.widths, tuple(first.needs), NO_LIMIT)
        narrow = field.joint([first], tuple(first.needs), first.floor)
        assert wide is not None
        assert narrow is not None
        limit = lane_bounds(field, wide, True).least * 11 // 10
        field.bounds.clear()
        more = left_within(field, wide, True, limit)
        exact = lane_bounds(field, narrow, True)
        for less in (limit * 99 // 100, limit * 4 // 3, limit * 2, limit * 3):
            left = left_within(field, narrow, True, less)
            if more is None or left is None:
                continue
            for some in exact.each(less):
                fast = priced(field, narrow, True, some, less).choice
                assert _engines(fast) <= _engines(left)
            narrower += less < limit and len(left) < len(more)
    assert narrower


def test_few_exact_prices_show_that_all_lane_shapes_are_too_slow() -> None:
    fewer = excluded = 0
    for field, group in _cases()[:9:2]:
        choice = _drawn(field, group)
        cycles = light_cycles(field, group, True, choice)
        least, fresh = int(cycles.min()), Field(field.problem)
        tables, low = fresh.tables(True), rough_tables(fresh, True)
        partly = PartlyPriced(exact=tables, rough=low)
        assert not tables.made(group.light.runs)
        assert not len(in_time(partly, group.light, choice, least - 1))
        fewer += len(group.light.runs) - len(tables.made(group.light.runs))
        limit = least + least // 50
        left = in_time(partly, group.light, choice, limit)
        assert _engines(choice.take(cycles <= limit)) <= _engines(left)
        excluded += len(choice) - len(left)
    assert fewer
    assert excluded


def test_a_price_on_rough_prices_excludes_no_lane_shape_of_low_cost() -> None:
    excluded = 0
    for field, group in _cases()[:9:2]:
        choice = _drawn(field, group)
        budget = int(light_cycles(field, group, True, choice).min()) * 11 // 10
        spend = group.widths[0].floor + field.widths[-1].floor // 4
        allowed = np.logical_or.reduce([w.allowed for w in group.widths])
        within = field.graph.within(allowed, spend)
        if budget >= FAR or not within.any():
            continue
        net, tables = make_net(field.graph, within), field.tables(True)
        sums, periods = sums_of(net, spend), periods_of(tables, choice, net.runs)
        if sums is None:
            continue
        costs = exact_goals(
            sums, periods, double_buffered=True, goal=Goal.COST, budget=budget
        )
        fresh = Field(field.problem)
        partly = PartlyPriced(exact=fresh.tables(True), rough=rough_tables(fresh, True))
        left = in_budget(partly, net, choice, cycles=budget, cost=spend)
        assert _engines(choice.take(costs <= spend)) <= _engines(left)
        excluded += len(choice) - len(left)
    assert excluded


def test_nothing_is_excluded_where_a_calibration_shortens_runs() -> None:
    problem = random_problem(0, choices=1, layers=3)
    (group, *_) = field_of(problem).groups(field_of(problem).widths, NO_LIMIT)
    assert not any_within(field_of(problem), group, True, 1)
    board = replace(problem.board, calibration=Calibration(step_cycles=-1, reports=1))
    field = Field(problem.on_board(board))
    (group, *_) = field.groups(field.widths, NO_LIMIT)
    assert any_within(field, group, True, 1)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "size"), [("mobilenet_v2_100", 224), ("resnet50", 224), ("vgg16", 224)]
)
def test_no_run_of_a_large_network_is_shorter(name: str, size: int) -> None:
    field = Field(_zoo_problem(name, size))
    for group in field.groups(field.widths, NO_LIMIT)[:3]:
        for double in bufferings(field):
            _check_runs(field, group, double, rough_prices(field, group, double))
