"""run_float: equal to PyTorch layer by layer, roundings by hand, and refusals."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from hao.errors import InputError
from hao.ir.interpret import quantize_codes, round_values, run_float, run_float_layers
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    Affine,
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
from hao.ir.tensor import QType, Rounding, Shape

Reals = NDArray[np.float64]


def reals(seed: int, *sizes: int) -> Reals:
    return np.random.default_rng(seed).normal(size=sizes)


def run(layer: Layer, x: Reals, **params: Reals) -> Reals:
    _, channels, height, width = x.shape
    frame = Input(name="x", ofm=Shape(channels=channels, height=height, width=width))
    network = Network(
        name="n",
        layers=(frame, layer),
        params={f"{layer.name}.{key}": value for key, value in params.items()},
    )
    return run_float(network, x)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Shape, int, int, Padding]:
    kernel = draw(st.integers(1, 4))
    side = st.integers(kernel, 9)
    padding = [draw(st.integers(0, kernel // 2)) for _ in range(4)]
    shape = Shape(channels=draw(st.integers(1, 4)), height=draw(side), width=draw(side))
    top, left, bottom, right = padding
    around = Padding(top=top, left=left, bottom=bottom, right=right)
    return shape, kernel, draw(st.integers(1, 3)), around


def torch_padded(x: Reals, padding: Padding, fill: float = 0.0) -> torch.Tensor:
    sizes = (padding.left, padding.right, padding.top, padding.bottom)
    return functional.pad(torch.from_numpy(x), sizes, value=fill)


@given(geometry=windows(), channels=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_conv_equals_pytorch(
    geometry: tuple[Shape, int, int, Padding], channels: int, seed: int
) -> None:
    ifm, kernel, stride, padding = geometry
    ofm = window_shape(
        ifm, channels=channels, kernel=kernel, stride=stride, padding=padding
    )
    layer = Conv(
        name="c",
        input="x",
        ifm=ifm,
        ofm=ofm,
        kernel=kernel,
        stride=stride,
        padding=padding,
        activation=ActivationKind.RELU6,
    )
    x = reals(seed, 2, ifm.channels, ifm.height, ifm.width)
    weight = reals(seed + 1, channels, ifm.channels, kernel, kernel)
    bias = reals(seed + 2, channels)
    expected = functional.relu6(
        functional.conv2d(
            torch_padded(x, padding),
            torch.from_numpy(weight),
            torch.from_numpy(bias),
            stride=stride,
        )
    ).numpy()
    got = run(layer, x, weight=weight, bias=bias)
    assert got.shape[1:] == (ofm.channels, ofm.height, ofm.width)
    np.testing.assert_allclose(got, expected, atol=1e-12)


@given(geometry=windows(), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_depthwise_equals_pytorch(
    geometry: tuple[Shape, int, int, Padding], seed: int
) -> None:
    ifm, kernel, stride, padding = geometry
    channels = ifm.channels
    layer = Depthwise(
        name="d",
        input="x",
        ifm=ifm,
        ofm=window_shape(
            ifm, channels=channels, kernel=kernel, stride=stride, padding=padding
        ),
        kernel=kernel,
        stride=stride,
        padding=padding,
        bias=False,
    )
    x = reals(seed, 2, channels, ifm.height, ifm.width)
    weight = reals(seed + 1, channels, 1, kernel, kernel)
    expected = functional.conv2d(
        torch_padded(x, padding),
        torch.from_numpy(weight),
        stride=stride,
        groups=channels,
    ).numpy()
    np.testing.assert_allclose(run(layer, x, weight=weight), expected, atol=1e-12)


@given(geometry=windows(), seed=st.integers(0, 99), include=st.booleans())
@settings(max_examples=40, deadline=None)
def test_pool_equals_pytorch(
    geometry: tuple[Shape, int, int, Padding], seed: int, include: bool
) -> None:
    ifm, kernel, stride, padding = geometry
    assume(include or max(padding.bottom, padding.right) < stride)
    ofm = window_shape(
        ifm, channels=ifm.channels, kernel=kernel, stride=stride, padding=padding
    )
    x = reals(seed, 2, ifm.channels, ifm.height, ifm.width)

    def pool(kind: PoolKind) -> Pool:
        return Pool(
            name="p",
            input="x",
            ifm=ifm,
            ofm=ofm,
            kernel=kernel,
            stride=stride,
            padding=padding,
            kind=kind,
            uncounted=Padding() if include else padding,
        )

    lowest = torch_padded(x, padding, -np.inf)
    maximum = functional.max_pool2d(lowest, kernel, stride).numpy()
    assert np.array_equal(run(pool(PoolKind.MAX), x), maximum)
    average = functional.avg_pool2d(torch_padded(x, padding), kernel, stride)
    if not include:
        ones = torch_padded(np.ones_like(x), padding)
        average = average / functional.avg_pool2d(ones, kernel, stride)
    got = run(pool(PoolKind.AVERAGE), x)
    np.testing.assert_allclose(got, average.numpy(), atol=1e-12)


def test_linear_flattens_channel_major() -> None:
    ifm = Shape(channels=2, height=3, width=4)
    ofm = Shape(channels=5, height=1, width=1)
    x, weight, bias = reals(0, 2, 2, 3, 4), reals(1, 5, 24), reals(2, 5)
    layer = Linear(
        name="l", input="x", ifm=ifm, ofm=ofm, activation=ActivationKind.RELU
    )
    expected = np.maximum(
        np.einsum("bchw,ochw->bo", x, weight.reshape(5, 2, 3, 4)) + bias, 0
    )
    got = run(layer, x, weight=weight, bias=bias)
    np.testing.assert_allclose(got, expected.reshape(2, 5, 1, 1), atol=1e-12)


def test_global_average_pool_and_affine_and_activation_by_hand() -> None:
    ifm = Shape(channels=2, height=1, width=2)
    x = np.array([[[[1.0, 3.0]], [[-2.0, 10.0]]]])
    pool = GlobalAveragePool(
        name="g", input="x", ifm=ifm, ofm=Shape(channels=2, height=1, width=1)
    )
    assert run(pool, x).ravel().tolist() == [2.0, 4.0]
    affine = Affine(name="a", input="x", ifm=ifm, ofm=ifm)
    scale, shift = np.array([2.0, -1.0]), np.array([0.0, 5.0])
    assert run(affine, x, scale=scale, shift=shift).ravel().tolist() == [2, 6, 7, -5]
    for kind, expected in (
        (ActivationKind.NONE, [1, 3, -2, 10]),
        (ActivationKind.RELU, [1, 3, 0, 10]),
        (ActivationKind.RELU6, [1, 3, 0, 6]),
    ):
        layer = Activation(name="r", input="x", ifm=ifm, ofm=ifm, kind=kind)
        assert run(layer, x).ravel().tolist() == expected


def test_add_of_one_map_to_itself_doubles_it_before_relu() -> None:
    x = reals(0, 1, 2, 3, 3)
    ofm = Shape(channels=2, height=3, width=3)
    layer = Add(name="a", inputs=("x", "x"), ofm=ofm, activation=ActivationKind.RELU)
    assert np.array_equal(run(layer, x), np.maximum(2 * x, 0))


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        (Rounding.HALF_EVEN, [-2, -2, 0, 0, 2, 2, 3]),
        (Rounding.HALF_ODD, [-3, -1, -1, 1, 1, 3, 3]),
        (Rounding.HALF_UP, [-2, -1, 0, 1, 2, 3, 3]),
        (Rounding.HALF_AWAY, [-3, -2, -1, 1, 2, 3, 3]),
        (Rounding.CEIL, [-2, -1, 0, 1, 2, 3, 3]),
        (Rounding.FLOOR, [-3, -2, -1, 0, 1, 2, 2]),
        (Rounding.TO_ZERO, [-2, -1, 0, 0, 1, 2, 2]),
    ],
)
def test_roundings_by_hand(rounding: Rounding, expected: list[int]) -> None:
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.75])
    assert round_values(x, rounding).tolist() == expected


def test_half_up_is_exact_where_the_sum_with_a_half_is_not() -> None:
    x = np.array([np.nextafter(0.5, 0)])
    assert np.floor(x + 0.5) == 1
    assert round_values(x, Rounding.HALF_UP).tolist() == [0]


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_half_up_is_what_a_shift_with_a_rounding_constant_computes(bits: int) -> None:
    codes = np.arange(-1000, 1000)
    shifted = (codes + (1 << (bits - 1))) >> bits
    exact = round_values(codes / 2.0**bits, Rounding.HALF_UP)
    assert np.array_equal(exact, shifted)


def test_quantize_by_hand() -> None:
    # Scale 0.5, zero point 3, unsigned 3 bits: codes 0 to 7 stand for -1.5 to 2.
    ifm = Shape(channels=1, height=1, width=5)
    layer = Quantize(
        name="q", input="x", ifm=ifm, ofm=ifm, quant=QType(bits=3, signed=False)
    )
    x = np.array([[[[-9.0, -1.3, 0.1, 1.3, 9.0]]]])
    got = run(layer, x, scale=np.array([0.5]), zero_point=np.array([3.0]))
    assert got.ravel().tolist() == [-1.5, -1.5, 0.0, 1.5, 2.0]


def test_bipolar_codes_are_minus_one_and_one() -> None:
    x = np.array([-2.0, -0.0, 0.0, 0.1])
    one, zero = np.array([0.5]), np.array([0.0])
    codes = quantize_codes(x, QType(bits=1, signed=True), scale=one, zero_point=zero)
    assert codes.tolist() == [-1, 1, 1, 1]


def test_run_float_keeps_the_type_of_its_frames() -> None:
    ifm = Shape(channels=2, height=3, width=3)
    layer = Affine(name="a", input="x", ifm=ifm, ofm=ifm)
    network = Network(
        name="n",
        layers=(Input(name="x", ofm=ifm), layer),
        params={"a.scale": np.ones(2), "a.shift": np.ones(2)},
    )
    x = np.zeros((1, 2, 3, 3), dtype=np.float32)
    assert run_float(network, x).dtype == np.float32


def test_run_float_layers_returns_the_maps_that_are_asked_for() -> None:
    ifm = Shape(channels=1, height=1, width=1)
    layers: list[Layer] = [Input(name="x", ofm=ifm)]
    for name, source in (("a", "x"), ("b", "a"), ("c", "b")):
        layers.append(
            Activation(
                name=name, input=source, ifm=ifm, ofm=ifm, kind=ActivationKind.RELU
            )
        )
    network = Network(name="n", layers=tuple(layers))
    x = np.full((1, 1, 1, 1), -1.0)
    maps = run_float_layers(network, x, keep=frozenset({"x", "b"}))
    assert {name: float(map_.item()) for name, map_ in maps.items()} == {
        "x": -1,
        "b": 0,
    }


@pytest.mark.parametrize("sizes", [(3, 4, 4), (1, 2, 4, 4), (0, 3, 4, 4)])
def test_run_float_refuses_frames_of_another_shape(sizes: tuple[int, ...]) -> None:
    ifm = Shape(channels=3, height=4, width=4)
    layer = Affine(name="a", input="x", ifm=ifm, ofm=ifm)
    network = Network(name="n", layers=(Input(name="x", ofm=ifm), layer))
    with pytest.raises(InputError, match=r"frames of shape .*; must be \(batch, 3, 4"):
        run_float(network, np.zeros(sizes))


def test_run_float_refuses_integers() -> None:
    ifm = Shape(channels=1, height=1, width=1)
    layer = Affine(name="a", input="x", ifm=ifm, ofm=ifm)
    network = Network(name="n", layers=(Input(name="x", ofm=ifm), layer))
    frames = np.zeros((1, 1, 1, 1), dtype=np.int64)
    with pytest.raises(
        InputError, match="frames of type int64; must be floating point"
    ):
        run_float(network, frames)  # type: ignore[type-var]  # what is refused


def test_run_float_refuses_a_network_without_parameters() -> None:
    ifm = Shape(channels=1, height=1, width=1)
    layer = Linear(name="l", input="x", ifm=ifm, ofm=ifm)
    with pytest.raises(InputError, match=r"parameter 'l\.weight' is missing; import"):
        run(layer, np.zeros((1, 1, 1, 1)))
