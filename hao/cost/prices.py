"""What every stage configuration makes a segment cost, for whole arrays of them.

`price_segment` returns the cycles of a segment as rows that are linear in the choice
of columns (`hao.cost.columns`), so that the report (`hao.cost.evaluate`), the local
search and the integer program use the same numbers.

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
nothing overlaps. The board's calibration may add cycles to every tile.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hao.cost.columns import (
    Columns,
    DenseColumns,
    DepthwiseColumns,
    Setting,
    WeightBits,
)
from hao.cost.latency import StageTimes, dense_times, depthwise_times, pointwise_times
from hao.cost.loads import (
    load_ddr_row,
    load_row,
    load_stand_in,
    loading_stages,
    unit_cycles,
)
from hao.cost.memory import ddr_cycles, port_cycles
from hao.cost.overheads import load_overhead
from hao.cost.paths import Path, paths, reading_paths
from hao.cost.tiles import Tiles, cut_tiles
from hao.cost.transfers import (
    RunMaps,
    burst_beats,
    ddr_start,
    load_delay,
    run_maps,
    run_transfers,
    shared_beside_load,
)
from hao.cost.words import Cycles, stage_bytes
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import DenseLayer, Invocation, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPrice:
    """Cycles of one segment as rows over the columns of its stages.

    Attributes:
        paths: Rows of the whole computation, all tiles included.
        tiled: Cycles of all tiles but the last, per column of the one stage that may
            be tiled; to be added to what the next segment's weights need.
        ddr: Cycles of the last tile's feature maps on the DDR, as rows (`tiled`
            included) of which the longest counts; the next segment's weights come on
            top of each.
        beside: Cycles by which they delay the load of the next segment's weights, as a
            row (`tiled` included); what the port takes to load them comes on top.
        opening: Cycles in which the weight port loads what must be there before the
            segment starts: all weights, or those of the first tile.
        opening_ddr: The same for the DDR.
        tiles: Tiles per column of the stage that may be tiled.
        feasible: Columns with enough buffer, per stage.
    """

    paths: tuple[Path, ...]
    tiled: dict[Role, Cycles]
    ddr: tuple[Path, ...]
    beside: Path
    opening: Path
    opening_ddr: Path
    tiles: dict[Role, Cycles]
    feasible: dict[Role, NDArray[np.bool_]]


def price_segment(
    invocation: Invocation,
    columns: Mapping[Role, Columns],
    bits: WeightBits,
    setting: Setting,
) -> SegmentPrice:
    """Return what each column makes the segment cost.

    Args:
        invocation: What runs.
        columns: Configurations of every stage that the invocation uses.
        bits: Weight bits by layer; they set the transfer of tiled weights.
        setting: What all columns share.
    """
    stages = invocation.stages
    if len(stages) == 1 and stages[0][0] is not Role.DEPTHWISE:
        role, layer = stages[0]
        assert not isinstance(layer, Depthwise | Pool)
        chosen = columns[role]
        assert isinstance(chosen, DenseColumns)
        run = _TiledRun(invocation, role, layer, chosen, setting)
        price = _price_tiled(run, bits[layer.name])
    else:
        price = _price_fused(invocation, columns, bits, setting)
    more = setting.board.calibration.step_cycles
    return _with_steps(price, more) if more else price


def _with_steps(price: SegmentPrice, cycles: int) -> SegmentPrice:
    """Return a price whose every run (tile) takes so many cycles more."""

    def longer(path: Path) -> Path:
        if not price.tiles:
            return replace(path, constant=path.constant + cycles)
        terms = {role: path.terms[role] + cycles * n for role, n in price.tiles.items()}
        return replace(path, terms=terms)

    return replace(
        price,
        paths=tuple(longer(path) for path in price.paths),
        tiled={
            role: body + cycles * (price.tiles[role] - 1)
            for role, body in price.tiled.items()
        },
        ddr=tuple(longer(path) for path in price.ddr),
        beside=longer(price.beside),
    )


def _price_fused(
    invocation: Invocation,
    columns: Mapping[Role, Columns],
    bits: WeightBits,
    setting: Setting,
) -> SegmentPrice:
    """Return the price of a run that is not tiled; arguments as `price_segment`."""
    times, feasible = _stage_times(invocation, columns, setting)
    pe: Cycles = np.asarray(1)
    if invocation.stages:
        pe = columns[invocation.stages[-1][0]].pe
    channels = np.asarray(invocation.stage_ofm.channels)
    burst = burst_beats(invocation, -(-channels // pe), channels, setting)
    maps = run_maps(invocation, channels, setting)
    weights = load_stand_in(invocation, setting)
    transfers = run_transfers(
        invocation,
        setting,
        maps,
        pe=pe,
        channels=channels,
        weights=np.asarray(weights),
        burst=burst,
    )
    loading = max(1, loading_stages(invocation))
    return SegmentPrice(
        paths=paths(invocation, times, transfers, setting.px),
        tiled={},
        ddr=(
            _ddr_row(invocation, times, maps, weights, burst, setting),
            *reading_paths(invocation, times, transfers, setting.px),
        ),
        beside=Path("weights", int(load_delay(maps, loading, setting)), {}),
        opening=load_row(invocation, columns, bits, setting),
        opening_ddr=load_ddr_row(invocation, columns, bits, setting),
        tiles={},
        feasible=feasible,
    )


def _stage_times(
    invocation: Invocation, columns: Mapping[Role, Columns], setting: Setting
) -> tuple[dict[Role, StageTimes], dict[Role, NDArray[np.bool_]]]:
    """Return the times of every stage, and which columns hold all of its weights."""
    times: dict[Role, StageTimes] = {}
    feasible: dict[Role, NDArray[np.bool_]] = {}
    px, act_bits, board = setting.px, setting.act_bits, setting.board
    for index, (role, layer) in enumerate(invocation.stages):
        chosen, first = columns[role], index == 0
        if isinstance(chosen, DepthwiseColumns):
            assert isinstance(layer, Depthwise | Pool)
            times[role] = depthwise_times(
                layer,
                pe=chosen.pe,
                taps=chosen.taps,
                px=px,
                first=first,
                act_bits=act_bits,
                board=board,
            )
            feasible[role] = np.ones(len(chosen), dtype=np.bool_)
            continue
        assert not isinstance(layer, Depthwise | Pool)
        stage_times = dense_times if role is Role.DENSE else pointwise_times
        times[role] = stage_times(
            layer,
            simd=chosen.simd,
            px=px,
            folds_out=-(-layer.ofm.channels // chosen.pe),
            first=first,
            act_bits=act_bits,
            board=board,
        )
        tiles = cut_tiles(layer, chosen, setting)
        feasible[role] = tiles.feasible & (tiles.count == 1)
    return times, feasible


def _ddr_row(
    invocation: Invocation,
    times: dict[Role, StageTimes],
    maps: RunMaps,
    weights: int,
    burst: Cycles,
    setting: Setting,
) -> Path:
    """Return the cycles of the DDR for a run that is not tiled, as a row."""
    stages = invocation.stages
    depth = int(ddr_start(len(stages), maps.ifm.port, weights, setting))
    own = np.asarray(weights)
    if len(stages) != 1:
        none = np.asarray(0)
        shared = shared_beside_load(maps, own, setting, work=none, burst=none)
        return Path("ddr", depth + int(shared), {})
    ((role, _),) = stages
    work = times[role].lead_in + times[role].cycles
    shared = shared_beside_load(maps, own, setting, work=work, burst=burst)
    return Path("ddr", depth, {role: shared})


@dataclass(frozen=True, slots=True)
class _Tile:
    """Cycles of one tile: `paths`, on the DDR, and by how much it delays a load."""

    paths: tuple[Path, ...]
    ddr: Cycles
    delay: Cycles


@dataclass(frozen=True, slots=True)
class _TiledRun:
    """A run of a single dense or pointwise stage, to be priced tile by tile."""

    invocation: Invocation
    role: Role
    layer: DenseLayer
    columns: DenseColumns
    setting: Setting

    def weight_bytes(self, channels: Cycles, bits: int) -> Cycles:
        """Return the bytes of the weights of so many channels [bytes]."""
        setting = self.setting
        return stage_bytes(
            self.layer,
            channels,
            bits,
            simd=self.columns.simd,
            pe=self.columns.pe,
            act_bits=setting.act_bits,
            board=setting.board,
        )

    def load(self, channels: Cycles, bits: int) -> tuple[Cycles, Cycles]:
        """Return the cycles in which port and DDR load a tile's weights."""
        setting = self.setting
        moved = self.weight_bytes(channels, bits)
        made = unit_cycles(self.layer, self.columns, channels, bits, setting)
        port = np.maximum(port_cycles(moved, setting.board), made)
        start = load_overhead(1)
        serial = 0 if setting.double_buffered else start
        return port + start, ddr_cycles(moved, setting.board) + serial

    def tile(self, groups: Cycles, channels: Cycles, loaded: Cycles) -> _Tile:
        """Return what a tile takes.

        Args:
            groups: Of its output channels.
            channels: Of the tile.
            loaded: Weights that load meanwhile [bytes].
        """
        setting, run = self.setting, self.invocation
        board, act_bits = setting.board, setting.act_bits
        maps = run_maps(run, channels, setting)
        stage_times = dense_times if self.role is Role.DENSE else pointwise_times
        times = stage_times(
            self.layer,
            simd=self.columns.simd,
            px=setting.px,
            folds_out=groups,
            first=True,
            act_bits=act_bits,
            board=board,
        )
        burst = burst_beats(run, groups, channels, setting)
        transfers = run_transfers(
            run,
            setting,
            maps,
            pe=self.columns.pe,
            channels=channels,
            weights=np.asarray(loaded),
            burst=burst,
        )
        shared = shared_beside_load(
            maps,
            loaded,
            setting,
            work=times.lead_in + times.cycles,
            burst=burst,
        )
        return _Tile(
            paths=paths(run, {self.role: times}, transfers, setting.px),
            ddr=ddr_start(1, maps.ifm.port, loaded, setting) + shared,
            delay=load_delay(maps, 1, setting),
        )

    def period(self, groups: Cycles, following: Cycles, bits: int) -> Cycles:
        """Return the cycles of a tile, while weights of `following` channels load."""
        whole = self.invocation.ofm.channels
        channels = np.minimum(groups * self.columns.pe, whole)
        tile = self.tile(groups, channels, self.weight_bytes(following, bits))
        rows = [path.constant + path.terms[self.role] for path in tile.paths]
        longest: Cycles = np.max(np.broadcast_arrays(*rows), axis=0)
        if not self.setting.double_buffered:
            # They are a step of their own; what they take is not counted here.
            alone: Cycles = np.maximum(longest, tile.ddr) + load_overhead(1)
            return alone
        port, own = self.load(following, bits)
        loading = np.maximum(port + tile.delay, tile.ddr + own)
        result: Cycles = np.maximum(longest, loading)
        return result


def _body(run: _TiledRun, tiles: Tiles, rest: Cycles, bits: int) -> Cycles:
    """Return the cycles of all tiles but the last, whose channels are `rest`.

    Every tile computes while the weights of the next one load. Of each column, tiles
    that are alike and followed by one that is alike are priced once; all these lie side
    by side in one array.
    """
    pe = run.columns.pe
    large, small, equal = tiles.group + tiles.unit, tiles.group, tiles.equal
    kinds = (
        (np.maximum(tiles.larger - 1, 0), large, large * pe),
        (np.minimum(tiles.larger, 1), large, np.where(equal > 0, small * pe, rest)),
        (np.maximum(equal - 1, 0), small, small * pe),
        (np.minimum(equal, 1), small, rest),
    )
    count, groups, following = (
        np.concatenate(each) for each in zip(*kinds, strict=True)
    )
    px = np.asarray(run.setting.px)
    body: Cycles = np.zeros(np.broadcast_shapes(px.shape, pe.shape), dtype=np.int64)
    kept = np.flatnonzero(count)
    if kept.size:
        index = kept % pe.size
        setting = run.setting
        if px.ndim == 1:
            setting = replace(setting, px=cast(int, px[index]))
        some = replace(run, columns=run.columns.take(index), setting=setting)
        cycles = some.period(groups[kept], following[kept], bits)
        np.add.at(body, (..., index), count[kept] * cycles)  # type: ignore[arg-type]  # its stubs know no ellipsis
    return body


def _price_tiled(run: _TiledRun, bits: int) -> SegmentPrice:
    """Return the price of a single stage, tiled where needed, at so many bits."""
    role, pe = run.role, run.columns.pe
    tiles = cut_tiles(run.layer, run.columns, run.setting)
    whole = run.invocation.ofm.channels
    rest = whole - tiles.before * pe
    body = _body(run, tiles, rest, bits)
    port, own = run.load(np.minimum(tiles.first * pe, whole), bits)
    # As in `load_stand_in`: of the next run, whose weights are not known here.
    stand_in = run.weight_bytes(rest, run.setting.act_bits)
    last = run.tile(tiles.last, rest, stand_in)
    return SegmentPrice(
        paths=tuple(
            Path(path.label, path.constant, {role: path.terms[role] + body})
            for path in last.paths
        ),
        tiled={role: body},
        ddr=(Path("ddr", 0, {role: body + last.ddr}),),
        beside=Path("weights", 0, {role: body + last.delay}),
        opening=Path("weights", 0, {role: port}),
        opening_ddr=Path("weights", 0, {role: own}),
        tiles={role: tiles.count},
        feasible={role: tiles.feasible},
    )
