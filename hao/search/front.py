"""The front of accuracy against frame rate: for one network, or for all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hao.cost.power import estimate_power
from hao.errors import InfeasibleError
from hao.hw.board import Board
from hao.program.codesign import (
    SolveReport,
    choose_fastest,
    trade_off,
)
from hao.program.solver import SolverName, Status
from hao.search.candidates import Accuracy, Candidate
from hao.search.explore import Outcome

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPoint:
    """One design of the front.

    Attributes:
        network: Name and image size.
        fps: Frames per second at batch 1.
        latency_ms: Of one frame [ms].
        accuracy: Predicted top-1, or `None` if the float one is unknown.
        cost_points: Top-1 that the bits cost at the stance's end [points].
        mean_bits: Weight bits, averaged over the weights.
        status: Whether the design is proven optimal for its limit.
        power_mw: Estimated power of the board [mW], or `None` if not estimated.
    """

    network: str
    fps: float
    latency_ms: float
    accuracy: Accuracy | None
    cost_points: float
    mean_bits: float
    status: Status
    power_mw: int | None = None

    @property
    def fps_per_watt(self) -> float | None:
        """Return frames per second for each watt of the board, if estimated."""
        return None if self.power_mw is None else 1000 * self.fps / self.power_mw


def front_point(candidate: Candidate, report: SolveReport) -> FrontPoint:
    """Return the point of a solved design."""
    layers = candidate.network.compute_layers
    weights = sum(layer.weights for layer in layers)
    power = estimate_power(report.cost, report.design.board)
    bits = sum(
        layer.weights * report.design.weight_bits[layer.name] for layer in layers
    )
    return FrontPoint(
        network=candidate.label,
        fps=report.cost.fps,
        latency_ms=report.cost.latency_ms,
        accuracy=candidate.accuracy(report.design.scheme),
        cost_points=report.cost_micro / 1_000_000,
        mean_bits=bits / weights,
        status=report.status,
        power_mw=None if power is None else power.total_mw,
    )


def network_front(
    candidate: Candidate,
    board: Board,
    *,
    points: int,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> tuple[FrontPoint, ...]:
    """Return the front of one network, most accurate first.

    Args:
        candidate: The network and its options.
        board: Where it is to run.
        points: Most designs, at least 1; of more, evenly spaced ones are kept.
        solver: Who solves the integer programs.
        progress: Told of each step.

    Raises:
        InfeasibleError: No engine fits the board.
    """
    reports = trade_off(
        candidate.problem(board), points=points, solver=solver, progress=progress
    )
    return tuple(front_point(candidate, report) for report in reports)


def zoo_front(
    candidates: Sequence[Candidate],
    board: Board,
    outcome: Outcome,
    *,
    points: int,
    solver: SolverName = SolverName.AUTO,
    progress: Progress = lambda _: None,
) -> tuple[FrontPoint, ...]:
    """Return the front over many networks at their most bits, from the answer down.

    Candidates less accurate than the answer are taken in order of accuracy; each must
    be faster than all before it. One with more products than the last point is passed
    over without a solve; it would have to make them at a better rate.

    Args:
        candidates: Most promising first.
        board: Where they are to run.
        outcome: The answer of the search; the first point.
        points: Most points.
        solver: Who solves the integer programs.
        progress: Told of each candidate.
    """
    answer = outcome.candidate
    result = [front_point(answer, outcome.report)]
    fastest = outcome.report.cost.latency_cycles
    macs = answer.network.macs
    below = outcome.candidate.top1_micro - outcome.report.cost_micro
    for candidate in candidates:
        if len(result) >= points:
            break
        if candidate.bound_micro > below or candidate.label == answer.label:
            continue
        if candidate.network.macs >= macs:
            continue
        progress(f"front: {candidate.label}, {len(result)} points so far")
        try:
            report = choose_fastest(
                candidate.problem_at_most_bits(board),
                latency_limit=fastest - 1,
                solver=solver,
            )
        except InfeasibleError:
            continue
        fastest, macs = report.cost.latency_cycles, candidate.network.macs
        result.append(front_point(candidate, report))
    return tuple(result)
