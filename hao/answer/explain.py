"""Why a search found nothing: which limits clash, and what is reached instead."""

import re

from hao.answer.candidates import Candidate
from hao.answer.explore import budget_cycles
from hao.answer.workers import Progress
from hao.errors import InfeasibleError, SolverError
from hao.hw.board import Board, Frames
from hao.program.conflicts import clashing_limits, fewest_cycles
from hao.program.solver import SolverName, check_solver


def explained(
    candidate: Candidate,
    board: Board,
    *,
    fps: float,
    margin_percent: float,
    progress: Progress = lambda _: None,
) -> InfeasibleError:
    """Return an error that names the clashing limits and the nearest frame rate.

    Args:
        candidate: A network that does not reach the frame rate.
        board: Where it is to run.
        fps: Frame rate asked for.
        margin_percent: Part of the frame time that must stay free [percent].
        progress: Told of each step.
    """
    share = 1 - margin_percent / 100
    board = candidate.on(board)
    # A budget is lifted like any other limit once it is what the device has.
    problem = candidate.problem(board if board.budget is None else board.of_usable)
    fits = True
    progress(f"explaining: the fastest design of {candidate.label}")
    try:
        nearest = _nearest(board, fewest_cycles(problem), share)
    except InfeasibleError:
        nearest, fits = "no engine fits at any frame rate", False
    budget = budget_cycles(board, fps / share)
    clash = clashing_limits(problem, budget=budget, fits=fits, progress=progress)
    if clash == ("latency",):
        reason = "the limit on latency alone is too tight, whatever the board has"
    elif clash == ("space",):
        reason = "no engine runs it, whatever the board has (space)"
    elif len(clash) == 1:
        reason = f"the limit on {clash[0]} is too tight"
    else:
        reason = f"the limits on {', '.join(clash)} clash"
    return InfeasibleError(
        f"{candidate.label} does not reach {fps:g} fps{held_in_words(margin_percent)} "
        f"on {board.name}: {reason}; {nearest}",
        conflicts=clash,
    )


def _nearest(board: Board, cycles: int, share: float) -> str:
    """Return what a network reaches on a board.

    Args:
        board: Where it runs.
        cycles: Least of a start.
        share: Of the frame time that it may take.
    """
    most = board.most_start_cycles
    if most is not None and cycles > most:
        least_ms = cycles / board.clock_khz
        return f"a start takes {least_ms:.3g} ms at least (`max_latency_ms`)"
    reached = share * board.frames_per_s(cycles)
    nearest = f"the most it reaches is {int(reached)} fps at the fewest bits"
    if board.frames is Frames.BACK_TO_BACK and board.batch == 1:
        nearest += "; more with starts of several frames (`batch`)"
    return nearest


def held_in_words(margin_percent: float) -> str:
    """Return that a margin [percent] is held, for a message; empty if none is."""
    return (
        f" with a margin of {margin_percent:g} % (`margin_percent`)"
        if margin_percent
        else ""
    )


def why_not_gurobi(asked: SolverName, used: SolverName) -> str:
    """Return why HiGHS solved where Gurobi is tried first; empty if it was not so.

    Args:
        asked: Solver of the request.
        used: Who solved.
    """
    if asked is not SolverName.AUTO or used is not SolverName.HIGHS:
        return ""
    try:
        check_solver(SolverName.GUROBI)
    except SolverError as error:
        # Without what follows, which may name a file of this machine.
        return re.split(r" \(|[:;]", str(error))[0]
    return "the program is larger than its licence takes"
