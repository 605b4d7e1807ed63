"""New board files: what is written is read back, and nonsense is refused."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from hao.errors import InputError
from hao.hw.board_file import load_board
from hao.hw.device import device_of
from hao.hw.new_board import NewBoard, render_board_file, write_board_file

BOARD = NewBoard(name="mine", part="xczu3eg-sfvc784-1-e", ddr="DDR4-2400x32")


def test_a_written_file_is_the_board(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    write_board_file(replace(BOARD, clock_mhz=187.5), path)
    board = load_board(str(path))
    assert (board.name, board.part) == (BOARD.name, BOARD.part)
    assert board.title == "mine (Zynq UltraScale+ XCZU3EG)"
    assert board.resources == device_of(BOARD.part).resources
    assert board.clock_khz == 187_500
    # 2400 million transfers of 4 bytes a second.
    assert board.ddr_peak_kbytes_per_s == 9_600_000
    assert (board.ddr_read_percent, board.ddr_write_percent) == (60, 60)


@pytest.mark.parametrize(
    ("part", "khz"),
    [
        ("xc7z010clg400-1", 100_000),
        ("xc7z030fbg484-2", 166_666),
        ("xczu5ev-sfvc784-1-e", 214_285),
    ],
)
def test_the_clock_that_is_taken_where_none_is_given(
    part: str, khz: int, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    write_board_file(replace(BOARD, part=part, ddr="ddr3l-1066.667X16"), path)
    board = load_board(str(path))
    assert board.clock_khz == khz
    assert "analogy" in board.sources["clock.khz"]
    assert board.ddr_peak_kbytes_per_s == 2_133_334


def test_a_title_may_hold_quotes(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    title = 'the "big" \\ Ünit'
    write_board_file(replace(BOARD, title=title), path)
    assert load_board(str(path)).title == title


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"name": "My Board"},
            r"^`name` = 'My Board'; must be a name of at most 40 ",
        ),
        ({"part": "zu3eg"}, r"^`part` = 'zu3eg'; must be a part number of Zynq-7000"),
        ({"part": "xczu8eg-sfvc784-1-e"}, r"the device XCZU8EG is not in the table"),
        ({"ddr": "DDR4"}, r"^`ddr` = 'DDR4'; must be type, million transfers a second"),
        (
            {"ddr": "DDR9-2400x64"},
            r"^`ddr` = 'DDR9-2400x64'; must be .*, LPDDR4 and 1",
        ),
        ({"ddr": "DDR4-2400x48"}, r"^`ddr` = 'DDR4-2400x48'; must be type, million"),
        ({"clock_mhz": 400}, r"^mine.toml: board 'mine': a clock of 400 MHz; must be"),
        ({"title": "a\nb"}, r"^'a\\nb': must be printable characters alone"),
        ({"title": "x" * 201}, r"^mine.toml: title = 'x+...x+'; must be a text of 1"),
    ],
)
def test_nonsense_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        render_board_file(replace(BOARD, **change))  # type: ignore[arg-type]


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_replaced_only_if_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.toml"
    write_board_file(BOARD, path)
    with pytest.raises(InputError, match=r"mine\.toml: exists; `force` replaces it$"):
        write_board_file(BOARD, path)
    write_board_file(replace(BOARD, clock_mhz=100), path, force=True)
    assert load_board(str(path)).clock_khz == 100_000
    # One that cannot be replaced is still there, whole.
    before = path.read_bytes()
    monkeypatch.setattr(Path, "replace", _no_space)
    with pytest.raises(InputError, match=r"cannot be written \(No space left"):
        write_board_file(BOARD, path, force=True)
    assert path.read_bytes() == before


def test_a_file_that_no_command_would_take_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.txt: must end in \.toml, as"):
        write_board_file(BOARD, tmp_path / "mine.txt")
    with pytest.raises(InputError, match=r"a\.toml: cannot be written \(No such file"):
        write_board_file(BOARD, tmp_path / "nowhere" / "a.toml")
    assert list(tmp_path.iterdir()) == []
