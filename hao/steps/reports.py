"""What an emitted project is found to be: lint, schedule, reports of synthesis.

The parsers are optional, so they are imported where they are used.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from hao.arguments import takes_words
from hao.emission.compiling import check_emitted
from hao.errors import RefusedError, ToolError
from hao.handoff.compare import Compared, compare
from hao.handoff.load import load_report
from hao.page.files import renew_run_page
from hao.runs.design_file import FILE_NAME, load_design
from hao.runs.records import SCHEDULE_FILE, SYNTHESIS_FILE, keep_record, synthesis_json
from hao.runs.run_files import PROJECT_FOLDER, opened_run
from hao.schedule.project import SCRIPT, SOURCES, load_project
from hao.steps.common import check_installed

if TYPE_CHECKING:
    from hao.lint.finding import Finding
    from hao.schedule.result import ScheduleFinding, ScheduleReport


@takes_words
def lint_run(run: Path) -> dict[str, tuple["Finding", ...]]:
    """Return what the lint finds in a project, by tool generation.

    Args:
        run: A run directory, or the folder of a project, edited by hand or not.

    Raises:
        InputError: There is no project.
        ToolError: The parser or a C++ compiler is missing.
    """
    check_installed("lint", "tree_sitter", "tree_sitter_cpp")
    from hao.lint.check import lint
    from hao.lint.finding import Tool

    sources = _project(run) / SOURCES
    return {tool.value: lint(sources, tool=tool) for tool in Tool}


def _project(run: Path) -> Path:
    """Return the folder of a run's project, or of one that stands by itself."""
    if any((run / part).exists() for part in (SCRIPT, SOURCES)):
        return run
    if not (run / PROJECT_FOLDER / SCRIPT).is_file():
        run = opened_run(run)[1]
        check_emitted(run / PROJECT_FOLDER)
    return run / PROJECT_FOLDER


@takes_words
def lint_schedule(run: Path) -> "tuple[ScheduleFinding, ...] | str":
    """Return what the schedule of a run's project shows; in words why it is unknown.

    Code that clang refuses is a finding.

    Raises:
        InputError: There is no project, or its script names no part or clock.
    """
    from hao.hls.compiler import find_clang
    from hao.schedule.ir import SourceLine
    from hao.schedule.result import ScheduleFinding, ScheduleRule

    try:
        find_clang()
        return schedule_run(run).findings
    except ToolError as error:
        return str(error)
    except RefusedError as error:
        place = SourceLine(error.path, error.line)
        return (ScheduleFinding(place, ScheduleRule.COMPILE.value, error.fault),)


@takes_words
def schedule_run(
    run: Path, *, clock_mhz: float | None = None, uncertainty: float | None = None
) -> "ScheduleReport":
    """Return what the pipelined loops of a project allow, and what they cost.

    Args:
        run: A run directory, or the folder of a project, edited by hand or not.
        clock_mhz: Clock instead of the project's [MHz].
        uncertainty: Share of the clock period that the logic may not use, between 0
            and 1; `None` for what the project's script and the tools set.

    Raises:
        InputError: There is no project, or it does not compile.
        ToolError: There is no clang, or llvmlite is missing.
    """
    check_installed("lint", "llvmlite")
    from hao.schedule.analyse import analyse_project
    from hao.schedule.text import schedule_json

    project = _project(run)
    report = analyse_project(
        load_project(project, clock_mhz=clock_mhz), uncertainty=uncertainty
    )
    own = project == run / PROJECT_FOLDER and clock_mhz is None and uncertainty is None
    if own and (run / FILE_NAME).is_file():
        keep_record(run, SCHEDULE_FILE, schedule_json(report))
        renew_run_page(run)
    return report


@takes_words
def read_reports(run: Path, reports: list[Path]) -> Compared:
    """Return synthesis reports beside the run's predictions.

    Raises:
        InputError: A report cannot be read, or is for another device.
    """
    result = load_design(run)
    loaded = [load_report(path) for path in reports]
    rows = compare(result.design, result.cost, loaded)
    if result.run is not None:
        keep_record(result.run, SYNTHESIS_FILE, synthesis_json(rows))
        renew_run_page(result.run)
    return Compared(rows=rows)
