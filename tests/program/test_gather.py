"""Gathered periods against a plain walk through the tables, engine by engine."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.cost.pairs import besides
from hao.ir.partition import Role
from hao.program import gather
from hao.program.field import Field
from hao.program.gather import alone_of, periods_of
from hao.program.graph import FAR
from hao.program.run_table import Row, RunTable
from hao.program.tables import Choice, Tables
from tests.program.instances import random_problem

SEEDS = (0, 1, 2, 3, 6)
CHOSEN: tuple[frozenset[Role], ...] = (
    frozenset(),
    frozenset({Role.DENSE}),
    frozenset(Role),
)
"""Stages whose buffers' depths are chosen."""

Ints = NDArray[np.int64]
AtBest = Mapping[Role, NDArray[np.bool_]]


@pytest.fixture(autouse=True)
def _all_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables keep columns that do not fit the board: every stage has one."""
    monkeypatch.setattr(
        Field, "_may_fit", lambda _self, grid, _double: np.full(grid.words.size, True)
    )


def _tables(seed: int, double: bool) -> Tables:
    return Field(random_problem(seed, choices=2, layers=3)).tables(double)


def _engines(tables: Tables, size: int, chosen: frozenset[Role], seed: int) -> Choice:
    rng = np.random.default_rng(seed)
    grids = tables.grids
    columns = {r: rng.integers(0, g.words.size, size) for r, g in grids.items()}
    return Choice(
        pixels=rng.integers(0, len(tables.pixels), size),
        lanes={role: grids[role].lane_of[index] for role, index in columns.items()},
        columns={role: columns[role] for role in grids if role in chosen},
    )


def _plain(
    tables: Tables, choice: Choice, number: int, place: int, at_best: AtBest
) -> tuple[int, ...]:
    """Return the periods of one run on one engine, each row read by itself."""
    table = tables.table(number)
    pixels = int(choice.pixels[place])
    tile = 0
    if table.key_of is not None:
        (role,) = table.beside.terms
        if role in choice.columns:
            tile = int(table.key_of[choice.columns[role][place]])
        else:
            assert table.relaxed is not None
            table = table.relaxed

    def value(row: Row) -> int:
        total = row.constant
        for role, cycles in row.terms.items():
            if role in at_best:
                fine = cycles[pixels][at_best[role][pixels]]
                total += int(fine.min(initial=int(FAR)))
            elif table.key_of is not None:
                empty = cycles.shape[1] == 0
                total += int(FAR) if empty else int(cycles[pixels, max(tile, 0)])
            else:
                total += int(cycles[pixels, choice.lanes[role][place]])
        return total

    ddr = max(map(value, table.ddr))
    alone = max([ddr, *map(value, table.paths)])
    if tile < 0 or _too_shallow(tables, table, choice, place):
        alone = int(FAR)
    serial = max(map(value, table.serial))
    arrays = value(table.standing), value(table.held)
    beside = besides(alone, value(table.beside), ddr, arrays, batch=tables.batch)
    return alone, *beside, *map(value, table.opening), serial


def _too_shallow(tables: Tables, table: RunTable, choice: Choice, place: int) -> bool:
    """Return whether a chosen buffer cannot hold what a run needs at once."""
    return any(
        role in choice.columns
        and int(least[choice.lanes[role][place]])
        > int(tables.grids[role].words[choice.columns[role][place]])
        for role, least in table.least_words.items()
    )


def _gathered(
    tables: Tables, choice: Choice, numbers: list[int], at_best: AtBest
) -> dict[int, Ints]:
    """Return the arrays of each run side by side, of shape (engines, arrays)."""
    found = periods_of(tables, choice, numbers, at_best or None)
    result = {}
    for number in numbers:
        made = found[number]
        arrays = made.alone, *made.beside, *made.opening, made.serial
        full = [np.broadcast_to(array, (len(choice),)) for array in arrays]
        result[number] = np.stack(full, axis=1)
    return result


def _as_walked(found: Ints, walked: tuple[int, ...]) -> bool:
    """Return whether periods are equal; where a run takes for ever, only that is."""
    if max(walked) >= FAR:
        return bool(found.max() >= FAR)
    return tuple(found.tolist()) == walked


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("by_row", [1, 1_000], ids=["by row", "at once"])
def test_periods_are_those_of_the_tables(
    seed: int, double: bool, by_row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "ENGINES_BY_ROW", by_row)
    tables = _tables(seed, double)
    every = list(range(len(tables.graph.runs)))
    seen = 0
    for chosen in CHOSEN:
        choice = _engines(tables, 7, chosen, seed)
        # Runs of a plan are some of the book's, in any order.
        for numbers in (every[::2], every[::-1]):
            found = _gathered(tables, choice, numbers, {})
            alone = alone_of(tables, choice, numbers)
            for row, number in enumerate(numbers):
                for place in range(len(choice)):
                    walked = _plain(tables, choice, number, place, {})
                    assert _as_walked(found[number][place], walked)
                    assert min(alone[row, place], FAR) == min(walked[0], FAR)
                    seen += 1
    assert seen > 40


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("by_row", [1, 1_000], ids=["by row", "at once"])
def test_stages_left_open_are_at_their_best_row_by_row(
    seed: int, by_row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "ENGINES_BY_ROW", by_row)
    tables = _tables(seed, True)
    numbers = list(range(len(tables.graph.runs)))
    rng = np.random.default_rng(seed)
    for role, grid in tables.grids.items():
        shape = len(tables.pixels), grid.lanes
        at_best = {role: rng.random(shape) < 0.5}
        whole = _engines(tables, 5, frozenset(), seed)
        lanes = {r: lane for r, lane in whole.lanes.items() if r is not role}
        choice = Choice(pixels=whole.pixels, lanes=lanes, columns={})
        found = _gathered(tables, choice, numbers, at_best)
        for number in numbers:
            for place in range(len(choice)):
                walked = _plain(tables, choice, number, place, at_best)
                assert _as_walked(found[number][place], walked)


def test_plans_that_were_dropped_are_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gather, "PLANS", 2)
    tables = _tables(0, True)
    choice = _engines(tables, 3, frozenset(Role), 0)
    every = range(len(tables.graph.runs))
    first = {number: _gathered(tables, choice, [number], {}) for number in every}
    for number in every:
        again = _gathered(tables, choice, [number], {})
        assert (again[number] == first[number][number]).all()


def test_no_engine_has_periods_of_no_size() -> None:
    tables = _tables(0, True)
    choice = _engines(tables, 0, frozenset(Role), 0)
    found = periods_of(tables, choice, range(len(tables.graph.runs)))
    assert found.size <= 1
    assert alone_of(tables, choice, [0]).shape == (1, 0)
