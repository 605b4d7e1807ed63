"""Rows of tables, numbered once, with what they add up in one array.

`Numbers` lays arrays end to end, `RowBook` numbers the rows of runs and says where the
terms of each begin there: what `hao.program.gather` needs to read many rows at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.graph import FAR
from hao.program.run_table import Row, RunTable
from hao.program.tables import Priced

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROLES = tuple(Role)
"""Kinds of places in the order of their numbers; tiled runs follow."""

NO_KIND = -1
"""Kind of a term that a row does not have."""


class Numbers:
    """Arrays laid end to end in one, so that many are read by one operation."""

    def __init__(self) -> None:
        self._all: Ints = np.zeros(1 << 16, dtype=np.int64)
        self._used = 0
        # The arrays are held, so that no other one gets the identity of one of them.
        self._known: dict[int, tuple[int, Ints]] = {}

    def start(self, array: Ints) -> int:
        """Return where an array begins; it is laid behind the others if it is new."""
        known = self._known.get(id(array))
        if known is None:
            start, self._used = self._used, self._used + array.size
            if self._used > self._all.size:
                more = np.empty(max(self._used, 2 * self._all.size), dtype=np.int64)
                more[:start] = self._all[:start]
                self._all = more
            self._all[start : self._used] = array.reshape(-1)
            known = self._known[id(array)] = start, array
        return known[0]

    def read(self, places: Ints) -> Ints:
        """Return the numbers at some places, of the shape of these."""
        found: Ints = self._all.take(places)
        return found

    def behind(self, start: int) -> Ints:
        """Return all numbers from some place on."""
        return self._all[start:]


@dataclass(frozen=True, slots=True)
class BookedRun:
    """The rows of a run.

    Attributes:
        computing: Number of its computation; runs that differ in bits only share one.
        groups: Rows of which the longest counts, for each array of
            `hao.program.periods.RunPeriods`.
        loading: The same for `RunPeriods.loading`, where the run has some.
    """

    computing: int
    groups: tuple[tuple[int, ...], ...]
    loading: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Computation:
    """What may make a computation impossible on an engine.

    Attributes:
        tile: Number of a tiled run of a buffer whose depth is chosen, or -1.
        short: Where the words that each lane shape needs at least begin, by the number
            of the stage.
    """

    tile: int
    short: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Tiled:
    """A run in tiles, of a buffer whose depth is chosen.

    Attributes:
        role: Its stage.
        places: Places of each count of pixels in its rows.
        key_of: Where the places of the columns begin.
    """

    role: Role
    places: int
    key_of: int


@dataclass(frozen=True, slots=True)
class BookedRows:
    """Rows side by side, in the order of their numbers.

    Attributes:
        constants: What each begins with, of shape (rows,).
        kinds: What the places of its terms depend on: the stage, by its number, or a
            tiled run, by its number behind these; of shape (rows, terms).
        starts: Where its terms begin, of shape (rows, terms).
    """

    constants: Ints
    kinds: Ints
    starts: Ints


class RowBook:
    """The rows of runs, numbered when a run is first asked for.

    Tables that share runs may share a book.

    Args:
        numbers: Where the terms of rows are laid.
        columns: Stages whose buffers' depths are chosen.
    """

    def __init__(self, numbers: Numbers, columns: frozenset[Role]) -> None:
        self.numbers = numbers
        self.tiled: list[Tiled] = []
        self.computations: list[Computation] = []
        self._columns = columns
        self._runs: dict[int, tuple[RunTable, BookedRun]] = {}
        self._known: dict[tuple[int, int], tuple[int, Row]] = {}
        self._computing: dict[
            tuple[int, int], tuple[int, tuple[tuple[int, ...], ...]]
        ] = {}
        self._rows: list[tuple[int, list[int], list[int]]] = []
        none = np.zeros((0, len(Role)), dtype=np.int64)
        self._laid = BookedRows(none[:, 0], none, none)

    def run(self, tables: Priced, number: int) -> BookedRun:
        """Return the rows of run `number` of the graph of some tables."""
        whole = table = tables.table(number)
        known = self._runs.get(number)
        if known is None or known[0] is not table:
            key = id(table.paths), id(table.ddr)
            if key not in self._computing:
                self._computing[key] = self._computation(table)
            computing, groups = self._computing[key]
            tile = self.computations[computing].tile
            if table.relaxed is not None and tile < 0:
                table = table.relaxed
            opening = *((row,) for row in table.opening), table.serial
            more = tuple(self._numbered(rows, tile) for rows in opening)
            loading = tuple(self._numbered(rows, tile) for rows in table.loading)
            known = whole, BookedRun(computing, (*groups, *more), loading)
            self._runs[number] = known
        return known[1]

    def rows(self) -> BookedRows:
        """Return all rows that were numbered so far."""
        laid = self._laid
        if self._rows:
            more = map(np.array, zip(*self._rows, strict=True))
            known = laid.constants, laid.kinds, laid.starts
            self._laid = laid = BookedRows(
                *(np.concatenate(both) for both in zip(known, more, strict=True))
            )
            self._rows = []
        return laid

    def _is_tiled(self, table: RunTable) -> bool:
        """Return whether the depths of a run's buffer are told apart."""
        if table.key_of is None:
            return False
        (role,) = table.beside.terms
        return role in self._columns

    def _computation(self, table: RunTable) -> tuple[int, tuple[tuple[int, ...], ...]]:
        """Return the number of a new computation, and its rows."""
        tile, short = -1, []
        if table.key_of is None:
            for role, least in table.least_words.items():
                if role in self._columns:
                    short.append((ROLES.index(role), self.numbers.start(least)))
        elif self._is_tiled(table):
            (role,) = table.beside.terms
            places = table.beside.terms[role].shape[1]
            tiled = Tiled(role, places, self.numbers.start(table.key_of))
            if tiled not in self.tiled:
                self.tiled.append(tiled)
            tile = self.tiled.index(tiled)
        else:
            assert table.relaxed is not None
            table = table.relaxed
        self.computations.append(Computation(tile, tuple(short)))
        beside = (table.beside,), table.ddr, (table.standing,), (table.held,)
        found = table.paths or table.ddr, *beside
        groups = tuple(self._numbered(rows, tile) for rows in found)
        return len(self.computations) - 1, groups

    def _numbered(self, rows: Sequence[Row], tile: int) -> tuple[int, ...]:
        """Return the numbers of rows."""
        return tuple(self._number(row, tile) for row in rows)

    def _number(self, row: Row, tile: int) -> int:
        """Return the number of a row; where no buffer is deep enough, it is `FAR`."""
        # Places in a row of a tiled run are its own.
        key = id(row), tile if row.terms else -1
        known = self._known.get(key)
        if known is None:
            constant, terms = row.constant, dict(row.terms)
            if tile >= 0 and terms and not self.tiled[tile].places:
                constant, terms = int(FAR), {}
            if tile < 0:
                kinds = [ROLES.index(role) for role in terms]
            else:
                kinds = [len(ROLES) + tile for _ in terms]
            starts = [self.numbers.start(values) for values in terms.values()]
            none = len(ROLES) - len(kinds)
            self._rows.append((constant, kinds + [NO_KIND] * none, starts + [0] * none))
            known = self._known[key] = len(self._known), row
        return known[0]


@dataclass(frozen=True, slots=True)
class Longest:
    """The longest of some rows, for groups of rows.

    Attributes:
        fixed: Which groups are alike for all engines.
        slots: First, second and further rows, groups of many rows first.
        back: Place of each group in that order, `None` where it is their own.
    """

    fixed: Bools
    slots: list[Ints]
    back: Ints | None

    def of(self, values: Ints) -> Ints:
        """Return the longest of each group; of shape (groups, engines)."""
        result: Ints = values.take(self.slots[0], axis=0)
        for rows in self.slots[1:]:
            some = result[: rows.size]
            np.maximum(some, values.take(rows, axis=0), out=some)
        return result if self.back is None else result.take(self.back, axis=0)

    def one_by_one(self, value: Callable[[int], Ints], size: int) -> Ints:
        """Return the longest of each group of rows that are read one by one.

        Args:
            value: Gives a row.
            size: Number of engines.
        """
        groups = range(self.fixed.size)
        order = groups if self.back is None else np.argsort(self.back).tolist()
        result = np.empty((self.fixed.size, size), dtype=np.int64)
        for place, group in enumerate(order):
            own = result[group]
            own[:] = value(int(self.slots[0][place]))
            for rows in self.slots[1:]:
                if place >= rows.size:
                    break
                np.maximum(own, value(int(rows[place])), out=own)
        return result


def longest_of(groups: Sequence[Sequence[int]], place: Ints, varied: int) -> Longest:
    """Return what the longest of rows is taken from.

    Args:
        groups: Booked rows of each; none is empty.
        place: Place of each booked row.
        varied: Rows, the first, that differ between engines.
    """
    sizes = np.fromiter(map(len, groups), dtype=np.int64, count=len(groups))
    flat = np.fromiter(chain.from_iterable(groups), dtype=np.int64)
    rows, starts = place[flat], np.cumsum(sizes) - sizes
    order = np.argsort(-sizes, kind="stable")
    first, counts = starts[order], np.bincount(sizes)[::-1].cumsum()[::-1]
    return Longest(
        fixed=np.minimum.reduceat(rows, starts) >= varied,
        slots=[rows[first[:count] + depth] for depth, count in enumerate(counts[1:])],
        back=None if (order[1:] > order[:-1]).all() else np.argsort(order),
    )
