"""P1 and P2: the engine, the partition and the options of every layer, chosen together.

For each combination of stage widths, `hao.program.engines` enumerates the engines that
can matter, exactly; the integer program of `hao.program.rows` then picks engine,
partition, DSP lanes and bits together from the columns of those engines. A combination
is skipped if its accuracy cost alone is no better than what is known; an engine, if it
would need more cycles saved by fewer bits than the accuracy left to spend can buy
(`most_saved`). So the result is optimal over the whole space, which tests check against
exhaustive enumeration of small ones.

Objectives
    `choose_fastest`        min latency       s.t. accuracy cost <= limit
    `choose_most_accurate`  min accuracy cost s.t. latency <= budget, then min latency

P1 is `choose_fastest` on a problem whose layers have one option each.

Size of the integer program, with n columns in play, s segments, l layers of b options:
at most 2 n + 3 s + l b + positions variables and 6 s + l b + 3 chains + 60 rows. For
MobileNetV2 that is about 700 variables and 1000 rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hao.cost.catalogue import build_stages
from hao.cost.design import Design
from hao.cost.evaluate import CostReport, evaluate
from hao.errors import InfeasibleError, SolverError
from hao.hw.board import Board
from hao.hw.engine import Engine
from hao.hw.resources import Resources
from hao.ir.partition import Role
from hao.options.option import MICRO
from hao.program.branch import Branch, latencies
from hao.program.build import build_program
from hao.program.engines import EngineList, Found, find_engines
from hao.program.problem import (
    Problem,
    Widths,
    affordable,
    branch_at,
    branch_within,
    fused_scheme,
    least_cost,
    most_saved,
    saving_steps,
    settings,
    width_combinations,
)
from hao.program.rows import Program
from hao.program.solver import Solution, SolverName, Status, solve

Floats = NDArray[np.float64]

NO_LIMIT = 1 << 40
"""Cycles above any latency of interest (over an hour at 300 MHz)."""

KEPT = 48
"""Engines whose columns enter the integer program at first (chosen here)."""

MOST_KEPT = 6
"""Engines per combination of widths that are tried with fewer bits (chosen here).

Engines beyond leave a gap, which the report states; more of them close it.
"""

NO_COST = 1 << 40
"""Accuracy cost above any [micro-points]."""

GROUP = 6
"""Engines whose columns one integer program takes together (chosen here)."""

SLACK_PERCENT = 1
"""Engines this much slower than the best enter the integer program too."""

Progress = Callable[[str], None]
"""Receives one line per step of a solve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveReport:
    """What was chosen, and how well it is proven.

    Attributes:
        design: The design.
        cost: The cost model's report on it; its latency is the program's.
        cost_micro: Accuracy cost of its scheme [micro-points of top-1].
        status: Whether optimality was proven.
        objective: Value of the objective.
        bound: Proven bound of the objective over the whole space.
        solver: Who solved the integer program.
        variables: Of the largest integer program solved.
        constraints: Of the same.
        nodes: Branch-and-bound nodes, summed.
        priced: Engines and relaxed triples priced by the enumeration.
    """

    design: Design
    cost: CostReport
    cost_micro: int
    status: Status
    objective: int
    bound: int
    solver: SolverName
    variables: int
    constraints: int
    nodes: int
    priced: int

    @property
    def gap(self) -> float:
        """Return the distance of objective and bound, relative to the objective."""
        if self.objective == self.bound:
            return 0.0
        return (self.objective - self.bound) / max(abs(self.objective), 1)


def choose_fastest(
    problem: Problem,
    *,
    cost_limit: int | None = None,
    latency_limit: int = NO_LIMIT,
    most: int = MOST_KEPT,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> SolveReport:
    """Return the design of least latency whose accuracy cost is within the limit.

    Args:
        problem: What to choose for.
        cost_limit: Most accuracy cost [micro-points]; `None` for no limit.
        latency_limit: Only designs of at most so many cycles are of interest.
        most: Engines per combination of widths that are tried with fewer bits.
        solver: Who solves the integer programs.
        progress: Told of each step.

    Raises:
        InfeasibleError: No engine of the space fits the board and the limits.
    """
    best: SolveReport | None = None
    opened = NO_LIMIT
    for widths in reversed(width_combinations(problem)):
        if cost_limit is not None and widths.cost_micro > cost_limit:
            continue
        known = latency_limit if best is None else best.cost.latency_cycles - 1
        left = _within(problem, widths, cost_limit)
        if left is None:
            continue
        run = _Run(problem, left, solver, progress, most)
        found, bound = run.fastest(known, cost_limit)
        opened = min(opened, bound)
        if found is not None:
            best = found
    if best is None:
        raise InfeasibleError(
            f"{problem.network.name}: no engine fits {problem.board.title} and the "
            "limits"
        )
    latency = best.cost.latency_cycles
    return replace(
        best,
        objective=latency,
        bound=min(latency, opened),
        status=Status.OPTIMAL if opened >= latency else Status.LIMIT,
    )


def choose_most_accurate(
    problem: Problem,
    *,
    budget: int,
    cost_limit: int | None = None,
    most: int = MOST_KEPT,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> SolveReport:
    """Return the design of least accuracy cost within the budget, the fastest of them.

    Args:
        problem: What to choose for.
        budget: Most latency [cycles].
        cost_limit: Only designs of at most this accuracy cost are of interest
            [micro-points]; `None` for no limit.
        most: Engines per combination of widths that are tried with fewer bits.
        solver: Who solves the integer programs.
        progress: Told of each step.

    Raises:
        InfeasibleError: No engine of the space meets the budget and the cost limit.
    """
    best: SolveReport | None = None
    source: Widths | None = None
    opened = NO_COST
    combinations = width_combinations(problem)
    # First at full bits, where the answer mostly is; then what fewer bits may save.
    for saving in (False, True):
        for widths in combinations:
            limit = cost_limit if best is None else best.cost_micro - 1
            if limit is not None and widths.cost_micro > limit:
                break
            left = _within(problem, widths, limit)
            if left is None:
                continue
            run = _Run(problem, left, solver, progress, most)
            found, bound = run.most_accurate(budget, limit, saving=saving)
            opened = min(opened, bound)
            if found is not None:
                best, source = found, widths
    if best is None:
        raise InfeasibleError(
            f"{problem.network.name}: no engine on {problem.board.title} runs a frame "
            f"in {budget} cycles"
        )
    # Equally accurate and faster, with other widths?
    for widths in combinations:
        if widths.cost_micro != best.cost_micro:
            continue
        left = _within(problem, widths, best.cost_micro)
        if left is None or (widths is source and best.cost_micro == widths.cost_micro):
            continue
        run = _Run(problem, left, solver, progress, most)
        found, _ = run.fastest(best.cost.latency_cycles - 1, best.cost_micro)
        best = best if found is None else found
    return replace(
        best,
        objective=best.cost_micro,
        bound=min(best.cost_micro, opened),
        status=Status.OPTIMAL if opened >= best.cost_micro else Status.LIMIT,
    )


def trade_off(
    problem: Problem,
    *,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> tuple[SolveReport, ...]:
    """Return designs of rising accuracy cost and falling latency: the front.

    One design per combination of stage widths: every layer takes the most bits of the
    stage it runs on where its block is fused, and engine and partition are the fastest
    for these bits, proven. Of these, the ones that no other beats are returned.

    Args:
        problem: What to choose for.
        solver: Who solves the integer programs.
        progress: Told of each step.

    Raises:
        InfeasibleError: No engine of the space fits the board.
    """
    schemes: dict[tuple[tuple[str, int], ...], int] = {}
    for widths in width_combinations(problem):
        scheme = fused_scheme(problem, widths)
        schemes.setdefault(tuple(scheme.items()), problem.cost_micro(scheme))
    found: list[SolveReport] = []
    known = NO_LIMIT
    for items, cost in sorted(schemes.items(), key=lambda item: (item[1], item[0])):
        scheme = dict(items)
        fixed = tuple(
            option
            for layer, options in problem.by_layer.items()
            for option in options
            if option.change.weight_bits == scheme[layer]
        )
        progress(f"front: bits that cost {cost / MICRO:.2f} points")
        try:
            report = choose_fastest(
                replace(problem, options=fixed), latency_limit=known, solver=solver
            )
        except InfeasibleError:
            continue
        known = report.cost.latency_cycles - 1
        found.append(report)
    if not found:
        raise InfeasibleError(
            f"{problem.network.name}: no engine fits {problem.board.title}"
        )
    return _undominated(found)


def _undominated(reports: Sequence[SolveReport]) -> tuple[SolveReport, ...]:
    """Return the reports that no other beats in cost and latency, cheapest first."""
    kept: list[SolveReport] = []
    for report in sorted(reports, key=lambda r: (r.cost_micro, r.cost.latency_cycles)):
        if not kept or report.cost.latency_cycles < kept[-1].cost.latency_cycles:
            kept.append(report)
    return tuple(kept)


def _within(problem: Problem, widths: Widths, cost_limit: int | None) -> Widths | None:
    """Return what a combination can use within a cost limit, or `None`."""
    if cost_limit is None:
        return widths
    if widths.cost_micro > cost_limit:
        return None
    return affordable(problem, widths, cost_limit - widths.cost_micro)


def _cycles(program: Program) -> Floats:
    return program.cycles


def _cost(program: Program) -> Floats:
    return program.cost


Coefficients = Callable[[Program], Floats]
Limit = tuple[str, Coefficients, float]


@dataclass(frozen=True, slots=True)
class _Run:
    """One combination of widths being solved."""

    problem: Problem
    widths: Widths
    solver: SolverName
    progress: Progress
    most: int

    def fastest(
        self, latency_limit: int, cost_limit: int | None
    ) -> tuple[SolveReport | None, int]:
        """Return the fastest design of these widths, and a bound of what is left open.

        No design of these widths within the cost limit is faster than both.
        """
        steps = saving_steps(self.problem, self.widths)
        spend = None if cost_limit is None else cost_limit - self.widths.cost_micro
        extra = most_saved(steps, spend) if steps else 0
        limit = min(latency_limit + extra, NO_LIMIT)
        most = self.most if steps else KEPT
        best: SolveReport | None = None
        # Full bits on a stage too narrow for them may promise more than there is; then
        # the slack around the best engine is too small, and all up to the limit count.
        for slack in (extra, limit):
            listed = self.engines(limit, slack=slack, most=most)
            # Engines that are not listed take more than `listed.limit` at full bits.
            opened = listed.limit - extra + 1
            for group, floor in self._groups(listed, extra):
                known = latency_limit if best is None else best.cost.latency_cycles - 1
                if floor > known:
                    break
                limits: list[Limit] = [("latency", _cycles, float(known))]
                if cost_limit is not None:
                    limits.append(("accuracy", _cost, float(cost_limit)))
                found, solved = self.choose(group, listed.priced, _cycles, limits)
                if not solved:
                    opened = min(opened, floor)
                best = best if found is None else found
            known = latency_limit if best is None else best.cost.latency_cycles - 1
            limit = min(limit, known + extra)
            if listed.limit >= limit or len(listed.engines) >= most:
                break
        return best, opened

    def most_accurate(
        self, budget: int, cost_limit: int | None, *, saving: bool
    ) -> tuple[SolveReport | None, int]:
        """Return the best design of these widths, and a bound of what is left open.

        No design of these widths within the budget costs less than both.

        Args:
            budget: Most latency [cycles].
            cost_limit: Most accuracy cost [micro-points].
            saving: Consider engines that meet the budget only if fewer bits than the
                widths allow save cycles; else those that meet it at full bits.
        """
        floor = self.widths.cost_micro
        steps = saving_steps(self.problem, self.widths)

        def limits(cost: int | None) -> list[Limit]:
            result: list[Limit] = [("latency", _cycles, float(budget))]
            if cost is not None:
                result.append(("accuracy", _cost, float(cost)))
            return result

        if not saving:
            listed = self.engines(budget, slack=0)
            if not listed.engines:
                return None, NO_COST
            # Engines that this leaves out, the second round looks at.
            found, solved = self.choose(
                listed.engines, listed.priced, _cost, limits(cost_limit)
            )
            return found, NO_COST if solved else floor
        if not steps:
            return None, NO_COST
        spend = None if cost_limit is None else cost_limit - floor
        limit = budget + most_saved(steps, spend)
        listed = self.engines(limit, slack=limit, most=self.most)
        # Engines that are not listed must save more than this to meet the budget.
        opened = NO_COST
        if listed.limit < limit:
            opened = floor + least_cost(steps, listed.limit + 1 - budget)
        best: SolveReport | None = None
        for group, least in self._groups(listed, limit):
            if least > budget:
                break
            most = cost_limit if best is None else best.cost_micro - 1
            found, solved = self.choose(group, listed.priced, _cost, limits(most))
            if not solved:
                opened = min(opened, floor)
            best = best if found is None else found
        return best, opened

    def _groups(
        self, listed: EngineList, extra: int
    ) -> Iterator[tuple[tuple[Found, ...], int]]:
        """Yield the engines in groups, with a lower bound of each group's latency.

        No engine is faster than at the fewest bits of all layers, nor than its
        latency at full bits less `extra`. Groups come in order of that bound.
        """
        members: dict[int, list[Found]] = {}
        all_settings = list(settings(self.problem))
        pairs: list[tuple[int, Found]] = []
        for engine in listed.engines:
            members.setdefault(engine.branch, []).append(engine)
        for number, engines in members.items():
            branch = branch_at(
                self.problem, self.widths, all_settings[number], self.widths.fewest
            )
            choice = {
                role: np.array([engine.columns[role] for engine in engines])
                for role in engines[0].columns
            }
            cycles, _ = latencies(branch, choice)
            pairs += [
                (max(int(low), engine.cycles - extra), engine)
                for low, engine in zip(cycles, engines, strict=True)
            ]
        pairs.sort(key=lambda pair: (pair[0], pair[1].cycles, pair[1].branch))
        for start in range(0, len(pairs), GROUP):
            part = pairs[start : start + GROUP]
            yield tuple(engine for _, engine in part), part[0][0]

    def engines(self, limit: int, *, slack: int, most: int = KEPT) -> EngineList:
        """Return the engines within the limit and `slack` of the best."""
        numbers, branches = [], []
        for number, setting in enumerate(settings(self.problem)):
            branch = branch_within(self.problem, self.widths, setting, limit=limit)
            if branch is not None:
                numbers.append(number)
                branches.append(branch)
        listed = find_engines(
            branches, limit=limit, slack=slack, slack_percent=SLACK_PERCENT, most=most
        )
        listed = replace(
            listed,
            engines=tuple(replace(e, branch=numbers[e.branch]) for e in listed.engines),
        )
        name = ",".join(str(self.widths.bits[role]) for role in Role)
        best = listed.engines[0].cycles if listed.engines else None
        self.progress(
            f"widths {name}: {listed.priced} engines priced, "
            + (f"best {best} cycles" if best is not None else "none within the limit")
        )
        return listed

    def choose(
        self,
        engines: Sequence[Found],
        priced: int,
        objective: Coefficients,
        limits: Sequence[Limit],
    ) -> tuple[SolveReport | None, bool]:
        """Return the best design over the columns of some engines, if proven so."""
        best: SolveReport | None = None
        solved = True
        all_settings = list(settings(self.problem))
        for number in dict.fromkeys(engine.branch for engine in engines):
            mine = [e for e in engines if e.branch == number]
            columns = {
                role: np.unique([engine.columns[role] for engine in mine])
                for role in mine[0].columns
            }
            branch = branch_at(
                self.problem, self.widths, all_settings[number], self.widths.fewest
            )
            program = build_program(branch, columns, self.problem.choices)
            try:
                found = self._solve(branch, program, objective, limits, priced)
            except InfeasibleError:
                continue
            except SolverError:
                # Out of work without a design: what these hold stays open.
                solved = False
                continue
            solved = solved and found.status is Status.OPTIMAL
            if best is None or _value(found, objective) < _value(best, objective):
                best = found
        return best, solved

    def _solve(
        self,
        branch: Branch,
        program: Program,
        objective: Coefficients,
        limits: Sequence[Limit],
        priced: int,
    ) -> SolveReport:
        """Return the optimum of one branch's program as a priced design."""
        rows = [(name, make(program), value) for name, make, value in limits]
        model = program.model(objective(program), rows)
        solution = solve(model, solver=self.solver, explain=False)
        nodes = solution.nodes
        if objective is _cost:
            # Among the most accurate, the fastest.
            value = float(round(solution.objective))
            rows.append(("accuracy", program.cost, value))
            solution = solve(
                program.model(program.cycles, rows), solver=self.solver, explain=False
            )
            nodes += solution.nodes
        design = _extract(self.problem, branch, program, solution)
        cost = evaluate(design)
        spent = self.problem.cost_micro(design.scheme)
        objective_value = spent if objective is _cost else cost.latency_cycles
        return SolveReport(
            design=design,
            cost=cost,
            cost_micro=spent,
            status=solution.status,
            objective=objective_value,
            bound=objective_value,
            solver=solution.solver,
            variables=len(model.names),
            constraints=len(model.row_names),
            nodes=nodes,
            priced=priced,
        )


def _value(report: SolveReport, objective: Coefficients) -> tuple[int, int]:
    if objective is _cost:
        return report.cost_micro, report.cost.latency_cycles
    return report.cost.latency_cycles, report.cost_micro


def _extract(
    problem: Problem, branch: Branch, program: Program, solution: Solution
) -> Design:
    """Return the design that a solution describes."""
    values = solution.values
    columns = {}
    steps = {}
    for role, (first, index) in program.columns.items():
        chosen = int(np.argmax(values[first : first + index.size]))
        columns[role] = branch.stages[role].columns.take(index[chosen : chosen + 1])
        steps[role] = sum(
            round(values[variable])
            for variable, members in program.steps[role]
            if chosen in members
        )
    dense, depthwise, pointwise = build_stages(
        columns, steps, dict(branch.needs), branch.setting
    )
    scheme = {}
    for layer, options in problem.by_layer.items():
        offered = [option.change.weight_bits for option in options]
        if len(offered) == 1:
            scheme[layer] = offered[0]
        else:
            scheme[layer] = max(offered, key=lambda b: values[program.choice[layer, b]])
    used = [
        segment
        for segment, variable in zip(
            branch.partition.segments, program.segments, strict=True
        )
        if values[variable] > 0.5
    ]
    return Design(
        network=problem.network,
        scheme=scheme,
        engine=Engine(
            dense=dense,
            depthwise=depthwise,
            pointwise=pointwise,
            px=branch.setting.px,
            act_bits=branch.setting.act_bits,
            double_buffered=branch.setting.double_buffered,
            residual=problem.residual,
            pool_words=problem.pool_words,
        ),
        segments=tuple(sorted(used, key=lambda s: s.start)),
        board=branch.setting.board,
    )


EXPLAINED_LAYERS = 16
"""Layers up to which an explanation considers every combination of widths."""

_RELAXED = 1000
"""Factor by which a limit is lifted to see whether it is part of a conflict."""


def clashing_limits(problem: Problem, *, budget: int) -> tuple[str, ...]:
    """Return an irreducible set of limits that together rule out the budget.

    Limits are lifted one after the other; one without which the rest still clash is
    left out for good. What is left is "space" if the network does not run on any
    engine of the space, whatever the board.

    Args:
        problem: An infeasible problem.
        budget: Latency that cannot be met [cycles].
    """
    lifted: list[str] = []
    conflict = ["latency"]
    if not _reaches(problem, NO_LIMIT):
        budget, conflict = NO_LIMIT, []
    for name in ("ddr", "ff", "bram_18k", "lut", "dsp"):
        board = _lift(problem.board, (*lifted, name))
        if _reaches(problem.on_board(board), budget):
            conflict.append(name)
        else:
            lifted.append(name)
    return tuple(conflict) or ("space",)


def _lift(board: Board, names: Sequence[str]) -> Board:
    counts = {
        name: getattr(board.resources, name) * (_RELAXED if name in names else 1)
        for name in ("dsp", "bram_18k", "uram", "lut", "ff")
    }
    return replace(
        board,
        resources=Resources(**counts),
        lutram=counts["lut"] if "lut" in names else board.lutram,
        ddr_peak_kbytes_per_s=board.ddr_peak_kbytes_per_s
        * (_RELAXED if "ddr" in names else 1),
    )


def fewest_cycles(problem: Problem) -> int:
    """Return the least latency at the fewest bits [cycles].

    Of a network of more than `EXPLAINED_LAYERS` layers, only engines no wider than
    these bits need are considered; wider ones could be faster, if hardly ever.

    Raises:
        InfeasibleError: No engine of the space fits the board.
    """
    fewest = tuple(
        replace(options[-1], cost_micro=0) for options in problem.by_layer.values()
    )
    lowest = replace(problem, options=fewest)
    if len(problem.network.layers) <= EXPLAINED_LAYERS:
        return choose_fastest(lowest).cost.latency_cycles
    run = _Run(
        lowest, width_combinations(lowest)[-1], SolverName.AUTO, lambda _: None, KEPT
    )
    found, _ = run.fastest(NO_LIMIT, None)
    if found is None:
        raise InfeasibleError(
            f"{problem.network.name}: no engine fits {problem.board.title}"
        )
    return found.cost.latency_cycles


def _reaches(problem: Problem, budget: int) -> bool:
    """Return whether some engine at the fewest bits meets the budget.

    Its stages may be wider: DSPs are shared otherwise there, at fewer LUTs. For a
    network of more than `EXPLAINED_LAYERS` layers only the narrowest are tried.
    """
    combinations = width_combinations(problem)
    if len(problem.network.layers) > EXPLAINED_LAYERS:
        combinations = combinations[-1:]
    for widths in combinations:
        fewest = replace(widths, scheme=widths.fewest)
        run = _Run(problem, fewest, SolverName.AUTO, lambda _: None, KEPT)
        if run.engines(budget, slack=0).engines:
            return True
    return False
