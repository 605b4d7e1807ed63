"""The integer program over whole grids has the least that the enumeration proves."""

from dataclasses import replace

import numpy as np
import pytest

from hao.cost.area import fixed_area
from hao.errors import InfeasibleError
from hao.ir.change import Bits
from hao.options.option import Option
from hao.program.codesign import NO_LIMIT, choose_smallest
from hao.program.engine_rows import Play
from hao.program.field import Field
from hao.program.fit import Measure
from hao.program.formulation import build_program
from hao.program.graph import Widths
from hao.program.problem import Problem
from hao.program.rows import Program
from hao.program.solver import SolverName, solve
from tests.program.instances import random_problem

MEASURE = Measure(lut=1, bram_18k=200, dsp=50)


def at_8_bits(seed: int) -> Problem:
    """Return a problem whose engines have one buffering and so many pixels at once."""
    problem = random_problem(seed, layers=4)
    space, layers = problem.space, problem.network.compute_layers
    return replace(
        problem,
        options=tuple(
            Option(layer=layer.name, change=Bits(weight_bits=8), cost_micro=0)
            for layer in layers
        ),
        space=replace(space, pixels=space.pixels[:1], buffering=space.buffering[:1]),
    )


def whole_program(field: Field, widths: Widths) -> Program:
    """Return the program over all columns and arcs of a combination of widths."""
    double = field.problem.space.buffering[0]
    room = field.room(widths, 0, double)
    built = {role: grid for role, grid in room.grids.items() if widths.bits[role] > 0}
    columns = {role: np.arange(grid.lane_of.size) for role, grid in built.items()}
    return build_program(
        Play(
            graph=field.graph,
            arcs=tuple(map(int, np.flatnonzero(widths.allowed))),
            columns=columns,
            stages={
                role: grid.columns(columns[role], widths.bits[role])
                for role, grid in built.items()
            },
            room=room,
            setting=field.setting(field.pixels[0], double),
            measure=MEASURE,
        )
    )


@pytest.mark.parametrize(("seed", "rows"), [(3, 0), (4, 16), (7, 7)])
def test_the_smallest_engine_holds_the_weights_of_its_runs(
    seed: int, rows: int
) -> None:
    # Shallow buffers are small; only the rows "fits" keep runs off those too shallow.
    problem = at_8_bits(seed)
    field, least, named = Field(problem), [], 0
    for widths in field.widths:
        program = whole_program(field, widths)
        named += sum(name.startswith("fits[") for name in program.rows.names)
        try:
            model = program.model(program.measure, [])
            found = solve(model, solver=SolverName.HIGHS, explain=False)
        except InfeasibleError:
            continue
        least.append(round(found.objective))
    fixed = fixed_area(
        problem.board,
        act_bits=problem.act_bits,
        residual=problem.residual,
        pool_words=problem.pool_words,
    )
    smallest = choose_smallest(
        problem, measure=MEASURE, budget=NO_LIMIT, cost_limit=NO_LIMIT
    )
    assert named == rows
    assert min(least) == smallest.objective - MEASURE.of(fixed)
