"""What became of checking a run's answer: one line, or one JSON object."""

from dataclasses import dataclass
from pathlib import Path

from hao.program.solver import SolverName
from hao.report.words import count_in_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What became of the check.

    Attributes:
        run: The run directory.
        reason: What differs; empty if nothing does.
        claim: What the answer is the best of.
        gap: Distance of the recorded objective and the bound found again, relative.
        solver: Who solved the integer program again; `None` if it did not come to that.
        again: It is who solved it first: the other one does not run here.
        networks: Networks that the run considered.
        skipped: Of these, networks that were believed, not solved again.
        samples: Random designs that were priced.
    """

    run: Path
    reason: str = ""
    claim: str = ""
    gap: float = 0.0
    solver: SolverName | None = None
    again: bool = False
    networks: int = 0
    skipped: int = 0
    samples: int = 0

    @property
    def verified(self) -> bool:
        """Return whether everything that was checked agrees."""
        return not self.reason

    def __repr__(self) -> str:
        """Return the one line that says so: what Python shows."""
        return self.line()

    def line(self, seconds: float | None = None) -> str:
        """Return the one line that says so; `seconds` is what the check took."""
        if self.reason:
            return f"{self.run}: NOT verified: {self.reason}"
        skipped = f", {self.skipped} not solved again (--quick)" if self.skipped else ""
        again = " again, the other solver does not run here" if self.again else ""
        solver = "" if self.solver is None else f"{self.solver.value}{again}, "
        took = "" if seconds is None else f", {seconds:.1f} s"
        return (
            f"{self.run}: verified: {self.claim}; gap {self.gap:g} ({solver}"
            f"{count_in_words(self.networks, 'network')}{skipped}{took})"
        )

    def as_json(self) -> dict[str, object]:
        """Return the check as JSON values."""
        return {
            "run": str(self.run),
            "verified": self.verified,
            "reason": self.reason,
            "claim": self.claim,
            "gap": self.gap,
            "solver": self.solver and self.solver.value,
            "same_solver": self.again,
            "networks": self.networks,
            "not_solved_again": self.skipped,
            "samples": self.samples,
        }
