"""Sums over windows on integers: equal to loops over every product."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.ir.layer import Padding
from hao.ir.windows import dense_sums, depthwise_sums, window_maximum, window_sum

Integers = NDArray[np.int64]
PADDING = Padding(top=1, left=0, bottom=2, right=1)
X = np.random.default_rng(0).integers(-128, 128, (2, 3, 5, 6))


def window(x: Integers, place: tuple[int, int, int], stride: int) -> Integers:
    """Return a 3x3 window of a padded map, walked pixel by pixel."""
    frame, row, column = place
    values = np.zeros((x.shape[1], 3, 3), dtype=np.int64)
    for channel, i, j in product(range(x.shape[1]), range(3), range(3)):
        r = row * stride + i - PADDING.top
        c = column * stride + j - PADDING.left
        if 0 <= r < x.shape[2] and 0 <= c < x.shape[3]:
            values[channel, i, j] = x[frame, channel, r, c]
    return values


@pytest.mark.parametrize("stride", [1, 2])
def test_sums_of_integers_equal_a_counted_loop_nest(stride: int) -> None:
    rng = np.random.default_rng(1)
    weight = rng.integers(-8, 8, (4, 3, 3, 3))
    each = rng.integers(-8, 8, (3, 1, 3, 3))
    dense = dense_sums(X, weight, stride=stride, padding=PADDING)
    depthwise = depthwise_sums(X, each, stride=stride, padding=PADDING)
    sums = window_sum(X, kernel=3, stride=stride, padding=PADDING)
    assert dense.dtype == depthwise.dtype == np.int64
    height, width = (5 + 3 - 3) // stride + 1, (6 + 1 - 3) // stride + 1
    assert dense.shape == (2, 4, height, width)
    for place in product(range(2), range(height), range(width)):
        seen = window(X, place, stride)
        frame, row, column = place
        at = (frame, slice(None), row, column)
        assert dense[at].tolist() == [int((seen * w).sum()) for w in weight]
        assert depthwise[at].tolist() == [
            int((s * w[0]).sum()) for s, w in zip(seen, each, strict=True)
        ]
        assert sums[at].tolist() == seen.sum(axis=(1, 2)).tolist()


def test_maximum_never_picks_the_padding() -> None:
    negative = -np.abs(X) - 1
    lowest = np.int64(np.iinfo(np.int64).min)
    got = window_maximum(negative, kernel=3, stride=1, padding=PADDING, lowest=lowest)
    assert got.max() < 0
    assert got[0, 0, 0, 0] == negative[0, 0, :2, :3].max()
