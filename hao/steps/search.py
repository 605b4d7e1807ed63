"""From a request to a chosen, proven, recorded design.

request -> board, candidates -> search -> report -> run directory
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from hao.answer.candidates import Candidate
from hao.answer.explain import explained, held_in_words, why_not_gurobi
from hao.answer.explore import search_accuracy, search_fps, search_smallest
from hao.answer.front import FrontPoint, network_front, zoo_front
from hao.answer.in_turn import Solving
from hao.answer.ledger import Outcome
from hao.answer.objective import measure_of
from hao.answer.workers import Progress, open_workers
from hao.arguments import takes_words
from hao.errors import ArgumentError, InfeasibleError
from hao.hw.board import Board
from hao.options.option import MICRO
from hao.page.files import write_run_page
from hao.program.codesign import SolveReport
from hao.program.several import choose_several
from hao.program.solver import check_solver
from hao.report.result import SearchResult, make_result
from hao.request import (
    SearchRequest,
    board_of,
    candidates_of,
    check_min_top1,
    check_rate,
    limits_of,
    with_batches,
)
from hao.runs.certificate import render_certificate
from hao.runs.run import check_target, run_state, write_run
from hao.steps.clock import check_loops


def no_files(result: SearchResult) -> Mapping[str, bytes]:
    """Return no files that a result leaves in its run besides."""
    return {}


@takes_words
def search(
    request: SearchRequest,
    *,
    board: Board | None = None,
    candidates: Sequence[Candidate] | None = None,
    run_path: Path | None = None,
    force: bool = False,
    more: Callable[[SearchResult], Mapping[str, bytes]] = no_files,
    progress: Progress = lambda _: None,
) -> SearchResult:
    """Return the best design for a request, and leave it in a run directory.

    Args:
        request: What to search for.
        board: Where it runs; `None` for the board of the request.
        candidates: Its networks, with more options than it makes itself; `None` for
            those of the request.
        run_path: Directory to create; `None` writes nothing. If another command has
            made a run of that name meanwhile, this one gets the next free name.
        force: Replace an existing run directory.
        more: What files a result leaves in its run besides.
        progress: Told of each step, one line at a time.

    Raises:
        InputError: The request, a file or a name is wrong; or the clock is beyond what
            the loops of the design found meet.
        UnsupportedError: The model has a layer that the engine cannot run.
        InfeasibleError: No design meets the limits.
        SolverError: Gurobi was asked for and does not run here; or no design was found,
            but it is not proven that there is none; or the workers died.
    """
    check_solver(request.solver)
    seen = None
    if run_path is not None:
        check_target(run_path, force=force)
        seen = run_state(run_path)
    if board is None:
        board = board_of(request)
    check_rate(request, board)
    if candidates is None:
        candidates = candidates_of(request, progress)
    if not candidates:
        raise ArgumentError("`candidates` is empty; must be at least one network")
    check_min_top1(request, candidates)
    candidates = with_batches(request, candidates)
    with open_workers(request.processes, request.cluster) as workers:
        solving = Solving(solver=request.solver, workers=workers, progress=progress)
        outcome = _search(request, board, candidates, solving)
        board = outcome.candidate.on(board)
        front = _front(request, board, candidates, outcome, solving)
    others = _others(request, board, outcome, progress)
    result = make_result(
        outcome,
        board=board,
        front=front,
        others=others,
        fps_asked=request.fps,
        margin_percent=request.margin_percent if request.fps is not None else 0.0,
        objective=request.objective,
        solver_reason=why_not_gurobi(request.solver, outcome.report.solver),
    )
    if request.clock_mhz is not None:
        check_loops(result.design, result.cost, progress)
    if run_path is not None:
        certificate = _certificate(request, board, outcome, result)
        result = write_run(
            result,
            run_path,
            force=force and run_state(run_path) == seen,
            certificate=certificate,
            or_next=True,
            more=more(result),
        )
        assert result.run is not None
        write_run_page(result, result.run)
        if result.run != run_path:
            progress(f"{run_path}: made by another command meanwhile")
    return result


def _certificate(
    request: SearchRequest, board: Board, outcome: Outcome, result: SearchResult
) -> str:
    """Return the text of the certificate of an answer."""
    _, top1 = limits_of(request, board)
    # What does not bear on the answer, or stands in the design file, is left out.
    aside = {
        "board",
        "calibration",
        "clock_mhz",
        "max_latency_ms",
        "workers",
        "cluster",
    }
    aside |= {"front_points", "best", "overlap_percent"}
    if request.batch is not None:
        aside |= {"frames", "batch"}
    if not request.within_percent:
        aside |= {"within_percent"}
    model = request.model and Path(request.model.name)  # of a file or a network
    asked = TypeAdapter(SearchRequest).dump_python(
        replace(request, model=model, rules=request.bit_rules),
        mode="json",
        exclude=aside,
    )
    return render_certificate(
        result,
        outcome,
        asked=asked,
        cycles_of=lambda board: limits_of(request, board)[0],
        least_top1_micro=top1,
    )


def _search(
    request: SearchRequest,
    board: Board,
    candidates: Sequence[Candidate],
    solving: Solving,
) -> Outcome:
    """Return the answer, or explain why there is none."""
    if request.fps is None:
        return search_fps(candidates, board, top1=request.min_top1, solving=solving)
    most_accurate = partial(
        search_accuracy,
        candidates,
        board,
        fps=request.fps / request.promised_share,
        tolerance=request.within_percent / 100,
        solving=solving,
    )
    measure = measure_of(request.objective, board)
    try:
        if measure is None:
            return most_accurate()
        return search_smallest(
            candidates,
            board,
            measure=measure,
            fps=request.fps / request.promised_share,
            top1=request.min_top1,
            solving=solving,
        )
    except InfeasibleError as error:
        if request.min_top1 is not None:
            nearest = None
            with suppress(InfeasibleError):
                nearest = most_accurate()
            if nearest is not None:
                raise InfeasibleError(
                    f"no network keeps {request.min_top1:g} % top-1 at "
                    f"{request.fps:g} fps{held_in_words(request.margin_percent)} on "
                    f"{board.name}; the most that one keeps is "
                    f"{-nearest.loss / MICRO:.2f} % ({nearest.candidate.label})",
                    conflicts=("accuracy", "latency"),
                ) from error
        smallest = min(candidates, key=lambda c: (c.network.macs, -(c.batch or 1)))
        raise explained(
            smallest,
            board,
            fps=request.fps,
            margin_percent=request.margin_percent,
            progress=solving.progress,
        ) from error


def _front(
    request: SearchRequest,
    board: Board,
    candidates: Sequence[Candidate],
    outcome: Outcome,
    solving: Solving,
) -> tuple[FrontPoint, ...]:
    """Return the front that was asked for, with the answer on it.

    Its starts take as many frames as the answer's.
    """
    if request.points == 0:
        return ()
    candidates = [c for c in candidates if c.batch == outcome.candidate.batch]
    if len(candidates) == 1:
        return network_front(
            candidates[0], board, points=request.points, solving=solving
        )
    return zoo_front(candidates, board, outcome, points=request.points, solving=solving)


def _others(
    request: SearchRequest, board: Board, outcome: Outcome, progress: Progress
) -> tuple[SolveReport, ...]:
    """Return further designs of the chosen network that were asked for, best first."""
    if request.best == 1:
        return ()
    cycles, _ = limits_of(request, board)
    assert cycles is not None
    problem = outcome.candidate.problem(board)
    found = choose_several(
        problem,
        outcome.report,
        count=request.best,
        budget=cycles,
        overlap_percent=request.overlap_percent,
        tolerance=request.within_percent / 100,
        solver=request.solver,
        progress=progress,
    )
    return found[1:]
