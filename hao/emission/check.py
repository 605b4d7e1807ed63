"""Running the programs of an emitted project, and reading what they say."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hao.emission.compiling import run_program
from hao.errors import InputError, ToolError

RUN_SECONDS = 36_000
"""Longest simulation (chosen here: a whole evaluation set may take hours)."""


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
    done = run_program(command, cwd=project, timeout=RUN_SECONDS)
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
