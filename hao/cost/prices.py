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
buffers) runs in `tiles` over its output channels, each reading the IFM anew. Tiles are
cut in units of `tile_unit` output groups, so that each begins a beat of the OFM; they
are as few and as even as can be in these units. Even tiles make a segment never slower
in a deeper buffer (tested), though the one before it then has more weights to load.
Only a segment of a single stage is tiled; a fused one needs all its weights at once.
Without double buffering the weights of a run load in a step of their own before it, and
nothing overlaps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from hao.cost.latency import (
    START_CYCLES,
    Cycles,
    Path,
    StageTimes,
    Transfers,
    dense_folds,
    dense_times,
    depthwise_times,
    pack_cycles,
    paths,
    pointwise_times,
)
from hao.cost.memory import (
    beat_channels,
    ddr_cycles,
    feature_bytes,
    layer_bytes,
    port_cycles,
    row_bytes,
    rows_used,
    tile_bytes,
    weight_bytes,
    weight_terms,
)
from hao.errors import InputError
from hao.hw.board import Board
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import DenseLayer, Invocation, Role
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
    """Return the cycles in which the weight port loads an invocation's weights.

    Without double buffering that is a step of its own, with its start.
    """
    loads = [port_cycles(b, setting.board) for b in _loads(invocation, scheme, setting)]
    return sum(loads) + step_cycles(invocation, setting)


def load_ddr_cycles(invocation: Invocation, scheme: Scheme, setting: Setting) -> int:
    """Return the cycles in which the DDR delivers an invocation's weights.

    Without double buffering that is a step of its own, with its start.
    """
    loads = [ddr_cycles(b, setting.board) for b in _loads(invocation, scheme, setting)]
    return sum(loads) + step_cycles(invocation, setting)


def _loads(invocation: Invocation, scheme: Scheme, setting: Setting) -> list[int]:
    """Return the bytes of every stage's weights, where it has any."""
    return [
        layer_bytes(layer, scheme[layer.name], setting.act_bits, setting.board)
        for _, layer in invocation.stages
        if not isinstance(layer, Pool)
    ]


def step_cycles(invocation: Invocation, setting: Setting) -> int:
    """Return the start of a step that only loads weights; 0 where there is none."""
    weights = any(not isinstance(layer, Pool) for _, layer in invocation.stages)
    return START_CYCLES if weights and not setting.double_buffered else 0


def tile_unit(pe: Ints, beat: int) -> Ints:
    """Return the output groups that tiles are cut in: the least that are whole beats.

    Args:
        pe: Output channels of a group.
        beat: Channels of a beat.
    """
    unit: Ints = beat // np.gcd(np.int64(beat), pe)
    return unit


@dataclass(frozen=True, slots=True)
class _Tiles:
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
    def first(self) -> Cycles:
        """Return the groups of the first tile."""
        sizes = self.group + (self.larger > 0) * self.unit
        result: Cycles = np.where(self.count > 1, sizes, self.last)
        return result


def _tiles(layer: DenseLayer, columns: DenseColumns, setting: Setting) -> _Tiles:
    """Return the tiles: as few and as even as can be, larger ones first."""
    board, act_bits = setting.board, setting.act_bits
    folds = dense_folds(layer, columns.simd, act_bits=act_bits, board=board)
    groups = -(-layer.ofm.channels // columns.pe)
    unit = tile_unit(columns.pe, beat_channels(act_bits, board))
    room = columns.weight_words // (2 if setting.double_buffered else 1) // folds
    units = -(-groups // unit)
    cut = -(-units // np.maximum(room // unit, 1))
    count = np.where(room >= groups, 1, cut)
    size, larger = units // count, units % count
    before = (count - 1) * size + larger
    return _Tiles(
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
    beat = beat_channels(act_bits, board)
    unit = beat // gcd(beat, pe)
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
    groups: Cycles = np.asarray(0)
    for index, (role, layer) in enumerate(stages):
        chosen = columns[role]
        groups = -(-layer.ofm.channels // chosen.pe)
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
        stage_times = dense_times if role is Role.DENSE else pointwise_times
        times[role] = stage_times(
            layer,
            simd=chosen.simd,
            px=setting.px,
            folds_out=groups,
            first=index == 0,
            act_bits=setting.act_bits,
            board=setting.board,
        )
        tiles = _tiles(layer, chosen, setting)
        feasible[role] = tiles.feasible & (tiles.count == 1)
    transfers = Transfers(
        ifm=port_cycles(ifm_bytes(invocation, setting), setting.board),
        ofm=_moved(invocation.ofm, setting),
        residual=_moved(invocation.stage_ofm, setting) if invocation.residual else 0,
        pack=_pack(invocation, groups, invocation.stage_ofm.channels, setting),
    )
    moved = ddr_cycles(map_bytes(invocation, setting), setting.board)
    return SegmentPrice(
        paths=paths(invocation, times, transfers),
        tiled={},
        ddr=Path("ddr", moved, {}),
        opening=Path("weights", load_cycles(invocation, scheme, setting), {}),
        opening_ddr=Path("weights", load_ddr_cycles(invocation, scheme, setting), {}),
        tiles={},
        feasible=feasible,
    )


def _pack(
    invocation: Invocation, groups: Cycles, channels: Cycles | int, setting: Setting
) -> Cycles | int:
    """Return the cycles of packing what the last stage makes, 0 without a stage."""
    if not invocation.stages:
        return 0
    return pack_cycles(
        invocation.stages[-1][1],
        groups=groups,
        channels=channels,
        px=setting.px,
        beat=beat_channels(setting.act_bits, setting.board),
    )


def _moved(shape: Shape, setting: Setting) -> int:
    """Return the cycles in which a port moves a feature map."""
    moved = feature_bytes(shape, setting.act_bits, setting.board)
    return port_cycles(moved, setting.board)


def ifm_bytes(invocation: Invocation, setting: Setting) -> int:
    """Return the bytes of the feature map that one run reads: the rows it uses."""
    ifm = invocation.ifm
    rows = ifm.height
    if invocation.stages:
        rows = rows_used(invocation.stages[0][1])
    return rows * row_bytes(ifm.channels, ifm.width, setting.act_bits, setting.board)


def map_bytes(invocation: Invocation, setting: Setting, *, tiles: int = 1) -> int:
    """Return the bytes of feature maps that an invocation moves in so many tiles."""
    moved = tiles * ifm_bytes(invocation, setting)
    moved += feature_bytes(invocation.ofm, setting.act_bits, setting.board)
    if invocation.residual:
        stage_ofm = invocation.stage_ofm
        moved += feature_bytes(stage_ofm, setting.act_bits, setting.board)
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
    tiles = _tiles(layer, columns, setting)
    whole, before_pool = invocation.ofm, invocation.stage_ofm
    ifm = ifm_bytes(invocation, setting)
    terms = weight_terms(layer, act_bits, board)
    times = dense_times if role is Role.DENSE else pointwise_times

    def tile(groups: Cycles, channels: Cycles) -> tuple[tuple[Path, ...], Cycles]:
        """Return the paths of one tile and its traffic on the DDR [bytes]."""
        written = tile_bytes(channels, whole, act_bits, board)
        added = (
            tile_bytes(channels, before_pool, act_bits, board)
            if invocation.residual
            else np.zeros_like(channels)
        )
        taken = times(
            layer,
            simd=columns.simd,
            px=setting.px,
            folds_out=groups,
            first=True,
            act_bits=act_bits,
            board=board,
        )
        transfers = Transfers(
            ifm=port_cycles(ifm, board),
            ofm=port_cycles(written, board),
            residual=port_cycles(added, board),
            pack=_pack(invocation, groups, channels, setting),
        )
        return paths(invocation, {role: taken}, transfers), written + added + ifm

    def weights(channels: Cycles) -> Cycles:
        """Return the bytes of a tile's records and weights."""
        return weight_bytes(channels, terms, scheme[layer.name], board)

    def period(groups: Cycles) -> Cycles:
        """Return the cycles of any tile but the last, its weights included."""
        channels = np.minimum(groups * columns.pe, whole.channels)
        rows, moved = tile(groups, channels)
        longest = np.max([row.constant + row.terms[role] for row in rows], axis=0)
        shared = ddr_cycles(moved, board)
        if not setting.double_buffered:
            # The weights of each tile but the first start a step of their own.
            result: Cycles = np.maximum(longest, shared) + START_CYCLES
            return result
        own = weights(channels)
        longest = np.maximum(longest, port_cycles(own, board))
        result = np.maximum(longest, shared + ddr_cycles(own, board))
        return result

    equal = tiles.count - 1 - tiles.larger
    body = tiles.larger * period(tiles.group + tiles.unit) + equal * period(tiles.group)
    opening = weights(np.minimum(tiles.first * columns.pe, whole.channels))
    before = (-(-layer.ofm.channels // columns.pe) - tiles.last) * columns.pe
    rows, moved = tile(tiles.last, whole.channels - before)
    return SegmentPrice(
        paths=tuple(
            Path(row.label, row.constant, {role: row.terms[role] + body})
            for row in rows
        ),
        tiled={role: body},
        ddr=Path("ddr", 0, {role: body + ddr_cycles(moved, board)}),
        opening=Path("weights", 0, {role: port_cycles(opening, board)}),
        opening_ddr=Path("weights", 0, {role: ddr_cycles(opening, board)}),
        tiles={role: tiles.count},
        feasible={role: tiles.feasible},
    )
