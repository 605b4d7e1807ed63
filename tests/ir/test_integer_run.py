"""run_integer: by hand, equal to loops over products and to run_float, refused."""

from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import assert_never

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.integer import (
    DOWN,
    HALVES_EVEN,
    HALVES_ODD,
    HALVES_UP,
    IntegerNetwork,
    MapType,
    Requantization,
    accumulator_range,
    mean_multiplier,
)
from hao.ir.integer_run import (
    exact_sums,
    exact_type,
    requantize,
    run_integer,
    run_integer_layers,
)
from hao.ir.interpret import run_float_layers
from hao.ir.layer import (
    Activation,
    Add,
    Affine,
    Compute,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Padding,
    Pool,
    PoolKind,
    Quantize,
    window_shape,
)
from hao.ir.network import Network
from hao.ir.seeded import seeded_frames, seeded_integers
from hao.ir.tensor import QType, Rounding, Shape
from hao.zoo.registry import build_network

Integers = NDArray[np.int64]
W8 = QType(bits=8, signed=True)


def kind(bits: int, *, signed: bool, low: int | None = None) -> MapType:
    quant = QType(bits=bits, signed=signed)
    start = quant.lowest if low is None else low
    return MapType(quant=quant, low=start, high=quant.highest, exponent=0)


S8, U8 = kind(8, signed=True), kind(8, signed=False)


def network(
    layers: tuple[Layer, ...],
    types: dict[str, MapType],
    params: dict[str, list[int] | Integers],
    mode: Requantization = Requantization.SHIFT,
) -> IntegerNetwork:
    arrays = {key: np.array(value, dtype=np.int64) for key, value in params.items()}
    return IntegerNetwork(
        network=Network(name="n", layers=layers, params=arrays),
        maps=types,
        requantization=mode,
    )


def frame(channels: int, height: int, width: int) -> Input:
    return Input(name="x", ofm=Shape(channels=channels, height=height, width=width))


def scaled(bias: int, shift: int, **multiplier: list[int]) -> IntegerNetwork:
    """Return a network that adds a bias to a code, and shifts it."""
    entry = frame(1, 1, 1)
    layer = Linear(name="l", input="x", ifm=entry.ofm, ofm=entry.ofm, weight=W8)
    arrays = {"weight": [[1]], "bias": [bias], "shift": [shift], **multiplier}
    mode = Requantization.MULTIPLIER if multiplier else Requantization.SHIFT
    params = {f"l.{key}": np.array(value) for key, value in arrays.items()}
    return network((entry, layer), {"x": S8, "l": S8}, dict(params), mode)


def one(net: IntegerNetwork, code: int) -> int:
    return int(run_integer(net, np.full((1, 1, 1, 1), code)).item())


@pytest.mark.parametrize(
    ("code", "bias", "shift", "expected"),
    [
        (5, 0, 1, 3),  # 2.5 rounds up
        (-5, 0, 1, -2),  # -2.5 rounds up
        (-6, 0, 2, -1),  # -1.5 rounds up
        (6, 0, 2, 2),  # 1.5
        (7, 100, 0, 107),  # no shift: the sum itself
        (7, 200, 0, 127),  # clamped
        (-7, -200, 0, -128),
        (0, 2**25 - 1, 15, 127),  # 1023.99 is clamped
        (0, 3 * 2**14, 15, 2),  # 1.5
        (0, 3 * 2**14 - 1, 15, 1),  # just below
    ],
)
def test_a_shift_rounds_halves_up_and_clamps(
    code: int, bias: int, shift: int, expected: int
) -> None:
    assert one(scaled(bias, shift), code) == expected


@pytest.mark.parametrize(
    ("code", "multiplier", "shift", "expected"),
    [
        (5, 3, 1, 8),  # 7.5
        (-5, 3, 1, -7),  # -7.5
        (100, 65535, 16, 100),  # 99.998
        (100, 0, 0, 0),
        (1, 2**15, 31, 0),  # 2^-16
    ],
)
def test_a_multiplier_comes_before_the_shift(
    code: int, multiplier: int, shift: int, expected: int
) -> None:
    assert one(scaled(0, shift, multiplier=[multiplier]), code) == expected


def test_add_by_hand() -> None:
    entry = frame(1, 1, 3)
    layer = Add(name="a", inputs=("x", "x"), ofm=entry.ofm)
    low, params = kind(8, signed=True, low=0), {"a.shifts": [2, 0, 3]}
    codes = np.array([[[[4, -4, 127]]]])
    # (4x + x) / 8: 2.5, -2.5, 79.4.
    net = network((entry, layer), {"x": S8, "a": S8}, dict(params))
    assert run_integer(net, codes).ravel().tolist() == [3, -2, 79]
    after_relu = network((entry, layer), {"x": S8, "a": low}, dict(params))
    assert run_integer(after_relu, codes).ravel().tolist() == [3, 0, 79]


AROUND = Padding(top=1, left=1, bottom=1, right=1)
NONE = Padding()


def pool(padding: Padding, what: PoolKind, *, uncounted: Padding = NONE) -> Pool:
    ifm = Shape(channels=1, height=2, width=2)
    ofm = window_shape(ifm, channels=1, kernel=2, stride=2, padding=padding)
    return Pool(
        name="p",
        input="x",
        ifm=ifm,
        ofm=ofm,
        kernel=2,
        stride=2,
        padding=padding,
        kind=what,
        uncounted=uncounted,
    )


def test_a_maximum_never_picks_the_padding() -> None:
    layer = pool(AROUND, PoolKind.MAX)
    net = network((frame(1, 2, 2), layer), {"x": S8, "p": S8}, {})
    codes = np.array([[[[-5, -128], [-1, -7]]]])
    assert run_integer(net, codes).ravel().tolist() == [-5, -128, -1, -7]


def test_averages_by_hand() -> None:
    # 1/4 = 128 / 2^9. Padded, every window holds one code and three zeros.
    codes = np.array([[[[10, -10], [100, 3]]]])
    entry, numbers = frame(1, 2, 2), {"p.multiplier": [128], "p.shift": [9]}
    for padding, expected in ((AROUND, [3, -2, 25, 1]), (Padding(), [26])):
        layer = pool(padding, PoolKind.AVERAGE)
        net = network((entry, layer), {"x": S8, "p": S8}, dict(numbers))
        assert run_integer(net, codes).ravel().tolist() == expected
    mean = GlobalAveragePool(
        name="p", input="x", ifm=entry.ofm, ofm=Shape(channels=1, height=1, width=1)
    )
    net = network((entry, mean), {"x": S8, "p": S8}, dict(numbers))
    assert run_integer(net, codes).ravel().tolist() == [26]  # 25.75


def test_an_average_that_leaves_out_its_padding_by_hand() -> None:
    # Every window holds one code: counted 2/1 * 2/1 = 4 times, 4 pixels, 1/4 = 2^7/2^9.
    layer = pool(AROUND, PoolKind.AVERAGE, uncounted=AROUND)
    numbers = {"p.multiplier": [128], "p.shift": [9]}
    net = network((frame(1, 2, 2), layer), {"x": S8, "p": S8}, dict(numbers))
    codes = np.array([[[[10, -10], [100, 3]]]])
    assert run_integer(net, codes).ravel().tolist() == [10, -10, 100, 3]


def rounded(value: int, shift: int, how: int = HALVES_UP) -> int:
    if how == HALVES_EVEN:
        return round(Fraction(value, 2**shift))  # Python rounds halves to even
    if how == HALVES_ODD:
        return round(Fraction(value, 2**shift) + 1) - 1 if shift else value
    half = 0 if how == DOWN else Fraction(1, 2)
    return floor(Fraction(value, 2**shift) + half)


def naive(net: IntegerNetwork, codes: Integers) -> dict[str, Integers]:
    """Return all maps of one frame in Python integers, product by product."""
    maps: dict[str, Integers] = {}
    for layer in net.network.layers:
        out = np.zeros(
            (layer.ofm.channels, layer.ofm.height, layer.ofm.width), dtype=np.int64
        )
        for place in np.ndindex(*out.shape):
            out[place] = naive_code(net, layer, maps, codes, place)
        maps[layer.name] = out
    return maps


def seen(
    layer: Conv | Depthwise | Pool,
    x: Integers,
    channel: int,
    at: tuple[int, int],
    zero: int | None = None,
) -> list[tuple[int, int, int]]:
    """Return (row, column, code) of the pixels of a window; of padding, if it has one.

    Args:
        layer: Says where windows lie.
        x: The map.
        channel: Of the map.
        at: Row and column of the output.
        zero: Code of the padding.
    """
    found = []
    for i in range(layer.kernel):
        for j in range(layer.kernel):
            row = at[0] * layer.stride + i - layer.padding.top
            column = at[1] * layer.stride + j - layer.padding.left
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                found.append((i, j, int(x[channel, row, column])))
            elif zero is not None:
                found.append((i, j, zero))
    return found


def naive_code(
    net: IntegerNetwork,
    layer: Layer,
    maps: dict[str, Integers],
    codes: Integers,
    place: tuple[int, ...],
) -> int:
    channel, row, column = place
    at = (row, column)
    x = maps[layer.inputs[0]] if layer.inputs else codes

    def number(name: str, index: int = 0) -> int:
        return int(net.param(layer.name, name)[index])

    def mean(total: int) -> int:
        scaled = (total + biases[0]) * number("multiplier")
        return rounded(scaled + biases[1] * 2 ** number("shift"), number("shift"), how)

    biases = [0, 0]
    if f"{layer.name}.bias" in net.network.params:
        biases = net.param(layer.name, "bias").tolist()
    zero = net.maps[layer.inputs[0]].zero if layer.inputs else 0
    ways = net.rounding(layer.name)
    how = int(ways[channel % len(ways)])
    match layer:
        case Input():
            return int(codes[place])
        case Conv() | Depthwise() | Linear():
            w = net.param(layer.name, "weight")[channel]
            acc = 0
            if isinstance(layer, Linear):
                acc += sum(int(a) * int(b) for a, b in zip(w, x.ravel(), strict=True))
            elif isinstance(layer, Depthwise):
                acc += sum(
                    int(w[0, i, j]) * v for i, j, v in seen(layer, x, channel, at, zero)
                )
            else:
                for source in range(len(x)):
                    pixels = seen(layer, x, source, at, zero)
                    acc += sum(int(w[source, i, j]) * v for i, j, v in pixels)
            if net.requantization is not Requantization.SHIFT:
                acc *= number("multiplier", channel)
            acc += number("bias", channel)
            value = rounded(acc, number("shift", channel), how)
        case Add():
            a, b = (int(maps[name][place]) for name in layer.inputs)
            total = a * 2 ** number("shifts", 0) + b * 2 ** number("shifts", 1)
            total += biases[0]
            value = rounded(total, number("shifts", 2), how)
        case Pool(kind=PoolKind.MAX):
            return max(v for _, _, v in seen(layer, x, channel, at))
        case Pool():
            total = sum(v for _, _, v in seen(layer, x, channel, at, zero))
            value = mean(total)
        case GlobalAveragePool():
            value = mean(sum(int(v) for v in x[channel].ravel()))
        case Affine() | Activation() | Quantize():
            raise AssertionError(layer)
        case _:
            assert_never(layer)
    output = net.maps[layer.name]
    return min(max(value, output.low), output.high)


@st.composite
def networks(draw: st.DrawFn) -> IntegerNetwork:
    """Draw conv, depthwise, an add around it, both pools, a mean and a linear layer."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    bits, act_bits = draw(st.integers(2, 8)), draw(st.integers(2, 8))
    mode = draw(st.sampled_from(Requantization))
    rounds, moved = draw(st.booleans()), draw(st.booleans())
    quant = QType(bits=bits, signed=True)
    kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    sides = [draw(st.integers(0, kernel - 1)) for _ in range(4)]
    padding = Padding(top=sides[0], left=sides[1], bottom=sides[2], right=sides[3])
    entry = frame(2, 6, 7)
    size = window_shape(
        entry.ofm, channels=3, kernel=kernel, stride=stride, padding=padding
    )
    small = window_shape(
        size, channels=3, kernel=2, stride=1, padding=Padding(top=1, left=1)
    )
    point = Shape(channels=3, height=1, width=1)
    same = Padding.same(3)
    layers: tuple[Layer, ...] = (
        entry,
        Conv(
            name="c",
            input="x",
            ifm=entry.ofm,
            ofm=size,
            kernel=kernel,
            stride=stride,
            padding=padding,
            weight=quant,
        ),
        Depthwise(
            name="d",
            input="c",
            ifm=size,
            ofm=size,
            kernel=3,
            padding=same,
            weight=quant,
        ),
        Add(name="a", inputs=("d", "c"), ofm=size),
        *(
            Pool(
                name=name,
                input=source,
                ifm=size,
                ofm=small,
                kernel=2,
                padding=Padding(top=1, left=1),
                kind=what,
            )
            for name, source, what in (
                ("m", "a", PoolKind.MAX),
                ("v", "c", PoolKind.AVERAGE),
            )
        ),
        Add(name="b", inputs=("m", "v"), ofm=small),
        Linear(
            name="l",
            input="b",
            ifm=small,
            ofm=point,
            weight=quant,
        ),
        GlobalAveragePool(name="g", input="b", ifm=small, ofm=point),
        Add(name="o", inputs=("l", "g"), ofm=point),
    )
    params: dict[str, list[int] | Integers] = {}
    types: dict[str, MapType] = {}
    for layer in layers:
        types[layer.name] = kind(act_bits, signed=draw(st.booleans()))
        if moved:
            held = types[layer.name].quant
            zero = int(rng.integers(held.lowest, held.highest + 1))
            types[layer.name] = replace(types[layer.name], zero=zero)
        match layer:
            case Conv() | Depthwise() | Linear():
                rows = (layer.ofm.channels, -1)
                count = layer.weights
                w = rng.integers(quant.lowest, quant.highest + 1, count).reshape(rows)
                if not isinstance(layer, Linear):
                    shape = (layer.ofm.channels, -1, layer.kernel, layer.kernel)
                    w = w.reshape(shape)
                params[f"{layer.name}.weight"] = w
                params[f"{layer.name}.bias"] = rng.integers(-500, 500, 3)
                params[f"{layer.name}.shift"] = rng.integers(0, 12, 3)
                if rounds:
                    params[f"{layer.name}.rounding"] = rng.integers(0, 2, 3)
                if mode is not Requantization.SHIFT:
                    cut = 13 if mode is Requantization.WIDE else 0
                    top = 2**24 if cut else 2**17
                    params[f"{layer.name}.multiplier"] = rng.integers(-top, top, 3)
                    bias = rng.integers(-(2**24), 2**24, 3) << cut
                    params[f"{layer.name}.bias"] = bias
                    params[f"{layer.name}.shift"] = rng.integers(14, 26, 3) + cut
            case Add():
                params[f"{layer.name}.shifts"] = rng.integers(0, 4, 3)
                if moved:
                    params[f"{layer.name}.bias"] = rng.integers(-90, 90, 1)
            case Pool(kind=PoolKind.MAX):
                types[layer.name] = types[layer.input]
            case Pool() | GlobalAveragePool():
                multiplier, shift = mean_multiplier(
                    4 if isinstance(layer, Pool) else layer.ifm.pixels
                )
                params[f"{layer.name}.multiplier"] = [multiplier]
                params[f"{layer.name}.shift"] = [shift]
                if moved:
                    params[f"{layer.name}.bias"] = rng.integers(-90, 90, 2)
            case _:
                pass
        if rounds and isinstance(layer, Add | GlobalAveragePool):
            params[f"{layer.name}.rounding"] = rng.integers(0, 4, 1)
    return network(layers, types, params, mode)


@given(net=networks(), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_every_map_equals_loops_over_every_product(
    net: IntegerNetwork, seed: int
) -> None:
    entry = net.maps["x"]
    codes = np.random.default_rng(seed).integers(
        entry.low, entry.high, (2, 2, 6, 7), endpoint=True
    )
    names = frozenset(layer.name for layer in net.network.layers)
    got = run_integer_layers(net, codes, names)
    for index in range(2):
        for name, expected in naive(net, codes[index]).items():
            assert got[name].dtype == np.int64
            assert np.array_equal(got[name][index], expected), name


def as_float(net: IntegerNetwork) -> Network:
    """Return the float network that a power-of-two quantizer would have seen."""
    layers: list[Layer] = []
    params: dict[str, NDArray[np.generic]] = {}
    readable = {net.network.input.name: net.network.input.name}
    for layer in net.network.layers:
        output = net.maps[layer.name]
        if isinstance(layer, Input):
            layers.append(layer)
            continue
        assert output.exponent is not None
        if isinstance(layer, Add):
            first, second = (readable[name] for name in layer.inputs)
            layers.append(replace(layer, inputs=(first, second)))
        else:
            layers.append(replace(layer, input=readable[layer.input]))
        if isinstance(layer, Conv | Depthwise | Linear):
            before = net.maps[layer.input].exponent
            assert before is not None
            # Unit of the products of a channel: that of its output, less the shift.
            unit = np.ldexp(1.0, output.exponent - net.param(layer.name, "shift"))
            weight = net.param(layer.name, "weight")
            rows = (unit / 2.0**before).reshape(-1, *[1] * (weight.ndim - 1))
            params[f"{layer.name}.weight"] = weight * rows
            params[f"{layer.name}.bias"] = net.param(layer.name, "bias") * unit
        name = f"{layer.name}.q"
        quant = replace(output.quant, rounding=Rounding.HALF_UP)
        layers.append(
            Quantize(
                name=name,
                input=layer.name,
                ifm=layer.ofm,
                ofm=layer.ofm,
                quant=quant,
            )
        )
        params[f"{name}.scale"] = np.array([2.0**output.exponent])
        params[f"{name}.zero_point"] = np.zeros(1)
        readable[layer.name] = name
    return Network(name=net.network.name, layers=tuple(layers), params=params)


@pytest.mark.parametrize("act_bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("name", ["digits", "resnet8_cifar", "vgg_cifar"])
def test_equals_run_float_where_all_scales_are_powers_of_two(
    name: str, act_bits: int
) -> None:
    shape = build_network(name)
    rng = np.random.default_rng(act_bits)
    scheme = {x.name: int(rng.integers(2, 9)) for x in shape.compute_layers}
    net = seeded_integers(shape, scheme, act_bits=act_bits, seed=act_bits)
    check_equals_float(net, seeded_frames(net, 3, 1))


def test_mobilenet_v2_equals_run_float_at_half_its_image() -> None:
    # ReLU6, residual adds of several alignments; 4 x 4 pixels at the end, so that the
    # mean is by a power of two.
    shape = build_network("mobilenet_v2_035", image_size=128)
    scheme = {x.name: 4 for x in shape.compute_layers}
    net = seeded_integers(shape, scheme, act_bits=8, seed=0)
    check_equals_float(net, seeded_frames(net, 1, 1))


def check_equals_float(net: IntegerNetwork, codes: Integers) -> None:
    means = [x for x in net.network.layers if isinstance(x, GlobalAveragePool)]
    assert all(x.ifm.pixels & (x.ifm.pixels - 1) == 0 for x in means)
    entry = net.maps[net.network.input.name].exponent
    assert entry is not None
    names = [layer.name for layer in net.network.layers[1:]]
    got = run_integer_layers(net, codes, frozenset(names))
    keep = frozenset(f"{name}.q" for name in names)
    real = run_float_layers(as_float(net), codes * 2.0**entry, keep=keep)
    for name in names:
        exponent = net.maps[name].exponent
        assert exponent is not None
        expected = real[f"{name}.q"] / 2.0**exponent
        assert np.array_equal(got[name], expected), name


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (0, np.float32),
        (2**24, np.float32),
        (2**24 + 1, np.float64),
        (2**53, np.float64),
        (2**53 + 1, np.int64),
    ],
)
def test_exact_type_holds_its_limit_and_the_next_smaller_does_not(
    limit: int, expected: type[np.number]
) -> None:
    assert exact_type(limit) is expected
    assert int(expected(limit)) == limit


def test_sums_at_the_limit_of_float32_are_exact() -> None:
    # 516 products of 127 * 255 and one of 1 * 255 are odd and lie above 2^23, where
    # float32 holds integers but no halves; 519 of them pass 2^24.
    for terms, wanted in ((516, np.float32), (519, np.float64)):
        weight = np.full((1, terms + 1), 127)
        weight[0, -1] = 1
        entry, point = frame(terms + 1, 1, 1), Shape(channels=1, height=1, width=1)
        layer = Linear(name="l", input="x", ifm=entry.ofm, ofm=point, weight=W8)
        exact = terms * 127 * 255 + 255
        params: dict[str, list[int] | Integers] = {}
        params |= {"l.weight": weight, "l.bias": [-exact + 101], "l.shift": [0]}
        net = network((entry, layer), {"x": U8, "l": S8}, params)
        codes = np.full((1, terms + 1, 1, 1), 255)
        sums = exact_sums(layer, codes.astype(np.float32), weight, exact)
        assert sums.dtype == wanted
        assert sums.astype(np.int64).item() == exact
        low, high = accumulator_range(net, layer)
        assert (low, high) == (-exact + 101, exact)
        assert run_integer(net, codes).item() == 101


def test_sums_in_int64_equal_those_in_floating_point() -> None:
    rng = np.random.default_rng(0)
    ifm = Shape(channels=3, height=5, width=5)
    x = rng.integers(-128, 128, (2, 3, 5, 5)).astype(np.float32)
    layers: tuple[Compute, ...] = (
        Conv(name="c", input="x", ifm=ifm, ofm=ifm, kernel=3, padding=Padding.same(3)),
        Depthwise(
            name="d", input="x", ifm=ifm, ofm=ifm, kernel=3, padding=Padding.same(3)
        ),
        Linear(name="l", input="x", ifm=ifm, ofm=Shape(channels=3, height=1, width=1)),
    )
    for layer, shape in zip(layers, ((3, 3, 3, 3), (3, 1, 3, 3), (3, 75)), strict=True):
        weight = rng.integers(-128, 128, shape)
        results = [exact_sums(layer, x, weight, limit) for limit in (1, 2**30, 2**60)]
        assert [r.dtype for r in results] == [np.float32, np.float64, np.int64]
        assert np.array_equal(results[0], results[2])
        assert np.array_equal(results[1], results[2])


@given(
    values=st.lists(st.integers(-(2**23), 2**23), min_size=3, max_size=3),
    shift=st.lists(st.integers(0, 15), min_size=3, max_size=3),
    halves=st.booleans(),
    rounding=st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
@settings(max_examples=200, deadline=None)
def test_requantize_is_the_same_in_every_type(
    values: list[int], shift: list[int], halves: bool, rounding: list[int]
) -> None:
    if halves:
        values = [
            (v % 255 - 127) * 2**s + 2**s // 2
            for v, s in zip(values, shift, strict=True)
        ]
    array = np.array(values).reshape(1, 3, 1, 1)
    expected = [
        min(max(rounded(v, s, how), -128), 127)
        for v, s, how in zip(values, shift, rounding, strict=True)
    ]
    for number in (np.float32, np.float64, np.int64):
        ways = np.array(rounding)
        got = requantize(array.astype(number), np.array(shift), S8, ways)
        assert got.ravel().tolist() == expected


def test_one_map_read_twice_and_kept_maps_are_returned() -> None:
    entry = frame(1, 1, 1)
    layers: tuple[Layer, ...] = (
        entry,
        Add(name="a", inputs=("x", "x"), ofm=entry.ofm),
        Add(name="b", inputs=("a", "x"), ofm=entry.ofm),
    )
    params = {"a.shifts": [0, 0, 0], "b.shifts": [0, 0, 0]}
    net = network(layers, dict.fromkeys("xab", S8), dict(params))
    codes = np.full((1, 1, 1, 1), 5)
    maps = run_integer_layers(net, codes, frozenset("xb"))
    assert {name: int(x.item()) for name, x in maps.items()} == {"x": 5, "b": 15}


@pytest.mark.parametrize("code", [-129, 128])
def test_codes_outside_the_type_of_the_input_are_refused(code: int) -> None:
    with pytest.raises(
        InputError, match=rf"codes {code} to {code}; must be -128 to 127"
    ):
        one(scaled(0, 0), code)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 2, 1, 1), (0, 1, 1, 1)])
def test_codes_of_another_shape_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(
        InputError, match=r"codes of shape .*; must be \(batch, 1, 1, 1"
    ):
        run_integer(scaled(0, 0), np.zeros(sizes, dtype=np.int64))


def test_codes_of_another_type_are_refused() -> None:
    codes = np.zeros((1, 1, 1, 1), dtype=np.int8)
    with pytest.raises(InputError, match="codes of type int8; must be int64"):
        run_integer(scaled(0, 0), codes)  # type: ignore[arg-type]  # what is refused


def test_an_unknown_map_to_keep_is_refused() -> None:
    codes = np.zeros((1, 1, 1, 1), dtype=np.int64)
    with pytest.raises(InputError, match=r"'n' has no layers \['y'\]; keep its own"):
        run_integer_layers(scaled(0, 0), codes, frozenset("y"))
