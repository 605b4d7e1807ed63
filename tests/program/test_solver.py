"""solve: both solvers agree, sizes are handed over, refusals name the rows.

Without gurobipy, or with a licence file that does not work (missing, a folder, broken,
expired), only a request for Gurobi is refused.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from hao.errors import InfeasibleError, SolverError, WorkLimitError
from hao.program import solver as solver_module
from hao.program.solver import (
    GUROBI_SIZE,
    LinearModel,
    Solution,
    SolverName,
    Status,
    solve,
)

SOLVERS = (SolverName.GUROBI, SolverName.HIGHS)


def _knapsack(items: int, seed: int, *, capacity: float | None = None) -> LinearModel:
    """Return: take the items of most value within a capacity, some of them paired."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(1, 30, items).astype(float)
    value = rng.integers(1, 40, items).astype(float)
    pairs = np.zeros((1, items))
    pairs[0, : items // 2] = 1
    return LinearModel(
        names=tuple(f"x[{i}]" for i in range(items)),
        objective=-value,
        upper=np.ones(items),
        integer=np.ones(items, dtype=np.bool_),
        row_names=("capacity", "half"),
        matrix=sparse.csr_matrix(np.vstack([weight, pairs])),
        sense=("<", "="),
        rhs=np.array([weight.sum() / 3 if capacity is None else capacity, items // 4]),
    )


def _check(model: LinearModel, found: Solution) -> None:
    """Check that a solution is one, with the objective that it claims."""
    left = model.matrix @ found.values
    for value, sense, right in zip(left, model.sense, model.rhs, strict=True):
        assert value <= right + 1e-6
        assert sense == "<" or value >= right - 1e-6
    assert model.objective @ found.values == pytest.approx(found.objective)


@pytest.mark.parametrize("seed", range(10))
def test_both_solvers_find_the_same_optimum(seed: int) -> None:
    model = _knapsack(30, seed)
    gurobi, highs = (solve(model, solver=name) for name in SOLVERS)
    for found, name in ((gurobi, SOLVERS[0]), (highs, SOLVERS[1])):
        _check(model, found)
        assert found.solver is name
        assert found.status is Status.OPTIMAL
        assert found.gap == 0
    # Objectives are integers, found to within half of one.
    assert round(gurobi.objective) == round(highs.objective)


def test_small_model_equals_enumeration() -> None:
    model = _knapsack(12, 3)
    points = np.array(np.meshgrid(*[[0, 1]] * 12)).reshape(12, -1)
    left = model.matrix @ points
    fine = (left[0] <= model.rhs[0]) & (left[1] == model.rhs[1])
    best = (model.objective @ points)[fine].min()
    for name in SOLVERS:
        assert round(solve(model, solver=name).objective) == best


def test_the_licence_limit_is_where_it_was_measured() -> None:
    model = _knapsack(GUROBI_SIZE, 0)
    assert solve(model, solver=SolverName.AUTO).solver is SolverName.GUROBI


def test_a_larger_model_goes_to_highs_by_itself() -> None:
    found = solve(_knapsack(GUROBI_SIZE + 1, 0))
    assert found.solver is SolverName.HIGHS
    assert found.status is Status.OPTIMAL


def test_gurobi_asked_for_a_larger_model_is_refused() -> None:
    with pytest.raises(
        SolverError,
        match=r"2001 variables, 2 rows; this Gurobi licence takes 2000; "
        r"use `solver` = highs",
    ):
        solve(_knapsack(GUROBI_SIZE + 1, 0), solver=SolverName.GUROBI)


EXPIRED = "TYPE=ACADEMIC\nVERSION=12\nHOSTID=1\nEXPIRATION=2020-01-01\nKEY=ABCDEFGH\n"


@pytest.mark.parametrize("text", [None, "", "not a licence\n", EXPIRED])
def test_a_licence_that_does_not_work_leaves_highs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    licence = tmp_path / "gurobi.lic"
    if text is not None:
        licence.write_text(text)
    monkeypatch.setenv("GRB_LICENSE_FILE", str(licence))
    for name in (SolverName.AUTO, SolverName.HIGHS):
        assert solve(_knapsack(8, 0), solver=name).solver is SolverName.HIGHS
    with pytest.raises(
        SolverError,
        match=r"^no Gurobi licence that works \(GRB_LICENSE_FILE=.*gurobi\.lic\): .+; "
        r"use `solver` = highs$",
    ):
        solve(_knapsack(8, 0), solver=SolverName.GUROBI)


def test_without_gurobipy_auto_and_highs_solve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gurobipy", None)
    for name in (SolverName.AUTO, SolverName.HIGHS):
        found = solve(_knapsack(12, 3), solver=name)
        assert found.solver is SolverName.HIGHS
        assert found.status is Status.OPTIMAL
    with pytest.raises(
        SolverError, match=r"^gurobipy is not installed \(.*\); use `solver` = highs$"
    ):
        solve(_knapsack(12, 3), solver=SolverName.GUROBI)


def test_highs_never_loads_gurobipy() -> None:
    code = (
        "import sys, numpy as np, hao.flow; from scipy import sparse;"
        "from hao.program.solver import LinearModel, SolverName, solve;"
        "one = np.ones(1);"
        "solve(LinearModel(names=('x',), objective=one, upper=one, integer=one > 0,"
        " row_names=('r',), matrix=sparse.csr_matrix([[1.0]]), sense=('<',), rhs=one),"
        " solver=SolverName.HIGHS); assert 'gurobipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_target_stops_at_the_first_solution_that_reaches_it(name: SolverName) -> None:
    model = _knapsack(60, 5)
    best = solve(model, solver=name)
    there = solve(model, solver=name, target=best.objective)
    assert there.objective == pytest.approx(best.objective)
    # 40 above the optimum is reached before the optimum, or at it.
    early = solve(model, solver=name, target=best.objective + 40)
    assert best.objective - 1e-6 <= early.objective <= best.objective + 40 + 1e-6
    for found in (there, early):
        _check(model, found)
        assert found.status is Status.OPTIMAL
        assert found.bound == found.objective


@pytest.mark.parametrize("name", SOLVERS)
def test_a_start_that_reaches_the_target_is_the_answer(
    name: SolverName, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _knapsack(60, 5)
    best = solve(model, solver=name)
    # No work is left to find it anew: the start itself comes back.
    monkeypatch.setattr(solver_module, "WORK_LIMIT", 1e-6)
    monkeypatch.setattr(solver_module, "NODE_LIMIT", 0)
    found = solve(model, solver=name, target=best.objective, start=best.values)
    assert np.array_equal(found.values.round(), best.values.round())
    assert (found.status, found.nodes) == (Status.OPTIMAL, 0)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_start_of_the_integer_variables_is_completed(
    name: SolverName,
) -> None:
    # What is taken weighs no more than y, which costs a tenth of its capacity.
    model = _knapsack(60, 5, capacity=0)
    column = sparse.csr_matrix(np.array([[-1.0], [0.0]]))
    model = replace(
        model,
        names=(*model.names, "y"),
        objective=np.append(model.objective, 0.1),
        upper=np.append(model.upper, np.inf),
        integer=np.append(model.integer, False),
        matrix=sparse.csr_matrix(sparse.hstack([model.matrix, column])),
    )
    best = solve(model, solver=name)
    start = np.where(model.integer, best.values.round(), np.nan)
    found = solve(model, solver=name, target=best.objective, start=start)
    _check(model, found)
    assert found.values == pytest.approx(best.values)
    assert (found.status, found.nodes) == (Status.OPTIMAL, 0)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_poor_start_does_not_change_the_optimum(name: SolverName) -> None:
    model = _knapsack(30, 1)
    start = np.zeros(30)
    start[:7] = 1  # a quarter of the items from the first half: row "half"
    assert model.matrix[0] @ start <= model.rhs[0]
    found = solve(model, solver=name, start=start)
    assert round(found.objective) == round(solve(model, solver=name).objective)


@pytest.mark.parametrize("name", SOLVERS)
def test_the_same_call_gives_the_same_bytes(name: SolverName) -> None:
    first, again = (solve(_knapsack(60, 2), solver=name) for _ in range(2))
    assert first.values.tobytes() == again.values.tobytes()
    assert (first.objective, first.nodes) == (again.objective, again.nodes)


@pytest.mark.parametrize("name", SOLVERS)
def test_an_infeasible_model_names_irreducible_rows(name: SolverName) -> None:
    # x + y >= 3 is out of reach of two binaries; the other rows play no part.
    model = LinearModel(
        names=("x", "y", "z"),
        objective=np.ones(3),
        upper=np.ones(3),
        integer=np.ones(3, dtype=np.bool_),
        row_names=("loose", "least[0]", "most[0]", "most[1]"),
        matrix=sparse.csr_matrix(
            np.array([[1.0, 1, 1], [-1, -1, -1], [1, 1, 0], [0, 0, 1]])
        ),
        sense=("<", "<", "<", "="),
        rhs=np.array([3.0, -2, 1, 0]),
    )
    with pytest.raises(
        InfeasibleError, match="no design satisfies all limits"
    ) as caught:
        solve(model, solver=name)
    assert caught.value.conflicts == ("least[0]", "most[0]", "most[1]")


@pytest.mark.parametrize("name", SOLVERS)
def test_conflicts_are_not_sought_where_nobody_asks(name: SolverName) -> None:
    with pytest.raises(InfeasibleError) as caught:
        solve(_knapsack(8, 0, capacity=0), solver=name, explain=False)
    assert caught.value.conflicts == ()


def _hard(items: int) -> LinearModel:
    """Return an infeasible parity problem: even weights, an odd total asked for."""
    rng = np.random.default_rng(0)
    weight = 2.0 * rng.integers(10**4, 10**5, (3, items))
    return LinearModel(
        names=tuple(f"x[{i}]" for i in range(items)),
        objective=np.ones(items),
        upper=np.full(items, 9.0),
        integer=np.ones(items, dtype=np.bool_),
        row_names=("a", "b", "c"),
        matrix=sparse.csr_matrix(weight),
        sense=("=", "=", "="),
        rhs=np.floor(weight.sum(axis=1) * 2.6) // 2 * 2 + 2,
    )


def test_gurobi_says_when_the_work_limit_stopped_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(solver_module, "WORK_LIMIT", 1e-4)
    with pytest.raises(
        WorkLimitError,
        match=r"Gurobi stopped after 0.0001 work units without a solution",
    ):
        solve(_hard(30), solver=SolverName.GUROBI)


def test_highs_says_when_the_node_limit_stopped_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(solver_module, "NODE_LIMIT", 0)
    with pytest.raises(
        WorkLimitError, match=r"HiGHS stopped after 0 nodes without a solution"
    ):
        solve(_hard(30), solver=SolverName.HIGHS)


@pytest.mark.parametrize("name", SOLVERS)
def test_an_unproven_result_has_a_bound_and_a_gap(
    name: SolverName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solver_module, "WORK_LIMIT", 2e-3)
    monkeypatch.setattr(solver_module, "NODE_LIMIT", 1)
    rng = np.random.default_rng(1)
    items, rows = 60, 8
    weight = rng.integers(1, 1000, (rows, items)).astype(float)
    model = LinearModel(
        names=tuple(f"x[{i}]" for i in range(items)),
        objective=-rng.integers(1, 1000, items).astype(float),
        upper=np.ones(items),
        integer=np.ones(items, dtype=np.bool_),
        row_names=tuple(f"row[{i}]" for i in range(rows)),
        matrix=sparse.csr_matrix(weight),
        sense=("<",) * rows,
        rhs=weight.sum(axis=1) / 2,
    )
    found = solve(model, solver=name)
    _check(model, found)
    assert found.status is Status.LIMIT
    assert found.bound < found.objective
    assert found.gap == pytest.approx(
        (found.objective - found.bound) / -found.objective
    )
