"""Bytes that feature maps and weights take in DDR, and the cycles to move them.

Layout in DDR (docs/engine.md). A code of a feature map takes `store_bits`; a pixel
takes `pixel_channels` codes, so that none straddles a beat that it does not start; a
row is rounded up to whole beats of the port. Weights are packed at their own width,
behind one record per output channel (`record_bytes`).

Feature map in, feature map out, residual and weights each have an AXI port of their
own; together they share the DDR. Each port moves one beat per cycle at most, in
bursts of whole rows; the DDR moves what the board file says that accelerators reach:
bytes read, bytes written at their own share, and for short runs the whole DDR bursts
that they touch. `Moved` keeps what a port carries apart from what that is for the DDR.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from hao.hw.board import Board
from hao.ir.layer import Conv, Depthwise, Linear, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer
from hao.ir.tensor import Shape

Count = TypeVar("Count", int, NDArray[np.int64])
"""A count, or an array with one count per configuration; formulas serve both."""

MIN_PIXEL_CHANNELS = 4
"""Fewest codes of a pixel in DDR, so that an RGB pixel is one word of 4.

Source: chosen here; every other network of the zoo has multiples of 4.
"""

RECORD_BYTES = 4
"""Bias (26 bits) and shift (6 bits) of one output channel. Source: docs/engine.md."""

MULTIPLIED_BYTES = 8
"""The same with a multiplier of 18 bits and a bias of 40. Source: as there."""


def record_bytes(layer: DenseLayer | Depthwise) -> int:
    """Return the bytes of a record of one of a layer's channels."""
    return MULTIPLIED_BYTES if layer.multiplied else RECORD_BYTES


def _up(value: Count, multiple: int) -> Count:
    """Return the smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def store_bits(act_bits: int) -> int:
    """Return the bits that an activation takes in DDR: the least of 2, 4, 8."""
    return 2 if act_bits <= 2 else 4 if act_bits <= 4 else 8


def beat_channels(act_bits: int, board: Board) -> int:
    """Return the codes of a feature map in one beat of a port."""
    return 8 * board.port_bytes // store_bits(act_bits)


def pixel_channels(channels: Count, beat: int) -> Count:
    """Return the codes that a pixel takes in DDR.

    Args:
        channels: At least 1.
        beat: Codes in a beat, a power of two.
    """
    result = _up(channels, beat)
    size = beat // 2
    while size >= MIN_PIXEL_CHANNELS:
        result = result - (result - size) * (channels <= size)
        size //= 2
    return result


def row_bytes(channels: Count, width: Count, act_bits: int, board: Board) -> Count:
    """Return the bytes of one row of a feature map in DDR, in whole beats [bytes]."""
    codes: Count = pixel_channels(channels, beat_channels(act_bits, board)) * width
    return _up(-(-codes * store_bits(act_bits) // 8), board.port_bytes)


def feature_bytes(shape: Shape, act_bits: int, board: Board) -> int:
    """Return the bytes of a whole feature map in DDR [bytes]."""
    return shape.height * row_bytes(shape.channels, shape.width, act_bits, board)


def tile_bytes(channels: Count, shape: Shape, act_bits: int, board: Board) -> Count:
    """Return the bytes of the beats that hold some channels of a map [bytes].

    The channels begin at a multiple of the codes in a beat. Where a beat holds all
    channels of a pixel, that is the whole map.
    """
    beat = beat_channels(act_bits, board)
    if shape.channels <= beat:
        return channels * 0 + feature_bytes(shape, act_bits, board)
    beats = -(-channels // beat)
    return beats * (shape.height * shape.width * board.port_bytes)


def tile_run_bytes(channels: Count, shape: Shape, act_bits: int, board: Board) -> Count:
    """Return what the beats of `tile_bytes` are for the DDR, in whole bursts [bytes].

    The beats of a pixel are a run of their own, and the DDR moves every burst that a
    run touches. Where pixels begin with a burst, so does a run, roughly; where they do
    not, runs begin at any beat of a burst, and so touch the run and a burst less a beat
    on average.

    Args:
        channels: Of the tile, at least 1.
        shape: Of the whole map.
        act_bits: Width of the codes.
        board: Sets beat and DDR burst.

    Source: derived here; equal to a count over all beginnings in
    tests/cost/test_memory.py, and compared in tests/emission with the addresses of
    the replay.
    """
    beat = beat_channels(act_bits, board)
    whole = tile_bytes(channels, shape, act_bits, board)
    if shape.channels <= beat:
        return whole
    port, burst = board.port_bytes, max(board.ddr_burst_bytes, board.port_bytes)
    run = -(-channels // beat) * port
    if -(-shape.channels // beat) * port % burst:
        run = run + (burst - port)
    else:
        run = _up(run, burst)
    part = channels < shape.channels
    result: Count = whole + part * (run * (shape.height * shape.width) - whole)
    return result


def rows_used(layer: DenseLayer | DepthwiseLayer) -> int:
    """Return the rows of the IFM that a layer reads; what lies below is not read."""
    match layer:
        case Linear():
            return layer.ifm.height
        case Conv() | Depthwise() | Pool():
            above = (layer.ofm.height - 1) * layer.stride - layer.padding.top
            return min(layer.ifm.height, above + layer.kernel)
        case _:
            assert_never(layer)


def input_channels(
    layer: DenseLayer | DepthwiseLayer, act_bits: int, board: Board
) -> int:
    """Return the channels of a pixel as the layer's stage takes them in.

    A linear layer on more than one pixel takes the stored map as a single one, with
    the codes between its pixels and rows (whose weights are 0).
    """
    ifm = layer.ifm
    if isinstance(layer, Conv):
        return ifm.channels * layer.planes
    if not isinstance(layer, Linear) or ifm.height * ifm.width == 1:
        return ifm.channels
    row = row_bytes(ifm.channels, ifm.width, act_bits, board)
    return ifm.height * (8 * row // store_bits(act_bits))


def weight_bytes(
    channels: Count,
    terms: Count | int,
    weight_bits: int,
    board: Board,
    *,
    record: int = RECORD_BYTES,
) -> Count:
    """Return the bytes of a layer's records and weights in DDR [bytes].

    Each begins a beat. Left out, so that the bytes depend on no configuration and are
    a sum over the bits of layers: every group of `pe` records begins a beat of its
    own (at most one beat a group more), and the last taps of a depthwise kernel are
    filled up to `taps` (at most `taps` - 1 weights a channel more). Both bounds are
    checked in tests/cost/test_memory.py.

    Args:
        channels: Output channels, of a layer or a tile.
        terms: Weights of one output channel.
        weight_bits: Their width.
        board: Sets the beat.
        record: Bytes of a channel's record.
    """
    packed = _up(-(-channels * (terms * weight_bits) // 8), board.port_bytes)
    return packed + _up(channels * record, board.port_bytes)


def layer_bytes(
    layer: DenseLayer | DepthwiseLayer, weight_bits: int, act_bits: int, board: Board
) -> int:
    """Return the bytes of a layer's records and weights; none for a pool.

    `weight_bits` are those of a digit where weights run in two passes.
    """
    if isinstance(layer, Pool):
        return 0
    terms = weight_terms(layer, act_bits, board)
    return weight_bytes(
        layer.ofm.channels, terms, weight_bits, board, record=record_bytes(layer)
    )


def weight_terms(layer: DenseLayer | Depthwise, act_bits: int, board: Board) -> int:
    """Return the stored weights of one output channel, or their digits."""
    match layer:
        case Linear():
            return input_channels(layer, act_bits, board) * layer.passes
        case Conv():
            return layer.terms * layer.planes * layer.passes
        case Depthwise():
            return layer.terms
        case _:
            assert_never(layer)


def port_cycles(moved_bytes: Count, board: Board) -> Count:
    """Return the engine's cycles in which one AXI port moves so many bytes.

    A port slower than the engine's clock stretches the transfer.
    """
    beats = -(-moved_bytes // board.port_bytes)
    if board.clock_khz <= board.port_max_khz:
        return beats
    return -(-beats * board.clock_khz // board.port_max_khz)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a port moves, and what that is for the DDR.

    Attributes:
        port: In whole beats [bytes].
        ddr: As bytes that are read, in runs of whole DDR bursts [bytes].
    """

    port: NDArray[np.int64]
    ddr: NDArray[np.int64]

    def __add__(self, other: "Moved") -> "Moved":
        return Moved(self.port + other.port, self.ddr + other.ddr)

    def part(self, count: int | NDArray[np.int64], of: int) -> "Moved":
        """Return `count` of `of` equal parts, rounded down."""
        return Moved(self.port * count // of, self.ddr * count // of)


def read(
    moved_bytes: NDArray[np.int64] | int, runs: NDArray[np.int64] | int | None = None
) -> Moved:
    """Return what is read.

    Args:
        moved_bytes: Of the port [bytes].
        runs: The same in whole DDR bursts [bytes]; `None` where rows are read.
    """
    port = np.asarray(moved_bytes)
    return Moved(port, port if runs is None else np.asarray(runs))


def written(
    moved_bytes: NDArray[np.int64] | int,
    board: Board,
    runs: NDArray[np.int64] | int | None = None,
) -> Moved:
    """Return what is written, at the share of the peak that writes reach.

    Args:
        moved_bytes: Of the port [bytes].
        board: Its shares of reads and writes.
        runs: The same in whole DDR bursts [bytes]; `None` where rows are written.
    """
    known = read(moved_bytes, runs)
    ratio = board.ddr_read_percent, board.ddr_write_percent
    return Moved(known.port, -(-known.ddr * ratio[0] // ratio[1]))


def ddr_cycles(moved_bytes: Count, board: Board) -> Count:
    """Return the engine's cycles in which the DDR moves so many bytes."""
    return -(-moved_bytes * board.clock_khz // board.ddr_kbytes_per_s)


def ports_delayed(board: Board) -> bool:
    """Return whether the DDR delivers less than one port takes.

    Then weights that load beside a run are priced to keep its reader waiting. Where the
    DDR delivers more, a price without that is nearer to the replay, though a beat for
    one port still delays another up to twice that (`beside_cycles`).

    Source: 47 designs replayed at 11 rates of the DDR, 2026-11-29
    (docs/decisions/0056-units-by-layer-and-loads-beside-ports.md).
    """
    port = board.port_bytes * min(board.clock_khz, board.port_max_khz)
    return board.ddr_kbytes_per_s < port


def beside_cycles(moved: Moved, board: Board) -> NDArray[np.int64]:
    """Return by how much a transfer delays another port that is always busy.

    While both want the DDR, they share what it delivers; while only one does, a port
    takes no more than its beat a cycle, and what the DDR could deliver beyond is lost.
    So a beat costs the busy port what two take together, less its own.

    Source: derived here; compared with the cycle replay in tests/emission.
    """
    return np.asarray(_alone_and_beside(moved, board)[1])


def shared_cycles(
    ports: Sequence[Moved],
    board: Board,
    *,
    burst: NDArray[np.int64] | int = 0,
) -> NDArray[np.int64]:
    """Return the cycles in which ports side by side move so many bytes each.

    Either the DDR is always busy, or one of the ports is. What the DDR has left while
    only the first port is busy is enough for one beat of another: of few beats in a
    row, one is free.

    Args:
        ports: What each port moves.
        board: Rates.
        burst: Beats that the others move in a row while the first port is busy, 0 if
            unknown.
    """
    # A port without bytes takes no part, but the first is told from the others.
    ports = [ports[0], *(moved for moved in ports[1:] if moved.port.any())]
    total = sum(ports[1:], ports[0])
    cycles = ddr_cycles(total.ddr, board)
    known = [_alone_and_beside(moved, board) for moved in ports]
    for index, moved in enumerate(ports):
        alone, _ = known[index]
        if len(ports) == 1:
            return np.maximum(cycles, alone)
        if len(ports) == 2:
            others, beside = known[1 - index]
        else:
            rest = Moved(total.port - moved.port, total.ddr - moved.ddr)
            others, beside = _alone_and_beside(rest, board)
        if index == 0:
            few = np.maximum(burst, 1)
            free = others * (few - 1) // few
            beside = np.where(np.asarray(burst) > 0, np.minimum(beside, free), beside)
        cycles = np.maximum(cycles, alone + beside)
    return cycles


def _alone_and_beside(
    moved: Moved, board: Board
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the cycles of a port that has the DDR to itself, and `beside_cycles`."""
    shared = ddr_cycles(moved.ddr, board)
    alone = np.maximum(port_cycles(moved.port, board), shared)
    return alone, np.maximum(2 * shared - alone, 0)
