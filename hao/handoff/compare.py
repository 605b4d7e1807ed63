"""Predicted against synthesized: where the cost model is off, block by block.

A block is a part of the engine as `hao.cost.evaluate.CostReport.parts` names it. The
emitted functions of a stage begin with its name (`dense_`, `depthwise_`,
`pointwise_`), so a report that has the tree of modules splits the engine the same way:
the outermost module of a stage holds the rest of it, and what no stage holds is
"fixed". A hierarchical report of Vivado is split alike; there the name of the core
stands before that of the function. Where a predicted stage is not in the tree (merged
into its caller, or too deep for the report), its row stays open, and so does "fixed",
which would then hold it.

Two figures for LUTs are kept apart: what C synthesis estimates, and what placement
used. The first is the larger by far (`docs/area.md`), and neither replaces the other.
The "fixed" part predicted includes the platform outside the core; C synthesis does not
see that, and a report on the core's cell alone leaves it out.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from hao.cost.evaluate import CostReport
from hao.engine.design import Design
from hao.errors import InputError
from hao.handoff.cosim import CosimReport
from hao.handoff.hierarchy import HierarchyReport
from hao.handoff.load import Report
from hao.handoff.synthesis import ModuleRow, SynthesisReport
from hao.handoff.utilization import CORE, TimingReport, UtilizationReport
from hao.hw.resources import Resources
from hao.text import text_table

STAGES = ("dense", "depthwise", "pointwise")
"""Blocks whose functions begin with their name; as in `hao.ir.partition.Role`."""

FIXED = "fixed"
TOTAL = "total"

PS_PER_NS = 1000


class FigureSource(Enum):
    """Which step a figure comes from; later ones are nearer to the board."""

    CSYNTH = "csynth"
    COSIM = "cosim"
    SYNTHESIS = "synthesis"
    PLACEMENT = "placement"


class Quantity(Enum):
    """What is compared."""

    LATENCY_CYCLES = "latency_cycles"
    CLOCK_PS = "clock_ps"
    DSP = "dsp"
    BRAM_18K = "bram_18k"
    URAM = "uram"
    LUT = "lut"
    FF = "ff"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedFigure:
    """One figure, predicted and reported.

    Attributes:
        block: Part of the engine, or "total".
        quantity: What is counted.
        source: The step that reported it.
        report: File it was read from.
        predicted: By the cost model.
        reported: By the tool; `None` where the report leaves it open.
    """

    block: str
    quantity: Quantity
    source: FigureSource
    report: str
    predicted: int
    reported: int | None

    @property
    def ratio(self) -> float | None:
        """Return reported over predicted, `None` where it has no value."""
        if self.reported is None or self.predicted == 0:
            return None
        return self.reported / self.predicted


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What reports say beside what was predicted.

    Attributes:
        rows: A figure each, in the order of the reports.
    """

    rows: tuple[ComparedFigure, ...]

    def __repr__(self) -> str:
        """Return a table, a line a figure: what Python shows."""
        return render_comparison(self.rows)


def compare(
    design: Design, cost: CostReport, reports: Sequence[Report]
) -> tuple[ComparedFigure, ...]:
    """Return every figure that both sides have, in the order of `reports`.

    Args:
        design: What was emitted.
        cost: Its prediction.
        reports: What the tools wrote about it; of any kinds, one or more.

    Raises:
        InputError: There is no report, one is of another device, a co-simulation
            failed, or modules sum to more than the whole.
    """
    if not reports:
        raise InputError("no report to compare with; must be at least one")
    return tuple(
        ComparedFigure(
            block=block,
            quantity=quantity,
            source=_source_of(report),
            report=report.source,
            predicted=predicted,
            reported=reported,
        )
        for report in reports
        for block, quantity, predicted, reported in _pairs(design, cost, report)
    )


def _source_of(report: Report) -> FigureSource:
    match report:
        case SynthesisReport():
            return FigureSource.CSYNTH
        case CosimReport():
            return FigureSource.COSIM
        case _ if report.state.placed:
            return FigureSource.PLACEMENT
        case _:
            return FigureSource.SYNTHESIS


_Pair = tuple[str, Quantity, int, int | None]
"""Block, quantity, what was predicted, and what was reported."""


def _pairs(design: Design, cost: CostReport, report: Report) -> Iterator[_Pair]:
    """Yield what a report says beside what was predicted."""
    if not isinstance(report, CosimReport):
        _check_device(design, report)
    match report:
        case SynthesisReport():
            cycles = report.latency
            yield TOTAL, Quantity.LATENCY_CYCLES, cost.latency_cycles, cycles
            if report.clock_estimated_ns is not None:
                yield _clock(cost, report.clock_estimated_ns)
            yield from _blocks(cost, report)
        case UtilizationReport():
            yield from _resources(TOTAL, cost.resources, report.used)
        case HierarchyReport():
            yield from _blocks(cost, report)
        case TimingReport():
            yield _clock(cost, report.reached_ns if report.clocks else None)
        case CosimReport():
            if not report.passed:
                raise InputError(
                    f"{report.source}: the {report.language} co-simulation failed; its "
                    "cycles mean nothing"
                )
            cycles = _cycles_of_start(cost, report)
            yield TOTAL, Quantity.LATENCY_CYCLES, cost.latency_cycles, cycles
        case _:
            assert_never(report)


def _cycles_of_start(cost: CostReport, report: CosimReport) -> int | None:
    """Return the cycles of a whole start, of which each step was simulated alone.

    Raises:
        InputError: Fewer steps were simulated than a start has.
    """
    if report.average_latency is None:
        return None
    cycles = cost.steps * report.average_latency
    # The mean is rounded, by less than a cycle a step.
    if report.total is not None and report.total + cost.steps < cycles:
        raise InputError(
            f"{report.source}: {report.total} cycles were simulated in starts of "
            f"{report.average_latency} on average, fewer than the design's "
            f"{cost.steps} steps; co-simulate all of them (HAO_COSIM_STEPS=0)"
        )
    return cycles


def render_comparison(rows: Sequence[ComparedFigure]) -> str:
    """Return a table of `rows`, one line each."""
    head = ("block", "quantity", "source", "predicted", "reported", "ratio")
    lines = [
        (
            row.block,
            row.quantity.value,
            row.source.value,
            str(row.predicted),
            "open" if row.reported is None else str(row.reported),
            "-" if row.ratio is None else f"{row.ratio:.2f}",
        )
        for row in rows
    ]
    return text_table(head, lines, left={0, 1, 2}) + "\n"


def _check_device(
    design: Design,
    report: SynthesisReport | UtilizationReport | HierarchyReport | TimingReport,
) -> None:
    """Check that a report is of the board's device.

    Packages and releases write parts with and without "xc" and hyphens.
    """

    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower()).removeprefix("xc")

    device = design.board.device
    if not plain(report.part).startswith(plain(device)):
        raise InputError(
            f"{report.source}: part {report.part!r} is not the {device} of board "
            f"{design.board.name!r}; compare with reports of the same device"
        )


def _clock(cost: CostReport, reached_ns: float | None) -> _Pair:
    """Return the clock period of the design beside the one that was reached [ps]."""
    reached = None if reached_ns is None else round(PS_PER_NS * reached_ns)
    return TOTAL, Quantity.CLOCK_PS, round(10**9 / cost.clock_khz), reached


def _resources(
    block: str, predicted: Resources, reported: Resources | None
) -> Iterator[_Pair]:
    """Yield each kind of resource of a block."""
    for kind, count in predicted.as_dict().items():
        found = None if reported is None else reported.as_dict()[kind]
        yield block, Quantity(kind), count, found


def _blocks(
    cost: CostReport, report: SynthesisReport | HierarchyReport
) -> Iterator[_Pair]:
    """Yield the resources of every block, if the report has modules, and the total."""
    if report.modules:
        blocks = split_blocks(report, expected=tuple(cost.parts))
        for block in sorted(blocks, key=(FIXED, *STAGES).index):
            predicted = cost.parts.get(block, Resources())
            yield from _resources(block, predicted, blocks[block])
    yield from _resources(TOTAL, cost.resources, report.used)


def split_blocks(
    report: SynthesisReport | HierarchyReport, *, expected: Sequence[str]
) -> dict[str, Resources | None]:
    """Return what each block of the engine takes.

    Args:
        report: With modules.
        expected: Blocks that were predicted. One that the report lacks is `None`, and
            then so is "fixed".

    Raises:
        InputError: The blocks sum to more than the report's total.
    """
    blocks: dict[str, Resources | None] = dict.fromkeys(expected)
    inside: tuple[str, int] | None = None
    held = Resources()
    for row in report.modules:
        if inside is not None and row.depth > inside[1]:
            continue
        stage = _stage(row)
        inside = None if stage is None else (stage, row.depth)
        if stage is not None:
            blocks[stage] = (blocks.get(stage) or Resources()) + row.used
            held += row.used
    excess = held.shortfall(report.used)
    if excess:
        raise InputError(
            f"{report.source}: the stages take more than the total of {report.top!r}: "
            f"{excess}; must be the report of the engine"
        )
    missing = any(blocks.get(name) is None for name in expected if name != FIXED)
    total, parts = report.used.as_dict(), held.as_dict()
    rest = Resources(**{kind: total[kind] - parts[kind] for kind in total})
    blocks[FIXED] = None if missing else rest
    return blocks


def _stage(row: ModuleRow) -> str | None:
    """Return the stage whose function a module was made from, if any.

    In a netlist the name of the core comes first, perhaps with numbers of the instance:
    `hao_engine_dense_array`, `bd_hao_engine_0_0_dense_array`.
    """
    function = re.sub(r"^(\d+_)+", "", row.module.rpartition(f"{CORE}_")[2])
    for stage in STAGES:
        if function == stage or function.startswith(f"{stage}_"):
            return stage
    return None
