"""What a run takes where the weights of the next one load beside it.

A run of several frames (`batch`) takes each of them in a step, with shares of the load
that are not always equal: they are whole output groups, and a layer that is pruned
comes with the first frame. Where a frame takes a cycles by itself and w_i with its
share, the run takes sum_i max(a, w_i). With m at most the least of w_i that is at most

    max( batch * a, sum_i w_i, (batch - 1) * a + sum_i w_i - (batch - 1) * m ),

and as much for two frames, or where at most one share is larger than the others. Every
sum is one number of the run and one of the next: so prices add up in all programs.

Source: derived here; proven in
docs/decisions/0048-uneven-shares-and-first-loads.md, checked against the sum over
random shares in tests/cost/test_pairs.py.
"""

from collections.abc import Sequence

import numpy as np

from hao.cost.memory import Count
from hao.cost.words import Cycles


def besides(
    alone: Count, beside: Count, ddr: Count, arrays: tuple[Count, Count], *, batch: int
) -> list[Count]:
    """Return the cycles of a run to which those of `SegmentPrice.opening` are added.

    Args:
        alone: All frames by themselves.
        beside: What they delay the port that loads.
        ddr: What they take of the DDR.
        arrays: Cycles in which the array of the dense stage stands still
            (`SegmentPrice.standing`), and `SegmentPrice.held` of the pointwise one.
        batch: Frames of a start.
    """
    found: list[Count] = [beside, ddr]
    if batch > 1:
        # Tiles but the last are in all three, and what is added is a frame's: exact.
        found += [((batch - 1) * alone + more) // batch for more in (beside, ddr)]
    standing, held = arrays
    found += [standing, alone + held]
    return found


def paired(
    alone: Cycles, beside: Sequence[Cycles], opening: Sequence[Cycles]
) -> Cycles:
    """Return the cycles of a run beside which the next one's weights load.

    Args:
        alone: All frames by themselves.
        beside: Of `besides`.
        opening: Of the next run, as many.
    """
    longest = alone
    for here, after in zip(beside, opening, strict=True):
        longest = np.maximum(longest, here + after)
    return longest
