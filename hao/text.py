"""Names from files as text that a terminal, a table or a picture can show."""

from collections.abc import Sequence
from math import floor, log10

WIDTH = 100
"""Most columns of a text, if names do not need more (chosen here)."""

_LEAST = 24
"""Columns that a name keeps in the widest table (chosen here)."""


def plain(text: str) -> str:
    """Return a name with control characters replaced, so that it stays on its line.

    Names of layers come from model files and may hold anything, such as escape
    sequences of a terminal.
    """
    return "".join(char if char.isprintable() else "?" for char in text)


def decimal(value: float) -> str:
    """Return a figure with two places, or as many as its first two digits need.

    Args:
        value: At least 0.
    """
    places = 2 if value <= 0 else max(2, 1 - floor(log10(value)))
    return f"{value:.{places}f}"


def clipped(text: str, most: int) -> str:
    """Return a name of at most `most` characters, the middle left out if longer.

    Args:
        text: Any length.
        most: At least 4.
    """
    if len(text) <= most:
        return text
    tail = (most - 2) // 2
    return f"{text[: most - 2 - tail]}..{text[len(text) - tail :]}"


def text_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, left: set[int]
) -> str:
    """Return rows under their heads, columns two blanks apart or, if wide, one.

    The first column gives way where the others need its room, down to `_LEAST`.
    """
    widths = [
        max(len(row[column]) for row in (head, *rows)) for column in range(len(head))
    ]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= WIDTH else " "
    room = WIDTH - sum(widths[1:]) - len(gap) * (len(widths) - 1)
    widths[0] = min(widths[0], max(len(head[0]), _LEAST, room))
    rows = [[clipped(row[0], widths[0]), *row[1:]] for row in rows]
    lines = [
        gap.join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)
