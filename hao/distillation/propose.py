"""Which designs to measure whole: the best by the program, and others that differ.

The first one is proven over all engines, up to `TOLERANCE`. Those that differ from it
are the best on engines whose stages have its lanes: what they are for is to measure
other operations, and which engine runs these is searched anew in the end.
"""

from collections.abc import Callable
from dataclasses import replace

from hao.hw.engine import Engine
from hao.program.codesign import SolveReport, choose_most_accurate
from hao.program.problem import Problem
from hao.program.several import OVERLAP_PERCENT, choose_several
from hao.program.solver import SolverName
from hao.program.space import Space

TOLERANCE = 0.02
"""Share of its loss by which an answer may be beaten (chosen here)."""

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
        progress: Told of each step.

    Raises:
        InfeasibleError: No design meets the budget.
    """
    first = choose_most_accurate(
        problem, budget=budget, tolerance=TOLERANCE, solver=solver, progress=progress
    )
    progress(
        f"{first.cost.latency_cycles} cycles, predicted loss "
        f"{first.cost_micro / 1e6:.3f} nats"
    )
    inside = _with_lanes(problem, first.design.engine)
    return choose_several(
        inside,
        first,
        count=count,
        budget=budget,
        overlap=len(problem.free_sites) * OVERLAP_PERCENT // 100,
        tolerance=TOLERANCE,
        solver=solver,
        progress=progress,
    )


def _with_lanes(problem: Problem, engine: Engine) -> Problem:
    """Return the problem with engines of the lanes that an engine has."""
    lanes: set[int] = set()
    taps = {1}
    for stage in (engine.dense, engine.pointwise):
        if stage is not None:
            lanes |= {stage.simd, stage.pe}
    if engine.depthwise is not None:
        lanes.add(engine.depthwise.pe)
        taps.add(engine.depthwise.taps)
    made = replace(
        problem,
        space=Space(
            pixels=(engine.px,),
            lanes=tuple(sorted(lanes)),
            taps=tuple(sorted(taps)),
            depths=DEPTHS,
            buffering=(engine.double_buffered,),
        ),
    )
    return made.with_frame(problem.frame)
