"""What an accuracy rests on, in words."""

from dataclasses import replace

import pytest

from hao.accuracy.drops import Evidence
from hao.accuracy.terms import Recipe
from hao.answer.candidates import Stance
from hao.ir.integer import with_multipliers
from hao.report.evidence import (
    basis_in_words,
    basis_json,
    ranked_in_words,
    unknown_in_words,
)
from tests.report.samples import BASIS, small_result

RESULT = small_result()


def test_a_size_beyond_what_is_published_says_which_are_known() -> None:
    assert unknown_in_words("mobilenet_v1_050@288") == (
        "no float accuracy of mobilenet_v1_050 is known at 288 pixels; known, or "
        "interpolated between published sizes, from 128 to 224"
    )
    plain = "no float accuracy of this network is known"
    assert unknown_in_words("somebody's") == unknown_in_words("net@2") == plain


def test_own_results_are_counted_apart() -> None:
    own = replace(BASIS, own=2, act_bits=4, weight_bits=8)
    assert basis_in_words(replace(RESULT, basis=own)) == (
        "5 published results of its family (3 networks, 1 source) for post-training "
        "quantization to 8-bit weights and 4-bit activations; 2 of this network"
    )


def test_free_scales_are_named() -> None:
    network = with_multipliers(RESULT.design.network)
    free = replace(RESULT, basis=BASIS, design=replace(RESULT.design, network=network))
    assert "8-bit activations (or fewer), scales of weights free" in basis_in_words(
        free
    )
    assert "free" not in basis_in_words(replace(RESULT, basis=BASIS))


def test_a_trained_network_needs_data_and_the_text_says_so() -> None:
    none = replace(BASIS, recipe=Recipe.QAT, related=0, networks=0, sources=0)
    assert none.evidence is Evidence.NONE
    assert basis_in_words(replace(RESULT, basis=none)) == (
        "no published result of this network's family for quantization-aware training "
        "to 4-bit weights and 8-bit activations (or fewer): reckoned from other "
        "families and other bits; without training data, search with --recipe ptq"
    )


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (Evidence.MEASURED, "this network was measured at these bits"),
        (Evidence.FAMILY, "its family was measured at these bits"),
        (Evidence.NONE, "other families or other bits only"),
    ],
)
def test_records_of_earlier_versions_say_what_they_have(
    evidence: Evidence, words: str
) -> None:
    old = replace(RESULT, basis=None, stance=None, evidence=evidence)
    assert basis_in_words(old) == words
    assert ranked_in_words(old) == ""
    assert basis_json(old)["recipe"] is None


@pytest.mark.parametrize(
    ("stance", "words"),
    [
        (Stance.CAUTIOUS, "the mean less what results fall short of it on average"),
        (Stance.PESSIMISTIC, "the low end of the interval"),
        (Stance.MEAN, "the mean"),
    ],
)
def test_the_stance_is_named(stance: Stance, words: str) -> None:
    text = ranked_in_words(replace(RESULT, stance=stance))
    assert text == f"; ranked as 70.00 %, {words}"
