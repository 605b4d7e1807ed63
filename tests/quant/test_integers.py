"""Brevitas model and integer network: equal in every integer, or refused."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import torch

from hao.errors import InputError, UnsupportedError
from hao.ir.integer import IntegerNetwork
from hao.ir.integer_run import run_integer_layers
from hao.ir.interpret import run_float_layers
from hao.quant.integers import (
    classes_of_integers,
    count_differences,
    integer_network,
)
from hao.quant.modules import module_key
from hao.quant.ptq import PtqSettings, quantize_network
from hao.quant.scheme import Scheme, uniform_scheme
from hao.quant.train import accuracy_of_net
from tests.quant.networks import chain, every_kind, frames_for, stripes


@pytest.mark.parametrize("weight_bits", [2, 3, 4, 8])
@pytest.mark.parametrize("act_bits", [2, 4, 8])
def test_every_integer_of_every_layer_is_equal(weight_bits: int, act_bits: int) -> None:
    network = every_kind()
    scheme = uniform_scheme(network, weight_bits=weight_bits, act_bits=act_bits)
    model = quantize_network(network, scheme, frames_for(network, 24))
    net = integer_network(model)
    frames = frames_for(network, 40, seed=1)
    found = count_differences(model, net, frames)
    assert found.differing == dict.fromkeys(found.differing, 0)
    # 40 frames, all maps: nothing was left out.
    elements = sum(layer.ofm.elements for layer in network.layers)
    assert (found.frames, found.total) == (40, 40 * elements)


def test_what_scales_frames_is_part_of_the_model_and_of_their_codes() -> None:
    network = every_kind()
    scale, shift = np.array([1 / 3, -0.7]), np.array([0.1, 0.45])
    network = replace(
        network,
        params=MappingProxyType(
            {**network.params, "frame.scale": scale, "frame.shift": shift}
        ),
    )
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    model = quantize_network(network, scheme, frames_for(network, 24))
    net = integer_network(model)
    frames = frames_for(network, 40, seed=1)
    assert count_differences(model, net, frames).differences == 0
    exponent = net.maps["frame"].exponent
    assert exponent is not None
    scaled = frames * scale.reshape(1, 2, 1, 1) + shift.reshape(1, 2, 1, 1)
    wanted = np.floor(np.ldexp(scaled, -exponent) + 0.5)
    inside = np.abs(np.ldexp(scaled, -exponent) % 1 - 0.5) > 1e-3  # no near halves
    kind = net.maps["frame"]
    np.testing.assert_array_equal(
        net.frame_codes(frames)[inside], np.clip(wanted, kind.low, kind.high)[inside]
    )


@pytest.mark.parametrize("seed", range(6))
def test_mixed_bits_of_other_parameters_are_equal_too(seed: int) -> None:
    network = every_kind(seed)
    generator = np.random.default_rng(seed)
    scheme = Scheme(
        weight_bits={
            layer.name: int(generator.integers(2, 9))
            for layer in network.compute_layers
        },
        act_bits=int(generator.integers(2, 9)),
    )
    model = quantize_network(network, scheme, frames_for(network, 24))
    net = integer_network(model)
    assert count_differences(model, net, frames_for(network, 20, 7)).differences == 0
    assert net.weight_bits() == scheme.weight_bits


def test_the_quantized_network_is_close_to_the_float_one() -> None:
    # What agreement alone would not notice: both wrong in the same way. At 8 bits each
    # map is within a few steps of the float map: measured 3.3 %,
    # at most. (Equalization would change maps.)
    network = every_kind()
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    frames = frames_for(network, 64)
    settings = PtqSettings(equalize=False)
    net = integer_network(quantize_network(network, scheme, frames, settings))
    names = frozenset(layer.name for layer in network.layers)
    exact = run_float_layers(network, frames.astype(np.float64), keep=names)
    codes = run_integer_layers(net, net.frame_codes(frames), names)
    for name in names:
        exponent = net.maps[name].exponent
        assert exponent is not None
        error = np.ldexp(codes[name].astype(np.float64), exponent) - exact[name]
        assert np.sqrt(np.mean(error**2)) < 0.06 * np.sqrt(np.mean(exact[name] ** 2))


def test_a_changed_integer_is_counted() -> None:
    network = chain()
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    model = quantize_network(network, scheme, frames_for(network, 16))
    net = integer_network(model)
    params = dict(net.network.params)
    one_code = 2 ** net.param("depthwise", "shift")
    params["depthwise.bias"] = net.param("depthwise", "bias") + one_code
    changed = IntegerNetwork(
        network=replace(net.network, params=MappingProxyType(params)),
        maps=net.maps,
        requantization=net.requantization,
    )
    found = count_differences(model, changed, frames_for(network, 16, 1))
    assert found.differing["frame"] == found.differing["stem"] == 0
    # One more code everywhere, but where it saturates.
    assert found.differing["depthwise"] > 0.9 * found.compared["depthwise"]


def test_accuracies_agree() -> None:
    network, dataset = chain(), stripes()
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    model = quantize_network(network, scheme, dataset.train.frames)
    net = integer_network(model)
    right = classes_of_integers(net, dataset.test.frames) == dataset.test.labels
    accuracy = float(np.mean(right))
    assert accuracy == accuracy_of_net(model, dataset.test)
    assert 0 < accuracy < 1  # untrained: neither all nor none by accident


def test_frames_become_codes_with_halves_up() -> None:
    network = chain()
    scheme = uniform_scheme(network, weight_bits=8, act_bits=4)
    frames = frames_for(network, 16)
    net = integer_network(quantize_network(network, scheme, frames))
    exponent = net.maps["frame"].exponent
    assert exponent is not None
    values = np.zeros((1, 1, 6, 6), dtype=np.float32)
    values[0, 0, 0] = np.array([-100, -1.5, -0.5, 0.5, 1.5, 100]) * 2.0**exponent
    codes = net.frame_codes(values)[0, 0, 0]
    assert codes.tolist() == [-8, -1, 0, 1, 2, 7]


def test_a_scale_that_is_no_power_of_two_is_refused() -> None:
    network = chain()
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    model = quantize_network(network, scheme, frames_for(network, 16))

    def exact_copy() -> object:
        broken = original()
        for name, buffer in broken.compute[module_key("stem")].named_buffers():
            if name.startswith("weight_quant") and name.endswith("scale"):
                buffer.mul_(1.5)
        return broken

    original = model.exact_copy
    model.exact_copy = exact_copy  # type: ignore[assignment, method-assign] # a fault
    with pytest.raises(UnsupportedError, match=r"'stem': weight scale .* powers of"):
        integer_network(model)


def test_another_network_is_refused() -> None:
    network, other = chain(), every_kind()
    frames = frames_for(network, 16)
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    net = integer_network(quantize_network(network, scheme, frames))
    scheme = uniform_scheme(other, weight_bits=8, act_bits=8)
    model = quantize_network(other, scheme, frames_for(other, 16))
    with pytest.raises(InputError, match="other layers"):
        count_differences(model, net, frames)


def test_single_precision_equals_double_for_small_sums() -> None:
    # Training runs in single precision; sums here stay far below 2^24.
    network = every_kind()
    scheme = uniform_scheme(network, weight_bits=4, act_bits=8)
    frames = frames_for(network, 16)
    model = quantize_network(network, scheme, frames, PtqSettings(equalize=False))
    x = torch.from_numpy(frames)
    with torch.no_grad():
        single = model(x).double()
        double = model.exact_copy()(x.double())
    assert torch.equal(single, double)
