"""Strict reading of CSV files."""

from pathlib import Path

import pytest

from benchmarks.accuracy_fit.measured import WeightMethod
from hao.accuracy.records import Record, read_records
from hao.errors import InputError


def _record(text: str) -> Record:
    return Record(path=Path("t.csv"), line=7, cells={"c": text})


def test_a_number_outside_its_range_names_file_line_column_and_range() -> None:
    with pytest.raises(InputError, match=r"t\.csv:7: c = '9'; must be a number from 1"):
        _record("9").number("c", low=1, high=8)


@pytest.mark.parametrize("text", ["", "four", "nan"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"t\.csv:7: c = "):
        _record(text).number("c", low=1, high=8)


def test_an_empty_cell_is_none_only_where_it_may_be() -> None:
    assert _record("").optional_number("c", low=1, high=8) is None
    assert _record("").optional_flag("c") is None
    with pytest.raises(InputError, match="must be given"):
        _record("").text("c")


def test_a_fraction_is_no_integer() -> None:
    with pytest.raises(InputError, match="must be a whole number"):
        _record("2.5").integer("c", low=1, high=8)


def test_a_flag_is_spelled_true_or_false() -> None:
    assert _record("True").flag("c")
    assert not _record("False").flag("c")
    with pytest.raises(InputError, match="must be True or False"):
        _record("yes").flag("c")


def test_an_unknown_member_is_refused_with_the_known_ones() -> None:
    assert _record("QAT").member("c", WeightMethod) is WeightMethod.QAT
    with pytest.raises(InputError, match="must be one of 'PTQ', 'QAT'"):
        _record("magic").member("c", WeightMethod)


def test_a_file_without_a_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"t\.csv:1: lacks the column 'c'"):
        list(read_records(path, ("a", "c")))


@pytest.mark.parametrize("line", ["1", "1,2,3"])
def test_a_line_of_another_length_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"a,b\n1,2\n{line}\n")
    with pytest.raises(InputError, match=r"t\.csv:3: must have 2 cells"):
        list(read_records(path, ("a",)))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        list(read_records(tmp_path / "none.csv", ()))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,b\n\xff,2\n", "not UTF-8; convert it"),
        (b'a,b\n"1" 1,2\n', r"line 2: .* must be a CSV file"),
        (b'a,b\n1,"2\n', r"line 2: .* must be a CSV file"),
        (b"a,b\n1," + b"2" * 200_000, r"line 2: .* must be a CSV file"),
    ],
)
def test_what_is_no_csv_file_is_refused(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"t\.csv.*{reason}"):
        list(read_records(path, ("a",)))


def test_the_mark_that_spreadsheets_write_first_is_no_part_of_a_name(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n\r\n1, 2\r\n")
    (record,) = read_records(path, ("a",))
    assert (record.line, record.cells) == (3, {"a": "1", "b": "2"})
