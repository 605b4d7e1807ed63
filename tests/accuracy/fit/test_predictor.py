"""The row predictor, its intervals, and the folds that judge it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from benchmarks.accuracy_fit.evaluate import Folds, check, evaluate, score
from benchmarks.accuracy_fit.features import configuration_groups, is_usable
from benchmarks.accuracy_fit.measured import (
    Granularity,
    QuantRow,
    Scale,
    WeightMethod,
    load_quant_rows,
)
from benchmarks.accuracy_fit.predictor import (
    Calibrated,
    DropPredictor,
    fit_predictor,
    fold_numbers,
    near_rows,
    score_quantiles,
    weighted_quantile,
)
from hao.errors import InputError
from hao.measure.ranks import spearman

NUMBERS = st.lists(st.integers(-5, 5), min_size=3, max_size=30)


@pytest.fixture(scope="module")
def rows() -> tuple[QuantRow, ...]:
    return load_quant_rows()


@pytest.fixture(scope="module")
def predictor(rows: tuple[QuantRow, ...]) -> DropPredictor:
    return fit_predictor(rows, trees=20)


def _sweep_row(rows: tuple[QuantRow, ...], model: str, bits: float) -> QuantRow:
    return next(
        r
        for r in rows
        if r.in_sweep
        and (r.model, r.weight_bits, r.backend) == (model, bits, "generic")
        and r.scale is Scale.POWER_OF_TWO
        and r.granularity is Granularity.PER_CHANNEL
        and not r.gptq_act_order
    )


@given(NUMBERS)
def test_spearman_equals_scipy(values: list[int]) -> None:
    first = np.array(values, dtype=np.float64)
    second = np.asarray(np.sin(first * 3) + np.arange(len(first)) % 2.0)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert spearman(first, second) == 0
    else:
        assert spearman(first, second) == pytest.approx(
            spearmanr(first, second).statistic, abs=1e-9
        )


def test_weighted_quantile_by_hand() -> None:
    # Weights 1, 1, 2 of 4: a quarter lies at 1, a half at or below 2, all at 3.
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0])
    shares = (0.2, 0.25, 0.5, 0.51, 1.0)
    found = [weighted_quantile(values, weights, share) for share in shares]
    assert found == [1, 1, 2, 3, 3]


def test_quantiles_of_few_scores_are_their_extremes() -> None:
    # 0.95 x (8 + 1) / 8 exceeds 1, so nothing short of all eight will do.
    scores = np.arange(-3.0, 5.0)
    assert score_quantiles(scores, np.ones(8)) == (-3.0, 4.0)


def test_quantiles_of_many_scores_leave_five_percent_beyond_either_end() -> None:
    scores = np.arange(1.0, 1001.0) - 500
    low, high = score_quantiles(scores, np.ones(1000))
    # 0.95 x 1001 / 1000 = 0.95095: the 951st of 1000 from either side.
    assert (low, high) == (50 - 500, 951 - 500)


def test_an_interval_always_holds_its_centre() -> None:
    low, high = score_quantiles(np.array([2.0, 3.0]), np.ones(2))
    assert (low, high) == (0.0, 3.0)


def test_equal_configurations_share_a_fold(rows: tuple[QuantRow, ...]) -> None:
    usable = [row for row in rows if is_usable(row)]
    groups = configuration_groups(usable)
    fold = fold_numbers(groups, folds=10, seed=0)
    assert set(fold.tolist()) == set(range(10))
    for group in np.unique(groups):
        assert len(set(fold[groups == group].tolist())) == 1


def test_near_rows_counts_model_method_and_bits(rows: tuple[QuantRow, ...]) -> None:
    row = _sweep_row(rows, "resnet18", 6.0)
    others = [
        row,
        replace(row, weight_bits=5.0),
        replace(row, weight_bits=4.0),
        replace(row, act_bits=6.0),
        replace(row, model="resnet50"),
        replace(row, method=WeightMethod.QAT),
    ]
    assert near_rows([row], others).tolist() == [2]
    assert near_rows([replace(row, model="new")], others).tolist() == [0]


def test_too_few_rows_are_refused(rows: tuple[QuantRow, ...]) -> None:
    with pytest.raises(InputError, match="needs at least 100"):
        fit_predictor(rows[:50])


def test_a_measured_network_gets_the_tight_interval(
    predictor: DropPredictor, rows: tuple[QuantRow, ...]
) -> None:
    row = _sweep_row(rows, "resnet18", 8.0)
    known, unknown = predictor.predict([row, replace(row, model="never_measured")])
    assert known.calibrated is Calibrated.WITHIN_NETWORK
    assert unknown.calibrated is Calibrated.ACROSS_NETWORKS
    assert known.near_rows >= 20
    assert unknown.near_rows == 0
    assert known.mean == unknown.mean
    assert known.high - known.low < unknown.high - unknown.low


def test_ends_enclose_the_mean_and_stay_below_the_float_accuracy(
    predictor: DropPredictor, rows: tuple[QuantRow, ...]
) -> None:
    usable = [row for row in rows if is_usable(row)][::7]
    for row, answer in zip(usable, predictor.predict(usable), strict=True):
        assert row.top1_float is not None
        assert answer.low <= answer.mean <= answer.high <= row.top1_float


def test_bits_below_every_measured_ones_are_flagged(
    predictor: DropPredictor, rows: tuple[QuantRow, ...]
) -> None:
    row = _sweep_row(rows, "resnet18", 8.0)
    inside, outside = predictor.predict([row, replace(row, act_bits=33.0)])
    assert not inside.out_of_range
    assert outside.out_of_range


def test_predicting_nothing_gives_nothing(predictor: DropPredictor) -> None:
    assert predictor.predict([]) == ()


def test_check_leaves_out_what_cannot_be_compared(
    predictor: DropPredictor, rows: tuple[QuantRow, ...]
) -> None:
    sample = rows[:40] + tuple(replace(r, top1_float=None) for r in rows[40:50])
    assert len(check(predictor, sample).rows) == 40
    with pytest.raises(InputError, match="at least one must"):
        check(predictor, sample[40:])


def test_score_by_hand() -> None:
    truth, predicted = np.array([0.0, 1.0, 2.0, 5.0]), np.array([0.0, 2.0, 2.0, 4.0])
    found = score(truth, predicted, np.array([True, True, False, True]))
    # Errors 0, 1, 0, 1; squares about the mean 2: 4 + 1 + 0 + 9 = 14.
    assert (found.rows, found.mean_error, found.median_error) == (4, 0.5, 0.5)
    assert found.r2 == pytest.approx(1 - 2 / 14)
    assert found.coverage == 0.75
    with pytest.raises(InputError, match="must be at least 2"):
        score(truth, predicted, np.ones(4, bool), np.array([True] + [False] * 3))


@pytest.mark.thorough
def test_grouped_folds_meet_the_bar(rows: tuple[QuantRow, ...]) -> None:
    found = evaluate(rows, Folds.CONFIGURATION).score(lambda row: row.in_sweep)
    # Learners compared on these rows: extremely randomised trees reach 1.4 points and
    # rank correlation .985; the noise of repeated measurements sets the limits.
    assert found.mean_error <= 1.5
    assert found.spearman >= 0.98
    assert 0.88 <= found.coverage <= 0.95


def test_measured_accuracy_is_not_read_when_predicting(
    predictor: DropPredictor, rows: tuple[QuantRow, ...]
) -> None:
    usable = [row for row in rows if is_usable(row)][:50]
    blind = [replace(row, top1_quant=0.0) for row in usable]
    assert predictor.predict(usable) == predictor.predict(blind)
