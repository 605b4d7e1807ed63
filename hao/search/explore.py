"""Which network, with which design, is best: the search over candidates.

Of every candidate a search keeps how good a design of it may still be: its floor. At
first that is the top-1 that is left at the most bits; a proof that no design meets the
limits raises it; a solve that stops at its work limit, with a design or without, does
not. A candidate whose floor is no better than the best design known is passed over.
The answer is therefore the optimum over all networks, but for the candidates that
`Outcome.open` names. `Verdict` records for each why it is not the answer.

Candidates are asked about in a fixed order, under limits that follow from the answers
before; so the outcome does not depend on the workers. Of designs that are equally good,
the one that is better in the other respect is chosen (the faster of equally accurate
ones, the more accurate of equally fast ones), then the one whose label sorts first. An
unknown float top-1 counts as 100 %.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from hao.errors import InfeasibleError, SolverError
from hao.hw.board import Board
from hao.options.option import MICRO
from hao.program.codesign import NO_LIMIT, SolveReport
from hao.program.solver import SolverName, Status
from hao.search.candidates import Candidate
from hao.search.workers import IN_PROCESS, Answer, Task, Workers, solve_in_turn

Progress = Callable[[str], None]

_NO_DESIGN = 1 << 60
"""Loss where no design is known; above any [cycles or micro-points]."""

_EXCLUDED = 1 << 61
"""Floor of a candidate that is proven to have no design of interest."""


class Fate(Enum):
    """What became of a candidate."""

    CHOSEN = "chosen"
    SLOWER = "no better design of it meets the limits"
    WORSE = "its best design is no better"
    BOUNDED = "cannot be better, by its accuracy at the most bits"
    OPEN = "not found, not excluded"


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
        verdicts: One for each candidate, in the order in which they were taken.
    """

    candidate: Candidate
    report: SolveReport
    verdicts: tuple[Verdict, ...]

    @property
    def open(self) -> tuple[str, ...]:
        """Return the labels of candidates that may have a better design."""
        return tuple(v.candidate.label for v in self.verdicts if v.fate is Fate.OPEN)

    @property
    def proven(self) -> bool:
        """Return whether no candidate has a better design."""
        return self.report.status is Status.OPTIMAL and not self.open


Key = tuple[int, int, str]
"""The loss of a design, what decides between equal ones, and the label; least wins."""


@dataclass(slots=True)
class _Known:
    """What is known of one candidate.

    Attributes:
        candidate: The network.
        floor: No design of it that meets the limits has a lower loss.
        asked: It was asked about.
        report: Its best design so far.
        key: Of that design.
        error: Why there is neither a design nor a proof.
    """

    candidate: Candidate
    floor: int
    asked: bool = False
    report: SolveReport | None = None
    key: Key = (_NO_DESIGN, 0, "")
    error: SolverError | None = None


@dataclass(frozen=True, slots=True)
class _Ledger:
    """What a search knows of its candidates, in the order in which it takes them."""

    entries: list[_Known]
    key_of: Callable[[Candidate, SolveReport], Key]

    @property
    def best(self) -> _Known:
        """Return the candidate with the best design; one without a report if none."""
        return min(self.entries, key=lambda entry: entry.key)

    @property
    def loss(self) -> int:
        """Return the loss of the best design."""
        return self.best.key[0]

    def take(self, place: int, answer: Answer, *, floor: int = _EXCLUDED) -> bool:
        """Note an answer; return whether its design is the best now.

        Args:
            place: Of the candidate.
            answer: About it.
            floor: Least loss that is left if there is no such design.
        """
        entry = self.entries[place]
        entry.asked = True
        entry.error = answer if isinstance(answer, SolverError) else None
        if isinstance(answer, InfeasibleError):
            entry.floor = floor
        if not isinstance(answer, SolveReport):
            return False
        entry.report, entry.key = answer, self.key_of(entry.candidate, answer)
        entry.floor = entry.key[0] - (answer.objective - answer.bound)
        return self.best is entry

    def outcome(self, nothing: str) -> Outcome:
        """Return the best design, and why each other candidate has none better.

        Raises:
            InfeasibleError: There is no design, with `nothing` as the reason.
            SolverError: None was found, but that there is none is not proven.
        """
        best = self.best
        if best.report is None:
            errors = [entry for entry in self.entries if entry.error is not None]
            if not errors:
                raise InfeasibleError(nothing)
            labels = ", ".join(entry.candidate.label for entry in errors)
            raise SolverError(
                f"{nothing}, as far as was found; not excluded: {labels} "
                f"({errors[0].error})"
            ) from errors[0].error
        return Outcome(
            candidate=best.candidate,
            report=best.report,
            verdicts=tuple(
                Verdict(
                    candidate=entry.candidate,
                    fate=Fate.CHOSEN if entry is best else self._fate(entry),
                    report=entry.report,
                )
                for entry in self.entries
            ),
        )

    def _fate(self, entry: _Known) -> Fate:
        if not entry.asked:
            return Fate.BOUNDED
        if entry.floor < self.loss:
            return Fate.OPEN
        return Fate.SLOWER if entry.report is None else Fate.WORSE


def budget_cycles(board: Board, fps: float) -> int:
    """Return the most cycles of a frame at which the board still makes `fps`."""
    return int(board.clock_khz * 1000 / fps)


def _least_step(candidate: Candidate) -> int:
    """Return by how much any scheme costs more than the least, if it does at all."""
    costs: dict[str, set[int]] = {}
    for option in candidate.options:
        costs.setdefault(option.layer, set()).add(option.cost_micro)
    ordered = [sorted(found) for found in costs.values() if len(found) > 1]
    return min((found[1] - found[0] for found in ordered), default=_EXCLUDED)


def search_accuracy(
    candidates: Sequence[Candidate],
    board: Board,
    *,
    fps: float,
    solver: SolverName = SolverName.AUTO,
    workers: Workers = IN_PROCESS,
    progress: Progress = lambda _: None,
) -> Outcome:
    """Return the most accurate network and design that reach `fps`.

    First the candidates are taken at their most bits, most promising first, until one
    reaches the frame rate; then those before it are tried with fewer bits, as far as
    these can cost. Of equally accurate designs, the fastest is chosen as far as the
    solves tell; of these, the one whose label sorts first.

    Args:
        candidates: In any order.
        board: Where it is to run.
        fps: Frames per second at batch 1.
        solver: Who solves the integer programs.
        workers: Who solves the candidates.
        progress: Told of each candidate.

    Raises:
        InfeasibleError: No candidate reaches the frame rate.
        SolverError: None was found to reach it, but this is not proven; or the workers
            died.
    """
    order = sorted(candidates, key=lambda c: (-c.bound_micro, c.label))
    ledger = _Ledger(
        [_Known(candidate=c, floor=-c.bound_micro) for c in order],
        lambda c, r: (r.cost_micro - c.top1_micro, r.cost.latency_cycles, c.label),
    )
    budget = budget_cycles(board, fps)

    def task(place: int, cost_limit: int | None, how: str, excluded: int = -1) -> Task:
        candidate = order[place]
        return Task(
            label=f"[{place + 1}/{len(order)}] {candidate.label}{how}",
            problem=candidate.problem(board),
            budget=budget,
            cost_limit=cost_limit,
            excluded=excluded,
            solver=solver,
        )

    def at_most_bits(place: int) -> Task | None:
        candidate = order[place]
        if -candidate.bound_micro > ledger.loss:
            return None
        return task(place, candidate.top1_micro - candidate.bound_micro, "")

    def with_fewer_bits(place: int) -> Task | None:
        entry, loss = ledger.entries[place], ledger.loss
        if entry.report is not None or entry.floor > loss:
            return None
        limit = None if loss == _NO_DESIGN else entry.candidate.top1_micro + loss
        known = entry.candidate.top1_micro - entry.candidate.bound_micro
        return task(place, limit, ", fewer bits", known)

    def left(place: int) -> int:
        return -order[place].bound_micro + _least_step(order[place])

    places = range(len(order))
    solve_in_turn(
        places,
        at_most_bits,
        lambda place, answer: ledger.take(place, answer, floor=left(place)),
        workers=workers,
        progress=progress,
    )
    passed = [place for place in places if ledger.entries[place].asked]
    solve_in_turn(
        passed, with_fewer_bits, ledger.take, workers=workers, progress=progress
    )
    return ledger.outcome(f"no network reaches {fps:g} fps on {board.title}")


def search_fps(
    candidates: Sequence[Candidate],
    board: Board,
    *,
    top1: float | None,
    solver: SolverName = SolverName.AUTO,
    workers: Workers = IN_PROCESS,
    progress: Progress = lambda _: None,
) -> Outcome:
    """Return the fastest network and design with at least `top1` left.

    Each candidate must be as fast as the fastest before it. Of equally fast designs,
    the one with more top-1 left is chosen; of these, the one whose label sorts first.

    Args:
        candidates: In any order; those with fewer products are tried first.
        board: Where it is to run.
        top1: Least top-1 [percent] at the stance's end; `None` for any.
        solver: Who solves the integer programs.
        workers: Who solves the candidates.
        progress: Told of each candidate.

    Raises:
        InfeasibleError: No candidate keeps that accuracy, or none fits the board.
        SolverError: None was found, but that there is none is not proven; or the
            workers died.
    """
    needed = None if top1 is None else round(top1 * MICRO)
    order = sorted(candidates, key=lambda c: (c.network.macs, c.label))
    ledger = _Ledger(
        [_Known(candidate=c, floor=0) for c in order],
        lambda c, r: (r.cost.latency_cycles, r.cost_micro - c.top1_micro, c.label),
    )

    def task(place: int) -> Task | None:
        candidate = order[place]
        if needed is not None and candidate.bound_micro < needed:
            return None
        return Task(
            label=f"[{place + 1}/{len(order)}] {candidate.label}",
            problem=candidate.problem(board),
            cost_limit=None if needed is None else candidate.top1_micro - needed,
            latency_limit=min(ledger.loss, NO_LIMIT),
            solver=solver,
        )

    solve_in_turn(
        range(len(order)), task, ledger.take, workers=workers, progress=progress
    )
    limit_text = "" if top1 is None else f" with {top1:g} % top-1"
    return ledger.outcome(f"no network fits {board.title}{limit_text}")
