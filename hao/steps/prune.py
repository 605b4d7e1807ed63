"""From a trained network to one with fewer channels that reaches a frame rate.

    network, weights, data -> scores -> channels and engine, chosen together, in steps
        -> training with the whole network as teacher -> a run like any other

The run holds the narrower network's float weights beside its design, so that
`hao quantize`, `hao emit-hls` and `hao simulate` go on from there, and files of it for
use elsewhere.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hao.accuracy.drops import load_drop_law
from hao.answer.candidates import Candidate, make_candidate
from hao.answer.explain import why_not_gurobi
from hao.answer.explore import search_accuracy
from hao.errors import InputError, UnsupportedError
from hao.hw.board import Board
from hao.ir.change import Channels, kept_channels
from hao.ir.channels import channel_groups, without_channels
from hao.ir.lower import is_quantized
from hao.ir.network import Network
from hao.options.option import Option
from hao.page.files import write_run_page
from hao.report.design_file import FILE_NAME, load_design
from hao.report.result import SearchResult, make_result
from hao.report.run import check_target, write_run
from hao.report.run_files import FLOAT_FILE, FLOAT_STEM, PRUNING_FILE
from hao.request import (
    SearchRequest,
    board_of,
    candidates_of,
    check_rate,
    check_request,
    limits_of,
)
from hao.steps.common import epoch_line
from hao.steps.search import search

if TYPE_CHECKING:
    from hao.answer.prune import Pruned, Task
    from hao.quant.dataset import Dataset

Progress = Callable[[str], None]

TUNING_EPOCHS = 15
"""Of training after the last channels went, unless asked otherwise (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRequest:
    """What to prune, and how.

    Attributes:
        search: Board, frame rate, bits and margin; the network too, unless `run`.
        run: Run whose network is pruned, if any: its board and float weights hold.
        data: What `hao.quant.dataset.load_dataset` reads.
        weights: Float weights: a torch state dict or .npz; `None` trains here, or takes
            the run's.
        steps: Times that channels go; 1 takes all of them at once.
        iterations: Training steps before each.
        epochs: Of training after the last; `None` for the default.
        float_epochs: Of training before, where there are no weights; likewise.
        seed: Of all training, at least 0.

    Raises:
        InputError: No frame rate.
    """

    search: SearchRequest
    run: Path | None = None
    data: str
    weights: Path | None = None
    steps: int = 4
    iterations: int = 60
    epochs: int | None = None
    float_epochs: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.search.fps is None:
            raise InputError("--fps is missing; channels are taken out to reach it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What pruning did; percentages are of the test frames.

    Attributes:
        network: Its name.
        data: The data set's.
        frames: Test frames.
        before: Channels of every group that could be narrower.
        after: Channels of these that stay.
        whole_top1: Of the whole network, in floating point.
        cut_top1: Of the narrower one before it was trained again.
        top1: After.
        whole_fps: Predicted for the whole network's fastest design.
        fps: Predicted for the design.
    """

    network: str
    data: str
    frames: int
    before: dict[str, int]
    after: dict[str, int]
    whole_top1: float
    cut_top1: float
    top1: float
    whole_fps: float
    fps: float


def prune_run(
    request: PruneRequest, run_path: Path, *, force: bool, progress: Progress
) -> tuple[SearchResult, Pruning]:
    """Prune a network and leave the narrower one in a run directory.

    Args:
        request: What to prune, and how.
        run_path: Directory to create.
        force: Replace an existing run.
        progress: Told of each step.

    Raises:
        InputError: The request, a file or a name is wrong; the network is fast enough
            as it is; or nothing of it may be taken out.
        InfeasibleError: The frame rate is out of reach with any channels on offer.
        UnsupportedError: A layer cannot be trained, or weights are quantized already.
    """
    from hao.quant.export_float import float_files
    from hao.quant.float_net import FloatNet
    from hao.quant.train import accuracy_of_net

    check_target(run_path, force=force)
    board, candidate = _subject(request, progress)
    dataset = _data(request, candidate.network, progress)
    whole = _trained(request, candidate.network, dataset, progress)
    pruned, tuned = _pruned(request, board, candidate, dataset, whole, progress)

    def top1(network: Network) -> float:
        net = FloatNet(network, batch_norm=False)
        return 100 * accuracy_of_net(net, dataset.test)

    found = top1(tuned)
    result = _designed(request, board, candidate, tuned, pruned, dataset, found)
    before = {g.name: g.channels for g in channel_groups(whole) if not g.fixed}
    pruning = Pruning(
        network=whole.name,
        data=dataset.name,
        frames=len(dataset.test),
        before=before,
        after={name: len(pruned.kept[name]) for name in before},
        whole_top1=top1(whole),
        cut_top1=top1(pruned.network),
        top1=found,
        whole_fps=board.frames_per_s(pruned.start_cycles),
        fps=result.cost.fps,
    )
    files = {FLOAT_STEM + end: text for end, text in float_files(tuned).items()}
    files[PRUNING_FILE] = (json.dumps(pruning_json(pruning), indent=1) + "\n").encode()
    written = write_run(result, run_path, force=force, or_next=True, more=files)
    assert written.run is not None
    write_run_page(written, written.run)
    return written, pruning


def _subject(request: PruneRequest, progress: Progress) -> tuple[Board, Candidate]:
    """Return where a network is to run, and the network."""
    check_request(request.search)
    if request.run is None:
        board = board_of(request.search)
        check_rate(request.search, board)
        (candidate,) = candidates_of(request.search, progress)
    else:
        design = load_design(request.run).design
        board = replace(design.board, frames=request.search.frames)
        check_rate(request.search, board)
        candidate = make_candidate(
            replace(design.network, params={}),
            top1=None,
            source="",
            law=load_drop_law(),
            rules=replace(request.search.rules, act_bits=design.engine.act_bits),
        )
    network = candidate.network
    quantized = [x.name for x in network.compute_layers if x.weight is not None]
    if quantized or is_quantized(network):
        raise UnsupportedError(
            f"network {network.name!r}: quantized already; channels are taken out of "
            "networks in floating point"
        )
    return board, candidate


def _data(request: PruneRequest, network: Network, progress: Progress) -> "Dataset":
    from hao.quant.dataset import load_dataset
    from hao.quant.train import check_fit

    dataset = load_dataset(request.data, network.input.ofm)
    check_fit(network, dataset)
    if not dataset.labelled:
        raise InputError(
            f"data set {dataset.name!r} has no labels; pruning measures what channels "
            "cost in top-1, so it needs some"
        )
    progress(
        f"data {dataset.name}: {len(dataset.train)} training, "
        f"{len(dataset.validation)} validation, {len(dataset.test)} test frames"
    )
    return dataset


def _trained(
    request: PruneRequest, network: Network, dataset: "Dataset", progress: Progress
) -> Network:
    """Return the network with float weights: loaded, or trained here."""
    from hao.quant.float_net import with_parameters
    from hao.quant.train import FLOAT_SETTINGS, train_float
    from hao.quant.weights import WeightSource, load_weights

    weights = request.weights
    if weights is None and request.run is not None:
        own = request.run / FLOAT_FILE
        weights = own if own.is_file() else None
    if weights is not None:
        loaded = load_weights(network, WeightSource(path=weights))
        for note in loaded.notes:
            progress(f"weights: {note}")
        return loaded.network
    if network.params:
        return with_parameters(network, dict(network.params))
    settings = replace(FLOAT_SETTINGS, seed=request.seed)
    if request.float_epochs is not None:
        settings = replace(settings, epochs=request.float_epochs)
    progress("no weights: training the whole network")
    return train_float(
        network,
        dataset,
        settings,
        progress=epoch_line("float", progress),
    )


def _task(
    request: PruneRequest,
    board: Board,
    candidate: Candidate,
    dataset: "Dataset",
    whole: Network,
) -> "Task":
    """Return what is to be made narrower, and for what."""
    from hao.answer.prune import Task
    from hao.quant.distill import teacher_of

    def layer_options(network: Network) -> tuple[Option, ...]:
        return replace(candidate, network=network).options

    budget, _ = limits_of(request.search, board)
    assert budget is not None
    return Task(
        network=whole,
        dataset=dataset,
        board=board,
        budget=budget,
        layer_options=layer_options,
        act_bits=candidate.rules.act_bits,
        teacher=teacher_of(whole, labels=dataset.labelled),
    )


def _pruned(
    request: PruneRequest,
    board: Board,
    candidate: Candidate,
    dataset: "Dataset",
    whole: Network,
    progress: Progress,
) -> tuple["Pruned", Network]:
    """Return the network with fewer channels, before and after training again."""
    from hao.answer.prune import PruneSettings, prune
    from hao.quant.train import TrainSettings
    from hao.quant.tune import tune_float

    task = _task(request, board, candidate, dataset, whole)
    training = TrainSettings(epochs=1, learning_rate=1e-3, seed=request.seed)
    settings = PruneSettings(
        steps=request.steps, iterations=request.iterations, training=training
    )
    pruned = prune(task, settings, progress)
    epochs = TUNING_EPOCHS if request.epochs is None else request.epochs
    tuned = tune_float(
        pruned.network,
        dataset,
        TrainSettings(epochs=epochs, learning_rate=4e-3, seed=request.seed),
        teacher=task.teacher,
        progress=epoch_line("tuning", progress),
    )
    return pruned, tuned


def search_channels(
    request: PruneRequest,
    *,
    run_path: Path | None = None,
    force: bool = False,
    progress: Progress = lambda _: None,
) -> SearchResult:
    """Return the best design of a network with channels and bits chosen together.

    What fewer channels cost is measured before any training without them, so it is
    more than they will cost; what bits cost is predicted. The run has the narrower
    network's float weights, as they were cut.

    Args:
        request: One network, its data and weights; steps and epochs do not count.
        run_path: Directory to create; `None` writes nothing.
        force: Replace an existing run.
        progress: Told of each step.

    Raises:
        InputError: The request, a file or a name is wrong, or no channels may go.
        InfeasibleError: No design meets the limits.
        UnsupportedError: A layer cannot be trained, or weights are quantized already.
    """
    from hao.answer.prune import PruneSettings, weighed_options
    from hao.program.codesign import choose_fastest
    from hao.quant.export_float import float_files
    from hao.quant.float_net import folded_network

    board, candidate = _subject(request, progress)
    dataset = _data(request, candidate.network, progress)
    whole = _trained(request, candidate.network, dataset, progress)
    task = _task(request, board, candidate, dataset, whole)
    report = choose_fastest(task.problem(whole))
    settings = PruneSettings(iterations=request.iterations)
    net, options = weighed_options(task, whole, report, settings, 1, progress)
    if not options:
        raise InputError(f"network {whole.name!r}: no channels may be taken out")
    trained = folded_network(net)

    def files(result: SearchResult) -> dict[str, bytes]:
        narrow = without_channels(trained, kept_channels(result.design.scheme))
        return {FLOAT_STEM + end: text for end, text in float_files(narrow).items()}

    return search(
        request.search,
        candidates=[replace(candidate, channels=options)],
        run_path=run_path,
        force=force,
        more=files,
        progress=progress,
    )


def _designed(
    request: PruneRequest,
    board: Board,
    candidate: Candidate,
    network: Network,
    pruned: "Pruned",
    dataset: "Dataset",
    top1: float,
) -> SearchResult:
    """Return the narrower network's best design, proven, with the channels it keeps."""
    search = request.search
    assert search.fps is not None
    narrow = make_candidate(
        replace(network, params={}),
        top1=top1,
        source=f"measured here on {len(dataset.test)} test frames of {dataset.name}",
        law=load_drop_law(),
        rules=candidate.rules,
    )
    outcome = search_accuracy(
        [narrow], board, fps=search.fps / search.promised_share, solver=search.solver
    )
    result = make_result(
        outcome,
        board=board,
        fps_asked=search.fps,
        margin_percent=search.margin_percent,
        objective=search.objective,
        solver_reason=why_not_gurobi(search.solver, outcome.report.solver),
    )
    kept = {name: Channels(channels) for name, channels in pruned.kept.items()}
    scheme = {**result.design.scheme, **kept}
    return replace(result, design=replace(result.design, scheme=scheme))


def pruning_json(pruning: Pruning) -> dict[str, object]:
    """Return a pruning as JSON values."""
    from dataclasses import asdict

    return asdict(pruning)


def render_pruning(pruning: Pruning) -> str:
    """Return what pruning did, a line per group and per figure."""
    lines = [f"{'group':32} {'channels':>8} {'kept':>6}"]
    lines += [
        f"{name:32} {count:>8} {pruning.after[name]:>6}"
        for name, count in pruning.before.items()
    ]
    lines += [
        "",
        f"top-1 of {pruning.frames} test frames ({pruning.data}), in floating point:",
        f"  whole {pruning.whole_top1:.2f} %, cut {pruning.cut_top1:.2f} %, trained "
        f"again {pruning.top1:.2f} %",
        f"predicted {pruning.whole_fps:.1f} frames/s for the whole network at its "
        f"fastest, {pruning.fps:.1f} now",
    ]
    return "\n".join(lines)


def is_run(path: Path) -> bool:
    """Return whether a path is a run directory."""
    return (path / FILE_NAME).is_file()
