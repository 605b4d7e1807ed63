"""The command that looks at the schedule of the emitted code."""

from pathlib import Path

import click

from hao.cli.common import JSON, chosen, show


@click.command("schedule")
@chosen
@JSON
@click.option(
    "--clock",
    "clock_mhz",
    type=click.FloatRange(min=0, min_open=True),
    help="Clock [MHz]  [default: the project's].",
)
@click.option(
    "--uncertainty",
    type=click.FloatRange(min=0, max=100, max_open=True),
    help="Clock uncertainty [%]  [default: the script's, and those of both tools].",
)
def schedule_command(
    *,
    path: Path,
    as_json: bool,
    clock_mhz: float | None,
    uncertainty: float | None,
) -> None:
    """Tell whether a run's pipelined loops reach their interval.

    RUN is a run directory or the folder of a project; without it, the newest run. For
    every pipelined loop: the clock period that its recurrences allow, what its memory
    ports allow, depth, dividers, DSPs, LUTs and flip-flops. Then what the tool would
    build slower, larger or not at all. Needs clang 16 or later, but no vendor tool.

    \b
    Examples:
      hao schedule                           the newest run's project
      hao schedule runs/digits --clock 150   at another clock
      hao schedule my_project --uncertainty 12.5 --json
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.schedule.text import render_schedule, schedule_json
    from hao.steps.reports import schedule_run

    report = schedule_run(
        path,
        clock_mhz=clock_mhz,
        uncertainty=None if uncertainty is None else uncertainty / 100,
    )
    show(schedule_json(report), render_schedule(report), as_json=as_json)
