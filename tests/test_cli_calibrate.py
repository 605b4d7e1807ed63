"""The command line of calibration, and searches and estimates that use its file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hao.calibration.file import load_calibration
from hao.cli import main
from hao.cost.evaluate import evaluate
from hao.hw.resources import Resources
from hao.runs.design_file import FILE_NAME, load_design
from tests.calibration.synthetic import (
    Truth,
    hierarchy_text,
    synthetic_design,
    true_cycles,
    true_parts,
    utilization_text,
    write_design,
)

TRUTH = Truth(
    lut=dict.fromkeys(("fixed", "dense", "depthwise", "pointwise"), 1.3),
    ff=dict.fromkeys(("fixed", "dense", "depthwise", "pointwise"), 0.8),
    step_cycles=400,
)


@pytest.fixture(autouse=True)
def _in_folder_with_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = ["design,clock_mhz,fps"]
    for number in range(3):
        design = synthetic_design(number)
        run = write_design(design, Path(f"runs/{number}"))
        parts = true_parts(evaluate(design), TRUTH, rng)
        total = sum(parts.values(), Resources())
        (run / "hierarchy.rpt").write_text(hierarchy_text(parts))
        (run / "placed.rpt").write_text(utilization_text(total))
        fps = 1000 * design.board.clock_khz / true_cycles(design, TRUTH, rng)
        lines.append(f"runs/{number},{design.board.clock_mhz},{fps:.6f}")
    Path("board.csv").write_text("\n".join(lines) + "\n")


def hao(*words: str) -> Result:
    return CliRunner().invoke(main, ("--traceback", *words), catch_exceptions=False)


def succeed(*words: str) -> str:
    result = hao(*words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def reports() -> list[str]:
    words: list[str] = []
    for number in range(3):
        run = f"runs/{number}"
        words += [run, f"{run}/hierarchy.rpt", f"{run}/placed.rpt"]
    return words


def calibrated(*words: str) -> str:
    return succeed("calibrate", *reports(), "--timings", "board.csv", *words)


def test_several_runs_are_calibrated_together_and_written() -> None:
    text = calibrated("--out", "zu3eg.json")
    assert "9 reports of 3 designs; constants calibrated by 9 reports" in text
    assert text.endswith("written to zu3eg.json\n")
    constants = load_calibration(Path("zu3eg.json")).calibration
    # Three designs leave 3 / 3.5 of the way to 1.3 and to 0.8.
    for factors in constants.parts.values():
        assert factors.lut == pytest.approx(1000 * 1.3 ** (3 / 3.5), rel=0.01)
        assert factors.ff == pytest.approx(1000 * 0.8 ** (3 / 3.5), rel=0.01)
    assert constants.step_cycles > 200


def test_json_is_what_the_file_says() -> None:
    text = calibrated("--json", "--out", "zu3eg.json")
    assert json.loads(text) == json.loads(Path("zu3eg.json").read_text())


def test_a_file_is_replaced_only_by_force() -> None:
    Path("zu3eg.json").write_text("mine")
    words = ("calibrate", "runs/0", "runs/0/placed.rpt", "--out", "zu3eg.json")
    result = hao(*words)
    assert result.exit_code == 2
    assert result.stderr == "hao: zu3eg.json: exists; --force replaces it\n"
    assert Path("zu3eg.json").read_text() == "mine"
    succeed(*words, "--force")
    assert load_calibration(Path("zu3eg.json")).board == "zu3eg"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to calibrate from"),
        (("board.csv",), "board.csv: no run before it"),
        (("runs/0",), "runs/0: no report after it"),
        (("runs/0", "none.rpt"), "none.rpt: "),
        (("runs", "runs/0/placed.rpt"), "runs: no design.json in it"),
        (("--timings", "none.csv"), "none.csv: no such file"),
    ],
)
def test_wrong_evidence_is_refused_in_one_line(
    words: tuple[str, ...], message: str
) -> None:
    result = hao("calibrate", *words, "--out", "zu3eg.json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"hao: {message}")
    assert result.stderr.count("\n") == 1
    assert not Path("zu3eg.json").exists()


def test_an_estimate_uses_the_constants() -> None:
    calibrated("--out", "zu3eg.json")
    constants = load_calibration(Path("zu3eg.json")).calibration
    shipped = json.loads(succeed("estimate", "runs/1", "--json"))
    words = ("estimate", "runs/1", "--calibration", "zu3eg.json")
    found = json.loads(succeed(*words, "--json"))
    design = load_design(Path("runs/1")).design
    cost = evaluate(replace(design, board=replace(design.board, calibration=constants)))
    assert found["latency_cycles"] == cost.latency_cycles > shipped["latency_cycles"]
    assert found["resources"]["lut"] == cost.resources.lut > shipped["resources"]["lut"]
    assert (shipped["calibration_reports"], found["calibration_reports"]) == (0, 9)
    assert "calibrated by 9 reports" in succeed(*words)
    assert "uncalibrated" in succeed("estimate", "runs/1")


def test_a_search_keeps_its_constants_with_its_design() -> None:
    calibrated("--out", "zu3eg.json")
    constants = load_calibration(Path("zu3eg.json")).calibration
    words = ["search", "--network", "resnet8_cifar", "--objective", "latency"]
    words += ("--bits", "8", "--calibration", "zu3eg.json", "--run", "mine", "--quiet")
    assert "calibrated by 9 reports" in succeed(*words)
    result = load_design(Path("runs/mine"))
    assert result.design.board.calibration == constants
    # Loading compares the record with the price: what was searched is what it costs.
    assert result.cost == evaluate(result.design)
    shipped = replace(result.design, board=load_design(Path("runs/0")).design.board)
    assert evaluate(shipped).latency_cycles < result.cost.latency_cycles
    assert "calibrated by 9 reports" in succeed("report", "runs/mine")
    # Evidence on that design is set beside the shipped constants again.
    parts = evaluate(shipped).parts
    Path("mine.rpt").write_text(hierarchy_text(parts))
    text = succeed("calibrate", "runs/mine", "mine.rpt", "--json")
    figures = json.loads(text)["figures"]
    assert {f["shipped"] - f["reported"] for f in figures} == {0}


def test_constants_of_another_board_are_refused() -> None:
    calibrated("--out", "zu3eg.json")
    words = ["search", "--board", "kv260", "--network", "resnet8_cifar"]
    words += ("--objective", "latency", "--calibration", "zu3eg.json", "--no-run")
    result = hao(*words)
    assert result.exit_code == 2
    assert "zu3eg.json: for board 'zu3eg'" in result.stderr


def test_a_design_with_spoiled_constants_is_refused() -> None:
    path = Path("runs/0") / FILE_NAME
    document = json.loads(path.read_text())
    document["board"]["calibration"]["step_cycles"] = 10**6
    path.write_text(json.dumps(document))
    result = hao("estimate", "runs/0")
    assert result.exit_code == 2
    assert "step_cycles = 1000000; must be from -100 to 10000" in result.stderr
    assert "Traceback" not in result.stderr
