"""What is worth a finding about a pipelined loop."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from hao.schedule.recurrence import IntervalVerdict
from hao.schedule.result import (
    CycleStep,
    LoopSchedule,
    ScheduleFinding,
    ScheduleRule,
    Uncertainty,
)

_SHOWN = 12


def loop_findings(
    loop: LoopSchedule, settings: Sequence[Uncertainty]
) -> Iterable[ScheduleFinding]:
    """Yield the findings about a loop, judged by the first setting."""
    title = f"loop {loop.label or loop.place.line} of {loop.process}"
    for rule, message in (*_recurrence(loop, settings[0]), *_operators(loop)):
        yield ScheduleFinding(loop.place, rule.value, f"{title}: {message}")
    for place in loop.inner:
        yield ScheduleFinding(
            place,
            ScheduleRule.INNER_LOOP.value,
            f"{title} holds a loop that cannot be unrolled, so it is not pipelined",
        )
    for access in loop.bus:
        if access.obstacle:
            how = "write" if access.writes else "read"
            yield ScheduleFinding(
                access.place,
                ScheduleRule.BURST.value,
                f"{title}: {how} of port {access.port} is no burst: {access.obstacle}",
            )


def _operators(loop: LoopSchedule) -> Iterable[tuple[ScheduleRule, str]]:
    ports, counts = loop.ports, loop.counts
    if ports.interval > loop.target:
        yield (
            ScheduleRule.PORTS,
            f"{ports.variable} is read {ports.reads} and written {ports.writes} times "
            f"an iteration; II {ports.interval} if the tool does not copy it",
        )
    if counts.dividers:
        yield (
            ScheduleRule.DIVIDER,
            f"{counts.dividers} divisions or remainders by a variable, each a "
            "pipeline as deep as its dividend is wide",
        )
    if counts.shifters:
        count, most = len(counts.shifters), max(counts.shifters)
        yield (
            ScheduleRule.SHIFTER,
            f"shifts by a variable of up to {most} bits: {count}",
        )
    if counts.floats:
        yield (
            ScheduleRule.FLOAT,
            f"{counts.floats} floating-point operators, which are not timed",
        )


def _recurrence(
    loop: LoopSchedule, setting: Uncertainty
) -> Iterable[tuple[ScheduleRule, str]]:
    recurrence = loop.recurrences[0]
    verdict = recurrence.verdict(loop.target)
    if verdict is IntervalVerdict.FITS:
        return
    if recurrence.least_period is None:
        need = f"{recurrence.ratio:.2f} cycles of {setting.budget_ns:.2f} ns"
    else:
        need = (
            f"{recurrence.least_period:.2f} ns, a cycle has "
            f"{setting.budget_ns:.2f} ns for logic"
        )
    if verdict is IntervalVerdict.DOUBTFUL:
        rule, end = ScheduleRule.DOUBTFUL, f"II {loop.target} may fail"
    else:
        rule, end = ScheduleRule.RECURRENCE, f"II at least {recurrence.interval}"
    over = f" over {recurrence.distance} iterations" if recurrence.distance > 1 else ""
    yield rule, f"recurrence needs {need}; {end}: {describe_path(loop.steps)}{over}"


def describe_path(steps: Sequence[CycleStep], *, most: int = _SHOWN) -> str:
    """Return up to `most` operators of a recurrence on one line, with their places."""
    words = [
        f"{step.text} ({Path(step.place.path).name}:{step.place.line})"
        for step in steps[:most]
    ]
    if len(steps) > most:
        words.append(f"{len(steps) - most} more")
    return " -> ".join(words)
