"""Pages in run directories, and lists of runs, whatever state the runs are in."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from hao.errors import InputError
from hao.page.files import PAGE_FILE, loaded_pair, renew_run_page, write_run_page
from hao.page.listing import list_runs, render_runs, runs_json
from hao.report.hardware import values_json
from hao.runs.design_file import FILE_NAME
from hao.runs.run import write_run
from hao.runs.run_files import QUANTIZATION_FILE
from hao.text import WIDTH
from tests.page.html import read
from tests.report.samples import QUANTIZATION, small_result

RESULT = small_result()


def test_a_page_is_written_and_renewed_with_what_was_found_since(
    tmp_path: Path,
) -> None:
    run = tmp_path / "mine"
    result = write_run(RESULT, run, force=False)
    first = write_run_page(result, run).read_text(encoding="utf-8")
    assert "No integers yet" in first
    record = json.dumps(values_json(QUANTIZATION))
    (run / QUANTIZATION_FILE).write_text(record, encoding="utf-8")
    path = renew_run_page(run)
    assert path == run / PAGE_FILE
    words = read(path.read_text(encoding="utf-8")).words
    assert "97.22 %" in words
    assert "run mine" in words


def test_a_record_that_cannot_be_read_is_named_and_the_rest_shown(
    tmp_path: Path,
) -> None:
    run = tmp_path / "mine"
    write_run(RESULT, run, force=False)
    (run / QUANTIZATION_FILE).write_text('{"network": 3}', encoding="utf-8")
    words = read(renew_run_page(run).read_text(encoding="utf-8")).words
    assert f"left out here: {QUANTIZATION_FILE}" in words


def test_a_design_file_has_no_page(tmp_path: Path) -> None:
    run = tmp_path / "mine"
    write_run(RESULT, run, force=False)
    with pytest.raises(InputError, match="a design file alone; a page needs a run"):
        renew_run_page(run / "design.json")


def test_a_design_file_is_compared_without_what_its_run_measured(
    tmp_path: Path,
) -> None:
    run = tmp_path / "mine"
    write_run(RESULT, run, force=False)
    record = json.dumps(values_json(QUANTIZATION))
    (run / QUANTIZATION_FILE).write_text(record, encoding="utf-8")
    (whole, found), (alone, nothing) = loaded_pair(run, run / FILE_NAME)
    assert (whole.run, alone.run) == (run, None)
    assert (found.quantization is None, nothing.quantization is None) == (False, True)


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    run = tmp_path / "mine"
    write_run(RESULT, run, force=False)
    (run / PAGE_FILE).mkdir()
    with pytest.raises(InputError, match=r"report\.html: cannot be written"):
        renew_run_page(run)


def another_version(run: Path) -> None:
    path = run / "design.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["schema"] = "hao.design/1"
    path.write_text(json.dumps(document), encoding="utf-8")


def test_a_run_of_another_version_is_refused_by_its_page_and_named_in_the_list(
    tmp_path: Path,
) -> None:
    for name in ("old", "new"):
        write_run(RESULT, tmp_path / name, force=False)
    another_version(tmp_path / "old")
    with pytest.raises(InputError, match=r"old: .*hao\.design/1"):
        renew_run_page(tmp_path / "old")
    old, new = sorted(list_runs(tmp_path), key=lambda line: -len(line.problem))
    assert (old.name, new.name, new.problem) == ("old", "new", "")
    assert "hao.design/1" in old.problem
    text = render_runs((old, new), tmp_path)
    assert "old: cannot be read: " in text
    assert text.splitlines()[2].split()[:3] == ["new", "small@16", "zu3eg"]


def test_the_list_says_how_far_each_run_is(tmp_path: Path) -> None:
    write_run(RESULT, tmp_path / "a", force=False)
    write_run(
        replace(RESULT, accuracy=None, float_top1=None), tmp_path / "b", force=False
    )
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "no-run").mkdir()
    record = json.dumps(values_json(QUANTIZATION))
    (tmp_path / "a" / QUANTIZATION_FILE).write_text(record, encoding="utf-8")
    lines = {line.name: line for line in list_runs(tmp_path)}
    assert set(lines) == {"a", "b"}
    assert (lines["a"].top1, lines["a"].measured) == (97.22, True)
    assert lines["a"].done == ("searched", "quantized")
    assert (lines["b"].top1, lines["b"].done) == (None, ("searched",))
    text = render_runs(tuple(lines.values()), tmp_path)
    assert " 97.22  measured  quantized" in text
    listed = json.loads(runs_json(tuple(lines.values())))
    assert [row["run"] for row in listed] == list(lines)


def test_the_newest_run_comes_first(tmp_path: Path) -> None:
    for second, name in enumerate(("b", "c", "a")):
        write_run(RESULT, tmp_path / name, force=False)
        os.utime(tmp_path / name / "design.json", (second, second))
    assert [line.name for line in list_runs(tmp_path)] == ["a", "c", "b"]


def test_an_empty_or_missing_folder_has_no_runs(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "none") == ()
    assert (
        render_runs((), Path("runs")) == "runs: no run in it; `hao search` makes one\n"
    )
    with pytest.raises(InputError, match="a file; runs must lie in a folder"):
        list_runs(Path(__file__))


def test_names_of_runs_stay_on_their_line(tmp_path: Path) -> None:
    write_run(RESULT, tmp_path / "a", force=False)
    (tmp_path / "a").rename(tmp_path / "a\x1b[2J\n")
    text = render_runs(list_runs(tmp_path), tmp_path)
    assert "\x1b" not in text.replace(str(tmp_path), "")
    assert max(len(line) for line in text.splitlines()[:-1]) <= WIDTH
