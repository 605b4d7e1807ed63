"""The boards that ship with hao as a table, and one board with its sources."""

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
        rows.append(
            (
                clipped(plain(board.name), 24),
                clipped(plain(board.device), 16),
                f"{board.clock_mhz:.0f}",
                *map(str, board.usable.as_dict().values()),
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


def render_board(board: Board) -> str:
    """Return all that is known of a board: a table of its blocks, figures, sources."""
    usable, caps = board.usable.as_dict(), board.cap_percent.as_dict()
    rows = [
        (kind, str(count), f"{caps[kind]} %", str(usable[kind]))
        for kind, count in board.resources.as_dict().items()
        if count
    ]
    peak = board.ddr_peak_kbytes_per_s / 1e6
    idle = "not known" if board.idle_mw is None else f"{board.idle_mw / 1000:g} W"
    lines = [
        f"part {board.part}, {board.device}",
        f"clock {board.clock_mhz:g} MHz",
        f"DDR {peak:.2f} GB/s at its peak; reads reach {board.ddr_read_percent} %, "
        f"writes {board.ddr_write_percent} %",
        f"ports {board.ports} of {8 * board.port_bytes} bits, up to "
        f"{board.port_max_khz / 1000:g} MHz",
        f"host {board.host_call_us / 1000:g} ms a frame",
        f"power without a design at work: {idle}",
    ]
    keys: dict[str, list[str]] = {}
    for key, source in board.sources.items():
        keys.setdefault(source, []).append(key)
    said = [f"{', '.join(own)}: {source}" for source, own in keys.items()]
    wrap = textwrap.TextWrapper(WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    text = (wrap.fill(plain(line)) for line in (*lines, "", "Sources", *said))
    table = text_table(("blocks", "device", "cap", "usable"), rows, left={0})
    return f"{plain(board.title)}\n\n{table}\n\n" + "\n".join(text) + "\n"


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
            "sources": dict(board.sources),
        }
        for board in boards
    }
