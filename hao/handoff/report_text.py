"""Text reports of the vendor tools as lines, header fields and ruled tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hao.errors import InputError

_FIELD = re.compile(r"\s*(?:\*|\|)\s*([A-Za-z ]+?)\s*:\s+(\S.*?)\s*\|?\s*")


@dataclass(frozen=True, slots=True)
class ReportText:
    """One report.

    Attributes:
        source: What error messages call it.
        lines: Its lines, ends stripped.
    """

    source: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, text: str, source: str) -> "ReportText":
        """Return the lines of `text`."""
        return cls(source, tuple(line.rstrip() for line in text.splitlines()))

    @property
    def name(self) -> str:
        """Return the name of the file, without its folders."""
        return Path(self.source).name

    def find(self, pattern: str, start: int = 0) -> int | None:
        """Return the number of the first line from `start` that matches, or `None`."""
        search = re.compile(pattern).search
        for number in range(start, len(self.lines)):
            if search(self.lines[number]):
                return number
        return None

    def require(self, pattern: str, what: str, start: int = 0) -> int:
        """Return the number of the first line from `start` that matches.

        Raises:
            InputError: None does.
        """
        found = self.find(pattern, start)
        if found is None:
            raise InputError(
                f"{self.source}: {what} is missing; must be a complete report, so "
                "write it again if the run was cut short"
            )
        return found

    def field(self, name: str) -> str:
        """Return a header field, such as "Version" in "* Version: 2020.1".

        Raises:
            InputError: The report lacks it.
        """
        for line in self.lines:
            found = _FIELD.fullmatch(line)
            if found and found[1] == name:
                return found[2]
        raise InputError(
            f"{self.source}: header field {name!r} is missing; must be a complete "
            "report, so write it again if the run was cut short"
        )

    def table(self, start: int) -> list[list[str]]:
        """Return the cells of the first table from line `start`, headings included.

        Blank lines may come first; any other text means that there is no table, and
        the result is empty. Cells keep their leading blanks, which show depth.

        Raises:
            InputError: The table lacks its closing rule.
        """
        rows: list[list[str]] = []
        closed = True
        for line in self.lines[start:]:
            text = line.strip()
            if text.startswith("|") and text.endswith("|"):
                rows.append([cell.rstrip() for cell in text[1:-1].split("|")])
                closed = False
            elif text.startswith("+") and text.endswith("+"):
                closed = True
            elif text.startswith("|"):
                closed = False
                break
            elif text or rows:
                break
        if not closed:
            raise InputError(
                f"{self.source}: the table after line {start} is cut short; must be a "
                "complete report, so write it again"
            )
        return rows


def columns(table: Sequence[Sequence[str]], first: str, source: str) -> dict[str, int]:
    """Return the column of each heading of the row that begins with `first`.

    Raises:
        InputError: No row does.
    """
    for row in table:
        names = [cell.strip() for cell in row]
        if names and names[0] == first:
            return {name: number for number, name in enumerate(names)}
    raise InputError(f"{source}: no table has the heading {first!r}; must have one")


def cell(row: Sequence[str], at: Mapping[str, int], name: str, where: str) -> str:
    """Return the cell of a row below a heading.

    Args:
        row: Of the table.
        at: Of `columns`.
        name: The heading.
        where: The row, for the error.

    Raises:
        InputError: The table has no such heading, or the row ends before it.
    """
    place = at.get(name, len(row))
    if place >= len(row):
        raise InputError(
            f"{where}: no cell below {name!r}; must be a complete report, so write it "
            "again"
        )
    return row[place]
