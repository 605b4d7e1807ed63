"""The price of a run of one dense or pointwise stage, tile by tile.

A layer whose weights exceed the buffer runs in tiles over its output channels, a linear
one of many inputs also in parts of its reduction (`hao.cost.tiles`). Every run but the
last of a segment computes while the weights of the next one load, and all that are
alike and followed by one that is alike are priced once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from hao.cost.columns import Bools, DenseColumns, Setting
from hao.cost.latency import StageTimes, dense_times, pointwise_times
from hao.cost.loads import serial_rows, stage_loads, uneven_part
from hao.cost.memory import ddr_cycles, input_channels, port_cycles
from hao.cost.overheads import (
    EXIT_CYCLES,
    LOAD_STAGE_CYCLES,
    LOADED_CYCLES,
    load_overhead,
    load_step,
)
from hao.cost.pairs import besides, paired
from hao.cost.parts import PricedPart, part_maps, part_of, part_times, part_transfers
from hao.cost.paths import Path, paths, standing_cycles
from hao.cost.segment_price import NEVER, SegmentPrice
from hao.cost.tiles import Tiles, cut_tiles, splits
from hao.cost.transfers import (
    burst_beats,
    ddr_start,
    load_delay,
    run_maps,
    run_transfers,
    shared_beside_load,
)
from hao.cost.units import unit_cycles
from hao.cost.words import Cycles, stage_bytes
from hao.ir.layer import Linear
from hao.ir.partition import DenseLayer, Invocation, Role


@dataclass(frozen=True, slots=True)
class _Tile:
    """Cycles of one tile.

    Attributes:
        paths: Of the computation.
        ddr: Of the DDR.
        delay: By how much it delays a load.
        standing: In which the array stands still until it has ended.
    """

    paths: tuple[Path, ...]
    ddr: Cycles
    delay: Cycles
    standing: Cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One run per column: some output channels, all of the reduction or a part.

    Attributes:
        groups: Of output channels.
        channels: Of the output.
        words: Of an output group.
        ends: Whether sums end with the run.
    """

    groups: Cycles
    channels: Cycles
    words: Cycles
    ends: Bools

    def take(self, index: Cycles) -> "_Work":
        """Return the work of the columns at `index`."""
        return _Work(
            groups=self.groups[index],
            channels=self.channels[index],
            words=self.words[index],
            ends=self.ends[index],
        )


def _joined(works: Sequence[_Work]) -> _Work:
    """Return the work of all columns side by side."""
    return _Work(
        groups=np.concatenate([work.groups for work in works]),
        channels=np.concatenate([work.channels for work in works]),
        words=np.concatenate([work.words for work in works]),
        ends=np.concatenate([work.ends for work in works]),
    )


@dataclass(frozen=True, slots=True)
class TiledRun:
    """A run of a single dense or pointwise stage, to be priced tile by tile.

    Attributes:
        invocation: What runs.
        role: Its stage.
        layer: Its layer.
        columns: Configurations of the stage.
        setting: What all columns share.
    """

    invocation: Invocation
    role: Role
    layer: DenseLayer
    columns: DenseColumns
    setting: Setting

    def part(self, work: _Work) -> PricedPart | None:
        """Return the part of the reduction; `None` of layers that never run in any."""
        if not splits(self.layer, self.setting):
            return None
        assert isinstance(self.layer, Linear)
        simd = self.columns.simd
        return part_of(self.layer, work.words, work.ends, simd, self.setting)

    def weight_bytes(self, work: _Work, bits: int) -> Cycles:
        """Return the bytes of the weights of a run [bytes]."""
        setting, part = self.setting, self.part(work)
        return stage_bytes(
            self.layer,
            work.channels,
            bits,
            simd=self.columns.simd,
            pe=self.columns.pe,
            act_bits=setting.act_bits,
            board=setting.board,
            inputs=None if part is None else part.channels,
        )

    def opening(self, work: _Work, bits: int) -> list[Cycles]:
        """Return what a run opens with, in the order of `SegmentPrice.opening`.

        Behind a run of the same stage: the last one counts for either stage.
        """
        batch, start = self.setting.board.batch, load_overhead(1)
        loads = self.load(work, bits)
        found = [batch * start + loads[0], loads[1]]
        if batch > 1:
            for first, cycles in zip((start, 0), loads, strict=True):
                left = uneven_part(cycles, self.layer, work.groups, batch)
                found.append(first + left)
        return [*found, batch * LOAD_STAGE_CYCLES + loads[0]]

    def load(self, work: _Work, bits: int) -> tuple[Cycles, Cycles]:
        """Return the cycles of port and DDR for the weights of a run, starts apart."""
        setting, part = self.setting, self.part(work)
        moved = self.weight_bytes(work, bits)
        made = unit_cycles(
            self.layer,
            self.columns,
            work.channels,
            bits,
            setting,
            inputs=None if part is None else part.channels,
        )
        port = np.maximum(port_cycles(moved, setting.board), made)
        return port, ddr_cycles(moved, setting.board)

    def tile(self, work: _Work, loaded: Cycles) -> _Tile:
        """Return what a run takes.

        Args:
            work: Output channels and words.
            loaded: Weights that load meanwhile [bytes].
        """
        setting, run = self.setting, self.invocation
        part, double = self.part(work), setting.double_buffered
        maps, times = run_maps(run, work.channels, setting), self._times(work)
        if part is not None:
            whole = input_channels(self.layer, setting.act_bits, setting.board)
            maps = part_maps(maps, part, whole, setting)
        burst = burst_beats(run, work.groups, work.channels, setting)
        transfers = run_transfers(
            run,
            setting,
            maps,
            pe=self.columns.pe,
            channels=work.channels,
            weights=np.asarray(loaded),
            burst=burst,
        )
        start = ddr_start(1, maps.ifm.port, loaded, setting)
        if part is not None:
            transfers = part_transfers(transfers, part)
            kept = EXIT_CYCLES * ~part.ends
            start = np.asarray(LOADED_CYCLES) if double else start - kept
        own_work = times.lead_in + times.cycles
        shared = shared_beside_load(maps, loaded, setting, work=own_work, burst=burst)
        stages = {self.role: times}
        return _Tile(
            paths=paths(run, stages, transfers, setting.px),
            ddr=start + shared,
            delay=load_delay(maps, 1, setting),
            standing=standing_cycles(run, stages, transfers, setting.px),
        )

    def _times(self, work: _Work) -> StageTimes:
        """Return the times of the stage for a run."""
        setting, part = self.setting, self.part(work)
        if part is not None:
            simd, groups = self.columns.simd, work.groups
            return part_times(
                self.role, part, simd=simd, groups=groups, setting=setting
            )
        stage_times = dense_times if self.role is Role.DENSE else pointwise_times
        return stage_times(
            self.layer,
            simd=self.columns.simd,
            px=setting.px,
            folds_out=work.groups,
            first=True,
            act_bits=setting.act_bits,
            board=setting.board,
        )

    def period(self, work: _Work, following: _Work, bits: int) -> Cycles:
        """Return the cycles of a run, while the weights of the `following` one load."""
        batch = self.setting.board.batch
        tile = self.tile(work, self.weight_bytes(following, bits) // batch)
        rows = [path.constant + path.terms[self.role] for path in tile.paths]
        # Where nothing leaves, a run ends with the last product.
        longest: Cycles = np.max(np.broadcast_arrays(*rows), axis=0)
        longest = longest - EXIT_CYCLES * ~work.ends
        alone: Cycles = batch * np.maximum(longest, tile.ddr)
        if not self.setting.double_buffered:
            # They are a step of their own; what they take is not counted here.
            return alone + load_step(1)
        delay, ddr, stands = (
            batch * each for each in (tile.delay, tile.ddr, tile.standing)
        )
        never = np.asarray(NEVER.constant)
        *rows, _ = besides(alone, delay, ddr, (stands, never), batch=batch)
        return paired(alone, rows, self.opening(following, bits))


_Kinds = list[tuple[Cycles, _Work, _Work]]
"""How many runs of each column are alike, such a run, and the one that follows."""


def _tile_kinds(run: TiledRun, tiles: Tiles) -> _Kinds:
    """Return the runs but the last of columns whose tiles run whole."""
    pe, whole = run.columns.pe, run.invocation.ofm.channels
    large, small, equal = tiles.group + tiles.unit, tiles.group, tiles.equal
    rest = whole - tiles.before * pe
    whole_tiles = tiles.parts == 1

    def work(groups: Cycles, channels: Cycles) -> _Work:
        ends = np.ones_like(whole_tiles)
        channels = np.minimum(channels, whole)
        return _Work(groups=groups, channels=channels, words=tiles.words, ends=ends)

    bigger, smaller = work(large, large * pe), work(small, small * pe)
    final = work(tiles.last, rest)
    after = work(
        np.where(equal > 0, small, tiles.last), np.where(equal > 0, small * pe, rest)
    )
    return [
        (whole_tiles * np.maximum(tiles.larger - 1, 0), bigger, bigger),
        (whole_tiles * np.minimum(tiles.larger, 1), bigger, after),
        (whole_tiles * np.maximum(equal - 1, 0), smaller, smaller),
        (whole_tiles * np.minimum(equal, 1), smaller, final),
    ]


def _part_kinds(run: TiledRun, tiles: Tiles) -> _Kinds:
    """Return the runs but the last of columns whose tiles run in parts."""
    pe, cut = run.columns.pe, tiles.parts > 1
    rest = run.invocation.ofm.channels - tiles.before * pe
    one, yes = np.ones_like(pe), np.ones_like(cut)
    # Of all tiles but the last, then of the last.
    begins, ends = (
        [
            _Work(groups=one, channels=channels, words=words, ends=last)
            for channels in (pe, rest)
        ]
        for words, last in ((tiles.words, ~yes), (tiles.last_words, yes))
    )
    kinds: _Kinds = [
        (np.where(cut, np.maximum(tiles.count - 2, 0), 0), ends[0], begins[0]),
        (np.where(cut, np.minimum(tiles.count - 1, 1), 0), ends[0], begins[1]),
    ]
    for count, begin, end in zip((tiles.count - 1, one), begins, ends, strict=True):
        kinds.append((np.where(cut, count * (tiles.parts - 2), 0), begin, begin))
        kinds.append((np.where(cut, count, 0), begin, end))
    return kinds


def _body(run: TiledRun, tiles: Tiles, bits: int) -> Cycles:
    """Return the cycles of all runs but the last of each column."""
    kinds = _tile_kinds(run, tiles)
    if np.any(tiles.parts > 1):
        kinds += _part_kinds(run, tiles)
    count = np.concatenate([some for some, _, _ in kinds])
    works = _joined([work for _, work, _ in kinds])
    following = _joined([work for _, _, work in kinds])
    pe, px = run.columns.pe, np.asarray(run.setting.px)
    body: Cycles = np.zeros(np.broadcast_shapes(px.shape, pe.shape), dtype=np.int64)
    kept = np.flatnonzero(count)
    if kept.size:
        index = kept % pe.size
        setting = run.setting
        if px.ndim == 1:
            setting = replace(setting, px=cast(int, px[index]))
        some = replace(run, columns=run.columns.take(index), setting=setting)
        cycles = some.period(works.take(kept), following.take(kept), bits)
        np.add.at(body, (..., index), count[kept] * cycles)  # type: ignore[arg-type]  # its stubs know no ellipsis
    return body


def price_tiled(run: TiledRun, bits: int) -> SegmentPrice:
    """Return the price of a single stage, tiled where needed, at so many bits."""
    role, pe = run.role, run.columns.pe
    tiles = cut_tiles(run.layer, run.columns, run.setting)
    whole = run.invocation.ofm.channels
    yes = np.ones_like(tiles.feasible)
    first = _Work(
        groups=tiles.first,
        channels=np.minimum(tiles.first * pe, whole),
        words=tiles.words,
        ends=tiles.parts == 1,
    )
    final = _Work(
        groups=tiles.last,
        channels=whole - tiles.before * pe,
        words=tiles.last_words,
        ends=yes,
    )
    body = _body(run, tiles, bits)
    *opens, own = run.opening(first, bits)
    dense = int(role is Role.DENSE)
    opens += [dense * own, (1 - dense) * own]
    opening = [Path("weights", 0, {role: t}) for t in opens]
    serial = serial_rows(
        run.invocation,
        stage_loads(
            run.invocation, {role: run.columns}, {run.layer.name: bits}, run.setting
        ),
    )
    if run.setting.double_buffered:
        port, own = run.load(first, bits)
        serial = (
            Path("weights", load_step(1), {role: port}),
            Path("weights", load_step(1), {role: own}),
        )
    # As in `load_stand_in`: of the next run, whose weights are not known here.
    batch = run.setting.board.batch
    last = run.tile(final, run.weight_bytes(final, run.setting.act_bits) // batch)
    beside = body + batch * last.delay
    return SegmentPrice(
        paths=tuple(
            replace(path, terms={role: path.terms[role] + body})
            for path in (path.times(batch) for path in last.paths)
        ),
        tiled={role: body},
        ddr=(Path("ddr", 0, {role: body + batch * last.ddr}),),
        beside=Path("weights", 0, {role: beside}),
        held=NEVER,
        standing=Path("weights", 0, {role: body + dense * batch * last.standing}),
        opening=tuple(opening),
        serial=serial,
        tiles={role: tiles.runs},
        parts={role: tiles.parts},
        feasible={role: tiles.feasible},
    )
