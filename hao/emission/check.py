"""Building an emitted project with g++, running it, and reading what it says.

Three builds of the same sources: `NATIVE` integers (fast), `AP_INT` (the vendor's
types, from the open headers that the hls4ml package ships), and `TRACE` (native, with
every stream access recorded and replayed as cycles). The only module that runs
processes.
"""

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hao.emission.project import MARK
from hao.errors import InputError, ToolError
from hao.files import recover, work_folder, write_file

COMPILE_SECONDS = 600
"""Longest compilation (measured: 3 to 8 s; chosen here for slow machines)."""

RUN_SECONDS = 36_000
"""Longest simulation (chosen here: a whole evaluation set may take hours)."""


class Build(Enum):
    """How the sources are compiled."""

    NATIVE = "native"
    AP_INT = "ap_int"
    TRACE = "trace"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReplay:
    """One step of the engine as the replay timed it.

    Attributes:
        step: Number in the table of steps.
        cycles: From its beginning to the beginning of the next.
        trips: Iterations by process and loop, as "process.loop".
    """

    step: int
    cycles: int
    trips: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FifoUse:
    """How full a stream was.

    Attributes:
        name: Of the stream.
        depth: As emitted [words].
        peak: Most words in it at that depth.
        smallest: Least power of two that adds no cycles, or `None` if not sought.
    """

    name: str
    depth: int
    peak: int
    smallest: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Cycles of one frame, from a trace of the emitted code.

    Attributes:
        cycles: All steps.
        steps: In order.
        fifos: By name.
    """

    cycles: int
    steps: tuple[StepReplay, ...]
    fifos: tuple[FifoUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a simulation said.

    Attributes:
        images: Frames that ran.
        mismatches: Bytes of output maps that differ from the interpreter's.
        wrong_images: Frames with any.
        wrong_steps: Steps whose map differs, if maps were compared.
        seconds: Inside the engine.
        outputs: Shape (images, bytes of the output map).
    """

    images: int
    mismatches: int
    wrong_images: int
    wrong_steps: int
    seconds: float
    outputs: NDArray[np.uint8]


def find_compiler() -> str:
    """Return the C++ compiler: `CXX` of the environment, or g++.

    Raises:
        ToolError: There is none.
    """
    name = os.environ.get("CXX", "g++")
    found = shutil.which(name)
    if found is None:
        raise ToolError(
            f"{name}: no such program; a C++ compiler is needed to simulate (on Debian "
            "and Ubuntu: sudo apt install g++), or set CXX",
            command=(name,),
        )
    return found


def find_ap_types() -> Path:
    """Return the folder that holds ap_int.h.

    `AP_TYPES` of the environment, or where the hls4ml package keeps the open headers;
    the package itself is not imported.

    Raises:
        ToolError: There is none.
    """
    named = os.environ.get("AP_TYPES")
    if named is not None:
        folder = Path(named)
    else:
        spec = find_spec("hls4ml")
        places = [] if spec is None else list(spec.submodule_search_locations or [])
        folder = Path(places[0] if places else ".")
        folder = folder / "templates" / "vivado" / "ap_types"
    if not (folder / "ap_int.h").is_file():
        raise ToolError(
            f"{folder}: holds no ap_int.h; `pip install --no-deps hls4ml` brings the "
            "open headers, or set AP_TYPES to the include folder of Vitis HLS",
            command=("ap_int.h",),
        )
    return folder


def check_emitted(project: Path) -> None:
    """Check that a folder holds an emitted project.

    Raises:
        InputError: It does not, or may not be read.
    """
    try:
        there = (project / MARK).is_file()
    except OSError as error:
        raise InputError(f"{project}: cannot be read ({error.strerror})") from error
    if not there:
        raise InputError(
            f"{project}: no emitted project in it; `hao emit-hls` makes one"
        )


def compile_project(project: Path, build: Build, program: Path) -> None:
    """Compile the test bench of an emitted project.

    The compiler is `find_compiler`'s; words of `CXXFLAGS` in the environment follow
    hao's own, so that `CXXFLAGS=-O0` compiles faster and runs slower.

    Args:
        project: Folder of the project.
        build: Number types, with or without trace.
        program: File to write.

    Raises:
        InputError: The folder holds no emitted project, the program's cannot be
            written, or CXXFLAGS has a quote that does not end.
        ToolError: The compiler is missing or fails; its output is kept in a log.
    """
    check_emitted(project)
    flags = {
        Build.NATIVE: ["-O2", "-isystem", "tb/native", "-DHAO_FAST"],
        Build.TRACE: ["-O1", "-isystem", "tb/native", "-DHAO_FAST", "-DHAO_TRACE"],
        Build.AP_INT: ["-O1"],
    }[build]
    flags += _own_flags()
    if build is Build.AP_INT:
        flags += ["-isystem", str(find_ap_types())]
    log = program.with_suffix(".log")
    try:
        program.parent.mkdir(exist_ok=True)
        recover(program.parent)
        # Beside its place: another simulation may be running the one that is there.
        with work_folder(program) as work:
            made = work.resolve() / "new"
            command = (
                find_compiler(),
                "-std=c++14",
                "-Wno-unknown-pragmas",
                "-Isrc",
                *flags,
                "src/engine.cpp",
                "tb/tb.cpp",
                "-o",
                str(made),
            )
            done = _run(command, cwd=project, timeout=COMPILE_SECONDS)
            write_file(log, (done.stdout + done.stderr).encode())
            built = done.returncode == 0 and made.is_file()
            if built:
                made.replace(program)
    except OSError as error:
        raise InputError(
            f"{program.parent}: cannot be written ({error.strerror}); must be a folder"
        ) from error
    if not built:
        lines = (done.stderr or done.stdout).splitlines()
        first = next((line for line in lines if "error" in line), "no message")
        raise ToolError(
            f"{command[0]}: the {build.value} build failed: {first}; see {log}",
            command=command,
            log_path=log,
        )


def _own_flags() -> list[str]:
    words = os.environ.get("CXXFLAGS", "")
    try:
        return shlex.split(words)
    except ValueError as error:
        raise InputError(f"CXXFLAGS={words}: {error}; must be flags") from error


def run_simulation(
    program: Path,
    project: Path,
    *,
    frames: NDArray[np.uint8],
    expected: NDArray[np.uint8],
    maps: bytes = b"",
) -> Simulation:
    """Run a compiled test bench on frames and compare what comes out.

    Args:
        program: From `compile_project`.
        project: Its project, for the weights.
        frames: Input maps as stored, shape (images, bytes).
        expected: Output maps as stored, shape (images, bytes).
        maps: Expected maps after every step of the first frame (`step_maps`); empty to
            compare outputs only.

    Raises:
        InputError: The folder for temporary files cannot be written.
        ToolError: The program crashes, or says something else than expected.
    """
    with _work_folder("hao-sim-") as work:
        files = {"frames.bin": frames.tobytes(), "expected.bin": expected.tobytes()}
        extra: list[str] = []
        if maps:
            files["maps.bin"] = maps
            extra = ["--maps", str(work / "maps.bin")]
        try:
            for name, content in files.items():
                (work / name).write_bytes(content)
        except OSError as error:
            raise _no_work_folder(error) from error
        said = _bench(
            program,
            project,
            str(work / "frames.bin"),
            str(work / "expected.bin"),
            "--out",
            str(work / "out.bin"),
            *extra,
        )
        with _read_back(program):
            data = (work / "out.bin").read_bytes()
            outputs = np.frombuffer(data, dtype=np.uint8)
            return Simulation(
                images=int(said["images"]),
                mismatches=int(said["mismatches"]),
                wrong_images=int(said["wrong_images"]),
                wrong_steps=int(said["wrong_steps"]),
                seconds=float(said["seconds"]),
                outputs=outputs.reshape(expected.shape),
            )


def run_replay(program: Path, project: Path, *, size_fifos: bool = False) -> Replay:
    """Return the cycles of the project's first recorded frame.

    Args:
        program: A `Build.TRACE` from `compile_project`.
        project: Its project.
        size_fifos: Also seek the least depth of every stream (a few times slower).

    Raises:
        InputError: The folder for temporary files cannot be written.
        ToolError: The program crashes or the replayed hardware would hang.
    """
    with _work_folder("hao-replay-") as work:
        report = work / "replay.json"
        extra = ["--size-fifos"] if size_fifos else []
        _bench(
            program,
            project,
            "tb/frames.bin",
            "tb/expected.bin",
            "--frames",
            "1",
            "--replay",
            str(report),
            *extra,
        )
        with _read_back(program):
            return _replay(json.loads(report.read_text()))


def _replay(document: dict[str, Any]) -> Replay:
    return Replay(
        cycles=int(document["cycles"]),
        steps=tuple(
            StepReplay(
                step=int(step["step"]),
                cycles=int(step["cycles"]),
                trips=_trips(step["processes"]),
            )
            for step in document["steps"]
        ),
        fifos=tuple(
            FifoUse(
                name=str(stream["name"]),
                depth=int(stream["depth"]),
                peak=int(stream["peak"]),
                smallest=stream["smallest_depth"],
            )
            for stream in document["streams"]
        ),
    )


def _trips(processes: list[dict[str, Any]]) -> dict[str, int]:
    trips: dict[str, int] = {}
    for process in processes:
        for loop in process["loops"]:
            key = f"{process['name']}.{loop['label']}"
            trips[key] = trips.get(key, 0) + int(loop["trips"])
    return trips


@contextmanager
def _work_folder(prefix: str) -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise _no_work_folder(error) from error
    with folder as name:
        yield Path(name)


def _no_work_folder(error: OSError) -> InputError:
    return InputError(
        f"{tempfile.gettempdir()}: cannot be written ({error.strerror}); TMPDIR names "
        "another folder for temporary files"
    )


@contextmanager
def _read_back(program: Path) -> Iterator[None]:
    """Turn what goes wrong while a test bench's results are read into one error."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolError(
            f"{program.name}: its results are not those of a test bench of this "
            f"version ({type(error).__name__}: {error})",
            command=(str(program),),
        ) from error


def _bench(program: Path, project: Path, *arguments: str) -> dict[str, float]:
    """Run the test bench in the project's folder; return its JSON line."""
    command = (str(program.resolve()), *arguments)
    done = _run(command, cwd=project, timeout=RUN_SECONDS)
    lines = done.stdout.strip().splitlines()
    try:
        said = json.loads(lines[-1]) if lines else None
    except json.JSONDecodeError:
        said = None
    # 1 says that codes differ, which is a result; anything else is a crash.
    if done.returncode not in (0, 1) or not isinstance(said, dict):
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ToolError(
            f"{program.name}: the simulation ended with status {done.returncode}: "
            f"{reason}",
            command=command,
        )
    return said


def _run(
    command: tuple[str, ...], *, cwd: Path, timeout: int
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(
            f"{command[0]}: still running after {timeout} s", command=command
        ) from error
    except OSError as error:
        raise ToolError(
            f"{command[0]}: cannot be run ({error.strerror})", command=command
        ) from error
