"""Which network, with which design, is best: the search over candidates.

Candidates come most promising first: by the top-1 that is left at the most bits. That
bounds what any design of theirs can reach, so a candidate is passed over when its bound
is no better than what is already known. The answer is therefore the optimum over all
networks, and `Verdict` records for each why it is not the answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from hao.errors import InfeasibleError
from hao.hw.board import Board
from hao.program.codesign import (
    NO_LIMIT,
    SolveReport,
    choose_fastest,
    choose_most_accurate,
)
from hao.program.solver import SolverName, Status
from hao.search.candidates import Candidate

Progress = Callable[[str], None]


class Fate(Enum):
    """What became of a candidate."""

    CHOSEN = "chosen"
    SLOWER = "no design meets the limit"
    WORSE = "its best design is no better"
    BOUNDED = "cannot be better, by its accuracy at the most bits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a candidate was or was not chosen."""

    candidate: Candidate
    fate: Fate
    report: SolveReport | None

    @property
    def looked_at(self) -> bool:
        """Return whether a program was solved for it, or proven infeasible."""
        return self.fate is not Fate.BOUNDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer of a search.

    Attributes:
        candidate: The network chosen.
        report: Its design.
        verdicts: All candidates, in the order in which they were looked at.
        proven: Every step was solved to optimality.
    """

    candidate: Candidate
    report: SolveReport
    verdicts: tuple[Verdict, ...]
    proven: bool


def budget_cycles(board: Board, fps: float) -> int:
    """Return the most cycles of a frame at which the board still makes `fps`."""
    return int(board.clock_khz * 1000 / fps)


def search_accuracy(
    candidates: Sequence[Candidate],
    board: Board,
    *,
    fps: float,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> Outcome:
    """Return the most accurate network and design that reach `fps`.

    First the candidates are taken at their most bits, best first, until one reaches
    the frame rate; then those before it are tried with fewer bits, as far as these can
    cost.

    Args:
        candidates: Most promising first.
        board: Where it is to run.
        fps: Frames per second at batch 1.
        solver: Who solves the integer programs.
        progress: Told of each candidate.

    Raises:
        InfeasibleError: No candidate reaches the frame rate.
    """
    budget = budget_cycles(board, fps)
    verdicts: list[Verdict] = []
    passed: list[Candidate] = []
    best: tuple[Candidate, SolveReport] | None = None
    for number, candidate in enumerate(candidates):
        progress(f"[{number + 1}/{len(candidates)}] {candidate.label}")
        try:
            report = choose_most_accurate(
                candidate.problem(board),
                budget=budget,
                cost_limit=candidate.top1_micro - candidate.bound_micro,
                solver=solver,
                progress=progress,
            )
        except InfeasibleError:
            passed.append(candidate)
            continue
        best = (candidate, report)
        break
    for candidate in passed:
        known = 0 if best is None else best[0].top1_micro - best[1].cost_micro
        fate, found = Fate.WORSE, None
        try:
            found = choose_most_accurate(
                candidate.problem(board),
                budget=budget,
                cost_limit=candidate.top1_micro - known - 1,
                solver=solver,
                progress=progress,
            )
        except InfeasibleError:
            fate = Fate.SLOWER
        if found is not None:
            if best is not None:
                verdicts.append(Verdict(candidate=best[0], fate=fate, report=best[1]))
            best = (candidate, found)
        else:
            verdicts.append(Verdict(candidate=candidate, fate=fate, report=None))
    if best is None:
        raise InfeasibleError(f"no network reaches {fps:g} fps on {board.title}")
    verdicts.append(Verdict(candidate=best[0], fate=Fate.CHOSEN, report=best[1]))
    seen = {verdict.candidate.label for verdict in verdicts}
    verdicts += [
        Verdict(candidate=c, fate=Fate.BOUNDED, report=None)
        for c in candidates
        if c.label not in seen
    ]
    return Outcome(
        candidate=best[0],
        report=best[1],
        verdicts=tuple(verdicts),
        proven=best[1].status is Status.OPTIMAL,
    )


def search_fps(
    candidates: Sequence[Candidate],
    board: Board,
    *,
    top1: float | None,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> Outcome:
    """Return the fastest network and design with at least `top1` left.

    Args:
        candidates: In any order; those with fewer products are tried first.
        board: Where it is to run.
        top1: Least top-1 [percent] at the stance's end; `None` for any.
        solver: Who solves the integer programs.
        progress: Told of each candidate.

    Raises:
        InfeasibleError: No candidate keeps that accuracy, or none fits the board.
    """
    needed = 0 if top1 is None else round(top1 * 1_000_000)
    verdicts: list[Verdict] = []
    best: tuple[Candidate, SolveReport] | None = None
    for candidate in sorted(candidates, key=lambda c: (c.network.macs, c.label)):
        if candidate.bound_micro < needed:
            verdicts.append(
                Verdict(candidate=candidate, fate=Fate.BOUNDED, report=None)
            )
            continue
        progress(candidate.label)
        limit = None if top1 is None else candidate.top1_micro - needed
        known = NO_LIMIT if best is None else best[1].cost.latency_cycles - 1
        try:
            found = choose_fastest(
                candidate.problem(board),
                cost_limit=limit,
                latency_limit=known,
                solver=solver,
                progress=progress,
            )
        except InfeasibleError:
            verdicts.append(Verdict(candidate=candidate, fate=Fate.WORSE, report=None))
            continue
        if best is not None:
            verdicts.append(Verdict(candidate=best[0], fate=Fate.WORSE, report=best[1]))
        best = (candidate, found)
    if best is None:
        limit_text = "" if top1 is None else f" with {top1:g} % top-1"
        raise InfeasibleError(f"no network fits {board.title}{limit_text}")
    verdicts.append(Verdict(candidate=best[0], fate=Fate.CHOSEN, report=best[1]))
    return Outcome(
        candidate=best[0],
        report=best[1],
        verdicts=tuple(verdicts),
        proven=best[1].status is Status.OPTIMAL,
    )
