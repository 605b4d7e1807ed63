"""Lowering keeps the outputs of a network and leaves only layers of the engine."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hao.ir.interpret import run_float
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    Affine,
    Conv,
    Input,
    Layer,
    Padding,
    Pool,
    PoolKind,
    Quantize,
    window_shape,
)
from hao.ir.lower import lowered, maxima_last
from hao.ir.network import Network
from hao.ir.partition import engine_problems, partition
from hao.ir.tensor import QType, Shape

Arrays = dict[str, NDArray[np.float64]]
FRAME = Shape(channels=3, height=16, width=16)


def reals(seed: int, *sizes: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=sizes)


def network(
    *layers: Layer, frame: Shape = FRAME, params: Arrays | None = None
) -> Network:
    named = dict(params or {})
    entry = Input(name="x", ofm=frame)
    return Network(name="n", layers=(entry, *layers), params=MappingProxyType(named))


def pool(
    kernel: int,
    stride: int,
    *,
    kind: PoolKind = PoolKind.MAX,
    frame: Shape = FRAME,
    padding: Padding | None = None,
) -> Pool:
    around = padding or Padding()
    ofm = window_shape(
        frame, channels=frame.channels, kernel=kernel, stride=stride, padding=around
    )
    return Pool(
        name="p",
        input="x",
        ifm=frame,
        ofm=ofm,
        kernel=kernel,
        stride=stride,
        padding=around,
        kind=kind,
    )


def check_lowered(before: Network, *, kinds: list[str] | None = None) -> Network:
    """Check that the engine has all layers after, and that outputs are the same."""
    after = lowered(before)
    assert engine_problems(after) == ()
    partition(after)
    if kinds is not None:
        assert [type(layer).__name__ for layer in after.layers] == kinds
    shape = before.input.ofm
    x = reals(7, 2, shape.channels, shape.height, shape.width)
    np.testing.assert_allclose(
        run_float(after, x), run_float(before, x), rtol=1e-9, atol=1e-9
    )
    return after


@given(
    height=st.integers(4, 20),
    width=st.integers(4, 20),
    kernel=st.integers(2, 16),
    stride=st.sampled_from([1, 2, 3, 4, 8]),
    pad=st.integers(0, 3),
)
@settings(deadline=None, max_examples=80)
def test_a_large_maximum_becomes_small_ones_or_is_refused(
    height: int, width: int, kernel: int, stride: int, pad: int
) -> None:
    frame = Shape(channels=2, height=height, width=width)
    kernel = min(kernel, height, width)
    around = Padding(top=pad, left=pad, bottom=pad, right=0)
    if pad >= kernel:
        around = Padding()
    before = network(pool(kernel, stride, frame=frame, padding=around), frame=frame)
    after = lowered(before)
    x = reals(height, 2, 2, height, width) - 5  # so that zeros around would win
    np.testing.assert_array_equal(run_float(after, x), run_float(before, x))
    if stride in (1, 2) and max(pad, 1) <= 2:
        assert engine_problems(after) == ()


@pytest.mark.parametrize(("kernel", "stride"), [(8, 1), (12, 1), (4, 4), (13, 1)])
def test_maxima_that_files_hold_are_two_in_a_row(kernel: int, stride: int) -> None:
    check_lowered(network(pool(kernel, stride)), kinds=["Input", "Pool", "Pool"])


def test_an_average_of_four_by_four_is_two() -> None:
    before = network(pool(4, 4, kind=PoolKind.AVERAGE))
    check_lowered(before, kinds=["Input", "Pool", "Pool"])


@given(
    height=st.integers(8, 24),
    width=st.integers(8, 24),
    kernel=st.integers(1, 16),
    stride=st.sampled_from([2, 4, 6, 8]),
    before=st.integers(0, 5),
    after=st.integers(0, 5),
)
@settings(deadline=None, max_examples=80)
@example(height=20, width=16, kernel=8, stride=2, before=3, after=4)
@example(height=16, width=17, kernel=14, stride=2, before=0, after=5)
@example(height=16, width=16, kernel=9, stride=6, before=0, after=2)
@example(height=24, width=24, kernel=16, stride=8, before=1, after=0)
def test_a_convolution_of_even_stride_reads_patches(
    height: int, width: int, kernel: int, stride: int, before: int, after: int
) -> None:
    frame = Shape(channels=2, height=height, width=width)
    around = Padding(top=before, left=after, bottom=after, right=before)
    if max(before, after) >= kernel or kernel > min(height, width):
        return
    ofm = window_shape(frame, channels=3, kernel=kernel, stride=stride, padding=around)
    conv = Conv(
        name="a",
        input="x",
        ifm=frame,
        ofm=ofm,
        kernel=kernel,
        stride=stride,
        padding=around,
    )
    given = network(
        conv,
        frame=frame,
        params={"a.weight": reals(1, 3, 2, kernel, kernel), "a.bias": reals(2, 3)},
    )
    if (kernel, stride) in {(4, 4), (7, 4), (11, 4), (8, 2), (14, 2), (9, 6)}:
        check_lowered(given, kinds=["Input", "Conv", "Conv"])
    x = reals(7, 2, 2, height, width)
    np.testing.assert_allclose(
        run_float(lowered(given), x), run_float(given, x), rtol=1e-9, atol=1e-9
    )


def conv(name: str, source: str, *, kernel: int = 3) -> Conv:
    return Conv(
        name=name,
        input=source,
        ifm=FRAME,
        ofm=FRAME,
        kernel=kernel,
        padding=Padding.same(kernel),
    )


def affine(name: str, source: str) -> Affine:
    return Affine(name=name, input=source, ifm=FRAME, ofm=FRAME)


def relu(name: str, source: str) -> Activation:
    return Activation(
        name=name, input=source, ifm=FRAME, ofm=FRAME, kind=ActivationKind.RELU
    )


CONV = {"a.weight": reals(1, 3, 3, 3, 3), "a.bias": reals(2, 3)}
NORM = {"n.scale": reals(3, 3), "n.shift": reals(4, 3)}


def test_an_affine_layer_that_cannot_fold_becomes_depthwise() -> None:
    before = network(
        relu("r", "x"), affine("n", "r"), conv("a", "n"), params=CONV | NORM
    )
    check_lowered(before, kinds=["Input", "Depthwise", "Depthwise", "Conv"])


def test_what_scales_the_frame_is_left_to_the_host() -> None:
    before = network(affine("n", "x"), conv("a", "n"), params=CONV | NORM)
    after = check_lowered(before, kinds=["Input", "Conv"])
    np.testing.assert_array_equal(after.params["x.scale"], NORM["n.scale"])
    np.testing.assert_array_equal(after.params["x.shift"], NORM["n.shift"])


def test_an_activation_beside_another_reader_becomes_depthwise() -> None:
    both = Add(name="s", inputs=("r", "a"), ofm=FRAME)
    before = network(conv("a", "x"), relu("r", "a"), both, params=CONV)
    check_lowered(before, kinds=["Input", "Conv", "Depthwise", "Add"])


def test_a_map_added_to_itself_is_doubled() -> None:
    twice = Add(name="s", inputs=("a", "a"), ofm=FRAME, activation=ActivationKind.RELU)
    check_lowered(network(conv("a", "x"), twice, params=CONV), kinds=["Input", "Conv"])


def test_an_add_of_two_maps_that_others_read_gets_a_copy() -> None:
    first = Add(name="s", inputs=("x", "a"), ofm=FRAME)
    second = Add(name="t", inputs=("s", "a"), ofm=FRAME)
    before = network(conv("a", "x"), first, second, params=CONV)
    check_lowered(
        before, kinds=["Input", "Conv", "Depthwise", "Add", "Depthwise", "Add"]
    )


def test_maxima_come_behind_activations_and_rising_affine_layers() -> None:
    small = replace(pool(2, 2), input="a")
    half = small.ofm
    active = Activation(
        name="r", input="p", ifm=half, ofm=half, kind=ActivationKind.RELU
    )
    before = network(conv("a", "x"), small, active, params=CONV)
    check_lowered(before, kinds=["Input", "Conv", "Pool"])
    norm = Affine(name="n", input="p", ifm=half, ofm=half)
    rising = {"n.scale": np.abs(reals(3, 3)), "n.shift": reals(4, 3)}
    check_lowered(
        network(conv("a", "x"), small, norm, params=CONV | rising),
        kinds=["Input", "Conv", "Pool"],
    )
    check_lowered(
        network(conv("a", "x"), small, norm, params=CONV | NORM),
        kinds=["Input", "Conv", "Pool", "Depthwise"],
    )


def test_codes_stay_before_a_maximum_and_are_handed_on_by_quantizers() -> None:
    quant = QType(bits=8, signed=True)
    first = Quantize(name="q", input="x", ifm=FRAME, ofm=FRAME, quant=quant)
    small = replace(pool(2, 2), input="q")
    second = Quantize(name="z", input="p", ifm=small.ofm, ofm=small.ofm, quant=quant)
    scale = {"scale": np.array([0.25]), "zero_point": np.zeros(1)}
    before = network(
        first,
        small,
        second,
        params={f"{name}.{word}": a for name in "qz" for word, a in scale.items()},
    )
    assert maxima_last(before) is before


def test_patches_of_codes_are_codes() -> None:
    quant = QType(bits=4, signed=True)
    first = Quantize(name="q", input="x", ifm=FRAME, ofm=FRAME, quant=quant)
    ofm = Shape(channels=2, height=4, width=4)
    patch = Conv(
        name="a",
        input="q",
        ifm=FRAME,
        ofm=ofm,
        kernel=4,
        stride=4,
        bias=False,
        weight=quant,
    )
    before = network(
        first,
        patch,
        params={
            "q.scale": np.array([0.25]),
            "q.zero_point": np.zeros(1),
            "a.weight": np.rint(reals(1, 2, 3, 4, 4)) / 4,
            "a.weight_scale": np.array([0.25]),
        },
    )
    after = lowered(before)
    assert [type(layer).__name__ for layer in after.layers] == [
        "Input",
        "Quantize",
        "Conv",
        "Quantize",
        "Conv",
    ]
    x = reals(3, 2, 3, 16, 16)
    np.testing.assert_array_equal(run_float(after, x), run_float(before, x))
