"""Run directories: whole or not at all, never over something else, names that stay."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import pytest

from hao.errors import InputError
from hao.files import held
from hao.runs.design_file import load_design
from hao.runs.run import (
    check_run_name,
    check_target,
    chosen_run,
    default_run_name,
    load_run,
    newest_run,
    render_front_csv,
    write_run,
)
from tests.report.samples import point, small_result

RESULT = small_result(front=False)
OTHER = replace(RESULT, fps_asked=33.0)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_run_reopens_as_the_result_that_was_returned(tmp_path: Path) -> None:
    result = write_run(RESULT, tmp_path / "runs" / "a", force=False)
    assert result.run == tmp_path / "runs" / "a"
    assert load_design(tmp_path / "runs" / "a") == result
    assert load_design(tmp_path / "runs" / "a" / "design.json") == result
    assert names(tmp_path / "runs") == ["a"]
    assert names(tmp_path / "runs" / "a") == ["design.json", "report.txt"]


def test_a_run_with_a_front_holds_its_table_and_pictures(tmp_path: Path) -> None:
    result = write_run(small_result(), tmp_path / "a", force=False)
    assert names(tmp_path / "a") == [
        *("design.json", "front.csv", "front.png", "report.txt", "stages.png"),
    ]
    assert result.run is not None
    with (result.run / "front.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["network"] for row in rows] == ["small@16", "tiny@16"]
    assert float(rows[1]["top1_low"]) == 64.5
    assert [row["power_w"] for row in rows] == ["5.000", "5.000"]
    fps = RESULT.cost.fps
    assert float(rows[1]["fps_per_watt"]) == pytest.approx(2 * fps / 5, abs=1e-4)
    report = (result.run / "report.txt").read_text()
    assert "tiny@16" in report


def test_further_designs_come_back_each_from_its_own_folder(tmp_path: Path) -> None:
    third = replace(RESULT, fps_asked=44.0)
    result = write_run(
        replace(RESULT, others=(OTHER, third)), tmp_path / "a", force=False
    )
    assert load_run(tmp_path / "a") == result
    for number, fps in ((2, 33.0), (3, 44.0)):
        folder = tmp_path / "a" / f"best-{number}"
        assert load_design(folder).fps_asked == fps
        assert names(folder) == ["design.json", "report.txt"]
    assert load_run(tmp_path / "a" / "design.json").others == ()


def test_two_runs_of_one_result_hold_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(small_result(), tmp_path / name, force=False)
    for name in names(tmp_path / "a"):
        one, other = tmp_path / "a" / name, tmp_path / "b" / name
        assert one.read_bytes() == other.read_bytes()


def test_csv_leaves_empty_what_is_unknown() -> None:
    unknown = replace(point(40, None), power_mw=None)
    line = render_front_csv([unknown]).splitlines()[1]
    assert (
        line
        == "small@16,40.0000,25.000000,,,,0.250000,5.5000,optimal,,,-0.2500,ptq,family"
    )


def test_a_run_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    write_run(RESULT, tmp_path / "a", force=False)
    with pytest.raises(InputError, match=r"a: exists; must be a new directory, or"):
        write_run(OTHER, tmp_path / "a", force=False)
    assert load_design(tmp_path / "a").fps_asked == 50
    write_run(OTHER, tmp_path / "a", force=True)
    assert load_design(tmp_path / "a").fps_asked == 33
    assert names(tmp_path) == ["a"]


def test_force_replaces_nothing_but_runs(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years")
    (tmp_path / "file").write_text("x")
    write_run(RESULT, tmp_path / "real", force=False)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("mine", "file", "link", "dangling"):
        with pytest.raises(InputError, match=r"not a run directory"):
            write_run(RESULT, tmp_path / name, force=True)
    assert (folder / "thesis.txt").read_text() == "years"
    assert (tmp_path / "file").read_text() == "x"
    assert load_design(tmp_path / "real").fps_asked == 50


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_an_interruption_while_writing_leaves_nothing(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(RESULT, tmp_path / "old", force=False)
    written = []
    real = Path.write_text

    def fail_at_second(self: Path, text: str, **options: str) -> int:
        written.append(self.name)
        if len(written) == 2:
            raise error
        return real(self, text, encoding="utf-8")

    monkeypatch.setattr(Path, "write_text", fail_at_second)
    for name, force in (("new", False), ("old", True)):
        written.clear()
        with pytest.raises((InputError, KeyboardInterrupt)):
            write_run(OTHER, tmp_path / name, force=force)
        assert len(written) == 2
    assert names(tmp_path) == ["old"]
    assert load_design(tmp_path / "old").fps_asked == 50


def test_an_interruption_while_replacing_brings_the_old_run_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(RESULT, tmp_path / "a", force=False)
    real = Path.rename

    def fail_on_new(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return real(self, target)

    # Where folders cannot change places in one step, the old one moves away first.
    monkeypatch.setattr("hao.files._exchange", lambda first, second: False)
    monkeypatch.setattr(Path, "rename", fail_on_new)
    with pytest.raises(KeyboardInterrupt):
        write_run(OTHER, tmp_path / "a", force=True)
    assert names(tmp_path) == ["a"]
    assert load_design(tmp_path / "a").fps_asked == 50


def test_a_run_that_appears_meanwhile_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.write_text

    def race(self: Path, text: str, **options: str) -> int:
        (tmp_path / "a").mkdir(exist_ok=True)
        real(tmp_path / "a" / "theirs", "x")
        return real(self, text, encoding="utf-8")

    monkeypatch.setattr(Path, "write_text", race)
    with pytest.raises(InputError, match=r"a: exists"):
        write_run(RESULT, tmp_path / "a", force=False)
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["theirs"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file/a: cannot be written"):
        write_run(RESULT, tmp_path / "file" / "a", force=False, or_next=True)


@pytest.mark.parametrize("name", ["a", "zu3eg-50fps-all", "A_1.b-c", "x" * 100, "_"])
def test_plain_names_are_taken(name: str) -> None:
    check_run_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".hidden", "-rf", "a/b", "a\\b", "/etc", "a..b", "a b", "a\n"),
        *("x" * 101, "\u00e9", "a\x00", "~", "C:", "$(x)", "\x1b[2J"),
    ],
)
def test_names_that_might_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"run name .*; must be 1 to 100 letters"):
        check_run_name(name)


def test_default_names_say_what_was_asked(tmp_path: Path) -> None:
    assert default_run_name(tmp_path, board="zu3eg", fps=50.0) == "zu3eg-50fps-all"
    name = default_run_name(tmp_path, board="zu3eg", fps=62.5, network="resnet18")
    assert name == "zu3eg-62.5fps-resnet18"
    assert default_run_name(tmp_path, board="b", min_top1=70) == "b-70top1-all"
    assert default_run_name(tmp_path / "none", board="b") == "b-fastest-all"


def test_default_names_count_on(tmp_path: Path) -> None:
    for expected in ("zu3eg-50fps-all", "zu3eg-50fps-all-2", "zu3eg-50fps-all-3"):
        assert default_run_name(tmp_path, board="zu3eg", fps=50) == expected
        (tmp_path / expected).mkdir()


@pytest.mark.parametrize(
    "text",
    [
        "../../etc/passwd",
        "/a/b.onnx",
        "..",
        "",
        "-x",
        "a\nb",
        "\u00e9t\u00e9",
        "y" * 999,
    ],
)
def test_default_names_are_plain_whatever_the_files_are_called(
    text: str, tmp_path: Path
) -> None:
    check_run_name(default_run_name(tmp_path, board=text, fps=1e-9, network=text))


def test_a_board_file_gives_its_stem(tmp_path: Path) -> None:
    name = default_run_name(tmp_path, board="../my boards/new one.toml", fps=5)
    assert name == "new_one-5fps-all"


def test_the_newest_run_is_the_one_written_last(tmp_path: Path) -> None:
    for index, name in enumerate(("b", "c", "a", ".hao-x")):
        write_run(RESULT, tmp_path / name, force=False)
        os.utime(tmp_path / name / "design.json", ns=(0, index))
    (tmp_path / "zzz").mkdir()
    assert newest_run(tmp_path) == tmp_path / "a"


def test_no_run_at_all_is_an_error(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=r"no run in it; `hao search` makes one"):
            newest_run(folder)


def test_the_newest_run_passes_over_what_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(RESULT, tmp_path / "a", force=False)
    (tmp_path / "secret").mkdir()
    real = Path.stat

    def forbid(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if self.parent.name == "secret":
            raise PermissionError(13, "Permission denied")
        return real(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", forbid)
    assert newest_run(tmp_path) == tmp_path / "a"
    (tmp_path / "a").rename(tmp_path / ".a")
    with pytest.raises(InputError, match=r"no run in it; .*secret may not be read"):
        newest_run(tmp_path)


def test_a_run_of_a_search_that_was_overtaken_gets_the_next_name(
    tmp_path: Path,
) -> None:
    write_run(OTHER, tmp_path / "a", force=False)
    for name in ("a-2", "a-3"):
        late = write_run(RESULT, tmp_path / "a", force=False, or_next=True)
        assert late.run == tmp_path / name
        assert load_design(tmp_path / name) == late
    assert load_design(tmp_path / "a").fps_asked == 33


def test_a_run_that_another_command_holds_is_not_replaced(tmp_path: Path) -> None:
    write_run(OTHER, tmp_path / "a", force=False)
    with held(tmp_path / "a"):
        with pytest.raises(InputError, match=r"a: another hao command is working in"):
            check_target(tmp_path / "a", force=True)
        late = write_run(RESULT, tmp_path / "a", force=True, or_next=True)
    assert late.run == tmp_path / "a-2"
    assert load_design(tmp_path / "a").fps_asked == 33


def test_a_file_in_the_place_of_the_folder_of_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    for runs in (tmp_path / "a", tmp_path / "a" / "b"):
        for reach in (newest_run, lambda r: check_target(r / "c", force=False)):
            with pytest.raises(InputError, match=r"a: a file; runs must lie in a fold"):
                reach(runs)


def test_a_run_that_is_named_is_recovered_first(tmp_path: Path) -> None:
    write_run(RESULT, tmp_path / "a", force=False)
    work = tmp_path / ".hao-a-abcdefgh"
    (work / "new").mkdir(parents=True)
    (tmp_path / "a").rename(work / "old")
    assert chosen_run(tmp_path / "a", tmp_path) == tmp_path / "a"
    assert load_design(tmp_path / "a").fps_asked == 50
    assert chosen_run(None, tmp_path) == tmp_path / "a"
    assert names(tmp_path) == ["a"]
    (work / "new").mkdir(parents=True)
    (tmp_path / "a").rename(work / "old")
    assert chosen_run(Path("a"), tmp_path) == tmp_path / "a"
    assert chosen_run(Path("b"), tmp_path) == Path("b")
