"""Post-training quantization: exponents by brute force, equalization exact, biases."""

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import torch

from hao.errors import InputError
from hao.ir.interpret import run_float
from hao.ir.network import Network
from hao.ir.tensor import QType
from hao.quant.adjusted import adjusted_network
from hao.quant.exponents import (
    SMALLEST_EXPONENT,
    best_exponent,
    covering_exponent,
)
from hao.quant.ptq import (
    PtqSettings,
    calibrate,
    equalize_network,
    quantize_network,
)
from hao.quant.quant_net import QuantNet
from hao.quant.scheme import uniform_scheme
from tests.quant.networks import chain, every_kind, frames_for


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("seed", range(4))
def test_the_exponent_has_the_least_error_of_all(bits: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=500) * 10.0 ** (seed - 2)
    quant = QType(bits=bits, signed=True, narrow=True)
    errors = {}
    for exponent in range(-30, 20):
        step = 2.0**exponent
        codes = np.clip(np.floor(values / step + 0.5), quant.lowest, quant.highest)
        errors[exponent] = np.sum((codes * step - values) ** 2)
    chosen = best_exponent(values, quant, covered=100.0)
    assert errors[chosen] == pytest.approx(min(errors.values()))


def test_zeros_get_an_exponent_that_raises_nothing() -> None:
    quant = QType(bits=8, signed=False)
    assert best_exponent(np.zeros(9), quant) == SMALLEST_EXPONENT


def test_no_candidate_is_above_the_highest() -> None:
    quant = QType(bits=2, signed=False)
    assert best_exponent(np.full(9, 1000.0), quant, highest=3) <= 3


@pytest.mark.parametrize("make", [chain, every_kind])
def test_equalization_keeps_the_outputs(make: Callable[[int], Network]) -> None:
    network = make(3)
    equal = equalize_network(network)
    x = frames_for(network, 8).astype(np.float64)
    np.testing.assert_allclose(
        run_float(equal, x), run_float(network, x), rtol=1e-9, atol=1e-9
    )


def test_equalization_makes_ranges_alike() -> None:
    network = equalize_network(chain())
    before = np.abs(network.params["stem.weight"]).reshape(4, -1).max(1)
    after = np.abs(network.params["depthwise.weight"]).reshape(4, -1).max(1)
    np.testing.assert_allclose(before, after)


def test_equalization_leaves_relu6_and_shared_maps_alone() -> None:
    network = every_kind()
    equal = equalize_network(network)
    # stem ends in ReLU6; b.project is read by two adds.
    np.testing.assert_array_equal(
        equal.params["stem.weight"], network.params["stem.weight"]
    )
    changed = equal.params["b.depthwise.weight"] != network.params["b.depthwise.weight"]
    assert np.any(changed)


def test_corrected_biases_take_out_the_mean_error() -> None:
    network = chain()
    scheme = uniform_scheme(network, weight_bits=3, act_bits=8)
    frames = torch.from_numpy(frames_for(network, 64))
    scales = calibrate(network, scheme, frames)

    def mean_error(model: QuantNet) -> float:
        with torch.no_grad():
            outputs = model(frames).numpy()
        exact = run_float(network, frames.numpy()).reshape(outputs.shape)
        error: float = np.abs((outputs - exact).mean(axis=0)).max()
        return error

    plain = mean_error(QuantNet(network, scheme, scales))
    corrected = adjusted_network(
        QuantNet(network, scheme, scales), frames, fit_rounding=False, correct_bias=True
    )
    better = mean_error(QuantNet(corrected, scheme, scales))
    step = 2.0 ** scales.exponent("classifier")
    assert better < 0.3 * plain
    assert better < step


def test_a_network_is_left_as_it_is() -> None:
    network = chain()
    before = {key: array.copy() for key, array in network.params.items()}
    scheme = uniform_scheme(network, weight_bits=4, act_bits=4)
    quantize_network(network, scheme, frames_for(network, 16))
    for key, array in before.items():
        np.testing.assert_array_equal(network.params[key], array)


def test_unsigned_frames_get_an_unsigned_type() -> None:
    network = chain()
    scheme = uniform_scheme(network, weight_bits=4, act_bits=4)
    model = quantize_network(network, scheme, np.abs(frames_for(network, 16)))
    assert not model.scales.maps["frame"].quant.signed


def test_frames_of_another_shape_are_refused() -> None:
    network = chain()
    scheme = uniform_scheme(network, weight_bits=4, act_bits=4)
    with pytest.raises(InputError, match=r"calibration frames of shape \(16, 2, 11"):
        quantize_network(network, scheme, frames_for(every_kind(), 16))


def test_no_frames_are_refused() -> None:
    with pytest.raises(InputError, match="0 calibration frames"):
        PtqSettings(frames=0)
    network = chain()
    scheme = uniform_scheme(network, weight_bits=4, act_bits=4)
    with pytest.raises(InputError, match="no calibration frames"):
        quantize_network(network, scheme, frames_for(network, 16)[:0])


def test_frames_that_are_not_finite_are_refused() -> None:
    network = chain()
    frames = frames_for(network, 16)
    frames[3, 0, 2, 2] = np.nan
    scheme = uniform_scheme(network, weight_bits=4, act_bits=4)
    with pytest.raises(InputError, match="NaN or infinity"):
        quantize_network(network, scheme, frames)


def test_a_map_that_overflows_is_named() -> None:
    network = chain(0)
    params = {k: np.multiply(a, 1e38) for k, a in network.params.items()}
    large = replace(network, params=MappingProxyType(params))
    scheme = uniform_scheme(large, weight_bits=8, act_bits=8)
    with pytest.raises(InputError, match=r"layer '.*': its map overflows single prec"):
        quantize_network(large, scheme, frames_for(large, 4))


@pytest.mark.parametrize("top", [0.3, 1.0, 5.9, 100.0])
def test_covering_codes_reach_the_largest_value_and_no_further(top: float) -> None:
    values = np.random.default_rng(0).uniform(0, top, 500)
    values[0] = top
    quant = QType(bits=8, signed=False)
    exponent = covering_exponent(values, quant, covered=100.0)
    assert quant.highest * 2.0**exponent >= 0.98 * top
    assert quant.highest * 2.0 ** (exponent - 1) < 0.98 * top


def test_pixels_from_0_to_1_keep_their_256_codes() -> None:
    pixels = np.arange(256) / 255
    assert covering_exponent(pixels, QType(bits=8, signed=False)) == -8


@pytest.mark.parametrize(("bits", "cut"), [(4, True), (8, False)])
def test_maps_of_8_bits_are_not_cut_at_rare_large_values(bits: int, cut: bool) -> None:
    network = chain()
    frames = torch.from_numpy(np.abs(frames_for(network, 64)).clip(0, 1))
    frames[0, 0, 0, 0] = 15.0
    scheme = uniform_scheme(network, weight_bits=8, act_bits=bits)
    # One of 2304 values is 15 times the next: the least squared error cuts it.
    highest = calibrate(network, scheme, frames).maps["frame"]
    assert highest.exponent is not None
    reach = highest.quant.highest * 2.0**highest.exponent
    assert (reach < 14) is cut
