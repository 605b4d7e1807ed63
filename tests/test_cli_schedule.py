"""The command `hao schedule`, and the schedule as a part of `hao lint`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hao.cli import main
from hao.errors import ToolError
from hao.hls import compiler
from hao.schedule.project import SCRIPT
from hao.schedule.recurrence import IntervalVerdict
from hao.schedule.text import (
    clock_met_mhz,
    has_faults,
    limiting_loop,
    render_lint_schedule,
)
from hao.steps.reports import lint_schedule, schedule_run
from tests.schedule.projects import analyse, loop_of, write_project

SLOW = loop_of("sum = sum * 3 + in.read(); out.write(sum / n);", before="int sum = 0;")
CALM = loop_of("out.write(in.read() + 1);")


def hao(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_project_folder_is_analysed(tmp_path: Path) -> None:
    write_project(tmp_path, SLOW)
    result = hao("schedule", tmp_path)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "part         xczu3eg-sbva484-1-i; delays of zynquplus-1"
    assert "budget       3.65 ns: Vitis HLS, 27 % uncertainty" in lines
    row, area = [line for line in lines if line.startswith("top ")]
    assert len(area.split()) == 5
    assert row.split()[:2] == ["top", "top.cpp:6"]
    assert "II >= 2" in row
    assert "top.cpp:6: schedule-divider: loop 6 of top: 1 divisions" in result.stdout
    assert "multiply of 32 bits (top.cpp:" in result.stdout


def test_the_clock_that_all_loops_meet_and_the_loop_that_is_the_limit(
    tmp_path: Path,
) -> None:
    write_project(tmp_path, SLOW)
    report = schedule_run(tmp_path)
    limit = limiting_loop(report)
    assert limit is not None
    vitis = report.settings[0]
    met = clock_met_mhz(limit, vitis)
    said = f"II 1 up to   {met:.1f} MHz: Vitis HLS; the limit is top, top.cpp:6"
    assert said in repr(report).splitlines()
    # Just below that clock the recurrence surely fits a cycle, just above it may not.
    for share, fits in ((0.99, True), (1.01, False)):
        other = schedule_run(tmp_path, clock_mhz=share * met)
        recurrence = other.loops[0].recurrences[0]
        assert (recurrence.verdict(1) is IntervalVerdict.FITS) is fits


def test_clock_and_uncertainty_are_taken(tmp_path: Path) -> None:
    write_project(tmp_path, SLOW)
    result = hao(
        "schedule", tmp_path, "--clock", "100", "--uncertainty", "10", "--json"
    )
    found = json.loads(result.stdout)
    assert found["clock_ns"] == pytest.approx(10)
    assert found["settings"] == [
        {
            "title": "as given",
            "uncertainty": 0.1,
            "budget_ns": pytest.approx(9),
            "clock_met_mhz": pytest.approx(159.76, abs=0.01),
        }
    ]
    (loop,) = found["loops"]
    # A product of 3.88 ns and an adder of 1.19 ns.
    assert loop["least_period_ns"] == pytest.approx(5.07)
    assert loop["recurrence"][0]["verdict"] == "II 1"
    assert (loop["port_ii"], loop["dividers"]) == (1, 1)
    assert {item["rule"] for item in found["findings"]} == {"schedule-divider"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("set_part", "no set_part"),
        ("create_clock", "no create_clock -period; give --clock"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    tmp_path: Path, change: str, message: str
) -> None:
    write_project(tmp_path, CALM)
    script = tmp_path / "run_hls.tcl"
    script.write_text(script.read_text().replace(change, "puts"))
    result = hao("schedule", tmp_path)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_lint_takes_a_project_folder_and_both_miss_its_script(
    tmp_path: Path,
) -> None:
    trips = "#pragma HLS LOOP_TRIPCOUNT max=8"
    calm = loop_of("out.write(in.read() + 1);", pragmas=trips)
    project = write_project(tmp_path, calm)
    linted = hao("lint", project)
    assert linted.exit_code == 0
    assert linted.stdout.endswith("schedule: 0 findings\n")
    (project / SCRIPT).unlink()
    for command in ("lint", "schedule"):
        result = hao(command, project)
        assert result.exit_code == 2
        assert result.stderr == (
            f"hao: {project}: no {SCRIPT} in it; give a run or a project folder\n"
        )


def test_without_a_clang_it_exits_with_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path, CALM)
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(compiler, "find_spec", lambda _: None)
    result = hao("schedule", tmp_path)
    assert result.exit_code == 5
    assert "`apt install clang-16` or `pip install ziglang` brings one" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    # The lint goes on without it.
    reason = lint_schedule(tmp_path)
    assert isinstance(reason, str)
    assert render_lint_schedule(reason).startswith("schedule: not analysed: no clang")
    assert not has_faults(reason)


def test_faults_are_told_from_what_only_costs(tmp_path: Path) -> None:
    assert has_faults(analyse(tmp_path, SLOW).findings)
    shifts = loop_of(
        "ap_uint<128> w = in.read(); w = w << (i & 127); out.write(w.range(99, 90));"
    )
    report = analyse(tmp_path, shifts)
    assert [item.rule for item in report.findings] == ["schedule-shifter"]
    assert not has_faults(report.findings)
    assert render_lint_schedule(report.findings).startswith(
        "schedule: 1 findings\ntop.cpp:6: "
    )
    assert "schedule-shifter" in repr(report)


def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hao.steps.common.find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"pip install 'hao\[lint\]'"):
        schedule_run(tmp_path)
    assert "llvmlite: not installed" in lint_schedule(tmp_path)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("int top(int x) {\n  return missing;\n}\n", "4:use of undeclared identifier"),
        ("#include <ap_fixed.h>\n", "3:'ap_fixed.h' file not found"),
    ],
)
def test_what_clang_refuses_is_a_fault_of_the_lint(
    tmp_path: Path, source: str, fault: str
) -> None:
    findings = lint_schedule(write_project(tmp_path, source))
    assert has_faults(findings)
    path = tmp_path / "src" / "top.cpp"
    line, words = fault.split(":")
    assert f"top.cpp:{line}: schedule-compile: {words}" in render_lint_schedule(
        findings
    )
    assert hao("schedule", tmp_path).stderr.count(f"{path}:{line}:") == 1
