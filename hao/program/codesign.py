"""P1 and P2: the engine, the partition and the options of every layer, chosen together.

`hao.program.search` finds the optimum over the whole space and proves it: engine by
engine by bounds, the last ones by labels. The integer program of
`hao.program.formulation` then picks columns of every stage, DSP lanes, partition and
options together, from the engines that come near and the arcs that the proof leaves
open, and must come to what was proven. Its design is what is reported, re-priced by
the cost model.

Objectives, each with ties broken in the order named
    `choose_fastest`        latency, accuracy cost, LUTs   s.t. accuracy cost <= limit
    `choose_most_accurate`  accuracy cost, latency, LUTs   s.t. latency <= budget
    `choose_smallest`       blocks   s.t. latency <= budget, accuracy cost <= limit

P1 is `choose_fastest` on a problem whose layers have one option each.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.cost.catalogue import build_stages
from hao.cost.columns import Columns
from hao.cost.evaluate import CostReport, evaluate
from hao.engine.design import Design
from hao.engine.stages import Engine
from hao.errors import InfeasibleError, SolverError, WorkLimitError
from hao.ir.partition import Role
from hao.program.engine_rows import Play
from hao.program.exact import Apart, Way
from hao.program.field import Field
from hao.program.fit import FEWEST_LUTS, Measure
from hao.program.formulation import build_program
from hao.program.hunt import NO_LIMIT, Counts, Found, Least, Limits, Progress
from hao.program.near import arcs_in_play, columns_near
from hao.program.problem import Problem
from hao.program.products import least_cycles
from hao.program.quick import is_quick
from hao.program.rows import Program
from hao.program.search import find
from hao.program.shapes import may_run_by_stage, may_run_within
from hao.program.solver import LinearModel, Solution, SolverName, Status, solve

__all__ = [
    "NO_LIMIT",
    "Measure",
    "Progress",
    "SolveReport",
    "choose_fastest",
    "choose_most_accurate",
    "choose_smallest",
    "fewest_luts",
    "field_of",
    "forget",
    "in_fewest_cycles",
    "near_most_accurate",
    "solved",
]

Floats = NDArray[np.float64]

LIKELY = 0.715
"""Share of a budget within which rough bounds of stages must allow some engine, for one
to be sought at once.

Source: chosen here. Of networks at most bits on zu3eg at 20, 50, 100, 200 and 400
frames/s, six in time were at 0.43 to 0.71, three that are not at 0.56 to 0.60, the
others at 0.72 or more. What it saves depends on it, no answer does.
"""

LARGE = 2_000
"""Arcs in play from which on a solver starts from the design that the search found.

Source: chosen here. Of 1,000 layers that mostly cost alike, finding that design anew
among 3,000 arcs took HiGHS minutes; most programs have a tenth of that.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveReport:
    """What was chosen, and how well it is proven.

    Attributes:
        design: The design.
        cost: The cost model's report on it; its latency is the program's.
        cost_micro: Accuracy cost of its options [micro-points of top-1].
        choice: Option of every site of the problem's frame.
        status: Whether optimality was proven.
        objective: Value of the objective.
        bound: Proven bound of the objective over the whole space.
        solver: Who solved the integer program.
        variables: Of the integer program.
        constraints: Rows of the integer program.
        nodes: Branch-and-bound nodes.
        priced: Lane shapes of engines that were priced.
    """

    design: Design
    cost: CostReport
    cost_micro: int
    choice: tuple[int, ...]
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


def field_of(problem: Problem) -> Field:
    """Return the field of a problem: made once, kept with it.

    A problem with other costs than another one shares prices with it.
    """
    kept = problem.__dict__
    if "field" not in kept:
        like: Problem | None = kept.get("like")
        kept["field"] = Field(problem, None if like is None else field_of(like))
    field: Field = kept["field"]
    return field


def forget(problem: Problem) -> None:
    """Drop what was priced for a problem: its memory is free at once.

    What a field keeps refers to it, which Python would find out at some later time.
    """
    field: Field | None = problem.__dict__.pop("field", None)
    if field is not None:
        field.bounds.clear()


def choose_fastest(
    problem: Problem,
    *,
    cost_limit: int | None = None,
    latency_limit: int = NO_LIMIT,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> SolveReport:
    """Return the design of least latency whose accuracy cost is within the limit.

    Args:
        problem: What to choose for.
        cost_limit: Most accuracy cost [micro-points]; `None` for no limit.
        latency_limit: Only designs of at most so many cycles are of interest.
        solver: Who solves the integer program.
        progress: Told of each step.

    Raises:
        InfeasibleError: No engine of the space fits the board and the limits.
    """
    spend = NO_LIMIT if cost_limit is None else cost_limit
    found, counts = None, Counts()
    if least_cycles(problem) <= latency_limit:
        field = field_of(problem)
        found = find(
            field,
            Least.CYCLES,
            Limits(cycles=latency_limit, cost=spend),
            counts=counts,
            progress=progress,
        )
    if found is None:
        raise InfeasibleError(
            f"{problem.network.name}: no engine fits {problem.board.title} and the "
            "limits"
        )
    latency = found.way.cycles
    cheaper = find(
        field,
        Least.COST,
        Limits(cycles=latency, cost=found.way.cost - 1),
        counts=counts,
    )
    found = fewest_luts(field, cheaper or found, counts)
    return solved(problem, found, counts, solver, Least.CYCLES, Limits(cost=spend))


def choose_most_accurate(
    problem: Problem,
    *,
    budget: int,
    cost_limit: int | None = None,
    unlikely: int = -1,
    decide: bool = False,
    tolerance: float = 0.0,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> SolveReport:
    """Return the design of least accuracy cost within the budget, the fastest of them.

    Args:
        problem: What to choose for.
        budget: Most latency [cycles].
        cost_limit: Only designs of at most this accuracy cost are of interest
            [micro-points]; `None` for no limit.
        unlikely: Cost up to which the caller expects no design within the budget: one
            of the least cost is then not sought by itself first.
        decide: Whether there is a design within the limits is all that counts: the
            first that is found is returned, of its cost neither the fastest nor the
            smallest, and no integer program confirms it. Rough bounds come first: where
            they exclude all designs at any cost, the error says so (`at_any_cost`);
            where they come near the budget, nothing is priced, and none is found.
        tolerance: Share of its accuracy cost by which the design may be beaten; above
            0, ties are left as they come.
        solver: Who solves the integer program.
        progress: Told of each step.

    Raises:
        InfeasibleError: No engine of the space meets the budget and the cost limit.
        SolverError: What was to be decided was not.
    """
    spend = NO_LIMIT if cost_limit is None else cost_limit
    found, counts, possible = None, Counts(), least_cycles(problem) <= budget
    if possible and decide:
        possible = may_run_within(field_of(problem), budget, NO_LIMIT)
    if possible:
        field = field_of(problem)
        if decide:
            found = _first(field, budget, spend, counts, progress)
        elif tolerance > 0:
            found = find(
                field,
                Least.COST,
                Limits(cycles=budget, cost=spend),
                counts=counts,
                tolerance=tolerance,
                progress=progress,
            )
        else:
            found = _most_accurate(field, budget, spend, counts, progress, unlikely)
    if found is None:
        raise InfeasibleError(
            f"{problem.network.name}: no engine on {problem.board.title} runs a frame "
            f"in {budget} cycles",
            at_any_cost=not possible,
        )
    if decide:
        return _decided(problem, found, counts, solver)
    if tolerance == 0:
        found = fewest_luts(field, found, counts)
    return solved(
        problem,
        found,
        counts,
        solver,
        Least.COST,
        Limits(cycles=budget),
        tolerance=tolerance,
    )


def _first(
    field: Field, budget: int, spend: int, counts: Counts, progress: Progress
) -> Found | None:
    """Return a design within limits, `None` if there is none.

    Raises:
        SolverError: There may be one, but bounds are so near the budget that this is
            not worth a search of its own.
    """
    if not may_run_within(field, budget, spend):
        return None
    if not may_run_by_stage(field, int(LIKELY * budget), spend):
        raise SolverError(
            f"{field.problem.network.name}: whether an engine runs a frame in {budget} "
            "cycles was not decided"
        )
    return find(
        field,
        Least.CYCLES,
        Limits(cycles=budget, cost=spend),
        counts=counts,
        first=True,
        progress=progress,
    )


def _decided(
    problem: Problem, found: Found, counts: Counts, solver: SolverName
) -> SolveReport:
    """Return a design that keeps the limits, as the search found it."""
    design, choice = design_of(problem, found)
    least = field_of(problem).widths[0].floor
    return SolveReport(
        design=design,
        cost=evaluate(design),
        cost_micro=found.way.cost,
        choice=choice,
        status=Status.OPTIMAL if found.way.cost == least else Status.LIMIT,
        objective=found.way.cost,
        bound=least,
        solver=solver,
        variables=0,
        constraints=0,
        nodes=0,
        priced=counts.priced,
    )


def near_most_accurate(
    problem: Problem,
    *,
    budget: int,
    tolerance: float,
    most: int = NO_LIMIT,
    apart: Apart | None = None,
) -> tuple[Design, tuple[int, ...]] | None:
    """Return a design of about the least accuracy cost within a budget, and its choice.

    It is as proven as that of `choose_most_accurate` with a tolerance, but no integer
    program picks it: for what is asked again and again, as a measured search does.

    Args:
        problem: What to choose for; with `apart`, its costs hold the penalties.
        budget: Most latency [cycles].
        tolerance: Share of its accuracy cost by which it may be beaten, above 0.
        most: Accuracy cost of interest, as that of a design that is known
            [micro-points]: the less, the quicker is the search.
        apart: Earlier answers to stay apart from.

    Returns:
        Design and option of every site, `None` if no engine meets both limits.
    """
    if least_cycles(problem) > budget:
        return None
    found = find(
        field_of(problem),
        Least.COST,
        Limits(cycles=budget, cost=most),
        apart=apart,
        tolerance=tolerance,
    )
    return None if found is None else design_of(problem, found)


def _most_accurate(
    field: Field,
    budget: int,
    spend: int,
    counts: Counts,
    progress: Progress,
    unlikely: int = -1,
) -> Found | None:
    """Return the design of least cost, then least latency, within limits, or `None`."""
    if not field.widths or field.widths[0].floor > spend:
        return None
    # What costs least of all, at its fastest, mostly meets the budget: a drawn engine
    # shows it. Where none does, the least cost is sought at once.
    floor = field.widths[0].floor
    found = None
    likely = floor > unlikely and (
        may_run_within(field, budget, floor) and is_quick(field, budget, floor)
    )
    if likely or floor == spend:
        found = find(
            field,
            Least.CYCLES,
            Limits(cycles=budget, cost=floor),
            counts=counts,
            progress=progress,
        )
    if found is not None or spend == floor:
        return found
    found = find(
        field,
        Least.COST,
        Limits(cycles=budget, cost=spend),
        counts=counts,
        progress=progress,
    )
    if found is None:
        return None
    return in_fewest_cycles(field, found, counts)


def in_fewest_cycles(field: Field, found: Found, counts: Counts) -> Found:
    """Return the fastest design that costs no more than one of least cost."""
    faster = find(
        field, Least.CYCLES, Limits(cost=found.way.cost), counts=counts, known=found
    )
    assert faster is not None, "at least the known one"
    return faster


def fewest_luts(field: Field, found: Found, counts: Counts) -> Found:
    """Return the design as fast and as cheap as another one that has fewest LUTs.

    Of those with as many, one with the fewest block RAMs (`FEWEST_LUTS`).
    """
    smaller = find(
        field,
        Least.BLOCKS,
        Limits(cycles=found.way.cycles, cost=found.way.cost, blocks=found.blocks - 1),
        counts=counts,
    )
    return smaller or found


def choose_smallest(
    problem: Problem,
    *,
    measure: Measure,
    budget: int,
    cost_limit: int | None = None,
    blocks: int = NO_LIMIT,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> SolveReport:
    """Return the design with the least of some blocks within a budget.

    Args:
        problem: What to choose for.
        measure: How blocks are counted.
        budget: Most latency [cycles].
        cost_limit: Most accuracy cost [micro-points]; `None`: no more than the most
            accurate design of that budget costs.
        blocks: Most measure of the whole engine that is of interest.
        solver: Who solves the integer program.
        progress: Told of each step.

    Raises:
        InfeasibleError: No engine of the space meets the limits.
    """
    field, counts = field_of(problem), Counts()
    if cost_limit is None:
        first = _most_accurate(field, budget, NO_LIMIT, counts, progress)
        cost_limit = NO_LIMIT if first is None else first.way.cost
    stages = blocks
    if blocks < NO_LIMIT:
        stages -= measure.of(problem.fixed)
    limits = Limits(cycles=budget, cost=cost_limit, blocks=stages)
    found = find(
        field,
        Least.BLOCKS,
        limits,
        measure=measure,
        counts=counts,
        progress=progress,
    )
    if found is None:
        small = "" if blocks == NO_LIMIT else "that is so small "
        raise InfeasibleError(
            f"{problem.network.name}: no engine on {problem.board.title} {small}runs a "
            f"frame in {budget} cycles"
        )
    return solved(problem, found, counts, solver, Least.BLOCKS, limits, measure=measure)


def solved(
    problem: Problem,
    found: Found,
    counts: Counts,
    solver: SolverName,
    least: Least,
    limits: Limits,
    *,
    measure: Measure = FEWEST_LUTS,
    apart: Apart | None = None,
    tolerance: float = 0.0,
) -> SolveReport:
    """Return a proven design as the integer program picks it.

    Args:
        problem: What was searched.
        found: The optimum.
        counts: What the search looked at.
        solver: Who solves the integer program.
        least: What it minimises.
        limits: What it must keep.
        measure: How blocks are counted.
        apart: Earlier answers that it must stay apart from.
        tolerance: Share of its accuracy cost by which it may be beaten.

    Raises:
        SolverError: The integer program does not come to the optimum.
    """
    field = field_of(problem)
    play = _play(field, found, measure, apart)
    program = build_program(play)
    rows = [
        ("latency", program.cycles, float(min(limits.cycles, found.way.cycles))),
        ("accuracy", program.cost, float(min(limits.cost, found.way.cost))),
    ]
    match least:
        case Least.CYCLES:
            objective, proven, rows_ = program.cycles, found.way.cycles, rows[1:]
        case Least.COST:
            objective, proven, rows_ = program.cost, found.way.cost, rows[:1]
        case Least.BLOCKS:
            objective, proven, rows_ = program.measure, found.blocks, rows
        case _:
            assert_never(least)
    beaten = int(tolerance * proven) if least is Least.COST else 0
    model = program.model(objective, rows_)
    start = _start(field, found, program) if len(program.arcs) >= LARGE else None
    run = partial(solve, solver=solver, explain=False, start=start)
    picked, name, nodes = found, solver, 0
    try:
        solution = _solve(model, run, proven, beaten, problem)
        nodes, name = solution.nodes, solution.solver
        if least is not Least.BLOCKS and tolerance == 0:
            last = program.model(program.measure, rows)
            if start is None:
                run = partial(run, start=solution.values)
            solution = _solve(last, run, found.blocks, 0, problem)
            nodes += solution.nodes
        picked = _extract(field, found, program, solution, apart)
    except WorkLimitError:
        # The design of the search itself is as good, and proven.
        name = SolverName.HIGHS if solver is SolverName.AUTO else solver
    design, choice = design_of(problem, picked)
    cost, spent = evaluate(design), picked.way.cost
    if cost.latency_cycles > found.way.cycles or spent > found.way.cost:
        raise SolverError(
            f"{problem.network.name}: the integer program's design takes "
            f"{cost.latency_cycles} cycles, {spent} micro-points; proven are "
            f"{found.way.cycles} and {found.way.cost}"
        )
    value = {
        Least.CYCLES: cost.latency_cycles,
        Least.COST: spent,
        Least.BLOCKS: measure.of(cost.resources),
    }[least]
    bound = min(value, proven - beaten) if beaten else value
    return SolveReport(
        design=design,
        cost=cost,
        cost_micro=spent,
        choice=choice,
        status=Status.OPTIMAL if value == bound else Status.WITHIN,
        objective=value,
        bound=bound,
        solver=name,
        variables=len(model.names),
        constraints=len(model.row_names),
        nodes=nodes,
        priced=counts.priced,
    )


def _solve(
    model: LinearModel,
    run: Callable[..., Solution],
    known: int,
    beaten: int,
    problem: Problem,
) -> Solution:
    """Return a solution that is as good as a known design.

    Args:
        model: What to solve.
        run: Solves it, given a target too.
        known: Objective of a design that the search has found.
        beaten: By how much it may be beaten: none is better by more.
        problem: Named in errors.

    Raises:
        SolverError: The program contradicts the search.
        WorkLimitError: No solution that good was found within the work limit.
    """
    try:
        solution = run(model, target=float(known))
    except InfeasibleError as error:
        raise SolverError(
            f"{problem.network.name}: the integer program finds no design, where one "
            "of its objective was proven to exist"
        ) from error
    if solution.objective < known - beaten - 0.5:
        raise SolverError(
            f"{problem.network.name}: the integer program finds {solution.objective:g} "
            f"where {known - beaten} was proven to be the least"
        )
    if solution.status is Status.LIMIT and solution.objective > known + 0.5:
        raise WorkLimitError(f"{solution.objective:g} where {known} is known")
    return solution


def _play(field: Field, found: Found, measure: Measure, apart: Apart | None) -> Play:
    """Return what the integer program chooses from, around a proven optimum."""
    columns = columns_near(field, found, apart)
    room = field.room(found.widths, found.place, found.double)
    grids = room.grids
    return Play(
        graph=field.graph,
        arcs=arcs_in_play(field, found, apart),
        columns=columns,
        stages={
            role: grids[role].columns(index, found.widths.bits[role])
            for role, index in columns.items()
        },
        room=room,
        setting=field.setting(field.pixels[found.place], found.double),
        measure=measure,
        apart=apart,
    )


def _start(field: Field, found: Found, program: Program) -> Floats:
    """Return a design as the integer variables of a program; NaN for the others."""
    graph = field.graph
    values = np.where(program.integer, 0.0, np.nan)
    for role, (first, index) in program.columns.items():
        chosen = int(np.flatnonzero(index == found.columns[role])[0])
        values[first + chosen] = 1
        for variable, members in program.steps[role]:
            values[variable] = found.steps[role] * (chosen in members)
    values[[program.arcs[arc] for arc in found.way.arcs]] = 1
    node = graph.arcs[found.way.arcs[-1]].end
    ends = [end for end in program.ends if graph.finishes[end].node == node]
    values[program.ends[min(ends, key=lambda end: graph.finishes[end].cost)]] = 1
    return values


def _extract(
    field: Field,
    found: Found,
    program: Program,
    solution: Solution,
    apart: Apart | None,
) -> Found:
    """Return the design that a solution describes, of the pixels and widths found."""
    values, graph = solution.values, field.graph
    columns: dict[Role, int] = {}
    steps: dict[Role, int] = {}
    for role, (first, index) in program.columns.items():
        chosen = int(np.argmax(values[first : first + index.size]))
        columns[role] = int(index[chosen])
        steps[role] = sum(
            round(values[variable])
            for variable, members in program.steps[role]
            if chosen in members
        )
    taken = [arc for arc, variable in program.arcs.items() if values[variable] > 0.5]
    taken.sort(key=lambda arc: graph.arcs[arc].start)
    (last,) = (f for f, variable in program.ends.items() if values[variable] > 0.5)
    settled = [pair for arc in taken for pair in graph.arcs[arc].settled]
    settled += graph.finishes[last].settled
    cost = sum(graph.arcs[arc].cost for arc in taken) + graph.finishes[last].cost
    if apart is not None:
        cost, *_ = apart.count(tuple(settled))
    way = Way(found.way.cycles, cost, tuple(taken), tuple(sorted(settled)))
    return replace(found, columns=columns, steps=steps, way=way)


def design_of(problem: Problem, found: Found) -> tuple[Design, tuple[int, ...]]:
    """Return a found design as a value, and the options of all sites."""
    field = field_of(problem)
    room = field.room(found.widths, found.place, found.double)
    px = field.pixels[found.place]
    stages: dict[Role, Columns] = {
        role: room.grids[role].columns(np.array([index]), found.widths.bits[role])
        for role, index in found.columns.items()
    }
    dense, depthwise, pointwise = build_stages(
        stages,
        dict(found.steps),
        dict(found.widths.needs),
        field.setting(px, found.double),
    )
    choice = tuple(problem.choices(found.way.settled))
    network, scheme, segments = problem.frame.changed(
        choice, [problem.graph.arcs[arc].invocation for arc in found.way.arcs]
    )
    design = Design(
        network=network,
        scheme=scheme,
        engine=Engine(
            dense=dense,
            depthwise=depthwise,
            pointwise=pointwise,
            px=px,
            act_bits=problem.act_bits,
            double_buffered=found.double,
            residual=problem.residual,
            pool_words=problem.pool_words,
            wide_mean=problem.wide_mean,
        ),
        segments=segments,
        board=problem.board,
    )
    return design, choice
