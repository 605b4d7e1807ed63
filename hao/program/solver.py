"""The solvers: one linear model, solved by Gurobi or, where it must be, by HiGHS.

gurobipy writes the model in either case. Its pip licence solves up to `GUROBI_SIZE`
variables and as many constraints; a larger model, or a machine without any licence,
goes to HiGHS through the file that `Model.write` makes, so there is one formulation.
Limits are on work, not on time, so that a result does not depend on the machine.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import gurobipy as gp
import highspy
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hao.errors import InfeasibleError, SolverError

Floats = NDArray[np.float64]

GUROBI_SIZE = 2000
"""Variables, and constraints, that gurobipy's pip licence solves (measured, 13.0.3)."""

WORK_LIMIT = 4.0
"""Gurobi work units (about seconds) before it stops with what it has (chosen here)."""

NODE_LIMIT = 200_000
"""Nodes before HiGHS stops with what it has (chosen here)."""


class SolverName(Enum):
    """Which solver to use; `AUTO` takes Gurobi where its licence allows."""

    AUTO = "auto"
    GUROBI = "gurobi"
    HIGHS = "highs"


class Status(Enum):
    """How far a solve came."""

    OPTIMAL = "optimal"
    LIMIT = "work limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearModel:
    """min objective . x,  rows (sense "<" or "=") on x,  0 <= x <= upper.

    Attributes:
        names: Variable names.
        objective: Coefficients.
        upper: Upper bounds.
        integer: Which variables are integer.
        row_names: Row names.
        matrix: Coefficients of shape (rows, variables).
        sense: "<" or "=" per row.
        rhs: Right-hand sides.
    """

    names: tuple[str, ...]
    objective: Floats
    upper: Floats
    integer: NDArray[np.bool_]
    row_names: tuple[str, ...]
    matrix: sparse.csr_matrix
    sense: tuple[str, ...]
    rhs: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What a solver found.

    Attributes:
        values: Value of every variable.
        objective: Of the incumbent.
        bound: Proven lower bound of the objective.
        status: Whether optimality was proven.
        solver: Who solved it.
        nodes: Branch-and-bound nodes.
    """

    values: Floats
    objective: float
    bound: float
    status: Status
    solver: SolverName
    nodes: int

    @property
    def gap(self) -> float:
        """Return the distance of objective and bound, relative to the objective."""
        if self.objective == self.bound:
            return 0.0
        return abs(self.objective - self.bound) / max(abs(self.objective), 1e-9)


def solve(
    model: LinearModel,
    *,
    solver: SolverName = SolverName.AUTO,
    seed: int = 0,
    explain: bool = True,
) -> Solution:
    """Return the optimum of `model`.

    Args:
        model: What to minimise.
        solver: Who solves it.
        seed: Of the solver's tie-breaking.
        explain: Name the rows that clash if there is no solution, which may take
            longer than finding out that there is none.

    Raises:
        InfeasibleError: Nothing satisfies the rows; `conflicts` names an irreducible
            set of them.
        SolverError: No solution within the work limit, or Gurobi was asked for and
            has no licence for a model of this size.
    """
    large = max(len(model.names), len(model.row_names)) > GUROBI_SIZE
    with gp.Env(empty=True) as env:
        env.setParam("OutputFlag", 0)
        licensed = _start(env)
        if solver is SolverName.GUROBI and not licensed:
            raise SolverError("Gurobi has no valid licence here; use --solver highs")
        with _gurobi_model(model, env) as built:
            built.Params.Seed = seed
            if solver is SolverName.HIGHS or not licensed:
                return _solve_highs(model, built, seed, explain=explain)
            try:
                return _solve_gurobi(built, explain=explain)
            except gp.GurobiError as error:
                if error.errno != gp.GRB.Error.SIZE_LIMIT_EXCEEDED:
                    raise SolverError(f"Gurobi: {error}") from error
                if solver is SolverName.GUROBI:
                    raise SolverError(
                        f"{len(model.names)} variables, {len(model.row_names)} rows; "
                        f"this Gurobi licence takes {GUROBI_SIZE}; use --solver highs"
                    ) from error
                assert large
                return _solve_highs(model, built, seed, explain=explain)


def _start(env: gp.Env) -> bool:
    """Start the environment; return whether a licence was found."""
    try:
        env.start()
    except gp.GurobiError:
        return False
    return True


def _gurobi_model(model: LinearModel, env: gp.Env) -> gp.Model:
    """Return the model as gurobipy's, every variable and row named."""
    built = gp.Model("hao", env=env)
    kinds = np.where(
        model.integer, np.where(model.upper <= 1, gp.GRB.BINARY, gp.GRB.INTEGER), "C"
    )
    variables = built.addMVar(
        len(model.names),
        ub=np.where(np.isinf(model.upper), gp.GRB.INFINITY, model.upper),
        obj=model.objective,
        vtype=kinds,
        name=list(model.names),
    )
    senses = np.array(["=" if s == "=" else "<" for s in model.sense])
    # The stubs of gurobipy know dense matrices and one name only.
    built.addMConstr(  # type: ignore[call-overload]
        model.matrix, variables, senses, model.rhs, name=list(model.row_names)
    )
    built.update()
    return built


def _solve_gurobi(built: gp.Model, *, explain: bool) -> Solution:
    built.Params.Threads = 1
    built.Params.WorkLimit = WORK_LIMIT
    built.Params.MIPGap = 0
    built.Params.MIPGapAbs = 0.5
    built.Params.IntFeasTol = 1e-9
    built.Params.FeasibilityTol = 1e-9
    built.optimize()
    if built.Status in (gp.GRB.INFEASIBLE, gp.GRB.INF_OR_UNBD):
        raise InfeasibleError(
            "no design satisfies all limits",
            conflicts=_conflicts(built) if explain else (),
        )
    if built.SolCount == 0:
        raise SolverError(
            f"Gurobi stopped after {WORK_LIMIT:g} work units without a solution"
        )
    optimal = built.Status == gp.GRB.OPTIMAL
    objective = float(built.ObjVal)
    return Solution(
        values=np.array(built.getAttr("X")),
        objective=objective,
        bound=objective if optimal else float(built.ObjBound),
        status=Status.OPTIMAL if optimal else Status.LIMIT,
        solver=SolverName.GUROBI,
        nodes=int(built.NodeCount),
    )


def _conflicts(built: gp.Model) -> tuple[str, ...]:
    """Return the names of an irreducible set of rows that clash."""
    built.computeIIS()
    return tuple(row.ConstrName for row in built.getConstrs() if row.IISConstr)


def _solve_highs(
    model: LinearModel, built: gp.Model, seed: int, *, explain: bool
) -> Solution:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mps"
        built.write(str(path))
        highs = _highs()
        highs.readModel(str(path))
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("random_seed", seed)
    highs.setOptionValue("mip_max_nodes", NODE_LIMIT)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("mip_abs_gap", 0.5)
    highs.setOptionValue("mip_feasibility_tolerance", 1e-9)
    highs.run()
    status = highs.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        raise InfeasibleError(
            "no design satisfies all limits",
            conflicts=_deletion_filter(model) if explain else (),
        )
    info = highs.getInfo()
    optimal = status == highspy.HighsModelStatus.kOptimal
    if not optimal and info.primal_solution_status != 2:
        raise SolverError(f"HiGHS stopped after {NODE_LIMIT} nodes without a solution")
    objective = float(info.objective_function_value)
    return Solution(
        values=np.array(highs.getSolution().col_value),
        objective=objective,
        bound=objective if optimal else float(info.mip_dual_bound),
        status=Status.OPTIMAL if optimal else Status.LIMIT,
        solver=SolverName.HIGHS,
        nodes=int(info.mip_node_count),
    )


def _highs() -> highspy.Highs:
    """Return a silent HiGHS."""
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # its stubs are partial
    highs.setOptionValue("output_flag", False)
    return highs


def _deletion_filter(model: LinearModel) -> tuple[str, ...]:
    """Return the names of an irreducible set of rows that clash.

    Whatever the model is infeasible without is dropped: first all rows of one kind,
    then ever smaller runs of rows, at last single ones.
    """
    kept = list(range(len(model.row_names)))
    kinds: dict[str, list[int]] = {}
    for row, name in enumerate(model.row_names):
        kinds.setdefault(name.split("[")[0], []).append(row)
    for group in kinds.values():
        kept = _without(model, kept, group)
    size = len(kept) // 2
    while size > 1:
        for start in range(0, len(kept), size):
            kept = _without(model, kept, kept[start : start + size])
        size //= 2
    for row in list(kept):
        kept = _without(model, kept, [row])
    return tuple(model.row_names[row] for row in kept)


def _without(model: LinearModel, kept: list[int], dropped: Sequence[int]) -> list[int]:
    """Return `kept` less `dropped`, or `kept` if that would be feasible."""
    trial = [row for row in kept if row not in set(dropped)]
    return kept if not dropped or _feasible(model, trial) else trial


def _feasible(model: LinearModel, rows: Sequence[int]) -> bool:
    """Return whether the model with only these rows is not proven infeasible."""
    highs = _highs()
    lp = highspy.HighsLp()
    part = model.matrix[list(rows)].tocsc()
    lp.num_col_, lp.num_row_ = len(model.names), len(rows)
    lp.col_cost_ = np.zeros(len(model.names))
    lp.col_lower_ = np.zeros(len(model.names))
    lp.col_upper_ = np.where(np.isinf(model.upper), highspy.kHighsInf, model.upper)
    rhs = model.rhs[list(rows)]
    equal = np.array([model.sense[row] == "=" for row in rows], dtype=np.bool_)
    lp.row_lower_ = np.where(equal, rhs, -highspy.kHighsInf)
    lp.row_upper_ = rhs
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = part.indptr
    lp.a_matrix_.index_ = part.indices
    lp.a_matrix_.value_ = part.data
    lp.integrality_ = [
        highspy.HighsVarType.kInteger if flag else highspy.HighsVarType.kContinuous
        for flag in model.integer
    ]
    highs.passModel(lp)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("mip_max_nodes", NODE_LIMIT)
    highs.run()
    return bool(highs.getModelStatus() != highspy.HighsModelStatus.kInfeasible)
