"""From HLS C++ to unoptimised LLVM IR: which clang runs, and how.

Only the front end is used: what it emits does not depend on its version in anything
that matters here, and `hao.schedule.optimise` goes on with the LLVM of llvmlite. So
clang 16 of Debian and the clang 20 inside the pip package `ziglang` lead to equal
answers (tests/schedule/test_compilers.py).
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hao.errors import InputError, ToolError

HEADERS = Path(__file__).resolve().parent / "include"
"""The analysis' own `ap_int.h` and `hls_stream.h`."""

OLDEST = 16
"""First clang whose `_BitInt` is wide enough: 128 bits before (clang release notes)."""

NEWEST_NAMED = 25
"""Last version that is looked for as `clang++-N`; a newer one is found as `clang++`."""

MISSING = (
    "no clang 16 or later, which the schedule analysis compiles with: "
    "`apt install clang-16` or `pip install ziglang` brings one"
)

_LANGUAGE = (
    *("-x", "c++", "-std=gnu++14", "-fno-exceptions", "-fno-rtti"),
    *("-fno-threadsafe-statics", "-Wno-everything", "-D__SYNTHESIS__"),
    "-D__VITIS_HLS__",
)
_EMIT = (
    *("-S", "-emit-llvm", "-O1", "-Xclang", "-disable-llvm-passes"),
    *("-gline-tables-only", "-fno-discard-value-names", "-fno-sanitize=all"),
)


@dataclass(frozen=True, slots=True)
class Clang:
    """A clang that was found.

    Attributes:
        command: Words to run it with.
        title: Name and version, to print.
    """

    command: tuple[str, ...]
    title: str


def clang_version(command: Sequence[str]) -> int | None:
    """Return the major version of a clang, or `None` for what is no clang that runs."""
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    found = re.search(r"clang version (\d+)\.", done.stdout)
    return int(found.group(1)) if found and done.returncode == 0 else None


def find_clang(name: str | None = None) -> Clang:
    """Return the clang to use: one on PATH that is new enough, else that of ziglang.

    Args:
        name: A program to take instead, or "ziglang".

    Raises:
        ToolError: There is none, or the named one is none or too old.
    """
    zig = (sys.executable, "-m", "ziglang", "c++")
    if name == "ziglang":
        names, packaged = [], True
    elif name is not None:
        names, packaged = [name], False
    else:
        numbered = range(OLDEST, NEWEST_NAMED + 1)
        names, packaged = ["clang++", *(f"clang++-{n}" for n in numbered)], True
    for program in names:
        if shutil.which(program) is not None:
            version = clang_version([program])
            if version is not None and version >= OLDEST:
                return Clang((program,), f"{program} (clang {version})")
    if packaged and find_spec("ziglang") is not None:
        version = clang_version(zig)
        if version is not None:
            return Clang(zig, f"ziglang (clang {version})")
    wanted = f"{name}: " if name is not None else ""
    raise ToolError(wanted + MISSING, command=(name or "clang++",))


def preprocess(clang: Clang, source: Path) -> str:
    """Return a source with its macros expanded, pragmas and line marks kept.

    Raises:
        InputError: The source does not compile.
    """
    return _run(clang, source, ["-E"])


def compile_source(clang: Clang, source: Path) -> str:
    """Return the LLVM IR of a source as the front end makes it, with its lines.

    Args:
        clang: What compiles.
        source: A C++ file; headers are looked for beside it.

    Raises:
        InputError: The source does not compile.
    """
    return _run(clang, source, list(_EMIT))


def _run(clang: Clang, source: Path, flags: list[str]) -> str:
    source = source.resolve()
    include = [f"-I{HEADERS}", f"-I{source.parent}"]
    with tempfile.TemporaryDirectory(prefix="hao-schedule-") as folder:
        output = Path(folder, "out")  # zig's clang takes "-" for a file of that name
        words = [*_LANGUAGE, *include, *flags, str(source), "-o", str(output)]
        done = subprocess.run(
            [*clang.command, *words], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return output.read_text(encoding="utf-8")
    lines = done.stderr.splitlines() or [f"exit code {done.returncode}"]
    error = next((line for line in lines if "error:" in line), lines[0])
    raise InputError(f"{clang.title} refuses the source: {error.strip()}")
