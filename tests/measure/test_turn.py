"""A turn: whose optimum comes first, and that the fastest design of a scheme counts."""

from functools import cache

from hao.measure.propose import Proposal, additive_costs, best_proposals
from hao.measure.sample import Origin, Sample, Trial
from hao.measure.settings import LoopSettings
from hao.measure.turn import Proposed, Turn, propose
from tests.measure.samples import ENCODER, ask

SLOW, FAST = 10**6, 700
"""Latencies: one that all schemes keep, and one that the most bits do not."""


@cache
def optimum(budget: int) -> Proposal:
    costs = additive_costs(ENCODER, None)
    return best_proposals(ask(budget), costs, budget, origin=Origin.BEST, count=1)[0]


def measured(one: Proposal, cycles: int) -> Sample:
    trial = Trial(scheme=one.scheme, act_bits=one.act_bits, cycles=cycles)
    return Sample(trial=trial, result=None, failure="not looked at")


def proposed(number: int, *before: Sample, batch: int = 2) -> Proposed:
    return propose(
        Turn(
            ask=ask(SLOW, FAST),
            encoder=ENCODER,
            settings=LoopSettings(measure=10, batch=batch, best=1),
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


def test_a_faster_design_of_what_was_measured_is_told() -> None:
    best = optimum(FAST)
    (faster,) = proposed(1, measured(best, SLOW), batch=4).faster
    assert (faster.key, faster.cycles) == (best.key, best.cycles)
    assert proposed(1, measured(best, best.cycles), batch=4).faster == ()
