"""Words that the synthesis tools take: how wide streams are, how memories are split.

A word that leaves a process on a stream, or a memory, has at most `MAX_WORD_BITS` bits.
Weights of all lanes are read at once, so a buffer whose word would be wider is several
memories of as many lanes each. The words on streams set a limit to what a stage may be:
columns with wider ones are no part of the catalogue, and no such engine is emitted.

All functions take integers or NumPy arrays of them that broadcast.
"""

from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Count = TypeVar("Count", int, Ints)

MAX_WORD_BITS = 4096
"""Bits of the widest word of a stream or a memory.

Source: Vitis HLS refuses wider ones: message HLS 207-2163 ("1 to 4096"), issue 426 of
Xilinx/Vitis-Tutorials for streams.
"""


def memory_parts(lanes: Count, lane_bits: Count) -> Count:
    """Return the fewest memories of equally many lanes whose words are narrow enough.

    One memory a lane where even that is too wide.

    Args:
        lanes: Of a word, at least 1.
        lane_bits: Bits of each.

    Source: derived here; equal to a search over all divisors in
    tests/cost/test_widths.py.
    """
    all_lanes = np.asarray(lanes, dtype=np.int64)
    parts = np.ones(np.broadcast_shapes(all_lanes.shape, np.shape(lane_bits)), np.int64)
    wide = all_lanes * lane_bits > MAX_WORD_BITS
    count = 1
    while wide.any() and count < all_lanes.max():
        count += 1
        splits = wide & (all_lanes % count == 0)
        parts = np.where(splits, count, parts)
        wide &= ~(splits & (all_lanes * lane_bits <= count * MAX_WORD_BITS))
    if isinstance(lanes, int):
        return int(parts)
    return cast(Count, parts)


def pixel_bits(lanes: Count, *, px: int, act_bits: int) -> Count:
    """Return the bits of a word of `lanes` channels of `px` pixels."""
    return lanes * (px * act_bits)


def window_bits(pe: Count, *, kernel: int, span: int, act_bits: int) -> Count:
    """Return the bits of a window that the depthwise stage sends.

    Args:
        pe: Channels.
        kernel: Rows.
        span: Columns: (px - 1) * stride + kernel.
        act_bits: Of an activation.
    """
    return pe * (kernel * span * act_bits)
