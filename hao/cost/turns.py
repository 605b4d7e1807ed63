"""Multipliers of codes that several lanes use in turn.

All sums of a group of output channels are complete in one cycle, and the next ones no
sooner than a sum takes. In these cycles a multiplier makes a code for one lane after
the other.
"""

from collections.abc import Sequence

import numpy as np

from hao.cost.words import Cycles, ceil_divided, dense_folds
from hao.hw.board import Board
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer

MAX_TURNS = 4
"""Most lanes that a multiplier of codes serves.

Source: chosen here: a step ends as many cycles later, and more save little.
"""


def sum_cycles(
    layer: DenseLayer | Depthwise, items: Cycles | int, *, act_bits: int, board: Board
) -> Cycles:
    """Return the cycles from one complete sum to the next.

    Args:
        layer: Of a stage.
        items: Weights of an output channel that the stage uses at once.
        act_bits: Width of the activations.
        board: Sets the beat.
    """
    if isinstance(layer, Depthwise):
        return ceil_divided(layer.kernel**2, items)
    return dense_folds(layer, items, act_bits=act_bits, board=board)


def code_turns(
    layers: Sequence[DenseLayer | DepthwiseLayer],
    *,
    pe: Cycles,
    items: Cycles,
    act_bits: int,
    board: Board,
) -> Cycles | None:
    """Return the lanes that a multiplier of codes can serve in turn.

    The most that divide `pe` and that every layer leaves time for. `None`, as 1, where
    codes take no multiplier or where the stage pools as well.

    Args:
        layers: Of the stages.
        pe: Lanes of each stage.
        items: Weights of an output channel that each stage uses at once.
        act_bits: Width of the activations.
        board: Sets the beat.
    """
    used = [layer for layer in layers if not isinstance(layer, Pool)]
    if len(used) < len(layers) or not any(layer.multiplied for layer in used):
        return None
    turns = np.ones_like(pe)
    fewest = np.minimum.reduce(
        [sum_cycles(layer, items, act_bits=act_bits, board=board) for layer in used]
    )
    for count in range(2, MAX_TURNS + 1):
        turns = np.where((pe % count == 0) & (fewest >= count), count, turns)
    return turns
