"""The rows of CSV files that people write, with the numbers of their lines."""

import csv
from collections.abc import Iterator
from pathlib import Path

from hao.errors import InputError
from hao.files import read_text


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file that are not empty, with the numbers of their lines.

    Raises:
        InputError: As `read_text`, or a row is malformed.
    """
    reader = csv.reader(read_text(path).splitlines(), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: {error}; must be a CSV file"
        ) from error
