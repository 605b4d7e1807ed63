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
    HlsTool,
    ModuleRow,
    Span,
    SynthesisReport,
    parse_count,
    parse_ns,
    parse_span,
)
from hao.hw.resources import Resources

FUNCTION_TITLE = r"^== (Vivado|Vitis) HLS Report for '(.+)'"
SUMMARY_TITLE = r"^== Synthesis Summary Report of '(.+)'"

_TREE_ROW = re.compile(r"(\s*)([+o])\s+(\S+)")


def parse_function_report(text: ReportText) -> SynthesisReport:
    """Return the report of one function.

    Raises:
        InputError: It is cut short or a figure cannot be read.
    """
    title = re.match(FUNCTION_TITLE, text.lines[text.require(FUNCTION_TITLE, "title")])
    assert title is not None
    latency, interval = _summary_latency(text)
    usage = text.require(
        r"^== Utilization Estimates", "section 'Utilization Estimates'"
    )
    return SynthesisReport(
        source=text.name,
        tool=HlsTool(f"{title[1]} HLS"),
        version=text.field("Version").split()[0],
        top=title[2],
        part=text.field("Target device"),
        clock_estimated_ns=_clock(text),
        latency=latency,
        interval=interval,
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
    modules = _tree(table, text.source)
    if not modules:
        raise InputError(f"{text.source}: the table of modules is empty")
    top, *below = modules
    return SynthesisReport(
        source=text.name,
        tool=HlsTool.VITIS_HLS,
        version=text.field("Version").split()[0],
        top=top.module,
        part=text.field("Target device"),
        clock_estimated_ns=None,
        latency=top.latency,
        interval=top.interval,
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


def _cycles(cells: Sequence[str], where: str) -> tuple[Span, Span]:
    """Return latency and interval of cells that begin with one and end with the other.

    The last cell is the type of pipeline.
    """
    if len(cells) < 5:
        raise InputError(
            f"{where}: {len(cells)} cells of latency and interval; must be 5 or more "
            "in a complete report, so write it again"
        )
    figures = [parse_span(cells[number], where) for number in (0, 1, -3, -2)]
    return (
        Span(figures[0].low, figures[1].high),
        Span(figures[2].low, figures[3].high),
    )


def _summary_latency(text: ReportText) -> tuple[Span, Span]:
    start = text.require(r"^\+ Latency", "section 'Latency'")
    summary = text.require(r"\* Summary:", "summary of the latency", start)
    table = text.table(summary + 1)
    if not table:
        raise InputError(f"{text.source}: the summary of the latency is not a table")
    return _cycles(table[-1], f"{text.source}: line {summary + 1}: latency")


def _resources(row: Sequence[str], at: dict[str, int], where: str) -> Resources:
    def count(*names: str) -> int:
        for name in names:
            if name in at:
                return parse_count(cell(row, at, name, where), f"{where}: {name}")
        return 0

    return Resources(
        dsp=count("DSP", "DSP48E"),
        bram_18k=count("BRAM_18K", "BRAM"),
        uram=count("URAM"),
        lut=count("LUT"),
        ff=count("FF"),
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
    """Yield the instances directly below the function, from the two tables of them."""
    heading = r"\* Instance:"
    timing = text.find(heading)
    latency: dict[str, tuple[Span, Span]] = {}
    if timing is not None and timing < usage:
        for row in text.table(timing + 1)[2:]:
            where = f"{text.source}: instance {row[0].strip()!r}"
            latency[row[0].strip()] = _cycles(row[2:], where)
    area = text.find(heading, usage)
    table = [] if area is None else text.table(area + 1)
    if not table:
        return
    at = columns(table, "Instance", text.source)
    for row in table[1:]:
        instance = row[0].strip()
        if instance == "Total":
            continue
        cycles = latency.get(instance, (Span(), Span()))
        yield ModuleRow(
            module=cell(row, at, "Module", text.source).strip(),
            instance=instance,
            depth=1,
            latency=cycles[0],
            interval=cycles[1],
            used=_resources(row, at, f"{text.source}: instance {instance!r}"),
        )


def _tree(table: Sequence[Sequence[str]], source: str) -> list[ModuleRow]:
    """Return the modules of the table of a summary, the top first.

    The headings fill two rows. Depth is a blank a level, loops counted; a module's own
    depth counts modules only.
    """
    if len(table) < 3:
        return []
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
                    latency=parse_span(cell(row, at, "Latency (cycles)", where), where),
                    interval=parse_span(cell(row, at, "Interval", where), where),
                    used=_resources(row, at, where),
                )
            )
            path.append(indent)
    return modules
