"""Searches that go by a roster of engines, against enumeration and the plain search."""

from functools import partial

import numpy as np
import pytest

from hao.ir.change import Bits
from hao.ir.tensor import Shape
from hao.options.option import Option
from hao.program import by_roster, search
from hao.program.closing import Served
from hao.program.codesign import (
    choose_most_accurate,
    field_of,
    near_most_accurate,
)
from hao.program.engines import fitting
from hao.program.exact import Apart
from hao.program.field import Field
from hao.program.gather import periods_of
from hao.program.graph import FAR, Widths
from hao.program.hunt import Least, Limits
from hao.program.problem import Problem
from hao.program.roster import Rosters
from hao.program.search import find
from hao.program.several import choose_several, near_several
from hao.program.space import Space
from hao.program.sweep import Rate, make_net, sweep
from hao.program.tables import Choice
from tests.program.instances import Builder, board, random_problem
from tests.program.test_passes import small

SEEDS = (0, 1, 3, 6, 8, 13)
RATES: tuple[Rate, ...] = (0.0, 1e-3, np.array([[1e-4], [1e-2]]))
EXACT = 1e-9
"""A tolerance that allows nothing, costs being integers below a thousand million."""


def tight(lut: int) -> Problem:
    """Return a problem on whose board engines fit at several widths, not at all."""
    made = Builder(Shape(channels=8, height=8, width=8))
    for _ in range(2):
        made.conv(16, 3).depthwise().conv(32, 1)
    network = made.network()
    options = tuple(
        Option(layer=layer.name, change=Bits(weight_bits=bits), cost_micro=cost)
        for layer in network.compute_layers
        for bits, cost in ((8, 0), (4, 100), (2, 1000))
    )
    return Problem(
        network=network,
        options=options,
        board=board(lut=lut, dsp=4),
        space=Space(
            pixels=(1, 2),
            lanes=(4, 8, 16),
            taps=(9,),
            depths=(64, 512),
            buffering=(True,),
        ),
    )


def again(problem: Problem, seed: int) -> Problem:
    """Return the problem at other costs, of fewer bits no less."""
    rng = np.random.default_rng(seed)
    return problem.with_costs(
        [
            np.cumsum(rng.integers(0, 40_000, len(site.costs))).tolist()
            for site in problem.frame.sites
        ]
    )


def budgets_of(problem: Problem) -> list[int]:
    """Return latencies from what the fewest bits take to what the cheapest take."""
    low = find(field_of(problem), Least.CYCLES, Limits())
    if low is None:  # no engine fits the board
        return [1 << 30, 10]
    least = low.way.cycles
    return [2 * least, least + least // 3, least + least // 20, least, least - 1]


@pytest.mark.parametrize("costs", [0, 1])
@pytest.mark.parametrize(
    "problem",
    [
        tight(14_000),
        tight(24_000),
        *(random_problem(s, choices=3, layers=3) for s in SEEDS),
    ],
)
def test_the_least_cost_of_a_roster_is_that_of_the_whole_search(
    problem: Problem, costs: int
) -> None:
    priced = again(problem, costs)
    alone = Field(priced)  # of its own: no search of it goes by a roster
    for budget in budgets_of(problem):
        expected = find(alone, Least.COST, Limits(cycles=budget))
        found = find(
            field_of(priced), Least.COST, Limits(cycles=budget), tolerance=EXACT
        )
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert found.way.cost == expected.way.cost
            assert found.way.cycles <= budget
    made = [rosters.rosters for rosters in field_of(priced).rosters.values()]
    assert made
    assert all(some is not None for some in made)


def test_the_fastest_and_the_smallest_of_a_roster_are_those_of_all_engines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = random_problem(5, choices=3, layers=3)
    priced, budget = again(problem, 0), budgets_of(problem)[0]
    field, alone = field_of(priced), Field(priced)
    cheapest = find(field, Least.COST, Limits(cycles=budget), tolerance=EXACT)
    assert cheapest is not None
    asked = [
        (Least.CYCLES, Limits(cycles=budget, cost=cheapest.way.cost)),
        (Least.CYCLES, Limits(cycles=budget, cost=2 * cheapest.way.cost + 1)),
        (Least.CYCLES, Limits(cycles=budget, cost=cheapest.way.cost - 1)),
        (Least.BLOCKS, Limits(cycles=budget, cost=cheapest.way.cost)),
    ]
    expected = [find(alone, least, limits) for least, limits in asked]
    monkeypatch.setattr(search, "_search_group", lambda *_: pytest.fail("no list"))
    for (least, limits), other in zip(asked, expected, strict=True):
        found = find(field, least, limits)
        assert (found is None) == (other is None)
        if found is not None and other is not None:
            values = [
                one.way.cycles if least is Least.CYCLES else one.blocks
                for one in (found, other)
            ]
            assert values[0] == values[1]


def test_every_widths_that_an_engine_fits_at_are_run_by_some_of_its_roster() -> None:
    priced = again(tight(24_000), 0)
    field, budget = field_of(priced), budgets_of(priced)[0]
    find(field, Least.COST, Limits(cycles=budget), tolerance=EXACT)
    narrower = 0
    for double, made in field.rosters.items():
        for roster in made.rosters or ():
            by_arcs = {id(widths.allowed): widths for widths in field.widths}
            own: dict[int, list[Widths]] = {}
            for engine, place in zip(roster.engine, roster.widths, strict=True):
                own.setdefault(int(engine), []).append(by_arcs[roster.names[place]])
            for widths in field.widths:
                if set(widths.needs) != set(roster.choice.columns):
                    continue
                fits = fitting(field, widths, double, roster.choice)
                for engine, some in own.items():
                    held = any(widths is each for each in some)
                    if fits[engine]:
                        served = Served(field.graph, 1)
                        for each in some:
                            served.add(each, np.zeros(1, dtype=np.int64))
                        assert held or served.at(widths).all()
                        narrower += not held
                    else:
                        assert not held
    assert narrower


@pytest.mark.parametrize(("lut", "dsp"), [(11_000, 10), (12_400, 2), (40_000, 64)])
def test_layers_in_two_passes_are_found_by_a_roster_too(lut: int, dsp: int) -> None:
    problem = small(lut, dsp)
    priced = again(problem, 0)
    low = find(field_of(problem), Least.CYCLES, Limits())
    if low is None:
        pytest.fail("the board takes no engine at all")
    for budget in (2 * low.way.cycles, low.way.cycles):
        expected = find(Field(priced), Least.COST, Limits(cycles=budget))
        assert expected is not None
        found = find(
            field_of(priced), Least.COST, Limits(cycles=budget), tolerance=EXACT
        )
        assert found is not None
        assert found.way.cost == expected.way.cost


def test_too_many_engines_for_a_roster_are_searched_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(by_roster, "MOST_ENGINES", 0)
    priced = again(random_problem(5, choices=3, layers=3), 0)
    budget = budgets_of(priced)[1]
    found = near_most_accurate(priced, budget=budget, tolerance=EXACT)
    expected = choose_most_accurate(priced, budget=budget)
    assert found is not None
    costs = [site.costs for site in priced.frame.sites]
    spent = sum(own[option] for own, option in zip(costs, found[1], strict=True))
    assert spent == expected.cost_micro
    assert all(made.rosters is None for made in field_of(priced).rosters.values())
    # Too many are not listed again for as many cycles, but may be few for fewer.
    monkeypatch.setattr(by_roster, "_made", lambda *_: pytest.fail("made again"))
    assert near_most_accurate(priced, budget=budget, tolerance=EXACT) == found
    few = Rosters(budget, None)
    assert [few.tells(cycles) for cycles in (budget - 1, budget)] == [False, True]
    held = Rosters(budget, [])
    assert [held.tells(cycles) for cycles in (budget, budget + 1)] == [True, False]


def test_no_design_within_a_budget_is_none() -> None:
    priced = again(random_problem(5, choices=3, layers=3), 0)
    assert near_most_accurate(priced, budget=10, tolerance=EXACT) is None


@pytest.mark.parametrize("beside", [0, 10**6])
def test_a_known_cost_does_not_change_the_answer(beside: int) -> None:
    priced = again(random_problem(5, choices=3, layers=3), 0)
    budget = budgets_of(priced)[1]
    least = choose_most_accurate(priced, budget=budget).cost_micro
    found = near_most_accurate(
        priced, budget=budget, tolerance=EXACT, most=least + beside
    )
    assert found is not None
    costs = [site.costs for site in priced.frame.sites]
    spent = sum(own[option] for own, option in zip(costs, found[1], strict=True))
    assert spent == least
    assert not near_most_accurate(
        priced, budget=budget, tolerance=EXACT, most=least - 1
    )


@pytest.mark.parametrize("seed", [3, 5, 9])
def test_near_answers_differ_and_cost_what_the_proven_ones_do(seed: int) -> None:
    priced = again(random_problem(seed, choices=3, layers=3), 1)
    budget, overlap = budgets_of(priced)[1], len(priced.free_sites) // 2
    best = choose_most_accurate(priced, budget=budget)
    proven = choose_several(priced, best, count=3, budget=budget, overlap_percent=50)
    designs = near_several(
        priced,
        best.choice,
        count=2,
        budget=budget,
        overlap_percent=50,
        tolerance=EXACT,
    )
    assert len(designs) == len(proven) - 1
    apart = Apart(
        costs=tuple(site.costs for site in priced.frame.sites),
        kinds=tuple(site.kinds for site in priced.frame.sites),
        answers=({s: best.choice[s] for s in priced.free_sites},),
        overlap=(overlap,),
        penalty=(0,),
    )
    for design, other in zip(designs[:1], proven[1:], strict=False):
        settled = []
        for number, site in enumerate(priced.frame.sites):
            taken = design.scheme[site.names[0]]
            settled.append((number, site.changes.index(taken)))
        cost, alike = apart.count(tuple(settled))
        assert cost == other.cost_micro
        assert alike <= overlap


def test_a_barred_arc_is_one_that_is_not_there() -> None:
    field = Field(random_problem(5, choices=3, layers=3))
    graph = field.graph
    every = np.ones(len(graph.arcs), dtype=np.bool_)
    (double, *_) = field.problem.space.buffering
    roles = tuple(max(field.widths, key=lambda w: len(w.needs)).needs)
    grids = field.tables(double).grids
    columns = {role: np.array([0, grids[role].words.size - 1]) for role in roles}
    choice = Choice(
        pixels=np.array([0, 0]),
        lanes={role: grids[role].lane_of[index] for role, index in columns.items()},
        columns=columns,
    )
    periods = periods_of(field.tables(double), choice, range(len(graph.runs)))
    seen = 0
    for widths in field.widths:
        if tuple(widths.needs) != roles:
            continue
        barred = np.zeros((len(graph.arcs), 2), dtype=np.bool_)
        barred[:, 1] = ~widths.allowed
        for rate in RATES:
            run = partial(sweep, periods=periods, double_buffered=double, rate=rate)
            whole = run(make_net(graph, every), barred=barred)
            own = run(make_net(graph, widths.allowed))
            free = run(make_net(graph, every))
            np.testing.assert_allclose(whole.total[..., 1], own.total[..., 1])
            np.testing.assert_allclose(whole.total[..., 0], free.total[..., 0])
            seen += bool((np.asarray(free.total)[..., 1] < FAR).all())
    assert seen
