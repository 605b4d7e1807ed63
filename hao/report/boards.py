"""The boards that ship with hao, as a table."""

import textwrap
from collections.abc import Iterable, Mapping

from hao.hw.board import Board
from hao.text import WIDTH, clipped, plain, text_table


def render_boards(boards: Iterable[Board], aliases: Mapping[str, str]) -> str:
    """Return a table of boards: device, clock and what designs may use of it.

    Args:
        boards: In the order of the table.
        aliases: Names of boards by their other names.
    """
    head = ("board", "device", "MHz", "DSP", "BRAM18", "URAM", "LUT", "FF", "GB/s")
    rows = []
    for board in boards:
        usable = board.usable
        rows.append(
            (
                clipped(plain(board.name), 24),
                clipped(plain(board.device), 16),
                f"{board.clock_mhz:.0f}",
                str(usable.dsp),
                str(usable.bram_18k),
                str(usable.uram),
                str(usable.lut),
                str(usable.ff),
                f"{board.ddr_kbytes_per_s / 1e6:.1f}",
            )
        )
    others = ", ".join(f"{alias} ({name})" for alias, name in sorted(aliases.items()))
    notes = (
        "Resources that designs may use, at the board's caps; DDR bandwidth that they "
        "reach.",
        f"Other names: {others or 'none'}.",
        "Another board: `hao boards new NAME --part PART --ddr DDR` writes its file.",
    )
    text = "\n".join(textwrap.fill(note, WIDTH) for note in notes)
    return f"{text_table(head, rows, left={0, 1})}\n\n{text}\n"


def boards_json(
    boards: Iterable[Board], aliases: Mapping[str, str]
) -> dict[str, object]:
    """Return the figures of boards as JSON values, by name.

    Args:
        boards: In any order.
        aliases: Names of boards by their other names.
    """
    return {
        board.name: {
            "title": board.title,
            "aliases": sorted(a for a, name in aliases.items() if name == board.name),
            "part": board.part,
            "clock_mhz": board.clock_mhz,
            "usable": board.usable.as_dict(),
            "device": board.resources.as_dict(),
            "ddr_gbytes_per_s": board.ddr_kbytes_per_s / 1e6,
        }
        for board in boards
    }
