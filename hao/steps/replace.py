"""From a network to one whose blocks run faster: distil, score, choose, fine-tune.

    teacher -> operations distilled -> plug-in losses -> program -> K designs
        -> measured whole -> the best one fine-tuned -> run directory

The run goes on through `hao quantize`, `hao emit-hls` and `hao simulate` as any other
does; its float weights lie in it. torch takes seconds to load, so what needs it is
imported where it is used. Longer than other modules, since the order of steps reads
best in one place.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hao.accuracy.drops import Evidence
from hao.answer.objective import Objective
from hao.errors import InfeasibleError, InputError
from hao.hw.board import Board, Frames
from hao.ir.network import Network
from hao.ir.passes import FRAME_BITS, frame_in_planes
from hao.model import load_buildable
from hao.options.operations import load_pool
from hao.page.files import write_run_page
from hao.program.codesign import SolveReport, choose_fastest
from hao.program.problem import Problem
from hao.program.solver import SolverName
from hao.report.design_file import load_design
from hao.report.result import Proof, SearchResult
from hao.report.run import check_target, write_run
from hao.report.run_files import FLOAT_FILE, FLOAT_STEM, TRAINING_FOLDER
from hao.request import (
    DEFAULT_MARGIN_PERCENT,
    SearchRequest,
    board_of,
    check_rate,
    check_request,
    limits_of,
)
from hao.steps.common import check_torch, checkpoint_path, epoch_line
from hao.steps.floats import DEFAULT_DATA
from hao.zoo import build_network, network_names

if TYPE_CHECKING:
    from hao.distillation.choose import Finalist, Teacher
    from hao.distillation.pool import Place
    from hao.quant.dataset import Dataset

Progress = Callable[[str], None]

RECORD_FILE = "replacement.json"

FINE_TUNING_EPOCHS = 20
"""Of training after operations were replaced (chosen here; LANA takes 100)."""

MOST_FINALISTS = 20
"""Most designs that are measured whole (chosen here; LANA takes about 100)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceRequest:
    """What to replace, and where it is to run.

    Attributes:
        subject: A network of the zoo, a float ONNX file, or a run directory.
        fps: Frame rate to reach.
        board: Name of a board or path of a board file.
        data: As for `hao quantize`.
        weights: Float weights of the teacher; `None` trains it here, but for an ONNX
            file or a run that has some.
        pool: Table of operations beside hao's own.
        only: Names of operations to offer, "identity" for leaving a block out; empty
            for all.
        choices: Weight bits on offer.
        bits: Whether the teacher's own layers may have fewer than the most, too.
        act_bits: Width of the activations, from 4 to 8.
        best: Designs that are measured whole, at least 1.
        frames: How frames follow each other, as for a search.
        score_frames: Training frames that losses are measured on, at least 1.
        float_epochs: Of the teacher; `None` for the default.
        distill_epochs: Of every operation; `None` for the default.
        epochs: Of fine-tuning; `None` for the default, 0 for none.
        margin_percent: Part of the frame time that the prediction must leave free.
        solver: Who solves the integer programs.
        seed: Of all training, at least 0.

    Raises:
        InputError: A number is out of range.
    """

    subject: str
    fps: float
    board: str = "zu3eg"
    data: str = DEFAULT_DATA
    weights: Path | None = None
    pool: Path | None = None
    only: tuple[str, ...] = ()
    choices: tuple[int, ...] = (4, 8)
    bits: bool = True
    act_bits: int = 8
    best: int = 10
    frames: Frames = Frames.ONE_AT_A_TIME
    score_frames: int = 1024
    float_epochs: int | None = None
    distill_epochs: int | None = None
    epochs: int | None = None
    margin_percent: float = DEFAULT_MARGIN_PERCENT
    solver: SolverName = field(default=SolverName.AUTO)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.best <= MOST_FINALISTS:
            raise InputError(f"--best {self.best}; must be from 1 to {MOST_FINALISTS}")
        if self.score_frames < 1 or self.seed < 0:
            raise InputError(
                f"--score-frames {self.score_frames}, --seed {self.seed}; must be at "
                "least 1 and 0"
            )

    @property
    def search(self) -> SearchRequest:
        """Return what of it a search would be asked."""
        return SearchRequest(
            board=self.board,
            fps=self.fps,
            frames=self.frames,
            margin_percent=self.margin_percent,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What replacing operations came to.

    Attributes:
        result: The design.
        teacher_top1: Of the teacher on the test frames [percent].
        plain_top1: Of the changed network before fine-tuning [percent].
        float_top1: Of the changed network after it [percent].
        finalists: Designs that were measured whole, the best first.
    """

    result: SearchResult
    teacher_top1: float
    plain_top1: float
    float_top1: float
    finalists: tuple["Finalist", ...]


def replace_operations(
    request: ReplaceRequest,
    *,
    run_path: Path,
    force: bool = False,
    progress: Progress = lambda _: None,
) -> Replacement:
    """Return the best design with replaced operations, and leave it in a run directory.

    Checkpoints lie beside the run, in "NAME.work", and in the run in the end; so a
    command that was killed goes on where it was.

    Args:
        request: What to replace.
        run_path: Directory to create.
        force: Replace an existing run directory.
        progress: Told of each step, one line at a time.

    Raises:
        InputError: The request, a file or a name is wrong.
        UnsupportedError: The network cannot be changed or trained.
        InfeasibleError: No choice of operations reaches the frame rate.
        ToolError: torch or Brevitas is not installed.
    """
    check_torch()
    from hao.quant.distill import teacher_of
    from hao.quant.export_float import float_files
    from hao.quant.train import TrainSettings
    from hao.quant.tune import tune_float

    check_request(request.search)
    check_target(run_path, force=force)
    board = board_of(request.search)
    check_rate(request.search, board)
    folder = run_path.with_name(f"{run_path.name}.work")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); checkpoints lie there until "
            "the run is written"
        ) from error
    teacher, dataset = _teacher(request, folder, progress)
    finalists = _finalists(request, board, teacher, progress)
    best = finalists[0].report
    plain = teacher.under(best.design.scheme)
    tuned = plain
    epochs = FINE_TUNING_EPOCHS if request.epochs is None else request.epochs
    if epochs > 0 and plain is not teacher.network:
        settings = TrainSettings(epochs=epochs, learning_rate=4e-3, seed=request.seed)
        tuned = tune_float(
            plain,
            dataset,
            settings,
            teacher=teacher_of(teacher.network, labels=dataset.labelled),
            checkpoint=checkpoint_path(folder, "tuned", settings, plain, dataset),
            progress=epoch_line("tuning", progress),
        )
    result = _result(request, best)
    found = Replacement(
        result=result,
        teacher_top1=_top1(teacher.network, dataset),
        plain_top1=_top1(plain, dataset),
        float_top1=_top1(tuned, dataset),
        finalists=finalists,
    )
    files = {FLOAT_STEM + end: text for end, text in float_files(tuned).items()}
    record = json.dumps(_record(request, found), indent=1) + "\n"
    files[RECORD_FILE] = record.encode()
    result = write_run(result, run_path, force=force, more=files)
    assert result.run is not None
    write_run_page(result, result.run)
    with suppress(OSError):
        (folder / TRAINING_FOLDER).rename(result.run / TRAINING_FOLDER)
        folder.rmdir()
    return replace(found, result=result)


def _teacher(
    request: ReplaceRequest, folder: Path, progress: Progress
) -> tuple["Teacher", "Dataset"]:
    """Return the teacher with its distilled operations, and the data."""
    from hao.distillation.choose import Teacher
    from hao.distillation.distill import DistillSettings, distill
    from hao.quant.dataset import load_dataset
    from hao.quant.train import check_fit

    bare = _network(request)
    places = _places(request, bare)
    dataset = load_dataset(request.data, bare.input.ofm)
    check_fit(bare, dataset)
    network = _with_weights(request, bare, dataset, folder, progress)
    progress(f"teacher: {_top1(network, dataset):.2f} % of the test frames")
    count = sum(len(place.operations) for place in places)
    progress(f"{count} operations in the place of {len(places)} blocks")
    settings = DistillSettings(seed=request.seed)
    if request.distill_epochs is not None:
        settings = replace(settings, epochs=request.distill_epochs)
    distilled = distill(
        network,
        places,
        dataset.train,
        settings,
        folder=folder / TRAINING_FOLDER,
        progress=progress,
    )
    teacher = Teacher(
        network=network,
        places=places,
        params=distilled.params,
        frames=dataset.train.frames[: request.score_frames],
    )
    return teacher, dataset


def _places(request: ReplaceRequest, network: Network) -> tuple["Place", ...]:
    """Return the blocks with the operations that are offered."""
    from hao.distillation.pool import places_of
    from hao.distillation.score import IDENTITY

    pool = load_pool(request.pool)
    if not request.only:
        return places_of(network, pool)
    known = {IDENTITY, *(operation.name for operation in pool)}
    for name in request.only:
        if name not in known:
            raise InputError(
                f"--only {name}: no such operation; the pool has "
                f"{', '.join(sorted(known)[:5])} and others (data/operations.csv)"
            )
    found = places_of(network, [o for o in pool if o.name in request.only])
    if IDENTITY in request.only:
        return found
    return tuple(replace(place, identity=False) for place in found)


def _network(request: ReplaceRequest) -> Network:
    """Return the network that is named; with parameters if a file gives them."""
    path = Path(request.subject)
    if path.suffix == ".onnx":
        network = load_buildable(path).network
    elif path.is_dir():
        network = load_design(path).design.network
    elif request.subject in network_names():
        network = build_network(request.subject)
    else:
        raise InputError(
            f"{request.subject!r}: neither a network of the zoo (`hao networks`), an "
            "ONNX file nor a run directory"
        )
    return frame_in_planes(network, 2 if request.act_bits < FRAME_BITS else 1)


def _with_weights(
    request: ReplaceRequest,
    network: Network,
    dataset: "Dataset",
    folder: Path,
    progress: Progress,
) -> Network:
    """Return the teacher with weights: given, those of its file, or trained here."""
    from hao.quant.float_net import with_parameters
    from hao.quant.train import FLOAT_SETTINGS, train_float
    from hao.quant.weights import WeightSource, load_weights

    own = Path(request.subject) / FLOAT_FILE
    given = request.weights
    if given is None and not network.params and own.is_file():
        given = own
    if given is not None:
        return load_weights(network, WeightSource(path=given)).network
    if network.params:
        return with_parameters(network, dict(network.params))
    settings = replace(FLOAT_SETTINGS, seed=request.seed)
    if request.float_epochs is not None:
        settings = replace(settings, epochs=request.float_epochs)
    return train_float(
        network,
        dataset,
        settings,
        checkpoint=checkpoint_path(folder, "teacher", settings, network, dataset),
        progress=epoch_line("teacher", progress),
    )


def _finalists(
    request: ReplaceRequest, board: Board, teacher: "Teacher", progress: Progress
) -> tuple["Finalist", ...]:
    """Return the designs that the program proposes, measured whole, the best first."""
    from hao.distillation.choose import measured_options, ranked
    from hao.distillation.score import score

    scores = score(
        teacher.network,
        teacher.places,
        teacher.params,
        teacher.frames,
        request.choices,
        progress=progress,
    )
    problem = Problem(
        network=replace(teacher.network, params={}),
        options=measured_options(
            teacher.network, teacher.places, scores, request.choices, bits=request.bits
        ),
        board=board,
        act_bits=request.act_bits,
    )
    reports = _proposed(request, board, problem, progress)
    progress(f"measuring {len(reports)} networks whole")
    return ranked(teacher, reports)


def _proposed(
    request: ReplaceRequest, board: Board, problem: Problem, progress: Progress
) -> tuple[SolveReport, ...]:
    from hao.distillation.propose import propose

    cycles, _ = limits_of(request.search, board)
    assert cycles is not None
    try:
        return propose(
            problem,
            budget=cycles,
            count=request.best,
            solver=request.solver,
            progress=progress,
        )
    except InfeasibleError as error:
        fastest = choose_fastest(problem, solver=request.solver)
        share = request.search.promised_share
        most = board.frames_per_s(fastest.cost.latency_cycles) * share
        raise InfeasibleError(
            f"no choice of operations of {problem.network.name} was found that reaches "
            f"{request.fps:g} fps with {request.margin_percent:g} % to spare on "
            f"{board.name}; the most that one reaches is {most:.1f} fps",
            conflicts=("latency",),
        ) from error


def _top1(network: Network, dataset: "Dataset") -> float:
    """Return the top-1 of a float network on the test frames [percent]."""
    from hao.quant.float_net import FloatNet
    from hao.quant.train import accuracy_of_net

    net = FloatNet(network, batch_norm=False)
    return 100 * accuracy_of_net(net, dataset.test)


def _result(request: ReplaceRequest, report: SolveReport) -> SearchResult:
    """Return a design as what a run holds; its accuracy is measured, not predicted."""
    return SearchResult(
        design=report.design,
        cost=report.cost,
        image_size=report.design.network.input.ofm.width,
        float_top1=None,
        float_source="",
        accuracy=None,
        evidence=Evidence.NONE,
        out_of_range=False,
        proof=Proof(
            status=report.status,
            gap=report.gap,
            solver=report.solver,
            variables=report.variables,
            constraints=report.constraints,
            nodes=report.nodes,
            priced=report.priced,
            candidates=1,
            solved=1,
            open=(report.design.network.name,),
        ),
        objective=Objective.ACCURACY,
        fps_asked=request.fps,
        margin_percent=request.margin_percent,
    )


def _record(request: ReplaceRequest, found: Replacement) -> dict[str, object]:
    asked = {key: value for key, value in asdict(request).items() if key != "solver"}
    asked["frames"] = request.frames.value
    return {
        "schema": "hao.replacement/1",
        "asked": {
            key: str(value) if isinstance(value, Path) else value
            for key, value in asked.items()
        },
        "teacher_top1": found.teacher_top1,
        "plain_top1": found.plain_top1,
        "float_top1": found.float_top1,
        "finalists": [
            {
                "latency_cycles": each.report.cost.latency_cycles,
                "predicted_nats": each.predicted,
                "measured_nats": each.measured,
            }
            for each in found.finalists
        ],
    }
