"""A run as a table of rows: sums of a constant and one array per stage."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hao.cost import segment_price
from hao.ir.partition import Role
from hao.program.graph import FAR

Ints = NDArray[np.int64]

SAMPLED_EVERY = 61
"""Numbers of an array of which one tells it from others at once (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A sum of a constant and one array per stage, each of shape (pixels, places)."""

    constant: int
    terms: Mapping[Role, Ints]


NOTHING = Row(constant=0, terms={})

NEVER = Row(constant=segment_price.NEVER.constant, terms={})
"""A row that is below all others, whatever is added: that of `SegmentPrice`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTable:
    """A priced run.

    Attributes:
        paths: Rows of the computation; the longest counts. Tables that share the tuple
            differ only in what opens the run.
        beside: Row of `Periods.beside`.
        standing: Row of `Periods.beside` for the dense array.
        held: What is added to all of the run in that for the pointwise one.
        ddr: Rows of `Periods.ddr`; the longest counts.
        opening: Rows of `Periods.opening`, in its order.
        serial: Rows of `Periods.serial`, of the port and of the DDR.
        least_words: Buffer words that each lane shape needs at least, of stages whose
            weights must all be held.
        key_of: Place of each column in the rows of a run that may be tiled, or -1
            where the buffer is too small; `None` where places are lane shapes.
        relaxed: The rows of a run that may be tiled with the least of each over the
            columns of a lane shape: places are lane shapes.
        loading: Rows of `RunPeriods.loading`, of port and DDR, of `relaxed` only; the
            longest counts.
    """

    paths: tuple[Row, ...]
    beside: Row
    standing: Row
    held: Row
    ddr: tuple[Row, ...]
    opening: tuple[Row, ...]
    serial: tuple[Row, ...]
    least_words: Mapping[Role, Ints]
    key_of: Ints | None = None
    relaxed: "RunTable | None" = None
    loading: tuple[tuple[Row, ...], ...] = ()


class RowStore:
    """Rows and arrays of tables: of equal ones, one is held.

    Runs with a layer in common, and stages that load alike, mostly have equal rows.
    """

    def __init__(self) -> None:
        self._arrays: dict[tuple[object, ...], list[Ints]] = {}
        self._rows: dict[tuple[object, ...], Row] = {}

    def array(self, values: Ints) -> Ints:
        """Return the array that is held for all that are equal to one."""
        key = values.shape, int(values.sum()), *values.ravel()[::SAMPLED_EVERY].tolist()
        alike = self._arrays.setdefault(key, [])
        for known in alike:
            if np.array_equal(known, values):
                return known
        alike.append(values)
        return values

    def row(self, row: Row) -> Row:
        """Return the row that is held for all that are equal to one."""
        terms = {role: self.array(values) for role, values in row.terms.items()}
        key = row.constant, *((role, id(values)) for role, values in terms.items())
        if key not in self._rows:
            self._rows[key] = Row(constant=row.constant, terms=terms)
        return self._rows[key]

    def table(self, table: RunTable) -> RunTable:
        """Return a table of such rows."""
        return RunTable(
            paths=tuple(map(self.row, table.paths)),
            beside=self.row(table.beside),
            standing=self.row(table.standing),
            held=self.row(table.held),
            ddr=tuple(map(self.row, table.ddr)),
            opening=tuple(map(self.row, table.opening)),
            serial=tuple(map(self.row, table.serial)),
            least_words={r: self.array(w) for r, w in table.least_words.items()},
            key_of=None if table.key_of is None else self.array(table.key_of),
            relaxed=None if table.relaxed is None else self.table(table.relaxed),
            loading=tuple(tuple(map(self.row, rows)) for rows in table.loading),
        )


def longest_rows(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return rows of which the longest is that of all: those over one stage as one.

    Rows that are nowhere longer than another one are left out.
    """
    merged: dict[tuple[Role, ...], list[Row]] = {}
    for row in rows:
        merged.setdefault(tuple(row.terms), []).append(row)
    kept: list[Row] = []
    for roles, alike in merged.items():
        if len(roles) == 1:
            (role,) = roles
            arrays = [row.terms[role] + row.constant for row in alike]
            kept.append(Row(constant=0, terms={role: np.maximum.reduce(arrays)}))
        elif not roles:
            kept.append(Row(constant=max(r.constant for r in alike), terms={}))
        else:
            kept += alike
    result: list[Row] = []
    for index, row in enumerate(kept):
        others = (*result, *kept[index + 1 :])
        if not any(_covers(other, row) for other in others):
            result.append(row)
    return tuple(result)


def _covers(longer: Row, row: Row) -> bool:
    """Return whether a row is nowhere below another, stage by stage."""
    if not set(row.terms) <= set(longer.terms):
        return False
    # Mostly a few places show that it is not.
    few = slice(None, None, 4), slice(None, None, 16)
    every = slice(None), slice(None)
    return _above(longer, row, few) <= 0 and _above(longer, row, every) <= 0


def _above(longer: Row, row: Row, places: tuple[slice, slice]) -> int:
    """Return by how much a row is above another at most, at some places."""
    above = row.constant - longer.constant
    for role, cycles in longer.terms.items():
        own = row.terms.get(role)
        less = cycles[places]
        more = -less if own is None else own[places] - less
        above += int(more.max(initial=-FAR))
    return above


def relaxed_table(table: RunTable, role: Role, lane_of: Ints, lanes: int) -> RunTable:
    """Return a table of one stage with the least of each row per lane shape.

    A shallow buffer opens with few weights but loads the others later. On a way, the
    opening is followed by one of the run's rows; so what may be counted before the
    least of that row is the least of their sum, less that least. Where one of the rows
    is alike at all depths that is next to nothing: `loading` has the sums themselves.

    Args:
        table: Of a run that may be tiled.
        role: Its stage.
        lane_of: Lane shape of each place, ascending.
        lanes: Number of lane shapes.
    """
    least = _least_of_lanes(table, lane_of, lanes)

    def row(made: Row) -> Row:
        terms = {r: least(cycles) for r, cycles in made.terms.items()}
        return Row(constant=made.constant, terms=terms)

    behind = [
        (other.terms[role], least(other.terms[role]))
        for other in (*table.paths, table.beside, table.standing, *table.ddr)
    ]

    def opening(made: Row) -> Row:
        if role not in made.terms:
            return made
        cycles = made.terms[role]
        together = [
            np.where(low >= FAR, 0, least(cycles + other) - low)
            for other, low in behind
        ]
        return Row(constant=made.constant, terms={role: np.minimum.reduce(together)})

    relaxed = RunTable(
        paths=tuple(row(path) for path in table.paths),
        beside=row(table.beside),
        standing=row(table.standing),
        held=table.held,
        ddr=tuple(row(path) for path in table.ddr),
        opening=tuple(opening(path) for path in table.opening),
        serial=tuple(opening(path) for path in table.serial),
        least_words={},
    )
    loading = [[row(each) for each in rows] for rows in _loading(table, role)]
    for rows, apart in zip(loading, _loading(relaxed, role), strict=True):
        if any(
            (a.terms[role] > b.terms[role]).any()
            for a, b in zip(rows, apart, strict=True)
        ):
            return replace(relaxed, loading=tuple(map(tuple, loading)))
    return relaxed


def _loading(table: RunTable, role: Role) -> list[list[Row]]:
    """Return what an opening and what loads beside take together, port and DDR."""
    port, ddr, *_ = table.opening
    return [
        [_sum(port, table.beside, role)],
        [_sum(ddr, path, role) for path in table.ddr],
    ]


def _sum(opens: Row, other: Row, role: Role) -> Row:
    cycles = opens.terms.get(role, 0) + other.terms[role]
    return Row(constant=opens.constant + other.constant, terms={role: cycles})


def _least_of_lanes(
    table: RunTable, lane_of: Ints, lanes: int
) -> Callable[[Ints], Ints]:
    """Return what gives the least of a row's term per lane shape, at a run's bits."""
    assert table.key_of is not None, "it may be tiled"
    places = np.unique(table.key_of[table.key_of >= 0])
    present, first = np.unique(lane_of[places], return_index=True)

    def least(values: Ints) -> Ints:
        result = np.full((values.shape[0], lanes), FAR, dtype=np.int64)
        if present.size:
            some = values.take(places, axis=1)
            result[:, present] = np.minimum.reduceat(some, first, axis=1)
        return result

    return least
