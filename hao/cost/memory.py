"""Bytes that feature maps and weights take in DDR, and the cycles to move them.

Layout in DDR. A feature map is stored row by row; within a row, the channels of a
pixel are padded to a multiple of `CHANNEL_UNIT`, and each row to whole beats of the
port. Weights are packed at their own width, without padding but for the last beat.

Feature map in, feature map out, residual and weights each have an AXI port of their
own; together they share the DDR. Each port moves one beat per cycle at most, in
bursts of whole rows; the DDR moves what the board file says that accelerators reach.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hao.hw.board import Board
from hao.ir.tensor import Shape

Count = TypeVar("Count", int, NDArray[np.int64])
"""A count, or an array with one count per configuration; formulas serve both."""

CHANNEL_UNIT = 4
"""Channels are padded to this multiple in DDR, so that an RGB pixel is one word.

Source: chosen here; every other network of the zoo has multiples of 4.
"""


def _up(value: Count, multiple: int) -> Count:
    """Return the smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def row_bytes(channels: Count, width: int, act_bits: int, board: Board) -> Count:
    """Return the bytes of one row of a feature map in DDR, in whole beats [bytes]."""
    bits = _up(channels, CHANNEL_UNIT) * (width * act_bits)
    return _up(-(-bits // 8), board.port_bytes)


def feature_bytes(shape: Shape, act_bits: int, board: Board) -> int:
    """Return the bytes of a whole feature map in DDR [bytes]."""
    return shape.height * row_bytes(shape.channels, shape.width, act_bits, board)


def tile_bytes(channels: Count, shape: Shape, act_bits: int, board: Board) -> Count:
    """Return the bytes of `channels` channels of a feature map in DDR [bytes]."""
    return row_bytes(channels, shape.width, act_bits, board) * shape.height


def weight_bytes(weights: Count, weight_bits: int, board: Board) -> Count:
    """Return the bytes of packed weights in DDR, in whole beats [bytes]."""
    return _up(-(-weights * weight_bits // 8), board.port_bytes)


def port_cycles(moved_bytes: Count, board: Board) -> Count:
    """Return the engine's cycles in which one AXI port moves so many bytes.

    A port slower than the engine's clock stretches the transfer.
    """
    beats = -(-moved_bytes // board.port_bytes)
    if board.clock_khz <= board.port_max_khz:
        return beats
    return -(-beats * board.clock_khz // board.port_max_khz)


def ddr_cycles(moved_bytes: Count, board: Board) -> Count:
    """Return the engine's cycles in which the DDR moves so many bytes."""
    return -(-moved_bytes * board.clock_khz // board.ddr_kbytes_per_s)
