"""Numbers laid end to end, rows numbered once, and the longest of groups of rows."""

import numpy as np
import pytest

from hao.ir.partition import Role
from hao.program.field import Field
from hao.program.reading import NO_KIND, Numbers, RowBook, longest_of
from hao.program.run_table import Row, RowStore
from tests.program.instances import random_problem


def test_arrays_are_laid_once_and_read_where_they_begin() -> None:
    numbers = Numbers()
    first = np.arange(12).reshape(3, 4)
    second = np.arange(100, 105)
    starts = numbers.start(first), numbers.start(second)
    assert starts == (0, 12)
    assert (numbers.start(first), numbers.start(second)) == starts
    # Row 2, column 1 of the first array is its number 2 * 4 + 1.
    assert numbers.read(np.array([[9, 12], [0, 16]])).tolist() == [[9, 100], [0, 104]]
    assert numbers.behind(12)[:5].tolist() == second.tolist()


def test_numbers_stay_where_they_are_as_more_are_laid() -> None:
    numbers = Numbers()
    arrays = [np.full(50_000, value) for value in range(6)]
    starts = [numbers.start(array) for array in arrays]
    assert starts == [50_000 * value for value in range(6)]
    ends = np.array(starts) + 49_999
    assert numbers.read(np.array([starts, ends])).tolist() == [list(range(6))] * 2


def test_equal_arrays_that_come_and_go_are_told_apart() -> None:
    numbers = Numbers()
    # Each array is gone at once but for what holds it, so that an identity would recur.
    starts = [numbers.start(np.full(3, value)) for value in range(50)]
    assert len(set(starts)) == 50
    assert numbers.read(np.array(starts)).tolist() == list(range(50))


def test_rows_of_runs_that_share_a_computation_are_numbered_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        Field, "_may_fit", lambda _self, grid, _double: np.full(grid.words.size, True)
    )
    field = Field(random_problem(0, choices=2, layers=3))
    tables = field.tables(True)
    book = RowBook(Numbers(), frozenset(Role))
    count = len(field.graph.runs)
    runs = [book.run(tables, number) for number in range(count)]
    rows = book.rows()
    assert book.run(tables, 0) is runs[0]
    assert len(book.rows().constants) == len(rows.constants)
    paths = {id(tables.table(number).paths) for number in range(count)}
    assert len({run.computing for run in runs}) == len(paths) < count
    for number, run in enumerate(runs):
        table = tables.table(number)
        arrays = (table.standing,), (table.held,)
        found = table.paths, (table.beside,), table.ddr, *arrays
        for group, made in zip(run.groups[:5], found, strict=True):
            assert len(group) == len(made)
            for row, own in zip(group, made, strict=True):
                there = rows.kinds[row] != NO_KIND
                assert there.sum() == len(own.terms)
                assert rows.constants[row] == own.constant
                starts = rows.starts[row][there].tolist()
                for start, values in zip(starts, own.terms.values(), strict=True):
                    flat = values.reshape(-1)
                    laid = book.numbers.behind(start)[: flat.size]
                    assert (laid == flat).all()


def test_the_longest_of_groups_by_hand() -> None:
    # Booked rows 0 to 4 lie at places 3, 0, 1, 4, 2; the first two places vary.
    place = np.array([3, 0, 1, 4, 2])
    groups = [(0,), (1, 2, 3), (4, 0), (3,)]
    longest = longest_of(groups, place, varied=2)
    assert longest.fixed.tolist() == [True, False, True, True]
    values = np.array([[5, 0], [1, 9], [7, 7], [2, 2], [3, 3]])
    # Places (3), (0, 1, 4), (2, 3), (4).
    expected = [[2, 2], [5, 9], [7, 7], [3, 3]]
    assert longest.of(values).tolist() == expected
    assert longest.one_by_one(lambda row: values[row], 2).tolist() == expected


def test_of_equal_rows_one_is_held_and_read_in_tiles_of_each_run() -> None:
    held = RowStore()
    role = Role.DENSE
    rows = [
        Row(constant=3, terms={role: np.arange(200).reshape(2, 100)}) for _ in range(2)
    ]
    other = Row(constant=3, terms={role: np.arange(200)[::-1].reshape(2, 100)})
    first, second, third = map(held.row, (*rows, other))
    assert first is second
    # Equal sums and shapes, but not the same numbers.
    assert third is not first
    assert third.terms[role].tolist() == other.terms[role].tolist()
    assert (
        held.row(Row(constant=4, terms=rows[1].terms)).terms[role]
        is (first.terms[role])
    )
    field = Field(random_problem(3, choices=3, layers=4))
    tables = field.tables(True)
    arrays: dict[tuple[object, ...], int] = {}
    for number in range(len(field.graph.runs)):
        table = tables.table(number)
        for row in (table.beside, *table.paths, *table.ddr, *table.opening):
            for values in row.terms.values():
                key = values.shape, values.tobytes()
                assert arrays.setdefault(key, id(values)) == id(values)
    assert arrays
