"""Cycles added to every run, and the DDR's efficiency, fitted to times of frames.

Model: cycles of a start of the engine, which takes a frame or several, = L(efficiency)
+ step_cycles x runs, L being the cost model at the shipped constants with another
efficiency. L has no closed form, so that it is computed on a grid of efficiencies; for
each the step cycles are found by a bounded search in one dimension, and the pair with
the least loss and penalty is kept (`hao.calibration.robust`). A board says both.
Co-simulation has no DDR: it says the step cycles alone, with a DDR that never binds,
and only where no board has run.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hao.calibration.evidence import Case, Clocking, CycleFigure
from hao.calibration.robust import HUBER, loss, penalty, shared_weights
from hao.cost.evaluate import evaluate
from hao.hw.board import Board
from hao.hw.calibration import STEP_CYCLES_RANGE

GRID = 6
"""Distance of the efficiencies tried first [percent]; then all between are, beside the
best (chosen here)."""

LEAST_EFFICIENCY = 1 / 3
"""Least efficiency, of the board's own. Source: chosen here, as `FACTOR_RANGE`."""

STEP_SCALE = 279
"""Step cycles that weigh as much in the penalty as a ratio off by `HUBER` [cycles].

Source: derived here: what a run of three stages starts and loads with by
`hao.cost.overheads`, 116 + 3 x 24 + 46 + 3 x 15 (tested).
"""

UNBOUND_DDR = 10**9
"""Peak of a DDR that never binds [1000 bytes/s]: 1000 GB/s, where a port has 16 bytes a
cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleConstants:
    """What is fitted.

    Attributes:
        step_cycles: Added to every run [cycles].
        ddr_efficiency_percent: As `hao.hw.calibration.Calibration` has it [percent].
    """

    step_cycles: int = 0
    ddr_efficiency_percent: int | None = None


SHIPPED = CycleConstants()


def runs_of(case: Case) -> int:
    """Return the runs of the engine in a start, tiles counted."""
    return case.cost.frames * sum(item.tiles for item in case.cost.invocations)


@dataclass(slots=True)
class CyclePrices:
    """Cycles of designs by efficiency; each is priced once.

    Attributes:
        known: By design, clock, who counted, and efficiency.
    """

    known: dict[tuple[str, int, Clocking, int | None], int] = field(
        default_factory=dict
    )

    def base(self, figure: CycleFigure, efficiency: int | None) -> int:
        """Return the predicted cycles of a start without added step cycles."""
        if figure.clocking is Clocking.COSIM:
            efficiency = None
        key = (figure.case.label, figure.clock_khz, figure.clocking, efficiency)
        if key not in self.known:
            design = figure.case.design
            board = design.board.at_clock(figure.clock_khz)
            if figure.clocking is Clocking.COSIM:
                board = _without_ddr(board)
            elif efficiency is not None:
                board = board.at_ddr(efficiency)
            self.known[key] = evaluate(replace(design, board=board)).latency_cycles
        return self.known[key]

    def predicted(self, figure: CycleFigure, constants: CycleConstants) -> int:
        """Return the cycles of a start by some constants."""
        base = self.base(figure, constants.ddr_efficiency_percent)
        return base + constants.step_cycles * runs_of(figure.case)

    def log_error(self, figure: CycleFigure, constants: CycleConstants) -> float:
        """Return the logarithm of reported over predicted."""
        return math.log(figure.reported / self.predicted(figure, constants))


def _without_ddr(board: Board) -> Board:
    return replace(board.at_ddr(100), ddr_peak_kbytes_per_s=UNBOUND_DDR)


def usable_figures(figures: Sequence[CycleFigure]) -> tuple[CycleFigure, ...]:
    """Return the figures to fit: those of boards, or without any all."""
    measured = tuple(f for f in figures if f.clocking is Clocking.BOARD)
    return measured or tuple(figures)


def fit_cycles(figures: Sequence[CycleFigure], prices: CyclePrices) -> CycleConstants:
    """Return the constants that predict cycles best.

    Args:
        figures: `usable_figures`, of one board; none gives the shipped constants.
        prices: Filled as needed.
    """
    if not figures:
        return SHIPPED
    if all(figure.clocking is Clocking.COSIM for figure in figures):
        return CycleConstants(step_cycles=_fit_steps(figures, prices, None)[1])
    shipped = figures[0].case.design.board.ddr_read_percent
    least = max(1, math.ceil(LEAST_EFFICIENCY * shipped))

    def cost(efficiency: int) -> tuple[float, int]:
        # The same distance is that of the nearest to the shipped one, if they tie.
        found, _ = _fit_steps(figures, prices, efficiency)
        total = found + penalty(math.log(efficiency / shipped))
        return total, abs(efficiency - shipped)

    tried = {*range(shipped, least, -GRID), *range(shipped, 101, GRID), least, 100}
    best = _best(tried, cost)
    near = range(max(least, best - GRID + 1), min(100, best + GRID - 1) + 1)
    best = _best(near, cost)
    return CycleConstants(
        step_cycles=_fit_steps(figures, prices, best)[1],
        ddr_efficiency_percent=None if best == shipped else best,
    )


def _best(
    efficiencies: Sequence[int] | set[int], cost: Callable[[int], tuple[float, int]]
) -> int:
    return min(sorted(efficiencies), key=cost)


def _fit_steps(
    figures: Sequence[CycleFigure], prices: CyclePrices, efficiency: int | None
) -> tuple[float, int]:
    """Return the least loss with an efficiency, and the step cycles that reach it."""
    base = np.array([prices.base(f, efficiency) for f in figures], dtype=np.float64)
    runs = np.array([runs_of(f.case) for f in figures], dtype=np.float64)
    reported = np.log([f.reported for f in figures])
    weights = shared_weights([(f.case.label, f.clock_khz) for f in figures])

    def total(steps: float) -> float:
        residuals = reported - np.log(base + steps * runs)
        return float(weights @ loss(residuals)) + penalty(HUBER * steps / STEP_SCALE)

    from scipy.optimize import minimize_scalar  # here: loading it takes 0.2 s

    found = minimize_scalar(
        total, bounds=STEP_CYCLES_RANGE, method="bounded", options={"xatol": 1e-3}
    )
    near = round(float(found.x))
    steps = min((0, near), key=lambda value: (total(value), abs(value)))
    return total(steps), steps
