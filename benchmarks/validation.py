"""The cost model against published ZU3EG accelerators.

`python benchmarks/validation.py` prints docs/validation.md; `--write` (`make validate`)
replaces that file and the table of ratios that the search's interval rests on. Where a
published accelerator can be configured as an engine of hao (parallelism, clock, bits,
DDR), the table shows predicted against measured milliseconds; where it cannot, the page
says why. Nothing is fitted: the only inputs are what the publications print. Prose
stands in benchmarks/validation.md.j2; numbers come from here and from
data/published_zu3eg.csv.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median

import jinja2

from benchmarks._configured import (
    Configured,
    best_design,
    deepest_buffer,
    resnet50_v1,
    sized_engine,
)
from benchmarks._published import Row, load_rows
from hao.cost.area import engine_resources
from hao.cost.evaluate import CostReport, evaluate
from hao.cost.uncertainty import COVERAGE_PERCENT, LatencyEvidence, LatencyRow
from hao.cost.words import dense_folds
from hao.engine.design import Design
from hao.engine.stages import Engine
from hao.errors import InfeasibleError
from hao.hw.board import Board, Frames
from hao.hw.board_file import load_board
from hao.hw.resources import Resources
from hao.intmath import ceil_div
from hao.ir.layer import Conv
from hao.ir.network import Network
from hao.options.bits import bit_options
from hao.program.codesign import choose_fastest
from hao.program.problem import Problem
from hao.zoo import build_network
from hao.zoo.architecture import Architecture, Publication, architecture_network
from hao.zoo.classic import vgg_features

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "validation.md"
TABLE = HERE.parent / "data" / "validated_latency.csv"

DPU_RATE = 800
"""Products per cycle of a B1600: 8 pixels, 10 input, 10 output channels (PG338)."""

IDEAL_DDR_PERCENT = 92
"""The share of the DDR's peak of ideal bursts, to show how much depends on it.

Source: Manev, Vaishnav, Koch, FPT 2019, abstract: 92.5 % on this board.
"""

DDR_PERCENTS = (92, 75, 70, 65, 60, 55, 50)
"""Shares of the DDR's peak whose predictions are shown beside each other."""

MSD_RATE = 2 * 16 * 16 + 48 * 48 // 2
"""Products per cycle: 16x16 DSPs of two, 48x48 bit-serial PEs of two digits (EB=2)."""

MSD_DEPTHWISE_RATE = 137
"""Products per cycle of MSD's depthwise layers where compute binds.

Source: CASR-HKU/MSD-FCCM23 software/msd_scheduler/results/ultra96_mobilenetv2.csv,
Conv14: 192 x 28 x 28 x 9 products in 9,869 cycles.
"""

MSD_SCHEDULE_MS = {
    "vgg-16": 89.04,
    "resnet-18": 8.02,
    "resnet-50": 25.23,
    "mobilenet-v2": 4.02,
}
"""MSD's own prediction: the sums of its published per-layer schedules [ms]."""

VGG = "wu2023msd_zu3eg_vgg-16"
"""A row that is shown but not counted: what ran is not clear (docs/validation.md)."""

CODENET_RATE = 16 * 16 + 9 * 16
"""Products per cycle: 16x16 lanes (1x1) and 9 taps of 16 channels (depthwise)."""

CODENET_GMACS = {"a": 0.29, "b": 0.29, "c": 1.14, "d": 3.54, "e": 3.58}
"""Products of a frame [1e9]. Source: Zhen-Dong/CoDeNet README."""

B1600_LOW_DSP = Resources(dsp=202 + 30, lut=33_130 + 3_392, ff=60_739, bram_18k=255)
"""Source: PG338 v1.2 Table 9 (LUT, FF, DSP), v3.4 (BRAM; depthwise: LUT, DSP)."""

B1600_HIGH_DSP = Resources(dsp=282 + 30, lut=30_877 + 3_392, ff=56_267, bram_18k=255)
"""Source: as `B1600_LOW_DSP`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One published network, predicted and measured.

    Attributes:
        accelerator: Its name.
        cost: Every layer a run of its own.
        rate: Products per cycle of the dense array.
        fused_ms: Layers share runs where that is faster [ms].
        at_ddr_ms: At every share of `DDR_PERCENTS` [ms], as `cost` without the host.
        unpacked_ms: What the first layer takes longer with one tap at a time [ms].
    """

    accelerator: str
    row: Row
    cost: CostReport
    rate: int
    fused_ms: float
    at_ddr_ms: Mapping[int, float]
    unpacked_ms: float

    @property
    def ratio(self) -> float:
        """Return predicted over measured, with the host where its call was measured."""
        return self.cost.frame_ms / self.row.latency_ms

    def ratio_at(self, percent: int) -> float:
        """Return `ratio` at a share of `DDR_PERCENTS`."""
        ms = self.at_ddr_ms[percent] + self.cost.host_us / 1000
        return ms / self.row.latency_ms

    @property
    def share(self) -> float:
        """Return the predicted share of the array's peak rate."""
        return self.cost.macs / (self.cost.latency_cycles * self.rate)

    @property
    def measured_share(self) -> float:
        """Return the measured one, for the same products."""
        cycles = self.row.latency_ms * self.cost.clock_khz
        return self.cost.macs / (cycles * self.rate)

    @property
    def bottleneck(self) -> str:
        total = self.cost.latency_cycles
        shares = self.cost.binding_cycles.items()
        return ", ".join(f"{k} {v / total:.0%}" for k, v in list(shares)[:3])


def dpu() -> Configured:
    """Return the B1600 at 287 MHz; depthwise at half its pixels: 40 a cycle (PG338)."""
    return Configured(
        name="DPU",
        board=load_board("zu3eg").at_clock(287_000),
        simd=10,
        pe=10,
        px=8,
        depthwise_pe=5,
        bram_18k=B1600_LOW_DSP.bram_18k,
    )


@cache
def dpu_networks() -> Mapping[str, Network]:
    names = {
        "resnet50": resnet50_v1(late_stride=False),
        "tf_resnet50": resnet50_v1(late_stride=True),
        "resnet18": build_network("resnet18"),
        "mobileNet_v2": build_network("mobilenet_v2_100"),
        "tf_mobilenet_v2": build_network("mobilenet_v2_140"),
        "tf_mobilenet_v1": build_network("mobilenet_v1_100"),
    }
    return {f"vai1.0_ultra96_{name}": network for name, network in names.items()}


def msd(simd: int, pe: int, px: int, board: Board | None = None) -> Configured:
    """Return an engine of MSD's rate in one shape, at its 214 MHz."""
    lanes = range(1, MSD_DEPTHWISE_RATE // px + 1)
    used = board or load_board("zu3eg").at_clock(214_000)
    return Configured(
        name="MSD",
        # What its authors print is the time of the accelerator.
        board=replace(used, frames=Frames.BACK_TO_BACK),
        simd=simd,
        pe=pe,
        px=px,
        depthwise_pe=max(n for n in lanes if pe % n == 0 or n % pe == 0),
        bram_18k=load_rows()["wu2023msd_zu3eg_resnet-18"].bram_18k,
    )


def msd_narrow() -> Configured:
    """Return the same with all ports together at MSD's 16 bytes a cycle."""
    board = replace(
        load_board("zu3eg").at_clock(214_000).at_ddr(100),
        ddr_peak_kbytes_per_s=16 * 214_000,
    )
    return msd(16, 13, 8, board)


@cache
def msd_networks() -> Mapping[str, Network]:
    vgg = Architecture(
        name="vgg16_convolutions",
        family=Publication.VGG,
        blocks=vgg_features((64, 128, 256, 512, 512), (2, 2, 3, 3, 3)),
    )
    return {
        "wu2023msd_zu3eg_resnet-18": build_network("resnet18"),
        "wu2023msd_zu3eg_resnet-50": build_network("resnet50"),
        "wu2023msd_zu3eg_mobilenet-v2": build_network("mobilenet_v2_100"),
        "wu2023msd_zu3eg_vgg-16": architecture_network(vgg),
    }


def compare(
    accelerator: Configured, networks: Mapping[str, Network]
) -> dict[str, Compared]:
    """Return every network on one accelerator, by key.

    Raises:
        InfeasibleError: A network does not fit its buffers.
    """
    words = deepest_buffer(accelerator, list(networks.values()))
    if words is None:
        raise InfeasibleError("no weight buffer fits the published block RAM")
    result = {}
    for key, network in networks.items():
        engine = sized_engine(accelerator, network, words)
        board = accelerator.board

        def priced(
            where: Board, engine: Engine = engine, network: Network = network
        ) -> CostReport:
            design = best_design(
                network, engine, where, fused=False, aligned_tiles=False
            )
            return evaluate(design, aligned_tiles=False)

        fused = evaluate(
            best_design(network, engine, board, fused=True, aligned_tiles=False),
            aligned_tiles=False,
        )
        result[key] = Compared(
            accelerator=accelerator.name,
            row=load_rows()[key],
            cost=priced(board),
            rate=accelerator.rate,
            fused_ms=fused.latency_ms,
            at_ddr_ms={
                percent: priced(board.at_ddr(percent)).latency_ms
                for percent in DDR_PERCENTS
            },
            unpacked_ms=unpacked_cycles(accelerator, network) / board.clock_khz,
        )
    return result


def unpacked_cycles(accelerator: Configured, network: Network) -> int:
    """Return the cycles that packing taps beside few channels saves the first layer."""
    first = network.compute_layers[0]
    assert isinstance(first, Conv)
    folds = first.kernel**2 * ceil_div(first.ifm.channels, accelerator.simd)
    packed = int(
        dense_folds(first, accelerator.simd, act_bits=8, board=accelerator.board)
    )
    groups = ceil_div(first.ofm.width, accelerator.px) * first.ofm.height
    return groups * ceil_div(first.ofm.channels, accelerator.pe) * (folds - packed)


def msd_shapes() -> tuple[Mapping[str, Compared], ...]:
    """Return the comparison for every shape of MSD's rate that can hold the weights."""
    found = []
    for px in (1, 2, 4, 8):
        left = MSD_RATE // px
        for simd in (n for n in range(1, 129) if left % n == 0 and left // n <= 128):
            try:
                found.append(compare(msd(simd, left // simd, px), msd_networks()))
            except InfeasibleError:
                continue
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """Our proven optimum under HAO's resources, and variations of the same engine."""

    design: Design
    cost: CostReport
    split_ms: float
    fps_at_mhz: Mapping[int, float]


def hao_optimum() -> Optimum:
    """Return the fastest W8A8 MobileNetV2 engine within what HAO's design takes."""
    row = load_rows()["dong2021hao"]
    board = replace(load_board("zu3eg"), frames=Frames.BACK_TO_BACK)
    within = replace(
        board,
        resources=Resources(
            dsp=row.dsp, lut=row.lut, ff=board.resources.ff, bram_18k=row.bram_18k
        ),
        cap_percent=Resources(dsp=100, lut=100, ff=50, bram_18k=100, uram=100),
    )
    network = build_network("mobilenet_v2_100")
    options = bit_options(network, choices=(8,), drop_by_bits={8: 0.0})
    report = choose_fastest(Problem(network=network, options=options, board=within))
    engine = report.design.engine
    split = best_design(network, engine, within, fused=False)
    clocks = {
        mhz: evaluate(
            best_design(network, engine, within.at_clock(1000 * mhz), fused=True)
        ).fps
        for mhz in (100, 150, 200, 250)
    }
    return Optimum(
        design=report.design,
        cost=report.cost,
        split_ms=evaluate(split).latency_ms,
        fps_at_mhz=clocks,
    )


def areas() -> dict[str, Resources]:
    """Return the area of the engines configured above, by what is varied."""
    words = deepest_buffer(dpu(), list(dpu_networks().values()))
    network = dpu_networks()["vai1.0_ultra96_tf_mobilenet_v2"]
    assert words is not None
    result = {}
    for pairs, lanes in ((5, 5), (3, 0)):
        engine = sized_engine(dpu(), network, words, dsp_pairs=pairs, dsp_lanes=lanes)
        result[f"dpu{pairs}"] = _total(engine_resources(engine, dpu().board))
    shape = msd(16, 13, 8)
    network = msd_networks()["wu2023msd_zu3eg_resnet-18"]
    words = deepest_buffer(shape, list(msd_networks().values()))
    assert words is not None
    for bits in (8, 4):
        engine = sized_engine(shape, network, words, dsp_pairs=2, weight_bits=bits)
        result[f"msd{bits}"] = _total(engine_resources(engine, shape.board))
    return result


def _total(parts: Mapping[str, Resources]) -> Resources:
    return sum(parts.values(), Resources())


def median_deviation(rows: Sequence[Compared]) -> float:
    """Return the median of |predicted / measured - 1|."""
    return median(abs(row.ratio - 1) for row in rows)


def median_at(percent: int, rows: Sequence[Compared]) -> float:
    """Return `median_deviation` at a share of the DDR's peak [percent]."""
    return median(abs(row.ratio_at(percent) - 1) for row in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What the rows of all other accelerators say of one.

    Attributes:
        accelerator: Left out.
        percent: Share of the DDR's peak at which the others' median is least [percent].
        deviation: Median deviation of its own rows there.
        chosen: The same at the board's share.
        ideal: The same at `IDEAL_DDR_PERCENT`.
        covered: Its rows that lie within the interval of the others.
        rows: How many it has.
    """

    accelerator: str
    percent: int
    deviation: float
    chosen: float
    ideal: float
    covered: int
    rows: int


def left_out() -> tuple[LeftOut, ...]:
    """Return for every accelerator what the others would have said of it."""
    found = []
    counted = list(counted_rows().values())
    evidence = evidence_of(counted)
    for name in evidence.accelerators:
        own = [row for row in counted if row.accelerator == name]
        rest = [row for row in counted if row.accelerator != name]
        percent = min(DDR_PERCENTS, key=lambda share: median_at(share, rest))
        apart = zip(evidence.rows, evidence.left_out, strict=True)
        found.append(
            LeftOut(
                accelerator=name,
                percent=percent,
                deviation=median_at(percent, own),
                chosen=median_deviation(own),
                ideal=median_at(IDEAL_DDR_PERCENT, own),
                covered=sum(
                    abs(distance) <= evidence.half_width
                    for row, distance in apart
                    if row.accelerator == name
                ),
                rows=len(own),
            )
        )
    return tuple(found)


def evidence_of(rows: Sequence[Compared]) -> LatencyEvidence:
    """Return the rows as the interval of a frame rate reads them."""
    return LatencyEvidence(
        tuple(LatencyRow(row.accelerator, 1 / row.ratio) for row in rows)
    )


def other_dpu_rows() -> list[Row]:
    """Return the DPU rows whose layers are not in the zoo."""
    return [
        row
        for key, row in load_rows().items()
        if key.startswith("vai1.0") and key not in dpu_networks()
    ]


@cache
def dpu_compared() -> Mapping[str, Compared]:
    """Return the DPU's comparable rows."""
    return compare(dpu(), dpu_networks())


@cache
def msd_compared() -> Mapping[str, Compared]:
    """Return MSD's rows, with one that is not comparable (`VGG`)."""
    return compare(msd(16, 13, 8), msd_networks())


def counted_rows() -> dict[str, Compared]:
    """Return the rows that count as a deviation, by key."""
    rows = {**dpu_compared(), **msd_compared()}
    return {key: row for key, row in rows.items() if key != VGG}


def render_table() -> str:
    """Return data/validated_latency.csv."""
    lines = [
        "# Predicted and measured time of published accelerators that could be",
        "# configured as engines of hao, layer by layer; written by `make validate`,",
        "# the measured ones are from published_zu3eg.csv. With the host's call where",
        "# that was measured (DPU).",
        "key,accelerator,network,predicted_ms,measured_ms",
    ]
    for key, row in counted_rows().items():
        ms = row.cost.frame_ms, row.row.latency_ms
        lines.append(
            f"{key},{row.accelerator},{row.row.network},{ms[0]:.3f},{ms[1]:.3f}"
        )
    return "\n".join(lines) + "\n"


def render() -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    dpu_rows, msd_rows = dpu_compared(), msd_compared()
    classifier = build_network("vgg16").macs - msd_networks()[VGG].macs
    counted = list(counted_rows().values())
    rows = load_rows()
    peak = 2 * DPU_RATE * 0.287
    return environment.get_template("validation.md.j2").render(
        rows=rows,
        dpu=dpu_rows,
        dpu_words=deepest_buffer(dpu(), list(dpu_networks().values())),
        others=other_dpu_rows(),
        peak=peak,
        msd={k: r for k, r in msd_rows.items() if k != VGG},
        vgg=msd_rows[VGG],
        vgg_classifier_ms=classifier / 16 / 214_000,
        msd_narrow=compare(msd_narrow(), msd_networks()),
        msd_words=deepest_buffer(msd(16, 13, 8), list(msd_networks().values())),
        shapes=msd_shapes(),
        schedule=MSD_SCHEDULE_MS,
        hao=hao_optimum(),
        codenet=[
            (name, gmacs, gmacs / CODENET_RATE, rows[f"huang2021codenet_{name}"])
            for name, gmacs in CODENET_GMACS.items()
        ],
        area=areas(),
        b1600=(B1600_LOW_DSP, B1600_HIGH_DSP),
        shares=[
            (percent, counted, list(dpu_rows.values()), counted[len(dpu_rows) :])
            for percent in DDR_PERCENTS
        ],
        median_at=median_at,
        ideal=IDEAL_DDR_PERCENT,
        left_out=left_out(),
        evidence=evidence_of(counted),
        coverage=COVERAGE_PERCENT,
        board=load_board("zu3eg"),
        median_all=median_deviation(counted),
        median_dpu=median_deviation(list(dpu_rows.values())),
        median_msd=median_deviation(counted[len(dpu_rows) :]),
        count=len(counted),
        worst=max(counted, key=lambda row: abs(row.ratio - 1)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace page and table")
    if parser.parse_args().write:
        PAGE.write_text(render(), encoding="utf-8")
        TABLE.write_text(render_table(), encoding="utf-8")
    else:
        print(render(), end="")


if __name__ == "__main__":
    main()
