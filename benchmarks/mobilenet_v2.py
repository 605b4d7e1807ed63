"""MobileNetV2 1.0 at 224 on the ZU3EG, in detail: `python benchmarks/mobilenet_v2.py`.

Five tables: our designs (predicted by our cost model) beside what was measured on this
device (data/published_zu3eg.csv); the roofline; where the multipliers' cycles go, in
total and per invocation; and what a wider catalogue would bring. Takes about two
minutes; `--quick` leaves out mixes of bits and the wider catalogues.

Lost multiplier-cycles are counted exactly: every invocation offers its period times all
multipliers built, and these are split, stage by stage, into

    useful       products of the network
    folds        passes whose lanes, multipliers, taps or pixels are partly idle
    feed         the stage waits within a row for the rows or columns that it reads
    bypassed     the stage has no layer in this invocation, or only pools
    other stage  it waits for a slower stage of the same invocation
    fill         start, pipeline depth, first rows, and draining
    transfers    it waits for IFM, OFM, residual, weights or DDR
"""

import argparse
import csv
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks._common import (
    back_to_back,
    candidate,
    machine,
    print_table,
    uniform_problem,
)
from hao.answer.candidates import BitRules
from hao.cost.catalogue import BUFFER_WORDS, LANES, PIXELS, TAPS
from hao.cost.columns import Setting
from hao.cost.evaluate import CostReport, InvocationCost
from hao.cost.latency import StageTimes, dense_times, depthwise_times, pointwise_times
from hao.cost.overheads import STAGE_DEPTH_CYCLES, START_CYCLES
from hao.cost.tiles import tile_runs
from hao.cost.words import dense_folds
from hao.data import data_path
from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage
from hao.hw.board import Board
from hao.intmath import ceil_div
from hao.ir.change import Bits
from hao.ir.layer import Depthwise, Linear, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer, Invocation, Role
from hao.program.codesign import SolveReport, choose_fastest, field_of
from hao.program.problem import DEFAULT_SPACE
from hao.program.space import Space
from hao.zoo import build_network

NETWORK = "mobilenet_v2_100"
CAUSES = (
    "useful",
    "folds",
    "feed",
    "bypassed",
    "other stage",
    "fill",
    "transfers",
)
PUBLISHED = (
    ("dong2021hao_mbv2_w8a8", "HAO, its own baseline"),
    ("vai1.0_ultra96_mobileNet_v2", "Vitis AI DPU B1600, library call"),
    ("wu2023msd_zu3eg_mobilenet-v2", "MSD"),
)
WIDER: dict[str, Space] = {
    "as shipped": DEFAULT_SPACE,
    "lanes + 5 7 14 15 21 22 28 30": replace(
        DEFAULT_SPACE, lanes=tuple(sorted({*LANES, 5, 7, 14, 15, 21, 22, 28, 30}))
    ),
    "lanes + 80 96 128": replace(DEFAULT_SPACE, lanes=(*LANES, 80, 96, 128)),
    "pixels 1 to 14, 16, 28": replace(
        DEFAULT_SPACE, pixels=tuple(sorted({*PIXELS, *range(1, 15), 16, 28}))
    ),
    "taps + 2 4 7 8 17 49": replace(
        DEFAULT_SPACE, taps=tuple(sorted({*TAPS, 2, 4, 7, 8, 17, 49}))
    ),
    "depths + 10 more": replace(
        DEFAULT_SPACE,
        depths=tuple(
            sorted(
                {
                    *BUFFER_WORDS,
                    *(128, 256, 768, 1280, 1792),
                    *(2560, 3584, 5120, 7168, 10240),
                }
            )
        ),
    ),
}


def built(stage: DenseStage | DepthwiseStage | None, px: int) -> int:
    """Return the multipliers of one stage."""
    match stage:
        case None:
            return 0
        case DenseStage():
            return stage.simd * stage.pe * px
        case DepthwiseStage():
            return stage.pe * stage.taps * px if stage.convolves else 0


def stage_times(
    role: Role, layer: DenseLayer | DepthwiseLayer, folds_out: int, design: Design
) -> StageTimes:
    """Return the cost model's times of one stage for one tile."""
    engine, board = design.engine, design.board
    first = False
    if isinstance(layer, Depthwise | Pool):
        assert engine.depthwise is not None
        return depthwise_times(
            layer,
            pe=engine.depthwise.pe,
            taps=engine.depthwise.taps,
            px=engine.px,
            first=first,
            act_bits=engine.act_bits,
            board=board,
        )
    stage = engine.dense if role is Role.DENSE else engine.pointwise
    assert stage is not None
    times = dense_times if role is Role.DENSE else pointwise_times
    return times(
        layer,
        simd=stage.simd,
        px=engine.px,
        folds_out=np.asarray(folds_out),
        first=first,
        act_bits=engine.act_bits,
        board=board,
    )


def passes(role: Role, layer: DenseLayer | DepthwiseLayer, design: Design) -> int:
    """Return the cycles in which a stage issues products, all tiles together."""
    engine = design.engine
    groups = layer.ofm.height * ceil_div(layer.ofm.width, engine.px)
    if isinstance(layer, Depthwise | Pool):
        assert engine.depthwise is not None
        channels = ceil_div(layer.ofm.channels, engine.depthwise.pe)
        return groups * channels * ceil_div(layer.kernel**2, engine.depthwise.taps)
    stage = engine.dense if role is Role.DENSE else engine.pointwise
    assert stage is not None
    if role is Role.DENSE:
        folds = int(
            dense_folds(layer, stage.simd, act_bits=engine.act_bits, board=design.board)
        )
    else:
        terms = layer.terms if isinstance(layer, Linear) else layer.ifm.channels
        folds = ceil_div(terms, stage.simd)
    return groups * folds * ceil_div(layer.ofm.channels, stage.pe)


def busy(
    role: Role, layer: DenseLayer | DepthwiseLayer, tiles: int, design: Design
) -> int:
    """Return the cycles of one stage, all tiles together, without its lead-in."""
    if isinstance(layer, Depthwise | Pool):
        return int(stage_times(role, layer, 1, design).cycles)
    stage = design.engine.dense if role is Role.DENSE else design.engine.pointwise
    assert stage is not None
    sizes: tuple[int, ...] = (ceil_div(layer.ofm.channels, stage.pe),)
    if tiles > 1:
        setting = Setting(
            board=design.board,
            px=design.engine.px,
            act_bits=design.engine.act_bits,
            double_buffered=design.engine.double_buffered,
        )
        runs = tile_runs(
            layer,
            simd=stage.simd,
            pe=stage.pe,
            weight_words=stage.weight_words,
            setting=setting,
        )
        sizes = tuple(run.groups for run in runs)
    return sum(int(stage_times(role, layer, size, design).cycles) for size in sizes)


def split(invocation: Invocation, cost: InvocationCost, design: Design) -> Counter[str]:
    """Return where the multiplier-cycles of one invocation go, by cause."""
    engine = design.engine
    stages = dict(invocation.stages)
    cycles = {r: busy(r, layer, cost.tiles, design) for r, layer in stages.items()}
    slowest = max(cycles.values(), default=0)
    # The longest chain of stages, start and depth included; a tiled run repeats them.
    depth = START_CYCLES + STAGE_DEPTH_CYCLES * len(stages)
    chain = max((cost.path_cycles[role.value] for role in stages), default=0)
    if cost.tiles > 1:
        chain = slowest + cost.tiles * depth
    chain = min(max(chain, slowest), cost.period_cycles)
    lost: Counter[str] = Counter()
    for role, stage in (
        (Role.DENSE, engine.dense),
        (Role.DEPTHWISE, engine.depthwise),
        (Role.POINTWISE, engine.pointwise),
    ):
        width = built(stage, engine.px)
        layer = stages.get(role)
        if layer is None or isinstance(layer, Pool):
            lost["bypassed"] += width * cost.period_cycles
            continue
        issued = passes(role, layer, design)
        lost["useful"] += layer.macs
        lost["folds"] += width * issued - layer.macs
        lost["feed"] += width * (cycles[role] - issued)
        lost["other stage"] += width * (slowest - cycles[role])
        lost["fill"] += width * (chain - slowest)
        lost["transfers"] += width * (cost.period_cycles - chain)
    assert all(value >= 0 for value in lost.values()), lost
    assert sum(lost.values()) == cost.period_cycles * engine.multipliers
    return lost


def print_losses(report: SolveReport) -> None:
    """Print where the multiplier-cycles go."""
    design, cost = report.design, report.cost
    parts = [
        split(segment.invocation, part, design)
        for segment, part in zip(design.segments, cost.invocations, strict=True)
    ]
    total = sum(parts, Counter[str]())
    total["transfers"] += cost.first_load_cycles * cost.multipliers
    offered = cost.latency_cycles * cost.multipliers
    assert sum(total.values()) == offered
    print(f"\n## Where {cost.multipliers} multipliers spend their cycles\n")
    shares = [f"{100 * total[cause] / offered:.1f}" for cause in CAUSES]
    print_table(("[%]", *CAUSES), [("whole frame", *shares)])
    rows = []
    for part, lost in zip(cost.invocations, parts, strict=True):
        here = part.period_cycles * cost.multipliers
        weight = 100 * part.period_cycles / cost.latency_cycles
        rows.append(
            (
                part.name.replace("block", "b"),
                part.tiles,
                part.period_cycles,
                f"{weight:.1f}",
                part.binding,
                *(f"{100 * lost[cause] / here:.0f}" for cause in CAUSES),
            )
        )
    print("\nPer invocation (share of the frame, then of its own multiplier-cycles):\n")
    print_table(("invocation", "tiles", "cycles", "% frame", "binds", *CAUSES), rows)


def most_multipliers(board: Board) -> int:
    """Return the multipliers of the largest dense stage that fits the board alone."""
    field = field_of(uniform_problem(build_network(NETWORK), board))
    most = 0
    for double in field.problem.space.buffering:
        grid = field.tables(double).grids[Role.DENSE]
        sizes = (grid.first * grid.second)[grid.lane_of]
        for place, px in enumerate(field.pixels):
            area = field.room(field.widths[0], place, double).areas[Role.DENSE]
            steps = np.minimum(
                area.steps, field.limit.dsp // np.maximum(area.step.dsp, 1)
            )
            steps = np.where(area.step.lut < 0, steps, 0)
            fine = area.base.lut + steps * area.step.lut <= field.limit.lut
            fine &= area.base.bram_18k <= field.limit.bram_18k
            most = max(most, int(np.max(px * sizes[fine], initial=0)))
    return most


def print_roofline(cost: CostReport, board: Board) -> None:
    """Print what the multipliers and the DDR would take at their best."""
    largest = most_multipliers(board)
    ddr_ms = cost.ddr_bytes / board.ddr_kbytes_per_s
    rows: list[tuple[object, ...]] = []
    for name, count in (
        ("multipliers built, all busy", cost.multipliers),
        ("360 DSPs of 2 products", 2 * board.usable.dsp),
        ("largest dense stage that fits alone", largest),
    ):
        ms = cost.macs / count / board.clock_khz
        rows.append((name, count, f"{ms:.2f}", f"{1000 / ms:.0f}"))
    rows.append(
        (
            f"DDR, {cost.ddr_bytes / 1e6:.1f} MB a frame at "
            f"{board.ddr_kbytes_per_s / 1e6:.2f} GB/s",
            "-",
            f"{ddr_ms:.2f}",
            f"{1000 / ddr_ms:.0f}",
        )
    )
    rows.append(("our design", cost.multipliers, f"{cost.latency_ms:.2f}"))
    rows[-1] += (f"{cost.fps:.0f}",)
    print("\n## Roofline, W8A8\n")
    print_table(("limit", "multipliers", "ms", "fps"), rows)


def design_row(name: str, report: SolveReport, points: str) -> tuple[object, ...]:
    """Return the line of one of our designs."""
    cost = report.cost
    bits = Counter(report.design.weight_bits.values())
    mix = " ".join(f"{count}x{width}b" for width, count in sorted(bits.items()))
    proof = report.status.value
    if report.gap:
        proof += f", gap {100 * report.gap:.1f} %"
    return (
        name,
        mix,
        f"{cost.fps:.1f}",
        f"{cost.latency_ms:.2f}",
        f"{cost.macs / cost.latency_cycles:.0f} / {cost.multipliers}",
        f"{100 * cost.efficiency:.0f}",
        points,
        f"predicted; {proof}",
    )


def our_rows(
    board: Board, *, quick: bool
) -> tuple[SolveReport, list[tuple[object, ...]]]:
    """Return the W8A8 design and the lines of all of ours."""
    network = build_network(NETWORK)
    base = choose_fastest(uniform_problem(network, board))
    known = candidate(NETWORK, BitRules(choices=(6, 8)))
    eight = (
        sum(o.cost_micro for o in known.options if o.change == Bits(weight_bits=8))
        / 1e6
    )
    rows = [design_row("hao, W8A8", base, f"{eight:.1f}")]
    if not quick:
        for limit in (3, 5, 10):
            report = choose_fastest(known.problem(board), cost_limit=limit * 1_000_000)
            name = f"hao, 6 or 8 bits, at most {limit} points"
            rows.append(design_row(name, report, f"{report.cost_micro / 1e6:.1f}"))
    for bits in (6, 4):
        report = choose_fastest(uniform_problem(network, board, bits=bits))
        rows.append(design_row(f"hao, every layer W{bits}A8", report, "not counted"))
    return base, rows


def published_rows() -> list[tuple[object, ...]]:
    """Return the lines of what was measured on this device."""
    with data_path("data", "published_zu3eg.csv").open(newline="") as file:
        table = {row["key"]: row for row in csv.DictReader(file)}
    rows: list[tuple[object, ...]] = []
    for key, title in PUBLISHED:
        row = table[key]
        fps = float(row["fps"])
        ms = float(row["latency_ms"]) if row["latency_ms"] else 1000 / fps
        clock = f"{row['clock_mhz']} MHz" if row["clock_mhz"] else "clock not known"
        bits = f"w{row['weight_bits'][:1]}a{row['act_bits']}"
        rows.append((title, bits, f"{fps:.1f}", f"{ms:.2f}", "-", "-", "-"))
        rows[-1] += (f"measured, {clock}",)
    return rows


def print_wider(board: Board) -> None:
    """Print what more values of the engine's parameters bring, and what they cost."""
    network = build_network(NETWORK)
    rows: list[tuple[object, ...]] = []
    for name, space in WIDER.items():
        start = time.process_time()
        report = choose_fastest(uniform_problem(network, board, space=space))
        seconds = time.process_time() - start
        rows.append((name, f"{report.cost.fps:.2f}", f"{seconds:.1f}", report.priced))
        rows[-1] += (report.status.value,)
    print("\n## Wider catalogues, W8A8\n")
    print_table(("space", "fps", "CPU [s]", "engines priced", "status"), rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args(argv)
    board = back_to_back("zu3eg")
    print(f"Machine: {machine()}; zu3eg at {board.clock_mhz:.0f} MHz")
    base, rows = our_rows(board, quick=args.quick)
    print("\n## Designs\n")
    header = ("design", "bits", "fps", "ms", "MACs a cycle / multipliers")
    print_table((*header, "efficiency [%]", "cost [points]", "how"), rows)
    print("\nMeasured on the same device:\n")
    print_table((*header, "efficiency [%]", "cost [points]", "how"), published_rows())
    print_roofline(base.cost, board)
    print_losses(base)
    if not args.quick:
        print_wider(board)


if __name__ == "__main__":
    main()
