"""What does a checkpoint lose at given bits, measured there or not, and how sure is it?

Model of a reference drop (`evidence.py`), in z = asinh(drop / unit of the recipe):

    z = sum of weight x term + deviation x noise      (`hao.accuracy.terms`)

The weights are those of a ridge in units of the prior, so kind, recipe and bits are
fixed effects, and family, line, network, checkpoint and source random ones: rows of a
family are pooled, and a checkpoint's own row counts as far as sources agree at all. A
prediction is for a source that nobody has seen: effects of sources are left out. A
source has one for each recipe, one for each setting and one that grows with smallness.
A reference counts by the noise of its kind, which references left out of a first fit
show; outliers count less (Student's t with `FREEDOM` degrees of freedom).

The deviation has two parts: what the effects still leave open (their prior
variance, less what was measured), and noise. The noise is log-linear in kind, recipe,
family, capacity and bits; a gamma regression is fitted to absolute residuals of
references that were left out with their whole network, and again with their whole
source. The distribution of those residuals over their deviation, which has heavy tails,
gives everything else:

- mean: of the drop itself, not the drop at the mean of z; the last 5 % at either end
  count as where they begin, since the tails of the fit are longer than those measured;
- low, high: 90 % interval, conformal quantiles of a result yet to come, of a source
  that nobody has seen (Dunn, Wasserman and Ramdas 2022, hierarchical data): half of the
  weight is spread over sources alike and half over families alike, since results of one
  source or family resemble each other, and one of n + 1 sources is beyond all n;
- noise: mean of what a result lies above the mean. A search ranks by mean plus noise.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import GammaRegressor, Ridge

from hao.accuracy.drops import FIT_NOISE, DropLaw, Effect, LawDrop, distribution_name
from hao.accuracy.reference import Reference
from hao.accuracy.terms import (
    UNIT,
    Checkpoint,
    QuantSetting,
    log_noise,
    mean_terms,
    noise_terms,
    prior,
)

FREEDOM = 4.0
"""Degrees of freedom of the noise: heavy tails, as collapsed recipes make them."""

FOLDS = 6
STEPS = 60
"""Quantiles that describe the distribution of the noise."""

MIN_SCORES = 30
"""Fewest residuals with a distribution of their own, by kind and recipe or bits."""

_REWEIGHTINGS = 5
_NOISE_PRIOR = 0.02
_NOISE_GROUP = 0.6
_SEED = 0

Floats = NDArray[np.float64]
Group = Callable[[Reference], Hashable]


def plain_top1(references: Sequence[Reference]) -> dict[str, float]:
    """Return what checkpoints of each network usually reach [percent]."""
    found: dict[str, list[float]] = defaultdict(list)
    for reference in references:
        found[reference.network].append(reference.top1_float)
    return {network: median(values) for network, values in found.items()}


def subject_of(reference: Reference, plain: Mapping[str, float]) -> Checkpoint:
    """Return the checkpoint that a reference is about."""
    return Checkpoint(
        network=reference.network,
        family=reference.family,
        depthwise=reference.depthwise,
        top1=reference.top1_float,
        plain_top1=plain.get(reference.network),
    )


def _transformed(references: Sequence[Reference]) -> Floats:
    units = [UNIT[r.setting.recipe] for r in references]
    found: Floats = np.arcsinh(np.array([r.drop for r in references]) / units)
    return found


def _source_terms(
    source: str, subject: Checkpoint, setting: QuantSetting
) -> dict[str, float]:
    """Return the random effects of who measured a drop, which no prediction counts."""
    recipe = setting.recipe.value
    return {
        f"source:{source} {recipe}": 1.0,
        f"source setting:{source} {setting}": 1.0,
        f"source small:{source} {recipe}": max(subject.smallness, 0.0),
    }


def fit_mean(
    references: Sequence[Reference], noise: Mapping[str, float]
) -> tuple[dict[str, Effect], dict[str, float]]:
    """Return the effects of the terms, and the usual float accuracies behind them.

    Args:
        references: What the effects are fitted to.
        noise: Weights of the terms of the logarithm of the noise; without any, all
            references are as sure.
    """
    plain = plain_top1(references)
    rows, logs = [], []
    for reference in references:
        subject, setting = subject_of(reference, plain), reference.setting
        of_source = _source_terms(reference.source, subject, setting)
        rows.append(mean_terms(subject, setting) | of_source)
        logs.append(log_noise(noise, subject, setting))
    scales = FIT_NOISE * np.exp(np.array(logs) - np.mean(logs))
    columns = {t: i for i, t in enumerate(sorted({t for row in rows for t in row}))}
    units = np.array([prior(term) for term in columns])
    matrix = np.zeros((len(rows), len(columns)))
    for line, row in zip(matrix, rows, strict=True):
        for term, value in row.items():
            line[columns[term]] = value
    z = _transformed(references)
    ridge = Ridge(alpha=1.0, fit_intercept=False, solver="cholesky")
    weights = scales**-2
    for _ in range(_REWEIGHTINGS):
        ridge.fit(matrix * units, z, sample_weight=weights)
        scores = (z - ridge.predict(matrix * units)) / scales
        weights = scales**-2 * (FREEDOM + 1) / (FREEDOM + scores**2)
    seen = (matrix**2).T @ weights
    effects = {
        term: Effect(
            weight=float(ridge.coef_[i] * units[i]),
            variance=float(1 / (units[i] ** -2 + seen[i])),
        )
        for term, i in columns.items()
        if not term.startswith("source")
    }
    return effects, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutReference:
    """A reference with what its relatives alone say of it.

    Attributes:
        reference: What was measured.
        subject: Its checkpoint, as the relatives know it.
        z: Centre.
        open_variance: Variance of z that the effects leave open.
    """

    reference: Reference
    subject: Checkpoint
    z: float
    open_variance: float

    @property
    def residual(self) -> float:
        """Return the measured z less the centre."""
        return float(_transformed([self.reference])[0]) - self.z


def _folds(references: Sequence[Reference], group: Group, folds: int) -> list[int]:
    """Return the fold of every reference; those of one group share it."""
    sizes = Counter(group(r) for r in references)
    names = sorted(sizes, key=str)
    order = np.random.default_rng(_SEED).permutation(len(names))
    fold = {names[name]: place % folds for place, name in enumerate(order)}
    return [fold[group(r)] for r in references]


def hold_out(
    references: Sequence[Reference],
    *groups: Group,
    noise: Mapping[str, float],
    folds: int = FOLDS,
) -> tuple[HeldOutReference, ...]:
    """Return every reference as predicted from those that share no group with it."""
    numbers = [_folds(references, group, folds) for group in groups]
    places = list(zip(*numbers, strict=True))
    held: dict[int, HeldOutReference] = {}
    for place in sorted(set(places)):
        known = [
            r
            for r, other in zip(references, places, strict=True)
            if all(x != y for x, y in zip(place, other, strict=True))
        ]
        effects, plain = fit_mean(known, noise)
        law = DropLaw(effects=effects, plain=plain)
        for i, other in enumerate(places):
            if other == place:
                reference = references[i]
                subject = subject_of(reference, plain)
                z, variance = law.centre(subject, reference.setting)
                held[i] = HeldOutReference(
                    reference=reference, subject=subject, z=z, open_variance=variance
                )
    return tuple(held[i] for i in range(len(references)))


def fit_noise(held: Sequence[HeldOutReference]) -> dict[str, float]:
    """Return the weights of the terms of the logarithm of the noise."""
    rows = [noise_terms(item.subject, item.reference.setting) for item in held]
    # The term "noise" is the intercept.
    names = sorted({term for row in rows for term in row} - {"noise"})
    columns = {term: i for i, term in enumerate(names)}
    units = np.array(
        [_NOISE_GROUP if t.startswith("noise family") else 1.0 for t in columns]
    )
    matrix = np.zeros((len(rows), len(columns)))
    for line, row in zip(matrix, rows, strict=True):
        for term in row.keys() & columns.keys():
            line[columns[term]] = row[term]
    # What the open variance explains is not noise.
    sizes = np.array([abs(item.residual) for item in held])
    known = np.sqrt([item.open_variance for item in held])
    targets = np.maximum(sizes, 0.02) / np.sqrt(1 + (known / FIT_NOISE) ** 2)
    model = GammaRegressor(alpha=_NOISE_PRIOR, fit_intercept=True, max_iter=500)
    model.fit(matrix * units, targets)
    weights = {t: float(model.coef_[i] * units[i]) for t, i in columns.items()}
    return weights | {"noise": float(model.intercept_)}


def _distribution(
    scores: Floats, weights: Floats, independent: int
) -> tuple[float, ...]:
    """Return evenly spaced quantiles of what is drawn like the scores.

    Args:
        scores: Residuals over their deviations, shape (residuals,).
        weights: Share that each stands for, shape (residuals,).
        independent: How many draws they are; one more is beyond all of them with
            probability 1 / (draws + 1), at either end alike.
    """
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(weights[order]) - weights[order] / 2
    places = (below * independent + 0.5) / (independent + 1)
    shares = (np.arange(STEPS) + 0.5) / STEPS
    return tuple(float(q) for q in np.interp(shares, places, scores[order]))


def _alike(keys: Sequence[str]) -> Floats:
    """Return the share of every member if each of the groups has the same."""
    sizes = Counter(keys)
    return np.array([1 / (sizes[key] * len(sizes)) for key in keys])


def noise_quantiles(
    scored: Sequence[tuple[float, Reference]],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return quantiles of the noise with results alike, and those for intervals."""
    count = len(scored)
    scores = np.array([score for score, _ in scored])
    sources = [reference.source for _, reference in scored]
    alike = (_alike(sources) + _alike([r.family for _, r in scored])) / 2
    return (
        _distribution(scores, np.full(count, 1 / count), count),
        _distribution(scores, alike, len(set(sources))),
    )


def calibrate_law(references: Sequence[Reference]) -> DropLaw:
    """Return the law fitted to reference drops, with its noise calibrated."""
    groups: tuple[Group, ...] = (lambda r: r.network, lambda r: r.source)
    known = fit_noise(hold_out(references, *groups, noise={}))
    held = hold_out(references, *groups, noise=known)
    effects, plain = fit_mean(references, known)
    law = DropLaw(
        effects=effects,
        plain=plain,
        noise=fit_noise(held),
        references=tuple(references),
    )
    scored: dict[str, list[tuple[float, Reference]]] = defaultdict(list)
    for item in held:
        setting = item.reference.setting
        size = law.deviation(item.subject, setting, item.open_variance)
        for name in ("all", distribution_name(item.subject, setting)):
            scored[name].append((item.residual / size, item.reference))
    found = {
        name: noise_quantiles(part)
        for name, part in scored.items()
        if name == "all" or len(part) >= MIN_SCORES
    }
    return replace(
        law,
        distributions={name: alike for name, (alike, _) in found.items()},
        wide={name: wide for name, (_, wide) in found.items()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """A reference with what a law says that was calibrated without its group."""

    reference: Reference
    drop: LawDrop


def nested(
    references: Sequence[Reference], group: Group, *, folds: int = FOLDS
) -> tuple[Nested, ...]:
    """Return every reference as a law calibrated on other groups predicts it.

    Unlike `hold_out`, noise and intervals are those of the others too.
    """
    found: dict[int, Nested] = {}
    fold = _folds(references, group, folds)
    for number in sorted(set(fold)):
        law = calibrate_law(
            [r for r, f in zip(references, fold, strict=True) if f != number]
        )
        for i, (reference, f) in enumerate(zip(references, fold, strict=True)):
            if f == number:
                subject = subject_of(reference, law.plain)
                drop = law.predict(subject, reference.setting)
                found[i] = Nested(reference=reference, drop=drop)
    return tuple(found[i] for i in range(len(references)))
