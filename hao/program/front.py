"""The front of a problem: designs of rising accuracy cost and falling latency."""

from collections.abc import Sequence

from hao.errors import InfeasibleError
from hao.program.along import Budgets, least_within
from hao.program.codesign import (
    SolveReport,
    choose_fastest,
    choose_most_accurate,
    fewest_luts,
    field_of,
    in_fewest_cycles,
    solved,
)
from hao.program.hunt import (
    NO_LIMIT,
    Counts,
    Least,
    Limits,
    Progress,
    bufferings,
)
from hao.program.problem import Problem
from hao.program.shapes import is_far_above, shapes_within
from hao.program.solver import SolverName

__all__ = ["trade_off"]


def trade_off(
    problem: Problem,
    *,
    points: int,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> tuple[SolveReport, ...]:
    """Return designs of rising accuracy cost and falling latency: the front.

    The first is the fastest of those that cost least, the last the cheapest of the
    fastest; between them, latency is divided evenly, and each point is the most
    accurate design within one of these budgets, proven.

    Args:
        problem: What to choose for.
        points: Most designs, at least 1.
        solver: Who solves the integer programs.
        progress: Told of each step.

    Raises:
        InfeasibleError: No engine of the space fits the board.
    """
    slowest = _slowest(problem, solver, progress)
    if points == 1:
        return (slowest,)
    limit = slowest.cost.latency_cycles
    _list_shapes(problem, limit)
    fastest = choose_fastest(problem, latency_limit=limit, solver=solver)
    between = _between(problem, (slowest, fastest), points, solver, progress)
    return _undominated([slowest, *between, fastest])


def _list_shapes(problem: Problem, limit: int) -> None:
    """List the lane shapes of at most some cycles: the whole front is of these."""
    field = field_of(problem)
    double = bufferings(field)[0]
    for joint in field.by_stages(field.widths, NO_LIMIT):
        if not is_far_above(field, joint, double, limit):
            shapes_within(field, joint.roles, double, limit, NO_LIMIT)


def _slowest(problem: Problem, solver: SolverName, progress: Progress) -> SolveReport:
    """Return the fastest of the designs that cost least."""
    for floor in dict.fromkeys(w.floor for w in field_of(problem).widths):
        try:
            return choose_fastest(
                problem, cost_limit=floor, solver=solver, progress=progress
            )
        except InfeasibleError:
            continue
    raise InfeasibleError(
        f"{problem.network.name}: no engine fits {problem.board.title}"
    )


def _between(
    problem: Problem,
    ends: tuple[SolveReport, SolveReport],
    points: int,
    solver: SolverName,
    progress: Progress,
) -> list[SolveReport]:
    """Return the designs between the ends of a front."""
    slowest, fastest = ends
    high, low = slowest.cost.latency_cycles, fastest.cost.latency_cycles
    even = [high - (high - low) * n // (points - 1) for n in range(1, points - 1)]
    budgets = list(dict.fromkeys(budget for budget in even if low < budget < high))
    if not budgets:
        return []
    field, counts = field_of(problem), Counts()
    dearest = fastest.cost_micro
    rate = (high - low) / max(1, dearest - slowest.cost_micro)
    asked = Budgets(budgets, dearest, rate)
    within = least_within(field, asked, counts, progress)
    reports, known = list[SolveReport](), slowest
    for place, budget in enumerate(budgets):
        if known.cost.latency_cycles <= budget:
            continue
        progress(f"front: {place + 2} of {points} points")
        if within is None:
            known = choose_most_accurate(problem, budget=budget, solver=solver)
        else:
            field.listed.update(within[place].listed)
            found = in_fewest_cycles(field, within[place].found, counts)
            found = fewest_luts(field, found, counts)
            limits = Limits(cycles=budget)
            known = solved(problem, found, counts, solver, Least.COST, limits)
        reports.append(known)
    return reports


def _undominated(reports: Sequence[SolveReport]) -> tuple[SolveReport, ...]:
    """Return the reports that no other beats in cost and latency, cheapest first."""
    kept: list[SolveReport] = []
    for report in sorted(reports, key=lambda r: (r.cost_micro, r.cost.latency_cycles)):
        if not kept or report.cost.latency_cycles < kept[-1].cost.latency_cycles:
            kept.append(report)
    return tuple(kept)
