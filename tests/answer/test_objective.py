"""Objectives: how they count blocks, by hand, and which flags go with them."""

import re
from fractions import Fraction

import pytest

from hao.answer.objective import AREA_SCALE, Objective, measure_of, objective_faults
from hao.cost.power import design_power
from hao.hw.board_file import load_board
from hao.hw.resources import Resources

BOARD = load_board("zu3eg")
BLOCKS = Resources(dsp=36, bram_18k=108, lut=7056, ff=28_224)


def test_area_adds_up_the_shares_of_the_device() -> None:
    measure = measure_of(Objective.AREA, BOARD)
    assert measure is not None
    # 36 of 360, 108 of 432, 7056 of 70560, 28224 of 141120: 0.1 + 0.25 + 0.1 + 0.2.
    # Each block is worth a whole number, at most one too few.
    missing = 0.65 * AREA_SCALE - measure.of(BLOCKS)
    assert 0 <= missing <= sum(BLOCKS.as_dict().values())


def test_power_is_that_of_the_fabric_in_which_all_switches() -> None:
    measure = measure_of(Objective.POWER, BOARD)
    assert measure is not None
    power = design_power(
        BLOCKS, idle_mw=1, clock_khz=200_000, activity=Fraction(1), ddr_mw=0
    )
    # Four parts, each rounded to a mW.
    assert abs(measure.of(BLOCKS) * 200_000 / 10**9 - power.fabric_mw) <= 2


def test_other_objectives_do_not_count_blocks() -> None:
    for objective in (Objective.ACCURACY, Objective.FPS, Objective.LATENCY):
        assert measure_of(objective, BOARD) is None


@pytest.mark.parametrize(
    ("name", "fps", "top1", "points", "message"),
    [
        ("accuracy", None, None, 0, "`fps` is missing; the objective 'accuracy'"),
        ("area", None, None, 0, "`fps` is missing; the objective 'area' needs it"),
        ("power", None, 70, 0, "`fps` is missing; the objective 'power' needs it"),
        (
            "fps",
            None,
            None,
            0,
            "`min_top1` is missing; the objective 'fps' .*'latency'",
        ),
        ("fps", 9, None, 0, "`min_top1` is missing; the objective 'fps' needs it"),
        ("fps", 9, 70, 0, "`fps` belongs to the .* 'area' and 'power', not to 'fps'"),
        ("latency", 9, None, 0, "`fps` belongs to .* not to 'latency'"),
        ("latency", None, 70, 0, "`min_top1` belongs to .* not to 'latency'"),
        ("accuracy", 9, 70, 0, "`min_top1` belongs to .*'fps', 'area' and 'power'"),
        (
            "area",
            9,
            None,
            3,
            "`front_points` is of accuracy against frame rate, not .*'area'",
        ),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    name: str, fps: float | None, top1: float | None, points: int, message: str
) -> None:
    found = objective_faults(
        Objective(name), fps=fps, min_top1=top1, front_points=points
    )
    assert re.search(message, " ".join(found))


@pytest.mark.parametrize(
    ("name", "fps", "top1", "points"),
    [
        ("accuracy", 9, None, 3),
        ("fps", None, 70, 3),
        ("latency", None, None, 3),
        ("area", 9, None, 0),
        ("power", 9, 70, 0),
    ],
)
def test_flags_that_go_together_are_taken(
    name: str, fps: float | None, top1: float | None, points: int
) -> None:
    assert not [
        *objective_faults(Objective(name), fps=fps, min_top1=top1, front_points=points)
    ]
