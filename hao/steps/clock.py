"""Whether the loops of a design's code meet a clock that no source says was reached."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hao.cost.evaluate import CostReport
from hao.emission.project import render_project, write_project
from hao.engine.design import Design
from hao.errors import ArgumentError, ToolError
from hao.ir.seeded import seeded_frames
from hao.steps.common import check_installed
from hao.steps.emit import random_integers

if TYPE_CHECKING:
    from hao.schedule.result import ScheduleReport


def check_loops(
    design: Design, cost: CostReport, progress: Callable[[str], None]
) -> None:
    """Check that a design's loops can begin an iteration a cycle at its clock.

    Nothing is looked at up to the fastest clock with a source. Beyond it the code is
    emitted with random weights and analysed, which takes seconds and a clang; where
    there is none, `progress` is told so, as it is where a loop may fail.

    Args:
        design: What was found.
        cost: Its prediction.
        progress: Told of each step, one line at a time.

    Raises:
        ArgumentError: A loop cannot begin every cycle.
    """
    if design.board.clock_excess <= 1:
        return
    try:
        check_installed("lint", "llvmlite")
        from hao.hls.compiler import find_clang

        clang = find_clang()
    except ToolError as error:
        progress(f"clock: not known whether every loop meets it: {error}")
        return
    from hao.schedule.analyse import analyse_project
    from hao.schedule.project import load_project

    progress(f"clock: loops at {design.board.clock_mhz:g} MHz")
    net = random_integers(design, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        project = render_project(design, net, cost, seeded_frames(net, 1, 0))
        write_project(project, Path(folder) / "hls", force=True)
        report = analyse_project(load_project(Path(folder) / "hls"), clang=clang)
    check_period(report, progress)


def check_period(report: "ScheduleReport", progress: Callable[[str], None]) -> None:
    """Check that every loop of a project can begin an iteration a cycle.

    Args:
        report: Of the project, at the clock asked for; its first uncertainty decides.
        progress: Told if a loop may fail.

    Raises:
        ArgumentError: A loop cannot; the message names it, and the clock that all meet.
    """
    from hao.schedule.recurrence import IntervalVerdict
    from hao.schedule.text import clock_met_mhz, limiting_loop, loop_title

    limit = limiting_loop(report)
    if limit is None:
        return
    found, setting = limit.recurrences[0], report.settings[0]
    verdict = found.verdict(limit.target)
    if verdict is IntervalVerdict.FITS:
        return
    met = math.floor(clock_met_mhz(limit, setting))
    why = (
        f"loop {loop_title(limit)} of the design found needs {found.least_period:.2f} "
        f"ns, and a cycle leaves {setting.budget_ns:.2f} ns at "
        f"{100 * setting.uncertainty:.3g} % uncertainty"
    )
    if verdict is IntervalVerdict.FAILS:
        raise ArgumentError(
            f"`clock_mhz` = {1000 / report.clock_ns:g} MHz; must be at most {met} MHz, "
            f"which all loops meet: {why}"
        )
    progress(f"clock: {why}; it may fail, and all loops meet {met} MHz")
