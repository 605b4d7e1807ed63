"""Saliencies: each against its definition, and how cheap ones become losses."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hao.errors import UnsupportedError
from hao.ir.change import Bits, Channels, Keep, LeaveOut
from hao.measure import saliency as saliency_module
from hao.measure.ranks import spearman
from hao.measure.saliency import (
    known_saliencies,
    mapped_to_loss,
    measure_saliencies,
)
from hao.measure.sample import Part
from hao.measure.settings import Kind
from hao.measure.store import open_store
from hao.options.option import Option
from hao.quant.curvature import mean_curvatures
from hao.quant.float_net import FloatNet
from hao.quant.outputs import divergence, log_probabilities
from hao.quant.ptq import equalize_network, rounded_weight
from tests.measure.samples import problem, saliencies, subject, trained


def option(bits: int, layer: str = "stem") -> Option:
    return Option(layer=layer, change=Bits(weight_bits=bits), cost_micro=0)


def test_plug_in_is_the_loss_with_one_layer_rounded() -> None:
    network, search = equalize_network(trained()), subject().parts[Part.SEARCH]
    net = FloatNet(network, batch_norm=False)
    weight = net.compute["stem"].get_parameter("weight")
    with torch.no_grad():
        rounded = rounded_weight(weight.double().numpy(), 2)
        weight.copy_(torch.from_numpy(rounded))
    expected = divergence(search.exact, log_probabilities(net, search.frames))
    assert saliencies()["stem", "bits_2"] == pytest.approx(expected, rel=1e-4)
    assert expected > saliencies()["stem", "bits_8"]


def test_rounded_weights_are_codes_times_powers_of_two() -> None:
    weight = np.array([[0.9, -0.31, 0.1], [3.0, 1.0, -2.9]])
    # Three bits hold -3 to 3; a step of 0.25 covers 0.75, one of 1 covers 3.
    assert rounded_weight(weight, 3).tolist() == [[0.75, -0.25, 0.0], [3.0, 1.0, -3.0]]


def test_curvature_is_the_trace_of_the_hessian() -> None:
    network, frames = trained(), subject().parts[Part.SEARCH].frames
    net = FloatNet(network, batch_norm=False).eval()
    weight = net.compute["classifier"].get_parameter("weight")
    outputs = net(torch.from_numpy(frames))
    target = outputs.detach().softmax(1)
    loss = -(target * outputs.log_softmax(1)).sum(1).mean()
    (slope,) = torch.autograd.grad(loss, weight, create_graph=True)
    trace = sum(
        float(torch.autograd.grad(slope[place], weight, retain_graph=True)[0][place])
        for place in np.ndindex(*weight.shape)
    )
    found = mean_curvatures(network, frames, probes=100)["classifier"]
    assert found * weight.numel() == pytest.approx(trace, rel=0.2)


def test_sqnr_is_the_share_of_noise_in_the_weights() -> None:
    found = measure_saliencies(subject(), [option(2)], 8, Kind.SQNR).values
    weight = equalize_network(trained()).params["stem.weight"].astype(np.float64)
    noise = ((rounded_weight(weight, 2) - weight) ** 2).sum() / (weight**2).sum()
    assert found["stem", "bits_2"] == pytest.approx(noise)


def _alike(
    one: Mapping[tuple[str, str], float], other: Mapping[tuple[str, str], float]
) -> float:
    keys = sorted(one)
    return spearman(*(np.array([of[key] for key in keys]) for of in (one, other)))


def test_hessian_agrees_with_plug_in_on_the_order() -> None:
    exact = saliencies()
    found = measure_saliencies(subject(), problem().options, 8, Kind.HESSIAN)
    assert _alike(exact, found.values) > 0.7


@pytest.mark.parametrize("change", [LeaveOut(), Channels((0,))])
def test_weights_alone_do_not_tell_of_other_changes(
    change: LeaveOut | Channels,
) -> None:
    other = Option(layer="block", change=change, cost_micro=0)
    with pytest.raises(UnsupportedError, match="'block': sqnr looks at the bits"):
        measure_saliencies(subject(), [other], 8, Kind.SQNR)


def test_plug_in_tells_of_channels_and_keeping_costs_nothing() -> None:
    group = "stem.channels"
    options = [
        Option(layer=group, change=Channels((0, 1)), cost_micro=0),
        Option(layer="block", change=Keep(), cost_micro=0),
    ]
    found = measure_saliencies(subject(), options, 8, Kind.PLUG_IN).values
    assert found[group, "channels_0-1"] > 0
    assert found["block", "keep"] == 0


def test_cheap_saliencies_become_measured_losses_in_their_order() -> None:
    cheap = measure_saliencies(subject(), problem().options, 8, Kind.SQNR)
    found = mapped_to_loss(cheap, subject(), problem().options, 8)
    assert _alike(cheap.values, found.values) > 0.95
    exact = saliencies()
    total = sum(found.values.values())
    assert total == pytest.approx(sum(exact.values()), rel=0.5)
    zero = replace(cheap, values=dict.fromkeys(cheap.values, 0.0))
    assert mapped_to_loss(zero, subject(), problem().options, 8) is zero


def test_what_a_store_knows_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(tmp_path / "m.sqlite", {}) as store:
        first = known_saliencies(store, subject(), [option(2)], 8, Kind.SQNR)
        both = [option(2), option(4), option(4)]
        more = known_saliencies(store, subject(), both, 8, Kind.SQNR)
        assert more.values["stem", "bits_2"] == first.values["stem", "bits_2"]
        assert set(more.values) == {("stem", "bits_2"), ("stem", "bits_4")}
        monkeypatch.setattr(saliency_module, "measure_saliencies", None)
        again = known_saliencies(store, subject(), both, 8, Kind.SQNR)
        assert again.values == more.values
