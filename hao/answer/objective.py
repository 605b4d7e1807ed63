"""What a search makes best, and how it counts blocks where it makes them few.

`AREA` adds up the shares of the device: LUT, FF, DSP and BRAM each as a part of what
the device has, in units of 1 / `AREA_SCALE`.

`POWER` adds up the energy of a cycle in which every block in use switches, clock tree
included [fJ], with the energies of `hao.cost.power`. Times the clock, that is a bound
on the power of the fabric at any activity, and the design with the least bound is
chosen. Neither idle power nor DDR is in it, and the estimate that reports print, which
counts the activity, need not be the least: activity is a ratio of products and
multipliers, which no weighted sum of blocks follows. At a given frame rate a frame's
products take about as much energy in all designs; the clock tree runs on while the
engine waits for the next frame, so fewer blocks are what saves power.
"""

from collections.abc import Iterator
from enum import Enum

from hao.cost.power import BRAM_18K_FJ, CLOCK_FJ, DSP_FJ, FF_FJ, LUT_FJ, URAM_FJ
from hao.hw.board import Board
from hao.program.fit import Measure

AREA_SCALE = 10**9
"""Measure of a design that takes all of one kind of block (chosen here)."""


class Objective(Enum):
    """What a search optimises."""

    ACCURACY = "accuracy"
    """Most accurate at a frame rate."""
    FPS = "fps"
    """Fastest at an accuracy."""
    LATENCY = "latency"
    """Fastest, whatever the accuracy."""
    AREA = "area"
    """Least area at a frame rate."""
    POWER = "power"
    """Least power of the blocks at a frame rate."""

    @property
    def is_smallest(self) -> bool:
        """Return whether blocks are made few."""
        return self in (Objective.AREA, Objective.POWER)


def measure_of(objective: Objective, board: Board) -> Measure | None:
    """Return how an objective counts blocks; `None` where it does not make them few."""
    device = board.resources
    match objective:
        case Objective.AREA:
            return Measure(
                dsp=AREA_SCALE // device.dsp,
                bram_18k=AREA_SCALE // device.bram_18k,
                uram=AREA_SCALE // device.uram if device.uram else 0,
                lut=AREA_SCALE // device.lut,
                ff=AREA_SCALE // device.ff,
            )
        case Objective.POWER:
            return Measure(
                dsp=DSP_FJ,
                bram_18k=BRAM_18K_FJ,
                uram=URAM_FJ,
                lut=LUT_FJ,
                ff=CLOCK_FJ + FF_FJ,
            )
        case Objective.ACCURACY | Objective.FPS | Objective.LATENCY:
            return None


def objective_faults(
    objective: Objective,
    *,
    fps: float | None,
    min_top1: float | None,
    front_points: int,
) -> Iterator[str]:
    """Yield what an objective lacks, and what it has no use for, a sentence each.

    Args:
        objective: What is optimised.
        fps: Frame rate asked for, if any.
        min_top1: Least top-1 asked for, if any [percent].
        front_points: Points of a front, 0 for none.
    """
    name = objective.value
    at_rate = objective is Objective.ACCURACY or objective.is_smallest
    if at_rate and fps is None:
        yield f"`fps` is missing; the objective {name!r} needs it"
    if objective is Objective.FPS and min_top1 is None:
        yield (
            "`min_top1` is missing; the objective 'fps' needs it ('latency' is the "
            "fastest whatever the accuracy)"
        )
    if not at_rate and fps is not None:
        yield (
            "`fps` belongs to the objectives 'accuracy', 'area' and 'power', not to "
            f"{name!r}"
        )
    if objective in (Objective.ACCURACY, Objective.LATENCY) and min_top1 is not None:
        yield (
            "`min_top1` belongs to the objectives 'fps', 'area' and 'power', not to "
            f"{name!r}"
        )
    if objective.is_smallest and front_points:
        yield (
            "`front_points` is of accuracy against frame rate, not for the objective "
            f"{name!r}"
        )
