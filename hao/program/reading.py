"""Rows of tables, numbered, and read at many places at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.graph import FAR
from hao.program.tables import Priced, Row, RunTable

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

AT_BEST = 64
"""Rows whose least over lane shapes is taken at a time (chosen here)."""


class Reader:
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
class Term:
    """A term of a row of the plan."""

    row: int
    kind: Kind
    values: Ints


class Terms:
    """Terms of different rows, added to these at once.

    Args:
        terms: The terms, by row.
        kinds: Numbers of what their places depend on.
        free: Stages that engines leave open.
    """

    def __init__(
        self, terms: Sequence[Term], kinds: Mapping[Kind, int], free: frozenset[Role]
    ) -> None:
        self._bound = bound = [term for term in terms if term.kind not in free]
        self._numbers = [kinds[term.kind] for term in bound]
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
        for term, kind in zip(self._bound, self._numbers, strict=True):
            yield term.row, kind, term.values.reshape(-1)

    def add(self, values: Ints, places: Ints) -> None:
        """Add the terms to rows, for engines at some places of each kind."""
        rows, kinds, reader = self._located
        read = reader.read(places.take(kinds, axis=0))
        if rows.size and rows[-1] + 1 == rows.size:
            values[: rows.size] += read
        elif rows.size:
            values[rows] += read

    @cached_property
    def _located(self) -> tuple[Ints, Ints, Reader]:
        """Return rows and kinds of the terms, and where their numbers lie."""
        return (
            np.array([term.row for term in self._bound], dtype=np.int64),
            np.array(self._numbers, dtype=np.int64),
            Reader([term.values for term in self._bound]),
        )


class Longest:
    """The longest of some rows, for groups of rows.

    Args:
        groups: Rows of each; none is empty.
        fixed: Which groups are alike for all engines.
    """

    def __init__(self, groups: Sequence[Sequence[int]], fixed: Bools) -> None:
        self.fixed, self.groups = fixed, groups

    @cached_property
    def _slots(self) -> tuple[list[Ints], Ints | None]:
        """Return the first, second and further rows, groups of many rows first.

        The places of the groups in that order come with them, unless it is their own.
        """
        groups = self.groups
        order = sorted(range(len(groups)), key=lambda group: -len(groups[group]))
        slots = [
            np.array([groups[g][depth] for g in order if len(groups[g]) > depth])
            for depth in range(max(map(len, groups), default=0))
        ]
        return slots, None if order == sorted(order) else np.argsort(order)

    def of(self, values: Ints) -> Ints:
        """Return the longest of each group; of shape (groups, engines)."""
        slots, back = self._slots
        result: Ints = values.take(slots[0], axis=0)
        for rows in slots[1:]:
            some = result[: rows.size]
            np.maximum(some, values.take(rows, axis=0), out=some)
        return result if back is None else result.take(back, axis=0)


@dataclass(frozen=True, slots=True)
class Tiled:
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


class TableRows:
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
        self.tiled: list[Tiled] = []
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
        self.tiled.append(Tiled(row, role, places, table.key_of))
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
