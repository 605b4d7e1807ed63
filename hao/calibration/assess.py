"""From evidence to constants, with how well they predict designs that were left out.

Constants are fitted and judged in groups: LUTs by placement, flip-flops by placement,
both again by C synthesis, cycles. For every design in turn, a group is fitted without
it and predicts it. A group that predicts designs left out no better than the shipped
constants is not adopted: its constants stay the shipped ones. With a single design
nothing can be left out; the group is adopted, and its error unseen stays unknown.

An error is the mean over figures of |ln(reported / predicted)|, as a percentage.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from hao.calibration.area_fit import (
    NO_FACTORS,
    Factors,
    fit_factors,
    log_error,
    predicted_count,
)
from hao.calibration.cycle_fit import (
    SHIPPED,
    CycleConstants,
    CyclePrices,
    fit_cycles,
    usable_figures,
)
from hao.calibration.evidence import (
    FITTED,
    PARTS,
    AreaFigure,
    CalibrationEvidence,
    CycleFigure,
)
from hao.calibration.results import (
    CSYNTH_RANGE,
    Assessment,
    Comparison,
    ConstantGroup,
    FitScore,
)
from hao.calibration.robust import HUBER, as_percent
from hao.errors import InputError
from hao.handoff.compare import TOTAL, FigureSource, Quantity
from hao.hw.board import Board
from hao.hw.calibration import FACTOR_RANGE, Calibration, PartFactors

OUTLIER = 2 * HUBER
"""Figures further off than this after the fit are named [natural logarithm]."""

Figure = TypeVar("Figure", AreaFigure, CycleFigure)
Constants = TypeVar("Constants")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Method(Generic[Figure, Constants]):
    """How the constants of a group are found and used."""

    shipped: Constants
    fit: Callable[[Sequence[Figure]], Constants]
    error: Callable[[Figure, Constants], float]
    label: Callable[[Figure], str]
    block: Callable[[Figure], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged(Generic[Constants]):
    constants: Constants
    group: ConstantGroup


def assess(evidence: CalibrationEvidence, board: Board) -> Assessment:
    """Return the constants that evidence asks for, and how well they predict.

    Args:
        evidence: Of designs on `board`.
        board: With the shipped constants.

    Raises:
        InputError: There is nothing to fit.
    """
    if not evidence.area and not evidence.cycles:
        why = f": {evidence.notes[0]}" if evidence.notes else ""
        raise InputError(
            f"no figure to calibrate with{why}; must have a placed utilization report, "
            "a C synthesis report, a co-simulation report or a timing"
        )
    groups: list[ConstantGroup] = []
    comparisons: list[Comparison] = []
    used: set[tuple[str, str]] = set()
    found: dict[FigureSource, dict[Quantity, Factors]] = {}
    for source, limits in (
        (FigureSource.PLACEMENT, FACTOR_RANGE),
        (FigureSource.CSYNTH, CSYNTH_RANGE),
    ):
        for quantity in FITTED:
            figures = [
                f for f in evidence.area if (f.source, f.quantity) == (source, quantity)
            ]
            judged = _judge_area(figures, source, quantity, limits)
            found.setdefault(source, {})[quantity] = judged.constants
            if not figures:
                continue
            groups.append(judged.group)
            comparisons += [_area_comparison(f, judged.constants) for f in figures]
            if source is FigureSource.PLACEMENT and judged.group.adopted:
                used.update((f.label, f.report) for f in figures)
    prices = CyclePrices()
    cycles = usable_figures(evidence.cycles)
    timed = _judge_cycles(cycles, prices)
    if cycles:
        groups.append(timed.group)
        if timed.group.adopted:
            used.update((f.case.label, f.report) for f in cycles)
    comparisons += [
        _cycle_comparison(f, timed.constants, prices) for f in evidence.cycles
    ]
    return Assessment(
        board=board.name,
        device=board.device,
        calibration=_calibration(
            found[FigureSource.PLACEMENT], timed.constants, len(used)
        ),
        csynth=_by_part(found[FigureSource.CSYNTH]),
        groups=tuple(groups),
        comparisons=tuple(comparisons),
        reports=tuple(sorted({f"{c.label}: {c.report}" for c in comparisons})),
        notes=evidence.notes,
    )


def _judge_area(
    figures: Sequence[AreaFigure],
    source: FigureSource,
    quantity: Quantity,
    limits: tuple[int, int],
) -> _Judged[Factors]:
    method: _Method[AreaFigure, Factors] = _Method(
        shipped=NO_FACTORS,
        fit=lambda some: fit_factors(some, limits=limits),
        error=log_error,
        label=lambda figure: figure.label,
        block=lambda figure: figure.block,
    )
    return _judge(figures, method, figure=quantity.value, source=source.value)


def _judge_cycles(
    figures: Sequence[CycleFigure], prices: CyclePrices
) -> _Judged[CycleConstants]:
    method: _Method[CycleFigure, CycleConstants] = _Method(
        shipped=SHIPPED,
        fit=lambda some: fit_cycles(some, prices),
        error=prices.log_error,
        label=lambda figure: figure.case.label,
        block=lambda _: TOTAL,
    )
    source = figures[0].clocking.value if figures else ""
    return _judge(figures, method, figure="cycles", source=source)


def _judge(
    figures: Sequence[Figure],
    method: _Method[Figure, Constants],
    *,
    figure: str,
    source: str,
) -> _Judged[Constants]:
    """Return the constants of a group: the fitted ones, or the shipped ones."""
    fitted = method.fit(figures)
    labels = [method.label(f) for f in figures]
    unseen: list[float] | None = None
    if len(set(labels)) > 1:
        without = {
            label: method.fit([f for f in figures if method.label(f) != label])
            for label in sorted(set(labels))
        }
        unseen = [
            abs(method.error(f, without[label]))
            for f, label in zip(figures, labels, strict=True)
        ]
    before = [abs(method.error(f, method.shipped)) for f in figures]
    after = [abs(method.error(f, fitted)) for f in figures]
    blocks = [method.block(f) for f in figures]

    def score(block: str, chosen: Sequence[int]) -> FitScore:
        def percent(errors: Sequence[float]) -> float:
            mean = sum(errors[i] for i in chosen) / len(chosen)
            return round(as_percent(mean), 2)

        return FitScore(
            figure=figure,
            source=source,
            block=block,
            figures=len(chosen),
            designs=len({labels[i] for i in chosen}),
            shipped_percent=percent(before),
            fitted_percent=percent(after),
            unseen_percent=None if unseen is None else percent(unseen),
        )

    scores = [
        score(part, [i for i, block in enumerate(blocks) if block == part])
        for part in (*PARTS, TOTAL)
        if part in blocks
    ]
    if len(scores) > 1:
        scores.append(score("all", range(len(figures))))
    adopted = bool(figures) and (unseen is None or sum(unseen) < sum(before))
    group = ConstantGroup(
        figure=figure, source=source, adopted=adopted, scores=tuple(scores)
    )
    return _Judged(constants=fitted if adopted else method.shipped, group=group)


def _by_part(factors: dict[Quantity, Factors]) -> dict[str, dict[str, int]]:
    return {
        part: {quantity.value: factors[quantity][part] for quantity in FITTED}
        for part in PARTS
    }


def _calibration(
    factors: dict[Quantity, Factors], cycles: CycleConstants, reports: int
) -> Calibration:
    lut, ff = factors[Quantity.LUT], factors[Quantity.FF]
    parts = {part: PartFactors(lut=lut[part], ff=ff[part]) for part in PARTS}
    return Calibration(
        dense=parts["dense"],
        depthwise=parts["depthwise"],
        pointwise=parts["pointwise"],
        fixed=parts["fixed"],
        step_cycles=cycles.step_cycles,
        ddr_efficiency_percent=cycles.ddr_efficiency_percent,
        reports=reports,
    )


def _area_comparison(figure: AreaFigure, factors: Factors) -> Comparison:
    return Comparison(
        label=figure.label,
        report=figure.report,
        figure=figure.quantity.value,
        source=figure.source.value,
        block=figure.block,
        shipped=predicted_count(figure, NO_FACTORS),
        calibrated=predicted_count(figure, factors),
        reported=figure.reported,
        outlier=abs(log_error(figure, factors)) > OUTLIER,
    )


def _cycle_comparison(
    figure: CycleFigure, constants: CycleConstants, prices: CyclePrices
) -> Comparison:
    return Comparison(
        label=figure.case.label,
        report=figure.report,
        figure="cycles",
        source=figure.clocking.value,
        block=TOTAL,
        shipped=prices.predicted(figure, SHIPPED),
        calibrated=prices.predicted(figure, constants),
        reported=figure.reported,
        outlier=abs(prices.log_error(figure, constants)) > OUTLIER,
    )
