"""Frames become codes as the host is told, with the file's own rounding."""

import numpy as np
import pytest

from hao.errors import InputError
from hao.ir.frame import FrameCoding
from hao.ir.tensor import Rounding


def codes(coding: FrameCoding, *values: float) -> list[int]:
    frames = np.array(values).reshape(1, 1, 1, -1)
    return [int(code) for code in coding.codes(frames, low=-4, high=3).ravel()]


def test_halves_go_where_the_coding_says() -> None:
    # 2 v + 0.5 of these values: -1.5, -0.5, 0.5, 1.5 and far out.
    values = (-1.0, -0.5, 0.0, 0.5, 1e30, -1e30)
    up = FrameCoding(gain=(2.0,), offset=(0.5,))
    even = FrameCoding(gain=(2.0,), offset=(0.5,), rounding=Rounding.HALF_EVEN)
    down = FrameCoding(gain=(2.0,), offset=(0.5,), rounding=Rounding.FLOOR)
    assert codes(up, *values) == [-1, 0, 1, 2, 3, -4]
    assert codes(even, *values) == [-2, 0, 0, 2, 3, -4]
    assert codes(down, *values) == [-2, -1, 0, 1, 3, -4]


def test_channels_have_gains_and_offsets_of_their_own() -> None:
    coding = FrameCoding(gain=(1.0, 10.0), offset=(0.0, 1.0))
    frames = np.full((1, 2, 1, 1), 0.1)
    assert coding.codes(frames, low=-4, high=3).ravel().tolist() == [0, 2]


@pytest.mark.parametrize("gain", [(), (float("nan"),), (1.0, float("inf"))])
def test_a_coding_without_finite_numbers_is_refused(gain: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="must be finite numbers, at least one"):
        FrameCoding(gain=gain)
