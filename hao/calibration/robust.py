"""How a fit weighs evidence against the shipped constants: the same for all constants.

A residual is the logarithm of reported over predicted, so that twice and half as much
weigh the same. Up to `HUBER` its loss is quadratic, beyond it linear: one report that
is far off counts as one that is off by `HUBER`. The constants are held to the shipped
ones as by `RIDGE` reports that agree with these; n reports that agree on another value
move a constant by n / (n + RIDGE) of the way.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

HUBER = 0.15
"""Residual from which on loss is linear [natural logarithm].

Source: docs/area.md gives every figure as +-15 %.
"""

RIDGE = 0.5
"""Reports that the shipped constants weigh as much as. Source: chosen here: two reports
that agree move a constant by four fifths of the way, a single one by a third at most
(tests/calibration/test_area_fit.py)."""


def loss(residuals: Reals) -> Reals:
    """Return the Huber loss of each residual."""
    size = np.abs(residuals)
    result: Reals = np.where(size <= HUBER, 0.5 * size**2, HUBER * (size - 0.5 * HUBER))
    return result


def slope(residuals: Reals) -> Reals:
    """Return the derivative of `loss`."""
    return np.clip(residuals, -HUBER, HUBER)


def penalty(shift: float) -> float:
    """Return what it costs to move a constant so far from the shipped one."""
    return 0.5 * RIDGE * shift**2


def shared_weights(keys: Sequence[Hashable]) -> Reals:
    """Return a weight for each figure, so that those of one key weigh 1 together.

    Two reports of the same design are not twice the evidence.
    """
    counts = [keys.count(key) for key in keys]
    return np.array([1 / count for count in counts], dtype=np.float64)


def as_percent(mean_log_error: float) -> float:
    """Return a mean absolute logarithm of ratios as a percentage."""
    return 100 * math.expm1(mean_log_error)
