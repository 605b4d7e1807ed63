"""The table of boards: a line for each, within the width, safe to print."""

from dataclasses import replace

from hao.hw.board_file import board_aliases, board_names, load_board
from hao.report.boards import render_board, render_boards
from hao.text import WIDTH

BOARDS = [load_board(name) for name in board_names()]


def test_every_board_has_a_line_and_every_alias_is_named() -> None:
    text = render_boards(BOARDS, board_aliases())
    table, _, notes = text.partition("\n\n")
    assert [line.split()[0] for line in table.splitlines()[2:]] == list(board_names())
    assert "ultra96-v2 (zu3eg)" in " ".join(notes.split())
    assert max(len(line) for line in text.splitlines()) <= WIDTH


def test_the_row_of_a_board_has_its_usable_resources() -> None:
    # 79 % of 70,560 LUT = 55,742.4; 97 % of 432 BRAM18 = 419.04; 92 % of 4.27 GB/s
    (row,) = render_boards([load_board("zu3eg")], {}).splitlines()[2:3]
    assert row.split() == [
        *("zu3eg", "XCZU3EG", "214", "360", "419", "0", "55742", "70560", "2.6"),
    ]


def test_control_characters_never_reach_the_terminal() -> None:
    board = replace(BOARDS[0], name="\x1b[2J", device="\r\x07" * 40)
    assert render_boards([board], {}).replace("\n", "").isprintable()


def test_a_board_is_shown_with_caps_and_the_source_of_each_figure() -> None:
    for board in BOARDS:
        text = render_board(board)
        assert max(len(line) for line in text.splitlines()) <= WIDTH
        said = " ".join(text.split())
        for key, source in board.sources.items():
            assert key in said
            assert " ".join(source.split()) in said
    text = render_board(load_board("zu3eg"))
    assert ["lut", "70560", "79", "%", "55742"] in [s.split() for s in text.split("\n")]
    assert "uram " not in text
    odd = replace(BOARDS[0], title="\x1b[2J", sources={"part": "\x07"})
    assert render_board(odd).replace("\n", "").isprintable()
