"""The table of steps: what each process of the engine does, run by run.

Every number that the hardware does not work out itself is worked out here, from the
loops of docs/engine.md. The trip counts that result are compared with those of the
cost model and of the cycle replay in tests/emit.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hao.cost.design import Design
from hao.cost.latency import packed_taps
from hao.cost.memory import input_channels, rows_used
from hao.emit.arena import Arena, StoredMap, place_maps, stored_map
from hao.emit.records import (
    DENSE,
    DEPTHWISE,
    NONE,
    POINTWISE,
    ArrayStep,
    DepthwiseStep,
    LoadStep,
    PackStep,
    ReadStep,
    RegroupStep,
    Step,
    UnpackStep,
    VectorsStep,
    WindowStep,
    WriteStep,
)
from hao.emit.runs import Run, StageRun, design_runs, engine_stages
from hao.emit.stage_sizes import unit_rows
from hao.emit.weights import Bytes, StageWeights, stage_weights
from hao.hw.engine import DenseStage, DepthwiseStage, lanes_match
from hao.intmath import ceil_div
from hao.ir.integer import IntegerNetwork
from hao.ir.layer import Depthwise, Linear, Pool, PoolKind
from hao.ir.partition import DenseLayer, DepthwiseLayer, Role
from hao.ir.tensor import Shape

CODES = {Role.DENSE: DENSE, Role.DEPTHWISE: DEPTHWISE, Role.POINTWISE: POINTWISE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A network as the engine runs it.

    Attributes:
        steps: In order.
        titles: What each step does, for a reader.
        runs: The run of each step, or `None` where it only loads weights.
        arena: Where feature maps lie.
        weights: Packed weights of all runs, whole beats.
    """

    steps: tuple[Step, ...]
    titles: tuple[str, ...]
    runs: tuple[Run | None, ...]
    arena: Arena
    weights: Bytes


def make_table(design: Design, net: IntegerNetwork) -> Table:
    """Return the steps of one frame, with packed weights and places of all maps.

    Raises:
        InputError: A weight buffer does not hold a tile.
    """
    runs = design_runs(design, net)
    arena = place_maps(design)
    loads, data = _loads(runs, design, net)
    computed = [_run_step(run, arena, design, net) for run in runs]
    steps: list[Step] = []
    titles: list[str] = []
    ran: list[Run | None] = []
    if design.engine.double_buffered:
        steps.append(_with_load(Step(), loads[0], design, half=0))
        titles.append(f"load {runs[0].name}")
        ran.append(None)
        for number, step in enumerate(computed):
            half = number % 2
            made = _in_half(step, design, half)
            title = f"run {runs[number].name}"
            if number + 1 < len(runs):
                made = _with_load(made, loads[number + 1], design, half=1 - half)
                title += f"; load {runs[number + 1].name}"
            steps.append(made)
            titles.append(title)
            ran.append(runs[number])
    else:
        for run, step, load in zip(runs, computed, loads, strict=True):
            if load:
                steps.append(_with_load(Step(), load, design, half=0))
                titles.append(f"load {run.name}")
                ran.append(None)
            steps.append(step)
            titles.append(f"run {run.name}")
            ran.append(run)
    return Table(
        steps=tuple(steps),
        titles=tuple(titles),
        runs=tuple(ran),
        arena=arena,
        weights=data,
    )


def _loads(
    runs: tuple[Run, ...], design: Design, net: IntegerNetwork
) -> tuple[list[dict[Role, StageWeights]], Bytes]:
    """Return every run's packed weights, based in the whole, and the whole."""
    stages = engine_stages(design)
    rows = stage_unit_rows(design, net)
    port = design.board.port_bytes
    loads: list[dict[Role, StageWeights]] = []
    parts: list[Bytes] = []
    beat = 0
    for run in runs:
        made: dict[Role, StageWeights] = {}
        for stage in run.stages:
            packed = stage_weights(
                stage,
                stages[stage.role],
                rows=rows.get(stage.role, 1),
                net=net,
                design=design,
            )
            if packed is None:
                continue
            made[stage.role] = replace(packed, load=replace(packed.load, base=beat))
            parts.append(packed.data)
            beat += len(packed.data) // port
        loads.append(made)
    empty = np.zeros(port, dtype=np.uint8)
    return loads, np.concatenate(parts) if parts else empty


def stage_unit_rows(design: Design, net: IntegerNetwork) -> dict[Role, int]:
    """Return the lanes of a weight unit of every stage that loads weights."""
    bits = net.weight_bits()
    narrowest: dict[Role, int] = {}
    for segment in design.segments:
        for role, layer in segment.invocation.stages:
            if not isinstance(layer, Pool):
                least = min(narrowest.get(role, 8), bits[layer.name])
                narrowest[role] = least
    result = {}
    for role, stage in engine_stages(design).items():
        if role in narrowest:
            items = stage.taps if isinstance(stage, DepthwiseStage) else stage.simd
            result[role] = unit_rows(
                items=items,
                pe=stage.pe,
                narrowest=narrowest[role],
                board=design.board,
            )
    return result


def _with_load(
    step: Step, load: dict[Role, StageWeights], design: Design, *, half: int
) -> Step:
    """Return the step that also loads weights, into a half of the buffers."""
    for role, packed in load.items():
        weight, channel = _bases(design, role, half)
        if role is Role.DENSE:
            step = replace(
                step,
                dense_load=packed.load,
                dense_array=_filled(step.dense_array, packed, weight, channel),
            )
        elif role is Role.POINTWISE:
            step = replace(
                step,
                pointwise_load=packed.load,
                pointwise_array=_filled(step.pointwise_array, packed, weight, channel),
            )
        else:
            step = replace(
                step,
                depthwise_load=packed.load,
                depthwise_array=replace(
                    step.depthwise_array,
                    fill_weight_base=weight,
                    fill_channel_base=channel,
                    fill_units=packed.units,
                    fill_records=packed.records,
                ),
            )
    return step


def _filled(
    array: ArrayStep, packed: StageWeights, weight: int, channel: int
) -> ArrayStep:
    return replace(
        array,
        fill_weight_base=weight,
        fill_channel_base=channel,
        fill_units=packed.units,
        fill_records=packed.records,
    )


def _in_half(step: Step, design: Design, half: int) -> Step:
    """Return the step that computes with the weights in a half of the buffers."""
    for role in engine_stages(design):
        weight, channel = _bases(design, role, half)
        if role is Role.DENSE:
            array = replace(step.dense_array, weight_base=weight, channel_base=channel)
            step = replace(step, dense_array=array)
        elif role is Role.POINTWISE:
            array = replace(
                step.pointwise_array, weight_base=weight, channel_base=channel
            )
            step = replace(step, pointwise_array=array)
        else:
            depthwise = replace(
                step.depthwise_array, weight_base=weight, channel_base=channel
            )
            step = replace(step, depthwise_array=depthwise)
    return step


def _bases(design: Design, role: Role, half: int) -> tuple[int, int]:
    """Return where a half of a stage's buffers begins: weights, records [words]."""
    stage = engine_stages(design)[role]
    if not design.engine.double_buffered:
        return 0, 0
    return half * (stage.weight_words // 2), half * (stage.channel_words // 2)


def _run_step(run: Run, arena: Arena, design: Design, net: IntegerNetwork) -> Step:
    """Return the step that computes a run, from the first half of the buffers."""
    source = arena.maps[run.invocation.input_name]
    first = run.stages[0] if run.stages else None
    step = Step(read=_read(run, source), write=_write(run, arena, net))
    if first is None:
        return step
    step = replace(
        step,
        unpack=_unpack(first, source, design),
        pack=_pack(run, arena, design),
    )
    before: StageRun | None = None
    following = (*run.stages[1:], None)
    for stage, after in zip(run.stages, following, strict=True):
        target = NONE if after is None else CODES[after.role]
        step = _stage_step(step, stage, before, target, run, design, net)
        before = stage
    return step


def _spatial(layer: DenseLayer | DepthwiseLayer, channels: int) -> tuple[Shape, Shape]:
    """Return the maps that a stage sees on both sides."""
    if isinstance(layer, Linear):
        return Shape(channels=channels, height=1, width=1), layer.ofm
    return layer.ifm, layer.ofm


def _read(run: Run, source: StoredMap) -> ReadStep:
    rows = source.shape.height
    target = NONE
    if run.stages:
        rows = rows_used(run.stages[0].layer)
        target = CODES[run.stages[0].role]
    return ReadStep(base=source.base, beats=rows * source.row_beats, target=target)


def _first_lanes(first: StageRun, design: Design) -> int:
    stage = engine_stages(design)[first.role]
    return stage.pe if isinstance(stage, DepthwiseStage) else stage.simd


def _unpack(first: StageRun, source: StoredMap, design: Design) -> UnpackStep:
    """Return how beats become words of the first stage."""
    layer, act_bits = first.layer, design.engine.act_bits
    lanes = _first_lanes(first, design)
    channels = input_channels(layer, act_bits, design.board)
    rows, width, stored = rows_used(layer), source.shape.width, source.pixel_channels
    row_beats = source.row_beats
    if isinstance(layer, Linear):
        if width * source.shape.height > 1:
            row_beats *= source.shape.height
            stored = channels
        rows = width = 1
    taps = 1
    if first.role is Role.DENSE:
        assert not isinstance(layer, Depthwise | Pool)
        taps = int(packed_taps(layer, lanes, channels))
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
    return UnpackStep(
        trips=trips,
        words=words,
        tail=int(sizes[-1]),
        channels=channels,
        pixel_channels=stored,
        taps=taps,
        pixels=pixels,
        row_beats=row_beats,
    )


def _pack(run: Run, arena: Arena, design: Design) -> PackStep:
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
        pixel_channels=codes,
        merges=merges,
        sends=sends,
        last_sends=last_sends,
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


def _write(run: Run, arena: Arena, net: IntegerNetwork) -> WriteStep:
    """Return where the result goes, and what is done to it on the way."""
    invocation = run.invocation
    target = arena.maps[invocation.output_name]
    source = CODES[run.stages[-1].role] if run.stages else NONE
    shape = invocation.stage_ofm
    before = stored_like(shape, target)
    codes = _codes_written(run, before)
    offset = run.begin // before.beat_channels
    beats = ceil_div(codes, before.beat_channels)
    whole = codes == before.pixel_channels
    if whole:
        runs, length, stride = 1, shape.height * before.row_beats, 0
    else:
        runs, length, stride = shape.height * shape.width, beats, before.pixel_beats
    step = WriteStep(
        source=source,
        base=target.base + offset,
        pixels=runs,
        run=length,
        stride=stride,
        mean_words=1,
        mean_lanes=1,
    )
    made = run.stages[-1].layer.name if run.stages else invocation.input_name
    if run.add is not None:
        assert invocation.residual_name is not None
        step = _with_add(step, run, arena, net, made, offset)
        made = run.add.name
    if run.pool is not None:
        step = replace(
            step,
            pools=1,
            pool_signed=net.maps[made].quant.signed,
            multiplier=int(net.param(run.pool.name, "multiplier")[0]),
            mean_shift=int(net.param(run.pool.name, "shift")[0]),
            pool_low=net.maps[run.pool.name].low,
            pool_high=net.maps[run.pool.name].high,
            mean_words=beats,
            mean_lanes=min(codes, before.beat_channels),
        )
    return step


def stored_like(shape: Shape, other: StoredMap) -> StoredMap:
    """Return a map of `shape` with pixels like those of another of as many channels."""
    row = ceil_div(shape.width * other.pixel_channels, other.beat_channels)
    return replace(other, shape=shape, row_beats=row)


def _with_add(
    step: WriteStep,
    run: Run,
    arena: Arena,
    net: IntegerNetwork,
    made: str,
    offset: int,
) -> WriteStep:
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
        residual_base=arena.maps[residual].base + offset,
        is_signed=net.maps[made].quant.signed,
        residual_signed=net.maps[residual].quant.signed,
        shift_a=first,
        shift_b=second,
        shift=shifts[2],
        low=kind.low,
        high=kind.high,
    )


def _stage_step(
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
    is_signed = net.maps[fed].quant.signed
    hardware = engine_stages(design)[stage.role]
    if before is not None:
        step = _with_regroup(step, before, stage, design)
    if stage.role is Role.DEPTHWISE:
        assert isinstance(hardware, DepthwiseStage)
        return replace(
            step,
            depthwise_window=_depthwise_window(
                stage, before, hardware, design, lowest=net.maps[fed].low
            ),
            depthwise_array=_depthwise_array(
                stage, hardware, design, net, is_signed=is_signed, target=target
            ),
        )
    assert isinstance(hardware, DenseStage)
    array = _array(stage, hardware, design, net, is_signed=is_signed, target=target)
    if stage.role is Role.DENSE:
        window = _dense_window(stage, hardware, design)
        return replace(step, dense_window=window, dense_array=array)
    vectors = _vectors(stage, before, hardware, design)
    return replace(step, vectors=vectors, pointwise_array=array)


def _with_regroup(
    step: Step, before: StageRun, stage: StageRun, design: Design
) -> Step:
    """Return the step with the words between two stages."""
    stages = engine_stages(design)
    lanes_in = stages[before.role].pe
    hardware = stages[stage.role]
    lanes_out = hardware.pe if isinstance(hardware, DepthwiseStage) else hardware.simd
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
    if before.role is Role.DENSE:
        return replace(step, dense_regroup=regroup)
    return replace(step, depthwise_regroup=regroup)


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


def needed_rows(layer: DenseLayer | DepthwiseLayer, rows: int) -> list[int]:
    """Return the input rows that output rows 0 to r need, and last all that come.

    Args:
        layer: What a window process runs.
        rows: That come: from DDR those that are used, from a stage before all.
    """
    if isinstance(layer, Linear):
        return [1, 1]
    return [
        min(rows, max(1, r * layer.stride + layer.kernel - layer.padding.top))
        for r in range(layer.ofm.height + 1)
    ]


def _row_trips(
    layer: DenseLayer | DepthwiseLayer, rows: int, *, feed: int, sweep: int
) -> int:
    """Return the iterations of all output rows of a window process."""
    fresh = [after - before for before, after in pairwise(needed_rows(layer, rows))]
    return sum(max(sweep, count * feed) for count in fresh)


def _dense_window(stage: StageRun, hardware: DenseStage, design: Design) -> WindowStep:
    layer, px = stage.layer, design.engine.px
    assert not isinstance(layer, Depthwise | Pool)
    channels = input_channels(layer, design.engine.act_bits, design.board)
    ifm, ofm = _spatial(layer, channels)
    kernel, stride, top, left = 1, 1, 0, 0
    if not isinstance(layer, Linear):
        kernel, stride = layer.kernel, layer.stride
        top, left = layer.padding.top, layer.padding.left
    taps = int(packed_taps(layer, hardware.simd, channels))
    out_groups = ceil_div(stage.channels, hardware.pe)
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
        ring_base=-top % ring_rows,
        taps=taps,
        channels=channels,
    )
    if taps == 1:
        groups = ceil_div(channels, hardware.simd)
        feed = ifm.width * groups
        sweep = xgroups * out_groups * kernel**2 * groups
        step = replace(
            common,
            groups=groups,
            columns=ifm.width,
            phases=stride,
            blocks=ceil_div(ceil_div(ifm.width, stride), px) * stride,
        )
    else:
        slots = ceil_div(ifm.width, taps)
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
            blocks=ceil_div(slots, px),
            slots=slots,
            folds=folds,
            sends=sends,
            gathers=gathers,
            gathers_per_row=per_row,
        )
    return replace(
        step,
        feed=feed,
        sweep=sweep,
        lead_words=needed_rows(layer, step.rows_used)[0] * feed,
        row_trips=_row_trips(layer, step.rows_used, feed=feed, sweep=sweep),
    )


def _depthwise_window(
    stage: StageRun,
    before: StageRun | None,
    hardware: DepthwiseStage,
    design: Design,
    *,
    lowest: int,
) -> WindowStep:
    layer, px = stage.layer, design.engine.px
    assert isinstance(layer, Depthwise | Pool)
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
    fill = 0
    if isinstance(layer, Pool) and layer.kind is PoolKind.MAX:
        # Wins no maximum, but that of a window past the end of a row.
        fill = lowest
    ring_rows = kernel + stride
    return WindowStep(
        source=NONE if before is None else CODES[before.role],
        lead_words=needed_rows(layer, rows)[0] * feed,
        row_trips=_row_trips(layer, rows, feed=feed, sweep=sweep),
        feed=feed,
        sweep=sweep,
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
        blocks=ceil_div(ifm.width, px),
        ring_rows=ring_rows,
        ring_base=-top % ring_rows,
        kept=max(kernel - stride, 0),
        edge_reads=edge,
        fill=fill,
        taps=1,
    )


def _vectors(
    stage: StageRun, before: StageRun | None, hardware: DenseStage, design: Design
) -> VectorsStep:
    layer, px = stage.layer, design.engine.px
    assert not isinstance(layer, Depthwise | Pool)
    channels = input_channels(layer, design.engine.act_bits, design.board)
    _, ofm = _spatial(layer, channels)
    folds = ceil_div(channels, hardware.simd)
    sends = ceil_div(stage.channels, hardware.pe) * folds
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
        xgroups=xgroups,
        total=total,
    )


def _array(
    stage: StageRun,
    hardware: DenseStage,
    design: Design,
    net: IntegerNetwork,
    *,
    is_signed: bool,
    target: int,
) -> ArrayStep:
    layer = stage.layer
    assert not isinstance(layer, Depthwise | Pool)
    channels = input_channels(layer, design.engine.act_bits, design.board)
    _, ofm = _spatial(layer, channels)
    kernel = 1 if isinstance(layer, Linear) else layer.kernel
    taps = (
        int(packed_taps(layer, hardware.simd, channels))
        if stage.role is Role.DENSE
        else 1
    )
    folds = ceil_div(kernel**2, taps)
    if taps == 1:
        folds *= ceil_div(channels, hardware.simd)
    groups = ceil_div(stage.channels, hardware.pe)
    xgroups = ceil_div(ofm.width, design.engine.px)
    kind = net.maps[layer.name]
    return ArrayStep(
        trips=ofm.height * xgroups * groups * folds,
        folds=folds,
        groups=groups,
        channels=stage.channels,
        is_signed=is_signed,
        low=kind.low,
        high=kind.high,
        target=target,
    )


def _depthwise_array(
    stage: StageRun,
    hardware: DepthwiseStage,
    design: Design,
    net: IntegerNetwork,
    *,
    is_signed: bool,
    target: int,
) -> DepthwiseStep:
    layer = stage.layer
    assert isinstance(layer, Depthwise | Pool)
    passes = ceil_div(layer.kernel**2, hardware.taps)
    groups = ceil_div(layer.ofm.channels, hardware.pe)
    xgroups = ceil_div(layer.ofm.width, design.engine.px)
    kind = net.maps[layer.name]
    step = DepthwiseStep(
        trips=layer.ofm.height * xgroups * groups * passes,
        passes=passes,
        groups=groups,
        channels=layer.ofm.channels,
        kernel=layer.kernel,
        stride=layer.stride,
        is_signed=is_signed,
        low=kind.low,
        high=kind.high,
        target=target,
    )
    if not isinstance(layer, Pool):
        return step
    if layer.kind is PoolKind.MAX:
        return replace(step, pools=1)
    return replace(
        step,
        pools=1,
        averages=1,
        multiplier=int(net.param(layer.name, "multiplier")[0]),
        shift=int(net.param(layer.name, "shift")[0]),
    )


def load_only(step: Step) -> bool:
    """Return whether a step computes nothing."""
    return step.read.beats == 0


def has_load(step: LoadStep) -> bool:
    """Return whether a stage loads weights in a step."""
    return step.weight_beats > 0
