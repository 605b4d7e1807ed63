"""The lint: what a tool generation would refuse, ignore or build slower than planned.

What needs the vendor's scheduler stays open: clock period, recurrences, and whether the
tool flattens or inlines. The rules are listed in `hao.lint.finding.Rule`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hao.errors import InputError
from hao.lint.context import build_context
from hao.lint.finding import Finding, LintReport, Tool, Uncounted
from hao.lint.rules_code import check_code, check_loops, check_multipliers
from hao.lint.rules_dataflow import check_dataflow
from hao.lint.rules_ports import check_ports
from hao.lint.rules_pragma import check_pragmas
from hao.lint.scopes import build_program
from hao.lint.source import load_files, parse_units
from hao.lint.types import compile_unit


def lint(
    files: Mapping[str, str] | Path,
    *,
    tool: Tool,
    include_paths: Sequence[Path],
    top: str | None = None,
) -> tuple[Finding, ...]:
    """Return the findings of `lint_report`."""
    return lint_report(files, tool=tool, include_paths=include_paths, top=top).findings


def lint_report(
    files: Mapping[str, str] | Path,
    *,
    tool: Tool,
    include_paths: Sequence[Path],
    top: str | None = None,
) -> LintReport:
    """Return what is wrong with HLS sources for one tool generation.

    A project is legal if it is clean for both. Files with a `main` are test benches and
    are left out.

    Args:
        files: Text by path, or a folder whose C++ files are read.
        tool: Whose pragmas apply, and whose macros are defined.
        include_paths: Folders of `ap_int.h`, `hls_stream.h` and the like.
        top: The top function; None takes those with an INTERFACE pragma that no other
            function calls.

    Raises:
        InputError: No file to check, a folder that is none, or a conditional that
            cannot be decided.
        ToolError: libclang cannot start.
    """
    texts = load_files(files) if isinstance(files, Path) else files
    if not texts:
        where = files if isinstance(files, Path) else "files"
        raise InputError(f"{where}: no C++ file; give at least one")
    findings: set[Finding] = set()
    uncounted: set[Uncounted] = set()
    for unit in parse_units(texts, tool):
        types, errors = compile_unit(unit, include_paths)
        context = build_context(build_program(unit, tool), types, top)
        findings.update(errors)
        for check in (
            *(check_pragmas, check_code, check_loops, check_multipliers),
            check_dataflow,
        ):
            findings.update(check(context))
        ports, open_arrays = check_ports(context)
        findings.update(ports)
        uncounted.update(open_arrays)
    return LintReport(tuple(sorted(findings)), tuple(sorted(uncounted)))
