"""From reports of emitted designs to constants of the cost model: the third flow.

    runs, reports, timings -> evidence -> fit, judged on designs left out -> file

`hao.flow` uses the file (`SearchRequest.calibration`, `estimate`). Whatever constants a
design was searched with, its reports are compared with the shipped ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from hao.arguments import take_fields, takes_words
from hao.calibration.assess import assess
from hao.calibration.evidence import (
    CalibrationEvidence,
    Case,
    Clocking,
    CycleFigure,
    read_evidence,
)
from hao.calibration.file import render_calibration
from hao.calibration.results import Assessment
from hao.calibration.timings import load_timings
from hao.cost.evaluate import evaluate
from hao.engine.design import Design
from hao.errors import InputError
from hao.files import check_absent, write_file
from hao.handoff.load import load_report
from hao.hw.board import Board
from hao.hw.calibration import NEUTRAL
from hao.runs.design_file import FILE_NAME, load_design


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateRequest:
    """What to calibrate from.

    Attributes:
        reports: Reports by the run directory or design file they are about.
        timings: Tables of times measured on the board (`hao.calibration.timings`).
        out: File to write, or `None`.
        force: Replace it.

    Raises:
        ArgumentError: A field is of a type that it cannot take.
    """

    reports: Annotated[Mapping[Path, Sequence[Path]], "runs, each with its reports"]
    timings: Sequence[Path] = ()
    out: Path | None = None
    force: bool = False

    def __post_init__(self) -> None:
        take_fields(self)


@takes_words
def calibrate(request: CalibrateRequest) -> Assessment:
    """Return the constants that reports ask for, and write them if a file is named.

    Raises:
        InputError: A run, report or table is wrong or of another device, designs are
            of different boards, there is nothing to fit, or the file exists.
    """
    if request.out is not None:
        if request.out.is_dir():
            raise InputError(f"{request.out}: a directory; must be a file to write")
        check_absent(request.out, force=request.force)
    cases = _Cases()
    evidence = CalibrationEvidence()
    for run, paths in request.reports.items():
        if not paths:
            raise InputError(f"{run}: no report after it; must be at least one")
        case = cases.open(run)
        evidence += read_evidence(case, [load_report(path) for path in paths])
    for table in request.timings:
        for timing in load_timings(table):
            try:
                case = cases.open(timing.design)
            except InputError as error:
                raise InputError(f"{timing.where}: {error}") from error
            figure = CycleFigure(
                case=case,
                report=timing.where,
                clocking=Clocking.BOARD,
                clock_khz=timing.clock_khz,
                reported=timing.cycles * case.cost.frames,
            )
            evidence += CalibrationEvidence(cycles=(figure,))
    if cases.board is None:
        raise InputError(
            "nothing to calibrate from; must be a run with its reports, or `timings`"
        )
    found = assess(evidence, cases.board)
    if request.out is not None:
        write_file(request.out, render_calibration(found).encode())
    return found


class _Cases:
    """The designs opened so far, each once, all of one board."""

    def __init__(self) -> None:
        self._by_path: dict[Path, Case] = {}
        self.board: Board | None = None

    def open(self, run: Path) -> Case:
        """Return the design of a run; equal designs are one."""
        path = run.resolve()
        if path.name == FILE_NAME:
            path = path.parent
        if path not in self._by_path:
            design = _shipped(load_design(run).design)
            self._check_board(run, design.board)
            same = (c for c in self._by_path.values() if _equal(c.design, design))
            self._by_path[path] = next(same, None) or Case(
                label=self._label(path), design=design, cost=evaluate(design)
            )
        return self._by_path[path]

    def _check_board(self, run: Path, board: Board) -> None:
        if self.board is None:
            self.board = board
        first = self.board
        if (board.name, board.device) != (first.name, first.device):
            raise InputError(
                f"{run}: for board {board.name!r} ({board.device}), others for "
                f"{first.name!r} ({first.device}); calibrate each board on its own"
            )

    def _label(self, path: Path) -> str:
        """Return the name of a run, with a number where another has it too."""
        taken = {case.label for case in self._by_path.values()}
        name = path.name.removesuffix(".json") or "run"
        label, number = name, 1
        while label in taken:
            number += 1
            label = f"{name}#{number}"
        return label


def _shipped(design: Design) -> Design:
    """Return a design with the constants that ship with hao."""
    return replace(design, board=replace(design.board, calibration=NEUTRAL))


def _equal(first: Design, second: Design) -> bool:
    """Return whether two designs are one engine and program, at whatever clock."""
    clock = first.board.clock_khz
    return first == replace(second, board=second.board.at_clock(clock))
