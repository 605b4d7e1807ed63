"""The lint: what a tool generation would refuse, ignore or understand otherwise.

It reads text: grammar and place of pragmas, form of dataflow regions, ports, and code
that no tool synthesizes. What a compiler knows (types that do not fit, recurrences,
memory ports, what processes share) is for `hao.schedule`. The rules are listed in
`hao.lint.finding.LintRule`.
"""

from collections.abc import Mapping
from pathlib import Path

from hao.errors import InputError
from hao.lint.finding import Finding, Tool
from hao.lint.program import build_program
from hao.lint.rules_code import check_code, check_loops, check_multipliers
from hao.lint.rules_dataflow import check_dataflow
from hao.lint.rules_pragma import check_pragmas
from hao.lint.source import load_files, parse_units

_CHECKS = (check_pragmas, check_code, check_loops, check_multipliers, check_dataflow)


def lint(files: Mapping[str, str] | Path, *, tool: Tool) -> tuple[Finding, ...]:
    """Return what is wrong with HLS sources for one tool generation, by place.

    A project is legal if it is clean for both. Files with a `main` are test benches and
    are left out. Headers that are not among the files are not read.

    Args:
        files: Text by relative path, or a folder whose C++ files are read.
        tool: Whose pragmas apply, and whose macros are defined.

    Raises:
        InputError: No file to check, a folder that is none, or a file that the
            preprocessor refuses, such as for an open `#if`.
        ToolError: There is no C++ preprocessor.
    """
    texts = load_files(files) if isinstance(files, Path) else files
    if not texts:
        where = files if isinstance(files, Path) else "files"
        raise InputError(f"{where}: no C++ file; give at least one")
    findings: set[Finding] = set()
    for unit in parse_units(texts, tool):
        program = build_program(unit)
        for check in _CHECKS:
            findings.update(check(program))
    return tuple(sorted(findings))
