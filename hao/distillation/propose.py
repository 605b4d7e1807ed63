"""Which designs to measure whole: the program's answers on engines that are in reach.

Operations make the space of designs very large, and on small networks most engines tie.
So the program works on few engines at a time: those whose stages have the lanes of the
fastest engine for the teacher first, then also those of the fastest engine for the
operations that it chose, until that gains nothing. Within these engines each answer is
proven up to `TOLERANCE`; over all engines it is not.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from hao.engine.stages import Engine
from hao.errors import InfeasibleError
from hao.ir.change import Bits
from hao.program.codesign import SolveReport, choose_fastest, choose_most_accurate
from hao.program.problem import Problem
from hao.program.several import OVERLAP_PERCENT, choose_several, only_alike
from hao.program.solver import SolverName
from hao.program.space import Space

TOLERANCE = 0.02
"""Share of its loss by which an answer may be beaten (chosen here)."""

ROUNDS = 4
"""Most times that engines are added (chosen here)."""

DEPTHS = (64, 512, 2048, 8192)
"""Depths of weight buffers that are offered [words] (chosen here)."""


def propose(
    problem: Problem,
    *,
    budget: int,
    count: int,
    solver: SolverName,
    progress: Callable[[str], None],
) -> tuple[SolveReport, ...]:
    """Return designs of low loss within a budget that differ, the least loss first.

    Args:
        problem: The network with all its options, and the whole space of engines.
        budget: Most latency [cycles].
        count: Most designs, at least 1.
        solver: Who solves the integer programs.
        progress: Told of every round.

    Raises:
        InfeasibleError: No design meets the budget; `at_any_cost` tells nothing.
    """
    plain = replace(
        problem,
        options=tuple(o for o in problem.options if isinstance(o.change, Bits)),
    )
    engines = [choose_fastest(plain, solver=solver).design.engine]
    best: SolveReport | None = None
    inside = problem
    for number in range(ROUNDS):
        inside = _with_engines(problem, engines)
        try:
            found = choose_most_accurate(
                inside, budget=budget, tolerance=TOLERANCE, solver=solver
            )
        except InfeasibleError:
            found = choose_fastest(inside, solver=solver)
        progress(
            f"engines {number + 1}: {found.cost.latency_cycles} cycles, predicted loss "
            f"{found.cost_micro / 1e6:.3f} nats"
        )
        within = found.cost.latency_cycles <= budget
        if within and (best is None or found.cost_micro < best.cost_micro):
            best = found
        fastest = choose_fastest(
            problem.with_frame(only_alike(problem.frame, found.choice)), solver=solver
        )
        if fastest.cost.latency_cycles >= found.cost.latency_cycles:
            break
        engines.append(fastest.design.engine)
    if best is None:
        raise InfeasibleError(
            f"{problem.network.name}: no design within {budget} cycles was found"
        )
    return choose_several(
        inside,
        best,
        count=count,
        budget=budget,
        overlap=len(problem.free_sites) * OVERLAP_PERCENT // 100,
        tolerance=TOLERANCE,
        solver=solver,
        progress=progress,
    )


def _with_engines(problem: Problem, engines: Iterable[Engine]) -> Problem:
    """Return the problem with engines of the lanes that some engines have."""
    lanes: set[int] = set()
    taps, pixels, buffering = {1}, set(), set()
    for engine in engines:
        for stage in (engine.dense, engine.pointwise):
            if stage is not None:
                lanes |= {stage.simd, stage.pe}
        if engine.depthwise is not None:
            lanes.add(engine.depthwise.pe)
            taps.add(engine.depthwise.taps)
        pixels.add(engine.px)
        buffering.add(engine.double_buffered)
    made = replace(
        problem,
        space=Space(
            pixels=tuple(sorted(pixels)),
            lanes=tuple(sorted(lanes)),
            taps=tuple(sorted(taps)),
            depths=DEPTHS,
            buffering=tuple(sorted(buffering)),
        ),
    )
    return made.with_frame(problem.frame)
