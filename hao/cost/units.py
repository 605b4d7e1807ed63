"""How the loader cuts weights into units, and in how many cycles it makes them.

A beat of the port holds weights of several lanes, which the loader hands to a stage in
*units* of whole lanes (docs/engine.md). It takes in at most a beat a cycle and makes at
most a unit: one of more than a beat lasts as long as its beats, one of less a cycle. A
lane of fewer weights than the stage has multipliers is a unit of its own.
"""

from collections.abc import Sequence

import numpy as np

from hao.cost.columns import Columns, DepthwiseColumns, Setting
from hao.cost.memory import input_channels, record_bytes
from hao.cost.words import (
    Cycles,
    ceil_divided,
    dense_folds,
    index_bytes,
    packed_taps,
)
from hao.hw.board import Board
from hao.ir.layer import Depthwise, Linear
from hao.ir.partition import DenseLayer
from hao.ir.sparsity import FULL, stored_density

_Words = Sequence[tuple[Cycles | int, Cycles | int]]
"""How many words of an output group are alike, and the weights of a lane of them."""


def unit_lanes(
    *, items: Cycles | int, lanes: Cycles | int, bits: int, board: Board
) -> Cycles:
    """Return the lanes that a unit of a layer's weights brings at once.

    Units are as few as can be of the fewest lanes that keep up with a port, which
    delivers a beat a cycle; those of a word are as even as can be.

    Args:
        items: Weights of a lane.
        lanes: Of a word: those of the stage, or the layer's channels if fewer.
        bits: Width of the layer's weights.
        board: Sets the beat.
    """
    most = np.minimum(lanes, ceil_divided(8 * board.port_bytes, items * bits))
    return ceil_divided(lanes, ceil_divided(lanes, most))


def unit_cycles(
    layer: DenseLayer | Depthwise,
    columns: Columns,
    channels: Cycles,
    bits: int,
    setting: Setting,
    *,
    inputs: Cycles | None = None,
) -> Cycles:
    """Return the cycles in which the loader makes the units of a tile's weights.

    Wider weights take at least as many.

    Args:
        layer: Any with weights.
        columns: Configurations.
        channels: Output channels of the tile.
        bits: Width of the weights.
        setting: What all columns share.
        inputs: Weights of an output channel where a part of a reduction is meant.

    Source: docs/engine.md; compared with a walked loader in tests/cost/test_prices.py,
    and with the emitted tables in tests/emission/test_steps.py.
    """
    board, pe = setting.board, columns.pe
    port = 8 * board.port_bytes
    if isinstance(columns, DepthwiseColumns):
        assert isinstance(layer, Depthwise)
        items = columns.taps
        words: _Words = [(ceil_divided(layer.kernel**2, items), items)]
        listed = np.zeros_like(pe)
    else:
        assert not isinstance(layer, Depthwise)
        items, act_bits = columns.simd, setting.act_bits
        words = _dense_words(layer, items, setting, inputs)
        listed = index_bytes(
            layer, channels, simd=items, pe=pe, act_bits=act_bits, board=board
        )
    lanes = np.minimum(pe, layer.ofm.channels)
    rows = unit_lanes(items=items, lanes=lanes, bits=bits, board=board)
    groups, record = channels // lanes, 8 * record_bytes(layer)
    left = channels - groups * lanes
    # Records: each group begins a beat.
    records = groups * ceil_divided(lanes * record, port)
    records = records + ceil_divided(left * record, port)
    made = np.zeros_like(pe)
    for number, held in words:
        whole, width = np.where(held == items, rows, 1), held * bits
        made = made + number * (
            groups * _word_bits(lanes, whole, width, port)
            + _least_bits(left, whole, width, port)
        )
    return ceil_divided(made, port) + records + listed // board.port_bytes


def _dense_words(
    layer: DenseLayer, simd: Cycles, setting: Setting, inputs: Cycles | None
) -> _Words:
    """Return the words of an output group; arguments as in `unit_cycles`."""
    act_bits, board = setting.act_bits, setting.board
    stored = input_channels(layer, act_bits, board)
    depth: Cycles | int = stored if inputs is None else inputs
    kernel = 1 if isinstance(layer, Linear) else layer.kernel
    taps, inner = kernel**2 * layer.passes, depth // simd
    together = packed_taps(layer, simd, stored)
    packed = together > 1
    if stored_density(layer) < FULL:
        kept = dense_folds(layer, simd, act_bits=act_bits, board=board)
        words = [(kept * ~packed, simd)]
    else:
        words = [(taps * inner * ~packed, simd), (taps * ~packed, depth - inner * simd)]
    if packed.any():
        # The last word of a group has what is left, of several passes filled up.
        folds = ceil_divided(kernel**2, together)
        end = kernel**2 - (folds - 1) * together if layer.passes == 1 else together
        last = folds * layer.passes - 1
        words += [(packed * last, together * stored), (packed * 1, end * stored)]
    return words


def _word_bits(
    lanes: Cycles, rows: Cycles, lane_bits: Cycles | int, port: int
) -> Cycles:
    """Return a word's cycles in the loader, times the bits of a beat, on average.

    Words begin anywhere in a beat, at multiples of the largest power of two that
    divides both. From there units of a beat and more take the beats that they reach
    into; what is left of a word, less than a beat, takes a cycle.

    Args:
        lanes: Of the word.
        rows: Lanes of a unit.
        lane_bits: Bits of a lane, 0 where there is no such word.
        port: Bits of a beat.
    """
    full = lanes // rows
    word = lanes * lane_bits
    grain = np.maximum(np.minimum(word & -word, port), 1)
    units = ceil_divided(full * rows * lane_bits, grain) * grain
    units = np.where(rows * lane_bits < port, full * port, units)
    return np.where(lane_bits, units + (lanes % rows > 0) * port, 0)


def _least_bits(
    lanes: Cycles, rows: Cycles, lane_bits: Cycles | int, port: int
) -> Cycles:
    """Return the same at least: where `lanes` are fewer than `rows` are made for.

    Wider weights could take less otherwise, as they have other units. It is below the
    mean by at most half a cycle a word (tested).
    """
    word = lanes * lane_bits
    return np.where(lane_bits, np.maximum(word, ceil_divided(lanes, rows) * port), 0)
