"""find_engines, its bounds, incumbents and DSP steps against plain enumeration."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hao.hw.engine import lanes_match
from hao.ir.partition import Role
from hao.program.branch import NEVER, Branch, best_segments, latencies
from hao.program.engines import exact_steps, find_engines
from hao.program.incumbent import (
    dsp_steps,
    find_incumbent,
    fits,
    lane_counts,
    matches,
    neighbours,
)
from hao.program.problem import Problem, branch_at, settings, width_combinations
from hao.program.reduction import bound_chains, fitting, least_prices, relax
from tests.program.instances import random_problem

SEEDS = range(12)
KINDS = ("dsp", "lut", "ff", "bram_18k", "lutram")
Columns = dict[Role, int]


def branches(problem: Problem) -> list[Branch]:
    """Return the branches of the problem's cheapest combination of widths."""
    widths = width_combinations(problem)[0]
    return [
        branch_at(problem, widths, setting, widths.scheme)
        for setting in settings(problem)
    ]


def engines_of(branch: Branch) -> Iterator[Columns]:
    """Yield every tuple of columns whose lanes match."""
    roles = list(branch.stages)
    for columns in product(*(range(len(branch.stages[role])) for role in roles)):
        engine = dict(zip(roles, columns, strict=True))
        if all(
            lanes_match(
                int(lane_counts(branch, left)[engine[left]]),
                int(lane_counts(branch, right)[engine[right]]),
            )
            for left, right in neighbours(branch)
        ):
            yield engine


def steps_that_fit(branch: Branch, engine: Columns) -> dict[tuple[int, ...], int]:
    """Return all DSP steps with which an engine fits the board, and their LUTs."""
    areas = [branch.stages[role].area for role in engine]
    room = (*(getattr(branch.limit, kind) for kind in KINDS[:4]), branch.lutram)
    result = {}
    most = (area.steps[c] for area, c in zip(areas, engine.values(), strict=True))
    for steps in product(*(range(int(count) + 1) for count in most)):
        used = [
            sum(
                int(getattr(area.base, kind)[c] + s * getattr(area.step, kind)[c])
                for area, c, s in zip(areas, engine.values(), steps, strict=True)
            )
            for kind in KINDS
        ]
        if all(a <= b for a, b in zip(used, room, strict=True)):
            result[steps] = used[1]
    return result


def listing(made: list[Branch]) -> dict[tuple[int, tuple[int, ...]], int]:
    """Return the cycles of every engine that fits the board and runs the network."""
    result = {}
    for number, branch in enumerate(made):
        some = list(engines_of(branch))
        if not some:
            continue
        choice = {role: np.array([engine[role] for engine in some]) for role in some[0]}
        cycles, _ = latencies(branch, choice)
        for engine, value in zip(some, cycles.tolist(), strict=True):
            if value < NEVER and steps_that_fit(branch, engine):
                result[number, tuple(engine.values())] = value
    return result


@pytest.mark.parametrize("seed", SEEDS)
def test_engines_within_the_slack_are_all_there(seed: int) -> None:
    made = branches(random_problem(seed, layers=4))
    every = listing(made)
    slack = 40 * (seed % 4)
    found = find_engines(made, limit=1 << 40, slack=slack, most=10**6)
    best = min(every.values(), default=0)
    assert {
        (engine.branch, tuple(engine.columns.values())): engine.cycles
        for engine in found.engines
    } == {key: cycles for key, cycles in every.items() if cycles <= best + slack}
    cycles = [engine.cycles for engine in found.engines]
    assert cycles == sorted(cycles)
    for engine in found.engines:
        steps = tuple(engine.steps.values())
        assert steps in steps_that_fit(made[engine.branch], dict(engine.columns))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_list_cut_short_says_up_to_where_it_is_complete(seed: int) -> None:
    made = branches(random_problem(seed, layers=4))
    every = listing(made)
    found = find_engines(made, limit=1 << 40, slack=1 << 40, most=5)
    assert len(found.engines) == min(5, len(every))
    listed = {
        (engine.branch, tuple(engine.columns.values())) for engine in found.engines
    }
    missing = {key: c for key, c in every.items() if key not in listed}
    assert all(cycles > found.limit for cycles in missing.values())
    kept = [engine.cycles for engine in found.engines]
    assert kept == sorted(every.values())[:5]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_engine_is_faster_than_the_limit_asked_for(seed: int) -> None:
    made = branches(random_problem(seed, layers=4))
    every = sorted(listing(made).values())
    if not every:
        assert not find_engines(made, limit=1 << 40).engines
        return
    assert not find_engines(made, limit=every[0] - 1).engines
    assert find_engines(made, limit=every[0]).engines[0].cycles == every[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_bounds_of_triples_are_below_every_engine_they_stand_for(seed: int) -> None:
    for branch in branches(random_problem(seed, layers=4)):
        relaxed = {role: relax(branch, role) for role in branch.stages}
        some = [
            engine for engine in engines_of(branch) if steps_that_fit(branch, engine)
        ]
        if not some:
            continue
        choice = {role: np.array([engine[role] for engine in some]) for role in some[0]}
        group = {}
        for role, columns in relaxed.items():
            of_member = np.zeros(columns.members.size, dtype=np.int64)
            for number in range(columns.deepest.size):
                start, end = columns.first[number : number + 2]
                of_member[columns.members[start:end]] = number
            group[role] = of_member[choice[role]]
        exact, _ = latencies(branch, choice)
        least = least_prices(branch, relaxed)
        bounds = bound_chains(least, relaxed)
        assert (bounds.latency(relaxed, group) <= exact).all()
        assert (latencies(least, group)[0] <= exact).all()
        # Whatever fits the board is among the triples, unless it is too slow.
        limit = int(np.median(exact))
        needed = bounds.multipliers_needed(limit + 1)
        triples = fitting(branch, relaxed, needed)
        kept = set(zip(*(index.tolist() for index in triples.values()), strict=True))
        wanted = zip(*(group[role].tolist() for role in triples), strict=True)
        for triple, cycles in zip(wanted, exact.tolist(), strict=True):
            assert cycles > limit or triple in kept


@pytest.mark.parametrize("seed", SEEDS)
def test_exact_steps_finds_the_fewest_luts_or_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for branch in branches(random_problem(seed, layers=4)):
        some = list(engines_of(branch))
        for number in rng.choice(len(some), min(40, len(some)), replace=False):
            engine = some[int(number)]
            fine = steps_that_fit(branch, engine)
            steps = exact_steps(branch, engine)
            if steps is None:
                assert not fine
            else:
                assert fine[tuple(steps.values())] == min(fine.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_greedy_steps_that_fit_do_fit(seed: int) -> None:
    for branch in branches(random_problem(seed, layers=4)):
        some = list(engines_of(branch))[:200]
        if not some:
            continue
        choice = {role: np.array([engine[role] for engine in some]) for role in some[0]}
        steps = dsp_steps(branch, choice)
        for row in np.flatnonzero(fits(branch, choice, steps)):
            taken = tuple(int(value[row]) for value in steps.values())
            assert taken in steps_that_fit(branch, some[row])


@pytest.mark.parametrize("seed", SEEDS)
def test_an_incumbent_is_a_legal_engine_with_its_latency(seed: int) -> None:
    for branch in branches(random_problem(seed, layers=4)):
        candidates = {role: np.arange(len(c)) for role, c in branch.stages.items()}
        found = find_incumbent(branch, candidates, samples=500)
        if found is None:
            continue
        cycles, engine = found
        single = {role: np.array([column]) for role, column in engine.items()}
        assert matches(branch, single).all()
        assert steps_that_fit(branch, engine)
        assert int(latencies(branch, single)[0][0]) == cycles
        path = best_segments(branch, single)
        part = replace(branch.partition, segments=path)
        prices = tuple(
            branch.prices[branch.partition.segments.index(segment)] for segment in path
        )
        loads = tuple(
            branch.loads[branch.partition.segments.index(segment)] for segment in path
        )
        ddr_loads = tuple(
            branch.ddr_loads[branch.partition.segments.index(segment)]
            for segment in path
        )
        alone = replace(
            branch, partition=part, prices=prices, loads=loads, ddr_loads=ddr_loads
        )
        assert int(latencies(alone, single)[0][0]) == cycles


def test_no_columns_have_no_incumbent() -> None:
    (branch, *_) = branches(random_problem(1))
    none = {role: np.zeros(0, dtype=np.int64) for role in branch.stages}
    assert find_incumbent(branch, none) is None
