"""What every stage configuration makes a segment cost, for whole arrays of them.

A *column* is one configuration of one stage. `DenseColumns` and `DepthwiseColumns`
hold many; a design is the case of one column per stage. `price_segment` returns the
cycles of a segment as rows that are linear in the choice of columns, so that the
report (`hao.cost.evaluate`), the local search and the integer program use the same
numbers.

Period of a segment: what passes from its start to the start of the next one.

    tiles - 1 times    max(paths of a tile, its weights, its DDR traffic)
    plus, at the end   max(paths of the last tile, weights that the next segment opens
                           with, DDR traffic of both)

A layer whose weights exceed the buffer (one half of it, where the engine double-
buffers) runs in `tiles` over its output channels, as few and as even as can be, each
reading the IFM anew. Even tiles make a segment never slower in a deeper buffer
(tested), though the one before it then has more weights to load. Only a segment of a
single stage is tiled; a fused one needs all its weights at once. Without double
buffering the weights of a segment load before it starts, and nothing overlaps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.cost.latency import (
    Cycles,
    Path,
    StageTimes,
    Transfers,
    dense_folds,
    dense_times,
    depthwise_times,
    paths,
    pointwise_times,
)
from hao.cost.memory import (
    ddr_cycles,
    feature_bytes,
    port_cycles,
    tile_bytes,
    weight_bytes,
)
from hao.hw.board import Board
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer, Invocation, Role
from hao.ir.tensor import Shape

Ints = NDArray[np.int64]
Scheme = Mapping[str, int]
"""Weight bits by layer name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseColumns:
    """Configurations of a dense or pointwise stage, arrays of one length."""

    simd: Ints
    pe: Ints
    weight_words: Ints
    weight_bits: Ints

    def __len__(self) -> int:
        return int(self.simd.size)

    def take(self, index: Ints) -> "DenseColumns":
        """Return the columns at `index`."""
        return DenseColumns(
            simd=self.simd[index],
            pe=self.pe[index],
            weight_words=self.weight_words[index],
            weight_bits=self.weight_bits[index],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthwiseColumns:
    """Configurations of the depthwise stage, arrays of one length."""

    pe: Ints
    taps: Ints
    weight_bits: Ints

    def __len__(self) -> int:
        return int(self.pe.size)

    def take(self, index: Ints) -> "DepthwiseColumns":
        """Return the columns at `index`."""
        return DepthwiseColumns(
            pe=self.pe[index],
            taps=self.taps[index],
            weight_bits=self.weight_bits[index],
        )


Columns = DenseColumns | DepthwiseColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all columns of a comparison share.

    Attributes:
        board: Clock, ports and DDR.
        px: Pixels at once.
        act_bits: Width of the activations.
        double_buffered: Weights of the next segment load while one computes.
    """

    board: Board
    px: int
    act_bits: int
    double_buffered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPrice:
    """Cycles of one segment as rows over the columns of its stages.

    Attributes:
        paths: Rows of the whole computation, all tiles included.
        tiled: Cycles of all tiles but the last, per column of the one stage that may
            be tiled; to be added to what the next segment's weights need.
        ddr: Cycles of the last tile's feature maps on the DDR, as a row (`tiled`
            included); the next segment's weights come on top.
        opening: Cycles in which the weight port loads what must be there before the
            segment starts: all weights, or those of the first tile.
        opening_ddr: The same for the DDR.
        tiles: Tiles per column of the stage that may be tiled.
        feasible: Columns with enough buffer, per stage.
    """

    paths: tuple[Path, ...]
    tiled: dict[Role, Cycles]
    ddr: Path
    opening: Path
    opening_ddr: Path
    tiles: dict[Role, Cycles]
    feasible: dict[Role, NDArray[np.bool_]]


def load_cycles(invocation: Invocation, scheme: Scheme, setting: Setting) -> int:
    """Return the cycles in which the weight port loads an invocation's weights."""
    return sum(
        port_cycles(layer_bytes(layer, scheme, setting.board), setting.board)
        for _, layer in invocation.stages
    )


def load_ddr_cycles(invocation: Invocation, scheme: Scheme, setting: Setting) -> int:
    """Return the cycles in which the DDR delivers an invocation's weights."""
    return sum(
        ddr_cycles(layer_bytes(layer, scheme, setting.board), setting.board)
        for _, layer in invocation.stages
    )


def layer_bytes(
    layer: DenseLayer | DepthwiseLayer, scheme: Scheme, board: Board
) -> int:
    """Return the bytes of a layer's packed weights; none for a pool."""
    if isinstance(layer, Pool):
        return 0
    return weight_bytes(layer.weights, scheme[layer.name], board)


def _tile_folds(
    layer: DenseLayer, columns: DenseColumns, setting: Setting
) -> tuple[Cycles, Cycles, Cycles, NDArray[np.bool_]]:
    """Return tiles, output folds, how many tiles hold one more, and feasibility.

    Tiles are as few and as even as can be: the folds that are left over after the
    division go to the first tiles, one each.
    """
    folds = dense_folds(layer, columns.simd)
    folds_out = -(-layer.ofm.channels // columns.pe)
    half = columns.weight_words // (2 if setting.double_buffered else 1)
    room = half // folds
    feasible = room >= 1
    tiles = -(-folds_out // np.maximum(room, 1))
    return tiles, folds_out // tiles, folds_out % tiles, feasible


def price_segment(
    invocation: Invocation,
    columns: Mapping[Role, Columns],
    scheme: Scheme,
    setting: Setting,
) -> SegmentPrice:
    """Return what each column makes the segment cost.

    Args:
        invocation: What runs.
        columns: Configurations of every stage that the invocation uses.
        scheme: Weight bits by layer; they set the transfer of tiled weights.
        setting: What all columns share.
    """
    stages = invocation.stages
    if len(stages) == 1 and stages[0][0] is not Role.DEPTHWISE:
        role, layer = stages[0]
        assert not isinstance(layer, Depthwise | Pool)
        chosen = columns[role]
        assert isinstance(chosen, DenseColumns)
        return _price_tiled(invocation, role, layer, chosen, scheme, setting)
    times: dict[Role, StageTimes] = {}
    feasible: dict[Role, NDArray[np.bool_]] = {}
    for index, (role, layer) in enumerate(stages):
        chosen = columns[role]
        if isinstance(chosen, DepthwiseColumns):
            assert isinstance(layer, Depthwise | Pool)
            times[role] = depthwise_times(
                layer,
                pe=chosen.pe,
                taps=chosen.taps,
                px=setting.px,
                first=index == 0,
                act_bits=setting.act_bits,
                board=setting.board,
            )
            feasible[role] = np.ones(len(chosen), dtype=np.bool_)
            continue
        assert not isinstance(layer, Depthwise | Pool)
        tiles, folds, _, fits = _tile_folds(layer, chosen, setting)
        stage_times = dense_times if role is Role.DENSE else pointwise_times
        times[role] = stage_times(
            layer,
            simd=chosen.simd,
            px=setting.px,
            folds_out=folds,
            first=index == 0,
            act_bits=setting.act_bits,
            board=setting.board,
        )
        feasible[role] = fits & (tiles == 1)
    transfers = Transfers(
        ifm=_moved(invocation.ifm, setting),
        ofm=_moved(invocation.ofm, setting),
        residual=_moved(invocation.stage_ofm, setting) if invocation.residual else 0,
    )
    moved = ddr_cycles(_feature_traffic(invocation, setting), setting.board)
    return SegmentPrice(
        paths=paths(invocation, times, transfers),
        tiled={},
        ddr=Path("ddr", moved, {}),
        opening=Path("weights", load_cycles(invocation, scheme, setting), {}),
        opening_ddr=Path("weights", load_ddr_cycles(invocation, scheme, setting), {}),
        tiles={},
        feasible=feasible,
    )


def _moved(shape: Shape, setting: Setting) -> int:
    """Return the cycles in which a port moves a feature map."""
    moved = feature_bytes(shape, setting.act_bits, setting.board)
    return port_cycles(moved, setting.board)


def _feature_traffic(invocation: Invocation, setting: Setting) -> int:
    """Return the bytes of the feature maps read and written by one invocation."""
    moved = feature_bytes(invocation.ifm, setting.act_bits, setting.board)
    moved += feature_bytes(invocation.ofm, setting.act_bits, setting.board)
    if invocation.residual:
        moved += feature_bytes(invocation.stage_ofm, setting.act_bits, setting.board)
    return moved


def _price_tiled(
    invocation: Invocation,
    role: Role,
    layer: DenseLayer,
    columns: DenseColumns,
    scheme: Scheme,
    setting: Setting,
) -> SegmentPrice:
    """Return the price of a single dense or pointwise stage, tiled where needed."""
    board, act_bits = setting.board, setting.act_bits
    tiles, folds, larger, fits = _tile_folds(layer, columns, setting)
    whole, before_pool = invocation.ofm, invocation.stage_ofm
    ifm = feature_bytes(invocation.ifm, act_bits, board)

    def tile(folds_out: Cycles, channels: Cycles) -> tuple[tuple[Path, ...], Cycles]:
        """Return the paths of one tile and its traffic on the DDR [bytes]."""
        written = tile_bytes(channels, whole, act_bits, board)
        added = (
            tile_bytes(channels, before_pool, act_bits, board)
            if invocation.residual
            else np.zeros_like(channels)
        )
        times = (dense_times if role is Role.DENSE else pointwise_times)(
            layer,
            simd=columns.simd,
            px=setting.px,
            folds_out=folds_out,
            first=True,
            act_bits=act_bits,
            board=board,
        )
        transfers = Transfers(
            ifm=port_cycles(ifm, board),
            ofm=port_cycles(written, board),
            residual=port_cycles(added, board),
        )
        return paths(invocation, {role: times}, transfers), written + added + ifm

    def period(folds_out: Cycles) -> Cycles:
        """Return the cycles of any tile but the last, its weights included."""
        channels = np.minimum(folds_out * columns.pe, whole.channels)
        rows, moved = tile(folds_out, channels)
        longest = np.max([row.constant + row.terms[role] for row in rows], axis=0)
        shared = ddr_cycles(moved, board)
        if setting.double_buffered:
            weights = weight_bytes(channels * layer.terms, scheme[layer.name], board)
            longest = np.maximum(longest, port_cycles(weights, board))
            shared = shared + ddr_cycles(weights, board)
        result: Cycles = np.maximum(longest, shared)
        return result

    equal = tiles - 1 - larger
    opened = np.minimum((folds + (larger > 0)) * columns.pe, whole.channels)
    opening = weight_bytes(opened * layer.terms, scheme[layer.name], board)
    body = larger * period(folds + 1) + equal * period(folds)
    before = (larger * (folds + 1) + equal * folds) * columns.pe
    rows, moved = tile(folds, whole.channels - before)
    return SegmentPrice(
        paths=tuple(
            Path(row.label, row.constant, {role: row.terms[role] + body})
            for row in rows
        ),
        tiled={role: body},
        ddr=Path("ddr", 0, {role: body + ddr_cycles(moved, board)}),
        opening=Path("weights", 0, {role: port_cycles(opening, board)}),
        opening_ddr=Path("weights", 0, {role: ddr_cycles(opening, board)}),
        tiles={role: tiles},
        feasible={role: fits},
    )
