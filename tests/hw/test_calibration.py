"""Corrections of constants: neutral ones change nothing, wrong ones are refused."""

from collections.abc import Callable

import numpy as np
import pytest

from hao.errors import InputError
from hao.hw.calibration import NEUTRAL, Calibration, PartFactors, scaled


@pytest.mark.parametrize(
    ("count", "factor", "expected"),
    [
        (1000, 1500, 1500),
        (7, 1001, 8),  # 7.007
        (12345, 1000, 12345),
        (0, 3000, 0),
        (-7, 1500, -10),  # -10.5, rounded up
    ],
)
def test_counts_are_scaled_and_rounded_up(
    count: int, factor: int, expected: int
) -> None:
    assert scaled(count, factor) == expected
    assert scaled(np.array([count, 1000]), factor).tolist() == [expected, factor]


def test_the_neutral_one_changes_nothing() -> None:
    assert not NEUTRAL.changes
    assert NEUTRAL.summary == "uncalibrated"
    assert set(NEUTRAL.parts) == {"fixed", "dense", "depthwise", "pointwise"}


def test_a_calibration_says_what_it_rests_on() -> None:
    assert Calibration(reports=1).summary == "calibrated by 1 report"
    assert Calibration(step_cycles=5, reports=12).summary == "calibrated by 12 reports"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PartFactors(lut=332), "factor of lut = 332 .* from 333 to 3000"),
        (lambda: PartFactors(ff=3001), "factor of ff = 3001"),
        (lambda: Calibration(step_cycles=-101, reports=1), "step_cycles = -101"),
        (lambda: Calibration(step_cycles=10_001, reports=1), "from -100 to 10000"),
        (lambda: Calibration(ddr_efficiency_percent=0, reports=1), "from 1 to 100"),
        (lambda: Calibration(ddr_efficiency_percent=101, reports=1), "percent = 101"),
        (lambda: Calibration(reports=-1), "reports = -1"),
        (lambda: Calibration(step_cycles=1), "reports = 0; must be at least 1"),
        (lambda: Calibration(dense=PartFactors(lut=999)), "reports = 0"),
    ],
)
def test_a_value_out_of_range_is_refused(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make()
