"""Compiling an emitted project with g++, as often as its sources change.

Three builds of the same sources: `NATIVE` integers (fast), `AP_INT` (the vendor's
types, from the open headers that the hls4ml package ships), and `TRACE` (native, with
every stream access recorded and replayed as cycles).
"""

import hashlib
import os
import shlex
import shutil
import subprocess
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

from hao.emission.project import MARK
from hao.errors import InputError, ToolError
from hao.files import recover, work_folder, write_file

COMPILE_SECONDS = 600
"""Longest compilation (measured: 3 to 8 s; chosen here for slow machines)."""


class Build(Enum):
    """How the sources are compiled."""

    NATIVE = "native"
    AP_INT = "ap_int"
    TRACE = "trace"


_FLAGS = {
    Build.NATIVE: ("-O2", "-isystem", "tb/native", "-DHAO_FAST"),
    Build.TRACE: ("-O1", "-isystem", "tb/native", "-DHAO_FAST", "-DHAO_TRACE"),
    Build.AP_INT: ("-O1",),
}


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
        sources = any((project / "src").glob("*.cpp"))
    except OSError as error:
        raise InputError(f"{project}: cannot be read ({error.strerror})") from error
    if not there:
        raise InputError(
            f"{project}: no emitted project in it; `hao emit-hls` makes one"
        )
    if not sources:
        raise InputError(
            f"{project}: src/ with the emitted sources is missing; `hao emit-hls "
            "--force` makes the project again"
        )


def compile_project(project: Path, build: Build, program: Path) -> None:
    """Compile the test bench of an emitted project, unless that is done.

    The compiler is `find_compiler`'s; words of `CXXFLAGS` in the environment follow
    hao's own, so that `CXXFLAGS=-O0` compiles faster and runs slower. A program is
    kept if compiler, flags and every source are those that it was made from.

    Args:
        project: Folder of the project.
        build: Number types, with or without trace.
        program: File to write; beside it a log, and what it was made from.

    Raises:
        InputError: The folder holds no emitted project, the program's cannot be
            written, or CXXFLAGS has a quote that does not end.
        ToolError: The compiler is missing or fails; its output is kept in a log.
    """
    check_emitted(project)
    types = [find_ap_types()] if build is Build.AP_INT else []
    command = (
        find_compiler(),
        "-std=c++14",
        "-Wno-unknown-pragmas",
        "-Isrc",
        *_FLAGS[build],
        *_own_flags(),
        *(word for folder in types for word in ("-isystem", str(folder))),
        "src/engine.cpp",
        "tb/tb.cpp",
    )
    log, origin = program.with_suffix(".log"), program.with_suffix(".origin")
    try:
        compiler = Path(command[0]).stat()
        how = (*command, f"{compiler.st_size} {compiler.st_mtime_ns}")
        made_from = _digest([project / "src", project / "tb", *types], how)
    except OSError as error:
        raise InputError(f"{project}: cannot be read ({error.strerror})") from error
    if _is_made_from(program, origin, made_from):
        return
    try:
        program.parent.mkdir(exist_ok=True)
        recover(program.parent)
        # Beside its place: another simulation may be running the one that is there.
        with work_folder(program) as work:
            made = work.resolve() / "new"
            command += ("-o", str(made))
            done = run_program(command, cwd=project, timeout=COMPILE_SECONDS)
            write_file(log, (done.stdout + done.stderr).encode())
            built = done.returncode == 0 and made.is_file()
            if built:
                line = f"{made_from} {_digest([made])}\n"
                made.replace(program)
                write_file(origin, line.encode())
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


def _is_made_from(program: Path, origin: Path, made_from: str) -> bool:
    """Return whether a program is the one that its record says, made from `made_from`.

    The record names the program's own bytes, too: of two simulations at once, one may
    write the program and the other the record.
    """
    try:
        return origin.read_text() == f"{made_from} {_digest([program])}\n"
    except (OSError, UnicodeDecodeError):
        return False


def _digest(places: list[Path], how: tuple[str, ...] = ()) -> str:
    """Return a digest of files and of what folders hold, and of how they are used."""
    found = hashlib.sha256(repr(how).encode())
    for place in places:
        within = place.rglob("*") if place.is_dir() else [place]
        for path in sorted(within):
            if path.is_file() and path.suffix != ".bin":  # what the program reads
                found.update(repr(str(path.relative_to(place))).encode())
                found.update(path.read_bytes())
    return found.hexdigest()


def _own_flags() -> list[str]:
    words = os.environ.get("CXXFLAGS", "")
    try:
        return shlex.split(words)
    except ValueError as error:
        raise InputError(f"CXXFLAGS={words}: {error}; must be flags") from error


def run_program(
    command: tuple[str, ...], *, cwd: Path, timeout: int
) -> subprocess.CompletedProcess[str]:
    """Return how a program ended.

    Raises:
        ToolError: It cannot be started, or ran longer than `timeout` [s].
    """
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
