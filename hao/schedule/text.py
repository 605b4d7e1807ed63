"""The schedule analysis as text and as JSON values."""

from collections.abc import Sequence
from pathlib import Path

from hao.schedule.recurrence import CERTAIN, IntervalVerdict, Recurrence
from hao.schedule.result import (
    LoopSchedule,
    ScheduleFinding,
    ScheduleReport,
    ScheduleRule,
    Uncertainty,
)
from hao.schedule.rules import describe_path
from hao.text import clipped, text_table

_NO_PERIOD = "none"
"""Printed for a recurrence that no clock period makes fit a single cycle."""


def render_schedule(report: ScheduleReport) -> str:
    """Return the loops as tables, then the findings with their places."""
    lines = [
        f"part         {report.part}; delays of {report.family}",
        f"clock        {report.clock_ns:.3f} ns, {1000 / report.clock_ns:.2f} MHz",
    ]
    lines += [
        f"budget       {item.budget_ns:.2f} ns: {item.title}, "
        f"{100 * item.uncertainty:.4g} % uncertainty"
        for item in report.settings
    ]
    lines += [f"compiler     {report.compiler}", ""]
    limit = limiting_loop(report)
    titles = [item.title for item in report.settings]
    head = ["loop", "place", "least ns", *titles, "ports", "depth"]
    left = {0, 1, *range(3, 3 + len(titles))}
    lines += [text_table(head, [_row(loop) for loop in report.loops], left=left), ""]
    head = ["loop", "DSP", "div", "LUT", "FF"]
    rows = [_area_row(loop) for loop in report.loops]
    lines += [text_table(head, rows, left={0})]
    lines += [
        "",
        "least ns     clock period, less uncertainty, at which recurrences allow II 1;",
        "             under each tool what they allow at the clock above",
        "ports        II that memory and FIFO ports allow, at most",
        "",
        *([] if limit is None else [*_clocks(report.settings, limit), ""]),
        render_schedule_findings(report.findings),
    ]
    return "\n".join(lines)


def limiting_loop(report: ScheduleReport) -> LoopSchedule | None:
    """Return the loop that is to begin every cycle and needs the longest period.

    `None` where recurrences limit none.
    """
    limited = [
        loop
        for loop in report.loops
        if loop.target == 1 and loop.recurrences[0].least_period
    ]
    return max(limited, key=_least_ns, default=None)


def clock_met_mhz(loop: LoopSchedule, setting: Uncertainty) -> float:
    """Return the clock up to which a loop's recurrences surely allow II 1 [MHz].

    Args:
        loop: Its recurrences have a least period.
        setting: Clock uncertainty.
    """
    return 1000 * CERTAIN * (1 - setting.uncertainty) / _least_ns(loop)


def _least_ns(loop: LoopSchedule) -> float:
    least = loop.recurrences[0].least_period
    assert least is not None, "only loops with a least period are compared"
    return least


def _clocks(settings: Sequence[Uncertainty], limit: LoopSchedule) -> list[str]:
    """Return lines that say which clock all loops meet, and which loop is the limit."""
    place = f"{loop_title(limit)}, {_short(limit.place.path)}:{limit.place.line}"
    return [
        f"II 1 up to   {clock_met_mhz(limit, item):.1f} MHz: {item.title}; "
        f"the limit is {place}"
        for item in settings
    ]


def loop_title(loop: LoopSchedule) -> str:
    """Return a loop's process, and its label if it has one."""
    return f"{loop.process}/{loop.label}" if loop.label else loop.process


def render_schedule_findings(findings: Sequence[ScheduleFinding]) -> str:
    """Return one line per finding, faults first counted."""
    lines = [f"{len(findings)} findings"]
    lines += [
        f"{_short(item.place.path)}:{item.place.line}: {item.rule}: {item.message}"
        for item in findings
    ]
    return "\n".join(lines)


def render_lint_schedule(findings: Sequence[ScheduleFinding] | str) -> str:
    """Return the findings of a schedule as a part of the lint.

    Args:
        findings: They, or in words why nothing was analysed.
    """
    if isinstance(findings, str):
        return f"schedule: not analysed: {findings}"
    return f"schedule: {render_schedule_findings(findings)}"


def has_faults(findings: Sequence[ScheduleFinding] | str) -> bool:
    """Return whether findings hold a fault, see `ScheduleRule.is_fault`."""
    if isinstance(findings, str):
        return False
    return any(ScheduleRule(item.rule).is_fault for item in findings)


def schedule_findings_json(
    findings: Sequence[ScheduleFinding] | str,
) -> list[object] | None:
    """Return the findings as JSON values; `None` where nothing was analysed."""
    if isinstance(findings, str):
        return None
    return [
        {
            "path": item.place.path,
            "line": item.place.line,
            "rule": item.rule,
            "message": item.message,
        }
        for item in findings
    ]


def schedule_json(report: ScheduleReport) -> dict[str, object]:
    """Return all of a report as JSON values; places as file and line."""
    limit = limiting_loop(report)
    return {
        "part": report.part,
        "family": report.family,
        "clock_ns": report.clock_ns,
        "compiler": report.compiler,
        "settings": [
            {
                "title": item.title,
                "uncertainty": item.uncertainty,
                "budget_ns": item.budget_ns,
                "clock_met_mhz": None if limit is None else clock_met_mhz(limit, item),
            }
            for item in report.settings
        ],
        "limiting_loop": None if limit is None else loop_title(limit),
        "loops": [_loop_json(loop, report.settings) for loop in report.loops],
        "findings": schedule_findings_json(report.findings),
    }


def _row(loop: LoopSchedule) -> list[str]:
    least = loop.recurrences[0].least_period
    return [
        loop_title(loop),
        clipped(f"{_short(loop.place.path)}:{loop.place.line}", 21),
        _NO_PERIOD if least is None else f"{least:.2f}",
        *(verdict_in_words(item, loop.target) for item in loop.recurrences),
        str(loop.ports.interval),
        str(loop.depth),
    ]


def _area_row(loop: LoopSchedule) -> list[str]:
    dividers = loop.counts.dividers + loop.counts.constant_dividers
    counts = (loop.area.dsp, dividers, loop.area.lut, loop.area.ff)
    return [loop_title(loop), *map(str, counts)]


def verdict_in_words(recurrence: Recurrence, target: int) -> str:
    """Return the interval that a recurrence allows, such as "II 1" or "II >= 3"."""
    match recurrence.verdict(target):
        case IntervalVerdict.FITS:
            return f"II {max(target, recurrence.interval)}"
        case IntervalVerdict.DOUBTFUL:
            return IntervalVerdict.DOUBTFUL.value
        case IntervalVerdict.FAILS:
            return f"II >= {recurrence.interval}"


def _short(path: str) -> str:
    return Path(path).name


def _loop_json(
    loop: LoopSchedule, settings: Sequence[Uncertainty]
) -> dict[str, object]:
    counts = loop.counts
    return {
        "process": loop.process,
        "label": loop.label,
        "path": loop.place.path,
        "line": loop.place.line,
        "target_ii": loop.target,
        "least_period_ns": loop.recurrences[0].least_period,
        "recurrence": [
            {
                "title": setting.title,
                "ratio": item.ratio,
                "ii": item.interval,
                "verdict": verdict_in_words(item, loop.target),
            }
            for setting, item in zip(settings, loop.recurrences, strict=True)
        ],
        "recurrence_iterations": loop.recurrences[0].distance,
        "recurrence_path": describe_path(loop.steps, most=len(loop.steps)),
        "port_ii": loop.ports.interval,
        "port": loop.ports.variable,
        "depth": loop.depth,
        "dsp": loop.area.dsp,
        "dsp_products": counts.dsp_products,
        "lut_products": counts.lut_products,
        "dividers": counts.dividers,
        "constant_dividers": counts.constant_dividers,
        "wide_shifters": list(counts.shifters),
        "wide_multiplexers": list(counts.multiplexers),
        "lut": loop.area.lut,
        "ff": loop.area.ff,
        "bus": [
            {
                "port": item.port,
                "line": item.place.line,
                "path": item.place.path,
                "writes": item.writes,
                "burst": not item.obstacle,
                "obstacle": item.obstacle,
            }
            for item in loop.bus
        ],
    }
