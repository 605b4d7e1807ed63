"""Operations, channels, words and bits of one network, chosen with its accelerator.

    network, weights, data -> measured costs of operations, of fewer channels and words
        -> one program with the bits beside them -> a run with the weights, cut

What these cost is measured before any training of the whole, so it is more than they
will cost; what bits cost is predicted. All meet in points of top-1.
"""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from enum import Enum
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hao.answer.candidates import Candidate
from hao.answer.workers import Progress
from hao.arguments import take_fields, takes_words
from hao.errors import ArgumentError, InputError
from hao.ir.network import Network
from hao.options.option import Option
from hao.report.result import SearchResult
from hao.runs.run_files import FLOAT_STEM, OPERATIONS_FILE
from hao.steps.changed import Trained, keep_training, load_trained, work_beside
from hao.steps.operations import (
    Pooled,
    distilled,
    inner_channels,
    offered_places,
    offered_pool,
    weighed_operations,
)
from hao.steps.prune import PruneRequest, task_of
from hao.steps.search import search

if TYPE_CHECKING:
    from hao.answer.prune_task import PruneTask
    from hao.distillation.pool import Params
    from hao.quant.float_net import FloatNet


class MeasuredKind(Enum):
    """A kind of options whose costs are measured."""

    CHANNELS = "channels"
    SPARSITY = "sparsity"
    OPERATIONS = "operations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What is offered besides bits.

    Attributes:
        kinds: At least one.
        pooled: Which operations, if any are.

    Raises:
        ArgumentError: There are no kinds, or a field is of a type that it cannot take.
    """

    kinds: frozenset[MeasuredKind]
    pooled: Pooled = field(default_factory=Pooled)

    def check(self, network: Network) -> None:
        """Refuse a network none of whose blocks the operations on offer may replace.

        Raises:
            InputError: It is one.
        """
        if MeasuredKind.OPERATIONS in self.kinds:
            offered_places(self.pooled, network)

    def __post_init__(self) -> None:
        take_fields(self)
        if not self.kinds:
            raise ArgumentError("`kinds` is empty; must be at least one kind")


@takes_words
def search_together(
    request: PruneRequest,
    offer: Offer,
    *,
    run_path: Path | None = None,
    force: bool = False,
    progress: Progress = lambda _: None,
) -> SearchResult:
    """Return the best design of a network with bits and other options chosen together.

    The run has the float weights without the channels and words that went, and with the
    operations that were chosen, as they were distilled; batch statistics are anew.

    Args:
        request: One network, its data and weights; method, steps and epochs do not
            count.
        offer: What is offered besides bits.
        run_path: Directory to create; `None` writes nothing.
        force: Replace an existing run.
        progress: Told of each step.

    Raises:
        InputError: The request, a file or a name is wrong, or nothing may be taken out.
        InfeasibleError: No design meets the limits.
        UnsupportedError: A layer cannot be trained, or weights are quantized already.
    """
    from hao.quant.export_float import float_files

    offered_pool(offer.pooled)  # refuses a wrong one before anything is trained
    beside = work_beside(run_path, force=force) if run_path else nullcontext()
    with beside as folder:
        trained = load_trained(request, folder, progress, check=offer.check)
        candidate, operations = _weighed(request, trained, offer, folder, progress)

        def files(result: SearchResult) -> dict[str, bytes]:
            cut = _cut(trained, operations, result)
            kept = {FLOAT_STEM + end: text for end, text in float_files(cut).items()}
            if operations is not None:
                content = BytesIO()
                np.savez(content, allow_pickle=False, **operations)
                kept[OPERATIONS_FILE] = content.getvalue()
            return kept

        result = search(
            trained.asked,
            board=trained.board,
            candidates=[candidate],
            run_path=run_path,
            force=force,
            more=files,
            progress=progress,
        )
        if folder is not None:
            keep_training(folder, result)
    return result


def _cut(
    trained: Trained, operations: "Params | None", result: SearchResult
) -> Network:
    """Return a network with what a result replaces, without what it leaves out."""
    from hao.measure.subject import CALIBRATION_FRAMES, Subject, network_under

    network, dataset = trained.network, trained.dataset
    subject = Subject(
        networks={result.design.engine.act_bits: network},
        calibration=dataset.train.frames[:CALIBRATION_FRAMES],
        parts={},
        dataset=dataset,
        words=result.design,
        operations={} if operations is None else operations,
    )
    return network_under(subject, network, result.design.scheme)


def _weighed(
    request: PruneRequest,
    trained: Trained,
    offer: Offer,
    folder: Path | None,
    progress: Progress,
) -> tuple[Candidate, "Params | None"]:
    """Return the candidate with its options, and the parameters of operations on offer.

    All are weighed in, and put together with, the same weights.

    Raises:
        InputError: Nothing may be taken out, or no block replaced.
    """
    from hao.answer.sparsity import density_costs
    from hao.quant.normed import normed_net

    task, candidate, kinds = task_of(trained), trained.candidate, offer.kinds
    net = normed_net(trained.network, trained.dataset.train)
    if MeasuredKind.CHANNELS in kinds:
        channels = _channels(request, task, net, progress)
        candidate = replace(candidate, channels=channels)
    if MeasuredKind.SPARSITY in kinds:
        candidate = replace(candidate, densities=density_costs(task, net, progress))
    if MeasuredKind.OPERATIONS not in kinds:
        return candidate, None
    teacher = distilled(trained, offer.pooled, folder, request.seed, progress)
    channels = inner_channels(trained.network, candidate.channels, teacher)
    operations = weighed_operations(trained, teacher, request.seed, progress)
    made = replace(candidate, channels=channels, operations=operations)
    return made, teacher.params


def _channels(
    request: PruneRequest, task: "PruneTask", net: "FloatNet", progress: Progress
) -> tuple[Option, ...]:
    """Return the options of channels, weighed in a net; a copy is trained for scores.

    Raises:
        InputError: No channels may be taken out.
    """
    from hao.answer.prune import lanes_of, scored, weighed_options
    from hao.answer.prune_task import PruneSettings
    from hao.program.codesign import choose_fastest
    from hao.quant.train import TrainSettings

    whole = task.network
    lanes = lanes_of(whole, choose_fastest(task.problem(whole)))
    training = TrainSettings(epochs=1, learning_rate=1e-3, seed=request.seed)
    settings = PruneSettings(iterations=request.iterations, training=training)
    _, scores = scored(task, whole, settings, 1, progress)
    options = weighed_options(task, net, scores, lanes)
    if not options:
        raise InputError(f"network {whole.name!r}: no channels may be taken out")
    return options
