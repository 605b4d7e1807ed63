"""What drop does a quantization setting cause, and how sure is that?

Model. Extremely randomised trees on `benchmarks.accuracy_fit.features`, fitted to
-ln(0.03 + lost share of top-1): the trees then resolve drops near zero instead of
spending every split on collapsed settings. Learner, target and settings were compared
by grouped folds (docs/accuracy.md).

Interval. Conformal, nominal 90 %, from two calibrations, since they differ by an order
of magnitude:

- within a network, normalised: the residual of a row in grouped folds over the spread
  of the trees is a score, whose 5 % and 95 % quantiles scale the spread of a new row.
  Used where at least `NEAR_ROWS` rows of the very model lie within one bit and share
  the method.
- across networks: the 5 % and 95 % quantiles of the residuals [points] of whole
  held-out models, every model weighing the same, by weight bits and kind of network.
  Used otherwise. The spread of trees that never saw a network says nothing about it.

Which settings are worth predicting for a search is decided in
`benchmarks.accuracy_fit.evidence`; the figures of merit are printed by
`benchmarks/accuracy_predictor.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from benchmarks.accuracy_fit.features import (
    FEATURES,
    configuration_groups,
    feature_matrix,
    is_usable,
)
from benchmarks.accuracy_fit.measured import QuantRow, WeightMethod
from hao.errors import InputError

NEAR_ROWS = 20
"""Rows of one model near a setting that make it interpolation; derived here: 40 to 80
rows bring the error of a network below 3 points, 10 leave more than 10 points."""
MISS_PERCENT = 5.0
"""Share of truths allowed beyond either end of an interval [percent]."""
SPREAD_FLOOR = 0.25
"""Added to the spread of the trees [points]: repeated measurements of one setting
by two versions of one tool differ by 0.15 points in the median (this data set)."""
_FOLDS = 10
_OFFSET = 0.03
TREES = 200
_MIN_STRATUM = 8

Floats = NDArray[np.float64]


class NetworkKind(Enum):
    """Kind of network; calibrations across networks are kept apart by it."""

    DENSE = "dense"
    DEPTHWISE = "depthwise"
    TRANSFORMER = "transformer"


class Calibrated(Enum):
    """Which calibration an interval rests on."""

    WITHIN_NETWORK = "within network"
    ACROSS_NETWORKS = "across networks"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropPrediction:
    """A predicted drop of top-1 [points], with its 90 % interval.

    Attributes:
        mean: Central estimate.
        low: Lower end.
        high: Upper end, at most the float accuracy.
        out_of_range: Bits, method or kind of network outside what was fitted.
        calibrated: Which calibration the interval rests on.
        near_rows: Rows of this model within one bit, of this method.
    """

    mean: float
    low: float
    high: float
    out_of_range: bool
    calibrated: Calibrated
    near_rows: int


def kind_of(row: QuantRow) -> NetworkKind:
    """Return the kind of the row's network."""
    if not row.convolutional:
        return NetworkKind.TRANSFORMER
    return NetworkKind.DEPTHWISE if row.depthwise else NetworkKind.DENSE


def _level(weight_bits: float) -> int:
    return 8 if weight_bits >= 7 else 6 if weight_bits >= 5 else 4


def stratum_of(row: QuantRow) -> tuple[int, NetworkKind]:
    """Return weight-bit level (8, 6 or 4) and kind of network."""
    assert row.weight_bits is not None
    return _level(row.weight_bits), kind_of(row)


def _drops(rows: Sequence[QuantRow]) -> tuple[Floats, Floats]:
    drops = [row.drop for row in rows if row.drop is not None]
    floats = [row.top1_float for row in rows if row.top1_float is not None]
    assert len(drops) == len(floats) == len(rows)
    return np.array(drops), np.array(floats)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forest:
    """Fitted trees; predicts drop and spread over the trees [points]."""

    trees: ExtraTreesRegressor

    @classmethod
    def fit(
        cls, rows: Sequence[QuantRow], *, seed: int, trees: int = TREES
    ) -> "_Forest":
        drops, floats = _drops(rows)
        lost = np.clip(drops / floats, -0.02, 1.0)
        forest = ExtraTreesRegressor(n_estimators=trees, random_state=seed, n_jobs=2)
        forest.fit(feature_matrix(rows), -np.log(_OFFSET + lost))
        return cls(trees=forest)

    def predict(self, rows: Sequence[QuantRow]) -> tuple[Floats, Floats]:
        features = feature_matrix(rows)
        floats = features[:, FEATURES.index("top1_float")]
        targets = np.stack([tree.predict(features) for tree in self.trees.estimators_])
        drops = (np.exp(-targets) - _OFFSET) * floats
        mean = (np.exp(-targets.mean(axis=0)) - _OFFSET) * floats
        return mean, drops.std(axis=0)


def weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    """Return the smallest value below or at which lies at least `share` of the weight.

    Args:
        values: Shape (values,), at least one.
        weights: Shape (values,), positive.
        share: From 0 to 1.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    position = int(np.searchsorted(reached, share - 1e-12))
    return float(values[order][min(position, len(values) - 1)])


def score_quantiles(scores: Floats, weights: Floats) -> tuple[float, float]:
    """Return the lower and upper quantile of scores, widened for a finite sample.

    With n independent scores the shares are moved outwards by (n + 1) / n, the
    conformal correction; the effective n of weights is (sum w)^2 / sum w^2.
    """
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    share = min(1.0, (1 - MISS_PERCENT / 100) * (effective + 1) / effective)
    high = weighted_quantile(scores, weights, share)
    low = -weighted_quantile(-scores, weights, share)
    return min(low, 0.0), max(high, 0.0)


def fold_numbers(
    groups: NDArray[np.int64], *, folds: int, seed: int
) -> NDArray[np.int64]:
    """Return the fold of every row; rows of one group share a fold."""
    shuffled = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    return np.asarray(shuffled[groups] % folds, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestPredictions:
    """Predictions of rows by forests that did not see them, shape (rows,) each."""

    mean: Floats
    spread: Floats


def predict_held_out(
    rows: Sequence[QuantRow],
    fold: NDArray[np.int64],
    *,
    seed: int,
    trees: int = TREES,
) -> ForestPredictions:
    """Return for every row the prediction of a forest fitted to the other folds.

    Args:
        rows: Usable rows.
        fold: Fold of every row, shape (rows,).
        seed: Of the trees.
        trees: Number of them, at least 1.
    """
    mean, spread = np.zeros(len(rows)), np.zeros(len(rows))
    for number in np.unique(fold):
        held = np.flatnonzero(fold == number)
        known = [row for row, own in zip(rows, fold, strict=True) if own != number]
        asked = [row for row, own in zip(rows, fold, strict=True) if own == number]
        mean[held], spread[held] = _Forest.fit(known, seed=seed, trees=trees).predict(
            asked
        )
    return ForestPredictions(mean=mean, spread=spread)


def model_groups(rows: Sequence[QuantRow]) -> NDArray[np.int64]:
    """Return a number per row, equal for rows of one model."""
    numbers = {name: i for i, name in enumerate(sorted({row.model for row in rows}))}
    return np.array([numbers[row.model] for row in rows], dtype=np.int64)


def within_quantiles(
    rows: Sequence[QuantRow], held: ForestPredictions, near: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the score quantiles of rows that have enough rows near them."""
    residuals = _drops(rows)[0] - held.mean
    scores = (residuals / (held.spread + SPREAD_FLOOR))[near > NEAR_ROWS]
    return score_quantiles(scores, np.ones(len(scores)))


Quantiles = tuple[float, float]


def across_quantiles(
    rows: Sequence[QuantRow], held: ForestPredictions
) -> Mapping[tuple[int, NetworkKind], Quantiles]:
    """Return the residual quantiles [points] per stratum, models weighing the same.

    A stratum of fewer than eight models is joined by the other kinds at its level,
    then by the higher levels, until it has eight: what was seldom measured never gets
    the tighter interval.
    """
    residuals = np.asarray(_drops(rows)[0] - held.mean)
    models = np.array([row.model for row in rows])
    strata = [stratum_of(row) for row in rows]
    quantiles = {}
    for level in (8, 6, 4):
        for kind in NetworkKind:
            for pool in (
                [(lv, k) == (level, kind) for lv, k in strata],
                [lv == level for lv, _ in strata],
                [lv >= level for lv, _ in strata],
            ):
                chosen = np.flatnonzero(pool)
                names, counts = np.unique(models[chosen], return_counts=True)
                if len(names) >= _MIN_STRATUM:
                    break
            rows_of = dict(zip(names.tolist(), counts.tolist(), strict=True))
            weights = np.array([1 / rows_of[name] for name in models[chosen].tolist()])
            quantiles[level, kind] = score_quantiles(residuals[chosen], weights)
    return quantiles


def near_rows(
    rows: Sequence[QuantRow], fitted: Sequence[QuantRow]
) -> NDArray[np.int64]:
    """Return how many fitted rows of its model and method lie within one bit of each.

    Returns:
        Counts, shape (rows,); a row that is itself among `fitted` counts itself.
    """
    bits: dict[tuple[str, WeightMethod], list[tuple[float, float]]] = {}
    for row in fitted:
        assert row.weight_bits is not None
        assert row.act_bits is not None
        place = (row.weight_bits, row.act_bits)
        bits.setdefault((row.model, row.method), []).append(place)
    places = {key: np.array(values) for key, values in bits.items()}
    counts = []
    for row in rows:
        known = places.get((row.model, row.method))
        if known is None:
            counts.append(0)
        else:
            apart = np.abs(known - np.array([row.weight_bits, row.act_bits]))
            counts.append(int((apart <= 1).all(axis=1).sum()))
    return np.array(counts, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropPredictor:
    """Fitted predictor of the drop; made by `fit_predictor`."""

    forest: _Forest
    fitted: tuple[QuantRow, ...]
    within: Quantiles
    across: Mapping[tuple[int, NetworkKind], Quantiles]

    def predict(self, rows: Sequence[QuantRow]) -> tuple[DropPrediction, ...]:
        """Return the predicted drop of every row; its own accuracy is not read.

        Raises:
            InputError: A row lacks bits or the float accuracy.
        """
        if not rows:
            return ()
        mean, spread = self.forest.predict(rows)
        seen = {(stratum_of(row), row.method) for row in self.fitted}
        lows = [row.act_bits or 0 for row in self.fitted]
        predictions = []
        counts = near_rows(rows, self.fitted).tolist()
        for row, centre, width, near in zip(rows, mean, spread, counts, strict=True):
            assert row.act_bits is not None
            assert row.top1_float is not None
            enough = near >= NEAR_ROWS
            low, high = self.within if enough else self.across[stratum_of(row)]
            scale = float(width) + SPREAD_FLOOR if enough else 1.0
            predictions.append(
                DropPrediction(
                    mean=float(centre),
                    low=float(centre) + low * scale,
                    high=min(float(centre) + high * scale, row.top1_float),
                    out_of_range=(stratum_of(row), row.method) not in seen
                    or not min(lows) <= row.act_bits <= max(lows),
                    calibrated=Calibrated.WITHIN_NETWORK
                    if enough
                    else Calibrated.ACROSS_NETWORKS,
                    near_rows=near,
                )
            )
        return tuple(predictions)


def fit_predictor(
    rows: Sequence[QuantRow], *, seed: int = 0, trees: int = TREES
) -> DropPredictor:
    """Return the predictor fitted and calibrated on rows whose drop is known.

    Args:
        rows: Measured rows; those without bits or float accuracy are left out.
        seed: Of folds and trees.
        trees: Number of them, at least 1.

    Raises:
        InputError: Fewer than 100 usable rows.
    """
    usable = tuple(row for row in rows if is_usable(row))
    if len(usable) < 100:
        raise InputError(f"{len(usable)} usable rows; the predictor needs at least 100")
    grouped = fold_numbers(configuration_groups(usable), folds=_FOLDS, seed=seed)
    by_model = fold_numbers(model_groups(usable), folds=_FOLDS, seed=seed)
    near = near_rows(usable, usable)
    by_configuration = predict_held_out(usable, grouped, seed=seed, trees=trees)
    return DropPredictor(
        forest=_Forest.fit(usable, seed=seed, trees=trees),
        fitted=usable,
        within=within_quantiles(usable, by_configuration, near),
        across=across_quantiles(
            usable, predict_held_out(usable, by_model, seed=seed, trees=trees)
        ),
    )
