"""Into which tiles a layer is cut whose weights exceed the buffer.

A layer whose weights exceed the buffer (one half of it, where the engine double-
buffers) runs in tiles over its output channels. Tiles are cut in units of `tile_unit`
output groups, so that each begins a beat of the OFM; they are as few and as even as can
be in these units. Where not even a unit fits, a linear layer of many inputs is cut
along its reduction as well: each output group is a tile, which runs in *parts* over
words of the input, and the array keeps its sums from one part to the next. Parts begin
a beat of the IFM, and all but the last have equally many words. What tiles cost is
priced in `hao.cost.tiled`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.cost.columns import DenseColumns, Ints, Setting
from hao.cost.memory import input_channels
from hao.cost.words import Cycles, ceil_divided, dense_folds, skips_words
from hao.errors import InputError
from hao.ir.layer import Linear
from hao.ir.partition import DenseLayer
from hao.ir.sparsity import FULL, list_holds, stored_density

SPLIT_TERMS = 4096
"""Inputs above which a linear layer may run in parts.

Source: chosen here. Up to them a word of weights is repeated 256 times for 16
multipliers a lane, which buffers on offer hold; so engines on offer for all other
networks are those without parts.
"""


def tile_unit(pe: Ints, beat: int) -> Ints:
    """Return the output groups that tiles are cut in: the least that are whole beats.

    Args:
        pe: Output channels of a group.
        beat: Channels of a beat.
    """
    unit: Ints = beat // np.gcd(np.int64(beat), pe)
    return unit


def splits(layer: DenseLayer, setting: Setting) -> bool:
    """Return whether a layer may run in parts of its reduction.

    Its output is one pixel, so that the array holds all sums of a group; its weights
    run in one pass and all their words are kept. Of several frames, whose runs of a
    part follow each other, the array would need the sums of each.
    """
    if setting.board.batch > 1:
        return False
    whole = stored_density(layer) == FULL and layer.passes == 1
    return isinstance(layer, Linear) and layer.terms > SPLIT_TERMS and whole


@dataclass(frozen=True, slots=True)
class Tiles:
    """How each column cuts a layer, in output groups and in words of the reduction.

    Attributes:
        count: Tiles.
        group: Groups of a tile but the first `larger` and the last.
        unit: By how much more the first `larger` have.
        larger: How many have a unit more.
        last: Groups of the last tile.
        parts: In which each tile runs; 1 where all words are there at once.
        words: Of a group in every part but the last.
        last_words: In the last part.
        feasible: Whether a unit (or all, if fewer), or a part, fits the buffer, and
            the list of a pruned layer's words names all of them.
    """

    count: Cycles
    group: Cycles
    unit: Cycles
    larger: Cycles
    last: Cycles
    parts: Cycles
    words: Cycles
    last_words: Cycles
    feasible: NDArray[np.bool_]

    @property
    def runs(self) -> Cycles:
        """Return the runs of the engine: parts of all tiles."""
        return self.count * self.parts

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
    held = columns.weight_words // (2 if setting.double_buffered else 1)
    room = held // folds
    least = np.minimum(unit, groups)
    parts, words = np.ones_like(folds), folds
    feasible = room >= least
    if stored_density(layer) < FULL:
        feasible = feasible & _lists_all(layer, columns.simd, setting)
    if splits(layer, setting):
        parts, words = _parts(
            folds, held, tile_unit(columns.simd, setting.tile_channels)
        )
        cut = ~feasible & (least == 1) & (words <= held)
        parts, words = np.where(cut, parts, 1), np.where(cut, words, folds)
        room, feasible = np.where(cut, 1, room), feasible | cut
    units = -(-groups // unit)
    cuts = -(-units // np.maximum(room // unit, 1))
    count = np.where(room >= groups, 1, cuts)
    size, larger = units // count, units % count
    before = (count - 1) * size + larger
    return Tiles(
        count=count,
        group=size * unit,
        unit=unit,
        larger=larger,
        last=groups - before * unit,
        parts=parts,
        words=words,
        last_words=folds - (parts - 1) * words,
        feasible=feasible,
    )


def _lists_all(
    layer: DenseLayer, simd: Ints | int, setting: Setting
) -> NDArray[np.bool_]:
    """Return whether the list of a layer's words, if it has one, can name them all."""
    act_bits, board = setting.act_bits, setting.board
    skips = skips_words(layer, simd, act_bits=act_bits, board=board)
    groups = ceil_divided(input_channels(layer, act_bits, board), simd)
    return ~skips | list_holds(groups, layer)


def least_words(layer: DenseLayer, simd: Ints, pe: Ints, setting: Setting) -> Cycles:
    """Return the words of an output group without which a layer runs on no buffer.

    Args:
        layer: A dense or pointwise layer.
        simd: Multipliers per lane.
        pe: Output channels of a group.
        setting: What all columns share. Of two halves each must hold so many.
    """
    folds = dense_folds(layer, simd, act_bits=setting.act_bits, board=setting.board)
    if not splits(layer, setting):
        return folds
    beat = setting.tile_channels
    alone = np.minimum(tile_unit(pe, beat), -(-layer.ofm.channels // pe)) == 1
    return np.where(alone, np.minimum(tile_unit(simd, beat), folds), folds)


def _parts(folds: Cycles, held: Cycles, unit: Cycles) -> tuple[Cycles, Cycles]:
    """Return the parts of a reduction, and the words of each but the last.

    Args:
        folds: Words of the whole reduction.
        held: Words that the buffer holds.
        unit: The least words that are whole beats of the IFM.
    """
    units = -(-folds // unit)
    fewest = -(-units // np.maximum(held // unit, 1))
    size = -(-units // fewest)
    return -(-units // size), size * unit


@dataclass(frozen=True, slots=True, kw_only=True)
class TileRun:
    """One run of the engine over a tile, or a part of it.

    Attributes:
        groups: Output groups.
        begin: First word of the reduction.
        end: Behind its last word.
        starts: Its sums begin with it.
        ends: Its sums end with it, and it writes them.
    """

    groups: int
    begin: int
    end: int
    starts: bool
    ends: bool


def tile_runs(
    layer: DenseLayer, *, simd: int, pe: int, weight_words: int, setting: Setting
) -> tuple[TileRun, ...]:
    """Return the runs of a layer that runs alone.

    Args:
        layer: A dense or pointwise layer.
        simd: Of its stage, and so are those that follow.
        pe: Output channels of a group.
        weight_words: Depth of the weight buffer, both halves together.
        setting: Width of the activations, board and buffering.

    Raises:
        InputError: The buffer does not hold one unit of tiles, or the list of a pruned
            layer's words does not name all of them.

    Source: docs/engine.md; equal to tiles cut one by one in tests/cost/test_prices.py.
    """
    column = DenseColumns(
        simd=np.array([simd]),
        pe=np.array([pe]),
        weight_words=np.array([weight_words]),
        weight_bits=np.array([8]),
        in_uram=np.array([False]),
    )
    tiles = cut_tiles(layer, column, setting)
    folds = dense_folds(layer, simd, act_bits=setting.act_bits, board=setting.board)
    if not _lists_all(layer, simd, setting).all():
        raise InputError(
            f"layer {layer.name!r}: the list of its words that are kept does not name "
            f"all on {simd} `simd` lanes; needs more of them"
        )
    if not tiles.feasible[0]:
        groups = -(-layer.ofm.channels // pe)
        room = weight_words // (2 if setting.double_buffered else 1) // int(folds)
        unit = int(tiles.unit[0])
        raise InputError(
            f"layer {layer.name!r}: the weight buffer holds {room} output groups; "
            f"must hold {min(unit, groups)}"
        )
    count, larger = int(tiles.count[0]), int(tiles.larger[0])
    parts, words = int(tiles.parts[0]), int(tiles.words[0])
    sizes = [
        int(tiles.group[0]) + int(tiles.unit[0]) * (number < larger)
        for number in range(count - 1)
    ]
    return tuple(
        TileRun(
            groups=groups,
            begin=part * words,
            end=min((part + 1) * words, int(folds)),
            starts=part == 0,
            ends=part == parts - 1,
        )
        for groups in (*sizes, int(tiles.last[0]))
        for part in range(parts)
    )
