"""Errors before, after and on designs left out, worked by hand."""

import math

import pytest

from hao.calibration.assess import assess
from hao.calibration.evidence import AreaFigure, CalibrationEvidence
from hao.errors import InputError
from hao.handoff.compare import FigureSource, Quantity
from hao.hw.board_file import load_board
from hao.hw.calibration import NEUTRAL

BOARD = load_board("zu3eg")


def figure(
    label: str, ratio: float, *, source: FigureSource = FigureSource.PLACEMENT
) -> AreaFigure:
    """Return LUTs of the dense part, predicted to be many, so that nothing rounds."""
    return AreaFigure(
        label=label,
        report="a.rpt",
        source=source,
        quantity=Quantity.LUT,
        predicted=(("dense", 10**7),),
        reported=round(ratio * 10**7),
    )


def test_each_design_is_predicted_by_the_others() -> None:
    found = assess(
        CalibrationEvidence(area=(figure("a", 1.2), figure("b", 1.1))), BOARD
    )
    (group,) = found.groups
    (score,) = group.scores
    near, far = math.log(1.1), math.log(1.2)
    # All within HUBER of 1, so quadratic: x = sum / (n + 0.5).
    both = (near + far) / 2.5
    # Without a, b alone is left to say near / 1.5; and the other way round.
    unseen = (abs(far - near / 1.5) + abs(near - far / 1.5)) / 2
    shipped = (near + far) / 2
    fitted = (abs(far - both) + abs(near - both)) / 2
    expected = [100 * math.expm1(error) for error in (shipped, fitted, unseen)]
    percents = [score.shipped_percent, score.fitted_percent, score.unseen_percent]
    # Factors are whole per mille, percentages rounded to a hundredth.
    assert percents == pytest.approx(expected, abs=0.06)
    assert group.adopted
    assert found.calibration.dense.lut == pytest.approx(1000 * math.exp(both), abs=1)
    assert (score.figures, score.designs) == (2, 2)
    assert found.calibration.reports == 2


def test_two_reports_of_a_design_are_left_out_together() -> None:
    figures = (figure("a", 1.2), figure("a", 1.2), figure("b", 1.0))
    (group,) = assess(CalibrationEvidence(area=figures), BOARD).groups
    # Without a nothing speaks against 1: its figures are as far off as before.
    unseen = group.scores[-1].unseen_percent
    assert unseen is not None
    assert unseen > group.scores[-1].shipped_percent
    assert not group.adopted


def test_synthesis_alone_leaves_the_cost_model_as_it_is() -> None:
    figures = tuple(figure(name, 2.0, source=FigureSource.CSYNTH) for name in "abc")
    found = assess(CalibrationEvidence(area=figures), BOARD)
    assert found.calibration == NEUTRAL
    assert found.csynth["dense"]["lut"] > 1500
    assert found.csynth["dense"]["ff"] == 1000
    assert found.comparisons[0].calibrated > found.comparisons[0].shipped


def test_nothing_to_fit_is_refused_with_the_first_reason() -> None:
    with pytest.raises(InputError, match=r"no figure to calibrate with: a: left out;"):
        assess(CalibrationEvidence(notes=("a: left out",)), BOARD)
