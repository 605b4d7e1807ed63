"""Requantizations of a file's codes, against the file's own arithmetic at every sum."""

from fractions import Fraction
from math import ceil, floor
from typing import assert_never

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hao.ir.integer import HALVES_EVEN, HALVES_UP, Requantization
from hao.ir.tensor import Rounding
from hao.quant.thresholds import Fitted, Thresholds, file_thresholds, fit

Integers = NDArray[np.int64]


def rounded(value: Fraction, rounding: Rounding) -> int:
    """Round an exact number."""
    below = floor(value)
    match rounding:
        case Rounding.FLOOR:
            return below
        case Rounding.CEIL:
            return ceil(value)
        case Rounding.TO_ZERO:
            return below if value >= 0 else ceil(value)
        case Rounding.HALF_EVEN:
            return round(value)
        case Rounding.HALF_ODD:
            return round(value + 1) - 1
        case Rounding.HALF_UP:
            return floor(value + Fraction(1, 2))
        case Rounding.HALF_AWAY:
            size = floor(abs(value) + Fraction(1, 2))
            return size if value >= 0 else -size
        case _:
            assert_never(rounding)


def made(found: Fitted, channel: int, y: int, codes: tuple[int, int]) -> int:
    """Requantize a sum as `hao.ir.integer_run` says, in exact numbers."""
    total = int(found.multiplier[channel]) * y + int(found.bias[channel])
    shift, how = int(found.shift[channel]), int(found.rounding[channel])
    kind = {HALVES_UP: Rounding.HALF_UP, HALVES_EVEN: Rounding.HALF_EVEN}[how]
    return min(max(rounded(Fraction(total, 2**shift), kind), codes[0]), codes[1])


def case(
    ratio: Fraction, bias: Fraction, codes: tuple[int, int, int], rounding: Rounding
) -> Thresholds:
    return file_thresholds(
        np.array([float(ratio)]),
        np.array([float(bias)]),
        codes=codes,
        rounding=rounding,
        sums=(np.array([-300]), np.array([200])),
    )


def differing(
    found: Fitted,
    ratio: Fraction,
    bias: Fraction,
    codes: tuple[int, int, int],
    rounding: Rounding,
) -> list[int]:
    """Return by how much codes differ from the file's, for every sum that occurs."""
    low, high, moved = codes
    wrong = []
    for y in range(-300, 201):
        file = rounded(ratio * (y + bias) + moved, rounding) - moved
        ours = made(found, 0, y, (low, high))
        wrong.append(abs(min(max(file, low), high) - ours))
    return wrong


# Sums of up to 300 with such denominators stay far from a half that they are not.
ratios = st.fractions(Fraction(1, 200), Fraction(5), max_denominator=211)
biases = st.fractions(Fraction(-150), Fraction(150), max_denominator=16)


@given(
    ratio=ratios,
    bias=biases,
    low=st.integers(-3, 0),
    high=st.integers(1, 3),
    moved=st.integers(-1, 1),
    rounding=st.sampled_from(Rounding),
)
@settings(max_examples=40, deadline=None)
def test_what_is_called_exact_is_and_few_codes_are_unless_halves_alternate(
    ratio: Fraction,
    bias: Fraction,
    low: int,
    high: int,
    moved: int,
    rounding: Rounding,
) -> None:
    codes = (low, high, moved)
    found = fit(case(ratio, bias, codes, rounding), Requantization.MULTIPLIER)
    wrong = differing(found, ratio, bias, codes, rounding)
    assert bool(found.exact[0]) == (max(wrong) == 0)
    assert max(wrong) <= 1
    if rounding not in UNEVEN and rounding is not Rounding.HALF_EVEN:
        assert found.exact[0]


# Towards 0 the code 0 is twice as wide, which no single slope has; the engine rounds
# halves up or to even codes.
UNEVEN = (Rounding.TO_ZERO, Rounding.HALF_ODD)


@pytest.mark.parametrize("rounding", [r for r in Rounding if r not in UNEVEN])
@pytest.mark.parametrize("ratio", [1, 4, 64])
@pytest.mark.parametrize("bias", [0, 3, Fraction(1, 4), Fraction(-5, 2)])
def test_powers_of_two_round_as_the_file_does(
    rounding: Rounding, ratio: int, bias: Fraction | int
) -> None:
    of, added, codes = Fraction(1, ratio), Fraction(bias), (-8, 7, 0)
    found = case(of, added, codes, rounding)
    wide = fit(found, Requantization.MULTIPLIER)
    assert wide.exact[0]
    assert max(differing(wide, of, added, codes, rounding)) == 0
    narrow = fit(found, Requantization.SHIFT)
    wrong = differing(narrow, of, added, codes, rounding)
    assert bool(narrow.exact[0]) == (max(wrong) == 0)
    if ratio > 1 and rounding in (Rounding.HALF_UP, Rounding.HALF_EVEN):
        assert narrow.exact[0]


def test_two_codes_need_no_multiplier() -> None:
    codes = (0, 1, 0)
    found = case(Fraction(1, 37), Fraction(-11, 3), codes, Rounding.HALF_UP)
    narrow = fit(found, Requantization.SHIFT)
    # (y - 11/3) / 37 is a half from 18.5 + 11/3 = 22 1/6 on: y + bias = 1 at 23.
    assert (narrow.shift[0], narrow.bias[0], bool(narrow.exact[0])) == (0, -22, True)


def test_many_codes_of_long_sums_are_off_by_one_at_most_and_said_to_be() -> None:
    found = file_thresholds(
        np.array([0.00093]),
        np.array([0.3]),
        codes=(-128, 127, 0),
        rounding=Rounding.HALF_UP,
        sums=(np.array([-(2**21)]), np.array([2**21])),
    )
    wide = fit(found, Requantization.MULTIPLIER)
    assert not wide.exact[0]
    y = np.arange(-150_000, 150_000)
    total = (y * wide.multiplier + wide.bias) / 2.0**wide.shift
    ours = np.clip(np.floor(total + 0.5), -128, 127)
    file = np.clip(np.floor(0.00093 * (y + 0.3) + 0.5), -128, 127)
    assert 0 < np.sum(ours != file) < 300
    assert np.abs(ours - file).max() == 1


def test_wide_multipliers_are_exact_where_narrow_ones_miss_hundreds_of_sums() -> None:
    # Codes of 8 bits from sums of up to 2^20: slopes of 64 channels, and any bias.
    rng = np.random.default_rng(0)
    ratio, bias = rng.uniform(2.0**-11, 2.0**-9, 64), rng.uniform(-30_000, 30_000, 64)
    ends = np.full(64, 2**20)
    found = file_thresholds(
        ratio,
        bias,
        codes=(0, 255, 0),
        rounding=Rounding.HALF_EVEN,
        sums=(-ends, ends),
    )
    y = np.arange(-(2**19), 2**19, 7)
    file = np.clip(np.rint(ratio[:, None] * (y + bias[:, None])), 0, 255)
    wrong = []
    for mode in (Requantization.MULTIPLIER, Requantization.WIDE):
        fitted = fit(found, mode)
        total = y * fitted.multiplier[:, None] + fitted.bias[:, None]
        half = np.int64(1) << (fitted.shift - 1)
        ours = (total + half[:, None]) >> fitted.shift[:, None]
        apart = np.any(np.clip(ours, 0, 255) != file, axis=1)
        assert not np.any(apart & fitted.exact)
        assert np.all(fitted.bias % 2**mode.cut_bits == 0)
        assert np.abs(fitted.multiplier).max() < 2 ** (mode.multiplier_bits - 1)
        wrong.append(int(np.sum(apart)))
        exact = fitted.exact.mean()
    assert wrong[0] > 30
    assert wrong[1] <= 1
    assert exact > 0.8


def test_the_smallest_ratio_leaves_room_for_the_bias() -> None:
    found = file_thresholds(
        np.array([2.0**-24]),
        np.array([2.0**24]),
        codes=(-128, 127, 0),
        rounding=Rounding.HALF_UP,
        sums=(np.array([-(2**30)]), np.array([2**30])),
    )
    wide = fit(found, Requantization.MULTIPLIER)
    assert wide.exact[0]
    assert np.abs(wide.bias[0]) < 2**39
    assert made(wide, 0, 2**24, (-128, 127)) == 2
