"""Block RAM, URAM, or LUTs used as memory, that one on-chip memory takes.

A memory has one write and one read port, `width_bits` bits a word and `depth` words.
A block RAM half (18 Kb) offers the aspect ratios of `ASPECTS`; a memory is a grid of
equal halves, and the cheapest grid counts. Shallow memories go to LUTs instead, by the
one rule `uses_lutram`, which the templates state as a storage binding so that the tools
have no choice. Where a device has URAM (288 Kb, 72 bits wide), a buffer of weights may
be there, which the program chooses. Every function takes ints, or NumPy arrays of them
that broadcast.

Sources: aspect ratios UG573 "Simple Dual-Port Block RAM" (UltraScale+; UG473 for the
7 series, the same in 18 Kb halves); counts equal yosys 0.23 in all 77 memories of
data/bram_yosys.csv that it placed in block RAM (tests/cost/test_bram.py).
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hao.hw.resources import Resources

IntArray = NDArray[np.int64]
Count = TypeVar("Count", int, IntArray)

# (bits of a word, words) of a block RAM half in simple dual-port mode.
# Source: UG573, UG473.
ASPECTS = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))

URAM_BITS = 72
"""Bits of a word of a URAM block. Source: UG573, "UltraRAM Resources"."""

URAM_WORDS = 4096
"""Words of a URAM block. Source: likewise."""

# A LUT holds 64 bits, and eight LUTs that share a write port give seven 64-word
# columns (RAM64M8) or fourteen 32-word ones (RAM32M16).
# Source: UG574, "Distributed RAM".
_GROUP_LUTS = 8
_COLUMNS_OF_64 = 7
_COLUMNS_OF_32 = 14

# Deepest memory that is bound to LUTs: beyond 64 words every output bit also needs a
# read multiplexer and the block RAM half is the cheaper. Source: data/bram_yosys.csv,
# where yosys changes over at the same depth for words of 32 bits and more.
LUTRAM_MAX_DEPTH = 64


def _ceil_div(numerator: Count, denominator: int) -> Count:
    return -(-numerator // denominator)


def _smaller(left: Count, right: Count) -> Count:
    """Return the smaller of two counts, element by element for arrays."""
    if isinstance(left, int) and isinstance(right, int):
        return min(left, right)
    return np.minimum(left, right)


def bram18(width_bits: Count, depth: Count) -> Count:
    """Return the block RAM halves of a memory with one write and one read port.

    Args:
        width_bits: Bits of a word, at least 0.
        depth: Words, at least 0.

    Source: smallest grid over `ASPECTS`; data/bram_yosys.csv.
    """
    best = _ceil_div(width_bits, ASPECTS[0][0]) * _ceil_div(depth, ASPECTS[0][1])
    for bits, words in ASPECTS[1:]:
        best = _smaller(best, _ceil_div(width_bits, bits) * _ceil_div(depth, words))
    return best


def uram(width_bits: Count, depth: Count) -> Count:
    """Return the URAM blocks of a memory with one write and one read port.

    Args:
        width_bits: Bits of a word, at least 0.
        depth: Words, at least 0.

    Source: UG573, "UltraRAM Resources": each block is 4,096 words of 72 bits and has
    no other aspect ratio.
    """
    return _ceil_div(width_bits, URAM_BITS) * _ceil_div(depth, URAM_WORDS)


def over(value: Count, limit: Count | int) -> Count:
    """Return 1 where `value` exceeds `limit`, else 0."""
    if isinstance(value, int):
        return int(value > limit)
    return np.greater(value, limit).astype(np.int64)


def uses_lutram(depth: Count) -> Count:
    """Return 1 if a memory of `depth` words is bound to LUTs, else 0."""
    return 1 - over(depth, LUTRAM_MAX_DEPTH)


def lutram_lut(width_bits: Count, depth: Count) -> Count:
    """Return the LUTs of a memory kept in LUTs; `depth` at most `LUTRAM_MAX_DEPTH`.

    Source: UG574, RAM32M16 and RAM64M8; within one group of the cell counts of
    data/bram_yosys.csv (tests/cost/test_bram.py).
    """
    deep = over(depth, 32)
    any_word = over(depth, 0)
    groups = deep * _ceil_div(width_bits, _COLUMNS_OF_64) + (1 - deep) * _ceil_div(
        width_bits, _COLUMNS_OF_32
    )
    return groups * _GROUP_LUTS * any_word


def memory_bram18(width_bits: Count, depth: Count) -> Count:
    """Return the block RAM halves of a memory; 0 if it is bound to LUTs."""
    return bram18(width_bits, depth) * (1 - uses_lutram(depth))


def memory_lut(width_bits: Count, depth: Count) -> Count:
    """Return the LUTs of a memory; 0 if it goes to block RAM."""
    shallow = uses_lutram(depth)
    return lutram_lut(width_bits, depth * shallow)


def memory_ff(width_bits: Count, depth: Count) -> Count:
    """Return the flip-flops of a memory: the output register of one kept in LUTs."""
    return width_bits * uses_lutram(depth) * over(depth, 0)


def memory(width_bits: int, depth: int) -> Resources:
    """Return what one memory takes, wherever the rule puts it.

    Args:
        width_bits: Bits of a word, at least 0.
        depth: Words, at least 0; none cost nothing.
    """
    return Resources(
        bram_18k=memory_bram18(width_bits, depth),
        lut=memory_lut(width_bits, depth),
        ff=memory_ff(width_bits, depth),
    )
