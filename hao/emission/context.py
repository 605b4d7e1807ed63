"""What the templates are told: names, sizes, streams and calls.

Templates loop, choose and print; every number and every decision which process exists
is made here. A process exists if some step uses it.
"""

from collections.abc import Iterable
from math import gcd
from typing import assert_never

import numpy as np

from hao.cost.bram import uses_lutram
from hao.cost.evaluate import CostReport
from hao.cost.memory import store_bits
from hao.cost.overheads import MAX_BURST_BEATS, OUTSTANDING_BURSTS
from hao.cost.widths import memory_parts
from hao.cost.words import INDEX_BYTES, list_words
from hao.emission.arena import StoredMap
from hao.emission.host import (
    FAMILY_WORDS,
    feature_map,
    frame_coding,
    invocation_steps,
    system_side,
)
from hao.emission.records import (
    NONE,
    LoadStep,
    Step,
    WindowStep,
    signed_bits,
    structs,
    unset,
)
from hao.emission.runs import CODES, engine_stages
from hao.emission.stage_sizes import (
    Slices,
    dense_acc_bits,
    dense_slices,
    depthwise_acc_bits,
    depthwise_slices,
)
from hao.emission.steps import Table, stage_unit_rows
from hao.emission.table_text import part_rows
from hao.emission.weights import RECORD_SHIFT_BITS, record_bits, unit_needs
from hao.emission.wiring import (
    NAMES,
    Border,
    Constant,
    Paths,
    Route,
    StageView,
    WindowKind,
    beats_name,
    input_name,
    loading_stages,
    make_calls,
    make_links,
    make_streams,
    packed_name,
    words_name,
)
from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage, Engine
from hao.intmath import ceil_div, ceil_log2
from hao.ir.averages import kernel_shares
from hao.ir.integer import (
    MAX_ALIGN_SHIFT,
    MAX_SHIFT,
    MEAN_BITS,
    MEAN_GUARD,
    WIDE_MEAN_BITS,
    IntegerNetwork,
    is_wide,
)
from hao.ir.partition import Role
from hao.ir.passes import DIGIT_BITS
from hao.ir.sparsity import GROUP_BITS, TAP_BITS

PAGE_BYTES = 4096
"""No AXI burst crosses such a boundary. Source: AMBA AXI4, A3.4.1."""

UNCERTAINTY_PERCENT = 27
"""Part of a clock period that C synthesis leaves for routing.

Source: the default of Vitis HLS (UG1399, `set_clock_uncertainty`). Less would be faster
on paper, but a full device routes slowly; the emitted loops are to fit what remains.
"""

LOOP_DEPTHS = {
    "bus": 3,
    "unpack": 6,
    "feed": 3,
    "window": 6,
    "listed": 9,
    "array": 16,
    "fill": 3,
    "regroup": 2,
    "pack": 8,
    "finish": 6,
    "mean": 12,
    "order": 6,
    "records": 4,
    "units": 7,
}
"""Cycles from the start of an iteration through its writes, by kind of loop.

Derived by adding up registers: a stream access 1, a memory read 2, a multiplexer of
pixels 1; `array`: operands 1, memory 2, DSP cascade 4, adder tree 4, accumulator 1,
requantizer 4; `listed`: of the dense window where places of words come first, as the
schedule analysis finds it. To be replaced by what a synthesis report says; the sum
over a stage is what `hao.cost.overheads.STAGE_DEPTH_CYCLES` prices.
"""


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
    paths = Paths.of(table)
    stages = _stages(design, net, table, paths)
    links = make_links(paths, design)
    adds = any(step.finish.adds for step in table.steps)
    pools = any(step.finish.pools for step in table.steps)
    ifm_targets = [Route(code=c, stream=beats_name(c)) for c in paths.targets(NONE)]
    ofm_sources = [
        Route(code=c, stream=packed_name(c) if c else beats_name(NONE))
        for c in paths.sources(NONE)
    ]
    engine, board = design.engine, design.board
    port = board.port_bytes
    packed = [s.dense_window for s in table.steps if s.dense_window.taps > 1]
    named = {stage.name: stage for stage in stages}
    left = unset(table.steps)
    return {
        "network": design.network.name,
        "port_bytes": port,
        "engine": _engine(design, net, table),
        "skips": {role.value: _skips(role, table) for role in Role},
        "skipping": [stage for stage in stages if stage.skips],
        "sharing": _shares(engine),
        "place": {
            "bits": 8 * INDEX_BYTES,
            "group_bits": GROUP_BITS,
            "tap_bits": TAP_BITS,
            "lane_bits": signed_bits(0, port // INDEX_BYTES),
        },
        "stages": stages,
        "depthwise": named.get("depthwise"),
        "pointwise": named.get("pointwise"),
        "has_dense": "dense" in named,
        "thirds": any(window.stride > 2 for window in _windows(table.steps)),
        "dense_fills": any(step.dense_window.fill for step in table.steps),
        "dense_ring_in_luts": engine.dense is not None
        and bool(uses_lutram(engine.dense.feature_words)),
        "depthwise_ring_in_luts": engine.depthwise is not None
        and bool(uses_lutram(engine.depthwise.row_words)),
        "pointwise_vectors_in_luts": engine.pointwise is not None
        and bool(uses_lutram(engine.pointwise.feature_words)),
        "loading": loading_stages(stages),
        "widths": sorted(set(design.lane_bits.values())),
        "links": links,
        "packed": _packed(packed, engine.px) if packed else None,
        "packings": _packings(table),
        "window": _window_bits(table, engine.px),
        "adds_residuals": adds,
        "pools_globally": pools,
        "ifm_targets": ifm_targets,
        "ofm_sources": ofm_sources,
        "streams": make_streams(stages, links, ifm_targets, adds),
        "calls": make_calls(stages, links, ifm_targets, ofm_sources, adds),
        "depths": LOOP_DEPTHS,
        "bounds": _bounds(table),
        "records": structs(table.steps),
        "steps": table.titles,
        "parts": part_rows(table.steps, left),
        "arena_beats": table.arena.beats,
        "frame_beats": table.arena.frame_beats,
        "batch": table.arena.frames,
        "weight_beats": len(table.weights) // port,
        "burst": min(MAX_BURST_BEATS, PAGE_BYTES // port),
        "outstanding": OUTSTANDING_BURSTS,
        "ddr_bytes_per_kilocycle": board.ddr_kbytes_per_s * 1000 // board.clock_khz,
        "ddr_write_cost": ceil_div(
            1000 * board.ddr_read_percent, board.ddr_write_percent
        ),
        "ddr_burst_bytes": board.ddr_burst_bytes,
        "arena_bytes": table.arena.beats * port,
        "frame_bytes": table.arena.frame_beats * port,
        "weight_bytes": len(table.weights),
        "frame": frame_coding(design, net),
        "system": system_side(design, table),
        "invocations": invocation_steps(cost),
        "input": feature_map(table.arena.maps[design.network.input.name], design, net),
        "output": feature_map(_output(design, table), design, net, output=True),
        "output_zero": net.maps[design.segments[-1].invocation.output_name].zero,
        "board": {
            "name": board.name,
            "part": board.part,
            "family": FAMILY_WORDS[board.family],
            "clock_mhz": round(board.clock_khz / 1000, 3),
            "clock_ns": round(1e6 / board.clock_khz, 3),
            "uncertainty_percent": UNCERTAINTY_PERCENT,
            "uncertainty_ns": round(1e4 * UNCERTAINTY_PERCENT / board.clock_khz, 3),
            "port_bytes": port,
        },
        "ports": ["ifm", "ofm", *(["residual"] if adds else []), "weights"],
        "predicted": _predicted(cost),
    }


def _shares(engine: Engine) -> bool:
    """Return whether lanes of a stage share multipliers of codes."""
    stages = [engine.stage(role) for role in Role]
    return any(stage is not None and stage.turns > 1 for stage in stages)


def _output(design: Design, table: Table) -> StoredMap:
    return table.arena.maps[design.segments[-1].invocation.output_name]


def _predicted(cost: CostReport) -> dict[str, object]:
    return {
        "cycles": cost.latency_cycles,
        "fps": cost.fps,
        "latency_ms": cost.latency_ms,
        "engine_ms": cost.engine_ms,
        "host_ms": cost.host_us / 1000,
        **cost.resources.as_dict(),
        "parts": {name: used.as_dict() for name, used in cost.parts.items()},
    }


def _engine(design: Design, net: IntegerNetwork, table: Table) -> dict[str, object]:
    engine, port = design.engine, design.board.port_bytes
    mode = net.requantization
    hardware = engine_stages(design)
    units = [
        rows * hardware[role].items for role, rows in stage_unit_rows(design).items()
    ]
    pooled = [s.finish for s in table.steps if s.finish.pools]
    multipliers = [
        found
        for step in table.steps
        for found in (step.finish.multiplier, step.depthwise_array.multiplier)
    ]
    wide = is_wide(max(multipliers, default=0))
    load_beats, load_grain = _load_register(table, 8 * port)
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
        "load_bits": max(design.lane_bits.values(), default=2),
        "load_beats": load_beats,
        "load_grain": load_grain,
        "bias_bits": mode.bias_bits,
        "digit_bits": DIGIT_BITS,
        "shift_bits": (
            RECORD_SHIFT_BITS if mode.multiplies else MAX_SHIFT.bit_length()
        ),
        "multiplies": mode.multiplies,
        **_roundings(net, table),
        "multiplier_bits": mode.multiplier_bits,
        "cut_bits": mode.cut_bits,
        "max_align_shift": MAX_ALIGN_SHIFT,
        "mean_bits": WIDE_MEAN_BITS if wide else MEAN_BITS,
        "mean_guard": MEAN_GUARD if wide else 0,
        "narrow_mean": 2**MEAN_BITS - 1,
        "mean_words": max((step.mean_words for step in pooled), default=1),
        "sum_bits": engine.act_bits + 2 + ceil_log2(max([*pixels, 2])),
        **_biases(table),
    }


def _biases(table: Table) -> dict[str, object]:
    """Return where something is added to a sum, and bits that it takes more."""
    adds = [step.finish for step in table.steps if step.finish.bias]
    means = [step.finish for step in table.steps if step.finish.pools]
    averages = [step.depthwise_array for step in table.steps]
    added = [abs(step.bias) for step in adds]
    codes = [abs(step.code_bias) << step.mean_shift for step in means]
    codes += [abs(step.code_bias) << step.shift for step in averages]
    largest = [kernel_shares(step.kernel)[0] for step in averages if step.borders]
    return {
        "sums_move": bool(adds),
        "sums_fill": any(step.finish.unit for step in table.steps),
        "means_fill": any(step.mean_last for step in means),
        "add_bits": signed_bits(0, max(added, default=0)),
        "means_move": any(step.sum_bias or step.code_bias for step in means),
        "averages_move": any(step.sum_bias or step.code_bias for step in averages),
        "code_bits": signed_bits(0, max(codes, default=0)),
        "border_bits": 2 * max(largest, default=0).bit_length(),
    }


def _borders(table: Table) -> tuple[Border, ...]:
    """Return the kernels of averages that leave out padding."""
    steps = [step.depthwise_array for step in table.steps]
    kernels = sorted({step.kernel for step in steps if step.borders})
    return tuple(
        Border(
            test=_test(("kernel", kernel)) if len(kernels) > 1 else "",
            shares=kernel_shares(kernel),
        )
        for kernel in kernels
    )


def _roundings(net: IntegerNetwork, table: Table) -> dict[str, object]:
    """Return where something else is done than rounding halves up."""
    finish = [step.finish for step in table.steps]
    found = {
        "channels_round": any(
            net.rounding(layer.name).any() for layer in net.network.compute_layers
        ),
        "sums_round": any(step.rounding for step in finish),
        "means_round": any(step.mean_rounding for step in finish),
        "averages_round": any(step.depthwise_array.rounding for step in table.steps),
    }
    return {**found, "rounds": any(found.values())}


def _stages(
    design: Design, net: IntegerNetwork, table: Table, paths: Paths
) -> list[StageView]:
    engine = design.engine
    rows = stage_unit_rows(design)
    depthwise = {
        (step.depthwise_array.kernel, step.depthwise_array.stride)
        for step in table.steps
        if step.depthwise_array.trips
    }
    result = []
    for role, hardware in engine_stages(design).items():
        code = CODES[role]
        if not paths.uses(code):
            continue
        name = NAMES[code]
        constants = _constants(design, hardware, table, rows.get(role, 1))
        convolves = not isinstance(hardware, DepthwiseStage) or hardware.convolves
        loads = convolves and role in rows
        pools = isinstance(hardware, DepthwiseStage) and hardware.pools
        first = code in paths.targets(NONE)
        last = NONE in paths.targets(code)
        lanes = hardware.lanes_in
        beat = 8 * design.board.port_bytes // store_bits(engine.act_bits)
        unpacks = [
            s.unpack for s in table.steps if s.read.target == code and s.read.beats
        ]
        packs = [
            s.pack for s in table.steps if s.finish.source == code and s.pack.groups
        ]
        taken = {n for u in unpacks for n in (u.tail, u.row_tail)}
        taken |= {lanes for u in unpacks if u.words > 1}
        given = {p.tail for p in packs} | {hardware.pe for p in packs if p.groups > 1}
        unpack_beats, unpack_grain = _register(taken, beat)
        pack_beats, pack_grain = _register(given, beat)
        result.append(
            StageView(
                name=name,
                code=code,
                constants=constants,
                routes=tuple(
                    Route(code=c, stream=words_name(code, c))
                    for c in paths.targets(code)
                ),
                inputs=tuple(
                    Route(
                        code=c,
                        stream=input_name(c, code),
                        word="slot_t" if c == NONE else "pixels_t",
                    )
                    for c in paths.sources(code)
                ),
                first=first,
                last=last,
                loads=loads,
                in_lanes="pe" if isinstance(hardware, DepthwiseStage) else "items",
                unpack_beats=unpack_beats,
                unpack_grain=unpack_grain,
                pack_words=2 * max((p.groups for p in packs), default=1),
                pack_beats=pack_beats,
                pack_grain=pack_grain,
                weight_memory=_weight_memory(hardware),
                channels_in_luts=bool(uses_lutram(hardware.channel_words)),
                turns=hardware.turns,
                passes=hardware.passes if isinstance(hardware, DenseStage) else 1,
                skips=_skips(role, table),
                parts=_has_parts(role, table),
                lists_in_luts=bool(uses_lutram(_list_words(hardware, design))),
                convolves=loads,
                pools=pools,
                averages=any(step.depthwise_array.averages for step in table.steps),
                borders=_borders(table),
                strides=tuple(sorted({stride for _, stride in depthwise})),
                kinds=tuple(
                    WindowKind(
                        kernel=kernel,
                        stride=stride,
                        test=_test(("kernel", kernel), ("stride", stride))
                        if len(depthwise) > 1
                        else "",
                    )
                    for kernel, stride in sorted(depthwise)
                ),
            )
        )
    return result


def _has_parts(role: Role, table: Table) -> bool:
    """Return whether a stage runs a part of a layer's reduction in any step."""
    runs = (run for run in table.runs if run is not None)
    stages = (stage for run in runs for stage in run.stages if stage.role is role)
    return any(stage.part is not None for stage in stages)


def _skips(role: Role, table: Table) -> bool:
    """Return whether a stage runs over a list of words in any step."""
    match role:
        case Role.DENSE:
            return any(step.dense_array.entries for step in table.steps)
        case Role.POINTWISE:
            return any(step.pointwise_array.entries for step in table.steps)
        case Role.DEPTHWISE:
            return False
        case _:
            assert_never(role)


def _weight_memory(hardware: DenseStage | DepthwiseStage) -> str:
    """Return what a stage's weights are kept in, as the macro of a pragma says it."""
    if isinstance(hardware, DenseStage) and hardware.weights_in_uram:
        return "URAM"
    return "LUTRAM" if uses_lutram(hardware.weight_words) else "BRAM"


def _list_words(hardware: DenseStage | DepthwiseStage, design: Design) -> int:
    """Return the depth of a stage's lists [beats]."""
    return int(list_words(np.asarray(hardware.weight_words), design.board))


def _register(words: set[int], beat: int) -> tuple[int, int]:
    """Return the beats of a register between beats and words, and its grain.

    The grain, a power of two like the beat, divides the place at which any word begins;
    so the longest word lies at most a grain less than a beat above the lowest code.

    Args:
        words: Codes (or bits) of every word that occurs.
        beat: Codes (or bits) of a beat.
    """
    grain = gcd(beat, *words)
    return ceil_div(max(words, default=beat) + beat - grain, beat), grain


def _windows(steps: Iterable[Step]) -> list[WindowStep]:
    """Return what window processes do in all steps."""
    return [w for s in steps for w in (s.dense_window, s.depthwise_window)]


def _loads(steps: Iterable[Step]) -> list[LoadStep]:
    """Return what the loader does in all steps, for all stages."""
    return [
        load
        for s in steps
        for load in (s.dense_load, s.depthwise_load, s.pointwise_load)
    ]


def _load_register(table: Table, port_bits: int) -> tuple[int, int]:
    """Return the beats of the loader's register and its grain [bits]."""
    used = [load for load in _loads(table.steps) if load.unit_trips]
    return _register({need for load in used for need in unit_needs(load)}, port_bits)


def _packings(table: Table) -> list[dict[str, int]]:
    """Return how the pixels of packed taps lie in a word, once for each way."""
    ways = {
        (u.channels, u.pixel_channels, u.taps)
        for u in (step.unpack for step in table.steps)
        if u.taps > 1
    }
    names = ("channels", "pixel_channels", "taps")
    return [dict(zip(names, way, strict=True)) for way in sorted(ways)]


def _constants(
    design: Design,
    hardware: DenseStage | DepthwiseStage,
    table: Table,
    unit_rows: int,
) -> tuple[Constant, ...]:
    engine, board = design.engine, design.board
    slices: Slices
    own: dict[str, tuple[int, str]]
    if isinstance(hardware, DepthwiseStage):
        slices = depthwise_slices(
            hardware, act_bits=engine.act_bits, px=engine.px, board=board
        )
        used = [s.depthwise_window for s in table.steps if s.depthwise_window.row_trips]
        span = max((engine.px - 1) * w.stride + w.kernel for w in used)
        own = {
            "items": (hardware.taps, "taps at once"),
            "pe": (hardware.pe, "channels at once"),
            "dsp_lanes": (hardware.dsp_lanes, "the rest in LUTs"),
            "row_words": (hardware.row_words, ""),
            "groups": (hardware.groups, ""),
            "rows": (hardware.rows, "of the ring"),
            "kernel": (hardware.kernel, ""),
            "span": (span, "columns of a window"),
            "kept": (max(1, *(w.kept for w in used)), ""),
            "sum_bits": (
                engine.act_bits + 1 + ceil_log2(max(hardware.kernel**2, 2)),
                "of an average",
            ),
        }
        acc = depthwise_acc_bits(hardware, engine.act_bits)
    else:
        slices = dense_slices(
            hardware, act_bits=engine.act_bits, px=engine.px, board=board
        )
        own = {
            "items": (hardware.simd, "multipliers a lane"),
            "pe": (hardware.pe, "output channels at once"),
            "dsp_pairs": (hardware.dsp_pairs, "the rest in LUTs"),
            "feature_words": (hardware.feature_words, ""),
        }
        if hardware.skips:
            words = _list_words(hardware, design)
            own["list_words"] = (words, "beats of places of words")
        acc = dense_acc_bits(hardware, engine.act_bits)
    if _shares(design.engine):
        own["turns"] = (hardware.turns, "lanes of a multiplier of codes")
        own["drain"] = (
            hardware.turns if hardware.turns > 1 else 0,
            "for the last codes",
        )
    parts = memory_parts(hardware.pe, hardware.items * hardware.weight_bits)
    every = own | {
        "weight_bits": (hardware.weight_bits, ""),
        "acc_bits": (acc, "cannot overflow"),
        "sharing": (slices.sharing, "products of a DSP slice"),
        "field": (slices.field, ""),
        "chain": (slices.chain, ""),
        "weight_parts": (parts, "memories of so many lanes each"),
        "weight_words": (hardware.weight_words, ""),
        "channel_words": (hardware.channel_words, ""),
        "unit_rows": (unit_rows, ""),
    }
    return tuple(
        Constant(name=name, value=value, note=f"  // {note}" if note else "")
        for name, (value, note) in every.items()
    )


def _packed(windows: Iterable[WindowStep], px: int) -> dict[str, object]:
    """Return the sizes of windows of packed taps, and all kinds of them.

    Where every step is of one kind, its numbers are constants of the hardware; of
    several, each is built and the step chooses.
    """
    used = list(windows)
    taps = {window.taps for window in used}
    slots = sorted({(w.taps, w.channels) for w in used})
    kinds = sorted({(w.taps, w.channels, w.kernel, w.stride) for w in used})
    return {
        "kernel": max(window.kernel for window in used),
        "span": max((px - 1) * window.stride + window.kernel for window in used),
        "channels": max(window.channels for window in used),
        "taps": taps.pop() if len(taps) == 1 else "step.taps",
        "slots": [
            {
                "taps": taps,
                "channels": channels,
                "test": _test(("taps", taps), ("channels", channels))
                if len(slots) > 1
                else "",
            }
            for taps, channels in slots
        ],
        "windows": [
            {
                **kind,
                "folds": ceil_div(kind["kernel"] ** 2, kind["taps"]),
                "test": _test(*kind.items()) if len(kinds) > 1 else "",
            }
            for kind in (
                dict(zip(("taps", "channels", "kernel", "stride"), each, strict=True))
                for each in kinds
            )
        ],
    }


def _test(*values: tuple[str, int]) -> str:
    """Return the C++ beginning of a condition: fields of the step and their values."""
    return "".join(f"step.{name} == {value} && " for name, value in values)


def _window_bits(table: Table, px: int) -> dict[str, int]:
    """Return the widths of what window processes count, of either sign.

    A count goes one step past its end before it starts again, and columns and rows
    begin outside the map; each width is what that needs.
    """
    used = _windows(table.steps)
    rows = max(
        max(w.lead_words, w.sweep, w.period_one, w.period_two, w.period_three)
        for w in used
    )
    words = max(2 * w.ring_rows * w.row_words for w in used)
    return {
        "row_bits": signed_bits(0, rows),
        "word_bits": signed_bits(0, words),
        "px_bits": signed_bits(0, 2 * px),
    }


def _bounds(table: Table) -> dict[str, int]:
    """Return the longest trip count of every kind of loop."""
    steps = table.steps

    def most(values: Iterable[int]) -> int:
        return max(1, *values)

    windows = _windows(steps)
    arrays = [a for s in steps for a in (s.dense_array, s.pointwise_array)]
    depthwise = [s.depthwise_array for s in steps]
    loads = _loads(steps)
    return {
        "fetch": most(s.fetch.beats for s in steps),
        "finish": most(s.finish.beats for s in steps),
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
        "records": most(load.record_beats + load.list_beats for load in loads),
        "units": most(load.unit_trips for load in loads),
    }
