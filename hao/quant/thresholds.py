"""The requantization that makes a file's codes of a layer's sums.

A layer's sums y are integers, so that a map's codes are steps: the threshold of a code
is the least sum that gets it or a higher one. With halves rounded up, the hardware's

    code = clamp(floor((multiplier * y + bias + 2^(shift - 1)) / 2^shift))

has its own. All of a channel's are the file's if and only if its bias lies between two
numbers, one from the sums at the thresholds, one from those just below; halves to even
move both at every other code. So a fit is not argued but computed, over every threshold
that sums of the layer's own weights and codes can pass.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.ir.integer import (
    HALVES_EVEN,
    HALVES_UP,
    MAX_SHIFT,
    Requantization,
)
from hao.ir.tensor import Rounding

Integers = NDArray[np.int64]
Real = NDArray[np.float64]

PRECISION = 2.0**-22
"""Part of a number that scales in files, in single precision and some of them
quotients, leave open."""

WHOLE_SUM = 2.0**-10
"""Most of a unit of the products within which a threshold counts as a whole sum."""

_DOUBLE = 2.0**-46
"""The same in double precision, of a few operations."""

_LARGEST = np.iinfo(np.int64).max // 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thresholds:
    """The codes that a file makes of a layer's sums.

    Attributes:
        codes: All but the lowest, ascending, shape (codes,).
        least: The least sum that gets a code, shape (channels, codes); one more than
            `highest` where none does.
        ratio: Codes per unit of the sums, positive, shape (channels,); 1 where a map
            has two codes, for which any does.
        bias: Added to the sums before that, in units of the products, (channels,).
        lowest: Least sum that occurs, shape (channels,).
        highest: Largest one.
    """

    codes: Integers
    least: Integers
    ratio: Real
    bias: Real
    lowest: Integers
    highest: Integers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A requantization; all arrays of shape (channels,).

    Attributes:
        multiplier: Positive; 1 in power-of-two mode.
        shift: To the right.
        bias: Behind the multiplier.
        rounding: `HALVES_UP` or `HALVES_EVEN`.
        exact: Whether every sum that occurs gets the file's code.
    """

    multiplier: Integers
    shift: Integers
    bias: Integers
    rounding: Integers
    exact: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_], other: "Fitted") -> "Fitted":
        """Return this one in some channels, another in the rest."""
        pick = np.where
        return Fitted(
            multiplier=pick(chosen, self.multiplier, other.multiplier),
            shift=pick(chosen, self.shift, other.shift),
            bias=pick(chosen, self.bias, other.bias),
            rounding=pick(chosen, self.rounding, other.rounding),
            exact=pick(chosen, self.exact, other.exact),
        )


def file_thresholds(
    ratio: Real,
    bias: Real,
    *,
    codes: tuple[int, int, int],
    rounding: Rounding,
    sums: tuple[Integers, Integers],
) -> Thresholds:
    """Return the thresholds of round(ratio * (y + bias)).

    A ratio that is nearly a power of two is one; then a threshold that is nearly a
    whole sum is that sum, or lies just behind it where the file rounds its half down.

    Args:
        ratio: Codes per unit, positive, shape (channels,).
        bias: In units, likewise.
        codes: The lowest and the highest, and what the file adds to them before it
            rounds.
        rounding: The file's.
        sums: The least and the largest that occur, shape (channels,) each.
    """
    low, high, moved = codes
    power = np.exp2(np.rint(np.log2(ratio)))
    same = np.abs(ratio / power - 1) <= PRECISION
    ratio = np.where(same, power, ratio)
    wanted = np.arange(low + 1, high + 1, dtype=np.int64)
    edge, inside = _edges(wanted, moved, rounding)
    scaled = edge / ratio[:, None]
    at = scaled - bias[:, None]
    # Of other ratios halves are none but by chance: only what double precision leaves
    # open counts as one.
    size = np.abs(bias)[:, None] + np.abs(scaled)
    near = np.minimum(np.abs(bias)[:, None] * PRECISION, WHOLE_SUM)
    near = np.maximum(np.where(same[:, None], near, 0.0), size * _DOUBLE)
    whole = np.abs(at - np.rint(at)) <= near
    least = np.where(whole, np.rint(at) + ~inside, np.ceil(at))
    lowest, highest = sums
    kept = np.clip(least, lowest[:, None], highest[:, None] + 1)
    if len(wanted) == 1:
        ratio = np.ones_like(ratio)  # a sum is compared with one number, whatever it is
    return Thresholds(
        codes=wanted,
        least=kept.astype(np.int64),
        ratio=ratio,
        bias=bias,
        lowest=lowest,
        highest=highest,
    )


def _edges(
    codes: Integers, moved: int, rounding: Rounding
) -> tuple[Real, NDArray[np.bool_]]:
    """Return from which value on a code is made, and whether that value makes it."""
    own = codes + moved  # as the file has them
    at = codes.astype(np.float64)
    yes = np.full(codes.shape, fill_value=True)
    match rounding:
        case Rounding.HALF_UP:
            return at - 0.5, yes
        case Rounding.HALF_EVEN:
            return at - 0.5, own % 2 == 0
        case Rounding.HALF_ODD:
            return at - 0.5, own % 2 == 1
        case Rounding.HALF_AWAY:
            return at - 0.5, own > 0
        case Rounding.FLOOR:
            return at, yes
        case Rounding.CEIL:
            return at - 1, ~yes
        case Rounding.TO_ZERO:
            return np.where(own > 0, at, at - 1), own > 0


def fit(found: Thresholds, mode: Requantization) -> Fitted:
    """Return the requantization that makes a layer's codes, or comes closest."""
    if mode is Requantization.SHIFT:
        shift = np.clip(np.rint(-np.log2(found.ratio)), 0, MAX_SHIFT).astype(np.int64)
        return _either(found, np.ones_like(shift), shift, mode)
    least, limit = mode.shifts
    most = 2 ** (mode.multiplier_bits - 1) - 1
    wished = mode.multiplier_bits - 2 - np.floor(np.log2(found.ratio))
    # The file's own bias reproduces its codes, next to a whole sum or a code.
    largest = found.ratio * (np.abs(found.bias) + 1) + 1
    room = mode.bias_bits + mode.cut_bits - 1 - np.ceil(np.log2(largest))
    wished = np.minimum(wished, np.minimum(room, limit))
    shift = np.maximum(wished, least).astype(np.int64)
    # Where any multiplier does, one next to the ratio does, for those that do are all
    # between two numbers, and the ratio is, or is one of them.
    near = np.rint(np.ldexp(found.ratio, shift))
    made = [
        _either(found, np.clip(near + step, 1, most).astype(np.int64), shift, mode)
        for step in (0, 1, -1)
    ]
    best = made[0]
    for other in made[1:]:
        best = best.where(best.exact | ~other.exact, other)
    return best


def _either(
    found: Thresholds, multiplier: Integers, shift: Integers, mode: Requantization
) -> Fitted:
    """Return a fit with halves to even where those up do not do."""
    up, even = (
        _with_bias(found, (multiplier, shift), mode, rounding)
        for rounding in (HALVES_UP, HALVES_EVEN)
    )
    return up.where(up.exact | ~even.exact, even)


def _with_bias(
    found: Thresholds,
    factors: tuple[Integers, Integers],
    mode: Requantization,
    rounding: int,
) -> Fitted:
    """Return the fit of one multiplier, shift and rounding.

    Of the biases that do, the one next to the file's own, in whole numbers below it;
    reckoned in units of 2^cut_bits.
    """
    multiplier, shift = factors
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    odd = np.where(shift > 0, 1, 0)[:, None] * (found.codes % 2)
    by_code: Integers = (found.codes << shift[:, None]) - half[:, None]
    if rounding == HALVES_EVEN:
        by_code = by_code + odd  # the half itself makes the even code of the two
    least, below = found.least, found.least - 1
    factor = multiplier[:, None]
    made, missed = least <= found.highest[:, None], below >= found.lowest[:, None]
    needed = np.where(made, by_code - factor * least, -_LARGEST)
    allowed = np.where(missed, by_code - 1 - factor * below, _LARGEST)
    end, cut = np.int64(1) << (mode.bias_bits - 1), mode.cut_bits
    low = np.maximum(-(-needed.max(axis=1) >> cut), -end)
    high = np.minimum(allowed.min(axis=1) >> cut, end - 1)
    exact = low <= high
    near = np.abs(found.bias - np.rint(found.bias)) <= WHOLE_SUM
    own = np.where(near, np.rint(found.bias), found.bias)
    wished = np.floor(np.ldexp(own * multiplier, -cut))
    wished = np.clip(wished, -end, end - 1).astype(np.int64)
    between = np.clip((low + high) // 2, -end, end - 1)
    return Fitted(
        multiplier=multiplier,
        shift=shift,
        bias=np.where(exact, np.clip(wished, low, high), between) << cut,
        rounding=np.full(len(shift), rounding, dtype=np.int64),
        exact=exact,
    )
