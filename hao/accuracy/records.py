"""Strict reading of CSV files: every refusal names file, line and column.

Leaves to `published` and `measured` which columns there are and what they mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from hao.csv_file import csv_rows
from hao.errors import InputError

E = TypeVar("E", bound=Enum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of a CSV file, read cell by cell.

    Attributes:
        path: The file.
        line: Line number in the file; the header is line 1.
        cells: Text by column, stripped.
    """

    path: Path
    line: int
    cells: dict[str, str]

    def error(self, column: str, allowed: str) -> InputError:
        """Return the refusal of one cell."""
        return InputError(
            f"{self.path.name}:{self.line}: {column} = {self.cells[column]!r}; "
            f"must be {allowed}"
        )

    def text(self, column: str) -> str:
        """Return a cell that may not be empty.

        Raises:
            InputError: The cell is empty.
        """
        if not self.cells[column]:
            raise self.error(column, "given")
        return self.cells[column]

    def number(self, column: str, *, low: float, high: float) -> float:
        """Return a number between `low` and `high`.

        Raises:
            InputError: The cell is no number, or outside the range.
        """
        allowed = f"a number from {low:g} to {high:g}"
        try:
            value = float(self.cells[column])
        except ValueError as cause:
            raise self.error(column, allowed) from cause
        if not low <= value <= high:
            raise self.error(column, allowed)
        return value

    def optional_number(self, column: str, *, low: float, high: float) -> float | None:
        """Return a number between `low` and `high`, or None where the cell is empty.

        Raises:
            InputError: The cell holds something else.
        """
        if not self.cells[column]:
            return None
        return self.number(column, low=low, high=high)

    def integer(self, column: str, *, low: int, high: int) -> int:
        """Return a whole number between `low` and `high`.

        Raises:
            InputError: The cell is no whole number, or outside the range.
        """
        value = self.number(column, low=low, high=high)
        if value != int(value):
            raise self.error(column, "a whole number")
        return int(value)

    def flag(self, column: str) -> bool:
        """Return a truth value, spelled True or False.

        Raises:
            InputError: The cell holds something else.
        """
        match self.cells[column]:
            case "True":
                return True
            case "False":
                return False
            case _:
                raise self.error(column, "True or False")

    def optional_flag(self, column: str) -> bool | None:
        """Return a truth value, or None where the cell is empty.

        Raises:
            InputError: The cell holds something else.
        """
        return self.flag(column) if self.cells[column] else None

    def member(self, column: str, kind: type[E]) -> E:
        """Return the member of an enumeration whose value the cell spells.

        Raises:
            InputError: No member has that value.
        """
        try:
            return kind(self.cells[column])
        except ValueError as cause:
            allowed = ", ".join(repr(member.value) for member in kind)
            raise self.error(column, f"one of {allowed}") from cause


def read_records(path: Path, columns: tuple[str, ...]) -> Iterator[Record]:
    """Yield the lines of a CSV file whose header holds at least `columns`.

    Raises:
        InputError: The file is missing, no CSV file in UTF-8, lacks a column, or a line
            has too many or too few cells.
    """
    rows = csv_rows(path)
    _, header = next(rows, (1, []))
    missing = [name for name in columns if name not in header]
    if missing:
        raise InputError(f"{path.name}:1: lacks the column {missing[0]!r}")
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f"{path.name}:{line}: must have {len(header)} cells")
        cells = (cell.strip() for cell in row)
        yield Record(path=path, line=line, cells=dict(zip(header, cells, strict=True)))
