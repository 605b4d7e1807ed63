"""Schemes next to an optimum: how far they are, and which are worth a price."""

from dataclasses import replace
from functools import cache

import numpy as np

from hao.ir.change import Bits, Scheme, scheme_of
from hao.measure.nearby import MOST_STEPS, Around, worth_pricing
from hao.measure.predictors import AdditivePredictor, fit_predictor
from hao.measure.propose import (
    KnownCosts,
    Proposal,
    additive_costs,
    best_proposals,
    priced,
)
from hao.measure.sample import Origin, scheme_key
from tests.measure.samples import CHOICES, ENCODER, ask
from tests.measure.test_turn import FAST, SLOW, random_samples


@cache
def optimum(budget: int) -> Proposal:
    asked = priced(ask(budget), additive_costs(ENCODER, None))
    known = KnownCosts(asked, ())
    return best_proposals(asked, budget, known=known, origin=Origin.BEST, count=1)[0]


def steps_between(one: Proposal, bits: dict[str, int]) -> dict[str, int]:
    found = {}
    for name, change in one.scheme.items():
        assert isinstance(change, Bits)
        apart = CHOICES.index(bits[name]) - CHOICES.index(change.weight_bits)
        if apart:
            found[name] = abs(apart)
    return found


def test_steps_change_a_few_layers_by_one_and_random_bits_more() -> None:
    start = optimum(SLOW)
    around = Around(ask(SLOW), start, SLOW)
    generator = np.random.default_rng(0)

    def bits(random: bool) -> dict[str, int]:
        scheme = (around.random if random else around.step)(generator)
        changes = {n: c for n, c in scheme.items() if isinstance(c, Bits)}
        return {name: change.weight_bits for name, change in changes.items()}

    near = [steps_between(start, bits(False)) for _ in range(40)]
    assert all(set(one.values()) <= {1} for one in near)
    assert 1 <= max(map(len, near)) <= MOST_STEPS
    far = [steps_between(start, bits(True)) for _ in range(40)]
    assert max(max(one.values(), default=0) for one in far) > 1


def test_an_engine_runs_a_scheme_in_time_or_not() -> None:
    start = optimum(SLOW)
    same = Around(ask(SLOW), start, start.cycles).run(start.scheme, Origin.EXPLORE)
    assert same is not None
    assert (same.key, same.cycles) == (start.key, start.cycles)
    late = Around(ask(SLOW), start, start.cycles - 1)
    assert late.run(start.scheme, Origin.EXPLORE) is None


def test_schemes_under_the_optimum_are_not_priced() -> None:
    predictor = replace(
        fit_predictor(ENCODER, random_samples(12)),
        linear=AdditivePredictor(base=0, weights=np.ones(3)),
    )
    start = optimum(FAST)
    names = list(start.scheme)
    every = [scheme_of(dict.fromkeys(names, bits)) for bits in CHOICES]

    def cost(scheme: Scheme) -> float:
        return float(ENCODER.encode(scheme, 8).sum())

    least = cost(start.scheme)
    found = worth_pricing(predictor, every, [start])
    keys = {scheme_key(one, 8) for one in found}
    wanted = {scheme_key(one, 8) for one in every if cost(one) >= least}
    assert 0 < len(wanted) < len(every)
    assert keys == wanted
    predicted = predictor.divergence([(one, 8) for one in found])
    assert list(predicted) == sorted(predicted)
    assert worth_pricing(predictor, [], [start]) == []


def test_what_is_known_bounds_the_optimum_and_does_not_change_it() -> None:
    asked = priced(ask(FAST), additive_costs(ENCODER, None))
    best, fast = optimum(SLOW), optimum(FAST)
    known = KnownCosts(asked, [(best.scheme, 8, SLOW), (fast.scheme, 8, FAST)])
    assert known.least(8, SLOW) < known.least(8, FAST)
    assert (
        known.least(8, FAST - 1)
        == known.least(4, SLOW)
        == KnownCosts(asked, ()).least(8, SLOW)
    )
    for budget, one in ((FAST, fast), (SLOW, best)):
        (found,) = best_proposals(
            asked, budget, known=known, origin=Origin.BEST, count=1
        )
        assert found.key == one.key
