"""With a calibration or multipliers, programs find what enumeration finds."""

from dataclasses import replace

import pytest

from hao.cost.evaluate import evaluate
from hao.errors import InfeasibleError
from hao.hw.calibration import Calibration, PartFactors
from hao.ir.layer import Conv, Depthwise, Linear
from hao.program.codesign import choose_fastest, choose_most_accurate
from hao.program.problem import Problem
from hao.program.solver import Status
from tests.program.brute import fastest, front, most_accurate
from tests.program.instances import random_problem

LARGER = Calibration(
    dense=PartFactors(lut=1400, ff=1100),
    depthwise=PartFactors(lut=1250, ff=700),
    pointwise=PartFactors(lut=1600, ff=1300),
    fixed=PartFactors(lut=800, ff=900),
    step_cycles=350,
    ddr_efficiency_percent=55,
    reports=4,
)
SMALLER = Calibration(
    dense=PartFactors(lut=600, ff=900),
    depthwise=PartFactors(lut=700, ff=800),
    pointwise=PartFactors(lut=500, ff=900),
    fixed=PartFactors(lut=700, ff=700),
    step_cycles=-100,
    reports=4,
)


def calibrated_problem(seed: int, calibration: Calibration, layers: int) -> Problem:
    problem = random_problem(seed, choices=3, layers=layers)
    return replace(problem, board=replace(problem.board, calibration=calibration))


@pytest.mark.parametrize("calibration", [LARGER, SMALLER], ids=["larger", "smaller"])
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 6, 8, 10])
def test_bits_and_engine_equal_enumeration(seed: int, calibration: Calibration) -> None:
    problem = calibrated_problem(seed, calibration, 3)
    found = front(problem)
    best = fastest(found)
    if best is None:
        with pytest.raises(InfeasibleError):
            choose_fastest(problem)
        return
    report = choose_fastest(problem)
    cost = evaluate(report.design)
    assert report.status is Status.OPTIMAL
    assert report.objective == report.bound == cost.latency_cycles == best
    assert report.design.board.calibration == calibration
    assert not cost.resources.shortfall(problem.board.usable)
    budget = best + best // 10
    accurate = most_accurate(found, budget)
    report = choose_most_accurate(problem, budget=budget)
    assert (report.cost_micro, report.cost.latency_cycles) == accurate


def multiplied_problem(seed: int) -> Problem:
    problem = random_problem(seed, choices=3, layers=3)
    layers = tuple(
        replace(layer, multiplied=True)
        if isinstance(layer, Conv | Depthwise | Linear)
        else layer
        for layer in problem.network.layers
    )
    return replace(problem, network=replace(problem.network, layers=layers))


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 6, 8, 10])
def test_with_multipliers_bits_and_engine_equal_enumeration(seed: int) -> None:
    problem = multiplied_problem(seed)
    found = front(problem)
    best = fastest(found)
    if best is None:
        with pytest.raises(InfeasibleError):
            choose_fastest(problem)
        return
    report = choose_fastest(problem)
    cost = evaluate(report.design)
    assert report.objective == report.bound == cost.latency_cycles == best
    assert not cost.resources.shortfall(problem.board.usable)
    engine = report.design.engine
    stages = (engine.dense, engine.depthwise, engine.pointwise)
    assert any(stage is not None and stage.multiplies for stage in stages)


def test_larger_logic_changes_what_is_chosen() -> None:
    # Else the factors might not reach the programs at all.
    changed = 0
    for seed in (0, 1, 2, 3, 6, 8):
        shipped = random_problem(seed, choices=3, layers=3)
        problem = calibrated_problem(seed, replace(LARGER, step_cycles=0), 3)
        try:
            before = choose_fastest(shipped).design.engine
            changed += choose_fastest(problem).design.engine != before
        except InfeasibleError:
            changed += 1
    assert changed > 0
