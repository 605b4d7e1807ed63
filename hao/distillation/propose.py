"""Which designs to measure whole: the program's answers on engines that are in reach.

Operations make the space of designs very large, and on small networks most engines tie.
So the program works on few engines at a time: those whose stages have the lanes of the
fastest engine for the teacher first, then also those of the fastest engine for the
operations that it chose, until that gains nothing. Then bounds go through the whole
catalogue, and the engines that come first are tried (`hao.program.search.seek`). Within
the engines that this leaves each answer is proven up to `TOLERANCE`; over all engines
it is not.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from hao.engine.stages import Engine
from hao.errors import InfeasibleError
from hao.ir.change import Bits, Replace
from hao.ir.layer import Conv, Depthwise, Linear
from hao.options.option import Option
from hao.program.codesign import (
    NO_LIMIT,
    SolveReport,
    choose_fastest,
    choose_most_accurate,
    design_of,
    field_of,
)
from hao.program.problem import Problem
from hao.program.search import seek
from hao.program.several import OVERLAP_PERCENT, choose_several, only_alike
from hao.program.solver import SolverName
from hao.program.space import Space

TOLERANCE = 0.02
"""Share of its loss by which an answer may be beaten (chosen here)."""

ROUNDS = 4
"""Most times that engines are added (chosen here)."""

MOST_RUNS = 1_500
"""Runs of a problem up to which engines are sought over the whole catalogue.

Source: chosen here; 384 runs of the digits with six operations took 6 CPU s.
"""

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
        problem, options=tuple(o for o in problem.options if isinstance(o.change, Bits))
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
    spend = NO_LIMIT
    if best is not None:
        spend = int((1 - TOLERANCE) * best.cost_micro) - 1
    engine = _sought(problem, budget, spend)
    if engine is not None:
        known = [] if best is None else [best.design.engine]
        inside = _with_engines(problem, [*known, engine], _depths([*known, engine]))
        found = choose_most_accurate(
            inside, budget=budget, tolerance=TOLERANCE, solver=solver
        )
        progress(
            f"engines of the whole catalogue: {found.cost.latency_cycles} cycles, "
            f"predicted loss {found.cost_micro / 1e6:.3f} nats"
        )
        if best is None or found.cost_micro < best.cost_micro:
            best = found
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


def _sought(problem: Problem, budget: int, spend: int) -> Engine | None:
    """Return an engine of the whole catalogue with a design of little loss, if found.

    Args:
        problem: The network with all its options.
        budget: Most latency [cycles].
        spend: Most loss of the design [1e-6 nats].
    """
    some = replace(problem, options=promising(problem.options))
    if spend < 0 or len(some.graph.runs) > MOST_RUNS:
        return None
    found = seek(field_of(some), budget, spend, TOLERANCE)
    return None if found is None else design_of(some, found)[0].engine


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
    layers = [x for x in change.layers if isinstance(x, Conv | Depthwise | Linear)]
    weights = sum(layer.weights for layer in layers)
    return sum(layer.macs for layer in layers), weights * change.weight_bits


def _depths(engines: Iterable[Engine]) -> tuple[int, ...]:
    """Return the depths on offer with those of some engines' own buffers [words]."""
    own = {
        stage.weight_words
        for engine in engines
        for stage in (engine.dense, engine.pointwise)
        if stage is not None
    }
    return tuple(sorted(own | set(DEPTHS)))


def _with_engines(
    problem: Problem, engines: Iterable[Engine], depths: tuple[int, ...] = DEPTHS
) -> Problem:
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
            depths=depths,
            buffering=tuple(sorted(buffering)),
        ),
    )
    return made.with_frame(problem.frame)
