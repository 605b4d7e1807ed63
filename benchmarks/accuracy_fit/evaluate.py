"""How good are the predictions on rows that they were not fitted to?

Three splits of the measured rows, from interpolation to a new network: grouped folds
(equal configurations stay together), whole models held out, whole families held out.
Coverage is of the 90 % interval that a held-out row would have been given: every fold
is calibrated on the other folds only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_fit.features import configuration_groups, is_usable
from benchmarks.accuracy_fit.measured import QuantRow
from benchmarks.accuracy_fit.predictor import (
    NEAR_ROWS,
    SPREAD_FLOOR,
    DropPredictor,
    ForestPredictions,
    across_quantiles,
    fold_numbers,
    model_groups,
    near_rows,
    predict_held_out,
    stratum_of,
    within_quantiles,
)
from hao.errors import InputError
from hao.measure.ranks import spearman

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Folds(Enum):
    """What is held out together."""

    CONFIGURATION = "grouped 10-fold"
    MODEL = "leave one model out"
    FAMILY = "leave one family out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Figures of merit of predicted against measured drops.

    Attributes:
        rows: Rows compared.
        mean_error: Mean absolute error [points].
        median_error: Median absolute error [points].
        spearman: Rank correlation.
        r2: Share of the variance explained.
        coverage: Share of truths inside their 90 % interval.
    """

    rows: int
    mean_error: float
    median_error: float
    spearman: float
    r2: float
    coverage: float


def score(
    truth: Floats, predicted: Floats, inside: Mask, chosen: Mask | None = None
) -> Score:
    """Return the figures of merit over the chosen rows, all by default.

    Raises:
        InputError: Fewer than two rows.
    """
    part = np.ones(len(truth), dtype=np.bool_) if chosen is None else chosen
    if part.sum() < 2:
        raise InputError(f"{part.sum()} rows to compare; must be at least 2")
    t, p = truth[part], predicted[part]
    errors = np.abs(t - p)
    spread = float(((t - t.mean()) ** 2).sum())
    return Score(
        rows=len(t),
        mean_error=float(errors.mean()),
        median_error=float(np.median(errors)),
        spearman=spearman(t, p),
        r2=1 - float(((t - p) ** 2).sum()) / spread if spread > 0 else 0.0,
        coverage=float(inside[part].mean()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutRows:
    """Held-out predictions of the usable rows under one split.

    Attributes:
        split: What was held out together.
        rows: The usable rows.
        truth: Measured drop [points], shape (rows,).
        predicted: Held-out prediction [points], shape (rows,).
        inside: Whether the interval holds the truth, shape (rows,).
    """

    split: Folds
    rows: tuple[QuantRow, ...]
    truth: Floats
    predicted: Floats
    inside: Mask

    def score(self, choose: Callable[[QuantRow], bool]) -> Score:
        """Return the figures of merit over the rows that `choose` accepts."""
        chosen = np.array([choose(row) for row in self.rows], dtype=np.bool_)
        return score(self.truth, self.predicted, self.inside, chosen)


def _folds(rows: Sequence[QuantRow], split: Folds, seed: int) -> NDArray[np.int64]:
    match split:
        case Folds.CONFIGURATION:
            return fold_numbers(configuration_groups(rows), folds=10, seed=seed)
        case Folds.MODEL:
            return model_groups(rows)
        case Folds.FAMILY:
            names = sorted({row.family for row in rows})
            return np.array([names.index(row.family) for row in rows], dtype=np.int64)


def _take(held: ForestPredictions, index: NDArray[np.int64]) -> ForestPredictions:
    return ForestPredictions(mean=held.mean[index], spread=held.spread[index])


def _inside(
    rows: tuple[QuantRow, ...],
    fold: NDArray[np.int64],
    held: ForestPredictions,
    across: ForestPredictions,
) -> Mask:
    """Return which truths lie in the interval calibrated on the other folds."""
    truth = np.array([row.drop for row in rows], dtype=np.float64)
    inside = np.zeros(len(rows), dtype=np.bool_)
    for number in np.unique(fold):
        others = np.flatnonzero(fold != number)
        known = [rows[i] for i in others]
        within = within_quantiles(known, _take(held, others), near_rows(known, known))
        strata = across_quantiles(known, _take(across, others))
        own = np.flatnonzero(fold == number)
        counts = near_rows([rows[i] for i in own], known)
        for i, near in zip(own.tolist(), counts.tolist(), strict=True):
            enough = near >= NEAR_ROWS
            low, high = within if enough else strata[stratum_of(rows[i])]
            scale = held.spread[i] + SPREAD_FLOOR if enough else 1.0
            residual = truth[i] - held.mean[i]
            inside[i] = low * scale <= residual <= high * scale
    return inside


def evaluate(rows: Sequence[QuantRow], split: Folds, *, seed: int = 0) -> HeldOutRows:
    """Return held-out predictions of the usable rows under a split."""
    usable = tuple(row for row in rows if is_usable(row))
    fold = _folds(usable, split, seed)
    held = predict_held_out(usable, fold, seed=seed)
    by_model = fold_numbers(model_groups(usable), folds=10, seed=seed)
    across = predict_held_out(usable, by_model, seed=seed)
    return HeldOutRows(
        split=split,
        rows=usable,
        truth=np.array([row.drop for row in usable], dtype=np.float64),
        predicted=held.mean,
        inside=_inside(
            usable, by_model if split is Folds.MODEL else fold, held, across
        ),
    )


def check(predictor: DropPredictor, rows: Sequence[QuantRow]) -> HeldOutRows:
    """Return a fitted predictor's answers on rows it never saw.

    Rows without bits or float accuracy are left out.

    Raises:
        InputError: No row is usable.
    """
    usable = tuple(row for row in rows if is_usable(row))
    if not usable:
        raise InputError("no row gives bits and float accuracy; at least one must")
    truth = np.array([row.drop for row in usable], dtype=np.float64)
    answers = predictor.predict(usable)
    return HeldOutRows(
        split=Folds.CONFIGURATION,
        rows=usable,
        truth=truth,
        predicted=np.array([answer.mean for answer in answers]),
        inside=np.array(
            [a.low <= t <= a.high for a, t in zip(answers, truth, strict=True)]
        ),
    )
