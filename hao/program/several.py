"""Several good designs of one problem that differ: LANA's overlap constraint.

Each answer takes at most a share of the options that any earlier answer takes, of the
sites with a choice that the earlier one settles. Answer by answer:

1. The options of least accuracy cost that keep the overlaps, whatever runs them: an
   integer program of the flow alone. It bounds what any engine can have.
2. The fastest engine for these options. If it meets the budget, that is the answer.
3. Else the search over all engines, with the overlaps in the bounds as penalties (the
   dual prices of 1) and in the labels exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hao.engine.design import Design
from hao.errors import InfeasibleError
from hao.options.frame import Frame
from hao.program.codesign import (
    SolveReport,
    choose_fastest,
    field_of,
    near_most_accurate,
    solved,
)
from hao.program.exact import Apart
from hao.program.graph import Graph, Settled
from hao.program.hunt import NO_LIMIT, Counts, Least, Limits, Progress
from hao.program.problem import Problem
from hao.program.search import find
from hao.program.solver import LinearModel, SolverName, solve

Floats = NDArray[np.float64]

OVERLAP_PERCENT = 70
"""Share of the options of one answer that another may have too [percent].

Source: LANA (Molchanov et al., ECCV 2022) sets 0.7 of the layers.
"""


def choose_several(
    problem: Problem,
    first: SolveReport,
    *,
    count: int,
    budget: int,
    overlap_percent: int,
    tolerance: float = 0.0,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> tuple[SolveReport, ...]:
    """Return the most accurate design within a budget, and further ones that differ.

    Each is the most accurate of those that differ from all before it.

    Args:
        problem: What to choose for.
        first: Its most accurate design, as `choose_most_accurate` returns it.
        count: Most designs, at least 1.
        budget: Most latency [cycles].
        overlap_percent: Share of the sites with a choice that a design settles in which
            a later one may agree with it.
        tolerance: Share of its accuracy cost by which each may be beaten.
        solver: Who solves the integer programs.
        progress: Told of each step.

    Returns:
        Fewer designs than asked for where no further one keeps the limits.
    """
    reports = [first]
    while len(reports) < count:
        progress(f"design {len(reports) + 1} of {count}")
        apart = _apart(problem, [r.choice for r in reports], overlap_percent)
        found = _next(problem, apart, budget, solver, tolerance)
        if found is None:
            break
        reports.append(found)
    return tuple(reports)


def near_several(
    problem: Problem,
    first: Sequence[int],
    *,
    count: int,
    budget: int,
    overlap_percent: int,
    tolerance: float,
    solver: SolverName = SolverName.AUTO,
) -> list[Design]:
    """Return designs that differ from a first one, each of about the least cost left.

    Args:
        problem: What to choose for.
        first: Option of every site of the first, as `near_most_accurate` returns it.
        count: Most designs, at least 0.
        budget: Most latency [cycles].
        overlap_percent: Share of the sites with a choice that a design settles in which
            a later one may agree with it.
        tolerance: Share of its accuracy cost by which each may be beaten, above 0.
        solver: Who solves the integer programs of the options.
    """
    designs: list[Design] = []
    choices = [first]
    while len(designs) < count:
        apart = _apart(problem, choices, overlap_percent)
        cheapest = _cheapest(problem.graph, apart, solver)
        if cheapest is None:
            break
        apart = replace(apart, penalty=cheapest[2])
        found = near_most_accurate(
            _shadow(problem, apart), budget=budget, tolerance=tolerance, apart=apart
        )
        if found is None:
            break
        designs.append(found[0])
        choices.append(found[1])
    return designs


def _apart(
    problem: Problem, choices: Sequence[Sequence[int]], overlap_percent: int
) -> Apart:
    """Return earlier answers to stay apart from, with no penalty yet."""
    sites = problem.frame.sites
    answers = tuple(_settled(problem, choice) for choice in choices)
    return Apart(
        costs=tuple(site.costs for site in sites),
        kinds=tuple(site.kinds for site in sites),
        answers=answers,
        overlap=tuple(len(each) * overlap_percent // 100 for each in answers),
        penalty=(0,) * len(answers),
    )


def _shadow(problem: Problem, apart: Apart) -> Problem:
    """Return the problem with the penalties for agreeing in its costs."""
    return problem.with_costs(_penalised(problem.frame, apart, problem.free_sites))


def _settled(problem: Problem, choice: Sequence[int]) -> Mapping[int, int]:
    """Return the kinds of a choice at the sites with several options that it reaches.

    It does not reach sites inside of a block that it replaces or leaves out.
    """
    graph, sites = problem.graph, problem.frame.sites
    reached: dict[int, Settled] = {0: ()}
    for arc in graph.arcs:
        if arc.start in reached and all(choice[s] == o for s, o in arc.settled):
            reached.setdefault(arc.end, reached[arc.start] + arc.settled)
    ends = (
        reached[finish.node] + finish.settled
        for finish in graph.finishes
        if finish.node in reached and all(choice[s] == o for s, o in finish.settled)
    )
    free = set(problem.free_sites)
    return {site: sites[site].kinds[o] for site, o in next(ends) if site in free}


def _next(
    problem: Problem,
    apart: Apart,
    budget: int,
    solver: SolverName,
    tolerance: float,
) -> SolveReport | None:
    """Return the most accurate design apart from earlier answers, or `None`."""
    cheapest = _cheapest(problem.graph, apart, solver)
    if cheapest is None:
        return None
    cost, settled, prices = cheapest
    choice = tuple(problem.choices(settled.items()))
    alike = _alike(problem.frame, choice)
    try:
        # Options that nothing reaches, in a block left out, stay as they are.
        fixed = choose_fastest(
            problem.with_frame(_fixed(problem.frame, alike)),
            latency_limit=budget,
            solver=solver,
        )
    except InfeasibleError:
        pass
    else:
        choice = tuple(
            options[place] for options, place in zip(alike, fixed.choice, strict=True)
        )
        return replace(
            fixed, choice=choice, cost_micro=cost, objective=cost, bound=cost
        )
    apart = replace(apart, penalty=prices)
    shadow = _shadow(problem, apart)
    field, counts = field_of(shadow), Counts()
    limits = Limits(cycles=budget)
    found = find(
        field, Least.COST, limits, counts=counts, apart=apart, tolerance=tolerance
    )
    if found is None:
        return None
    if tolerance > 0:
        report = solved(
            shadow,
            found,
            counts,
            solver,
            Least.COST,
            limits,
            apart=apart,
            tolerance=tolerance,
        )
        return replace(report, cost_micro=found.way.cost)
    # Of the most accurate the fastest, of these one with the fewest LUTs.
    for least in (Least.CYCLES, Least.BLOCKS):
        limits = Limits(cycles=found.way.cycles, cost=found.way.cost, blocks=NO_LIMIT)
        found = find(field, least, limits, counts=counts, apart=apart) or found
    report = solved(
        shadow, found, counts, solver, Least.COST, Limits(cycles=budget), apart=apart
    )
    cost = found.way.cost
    return replace(report, cost_micro=cost, objective=cost, bound=cost)


def _alike(frame: Frame, choice: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return for every site the options of the kind that was chosen."""
    return tuple(
        tuple(o for o, kind in enumerate(site.kinds) if kind == site.kinds[chosen])
        for site, chosen in zip(frame.sites, choice, strict=True)
    )


def _fixed(frame: Frame, alike: Sequence[tuple[int, ...]]) -> Frame:
    """Return a frame in which every site has the named options alone."""
    steps = []
    for step in frame.steps:
        variants = tuple(
            replace(
                variant,
                choice=tuple(
                    alike[site].index(option)
                    for site, option in zip(step.sites, variant.choice, strict=True)
                ),
            )
            for variant in step.variants
            if all(
                option in alike[site]
                for site, option in zip(step.sites, variant.choice, strict=True)
            )
        )
        steps.append(replace(step, variants=variants))
    sites = tuple(
        replace(
            site,
            changes=tuple(site.changes[o] for o in options),
            costs=tuple(site.costs[o] for o in options),
        )
        for site, options in zip(frame.sites, alike, strict=True)
    )
    return replace(frame, sites=sites, steps=tuple(steps))


def _penalised(
    frame: Frame, apart: Apart, free: Sequence[int]
) -> list[tuple[int, ...]]:
    """Return costs of options that are higher the more earlier answers have them."""
    costs = [site.costs for site in frame.sites]
    for number in free:
        site = frame.sites[number]
        costs[number] = tuple(
            cost
            + sum(
                price
                for answer, price in zip(apart.answers, apart.penalty, strict=True)
                if answer.get(number) == kind
            )
            for kind, cost in zip(site.kinds, site.costs, strict=True)
        )
    return costs


def _cheapest(
    graph: Graph, apart: Apart, solver: SolverName
) -> tuple[int, dict[int, int], tuple[int, ...]] | None:
    """Return the cheapest options apart from earlier answers, whatever runs them.

    Returns:
        Their cost, the options by site, and the dual price of each overlap
        [micro-points]; `None` if there are none.
    """
    every = [(arc.start, arc.end, arc.settled) for arc in graph.arcs]
    sink = graph.position.size
    every += [(finish.node, sink, finish.settled) for finish in graph.finishes]
    # Of arcs between the same nodes that settle the same, one will do.
    ways = list(dict.fromkeys(every))
    counted = np.array([apart.count(way[2]) for way in ways], dtype=np.float64)
    nodes = len(ways)
    entries: list[tuple[int, int, float]] = []
    for index, (start, end, _) in enumerate(ways):
        entries.append((start, index, 1.0))
        if end != sink:
            entries.append((end, index, -1.0))
    for number in range(len(apart.answers)):
        entries += [
            (sink + number, int(place), float(counted[place, 1 + number]))
            for place in np.flatnonzero(counted[:, 1 + number])
        ]
    row, column, value = (np.array(part) for part in zip(*entries, strict=True))
    from scipy import sparse  # here: a refusal has no program

    matrix = sparse.csr_matrix(
        (value, (row, column)), shape=(sink + len(apart.answers), nodes)
    )
    rhs = np.concatenate([[1.0], np.zeros(sink - 1)])
    limits = np.array(apart.overlap, dtype=np.float64)
    from scipy.optimize import linprog  # here: loading it takes 0.2 s

    relaxed = linprog(
        counted[:, 0],
        A_ub=matrix[sink:],
        b_ub=limits,
        A_eq=matrix[:sink],
        b_eq=rhs,
        bounds=(0, 1),
        method="highs",
    )
    if relaxed.status != 0:
        return None
    prices = tuple(round(-price) for price in relaxed.ineqlin.marginals)
    model = LinearModel(
        names=tuple(f"f[{index}]" for index in range(nodes)),
        objective=counted[:, 0],
        upper=np.ones(nodes),
        integer=np.ones(nodes, dtype=np.bool_),
        row_names=(
            *(f"flow[{node}]" for node in range(sink)),
            *(f"other[{number}]" for number in range(len(apart.answers))),
        ),
        matrix=matrix,
        sense=("=",) * sink + ("<",) * len(apart.answers),
        rhs=np.concatenate([rhs, limits]),
    )
    try:
        solution = solve(model, solver=solver, explain=False)
    except InfeasibleError:
        return None
    taken = np.flatnonzero(solution.values > 0.5)
    settled = {site: option for i in taken for site, option in ways[i][2]}
    return round(float(counted[taken, 0].sum())), settled, prices
