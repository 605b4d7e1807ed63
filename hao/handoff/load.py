"""A report of any kind from a file, told apart by what it holds.

The names of these files say little (`csynth.rpt` is one of two layouts, and people
rename them), so the first lines that are peculiar to a kind decide.
"""

import re
from pathlib import Path

from hao.errors import InputError
from hao.files import read_named
from hao.handoff.cosim import CosimReport, parse_cosim
from hao.handoff.csynth import parse_csynth_xml
from hao.handoff.csynth_text import (
    FUNCTION_TITLE,
    SUMMARY_TITLE,
    parse_function_report,
    parse_summary_report,
)
from hao.handoff.hierarchy import TITLE as HIERARCHY_TITLE
from hao.handoff.hierarchy import HierarchyReport, parse_hierarchy
from hao.handoff.report_text import ReportText
from hao.handoff.synthesis import SynthesisReport
from hao.handoff.utilization import (
    TimingReport,
    UtilizationReport,
    parse_timing,
    parse_utilization,
)

MAX_REPORT_BYTES = 8 * 2**20
"""Largest file read [bytes]; a report lists every operation of a core, and the largest
seen has 0.7 MB. Chosen here so that a wrong file cannot fill the memory."""

Report = (
    SynthesisReport | UtilizationReport | HierarchyReport | TimingReport | CosimReport
)

KINDS = (
    "csynth.xml, csynth.rpt, a report of report_utilization (with -hierarchical or "
    "without) or report_timing_summary, or a co-simulation report"
)


def load_report(path: Path) -> Report:
    """Return the report in a file.

    Raises:
        InputError: The file cannot be read, is no report that hao reads, or is cut
            short.
    """
    source = str(path)
    data = read_named(path, KINDS, MAX_REPORT_BYTES)
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return parse_csynth_xml(data, source)
    return parse_report_text(data.decode("utf-8", errors="replace"), source)


def parse_report_text(content: str, source: str) -> Report:
    """Return the report in a text.

    Args:
        content: The report.
        source: What error messages call it.

    Raises:
        InputError: It is no report that hao reads, or is cut short.
    """
    text = ReportText.of(content, source)
    # The summary of Vitis HLS comes first: its file may append a function's report.
    if text.find(SUMMARY_TITLE) is not None:
        return parse_summary_report(text)
    if text.find(FUNCTION_TITLE) is not None:
        return parse_function_report(text)
    if text.find(r"Design Timing Summary") is not None:
        return parse_timing(text)
    if text.find(HIERARCHY_TITLE) is not None:
        return parse_hierarchy(text)
    if text.find(r"^Utilization Design Information") is not None:
        return parse_utilization(text)
    if re.search(r"^\|\s*RTL\s*\|\s*Status|^\+\s*RTL\s*\+\s*Status", content, re.M):
        return parse_cosim(text)
    raise InputError(f"{source}: not a report that hao reads; must be {KINDS}")
