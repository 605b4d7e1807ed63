"""Terms of the law: what each says, and that every one has a prior."""

from dataclasses import replace

import pytest

from hao.accuracy.reference import shipped_references
from hao.accuracy.terms import (
    PRIOR,
    Checkpoint,
    QuantSetting,
    Recipe,
    mean_terms,
    noise_terms,
    prior,
)

SUBJECT = Checkpoint(
    network="mobilenet_v2_100",
    family="mobilenet",
    depthwise=True,
    top1=66.0,
    plain_top1=72.0,
)


def test_every_term_of_the_shipped_references_has_a_prior() -> None:
    seen = set()
    for reference in shipped_references():
        subject = Checkpoint(
            network=reference.network,
            family=reference.family,
            depthwise=reference.depthwise,
            top1=reference.top1_float,
        )
        for term in mean_terms(subject, reference.setting):
            assert prior(term) > 0
            seen.add(term.partition(":")[0])
    # Without a usual accuracy no recipe is strong; those of sources are the fit's own.
    of_source = {"source", "source setting", "source small"}
    assert PRIOR.keys() - seen == {"strong", *of_source}


def test_capacity_and_strength_are_told_by_the_float_accuracy() -> None:
    assert SUBJECT.smallness == 1.0
    assert SUBJECT.strength == -1.0
    assert replace(SUBJECT, top1=None).smallness == 0
    assert replace(SUBJECT, top1=1.0).smallness == 2.5
    assert replace(SUBJECT, top1=73.5).strength == pytest.approx(0.5)
    assert replace(SUBJECT, plain_top1=None).strength == 0


def test_lines_are_told_by_the_longest_beginning() -> None:
    assert SUBJECT.line == "mobilenet_v2"
    assert replace(SUBJECT, network="resnetv2_50").line == "resnetv2"
    assert replace(SUBJECT, network="resnet50", family="resnet").line == "resnet"


def test_rounding_counts_below_eight_bits_without_training_only() -> None:
    at_4 = QuantSetting(recipe=Recipe.PTQ, weight_bits=4, act_bits=8, nearest=True)
    assert mean_terms(SUBJECT, at_4)["nearest"] == pytest.approx(0.9375)
    assert "nearest" not in mean_terms(SUBJECT, replace(at_4, nearest=False))
    assert "nearest" not in mean_terms(SUBJECT, replace(at_4, weight_bits=8))
    assert "nearest" not in mean_terms(SUBJECT, replace(at_4, recipe=Recipe.QAT))
    assert noise_terms(SUBJECT, at_4)["noise nearest"] == 1.0
