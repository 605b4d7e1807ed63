"""What the templates are told: names, sizes, streams and calls.

Templates loop, choose and print; every number and every decision which process exists
is made here. A process exists if some step uses it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from hao.cost.bram import uses_lutram
from hao.cost.design import Design
from hao.cost.evaluate import CostReport
from hao.cost.memory import store_bits
from hao.emit.arena import StoredMap
from hao.emit.records import (
    DENSE,
    DEPTHWISE,
    NONE,
    POINTWISE,
    WindowStep,
    initializer,
    structs,
)
from hao.emit.runs import engine_stages
from hao.emit.stage_sizes import (
    Slices,
    dense_acc_bits,
    dense_slices,
    depthwise_acc_bits,
    depthwise_slices,
)
from hao.emit.steps import Table, stage_unit_rows
from hao.emit.weights import record_bits
from hao.hw.engine import DenseStage, DepthwiseStage, lanes_match
from hao.hw.resources import Resources
from hao.intmath import ceil_log2
from hao.ir.integer import (
    BIAS_BITS,
    MAX_ALIGN_SHIFT,
    MAX_SHIFT,
    MEAN_BITS,
    MULTIPLIER_BITS,
    IntegerNetwork,
    Requantization,
)
from hao.ir.partition import Role

_SHIFT_BITS = 6
"""Of a record, as stored."""

FIFO_DEPTH = 2
"""Words of a stream between two processes that run in step (chosen here)."""

BUS_DEPTH = 16
"""Words of a stream of beats: what a burst may bring while its reader waits."""

UNIT_DEPTH = 4
"""Words of a stream of weights: its reader looks every cycle."""

LOOP_DEPTHS = {
    "bus": 3,
    "unpack": 4,
    "feed": 3,
    "window": 6,
    "array": 16,
    "fill": 3,
    "regroup": 2,
    "pack": 5,
    "mean": 8,
}
"""Cycles from the start of an iteration through its writes, by kind of loop.

Derived by adding up registers: a stream access 1, a memory read 2, a multiplexer of
pixels 1; `array`: operands 1, memory 2, DSP cascade 4, adder tree 4, accumulator 1,
requantizer 4. To be replaced by what a synthesis report says; the sum over a stage is
what `hao.cost.latency.STAGE_DEPTH_CYCLES` prices.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    code: int
    stream: str
    word: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constant:
    name: str
    value: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """A stage as the templates see it."""

    name: str
    code: int
    constants: tuple[_Constant, ...]
    routes: tuple[_Route, ...]
    inputs: tuple[_Route, ...]
    first: bool
    last: bool
    loads: bool
    in_lanes: str
    hold: int
    pack_words: int
    weights_in_luts: bool
    channels_in_luts: bool
    convolves: bool = True
    pools: bool = False
    averages: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    name: str
    source: str
    sink: str
    code: int
    lanes: str
    uneven: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stream:
    name: str
    type: str
    depth: int


_NAMES = {DENSE: "dense", DEPTHWISE: "depthwise", POINTWISE: "pointwise"}
_ROLES = {
    DENSE: Role.DENSE,
    DEPTHWISE: Role.DEPTHWISE,
    POINTWISE: Role.POINTWISE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paths:
    """Which connections any step uses: (from, to) with NONE for DDR."""

    pairs: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, table: Table) -> "_Paths":
        pairs: set[tuple[int, int]] = set()
        for run in table.runs:
            if run is None:
                continue
            codes = [
                next(code for code, role in _ROLES.items() if role is stage.role)
                for stage in run.stages
            ]
            chain = [NONE, *codes, NONE]
            pairs |= set(pairwise(chain))
        return cls(pairs=frozenset(pairs))

    def sources(self, code: int) -> list[int]:
        return sorted(a for a, b in self.pairs if b == code)

    def targets(self, code: int) -> list[int]:
        return sorted(b for a, b in self.pairs if a == code)

    def uses(self, code: int) -> bool:
        return any(code in pair for pair in self.pairs)


def make_context(
    design: Design, net: IntegerNetwork, table: Table, cost: CostReport
) -> dict[str, object]:
    """Return the variables of all templates but the digest.

    Args:
        design: Engine, partition, board.
        net: Integers.
        table: Steps.
        cost: Predictions, for the README of the project.
    """
    paths = _Paths.of(table)
    stages = _stages(design, net, table, paths)
    links = _links(paths, design)
    adds = any(step.write.adds for step in table.steps)
    pools = any(step.write.pools for step in table.steps)
    ifm_targets = [_Route(code=c, stream=_beats_name(c)) for c in paths.targets(NONE)]
    ofm_sources = [
        _Route(code=c, stream=_packed_name(c) if c else _beats_name(NONE))
        for c in paths.sources(NONE)
    ]
    engine, board = design.engine, design.board
    port = board.port_bytes
    packed = [s.dense_window for s in table.steps if s.dense_window.taps > 1]
    named = {stage.name: stage for stage in stages}
    return {
        "network": design.network.name,
        "port_bytes": port,
        "engine": _engine(design, net, table),
        "stages": stages,
        "depthwise": named.get("depthwise"),
        "pointwise": named.get("pointwise"),
        "has_dense": "dense" in named,
        "dense_ring_in_luts": engine.dense is not None
        and bool(uses_lutram(engine.dense.feature_words)),
        "depthwise_ring_in_luts": engine.depthwise is not None
        and bool(uses_lutram(engine.depthwise.row_words)),
        "pointwise_vectors_in_luts": engine.pointwise is not None
        and bool(uses_lutram(engine.pointwise.feature_words)),
        "loading": [stage for stage in stages if stage.loads],
        "widths": sorted(set(net.weight_bits().values())),
        "links": links,
        "packed": _packed(packed, engine.px) if packed else None,
        "adds_residuals": adds,
        "pools_globally": pools,
        "ifm_targets": ifm_targets,
        "ofm_sources": ofm_sources,
        "streams": _streams(stages, links, ifm_targets, adds),
        "calls": _calls(stages, links, ifm_targets, ofm_sources, adds),
        "depths": LOOP_DEPTHS,
        "bounds": _bounds(table),
        "records": structs(table.steps),
        "steps": [
            {"title": title, "record": initializer(step)}
            for title, step in zip(table.titles, table.steps, strict=True)
        ],
        "arena_beats": table.arena.beats,
        "weight_beats": len(table.weights) // port,
        "burst": 256 if port <= 16 else 4096 // port,
        "ddr_bytes_per_kilocycle": board.ddr_kbytes_per_s * 1000 // board.clock_khz,
        "arena_bytes": table.arena.beats * port,
        "weight_bytes": len(table.weights),
        "input": _map(table.arena.maps[design.network.input.name], design, net),
        "output": _map(_output(design, table), design, net, output=True),
        "board": {
            "name": board.name,
            "part": board.part,
            "family": "zynq7000" if board.part.startswith("xc7z") else "zynqmp",
            "clock_mhz": round(board.clock_khz / 1000, 3),
            "clock_ns": round(1e6 / board.clock_khz, 3),
            "port_bytes": port,
        },
        "ports": ["ifm", "ofm", *(["residual"] if adds else []), "weights"],
        "predicted": _predicted(cost),
    }


def _output(design: Design, table: Table) -> StoredMap:
    return table.arena.maps[design.segments[-1].invocation.output_name]


def _map(
    stored: StoredMap, design: Design, net: IntegerNetwork, *, output: bool = False
) -> dict[str, object]:
    port = design.board.port_bytes
    layer = design.network.output if output else design.network.input
    name = design.segments[-1].invocation.output_name if output else layer.name
    kind = net.maps[name]
    return {
        "base": stored.base,
        "beats": stored.beats,
        "offset_bytes": stored.base * port,
        "bytes": stored.beats * port,
        "channels": stored.shape.channels,
        "height": stored.shape.height,
        "width": stored.shape.width,
        "pixel_channels": stored.pixel_channels,
        "row_bytes": stored.row_beats * port,
        "bits": design.engine.act_bits,
        "store_bits": store_bits(design.engine.act_bits),
        "signed": kind.quant.signed,
        "exponent": kind.exponent,
    }


def _predicted(cost: CostReport) -> dict[str, object]:
    def blocks(used: Resources) -> dict[str, int]:
        return {
            "dsp": used.dsp,
            "lut": used.lut,
            "ff": used.ff,
            "bram_18k": used.bram_18k,
        }

    return {
        "cycles": cost.latency_cycles,
        "fps": cost.fps,
        "latency_ms": cost.latency_ms,
        **blocks(cost.resources),
        "parts": {name: blocks(used) for name, used in cost.parts.items()},
    }


def _engine(design: Design, net: IntegerNetwork, table: Table) -> dict[str, object]:
    engine, port = design.engine, design.board.port_bytes
    multiplies = net.requantization is Requantization.MULTIPLIER
    hardware = engine_stages(design)
    units = [
        rows * (stage.taps if isinstance(stage, DepthwiseStage) else stage.simd)
        for role, rows in stage_unit_rows(design, net).items()
        for stage in (hardware[role],)
    ]
    pooled = [s.write for s in table.steps if s.write.pools]
    pixels = [
        run.invocation.stage_ofm.pixels
        for run in table.runs
        if run is not None and run.pool is not None
    ]
    return {
        "px": engine.px,
        "act_bits": engine.act_bits,
        "store_bits": store_bits(engine.act_bits),
        "beat_lanes": 8 * port // store_bits(engine.act_bits),
        "port_bits": 8 * port,
        "record_bits": record_bits(net),
        "unit_items": max(units, default=1),
        "load_bits": max(net.weight_bits().values(), default=2),
        "bias_bits": BIAS_BITS,
        "shift_bits": _SHIFT_BITS if multiplies else MAX_SHIFT.bit_length(),
        "multiplies": multiplies,
        "multiplier_bits": MULTIPLIER_BITS if multiplies else 1,
        "max_align_shift": MAX_ALIGN_SHIFT,
        "mean_bits": MEAN_BITS,
        "mean_words": max((step.mean_words for step in pooled), default=1),
        "sum_bits": engine.act_bits + 2 + ceil_log2(max([*pixels, 2])),
    }


def _stages(
    design: Design, net: IntegerNetwork, table: Table, paths: _Paths
) -> list[_Stage]:
    engine = design.engine
    rows = stage_unit_rows(design, net)
    result = []
    for code, hardware in (
        (DENSE, engine.dense),
        (DEPTHWISE, engine.depthwise),
        (POINTWISE, engine.pointwise),
    ):
        if hardware is None or not paths.uses(code):
            continue
        name = _NAMES[code]
        constants = _constants(design, hardware, table, rows.get(_ROLES[code], 1))
        convolves = not isinstance(hardware, DepthwiseStage) or hardware.convolves
        loads = convolves and _ROLES[code] in rows
        pools = isinstance(hardware, DepthwiseStage) and hardware.pools
        first = code in paths.targets(NONE)
        last = NONE in paths.targets(code)
        items = hardware.taps if isinstance(hardware, DepthwiseStage) else hardware.simd
        is_depthwise = isinstance(hardware, DepthwiseStage)
        lanes = hardware.pe if is_depthwise else items
        taken = [
            max(step.unpack.tail, lanes)
            for step in table.steps
            if step.read.target == code and step.read.beats
        ]
        beat = 8 * design.board.port_bytes // store_bits(engine.act_bits)
        groups = [
            step.pack.groups
            for step in table.steps
            if step.write.source == code and step.pack.groups
        ]
        result.append(
            _Stage(
                name=name,
                code=code,
                constants=constants,
                routes=tuple(
                    _Route(code=c, stream=_words_name(code, c))
                    for c in paths.targets(code)
                ),
                inputs=tuple(
                    _Route(
                        code=c,
                        stream=_input_name(c, code),
                        word="slot_t" if c == NONE else "pixels_t",
                    )
                    for c in paths.sources(code)
                ),
                first=first,
                last=last,
                loads=loads,
                in_lanes="pe" if is_depthwise else "items",
                hold=max(taken, default=lanes) + beat,
                pack_words=2 * max(groups, default=1),
                weights_in_luts=bool(uses_lutram(hardware.weight_words)),
                channels_in_luts=bool(uses_lutram(hardware.channel_words)),
                convolves=loads,
                pools=pools,
                averages=any(step.depthwise_array.averages for step in table.steps),
            )
        )
    return result


def _constants(
    design: Design,
    hardware: DenseStage | DepthwiseStage,
    table: Table,
    unit_rows: int,
) -> tuple[_Constant, ...]:
    engine, board = design.engine, design.board
    slices: Slices
    if isinstance(hardware, DepthwiseStage):
        slices = depthwise_slices(
            hardware, act_bits=engine.act_bits, px=engine.px, board=board
        )
        used = [s.depthwise_window for s in table.steps if s.depthwise_window.row_trips]
        span = max((engine.px - 1) * w.stride + w.kernel for w in used)
        own = [
            _Constant(name="items", value=hardware.taps, note="  // taps at once"),
            _Constant(name="pe", value=hardware.pe, note="  // channels at once"),
            _Constant(
                name="dsp_lanes", value=hardware.dsp_lanes, note="  // the rest in LUTs"
            ),
            _Constant(name="row_words", value=hardware.row_words),
            _Constant(name="groups", value=hardware.groups),
            _Constant(name="rows", value=hardware.rows, note="  // of the ring"),
            _Constant(name="kernel", value=hardware.kernel),
            _Constant(name="span", value=span, note="  // columns of a window"),
            _Constant(name="kept", value=max(1, *(w.kept for w in used))),
            _Constant(
                name="sum_bits",
                value=engine.act_bits + 1 + ceil_log2(max(hardware.kernel**2, 2)),
                note="  // of an average",
            ),
        ]
        acc = depthwise_acc_bits(hardware, engine.act_bits)
    else:
        slices = dense_slices(
            hardware, act_bits=engine.act_bits, px=engine.px, board=board
        )
        own = [
            _Constant(
                name="items", value=hardware.simd, note="  // multipliers a lane"
            ),
            _Constant(
                name="pe", value=hardware.pe, note="  // output channels at once"
            ),
            _Constant(
                name="dsp_pairs", value=hardware.dsp_pairs, note="  // the rest in LUTs"
            ),
            _Constant(name="feature_words", value=hardware.feature_words),
        ]
        acc = dense_acc_bits(hardware, engine.act_bits)
    return (
        *own,
        _Constant(name="weight_bits", value=hardware.weight_bits),
        _Constant(name="acc_bits", value=acc, note="  // cannot overflow"),
        _Constant(
            name="sharing", value=slices.sharing, note="  // products of a DSP slice"
        ),
        _Constant(name="field", value=slices.field),
        _Constant(name="chain", value=slices.chain),
        _Constant(name="weight_words", value=hardware.weight_words),
        _Constant(name="channel_words", value=hardware.channel_words),
        _Constant(name="unit_rows", value=unit_rows),
    )


def _packed(windows: Iterable[WindowStep], px: int) -> dict[str, object]:
    used = list(windows)
    channels = {window.channels for window in used}
    taps = {window.taps for window in used}
    return {
        "kernel": max(window.kernel for window in used),
        "span": max((px - 1) * window.stride + window.kernel for window in used),
        "channels": max(channels),
        # A constant where all layers agree, so that no divider is built.
        "divisor": channels.pop() if len(channels) == 1 else "step.channels",
        "taps": taps.pop() if len(taps) == 1 else "step.taps",
    }


def _links(paths: _Paths, design: Design) -> list[_Link]:
    hardware = engine_stages(design)
    result = []
    for source, sink in sorted(paths.pairs):
        if NONE in (source, sink):
            continue
        taker = hardware[_ROLES[sink]]
        lanes = taker.pe if isinstance(taker, DepthwiseStage) else taker.simd
        result.append(
            _Link(
                uneven=not lanes_match(hardware[_ROLES[source]].pe, lanes),
                name=f"regroup_{_NAMES[source]}_{_NAMES[sink]}",
                source=_NAMES[source],
                sink=_NAMES[sink],
                code=sink,
                lanes="pe" if sink == DEPTHWISE else "items",
            )
        )
    return result


def _beats_name(code: int) -> str:
    return f"{_NAMES[code]}_beats" if code else "through_beats"


def _packed_name(code: int) -> str:
    return f"{_NAMES[code]}_packed"


def _words_name(source: int, target: int) -> str:
    return f"{_NAMES[source]}_to_{_NAMES.get(target, 'pack')}"


def _input_name(source: int, sink: int) -> str:
    if source == NONE:
        return f"{_NAMES[sink]}_words"
    return f"{_NAMES[sink]}_from_{_NAMES[source]}"


def _stream(name: str, kind: str, depth: int = FIFO_DEPTH) -> _Stream:
    return _Stream(name=name, type=kind, depth=depth)


def _streams(
    stages: list[_Stage], links: list[_Link], ifm: list[_Route], adds: bool
) -> list[_Stream]:
    result = [_stream(route.stream, "hao_beat", BUS_DEPTH) for route in ifm]
    if adds:
        result.append(_stream("residual_beats", "hao_beat", BUS_DEPTH))
    for stage in stages:
        kind = f"{stage.name}_stage"
        if stage.loads:
            result.append(
                _stream(f"{stage.name}_units", f"unit_t<{kind}> ", UNIT_DEPTH)
            )
            result.append(
                _stream(f"{stage.name}_records", f"records_t<{kind}> ", UNIT_DEPTH)
            )
        for route in stage.inputs:
            result.append(
                _stream(route.stream, f"{route.word}<{kind}::{stage.in_lanes}> ")
            )
        if stage.name == "depthwise":
            word = f"window_t<{kind}::kernel, {kind}::span, {kind}::pe> "
        else:
            word = f"pixels_t<{kind}::items> "
        result.append(_stream(f"{stage.name}_operands", word))
        result += [
            _stream(route.stream, f"pixels_t<{kind}::pe> ") for route in stage.routes
        ]
        if stage.last:
            result.append(_stream(f"{stage.name}_packed", "hao_beat"))
    assert len({stream.name for stream in result}) == len(result), links
    return result


def _calls(
    stages: list[_Stage],
    links: list[_Link],
    ifm: list[_Route],
    ofm: list[_Route],
    adds: bool,
) -> list[str]:
    """Return the calls of the dataflow region, each process before its readers."""
    loads = [
        name
        for stage in stages
        if stage.loads
        for name in (f"{stage.name}_units", f"{stage.name}_records")
    ]
    calls = [_call("load_weights", "step", "weights", *loads)] if loads else []
    calls.append(
        _call("read_ifm", "step.read", "ifm", *(route.stream for route in ifm))
    )
    if adds:
        calls.append(_call("read_residual", "step.write", "residual", "residual_beats"))
    for stage in stages:
        if stage.first:
            calls.append(
                _call(
                    f"unpack_{stage.name}",
                    "step",
                    f"{stage.name}_beats",
                    f"{stage.name}_words",
                )
            )
    for stage in stages:
        inputs = [route.stream for route in stage.inputs]
        operands = f"{stage.name}_operands"
        window, record = {
            "dense": ("dense_window", "step.dense_window"),
            "depthwise": ("depthwise_window", "step.depthwise_window"),
            "pointwise": ("pointwise_vectors", "step.vectors"),
        }[stage.name]
        calls.append(_call(window, record, *inputs, operands))
        fills = [f"{stage.name}_units", f"{stage.name}_records"] if stage.loads else []
        outputs = [route.stream for route in stage.routes]
        calls.append(
            _call(
                f"{stage.name}_array",
                f"step.{stage.name}_array",
                operands,
                *fills,
                *outputs,
            )
        )
        for link in links:
            if link.source == stage.name:
                calls.append(
                    _call(
                        link.name,
                        "step",
                        f"{stage.name}_to_{link.sink}",
                        f"{link.sink}_from_{stage.name}",
                    )
                )
        if stage.last:
            calls.append(
                _call(
                    f"pack_{stage.name}",
                    "step",
                    f"{stage.name}_to_pack",
                    f"{stage.name}_packed",
                )
            )
    last = ["residual_beats"] if adds else []
    calls.append(
        _call("write_ofm", "step.write", "ofm", *(route.stream for route in ofm), *last)
    )
    return calls


def _call(name: str, *arguments: str) -> str:
    return f"{name}({', '.join(arguments)})"


def _bounds(table: Table) -> dict[str, int]:
    """Return the longest trip count of every kind of loop."""
    steps = table.steps

    def most(values: Iterable[int]) -> int:
        return max(1, *values)

    windows = [w for s in steps for w in (s.dense_window, s.depthwise_window)]
    arrays = [a for s in steps for a in (s.dense_array, s.pointwise_array)]
    depthwise = [s.depthwise_array for s in steps]
    loads = [
        load
        for s in steps
        for load in (s.dense_load, s.depthwise_load, s.pointwise_load)
    ]
    return {
        "beats": most(max(s.read.beats, s.write.run) for s in steps),
        "pixels": most(s.write.pixels for s in steps),
        "unpack": most(s.unpack.trips for s in steps),
        "window": max(
            most(w.lead_words + w.row_trips for w in windows),
            most(s.vectors.trips for s in steps),
        ),
        "array": max(most(a.trips for a in arrays), most(a.trips for a in depthwise)),
        "fill": max(
            most(max(a.fill_units, a.fill_records) for a in arrays),
            most(max(a.fill_units, a.fill_records) for a in depthwise),
        ),
        "regroup": most(
            max(s.dense_regroup.trips, s.depthwise_regroup.trips) for s in steps
        ),
        "pack": most(s.pack.trips for s in steps),
        "records": most(load.record_beats for load in loads),
        "units": most(load.unit_trips for load in loads),
    }
