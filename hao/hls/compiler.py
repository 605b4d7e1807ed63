"""Which programs compile and preprocess HLS C++, and how they are run."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hao.errors import RefusedError, ToolError

OLDEST = 16
"""First clang whose `_BitInt` is wide enough: 128 bits before (clang release notes)."""

NEWEST_NAMED = 25
"""Last version that is looked for as `clang++-N`; a newer one is found as `clang++`."""

MISSING = (
    "no clang 16 or later, which the schedule analysis compiles with: "
    "`apt install clang-16` or `pip install ziglang` brings one"
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


def find_preprocessor() -> tuple[str, ...]:
    """Return the words that run a C++ preprocessor: the system's compiler, or a clang.

    Raises:
        ToolError: There is neither.
    """
    for name in ("c++", "g++"):
        if shutil.which(name) is not None:
            return (name,)
    try:
        return find_clang().command
    except ToolError as error:
        raise ToolError(
            "no C++ compiler to preprocess with: `apt install g++` or "
            "`pip install ziglang` brings one",
            command=("c++",),
        ) from error


def run_compiler(
    command: Sequence[str], source: Path, flags: Sequence[str], *, title: str = ""
) -> str:
    """Return what a compiler makes of a C++ source.

    Args:
        command: Words that run the compiler.
        source: The file.
        flags: What to make, and how.
        title: What errors call the compiler.

    Raises:
        RefusedError: The compiler refuses the source.
    """
    with tempfile.TemporaryDirectory(prefix="hao-compile-") as folder:
        output = Path(folder, "out")  # zig's clang takes "-" for a file of that name
        words = ["-x", "c++", "-std=gnu++14", *flags, str(source), "-o", str(output)]
        done = subprocess.run(
            [*command, *words], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return output.read_text(encoding="utf-8")
    lines = done.stderr.splitlines() or [f"exit code {done.returncode}"]
    error = next((line for line in lines if "error:" in line), lines[0])
    raise RefusedError(error.strip(), title)
