"""What is lost between measured points: costs that follow from a few measurements."""

from collections.abc import Sequence

import numpy as np


def cost_between(lost: float, points: Sequence[tuple[float, float]]) -> float:
    """Return what losing so much costs.

    Costs are taken as rising between what was measured, and beyond it as going on as
    the last one does. Negative ones count as none.

    Args:
        lost: In the unit of the points, at least 0.
        points: What was lost, rising from above 0, and what that cost.
    """
    scale = [0.0, *(own for own, _ in points)]
    risen = np.maximum.accumulate([0.0, *(cost for _, cost in points)])
    if lost > scale[-1] > 0:
        return float(risen[-1] * lost / scale[-1])
    return float(np.interp(lost, scale, risen))
