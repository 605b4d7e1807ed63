"""Which power of two should a code stand for? NumPy alone."""

import numpy as np
from numpy.typing import NDArray

from hao.ir.tensor import QType

COVERED_PERCENT = 99.999
"""Share of a map's values that the largest candidate covers; Brevitas' default."""

CANDIDATES = 4
"""Powers of two that are tried: the covering one and the next smaller ones."""

NEARLY = 0.98
"""Part of the largest value that covering codes reach at least: without it, values up
to 1 would take twice the step that 8 bits allow, for 1 / 256 (chosen here)."""

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
