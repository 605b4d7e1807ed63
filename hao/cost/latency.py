"""Cycles of the engine's stages, one by one.

The formulas are those of the loops in docs/engine.md. A stage works row by row: while
it computes one output row it takes in the input rows that the next one needs, so a row
costs the larger of the two. What several stages take together is in `hao.cost.paths`.

All functions take Python integers or NumPy integer arrays of stage configurations
alike, and are exact in both. Pixels at once may be an array too: of shape (p, 1) to
price every configuration at each of p counts, or of the configurations' own shape.
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import cast

import numpy as np

from hao.cost.memory import (
    beat_channels,
    input_channels,
    port_cycles,
    row_bytes,
    rows_used,
)
from hao.cost.overheads import LEAD_CYCLES
from hao.cost.words import Cycles, ceil_divided, dense_folds, packed_taps
from hao.hw.board import Board
from hao.ir.layer import Linear
from hao.ir.partition import DenseLayer, DepthwiseLayer
from hao.ir.tensor import Shape


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Cycles of one stage for one layer, per configuration.

    Attributes:
        row: Between two output rows, where that takes longest.
        sweep: One output row during which no input comes.
        edge: Of it, the first `px` pixels.
        group: From the inputs of the first `px` pixels to their last output channel.
        word: Between two words that the stage sends on.
        cycles: All output rows.
        lead_in: Until the inputs of the first output are there, if read from DDR.
        intake: Until all beats are cut into words, if read from DDR.
        trips: Iterations of the array in an output row.
        fed: Until the rows that the first output needs came from the stage before.
    """

    row: Cycles
    sweep: Cycles
    edge: Cycles
    group: Cycles
    word: Cycles
    cycles: Cycles
    lead_in: Cycles
    intake: Cycles
    trips: Cycles
    fed: Cycles


def _spatial(
    layer: DenseLayer | DepthwiseLayer, act_bits: int, board: Board
) -> tuple[Shape, Shape, int, int]:
    """Return IFM, OFM, kernel and stride; a Linear is a 1x1 map."""
    if isinstance(layer, Linear):
        channels = input_channels(layer, act_bits, board)
        return Shape(channels=channels, height=1, width=1), layer.ofm, 1, 1
    channels = input_channels(layer, act_bits, board)
    ifm = replace(layer.ifm, channels=channels)
    return ifm, layer.ofm, layer.kernel, layer.stride


@dataclass(frozen=True, slots=True)
class _Intake:
    """Input rows that a window process takes in.

    Attributes:
        lead: Before output row 0.
        during: Pairs (input rows, output rows): so many during so many.
        need: Input rows that the output rows up to each one need.
        rows: All that it takes in; from a stage also those that no window meets.
    """

    lead: int
    during: tuple[tuple[int, int], ...]
    need: tuple[int, ...]
    rows: int

    @property
    def most(self) -> int:
        """Return the most input rows that one output row takes in."""
        return max(rows for rows, _ in self.during)


@cache
def _intake(layer: DenseLayer | DepthwiseLayer, first: bool) -> _Intake:
    """Return when a layer's input rows are taken in. Source: docs/engine.md, "Rows".

    Args:
        layer: A layer.
        first: The rows come from DDR, which has none read that no window meets.
    """
    if isinstance(layer, Linear):
        return _Intake(lead=1, during=((0, 1),), need=(1,), rows=1)
    rows = rows_used(layer) if first else layer.ifm.height
    below = layer.kernel - layer.padding.top
    need = [
        min(rows, max(1, row * layer.stride + below))
        for row in range(layer.ofm.height + 1)
    ]
    counts = Counter(after - before for before, after in pairwise(need))
    return _Intake(
        lead=need[0],
        during=tuple(sorted(counts.items())),
        need=tuple(need[:-1]),
        rows=rows,
    )


def rows_needed(layer: DenseLayer | DepthwiseLayer, rows: int = 1) -> int:
    """Return the input rows that the first `rows` output rows need."""
    need = _intake(layer, True).need
    return need[min(rows, len(need)) - 1]


def rows_left(layer: DenseLayer | DepthwiseLayer, rows: int, *, first: bool) -> int:
    """Return the output rows that need the last `rows` input rows.

    From a stage (not `first`) these may be rows that no window meets.
    """
    intake = _intake(layer, first)
    return sum(1 for each in intake.need if each > intake.rows - rows)


def rows_fed(layer: DenseLayer | DepthwiseLayer) -> tuple[int, int]:
    """Return the output rows during which a stage's rows come, and how many of all."""
    coming = [(rows, n) for rows, n in _intake(layer, False).during if rows]
    return sum(n for _, n in coming), sum(rows * n for rows, n in coming)


def _all_rows(intake: _Intake, sweep: Cycles, feed: Cycles) -> Cycles:
    """Return the cycles of all output rows, each its sweep or its intake."""
    return cast(
        Cycles,
        sum(n * np.maximum(sweep, rows * feed) for rows, n in intake.during),
    )


def dense_times(
    layer: DenseLayer,
    *,
    simd: Cycles | int,
    px: Cycles | int,
    folds_out: Cycles,
    first: bool,
    act_bits: int,
    board: Board,
) -> StageTimes:
    """Return the times of a dense (KxK) stage.

    Args:
        layer: A convolution, or a linear layer as a 1x1 one.
        simd: Multipliers per lane.
        px: Pixels at once.
        folds_out: Passes over groups of output channels in this invocation.
        first: The stage reads from DDR.
        act_bits: Width of the activations.
        board: Sets the beat of the port.

    Source: docs/engine.md; equal to a counted loop nest in tests/cost/test_latency.py.
    """
    ifm, ofm, kernel, stride = _spatial(layer, act_bits, board)
    taps = packed_taps(layer, simd, ifm.channels)
    work = folds_out * dense_folds(layer, simd, act_bits=act_bits, board=board)
    # A window of packed taps is gathered, px slots a cycle, while the one before is
    # sent; the first of a row waits for it.
    columns = (px - 1) * stride + kernel
    slots = ceil_divided(columns - 1, taps) + 1
    gather = np.where(taps > 1, kernel * ceil_divided(slots, px), 0)
    xgroups = ceil_divided(ofm.width, px)
    sweep = gather + (xgroups - 1) * np.maximum(gather, work) + work
    feed = ceil_divided(ifm.width, taps) * ceil_divided(ifm.channels, simd)
    # No stage stands before this one.
    intake = _intake(layer, True)
    row = np.maximum(sweep, intake.most * feed)
    came: Cycles | int = 0
    if first:
        came = unpack_cycles(
            ifm.channels, ifm.width, simd, taps, act_bits=act_bits, board=board
        )
    lead_in = intake.lead * np.maximum(feed, came)
    return StageTimes(
        row=row,
        sweep=sweep,
        edge=gather + work,
        group=gather + work,
        word=work // folds_out,
        cycles=_all_rows(intake, sweep, feed),
        lead_in=lead_in + LEAD_CYCLES,
        intake=np.asarray(intake.rows * came),
        trips=xgroups * work,
        fed=np.asarray(0),
    )


def first_columns(layer: DepthwiseLayer, px: Cycles | int) -> Cycles:
    """Return the cycles that read the columns of a row's first window, per group.

    Later windows find all but `stride` of their `px` columns kept from before.
    """
    columns = (px - 1) * layer.stride + layer.kernel - layer.padding.left
    needed = np.minimum(layer.ifm.width, columns)
    result: Cycles = np.maximum(1, ceil_divided(needed, px))
    return result


def depthwise_times(
    layer: DepthwiseLayer,
    *,
    pe: Cycles | int,
    taps: Cycles | int,
    px: Cycles | int,
    first: bool,
    act_bits: int,
    board: Board,
) -> StageTimes:
    """Return the times of a depthwise or pooling stage.

    A group of `pe` channels of `px` pixels takes a pass per `taps` taps, and at
    least one per `px` new columns of the window (`stride` times, at the left edge
    `first_columns` times).

    Args:
        layer: A depthwise convolution or a pool.
        pe: Channels at once.
        taps: Kernel taps at once.
        px: Pixels at once.
        first: The stage reads from DDR, one pixel per word.
        act_bits: Width of the activations.
        board: Sets the beat of the port.

    Source: docs/engine.md; equal to a counted loop nest in tests/cost/test_latency.py.
    """
    ifm, ofm, kernel, stride = _spatial(layer, act_bits, board)
    groups = ceil_divided(ofm.channels, pe)
    passes = ceil_divided(kernel**2, taps)
    left: Cycles = np.maximum(first_columns(layer, px), passes)
    xgroups = ceil_divided(ofm.width, px)
    sweep: Cycles = groups * (left + (xgroups - 1) * np.maximum(stride, passes))
    feed = (ifm.width if first else ceil_divided(ifm.width, px)) * groups
    intake = _intake(layer, first)
    row = np.maximum(sweep, intake.most * feed)
    came: Cycles | int = 0
    if first:
        came = unpack_cycles(
            ifm.channels, ifm.width, pe, 1, act_bits=act_bits, board=board
        )
    return StageTimes(
        row=row,
        sweep=sweep,
        edge=groups * left,
        group=groups * left,
        word=np.maximum(stride, passes),
        cycles=_all_rows(intake, sweep, feed),
        lead_in=intake.lead * np.maximum(feed, came),
        intake=np.asarray(intake.rows * came),
        trips=xgroups * groups * passes,
        fed=intake.lead * feed,
    )


def pointwise_times(
    layer: DenseLayer,
    *,
    simd: Cycles | int,
    px: Cycles | int,
    folds_out: Cycles,
    first: bool,
    act_bits: int,
    board: Board,
) -> StageTimes:
    """Return the times of the pointwise stage, which buffers the vectors of px pixels.

    Args:
        layer: A 1x1 convolution or a linear layer.
        simd: Multipliers per lane.
        px: Pixels at once.
        folds_out: Passes over groups of output channels in this invocation.
        first: The stage reads from DDR, one pixel per word.
        act_bits: Width of the activations.
        board: Sets the beat of the port.

    Source: docs/engine.md; equal to a counted loop nest in tests/cost/test_latency.py.
    """
    ifm, ofm, _, _ = _spatial(layer, act_bits, board)
    folds = ceil_divided(ifm.channels, simd)
    work = folds_out * dense_folds(layer, simd, act_bits=act_bits, board=board)
    xgroups = ceil_divided(ofm.width, px)
    last = ofm.width - (xgroups - 1) * px
    opening = np.where(xgroups > 1, px, last)
    # Of pruned words fewer leave than come in.
    whole = short = group = np.maximum(work, folds)
    lead, came = np.zeros_like(folds), np.zeros_like(folds)
    if first:
        came = ifm.height * unpack_cycles(
            ifm.channels, ifm.width, simd, 1, act_bits=act_bits, board=board
        )
        whole, short = np.maximum(work, px * folds), np.maximum(work, last * folds)
        depth = np.asarray(ifm.channels)
        beats = port_cycles(row_bytes(depth, opening, act_bits, board), board)
        lead = np.maximum(opening * folds, beats)
    row = (xgroups - 1) * whole + short
    # Beside each group but the last, the vector of the next is taken in; the one of
    # the very first is the lead-in.
    begun = np.where(xgroups > 1, whole, short)
    return StageTimes(
        row=row,
        sweep=xgroups * group,
        edge=group,
        group=group,
        word=np.broadcast_to(folds_out, work.shape),
        cycles=ofm.height * row - begun + work,
        lead_in=lead,
        intake=came,
        trips=xgroups * work,
        fed=np.zeros_like(folds),
    )


def unpack_cycles(
    channels: Cycles | int,
    width: int,
    lanes: Cycles | int,
    taps: Cycles | int,
    *,
    act_bits: int,
    board: Board,
) -> Cycles:
    """Return the cycles in which a row of beats is cut into words.

    A word takes the beats that it needs and at least a cycle. Source: docs/engine.md;
    equal to `hao.emission.steps` in tests/emission.

    Args:
        channels: Of a pixel, as the stage takes it in.
        width: Pixels of the row.
        lanes: Channels of a word.
        taps: Pixels of a word.
        act_bits: Width of the activations.
        board: Sets the beat.
    """
    beat, deep = beat_channels(act_bits, board), np.asarray(channels)
    row = port_cycles(row_bytes(deep, np.asarray(width), act_bits, board), board)
    words = ceil_divided(deep, lanes)
    beats = -(-deep // beat)
    # Only the last word of a pixel may need no beat of its own.
    kept = (words > 1) & (ceil_divided((words - 1) * lanes, beat) == beats)
    pixel = np.where(np.asarray(lanes) > beat, np.maximum(beats + kept, words), words)
    slots = np.maximum(ceil_divided(width, taps), row)
    return np.where(np.asarray(taps) > 1, slots, np.maximum(width * pixel, row))


def pack_cycles(
    layer: DenseLayer | DepthwiseLayer,
    *,
    pe: Cycles | int,
    channels: Cycles | int,
    beat: int,
) -> Cycles:
    """Return the cycles in which the last stage's pixels are packed into beats.

    Every group of `px` pixels is read pixel by pixel. A cycle takes in a word of `pe`
    channels, unless a beat or more is held, and sends a beat where there is one; so the
    beats that are not full when the last word comes, and what fills the last one up,
    leave behind it.

    Args:
        layer: What the last stage runs.
        pe: Channels of a word.
        channels: Channels of a pixel in this run.
        beat: Channels of a beat (`hao.cost.memory.beat_channels`).

    Source: docs/engine.md; equal to a counted loop nest in tests/cost/test_latency.py.
    """
    pixels = layer.ofm.height * layer.ofm.width
    groups, beats = ceil_divided(channels, pe), ceil_divided(channels, beat)
    early = (groups - 1) * pe // beat
    narrow = np.asarray(pe) <= beat
    each = np.where(narrow, groups - 1 + beats - early, np.maximum(groups, beats))
    return cast(Cycles, pixels * each)
