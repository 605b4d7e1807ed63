"""Cycles of the engine's stages and of one invocation.

The formulas are those of the loops in docs/engine.md. A stage works row by row: while
it computes one output row it takes in the input rows that the next one needs, so a row
costs the larger of the two. Stages, reader and writer run side by side, joined by
streams; the invocation takes as long as its slowest *path*: the time until some
process gets its first input, all of that process's work, and what those behind it
still have to do with its last output. `paths` returns every such path as a constant
and one array per stage, so that the same numbers enter the integer program as rows
and the report as a maximum.

All functions take Python integers or NumPy integer arrays of stage configurations
alike, and are exact in both. DDR bandwidth shared between the ports is added in
`hao.cost.evaluate`. The stages and the paths they make stand in one module, a little
over its budget, since either says little without the other.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hao.cost.memory import input_channels, port_cycles, row_bytes, rows_used
from hao.hw.board import Board
from hao.ir.layer import Depthwise, Linear, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer, Invocation, Role
from hao.ir.tensor import Shape

Cycles = NDArray[np.int64]
"""One count per stage configuration, or an array of shape () for a single one."""

START_CYCLES = 60
"""From the end of one invocation to the first beat of the next [cycles].

Source: 10 + 28 + 6 clocks from a DMA descriptor to the first data (PG021 through a
public transcription) plus 16 to restart the dataflow region (derived here); to be
replaced by the cycle replay of emitted code.
"""

STAGE_DEPTH_CYCLES = 24
"""Pipeline depth of one stage, first input word to first output word [cycles].

Source: derived here: 4 (DSP) + 6 (adder tree) + 8 (requantize, residual) + 6
(buffers, streams); a constant per stage, so an error of 10 shifts a frame of 20
invocations by 600 cycles.
"""


def _cdiv(a: Cycles | int, b: Cycles | int) -> Cycles:
    """Return the elementwise ceiling of a / b."""
    return cast(Cycles, -(-np.asarray(a, dtype=np.int64) // b))


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Cycles of one stage for one layer, per configuration.

    Attributes:
        row: Between two output rows, where that takes longest.
        group: From the inputs of the first `px` pixels to their last output channel.
        cycles: All output rows.
        lead_in: Until the inputs of the first output are there, if read from DDR.
        tail: From the last input row (pointwise: pixels) to the last output.
    """

    row: Cycles
    group: Cycles
    cycles: Cycles
    lead_in: Cycles
    tail: Cycles


def _spatial(
    layer: DenseLayer | DepthwiseLayer, act_bits: int, board: Board
) -> tuple[Shape, Shape, int, int]:
    """Return IFM, OFM, kernel and stride; a Linear is a 1x1 map."""
    if isinstance(layer, Linear):
        channels = input_channels(layer, act_bits, board)
        return Shape(channels=channels, height=1, width=1), layer.ofm, 1, 1
    return layer.ifm, layer.ofm, layer.kernel, layer.stride


@dataclass(frozen=True, slots=True)
class _Intake:
    """Input rows that a window process takes in.

    Attributes:
        lead: Before output row 0.
        during: Pairs (input rows, output rows): so many during so many.
        waiting: Output rows that need the last input row.
    """

    lead: int
    during: tuple[tuple[int, int], ...]
    waiting: int

    @property
    def most(self) -> int:
        """Return the most input rows that one output row takes in."""
        return max(rows for rows, _ in self.during)


@cache
def _intake(layer: DenseLayer | DepthwiseLayer) -> _Intake:
    """Return when a layer's input rows are taken in. Source: docs/engine.md."""
    if isinstance(layer, Linear):
        return _Intake(lead=1, during=((0, 1),), waiting=1)
    used = rows_used(layer)
    below = layer.kernel - layer.padding.top
    need = [
        min(used, max(1, row * layer.stride + below)) for row in range(layer.ofm.height)
    ]
    counts = Counter(after - before for before, after in pairwise([*need, need[-1]]))
    return _Intake(
        lead=need[0], during=tuple(sorted(counts.items())), waiting=need.count(used)
    )


def rows_needed(layer: DenseLayer | DepthwiseLayer) -> int:
    """Return the input rows that the first output row needs."""
    return _intake(layer).lead


def _all_rows(
    layer: DenseLayer | DepthwiseLayer, sweep: Cycles, feed: Cycles
) -> Cycles:
    """Return the cycles of all output rows, each its sweep or its intake."""
    return cast(
        Cycles,
        sum(n * np.maximum(sweep, rows * feed) for rows, n in _intake(layer).during),
    )


def packed_taps(layer: DenseLayer, simd: Cycles | int, channels: int) -> Cycles:
    """Return the kernel columns in a word of the ring; 1 where none are packed.

    Args:
        layer: A dense layer.
        simd: Multipliers per lane.
        channels: Of `hao.cost.memory.input_channels`.
    """
    if isinstance(layer, Linear) or layer.kernel == 1:
        return np.ones_like(np.asarray(simd, dtype=np.int64))
    return np.maximum(1, np.asarray(simd, dtype=np.int64) // channels)


def dense_folds(
    layer: DenseLayer, simd: Cycles | int, *, act_bits: int, board: Board
) -> Cycles:
    """Return the passes that sum one output value on `simd` multipliers.

    Channels come in words of `simd`; where a word holds several pixels' channels,
    taps are packed with channels.

    Source: docs/engine.md; equal to a counted loop nest in tests/cost/test_latency.py.
    """
    channels = input_channels(layer, act_bits, board)
    kernel = 1 if isinstance(layer, Linear) else layer.kernel
    taps = packed_taps(layer, simd, channels)
    return _cdiv(kernel**2, taps) * _cdiv(channels, simd)


def dense_times(
    layer: DenseLayer,
    *,
    simd: Cycles | int,
    px: int,
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
    slots = _cdiv(columns - 1, taps) + 1
    gather = np.where(taps > 1, kernel * _cdiv(slots, px), 0)
    xgroups = -(-ofm.width // px)
    sweep = gather + (xgroups - 1) * np.maximum(gather, work) + work
    feed = _cdiv(ifm.width, taps) * _cdiv(ifm.channels, simd)
    row = np.maximum(sweep, _intake(layer).most * feed)
    beats = port_cycles(row_bytes(ifm.channels, ifm.width, act_bits, board), board)
    return StageTimes(
        row=row,
        group=gather + work,
        cycles=_all_rows(layer, sweep, feed),
        lead_in=rows_needed(layer) * np.maximum(feed, beats if first else 0),
        tail=_intake(layer).waiting * row,
    )


def first_columns(layer: DepthwiseLayer, px: int) -> int:
    """Return the cycles that read the columns of a row's first window, per group.

    Later windows find all but `stride` of their `px` columns kept from before.
    """
    columns = (px - 1) * layer.stride + layer.kernel - layer.padding.left
    return max(1, -(-min(layer.ifm.width, columns) // px))


def depthwise_times(
    layer: DepthwiseLayer,
    *,
    pe: Cycles | int,
    taps: Cycles | int,
    px: int,
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
    groups = _cdiv(ofm.channels, pe)
    passes = _cdiv(kernel**2, taps)
    left = np.maximum(first_columns(layer, px), passes)
    xgroups = -(-ofm.width // px)
    sweep = groups * (left + (xgroups - 1) * np.maximum(stride, passes))
    feed = (ifm.width if first else -(-ifm.width // px)) * groups
    row = np.maximum(sweep, _intake(layer).most * feed)
    beats = port_cycles(row_bytes(ifm.channels, ifm.width, act_bits, board), board)
    return StageTimes(
        row=row,
        group=groups * left,
        cycles=_all_rows(layer, sweep, feed),
        lead_in=rows_needed(layer) * np.maximum(feed, beats if first else 0),
        tail=_intake(layer).waiting * row,
    )


def pointwise_times(
    layer: DenseLayer,
    *,
    simd: Cycles | int,
    px: int,
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
    folds = _cdiv(ifm.channels, simd)
    work = folds_out * folds
    xgroups = -(-ofm.width // px)
    last = ofm.width - (xgroups - 1) * px
    opening = px if xgroups > 1 else last
    whole, short = work, work
    lead = np.zeros_like(folds)
    if first:
        whole, short = np.maximum(work, px * folds), np.maximum(work, last * folds)
        beats = port_cycles(row_bytes(ifm.channels, opening, act_bits, board), board)
        lead = np.maximum(opening * folds, beats)
    row = (xgroups - 1) * whole + short
    # Beside each group but the last, the vector of the next is taken in; the one of
    # the very first is the lead-in.
    begun = whole if xgroups > 1 else short
    return StageTimes(
        row=row,
        group=work,
        cycles=ofm.height * row - begun + work,
        lead_in=lead,
        tail=work,
    )


def pack_cycles(
    layer: DenseLayer | DepthwiseLayer,
    *,
    groups: Cycles,
    channels: Cycles | int,
    px: int,
    beat: int,
) -> Cycles:
    """Return the cycles in which the last stage's pixels are packed into beats.

    Every group of `px` pixels is read pixel by pixel, a word of `pe` channels or a
    beat a cycle.

    Args:
        layer: What the last stage runs.
        groups: Words of a pixel in this run.
        channels: Channels of a pixel in this run.
        px: Pixels at once.
        beat: Channels of a beat (`hao.cost.memory.beat_channels`).

    Source: docs/engine.md; equal to a counted loop nest in tests/cost/test_latency.py.
    """
    pixels = layer.ofm.height * -(-layer.ofm.width // px) * px
    return cast(Cycles, pixels * np.maximum(groups, _cdiv(channels, beat)))


@dataclass(frozen=True, slots=True)
class Path:
    """A lower bound on an invocation's cycles: `constant` + sum of stage arrays.

    Attributes:
        label: The process whose work the path follows: "ifm", a role's value, "ofm".
        constant: Cycles that depend on no stage's configuration.
        terms: Cycles per configuration of each stage in use.
    """

    label: str
    constant: int
    terms: dict[Role, Cycles]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    """Cycles on the ways in and out of an invocation, per configuration or constant.

    Attributes:
        ifm: Of the port that reads the feature map.
        ofm: Of the port that writes.
        residual: Of the port that reads the residual.
        pack: Until the last stage's pixels are in beats (`pack_cycles`).
    """

    ifm: Cycles | int
    ofm: Cycles | int
    residual: Cycles | int
    pack: Cycles | int


def paths(
    invocation: Invocation, times: dict[Role, StageTimes], transfers: Transfers
) -> tuple[Path, ...]:
    """Return every path of an invocation; its cycles are the largest of them.

    Transfers per configuration are those of the last stage in use.
    """
    used = [role for role, _ in invocation.stages]
    depth = START_CYCLES + STAGE_DEPTH_CYCLES * len(used)
    # A global pool writes only after the last pixel, so its write follows every path.
    pooled = invocation.ofm != invocation.stage_ofm
    after: Cycles | int = transfers.ofm if pooled else 0
    tails = {role: times[role].tail for role in used}
    result = [_path("ifm", depth, transfers.ifm, after, tails, used)]
    if invocation.residual:
        result.append(_path("residual", depth, transfers.residual, after, {}, used))
    leads = _leads(invocation, times)
    if used:
        leads[used[0]] = leads[used[0]] + times[used[0]].lead_in
    for index, role in enumerate(used):
        terms = {before: leads[before] for before in used[:index]}
        terms[role] = times[role].cycles
        if index == 0:
            terms[role] = terms[role] + times[role].lead_in
        terms |= {behind: tails[behind] for behind in used[index + 1 :]}
        result.append(_path(role.value, depth, 0, after, terms, used))
    out = transfers.pack
    if not pooled:
        out = np.maximum(transfers.pack, transfers.ofm)
    if used or not pooled:
        result.append(_path("ofm", depth, out, after, leads, used))
    return tuple(result)


def _path(
    label: str,
    depth: int,
    moved: Cycles | int,
    after: Cycles | int,
    terms: dict[Role, Cycles],
    used: list[Role],
) -> Path:
    """Return a path; what depends on a configuration joins the last stage's term."""
    extra = np.asarray(moved) + np.asarray(after)
    if extra.ndim == 0:
        return Path(label, depth + int(extra), terms)
    role = used[-1]
    own = terms.get(role, np.zeros_like(extra)) + extra
    return Path(label, depth, {**terms, role: own})


def _leads(invocation: Invocation, times: dict[Role, StageTimes]) -> dict[Role, Cycles]:
    """Return for each stage the cycles until the process behind it can start."""
    stages = invocation.stages
    leads: dict[Role, Cycles] = {role: times[role].group for role, _ in stages}
    for (role, _), (_, following) in pairwise(stages):
        if isinstance(following, Depthwise | Pool):
            leads[role] = rows_needed(following) * times[role].row
    return leads
