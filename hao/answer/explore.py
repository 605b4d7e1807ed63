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
unknown float top-1 counts as 100 %. Where a network may have several numbers of frames
in a start, each is a candidate, and of equally good designs the one with the fewest
comes before all else.
"""

from collections.abc import Sequence
from dataclasses import replace

from hao.answer.candidates import Candidate
from hao.answer.in_turn import USUAL_SOLVING, Solving
from hao.answer.ledger import EXCLUDED, NO_DESIGN, Fate, Known, Ledger, Outcome
from hao.answer.workers import Answer, Task
from hao.errors import InfeasibleError
from hao.hw.board import Board
from hao.options.option import MICRO
from hao.program.codesign import NO_LIMIT, Measure, SolveReport, forget
from hao.program.problem import Problem


def budget_cycles(board: Board, fps: float) -> int:
    """Return the most cycles of a start at which the board still makes `fps`.

    They are no more than what the board allows a start.
    """
    cycles = board.clock_khz * 1000 / fps - board.clock_khz * board.host_us / 1000
    most = max(0, int(board.batch * cycles))
    allowed = board.most_start_cycles
    return most if allowed is None else min(most, allowed)


def _frames(candidate: Candidate) -> int:
    """Return the frames of a start that decide between equally good designs."""
    return candidate.batch or 1


def _least_step(candidate: Candidate) -> int:
    """Return by how much any scheme costs more than the least, if it does at all."""
    costs: dict[str, set[int]] = {}
    for option in candidate.options:
        costs.setdefault(option.layer, set()).add(option.cost_micro)
    ordered = [sorted(found) for found in costs.values() if len(found) > 1]
    return min((found[1] - found[0] for found in ordered), default=EXCLUDED)


def search_accuracy(
    candidates: Sequence[Candidate],
    board: Board,
    *,
    fps: float,
    tolerance: float = 0.0,
    solving: Solving = USUAL_SOLVING,
) -> Outcome:
    """Return the most accurate network and design that reach `fps`.

    First the candidates are taken at their most bits, most promising first, until one
    reaches the frame rate (of several, that it does is all that is asked for, where
    bounds make it likely). Those before it, but for those that bounds exclude at any
    bits, are then tried with fewer bits, as far as these can cost, those with fewer
    products first. Last, where the answer has its most bits, its best design is
    sought. Of equally accurate designs,
    the fastest is chosen as far as the solves tell; of these, the one whose label sorts
    first.

    Args:
        candidates: In any order.
        board: Where it is to run.
        fps: Frames per second at batch 1.
        tolerance: Share of its accuracy cost by which a design may be beaten.
        solving: Who solves, and who is told of each candidate.

    Raises:
        InfeasibleError: No candidate reaches the frame rate.
        SolverError: None was found to reach it, but this is not proven; or the workers
            died.
    """
    search = _ByAccuracy(candidates, board, fps, tolerance)
    ask = solving.in_turn
    ask(search.places, search.at_most_bits, search.take_at_most_bits)
    ask(search.passed_over(), search.with_fewer_bits, search.take)
    ask(search.as_good_as_the_best(), search.in_full, search.take_in_full)
    return search.ledger.outcome(f"no network reaches {fps:g} fps on {board.title}")


class _ByAccuracy:
    """What a search for the most accurate network asks, and what it knows.

    Args:
        candidates: In any order.
        board: Where they are to run.
        fps: Frames per second to reach.
        tolerance: Share of its accuracy cost by which a design may be beaten.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        board: Board,
        fps: float,
        tolerance: float,
    ) -> None:
        self._order = sorted(
            candidates, key=lambda c: (-c.bound_micro, _frames(c), c.label)
        )
        self._board, self._fps, self._tolerance = board, fps, tolerance
        self.places = range(len(self._order))
        self.ledger = Ledger(
            [Known(candidate=c, floor=-c.bound_micro) for c in self._order],
            lambda c, r: (
                r.cost_micro - c.top1_micro,
                _frames(c),
                r.cost.latency_cycles,
                c.label,
            ),
        )
        # What was priced for a candidate that may be the answer is kept.
        self._problems: dict[int, Problem] = {}

    def _task(self, place: int, cost_limit: int | None, how: str = "") -> Task:
        candidate = self._order[place]
        if place not in self._problems:
            self._problems[place] = candidate.problem(self._board)
        return Task(
            label=f"[{place + 1}/{len(self._order)}] {candidate.label}{how}",
            problem=self._problems[place],
            budget=budget_cycles(candidate.on(self._board), self._fps),
            cost_limit=cost_limit,
        )

    def _least(self, place: int) -> int:
        """Return the accuracy cost at the most bits [micro-points]."""
        return self._order[place].top1_micro - self._order[place].bound_micro

    def _most_loss(self, place: int) -> int:
        """Return the most loss of a candidate that may still be the answer."""
        best = self.ledger.best
        later = best.report is not None and (
            _frames(self._order[place]) > _frames(best.candidate)
        )
        return self.ledger.loss - later

    def at_most_bits(self, place: int) -> Task | None:
        """Return whether a candidate at its most bits is in time, as a task."""
        if -self._order[place].bound_micro > self._most_loss(place):
            return None
        several = len(self._order) > 1
        return replace(self._task(place, self._least(place)), decide=several)

    def take_at_most_bits(self, place: int, answer: Answer) -> bool:
        """Note an answer; return whether its design is the best now."""
        floor = EXCLUDED
        if isinstance(answer, InfeasibleError) and answer.at_any_cost:
            self._drop(place)
        else:
            bound = self._order[place].bound_micro
            floor = -bound + _least_step(self._order[place])
        return self.ledger.take(place, answer, floor=floor)

    def _drop(self, place: int) -> None:
        """Drop what was priced for a candidate."""
        problem = self._problems.pop(place, None)
        if problem is not None:
            forget(problem)

    def passed_over(self) -> list[int]:
        """Return the places that were asked about, those with fewer products first."""
        order = self._order
        asked = (place for place in self.places if self.ledger.entries[place].asked)
        return sorted(asked, key=lambda p: (order[p].network.macs, order[p].label))

    def with_fewer_bits(self, place: int) -> Task | None:
        """Return the best design at any bits as a task, where it may be the answer."""
        entry, loss = self.ledger.entries[place], self._most_loss(place)
        if entry.report is not None:
            return None
        if entry.floor > loss:
            self._drop(place)
            return None
        limit = None if loss == NO_DESIGN else entry.candidate.top1_micro + loss
        task = self._task(place, limit, ", fewer bits")
        unlikely = self._least(place)
        return replace(task, unlikely=unlikely, tolerance=self._tolerance)

    def take(self, place: int, answer: Answer) -> bool:
        """Note an answer; return whether its design is the best now."""
        self._drop(place)
        return self.ledger.take(place, answer)

    def as_good_as_the_best(self) -> list[int]:
        """Return the places whose designs at the most bits are the best, if any are."""
        if len(self._order) == 1:
            return []
        return [
            place
            for place in self.places
            if self.ledger.entries[place].report is not None
            and self.ledger.entries[place].key[:2] == self.ledger.best.key[:2]
            and place in self._problems  # not asked about with fewer bits
        ]

    def in_full(self, place: int) -> Task:
        """Return the best design of a candidate at its most bits as a task."""
        return self._task(place, self._least(place), ", its best design")

    def take_in_full(self, place: int, answer: Answer) -> bool:
        """Note an answer; return whether its design is the best now.

        Raises:
            SolverError: The answer is one, though a design is known.
        """
        if not isinstance(answer, SolveReport):
            raise answer
        return self.take(place, answer)


def search_fps(
    candidates: Sequence[Candidate],
    board: Board,
    *,
    top1: float | None,
    solving: Solving = USUAL_SOLVING,
) -> Outcome:
    """Return the fastest network and design with at least `top1` left.

    Each candidate must be as fast as the fastest before it. Of equally fast designs,
    the one with more top-1 left is chosen; of these, the one whose label sorts first.

    Args:
        candidates: In any order; those with fewer products are tried first.
        board: Where it is to run.
        top1: Least top-1 [percent] at the stance's end; `None` for any.
        solving: Who solves, and who is told of each candidate.

    Raises:
        InfeasibleError: No candidate keeps that accuracy, or none fits the board.
        SolverError: None was found, but that there is none is not proven; or the
            workers died.
    """
    needed = None if top1 is None else round(top1 * MICRO)
    order = sorted(candidates, key=lambda c: (c.network.macs, c.label))
    ledger = Ledger(
        [Known(candidate=c, floor=0) for c in order],
        lambda c, r: (
            r.cost.latency_cycles,
            r.cost_micro - c.top1_micro,
            _frames(c),
            c.label,
        ),
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
        )

    solving.in_turn(range(len(order)), task, ledger.take)
    limit_text = "" if top1 is None else f" with {top1:g} % top-1"
    return ledger.outcome(f"no network fits {board.title}{limit_text}")


def search_smallest(
    candidates: Sequence[Candidate],
    board: Board,
    *,
    measure: Measure,
    fps: float,
    top1: float | None,
    solving: Solving = USUAL_SOLVING,
) -> Outcome:
    """Return the network and design of fewest blocks that reach `fps` and keep `top1`.

    Without `top1`, `search_accuracy` decides the network, and its smallest design that
    is as accurate as its most accurate one is chosen. With it, every network that can
    keep it competes, each within the blocks of the smallest before it. Of equally small
    designs, the one with more top-1 left is chosen; of these, the one whose label sorts
    first.

    Args:
        candidates: In any order; those with fewer products are tried first.
        board: Where it is to run.
        measure: How blocks are counted.
        fps: Frames per second at batch 1.
        top1: Least top-1 [percent] at the stance's end; `None` for the most at `fps`.
        solving: Who solves, and who is told of each candidate.

    Raises:
        InfeasibleError: No candidate reaches the frame rate and keeps the accuracy.
        SolverError: None was found, but that there is none is not proven; or the
            workers died.
    """
    first: Outcome | None = None
    order = sorted(candidates, key=lambda c: (c.network.macs, _frames(c), c.label))
    if top1 is None and len(order) > 1:
        first = search_accuracy(order, board, fps=fps, solving=solving)
        order = [first.candidate]
    ledger = Ledger(
        [Known(candidate=c, floor=0) for c in order],
        lambda c, r: (
            r.objective,
            _frames(c),
            r.cost_micro - c.top1_micro,
            c.label,
        ),
    )
    needed = None if top1 is None else round(top1 * MICRO)

    def task(place: int) -> Task | None:
        candidate = order[place]
        if needed is not None and candidate.bound_micro < needed:
            return None
        limit = None if needed is None else candidate.top1_micro - needed
        return Task(
            label=f"smallest: [{place + 1}/{len(order)}] {candidate.label}",
            problem=candidate.problem(board),
            budget=budget_cycles(candidate.on(board), fps),
            measure=measure,
            most_blocks=None if ledger.loss == NO_DESIGN else ledger.loss,
            cost_limit=limit if first is None else first.report.cost_micro,
        )

    solving.in_turn(range(len(order)), task, ledger.take)
    limit_text = "" if top1 is None else f" with {top1:g} % top-1"
    outcome = ledger.outcome(
        f"no network reaches {fps:g} fps on {board.title}{limit_text}"
    )
    if first is None:
        return outcome
    (chosen,) = outcome.verdicts
    return replace(
        outcome,
        verdicts=tuple(chosen if v.fate is Fate.CHOSEN else v for v in first.verdicts),
    )
