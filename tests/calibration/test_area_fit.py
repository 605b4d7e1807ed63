"""Factors of LUTs and flip-flops: worked by hand, recovered, bounded, hardly misled."""

import math

import numpy as np
import pytest

from hao.calibration.area_fit import (
    NO_FACTORS,
    fit_factors,
    log_error,
    predicted_count,
)
from hao.calibration.evidence import PARTS, AreaFigure
from hao.calibration.robust import HUBER, RIDGE
from hao.handoff.compare import FigureSource, Quantity
from hao.hw.calibration import FACTOR_RANGE, ONE

TRUE = {"fixed": 0.8, "dense": 1.5, "depthwise": 1.2, "pointwise": 0.7}


def figure(
    reported: float, label: str = "a", *, report: str = "a.rpt", parts: dict[str, int]
) -> AreaFigure:
    return AreaFigure(
        label=label,
        report=report,
        source=FigureSource.PLACEMENT,
        quantity=Quantity.LUT,
        predicted=tuple(parts.items()),
        reported=round(reported),
    )


def stages(designs: int, *, noise: float, seed: int = 0) -> list[AreaFigure]:
    """Return a figure of every part of some designs, by the factors of `TRUE`."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(designs):
        for part in PARTS:
            count = int(rng.integers(3_000, 60_000))
            true = count * TRUE[part] * np.exp(noise * rng.standard_normal())
            found.append(figure(true, f"d{number}", parts={part: count}))
    return found


def fit(figures: list[AreaFigure]) -> dict[str, int]:
    return fit_factors(figures, limits=FACTOR_RANGE)


def test_no_figures_leave_the_shipped_constants() -> None:
    assert fit([]) == NO_FACTORS


def test_parts_without_a_figure_keep_the_shipped_constants() -> None:
    found = fit([figure(1300, parts={"dense": 1000})])
    assert found["dense"] > ONE
    assert {found[part] for part in PARTS if part != "dense"} == {ONE}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_reports_that_agree_move_a_factor_by_their_share(count: int) -> None:
    # Within HUBER of the prediction all is quadratic: x = n / (n + RIDGE) of the way.
    # 1.1 is 0.0953 away, so 0.0953 x 1 / 1.5 = 0.0635 with one: 1.0656.
    figures = [figure(110_000, f"d{n}", parts={"dense": 100_000}) for n in range(count)]
    expected = math.exp(math.log(1.1) * count / (count + RIDGE))
    assert fit(figures)["dense"] == pytest.approx(1000 * expected, abs=1)


def test_one_report_moves_a_factor_by_a_third_at_most() -> None:
    # Its pull is at most HUBER, that of the ridge RIDGE x: x = 0.15 / 0.5 = 0.3.
    assert fit([figure(2_900, parts={"dense": 1_000})])["dense"] == 1350
    assert pytest.approx(0.3) == HUBER / RIDGE


def test_two_reports_of_one_design_weigh_as_one() -> None:
    once = fit([figure(1_100, parts={"dense": 1_000})])
    twice = [
        figure(1_100, report=name, parts={"dense": 1_000})
        for name in ("a.rpt", "b.rpt")
    ]
    assert fit(twice) == once


def test_hidden_factors_are_found() -> None:
    # 12 designs leave 12 / 12.5 of the way, 1.7 % short at ln 1.5; noise of 3 % leaves
    # 1 % of a mean over 12.
    found = fit(stages(12, noise=0.03))
    for part, true in TRUE.items():
        assert found[part] / ONE == pytest.approx(true, rel=0.04), part


def test_without_a_signal_the_shipped_constants_stay() -> None:
    rng = np.random.default_rng(1)
    figures = [
        figure(
            10_000 * np.exp(0.03 * rng.standard_normal()),
            f"d{n}",
            parts={"dense": 10_000},
        )
        for n in range(12)
    ]
    assert fit(figures)["dense"] == pytest.approx(ONE, rel=0.02)


def test_an_outlier_hardly_moves_a_factor() -> None:
    figures = stages(12, noise=0.03)
    before = fit(figures)
    wrong = next(f for f in figures if f.block == "dense")
    count = dict(wrong.predicted)["dense"]
    figures[figures.index(wrong)] = figure(
        5 * count, wrong.label, parts={"dense": count}
    )
    # Its pull is 0.15 instead of some 0: 0.15 / 12.5 is 1.2 %.
    assert fit(figures)["dense"] == pytest.approx(before["dense"], rel=0.02)
    assert fit(figures)["pointwise"] == before["pointwise"]


def test_totals_alone_tell_the_parts_of_varied_designs_apart() -> None:
    rng = np.random.default_rng(2)
    figures = []
    for number in range(40):
        counts = {part: int(rng.integers(1_000, 60_000)) for part in PARTS}
        true = sum(TRUE[part] * count for part, count in counts.items())
        figures.append(figure(true, f"d{number}", parts=counts))
    found = fit(figures)
    # A part is a quarter of a total, so that the shipped constants hold it harder.
    for part, true in TRUE.items():
        assert abs(np.log(found[part] / ONE / true)) < 0.67 * abs(np.log(true)), part
    before = np.mean([abs(log_error(f, NO_FACTORS)) for f in figures])
    assert np.mean([abs(log_error(f, found)) for f in figures]) < 0.4 * before


def test_factors_stay_within_their_limits() -> None:
    large = [figure(10_000, f"d{n}", parts={"dense": 1_000}) for n in range(40)]
    small = [figure(100, f"d{n}", parts={"dense": 1_000}) for n in range(40)]
    assert (fit(large)["dense"], fit(small)["dense"]) == (3000, 333)


def test_the_order_of_reports_does_not_matter() -> None:
    figures = stages(6, noise=0.1)
    assert fit(figures[::-1]) == fit(figures)


def test_predictions_round_up_part_by_part() -> None:
    some = figure(300, parts={"dense": 101, "fixed": 100})
    factors = dict(NO_FACTORS) | {"dense": 1500}
    # 151.5 is 152.
    assert predicted_count(some, factors) == 252
    assert log_error(some, factors) == pytest.approx(math.log(300 / 252))
