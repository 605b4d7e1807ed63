"""Integers of the adds and averages of an imported network.

Adds shift their operands; averages multiply their sums, by 8 bits or more, and shift.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hao.errors import UnsupportedError
from hao.ir.averages import mean_pixels
from hao.ir.integer import (
    ADD_BIAS_BITS,
    DOWN,
    HALVES_EVEN,
    HALVES_ODD,
    HALVES_UP,
    MAX_MEAN_SHIFT,
    MAX_WIDE_MEAN_SHIFT,
    MEAN_BIAS_BITS,
    MEAN_BITS,
    MEAN_GUARD,
    WIDE_MEAN_BITS,
)
from hao.ir.layer import Add, GlobalAveragePool, Padding, Pool
from hao.ir.tensor import MAX_BITS, Rounding
from hao.quant.chain import WHOLE, Chain

SINGLE = 2.0**-24
"""Part of a number that single precision holds; source: IEEE 754-2019, 3.6."""

_WAYS = {
    Rounding.HALF_EVEN: HALVES_EVEN,
    Rounding.HALF_ODD: HALVES_ODD,
    Rounding.FLOOR: DOWN,
    Rounding.HALF_UP: HALVES_UP,
}
"""What right shifts do of what quantizers do."""


def add_shifts(
    layer: Add, chains: Mapping[str, Chain]
) -> tuple[dict[str, NDArray[np.int64]], bool]:
    """Return an add's integers, and whether they are exact.

    Raises:
        UnsupportedError: No shifts do what the file does.
    """
    chain = chains[layer.name]
    operands = [chains[name] for name in layer.inputs]
    steps = [operand.scale for operand in operands]
    zeros = sum(operand.scale * operand.zero for operand in operands)
    gain = chain.uniform_gain(layer.name)
    base = min([*steps, chain.step / gain])
    ratios = np.array([steps[0] / base, steps[1] / base, chain.step / (base * gain)])
    shifts = np.rint(np.log2(ratios))
    if not np.allclose(2.0**shifts, ratios, rtol=WHOLE, atol=0) or shifts.min() < 0:
        raise UnsupportedError(
            f"layer {layer.name!r}: scales {steps[0]:g} and {steps[1]:g}, and "
            f"{chain.step / gain:g} of the sum; handled: ratios that are powers of "
            "two; quantize to such scales, the frame too where the file leaves it open"
        )
    rounding, known = _way(chain)
    integers = {"shifts": shifts.astype(np.int64)}
    # In units of the sum: what is added to codes, less what the operands' zeros are.
    bias = chain.added_codes(layer.name) * 2.0 ** shifts[2] - zeros / base
    whole, cuts = abs(bias - np.rint(bias)) <= WHOLE, shifts[2] > 0
    if not whole:
        # Then no sum is a half, and the part of a unit decides nothing.
        rounding = DOWN if rounding == DOWN else HALVES_UP
    bias = np.rint(bias) if whole else np.floor(bias)
    if abs(bias) >= 2 ** (ADD_BIAS_BITS - 1):
        raise UnsupportedError(
            f"layer {layer.name!r}: zero points far beyond the codes of its sum; "
            "handled: scales of operands and sum that are alike"
        )
    if bias:
        integers["bias"] = np.array([int(bias)])
    if rounding != HALVES_UP and cuts:
        integers["rounding"] = np.array([rounding])
    return integers, bool(whole if not cuts else known or not whole)


def mean_integers(
    layer: Pool | GlobalAveragePool, chains: Mapping[str, Chain]
) -> tuple[dict[str, NDArray[np.int64]], bool]:
    """Return an average's integers, and whether they are exact.

    Raises:
        UnsupportedError: No 8-bit multiplier comes close.
    """
    chain, source = chains[layer.name], chains[layer.input]
    if isinstance(layer, Pool) and layer.padding != Padding():
        check_pads(layer.name, source)
    gain = chain.uniform_gain(layer.name)
    ratio = gain * source.scale / (chain.step * mean_pixels(layer))
    rounding, known = _way(chain)
    power = abs(np.frexp(ratio)[0] - 0.5) <= WHOLE / 2
    bias, whole = _mean_bias(layer, chain, source, ratio)
    if power and ratio < 1 and not whole:
        # As for an add: no sum is a half, and the part of a unit decides nothing.
        rounding = DOWN if rounding == DOWN else HALVES_UP
        known = whole = True
    known = known and whole
    shift = min(MEAN_BITS - 1 - int(np.floor(np.log2(ratio))), MAX_MEAN_SHIFT)
    multiplier = int(np.rint(np.ldexp(ratio, shift)))
    if multiplier == 2**MEAN_BITS:
        multiplier, shift = multiplier // 2, shift - 1
    off = abs(np.ldexp(float(multiplier), -shift) / ratio - 1)
    if 2.0**-MAX_MEAN_SHIFT < ratio < 1 and not power and off > SINGLE:
        largest = mean_pixels(layer) * max(abs(source.low), abs(source.high))
        return _wide_mean(ratio, rounding) | bias, known and largest < 2**MEAN_GUARD
    if shift < 0 or multiplier == 0:
        raise UnsupportedError(
            f"layer {layer.name!r}: {ratio:g} codes per code of the sum; handled: "
            f"2^-{MAX_MEAN_SHIFT} to below 2^{MEAN_BITS}"
        )
    made = _mean_integers(multiplier, shift, rounding)
    return made | bias, bool(off <= WHOLE and known)


def _mean_bias(
    layer: Pool | GlobalAveragePool, chain: Chain, source: Chain, ratio: float
) -> tuple[dict[str, NDArray[np.int64]], bool]:
    """Return what an average adds to sums and codes, and whether that is whole.

    Nothing where the codes of 0.0 cancel; all of it to the sums, the part of a unit
    left out, where halves of their units are no codes.

    Raises:
        UnsupportedError: Too much of it.
    """
    codes = chain.added_codes(layer.name)
    pixels = layer.kernel**2 if isinstance(layer, Pool) else mean_pixels(layer)
    sums = -pixels * source.zero
    # Sums at a border count several times, zeros in the padding included.
    alike = isinstance(layer, GlobalAveragePool) or layer.uncounted == Padding()
    if abs(codes) + abs(sums) == 0 or (alike and abs(codes + sums * ratio) <= WHOLE):
        return {}, True
    whole = [round(sums), round(codes)]
    exact = max(abs(sums - whole[0]), abs(codes - whole[1])) <= WHOLE
    if not exact and alike and ratio < 1 and abs(np.frexp(ratio)[0] - 0.5) <= WHOLE / 2:
        total = sums + codes / ratio
        exact = abs(total - round(total)) <= WHOLE
        whole = [round(total) if exact else int(np.floor(total)), 0]
    if abs(whole[0]) >= 2 ** (MEAN_BIAS_BITS - 1) or abs(whole[1]) >= 2**MAX_BITS:
        raise UnsupportedError(
            f"layer {layer.name!r}: {codes:g} is added to its codes; handled: less "
            f"than {2**MAX_BITS}; put a quantizer between"
        )
    return {"bias": np.array(whole, dtype=np.int64)}, exact


def check_pads(layer: str, source: Chain) -> None:
    """Check that a map that a layer pads has a code for 0.0.

    Raises:
        UnsupportedError: It has none.
    """
    if not source.pads:
        raise UnsupportedError(
            f"layer {layer!r}: pads a map whose zero point is {source.zero:g}, which "
            "is none of its codes; quantize so that 0.0 is one, or pad by nothing"
        )


def _wide_mean(ratio: float, rounding: int) -> dict[str, NDArray[np.int64]]:
    """Return the integers of an average whose ratio is no power of two."""
    shift = WIDE_MEAN_BITS - 1 - int(np.floor(np.log2(ratio)))
    shift = min(shift, MAX_WIDE_MEAN_SHIFT)
    multiplier = min(int(np.rint(np.ldexp(ratio, shift))), 2**WIDE_MEAN_BITS - 1)
    return _mean_integers(multiplier, shift, rounding)


def _mean_integers(
    multiplier: int, shift: int, rounding: int
) -> dict[str, NDArray[np.int64]]:
    integers = {"multiplier": np.array([multiplier]), "shift": np.array([shift])}
    if rounding != HALVES_UP:
        integers["rounding"] = np.array([rounding])
    return integers


def _way(chain: Chain) -> tuple[int, bool]:
    """Return how the hardware rounds for a quantizer, and whether it is the same."""
    way = _WAYS.get(chain.tied)
    return (HALVES_UP, False) if way is None else (way, True)
