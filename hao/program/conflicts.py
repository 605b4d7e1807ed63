"""Why a request cannot be met: the limits that clash, and what can be reached."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hao.errors import InfeasibleError
from hao.hw.board import Board
from hao.hw.resources import Resources
from hao.program.codesign import field_of
from hao.program.hunt import NO_LIMIT, Least, Limits, Progress
from hao.program.problem import Problem
from hao.program.products import least_cycles
from hao.program.quick import is_quick
from hao.program.search import find
from hao.program.shapes import may_run_within

_RELAXED = 1000
"""Factor by which a limit is lifted to see whether it is part of a conflict."""

FIRST_STEP, STEP_GROWTH = 0.04, 1.25
"""How much higher the second limit is at which the fastest design is sought, and by how
much more each further one is (chosen here)."""

FARTHEST = 1024
"""Multiple of a bound of its cycles up to which it is sought so (chosen here)."""

LIFTED = ("ddr", "ff", "bram_18k", "lut", "dsp")
"""Limits of a board in the order in which they are lifted."""


def clashing_limits(
    problem: Problem,
    *,
    budget: int,
    fits: bool | None = None,
    progress: Progress = lambda _: None,
) -> tuple[str, ...]:
    """Return an irreducible set of limits that together rule out the budget.

    Limits are lifted one after the other; one without which the rest still clash is
    left out for good. What is left is "space" if the network does not run on any
    engine of the space, whatever the board.

    Args:
        problem: An infeasible problem.
        budget: Latency that cannot be met [cycles].
        fits: Whether some engine fits the board; `None` if that is not known.
        progress: Told of each limit that is lifted.
    """
    lifted: list[str] = []
    conflict = ["latency"]
    if not (_reaches(problem, NO_LIMIT) if fits is None else fits):
        budget, conflict = NO_LIMIT, []
    progress("explaining: without the limits of the board")
    if not _reaches(problem.on_board(_lift(problem.board, LIFTED)), budget):
        # Without any of them it is out of reach: none is part of the conflict.
        return tuple(conflict) or ("space",)
    for name in LIFTED:
        progress(f"explaining: without the limit on {name}")
        board = _lift(problem.board, (*lifted, name))
        if _reaches(problem.on_board(board), budget):
            conflict.append(name)
        else:
            lifted.append(name)
    return tuple(conflict) or ("space",)


def _lift(board: Board, names: Sequence[str]) -> Board:
    counts = {
        name: getattr(board.resources, name) * (_RELAXED if name in names else 1)
        for name in ("dsp", "bram_18k", "uram", "lut", "ff")
    }
    return replace(
        board,
        resources=Resources(**counts),
        lutram=counts["lut"] if "lut" in names else board.lutram,
        ddr_peak_kbytes_per_s=board.ddr_peak_kbytes_per_s
        * (_RELAXED if "ddr" in names else 1),
    )


def fewest_cycles(problem: Problem) -> int:
    """Return the least latency of any design, whatever it costs in accuracy [cycles].

    Raises:
        InfeasibleError: No engine of the space fits the board.
    """
    field = field_of(problem)
    for cycles in _limits(problem):
        # What is far too slow is never listed.
        limits = Limits(cycles=cycles)
        found = find(field, Least.CYCLES, limits, together=True)
        if found is not None:
            return found.way.cycles
    raise InfeasibleError(
        f"{problem.network.name}: no engine fits {problem.board.title}"
    )


def _limits(problem: Problem) -> Iterator[int]:
    """Yield limits on the cycles of a frame that some engine may keep, ascending."""
    field, limit, step = field_of(problem), max(least_cycles(problem), 1), FIRST_STEP
    if not may_run_within(field, NO_LIMIT, NO_LIMIT):
        return
    most = limit * FARTHEST
    while limit < most:
        if may_run_within(field, limit, NO_LIMIT):
            yield limit
            step *= STEP_GROWTH
        limit += 1 + int(limit * step)
    yield NO_LIMIT


def _reaches(problem: Problem, budget: int) -> bool:
    """Return whether some design meets the budget, whatever it costs in accuracy."""
    field, limits = field_of(problem), Limits(cycles=budget)
    if least_cycles(problem) > budget:
        return False
    if is_quick(field, budget, NO_LIMIT):
        return True
    return (
        may_run_within(field, budget, NO_LIMIT)
        and find(field, Least.CYCLES, limits, first=True) is not None
    )
