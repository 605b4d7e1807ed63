"""Lint for emitted HLS C++, without the vendor's tools."""

from hao.lint.check import lint, lint_report
from hao.lint.finding import (
    Finding,
    LintReport,
    Rule,
    Tool,
    Uncounted,
    render_findings,
)

__all__ = [
    "Finding",
    "LintReport",
    "Rule",
    "Tool",
    "Uncounted",
    "lint",
    "lint_report",
    "render_findings",
]
