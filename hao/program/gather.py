"""Periods of all runs of a net for many engines at once: rows of tables, gathered.

An engine reads some thousand numbers from the tables of `hao.program.tables`, mostly
with few others beside it, so that the number of array operations is what takes time. A
`_Plan` says once where all rows of some runs lie; reading them, adding up their terms
and taking the longest is then one operation each for all rows.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.graph import FAR
from hao.program.periods import RowPlaces, RunPeriods
from hao.program.reading import Bests, Kind, Longest, Reader, TableRows, Term, Terms
from hao.program.space import Grid
from hao.program.tables import Choice, Priced

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ENGINES_BY_ROW = 320
"""Engines from which on rows are read one by one (chosen here: measured)."""

ASKED = 6
"""Times that a plan is used before all its rows are located (chosen here: measured)."""

PLANS = 64
"""Plans that are kept (chosen here)."""


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
        rows = TableRows(tables, key[0], columns, opened)
        plan = _Plan(tables.grids, rows, free)
        if len(tables.plans) >= PLANS:
            del tables.plans[next(iter(tables.plans))]
        tables.plans[key] = plan
    return plan


class _Plan:
    """How the periods of some runs are gathered.

    Args:
        grids: Configurations of each stage.
        rows: Rows of the runs.
        free: Stages that engines leave open.
    """

    def __init__(
        self, grids: Mapping[Role, Grid], rows: TableRows, free: frozenset[Role]
    ) -> None:
        self._grids = grids
        self._asked = 0
        self._tiled = rows.tiled
        self._keys = Reader([tiled.key_of for tiled in rows.tiled])
        self._tiled_rows = np.array([t.row for t in rows.tiled], dtype=np.int64)
        self._words = {
            role: (np.array([row for row, _ in some]), Reader([w for _, w in some]))
            for role, some in rows.short.items()
        }
        # Rows with more terms come first, so that all further terms are of the first.
        terms = [rows.terms(number) for number in range(len(rows.rows))]
        order = sorted(range(len(terms)), key=lambda number: -len(terms[number]))
        kinds: list[Kind] = [*self._grids, *range(len(rows.tiled))]
        numbered = {kind: number for number, kind in enumerate(kinds)}
        self._constants = np.array([[rows.constant(n)] for n in order], dtype=np.int64)
        self._terms = [
            Terms(
                [
                    Term(row, *terms[number][depth])
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
        self.layout = RowPlaces(
            computing=rows.computing,
            opening=rows.opening,
            fixed=tuple(longest.fixed for longest in self._longest),
        )

    def _groups(
        self, rows: TableRows, order: Sequence[int], with_terms: int
    ) -> list[Longest]:
        """Return what each array is the longest of, with rows at their places."""
        place = np.argsort(order)
        found: list[Longest] = []
        for group in rows.groups:
            starts = np.cumsum([0, *map(len, group)])
            at = place[[number for members in group for number in members]]
            fixed = np.minimum.reduceat(at, starts[:-1]) >= with_terms
            flat = at.tolist()
            placed = [flat[a:b] for a, b in pairwise(starts.tolist())]
            if not found:  # Where a buffer is too small, a run takes for ever.
                fixed[self._tiled_rows] = False
                for some, _ in self._words.values():
                    fixed[some] = False
            found.append(Longest(placed, fixed))
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
        self._asked += 1
        few = len(choice) < ENGINES_BY_ROW and self._asked > ASKED
        reading = self._at_once if few else self._one_by_one
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
