"""The text that C synthesis writes: csynth.rpt and <top>_csynth.rpt.

Two layouts. The report of one function (`<top>_csynth.rpt`, also csynth.rpt up to
Vivado HLS 2020.1) gives clock, latency, resources used and available, and the
instances and loops directly below the function. The synthesis summary (csynth.rpt of
Vitis HLS) gives the tree of modules and loops, without a clock period and without
what the part has; some Vitis HLS 2023.2 solutions have it and no csynth.xml.

Source: files of Vivado HLS 2020.1 and Vitis HLS 2023.2.
"""

import re
from collections.abc import Iterator, Sequence

from hao.errors import InputError
from hao.handoff.report_text import ReportText, cell, columns
from hao.handoff.synthesis import (
    ModuleRow,
    SynthesisReport,
    hls_resources,
    parse_most,
    parse_ns,
)
from hao.hw.resources import Resources

FUNCTION_TITLE = r"^== (?:Vivado|Vitis) HLS Report for '(.+)'"
SUMMARY_TITLE = r"^== Synthesis Summary Report of '(.+)'"

_TREE_ROW = re.compile(r"(\s*)([+o])\s+(\S+)")


def parse_function_report(text: ReportText) -> SynthesisReport:
    """Return the report of one function.

    Raises:
        InputError: It is cut short or a figure cannot be read.
    """
    title = re.match(FUNCTION_TITLE, text.lines[text.require(FUNCTION_TITLE, "title")])
    assert title is not None
    usage = text.require(
        r"^== Utilization Estimates", "section 'Utilization Estimates'"
    )
    return SynthesisReport(
        source=text.name,
        top=title[1],
        part=text.field("Target device"),
        clock_estimated_ns=_clock(text),
        latency=_longest(text),
        used=_usage(text, usage),
        modules=tuple(_direct_modules(text, usage)),
    )


def parse_summary_report(text: ReportText) -> SynthesisReport:
    """Return a synthesis summary.

    Raises:
        InputError: It is cut short or a figure cannot be read.
    """
    start = text.require(r"^\+ Performance & Resource Estimates", "table of modules")
    table = text.table(text.require(r"^\s*\+--", "table of modules", start))
    latency, modules = _tree(table, text.source)
    if not modules:
        raise InputError(f"{text.source}: the table of modules is empty")
    top, *below = modules
    return SynthesisReport(
        source=text.name,
        top=top.module,
        part=text.field("Target device"),
        clock_estimated_ns=None,
        latency=latency,
        used=top.used,
        modules=tuple(below),
    )


def _clock(text: ReportText) -> float | None:
    """Return the estimated clock period [ns]."""
    start = text.require(r"^\+ Timing", "section 'Timing'")
    summary = text.require(r"\* Summary:", "summary of the timing", start)
    table = text.table(summary + 1)
    at = columns(table, "Clock", text.source)
    where = f"{text.source}: line {summary + 1}: clock"
    return parse_ns(cell(table[-1], at, "Estimated", where), where)


def _longest(text: ReportText) -> int | None:
    """Return the longest run of the function [cycles]."""
    start = text.require(r"^\+ Latency", "section 'Latency'")
    summary = text.require(r"\* Summary:", "summary of the latency", start)
    table = text.table(summary + 1)
    if not table:
        raise InputError(f"{text.source}: the summary of the latency is not a table")
    where = f"{text.source}: line {summary + 1}: latency"
    if len(table[-1]) < 5:  # least and most cycles, ..., type of pipeline
        raise InputError(
            f"{where}: {len(table[-1])} cells of latency and interval; must be 5 or "
            "more in a complete report, so write it again"
        )
    return parse_most(table[-1][1], where)


def _resources(row: Sequence[str], at: dict[str, int], where: str) -> Resources:
    return hls_resources(
        lambda name: cell(row, at, name, where) if name in at else None, where
    )


def _usage(text: ReportText, start: int) -> Resources:
    """Return the resources used."""
    summary = text.require(r"\* Summary:", "summary of the utilization", start)
    table = text.table(summary + 1)
    at = columns(table, "Name", text.source)
    rows = {row[0].strip(): row for row in table}
    if "Total" not in rows:
        raise InputError(
            f"{text.source}: the summary of the utilization has no row 'Total'; must "
            "be a complete report, so write it again"
        )
    return _resources(rows["Total"], at, f"{text.source}: utilization")


def _direct_modules(text: ReportText, usage: int) -> Iterator[ModuleRow]:
    """Yield the instances directly below the function."""
    area = text.find(r"\* Instance:", usage)
    table = [] if area is None else text.table(area + 1)
    if not table:
        return
    at = columns(table, "Instance", text.source)
    for row in table[1:]:
        instance = row[0].strip()
        if instance == "Total":
            continue
        yield ModuleRow(
            module=cell(row, at, "Module", text.source).strip(),
            instance=instance,
            depth=1,
            used=_resources(row, at, f"{text.source}: instance {instance!r}"),
        )


def _tree(
    table: Sequence[Sequence[str]], source: str
) -> tuple[int | None, list[ModuleRow]]:
    """Return the longest run [cycles] and the modules of a summary, the top first.

    The headings fill two rows. Depth is a blank a level, loops counted; a module's own
    depth counts modules only.
    """
    if len(table) < 3:
        return None, []
    if len(table[0]) != len(table[1]):
        raise InputError(
            f"{source}: headings of {len(table[0])} and {len(table[1])} columns; must "
            "be a complete report, so write it again"
        )
    names = [
        f"{a.strip()} {b.strip()}".strip() for a, b in zip(*table[:2], strict=True)
    ]
    at = {name: number for number, name in enumerate(names)}
    modules: list[ModuleRow] = []
    path: list[int] = []
    for row in table[2:]:
        found = _TREE_ROW.match(row[0])
        if found is None:
            raise InputError(f"{source}: row {row[0]!r}; must begin with '+' or 'o'")
        indent, name = len(found[1]), found[3].rstrip("*")
        where = f"{source}: {name!r}"
        while path and path[-1] >= indent:
            path.pop()
        if found[2] == "+":
            modules.append(
                ModuleRow(
                    module=name,
                    instance="",
                    depth=len(path),
                    used=_resources(row, at, where),
                )
            )
            path.append(indent)
    cycles = cell(table[2], at, "Latency (cycles)", source)
    return parse_most(cycles, source), modules
