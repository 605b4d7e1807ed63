"""From a trained network to one with less in it that reaches a frame rate.

    network, weights, data -> costs -> channels or words and engine, chosen together, in
        steps -> training with the whole network as teacher -> a run like any other

The run holds the pruned network's float weights beside its design, so that
`hao quantize`, `hao emit-hls` and `hao simulate` go on from there, and files of it for
use elsewhere.
"""

import json
from dataclasses import astuple, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from hao.answer.candidates import BitRules
from hao.answer.workers import Progress
from hao.arguments import AtLeast1, takes_words
from hao.ir.network import Network
from hao.options.option import Option
from hao.report.hardware import values_json
from hao.report.result import SearchResult
from hao.request import limits_of
from hao.runs.run_files import PRUNING_FILE
from hao.steps.changed import (
    Changed,
    ChangeRequest,
    Trained,
    load_trained,
    tuned_on,
    work_beside,
    write_changed,
)
from hao.steps.common import check_torch, checkpoint_path
from hao.text import plain, text_table

if TYPE_CHECKING:
    from hao.answer.kept import Kept
    from hao.answer.prune_task import PruneTask

TUNING_EPOCHS = 15
"""Of training after the last channels went, unless asked otherwise (chosen here)."""

USUAL_RULES = BitRules(choices=(8,))
"""Bits on offer, unless asked otherwise: what else there is goes (chosen here)."""


class PruneMethod(Enum):
    """What is taken out of a network."""

    CHANNELS = "channels"
    """Channels of its maps (HALP)."""
    SPARSITY = "sparsity"
    """Words of its weights: blocks that the engine skips (ALCS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRequest(ChangeRequest):
    """What to prune, and how; `search.rules` left open are `USUAL_RULES`.

    Attributes:
        method: What is taken out.
        steps: Times that channels go, or that weights are projected: 1 takes all of
            them at once.
        iterations: Training steps before each, or behind each projection.

    Raises:
        ArgumentError: A field is out of range, or there is no frame rate.
    """

    method: PruneMethod = PruneMethod.CHANNELS
    steps: AtLeast1 = 4
    iterations: AtLeast1 = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What pruning did; percentages are of the test frames.

    Without labels, top-1 is agreement with the whole network.

    Attributes:
        network: Its name.
        data: The data set's.
        frames: Test frames.
        labelled: Whether they have labels.
        method: What was taken out.
        before: Channels of every group that could be narrower; or words of an output
            group of every layer that could be pruned.
        after: What of these stays.
        whole_top1: Of the whole network, in floating point.
        cut_top1: Of the pruned one before it was trained again.
        top1: After.
        whole_fps: Predicted for the whole network's fastest design.
        fps: Predicted for the design.
    """

    network: str
    data: str
    frames: int
    labelled: bool
    method: PruneMethod
    before: dict[str, int]
    after: dict[str, int]
    whole_top1: float
    cut_top1: float
    top1: float
    whole_fps: float
    fps: float

    def __repr__(self) -> str:
        """Return the report: what Python shows."""
        return render_pruning(self)


@takes_words
def prune_run(
    request: PruneRequest,
    run_path: Path,
    *,
    force: bool = False,
    progress: Progress = lambda _: None,
) -> tuple[SearchResult, Pruning]:
    """Prune a network and leave what stays in a run directory.

    A killed command goes on where it was: after the last epoch, step or projection.

    Args:
        request: What to prune, and how.
        run_path: Directory to create.
        force: Replace an existing run.
        progress: Told of each step.

    Raises:
        InputError: The request, a file or a name is wrong; the network is fast enough
            as it is; or nothing of it may be taken out.
        InfeasibleError: The frame rate is out of reach with all that is on offer gone.
        UnsupportedError: A layer cannot be trained, or weights are quantized already.
        ToolError: torch or Brevitas is not installed.
    """
    check_torch()
    with work_beside(run_path, force=force) as folder:
        trained = load_trained(request, folder, progress, usual=USUAL_RULES)
        cut = _pruned(request, trained, folder, progress)
        tuned = tuned_on(
            request, trained, cut.network, folder, progress, epochs=TUNING_EPOCHS
        )
        pruning = Pruning(
            network=trained.network.name,
            data=trained.dataset.name,
            frames=len(trained.dataset.test),
            labelled=trained.dataset.labelled,
            method=request.method,
            before=dict(cut.before),
            after=dict(cut.after),
            whole_top1=trained.top1(trained.network),
            cut_top1=trained.top1(cut.network),
            top1=trained.top1(tuned),
            whole_fps=trained.board.frames_per_s(cut.start_cycles),
            fps=trained.board.frames_per_s(cut.cycles),
        )

        def files(result: SearchResult) -> dict[str, bytes]:
            values = values_json(replace(pruning, fps=result.cost.fps))
            return {PRUNING_FILE: (json.dumps(values, indent=1) + "\n").encode()}

        changed = Changed(
            network=tuned,
            changes=cut.changes,
            top1=pruning.top1 if pruning.labelled else None,
            files=files,
            space=cut.space,
        )
        result = write_changed(
            trained, changed, run_path, folder, force=force, progress=progress
        )
    return result, replace(pruning, fps=result.cost.fps)


def task_of(trained: Trained) -> "PruneTask":
    """Return what is to be made narrower, and for what."""
    from hao.answer.prune_task import PruneTask
    from hao.quant.distill import teacher_of

    def layer_options(network: Network) -> tuple[Option, ...]:
        return replace(trained.candidate, network=network).options

    budget, _ = limits_of(trained.asked, trained.board)
    assert budget is not None
    return PruneTask(
        network=trained.network,
        dataset=trained.dataset,
        board=trained.board,
        budget=budget,
        layer_options=layer_options,
        act_bits=trained.candidate.rules.act_bits,
        promised=trained.asked.promised_share,
        teacher=teacher_of(trained.network, labels=trained.dataset.labelled),
    )


def _pruned(
    request: PruneRequest, trained: Trained, folder: Path, progress: Progress
) -> "Kept":
    """Return the network with something taken out, before it is trained again."""
    from hao.answer.prune import prune
    from hao.answer.prune_task import PruneSettings
    from hao.answer.sparsity import sparsify
    from hao.quant.train import TrainSettings

    task = task_of(trained)
    settings = PruneSettings(
        steps=request.steps,
        iterations=request.iterations,
        training=TrainSettings(epochs=1, learning_rate=1e-3, seed=request.seed),
    )
    start = (settings, astuple(task.board), task.budget, trained.asked.bit_rules)
    word = request.method.value
    state = checkpoint_path(folder, word, *start, task.network, trained.dataset)
    match request.method:
        case PruneMethod.CHANNELS:
            return prune(task, settings, progress, checkpoint=state)
        case PruneMethod.SPARSITY:
            return sparsify(task, settings, progress, checkpoint=state)
        case _:
            assert_never(request.method)


def render_pruning(pruning: Pruning) -> str:
    """Return what pruning did, a line per group or layer and per figure."""
    match pruning.method:
        case PruneMethod.CHANNELS:
            head = ("group", "channels", "kept")
        case PruneMethod.SPARSITY:
            head = ("layer", "words", "kept")
        case _:
            assert_never(pruning.method)
    rows = [
        (plain(name), str(count), str(pruning.after[name]))
        for name, count in pruning.before.items()
    ]
    word = "top-1" if pruning.labelled else "agreement with the whole network"
    lines = [
        text_table(head, rows, left={0}),
        "",
        f"{word} of {pruning.frames} test frames ({pruning.data}), in floating point:",
        f"  whole {pruning.whole_top1:.2f} %, cut {pruning.cut_top1:.2f} %, trained "
        f"again {pruning.top1:.2f} %",
        f"predicted {pruning.whole_fps:.1f} frames/s for the whole network at its "
        f"fastest, {pruning.fps:.1f} now",
    ]
    return "\n".join(lines)
