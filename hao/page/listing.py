"""All runs of a folder, one line each."""

import json
from dataclasses import dataclass
from pathlib import Path

from hao.arguments import takes_words
from hao.errors import HaoError
from hao.page.files import PAGE_FILE
from hao.report.tables import label
from hao.runs.design_file import FILE_NAME, load_design
from hao.runs.records import load_records
from hao.runs.run import check_folder
from hao.runs.run_files import PROJECT_FOLDER
from hao.text import clipped, plain, text_table


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run, in short.

    Attributes:
        name: Of its directory.
        network: With image size.
        board: Its name.
        fps: Predicted frames per second at batch 1.
        top1: Measured of the integers, else predicted [percent]; `None` if unknown.
        measured: Whether `top1` was measured.
        done: Steps that it has been through: "searched", "quantized", "emitted",
            "simulated".
        problem: Why it cannot be read; empty if it can.
    """

    name: str
    network: str = ""
    board: str = ""
    fps: float | None = None
    top1: float | None = None
    measured: bool = False
    done: tuple[str, ...] = ()
    problem: str = ""


@takes_words
def list_runs(runs: Path) -> tuple[RunLine, ...]:
    """Return the runs of a folder, the newest first; those unreadable say why.

    Args:
        runs: Folder of all runs; need not exist.

    Raises:
        InputError: It is a file.
    """
    check_folder(runs)
    if not runs.is_dir():
        return ()
    found = [
        ((folder / FILE_NAME).stat().st_mtime_ns, folder.name, folder)
        for folder in runs.iterdir()
        if not folder.name.startswith(".") and (folder / FILE_NAME).is_file()
    ]
    return tuple(_line(folder) for _, _, folder in sorted(found, reverse=True))


def _line(folder: Path) -> RunLine:
    try:
        result = load_design(folder, check=False)
    except HaoError as error:
        return RunLine(name=folder.name, problem=str(error))
    records = load_records(folder)
    top1 = None if result.accuracy is None else result.accuracy.mean
    quantized = records.quantization
    measured = quantized is not None and quantized.integer_top1 is not None
    if quantized is not None and quantized.integer_top1 is not None:
        top1 = quantized.integer_top1
    steps = {
        "searched": True,
        "quantized": quantized is not None,
        "emitted": (folder / PROJECT_FOLDER).is_dir(),
        "simulated": records.simulation is not None,
    }
    return RunLine(
        name=folder.name,
        network=label(result),
        board=result.design.board.name,
        fps=result.cost.fps,
        top1=top1,
        measured=measured,
        done=tuple(step for step, done in steps.items() if done),
    )


def render_runs(lines: tuple[RunLine, ...], runs: Path) -> str:
    """Return the runs of a folder as a table.

    Args:
        lines: Of `list_runs`.
        runs: The folder.
    """
    if not lines:
        return f"{runs}: no run in it; `hao search` makes one\n"
    head = ("run", "network", "board", "frames/s", "top-1 %", "", "done")
    rows = [
        (
            plain(line.name),
            clipped(plain(line.network), 26),
            clipped(plain(line.board), 14),
            "-" if line.fps is None else f"{line.fps:.1f}",
            "-" if line.top1 is None else f"{line.top1:.2f}",
            "" if line.top1 is None else "measured" if line.measured else "predicted",
            line.done[-1],
        )
        for line in lines
        if not line.problem
    ]
    problems = [
        f"{plain(line.name)}: cannot be read: {plain(line.problem)}"
        for line in lines
        if line.problem
    ]
    table = [text_table(head, rows, left={0, 1, 2, 5, 6})] if rows else []
    note = f"`hao report {runs}/RUN` shows one, {runs}/RUN/{PAGE_FILE} is its page."
    return "\n".join([*table, *problems, "", note]) + "\n"


def runs_json(lines: tuple[RunLine, ...]) -> str:
    """Return the runs as a JSON list."""
    return json.dumps(
        [
            {
                "run": line.name,
                "network": line.network,
                "board": line.board,
                "fps": line.fps,
                "top1": line.top1,
                "top1_measured": line.measured,
                "done": list(line.done),
                "problem": line.problem,
            }
            for line in lines
        ],
        indent=1,
    )
