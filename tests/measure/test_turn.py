"""A turn: whose optimum comes first, and that the fastest design of a scheme counts."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from hao.ir.change import Bits, Scheme, bits_of, densities_of, scheme_of
from hao.measure import turn as turn_module
from hao.measure.predictors import (
    AdditivePredictor,
    Encoder,
    Predictor,
    fit_predictor,
)
from hao.measure.propose import (
    Ask,
    KnownCosts,
    Proposal,
    additive_costs,
    best_proposals,
    design_of_scheme,
    make_encoder,
    priced,
    uniform_proposals,
)
from hao.measure.sample import Origin, Result, Sample, Trial
from hao.measure.settings import LoopSettings
from hao.measure.turn import Proposed, Turn, propose
from hao.options.option import Option
from hao.options.sparsity import density_options, why_whole
from hao.program.codesign import choose_fastest
from hao.program.solver import SolverName
from tests.measure.samples import (
    CHOICES,
    ENCODER,
    ask,
    problem,
    saliencies,
    trained,
)
from tests.quant.networks import chain

SLOW, FAST = 10**6, 780
"""Latencies: one that all schemes keep, and one that the most bits do not."""


@cache
def optimum(budget: int) -> Proposal:
    asked = priced(ask(budget), additive_costs(ENCODER, None))
    known = KnownCosts(asked, ())
    return best_proposals(asked, budget, known=known, origin=Origin.BEST, count=1)[0]


def measured(one: Proposal, cycles: int) -> Sample:
    trial = Trial(scheme=one.scheme, act_bits=one.act_bits, cycles=cycles)
    return Sample(trial=trial, result=None, failure="not looked at")


def proposed(number: int, *before: Sample, batch: int = 2) -> Proposed:
    return propose(
        Turn(
            ask=ask(SLOW, FAST),
            encoder=ENCODER,
            settings=LoopSettings(measure=10, per_turn=batch, best=1),
            before=before,
            predictor=None,
            number=number,
        )
    )


def test_each_latency_has_its_optimum_first_in_its_turn() -> None:
    assert optimum(SLOW).key != optimum(FAST).key
    # Half of two schemes is one optimum.
    firsts = [proposed(number).schemes[0] for number in (0, 1, 2)]
    wanted = [optimum(budget).key for budget in (SLOW, FAST, SLOW)]
    assert [one.key for one in firsts] == wanted
    assert [one.origin for one in firsts[:2]] == [Origin.START, Origin.BEST]


def test_what_was_measured_makes_room_for_the_next() -> None:
    found = proposed(0, measured(optimum(SLOW), optimum(SLOW).cycles))
    assert found.schemes[0].key == optimum(FAST).key
    assert optimum(SLOW).key not in {one.key for one in found.schemes}
    assert found.faster == ()


def test_what_has_a_latency_bounds_the_optima_of_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[list[tuple[Scheme, int, int]]] = []

    class Told(KnownCosts):
        def __init__(self, ask: Ask, runs: list[tuple[Scheme, int, int]]) -> None:
            told.append(runs)
            super().__init__(ask, runs)

    monkeypatch.setattr(turn_module, "KnownCosts", Told)
    best = optimum(SLOW)
    without = replace(measured(best, 0).trial, cycles=None)
    proposed(1, measured(best, 900), replace(measured(best, 0), trial=without))
    assert told == [[(best.scheme, best.act_bits, 900)]]
    # Before anything is measured, uniform bits do.
    proposed(0)
    even = uniform_proposals(ask(SLOW, FAST))
    assert told[1] == [(one.scheme, one.act_bits, one.cycles) for one in even]
    assert told[1]


def test_a_faster_design_of_what_was_measured_is_told() -> None:
    best = optimum(FAST)
    (faster,) = proposed(1, measured(best, SLOW), batch=4).faster
    assert (faster.key, faster.cycles) == (best.key, best.cycles)
    assert proposed(1, measured(best, best.cycles), batch=4).faster == ()


def test_exploration_takes_what_the_predictor_likes_best_of_some_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def salience(one: Proposal) -> float:
        return float(ENCODER.encode(one.scheme, 8).sum())

    def worst_first(
        _: Predictor, schemes: list[Scheme], found: list[Proposal]
    ) -> list[Scheme]:
        assert found
        salient = [float(ENCODER.encode(one, 8).sum()) for one in schemes]
        return [schemes[place] for place in np.argsort(salient)[::-1]]

    def explored(predictor: Predictor | None, batch: int) -> list[float]:
        turn = Turn(
            ask=ask(SLOW),
            encoder=ENCODER,
            settings=LoopSettings(measure=40, per_turn=batch, best=1),
            before=(),
            predictor=predictor,
            number=1,
        )
        found = propose(turn).schemes
        return [salience(one) for one in found if one.origin is Origin.EXPLORE]

    predictor = fit_predictor(ENCODER, random_samples(12))
    # All of its weights are those of the saliencies.
    predictor = replace(predictor, linear=AdditivePredictor(base=0, weights=np.ones(3)))
    monkeypatch.setattr(turn_module, "worth_pricing", worst_first)
    monkeypatch.setattr(turn_module, "_DRAWN", 60)
    every = explored(None, 12)
    assert len(every) > 2
    assert every[0] < max(every)
    assert explored(predictor, 2) == [max(every)]


def random_samples(count: int) -> list[Sample]:
    names = [layer.name for layer in trained().compute_layers]
    generator = np.random.default_rng(0)
    found = []
    for _ in range(count):
        bits = generator.choice(CHOICES, size=len(names))
        scheme = scheme_of(dict(zip(names, map(int, bits), strict=True)))
        result = Result(
            frames=9, top1=90, loss=0, divergence=0.1, agreement=90, seconds=0
        )
        trial = Trial(scheme=scheme, act_bits=8)
        found.append(Sample(trial=trial, result=result))
    return found


def test_uniform_bits_are_measured_where_they_run_in_time() -> None:
    names = [layer.name for layer in trained().compute_layers]

    def latency(bits: int) -> int:
        scheme = scheme_of(dict.fromkeys(names, bits))
        report = design_of_scheme(
            ask().problems[8], scheme, budget=SLOW, solver=SolverName.AUTO
        )
        return report.cost.latency_cycles

    for budget in (SLOW, FAST):
        wanted = max(bits for bits in CHOICES if latency(bits) <= budget)
        (even,) = uniform_proposals(ask(budget))
        assert set(bits_of(even.scheme).values()) == {wanted}
        assert even.cycles <= budget
        turn = Turn(
            ask=ask(budget),
            encoder=ENCODER,
            settings=LoopSettings(measure=10, per_turn=4, best=1),
            before=(),
            predictor=None,
            number=0,
        )
        assert even.key in [one.key for one in propose(turn).schemes[:2]]
        again = propose(replace(turn, number=1)).schemes
        assert Origin.START not in [one.origin for one in again]
        # Lanes of 4 bits run 8 bits in two passes, but not fewer.
        twice = [
            Option(layer=x.name, change=Bits(weight_bits=8, passes=2), cost_micro=0)
            for x in trained().compute_layers
            if why_whole(x) is None
        ]
        both = replace(problem(), options=(*problem().options, *twice))
        (same,) = uniform_proposals(replace(ask(budget), problems={8: both}))
        assert set(bits_of(same.scheme).values()) == {wanted}
    assert uniform_proposals(ask(1)) == []


def test_the_design_of_a_scheme_is_the_fastest_where_nothing_else_is_on_offer() -> None:
    asked, (sample,) = problem(), random_samples(1)
    scheme = sample.trial.scheme
    alone = [o for o in asked.options if o.change == scheme[o.layer]]
    expected = choose_fastest(replace(asked, options=tuple(alone)))
    found = design_of_scheme(asked, scheme, budget=SLOW, solver=SolverName.AUTO)
    assert found.design.scheme == scheme
    assert found.cost.latency_cycles == expected.cost.latency_cycles
    assert found.cost.resources.lut == expected.cost.resources.lut


def test_words_and_bits_are_explored_together() -> None:
    free = [x.name for x in chain().compute_layers if why_whole(x) is None]
    mixed = density_options(problem().options, {name: {50: 0} for name in free})
    made = replace(problem(), options=mixed)

    def encoder_of(more: float) -> Encoder:
        pruned = {
            (layer, f"{text}_kept_50"): value + more
            for (layer, text), value in saliencies().items()
        }
        return make_encoder({8: made}, {8: {**saliencies(), **pruned}})

    # Half of the words at 8 bits say nothing of 4 bits of all words.
    for layer in free:
        known = [saliencies()[layer, f"bits_{bits}"] for bits in (4, 8)]
        assert encoder_of(10.0).values[8, layer, "bits_4"] == max(known)
    encoder = encoder_of(1e-4)
    turn = Turn(
        ask=Ask(problems={8: made}, budgets=(SLOW,), overlap_percent=70),
        encoder=encoder,
        settings=LoopSettings(measure=10, per_turn=6, best=1),
        before=(),
        predictor=None,
        number=0,
    )
    found = propose(turn).schemes
    assert len({one.key for one in found}) == len(found) > 3
    assert {one.origin for one in found} >= {Origin.START, Origin.RANDOM}
    assert len({tuple(densities_of(one.scheme)) for one in found}) > 1
    (even,) = uniform_proposals(turn.ask)
    assert not densities_of(even.scheme)
