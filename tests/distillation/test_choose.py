"""Plug-in losses, the options of them, and designs measured whole."""

from dataclasses import replace

import numpy as np
import pytest

from hao.distillation.choose import BlockTeacher, measured_options
from hao.distillation.distill import Distilled
from hao.distillation.pool import Place, assembled
from hao.distillation.score import Scores, outputs_of, rounded, score
from hao.ir.change import Bits, Change, Keep, LeaveOut, Replace
from hao.ir.network import Network
from hao.measure.sample import Trial
from hao.measure.subject import (
    evaluate,
    make_subject,
    network_under,
    weight_bits,
)
from hao.options.option import Option
from hao.quant.outputs import divergence
from tests.distillation.instances import dataset

CHOICES = (8, 2)


@pytest.fixture(scope="module")
def scores(trained: Network, places: tuple[Place, ...], distilled: Distilled) -> Scores:
    frames = dataset().train.frames
    return score(trained, places, distilled.params, frames, CHOICES)


def test_a_plug_in_loss_is_that_of_the_whole_network_with_one_operation(
    trained: Network, places: tuple[Place, ...], distilled: Distilled, scores: Scores
) -> None:
    frames = dataset().train.frames
    exact = outputs_of(trained, frames)
    for place in places:
        for name, layers in place.operations.items():
            changed = assembled(trained, {place.block: layers}, distilled.params)
            bits = {layer.name: 2 for layer in layers}
            expected = divergence(exact, outputs_of(rounded(changed, bits), frames))
            found = scores.operations[place.block.name, name, 2]
            assert found == pytest.approx(expected, abs=1e-6)
    left = assembled(trained, {places[0].block: ()}, {})
    assert scores.identities == {
        "l3": pytest.approx(divergence(exact, outputs_of(left, frames)), abs=1e-6)
    }


def test_losses_of_bits_are_those_of_one_rounded_layer(
    trained: Network, scores: Scores
) -> None:
    frames = dataset().train.frames
    exact = outputs_of(trained, frames)
    expected = divergence(exact, outputs_of(rounded(trained, {"l4": 2}), frames))
    assert scores.bits["l4", 2] == pytest.approx(expected)
    assert scores.bits["l4", 8] < scores.bits["l4", 2]


def test_options_cost_what_was_measured_and_fewer_bits_never_less(
    trained: Network, places: tuple[Place, ...]
) -> None:
    keys = [(p.block.name, n, b) for p in places for n in p.operations for b in CHOICES]
    rising = {key: 0.5 if key[2] == 8 else 0.25 for key in keys}
    layers = [layer.name for layer in trained.compute_layers]
    made = Scores(
        operations=rising,
        identities={"l3": 1.5},
        bits={(n, b): 0.001 * (8 - b) for n in layers for b in CHOICES},
    )
    options = measured_options(trained, places, made, CHOICES)
    block = [o for o in options if o.layer == "l3"]
    assert [type(o.change) for o in block[:2]] == [Keep, LeaveOut]
    assert [o.cost_micro for o in block] == [0, 1_500_000, *[500_000] * 6]
    assert {
        (o.change.operation, o.change.weight_bits)
        for o in block
        if isinstance(o.change, Replace)
    } == {(n, b) for n in ("conv1", "conv3", "separable_k3") for b in CHOICES}
    inner = [o for o in options if o.layer == "l4"]
    assert inner == [
        Option(layer="l4", change=Bits(weight_bits=8), cost_micro=0),
        Option(layer="l4", change=Bits(weight_bits=2), cost_micro=6000),
    ]
    only = measured_options(trained, places, made, CHOICES, bits=False)
    assert [o.change for o in only if o.layer == "l4"] == [Bits(weight_bits=8)]


def test_a_design_is_measured_with_its_statistics_estimated_anew(
    trained: Network, places: tuple[Place, ...], distilled: Distilled
) -> None:
    frames = dataset().train.frames
    teacher = BlockTeacher(
        network=trained, places=places, params=distilled.params, frames=frames
    )
    none: dict[str, Change] = {
        layer.name: Bits(weight_bits=8) for layer in trained.compute_layers
    }
    assert teacher.under(none) is trained
    assert teacher.loss(none) < 0.01
    layers = places[0].operations["conv1"]
    change = Replace(operation="conv1", layers=layers, weight_bits=8)
    scheme: dict[str, Change] = {**none, "l3": change, **change.bits}
    changed = teacher.under(scheme)
    names = [layer.name for layer in changed.compute_layers]
    assert names == ["l1", "l3.conv1.1", "l4", "l5", "l7"]
    # Behind the operation, channels have the mean that they have in the teacher.
    plain = assembled(trained, {places[0].block: layers}, distilled.params)
    assert not np.allclose(plain.params["l4.bias"], changed.params["l4.bias"])
    assert teacher.loss(scheme) > teacher.loss(none)
    gone = replace(teacher).under({**none, "l3": LeaveOut()})
    assert [layer.name for layer in gone.compute_layers] == ["l1", "l4", "l5", "l7"]
    # So does the loop of measurements put it together, at the bits of the operation.
    subject = replace(
        make_subject({8: trained}, dataset(), calibration=len(frames)),
        operations=distilled.params,
    )
    for wanted, asked in ((changed, scheme), (gone, {**none, "l3": LeaveOut()})):
        same = network_under(subject, trained, asked)
        assert same.layers == wanted.layers
        for key, value in wanted.params.items():
            assert np.array_equal(same.params[key], value)
    assert weight_bits({"l3": change})["l3.conv1.1"] == 8
    sample = evaluate(subject, Trial(scheme=scheme, act_bits=8))
    assert sample.result is not None
    assert not sample.failure
