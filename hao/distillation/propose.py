"""Which designs to measure whole: the program's answers on an engine that is in reach.

Operations make the space of designs very large. Of those in the place of a block, one
that another beats in loss, products and bits of weights is left out; then bounds go
through the whole catalogue of engines, and those that come first are tried
(`hao.program.search.seek`). On the lanes of the engine that this finds, each answer is
proven up to `TOLERANCE`; over all engines and operations it is not.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hao.engine.stages import Engine
from hao.ir.change import Replace
from hao.ir.layer import Compute
from hao.options.option import Option
from hao.program.codesign import (
    SolveReport,
    choose_fastest,
    choose_most_accurate,
    design_of,
    field_of,
)
from hao.program.problem import Problem
from hao.program.search import seek
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
        progress: Told of every step.

    Returns:
        Where no design meets the budget, the fastest one alone, which exceeds it.
    """
    some = replace(problem, options=promising(problem.options))
    progress(f"{len(some.options)} of {len(problem.options)} options are promising")
    found = seek(field_of(some), budget, TOLERANCE)
    if found is None:
        # What is beaten in products and bits may still be faster.
        some = problem
        fastest = choose_fastest(some, solver=solver)
        if fastest.cost.latency_cycles > budget:
            return (fastest,)
        engine = fastest.design.engine
    else:
        engine = design_of(some, found)[0].engine
    inside = _with_engine(some, engine)
    best = choose_most_accurate(
        inside, budget=budget, tolerance=TOLERANCE, solver=solver
    )
    progress(
        f"design 1 of {count}: {best.cost.latency_cycles} cycles, predicted loss "
        f"{best.cost_micro / 1e6:.3f} nats"
    )
    return choose_several(
        inside,
        best,
        count=count,
        budget=budget,
        overlap_percent=OVERLAP_PERCENT,
        tolerance=TOLERANCE,
        solver=solver,
        progress=progress,
    )


def promising(options: Sequence[Option]) -> tuple[Option, ...]:
    """Return options without operations that another one in the same place beats.

    It then costs no more and has no more products and no more bits of weights, and less
    of one of them.
    """
    figures = {
        option: (option.cost_micro, *_work(option.change))
        for option in options
        if isinstance(option.change, Replace)
    }
    beaten = {
        option
        for option, own in figures.items()
        for other, less in figures.items()
        if option.layer == other.layer
        and less != own
        and all(a <= b for a, b in zip(less, own, strict=True))
    }
    return tuple(option for option in options if option not in beaten)


def _work(change: Replace) -> tuple[int, int]:
    """Return the products and the bits of weights of an operation."""
    layers = [x for x in change.layers if isinstance(x, Compute)]
    weights = sum(layer.weights for layer in layers)
    return sum(layer.macs for layer in layers), weights * change.weight_bits


def _with_engine(problem: Problem, engine: Engine) -> Problem:
    """Return the problem with engines of the lanes that an engine has."""
    filters = [s for s in (engine.dense, engine.pointwise) if s is not None]
    lanes = {lane for stage in filters for lane in (stage.simd, stage.pe)}
    taps = {1}
    if engine.depthwise is not None:
        lanes.add(engine.depthwise.pe)
        taps.add(engine.depthwise.taps)
    depths = {stage.weight_words for stage in filters}
    made = replace(
        problem,
        space=Space(
            pixels=(engine.px,),
            lanes=tuple(sorted(lanes)),
            taps=tuple(sorted(taps)),
            depths=tuple(sorted(depths.union(DEPTHS))),
            buffering=(engine.double_buffered,),
        ),
    )
    return made.with_frame(problem.frame)
