"""Layers and types: counts worked by hand, and every refusal."""

import pytest

from hao.errors import InputError
from hao.ir.layer import (
    Add,
    Conv,
    Depthwise,
    Input,
    Linear,
    Padding,
    Pool,
    PoolKind,
    window_shape,
)
from hao.ir.tensor import QType, Shape

IFM = Shape(channels=3, height=8, width=6)


def conv(ofm: Shape, *, kernel: int = 3, stride: int = 1) -> Conv:
    return Conv(name="c", input="x", ifm=IFM, ofm=ofm, kernel=kernel, stride=stride)


def test_conv_counts_by_hand() -> None:
    # OFM 5x6x4 = 120 values of 3 * 9 = 27 products: 3240 MACs; 5 * 27 = 135 weights.
    layer = conv(Shape(channels=5, height=6, width=4))
    assert (layer.terms, layer.macs, layer.weights) == (27, 3240, 135)
    assert layer.inputs == ("x",)


def test_depthwise_counts_by_hand() -> None:
    # OFM 3x6x4 = 72 values of 9 products: 648 MACs; 3 * 9 = 27 weights.
    ofm = Shape(channels=3, height=6, width=4)
    layer = Depthwise(name="d", input="x", ifm=IFM, ofm=ofm, kernel=3)
    assert (layer.terms, layer.macs, layer.weights) == (9, 648, 27)


def test_linear_counts_by_hand() -> None:
    # 3 * 8 * 6 = 144 features to 10 outputs.
    ofm = Shape(channels=10, height=1, width=1)
    layer = Linear(name="l", input="x", ifm=IFM, ofm=ofm)
    assert (layer.terms, layer.macs, layer.weights) == (144, 1440, 1440)


def test_add_reads_maps_of_its_own_shape() -> None:
    assert Add(name="a", inputs=("x", "y"), ofm=IFM).ifm == IFM
    assert Input(name="x", ofm=IFM).inputs == ()


@pytest.mark.parametrize("kernel", range(1, 8))
def test_same_padding_keeps_the_size_at_stride_1(kernel: int) -> None:
    ofm = window_shape(
        IFM, channels=3, kernel=kernel, stride=1, padding=Padding.same(kernel)
    )
    assert ofm == IFM


def test_shape_counts_its_elements() -> None:
    assert (IFM.pixels, IFM.elements) == (48, 144)


@pytest.mark.parametrize("side", ["top", "left", "bottom", "right"])
def test_padding_refuses_negative_sizes(side: str) -> None:
    with pytest.raises(InputError, match=r"negative padding .* must be at least 0"):
        Padding(**{side: -1})


def test_window_shape_refuses_a_window_that_does_not_fit() -> None:
    with pytest.raises(InputError, match="a 7x7 window does not fit in 8x6 with paddi"):
        window_shape(IFM, channels=3, kernel=7, stride=1, padding=Padding())


@pytest.mark.parametrize(("kernel", "stride"), [(0, 1), (3, 0)])
def test_conv_refuses_a_kernel_or_stride_below_1(kernel: int, stride: int) -> None:
    message = rf"layer 'c': kernel {kernel}, stride {stride}; both must be at least 1"
    with pytest.raises(InputError, match=message):
        conv(IFM, kernel=kernel, stride=stride)


def test_conv_refuses_an_ofm_that_its_window_does_not_give() -> None:
    with pytest.raises(InputError, match=r"layer 'c': OFM .*x8x.*, window "):
        conv(Shape(channels=5, height=8, width=6))


def test_pool_refuses_an_ofm_that_its_window_does_not_give() -> None:
    with pytest.raises(InputError, match=r"layer 'p': OFM .*, window "):
        Pool(name="p", input="x", ifm=IFM, ofm=IFM, kernel=2, kind=PoolKind.MAX)


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_shape_refuses_sizes_below_1(sizes: tuple[int, int, int]) -> None:
    channels, height, width = sizes
    message = f"shape {channels}x{height}x{width}: every size must be at least 1"
    with pytest.raises(InputError, match=message):
        Shape(channels=channels, height=height, width=width)


@pytest.mark.parametrize("bits", [0, 41])
def test_qtype_refuses_widths_out_of_range(bits: int) -> None:
    with pytest.raises(InputError, match=f"{bits} bits; must be from 1 to 40"):
        QType(bits=bits, signed=True)


@pytest.mark.parametrize(
    ("bits", "signed", "narrow", "limits"),
    [
        (8, True, False, (-128, 127)),
        (8, True, True, (-127, 127)),
        (4, False, False, (0, 15)),
        (4, False, True, (0, 14)),
        (2, True, True, (-1, 1)),
        (1, False, False, (0, 1)),
        (1, True, False, (-1, 1)),
        (1, True, True, (-1, 1)),
    ],
)
def test_qtype_limits(
    bits: int, signed: bool, narrow: bool, limits: tuple[int, int]
) -> None:
    quant = QType(bits=bits, signed=signed, narrow=narrow)
    assert (quant.lowest, quant.highest) == limits
    assert quant.bipolar == (bits == 1 and signed)
