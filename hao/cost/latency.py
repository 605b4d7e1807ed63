"""Cycles of the engine's stages and of one invocation.

The formulas mirror the loop nests of the engine. A stage works row by row: while it
computes one output row it takes in the input rows that the next one needs, so a row
costs the larger of the two. Stages, reader and writer run side by side, joined by
streams; the invocation takes as long as its slowest *path*: the time until some
process gets its first input, all of that process's work, and what those behind it
still have to do with its last output. `paths` returns every such path as a constant
and one array per stage, so that the same numbers enter the integer program as rows
and the report as a maximum.

All functions take Python integers or NumPy integer arrays of stage configurations
alike, and are exact in both. DDR bandwidth shared between the ports is added in
`hao.cost.evaluate`.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hao.cost.memory import port_cycles, row_bytes
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
        row: Between two output rows.
        group: From the inputs of `px` pixels to their last output channel.
        cycles: All output rows.
        lead_in: Until the inputs of the first output are there, if read from DDR.
        tail: From the last input row (pointwise: pixels) to the last output.
    """

    row: Cycles
    group: Cycles
    cycles: Cycles
    lead_in: Cycles
    tail: Cycles


def _spatial(layer: DenseLayer | DepthwiseLayer) -> tuple[Shape, Shape, int, int, int]:
    """Return IFM, OFM, kernel, stride and top padding; a Linear is a 1x1 map."""
    if isinstance(layer, Linear):
        flat = Shape(channels=layer.terms, height=1, width=1)
        return flat, layer.ofm, 1, 1, 0
    return layer.ifm, layer.ofm, layer.kernel, layer.stride, layer.padding.top


def rows_needed(layer: DenseLayer | DepthwiseLayer) -> int:
    """Return the input rows that the first output row needs."""
    ifm, _, kernel, _, pad = _spatial(layer)
    return max(1, min(ifm.height, kernel - pad))


def _rows_left(layer: DenseLayer | DepthwiseLayer) -> int:
    """Return the output rows that need the last input row."""
    ifm, ofm, kernel, stride, pad = _spatial(layer)
    first = -(-(ifm.height - kernel + pad) // stride)
    return max(1, ofm.height - max(0, first))


def dense_folds(layer: DenseLayer, simd: Cycles | int) -> Cycles:
    """Return the passes that sum one output value on `simd` multipliers.

    Channels come in words of `simd`; where a word holds several pixels' channels,
    taps are packed with channels.

    Source: derived here; equal to a counted loop nest in tests/cost/test_latency.py.
    """
    ifm, _, kernel, _, _ = _spatial(layer)
    taps = np.maximum(1, np.asarray(simd, dtype=np.int64) // ifm.channels)
    return _cdiv(kernel**2, np.minimum(taps, kernel**2)) * _cdiv(ifm.channels, simd)


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

    Source: derived here; equal to a counted loop nest in tests/cost/test_latency.py.
    """
    ifm, ofm, kernel, stride, _ = _spatial(layer)
    packed = np.asarray(simd, dtype=np.int64) // ifm.channels
    taps = np.where(kernel > 1, np.maximum(1, packed), 1)
    # A window of packed taps is gathered word by word from each kernel row.
    gather = np.where(taps > 1, kernel * _cdiv(px * stride, taps), 0)
    group = np.maximum(folds_out * dense_folds(layer, simd), gather)
    feed = _cdiv(ifm.width, taps) * _cdiv(ifm.channels, simd)
    row = np.maximum(_cdiv(ofm.width, px) * group, stride * feed)
    beats = port_cycles(row_bytes(ifm.channels, ifm.width, act_bits, board), board)
    lead = rows_needed(layer) * np.maximum(feed, beats if first else 0)
    return StageTimes(
        row=row,
        group=group,
        cycles=ofm.height * row,
        lead_in=lead,
        tail=_rows_left(layer) * row,
    )


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
    least one per new column of the window (`stride` of them).

    Args:
        layer: A depthwise convolution or a pool.
        pe: Channels at once.
        taps: Kernel taps at once.
        px: Pixels at once.
        first: The stage reads from DDR, one pixel per word.
        act_bits: Width of the activations.
        board: Sets the beat of the port.

    Source: derived here; equal to a counted loop nest in tests/cost/test_latency.py.
    """
    ifm, ofm, kernel, stride, _ = _spatial(layer)
    groups = _cdiv(ofm.channels, pe)
    group = groups * np.maximum(_cdiv(kernel**2, taps), stride)
    feed = (ifm.width if first else _cdiv(ifm.width, px)) * groups
    row = np.maximum(_cdiv(ofm.width, px) * group, stride * feed)
    beats = port_cycles(row_bytes(ifm.channels, ifm.width, act_bits, board), board)
    lead = rows_needed(layer) * np.maximum(feed, beats if first else 0)
    return StageTimes(
        row=row,
        group=group,
        cycles=ofm.height * row,
        lead_in=lead,
        tail=_rows_left(layer) * row,
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

    Source: derived here; equal to a counted loop nest in tests/cost/test_latency.py.
    """
    ifm, ofm, _, _, _ = _spatial(layer)
    folds = _cdiv(ifm.channels, simd)
    pixels = min(px, ofm.width)
    feed = pixels * folds if first else np.zeros_like(folds)
    group = folds_out * folds
    row = _cdiv(ofm.width, px) * np.maximum(group, feed)
    beats = port_cycles(row_bytes(ifm.channels, pixels, act_bits, board), board)
    lead = np.maximum(feed, beats) if first else np.zeros_like(folds)
    return StageTimes(
        row=row, group=group, cycles=ofm.height * row, lead_in=lead, tail=group
    )


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
    """Cycles of the ports that serve one invocation, per configuration or constant."""

    ifm: Cycles | int
    ofm: Cycles | int
    residual: Cycles | int


def paths(
    invocation: Invocation, times: dict[Role, StageTimes], transfers: Transfers
) -> tuple[Path, ...]:
    """Return every path of an invocation; its cycles are the largest of them."""
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
    if not pooled:
        result.append(_path("ofm", depth, transfers.ofm, 0, leads, used))
    return tuple(result)


def _path(
    label: str,
    depth: int,
    moved: Cycles | int,
    after: Cycles | int,
    terms: dict[Role, Cycles],
    used: list[Role],
) -> Path:
    """Return a path; transfers that depend on a configuration join its stage's term."""
    extra = np.asarray(moved) + np.asarray(after)
    if extra.ndim == 0:
        return Path(label, depth + int(extra), terms)
    (role,) = used
    return Path(label, depth, {role: terms.get(role, np.zeros_like(extra)) + extra})


def _leads(invocation: Invocation, times: dict[Role, StageTimes]) -> dict[Role, Cycles]:
    """Return for each stage the cycles until the process behind it can start."""
    stages = invocation.stages
    leads: dict[Role, Cycles] = {role: times[role].group for role, _ in stages}
    for (role, _), (_, following) in pairwise(stages):
        if isinstance(following, Depthwise | Pool):
            leads[role] = rows_needed(following) * times[role].row
    return leads
