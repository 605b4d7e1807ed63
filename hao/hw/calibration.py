"""Corrections to the cost model's constants that reports of real designs ask for.

Each is relative to the constant that ships with hao, so that the neutral value changes
nothing. DSP slices and block RAMs follow from rules that are exact (docs/area.md) and
have no correction. `hao.calibration` fits the values; `hao.hw.board.Board` carries
them to whatever prices a design.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from hao.errors import InputError

if TYPE_CHECKING:  # `hao boards` does without
    import numpy as np
    from numpy.typing import NDArray

ONE = 1000
"""A factor of 1 [per mille]."""

FACTOR_RANGE = (333, 3000)
"""Least and largest factor [per mille].

Source: chosen here; blocks are within 17 % of the one vendor result known
(docs/area.md), so that a factor beyond three says that something else is wrong.
"""

STEP_CYCLES_RANGE = (-100, 10_000)
"""Least and largest correction of a run's start [cycles].

Source: chosen here; a run starts in at least 105 cycles by `hao.cost.overheads`, so
that none ever takes less than nothing (tested).
"""


Count = TypeVar("Count", int, "NDArray[np.int64]")
"""A count, or one per configuration."""


def scaled(count: Count, factor: int) -> Count:
    """Return `factor` [per mille] times a count, rounded up."""
    return -(-count * factor // ONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFactors:
    """By what the LUTs and flip-flops of one part of the engine are multiplied.

    Attributes:
        lut: Of placed LUTs [per mille], within `FACTOR_RANGE`.
        ff: Of flip-flops, likewise.

    Raises:
        InputError: A factor is outside its range.
    """

    lut: int = ONE
    ff: int = ONE

    def __post_init__(self) -> None:
        low, high = FACTOR_RANGE
        for name, factor in (("lut", self.lut), ("ff", self.ff)):
            if not low <= factor <= high:
                raise InputError(
                    f"factor of {name} = {factor} per mille; must be from {low} to "
                    f"{high}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Corrections for one board.

    Attributes:
        dense: Of the dense stage.
        depthwise: Of the depthwise stage.
        pointwise: Of the pointwise stage.
        fixed: Of all else: ports, loader, platform.
        step_cycles: Added to every run (tile) of the engine [cycles].
        ddr_efficiency_percent: Share of the DDR's peak that is reached [percent];
            `None` for the board's own.
        reports: How many reports it rests on; 0 only if it is neutral.

    Raises:
        InputError: A value is outside its range.
    """

    dense: PartFactors = field(default_factory=PartFactors)
    depthwise: PartFactors = field(default_factory=PartFactors)
    pointwise: PartFactors = field(default_factory=PartFactors)
    fixed: PartFactors = field(default_factory=PartFactors)
    step_cycles: int = 0
    ddr_efficiency_percent: int | None = None
    reports: int = 0

    def __post_init__(self) -> None:
        low, high = STEP_CYCLES_RANGE
        if not low <= self.step_cycles <= high:
            raise InputError(
                f"step_cycles = {self.step_cycles}; must be from {low} to {high}"
            )
        share = self.ddr_efficiency_percent
        if share is not None and not 1 <= share <= 100:
            raise InputError(f"ddr_efficiency_percent = {share}; must be from 1 to 100")
        if self.reports < 0:
            raise InputError(f"reports = {self.reports}; must be at least 0")
        if self.reports == 0 and self.changes:
            raise InputError(
                "reports = 0; must be at least 1 where a constant is not the shipped "
                "one"
            )

    @property
    def parts(self) -> Mapping[str, PartFactors]:
        """Return the factors by part, as `hao.cost.evaluate.CostReport` names them."""
        return {
            "fixed": self.fixed,
            "dense": self.dense,
            "depthwise": self.depthwise,
            "pointwise": self.pointwise,
        }

    @property
    def changes(self) -> bool:
        """Return whether any constant differs from the shipped one."""
        same = PartFactors()
        return (
            any(factors != same for factors in self.parts.values())
            or self.step_cycles != 0
            or self.ddr_efficiency_percent is not None
        )

    @property
    def summary(self) -> str:
        """Return in a few words whether the constants are calibrated."""
        if self.reports == 0:
            return "uncalibrated"
        return f"calibrated by {self.reports} report{'s' * (self.reports > 1)}"


NEUTRAL = Calibration()
"""The shipped constants."""
