"""What a project's script says, and what is refused."""

from pathlib import Path

import pytest

from hao.errors import InputError
from hao.schedule.analyse import analyse_project, clock_settings
from hao.schedule.project import load_project
from tests.schedule.projects import loop_of, write_project

COPY = loop_of("out.write(in.read());")


def test_the_script_is_read(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path, COPY, period_ns=4.667))
    assert (project.top, project.part) == ("top", "xczu3eg-sbva484-1-i")
    assert project.clock_ns == pytest.approx(4.667)
    assert project.uncertainty is None
    assert [path.name for path in project.sources] == ["top.cpp"]


@pytest.mark.parametrize(
    ("line", "share"),
    [
        ("set_clock_uncertainty 12.5%", 0.125),
        ("set_clock_uncertainty 0.5", 0.1),
        ("set_clock_uncertainty 0.5ns", 0.1),
        ("# set_clock_uncertainty 0.5", None),
    ],
)
def test_an_uncertainty_of_the_script_decides(
    tmp_path: Path, line: str, share: float | None
) -> None:
    project = load_project(write_project(tmp_path, COPY, script=line))
    assert project.uncertainty == (None if share is None else pytest.approx(share))
    titles = [item.title for item in clock_settings(project)]
    own = [] if share is None else ["run_hls.tcl"]
    assert titles == [*own, "Vitis HLS", "Vivado HLS"]
    assert [s.title for s in clock_settings(project, 0.2)] == ["as given"]


def test_a_clock_in_megahertz(tmp_path: Path) -> None:
    write_project(tmp_path, COPY)
    script = tmp_path / "run_hls.tcl"
    script.write_text(script.read_text().replace("-period 5", "-period 200MHz"))
    assert load_project(tmp_path).clock_ns == pytest.approx(5)
    assert load_project(tmp_path, clock_mhz=100).clock_ns == pytest.approx(10)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("set_part", "# set_part", "no set_part; the delays depend on the part"),
        ("create_clock", "# create", "no create_clock -period; give `clock_mhz`"),
        ("-period 5", "-period 0", "no create_clock -period; give `clock_mhz`"),
        (
            "set_top",
            "set_clock_uncertainty 100%\nset_top",
            "set_clock_uncertainty 100% leaves no time for logic",
        ),
    ],
)
def test_a_script_that_says_too_little_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    write_project(tmp_path, COPY)
    script = tmp_path / "run_hls.tcl"
    script.write_text(script.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        load_project(tmp_path)


def test_a_script_of_any_size_is_refused(tmp_path: Path) -> None:
    write_project(tmp_path, COPY)
    with (tmp_path / "run_hls.tcl").open("wb") as stream:
        stream.truncate(2**40)  # takes no disk
    with pytest.raises(InputError, match=r"run_hls\.tcl: cannot be read \(more than"):
        load_project(tmp_path)


def test_a_folder_without_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run_hls\.tcl in it; give a run or a"):
        load_project(tmp_path)
    write_project(tmp_path, COPY)
    (tmp_path / "src" / "top.cpp").unlink()
    with pytest.raises(InputError, match=r"src: no \.cpp file in it"):
        load_project(tmp_path)


def test_code_that_does_not_compile_is_refused_in_one_line(tmp_path: Path) -> None:
    write_project(tmp_path, COPY.replace("in.read()", "nothing"))
    with pytest.raises(InputError) as caught:
        analyse_project(load_project(tmp_path))
    message = str(caught.value)
    assert "refuses the source:" in message
    assert "top.cpp:" in message
    assert "undeclared identifier 'nothing'" in message
    assert "\n" not in message


def test_several_sources_are_one_project(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        "void one(hls::stream<int> &in, hls::stream<int> &out);\n"
        "void top(hls::stream<int> &in, hls::stream<int> &out) { one(in, out); }",
    )
    (tmp_path / "src" / "one.cpp").write_text(
        "#include <hls_stream.h>\n"
        + loop_of("out.write(in.read() + n);")
        .replace(", int n", "")
        .replace("top", "one")
        .replace("i < n", "i < 9")
        .replace("+ n", "+ i")
    )
    report = analyse_project(load_project(tmp_path))
    assert [loop.process for loop in report.loops] == ["top"]


@pytest.mark.parametrize("clock_mhz", [0, float("nan"), float("inf"), 1e9])
def test_a_clock_that_is_none_is_refused(tmp_path: Path, clock_mhz: float) -> None:
    folder = write_project(tmp_path, COPY, period_ns=4.667)
    with pytest.raises(InputError, match=r"`clock_mhz` = .*; must be above 0 and at m"):
        load_project(folder, clock_mhz=clock_mhz)
