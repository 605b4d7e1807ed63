"""Pixels of an average: equal to counting them, and what a border sum counts."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hao.errors import InputError
from hao.ir.averages import border_factors, counted_pixels, kernel_shares, mean_pixels
from hao.ir.layer import Padding, Pool, PoolKind, window_shape
from hao.ir.tensor import Shape


def pool(
    size: tuple[int, int], kernel: int, stride: int, padding: Padding, out: Padding
) -> Pool:
    ifm = Shape(channels=1, height=size[0], width=size[1])
    ofm = window_shape(ifm, channels=1, kernel=kernel, stride=stride, padding=padding)
    return Pool(
        name="p",
        input="x",
        ifm=ifm,
        ofm=ofm,
        kernel=kernel,
        stride=stride,
        padding=padding,
        uncounted=out,
        kind=PoolKind.AVERAGE,
    )


@given(
    height=st.integers(4, 9),
    width=st.integers(4, 9),
    kernel=st.integers(2, 4),
    sides=st.lists(st.integers(0, 1), min_size=8, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_counts_equal_a_counted_map_and_make_all_sums_alike(
    height: int, width: int, kernel: int, sides: list[int]
) -> None:
    pads = Padding(top=sides[0], left=sides[1], bottom=sides[2], right=sides[3])
    out = Padding(
        top=sides[0] * sides[4],
        left=sides[1] * sides[5],
        bottom=sides[2] * sides[6],
        right=sides[3] * sides[7],
    )
    layer = pool((height, width), kernel, 2, pads, out)
    counts = np.zeros((height + pads.top + pads.bottom, width + pads.left + pads.right))
    rows, columns = counts.shape
    counts[out.top : rows - out.bottom, out.left : columns - out.right] = 1
    for y, row in enumerate(counted_pixels(layer)):
        for x, count in enumerate(row):
            window = counts[2 * y : 2 * y + kernel, 2 * x : 2 * x + kernel]
            assert count == window.sum()
    if out == Padding():
        assert mean_pixels(layer) == kernel**2
        assert np.all(border_factors(layer) == 1)
    else:
        sums = counted_pixels(layer) * border_factors(layer)
        assert np.all(sums == mean_pixels(layer))


def test_shares_by_hand() -> None:
    assert kernel_shares(3) == (6, 3, 2)
    around = Padding(top=1, left=1, bottom=1, right=1)
    layer = pool((3, 3), 3, 1, around, around)
    # Corners have 4 pixels, edges 6, the middle 9; all are 36 then.
    assert border_factors(layer).tolist() == [[9, 6, 9], [6, 4, 6], [9, 6, 9]]
    assert mean_pixels(layer) == 36


def test_padding_that_does_not_count_is_padding_and_leaves_pixels() -> None:
    around = Padding(top=1, left=1, bottom=1, right=1)
    layer = pool((3, 3), 3, 1, around, Padding())
    message = "does not count; must be part of it, and leave pixels that count"
    with pytest.raises(InputError, match=re.escape(message)):
        replace(layer, uncounted=Padding(top=2))
    far = pool((4, 4), 3, 1, Padding(bottom=2), Padding())
    assert far.ofm.height == 4
    with pytest.raises(InputError, match=re.escape(message)):
        pool((2, 4), 3, 1, Padding(bottom=3, top=1), Padding(bottom=3))
