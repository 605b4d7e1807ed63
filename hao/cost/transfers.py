"""What the feature maps of a run take: on their ports, on the DDR, beside weights.

`run_transfers` gives the ways in and out of one run, or of one tile;
`shared_beside_load` and `load_delay` what maps and weights cost each other where they
share the DDR.
"""

from dataclasses import dataclass

import numpy as np

from hao.cost.arrival import Arrival
from hao.cost.columns import Bools, Setting
from hao.cost.latency import pack_cycles
from hao.cost.memory import (
    Moved,
    beat_channels,
    beside_cycles,
    ddr_cycles,
    feature_bytes,
    port_cycles,
    ports_delayed,
    read,
    row_bytes,
    rows_used,
    shared_cycles,
    tile_bytes,
    tile_run_bytes,
    written,
)
from hao.cost.overheads import (
    FILL_CYCLES,
    FINISH_DEPTH,
    MAX_BURST_BEATS,
    OUTSTANDING_BURSTS,
    PACK_DEPTH,
    PIXEL_READ_CYCLES,
    PIXEL_WRITE_CYCLES,
    STAGE_DEPTH_CYCLES,
    START_CYCLES,
    load_overhead,
)
from hao.cost.paths import Transfers, rows_ahead, rows_behind
from hao.cost.words import Cycles
from hao.hw.board import Board
from hao.ir.layer import Linear
from hao.ir.partition import Invocation
from hao.ir.tensor import Shape


@dataclass(frozen=True, slots=True)
class RunMaps:
    """The feature maps of one run: what is read, written, and read to be added."""

    ifm: Moved
    ofm: Moved
    residual: Moved

    @property
    def total(self) -> Moved:
        """Return all of it."""
        return self.ifm + self.ofm + self.residual


def run_maps(invocation: Invocation, channels: Cycles, setting: Setting) -> RunMaps:
    """Return what one run moves of its feature maps.

    Args:
        invocation: What runs.
        channels: Output channels of the run, of a tile or of all.
        setting: What all columns share. Accelerators that do not write tiles as hao
            does (`aligned_tiles`) are not known to write short runs.
    """
    board, bits = setting.board, setting.act_bits

    def moved(shape: Shape) -> tuple[Cycles, Cycles | None]:
        runs = None
        if setting.aligned_tiles:
            runs = tile_run_bytes(channels, shape, bits, board)
        return tile_bytes(channels, shape, bits, board), runs

    ofm, ofm_runs = moved(invocation.ofm)
    added, added_runs = np.zeros_like(channels), None
    if invocation.residual:
        added, added_runs = moved(invocation.stage_ofm)
    ifm = np.full_like(channels, ifm_bytes(invocation, setting))
    return RunMaps(
        ifm=read(ifm),
        ofm=written(ofm, board, ofm_runs),
        residual=read(added, added_runs),
    )


def run_transfers(
    invocation: Invocation,
    setting: Setting,
    maps: RunMaps,
    *,
    pe: Cycles,
    channels: Cycles,
    weights: Cycles,
    burst: Cycles,
) -> Transfers:
    """Return what ports, packing and DDR take for one run.

    Args:
        invocation: What runs.
        setting: What all columns share.
        maps: Of `run_maps`.
        pe: Channels of a word of the last stage.
        channels: Channels of a pixel in this run.
        weights: Bytes that load meanwhile, or what stands for them [bytes].
        burst: Of `burst_beats`.
    """
    board, px = setting.board, setting.px
    ofm = port_cycles(maps.ofm.port, board)
    residual = port_cycles(maps.residual.port, board)
    shape, pack, group = invocation.stage_ofm, np.asarray(0), np.asarray(0)
    if invocation.stages:
        pack = pack_cycles(
            invocation.stages[-1][1],
            pe=pe,
            channels=channels,
            beat=beat_channels(setting.act_bits, board),
        )
        group = pack * np.minimum(px, shape.width) // shape.pixels
    part = channels < shape.channels
    pooled = invocation.ofm != shape
    beat = beat_channels(setting.act_bits, board)
    if pooled and setting.aligned_tiles:
        # One multiplier scales the sums of every beat, one after the other.
        ofm = -(-maps.ofm.port // board.port_bytes) * beat
    if part.any() and setting.aligned_tiles:
        # A tile's own channels lie apart: a loop for every pixel that is written.
        beats = -(-channels // beat)
        # The last pixel's response and the wait for the first are in `START_CYCLES`.
        between = part * (shape.pixels - 1)
        if not pooled:
            gap = PIXEL_WRITE_CYCLES
            ofm = np.where(part, shape.pixels * beats + between * gap, ofm)
            # Pixels that packing and finishing hold leave behind the last one.
            held = PACK_DEPTH * shape.pixels // np.maximum(pack, 1)
            held = held + FINISH_DEPTH // beats + np.minimum(px, shape.width)
            held = np.minimum(held, shape.pixels)
            group = group + part * (held * (beats + gap) - gap)
        if invocation.residual:
            residual = residual + between * PIXEL_READ_CYCLES
    rows = rows_used(invocation.stages[0][1]) if invocation.stages else shape.height
    outside = (maps.residual, maps.ofm.part(int(not pooled), 1))
    height = shape.height
    ahead, early = rows_ahead(invocation), max(height - rows_behind(invocation), 0)
    # Weights and the first rows begin together and take turns.
    meanwhile = setting.double_buffered and setting.aligned_tiles
    loaded = np.asarray(weights if meanwhile else 0)
    arrival = Arrival(
        ifm=maps.ifm,
        rows=1 if _one_pixel(invocation) else rows,
        residual=outside[0],
        ofm=outside[1],
        weights=loaded,
        burst=burst,
        board=board,
    )
    ahead_bytes = maps.ifm.part(ahead, rows).port
    # What the residual's port can buffer is there when the first output leaves, but of
    # a tile, which asks for each pixel by itself.
    buffered = ~part & setting.aligned_tiles
    later = (_beyond_buffers(maps.residual, buffered, board), outside[1])
    return Transfers(
        late=beside_cycles(read(np.minimum(loaded, ahead_bytes)), board),
        ifm=port_cycles(maps.ifm.port, board),
        ofm=ofm,
        residual=residual,
        pack=pack,
        group=group,
        ddr_in=arrival.last(np.asarray(early), np.asarray(height)),
        ddr_out=shared_cycles(
            [maps.ifm.part(max(rows - ahead, 0), rows), *later], board, burst=burst
        ),
        ddr_left=shared_cycles(later, board),
        arrival=arrival if setting.aligned_tiles else None,
    )


def _beyond_buffers(moved: Moved, buffered: Bools, board: Board) -> Moved:
    """Return what a port reads beyond its buffers; all where it is not `buffered`."""
    held = OUTSTANDING_BURSTS * MAX_BURST_BEATS * board.port_bytes
    port = np.maximum(moved.port - held * buffered, 0)
    return Moved(port, moved.ddr * port // np.maximum(moved.port, 1))


def _one_pixel(invocation: Invocation) -> bool:
    """Return whether the first stage takes the whole map as one pixel."""
    return bool(invocation.stages) and isinstance(invocation.stages[0][1], Linear)


def _weights_beyond(weights: Cycles, read: Cycles | int, setting: Setting) -> Cycles:
    """Return the cycles of the DDR for weights that are more than the input."""
    return np.asarray(ddr_cycles(np.maximum(weights - read, 0), setting.board))


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


def burst_beats(
    invocation: Invocation, groups: Cycles, channels: Cycles, setting: Setting
) -> Cycles:
    """Return the beats that leave for every word of the last stage, 0 if unknown.

    A residual comes in meanwhile, and what several stages send comes unevenly.
    """
    if len(invocation.stages) != 1 or invocation.residual:
        return np.asarray(0)
    beats = -(-channels // beat_channels(setting.act_bits, setting.board))
    return np.asarray(-(-setting.px * np.maximum(groups, beats) // groups))


def shared_beside_load(
    maps: RunMaps,
    weights: Cycles,
    setting: Setting,
    *,
    work: Cycles,
    burst: Cycles,
) -> Cycles:
    """Return the cycles of a run on the DDR, less those of the weights beside it.

    What the weights take of the DDR is added where it is known which run is next; what
    they delay beyond stands here.

    Args:
        maps: Of `run_maps`.
        weights: Bytes that load meanwhile, or what stands for them [bytes].
        setting: What all columns share.
        work: Cycles of the only stage.
        burst: Beats that leave in a row, 0 if unknown.
    """
    board, none = setting.board, np.zeros_like(work)
    if setting.double_buffered and not ports_delayed(board):
        # Weights delay no port: only all together may want more than there is.
        return np.asarray(ddr_cycles(maps.total.ddr, board) + none)
    cycles = shared_cycles([maps.ifm, maps.ofm, maps.residual], board, burst=burst)
    cycles = cycles + none
    if not setting.double_buffered:
        return cycles
    loading = ddr_cycles(weights, board)
    cycles = cycles + beside_cycles(read(weights), board) - loading
    cycles = np.maximum(cycles, ddr_cycles(maps.total.ddr, board))
    # While weights load, a reader gets a beat for each of theirs, and the writers
    # theirs; a stage that needs more waits.
    ifm = np.maximum(maps.ifm.ddr, 1)
    given = 2 * ddr_cycles(ifm, board)
    given = given + ddr_cycles(maps.ofm.ddr + maps.residual.ddr, board)
    waiting = (given - work) * np.minimum(weights, ifm) // ifm
    longer = np.where(given > work, work + waiting - loading, 0)
    result: Cycles = np.maximum(cycles, longer)
    return result


def ddr_start(
    stages: int, read: Cycles | int, weights: Cycles | int, setting: Setting
) -> Cycles:
    """Return what a run takes besides what the DDR moves [cycles].

    The map that is read and the weights of the next run begin together and take turns.
    What the weights have more loads while the last words of the run are on their way
    through the stages.

    Args:
        stages: In use.
        read: Bytes of the feature map [bytes].
        weights: Bytes that load meanwhile, or what stands for them [bytes].
        setting: What all columns share.

    Source: derived here; compared with the cycle replay in tests/emission.
    """
    depth = START_CYCLES + STAGE_DEPTH_CYCLES * stages
    if not (setting.double_buffered and setting.aligned_tiles):
        return np.asarray(depth)
    passing = FILL_CYCLES + STAGE_DEPTH_CYCLES * stages
    # The next run often has more weights: the mean of as many and of twice as many.
    beyond = [
        np.minimum(passing, _weights_beyond(times * np.asarray(weights), read, setting))
        for times in (1, 2)
    ]
    return np.asarray(depth - (beyond[0] + beyond[1]) // 2)


def load_delay(maps: RunMaps, loading: int, setting: Setting) -> Cycles:
    """Return by how much maps delay the load beside them.

    Args:
        maps: Of `run_maps`.
        loading: Stages that load; in the latencies of their bursts maps move freely.
        setting: What all columns share.
    """
    board = setting.board
    free = load_overhead(loading) * board.ddr_kbytes_per_s // board.clock_khz
    moved = maps.total
    left = Moved(np.maximum(moved.port - free, 0), np.maximum(moved.ddr - free, 0))
    return beside_cycles(left, board)
