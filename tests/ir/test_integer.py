"""The integer network: what it refuses, and how wide its accumulators are."""

from dataclasses import replace
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hao.errors import InputError
from hao.intmath import ceil_log2
from hao.ir.integer import (
    IntegerNetwork,
    MapType,
    Requantization,
    accumulator_bits,
    accumulator_range,
    mean_multiplier,
    sum_range,
)
from hao.ir.integer_run import run_integer
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Pool,
    PoolKind,
)
from hao.ir.network import Network
from hao.ir.tensor import QType, Shape

Integers = NDArray[np.int64]
ONE = Shape(channels=1, height=1, width=1)
W8 = QType(bits=8, signed=True)


def kind(bits: int, *, signed: bool) -> MapType:
    quant = QType(bits=bits, signed=signed)
    return MapType(quant=quant, low=quant.lowest, high=quant.highest, exponent=0)


U8, S8 = kind(8, signed=False), kind(8, signed=True)


def linear(
    weight: Integers,
    bias: Integers,
    *,
    x: MapType = U8,
    quant: QType | None = W8,
    mode: Requantization = Requantization.SHIFT,
    **changed: Integers,
) -> IntegerNetwork:
    """Return a network of one Linear layer "l" with a shift of 0."""
    channels, terms = weight.shape
    ifm = Shape(channels=terms, height=1, width=1)
    ofm = Shape(channels=channels, height=1, width=1)
    layer = Linear(name="l", input="x", ifm=ifm, ofm=ofm, weight=quant)
    shift = np.zeros(channels, dtype=np.int64)
    arrays = {"weight": weight, "bias": bias, "shift": shift, **changed}
    params = {f"l.{name}": array for name, array in arrays.items()}
    return IntegerNetwork(
        network=Network(
            name="n", layers=(Input(name="x", ofm=ifm), layer), params=params
        ),
        maps={"x": x, "l": S8},
        requantization=mode,
    )


def single(layer: Layer, output: MapType = U8, **arrays: Integers) -> IntegerNetwork:
    """Return a network of one layer on a map of one unsigned code."""
    params = {f"{layer.name}.{name}": array for name, array in arrays.items()}
    layers = (Input(name="x", ofm=ONE), layer)
    return IntegerNetwork(
        network=Network(name="n", layers=layers, params=params),
        maps={"x": U8, layer.name: output},
        requantization=Requantization.SHIFT,
    )


W, B = np.array([[3, -2]]), np.array([5])


def test_a_network_of_integers_tells_its_weight_bits() -> None:
    assert linear(W, B).weight_bits() == {"l": 8}


def test_map_type_refuses_widths_that_the_engine_has_not() -> None:
    with pytest.raises(InputError, match="activations of 9 bits; must have 2 to 8"):
        kind(9, signed=True)


@pytest.mark.parametrize(
    ("low", "high", "zero"), [(-1, 3, 0), (0, 16, 0), (0, 0, 0), (0, 3, 16), (0, 3, -1)]
)
def test_map_type_refuses_codes_outside_its_type(
    low: int, high: int, zero: int
) -> None:
    quant = QType(bits=4, signed=False)
    MapType(quant=quant, low=10, high=15, exponent=None, zero=10)
    with pytest.raises(
        InputError, match=rf"codes {low} to {high}, {zero} for 0.0, .* in 0 to 15"
    ):
        MapType(quant=quant, low=low, high=high, exponent=0, zero=zero)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weight": W.astype(np.int8)}, r"'l\.weight' is int8; must be int64"),
        ({"weight": np.array([[128, 0]])}, r"'l\.weight' holds 0 to 128; must be -128"),
        ({"bias": np.array([1, 2])}, r"'l\.bias' has shape \(2,\); must be \(1,\)"),
        (
            {"bias": np.array([2**25])},
            r"'l\.bias' holds .* must be -33554432 to 33554431",
        ),
        ({"shift": np.array([16])}, r"'l\.shift' holds 16 to 16; must be 0 to 15"),
        ({"rounding": np.array([2])}, r"'l\.rounding' holds 2 to 2; must be 0 to 1"),
        ({"shift": np.array([-1])}, r"'l\.shift' holds -1 to -1; must be 0 to 15"),
    ],
)
def test_integer_network_refuses_parameters(
    changed: dict[str, Integers], message: str
) -> None:
    arrays = {"weight": W, "bias": B, "shift": np.array([0]), **changed}
    params = {f"l.{name}": array for name, array in arrays.items()}
    good = linear(W, B)
    with pytest.raises(InputError, match=message):
        replace(good, network=replace(good.network, params=params))


def test_integer_network_refuses_multiplier_mode_without_multipliers() -> None:
    with pytest.raises(InputError, match=r"parameter 'l\.multiplier' is missing"):
        linear(W, B, mode=Requantization.MULTIPLIER)
    with pytest.raises(InputError, match=r"holds 131072 to 131072; must be -131072"):
        linear(W, B, mode=Requantization.MULTIPLIER, multiplier=np.array([2**17]))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, r"'l\.bias' holds numbers that are no multiples of 8192, the unit"),
        ({"bias": B << 43}, r"'l\.bias' holds .* to 35184372080640$"),
        (
            {"bias": B << 13, "shift": np.array([13])},
            r"holds 13 to 13; must be 14 to 44",
        ),
        (
            {"bias": B << 13, "multiplier": np.array([2**24])},
            r"must be -16777216 to 16777215",
        ),
    ],
)
def test_integer_network_refuses_parameters_of_wide_multipliers(
    changed: dict[str, Integers], message: str
) -> None:
    given = {"multiplier": np.array([2**24 - 1]), "shift": np.array([44])}

    def made(bias: Integers, arrays: dict[str, Integers]) -> IntegerNetwork:
        found = linear(W, B)
        params = {"l.weight": W, "l.bias": bias}
        params |= {f"l.{word}": array for word, array in arrays.items()}
        network = replace(found.network, params=params)
        return replace(found, network=network, requantization=Requantization.WIDE)

    made(B << 13, given)
    with pytest.raises(InputError, match=message):
        made(changed.get("bias", B), given | changed)


def test_integer_network_refuses_a_layer_without_weight_type() -> None:
    with pytest.raises(
        InputError, match="layer 'l': weight type None; must have 2 to 8"
    ):
        linear(W, B, quant=None)


def test_integer_network_refuses_a_map_without_type() -> None:
    with pytest.raises(InputError, match="layer 'l': its map has no integer type"):
        replace(linear(W, B), maps={"x": U8})


def test_integer_network_refuses_an_activation_of_its_own() -> None:
    layer = Activation(name="r", input="x", ifm=ONE, ofm=ONE, kind=ActivationKind.RELU)
    with pytest.raises(InputError, match="layer 'r': Activation in an integer network"):
        single(layer)


def test_integer_network_refuses_operands_shifted_too_far() -> None:
    layer = Add(name="a", inputs=("x", "x"), ofm=ONE)
    single(layer, shifts=np.array([7, 0, 15]))
    with pytest.raises(InputError, match=r"left by \[8, 0\]; must be at most 7"):
        single(layer, shifts=np.array([8, 0, 15]))


def test_integer_network_refuses_a_mean_without_multiplier() -> None:
    pool = GlobalAveragePool(name="g", input="x", ifm=ONE, ofm=ONE)
    with pytest.raises(InputError, match=r"'g\.shift' holds 0 .* must be 21 to 47"):
        single(pool, multiplier=np.array([256]), shift=np.array([0]))


def test_integer_network_refuses_biases_that_are_too_large() -> None:
    add = Add(name="a", inputs=("x", "x"), ofm=ONE)
    shifts = np.array([0, 0, 0])
    single(add, shifts=shifts, bias=np.array([-(2**23)]))
    with pytest.raises(InputError, match=r"'a\.bias' holds 8388608 .* to 8388607"):
        single(add, shifts=shifts, bias=np.array([2**23]))
    mean = GlobalAveragePool(name="g", input="x", ifm=ONE, ofm=ONE)
    factor, shift = np.array([128]), np.array([8])
    single(mean, multiplier=factor, shift=shift, bias=np.array([2**23 - 1, -255]))
    with pytest.raises(InputError, match=r"'g\.bias' holds .* to 8388607"):
        single(mean, multiplier=factor, shift=shift, bias=np.array([2**23, 0]))
    with pytest.raises(InputError, match=r"'g\.bias' adds 256 to codes; must be less"):
        single(mean, multiplier=factor, shift=shift, bias=np.array([0, 256]))


def test_integer_network_refuses_a_maximum_of_another_type() -> None:
    pool = Pool(name="p", input="x", ifm=ONE, ofm=ONE, kernel=1, kind=PoolKind.MAX)
    single(pool)
    with pytest.raises(
        InputError, match=r"layer 'p': a maximum of type .*; must be its"
    ):
        single(pool, S8)


@pytest.mark.parametrize(("weight_bits", "act_bits"), [(2, 2), (4, 8), (8, 8), (8, 2)])
@pytest.mark.parametrize("terms", [2, 9, 64, 4608])
def test_accumulator_bits_hold_both_ends(
    weight_bits: int, act_bits: int, terms: int
) -> None:
    bits = accumulator_bits(weight_bits, act_bits, terms)
    bare = accumulator_bits(weight_bits, act_bits, terms, biased=False)
    assert bare == bits - 1
    lowest, highest = -(2 ** (weight_bits - 1)), 2 ** (weight_bits - 1) - 1
    for signed in (False, True):
        codes = kind(act_bits, signed=signed)
        products = [w * x for w in (lowest, highest) for x in (codes.low, codes.high)]
        most = terms * max(abs(product) for product in products)
        assert -(2 ** (bits - 1)) <= terms * min(products) - most
        assert terms * max(products) + most <= 2 ** (bits - 1) - 1
        assert -(2 ** (bare - 1)) <= terms * min(products)
        assert terms * max(products) <= 2 ** (bare - 1) - 1


@pytest.mark.parametrize("terms", [2, 64, 512])
def test_accumulator_bits_are_all_needed_at_both_ends(terms: int) -> None:
    # A power of two of terms: products of -128 * 255 and 127 * 255, and a bias as
    # large, pass what one bit less holds.
    bits = accumulator_bits(8, 8, terms)
    assert bits == 17 + ceil_log2(terms)
    largest = terms * 128 * 255
    for weight, bias in ((-128, -largest), (127, largest)):
        net = linear(np.full((1, terms), weight), np.array([bias]))
        low, high = accumulator_range(net, net.network.compute_layers[0])
        assert -(2 ** (bits - 1)) <= low <= high < 2 ** (bits - 1)
        if bias < 0:
            assert low < -(2 ** (bits - 2))
        else:
            assert high >= 2 ** (bits - 2)


def test_accumulator_range_by_hand() -> None:
    # Codes -2 to 3. Weights 3, -2: highest 3 * 3 + -2 * -2 = 13, lowest 3 * -2 + -2 * 3
    # = -12. The bias of 5 widens the top, one of -7 the bottom.
    codes = MapType(quant=QType(bits=3, signed=True), low=-2, high=3, exponent=0)
    for bias, expected in ((5, (-12, 18)), (-7, (-19, 13)), (0, (-12, 13))):
        net = linear(W, np.array([bias]), x=codes)
        assert accumulator_range(net, net.network.compute_layers[0]) == expected


@given(
    weights=st.lists(st.integers(-4, 3), min_size=1, max_size=4),
    bias=st.integers(-9, 9),
    low=st.integers(-4, 0),
    high=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_accumulator_range_equals_all_orders_of_all_extreme_inputs(
    weights: list[int], bias: int, low: int, high: int
) -> None:
    codes = MapType(quant=QType(bits=3, signed=True), low=low, high=high, exponent=0)
    net = linear(np.array([weights]), np.array([bias]), x=codes)
    seen = {0}
    ends = [(w * low, w * high) for w in weights]
    for choice in np.ndindex(*[2] * len(weights)):
        addends = [bias, *(pair[i] for pair, i in zip(ends, choice, strict=True))]
        for order in permutations(addends):
            seen.update(np.cumsum(order).tolist())
    expected = min(seen), max(seen)
    assert accumulator_range(net, net.network.compute_layers[0]) == expected


def test_accumulator_range_is_reached_by_an_extreme_input() -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.integers(-1, 2, (6, 20)), rng.integers(0, 5, 6)
    codes = MapType(quant=QType(bits=3, signed=True), low=-1, high=2, exponent=0)
    net = linear(weight, bias, x=codes)
    _, high = accumulator_range(net, net.network.compute_layers[0])
    # Shift 0, and all sums fit the 8-bit output: what comes out is the accumulator.
    best = np.where(weight > 0, codes.high, codes.low)
    reached = [run_integer(net, row.reshape(1, 20, 1, 1)).max() for row in best]
    assert max(reached) == high < 127
    below = linear(weight, -bias, x=codes)
    low, _ = accumulator_range(below, below.network.compute_layers[0])
    worst = np.where(weight > 0, codes.low, codes.high)
    reached = [run_integer(below, row.reshape(1, 20, 1, 1)).min() for row in worst]
    assert min(reached) == low > -128


def test_sum_range_keeps_channels_apart() -> None:
    lowest, highest = sum_range(np.array([[1, 2], [-1, -2], [0, 0]]), U8)
    assert lowest.tolist() == [0, -765, 0]
    assert highest.tolist() == [765, 0, 0]


def test_accumulator_range_refuses_a_layer_of_another_network() -> None:
    net = linear(W, B)
    other = replace(net.network.compute_layers[0], input="y")
    with pytest.raises(InputError, match="layer 'l' reads 'y', which is not in"):
        accumulator_range(net, other)


@pytest.mark.parametrize("pixels", [*range(1, 70), 196, 513, 3136, 2**24])
def test_mean_multiplier_equals_a_search_over_all_pairs(pixels: int) -> None:
    pairs = [(m, s) for m in range(128, 256) for s in range(32)]
    errors = {
        pair: abs(Fraction(pair[0], 2 ** pair[1]) - Fraction(1, pixels))
        for pair in pairs
    }
    best = min(errors.values())
    assert errors[mean_multiplier(pixels)] == best
    if pixels & (pixels - 1) == 0:
        assert mean_multiplier(pixels)[0] == 128
        assert best == 0


@pytest.mark.parametrize("pixels", [0, 2**24 + 1])
def test_mean_multiplier_refuses_what_no_shift_reaches(pixels: int) -> None:
    with pytest.raises(InputError, match=f"mean of {pixels} pixels; must be 1 to"):
        mean_multiplier(pixels)
