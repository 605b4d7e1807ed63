"""Lane shapes with lower bounds of what their engines take."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.tables import Choice

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bounded:
    """Lane shapes of many engines with lower bounds of their cycles, best first."""

    choice: Choice
    bound: Ints

    def take(self, rows: Ints) -> "Bounded":
        """Return the lane shapes at `rows`, which ascend."""
        return Bounded(self.choice.take(rows), self.bound[rows])

    def within(self, limit: int) -> "Bounded":
        """Return the lane shapes of at most so many cycles."""
        return self.take(np.arange(np.searchsorted(self.bound, limit, side="right")))


@dataclass(frozen=True, slots=True)
class Shapes:
    """Lane shapes that an earlier search has bounded: all within some limits.

    Attributes:
        limit: Cycles.
        spend: Accuracy cost that ways could have [micro-points].
        shapes: The lane shapes.
    """

    limit: int
    spend: int
    shapes: Bounded


def best_first(parts: Sequence[Bounded], roles: Sequence[Role]) -> Bounded:
    """Return all lane shapes of some parts, those of the fewest cycles first.

    Args:
        parts: Of any number.
        roles: Stages of their engines.
    """
    none = np.zeros(0, dtype=np.int64)
    bound = np.concatenate([none, *(part.bound for part in parts)])
    order = np.argsort(bound, kind="stable")
    lanes = {
        role: np.concatenate([none, *(part.choice.lanes[role] for part in parts)])
        for role in roles
    }
    pixels = np.concatenate([none, *(part.choice.pixels for part in parts)])
    choice = Choice(pixels=pixels, lanes=lanes, columns={})
    return Bounded(choice.take(order), bound[order])
