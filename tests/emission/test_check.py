"""Compiling and running a project: what it says, and every way in which that fails."""

import json
from pathlib import Path

import numpy as np
import pytest

from hao.cost.evaluate import evaluate
from hao.emission import check, compiling
from hao.emission.check import (
    FifoUse,
    Simulation,
    StepReplay,
    run_replay,
    run_simulation,
)
from hao.emission.compiling import (
    Build,
    check_emitted,
    compile_project,
    find_ap_types,
    find_compiler,
)
from hao.emission.project import MARK, Project, render_project, write_project
from hao.emission.stored import map_bytes
from hao.errors import InputError, ToolError
from hao.ir.integer_run import run_integer
from tests.emission.designs import small
from tests.emission.random_designs import Ints

Bytes = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


@pytest.fixture(scope="module")
def project() -> Project:
    found = small()
    return render_project(found.design, found.net, evaluate(found.design), found.frames)


@pytest.fixture(scope="module")
def built(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a project in `hls` and two programs in `build`."""
    folder = tmp_path_factory.mktemp("a run")  # with a space in its path
    write_project(project, folder / "hls", force=False)
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("CXXFLAGS", raising=False)
        for kind in (Build.NATIVE, Build.TRACE):
            compile_project(folder / "hls", kind, folder / "build" / kind.value)
    return folder


@pytest.fixture
def hls(project: Project, tmp_path: Path) -> Path:
    write_project(project, tmp_path / "hls", force=False)
    return tmp_path / "hls"


def stored(project: Project, codes: Ints, name: str) -> Bytes:
    return map_bytes(codes, project.table.arena.maps[name])


def simulate(built: Path, project: Project, wrong: int = 0) -> Simulation:
    """Run both frames; `wrong` bytes of what is expected are changed."""
    found = small()
    expected = stored(project, run_integer(found.net, found.frames), "head")
    expected = expected.copy()
    expected[1, :wrong] ^= 1
    return run_simulation(
        built / "build" / "native",
        built / "hls",
        frames=stored(project, found.frames, "image"),
        expected=expected,
    )


def test_a_simulation_gives_back_the_outputs(built: Path, project: Project) -> None:
    found = simulate(built, project)
    assert (found.images, found.mismatches, found.wrong_images) == (2, 0, 0)
    assert found.wrong_steps == 0
    assert found.seconds > 0
    outputs = run_integer(small().net, small().frames)
    np.testing.assert_array_equal(found.outputs, stored(project, outputs, "head"))


def test_a_simulation_counts_what_differs(built: Path, project: Project) -> None:
    found = simulate(built, project, wrong=3)
    assert (found.images, found.mismatches, found.wrong_images) == (2, 3, 1)


def test_a_replay_has_every_step_and_stream(built: Path, project: Project) -> None:
    found = run_replay(built / "build" / "trace", built / "hls")
    steps = project.table.steps
    assert [step.step for step in found.steps] == list(range(len(steps)))
    assert sum(step.cycles for step in found.steps) == found.cycles
    assert {fifo.smallest for fifo in found.fifos} == {None}
    assert all(0 <= fifo.peak <= fifo.depth for fifo in found.fifos)
    # The trips of the table are the trips that the code makes.
    for step, replayed in zip(steps, found.steps, strict=True):
        trips = sum(n for name, n in replayed.trips.items() if "read_ifm" in name)
        assert trips == step.read.beats


def test_fifos_are_sized_on_request(built: Path) -> None:
    found = run_replay(built / "build" / "trace", built / "hls", size_fifos=True)
    assert found.fifos
    for fifo in found.fifos:
        assert fifo.smallest is not None
        assert fifo.smallest.bit_count() == 1


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nonexistent/g++")
    with pytest.raises(
        ToolError, match=r"/nonexistent/g\+\+: no such program"
    ) as found:
        find_compiler()
    assert "\n" not in str(found.value)
    assert found.value.command == ("/nonexistent/g++",)


def test_the_compiler_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "my++").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "my++").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "my++"))
    assert find_compiler() == str(tmp_path / "my++")


def test_flags_of_the_environment_follow(
    hls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXXFLAGS", "-O0 '-DHAO_NO SUCH'=1 --no-such-flag")
    with pytest.raises(ToolError, match="--no-such-flag") as found:
        compile_project(hls, Build.NATIVE, tmp_path / "program")
    words = found.value.command
    assert words.index("-O2") < words.index("-O0")
    assert "-DHAO_NO SUCH=1" in words
    monkeypatch.setenv("CXXFLAGS", "'-O0")
    with pytest.raises(InputError, match="CXXFLAGS='-O0: No closing quotation; must"):
        compile_project(hls, Build.NATIVE, tmp_path / "program")


def test_a_program_is_made_anew_only_from_something_else(
    hls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "my++"
    compiler.write_text(
        '#!/bin/sh\nfor to; do :; done\necho "$@" | tee -a log >"$to"\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    program = tmp_path / "build" / "native"

    def runs() -> int:
        compile_project(hls, Build.NATIVE, program)
        return len((hls / "log").read_text().splitlines())

    assert runs() == runs() == 1
    program.write_text("damaged")
    assert runs() == runs() == 2
    (hls / "src" / "pack.h").write_text("// edited by hand")
    assert runs() == runs() == 3
    (hls / "tb" / "frames.bin").write_bytes(b"what the program reads")
    assert runs() == 3
    monkeypatch.setenv("CXXFLAGS", "-O3")
    assert runs() == runs() == 4
    compiler.write_text(compiler.read_text() + "# a newer compiler\n")
    assert runs() == runs() == 5
    (hls / "src" / "pack.h").unlink()
    (hls / "src" / "pack.h").symlink_to("/proc/self/mem")
    with pytest.raises(InputError, match=r"hls: cannot be read \("):
        runs()


def test_missing_headers_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AP_TYPES", str(tmp_path))
    with pytest.raises(ToolError, match=r"holds no ap_int\.h; `pip install --no-deps"):
        find_ap_types()
    (tmp_path / "ap_int.h").write_text("")
    assert find_ap_types() == tmp_path


def test_headers_are_missing_without_hls4ml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AP_TYPES", raising=False)
    monkeypatch.setattr(compiling, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"holds no ap_int\.h"):
        find_ap_types()


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no emitted project in it; `hao emit-hls`"):
        compile_project(tmp_path, Build.NATIVE, tmp_path / "program")
    with pytest.raises(InputError, match="no emitted project in it; `hao emit-hls`"):
        check_emitted(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / MARK).touch()
    with pytest.raises(InputError, match="src/ with the emitted sources is missing"):
        check_emitted(tmp_path)


def test_a_compile_error_is_quoted_and_logged(hls: Path, tmp_path: Path) -> None:
    (hls / "src" / "engine.cpp").write_text("int broken(\n")
    program = tmp_path / "build" / "native"
    program.parent.mkdir()
    program.write_text("an earlier program")
    with pytest.raises(ToolError, match=r"the native build failed: .*error") as found:
        compile_project(hls, Build.NATIVE, program)
    assert "\n" not in str(found.value)
    assert found.value.log_path == program.with_suffix(".log")
    assert "broken" in program.with_suffix(".log").read_text()
    assert "src/engine.cpp" in found.value.command
    # The earlier program stays: another simulation may be running it.
    left = sorted(path.name for path in program.parent.iterdir())
    assert left == ["native", "native.log"]


def test_a_compiler_that_makes_nothing_is_refused(
    hls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "true")
    with pytest.raises(ToolError, match="the native build failed: no message; see"):
        compile_project(hls, Build.NATIVE, tmp_path / "program")


def test_a_compiler_that_cannot_be_run_is_named(
    hls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"\x7fELF and nothing more")
    bad.chmod(0o755)
    monkeypatch.setenv("CXX", str(bad))
    with pytest.raises(ToolError, match="bad: cannot be run"):
        compile_project(hls, Build.NATIVE, tmp_path / "program")


def test_a_program_that_cannot_be_written_is_refused(hls: Path, tmp_path: Path) -> None:
    (tmp_path / "build").write_text("")
    with pytest.raises(InputError, match=r"build: cannot be written \(.*\); must be a"):
        compile_project(hls, Build.NATIVE, tmp_path / "build" / "native")


def script(folder: Path, text: str) -> Path:
    program = folder / "bench"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return program


def run_script(folder: Path, text: str) -> Simulation:
    frames = np.zeros((2, 16), dtype=np.uint8)
    program = script(folder, text)
    return run_simulation(program, folder, frames=frames, expected=frames)


SAID = json.dumps(
    {"images": 2, "mismatches": 0, "wrong_images": 0, "wrong_steps": 0, "seconds": 0.5}
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo oh no >&2; exit 134", "ended with status 134: oh no"),
        ("kill -SEGV $$", "ended with status -11: no message"),
        ("exit 0", "ended with status 0: no message"),
        ("echo not json", "ended with status 0: no message"),
        ("echo '[1, 2]'", "ended with status 0: no message"),
        ("echo '{}'", r"results are not those of a test bench .*FileNotFoundError"),
        ("printf 0123456789012345 > $4; echo '{}'", r"not those .*KeyError: 'images'"),
        (
            f"printf short > $4; echo '{SAID}'",
            r"not those of a test bench .*ValueError: cannot reshape",
        ),
    ],
)
def test_a_simulation_that_fails_is_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ToolError, match=message) as found:
        run_script(tmp_path, text)
    assert "\n" not in str(found.value)
    assert str(found.value).startswith("bench: ")


def test_the_last_line_of_a_simulation_counts(tmp_path: Path) -> None:
    text = f"head -c 32 /dev/zero > $4; echo chatter; echo '{SAID}'; exit 1"
    found = run_script(tmp_path, text)
    assert (found.images, found.seconds) == (2, 0.5)
    assert found.outputs.shape == (2, 16)


def test_a_simulation_that_never_ends_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "RUN_SECONDS", 0.2)
    with pytest.raises(ToolError, match=r"bench: still running after 0\.2 s"):
        run_script(tmp_path, "exec sleep 20")


def test_a_full_folder_of_temporary_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"No space left on device.*TMPDIR names"):
        run_script(tmp_path, "exit 0")


def test_a_missing_folder_of_temporary_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"absent: cannot be written .*TMPDIR names"):
        run_script(tmp_path, "exit 0")


REPLAY = {
    "cycles": 30,
    "steps": [
        {
            "step": 0,
            "cycles": 30,
            "processes": [
                {"name": "pack", "loops": [{"label": "all", "trips": 4}]},
                {
                    "name": "read",
                    "loops": [
                        {"label": "row", "trips": 2},
                        {"label": "row", "trips": 3},
                    ],
                },
            ],
        }
    ],
    "streams": [{"name": "beats", "depth": 16, "peak": 9, "smallest_depth": None}],
}


def test_a_replay_report_is_read(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(REPLAY))
    program = script(tmp_path, f"cp '{tmp_path}/report.json' $6; echo '{{}}'")
    found = run_replay(program, tmp_path)
    assert found.cycles == 30
    trips = {"pack.all": 4, "read.row": 5}
    assert found.steps == (StepReplay(step=0, cycles=30, trips=trips),)
    assert found.fifos == (FifoUse(name="beats", depth=16, peak=9, smallest=None),)


@pytest.mark.parametrize(
    "text", ["echo '{}'", "echo '{}' | tee $6", "echo '[' > $6; echo '{}'"]
)
def test_a_replay_report_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    program = script(tmp_path, text)
    with pytest.raises(ToolError, match="results are not those of a test bench"):
        run_replay(program, tmp_path)


def test_a_deadlock_of_the_replayed_hardware_is_quoted(tmp_path: Path) -> None:
    program = script(tmp_path, "echo 'hao_trace: step 0: deadlock' >&2; exit 3")
    with pytest.raises(ToolError, match="status 3: hao_trace: step 0: deadlock"):
        run_replay(program, tmp_path)
