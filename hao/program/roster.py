"""Engines with the widths that they can be built at: all that matter at any costs.

A problem that is asked again and again at other accuracy costs (`hao.measure`) has the
same engines each time. Where those within the cycles are few, a roster of them is made
once: engines with every depth of their buffers, each at the widest widths at which it
fits the board, since a wider stage runs all that a narrower one does.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hao.program.periods import RunPeriods
from hao.program.tables import Choice

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Roster:
    """Engines of one buffering and the widths that each can be built at.

    Attributes:
        choice: Engines, of the same stages.
        least: Their cycles at the fewest bits.
        periods: Of all runs that any of them may take.
        engine: Engine of each pair.
        widths: Place in `allowed` of the widths of each pair.
        allowed: Arcs that engines of each widths can take, of shape (widths, arcs).
        names: `id` of the widths' own arrays of arcs: these are shared between fields.
    """

    choice: Choice
    least: Ints
    periods: RunPeriods
    engine: Ints
    widths: Ints
    allowed: Bools
    names: tuple[int, ...]

    @cached_property
    def anywhere(self) -> Bools:
        """Return the arcs that any engine can take."""
        result: Bools = np.any(self.allowed, axis=0)
        return result

    def some(self, rows: Ints) -> RunPeriods:
        """Return the periods of some engines."""
        return self.periods.take(rows)


@dataclass(frozen=True, slots=True)
class Rosters:
    """Rosters of one buffering, one for each set of stages.

    Attributes:
        cycles: All engines with at most so many cycles at the fewest bits are held.
        rosters: `None` where these were too many.
    """

    cycles: int
    rosters: list[Roster] | None

    def tells(self, cycles: int) -> bool:
        """Return whether engines of at most so many cycles are held or too many."""
        if self.rosters is None:
            return self.cycles <= cycles
        return self.cycles >= cycles
