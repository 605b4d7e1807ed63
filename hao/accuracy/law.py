"""What does a network lose at given bits, measured there or not, and how sure is that?

Model of a reference drop (`hao.accuracy.evidence`), in z = ln(1 + drop [points]):

    z = m + sqrt(m) x (g + noise),  m(bits, depthwise),  g(network, family, bits)

m is a non-negative combination of the terms in `_trend_terms`, so fewer bits never
predict less; g is a Gaussian process in which networks are close if they are the same,
closer to their family than to others, and close at similar bits; noise is what
different sources disagree by on one network. The root makes the residuals of 8-bit and
of low-bit references alike in size. The noise has four times the variance of g: what
separates published results is the tool more than the network.

Interval: 90 %, conformal on normalised residuals of held-out references.

- Bits at which eight sources or more measured the network itself: the ends of what they
  found, each moved outwards as conformal prediction asks (below 19 sources: the range).
- Bits at which fewer did: every (network, source) is held out in turn; each network's
  residuals are scaled by its own size, shrunk towards the average of all
  (`_PRIOR_SCORES`). Neither end lies beyond that of the last case.
- Else every network is held out in turn, all weighing the same; the quantiles are kept
  apart by depthwise or not, as far as each part has eight networks, and by 7 to 8 and
  at most 4.5 weight bits. Between 4 and 8 bits they are interpolated: only three
  networks were measured there.

`hao.accuracy.table` evaluates it for the zoo and repairs monotonicity of the ends.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, WhiteKernel
from sklearn.linear_model import LinearRegression

from hao.accuracy.evidence import Reference
from hao.accuracy.predictor import score_quantiles

SIGNAL_VARIANCE = 0.10
NOISE_VARIANCE = 0.42
"""Variances of g and of the noise. The marginal likelihood is flat in the first: 0 to
0.15 lie within 1.5 of its logarithm's maximum, each with this noise or nearly so. A
tenth lets a network's own measurements count (tests/accuracy/test_law.py)."""
_NETWORK_DISTANCE = 1.5
_FAMILY_DISTANCE = 1.0
_BITS_DISTANCE = 0.125
_PRIOR_SCORES = 4.0
_OWN_SOURCES = 8
_MIN_NETWORKS = 8
_REWEIGHTINGS = 6
_SMALLEST_TREND = 0.1

Floats = NDArray[np.float64]
Quantiles = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A network at uniform bits.

    Attributes:
        network: Name, as references call it.
        family: Family, as references call it.
        depthwise: The network has depthwise convolutions.
        weight_bits: Bits of a weight.
        act_bits: Bits of an activation.
    """

    network: str
    family: str
    depthwise: bool
    weight_bits: float
    act_bits: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LawDrop:
    """Expected drop [points] with the ends of its 90 % interval."""

    mean: float
    low: float
    high: float


def target_of(reference: Reference) -> Target:
    """Return what a reference measured."""
    return Target(
        network=reference.network,
        family=reference.family,
        depthwise=reference.depthwise,
        weight_bits=reference.weight_bits,
        act_bits=reference.act_bits,
    )


def measurements(
    target: Target, references: Sequence[Reference]
) -> tuple[Reference, ...]:
    """Return the references that have this network within half a bit."""
    return tuple(
        r
        for r in references
        if r.network == target.network
        and abs(r.weight_bits - target.weight_bits) <= 0.5
        and abs(r.act_bits - target.act_bits) <= 0.5
    )


def _trend_terms(target: Target) -> list[float]:
    bits = [
        (8 - target.weight_bits) / 4,
        2.0 ** (4 - target.weight_bits),
        (8 - target.act_bits) / 4,
        2.0 ** (4 - target.act_bits),
    ]
    depthwise = float(target.depthwise)
    return [1.0, depthwise, *bits, *(depthwise * term for term in bits)]


def _fit_trend(targets: Sequence[Target], z: Floats) -> LinearRegression:
    """Return non-negative least squares of residuals over root m.

    References at seldom measured bits weigh more (one over the root of their number),
    lest the many at 8 bits alone shape the law.
    """
    terms = np.array([_trend_terms(target) for target in targets])
    keys = [(t.depthwise, t.weight_bits, t.act_bits) for t in targets]
    counts = Counter(keys)
    rarity = np.array([counts[key] ** -0.5 for key in keys])
    trend = LinearRegression(positive=True, fit_intercept=False)
    weights = rarity
    for _ in range(_REWEIGHTINGS):
        trend.fit(terms, z, sample_weight=weights)
        weights = rarity / np.maximum(trend.predict(terms), _SMALLEST_TREND)
    return trend


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """Fitted trend and process, without intervals; made by `fit_law`."""

    trend: LinearRegression
    process: GaussianProcessRegressor
    networks: tuple[str, ...]
    families: tuple[str, ...]

    def predict(self, targets: Sequence[Target]) -> tuple[Floats, Floats]:
        """Return centre and standard deviation of z, shape (targets,) each."""
        terms = np.array([_trend_terms(target) for target in targets])
        m = np.maximum(self.trend.predict(terms), _SMALLEST_TREND)
        places = _places(targets, self.networks, self.families)
        g, deviation = self.process.predict(places, return_std=True)
        return np.maximum(m + np.sqrt(m) * g, 0.0), np.sqrt(m) * deviation


def kernel(signal: float, noise: float) -> Kernel:
    """Return the covariance of g plus noise for places at their fixed distances."""
    return ConstantKernel(signal) * RBF(1.0, "fixed") + WhiteKernel(noise)


def _places(
    targets: Sequence[Target], networks: tuple[str, ...], families: tuple[str, ...]
) -> Floats:
    # One axis per network and family, and one on which the unknown ones lie.
    places = np.zeros((len(targets), 4 + len(networks) + len(families)))
    for place, target in zip(places, targets, strict=True):
        place[0] = _BITS_DISTANCE * (8 - target.weight_bits)
        place[1] = _BITS_DISTANCE * (8 - target.act_bits)
        axis = networks.index(target.network) if target.network in networks else -1
        place[3 + axis] = _NETWORK_DISTANCE
        axis = families.index(target.family) if target.family in families else -1
        place[4 + len(networks) + axis] = _FAMILY_DISTANCE
    return places


def training_set(references: Sequence[Reference]) -> tuple[Law, Floats, Floats]:
    """Return the unfitted law, its places and the residuals over root m it is for."""
    targets = [target_of(reference) for reference in references]
    z = np.log1p([reference.drop for reference in references])
    trend = _fit_trend(targets, z)
    terms = np.array([_trend_terms(target) for target in targets])
    m = np.maximum(trend.predict(terms), _SMALLEST_TREND)
    law = Law(
        trend=trend,
        process=GaussianProcessRegressor(
            kernel(SIGNAL_VARIANCE, NOISE_VARIANCE), optimizer=None
        ),
        networks=tuple(sorted({target.network for target in targets})),
        families=tuple(sorted({target.family for target in targets})),
    )
    return law, _places(targets, law.networks, law.families), (z - m) / np.sqrt(m)


def fit_law(references: Sequence[Reference]) -> Law:
    """Return the law fitted to reference drops."""
    law, places, residuals = training_set(references)
    law.process.fit(places, residuals)
    return law


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutDrop:
    """A reference beside what the law says without its group.

    Attributes:
        reference: What was measured.
        z: Predicted centre.
        deviation: Predicted standard deviation of z.
    """

    reference: Reference
    z: float
    deviation: float

    @property
    def score(self) -> float:
        """Return the residual over its predicted standard deviation."""
        return float((np.log1p(self.reference.drop) - self.z) / self.deviation)


def hold_out(
    references: Sequence[Reference], group: Callable[[Reference], Hashable]
) -> tuple[HeldOutDrop, ...]:
    """Return every reference as predicted from those of other groups."""
    held: list[HeldOutDrop] = []
    for name in dict.fromkeys(group(reference) for reference in references):
        law = fit_law([r for r in references if group(r) != name])
        members = [r for r in references if group(r) == name]
        z, deviation = law.predict([target_of(r) for r in members])
        held += [
            HeldOutDrop(reference=r, z=float(a), deviation=float(b))
            for r, a, b in zip(members, z, deviation, strict=True)
        ]
    return tuple(held)


def _scale(scores: Sequence[float]) -> float:
    """Return the size of one network's scores, shrunk towards 1."""
    squares = sum(score**2 for score in scores)
    return float(((_PRIOR_SCORES + squares) / (_PRIOR_SCORES + len(scores))) ** 0.5)


def _within(held: Sequence[HeldOutDrop]) -> tuple[Quantiles, Mapping[str, float]]:
    scores: dict[str, list[float]] = {}
    for item in held:
        scores.setdefault(item.reference.network, []).append(item.score)
    relative = [
        own[i] / _scale([*own[:i], *own[i + 1 :]])
        for own in scores.values()
        if len(own) > 1
        for i in range(len(own))
    ]
    quantiles = score_quantiles(np.array(relative), np.ones(len(relative)))
    return quantiles, {network: _scale(own) for network, own in scores.items()}


class Level(Enum):
    """Weight bits at which enough networks were measured to calibrate across them."""

    HIGH = 8
    LOW = 4


def level_of(weight_bits: float) -> Level | None:
    """Return the level that a reference calibrates, None between the two."""
    if weight_bits >= 7:
        return Level.HIGH
    return Level.LOW if weight_bits <= 4.5 else None


def across_networks(
    held: Sequence[HeldOutDrop],
) -> Mapping[tuple[Level, bool], Quantiles]:
    """Return score quantiles per level and kind, networks weighing the same."""
    quantiles = {}
    for part in Level:
        level = [i for i in held if level_of(i.reference.weight_bits) is part]
        for depthwise in (False, True):
            pool = [item for item in level if item.reference.depthwise == depthwise]
            if len({item.reference.network for item in pool}) < _MIN_NETWORKS:
                pool = level
            counts = Counter(item.reference.network for item in pool)
            quantiles[part, depthwise] = score_quantiles(
                np.array([item.score for item in pool]),
                np.array([1 / counts[item.reference.network] for item in pool]),
            )
    return quantiles


def covered_across(held: Sequence[HeldOutDrop], *, depthwise: bool) -> tuple[bool, ...]:
    """Return which references lie in the interval that other networks calibrate.

    Args:
        held: References with their own network held out; those at bits between the
            levels are passed over.
        depthwise: Which references to look at.
    """
    inside = []
    for name in dict.fromkeys(item.reference.network for item in held):
        quantiles = across_networks([i for i in held if i.reference.network != name])
        for item in held:
            level = level_of(item.reference.weight_bits)
            asked = item.reference.depthwise == depthwise
            if item.reference.network == name and level is not None and asked:
                low, high = quantiles[level, depthwise]
                # The low end is cut at a drop of zero, and so is every reference.
                nothing_below = item.z + low * item.deviation <= 0
                inside.append(
                    item.score <= high and (nothing_below or item.score >= low)
                )
    return tuple(inside)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedLaw:
    """The law with its two calibrations; made by `calibrate_law`."""

    law: Law
    references: tuple[Reference, ...]
    within: Quantiles
    scales: Mapping[str, float]
    across: Mapping[tuple[Level, bool], Quantiles]

    def predict(self, targets: Sequence[Target]) -> tuple[LawDrop, ...]:
        """Return expected drop and interval of every target [points]."""
        centres, deviations = self.law.predict(targets)
        drops = []
        for target, z, deviation in zip(targets, centres, deviations, strict=True):
            low, high = self._ends(target, float(z), float(deviation))
            drops.append(
                LawDrop(
                    mean=float(np.expm1(z)),
                    low=float(np.expm1(max(low, 0.0))),
                    high=float(np.expm1(high)),
                )
            )
        return tuple(drops)

    def _ends(self, target: Target, z: float, deviation: float) -> tuple[float, float]:
        share = float(np.clip((target.weight_bits - 4) / 4, 0.0, 1.0))
        below, above = (
            share * at_8 + (1 - share) * at_4
            for at_8, at_4 in zip(
                self.across[Level.HIGH, target.depthwise],
                self.across[Level.LOW, target.depthwise],
                strict=True,
            )
        )
        low, high = z + below * deviation, z + above * deviation
        own = measurements(target, self.references)
        if len(own) >= _OWN_SOURCES:
            found = np.log1p([reference.drop for reference in own])
            least, most = score_quantiles(found - z, np.ones(len(own)))
            return z + least, z + most
        if own:
            scale = self.scales[target.network] * deviation
            below, above = self.within
            return max(low, z + below * scale), min(high, z + above * scale)
        return low, high


def calibrate_law(references: Sequence[Reference]) -> CalibratedLaw:
    """Return the law fitted to reference drops, with both calibrations."""
    within, scales = _within(hold_out(references, lambda r: (r.network, r.source)))
    return CalibratedLaw(
        law=fit_law(references),
        references=tuple(references),
        within=within,
        scales=scales,
        across=across_networks(hold_out(references, lambda r: r.network)),
    )
