"""P1 and P2 equal exhaustive enumeration of small random spaces.

`brute.front` knows the fastest design of every accuracy cost; what the programs return
must be as good, proven, priced alike by `evaluate` and within the board.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from benchmarks._synthetic import residual_network
from hao.cost.evaluate import evaluate
from hao.errors import InfeasibleError, SolverError
from hao.hw.board_file import load_board
from hao.hw.resources import Resources
from hao.options.bits import bit_options
from hao.program import codesign
from hao.program.codesign import (
    SolveReport,
    choose_fastest,
    choose_most_accurate,
)
from hao.program.conflicts import clashing_limits
from hao.program.problem import Problem
from hao.program.solver import LinearModel, Solution, SolverName, Status, solve
from tests.program.brute import Optimum, fastest, front, most_accurate
from tests.program.instances import random_problem

THOROUGH = pytest.mark.thorough
P1_SLOW = (4, 5, 7, 12, 14, 16, 19, 20, 30, 34, 42)
P1_FAST = [seed for seed in range(45) if seed not in (*P1_SLOW, 11, 22)]
P1_MORE = (*P1_SLOW, *range(45, 220))
P1_SEEDS = [*P1_FAST, *(pytest.param(seed, marks=THOROUGH) for seed in P1_MORE)]
P2_SLOW = (1, 4, 5, 7, 9, 12)
P2_FAST = [seed for seed in range(14) if seed not in P2_SLOW]
P2_MORE = (*P2_SLOW, *range(14, 44))
P2_SEEDS = [*P2_FAST, *(pytest.param(seed, marks=THOROUGH) for seed in P2_MORE)]
CLASH_SLOW = (13, 17)
CLASH_FAST = [seed for seed in range(20) if seed not in CLASH_SLOW]
CLASHES = [*CLASH_FAST, *(pytest.param(s, marks=THOROUGH) for s in CLASH_SLOW)]


def _check(problem: Problem, report: SolveReport) -> None:
    """Check that a report is proven, legal, and says what its design costs."""
    assert report.status is Status.OPTIMAL
    assert report.gap == 0
    assert report.bound == report.objective
    cost = evaluate(report.design)
    assert cost == report.cost
    assert not cost.resources.shortfall(problem.board.usable)
    scheme = report.design.scheme
    spent = [
        option.cost_micro
        for option in problem.options
        if option.change == scheme[option.layer]
    ]
    assert len(spent) == len(problem.network.compute_layers)
    assert report.cost_micro == sum(spent)


def _check_fastest(
    problem: Problem,
    found: dict[int, Optimum],
    cost_limit: int | None = None,
    solver: SolverName = SolverName.AUTO,
) -> None:
    best = fastest(found, cost_limit)
    if best is None:
        with pytest.raises(InfeasibleError, match="no engine fits Small board"):
            choose_fastest(problem, cost_limit=cost_limit, solver=solver)
        return
    report = choose_fastest(problem, cost_limit=cost_limit, solver=solver)
    _check(problem, report)
    assert report.objective == report.cost.latency_cycles == best
    assert cost_limit is None or report.cost_micro <= cost_limit


def _check_most_accurate(
    problem: Problem, found: dict[int, Optimum], budget: int
) -> None:
    best = most_accurate(found, budget)
    if best is None:
        with pytest.raises(
            InfeasibleError,
            match=rf"no engine on Small board runs a frame in {budget} cycles",
        ):
            choose_most_accurate(problem, budget=budget)
        return
    report = choose_most_accurate(problem, budget=budget)
    _check(problem, report)
    assert report.objective == report.cost_micro
    assert (report.cost_micro, report.cost.latency_cycles) == best


@pytest.mark.parametrize("seed", P1_SEEDS)
def test_fastest_engine_equals_enumeration(seed: int) -> None:
    problem = random_problem(seed, layers=3 if seed < 40 else 6)
    _check_fastest(problem, front(problem))


@pytest.mark.parametrize("seed", P2_SEEDS)
def test_bits_and_engine_equal_enumeration(seed: int) -> None:
    problem = random_problem(seed, choices=3, layers=4)
    found = front(problem)
    _check_fastest(problem, found)
    if not found:
        _check_most_accurate(problem, found, 1 << 30)
        return
    rng = np.random.default_rng(seed)
    costs = sorted(found)
    # One below the least cost of any design: nothing may be returned.
    for cost_limit in {int(rng.choice(costs)), max(costs[0] - 1, 0)}:
        _check_fastest(problem, found, cost_limit)
    latencies = sorted(optimum.latency for optimum in found.values())
    loose = int(rng.integers(latencies[0], latencies[-1] + 10))
    for budget in {int(rng.choice(latencies)), loose, latencies[0] - 1}:
        _check_most_accurate(problem, found, budget)


@pytest.mark.parametrize(("seed", "batch"), [(3, 3), (10, 2), (11, 3)])
def test_frames_that_share_weights_equal_enumeration(seed: int, batch: int) -> None:
    problem = random_problem(seed, choices=2, layers=3)
    # On a slow DDR loads are longer than what runs beside them.
    slow = replace(problem.board, batch=batch, ddr_peak_kbytes_per_s=300_000)
    problem = replace(problem, board=slow)
    found = front(problem)
    _check_fastest(problem, found)
    _check_most_accurate(problem, found, max(o.latency for o in found.values()))


def test_weights_go_to_uram_where_that_is_faster() -> None:
    problem = random_problem(37, layers=3)
    shallow = replace(problem.space, depths=(32, 64))
    latency = {}
    for uram in (0, 12):
        board_ = replace(
            problem.board, resources=replace(problem.board.resources, uram=uram)
        )
        some = replace(problem, board=board_, space=shallow)
        _check_fastest(some, front(some))
        report = choose_fastest(some)
        engine, latency[uram] = report.design.engine, report.cost.latency_cycles
        stages = [s for s in (engine.dense, engine.pointwise) if s is not None]
        assert any(s.weights_in_uram for s in stages) == (uram > 0)
        assert (report.cost.resources.uram > 0) == (uram > 0)
    assert latency[12] < latency[0]


@pytest.mark.parametrize("seed", [1, 5, 7, 12, 20])
def test_both_solvers_give_the_same_objective(seed: int) -> None:
    problem = random_problem(seed, choices=2, layers=4)
    objectives: set[int | None] = set()
    for solver in (SolverName.GUROBI, SolverName.HIGHS):
        try:
            report = choose_fastest(problem, solver=solver)
        except InfeasibleError:
            objectives.add(None)
            continue
        assert report.solver is solver
        objectives.add(report.objective)
    assert len(objectives) == 1


def test_random_instances_are_feasible_and_not() -> None:
    # What the enumeration tests rest on: both cases occur often.
    feasible = 0
    for seed in range(20):
        try:
            choose_fastest(random_problem(seed))
        except InfeasibleError:
            continue
        feasible += 1
    assert 5 <= feasible <= 17


def test_an_unreachable_latency_limit_is_refused() -> None:
    problem = random_problem(1)
    best = choose_fastest(problem).objective
    assert choose_fastest(problem, latency_limit=best).objective == best
    with pytest.raises(InfeasibleError, match="no engine fits Small board and the"):
        choose_fastest(problem, latency_limit=best - 1)


LIMITS = ("ddr", "ff", "bram_18k", "lut", "dsp")


def _without(problem: Problem, names: set[str]) -> Problem:
    """Return the problem on a board with some limits out of reach."""
    board = problem.board
    counts = {
        kind: count * (1000 if kind in names else 1)
        for kind, count in board.resources.as_dict().items()
    }
    return problem.on_board(
        replace(
            board,
            resources=Resources(**counts),
            lutram=counts["lut"] if "lut" in names else board.lutram,
            ddr_peak_kbytes_per_s=board.ddr_peak_kbytes_per_s
            * (1000 if "ddr" in names else 1),
        )
    )


def _meets(problem: Problem, budget: int | None) -> bool:
    try:
        report = choose_fastest(problem)
    except InfeasibleError:
        return False
    return budget is None or report.objective <= budget


@pytest.mark.parametrize("seed", CLASHES)
def test_clashing_limits_are_irreducible(seed: int) -> None:
    problem = random_problem(seed, choices=1 + seed % 2, layers=4)
    try:
        budget = choose_fastest(problem).objective * (3 + seed % 2) // 4 - 1
        fits = True
    except InfeasibleError:
        budget, fits = 1 << 30, False
    known = fits if seed % 4 < 2 else None
    named = set(clashing_limits(problem, budget=budget, fits=known))
    if named == {"space"}:
        assert not _meets(_without(problem, set(LIMITS)), None)
        return
    others = set(LIMITS) - named
    # They clash by themselves, and no longer when any one is left out.
    assert not _meets(_without(problem, others), budget if "latency" in named else None)
    for name in named:
        left = _without(problem, others | {name})
        assert _meets(left, None if name == "latency" else budget), name


def _decided(problem: Problem, budget: int, cost: int) -> SolveReport | Exception:
    try:
        return choose_most_accurate(
            problem, budget=budget, cost_limit=cost, decide=True
        )
    except (InfeasibleError, SolverError) as error:
        return error


def test_what_is_decided_is_so() -> None:
    found = refused = left = 0
    for seed in (0, 2, 3, 6, 8, 9, 10):
        problem = random_problem(seed, choices=3)
        known = front(problem)
        least = fastest(known)
        if least is None:
            continue
        cheapest = min(known)
        for share in (0.2, 0.5, 0.9, 1.0, 2.0, 4.0):
            budget = int(share * least)
            meets = known[cheapest].latency <= budget
            answer = _decided(problem, budget, cheapest)
            if isinstance(answer, InfeasibleError):
                assert not meets
                assert not answer.at_any_cost or least > budget
                refused += answer.at_any_cost
            elif isinstance(answer, Exception):
                assert "was not decided" in str(answer)
                left += 1
            else:
                assert meets
                assert answer.cost == evaluate(answer.design)
                assert answer.cost.latency_cycles <= budget
                assert answer.cost_micro == answer.bound == cheapest
                found += 1
    assert min(found, refused, left) > 1


@pytest.mark.parametrize("seed", [1, 4, 7])
def test_a_tolerance_is_kept_and_said(seed: int) -> None:
    problem = random_problem(seed, choices=3, layers=4)
    try:
        budget = choose_fastest(problem).cost.latency_cycles * 3 // 2
    except InfeasibleError:
        return
    exact = choose_most_accurate(problem, budget=budget)
    near = choose_most_accurate(problem, budget=budget, tolerance=0.3)
    assert near.bound <= exact.cost_micro <= near.cost_micro
    assert near.bound >= 0.7 * near.cost_micro - 1
    assert near.cost.latency_cycles <= budget
    if near.cost_micro > exact.cost_micro:
        assert near.status is Status.WITHIN


def test_rows_of_many_cycles_refuse_no_design_by_rounding() -> None:
    network = residual_network(150)
    options = bit_options(network, choices=(8,), drop_by_bits={8: 0.2})
    problem = Problem(network=network, options=options, board=load_board("zu3eg"))
    found = [choose_fastest(problem, solver=s) for s in SolverName]
    assert {report.solver for report in found} == {SolverName.GUROBI, SolverName.HIGHS}
    assert len({report.objective for report in found}) == 1
    assert found[0].objective > 500_000


Start = NDArray[np.float64] | None


def solve_by(
    monkeypatch: pytest.MonkeyPatch,
    look: Callable[[LinearModel, float, Start], None],
    change: Callable[[Solution], Solution] = lambda found: found,
) -> None:
    """Let every model be looked at before it is solved, and its solution changed."""

    def own(
        model: LinearModel,
        *,
        solver: SolverName,
        explain: bool,
        target: float,
        start: Start,
    ) -> Solution:
        look(model, target, start)
        found = solve(model, solver=solver, explain=explain, target=target, start=start)
        return change(found)

    monkeypatch.setattr(codesign, "solve", own)


def no_start(model: LinearModel, target: float, start: Start) -> None:
    assert start is None


def test_a_solver_that_stopped_short_leaves_the_design_of_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = random_problem(5, choices=3, layers=3)
    expected = choose_fastest(problem)

    def short(found: Solution) -> Solution:
        return replace(found, objective=found.objective + 9, status=Status.LIMIT)

    solve_by(monkeypatch, no_start, short)
    report = choose_fastest(problem)
    assert report.objective == report.bound == expected.objective
    assert report.nodes == 0


@pytest.mark.parametrize("solver", [SolverName.GUROBI, SolverName.HIGHS])
@pytest.mark.parametrize("seed", [2, 5])
def test_a_large_program_starts_from_the_design_of_the_search(
    seed: int, solver: SolverName, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = random_problem(seed, choices=3, layers=3)
    expected = choose_fastest(problem, solver=solver)
    budget = 2 * expected.objective
    cheapest = choose_most_accurate(problem, budget=budget, solver=solver)
    monkeypatch.setattr(codesign, "LARGE", 0)
    seen: list[Start] = []

    def started(model: LinearModel, target: float, start: Start) -> None:
        assert start is not None
        known = np.flatnonzero(model.integer)
        assert np.array_equal(known, np.flatnonzero(~np.isnan(start)))
        # The start can be completed, and is as good as was proven.
        pinned = replace(
            model,
            row_names=(*model.row_names, *(model.names[i] for i in known)),
            matrix=sparse.vstack(
                [model.matrix, sparse.eye(len(model.names)).tocsr()[known]]
            ).tocsr(),
            sense=(*model.sense, *"=" * known.size),
            rhs=np.append(model.rhs, start[known]),
        )
        assert solve(pinned).objective == pytest.approx(target)
        seen.append(start)

    solve_by(monkeypatch, started)
    report = choose_fastest(problem, solver=solver)
    again = choose_most_accurate(problem, budget=budget, solver=solver)
    for one, other in ((report, expected), (again, cheapest)):
        _check(problem, one)
        assert one.objective == other.objective
        assert one.cost.resources.lut == other.cost.resources.lut
        assert one.solver is solver
    assert len(seen) == 4


def test_the_fewest_luts_are_sought_from_a_design_that_is_as_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts: list[NDArray[np.float64]] = []

    def started(model: LinearModel, target: float, start: Start) -> None:
        if start is not None:
            starts.append(start)
            left = model.matrix @ start - model.rhs
            equal = np.array([sense == "=" for sense in model.sense])
            assert left.max() < 1e-3
            assert np.abs(left[equal]).max() < 1e-3

    solve_by(monkeypatch, started)
    for solver in (SolverName.AUTO, SolverName.HIGHS):
        problem = random_problem(5, choices=3, layers=3)
        choose_most_accurate(problem, budget=1 << 40, solver=solver)
    assert len(starts) == 2


def test_a_solver_that_contradicts_the_search_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def better(found: Solution) -> Solution:
        return replace(found, objective=found.objective - 9)

    solve_by(monkeypatch, no_start, better)
    with pytest.raises(SolverError, match=r"finds \d+ where \d+ was proven to be the"):
        choose_fastest(random_problem(5, choices=3, layers=3))
