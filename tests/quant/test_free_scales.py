"""Scales of any value: near the best, legal, and integers equal to the model's."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hao.frontends.from_onnx.model import load_onnx
from hao.ir.integer import (
    MAX_MULTIPLIER_SHIFT,
    IntegerNetwork,
    Requantization,
    with_multipliers,
)
from hao.ir.integer_run import run_integer
from hao.ir.interpret import run_float
from hao.ir.network import Network
from hao.ir.tensor import QType
from hao.quant.exponents import as_multipliers, best_exponent, best_steps
from hao.quant.export import export_qonnx
from hao.quant.float_net import FloatNet
from hao.quant.integers import count_differences, integer_network
from hao.quant.ptq import PtqSettings, quantize_network
from hao.quant.quant_net import QuantNet
from hao.quant.scheme import uniform_scheme
from hao.quant.train import TrainSettings, train_quantized
from tests.quant.networks import chain, every_kind, frames_for, stripes


def quantized(network: Network, weight_bits: int, act_bits: int = 8) -> QuantNet:
    scheme = uniform_scheme(network, weight_bits=weight_bits, act_bits=act_bits)
    return quantize_network(network, scheme, frames_for(network, 24))


@given(st.floats(1e-9, 1e9))
@settings(derandomize=True, deadline=None)
def test_a_multiplier_is_within_half_a_unit_of_its_17_bits(step: float) -> None:
    multiplier, exponent = as_multipliers(np.array([step]))
    assert 2**16 <= multiplier[0] < 2**17
    assert abs(np.ldexp(float(multiplier[0]), exponent[0]) / step - 1) <= 2.0**-17


def test_a_step_below_a_power_of_two_is_that_power() -> None:
    multiplier, exponent = as_multipliers(np.array([np.nextafter(1.0, 0.0), 1.0]))
    assert multiplier.tolist() == [2**16, 2**16]
    assert exponent.tolist() == [-16, -16]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_no_power_of_two_loses_less_than_the_best_step(bits: int) -> None:
    quant = QType(bits=bits, signed=True, narrow=True)
    rows = np.random.default_rng(bits).normal(size=(40, 90))
    steps = best_steps(rows, quant)

    def lost(step: np.ndarray) -> np.ndarray:
        codes = np.clip(
            np.floor(rows / step[:, None] + 0.5), quant.lowest, quant.highest
        )
        found: np.ndarray = np.square(codes * step[:, None] - rows).sum(axis=1)
        return found

    powers = np.ldexp(1.0, [best_exponent(row, quant, covered=100.0) for row in rows])
    assert np.all(lost(steps) <= lost(powers) * (1 + 1e-3))
    assert lost(steps).sum() < 0.95 * lost(powers).sum()
    # No step in a finer and wider search is much better.
    finer = [lost(steps * part) for part in np.geomspace(0.3, 2.0, 400)]
    assert np.min(finer, axis=0).sum() >= 0.85 * lost(steps).sum()


def test_channels_of_zeros_have_a_step() -> None:
    assert best_steps(np.zeros((2, 3)), QType(bits=4, signed=True)).min() > 0


@pytest.mark.parametrize(("weight_bits", "act_bits"), [(8, 8), (4, 8), (2, 5), (3, 4)])
def test_every_integer_of_every_layer_is_equal(weight_bits: int, act_bits: int) -> None:
    network = with_multipliers(every_kind())
    model = quantized(network, weight_bits, act_bits)
    net = integer_network(model)
    assert net.requantization is Requantization.MULTIPLIER
    found = count_differences(model, net, frames_for(network, 40, seed=1))
    assert found.differing == dict.fromkeys(found.differing, 0)
    for layer in network.compute_layers:
        shift = net.param(layer.name, "shift")
        assert 0 <= shift.min() <= shift.max() <= MAX_MULTIPLIER_SHIFT
        # Scales that are powers of two all have one multiplier.
        assert len(np.unique(net.param(layer.name, "multiplier"))) > 1


def test_sums_come_nearer_to_the_float_ones_than_with_powers_of_two() -> None:
    network = every_kind()
    frames = torch.from_numpy(frames_for(network, 40, seed=3))
    lost = []
    with torch.no_grad():
        exact = FloatNet(network, batch_norm=False).eval()(frames)
        for own in (network, with_multipliers(network)):
            scheme = uniform_scheme(own, weight_bits=4, act_bits=8)
            made = quantize_network(
                own,
                scheme,
                frames_for(own, 24),
                PtqSettings(fit_rounding=False, correct_bias=False),
            )
            lost.append(float(((made(frames) - exact) ** 2).mean()))
    assert lost[1] < lost[0]


def test_training_leaves_scales_and_integers_that_are_equal() -> None:
    network, data = with_multipliers(chain()), stripes()
    model = quantize_network(
        network,
        uniform_scheme(network, weight_bits=4, act_bits=8),
        data.train.frames,
    )
    before = dict(model.scales.multipliers)
    trained = train_quantized(model, data, TrainSettings(epochs=1, learning_rate=1e-3))
    net = integer_network(trained)
    for name, multiplier in before.items():
        np.testing.assert_array_equal(net.param(name, "multiplier"), multiplier)
    assert count_differences(trained, net, data.test.frames).differences == 0


def test_an_export_computes_the_outputs_of_the_integers(tmp_path: Path) -> None:
    network = with_multipliers(every_kind())
    net = integer_network(quantized(network, 4))
    path = tmp_path / "net.onnx"
    # In units of 17 bits more, sums exceed what single precision holds.
    assert set(export_qonnx(net, path)) == {x.name for x in network.compute_layers}
    onnx.checker.check_model(onnx.load(path), full_check=False)
    assert isinstance(net, IntegerNetwork)
    frames = frames_for(network, 12, 5)
    codes = run_integer(net, net.frame_codes(frames))
    exponent = net.maps[network.output.name].exponent
    assert exponent is not None
    got = run_float(load_onnx(path).network, frames.astype(np.float64))
    np.testing.assert_array_equal(got, np.ldexp(codes.astype(float), exponent))
