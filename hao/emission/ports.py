"""The way in and out of a run: beats read, unpacked, packed and written.

What is done to the result on its way out, the residual add and the global average
pool, is a process of its own before the writer.
"""

from dataclasses import dataclass, replace

import numpy as np

from hao.cost.memory import rows_used
from hao.cost.words import packed_taps
from hao.emission.arena import Arena, StoredMap, stored_map
from hao.emission.records import (
    NONE,
    FinishStep,
    PackStep,
    ReadStep,
    ResidualStep,
    UnpackStep,
    WriteStep,
)
from hao.emission.runs import CODES, Run, StageRun, engine_stages
from hao.engine.design import Design
from hao.intmath import ceil_div
from hao.ir.integer import IntegerNetwork
from hao.ir.layer import Linear
from hao.ir.partition import DenseLayer
from hao.ir.tensor import Shape


def read_step(run: Run, source: StoredMap) -> ReadStep:
    """Return which beats of the source map a run reads, and for whom."""
    rows = source.shape.height
    target = NONE
    if run.stages:
        rows = rows_used(run.stages[0].layer)
        target = CODES[run.stages[0].role]
    if run.part is not None:
        # The stored map is one pixel, and a part begins a beat.
        begin = run.part.begin // source.beat_channels
        end = ceil_div(run.part.end, source.beat_channels)
        return ReadStep(base=source.base + begin, beats=end - begin, target=target)
    return ReadStep(base=source.base, beats=rows * source.row_beats, target=target)


def unpack_step(first: StageRun, source: StoredMap, design: Design) -> UnpackStep:
    """Return how beats become words of the first stage."""
    layer = first.layer
    lanes = engine_stages(design)[first.role].lanes_in
    channels = first.inputs(design)
    rows, width, stored = rows_used(layer), source.shape.width, source.pixel_channels
    row_beats = source.row_beats
    if first.part is not None:
        row_beats = ceil_div(channels, source.beat_channels)
        stored = row_beats * source.beat_channels
        rows = width = 1
    elif isinstance(layer, Linear):
        if width * source.shape.height > 1:
            row_beats *= source.shape.height
            stored = channels
        rows = width = 1
    taps = 1
    if isinstance(layer, DenseLayer):
        taps = int(packed_taps(layer, lanes, channels))
    row_codes = width * stored
    if taps > 1:
        words, pixels = 1, ceil_div(width, taps)
        sizes = np.full(pixels, taps * stored, dtype=np.int64)
    else:
        words, pixels = ceil_div(channels, lanes), width
        one = np.full(words, lanes, dtype=np.int64)
        one[-1] = stored - (words - 1) * lanes
        sizes = np.tile(one, pixels)
    beats = np.minimum(-(-np.cumsum(sizes) // source.beat_channels), row_beats)
    trips = rows * int(np.maximum(np.diff(beats, prepend=0), 1).sum())
    # Packed, the last word of a row may have fewer pixels than the others.
    row_tail = row_codes - int(sizes[:-1].sum())
    return UnpackStep(
        trips=trips,
        words=words,
        tail=int(sizes[-1]),
        row_tail=row_tail,
        last_lanes=channels - (words - 1) * lanes,
        channels=channels,
        pixel_channels=stored,
        taps=taps,
        pixels=pixels,
    )


def pack_step(run: Run, arena: Arena, design: Design) -> PackStep:
    """Return how the last stage's words become beats."""
    last = run.stages[-1]
    stage = engine_stages(design)[last.role]
    px = design.engine.px
    shape = run.invocation.stage_ofm
    whole = stored_map(
        shape, base=0, act_bits=design.engine.act_bits, board=design.board
    )
    codes = _codes_written(run, whole)
    merges = codes < whole.beat_channels
    groups = ceil_div(run.channels, stage.pe)
    each = groups
    tail = codes - (groups - 1) * stage.pe
    if not merges:
        each = _pixel_sends(groups, stage.pe, tail, whole.beat_channels)
    xgroups = ceil_div(shape.width, px)
    last_pixels = shape.width - (xgroups - 1) * px
    total = shape.height * xgroups
    sends, last_sends = px * each, last_pixels * each
    trips = groups
    for number in range(total):
        out = last_sends if number % xgroups == xgroups - 1 else sends
        trips += max(out, groups if number + 1 < total else 0)
    return PackStep(
        trips=trips,
        groups=groups,
        tail=tail,
        merges=merges,
        sends=sends,
        last_sends=last_sends,
        period=max(sends, groups),
        last_period=max(last_sends, groups),
        last_pixels=last_pixels,
        xgroups=xgroups,
        total=total,
    )


def _codes_written(run: Run, whole: StoredMap) -> int:
    """Return the codes of a pixel that a run writes, what fills them up included."""
    end = run.begin + run.channels
    if end == whole.shape.channels:
        end = whole.pixel_channels
    return end - run.begin


def _pixel_sends(groups: int, pe: int, tail: int, beat: int) -> int:
    """Return the iterations in which a pixel's words leave as whole beats."""
    have, word, left = 0, 0, (groups - 1) * pe + tail
    trips = 0
    while left:
        trips += 1
        if have < beat and word < groups:
            have += tail if word == groups - 1 else pe
            word += 1
        if have >= beat:
            have -= beat
            left -= beat
    return trips


@dataclass(frozen=True, slots=True)
class _Beats:
    """Where the beats of a result lie, before any global pool.

    Attributes:
        kept: The map as its last stage makes it, in the layout of what is written.
        offset: First beat of a pixel that belongs to the run.
        pixels: Runs of beats.
        run: Beats of each.
        stride: Beats from one to the next.
        lanes: Codes of a pixel in this run.
    """

    kept: StoredMap
    offset: int
    pixels: int
    run: int
    stride: int
    lanes: int


def _beats(run: Run, arena: Arena) -> _Beats:
    shape = run.invocation.stage_ofm
    kept = stored_like(shape, arena.maps[run.invocation.output_name])
    codes = _codes_written(run, kept)
    pixels, length, stride = 1, shape.height * kept.row_beats, 0
    if codes != kept.pixel_channels:
        pixels = shape.height * shape.width
        length, stride = ceil_div(codes, kept.beat_channels), kept.pixel_beats
    return _Beats(
        kept=kept,
        offset=run.begin // kept.beat_channels,
        pixels=pixels,
        run=length,
        stride=stride,
        lanes=codes,
    )


def write_step(run: Run, arena: Arena) -> WriteStep:
    """Return which beats of the result a run writes."""
    beats = _beats(run, arena)
    base = arena.maps[run.invocation.output_name].base + beats.offset
    if run.pool is not None:
        words = ceil_div(beats.lanes, beats.kept.beat_channels)
        return WriteStep(base=base, pixels=1, run=words)
    return WriteStep(base=base, pixels=beats.pixels, run=beats.run, stride=beats.stride)


def residual_step(run: Run, arena: Arena) -> ResidualStep:
    """Return which beats are added to the result, none without an add."""
    if run.add is None:
        return ResidualStep()
    assert run.invocation.residual_name is not None
    beats = _beats(run, arena)
    return ResidualStep(
        base=arena.maps[run.invocation.residual_name].base + beats.offset,
        pixels=beats.pixels,
        run=beats.run,
        stride=beats.stride,
    )


def finish_step(run: Run, arena: Arena, net: IntegerNetwork) -> FinishStep:
    """Return what is done to the result of a run on its way out."""
    beats = _beats(run, arena)
    step = FinishStep(
        source=CODES[run.stages[-1].role] if run.stages else NONE,
        beats=beats.pixels * beats.run,
        mean_words=1,
        mean_lanes=1,
    )
    made = run.stages[-1].layer.name if run.stages else run.invocation.input_name
    if run.add is not None:
        step = _with_mask(_with_add(step, run, net, made), run, beats)
        made = run.add.name
    if run.pool is not None:
        beat = beats.kept.beat_channels
        begin, end = net.optional(run.pool.name, "bias", 2)
        step = replace(
            step,
            pools=1,
            pool_signed=net.maps[made].quant.signed,
            multiplier=int(net.param(run.pool.name, "multiplier")[0]),
            mean_shift=int(net.param(run.pool.name, "shift")[0]),
            mean_rounding=int(net.rounding(run.pool.name)[0]),
            sum_bias=begin,
            code_bias=end,
            pool_low=net.maps[run.pool.name].low,
            pool_high=net.maps[run.pool.name].high,
            mean_words=ceil_div(beats.lanes, beat),
            mean_lanes=min(beats.lanes, beat),
        )
        if begin or end or step.pool_low > 0 or step.pool_high < 0:
            exist = _existing(run, beats) - (step.mean_words - 1) * beat
            step = replace(step, mean_last=exist)
    return step


def _existing(run: Run, beats: _Beats) -> int:
    """Return the channels of a pixel in a run."""
    return min(beats.lanes, beats.kept.shape.channels - run.begin)


def _with_mask(step: FinishStep, run: Run, beats: _Beats) -> FinishStep:
    """Return the step with what tells codes that exist from those that fill up.

    Those are 0 in DDR, and would not be where 0 + 0 gives another code.
    """
    if step.bias == 0 and step.low <= 0 <= step.high:
        return step
    kept, exist = beats.kept, _existing(run, beats)
    if beats.lanes < kept.beat_channels:
        pixels = kept.beat_channels // kept.pixel_channels
        last = kept.shape.width - (kept.row_beats - 1) * pixels
        return replace(
            step,
            unit=kept.row_beats,
            unit_lanes=last * kept.pixel_channels,
            pixel_lanes=kept.pixel_channels,
            pixel_codes=exist,
        )
    unit = ceil_div(beats.lanes, kept.beat_channels)
    return replace(
        step,
        unit=unit,
        unit_lanes=exist - (unit - 1) * kept.beat_channels,
        pixel_lanes=kept.beat_channels,
        pixel_codes=kept.beat_channels,
    )


def stored_like(shape: Shape, other: StoredMap) -> StoredMap:
    """Return a map of `shape` with pixels like those of another of as many channels."""
    row = ceil_div(shape.width * other.pixel_channels, other.beat_channels)
    return replace(other, shape=shape, row_beats=row)


def _with_add(step: FinishStep, run: Run, net: IntegerNetwork, made: str) -> FinishStep:
    assert run.add is not None
    assert run.invocation.residual_name is not None
    residual = run.invocation.residual_name
    shifts = [int(value) for value in net.param(run.add.name, "shifts")]
    first, second = shifts[0], shifts[1]
    if run.add.inputs[0] == residual:
        first, second = second, first
    kind = net.maps[run.add.name]
    return replace(
        step,
        adds=1,
        is_signed=net.maps[made].quant.signed,
        residual_signed=net.maps[residual].quant.signed,
        shift_a=first,
        shift_b=second,
        shift=shifts[2],
        rounding=int(net.rounding(run.add.name)[0]),
        bias=net.optional(run.add.name, "bias", 1)[0],
        low=kind.low,
        high=kind.high,
    )
