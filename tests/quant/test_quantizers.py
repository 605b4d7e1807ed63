"""Quantizers: equal to NumPy's arithmetic, halves up, gradients straight through."""

import brevitas.nn as qnn
import numpy as np
import pytest
import torch

from hao.ir.tensor import QType
from hao.quant.quantizers import HalfUp, bias_quantizer, map_quantizer, weight_quantizer


def test_halves_are_rounded_up_and_nothing_else_is() -> None:
    x = torch.tensor([-1.5, -0.5, 0.5, 1.5, 0.49999997, -0.50000006, 8388609.0])
    expected = [-1.0, 0.0, 1.0, 2.0, 0.0, -1.0, 8388609.0]
    assert HalfUp()(x).tolist() == expected
    before = x.clone()
    with torch.no_grad():
        assert HalfUp()(x).tolist() == expected
    assert torch.equal(x, before)


def test_gradients_pass_straight_through_rounding() -> None:
    x = torch.tensor([0.2, -0.7], requires_grad=True)
    HalfUp()(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [2, 5, 8])
def test_maps_are_quantized_as_numpy_does(signed: bool, bits: int) -> None:
    quant = QType(bits=bits, signed=signed)
    layer = qnn.QuantIdentity(
        act_quant=map_quantizer(quant, -3), return_quant_tensor=False
    )
    x = np.random.default_rng(0).normal(scale=2.0, size=4000)
    x[:100] = np.arange(100) / 16 - 3  # halves of steps among them
    codes = np.clip(np.floor(x * 8 + 0.5), quant.lowest, quant.highest)
    got = layer.double()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_array_equal(got, codes / 8)


def test_weights_have_a_scale_per_channel_and_lack_the_lowest_code() -> None:
    quant = QType(bits=2, signed=True, narrow=True)
    steps = np.array([1.0, 0.25])
    layer = qnn.QuantLinear(
        3, 2, bias=False, weight_quant=weight_quantizer(quant, steps, 2)
    )
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-5.0, 0.4, 0.5], [0.1, 0.2, -0.3]]))
    weight = layer.quant_weight()
    assert weight.value.tolist() == [[-1.0, 0.0, 1.0], [0.0, 0.25, -0.25]]
    assert weight.scale.reshape(-1).tolist() == [1.0, 0.25]


def test_a_bias_saturates_below_its_limit() -> None:
    quant = QType(bits=8, signed=True, narrow=True)
    exponents = np.array([-1, -1], dtype=np.int64)
    layer = qnn.QuantLinear(
        3,
        2,
        bias=True,
        weight_quant=weight_quantizer(quant, np.ldexp(1.0, exponents), 2),
        bias_quant=bias_quantizer(4, exponents),
    )
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([-100.0, 1.25]))
    # Codes below 2^4 in magnitude: -15 halves; 1.25 is 2.5 halves, rounded up to 3.
    assert layer.quant_bias().value.tolist() == [-7.5, 1.5]


def test_gradients_reach_weights_that_saturate_but_not_maps() -> None:
    quant = QType(bits=2, signed=True, narrow=True)
    steps = np.ones(1)
    layer = qnn.QuantLinear(
        1, 1, bias=False, weight_quant=weight_quantizer(quant, steps, 2)
    )
    with torch.no_grad():
        layer.weight.fill_(9.0)
    layer(torch.ones(1, 1)).sum().backward()
    assert layer.weight.grad.item() == 1.0
    identity = qnn.QuantIdentity(
        act_quant=map_quantizer(QType(bits=2, signed=False), 0),
        return_quant_tensor=False,
    )
    x = torch.tensor([9.0, 1.2], requires_grad=True)
    identity(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0]


def test_weights_in_two_passes_keep_to_what_two_digits_hold() -> None:
    quant = QType(bits=8, signed=True, narrow=True, most=119)
    made = weight_quantizer(quant, np.array([1.0, 0.5]), 2)
    layer = qnn.QuantLinear(3, 2, bias=False, weight_quant=made)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[300.0, -300.0, 118.4], [70.0, -59.6, 3.0]]))
    codes = layer.quant_weight().int()
    assert codes.tolist() == [[119, -119, 118], [119, -119, 6]]
    layer.quant_weight().value.sum().backward()
    assert torch.equal(layer.weight.grad, torch.ones(2, 3))
