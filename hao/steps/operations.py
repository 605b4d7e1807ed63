"""Operations that are trained in the place of blocks, and what they cost in top-1.

    teacher -> operations of a pool -> distilled, block by block -> plug-in losses
        -> points of top-1, by a few networks put together at random

`hao replace` and `hao search --options` take them from here.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hao.answer.workers import Progress
from hao.arguments import AtLeast1, take_fields
from hao.errors import ArgumentError
from hao.ir.change import Change, Keep
from hao.ir.channels import channel_groups
from hao.ir.network import Network
from hao.options.operations import Operation, load_pool
from hao.options.option import MICRO, Option
from hao.runs.run_files import TRAINING_FOLDER
from hao.steps.changed import Trained

if TYPE_CHECKING:
    from hao.distillation.choose import BlockTeacher
    from hao.distillation.pool import Place

SLOPE_NETWORKS = 8
"""Random networks whose top-1 says what a loss is in points (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """Which operations are offered, and how they are trained and measured.

    Attributes:
        pool: Table of operations beside hao's own.
        only: Names of operations to offer, "identity" for leaving a block out; empty
            for all.
        score_frames: Training frames that losses are measured on, at least 1.
        distill_epochs: Of every operation; `None` for the default.

    Raises:
        ArgumentError: A field is out of range, or of a type that it cannot take.
    """

    pool: Path | None = None
    only: tuple[str, ...] = ()
    score_frames: AtLeast1 = 1024
    distill_epochs: AtLeast1 | None = None

    def __post_init__(self) -> None:
        take_fields(self)


def distilled(
    trained: Trained, pooled: Pooled, folder: Path | None, seed: int, progress: Progress
) -> "BlockTeacher":
    """Return a network with operations that learnt to do what its blocks do.

    Args:
        trained: The teacher.
        pooled: Which operations.
        folder: Where finished passes are kept and taken up from; `None` keeps none.
        seed: Of the training.
        progress: Told of every pass.

    Raises:
        ArgumentError: An operation is asked for that the pool does not have.
        InputError: No block may be replaced, or an operation of one's own does not fit.
        UnsupportedError: A network that was quantized, or that the engine cannot run.
    """
    from hao.distillation.choose import BlockTeacher
    from hao.distillation.distill import DistillSettings, distill

    network, frames = trained.network, trained.dataset.train
    places = offered_places(pooled, network)
    progress(f"teacher: {trained.top1(network):.2f} % of the test frames")
    count = sum(len(place.operations) for place in places)
    progress(f"{count} operations in the place of {len(places)} blocks")
    settings = DistillSettings(seed=seed)
    if pooled.distill_epochs is not None:
        settings = replace(settings, epochs=pooled.distill_epochs)
    found = distill(
        network,
        places,
        frames,
        settings,
        folder=None if folder is None else folder / TRAINING_FOLDER,
        progress=progress,
    )
    return BlockTeacher(
        network=network,
        places=places,
        params=found.params,
        frames=frames.frames[: pooled.score_frames],
    )


def offered_pool(pooled: Pooled) -> tuple[Operation, ...]:
    """Return the operations that are offered, read before anything is trained.

    Args:
        pooled: Which operations.

    Raises:
        ArgumentError: An operation is asked for that the pool does not have.
        InputError: The table cannot be read.
    """
    from hao.distillation.score import IDENTITY

    pool = load_pool(pooled.pool)
    known = {IDENTITY, *(operation.name for operation in pool)}
    for name in pooled.only:
        if name not in known:
            raise ArgumentError(
                f"`only` = {name}; no such operation: the pool has "
                f"{', '.join(sorted(known)[:5])} and others (data/operations.csv)"
            )
    return tuple(o for o in pool if not pooled.only or o.name in pooled.only)


def offered_places(pooled: Pooled, network: Network) -> tuple["Place", ...]:
    """Return the blocks with the operations that are offered.

    Raises:
        InputError: No block may be replaced, or an operation of one's own does not fit.
    """
    from hao.distillation.pool import places_of
    from hao.distillation.score import IDENTITY

    identity = not pooled.only or IDENTITY in pooled.only
    return places_of(network, offered_pool(pooled), identity=identity)


def weighed_operations(
    trained: Trained, teacher: "BlockTeacher", seed: int, progress: Progress
) -> tuple[Option, ...]:
    """Return the options of blocks, at what they cost in points of top-1.

    Plug-in losses [nats] add up; what a nat is in points is the slope of top-1 over
    their sum, on the validation frames, for a few networks put together at random.

    Args:
        trained: The teacher, with its data.
        teacher: The same with its operations.
        seed: Of the random networks.
        progress: Told of every block.
    """
    from hao.distillation.choose import measured_options
    from hao.distillation.score import score

    choices = trained.asked.bit_rules.choices
    scores = score(
        teacher.network,
        teacher.places,
        teacher.params,
        teacher.frames,
        choices,
        progress=progress,
    )
    every = measured_options(teacher.network, teacher.places, scores, choices)
    offered = [option for option in every if option.layer in teacher.blocks]
    slope = _points_per_nat(trained, teacher, offered, seed)
    progress(f"operations: a nat of plug-in loss is {slope:.2f} points of top-1")
    return tuple(
        replace(option, cost_micro=round(option.cost_micro * slope))
        for option in offered
    )


def _points_per_nat(
    trained: Trained, teacher: "BlockTeacher", offered: list[Option], seed: int
) -> float:
    """Return how many points of top-1 a nat of plug-in losses is."""
    from hao.answer.prune import points_per_loss

    by_block: dict[str, list[Option]] = {}
    for option in offered:
        by_block.setdefault(option.layer, []).append(option)
    rng = np.random.default_rng(seed)
    validation = trained.dataset.validation
    whole = trained.top1(teacher.network, validation)
    losses, drops = [], []
    for _ in range(SLOPE_NETWORKS):
        taken = [own[int(rng.integers(len(own)))] for own in by_block.values()]
        scheme: dict[str, Change] = {
            option.layer: option.change
            for option in taken
            if not isinstance(option.change, Keep)
        }
        losses.append(sum(option.cost_micro for option in taken) / MICRO)
        drops.append(whole - trained.top1(teacher.under(scheme), validation))
    return points_per_loss(np.array(losses), np.array(drops))


def inner_channels(
    network: Network, channels: tuple[Option, ...], teacher: "BlockTeacher"
) -> tuple[Option, ...]:
    """Return the options of channels that are no edge of a block with a choice.

    What stands in a block's place fits one width of the maps at its edges.
    """
    edges = {name for b in teacher.blocks.values() for name in (b.entry, b.result)}
    fixed = {g.name for g in channel_groups(network) if g.members & edges}
    return tuple(option for option in channels if option.layer not in fixed)
