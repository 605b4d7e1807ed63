"""Padding rules and width multipliers against their definitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.intmath import ceil_div
from hao.ir.layer import ActivationKind, Conv, Input, Padding, window_shape
from hao.ir.tensor import Shape
from hao.zoo import build_network
from hao.zoo.scaling import (
    Stage,
    inverted_blocks,
    scaled_channels,
    scaled_repeats,
)
from hao.zoo.style import PaddingRule, Style, rule_padding

sizes = st.integers(1, 400)
odd_kernels = st.sampled_from((1, 3, 5, 7))
strides = st.integers(1, 3)


def ofm_size(rule: PaddingRule, size: int, kernel: int, stride: int) -> tuple[int, int]:
    padding = rule_padding(
        rule, height=size, width=size + 1, kernel=kernel, stride=stride
    )
    shape = window_shape(
        Shape(channels=1, height=size, width=size + 1),
        channels=1,
        kernel=kernel,
        stride=stride,
        padding=padding,
    )
    return shape.height, shape.width


@given(size=sizes, kernel=st.integers(1, 7), stride=strides)
def test_same_padding_gives_ceil_of_size_over_stride(
    size: int, kernel: int, stride: int
) -> None:
    expected = (ceil_div(size, stride), ceil_div(size + 1, stride))
    assert ofm_size(PaddingRule.SAME, size, kernel, stride) == expected


@given(size=sizes, kernel=odd_kernels, stride=strides)
def test_symmetric_padding_of_odd_kernels_gives_the_same_sizes(
    size: int, kernel: int, stride: int
) -> None:
    symmetric = ofm_size(PaddingRule.SYMMETRIC, size, kernel, stride)
    assert symmetric == ofm_size(PaddingRule.SAME, size, kernel, stride)


@given(size=sizes, kernel=st.integers(1, 7), stride=strides)
def test_same_padding_puts_the_odd_row_last(
    size: int, kernel: int, stride: int
) -> None:
    padding = rule_padding(
        PaddingRule.SAME, height=size, width=size, kernel=kernel, stride=stride
    )
    assert padding.bottom - padding.top in (0, 1)
    assert (padding.top, padding.bottom) == (padding.left, padding.right)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        # 224: 112 outputs span 2 * 111 + 3 = 225 rows, one more than there are.
        (224, Padding(top=0, left=0, bottom=1, right=1)),
        # 225: 113 outputs span 2 * 112 + 3 = 227 rows, two more.
        (225, Padding(top=1, left=1, bottom=1, right=1)),
    ],
)
def test_same_padding_of_the_stem_worked_by_hand(size: int, expected: Padding) -> None:
    stem = build_network("efficientnet_lite0", size).layers[1]
    assert isinstance(stem, Conv)
    assert stem.padding == expected


def test_symmetric_padding_of_the_stem_worked_by_hand() -> None:
    stem = build_network("mnasnet_100", 224).layers[1]
    assert isinstance(stem, Conv)
    assert stem.padding == Padding(top=1, left=1, bottom=1, right=1)


def test_valid_rule_pads_nothing() -> None:
    padding = rule_padding(PaddingRule.VALID, height=9, width=9, kernel=3, stride=1)
    assert padding == Padding()


def test_linear_style_differs_in_the_activation_alone() -> None:
    style = Style(activation=ActivationKind.RELU6, padding=PaddingRule.SAME)
    image = Input(name="image", ofm=Shape(channels=3, height=8, width=8))
    active = style.conv(image, "one", channels=4, kernel=3, stride=2)
    linear = style.linear.conv(image, "one", channels=4, kernel=3, stride=2)
    assert active.activation is ActivationKind.RELU6
    assert linear.activation is ActivationKind.NONE
    assert (active.ofm, active.padding) == (linear.ofm, linear.padding)


@pytest.mark.parametrize(
    ("channels", "width_percent", "expected"),
    [
        (32, 100, 32),
        (32, 35, 16),  # 11.2 rounds to 8, which loses more than a tenth
        (24, 35, 8),  # 8.4 rounds to 8, within a tenth
        (16, 140, 24),  # 22.4 rounds to 24
        (24, 50, 16),  # 12 is halfway, up
        (3, 25, 8),  # never below 8
    ],
)
def test_scaled_channels_worked_by_hand(
    channels: int, width_percent: int, expected: int
) -> None:
    assert scaled_channels(channels, width_percent) == expected


@given(channels=st.integers(1, 4096), width_percent=st.integers(10, 400))
def test_scaled_channels_are_multiples_of_8_and_lose_at_most_a_tenth(
    channels: int, width_percent: int
) -> None:
    scaled = scaled_channels(channels, width_percent)
    assert scaled % 8 == 0
    assert scaled * 1000 >= 9 * channels * width_percent


def test_repeats_round_up() -> None:
    assert [scaled_repeats(3, depth) for depth in (100, 110, 120, 140)] == [3, 4, 4, 5]


def test_only_the_first_block_of_a_stage_has_its_stride() -> None:
    first, second = inverted_blocks([Stage(6, 24, 2, 2, 5)], ifm_channels=16)
    assert (first.expanded, first.stride, first.kernel) == (96, 2, 5)
    assert (second.expanded, second.stride, second.kernel) == (144, 1, 5)
