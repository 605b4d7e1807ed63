"""The front of accuracy against frame rate: for one network, or for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from hao.accuracy.drops import Basis
from hao.answer.candidates import Accuracy, Candidate
from hao.answer.in_turn import USUAL_SOLVING, Solving
from hao.answer.ledger import Outcome
from hao.answer.workers import Answer, Task
from hao.cost.power import estimate_power
from hao.hw.board import Board
from hao.options.option import MICRO
from hao.program.codesign import SolveReport
from hao.program.front import trade_off
from hao.program.solver import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPoint:
    """One design of the front.

    Attributes:
        network: Name and image size.
        fps: Frames per second at batch 1, as frames follow each other.
        latency_ms: The engine's time for one frame [ms].
        accuracy: Predicted top-1, or `None` if the float one is unknown.
        cost_points: Top-1 that the bits cost, as the search reckons [points].
        mean_bits: Weight bits, averaged over the weights.
        status: Whether the design is proven optimal for its limit.
        power_mw: Estimated power of the board [mW], or `None` if not estimated.
        basis: What the accuracy rests on, if it is known.
    """

    network: str
    fps: float
    latency_ms: float
    accuracy: Accuracy | None
    cost_points: float
    mean_bits: float
    status: Status
    power_mw: int | None = None
    basis: Basis | None = None

    @property
    def ranked(self) -> float:
        """Return what the search ranks by: top-1 [percent], or the negated cost."""
        return -self.cost_points if self.accuracy is None else self.accuracy.ranked

    @property
    def fps_per_watt(self) -> float | None:
        """Return frames per second for each watt of the board, if estimated."""
        return None if self.power_mw is None else 1000 * self.fps / self.power_mw


def front_point(candidate: Candidate, report: SolveReport) -> FrontPoint:
    """Return the point of a solved design."""
    power = estimate_power(report.cost, report.design.board)
    return FrontPoint(
        network=candidate.label,
        fps=report.cost.fps,
        latency_ms=report.cost.engine_ms,
        accuracy=candidate.accuracy(report.design.scheme),
        cost_points=report.cost_micro / MICRO,
        mean_bits=report.design.mean_bits,
        status=report.status,
        power_mw=None if power is None else power.total_mw,
        basis=candidate.basis(report.design.scheme),
    )


def network_front(
    candidate: Candidate,
    board: Board,
    *,
    points: int,
    solving: Solving = USUAL_SOLVING,
) -> tuple[FrontPoint, ...]:
    """Return the front of one network, most accurate first.

    Args:
        candidate: The network and its options.
        board: Where it is to run.
        points: Most designs, at least 1; of more, evenly spaced ones are kept.
        solving: Who solves, in this process, and who is told of each step.

    Raises:
        InfeasibleError: No engine fits the board.
    """
    reports = trade_off(
        candidate.problem(board),
        points=points,
        solver=solving.solver,
        progress=solving.progress,
    )
    return tuple(front_point(candidate, report) for report in reports)


def zoo_front(
    candidates: Sequence[Candidate],
    board: Board,
    outcome: Outcome,
    *,
    points: int,
    solving: Solving = USUAL_SOLVING,
) -> tuple[FrontPoint, ...]:
    """Return the front over many networks at their most bits, from the answer down.

    Candidates less accurate than the answer are taken in order of accuracy; each must
    be faster than all before it, so no point after the answer is dominated. One with
    at least as many products as the last point is passed over without a solve, since
    it would have to make them at a better rate; so is one whose solve stops at its
    work limit without a design. The front may lack such points.

    Args:
        candidates: In any order.
        board: Where they are to run.
        outcome: The answer of the search; the first point.
        points: Most points, at least 1.
        solving: Who solves, and who is told of each candidate.

    Raises:
        SolverError: The workers died.
    """
    answer = outcome.candidate
    accuracy = answer.top1_micro - outcome.report.cost_micro
    order = sorted(candidates, key=lambda c: (-c.bound_micro, c.label))
    # By accuracy; of equally accurate ones, the last that is found is the fastest.
    found: dict[int, tuple[Candidate, SolveReport]] = {
        accuracy: (answer, outcome.report)
    }

    def passed_over(candidate: Candidate) -> bool:
        full = len(found) >= points and candidate.bound_micro not in found
        last, _ = found[min(found)]
        return (
            full
            or candidate.bound_micro >= accuracy
            or candidate.network.macs >= last.network.macs
        )

    def task(place: int) -> Task | None:
        candidate = order[place]
        if passed_over(candidate):
            return None
        return Task(
            label=f"front: {candidate.label}, {len(found)} points so far",
            problem=candidate.problem_at_most_bits(board),
            # Not that of the last point: what is solved ahead must not depend on it.
            latency_limit=outcome.report.cost.latency_cycles - 1,
        )

    def take(place: int, reply: Answer) -> bool:
        candidate = order[place]
        _, last = found[min(found)]
        if (
            isinstance(reply, SolveReport)
            and not passed_over(candidate)
            and reply.cost.latency_cycles < last.cost.latency_cycles
        ):
            found[candidate.bound_micro] = (candidate, reply)
        return len(found) >= points

    solving.in_turn(range(len(order)), task, take)
    return tuple(front_point(candidate, report) for candidate, report in found.values())
