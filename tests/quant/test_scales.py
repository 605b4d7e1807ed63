"""Scales: legal whatever calibration wishes, not raised without need, or refused."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hao.errors import UnsupportedError
from hao.intmath import ceil_log2
from hao.ir.integer import MAX_ALIGN_SHIFT, MAX_SHIFT
from hao.ir.layer import Activation, ActivationKind, Add, Conv, Depthwise, Linear
from hao.ir.network import Network
from hao.quant.scales import Scales, bias_code_bits, legal_scales
from hao.quant.scheme import Scheme, uniform_scheme
from tests.quant.networks import chain, every_kind


def wishes(
    network: Network, map_exponent: int, weight_exponent: int
) -> tuple[dict[str, int], dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]]:
    maps = {layer.name: map_exponent for layer in network.layers}
    weights = {
        layer.name: np.full(layer.ofm.channels, weight_exponent, dtype=np.int64)
        for layer in network.compute_layers
    }
    return maps, weights


def scaled(network: Network, scheme: Scheme, maps: int, weights: int) -> Scales:
    wished_maps, wished_weights = wishes(network, maps, weights)
    return legal_scales(
        network,
        scheme,
        maps=wished_maps,
        weights=wished_weights,
        signed_input=True,
    )


def without_relu6(network: Network) -> Network:
    layers = tuple(
        replace(layer, activation=ActivationKind.RELU)
        if isinstance(layer, Conv) and layer.activation is ActivationKind.RELU6
        else layer
        for layer in network.layers
    )
    return replace(network, layers=layers)


def check_legal(network: Network, scheme: Scheme, scales: Scales) -> None:
    for layer in network.layers:
        out = scales.exponent(layer.name)
        if isinstance(layer, Conv | Depthwise | Linear):
            products = scales.exponent(layer.input) + scales.weights[layer.name]
            assert (out - products).min() >= 0
            assert (out - products).max() <= MAX_SHIFT
            if layer.bias:
                codes = np.floor(
                    np.ldexp(network.params[f"{layer.name}.bias"], -products) + 0.5
                )
                widths = scheme.weight_bits[layer.name] + scheme.act_bits - 1
                assert np.abs(codes).max() <= 2 ** (widths + ceil_log2(layer.terms))
                assert np.abs(codes).max() < 2**25
        if isinstance(layer, Add):
            left, right = (scales.exponent(name) for name in layer.inputs)
            assert abs(left - right) <= MAX_ALIGN_SHIFT
            assert 0 <= out - min(left, right) <= MAX_SHIFT


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_scales_are_legal_whatever_is_wished(data: st.DataObject) -> None:
    network = without_relu6(every_kind())  # it bounds exponents from above
    maps = {
        layer.name: data.draw(st.integers(-12, 3), label=layer.name)
        for layer in network.layers
    }
    weights = {
        layer.name: np.array(
            data.draw(
                st.lists(
                    st.integers(-20, 2),
                    min_size=layer.ofm.channels,
                    max_size=layer.ofm.channels,
                )
            ),
            dtype=np.int64,
        )
        for layer in network.compute_layers
    }
    bits = st.integers(2, 8)
    scheme = Scheme(
        weight_bits={layer.name: data.draw(bits) for layer in network.compute_layers},
        act_bits=data.draw(bits),
    )
    scales = legal_scales(
        network, scheme, maps=maps, weights=weights, signed_input=True
    )
    check_legal(network, scheme, scales)
    del maps["largest"]  # a maximum has no exponent of its own
    assert all(scales.exponent(name) >= wish for name, wish in maps.items())
    for name, wish in weights.items():
        assert np.all(scales.weights[name] >= wish)


def test_legal_wishes_are_granted_unchanged() -> None:
    network = chain()
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    # 2^-6 codes of maps, 2^-7 of weights: products of 2^-13, shifts of 7.
    scales = scaled(network, scheme, -6, -7)
    assert {scales.exponent(layer.name) for layer in network.layers} == {-6}
    assert all(np.all(channel == -7) for channel in scales.weights.values())


def test_a_shift_beyond_15_raises_the_weights() -> None:
    network = chain()
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    # Shift 20 wished: weights rise from -20 to -15, where it is 15. A bias of below 4
    # is below 2^17 codes of 2^-15; 9 products of 8 by 8 bits leave room for 2^19.
    scales = scaled(network, scheme, 0, -20)
    assert np.all(scales.weights["stem"] == -15)


def test_a_negative_shift_raises_the_map() -> None:
    network = chain()
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    maps, weights = wishes(network, -6, -7)
    weights["depthwise"][1] = 2
    scales = legal_scales(
        network, scheme, maps=maps, weights=weights, signed_input=True
    )
    assert scales.exponent("depthwise") == scales.exponent("stem") + 2


def test_a_large_bias_raises_the_weights() -> None:
    network = chain()
    params = dict(network.params)
    params["stem.bias"] = np.array([0.0, 1000.0, 0.0, 0.0])
    network = replace(network, params=MappingProxyType(params))
    scheme = uniform_scheme(network, weight_bits=2, act_bits=2)
    # Sums of 9 products of 2 by 2 bits: below 2^(3 + 4) = 128 codes. 1000 in at most
    # 126.5 codes needs a unit of 2^3, with maps of 2^0: weights of 2^3.
    scales = scaled(network, scheme, 0, -4)
    assert bias_code_bits(network.compute_layers[0], scheme) == 7
    assert scales.weights["stem"].tolist() == [-4, 3, -4, -4]
    check_legal(network, scheme, scales)


def test_relu6_clamps_at_its_own_code() -> None:
    network = every_kind()
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    scales = scaled(network, scheme, -5, -7)
    # 6 / 2^-5 = 192; the type alone would let 255 through.
    assert (scales.maps["stem"].low, scales.maps["stem"].high) == (0, 192)
    assert scales.maps["largest"] == scales.maps["stem"]
    assert not scales.maps["stem"].quant.signed
    assert scales.maps["b.project"].quant.signed
    assert scales.maps["b.add"].quant.signed
    assert not scales.maps["pool"].quant.signed


def test_relu6_with_too_large_a_step_is_refused() -> None:
    network = every_kind()
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    with pytest.raises(UnsupportedError, match="'stem': a step of 2\\^4 rounds the 6"):
        scaled(network, scheme, 4, -4)


def test_a_residual_that_chases_itself_is_refused() -> None:
    # x, y = conv(x) with weights of 2^9, x + y: x is at least y / 2^7, y at least
    # x * 2^9.
    entry = chain().input
    conv = Conv(
        name="conv", input="frame", ifm=entry.ofm, ofm=entry.ofm, kernel=1, bias=False
    )
    add = Add(name="add", inputs=("conv", "frame"), ofm=entry.ofm)
    network = Network(
        name="loop",
        layers=(entry, conv, add),
        params=MappingProxyType({"conv.weight": np.ones((1, 1, 1, 1))}),
    )
    scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
    with pytest.raises(UnsupportedError, match="no powers of two suit both operands"):
        scaled(network, scheme, 0, 9)


def test_a_layer_that_is_no_operation_of_its_own_is_refused() -> None:
    network = chain()
    last = network.output
    extra = Activation(
        name="act",
        input=last.name,
        ifm=last.ofm,
        ofm=last.ofm,
        kind=ActivationKind.RELU,
    )
    longer = Network(
        name="longer", layers=(*network.layers, extra), params=network.params
    )
    scheme = uniform_scheme(longer, weight_bits=8, act_bits=8)
    with pytest.raises(UnsupportedError, match="'act': Activation cannot be quantized"):
        scaled(longer, scheme, -6, -7)
