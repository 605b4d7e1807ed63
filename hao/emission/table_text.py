"""The table of steps as text: C++ whose values bear names of fields, and CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import fields

from hao.emission.records import PARTS, Step, unset


def initializers(step: Step, left: frozenset[tuple[type, str]]) -> list[str]:
    """Return the C++ initializer of each part of a step, its fields by name.

    A part that is all zeros, as that of a process without work, is an empty one.

    Args:
        step: What is written.
        left: Fields that are left out (`unset`).
    """
    texts = []
    parts = fields(step)
    for part in parts:
        record = getattr(step, part.name)
        values = {
            item.name: int(getattr(record, item.name))
            for item in fields(record)
            if (type(record), item.name) not in left
        }
        named = ", ".join(f"/*{name}*/ {value}" for name, value in values.items())
        comma = "" if part is parts[-1] else ","
        texts.append(
            f"{{{named if any(values.values()) else ''}}}{comma}  // {part.name}"
        )
    return texts


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
