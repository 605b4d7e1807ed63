"""Lint for emitted HLS C++, without the vendor's tools."""

from hao.lint.check import lint
from hao.lint.finding import Finding, LintRule, Tool, render_findings

__all__ = ["Finding", "LintRule", "Tool", "lint", "render_findings"]
