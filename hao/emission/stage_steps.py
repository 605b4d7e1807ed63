"""What a stage's processes do in a run: windows, vectors, products.

Trip counts and addresses of the stages, from the loops of docs/engine.md; the way in
and out of a run is in `hao.emission.ports`.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import assert_never

from hao.cost.memory import rows_used
from hao.cost.words import packed_taps
from hao.emission.records import (
    NONE,
    ArrayStep,
    DepthwiseStep,
    RegroupStep,
    Step,
    VectorsStep,
    WindowStep,
)
from hao.emission.runs import CODES, Run, StageRun, engine_stages
from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage, lanes_match
from hao.intmath import ceil_div
from hao.ir.integer import IntegerNetwork, MapType
from hao.ir.layer import Conv, Depthwise, Linear, Padding, Pool, PoolKind
from hao.ir.partition import DenseLayer, DepthwiseLayer, Role
from hao.ir.sparsity import FULL, kept_words, stored_density
from hao.ir.tensor import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A stage of a run, and what it stands between.

    Attributes:
        stage: Layer and output channels.
        before: The stage that feeds it, or `None` for DDR.
        fed: Type of the map that it reads.
        target: Code of what it feeds.
        design: Engine and board.
        net: Integers.
    """

    stage: StageRun
    before: StageRun | None
    fed: MapType
    target: int
    design: Design
    net: IntegerNetwork


def stage_step(
    step: Step,
    stage: StageRun,
    before: StageRun | None,
    target: int,
    run: Run,
    design: Design,
    net: IntegerNetwork,
) -> Step:
    """Return the step with one stage's processes filled in."""
    fed = run.invocation.input_name if before is None else before.layer.name
    work = _Work(
        stage=stage,
        before=before,
        fed=net.maps[fed],
        target=target,
        design=design,
        net=net,
    )
    hardware = engine_stages(design)[stage.role]
    if before is not None:
        step = _with_regroup(step, before, stage, design)
    if isinstance(hardware, DepthwiseStage):
        return replace(
            step,
            depthwise_window=_depthwise_window(work, hardware),
            depthwise_array=_depthwise_array(work, hardware),
        )
    array = _array(work, hardware)
    match stage.role:
        case Role.DENSE:
            window = _dense_window(work, hardware)
            return replace(step, dense_window=window, dense_array=array)
        case Role.POINTWISE:
            vectors = _vectors(work, hardware)
            return replace(step, vectors=vectors, pointwise_array=array)
        case Role.DEPTHWISE:
            raise AssertionError("a depthwise stage is no dense one")
        case _:
            assert_never(stage.role)


def _with_regroup(
    step: Step, before: StageRun, stage: StageRun, design: Design
) -> Step:
    """Return the step with the words between two stages."""
    stages = engine_stages(design)
    lanes_in = stages[before.role].pe
    lanes_out = stages[stage.role].lanes_in
    channels = before.channels
    words_in, words_out = ceil_div(channels, lanes_in), ceil_div(channels, lanes_out)
    ofm = before.layer.ofm
    total = ofm.height * ceil_div(ofm.width, design.engine.px)
    trips = max(words_in, words_out)
    if not lanes_match(lanes_in, lanes_out):
        trips = _uneven_trips(words_in, words_out, lanes_in, lanes_out)
    regroup = RegroupStep(
        trips=total * trips,
        words=max(words_in, words_out),
        words_in=words_in,
        words_out=words_out,
    )
    match before.role:
        case Role.DENSE:
            return replace(step, dense_regroup=regroup)
        case Role.DEPTHWISE:
            return replace(step, depthwise_regroup=regroup)
        case Role.POINTWISE:
            raise AssertionError("no stage comes behind the pointwise one")
        case _:
            assert_never(before.role)


def _uneven_trips(words_in: int, words_out: int, lanes_in: int, lanes_out: int) -> int:
    """Return the iterations that regroup the channels of a group of pixels."""
    have = taken = given = trips = 0
    while given < words_out:
        trips += 1
        if have < lanes_out and taken < words_in:
            have += lanes_in
            taken += 1
        if have >= lanes_out or taken == words_in:
            have = max(0, have - lanes_out)
            given += 1
    assert taken == words_in
    return trips


def _spatial(layer: DenseLayer | DepthwiseLayer, channels: int) -> tuple[Shape, Shape]:
    """Return the maps that a stage sees on both sides."""
    match layer:
        case Linear():
            return Shape(channels=channels, height=1, width=1), layer.ofm
        case Conv() | Depthwise() | Pool():
            return layer.ifm, layer.ofm
        case _:
            assert_never(layer)


def needed_rows(layer: DenseLayer | DepthwiseLayer, rows: int) -> list[int]:
    """Return the input rows that output rows 0 to r need, and last all that come.

    Args:
        layer: What a window process runs.
        rows: That come: from DDR those that are used, from a stage before all.
    """
    match layer:
        case Linear():
            return [1, 1]
        case Conv() | Depthwise() | Pool():
            below = layer.kernel - layer.padding.top
            outputs = range(layer.ofm.height + 1)
            return [min(rows, max(1, r * layer.stride + below)) for r in outputs]
        case _:
            assert_never(layer)


def _paced(
    step: WindowStep, layer: DenseLayer | DepthwiseLayer, *, feed: int, sweep: int
) -> WindowStep:
    """Return the step of a window process with the iterations of its rows.

    Args:
        step: Without them.
        layer: What it runs.
        feed: Words of an input row.
        sweep: Iterations that send an output row.
    """
    needed = needed_rows(layer, step.rows_used)
    fresh = [after - before for before, after in pairwise(needed)]
    return replace(
        step,
        feed=feed,
        sweep=sweep,
        period_one=max(sweep, feed),
        period_two=max(sweep, 2 * feed),
        period_three=max(sweep, 3 * feed) if step.stride > 2 else 0,
        lead_words=needed[0] * feed,
        row_trips=sum(max(sweep, count * feed) for count in fresh),
    )


def _dense_window(work: _Work, hardware: DenseStage) -> WindowStep:
    stage, layer, px = work.stage, work.stage.layer, work.design.engine.px
    assert isinstance(layer, DenseLayer)
    channels = stage.inputs(work.design)
    ifm, ofm = _spatial(layer, channels)
    kernel, stride, top, left, padded = 1, 1, 0, 0, False
    if not isinstance(layer, Linear):
        kernel, stride = layer.kernel, layer.stride
        top, left = layer.padding.top, layer.padding.left
        padded = layer.padding != Padding()
    taps = int(packed_taps(layer, hardware.simd, channels))
    # Of every output group, the window is sent once for each pass.
    out_groups = ceil_div(stage.channels, hardware.pe) * layer.passes
    xgroups = ceil_div(ofm.width, px)
    ring_rows = kernel + stride
    common = WindowStep(
        rows=ifm.height,
        width=ifm.width,
        rows_used=1 if isinstance(layer, Linear) else rows_used(layer),
        out_rows=ofm.height,
        kernel=kernel,
        stride=stride,
        pad_top=top,
        pad_left=left,
        out_groups=out_groups,
        xgroups=xgroups,
        ring_rows=ring_rows,
        next_columns=px * stride,
        fill=work.fed.zero if padded else 0,
        taps=taps,
        channels=channels,
    )
    if taps == 1:
        groups = ceil_div(channels, hardware.simd)
        feed = ifm.width * groups
        sends = out_groups * kept_words(kernel**2 * groups, stored_density(layer))
        sweep = xgroups * sends
        # Column -left of a row: (block * px + turn) * stride + phase.
        places, phase = divmod(-left, stride)
        block, turn = divmod(places, px)
        step = replace(
            common,
            groups=groups,
            columns=ifm.width,
            phases=stride,
            row_words=ceil_div(ceil_div(ifm.width, stride), px) * stride * groups,
            next_words=stride * groups,
            first_word=(block * stride + phase) * groups,
            first_block=block * stride * groups,
            first_turn=turn,
            first_phase=phase,
        )
        if stored_density(layer) < FULL:
            step = replace(step, listed=1, sends=sends)
    else:
        slots = ceil_div(ifm.width, taps)
        # The same, a slot being `taps` columns: (block * px + turn) * taps + offset.
        first_slot, first_offset = divmod(-left, taps)
        first_block, first_turn = divmod(first_slot, px)
        next_slot, next_offset = divmod(px * stride, taps)
        next_block, next_turn = divmod(next_slot, px)
        touched = ceil_div((px - 1) * stride + kernel - 1, taps) + 1
        per_row = ceil_div(touched, px)
        gathers = kernel * per_row
        folds = ceil_div(kernel**2, taps)
        sends = out_groups * folds
        feed = slots
        sweep = gathers + (xgroups - 1) * max(gathers, sends) + sends
        step = replace(
            common,
            groups=1,
            columns=slots,
            phases=1,
            row_words=ceil_div(slots, px),
            next_words=next_block,
            next_turn=next_turn,
            next_offset=next_offset,
            first_word=first_block,
            first_turn=first_turn,
            first_offset=first_offset,
            folds=folds,
            sends=sends,
            gathers=gathers,
            gathers_per_row=per_row,
            group_period=max(gathers, sends),
        )
    step = replace(
        step,
        ring_words=ring_rows * step.row_words,
        base_words=-top % ring_rows * step.row_words,
    )
    return _paced(step, layer, feed=feed, sweep=sweep)


def _depthwise_window(work: _Work, hardware: DepthwiseStage) -> WindowStep:
    layer, px, before = work.stage.layer, work.design.engine.px, work.before
    assert isinstance(layer, DepthwiseLayer)
    ifm, ofm = layer.ifm, layer.ofm
    kernel, stride = layer.kernel, layer.stride
    top, left = layer.padding.top, layer.padding.left
    groups = ceil_div(ifm.channels, hardware.pe)
    xgroups = ceil_div(ofm.width, px)
    from_ddr = before is None
    # A stage before also makes a last row that no window meets.
    rows = rows_used(layer) if from_ddr else ifm.height
    columns = ifm.width if from_ddr else ceil_div(ifm.width, px)
    needed = min(ifm.width, (px - 1) * stride + kernel - left)
    edge = max(1, ceil_div(needed, px))
    sweep = groups * (edge + (xgroups - 1) * stride)
    feed = columns * groups
    fill = work.fed.zero
    if isinstance(layer, Pool) and layer.kind is PoolKind.MAX:
        # Wins no maximum, but that of a window past the end of a row.
        fill = work.fed.low
    ring_rows = kernel + stride
    kept = max(kernel - stride, 0)
    # Behind the kept columns of the second group of pixels: block * px + turn, less the
    # `stride` blocks that a group of pixels is.
    block, turn = divmod(kept - left, px)
    step = WindowStep(
        source=NONE if before is None else CODES[before.role],
        rows=ifm.height,
        width=ifm.width,
        rows_used=rows,
        out_rows=ofm.height,
        kernel=kernel,
        stride=stride,
        pad_top=top,
        pad_left=left,
        groups=groups,
        out_groups=1,
        xgroups=xgroups,
        columns=columns,
        phases=1,
        row_words=ceil_div(ifm.width, px) * groups,
        ring_rows=ring_rows,
        ring_base=-top % ring_rows,
        next_columns=px * stride,
        next_words=stride * groups,
        first_word=(stride + block) * groups,
        first_turn=turn,
        kept=kept,
        edge_reads=edge,
        fill=fill,
        taps=1,
    )
    return _paced(step, layer, feed=feed, sweep=sweep)


def _vectors(work: _Work, hardware: DenseStage) -> VectorsStep:
    stage, layer, px = work.stage, work.stage.layer, work.design.engine.px
    assert isinstance(layer, DenseLayer)
    before, channels = work.before, stage.inputs(work.design)
    _, ofm = _spatial(layer, channels)
    folds = ceil_div(channels, hardware.simd)
    kept = kept_words(folds, stored_density(layer))
    sends = ceil_div(stage.channels, hardware.pe) * layer.passes * kept
    xgroups = ceil_div(ofm.width, px)
    last_pixels = ofm.width - (xgroups - 1) * px
    words, last_words = folds, folds
    if before is None:
        words, last_words = px * folds, last_pixels * folds
    lead = last_words if xgroups == 1 else words
    total = ofm.height * xgroups
    trips = lead
    for number in range(1, total + 1):
        fresh = last_words if number % xgroups == xgroups - 1 else words
        trips += max(sends, fresh if number < total else 0)
    return VectorsStep(
        source=NONE if before is None else CODES[before.role],
        trips=trips,
        folds=folds,
        sends=sends,
        words=words,
        last_words=last_words,
        lead_words=lead,
        period=max(words, sends),
        last_period=max(last_words, sends),
        xgroups=xgroups,
        total=total,
        listed=int(stored_density(layer) < FULL),
    )


def _array(work: _Work, hardware: DenseStage) -> ArrayStep:
    stage, layer = work.stage, work.stage.layer
    assert isinstance(layer, DenseLayer)
    channels = stage.inputs(work.design)
    _, ofm = _spatial(layer, channels)
    kernel = 1 if isinstance(layer, Linear) else layer.kernel
    taps = int(packed_taps(layer, hardware.simd, channels))
    folds = ceil_div(kernel**2, taps)
    listed = taps == 1 and stored_density(layer) < FULL
    if taps == 1:
        folds *= ceil_div(channels, hardware.simd)
        folds = kept_words(folds, stored_density(layer))
    groups = ceil_div(stage.channels, hardware.pe)
    xgroups = ceil_div(ofm.width, work.design.engine.px)
    kind = work.net.maps[layer.name]
    part = stage.part
    return ArrayStep(
        trips=ofm.height * xgroups * groups * layer.passes * folds,
        folds=layer.passes * folds,
        pass_folds=folds,
        up=layer.passes - 1,
        groups=groups,
        channels=stage.channels,
        is_signed=work.fed.quant.signed,
        low=kind.low,
        high=kind.high,
        target=work.target,
        resumes=int(part is not None and not part.starts),
        holds=int(part is not None and not part.ends),
        entries=groups * layer.passes * folds if listed else 0,
    )


def _depthwise_array(work: _Work, hardware: DepthwiseStage) -> DepthwiseStep:
    layer, net, px = work.stage.layer, work.net, work.design.engine.px
    assert isinstance(layer, DepthwiseLayer)
    passes = ceil_div(layer.kernel**2, hardware.taps)
    groups = ceil_div(layer.ofm.channels, hardware.pe)
    xgroups = ceil_div(layer.ofm.width, px)
    kind = net.maps[layer.name]
    step = DepthwiseStep(
        trips=layer.ofm.height * xgroups * groups * passes,
        passes=passes,
        groups=groups,
        channels=layer.ofm.channels,
        kernel=layer.kernel,
        stride=layer.stride,
        is_signed=work.fed.quant.signed,
        low=kind.low,
        high=kind.high,
        target=work.target,
    )
    if not isinstance(layer, Pool):
        return step
    if layer.kind is PoolKind.MAX:
        return replace(step, pools=1)
    begin, end = net.optional(layer.name, "bias", 2)
    if layer.uncounted != Padding():
        step = _with_borders(step, layer, px)
    return replace(
        step,
        pools=1,
        averages=1,
        sum_bias=begin,
        code_bias=end,
        multiplier=int(net.param(layer.name, "multiplier")[0]),
        shift=int(net.param(layer.name, "shift")[0]),
        rounding=int(net.rounding(layer.name)[0]),
    )


def _with_borders(step: DepthwiseStep, layer: Pool, px: int) -> DepthwiseStep:
    """Return the step of an average with what of its padding counts."""
    pads, out = layer.padding, layer.uncounted
    height = layer.ifm.height + pads.top + pads.bottom
    width = layer.ifm.width + pads.left + pads.right
    return replace(
        step,
        borders=1,
        first_row=-out.top,
        first_column=-out.left,
        counted_rows=height - out.top - out.bottom,
        counted_columns=width - out.left - out.right,
        xgroups=ceil_div(layer.ofm.width, px),
        next_columns=px * layer.stride,
    )
