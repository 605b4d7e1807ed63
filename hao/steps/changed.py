"""What steps that change a trained network share: its teacher, and the run it ends in.

    request -> network, board, data, float weights -> changed and trained on
        -> bits and engine of the changed network, proven over all engines -> run

The run is like any other: it has a certificate, and its own float weights beside the
design, from which `hao quantize`, `hao emit-hls` and `hao simulate` go on. While a
command works, what it has trained lies in "NAME.work" beside the run, where it is taken
up again after a kill.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hao.accuracy.drops import load_drop_law
from hao.answer.candidates import BitRules, Candidate, make_candidate
from hao.answer.workers import Progress
from hao.arguments import AtLeast0
from hao.errors import ArgumentError, InputError, UnsupportedError
from hao.factory import is_factory
from hao.hw.board import Board
from hao.ir.change import Scheme
from hao.ir.network import Network
from hao.ir.quantizers import is_quantized
from hao.program.space import Space
from hao.report.result import SearchResult
from hao.request import (
    SearchRequest,
    board_of,
    candidates_of,
    check_rate,
)
from hao.runs.design_file import FILE_NAME, load_design
from hao.runs.run import check_target
from hao.runs.run_files import FLOAT_STEM, TRAINING_FOLDER
from hao.steps.common import checkpoint_path, epoch_line
from hao.steps.floats import Source, float_inputs
from hao.steps.search import no_files, search
from hao.zoo import network_names

if TYPE_CHECKING:
    from hao.quant.dataset import Dataset, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest(Source):
    """A trained network that is to change until it reaches a frame rate.

    Attributes:
        search: Board, frame rate, bits and margin; the network too, unless `run`.
        run: Run whose network is changed, if any: its board and float weights hold.
        epochs: Of training after the last change; `None` for the default.

    Raises:
        ArgumentError: A field is out of range, or there is no frame rate.
    """

    search: SearchRequest
    run: Path | None = None
    epochs: AtLeast0 | None = None

    def __post_init__(self) -> None:
        Source.__post_init__(self)
        if self.search.fps is None:
            raise ArgumentError("`fps` is missing; the network changes to reach it")
        if self.search.batch is None:
            raise ArgumentError(
                "`batch` = auto: a network changes for one number of frames; give it"
            )


def subject_named(
    subject: str, search: SearchRequest
) -> tuple[SearchRequest, Path | None]:
    """Return a request for what a word names, and the run that it names, if it does.

    Args:
        subject: A network of the zoo, an ONNX file, `package.module:function` that
            makes a torch module, or a run directory.
        search: The request, without a network.

    Raises:
        InputError: It is none of these.
    """
    path = Path(subject)
    if (path / FILE_NAME).is_file():
        return search, path
    if path.suffix == ".onnx" or is_factory(subject):
        return replace(search, model=path), None
    if subject in network_names():
        return replace(search, network=subject), None
    raise InputError(
        f"{subject!r}: neither a network of the zoo (`hao networks`), an ONNX file, "
        "package.module:function nor a run directory"
    )


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network that is to change, and where it is to run.

    Attributes:
        asked: The request for its design, with the bits that hold for it.
        board: Where it is to run.
        candidate: Its layers, with what bits cost.
        network: With float parameters.
        dataset: Frames to measure and train with.
    """

    asked: SearchRequest
    board: Board
    candidate: Candidate
    network: Network
    dataset: "Dataset"

    def top1(self, network: Network, split: "Split | None" = None) -> float:
        """Return the top-1 of a float network [percent].

        Where frames have no labels, the classes of the network that is to change count.

        Args:
            network: With parameters.
            split: Frames to measure on; `None` for the test frames.
        """
        from hao.quant.float_net import FloatNet
        from hao.quant.outputs import classes_of_net

        split = self.dataset.test if split is None else split
        labels = split.labels
        if not self.dataset.labelled:
            labels = classes_of_net(FloatNet(self.network, batch_norm=False), split)
        classes = classes_of_net(FloatNet(network, batch_norm=False), split)
        return 100 * float(np.mean(classes == labels))


def load_trained(
    request: ChangeRequest,
    folder: Path | None,
    progress: Progress,
    *,
    usual: BitRules | None = None,
    check: Callable[[Network], object] = lambda _: None,
) -> Trained:
    """Return the network of a request with its weights, loaded or trained here.

    Args:
        request: Which network, board, data and weights.
        folder: Where checkpoints of the training lie; `None` keeps none.
        progress: Told of each step.
        usual: Rules of bits where the request leaves them open; `None` for those of a
            search.
        check: Refuses a network before it is trained.

    Raises:
        InputError: The request, a file or a name is wrong.
        InfeasibleError: The host leaves the engine no time at the frame rate.
        UnsupportedError: A layer cannot be trained, or weights are quantized already.
    """
    rules = request.search.rules or usual or BitRules()
    asked = replace(request.search, rules=rules)
    if request.run is None:
        board = board_of(asked)
        check_rate(asked, board)
        (candidate,) = candidates_of(asked, progress)
    else:
        design = load_design(request.run).design
        board = replace(design.board, frames=asked.frames, batch=asked.batch or 1)
        check_rate(asked, board)
        rules = replace(rules, act_bits=design.engine.act_bits)
        asked = replace(asked, rules=rules)
        candidate = make_candidate(
            design.network, top1=None, source="", law=load_drop_law(), rules=rules
        )
    network = candidate.network
    quantized = any(layer.weight is not None for layer in network.compute_layers)
    if quantized or is_quantized(network):
        raise UnsupportedError(
            f"network {network.name!r}: quantized already; only networks in floating "
            "point can be changed"
        )
    check(network)
    trained, data = float_inputs(request, network, folder, progress, own=request.run)
    frames = data.dataset
    return Trained(
        asked=asked, board=board, candidate=candidate, network=trained, dataset=frames
    )


def tuned_on(
    request: ChangeRequest,
    trained: Trained,
    network: Network,
    folder: Path,
    progress: Progress,
    *,
    epochs: int,
) -> Network:
    """Return a changed network after training with the one before as its teacher.

    Args:
        request: Seed, and how many epochs; 0 for none.
        trained: The network before.
        network: And after; the same one is not trained on.
        folder: Where checkpoints lie.
        progress: Told of each epoch.
        epochs: Unless the request says how many.
    """
    from hao.quant.distill import teacher_of
    from hao.quant.train import TrainSettings, tune_float

    epochs = epochs if request.epochs is None else request.epochs
    if epochs == 0 or network is trained.network:
        return network
    settings = TrainSettings(epochs=epochs, learning_rate=4e-3, seed=request.seed)
    start = (settings, network, trained.dataset)
    return tune_float(
        network,
        trained.dataset,
        settings,
        teacher=teacher_of(trained.network, labels=trained.dataset.labelled),
        checkpoint=checkpoint_path(folder, "tuned", *start),
        progress=epoch_line("tuning", progress),
    )


@contextmanager
def work_beside(run_path: Path, *, force: bool) -> Iterator[Path]:
    """Yield the folder beside a run in which a command keeps what it has trained.

    Raises:
        InputError: The run may not be written, or the folder cannot be made.
    """
    check_target(run_path, force=force)
    folder = run_path.with_name(f"{run_path.name}.work")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); checkpoints lie there until "
            "the run is written"
        ) from error
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()  # Where nothing was trained, or all was moved into the run.


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A network that was changed and trained on.

    Attributes:
        network: With float parameters.
        changes: What was changed, as its design names it.
        top1: On the test frames [percent]; `None` where they have no labels.
        files: What the run holds besides, of its result.
        space: Engines that it may run on, where its weights suit some only.
    """

    network: Network
    changes: Scheme
    top1: float | None
    files: Callable[[SearchResult], Mapping[str, bytes]] = field(default=no_files)
    space: Space | None = None


def write_changed(
    trained: Trained,
    changed: Changed,
    run_path: Path,
    folder: Path,
    *,
    force: bool,
    progress: Progress,
) -> SearchResult:
    """Return the best design of a changed network, proven, and leave it in a run.

    Args:
        trained: The network before.
        changed: And after.
        run_path: Directory to create.
        folder: Where checkpoints lie; they go into the run.
        force: Replace an existing run.
        progress: Told of each step.

    Raises:
        InfeasibleError: No design of it reaches the frame rate.
        InputError: The run cannot be written.
    """
    from hao.quant.export_float import float_files

    tests = trained.dataset.test
    candidate = make_candidate(
        replace(changed.network, params={}),
        top1=changed.top1,
        source=f"measured here on {len(tests)} test frames of {trained.dataset.name}",
        law=load_drop_law(),
        rules=trained.asked.bit_rules,
    )
    floats = {
        f"{FLOAT_STEM}{end}": text for end, text in float_files(changed.network).items()
    }
    result = search(
        replace(trained.asked, best=1, front_points=0),
        board=trained.board,
        candidates=[replace(candidate, changes=changed.changes, space=changed.space)],
        run_path=run_path,
        force=force,
        more=lambda result: {**floats, **changed.files(result)},
        progress=progress,
    )
    keep_training(folder, result)
    return result


def keep_training(folder: Path, result: SearchResult) -> None:
    """Move the checkpoints of a command into the run that it has written."""
    assert result.run is not None
    with suppress(OSError):
        (folder / TRAINING_FOLDER).rename(result.run / TRAINING_FOLDER)
