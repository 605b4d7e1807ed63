"""From HLS C++ to unoptimised LLVM IR, and to its text with macros expanded.

Only clang's front end is used: what it emits does not depend on its version in anything
that matters here, and `hao.schedule.optimise` goes on with the LLVM of llvmlite. So
clang 16 of Debian and the clang 20 inside the pip package `ziglang` lead to equal
answers (tests/schedule/test_compilers.py).
"""

from pathlib import Path

from hao.hls.compiler import Clang, run_compiler

HEADERS = Path(__file__).resolve().parent / "include"
"""The analysis' own `ap_int.h` and `hls_stream.h`."""

_LANGUAGE = (
    *("-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-Wno-everything"),
    *("-D__SYNTHESIS__", "-D__VITIS_HLS__"),
)
_EMIT = (
    *("-S", "-emit-llvm", "-O1", "-Xclang", "-disable-llvm-passes"),
    *("-gline-tables-only", "-fno-discard-value-names", "-fno-sanitize=all"),
)


def preprocess(clang: Clang, source: Path) -> str:
    """Return a source with its macros expanded, pragmas and line marks kept.

    Raises:
        RefusedError: The source does not compile.
    """
    return _run(clang, source, ("-E",))


def compile_source(clang: Clang, source: Path) -> str:
    """Return the LLVM IR of a source as the front end makes it, with its lines.

    Args:
        clang: What compiles.
        source: A C++ file; headers are looked for beside it.

    Raises:
        RefusedError: The source does not compile.
    """
    return _run(clang, source, _EMIT)


def _run(clang: Clang, source: Path, flags: tuple[str, ...]) -> str:
    source = source.resolve()
    include = (f"-I{HEADERS}", f"-I{source.parent}")
    return run_compiler(
        clang.command, source, (*_LANGUAGE, *include, *flags), title=clang.title
    )
