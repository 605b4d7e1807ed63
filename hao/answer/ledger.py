"""What a search knows of its candidates, and the answer that follows from it.

Of every candidate a search keeps how good a design of it may still be: its floor. A
proof that no design meets the limits raises it; a solve that stops at its work limit,
with a design or without, does not. A candidate whose floor is no better than the best
design known cannot be the answer; `Verdict` records for each why it is not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from hao.answer.candidates import Candidate
from hao.answer.workers import Answer
from hao.errors import InfeasibleError, SolverError
from hao.program.codesign import SolveReport
from hao.program.solver import Status

NO_DESIGN = 1 << 60
"""Loss where no design is known; above any [cycles or micro-points]."""

EXCLUDED = 1 << 61
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
        loss: Of its design, in what the objective makes small: micro-points of top-1
            left, negated; cycles; or measured blocks.
        bound: No design of any candidate has a lower loss.
    """

    candidate: Candidate
    report: SolveReport
    verdicts: tuple[Verdict, ...]
    loss: int
    bound: int

    @property
    def gap(self) -> float:
        """Return the distance of loss and bound, relative to the loss."""
        return (self.loss - self.bound) / max(abs(self.loss), 1)

    @property
    def open(self) -> tuple[str, ...]:
        """Return the labels of candidates that may have a better design."""
        return tuple(v.candidate.label for v in self.verdicts if v.fate is Fate.OPEN)

    @property
    def proven(self) -> bool:
        """Return whether no candidate has a better design."""
        return self.report.status is Status.OPTIMAL and not self.open


Key = tuple[int, int, int, str]
"""The loss of a design, what decides between equal ones, and the label; least wins."""


@dataclass(slots=True)
class Known:
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
    key: Key = (NO_DESIGN, 0, 0, "")
    error: SolverError | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a search knows of its candidates, in the order in which it takes them."""

    entries: list[Known]
    key_of: Callable[[Candidate, SolveReport], Key]

    @property
    def best(self) -> Known:
        """Return the candidate with the best design; one without a report if none."""
        return min(self.entries, key=lambda entry: entry.key)

    @property
    def loss(self) -> int:
        """Return the loss of the best design."""
        return self.best.key[0]

    def take(self, place: int, answer: Answer, *, floor: int = EXCLUDED) -> bool:
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
            loss=self.loss,
            bound=min(self.loss, *(e.floor for e in self.entries if e.asked)),
            verdicts=tuple(
                Verdict(
                    candidate=entry.candidate,
                    fate=Fate.CHOSEN if entry is best else self._fate(entry),
                    report=entry.report,
                )
                for entry in self.entries
            ),
        )

    def _fate(self, entry: Known) -> Fate:
        if not entry.asked:
            return Fate.BOUNDED
        if entry.floor < self.loss:
            return Fate.OPEN
        if entry.error is not None and entry.floor > self.loss:
            return Fate.BOUNDED  # Nothing but that is known of it.
        return Fate.SLOWER if entry.report is None else Fate.WORSE
