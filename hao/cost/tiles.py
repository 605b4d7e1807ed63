"""Into which tiles a layer is cut whose weights exceed the buffer.

A layer whose weights exceed the buffer (one half of it, where the engine double-
buffers) runs in tiles over its output channels. Tiles are cut in units of `tile_unit`
output groups, so that each begins a beat of the OFM; they are as few and as even as can
be in these units. What they cost is priced in `hao.cost.prices`.
"""

from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from hao.cost.columns import DenseColumns, Ints, Setting
from hao.cost.words import Cycles, dense_folds
from hao.errors import InputError
from hao.ir.partition import DenseLayer


def tile_unit(pe: Ints, beat: int) -> Ints:
    """Return the output groups that tiles are cut in: the least that are whole beats.

    Args:
        pe: Output channels of a group.
        beat: Channels of a beat.
    """
    unit: Ints = beat // np.gcd(np.int64(beat), pe)
    return unit


@dataclass(frozen=True, slots=True)
class Tiles:
    """How each column cuts a layer, in output groups.

    Attributes:
        count: Tiles.
        group: Groups of a tile but the first `larger` and the last.
        unit: By how much more the first `larger` have.
        larger: How many have a unit more.
        last: Groups of the last tile.
        feasible: Whether a unit (or all, if fewer) fits the buffer.
    """

    count: Cycles
    group: Cycles
    unit: Cycles
    larger: Cycles
    last: Cycles
    feasible: NDArray[np.bool_]

    @property
    def equal(self) -> Cycles:
        """Return how many tiles have `group` groups, the last one apart."""
        return self.count - 1 - self.larger

    @property
    def before(self) -> Cycles:
        """Return the groups of all tiles but the last."""
        return self.larger * self.unit + (self.count - 1) * self.group

    @property
    def first(self) -> Cycles:
        """Return the groups of the first tile."""
        sizes = self.group + (self.larger > 0) * self.unit
        result: Cycles = np.where(self.count > 1, sizes, self.last)
        return result


def cut_tiles(layer: DenseLayer, columns: DenseColumns, setting: Setting) -> Tiles:
    """Return the tiles: as few and as even as can be, larger ones first."""
    board, act_bits = setting.board, setting.act_bits
    folds = dense_folds(layer, columns.simd, act_bits=act_bits, board=board)
    groups = -(-layer.ofm.channels // columns.pe)
    unit = tile_unit(columns.pe, setting.tile_channels)
    room = columns.weight_words // (2 if setting.double_buffered else 1) // folds
    units = -(-groups // unit)
    cut = -(-units // np.maximum(room // unit, 1))
    count = np.where(room >= groups, 1, cut)
    size, larger = units // count, units % count
    before = (count - 1) * size + larger
    return Tiles(
        count=count,
        group=size * unit,
        unit=unit,
        larger=larger,
        last=groups - before * unit,
        feasible=room >= np.minimum(unit, groups),
    )


def tile_groups(
    layer: DenseLayer, *, simd: int, pe: int, weight_words: int, setting: Setting
) -> tuple[int, ...]:
    """Return the output groups of every tile of a layer that runs alone.

    Args:
        layer: A dense or pointwise layer.
        simd: Of its stage, and so are those that follow.
        pe: Output channels of a group.
        weight_words: Depth of the weight buffer, both halves together.
        setting: Width of the activations, board and buffering.

    Raises:
        InputError: The buffer does not hold one unit of tiles.

    Source: docs/engine.md; equal to the priced tiles in tests/cost/test_prices.py.
    """
    board, act_bits = setting.board, setting.act_bits
    folds = int(dense_folds(layer, simd, act_bits=act_bits, board=board))
    groups = -(-layer.ofm.channels // pe)
    unit = setting.tile_channels // gcd(setting.tile_channels, pe)
    room = weight_words // (2 if setting.double_buffered else 1) // folds
    if room >= groups:
        return (groups,)
    if room < unit:
        raise InputError(
            f"layer {layer.name!r}: the weight buffer holds {room} output groups; "
            f"must hold {min(unit, groups)}"
        )
    units = -(-groups // unit)
    tiles = -(-units // (room // unit))
    sizes = [unit * (units // tiles + (i < units % tiles)) for i in range(tiles)]
    return (*sizes[:-1], groups - sum(sizes[:-1]))
