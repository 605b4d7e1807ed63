"""Periods of all runs of a net for many engines at once: rows of tables, gathered.

An engine reads some thousand numbers from the tables of `hao.program.tables`, mostly
with few others beside it, so that the number of array operations is what takes time. A
`_Plan` says once where all rows of some runs lie; reading them, adding up their terms
and taking the longest is then one operation each for all rows. Plans of different runs
of the same tables have their rows in one book (`hao.program.reading`), where these are
numbered once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from hao.cost.pairs import besides
from hao.ir.partition import Role
from hao.program.graph import FAR
from hao.program.periods import RowPlaces, RunPeriods, pair_rows
from hao.program.reading import ROLES, BookedRun, Numbers, RowBook, Tiled, longest_of
from hao.program.tables import Choice, Priced

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ENGINES_BY_ROW = 320
"""Engines from which on rows are read one by one (chosen here: measured)."""

AT_BEST = 64
"""Rows whose least over lane shapes is taken at a time (chosen here)."""

PLANS = 64
"""Plans that are kept (chosen here)."""

COMPUTED = 5
"""Arrays of a computation that are read: the run by itself, and what loads come on."""

Bests = tuple[Ints, Ints]
"""Rows, and their least over the lane shapes of a stage, of shape (rows, pixels)."""


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
    half = pair_rows(tables.batch) + 1
    plan = _plan(tables, choice, numbers, at_best, arrays=COMPUTED + half)
    found = tuple(plan.arrays(choice, at_best or {}))
    return RunPeriods(plan.layout, found[: 2 * half], found[2 * half :])


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
    plan = _plan(tables, choice, numbers, at_best, arrays=COMPUTED)
    alone = plan.arrays(choice, at_best or {})[0]
    rows = [plan.layout.computing[number] for number in numbers]
    return np.broadcast_to(alone.take(rows, axis=0), (len(rows), len(choice)))


@dataclass(slots=True)
class _Shelf:
    """Books of rows by the columns chosen: kept with tables that share runs."""

    numbers: Numbers = field(default_factory=Numbers)
    books: dict[frozenset[Role], RowBook] = field(default_factory=dict)

    def book(self, columns: frozenset[Role]) -> RowBook:
        """Return the book for some columns, made once."""
        if columns not in self.books:
            self.books[columns] = RowBook(self.numbers, columns)
        return self.books[columns]


def _plan(
    tables: Priced,
    choice: Choice,
    numbers: Sequence[int],
    at_best: Mapping[Role, Bools] | None,
    *,
    arrays: int,
) -> "_Plan":
    """Return how to read some runs: made once, kept with the tables."""
    columns, free = frozenset(choice.columns), frozenset(at_best or {})
    key = tuple(numbers), columns, free, arrays
    plan = tables.plans.get(key)
    if plan is None:
        shelf = tables.shelves.setdefault(_Shelf, _Shelf())
        assert isinstance(shelf, _Shelf)
        book = shelf.book(columns)
        runs = {number: book.run(tables, number) for number in numbers}
        if len(tables.plans) >= PLANS:
            del tables.plans[next(iter(tables.plans))]
        plan = tables.plans[key] = _Plan(tables, book, runs, free, arrays)
    assert isinstance(plan, _Plan)
    return plan


@dataclass(frozen=True, slots=True)
class _Terms:
    """Terms of the first rows of a plan, one of each.

    Attributes:
        kinds: Number in the plan of what the place of each depends on.
        starts: Where each begins, of shape (rows, 1).
    """

    kinds: Ints
    starts: Ints


class _Plan:
    """How the periods of some runs are gathered.

    Args:
        tables: Prices.
        book: Where the rows of the runs are numbered.
        runs: The runs.
        free: Stages that engines leave open.
        arrays: How many arrays of computations and of openings are read.
    """

    def __init__(
        self,
        tables: Priced,
        book: RowBook,
        runs: Mapping[int, BookedRun],
        free: frozenset[Role],
        arrays: int,
    ) -> None:
        self._grids, self._numbers, self._book = tables.grids, book.numbers, book
        computing = dict.fromkeys(run.computing for run in runs.values())
        own = {number: row for row, number in enumerate(computing)}
        groups, tiled = _groups(runs, computing, arrays)
        every = chain.from_iterable(chain.from_iterable(groups))
        place, varied = self._laid(np.unique(np.fromiter(every, dtype=np.int64)), free)
        self._longest = [longest_of(group, place, varied) for group in groups]
        self._computations(list(computing))
        self._longest[0].fixed[:] &= self._longest[2].fixed
        self._batch = tables.batch
        alone, *beside, standing, held = (e.fixed for e in self._longest[:COMPUTED])
        opening = [each.fixed for each in self._longest[COMPUTED:arrays]]
        late = [alone & row for row in beside] if self._batch > 1 else []
        self.layout = RowPlaces(
            computing={number: own[run.computing] for number, run in runs.items()},
            opening={number: row for row, number in enumerate(runs)},
            loading={number: row for row, number in enumerate(tiled)},
            fixed=(alone, *beside, *late, standing, alone & held, *opening),
        )

    def _laid(self, numbers: Ints, free: frozenset[Role]) -> tuple[Ints, int]:
        """Lay rows side by side, those with more terms first.

        Args:
            numbers: Of the rows in the book.
            free: Stages that engines leave open.

        Returns:
            Place of each row of the book, and how many rows depend on the engine.
        """
        book = self._book.rows()
        kinds, starts = book.kinds[numbers], book.starts[numbers]
        there = kinds >= 0
        open_ = np.isin(kinds, [ROLES.index(role) for role in free])
        bound = there & ~open_
        varied = there.any(axis=1)
        # All rows that depend on engines come before those that do not.
        order = np.argsort(-2 * bound.sum(axis=1) - varied, kind="stable")
        sorted_ = np.argsort(~bound[order], axis=1, kind="stable")
        bound = np.take_along_axis(bound[order], sorted_, axis=1)
        kinds = np.take_along_axis(kinds[order], sorted_, axis=1)
        starts = np.take_along_axis(starts[order], sorted_, axis=1)
        self._kinds, numbered = np.unique(kinds[bound], return_inverse=True)
        kinds[bound] = numbered.reshape(-1)
        self._constants = book.constants[numbers[order], None]
        self._terms = [
            _Terms(kinds[:count, depth], starts[:count, depth, None])
            for depth, count in enumerate(bound.sum(axis=0).tolist())
            if count
        ]
        self._free = {
            role: (rows, starts[rows, depths])
            for role in free
            for rows, depths in [np.nonzero(~bound & (kinds == ROLES.index(role)))]
        }
        place = np.zeros(int(numbers.max()) + 1, dtype=np.int64)
        place[numbers[order]] = np.arange(order.size)
        return place, int(varied.sum())

    def _computations(self, numbers: Sequence[int]) -> None:
        """Lay out what may make computations impossible on an engine."""
        found = [self._book.computations[number] for number in numbers]
        rows = [row for row, each in enumerate(found) if each.tile >= 0]
        self._tiled_rows = np.array(rows, dtype=np.int64)
        self._tiled = [(found[r].tile, self._book.tiled[found[r].tile]) for r in rows]
        short: dict[int, list[tuple[int, int]]] = {}
        for row, each in enumerate(found):
            for stage, start in each.short:
                short.setdefault(stage, []).append((row, start))
        self._short = {ROLES[stage]: np.array(some) for stage, some in short.items()}
        # Where a buffer is too small, a run takes for ever.
        fixed = self._longest[0].fixed
        fixed[self._tiled_rows] = False
        for some in self._short.values():
            fixed[some[:, 0]] = False

    def arrays(self, choice: Choice, free: Mapping[Role, Bools]) -> list[Ints]:
        """Return the arrays of `RunPeriods`, openings as far as they are read.

        Args:
            choice: Engines.
            free: Lane shapes of the stages that they leave open.
        """
        keys = _keys(self._numbers, self._tiled, choice)
        alone, beside, ddr, stands, held, *opening = self._read(
            choice.pixels,
            self._places(choice, keys),
            _bests(self._numbers, self._free, free),
        )
        alone = np.maximum(alone, ddr)
        if (keys < 0).any():
            rows = self._tiled_rows
            alone[rows] = np.where(keys < 0, FAR, alone[rows])
        for role, some in self._short.items():
            rows, starts = some.T
            words = self._grids[role].words[choice.columns[role]]
            needed = self._numbers.read(starts[:, None] + choice.lanes[role])
            if (needed > words).any():
                alone[rows] = np.where(needed > words, FAR, alone[rows])
        loaded = besides(alone, beside, ddr, (stands, held), batch=self._batch)
        return [alone, *loaded, *opening]

    def _read(self, pixels: Ints, places: Ints, bests: Sequence[Bests]) -> list[Ints]:
        """Return the longest of all rows, those that are alike for all engines once.

        Args:
            pixels: Of engines.
            places: Of engines in rows of each kind, of shape (kinds, engines).
            bests: Of stages that engines leave open.
        """
        few = pixels.size < ENGINES_BY_ROW
        values = self._at_once(pixels, places, bests) if few else self._constants
        by_row = None if few else self._by_row(pixels, places, bests)
        made = []
        for longest in self._longest:
            if longest.fixed.all():
                made.append(longest.of(self._constants))
            elif by_row is None:
                made.append(longest.of(values))
            else:
                made.append(longest.one_by_one(by_row, pixels.size))
        return made

    def _at_once(self, pixels: Ints, places: Ints, bests: Sequence[Bests]) -> Ints:
        """Return all rows, of shape (rows, engines)."""
        values = np.empty((len(self._constants), pixels.size), dtype=np.int64)
        values[:] = self._constants
        for terms in self._terms:
            index = places.take(terms.kinds, axis=0)
            index += terms.starts
            values[: terms.kinds.size] += self._numbers.read(index)
        for rows, best in bests:
            values[rows] += best.take(pixels, axis=1)
        return values

    def _by_row(
        self, pixels: Ints, places: Ints, bests: Sequence[Bests]
    ) -> Callable[[int], Ints]:
        """Return what gives a row for all engines, of shape (engines,) or (1,)."""
        of_row: dict[int, list[Ints]] = {}
        for rows, best in bests:
            for row, cycles in zip(rows.tolist(), best, strict=True):
                of_row.setdefault(row, []).append(cycles)

        def value(row: int) -> Ints:
            total: Ints = self._constants[row]
            for kind, start in self._terms_of[row]:
                total = total + self._numbers.behind(start).take(places[kind])
            for cycles in of_row.get(row, ()):
                total = total + cycles.take(pixels)
            return total

        return value

    @cached_property
    def _terms_of(self) -> list[list[tuple[int, int]]]:
        """Return kinds and starts of the terms of each row."""
        found: list[list[tuple[int, int]]] = [[] for _ in self._constants]
        for terms in self._terms:
            starts = terms.starts[:, 0].tolist()
            pairs = zip(terms.kinds.tolist(), starts, strict=True)
            for own, pair in zip(found, pairs, strict=False):
                own.append(pair)
        return found

    def _places(self, choice: Choice, keys: Ints) -> Ints:
        """Return the place of engines in rows of each kind, (kinds, engines)."""
        tiled = {
            len(ROLES) + number: choice.pixels * tile.places + np.maximum(key, 0)
            for (number, tile), key in zip(self._tiled, keys, strict=True)
        }
        found = np.empty((self._kinds.size, len(choice)), dtype=np.int64)
        for own, kind in zip(found, self._kinds.tolist(), strict=True):
            if kind in tiled:
                own[:] = tiled[kind]
            else:
                role = ROLES[kind]
                own[:] = choice.pixels * self._grids[role].lanes + choice.lanes[role]
        return found


def _groups(
    runs: Mapping[int, BookedRun], computing: Iterable[int], arrays: int
) -> tuple[list[list[tuple[int, ...]]], list[int]]:
    """Return rows whose longest counts, by array, and the runs with `loading`.

    Args:
        runs: The runs.
        computing: Their computations.
        arrays: As `_Plan` takes it.
    """
    first = {run.computing: run for run in reversed(list(runs.values()))}
    groups = [[first[c].groups[a] for c in computing] for a in range(COMPUTED)]
    behind = range(COMPUTED, arrays)
    groups += [[run.groups[a] for run in runs.values()] for a in behind]
    tiled = [n for n, run in runs.items() if run.loading and behind]
    groups += map(list, zip(*(runs[n].loading for n in tiled), strict=True))
    return groups, tiled


def _bests(
    numbers: Numbers,
    terms: Mapping[Role, tuple[Ints, Ints]],
    free: Mapping[Role, Bools],
) -> list[Bests]:
    """Return rows and their least over lane shapes of stages left open.

    Args:
        numbers: Where the terms of rows lie.
        terms: Rows with terms of each of the stages, and where these begin.
        free: Lane shapes of these.
    """
    found: list[Bests] = []
    for role, (rows, starts) in terms.items():
        fine = free[role]
        offsets = np.arange(fine.size).reshape(1, *fine.shape)
        for start in range(0, rows.size, AT_BEST):
            part = slice(start, start + AT_BEST)
            values = numbers.read(starts[part, None, None] + offsets)
            least = np.where(fine, values, FAR).min(axis=2, initial=FAR)
            found.append((rows[part], least))
    return found


def _keys(numbers: Numbers, tiled: Sequence[tuple[int, Tiled]], choice: Choice) -> Ints:
    """Return the place of engines in each tiled run, of shape (runs, engines)."""
    if not tiled:
        return np.zeros((0, len(choice)), dtype=np.int64)
    places = [tile.key_of + choice.columns[tile.role] for _, tile in tiled]
    return numbers.read(np.stack(places))
