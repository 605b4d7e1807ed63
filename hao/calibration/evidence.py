"""What reports say about the cost model's constants, as figures to fit.

A figure sets what was reported beside what the shipped constants predict for the same
parts of the engine. Placement says what LUTs and flip-flops take; C synthesis says what
it estimates, which is another thing and never mixed with it. Cycles come from a board,
or from co-simulation, whose memory is taken to deliver a beat a cycle to every port.

A report on the core alone leaves the platform out, so it gives the stages but not the
"fixed" part; beside one report on the whole it does, as what the stages leave of that.

Not fitted, since they say nothing certain: netlists that are not placed
yet; the latency that C synthesis estimates, which knows neither stalls nor DDR.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from hao.cost.evaluate import CostReport
from hao.engine.design import Design
from hao.errors import InputError
from hao.handoff.compare import (
    FIXED,
    STAGES,
    TOTAL,
    ComparedFigure,
    FigureSource,
    Quantity,
    compare,
)
from hao.handoff.cosim import CosimReport
from hao.handoff.hierarchy import HierarchyReport
from hao.handoff.load import Report
from hao.handoff.synthesis import SynthesisReport
from hao.handoff.utilization import CORE, TimingReport, UtilizationReport

PARTS = (FIXED, *STAGES)
"""Parts of the engine, as `hao.cost.evaluate.CostReport.parts` names them."""

FITTED = (Quantity.LUT, Quantity.FF)
EXACT = (Quantity.DSP, Quantity.BRAM_18K)

WRONG_DESIGN_RATIO = 1.25
"""DSP slices or block RAMs this far from the prediction, either way, are told.

Source: chosen here; both follow from exact rules, so that a quarter more or less
mostly means the report of another design.
"""


class Clocking(Enum):
    """Who counted cycles."""

    BOARD = "board"
    COSIM = "cosim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A design that reports are about.

    Attributes:
        label: Its name in reports; no two designs share one.
        design: What was emitted, with the shipped constants.
        cost: Its prediction by these constants.
    """

    label: str
    design: Design
    cost: CostReport


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaFigure:
    """LUTs or flip-flops of some parts of one design.

    Attributes:
        label: Of the design.
        report: Name of the file.
        source: `FigureSource.PLACEMENT` or `FigureSource.CSYNTH`.
        quantity: One of `FITTED`.
        predicted: Of every part that the figure covers, by name, at least 1 each.
        reported: Of all of them, at least 1.
    """

    label: str
    report: str
    source: FigureSource
    quantity: Quantity
    predicted: tuple[tuple[str, int], ...]
    reported: int

    @property
    def block(self) -> str:
        """Return the part that the figure is about; "total" for all of them."""
        names = [name for name, _ in self.predicted]
        return names[0] if len(names) == 1 else TOTAL


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleFigure:
    """Cycles of a start of the engine, which takes a frame or several.

    Attributes:
        case: The design.
        report: Name of the file, with the line of a table.
        clocking: Who counted.
        clock_khz: Clock that it ran at [kHz].
        reported: Cycles of a start at that clock, at least 1.
    """

    case: Case
    report: str
    clocking: Clocking
    clock_khz: int
    reported: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationEvidence:
    """All that is known.

    Attributes:
        area: LUTs and flip-flops.
        cycles: Of whole frames.
        notes: What was left out and why, a line each.
    """

    area: tuple[AreaFigure, ...] = ()
    cycles: tuple[CycleFigure, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: "CalibrationEvidence") -> "CalibrationEvidence":
        """Return both together."""
        return CalibrationEvidence(
            area=self.area + other.area,
            cycles=self.cycles + other.cycles,
            notes=self.notes + other.notes,
        )


def read_evidence(case: Case, reports: Sequence[Report]) -> CalibrationEvidence:
    """Return what reports on one design say.

    Raises:
        InputError: A report is of another device or another top function, or a
            co-simulation failed.
    """
    found = sum((_of_report(case, report) for report in reports), CalibrationEvidence())
    area = found.area
    for quantity in FITTED:
        area = _with_fixed(area, quantity)
    return replace(found, area=area)


def _with_fixed(
    figures: tuple[AreaFigure, ...], quantity: Quantity
) -> tuple[AreaFigure, ...]:
    """Return figures with one placed total less the stages of one placed core."""
    placed = [
        f
        for f in figures
        if (f.source, f.quantity) == (FigureSource.PLACEMENT, quantity)
        and f.block != FIXED
    ]
    stages = {f.block: f for f in placed if f.block != TOTAL}
    totals = [f for f in placed if f.block == TOTAL]
    if len(totals) != 1 or len(placed) != len(stages) + 1:
        return figures
    (total,) = totals
    predicted = dict(total.predicted)
    rest = total.reported - sum(f.reported for f in stages.values())
    if set(predicted) != {FIXED, *stages} or rest < 1:
        return figures
    fixed = replace(total, predicted=((FIXED, predicted[FIXED]),), reported=rest)
    return tuple(fixed if f is total else f for f in figures)


def _of_report(case: Case, report: Report) -> CalibrationEvidence:
    rows = compare(case.design, case.cost, [report])
    where = f"{case.label}: {report.source}"
    match report:
        case CosimReport():
            (row,) = rows
            assert row.reported is not None
            figure = CycleFigure(
                case=case,
                report=report.source,
                clocking=Clocking.COSIM,
                clock_khz=case.cost.clock_khz,
                reported=max(1, row.reported),
            )
            return CalibrationEvidence(cycles=(figure,))
        case TimingReport():
            return CalibrationEvidence(
                notes=(f"{where}: the clock is not a constant of the model",)
            )
        case SynthesisReport():
            if not report.top.startswith(CORE):
                raise InputError(
                    f"{where}: top function {report.top!r}; must be {CORE!r}, as hao "
                    "emits it"
                )
            covers_fixed = True
        case HierarchyReport() | UtilizationReport():
            if not report.state.placed:
                return CalibrationEvidence(
                    notes=(f"{where}: {report.state.value}, not placed; left out",)
                )
            covers_fixed = not report.of_core
    figures = _area_figures(case, rows, covers_fixed=covers_fixed)
    notes = _suspicious(rows, where)
    if not figures:
        notes += (f"{where}: nothing in it can be compared part by part; left out",)
    return CalibrationEvidence(area=figures, notes=notes)


def _area_figures(
    case: Case, rows: Sequence[ComparedFigure], *, covers_fixed: bool
) -> tuple[AreaFigure, ...]:
    """Return the LUTs and flip-flops of each part, and of those that are not apart."""
    found: list[AreaFigure] = []
    for quantity in FITTED:
        own = {row.block: row for row in rows if row.quantity is quantity}
        total = own.pop(TOTAL)
        known: dict[str, int] = {}
        for name, row in own.items():
            if row.reported is not None and (covers_fixed or name != FIXED):
                known[name] = row.reported
        rest = [name for name in case.cost.parts if name not in known]
        shares = [([name], count) for name, count in known.items()]
        if rest and covers_fixed and total.reported is not None:
            shares.append((rest, total.reported - sum(known.values())))
        for names, reported in shares:
            predicted = tuple(
                (name, case.cost.parts[name].as_dict()[quantity.value])
                for name in names
                if name in case.cost.parts
            )
            if reported > 0 and predicted and all(count > 0 for _, count in predicted):
                found.append(
                    AreaFigure(
                        label=case.label,
                        report=total.report,
                        source=total.source,
                        quantity=quantity,
                        predicted=predicted,
                        reported=reported,
                    )
                )
    return tuple(found)


def _suspicious(rows: Sequence[ComparedFigure], where: str) -> tuple[str, ...]:
    """Return a note for each exact count that is far off."""
    notes = []
    for row in rows:
        if row.block != TOTAL or row.quantity not in EXACT or row.ratio is None:
            continue
        if not 1 / WRONG_DESIGN_RATIO <= row.ratio <= WRONG_DESIGN_RATIO:
            notes.append(
                f"{where}: {row.reported} {row.quantity.value} against {row.predicted} "
                "predicted, which follow from exact rules; is it the report of another "
                "design?"
            )
    return tuple(notes)
