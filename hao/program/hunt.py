"""One search under way: what it makes small, within which limits, and what it knows."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import Enum
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.by_cost import Sums
from hao.program.exact import (
    Apart,
    Goal,
    Way,
)
from hao.program.field import Field, Group
from hao.program.fit import FEWEST_LUTS, Measure
from hao.program.graph import Widths
from hao.program.sweep import Net
from hao.program.tables import Choice

Ints = NDArray[np.int64]

Progress = Callable[[str], None]

NO_LIMIT = 1 << 40
"""Above any latency [cycles] (an hour at 300 MHz), cost or measure of interest."""


class Least(Enum):
    """What a search makes small, within limits on the other two."""

    CYCLES = "cycles"
    COST = "cost"
    BLOCKS = "blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Most cycles, accuracy cost [micro-points] and measured blocks of a design."""

    cycles: int = NO_LIMIT
    cost: int = NO_LIMIT
    blocks: int = NO_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A design as indices of a field.

    Attributes:
        widths: Widths of the stages.
        double: Whether the engine double-buffers.
        place: Index of its pixels at once.
        columns: Column of each stage's grid.
        steps: Steps of lanes onto DSPs, per stage.
        way: Partition and options.
        blocks: Measured blocks of the stages.
    """

    widths: Widths
    double: bool
    place: int
    columns: dict[Role, int]
    steps: dict[Role, int]
    way: Way
    blocks: int

    def engine(self, field: Field) -> Choice:
        """Return its engine as a choice of one."""
        grids = field.tables(self.double).grids
        return Choice(
            pixels=np.array([self.place]),
            lanes={r: grids[r].lane_of[[c]] for r, c in self.columns.items()},
            columns={r: np.array([c]) for r, c in self.columns.items()},
        )


@dataclass(slots=True)
class Counts:
    """What a search looked at: engines priced, bounded, closed by labels."""

    priced: int = 0
    bounded: int = 0
    closed: int = 0


@dataclass(frozen=True, slots=True)
class Union:
    """The ways of a group at no more than some bits.

    Attributes:
        group: The group, held so that its identity stays its own.
        spend: Most accuracy cost of a way [micro-points].
        net: The ways.
        dearest: Cost of the dearest way when they were first asked for [micro-points].
        sums: Sums of costs in the net, if they are few.
        rates: Prices of accuracy that excluded most engines, by buffering; added to.
    """

    group: Group
    spend: int
    net: Net
    dearest: int
    sums: Sums | None
    rates: dict[bool, float]


@dataclass(slots=True, kw_only=True)
class Hunt:
    """One search under way: limits tighten whenever a better design is found."""

    field: Field
    least: Least
    cycles: int
    cost: int = NO_LIMIT
    blocks: int = NO_LIMIT
    measure: Measure = FEWEST_LUTS
    counts: Counts = dataclass_field(default_factory=Counts)
    asked: int = NO_LIMIT
    apart: Apart | None = None
    best: Found | None = None
    rates: dict[tuple[int, bool], float] = dataclass_field(default_factory=dict)
    nets: dict[int, tuple[Net, bool]] = dataclass_field(default_factory=dict)
    unions: dict[tuple[int, tuple[int, ...]], Union] = dataclass_field(
        default_factory=dict
    )
    sums: dict[int, Sums | None] = dataclass_field(default_factory=dict)
    tolerance: float = 0.0
    rate: float | None = None
    ties: bool = True

    @property
    def cost_of_interest(self) -> int:
        """Return the most accuracy cost of what is looked at [micro-points].

        What is as good as the best design known decides ties, in the next search.
        """
        ties = self.ties and self.best is not None
        return self.cost + (ties and self.least is Least.COST)

    @property
    def cycles_of_ties(self) -> int:
        """Return the most cycles of designs that cost what the best one does.

        Slower ones are in no answer where the least cost is sought.
        """
        if self.least is not Least.COST or self.best is None:
            return self.cycles
        return self.best.way.cycles

    def budgets(self, costs: Ints) -> Ints:
        """Return the most cycles of designs of interest of each of some costs."""
        ties = self.best is not None and costs >= self.best.way.cost
        return np.where(ties, self.cycles_of_ties, self.cycles)

    @property
    def of_interest(self) -> float:
        """Return the most that the goal of an engine may be bound by to be kept."""
        limit: int = self.cost_of_interest
        if self.least is not Least.COST:
            limit = self.cycles + (self.ties and self.best is not None)
        return limit + 1e-3

    def take(self, found: Found) -> None:
        """Keep a design, and look for better ones only."""
        self.best = found
        match self.least:
            case Least.CYCLES:
                self.cycles = found.way.cycles - 1
            case Least.COST:
                allowance = 0 if self.apart is None else self.apart.allowance
                sought = found.way.cost - int(self.tolerance * found.way.cost)
                self.cost = sought - 1 + allowance
            case Least.BLOCKS:
                self.blocks = found.blocks - 1
            case _:
                assert_never(self.least)


def bufferings(field: Field) -> tuple[bool, ...]:
    """Return the bufferings on offer, double buffers first: they mostly win."""
    return tuple(sorted(set(field.problem.space.buffering), reverse=True))


def goal_limit(hunt: Hunt) -> int:
    """Return the most of what a hunt makes small that is of interest."""
    return hunt.cost if hunt.least is Least.COST else hunt.cycles


def goal_of(least: Least) -> Goal:
    """Return what ways are to have the least of."""
    return Goal.COST if least is Least.COST else Goal.CYCLES


def dearest(net: Net) -> int:
    """Return the largest cost of any way over a net [micro-points]."""
    to_go: list[int] = []

    def most(node: int) -> int:
        ways = [e.cost + to_go[e.stop] for e in net.entries.get(node, ())]
        if node in net.finishes:
            ways.append(net.finishes[node].cost)
        return max(ways)

    for stop in net.stops:
        to_go.append(most(stop.end))
    return most(0)
