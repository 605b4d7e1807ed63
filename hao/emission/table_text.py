"""The table of steps as text: C++ whose values bear names of fields, and CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields

from hao.cost.bram import uses_lutram
from hao.emission.records import PARTS, STRUCTS, Step, unset


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRows:
    """The rows of one part of all steps, as C++.

    Steps of one layer mostly differ in addresses alone, so a part has few rows; each is
    written once, and every step says which it takes. A part with more rows than a
    memory of LUTs holds, or with as many as there are steps, has a row for every step.

    Attributes:
        name: Of the part.
        array: Of the constant that holds the rows.
        kind: C++ struct of a row.
        rows: Initializers.
        places: Row of every step; empty where each has its own.
    """

    name: str
    array: str
    kind: str
    rows: tuple[str, ...]
    places: tuple[int, ...]

    @property
    def shared(self) -> bool:
        """Return whether a step has to say which of several rows it takes."""
        return bool(self.places) and len(self.rows) > 1

    @property
    def index(self) -> str:
        """Return what stands between brackets behind `array`, for step s."""
        if not self.places:
            return "s"
        return f"place.{self.name}" if self.shared else "0"


def part_rows(
    steps: Sequence[Step], left: frozenset[tuple[type, str]]
) -> tuple[PartRows, ...]:
    """Return the rows of every part.

    Args:
        steps: All of them.
        left: Fields that are left out (`unset`).
    """
    found = []
    for part in fields(Step):
        texts = [initializer(step, part.name, left) for step in steps]
        rows = tuple(dict.fromkeys(texts))
        place = {text: number for number, text in enumerate(rows)}
        short = bool(uses_lutram(len(rows))) and len(rows) < max(2, len(steps))
        words = part.name.split("_")
        found.append(
            PartRows(
                name=part.name,
                array=f"k{''.join(word.title() for word in words)}Rows",
                kind=STRUCTS[PARTS[part.name]],
                rows=rows if short else tuple(texts),
                places=tuple(place[text] for text in texts) if short else (),
            )
        )
    return tuple(found)


def initializer(step: Step, name: str, left: frozenset[tuple[type, str]]) -> str:
    """Return the C++ initializer of a part of a step, its fields by name.

    One that is all zeros, as that of a process without work, is an empty one.

    Args:
        step: What is written.
        name: Of the part.
        left: Fields that are left out (`unset`).
    """
    record = getattr(step, name)
    values = {
        item.name: int(getattr(record, item.name))
        for item in fields(record)
        if (type(record), item.name) not in left
    }
    named = ", ".join(f"/*{name}*/ {value}" for name, value in values.items())
    return f"{{{named if any(values.values()) else ''}}}"


def render_table(titles: Sequence[str], steps: Sequence[Step]) -> str:
    """Return the steps as CSV: a row each, a column `part.field` for every field."""
    left = unset(steps)
    columns = [
        (part.name, item.name)
        for part in fields(Step)
        for item in fields(PARTS[part.name])
        if (PARTS[part.name], item.name) not in left
    ]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["step", "title", *(f"{part}.{name}" for part, name in columns)])
    for number, (title, step) in enumerate(zip(titles, steps, strict=True)):
        values = [int(getattr(getattr(step, part), name)) for part, name in columns]
        writer.writerow([number, title, *values])
    return stream.getvalue()
