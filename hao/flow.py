"""The flow: from a request to a chosen, proven, recorded design. Read this first.

    request -> board, candidates -> search -> report -> run directory

Every step is one call whose result is a named value handed to the next. What the
command line does, a notebook can do by calling these functions.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from hao.accuracy.drops import load_drop_table
from hao.accuracy.published import published_networks
from hao.calibration.file import load_constants
from hao.cost.evaluate import evaluate
from hao.cost.power import why_no_power
from hao.errors import InfeasibleError, InputError
from hao.frontends.imported import ImportedNetwork
from hao.frontends.model_file import load_model
from hao.hw.board import Board
from hao.hw.board_file import load_board
from hao.hw.budget import with_budget
from hao.ir.network import Network
from hao.options.option import MICRO
from hao.program.solver import SolverName, check_solver
from hao.report.certificate import render_certificate
from hao.report.design_file import load_design
from hao.report.result import SearchResult, make_result
from hao.report.run import write_run
from hao.search.candidates import (
    BitRules,
    Candidate,
    make_candidate,
    published_candidates,
)
from hao.search.explain import explained, held_in_words, why_not_gurobi
from hao.search.explore import (
    Outcome,
    budget_cycles,
    search_accuracy,
    search_fps,
    search_smallest,
)
from hao.search.front import FrontPoint, network_front, zoo_front
from hao.search.objective import Objective, check_objective, measure_of
from hao.search.workers import Workers, open_workers
from hao.zoo import build_network, network_names

__all__ = [
    "Objective",
    "SearchRequest",
    "board_of",
    "candidates_of",
    "check_request",
    "estimate",
    "network_table",
    "reopen",
    "search",
]

Progress = Callable[[str], None]

DEFAULT_MARGIN_PERCENT = 15.0
"""Part of the frame time that a prediction leaves free, unless asked otherwise.

Source: half of the published rows took more than 1.16 times what was predicted
(docs/validation.md); 15 % leave room for 1.18 times.
"""


MOST_WORKERS = 256
"""Most processes on one machine (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """What a user asks for.

    Attributes:
        board: Name of a board or path of a board file.
        fps: Frame rate to reach; for `Objective.ACCURACY`, `AREA` and `POWER`.
        network: One network of the zoo; `None` for all with published accuracy.
        image_size: Of that network; `None` for its usual one.
        model: An ONNX or QONNX file instead of the zoo.
        top1: Float top-1 of `model` [percent], if known.
        min_top1: Least top-1 [percent]; for `Objective.FPS`, and if wanted for `AREA`
            and `POWER`.
        clock_mhz: Clock instead of the board's.
        calibration: File of the cost model's constants for the board; `None` for those
            that ship with hao.
        max_lut: Most LUTs of a design: a count such as "30000", or a share of the
            device such as "50%"; `None` for the board's cap, which holds as well.
        max_ff: Most flip-flops, likewise.
        max_dsp: Most DSP slices, likewise.
        max_bram: Most block RAMs in 18 Kb halves, likewise.
        rules: Bits on offer, and whether blocks may be left out.
        objective: What to optimise.
        margin_percent: Part of the frame time that the prediction must leave free
            [percent], from 0 to 90; counts where `fps` is asked for.
        front_points: Points of the front to compute besides; 0 for none.
        solver: Who solves the integer programs.
        workers: Networks that are solved side by side on this machine, at least 1.
        cluster: Address of a Dask scheduler, such as "tcp://host:8786", whose workers
            solve instead; `None` for this machine.
    """

    board: str
    fps: float | None = None
    network: str | None = None
    image_size: int | None = None
    model: Path | None = None
    top1: float | None = None
    min_top1: float | None = None
    clock_mhz: float | None = None
    calibration: Path | None = None
    max_lut: str | None = None
    max_ff: str | None = None
    max_dsp: str | None = None
    max_bram: str | None = None
    rules: BitRules = field(default_factory=BitRules)
    objective: Objective = Objective.ACCURACY
    margin_percent: float = DEFAULT_MARGIN_PERCENT
    front_points: int = 0
    solver: SolverName = SolverName.AUTO
    workers: int = 1
    cluster: str | None = None

    @property
    def promised_share(self) -> float:
        """Return the share of a predicted frame rate that is promised."""
        return 1 - self.margin_percent / 100


def search(
    request: SearchRequest,
    *,
    run_path: Path | None = None,
    force: bool = False,
    progress: Progress = lambda _: None,
) -> SearchResult:
    """Return the best design for a request, and leave it in a run directory.

    Args:
        request: What to search for.
        run_path: Directory to create; `None` writes nothing.
        force: Replace an existing run directory.
        progress: Told of each step, one line at a time.

    Raises:
        InputError: The request, a file or a name is wrong.
        UnsupportedError: The model has a layer that the engine cannot run.
        InfeasibleError: No design meets the limits.
        SolverError: Gurobi was asked for and does not run here; or no design was found,
            but it is not proven that there is none; or the workers died.
    """
    check_request(request)
    check_solver(request.solver)
    board = board_of(request)
    candidates = candidates_of(request, progress)
    _check_top1_known(request, candidates)
    with open_workers(request.workers, request.cluster) as workers:
        outcome = _search(request, board, candidates, workers, progress)
        front = _front(request, board, candidates, outcome, workers, progress)
    result = make_result(
        outcome,
        board=board,
        front=front,
        fps_asked=request.fps,
        margin_percent=request.margin_percent if request.fps is not None else 0.0,
        objective=request.objective,
        solver_reason=why_not_gurobi(request.solver, outcome.report.solver),
    )
    if run_path is not None:
        certificate = _certificate(request, board, outcome, result)
        result = write_run(result, run_path, force=force, certificate=certificate)
    return result


def _certificate(
    request: SearchRequest, board: Board, outcome: Outcome, result: SearchResult
) -> str:
    """Return the text of the certificate of an answer."""
    cycles, top1 = limits_of(request, board)
    # What does not bear on the answer, or stands in the design file, is left out.
    aside = {"board", "calibration", "clock_mhz", "front_points", "workers", "cluster"}
    model = request.model and Path(request.model.name)
    asked = TypeAdapter(SearchRequest).dump_python(
        replace(request, model=model), mode="json", exclude=aside
    )
    return render_certificate(
        result, outcome, asked=asked, cycles_limit=cycles, least_top1_micro=top1
    )


def limits_of(request: SearchRequest, board: Board) -> tuple[int | None, int | None]:
    """Return the most cycles of a frame and the least top-1 that a request allows.

    Args:
        request: A checked request.
        board: Its board.

    Returns:
        Cycles, or `None` if no frame rate is asked for; micro-points, or `None`.
    """
    cycles = top1 = None
    if request.fps is not None:
        cycles = budget_cycles(board, request.fps / request.promised_share)
    if request.min_top1 is not None:
        top1 = round(request.min_top1 * MICRO)
    return cycles, top1


def check_request(request: SearchRequest) -> None:
    """Check what concerns several arguments at once.

    Raises:
        InputError: An argument is missing, out of range, or clashes with another.
    """
    if request.fps is not None and not 0 < request.fps < 1e6:
        raise InputError(f"--fps {request.fps:g}; must be above 0 and below 1000000")
    check_objective(
        request.objective,
        fps=request.fps,
        min_top1=request.min_top1,
        front_points=request.front_points,
    )
    points = request.rules.block_points
    if points is not None and not 0 <= points <= 100:
        raise InputError(f"--drop-blocks {points:g}; must be from 0 to 100 points")
    if not 0 <= request.margin_percent <= 90:
        raise InputError(
            f"--margin {request.margin_percent:g}; must be from 0 to 90 percent"
        )
    for name, value in (("--top1", request.top1), ("--min-top1", request.min_top1)):
        if value is not None and not 0 < value <= 100:
            raise InputError(f"{name} {value:g}; must be above 0, at most 100 percent")
    if request.network is not None and request.model is not None:
        raise InputError("--network and --model exclude each other")
    if request.image_size is not None and request.network is None:
        raise InputError("--image-size needs --network")
    if request.top1 is not None and request.model is None:
        raise InputError("--top1 is the float accuracy of a --model; none was given")
    if request.clock_mhz is not None and not 10 <= request.clock_mhz <= 1000:
        raise InputError(
            f"--clock {request.clock_mhz:g} MHz; must be from 10 to 1000 MHz"
        )
    if not 1 <= request.workers <= MOST_WORKERS:
        raise InputError(
            f"--workers {request.workers}; must be from 1 to {MOST_WORKERS}"
        )
    if request.cluster is not None and request.workers != 1:
        raise InputError("--workers and --cluster exclude each other")


def board_of(request: SearchRequest) -> Board:
    """Return the board of a request, at the clock, constants and budget asked for.

    Raises:
        InputError: The board is unknown, its file or that of the constants wrong, a
            budget is no count or share of it, or its power is asked for but unknown.
    """
    board = with_budget(
        load_board(request.board),
        {
            "lut": request.max_lut,
            "ff": request.max_ff,
            "dsp": request.max_dsp,
            "bram_18k": request.max_bram,
        },
    )
    no_power = why_no_power(board)
    if request.objective is Objective.POWER and no_power is not None:
        raise InputError(f"--objective power: board {board.name!r}: {no_power}")
    if request.calibration is not None:
        constants = load_constants(request.calibration, board)
        board = replace(board, calibration=constants)
    if request.clock_mhz is None:
        return board
    return board.at_clock(round(request.clock_mhz * 1000))


def candidates_of(request: SearchRequest, progress: Progress) -> list[Candidate]:
    """Return the networks to choose from, most promising first.

    Raises:
        InputError: A name or file is wrong, or bits are outside the predictor's table.
        UnsupportedError: The model has something that is not handled.
    """
    table = load_drop_table()
    rules = request.rules
    published = published_networks()
    if request.model is not None:
        imported: ImportedNetwork = load_model(request.model)
        for note in imported.notes:
            progress(f"note: {note}")
        return [
            make_candidate(
                imported.network,
                top1=request.top1,
                source="given with --top1",
                table=table,
                rules=rules,
            )
        ]
    if request.network is not None:
        network: Network = build_network(request.network, request.image_size)
        known = published.get((network.name, network.input.ofm.width))
        return [
            make_candidate(
                network,
                top1=None if known is None else known.top1,
                source="" if known is None else known.best.source,
                table=table,
                rules=rules,
            )
        ]
    return published_candidates(tuple(published.values()), table, rules)


def _check_top1_known(request: SearchRequest, candidates: list[Candidate]) -> None:
    """Check that a least top-1 is asked only where the float top-1 is known."""
    for candidate in candidates:
        if request.min_top1 is not None and candidate.top1 is None:
            remedy = "" if request.model is None else "; --top1 gives it"
            raise InputError(
                f"--min-top1 {request.min_top1:g}: the float top-1 of "
                f"{candidate.label} is unknown{remedy}"
            )


def _search(
    request: SearchRequest,
    board: Board,
    candidates: list[Candidate],
    workers: Workers,
    progress: Progress,
) -> Outcome:
    """Return the answer, or explain why there is none."""
    if request.fps is None:
        return search_fps(
            candidates,
            board,
            top1=request.min_top1,
            solver=request.solver,
            workers=workers,
            progress=progress,
        )
    most_accurate = partial(
        search_accuracy,
        candidates,
        board,
        fps=request.fps / request.promised_share,
        solver=request.solver,
        workers=workers,
        progress=progress,
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
            solver=request.solver,
            workers=workers,
            progress=progress,
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
        smallest = min(candidates, key=lambda c: c.network.macs)
        raise explained(
            smallest,
            board,
            fps=request.fps,
            margin_percent=request.margin_percent,
            progress=progress,
        ) from error


def _front(
    request: SearchRequest,
    board: Board,
    candidates: list[Candidate],
    outcome: Outcome,
    workers: Workers,
    progress: Progress,
) -> tuple[FrontPoint, ...]:
    """Return the front that was asked for, with the answer on it."""
    if request.front_points == 0:
        return ()
    if len(candidates) == 1:
        return network_front(
            candidates[0],
            board,
            points=request.front_points,
            solver=request.solver,
            progress=progress,
        )
    return zoo_front(
        candidates,
        board,
        outcome,
        points=request.front_points,
        solver=request.solver,
        workers=workers,
        progress=progress,
    )


def reopen(path: Path) -> SearchResult:
    """Return the result of an earlier run, checked against the cost model.

    Args:
        path: A run directory or its design file.

    Raises:
        InputError: The file is missing, malformed, of another schema, or does not
            record what its design costs.
    """
    return load_design(path)


def estimate(path: Path, *, calibration: Path | None = None) -> SearchResult:
    """Return a recorded or edited design with what it costs, priced anew.

    Args:
        path: A run directory or a design file.
        calibration: File of the cost model's constants; `None` for those that the
            design was found with. A front, which has others, is left out.

    Raises:
        InputError: A file is missing, malformed or of another schema, the design is
            not consistent, or the constants are for another board.
    """
    result = load_design(path, check=False)
    if calibration is None:
        return result
    design = result.design
    constants = load_constants(calibration, design.board)
    design = replace(design, board=replace(design.board, calibration=constants))
    return replace(result, design=design, cost=evaluate(design), front=())


def network_table() -> str:
    """Return the networks of the zoo with products, parameters and published top-1."""
    published = published_networks()
    lines = [f"{'network':28} {'size':>5} {'MMACs':>8} {'M params':>9}  best top-1"]
    for name in network_names():
        network = build_network(name)
        best = [
            f"{entry.top1:.1f}@{size}"
            for (known, size), entry in sorted(published.items())
            if known == name
        ]
        lines.append(
            f"{name:28} {network.input.ofm.width:5} {network.macs / 1e6:8.1f} "
            f"{network.parameters / 1e6:9.2f}  {' '.join(best) or '-'}"
        )
    return "\n".join(lines)
