"""Factors of LUTs or flip-flops by part of the engine, fitted to figures of reports.

Model: reported = sum over the parts that a figure covers of factor x predicted. With x
the logarithms of the factors, the fit minimises

    sum of loss( ln reported - ln sum( exp(x_part) x predicted_part ) )  + penalty(x)

within the bounds (`hao.calibration.robust`). A figure of one part fixes that part's
factor; a total moves all, the larger ones more. Parts without a figure keep theirs.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hao.calibration.evidence import PARTS, AreaFigure
from hao.calibration.robust import RIDGE, Reals, loss, shared_weights, slope
from hao.hw.calibration import ONE, scaled

Factors = Mapping[str, int]
"""Factor by part [per mille]."""

NO_FACTORS: Factors = dict.fromkeys(PARTS, ONE)
"""The shipped constants."""


def fit_factors(
    figures: Sequence[AreaFigure], *, limits: tuple[int, int]
) -> dict[str, int]:
    """Return the factor of every part [per mille]; those of no figure are `ONE`.

    Args:
        figures: Of one quantity and one source; none gives the shipped constants.
        limits: Least and largest factor [per mille].
    """
    if not figures:
        return dict(NO_FACTORS)
    predicted = np.array(
        [[dict(f.predicted).get(part, 0) for part in PARTS] for f in figures], float
    )
    reported = np.log([f.reported for f in figures])
    weights = shared_weights([(f.label, f.predicted) for f in figures])

    def objective(x: Reals) -> tuple[float, Reals]:
        shares = predicted * np.exp(x)
        total = shares.sum(axis=1)
        residuals = reported - np.log(total)
        value = float(weights @ loss(residuals)) + 0.5 * RIDGE * float(x @ x)
        towards = -(weights * slope(residuals)) @ (shares / total[:, None])
        return value, towards + RIDGE * x

    low, high = (math.log(limit / ONE) for limit in limits)
    from scipy.optimize import minimize  # here: loading it takes 0.2 s

    found = minimize(
        objective,
        np.zeros(len(PARTS)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(low, high)] * len(PARTS),
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000},
    )
    factors = np.clip(np.round(ONE * np.exp(found.x)).astype(int), *limits)
    return dict(zip(PARTS, factors.tolist(), strict=True))


def predicted_count(figure: AreaFigure, factors: Factors) -> int:
    """Return what a figure should be by some factors."""
    return sum(scaled(count, factors[part]) for part, count in figure.predicted)


def log_error(figure: AreaFigure, factors: Factors) -> float:
    """Return the logarithm of reported over predicted."""
    return math.log(figure.reported / predicted_count(figure, factors))
