"""Periods of runs: what passes from the start of one to that of the next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from hao.cost.pairs import besides
from hao.ir.partition import Role
from hao.program.graph import FAR
from hao.program.run_table import Row
from hao.program.tables import Priced

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Periods:
    """Lower bounds of a run's period, side by side for many engines, to be maximised.

    Attributes:
        alone: Cycles of the run by itself.
        beside: Cycles to which what opens the next run is added, one for each of
            `opening` (`hao.cost.pairs.besides`): of the port, of the DDR, where a start
            takes several frames of both for the uneven part, of the dense array and of
            the pointwise one.
        opening: Cycles for the weights that must be there at its start.
        serial: Cycles for them where nothing overlaps with their load; without double
            buffering, for all weights.
    """

    alone: Ints
    beside: tuple[Ints, ...]
    opening: tuple[Ints, ...]
    serial: Ints


Arrays = tuple[Ints, ...]
"""The arrays of `Periods` in the order of its attributes, for many runs."""

Single = tuple[int, tuple[int, ...], tuple[int, ...], int]
"""The periods of a run on one engine, in the order of the attributes of `Periods`."""


def pair_rows(batch: int) -> int:
    """Return how many of `Periods.beside` there are."""
    return 4 if batch == 1 else 6


@dataclass(frozen=True, slots=True, eq=False)
class RowPlaces:
    """Where the rows of runs lie in `RunPeriods`.

    Attributes:
        computing: Row of each run in what its computation takes; runs that differ in
            bits only share one.
        opening: Row of each run in what opens it.
        loading: Row of each run that has one in `RunPeriods.loading`.
        fixed: Per array, in the order of `RunPeriods.arrays`, which rows are alike for
            all engines.
    """

    computing: Mapping[int, int]
    opening: Mapping[int, int]
    loading: Mapping[int, int]
    fixed: tuple[Bools, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RunPeriods(Mapping[int, Periods]):
    """The periods of many runs for many engines: a mapping from runs to `Periods`.

    Attributes:
        layout: Where the rows of each run lie.
        arrays: The arrays of `Periods` in the order of its attributes, each of shape
            (rows, engines), or (rows, 1) where all rows are alike for all engines.
        loading: Of runs in tiles, where depths of buffers are open: the least of what
            their opening and what `Periods.beside` adds to the next one take together,
            of the port and of the DDR; of shape (rows, engines) or (rows, 1).
    """

    layout: RowPlaces
    arrays: Arrays
    loading: Arrays = ()

    def __getitem__(self, run: int) -> Periods:
        """Return the periods of a run."""
        computing, opening = self.layout.computing[run], self.layout.opening[run]
        alone, *beside = self.computing
        *opens, serial = self.opening
        return Periods(
            alone=alone[computing],
            beside=tuple(array[computing] for array in beside),
            opening=tuple(array[opening] for array in opens),
            serial=serial[opening],
        )

    def __iter__(self) -> Iterator[int]:
        """Yield the runs."""
        return iter(self.layout.opening)

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.layout.opening)

    @property
    def computing(self) -> Arrays:
        """Return the arrays of what computations take, alone and beside a load."""
        return self.arrays[: len(self.arrays) // 2]

    @property
    def opening(self) -> Arrays:
        """Return the arrays of what opens runs, serial loads last."""
        return self.arrays[len(self.arrays) // 2 :]

    @property
    def size(self) -> int:
        """Return the number of engines, 1 where nothing depends on them."""
        return max(int(array.shape[1]) for array in self.arrays)

    def take(self, index: Ints) -> "RunPeriods":
        """Return the periods of the engines at `index`."""
        arrays, loading = (
            tuple(a if a.shape[1] == 1 else a.take(index, axis=1) for a in part)
            for part in (self.arrays, self.loading)
        )
        return RunPeriods(self.layout, arrays, loading)

    def singles(self) -> dict[int, Single]:
        """Return the periods of a single engine as integers."""
        computing, opening = (
            [tuple(row) for row in zip(*(a[:, 0].tolist() for a in part), strict=True)]
            for part in (self.computing, self.opening)
        )
        found: dict[int, Single] = {}
        for run, row in self.layout.opening.items():
            alone, *beside = computing[self.layout.computing[run]]
            *opens, serial = opening[row]
            found[run] = alone, tuple(beside), tuple(opens), serial
        return found


def stage_periods(
    tables: Priced,
    role: Role,
    numbers: Sequence[int],
    most: Mapping[Role, Bools],
    known: dict[tuple[Role, int], Ints],
) -> dict[int, Periods]:
    """Return lower bounds of periods for the lane shapes of one stage.

    The other stages are taken at their best, run by run and path by path.

    Args:
        tables: Prices.
        role: The stage.
        numbers: Runs of the tables' graph.
        most: Lane shapes worth considering, per stage, of shape (pixels, lane shapes).
        known: Bests of rows at these lane shapes, added to.
    """
    result: dict[int, Periods] = {}

    def best(other: Role, cycles: Ints) -> Ints:
        key = other, id(cycles)
        if key not in known:
            fine = np.where(most[other], cycles, FAR)
            known[key] = fine.min(axis=1, keepdims=True, initial=FAR)
        return known[key]

    def least(row: Row) -> Ints:
        total: Ints = np.asarray(row.constant, dtype=np.int64)
        for other, cycles in row.terms.items():
            total = total + (cycles if other is role else best(other, cycles))
        return total

    def slowest(rows: Sequence[Row]) -> Ints:
        return np.asarray(reduce(np.maximum, map(least, rows)))

    computing: dict[int, tuple[Ints, tuple[Ints, ...]]] = {}
    for number in numbers:
        table = tables.table(number)
        table = table.relaxed or table
        key = id(table.paths) if table.paths else -number
        if key not in computing:
            ddr = slowest(table.ddr)
            alone = reduce(np.maximum, map(least, table.paths), ddr)
            arrays = least(table.standing), least(table.held)
            rows = besides(alone, least(table.beside), ddr, arrays, batch=tables.batch)
            computing[key] = alone, tuple(rows)
        opening = tuple(least(row) for row in table.opening)
        result[number] = Periods(*computing[key], opening, slowest(table.serial))
    return result
