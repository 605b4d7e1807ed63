"""Periods of all runs of a net for many engines at once: rows of tables, gathered.

An engine reads some thousand numbers from the tables of `hao.program.tables`, mostly
with few others beside it, so that the number of array operations is what takes time. A
`_Plan` says once where all rows of some runs lie; reading them, adding up their terms
and taking the longest is then one operation each for all rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.graph import FAR
from hao.program.space import Grid
from hao.program.tables import Choice, Priced, Row, RunTable

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MANY = 320
"""Engines from which on rows are read one by one (chosen here: measured)."""

PLANS = 64
"""Plans that are kept (chosen here)."""

AT_BEST = 64
"""Rows whose least over lane shapes is taken at a time (chosen here)."""


@dataclass(frozen=True, slots=True)
class Periods:
    """Lower bounds of a run's period, side by side for many engines, to be maximised.

    Attributes:
        alone: Cycles of the run by itself.
        beside: Cycles to which the port's load of the next run's weights is added.
        ddr: Cycles to which the DDR's load of them is added.
        opening: Cycles of the port for the weights that must be there at its start.
        opening_ddr: Cycles of the DDR for them.
        serial: Cycles of all its weights, where nothing overlaps with their load.
    """

    alone: Ints
    beside: Ints
    ddr: Ints
    opening: Ints
    opening_ddr: Ints
    serial: Ints


Arrays = tuple[Ints, Ints, Ints, Ints, Ints, Ints]
"""The arrays of `Periods` in the order of its attributes, for many runs."""

Single = tuple[int, int, int, int, int, int]
"""The periods of a run on one engine, in the order of the attributes of `Periods`."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the rows of runs lie in `RunPeriods`.

    Attributes:
        computing: Row of each run in what its computation takes; runs that differ in
            bits only share one.
        opening: Row of each run in what opens it.
        fixed: Per array, in the order of `RunPeriods.arrays`, which rows are alike for
            all engines.
    """

    computing: Mapping[int, int]
    opening: Mapping[int, int]
    fixed: tuple[Bools, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RunPeriods(Mapping[int, Periods]):
    """The periods of many runs for many engines: a mapping from runs to `Periods`.

    Attributes:
        layout: Where the rows of each run lie.
        arrays: The arrays of `Periods` in the order of its attributes, each of shape
            (rows, engines), or (rows, 1) where all rows are alike for all engines.
    """

    layout: Layout
    arrays: Arrays

    def __getitem__(self, run: int) -> Periods:
        """Return the periods of a run."""
        computing, opening = self.layout.computing[run], self.layout.opening[run]
        alone, beside, ddr, port, port_ddr, serial = self.arrays
        return Periods(
            alone=alone[computing],
            beside=beside[computing],
            ddr=ddr[computing],
            opening=port[opening],
            opening_ddr=port_ddr[opening],
            serial=serial[opening],
        )

    def __iter__(self) -> Iterator[int]:
        """Yield the runs."""
        return iter(self.layout.opening)

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.layout.opening)

    @property
    def size(self) -> int:
        """Return the number of engines, 1 where nothing depends on them."""
        return max(int(array.shape[1]) for array in self.arrays)

    def take(self, index: Ints) -> "RunPeriods":
        """Return the periods of the engines at `index`."""
        alone, beside, ddr, port, port_ddr, serial = (
            array if array.shape[1] == 1 else array.take(index, axis=1)
            for array in self.arrays
        )
        return RunPeriods(self.layout, (alone, beside, ddr, port, port_ddr, serial))

    def singles(self) -> dict[int, Single]:
        """Return the periods of a single engine as integers."""
        first, second, third, fourth, fifth, sixth = (
            array[:, 0].tolist() for array in self.arrays
        )
        found: dict[int, Single] = {}
        for run, row in self.layout.opening.items():
            own = self.layout.computing[run]
            computing = first[own], second[own], third[own]
            found[run] = *computing, fourth[row], fifth[row], sixth[row]
        return found


def periods_of(
    tables: Priced,
    choice: Choice,
    numbers: Sequence[int],
    at_best: Mapping[Role, Bools] | None = None,
) -> RunPeriods:
    """Return the periods of runs for many engines.

    Args:
        tables: Prices.
        choice: Engines.
        numbers: Runs of the tables' graph.
        at_best: Stages that the engines leave open, each taken at the best of some lane
            shapes, row by row: lower bounds then. Of shape (pixels, lane shapes).
    """
    plan = _plan(tables, choice, numbers, at_best, opened=True)
    alone, beside, ddr, port, port_ddr, serial = plan.arrays(choice, at_best or {})
    return RunPeriods(plan.layout, (alone, beside, ddr, port, port_ddr, serial))


def alone_of(
    tables: Priced,
    choice: Choice,
    numbers: Sequence[int],
    at_best: Mapping[Role, Bools] | None = None,
) -> Ints:
    """Return `Periods.alone` of runs only, of shape (runs, engines).

    Args:
        tables: Prices.
        choice: Engines.
        numbers: Runs of the tables' graph.
        at_best: As `periods_of` takes it.
    """
    plan = _plan(tables, choice, numbers, at_best, opened=False)
    alone = plan.arrays(choice, at_best or {})[0]
    rows = [plan.layout.computing[number] for number in numbers]
    return np.broadcast_to(alone.take(rows, axis=0), (len(rows), len(choice)))


def _plan(
    tables: Priced,
    choice: Choice,
    numbers: Sequence[int],
    at_best: Mapping[Role, Bools] | None,
    *,
    opened: bool,
) -> "_Plan":
    """Return how to read some runs: made once, kept with the tables."""
    columns, free = frozenset(choice.columns), frozenset(at_best or {})
    key = tuple(numbers), columns, free, opened
    plan = tables.plans.get(key)
    if not isinstance(plan, _Plan):
        rows = _Rows(tables, key[0], columns, opened)
        plan = _Plan(tables.grids, rows, free)
        if len(tables.plans) >= PLANS:
            del tables.plans[next(iter(tables.plans))]
        tables.plans[key] = plan
    return plan


class _Reader:
    """Arrays that lie in few blocks, read at many places at once.

    Args:
        arrays: The arrays, one a row.
    """

    def __init__(self, arrays: Sequence[Ints]) -> None:
        blocks: list[Ints] = []
        known: dict[int, int] = {}
        owner = np.zeros(len(arrays), dtype=np.int64)
        self._base = np.zeros((len(arrays), 1), dtype=np.int64)
        for row, values in enumerate(arrays):
            array = _plain(values)
            block = array if array.base is None else array.base
            if id(block) not in known:
                known[id(block)] = len(blocks)
                blocks.append(block.reshape(-1))
            owner[row] = number = known[id(block)]
            start = _address(array) - _address(blocks[number])
            self._base[row] = start // array.itemsize
        ends = [*(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(arrays)]
        self._parts = [
            (slice(start, end), blocks[owner[start]])
            for start, end in zip([0, *ends[:-1]], ends, strict=True)
            if end > start
        ]

    def read(self, places: Ints) -> Ints:
        """Return what lies at places in each row, both of shape (rows, engines)."""
        index = self._base + places
        if len(self._parts) == 1:
            found: Ints = self._parts[0][1].take(index)
            return found
        result = np.empty(index.shape, dtype=np.int64)
        for rows, block in self._parts:
            block.take(index[rows], out=result[rows], mode="clip")
        return result


def _address(array: Ints) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _plain(array: Ints) -> Ints:
    """Return an array that is, or views a part of, one block without gaps."""
    block = array if array.base is None else array.base
    plain = isinstance(block, np.ndarray) and block.flags.c_contiguous
    if plain and array.flags.c_contiguous and block.dtype == array.dtype:
        return array
    return np.array(array, dtype=np.int64)


Bests = tuple[Ints, Ints]
"""Rows, and their least over the lane shapes of a stage, of shape (rows, pixels)."""

Kind = Role | int
"""What a term's place depends on: lane shapes of a stage, or a tiled run's number."""


@dataclass(frozen=True, slots=True)
class _Term:
    """A term of a row of the plan."""

    row: int
    kind: Kind
    values: Ints


class _Terms:
    """Terms of different rows, added to these at once.

    Args:
        terms: The terms, by row.
        kinds: Numbers of what their places depend on.
        free: Stages that engines leave open.
    """

    def __init__(
        self, terms: Sequence[_Term], kinds: Mapping[Kind, int], free: frozenset[Role]
    ) -> None:
        self._bound = bound = [term for term in terms if term.kind not in free]
        self._rows = np.array([term.row for term in bound], dtype=np.int64)
        self._kinds = np.array([kinds[term.kind] for term in bound], dtype=np.int64)
        self._reader = _Reader([term.values for term in bound])
        self._free = {
            role: [term for term in terms if term.kind is role] for role in free
        }

    def least(self, free: Mapping[Role, Bools]) -> list[Bests]:
        """Return rows and their least over lane shapes, of shape (rows, pixels)."""
        found: list[Bests] = []
        for role, terms in self._free.items():
            for start in range(0, len(terms), AT_BEST):
                some = terms[start : start + AT_BEST]
                values = np.where(free[role], np.stack([t.values for t in some]), FAR)
                rows = np.array([term.row for term in some])
                found.append((rows, values.min(axis=2, initial=FAR)))
        return found

    def of_rows(self) -> Iterator[tuple[int, int, Ints]]:
        """Yield the row, the number of the kind, and the numbers of each term."""
        for term, kind in zip(self._bound, self._kinds.tolist(), strict=True):
            yield term.row, kind, term.values.reshape(-1)

    def add(self, values: Ints, places: Ints) -> None:
        """Add the terms to rows, for engines at some places of each kind."""
        read = self._reader.read(places.take(self._kinds, axis=0))
        if self._rows.size and self._rows[-1] + 1 == self._rows.size:
            values[: self._rows.size] += read
        elif self._rows.size:
            values[self._rows] += read


class _Longest:
    """The longest of some rows, for groups of rows.

    Args:
        groups: Rows of each; none is empty.
        fixed: Which groups are alike for all engines.
    """

    def __init__(self, groups: Sequence[Sequence[int]], fixed: Bools) -> None:
        self.fixed, self.groups = fixed, groups
        order = sorted(range(len(groups)), key=lambda group: -len(groups[group]))
        most = max(map(len, groups), default=0)
        self._slots = [
            np.array([groups[g][depth] for g in order if len(groups[g]) > depth])
            for depth in range(most)
        ]
        self._back = None if order == sorted(order) else np.argsort(order)

    def of(self, values: Ints) -> Ints:
        """Return the longest of each group; of shape (groups, engines)."""
        result: Ints = values.take(self._slots[0], axis=0)
        for rows in self._slots[1:]:
            some = result[: rows.size]
            np.maximum(some, values.take(rows, axis=0), out=some)
        return result if self._back is None else result.take(self._back, axis=0)


@dataclass(frozen=True, slots=True)
class _Tiled:
    """A run in tiles, of a buffer whose depth is chosen.

    Attributes:
        row: Of its computation.
        role: Its stage.
        places: Places of each count of pixels in its rows.
        key_of: Place of each column.
    """

    row: int
    role: Role
    places: int
    key_of: Ints


class _Rows:
    """Rows of tables, numbered.

    Args:
        tables: Prices.
        numbers: Runs.
        columns: Stages whose buffers' depths are chosen.
        opened: Whether what opens runs is read too.
    """

    def __init__(
        self,
        tables: Priced,
        numbers: Sequence[int],
        columns: frozenset[Role],
        opened: bool,
    ) -> None:
        self.columns = columns
        self.tiled: list[_Tiled] = []
        self.short: dict[Role, list[tuple[int, Ints]]] = {}
        self.rows: list[tuple[Row, int | None]] = []
        self.groups: list[list[list[int]]] = [[] for _ in range(6 if opened else 3)]
        self.opening = {number: row for row, number in enumerate(numbers)}
        self.computing: dict[int, int] = {}
        self._known: dict[int, int] = {}
        alike: dict[int, int] = {}
        for number in numbers:
            table, tile = tables.table(number), None
            if id(table.paths) not in alike:
                row = alike[id(table.paths)] = len(alike)
                table, tile = self._read(table, row)
                paths = table.paths or table.ddr
                for group, rows in enumerate((paths, (table.beside,), table.ddr)):
                    self._add(group, rows, tile)
                self.computing[number] = row
            else:
                self.computing[number] = alike[id(table.paths)]
            opening = (table.opening,), (table.opening_ddr,), table.serial
            for group, rows in enumerate(opening if opened else (), start=3):
                self._add(group, rows, tile)

    def _read(self, table: RunTable, row: int) -> tuple[RunTable, int | None]:
        """Return the table that is read, and its number if it is of a tiled run."""
        if table.key_of is None:
            for role, least in table.least_words.items():
                if role in self.columns:
                    self.short.setdefault(role, []).append((row, least))
            return table, None
        (role,) = table.beside.terms
        if role not in self.columns:
            assert table.relaxed is not None
            return table.relaxed, None
        places = table.beside.terms[role].shape[1]
        self.tiled.append(_Tiled(row, role, places, table.key_of))
        return table, len(self.tiled) - 1

    def _add(self, group: int, rows: Sequence[Row], tile: int | None) -> None:
        """Number rows of which the longest counts."""
        members = []
        for row in rows:
            if id(row) not in self._known:
                self._known[id(row)] = len(self.rows)
                self.rows.append((row, tile))
            members.append(self._known[id(row)])
        self.groups[group].append(members)

    def terms(self, number: int) -> list[tuple[Kind, Ints]]:
        """Return the terms of a row."""
        row, tile = self.rows[number]
        if tile is None:
            return list(row.terms.items())
        if not self.tiled[tile].places:
            return []
        return [(tile, values) for values in row.terms.values()]

    def constant(self, number: int) -> int:
        """Return the constant of a row; where no buffer is deep enough, `FAR`."""
        row, tile = self.rows[number]
        if tile is not None and row.terms and not self.tiled[tile].places:
            return int(FAR)
        return row.constant


class _Plan:
    """How the periods of some runs are gathered.

    Args:
        grids: Configurations of each stage.
        rows: Rows of the runs.
        free: Stages that engines leave open.
    """

    def __init__(
        self, grids: Mapping[Role, Grid], rows: _Rows, free: frozenset[Role]
    ) -> None:
        self._grids = grids
        self._tiled = rows.tiled
        self._keys = _Reader([tiled.key_of for tiled in rows.tiled])
        self._tiled_rows = np.array([t.row for t in rows.tiled], dtype=np.int64)
        self._words = {
            role: (np.array([row for row, _ in some]), _Reader([w for _, w in some]))
            for role, some in rows.short.items()
        }
        # Rows with more terms come first, so that all further terms are of the first.
        terms = [rows.terms(number) for number in range(len(rows.rows))]
        order = sorted(range(len(terms)), key=lambda number: -len(terms[number]))
        kinds: list[Kind] = [*self._grids, *range(len(rows.tiled))]
        numbered = {kind: number for number, kind in enumerate(kinds)}
        self._constants = np.array([[rows.constant(n)] for n in order], dtype=np.int64)
        self._terms = [
            _Terms(
                [
                    _Term(row, *terms[number][depth])
                    for row, number in enumerate(order)
                    if len(terms[number]) > depth
                ],
                numbered,
                free,
            )
            for depth in range(max(map(len, terms), default=0))
        ]
        self._of_row: list[list[tuple[int, Ints]]] = [[] for _ in order]
        for each in self._terms:
            for row, kind, values in each.of_rows():
                self._of_row[row].append((kind, values))
        self._longest = self._groups(rows, order, sum(map(bool, terms)))
        self.layout = Layout(
            computing=rows.computing,
            opening=rows.opening,
            fixed=tuple(longest.fixed for longest in self._longest),
        )

    def _groups(
        self, rows: _Rows, order: Sequence[int], with_terms: int
    ) -> list[_Longest]:
        """Return what each array is the longest of, with rows at their places."""
        place = {number: row for row, number in enumerate(order)}
        found: list[_Longest] = []
        for group in rows.groups:
            placed = [[place[number] for number in members] for members in group]
            fixed = np.array([min(p) >= with_terms for p in placed], dtype=np.bool_)
            if not found:  # Where a buffer is too small, a run takes for ever.
                fixed[self._tiled_rows] = False
                for some, _ in self._words.values():
                    fixed[some] = False
            found.append(_Longest(placed, fixed))
        found[0].fixed &= found[2].fixed
        return found

    def arrays(self, choice: Choice, free: Mapping[Role, Bools]) -> list[Ints]:
        """Return the arrays of `RunPeriods`, as far as they are read.

        Args:
            choice: Engines.
            free: Lane shapes of the stages that they leave open.
        """
        least = [each for terms in self._terms for each in terms.least(free)]
        keys = self._keys_of(choice)
        places = self._places(choice, keys)
        reading = self._one_by_one if len(choice) >= MANY else self._at_once
        alone, beside, ddr, *opening = reading(choice.pixels, places, least)
        alone = np.maximum(alone, ddr)
        if (keys < 0).any():
            rows = self._tiled_rows
            alone[rows] = np.where(keys < 0, FAR, alone[rows])
        for role, (rows, reader) in self._words.items():
            words = self._grids[role].words[choice.columns[role]]
            lane = np.broadcast_to(choice.lanes[role], (rows.size, words.size))
            short = reader.read(lane) > words
            if short.any():
                alone[rows] = np.where(short, FAR, alone[rows])
        return [alone, beside, ddr, *opening]

    def _at_once(
        self, pixels: Ints, places: Ints, least: Sequence[Bests]
    ) -> list[Ints]:
        """Return all arrays; all rows are read together."""
        values = np.empty((len(self._constants), pixels.size), dtype=np.int64)
        values[:] = self._constants
        for terms in self._terms:
            terms.add(values, places)
        for rows, best in least:
            values[rows] += best.take(pixels, axis=1)
        return [
            longest.of(self._constants if longest.fixed.all() else values)
            for longest in self._longest
        ]

    def _one_by_one(
        self, pixels: Ints, places: Ints, least: Sequence[Bests]
    ) -> list[Ints]:
        """Return all arrays; each row is read for all engines, while it is at hand."""
        bests: dict[int, list[Ints]] = {}
        for rows, best in least:
            for row, cycles in zip(rows.tolist(), best, strict=True):
                bests.setdefault(row, []).append(cycles)

        def value(row: int) -> Ints:
            total: Ints = self._constants[row]
            for kind, numbers in self._of_row[row]:
                total = total + numbers.take(places[kind])
            for cycles in bests.get(row, ()):
                total = total + cycles.take(pixels)
            return total

        made = []
        for longest in self._longest:
            if longest.fixed.all():
                made.append(longest.of(self._constants))
                continue
            array = np.empty((len(longest.groups), pixels.size), dtype=np.int64)
            for own, members in zip(array, longest.groups, strict=True):
                own[:] = value(members[0])
                for row in members[1:]:
                    np.maximum(own, value(row), out=own)
            made.append(array)
        return made

    def _keys_of(self, choice: Choice) -> Ints:
        """Return the place of engines in each tiled run, of shape (runs, engines)."""
        if not self._tiled:
            return np.zeros((0, len(choice)), dtype=np.int64)
        return self._keys.read(
            np.stack([choice.columns[tiled.role] for tiled in self._tiled])
        )

    def _places(self, choice: Choice, keys: Ints) -> Ints:
        """Return the place of engines in rows of each kind, (kinds, engines)."""
        none = np.zeros(len(choice), dtype=np.int64)
        of_stages = [
            choice.pixels * grid.lanes + choice.lanes.get(role, none)
            for role, grid in self._grids.items()
        ]
        tiled = [
            choice.pixels * each.places + np.maximum(key, 0)
            for each, key in zip(self._tiled, keys, strict=True)
        ]
        return np.stack([*of_stages, *tiled])


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

    computing: dict[int, tuple[Ints, Ints, Ints]] = {}
    for number in numbers:
        table = tables.table(number)
        table = table.relaxed or table
        key = id(table.paths)
        if key not in computing:
            ddr = slowest(table.ddr)
            alone = reduce(np.maximum, map(least, table.paths), ddr)
            computing[key] = alone, least(table.beside), ddr
        opening = least(table.opening), least(table.opening_ddr)
        result[number] = Periods(*computing[key], *opening, slowest(table.serial))
    return result
