"""The solvers: one linear model, solved by Gurobi or, where it must be, by HiGHS.

`LinearModel` is the formulation, handed to either solver in memory. gurobipy's pip
licence solves up to `GUROBI_SIZE` variables and as many constraints; a larger model,
or any on a machine without gurobipy or a licence that works, goes to HiGHS, and the
solution says so. Limits are on work, not on time, so that a result does not depend on
the machine.
"""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import highspy
import numpy as np
from numpy.typing import NDArray

from hao.errors import InfeasibleError, SolverError, WorkLimitError

if TYPE_CHECKING:
    import gurobipy as gp
    from scipy import sparse

Floats = NDArray[np.float64]

GUROBI_SIZE = 2000
"""Variables, and constraints, that gurobipy's pip licence solves (measured, 13.0.3)."""

WORK_LIMIT = 4.0
"""Gurobi work units (about seconds) before it stops with what it has (chosen here)."""

NODE_LIMIT = 200_000
"""Nodes before HiGHS stops with what it has (chosen here)."""

TARGET_SLACK = 1e-6
"""Above `target`, an objective still counts as there: solvers compute in floats."""


class SolverName(Enum):
    """Which solver to use; `AUTO` takes Gurobi where a licence allows, else HiGHS."""

    AUTO = "auto"
    GUROBI = "gurobi"
    HIGHS = "highs"


class Status(Enum):
    """How far a solve came."""

    OPTIMAL = "optimal"
    WITHIN = "within what was asked"
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
    matrix: "sparse.csr_matrix"
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


_CLASH = (
    highspy.HighsModelStatus.kInfeasible,
    # No objective here is unbounded: costs are at least 0, or bounds are finite.
    highspy.HighsModelStatus.kUnboundedOrInfeasible,
)


def solve(
    model: LinearModel,
    *,
    solver: SolverName = SolverName.AUTO,
    seed: int = 0,
    explain: bool = True,
    target: float | None = None,
    start: Floats | None = None,
) -> Solution:
    """Return the optimum of `model`.

    Args:
        model: What to minimise.
        solver: Who solves it. `HIGHS` never loads gurobipy.
        seed: Of the solver's tie-breaking.
        explain: Name the rows that clash if there is no solution, which may take
            longer than finding out that there is none.
        target: Objective below which the caller knows that nothing is: the first
            solution at most this (and `TARGET_SLACK`) is the optimum.
        start: A solution to start from: feasible, a value for every variable, or for
            every integer one and NaN for the others, which the solver then finds.

    Raises:
        InfeasibleError: Nothing satisfies the rows; `conflicts` names an irreducible
            set of them.
        WorkLimitError: No solution within the work limit.
        SolverError: Gurobi was asked for and is not installed, has no licence that
            works for a model of this size, or failed.
    """
    if solver is not SolverName.HIGHS:
        try:
            return _solve_gurobi(
                model, seed=seed, explain=explain, target=target, start=start
            )
        except WorkLimitError:
            raise
        except SolverError:
            if solver is SolverName.GUROBI:
                raise
    return _solve_highs(model, seed=seed, explain=explain, target=target, start=start)


def check_solver(solver: SolverName) -> None:
    """Check that a solver that was asked for by name runs here.

    Raises:
        SolverError: Gurobi is asked for and is not installed or has no licence.
    """
    if solver is not SolverName.GUROBI:
        return
    try:
        import gurobipy  # noqa: F401 - whether it can be
    except ImportError as error:
        raise SolverError(
            f"gurobipy is not installed ({error}); use `solver` = highs"
        ) from error
    fault = _licence_fault(os.environ.get("GRB_LICENSE_FILE"))
    if fault:
        raise SolverError(f"{fault}; use `solver` = highs")


@functools.cache
def _licence_fault(file: str | None) -> str:
    """Return why Gurobi does not start with the licence file set, or nothing.

    Asked once per file, since a licence server that is out of reach takes seconds.
    """
    import gurobipy as gp

    try:
        gp.Env(params={"OutputFlag": 0}).close()
    except gp.GurobiError as error:
        where = f" (GRB_LICENSE_FILE={file})" if file else ""
        return f"no Gurobi licence that works{where}: {' '.join(str(error).split())}"
    return ""


def _solve_gurobi(
    model: LinearModel,
    *,
    seed: int,
    explain: bool,
    target: float | None,
    start: Floats | None,
) -> Solution:
    check_solver(SolverName.GUROBI)
    import gurobipy as gp

    try:
        with (
            gp.Env(params={"OutputFlag": 0}) as env,
            _gurobi_model(model, env) as built,
        ):
            built.Params.Seed = seed
            if start is not None:
                known = np.where(np.isnan(start), gp.GRB.UNDEFINED, start)
                built.setAttr("Start", built.getVars(), known.tolist())
            return _optimize(built, target, explain=explain)
    except gp.GurobiError as error:
        if error.errno == gp.GRB.Error.SIZE_LIMIT_EXCEEDED:
            raise SolverError(
                f"{len(model.names)} variables, {len(model.row_names)} rows; "
                f"this Gurobi licence takes {GUROBI_SIZE}; use `solver` = highs"
            ) from error
        raise SolverError(f"Gurobi: {error}") from error


def _gurobi_model(model: LinearModel, env: "gp.Env") -> "gp.Model":
    """Return the model as gurobipy's, every variable and row named."""
    import gurobipy as gp

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


def _optimize(built: "gp.Model", target: float | None, *, explain: bool) -> Solution:
    """Return what Gurobi finds in a model that has its seed and its start."""
    import gurobipy as gp

    built.Params.Threads = 1
    built.Params.WorkLimit = WORK_LIMIT
    built.Params.MIPGap = 0
    built.Params.MIPGapAbs = 0.5
    built.Params.IntFeasTol = 1e-9
    # Finer tolerances than rows of 10^6 cycles can be summed up to refuse designs.
    built.Params.FeasibilityTol = 1e-6
    if target is not None:
        built.Params.BestObjStop = target + TARGET_SLACK
    built.optimize()
    if built.Status in (gp.GRB.INFEASIBLE, gp.GRB.INF_OR_UNBD):
        raise InfeasibleError(
            "no design satisfies all limits",
            conflicts=_conflicts(built) if explain else (),
        )
    if built.SolCount == 0:
        raise WorkLimitError(
            f"Gurobi stopped after {WORK_LIMIT:g} work units without a solution"
        )
    objective = float(built.ObjVal)
    optimal = built.Status == gp.GRB.OPTIMAL or _reached(target, objective)
    return Solution(
        values=np.array(built.getAttr("X")),
        objective=objective,
        bound=objective if optimal else float(built.ObjBound),
        status=Status.OPTIMAL if optimal else Status.LIMIT,
        solver=SolverName.GUROBI,
        nodes=int(built.NodeCount),
    )


def _conflicts(built: "gp.Model") -> tuple[str, ...]:
    """Return the names of an irreducible set of rows that clash."""
    built.computeIIS()
    return tuple(row.ConstrName for row in built.getConstrs() if row.IISConstr)


def _solve_highs(
    model: LinearModel,
    *,
    seed: int,
    explain: bool,
    target: float | None,
    start: Floats | None,
) -> Solution:
    highs = _highs(model, range(len(model.row_names)), model.objective)
    highs.setOptionValue("random_seed", seed)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("mip_abs_gap", 0.5)
    highs.setOptionValue("mip_feasibility_tolerance", 1e-9)
    if target is not None:
        highs.setOptionValue("objective_target", target + TARGET_SLACK)
    if start is not None:
        known = np.flatnonzero(~np.isnan(start)).astype(np.int32)
        highs.setSolution(known.size, known, start[known])
    highs.run()
    status = highs.getModelStatus()
    if status in _CLASH:
        raise InfeasibleError(
            "no design satisfies all limits",
            conflicts=_deletion_filter(model) if explain else (),
        )
    info = highs.getInfo()
    optimal = status == highspy.HighsModelStatus.kOptimal
    if not optimal and info.primal_solution_status != 2:
        raise WorkLimitError(
            f"HiGHS stopped after {NODE_LIMIT} nodes without a solution"
        )
    objective = float(info.objective_function_value)
    optimal = optimal or _reached(target, objective)
    return Solution(
        values=np.array(highs.getSolution().col_value),
        objective=objective,
        bound=objective if optimal else float(info.mip_dual_bound),
        status=Status.OPTIMAL if optimal else Status.LIMIT,
        solver=SolverName.HIGHS,
        nodes=int(info.mip_node_count),
    )


def _reached(target: float | None, objective: float) -> bool:
    """Return whether a solution is as good as the caller knows that any can be."""
    return target is not None and objective <= target + TARGET_SLACK


def _highs(model: LinearModel, rows: Sequence[int], objective: Floats) -> highspy.Highs:
    """Return a silent HiGHS that holds the model with only these rows."""
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # its stubs are partial
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("mip_max_nodes", NODE_LIMIT)
    lp = highspy.HighsLp()
    part = model.matrix[list(rows)].tocsc()
    lp.num_col_, lp.num_row_ = len(model.names), len(rows)
    lp.col_cost_ = objective
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
    highs = _highs(model, rows, np.zeros(len(model.names)))
    highs.run()
    return highs.getModelStatus() not in _CLASH
