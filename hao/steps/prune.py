"""From a trained network to one with fewer channels that reaches a frame rate.

    network, weights, data -> scores -> channels and engine, chosen together, in steps
        -> training with the whole network as teacher -> a run like any other

The run holds the narrower network's float weights beside its design, so that
`hao quantize`, `hao emit-hls` and `hao simulate` go on from there, and files of it for
use elsewhere.
"""

import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hao.errors import ArgumentError, InputError
from hao.ir.change import Channels, kept_channels
from hao.ir.channels import channel_groups, without_channels
from hao.ir.network import Network
from hao.options.option import Option
from hao.report.result import SearchResult
from hao.report.run_files import FLOAT_STEM, PRUNING_FILE
from hao.request import limits_of
from hao.steps.changed import (
    Changed,
    ChangeRequest,
    Trained,
    keep_training,
    load_trained,
    work_beside,
    write_changed,
)
from hao.steps.common import Progress, check_torch, checkpoint_path, epoch_line
from hao.steps.search import search

if TYPE_CHECKING:
    from hao.answer.prune import Task
    from hao.answer.pruned import Pruned

TUNING_EPOCHS = 15
"""Of training after the last channels went, unless asked otherwise (chosen here)."""


_LABELS = "to measure with; pruning takes out what costs least top-1, so it needs some"


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRequest(ChangeRequest):
    """What to prune, and how.

    Attributes:
        steps: Times that channels go; 1 takes all of them at once.
        iterations: Training steps before each.

    Raises:
        ArgumentError: A field is out of range, or there is no frame rate.
    """

    steps: int = 4
    iterations: int = 60

    def __post_init__(self) -> None:
        ChangeRequest.__post_init__(self)
        for name, value in (("steps", self.steps), ("iterations", self.iterations)):
            if value < 1:
                raise ArgumentError(f"`{name}` = {value}; must be at least 1")


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

    A killed command goes on where it was: after the last epoch, or the last step.

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
        ToolError: torch or Brevitas is not installed.
    """
    check_torch()
    with work_beside(run_path, force=force) as folder:
        trained = load_trained(request, folder, progress, labels_for=_LABELS)
        pruned, tuned = _pruned(request, trained, folder, progress)
        before = {
            g.name: g.channels for g in channel_groups(trained.network) if not g.fixed
        }
        pruning = Pruning(
            network=trained.network.name,
            data=trained.dataset.name,
            frames=len(trained.dataset.test),
            before=before,
            after={name: len(pruned.kept[name]) for name in before},
            whole_top1=trained.top1(trained.network),
            cut_top1=trained.top1(pruned.network),
            top1=trained.top1(tuned),
            whole_fps=trained.board.frames_per_s(pruned.start_cycles),
            fps=trained.board.frames_per_s(pruned.cycles),
        )

        def files(result: SearchResult) -> dict[str, bytes]:
            values = asdict(replace(pruning, fps=result.cost.fps))
            return {PRUNING_FILE: (json.dumps(values, indent=1) + "\n").encode()}

        changed = Changed(
            network=tuned,
            changes={name: Channels(kept) for name, kept in pruned.kept.items()},
            top1=pruning.top1,
            files=files,
        )
        result = write_changed(
            trained, changed, run_path, folder, force=force, progress=progress
        )
    return result, replace(pruning, fps=result.cost.fps)


def _task(trained: Trained) -> "Task":
    """Return what is to be made narrower, and for what."""
    from hao.answer.prune import Task
    from hao.quant.distill import teacher_of

    def layer_options(network: Network) -> tuple[Option, ...]:
        return replace(trained.candidate, network=network).options

    budget, _ = limits_of(trained.asked, trained.board)
    assert budget is not None
    return Task(
        network=trained.network,
        dataset=trained.dataset,
        board=trained.board,
        budget=budget,
        layer_options=layer_options,
        act_bits=trained.candidate.rules.act_bits,
        teacher=teacher_of(trained.network, labels=trained.dataset.labelled),
    )


def _pruned(
    request: PruneRequest, trained: Trained, folder: Path, progress: Progress
) -> tuple["Pruned", Network]:
    """Return the network with fewer channels, before and after training again."""
    from hao.answer.prune import PruneSettings, prune
    from hao.quant.train import TrainSettings
    from hao.quant.tune import tune_float

    task, dataset = _task(trained), trained.dataset
    settings = PruneSettings(
        steps=request.steps,
        iterations=request.iterations,
        training=TrainSettings(epochs=1, learning_rate=1e-3, seed=request.seed),
    )
    start = (settings, task.board, task.budget, trained.asked.rules)
    state = checkpoint_path(folder, "pruned", *start, task.network, dataset)
    pruned = prune(task, settings, progress, checkpoint=state.with_suffix(".npz"))
    epochs = TUNING_EPOCHS if request.epochs is None else request.epochs
    training = TrainSettings(epochs=epochs, learning_rate=4e-3, seed=request.seed)
    tuned = tune_float(
        pruned.network,
        dataset,
        training,
        teacher=task.teacher,
        checkpoint=checkpoint_path(folder, "tuned", training, pruned.network, dataset),
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
    from hao.answer.prune import PruneSettings, lanes_of, weighed_options
    from hao.program.codesign import choose_fastest
    from hao.quant.export_float import float_files
    from hao.quant.float_net import folded_network

    beside = work_beside(run_path, force=force) if run_path else nullcontext()
    with beside as folder:
        trained = load_trained(request, folder, progress, labels_for=_LABELS)
        task, whole = _task(trained), trained.network
        lanes = lanes_of(whole, choose_fastest(task.problem(whole)))
        settings = PruneSettings(iterations=request.iterations)
        net, options = weighed_options(task, whole, lanes, settings, 1, progress)
        if not options:
            raise InputError(f"network {whole.name!r}: no channels may be taken out")
        weights = folded_network(net)

        def files(result: SearchResult) -> dict[str, bytes]:
            narrow = without_channels(weights, kept_channels(result.design.scheme))
            return {FLOAT_STEM + end: text for end, text in float_files(narrow).items()}

        result = search(
            trained.asked,
            board=trained.board,
            candidates=[replace(trained.candidate, channels=options)],
            run_path=run_path,
            force=force,
            more=files,
            progress=progress,
        )
        if folder is not None:
            keep_training(folder, result)
    return result


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
