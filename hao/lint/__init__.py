"""Lint for emitted HLS C++, without the vendor's tools."""

from hao.lint.check import lint
from hao.lint.finding import Finding, Rule, Tool, render_findings

__all__ = ["Finding", "Rule", "Tool", "lint", "render_findings"]
