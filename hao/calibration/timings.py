"""Times measured on a board, as a table with one frame time or rate a row.

    design,clock_mhz,ms,source
    runs/digits,214.285,0.412,"engine timer, mean of 1000 frames"

`design` is a run directory or design file, relative to the table. Instead of `ms`
[milliseconds a frame] the table may have `fps` [frames per second]; `source` may be
absent. Lines that begin with "#" are skipped. What is wanted is the time of the engine
for one frame after the other, from start to interrupt: what the host does besides is
not in the model and would be taken for the engine's.
"""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from hao.errors import InputError
from hao.files import read_named

MAX_FILE_BYTES = 10_000_000
"""Largest table that is read [bytes] (chosen here)."""

CLOCK_MHZ = (10.0, 1000.0)
"""Clocks that a board may have run at [MHz]; those of `hao search --clock`."""

MS = (1e-4, 1e6)
"""Times of a frame [ms] (chosen here)."""

_SHAPES = tuple(
    ("design", "clock_mhz", value, *rest)
    for value in ("ms", "fps")
    for rest in ((), ("source",))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One row.

    Attributes:
        design: Run directory or design file.
        where: File name and line, such as "board.csv line 2".
        clock_khz: Clock [kHz].
        ms: Time of one frame [ms].
    """

    design: Path
    where: str
    clock_khz: int
    ms: float

    @property
    def cycles(self) -> int:
        """Return the cycles of a frame, at least 1."""
        return max(1, round(self.ms * self.clock_khz))


def load_timings(path: Path) -> tuple[Timing, ...]:
    """Return the rows of a table.

    Raises:
        InputError: The file cannot be read, has other columns, no rows, or a value
            that is no number or out of range. One line: file, line, value, limit.
    """
    reader = csv.reader(io.StringIO(_read(path), newline=""), strict=True)
    header: tuple[str, ...] | None = None
    found: list[Timing] = []
    try:
        for cells in reader:
            if not cells or cells[0].lstrip().startswith("#"):
                continue
            if header is None:
                header = tuple(cell.strip() for cell in cells)
                _check_header(path, header)
                continue
            found.append(_row(path, reader.line_num, header, cells))
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: {error}") from error
    if header is None or not found:
        raise InputError(f"{path}: no rows; must have a header and one row at least")
    return tuple(found)


def _read(path: Path) -> str:
    content = read_named(path, "a CSV file", MAX_FILE_BYTES)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8; must be a CSV file in UTF-8"
        ) from error


def _check_header(path: Path, header: tuple[str, ...]) -> None:
    if header not in _SHAPES:
        raise InputError(
            f"{path}: columns {','.join(header)[:80]!r}; must be design,clock_mhz,ms "
            "or design,clock_mhz,fps, and then source if wanted"
        )


def _row(path: Path, line: int, header: tuple[str, ...], cells: list[str]) -> Timing:
    where = f"{path} line {line}"
    if len(cells) != len(header):
        raise InputError(f"{where}: {len(cells)} values; must be {len(header)}")
    values = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    if not values["design"]:
        raise InputError(
            f"{where}: design is empty; must be a run directory or a design file"
        )
    clock = _number(where, "clock_mhz", values["clock_mhz"], CLOCK_MHZ)
    if "ms" in values:
        ms = _number(where, "ms", values["ms"], MS)
    else:
        rates = (1000 / MS[1], 1000 / MS[0])
        ms = 1000 / _number(where, "fps", values["fps"], rates)
    return Timing(
        design=path.parent / values["design"],
        where=f"{path.name} line {line}",
        clock_khz=round(1000 * clock),
        ms=ms,
    )


def _number(where: str, name: str, text: str, limits: tuple[float, float]) -> float:
    low, high = limits
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InputError(
            f"{where}: {name} = {text[:40]!r}; must be a number from {low:g} to "
            f"{high:g}"
        )
    return value
