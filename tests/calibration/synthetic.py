"""Designs, and reports on them as a hidden truth would make the tools print them.

No report of an emitted design exists yet, so the truth is made up here: the model's
own figures times factors that the fit does not know, with noise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hao.cost.evaluate import CostReport, evaluate
from hao.engine.design import Design
from hao.hw.board_file import load_board
from hao.hw.resources import Resources
from hao.ir.change import scheme_of
from hao.ir.layer import Add, GlobalAveragePool, Input
from hao.ir.network import Network
from hao.ir.partition import Role, partition
from hao.runs.design_file import FILE_NAME, render_design
from tests.cost.samples import build_engine, conv, depthwise, linear, shape
from tests.report.samples import longest_segments, small_result

PART = "xczu3eg-sbva484-1-i"
CELL = "hao_bd_hao_engine_0_0"


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the fit has to find.

    Attributes:
        lut: Placed LUTs over predicted, by part; 1 where absent.
        ff: The same of flip-flops.
        step_cycles: Added to every run.
        efficiency: Of the DDR [percent].
        noise: Standard deviation of the logarithm of every figure.
    """

    lut: Mapping[str, float] = field(default_factory=dict)
    ff: Mapping[str, float] = field(default_factory=dict)
    step_cycles: int = 0
    efficiency: int = 92
    noise: float = 0.0


# Lanes of the dense, depthwise and pointwise stage; channels; weight bits; pixels.
SHAPES = (
    ((3, 8), (8, 9), (8, 4), 8, 8, 2),
    ((8, 8), (8, 3), (8, 8), 16, 8, 1),
    ((4, 16), (16, 9), (16, 4), 16, 4, 2),
    ((12, 8), (8, 9), (8, 12), 24, 6, 1),
    ((8, 16), (16, 3), (16, 8), 32, 8, 2),
    ((16, 16), (16, 9), (16, 16), 32, 4, 1),
    ((4, 8), (8, 1), (8, 16), 8, 8, 4),
    ((16, 8), (8, 3), (8, 32), 24, 8, 2),
)


SHARE = 92
"""Of the DDR's peak in the designs [percent], far above what some truths say."""


def synthetic_design(number: int, *, board: str = "zu3eg") -> Design:
    """Return one of `len(SHAPES)` designs that differ in all that area depends on."""
    dense, middle, pointwise, width, bits, px = SHAPES[number]
    image = Input(name="image", ofm=shape(3, 32, 32))
    stem = conv(image.ofm, width, stride=2, name="stem")
    expand = conv(stem.ofm, 4 * width, 1, name="expand", source="stem")
    deep = depthwise(expand.ofm, name="deep", source="expand")
    reduce = conv(deep.ofm, width, 1, name="reduce", source="deep")
    add = Add(name="add", inputs=("reduce", "stem"), ofm=reduce.ofm)
    wide = conv(add.ofm, 2 * width, 3, name="wide", source="add", stride=2)
    head = linear(wide.ofm, 10, name="head", source="wide")
    layers = (image, stem, expand, deep, reduce, add, wide, head)
    network = Network(name=f"net{number}", layers=layers)
    segments = longest_segments(network)
    engine = build_engine(
        segments,
        lanes={
            Role.DENSE: dense,
            Role.DEPTHWISE: middle,
            Role.POINTWISE: pointwise,
        },
        double_buffered=number % 3 != 2,
        spare_folds=8,
        px=px,
        weight_bits=8,
    )
    return Design(
        network=network,
        scheme=scheme_of({layer.name: bits for layer in network.compute_layers}),
        engine=engine,
        segments=segments,
        board=load_board(board).at_ddr(SHARE),
    )


def true_parts(
    cost: CostReport, truth: Truth, rng: np.random.Generator
) -> dict[str, Resources]:
    """Return what each part takes in truth."""
    found = {}
    for name, used in cost.parts.items():
        lut, ff = np.exp(truth.noise * rng.standard_normal(2))
        found[name] = replace(
            used,
            lut=round(used.lut * truth.lut.get(name, 1.0) * lut),
            ff=round(used.ff * truth.ff.get(name, 1.0) * ff),
        )
    return found


def true_cycles(design: Design, truth: Truth, rng: np.random.Generator) -> int:
    """Return the cycles of a frame in truth."""
    board = design.board.at_ddr(truth.efficiency)
    cost = evaluate(replace(design, board=board))
    runs = sum(invocation.tiles for invocation in cost.invocations)
    factor = float(np.exp(truth.noise * rng.standard_normal()))
    return round((cost.latency_cycles + runs * truth.step_cycles) * factor)


def write_design(design: Design, run: Path) -> Path:
    """Write a run directory that holds a design."""
    run.mkdir(parents=True)
    result = replace(
        small_result(front=False),
        design=design,
        cost=evaluate(design),
        image_size=design.network.input.ofm.width,
    )
    (run / FILE_NAME).write_text(render_design(result))
    return run


def _header(command: str, design: str, state: str) -> str:
    return "\n".join(
        (
            "Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.",
            "-" * 80,
            "| Tool Version : Vivado v.2022.2 (lin64) Build 0",
            f"| Command      : {command}",
            f"| Design       : {design}",
            f"| Device       : {PART}",
            f"| Design State : {state}",
            "-" * 80,
            "",
            "Utilization Design Information",
            "",
        )
    )


def hierarchy_text(parts: Mapping[str, Resources], *, state: str = "Routed") -> str:
    """Return a hierarchical report on a whole design whose core has these parts."""
    total = sum(parts.values(), Resources())
    rows = [("hao_bd_wrapper", "(top)", total), ("  hao_engine_0", CELL, total)]
    for name, used in parts.items():
        if name != "fixed":
            module = f"{CELL}_hao_engine_{name}_array"
            rows.append((f"    {name}_U0", module, used))
    lines = [
        "| Instance | Module | Total LUTs | FFs | RAMB36 | RAMB18 | URAM | DSP Blocks |"
    ]
    lines += [
        f"| {instance} | {module} | {used.lut}(1.00%) | {used.ff}(1.00%) | 0 | "
        f"{used.bram_18k} | 0 | {used.dsp} |"
        for instance, module, used in rows
    ]
    rule = "+" + "+".join("-" * 8 for _ in range(8)) + "+"
    head = _header("report_utilization -hierarchical", "hao_bd_wrapper", state)
    body = "\n".join([rule, lines[0], rule, *lines[1:], rule])
    return f"{head}\n1. Utilization by Hierarchy\n---\n\n{body}\n"


def utilization_text(
    used: Resources, *, state: str = "Fully Placed", cells: bool = False
) -> str:
    """Return a flat report."""
    sites = (
        ("CLB LUTs", used.lut, 70560),
        ("LUT as Logic", used.lut, 70560),
        ("LUT as Memory", 0, 28800),
        ("CLB Registers", used.ff, 141120),
        ("Block RAM Tile", used.bram_18k / 2, 216),
        ("DSPs", used.dsp, 360),
    )
    rule = "+----+----+----+----+"
    rows = "\n".join(
        f"| {name} | {count} | 0 | {have} |" for name, count, have in sites
    )
    command = "report_utilization" + (" -cells hao_bd_i/hao_engine_0" if cells else "")
    return (
        f"{_header(command, 'hao_bd_wrapper', state)}\n1. CLB Logic\n---\n\n{rule}\n"
        f"| Site Type | Used | Fixed | Available |\n{rule}\n{rows}\n{rule}\n"
    )


def csynth_text(parts: Mapping[str, Resources], *, top: str = "hao_engine") -> str:
    """Return a synthesis summary of Vitis HLS."""
    total = sum(parts.values(), Resources())
    head = (
        "|Modules|Issue|      |Latency|Latency|Iteration|         | Trip|          |"
        "     |    |   |    |    |\n"
        "|& Loops| Type| Slack|(cycles)|(ns)|Latency|Interval|Count|Pipelined|BRAM|DSP|"
        "FF|LUT|URAM|"
    )
    rows = [(f"+ {top}", total)]
    rows += [
        (f" + {name}_array", used) for name, used in parts.items() if name != "fixed"
    ]
    body = "\n".join(
        f"|{name}|-|0.01|100|-|-|100|-|no|{used.bram_18k} (1%)|{used.dsp} (1%)|"
        f"{used.ff} (1%)|{used.lut} (1%)|-|"
        for name, used in rows
    )
    rule = "+" + "+".join("--" for _ in range(14)) + "+"
    line = "=" * 64
    return (
        f"{line}\n== Synthesis Summary Report of '{top}'\n{line}\n"
        "+ General Information: \n    * Version:        2023.2 (Build 0)\n"
        f"    * Target device:  {PART}\n\n+ Performance & Resource Estimates: \n\n"
        f"{rule}\n{head}\n{rule}\n{body}\n{rule}\n"
    )


def cosim_text(steps: int, cycles: int) -> str:
    """Return the report of a co-simulation that passed, of equal steps of a start."""
    rule = "+----+----+----+----+----+----+----+----+----+"
    total = steps * cycles
    return (
        f"{rule}\n|  | | Latency(Clock Cycles) | Interval(Clock Cycles) | Total |\n"
        f"+ RTL + Status +----+----+----+----+----+----+ (Clock Cycles) +\n"
        f"| | | min | avg | max | min | avg | max | |\n{rule}\n"
        f"| Verilog| Pass| {cycles}| {cycles}| {cycles}| NA| NA| NA| {total}|\n"
        f"{rule}\n"
    )


def busy_design(number: int) -> Design:
    """Return a design whose feature maps keep the DDR busy, as wide as `number` says.

    1x1 layers on large maps: some 16 channels in and out a cycle, more than the DDR of
    the ZU3EG delivers.
    """
    width = 16 * (1 + number % 2)
    image = Input(name="image", ofm=shape(width, 32 + 8 * number, 32))
    first = conv(image.ofm, width, 1, name="first")
    second = conv(first.ofm, width, 1, name="second", source="first")
    pool = GlobalAveragePool(
        name="pool", input="second", ifm=second.ofm, ofm=shape(width, 1, 1)
    )
    head = linear(pool.ofm, 4, name="head", source="pool")
    network = Network(name=f"busy{number}", layers=(image, first, second, pool, head))
    segments = tuple(s for s in partition(network).segments if s.invocation.dense)
    engine = build_engine(
        segments,
        lanes={Role.DENSE: (width, width)},
        double_buffered=True,
        spare_folds=8,
        px=1,
    )
    return Design(
        network=network,
        scheme=scheme_of({layer.name: 8 for layer in network.compute_layers}),
        engine=engine,
        segments=segments,
        board=load_board("zu3eg").at_ddr(SHARE),
    )
