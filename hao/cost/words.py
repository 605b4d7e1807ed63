"""Words of weights of a dense or pointwise stage: how many, which, and their bytes.

A word holds the weights of `pe` output channels and `simd` inputs: channels of one tap,
or, where several pixels' channels fit, packed taps. It takes the array one cycle.

All functions take Python integers or NumPy integer arrays of stage configurations
alike, and are exact in both.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from hao.cost.memory import (
    input_channels,
    record_bytes,
    weight_bytes,
    weight_terms,
)
from hao.hw.board import Board
from hao.ir.layer import Linear
from hao.ir.partition import DenseLayer
from hao.ir.sparsity import FULL, kept_words, stored_density

Cycles = NDArray[np.int64]
"""One count per stage configuration, or an array of shape () for a single one."""

INDEX_BYTES = 2
"""Of the place of a word that is kept. Source: docs/engine.md."""


def ceil_divided(a: Cycles | int, b: Cycles | int) -> Cycles:
    """Return the elementwise ceiling of a / b."""
    return cast(Cycles, -(-np.asarray(a, dtype=np.int64) // b))


def packed_taps(layer: DenseLayer, simd: Cycles | int, channels: int) -> Cycles:
    """Return the kernel columns in a word of the ring; 1 where none are packed.

    Args:
        layer: A dense layer.
        simd: Multipliers per lane.
        channels: Of `hao.cost.memory.input_channels`.
    """
    if isinstance(layer, Linear) or layer.kernel == 1:
        return np.ones_like(np.asarray(simd, dtype=np.int64))
    return np.maximum(1, np.asarray(simd, dtype=np.int64) // channels)


def dense_folds(
    layer: DenseLayer, simd: Cycles | int, *, act_bits: int, board: Board
) -> Cycles:
    """Return the iterations that sum one output value on `simd` multipliers.

    Channels come in words of `simd`; where a word holds several pixels' channels,
    taps are packed with channels. Every pass of the weights takes as many. Of a pruned
    layer the words that are kept count.

    Source: docs/engine.md; equal to a counted loop nest in tests/cost/test_latency.py.
    """
    channels = input_channels(layer, act_bits, board)
    kernel = 1 if isinstance(layer, Linear) else layer.kernel
    taps = packed_taps(layer, simd, channels)
    words = ceil_divided(kernel**2, taps) * ceil_divided(channels, simd)
    density = stored_density(layer)
    if density < FULL:
        words = np.where(taps > 1, words, kept_words(words, density))
    return words * layer.passes


def skips_words(
    layer: DenseLayer, simd: Cycles | int, *, act_bits: int, board: Board
) -> NDArray[np.bool_]:
    """Return whether a stage keeps a list of a layer's words, and skips the others."""
    channels = input_channels(layer, act_bits, board)
    unpacked = packed_taps(layer, simd, channels) == 1
    listed: NDArray[np.bool_] = unpacked & (stored_density(layer) < FULL)
    return listed


def index_bytes(
    layer: DenseLayer,
    channels: Cycles | int,
    *,
    simd: Cycles | int,
    pe: Cycles | int,
    act_bits: int,
    board: Board,
) -> Cycles:
    """Return the bytes of the list of words that are kept, in whole beats [bytes].

    Args:
        layer: A dense or pointwise layer; 0 for one whose words are all kept.
        channels: Output channels of the tile, or of the layer.
        simd: Multipliers per lane.
        pe: Output channels of a word.
        act_bits: Width of the activations.
        board: Sets the beat.
    """
    folds = dense_folds(layer, simd, act_bits=act_bits, board=board)
    beats = ceil_divided(
        ceil_divided(channels, pe) * folds * INDEX_BYTES, board.port_bytes
    )
    listed = skips_words(layer, simd, act_bits=act_bits, board=board)
    return beats * board.port_bytes * listed


def list_words(weight_words: Cycles, board: Board) -> Cycles:
    """Return the depth of the memory of a stage's lists [beats]: two halves.

    A word of weights has one place in a list, so that each half of the lists serves a
    half of the weight buffer.
    """
    return 2 * ceil_divided(weight_words * INDEX_BYTES, 2 * board.port_bytes)


def stage_bytes(
    layer: DenseLayer,
    channels: Cycles | int,
    weight_bits: int,
    *,
    simd: Cycles | int,
    pe: Cycles | int,
    act_bits: int,
    board: Board,
    inputs: Cycles | None = None,
) -> Cycles:
    """Return the bytes of records, weights and list of a layer or a tile [bytes].

    Words that are kept are stored whole: with zeros for inputs beyond the last one.

    Args:
        layer: A dense or pointwise layer.
        channels: Output channels of the tile, or of the layer.
        weight_bits: Of a weight, or of a digit where weights run in two passes.
        simd: Multipliers per lane.
        pe: Output channels of a word.
        act_bits: Width of the activations.
        board: Sets the beat.
        inputs: Weights of an output channel where a part of a reduction is meant.
    """
    terms: Cycles = np.asarray(weight_terms(layer, act_bits, board))
    if inputs is not None:
        terms = inputs
    if stored_density(layer) < FULL:
        folds = dense_folds(layer, simd, act_bits=act_bits, board=board)
        listed = skips_words(layer, simd, act_bits=act_bits, board=board)
        terms = np.where(listed, folds * simd, terms)
    record = record_bytes(layer)
    moved = weight_bytes(np.asarray(channels), terms, weight_bits, board, record=record)
    return moved + index_bytes(
        layer, channels, simd=simd, pe=pe, act_bits=act_bits, board=board
    )
