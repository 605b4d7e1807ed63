"""Predictors: what they recover, how they are chosen, and what their intervals hold."""

import numpy as np
import pytest

from hao.errors import InputError
from hao.ir.change import Bits, Change, scheme_of
from hao.measure.predictors import (
    CLEARLY,
    Encoder,
    Learner,
    fit_linear,
    fit_model,
    fit_predictor,
    score,
)
from hao.measure.sample import Result, Sample, Trial

SITES = tuple("abcdef")
VALUES = {
    (8, site, f"bits_{bits}"): (place + 1) * 4.0**-bits
    for place, site in enumerate(SITES)
    for bits in (2, 3, 4, 8)
}
ENCODER = Encoder(sites=SITES, values=VALUES, act_bits=(8,))


def samples(count: int, seed: int, *, noise: float = 0.1) -> list[Sample]:
    """Return schemes whose divergence is additive in other weights, but for noise."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        bits = generator.choice([2, 3, 4, 8], size=len(SITES))
        scheme = scheme_of(dict(zip(SITES, map(int, bits), strict=True)))
        salient = ENCODER.encode(scheme, 8)
        exact = float(0.001 + salient @ np.array([1, 2, 0.5, 1, 1, 3.0]))
        apart = exact * float(np.exp(noise * generator.normal()))
        found.append(
            Sample(
                trial=Trial(scheme=scheme, act_bits=8),
                result=Result(
                    frames=100,
                    top1=100 - 40 * apart + float(generator.normal(0, 0.3)),
                    loss=apart,
                    divergence=apart,
                    agreement=0.0,
                    seconds=0.0,
                ),
            )
        )
    return found


def test_schemes_become_the_saliency_of_what_their_layers_become() -> None:
    scheme: dict[str, Change] = {
        "a": Bits(weight_bits=8, passes=2),
        "c": Bits(weight_bits=2),
    }
    wide = Encoder(sites=SITES, values=VALUES, act_bits=(8, 5))
    assert wide.encode(scheme, 8).tolist() == [4.0**-8, 0, 3 / 16, 0, 0, 0, 0]
    values = {**VALUES, (5, "c", "bits_2"): 9.0, (5, "a", "bits_8"): 1.0}
    narrow = Encoder(sites=SITES, values=values, act_bits=(8, 5))
    assert narrow.encode(scheme, 5).tolist() == [1, 0, 9, 0, 0, 0, 1]
    with pytest.raises(InputError, match="'a' becomes bits_7, which is not on offer"):
        wide.encode({"a": Bits(weight_bits=7)}, 8)


def test_linear_recovers_additive_weights() -> None:
    generator = np.random.default_rng(0)
    features = generator.exponential(size=(300, 4))
    wanted = np.array([0.5, 1.0, 2.0, 1.5])
    found = fit_linear(features, 0.3 + features @ wanted, 4)
    assert found.weights == pytest.approx(wanted, rel=0.1)
    assert found.base == pytest.approx(0.3, abs=0.1)


def test_linear_gives_unseen_sites_the_common_weight() -> None:
    generator = np.random.default_rng(0)
    features = generator.exponential(size=(60, 3))
    features[:, 2] = 0
    found = fit_linear(features, 2 * features[:, 0] + 2 * features[:, 1], 3)
    assert found.weights == pytest.approx([2, 2, 2], rel=0.05)


def test_linear_weights_are_never_negative() -> None:
    generator = np.random.default_rng(0)
    features = generator.exponential(size=(40, 3))
    found = fit_linear(features, 5 / (1 + features.sum(axis=1)), 3)
    assert (found.weights >= 0).all()
    assert found.base >= 0


def test_every_learner_ranks_schemes_left_out() -> None:
    for quality in fit_predictor(ENCODER, samples(60, 0)).quality.values():
        assert quality.rows == 60
        assert quality.spearman > 0.7


def test_the_additive_predictor_wins_where_the_truth_is_additive() -> None:
    predictor = fit_predictor(ENCODER, samples(40, 0))
    best = max(one.spearman for one in predictor.quality.values())
    assert predictor.learner is Learner.LINEAR
    assert predictor.quality[Learner.LINEAR].spearman >= best - CLEARLY
    held = score(predictor, samples(40, 1))
    assert held.spearman > 0.9
    assert held.spearman_top1 > 0.85


@pytest.mark.thorough
def test_intervals_hold_what_they_say() -> None:
    inside = [
        score(fit_predictor(ENCODER, samples(40, seed)), samples(100, seed + 100))
        for seed in range(2)
    ]
    assert 0.8 <= np.mean([one.coverage for one in inside]) <= 1


def test_predictions_lie_in_their_interval_and_within_percents() -> None:
    predictor = fit_predictor(ENCODER, samples(20, 0))
    schemes = [(one.trial.scheme, 8) for one in samples(20, 1)]
    found = predictor.predict(schemes)
    for centre, low, high in found:
        assert 0 <= low <= centre <= high <= 100
    middle = [one for one in found if one[1] > 0 and one[2] < 100]
    middle.sort(key=lambda one: one[0])
    # What loses more is less sure.
    assert middle[0][2] - middle[0][1] > middle[-1][2] - middle[-1][1]
    assert predictor.predict([]) == ()


def test_divergence_is_never_negative_for_logarithmic_learners() -> None:
    features = np.random.default_rng(0).exponential(size=(20, 3))
    for learner in (Learner.BOOSTING, Learner.GAUSSIAN, Learner.SUPPORT):
        model = fit_model(learner, features, features.sum(axis=1), 3)
        assert (model.predict(features) > 0).all()


def test_too_few_samples_are_refused() -> None:
    failed = Sample(trial=samples(1, 0)[0].trial, result=None, failure="why")
    with pytest.raises(InputError, match=r"7 samples with a result; .* at least 8"):
        fit_predictor(ENCODER, [*samples(7, 0), failed])
    predictor = fit_predictor(ENCODER, samples(8, 0))
    with pytest.raises(InputError, match="1 samples to compare; must be at least 2"):
        score(predictor, [samples(1, 1)[0], failed])
