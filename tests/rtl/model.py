"""A design as RTL with data: the processes of docs/engine.md in SystemVerilog.

The processes stand in verilog/*.sv, written anew from the contract and, where that says
nothing (which loops are one, how a pace begins), as the emitted code does it. What each
reads and sends and when it waits comes from its own counters. This module renders what
differs from design to design, widths and sizes of the engine and the table of its
steps, and has Verilator simulate the whole.
"""

import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hao.cost.evaluate import evaluate
from hao.cost.overheads import MAX_BURST_BEATS, OUTSTANDING_BURSTS
from hao.emission.context import LOOP_DEPTHS, make_context
from hao.emission.records import STRUCTS, Step
from hao.emission.steps import Table
from hao.emission.stored import frame_bytes
from hao.emission.wiring import (
    BUS_DEPTH,
    FIFO_DEPTH,
    UNIT_DEPTH,
    StageView,
    loading_stages,
)
from tests.emission.builds import QUICKEST
from tests.emission.random_designs import Sample

SOURCES = Path(__file__).parent / "verilog"
CPU_LIMIT = 240  # [s] of each process
TIMEOUT = 1800  # [s] on the clock, on a machine that does other things too
LIMIT = 2_000_000  # cycles of a step after which the model gives up

SYSTEM = {
    "read_latency": 44,
    "write_latency": 44,
    "outstanding_bursts": OUTSTANDING_BURSTS,
    "max_burst_beats": MAX_BURST_BEATS,
    "start_cycles": 1,
    "gap_cycles": 3,
    "finish_cycles": 1,
    "step_cycles": 1,
}
"""What surrounds the processes; named and explained in `hao_trace::Config`."""

_RUNTIME: dict[str, dict[str, bytes]] = {}
"""Verilator's own objects by what they were compiled with: alike for all models."""

WORKED_OUT = frozenset(
    {
        *("unpack.trips", "pack.trips", "vectors.trips", "vectors.lead_words"),
        *("unpack.last_lanes", "vectors.period", "vectors.last_period"),
        *("pack.period", "pack.last_period"),
        *("vectors.sends", "dense_array.trips", "pointwise_array.trips"),
        *("depthwise_array.trips", "dense_regroup.trips", "depthwise_regroup.trips"),
        *("dense_regroup.words", "depthwise_regroup.words", "dense_load.unit_trips"),
        *("depthwise_load.unit_trips", "pointwise_load.unit_trips"),
        *(
            f"{stage}_load.{name}"
            for stage in ("dense", "depthwise", "pointwise")
            for name in ("tail_rows", "end_rows", "rest_need", "last_need")
        ),
        *(
            f"{stage}_window.{name}"
            for stage in ("dense", "depthwise")
            for name in (
                *("lead_words", "row_trips", "feed", "sweep", "columns", "phases"),
                *("period_one", "period_two", "period_three", "group_period"),
                "row_words",
                *("ring_rows", "ring_base", "ring_words", "base_words"),
                *("next_columns", "next_words", "next_turn", "next_offset"),
                *("first_word", "first_block", "first_turn", "first_phase"),
                *("first_offset", "kept", "edge_reads"),
                *("folds", "sends", "gathers", "gathers_per_row"),
            )
        ),
    }
)
"""Numbers of a step that the processes are not told: they follow from the others."""

PROCESSES = (
    "load_weights",
    "read_ifm",
    "read_residual",
    "unpack_dense",
    "unpack_depthwise",
    "unpack_pointwise",
    "dense_window",
    "dense_array",
    "depthwise_window",
    "depthwise_array",
    "pointwise_vectors",
    "pointwise_array",
    "regroup_dense_depthwise",
    "regroup_dense_pointwise",
    "regroup_depthwise_pointwise",
    "pack_dense",
    "pack_depthwise",
    "pack_pointwise",
    "write_ofm",
    "read_weights",
    "finish",
    "fill_dense",
    "fill_depthwise",
    "fill_pointwise",
    "order_dense",
    "order_pointwise",
)
"""In the order of verilog/top.sv; a design has some of them."""

FUNCTIONS = """
  typedef logic [BEAT-1:0] beat_t;
  // Where a word of a pruned layer lies.
  typedef struct packed {
    logic [2:0] row, column;
    logic [9:0] group;
  } place_t;
  localparam int PLACE = $bits(place_t);
  localparam int PLACES = BEAT / PLACE;  // of a beat

  function automatic int ceil_div(int a, int b);
    return b == 0 ? 0 : (a + b - 1) / b;
  endfunction
  // Iterations of an array, and those that make its last codes in turn.
  function automatic int with_turns(int iterations, int turns);
    return iterations == 0 || turns == 1 ? iterations : iterations + turns;
  endfunction
  function automatic int floor_div(int a, int b);
    return a >= 0 ? a / b : -((b - 1 - a) / b);
  endfunction

  // A code as a number.
  function automatic int number(logic [ACT-1:0] code, logic is_signed);
    return is_signed ? int'($signed(code)) : int'(code);
  endfunction
  // Divides by 2 ** shift; halves go up (0), to even (1) or to odd (3), or all goes
  // down (2).
  function automatic longint rounded(longint value, int shift, int how);
    longint below, rest, half;
    below = value >>> shift;
    rest = value - (below <<< shift);
    half = shift == 0 ? 1 : longint'(1) <<< (shift - 1);
    if (how == 2) return below;
    if (how == 1 && rest == half) return below + (below & 1);
    if (how == 3 && rest == half) return below + 1 - (below & 1);
    return rest >= half ? below + 1 : below;
  endfunction
  // A sum times the multiplier of a mean, a wide one without the bits of its error.
  function automatic longint product(longint sum, int multiplier);
    longint exact;
    exact = sum * longint'(multiplier);
    if (multiplier < 256) return exact;
    return ((exact + (longint'(1) <<< 19)) >>> 20) <<< 20;
  endfunction
  function automatic longint limited(longint value, int low, int high);
    return value < longint'(low) ? longint'(low)
        : value > longint'(high) ? longint'(high) : value;
  endfunction
  // Words of a pruned layer that a group of pixels meets; 0 where none is left out.
  function automatic int listed_words(array_step_t r);
    return r.entries == 0 ? 0 : r.groups * r.folds;
  endfunction
  // What a channel's sum begins with.
  function automatic longint first_sum(logic [RECORD-1:0] record);
    return MULTIPLIES ? 0 : longint'($signed(record[0+:BIAS]));
  endfunction
  function automatic longint requantized(longint acc, logic [RECORD-1:0] record,
                                         int low, int high);
    longint scaled;
    scaled = acc;
    if (MULTIPLIES)
      scaled = acc * longint'($signed(record[RECORD-1:BIAS+6]))
          + (longint'($signed(record[0+:BIAS])) <<< CUT);
    return limited(rounded(scaled, CUT + int'(record[BIAS+:5]), int'(record[BIAS+5])),
                   low, high);
  endfunction

  // Input rows that output rows 0 to `row` need; past the last one, all that come.
  function automatic int rows_needed(window_step_t r, int row);
    int rows;
    rows = row * r.stride + r.kernel - r.pad_top;
    if (rows < 1) rows = 1;
    return rows < r.rows_used ? rows : r.rows_used;
  endfunction
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What the model did.

    Attributes:
        cycles: Of every step.
        ends: Of every step, the cycle after which each process has ended.
        maps: Of every step, the map that it leaves, as stored; shape (bytes,).
    """

    cycles: tuple[int, ...]
    ends: tuple[dict[str, int], ...]
    maps: tuple[NDArray[np.uint8], ...]


def write_model(sample: Sample, table: Table, folder: Path) -> None:
    """Write a design's package, its steps, its weights and its first frame."""
    design = sample.design
    port = design.board.port_bytes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "engine_pkg.sv").write_text(_package(sample, table))
    steps = ["".join(f"{v & 0xFFFFFFFF:08x}" for v in _values(s)) for s in table.steps]
    (folder / "steps.hex").write_text("\n".join(steps) + "\n")
    arena = np.zeros(table.arena.beats * port, dtype=np.uint8)
    source = table.arena.maps[design.network.input.name]
    signed = sample.net.maps[design.network.input.name].quant.signed
    frame = frame_bytes(
        sample.frames[:1], source, network=design.network, signed=signed
    )[0]
    arena[source.base * port : source.base * port + len(frame)] = frame
    _write_beats(folder / "arena.hex", arena, port)
    _write_beats(folder / "weights.hex", table.weights, port)
    dumps = []
    for run in table.runs:
        base = beats = 0
        if run is not None:
            made = table.arena.maps[run.invocation.output_name]
            base, beats = made.base, made.beats
        dumps.append(f"{base:08x} {beats:08x}")
    (folder / "dumps.hex").write_text("\n".join(dumps) + "\n")


def build_model(folder: Path, optimise: str = "-O0") -> None:
    """Have Verilator build the program of a written model.

    Args:
        folder: Of the model.
        optimise: Option of the C++ compiler; `-O0` is right for short runs.

    Raises:
        AssertionError: It does not; holds the messages.
    """
    order = ["fifo_if", "loops", "ports", "feature_maps", "load_weights", "array"]
    order += ["dense_window", "depthwise", "words", "top"]
    sources = [str(SOURCES / f"{name}.sv") for name in order]
    command = ["verilator", "--cc", "--exe", "--top-module", "top", "-O3"]
    # Loops stay loops, in one file for the compiler: that is what takes the time.
    command += ["--unroll-count", "1", "--unroll-stmts", "1"]
    command += ["-Wno-fatal", "-Wno-lint", "-Wno-style", "--Mdir", str(folder / "obj")]
    command += [str(folder / "engine_pkg.sv"), *sources, str(SOURCES / "main.cpp")]
    _run_tool(command, folder / "verilator.log")
    objects = folder / "obj"
    for name, data in _RUNTIME.get(optimise, {}).items():
        (objects / name).write_bytes(data)
    make = ["make", "-C", str(objects), "-f", "Vtop.mk", "VM_PARALLEL_BUILDS=0"]
    make += [f"{program}={QUICKEST}" for program in ("CXX", "LINK")]
    make += [f"OPT_{kind}={optimise}" for kind in ("FAST", "SLOW", "GLOBAL")]
    _run_tool(make, folder / "make.log")
    _RUNTIME[optimise] = {x.name: x.read_bytes() for x in objects.glob("verilated*.o")}


def _limited(command: list[str]) -> list[str]:
    """Return a command, none of whose processes takes more than `CPU_LIMIT`."""
    return ["sh", "-c", f'ulimit -t {CPU_LIMIT}; exec "$@"', "sh", *command]


def _run_tool(command: list[str], log: Path) -> None:
    done = subprocess.run(
        _limited(command), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    log.write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr[-4000:]


def run_model(table: Table, folder: Path) -> Run:
    """Return what a built model does with its first frame.

    Raises:
        AssertionError: A process does what hardware cannot, or the model hangs.
    """
    done = subprocess.run(
        _limited([str(folder / "obj" / "Vtop"), f"+dir={folder}"]),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    lines = done.stdout.splitlines()
    errors = [line for line in lines if line.startswith("error")]
    assert not errors
    assert done.returncode == 0, done.stderr[-2000:]
    cycles: list[int] = []
    ends: list[dict[str, int]] = [{} for _ in table.steps]
    for line in lines:
        words = line.split()
        if words and words[0] == "step":
            cycles.append(int(words[2]))
        elif words and words[0] == "end":
            ends[int(words[1])][PROCESSES[int(words[2])]] = int(words[3])
    maps = [_read_beats(folder / f"map_{n}.hex") for n in range(len(table.steps))]
    return Run(cycles=tuple(cycles), ends=tuple(ends), maps=tuple(maps))


def _values(step: Step) -> list[int]:
    """Return the numbers of a step in order; 0 for what is `WORKED_OUT`."""
    values = []
    names = []
    for part in fields(step):
        record = getattr(step, part.name)
        for item in fields(record):
            names.append(f"{part.name}.{item.name}")
            told = names[-1] not in WORKED_OUT
            values.append(int(getattr(record, item.name)) if told else 0)
    assert set(names) >= WORKED_OUT
    return values


def _write_beats(path: Path, data: NDArray[np.uint8], port: int) -> None:
    beats = data.reshape(-1, port)[:, ::-1]
    path.write_text("".join(f"{beat.tobytes().hex()}\n" for beat in beats))


def _read_beats(path: Path) -> NDArray[np.uint8]:
    lines = path.read_text().split()
    data = b"".join(bytes.fromhex(line)[::-1] for line in lines)
    return np.frombuffer(data, dtype=np.uint8)


def _package(sample: Sample, table: Table) -> str:
    """Return engine_pkg: constants, structs of the steps, functions."""
    design = sample.design
    context = make_context(design, sample.net, table, evaluate(design))
    engine, stages = context["engine"], context["stages"]
    rate = context["ddr_bytes_per_kilocycle"]
    write_cost = context["ddr_write_cost"]
    assert isinstance(engine, dict)
    assert isinstance(stages, list)
    assert isinstance(rate, int)
    assert isinstance(write_cost, int)
    port = design.board.port_bytes
    loading = [stage.code for stage in loading_stages(stages)]
    constants: dict[str, int] = {
        "PX": engine["px"],
        "ACT": engine["act_bits"],
        "STORE": engine["store_bits"],
        "CODES": engine["beat_lanes"],
        "BEAT": 8 * port,
        "PORT_BYTES": port,
        "PAGE_BEATS": 4096 // port,
        "RECORD": engine["record_bits"],
        "RECORDS": 8 * port // engine["record_bits"],
        "BIAS": engine["bias_bits"],
        "MULTIPLIES": int(engine["multiplies"]),
        "CUT": engine["cut_bits"],
        "UNIT_ITEMS": engine["unit_items"],
        "LOAD": engine["load_bits"],
        "MEAN_WORDS": engine["mean_words"],
        "SUM_BITS": engine["sum_bits"],
        "LOADING": len(loading),
        "STEPS": len(table.steps),
        "ARENA_BEATS": table.arena.beats,
        "WEIGHT_BEATS": len(table.weights) // port,
        "LIMIT": LIMIT,
        "DDR_RATE": rate,
        "DDR_WRITE_COST": write_cost,
        "DDR_BURST_BEATS": max(design.board.ddr_burst_bytes // port, 1),
        "READ_LATENCY": SYSTEM["read_latency"],
        "WRITE_LATENCY": SYSTEM["write_latency"],
        "OUTSTANDING": SYSTEM["outstanding_bursts"],
        "MAX_BURST": SYSTEM["max_burst_beats"],
        "START_CYCLES": SYSTEM["start_cycles"],
        "GAP_CYCLES": SYSTEM["gap_cycles"],
        "FINISH_CYCLES": SYSTEM["finish_cycles"],
        "STEP_CYCLES": SYSTEM["step_cycles"],
        "FIFO_DEPTH": FIFO_DEPTH,
        "BUS_DEPTH": BUS_DEPTH,
        "UNIT_DEPTH": UNIT_DEPTH,
        "NONE": 0,
        "DENSE": 1,
        "DEPTHWISE": 2,
        "POINTWISE": 3,
        **{f"DEPTH_{name.upper()}": depth for name, depth in LOOP_DEPTHS.items()},
        **_packed_constants(table, design.engine.px),
    }
    for name in ("dense", "depthwise", "pointwise"):
        view = next((stage for stage in stages if stage.name == name), None)
        constants |= _stage_constants(name, view, constants["CODES"])
    lines = [f"  localparam int {key} = {value};" for key, value in constants.items()]
    lines += _structs()
    lines.append(FUNCTIONS)
    lines.append("  function automatic int loading(int place);")
    lines += [f"    if (place == {n}) return {code};" for n, code in enumerate(loading)]
    lines += ["    return 0;", "  endfunction"]
    return "\n".join(["package engine_pkg;", *lines, "endpackage", ""])


def _packed_constants(table: Table, px: int) -> dict[str, int]:
    """Return the largest window of packed taps."""
    used = [s.dense_window for s in table.steps if s.dense_window.taps > 1]
    spans = [(px - 1) * w.stride + w.kernel for w in used]
    return {
        "PACKED_KERNEL": max((w.kernel for w in used), default=1),
        "PACKED_SPAN": max(spans, default=1),
        "PACKED_CHANNELS": max((w.channels for w in used), default=1),
    }


_STAGE_SIZES = (
    *("items", "pe", "weight_bits", "acc_bits", "weight_words", "channel_words"),
    *("unit_rows", "feature_words", "row_words", "groups", "rows", "kernel", "span"),
    *("kept", "sum_bits", "turns", "list_words"),
)


def _stage_constants(name: str, view: StageView | None, codes: int) -> dict[str, int]:
    """Return the constants of a stage; 1 each where there is none."""
    prefix = name.upper()
    given = {} if view is None else {c.name: c.value for c in view.constants}
    sizes = {f"{prefix}_{key.upper()}": given.get(key, 1) for key in _STAGE_SIZES}
    # A word, and a beat more than the emitted register, where beats begin with words.
    hold = 1
    if view is not None:
        hold = max(given["items"], given["pe"]) + (view.unpack_beats + 1) * codes
    return {
        f"HAS_{prefix}": int(view is not None),
        **sizes,
        f"{prefix}_HOLD": hold,
        f"{prefix}_PACK_WORDS": 1 if view is None else view.pack_words,
        f"{prefix}_SKIPS": int(view is not None and view.skips),
        f"{prefix}_LOADS": 0 if view is None else int(view.loads),
    }


def _structs() -> list[str]:
    """Return the records of hao.emission as packed structs of 32-bit numbers."""
    lines = []
    for kind, name in STRUCTS.items():
        lines.append("  typedef struct packed {")
        for item in fields(kind):
            made = "int"
            if kind is Step:
                made = STRUCTS[type(getattr(Step(), item.name))]
            lines.append(f"    {made} {item.name};")
        lines.append(f"  }} {name};")
    return lines
