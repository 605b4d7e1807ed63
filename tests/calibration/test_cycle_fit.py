"""Step cycles and DDR efficiency: found again, held back, and equal to the model's."""

from dataclasses import replace

import numpy as np
import pytest

from hao.calibration.cycle_fit import (
    SHIPPED,
    STEP_SCALE,
    CycleConstants,
    CyclePrices,
    fit_cycles,
    runs_of,
    usable_figures,
)
from hao.calibration.evidence import Case, Clocking, CycleFigure
from hao.cost.evaluate import evaluate
from hao.cost.overheads import STAGE_DEPTH_CYCLES, START_CYCLES, load_overhead
from hao.engine.design import Design
from hao.hw.board import Frames
from tests.calibration.synthetic import (
    SHAPES,
    Truth,
    busy_design,
    synthetic_design,
    true_cycles,
)


def case(design: Design) -> Case:
    return Case(label=design.network.name, design=design, cost=evaluate(design))


CASES = [case(synthetic_design(n)) for n in range(len(SHAPES))]
BUSY = [case(busy_design(n)) for n in range(6)]

PRICES = CyclePrices()
"""Of all tests, since a design costs the same in each."""


def timed(cases: list[Case], truth: Truth, *, seed: int = 0) -> list[CycleFigure]:
    rng = np.random.default_rng(seed)
    return [
        CycleFigure(
            case=one,
            report="board.csv line 2",
            clocking=Clocking.BOARD,
            clock_khz=one.design.board.clock_khz,
            reported=true_cycles(one.design, truth, rng),
        )
        for one in cases
    ]


def test_no_figures_leave_the_shipped_constants() -> None:
    assert fit_cycles([], PRICES) == SHIPPED


def test_the_shipped_constants_are_kept_where_they_are_right() -> None:
    assert fit_cycles(timed(CASES + BUSY, Truth()), PRICES) == SHIPPED


def test_both_constants_are_found() -> None:
    # The shipped constants hold both back; what one lacks the other takes in part.
    truth = Truth(step_cycles=300, efficiency=60, noise=0.01)
    figures = timed(CASES + BUSY, truth)
    found = fit_cycles(figures, PRICES)
    assert found.ddr_efficiency_percent is not None
    assert abs(found.ddr_efficiency_percent - 60) <= 6
    assert found.step_cycles == pytest.approx(300, rel=0.3)
    # Together they predict: noise of 1 %, and 2 % that is held back.
    assert np.mean([abs(PRICES.log_error(f, found)) for f in figures]) < 0.03
    assert np.mean([abs(PRICES.log_error(f, SHIPPED)) for f in figures]) > 0.15


def test_designs_that_the_ddr_does_not_bind_say_little_of_it() -> None:
    truth = Truth(step_cycles=300, noise=0.01)
    found = fit_cycles(timed(CASES, truth), PRICES)
    assert (found.ddr_efficiency_percent or 92) >= 80
    assert found.step_cycles == pytest.approx(300, rel=0.2)


def test_noise_alone_changes_little() -> None:
    found = fit_cycles(timed(CASES + BUSY, Truth(noise=0.03), seed=3), PRICES)
    assert abs(found.step_cycles) < 60
    assert (found.ddr_efficiency_percent or 92) in range(85, 101)


def test_an_outlier_hardly_moves_them() -> None:
    truth = Truth(step_cycles=300, efficiency=60, noise=0.01)
    figures = timed(CASES + BUSY, truth)
    before = fit_cycles(figures, PRICES)
    figures[2] = replace(figures[2], reported=4 * figures[2].reported)
    after = fit_cycles(figures, PRICES)
    assert after.step_cycles == pytest.approx(before.step_cycles, abs=60)
    shares = before.ddr_efficiency_percent, after.ddr_efficiency_percent
    assert None not in shares
    assert abs((shares[0] or 0) - (shares[1] or 0)) <= 3


def test_cycles_of_cosimulation_know_no_ddr() -> None:
    prices = PRICES
    figure = replace(timed(BUSY[:1], Truth())[0], clocking=Clocking.COSIM)
    slow = CycleConstants(ddr_efficiency_percent=31)
    assert prices.predicted(figure, slow) == prices.predicted(figure, SHIPPED)
    # Less than with the board's DDR, which binds here.
    assert prices.predicted(figure, SHIPPED) < BUSY[0].cost.latency_cycles


def test_cosimulation_says_the_step_cycles_where_no_board_ran() -> None:
    prices = PRICES
    figures = [replace(f, clocking=Clocking.COSIM) for f in timed(CASES, Truth())]
    figures = [
        replace(f, reported=prices.base(f, None) + 300 * runs_of(f.case))
        for f in figures
    ]
    found = fit_cycles(usable_figures(figures), prices)
    assert found.ddr_efficiency_percent is None
    assert found.step_cycles == pytest.approx(300, rel=0.15)


def test_a_start_of_several_frames_has_the_runs_of_each() -> None:
    design = synthetic_design(0)
    board = replace(design.board, frames=Frames.BACK_TO_BACK, batch=3)
    start = case(replace(design, board=board))
    assert runs_of(start) == 3 * runs_of(CASES[0])
    constants = replace(board.calibration, step_cycles=300, reports=1)
    added = replace(board, calibration=constants)
    slower = evaluate(replace(design, board=added)).latency_cycles
    assert slower - start.cost.latency_cycles == 300 * runs_of(start)


def test_a_board_outranks_cosimulation() -> None:
    board = timed(CASES[:2], Truth())
    cosim = [replace(f, clocking=Clocking.COSIM) for f in timed(CASES, Truth())]
    assert usable_figures([*cosim, *board]) == tuple(board)


def test_another_clock_is_priced_at_that_clock() -> None:
    figure = replace(timed(BUSY[:1], Truth())[0], clock_khz=100_000)
    design = BUSY[0].design
    slow = replace(design, board=design.board.at_clock(100_000))
    expected = evaluate(slow).latency_cycles
    assert PRICES.predicted(figure, SHIPPED) == expected
    # A slower clock waits fewer cycles for the DDR.
    assert expected < BUSY[0].cost.latency_cycles


def test_the_scale_of_step_cycles_is_that_of_three_stages() -> None:
    stages = 3 * STAGE_DEPTH_CYCLES + load_overhead(3)
    assert START_CYCLES + stages == STEP_SCALE
