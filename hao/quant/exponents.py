"""What should a code stand for: which power of two, or which number? NumPy alone."""

import numpy as np
from numpy.typing import NDArray

from hao.ir.integer import MULTIPLIER_BITS
from hao.ir.tensor import QType

COVERED_PERCENT = 99.999
"""Share of a map's values that the largest candidate covers; Brevitas' default."""

CANDIDATES = 4
"""Powers of two that are tried: the covering one and the next smaller ones."""

NEARLY = 0.98
"""Part of the largest value that covering codes reach at least: without it, values up
to 1 would take twice the step that 8 bits allow, for 1 / 256 (chosen here)."""

STEPS = np.geomspace(1.0, 0.25, 49)
"""Parts of the covering step that are tried where any number will do: 3 % apart, down
to a quarter. Chosen here: so much is cut of normal weights at 2 bits."""

SMALLEST_EXPONENT = -40
"""For a map or a channel of zeros, which any exponent would do."""


def covering_exponent(
    values: NDArray[np.floating],
    quant: QType,
    *,
    covered: float = COVERED_PERCENT,
    highest: int | None = None,
    part: float = NEARLY,
) -> int:
    """Return the smallest exponent at which the codes cover values.

    Args:
        values: Any shape.
        quant: The integer type.
        covered: Percent of the magnitudes that are to be covered.
        highest: The exponent is no larger; any if `None`.
        part: Of the largest such magnitude that codes reach at least.
    """
    threshold = part * float(np.percentile(np.abs(values), covered))
    if threshold == 0:
        return SMALLEST_EXPONENT
    covering = int(np.ceil(np.log2(threshold / quant.highest)))
    covering = max(covering, SMALLEST_EXPONENT + CANDIDATES)
    return covering if highest is None else min(covering, highest)


def best_exponent(
    values: NDArray[np.floating],
    quant: QType,
    *,
    covered: float = COVERED_PERCENT,
    highest: int | None = None,
) -> int:
    """Return the exponent with the least squared error, the larger one if equal.

    Args:
        values: Any shape.
        quant: The integer type.
        covered: Percent of the magnitudes that the largest candidate represents.
        highest: No candidate is larger; any if `None`.
    """
    covering = covering_exponent(
        values, quant, covered=covered, highest=highest, part=1
    )
    if covering == SMALLEST_EXPONENT:
        return covering
    best, least = covering, np.inf
    for exponent in range(covering, covering - CANDIDATES, -1):
        step = np.ldexp(1.0, exponent)
        codes = np.clip(np.floor(values / step + 0.5), quant.lowest, quant.highest)
        error = float(np.square(codes * step - values).sum())
        if error < least:
            best, least = exponent, error
    return best


def best_steps(rows: NDArray[np.floating], quant: QType) -> NDArray[np.float64]:
    """Return the step of every row with the least squared error, of `STEPS` tried.

    Args:
        rows: Weights, shape (ofm_channels, terms).
        quant: The integer type.

    Returns:
        Shape (ofm_channels,), above 0.
    """
    largest = np.abs(rows).max(axis=1).astype(np.float64)
    covering = np.where(
        largest > 0, largest / quant.highest, np.ldexp(1.0, SMALLEST_EXPONENT)
    )
    best: NDArray[np.float64] = covering
    least = np.full(len(rows), np.inf)
    for part in STEPS:
        step = (part * covering)[:, None]
        codes = np.clip(np.floor(rows / step + 0.5), quant.lowest, quant.highest)
        error = np.square(codes * step - rows).sum(axis=1)
        best = np.where(error < least, step[:, 0], best)
        least = np.minimum(error, least)
    return best


def as_multipliers(
    steps: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the multipliers and exponents that come closest to steps.

    Args:
        steps: Above 0.

    Returns:
        m of all bits that a positive multiplier has (2^16 to 2^17 - 1), and e, such
        that m * 2^e is within 2^-17 of a step.
    """
    bits = MULTIPLIER_BITS - 1
    mantissas, exponents = np.frexp(steps)
    multipliers = np.rint(np.ldexp(mantissas, bits)).astype(np.int64)
    # Rounded up to the next power of two, a multiplier would need one bit more.
    full = multipliers == 2**bits
    multipliers = np.where(full, 2 ** (bits - 1), multipliers)
    return multipliers, exponents.astype(np.int64) - bits + full
