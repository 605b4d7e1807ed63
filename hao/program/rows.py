"""The parts of an integer program under construction, and the finished one.

`Program` holds arrays, ready for an objective. What its variables and rows mean stands
in `hao.program.formulation`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.solver import LinearModel

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(slots=True)
class Rows:
    """Rows under construction.

    Attributes:
        names: Row names.
        sense: "<" or "=" per row.
        rhs: Right-hand sides.
        entries: (row, variable, coefficient).
    """

    names: list[str] = field(default_factory=list)
    sense: list[str] = field(default_factory=list)
    rhs: list[float] = field(default_factory=list)
    entries: list[tuple[int, int, float]] = field(default_factory=list)

    def add(
        self, name: str, sense: str, rhs: float, entries: Sequence[tuple[int, float]]
    ) -> None:
        """Append one row."""
        row = len(self.names)
        self.names.append(name)
        self.sense.append(sense)
        self.rhs.append(float(rhs))
        self.entries += [(row, variable, float(value)) for variable, value in entries]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The integer program of a branch, ready for an objective.

    Attributes:
        names: Variable names.
        upper: Upper bounds (lower ones are 0).
        integer: Which variables are integer.
        cycles: Coefficients of the latency [cycles].
        cost: Coefficients of the accuracy cost [micro-points].
        measure: Coefficients of the blocks of the stages.
        rows: Names, senses, right-hand sides and entries of the rows.
        columns: First variable of each stage's columns, and the columns in play.
        steps: Per stage, (variable of e, columns in play of its group).
        arcs: Variable of each arc in play.
        ends: Variable of each way to end, by its number.
    """

    names: tuple[str, ...]
    upper: Floats
    integer: NDArray[np.bool_]
    cycles: Floats
    cost: Floats
    measure: Floats
    rows: Rows
    columns: Mapping[Role, tuple[int, Ints]]
    steps: Mapping[Role, tuple[tuple[int, Ints], ...]]
    arcs: Mapping[int, int]
    ends: Mapping[int, int]

    def model(
        self,
        objective: Floats,
        limits: Sequence[tuple[str, Floats, float]],
    ) -> LinearModel:
        """Return the linear model with an objective and further "<" rows."""
        from scipy import sparse  # here: a refusal has no program

        entries = list(self.rows.entries)
        names, sense, rhs = (
            list(self.rows.names),
            list(self.rows.sense),
            list(self.rows.rhs),
        )
        for name, coefficients, limit in limits:
            row = len(names)
            entries += [
                (row, int(v), float(coefficients[v]))
                for v in np.flatnonzero(coefficients)
            ]
            names.append(name)
            sense.append("<")
            rhs.append(limit)
        row_index, column, value = (
            np.array(part) for part in zip(*entries, strict=True)
        )
        matrix = sparse.csr_matrix(
            (value, (row_index, column)), shape=(len(names), len(self.names))
        )
        return LinearModel(
            names=self.names,
            objective=objective,
            upper=self.upper,
            integer=self.integer,
            row_names=tuple(names),
            matrix=matrix,
            sense=tuple(sense),
            rhs=np.array(rhs),
        )


@dataclass(slots=True)
class Variables:
    """Variables under construction."""

    names: list[str] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    integer: list[bool] = field(default_factory=list)
    cycles: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    measure: list[float] = field(default_factory=list)

    def add(
        self,
        name: str,
        upper: float,
        integer: bool,
        *,
        cycles: float = 0,
        cost: float = 0,
        measure: float = 0,
    ) -> int:
        """Append a variable from 0 to `upper`; return its index."""
        self.names.append(name)
        self.upper.append(upper)
        self.integer.append(integer)
        self.cycles.append(cycles)
        self.cost.append(cost)
        self.measure.append(measure)
        return len(self.names) - 1
