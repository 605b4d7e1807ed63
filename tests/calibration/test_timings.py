"""Tables of measured times: what is read, and what is refused in one line."""

from pathlib import Path

import pytest

from hao.calibration.timings import load_timings
from hao.errors import InputError


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "board.csv"
    path.write_text(text)
    return path


def test_rows_are_read_with_their_places(tmp_path: Path) -> None:
    text = (
        "# ours\ndesign,clock_mhz,ms,source\n\nruns/a,200,0.5,timer\nb.json, 100,2,\n"
    )
    first, second = load_timings(table(tmp_path, text))
    assert first.design == tmp_path / "runs/a"
    assert (first.where, first.clock_khz) == ("board.csv line 4", 200_000)
    # 0.5 ms at 200 MHz.
    assert first.cycles == 100_000
    assert (second.clock_khz, second.ms, second.cycles) == (100_000, 2.0, 200_000)


def test_a_rate_is_a_time(tmp_path: Path) -> None:
    (row,) = load_timings(table(tmp_path, "design,clock_mhz,fps\na,214.285,50\n"))
    assert (row.ms, row.clock_khz) == (20.0, 214_285)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows"),
        ("design,clock_mhz,ms\n", "no rows"),
        ("design,ms\na,1\n", r"columns 'design,ms'; must be design,clock_mhz,ms"),
        ("design,clock_mhz,ms,fps\na,1,1,1\n", "columns"),
        ("design,clock_mhz,ms\na,200\n", r"line 2: 2 values; must be 3"),
        ("design,clock_mhz,ms\n ,200,1\n", r"line 2: design is empty"),
        ("design,clock_mhz,ms\na,9,1\n", r"clock_mhz = '9'; must be .* 10 to 1000"),
        ("design,clock_mhz,ms\na,200,-1\n", r"line 2: ms = '-1'; must be a number"),
        ("design,clock_mhz,ms\na,200,nan\n", r"ms = 'nan'"),
        ("design,clock_mhz,fps\na,200,0\n", r"fps = '0'; must be"),
        ("design,clock_mhz,fps\na,200,fast\n", r"fps = 'fast'"),
        ('design,clock_mhz,ms\n"a"b,200,1\n', r"line 2: "),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        load_timings(table(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; must be a CSV file"):
        load_timings(tmp_path / "none.csv")
    path = tmp_path / "board.csv"
    path.write_bytes(b"design\xff")
    with pytest.raises(InputError, match="byte 6 is not UTF-8"):
        load_timings(path)


def test_a_huge_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hao.calibration.timings.MAX_FILE_BYTES", 10)
    with pytest.raises(InputError, match="more than 10 bytes"):
        load_timings(table(tmp_path, "design,clock_mhz,ms\n"))
