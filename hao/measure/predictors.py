"""Predict what a scheme will measure, from what others measured.

What is predicted is the divergence from the float network's outputs: it ranks schemes
as top-1 does, is far less noisy on as many frames, and is nearly additive over layers.
Top-1 follows from it by an isotonic regression on the same samples. Features are the
saliencies of a scheme's changes [nats].

The linear predictor is additive, so that the integer program takes it as the options'
costs; the others re-rank what it proposes. Which is used is decided by cross-validation
on the samples, and the same folds give conformal intervals (Vovk et al., 2005): of
schemes drawn alike, so large a share has its top-1 inside. They are wide where much is
lost and narrow where little is (locally weighted, Lei et al., 2018).
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, assert_never

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from sklearn import config_context
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.isotonic import IsotonicRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from hao.errors import InputError
from hao.ir.change import Scheme, bare, change_text
from hao.measure.ranks import spearman
from hao.measure.sample import Quality, Sample

Floats = NDArray[np.float64]

LEAST_SAMPLES = 8
"""Samples from which on a predictor is fitted (chosen here)."""

_FOLDS = 5

COVERAGE = 0.9
"""Share of schemes whose top-1 an interval is to hold."""

CLEARLY = 0.01
"""By how much a rank correlation must be higher to count (chosen here)."""

_SURE = 2.0
"""Errors grow with so much and the predicted drop [points] (chosen here: of 40 digits'
schemes held out, 12 times, 0.5 to 4 points hold 93 % alike)."""

_FLOOR = 1e-4
"""Divergence below which schemes count as alike [nats] (chosen here)."""

_SHRINKAGE = 3.0
"""How many samples a layer's own weight must overcome (chosen here)."""


class Learner(Enum):
    """Kinds of predictors."""

    LINEAR = "linear"
    BOOSTING = "gradient boosting"
    GAUSSIAN = "gaussian process"
    SUPPORT = "support vectors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Schemes as numbers: the saliency of what each layer or block becomes.

    Attributes:
        sites: Names of layers and blocks, in order.
        values: Saliency [nats] by width of the activations, name and change in words.
        act_bits: Widths of the activations, widest first.
    """

    sites: tuple[str, ...]
    values: Mapping[tuple[int, str, str], float]
    act_bits: tuple[int, ...]

    def encode(self, scheme: Scheme, act_bits: int) -> Floats:
        """Return the saliency at every site, then which narrower activations it has.

        Raises:
            InputError: The scheme has a change that is not on offer.
        """
        found = []
        for site in self.sites:
            change = scheme.get(site)
            key = (act_bits, site, "" if change is None else change_text(bare(change)))
            if change is not None and key not in self.values:
                raise InputError(
                    f"scheme: {site!r} becomes {key[2]}, which is not on offer here"
                )
            found.append(self.values.get(key, 0.0))
        narrower = [float(act_bits == bits) for bits in self.act_bits[1:]]
        return np.array([*found, *narrower])


class Model(Protocol):
    """A fitted predictor of divergence [nats]."""

    def predict(self, features: Floats) -> Floats:
        """Return the divergence of schemes, by their features, shape (schemes, .)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdditivePredictor:
    """An additive predictor.

    Attributes:
        base: Divergence at no saliency [nats].
        weights: Of every feature, at least 0.
    """

    base: float
    weights: Floats

    def predict(self, features: Floats) -> Floats:
        """Return base + features . weights [nats]."""
        return np.asarray(self.base + features @ self.weights, dtype=np.float64)


def fit_linear(features: Floats, divergence: Floats, sites: int) -> AdditivePredictor:
    """Return the additive predictor of least relative error, its weights shrunk.

    All sites have a common weight, from which their own differ as far as the samples
    say so: a ridge on the differences, of `_SHRINKAGE` samples.

    Args:
        features: As an `Encoder` has them, shape (samples, features).
        divergence: Measured [nats], shape (samples,).
        sites: How many of the features are saliencies.
    """
    count, width = features.shape
    # Relative errors count, so that the few bad schemes do not decide.
    trust = 1 / (divergence + np.median(divergence) / 2 + _FLOOR)
    scale = features[:, :sites].mean(axis=0) * trust.mean()
    # Variables: base, common weight, weight of every feature.
    data = np.hstack([np.ones((count, 1)), np.zeros((count, 1)), features])
    ridge = np.zeros((sites, 2 + width))
    rows = np.arange(sites)
    ridge[rows, 1], ridge[rows, 2 + rows] = -scale, scale
    matrix = np.vstack(
        [data * trust[:, None], np.sqrt(_SHRINKAGE * max(1, sites)) * ridge]
    )
    target = np.concatenate([divergence * trust, np.zeros(sites)])
    found = lsq_linear(matrix, target, bounds=(0, np.inf)).x
    weights = np.asarray(found[2:], dtype=np.float64)
    # A site that no sample changed has the common weight.
    weights[:sites] = np.where(scale > 0, weights[:sites], found[1])
    return AdditivePredictor(base=float(found[0]), weights=weights)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Logarithmic:
    """A scikit-learn regressor of the logarithm of divergence."""

    regress: Callable[[Floats], Floats]
    sites: int

    def predict(self, features: Floats) -> Floats:
        return np.exp(self.regress(_shaped(features, self.sites)))


def _shaped(features: Floats, sites: int) -> Floats:
    """Return logarithms: of the sum and the largest, then of every saliency."""
    salient = features[:, :sites]
    total, most = salient.sum(axis=1), salient.max(axis=1)
    shaped = np.log(np.column_stack([total, most, salient]) + _FLOOR)
    return np.hstack([shaped, features[:, sites:]])


def fit_model(
    learner: Learner, features: Floats, divergence: Floats, sites: int
) -> Model:
    """Return a predictor of a kind, fitted to samples.

    Args:
        learner: Its kind.
        features: As an `Encoder` has them, shape (samples, features).
        divergence: Measured [nats], shape (samples,).
        sites: How many of the features are saliencies.
    """
    match learner:
        case Learner.LINEAR:
            return fit_linear(features, divergence, sites)
        case Learner.BOOSTING:
            regressor = GradientBoostingRegressor(
                n_estimators=60,
                max_depth=2,
                learning_rate=0.15,
                subsample=0.8,
                random_state=0,
            )
        case Learner.GAUSSIAN:
            kernel = ConstantKernel(1.0) * RBF(3.0) + WhiteKernel(0.1)
            regressor = make_pipeline(
                StandardScaler(),
                GaussianProcessRegressor(kernel, normalize_y=True, random_state=0),
            )
        case Learner.SUPPORT:
            regressor = make_pipeline(StandardScaler(), SVR(C=10.0, epsilon=0.05))
        case _:
            assert_never(learner)
    # Checks of arguments take half of the time of fits as small as these.
    quick = config_context(assume_finite=True, skip_parameter_validation=True)
    with warnings.catch_warnings(), quick:
        # Bounds of a kernel's parameters that are reached do no harm to a ranking.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressor.fit(_shaped(features, sites), np.log(divergence + _FLOOR))
    return _Logarithmic(regress=regressor.predict, sites=sites)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictor:
    """What the samples say of other schemes.

    Attributes:
        encoder: Of schemes.
        learner: Which kind did best in cross-validation.
        model: That one, fitted to all samples.
        linear: The additive one, likewise.
        top1: From divergence [nats] to top-1 [percent].
        best_top1: Of all samples [percent].
        relative: Half of an interval, as a share of `_SURE` and the predicted drop.
        quality: Of every kind, in cross-validation.
    """

    encoder: Encoder
    learner: Learner
    model: Model
    linear: AdditivePredictor
    top1: Callable[[Floats], Floats]
    best_top1: float
    relative: float
    quality: Mapping[Learner, Quality]

    def divergence(self, schemes: Sequence[tuple[Scheme, int]]) -> Floats:
        """Return what schemes will measure [nats].

        Args:
            schemes: Each with the width of its activations.
        """
        return self.model.predict(encoded(self.encoder, schemes))

    def predict(
        self, schemes: Sequence[tuple[Scheme, int]]
    ) -> tuple[tuple[float, float, float], ...]:
        """Return the top-1 of schemes: central, low and high end [percent]."""
        if not schemes:
            return ()
        centre = self.top1(self.divergence(schemes))
        reach = self.relative * _unsure(centre, self.best_top1)
        low, high = np.maximum(0, centre - reach), np.minimum(100, centre + reach)
        return tuple(zip(centre.tolist(), low.tolist(), high.tolist(), strict=True))


def encoded(encoder: Encoder, schemes: Sequence[tuple[Scheme, int]]) -> Floats:
    """Return the features of schemes, shape (schemes, features)."""
    return np.array([encoder.encode(scheme, act_bits) for scheme, act_bits in schemes])


def figures(samples: Sequence[Sample]) -> tuple[Floats, Floats]:
    """Return divergence [nats] and top-1 [percent] of samples that have a result."""
    results = [sample.result for sample in samples if sample.result is not None]
    return (
        np.array([result.divergence for result in results]),
        np.array([result.top1 for result in results]),
    )


def _top1_map(divergence: Floats, top1: Floats) -> Callable[[Floats], Floats]:
    rise = IsotonicRegression(increasing=False, out_of_bounds="clip")
    rise.fit(divergence, top1)

    def predicted(values: Floats) -> Floats:
        return np.asarray(rise.predict(values), dtype=np.float64)

    return predicted


def fit_predictor(encoder: Encoder, samples: Sequence[Sample]) -> Predictor:
    """Return the predictor that does best on samples left out.

    The best ranks them best; the linear one is kept unless another is clearly better.

    Args:
        encoder: Of schemes.
        samples: Those without a result are left out.

    Raises:
        InputError: Too few samples have a result.
    """
    useful = [sample for sample in samples if sample.result is not None]
    if len(useful) < LEAST_SAMPLES:
        raise InputError(
            f"{len(useful)} samples with a result; a predictor needs at least "
            f"{LEAST_SAMPLES}: measure more"
        )
    features = encoded(encoder, [(s.trial.scheme, s.trial.act_bits) for s in useful])
    divergence, top1 = figures(useful)
    sites = len(encoder.sites)
    quality: dict[Learner, Quality] = {}
    misses: dict[Learner, Floats] = {}
    highest = float(top1.max())
    for learner in Learner:
        out, out_top1 = _held_out(learner, features, divergence, top1, sites)
        missed = np.abs(out_top1 - top1)
        misses[learner] = missed / _unsure(out_top1, highest)
        quality[learner] = Quality(
            rows=len(useful),
            spearman=spearman(out, divergence),
            spearman_top1=spearman(out, -top1),
            mae=float(missed.mean()),
        )
    best = max(Learner, key=lambda one: quality[one].spearman)
    if quality[best].spearman - quality[Learner.LINEAR].spearman <= CLEARLY:
        best = Learner.LINEAR
    return Predictor(
        encoder=encoder,
        learner=best,
        model=fit_model(best, features, divergence, sites),
        linear=fit_linear(features, divergence, sites),
        top1=_top1_map(divergence, top1),
        best_top1=highest,
        relative=_conformal(misses[best]),
        quality=quality,
    )


def _held_out(
    learner: Learner, features: Floats, divergence: Floats, top1: Floats, sites: int
) -> tuple[Floats, Floats]:
    """Return divergence and top-1 of every sample as the other folds predict them."""
    folds = np.random.default_rng(0).permutation(len(features)) % _FOLDS
    out, out_top1 = np.empty(len(features)), np.empty(len(features))
    for fold in range(_FOLDS):
        rest, held = folds != fold, folds == fold
        model = fit_model(learner, features[rest], divergence[rest], sites)
        out[held] = np.maximum(model.predict(features[held]), 0)
        out_top1[held] = _top1_map(divergence[rest], top1[rest])(out[held])
    return out, out_top1


def _unsure(top1: Floats, highest: float) -> Floats:
    """Return how large errors are in proportion: with the predicted drop [points]."""
    return _SURE + np.maximum(0, highest - top1)


def _conformal(misses: Floats) -> float:
    """Return the miss that `COVERAGE` of what is drawn alike stay within."""
    place = min(len(misses), int(np.ceil((len(misses) + 1) * COVERAGE))) - 1
    return float(np.sort(misses)[place])


def score(predictor: Predictor, samples: Sequence[Sample]) -> Quality:
    """Return how well a predictor does on samples that it was not fitted to.

    Raises:
        InputError: Fewer than two of them have a result.
    """
    useful = [sample for sample in samples if sample.result is not None]
    if len(useful) < 2:
        raise InputError(f"{len(useful)} samples to compare; must be at least 2")
    schemes = [(s.trial.scheme, s.trial.act_bits) for s in useful]
    divergence, top1 = figures(useful)
    found = np.array(predictor.predict(schemes))
    return Quality(
        rows=len(useful),
        spearman=spearman(predictor.divergence(schemes), divergence),
        spearman_top1=spearman(predictor.divergence(schemes), -top1),
        mae=float(np.abs(found[:, 0] - top1).mean()),
        coverage=float(np.mean((found[:, 1] <= top1) & (top1 <= found[:, 2]))),
    )
