"""Which channels go, so that a network reaches a frame rate: HALP, made exact.

    scores by training -> widths that the engine's lanes make worth it -> their measured
        costs -> the program chooses widths and engine -> channels go -> again

Source: HALP (Shen et al., arXiv:2110.10811) and MDP (Sun et al., arXiv:2406.12079).
What differs: widths and engine are chosen together, by the integer program, with prices
that depend on the channels read and made; costs are measured losses before they meet in
an objective. The frame time comes down in steps, on an exponential path from what the
whole network takes to what is asked:

    budget of step t of k = start^(1 - t/k) * goal^(t/k)
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hao.answer.kept import Pruned, load_kept, save_kept
from hao.answer.prune_task import PruneSettings, PruneTask
from hao.answer.workers import Progress
from hao.engine.stages import Engine
from hao.errors import InputError
from hao.ir.change import kept_channels
from hao.ir.channels import ChannelGroup, channel_groups, without_channels
from hao.ir.network import Network
from hao.ir.partition import Role, Segment
from hao.options.channels import (
    LEAST_LOSS,
    GroupCosts,
    channel_options,
    kept_by_score,
    offered_widths,
)
from hao.options.option import Option
from hao.program.codesign import SolveReport, choose_fastest, choose_most_accurate
from hao.quant.dataset import Dataset
from hao.quant.distill import Teacher
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.normed import normed_net
from hao.quant.saliency import NetOutputs, Scores, masked_losses, taylor_scores

MEASURED_WIDTHS = 3
"""Numbers of channels per group whose loss is measured (chosen here)."""

LEAST_SHARE = 8
"""A group keeps one in so many of its channels, at least (chosen here)."""

SLOPE_CHOICES = 8
"""Random choices of all groups that say how much top-1 a loss is (chosen here)."""


def prune(
    task: PruneTask,
    settings: PruneSettings,
    progress: Progress = lambda _: None,
    *,
    checkpoint: Path | None = None,
) -> Pruned:
    """Take channels out of a network until its best design keeps a frame time.

    Args:
        task: The network and what it is to reach.
        settings: How.
        progress: Told of each step.
        checkpoint: File, whatever its suffix, that keeps the state after every step,
            and from which a killed run of the same task and settings goes on; `None`
            keeps none.

    Raises:
        InputError: The network is fast enough as it is, no group can be narrower, or
            the checkpoint is not readable.
        InfeasibleError: Not even the fewest channels on offer reach the frame time.
    """
    place = None if checkpoint is None else checkpoint.with_suffix(".npz")
    pruned = None if place is None else load_kept(place, task.network, Pruned)
    if pruned is None:
        pruned = _started(task, progress)
    start = pruned.start_cycles
    for step in range(pruned.steps + 1, settings.steps + 1):
        share = step / settings.steps
        budget = int(start ** (1 - share) * task.budget**share)
        if step == settings.steps:
            budget = task.budget
        net, scores = scored(task, pruned.network, settings, step, progress)
        options = weighed_options(task, net, scores, pruned.lanes, seed=step)
        report = choose_most_accurate(
            task.problem(pruned.network, options), budget=budget
        )
        chosen = kept_channels(report.design.scheme)
        network = without_channels(folded_network(net), chosen)
        pruned = replace(
            pruned,
            network=network,
            after={name: len(channels) for name, channels in chosen.items()},
            kept={
                name: tuple(np.array(whole)[list(chosen[name])].tolist())
                for name, whole in pruned.kept.items()
            },
            lanes=lanes_of(network, report),
            cycles=report.cost.latency_cycles,
            steps=step,
        )
        if place is not None:
            save_kept(place, pruned)
        progress(
            f"pruning step {step}/{settings.steps}: {pruned.cycles} of {budget} "
            f"cycles, {sum(pruned.after.values())} of {sum(pruned.before.values())} "
            "channels"
        )
    return pruned


def _started(task: PruneTask, progress: Progress) -> Pruned:
    """Return the whole network on its fastest engine, where pruning can begin.

    Raises:
        InputError: It is fast enough as it is, or no group can be narrower.
        InfeasibleError: Not even the fewest channels on offer reach the frame time.
    """
    network = task.network
    free = [group for group in channel_groups(network) if not group.fixed]
    for group in channel_groups(network):
        if group.fixed:
            progress(f"kept whole: {group.name} ({group.fixed})")
    if not free:
        raise InputError(
            f"network {network.name!r}: no channels may be taken out: "
            f"{'; '.join(f'{g.name}: {g.fixed}' for g in channel_groups(network))}"
        )
    report = task.started()
    fewest = {g.name: range(max(1, g.channels // LEAST_SHARE)) for g in free}
    narrow = without_channels(network, fewest)
    least = choose_fastest(task.problem(narrow)).cost.latency_cycles
    task.check_reach(least, f"one channel in {LEAST_SHARE} of every group")
    start = report.cost.latency_cycles
    channels = {group.name: group.channels for group in free}
    return Pruned(
        network=network,
        before=channels,
        after=channels,
        kept={group.name: tuple(range(group.channels)) for group in free},
        lanes=lanes_of(network, report),
        cycles=start,
        start_cycles=start,
        steps=0,
    )


def scored(
    task: PruneTask,
    network: Network,
    settings: PruneSettings,
    step: int,
    progress: Progress,
) -> tuple[FloatNet, Scores]:
    """Return a network, trained on, and the mean scores of its channels meanwhile.

    Args:
        task: Data and teacher.
        network: With parameters; the whole one, or one with fewer channels.
        settings: How channels are taken out.
        step: From 1; says which batches come.
        progress: Told now and then.
    """
    net = normed_net(network, task.dataset.train)
    scores = taylor_scores(
        net,
        task.dataset.train,
        [group for group in channel_groups(network) if not group.fixed],
        settings.training,
        steps=settings.iterations,
        first=(step - 1) * settings.iterations,
        teacher=task.teacher,
        progress=progress,
    )
    return net, scores


def weighed_options(
    task: PruneTask,
    net: FloatNet,
    scores: Scores,
    lanes: Mapping[str, tuple[int, ...]],
    *,
    seed: int = 1,
) -> tuple[Option, ...]:
    """Return the options of a net's groups, at what they are measured to cost.

    Args:
        task: The whole network, data and board.
        net: With batch norms.
        scores: Of the channels of every group that may be narrower.
        lanes: By group, of the stages of an engine: they say which widths are worth it.
        seed: Of the random choices that say what a loss is in top-1.
    """
    free = [group for group in channel_groups(net.network) if not group.fixed]
    whole = {g.name: g.channels for g in channel_groups(task.network)}
    offered = {
        group.name: offered_widths(
            group.channels,
            lanes[group.name],
            least=max(1, whole[group.name] // LEAST_SHARE),
        )
        for group in free
    }
    costs = measured_costs(
        net, task.dataset, free, scores, offered, teacher=task.teacher, seed=seed
    )
    return channel_options(costs, offered)


def lanes_of(network: Network, report: SolveReport) -> dict[str, tuple[int, ...]]:
    """Return the lane counts of a design's stages that work on each group."""
    free = [group for group in channel_groups(network) if not group.fixed]
    return group_lanes(free, report.design.engine, report.design.segments)


def group_lanes(
    groups: Sequence[ChannelGroup], engine: Engine, segments: Sequence[Segment]
) -> dict[str, tuple[int, ...]]:
    """Return the lane counts of the stages that work on the channels of each group.

    Args:
        groups: Of the network that the segments run.
        engine: Its stages.
        segments: Which stage runs which layer.
    """
    made: dict[str, int] = {}
    read: dict[str, int] = {}
    for segment in segments:
        for role, layer in segment.invocation.stages:
            match role:
                case Role.DENSE | Role.POINTWISE:
                    stage = engine.dense if role is Role.DENSE else engine.pointwise
                    assert stage is not None
                    made[layer.name], read[layer.name] = stage.pe, stage.simd
                case Role.DEPTHWISE:
                    assert engine.depthwise is not None
                    made[layer.name] = engine.depthwise.pe
    return {
        group.name: tuple(
            sorted(
                {made[name] for name in group.members if name in made}
                | {read[name] for name in group.readers if name in read}
            )
        )
        for group in groups
    }


def measured_costs(
    net: FloatNet,
    dataset: Dataset,
    groups: Sequence[ChannelGroup],
    scores: Scores,
    widths: Mapping[str, Sequence[int]],
    *,
    teacher: Teacher | None = None,
    seed: int = 0,
) -> dict[str, GroupCosts]:
    """Return what fewer channels cost, group by group, mapped to measured loss.

    Of every group, `MEASURED_WIDTHS` numbers of channels are measured alone. Losses of
    groups multiply: a cost is the logarithm of how many times the whole network's loss
    one is. What that is in top-1 comes from `SLOPE_CHOICES` random choices of all.

    Args:
        net: With batch norms.
        dataset: Only its validation frames are used.
        groups: That may be narrower.
        scores: Of their channels.
        widths: Numbers of channels on offer, descending, by group.
        teacher: Whose classes stand for labels where these mean nothing.
        seed: Of the random choices.
    """
    rng = np.random.default_rng(seed)
    points = {g.name: _spread(widths[g.name][1:]) for g in groups}
    choices: list[dict[str, tuple[int, ...]]] = [{}]
    choices += [
        {name: kept_by_score(scores[name], width)}
        for name, found in points.items()
        for width in found
    ]
    choices += [
        {
            name: kept_by_score(scores[name], int(rng.choice(offered)))
            for name, offered in widths.items()
        }
        for _ in range(SLOPE_CHOICES)
    ]
    floor, folds, slope = measured_folds(
        masked_losses(net, dataset.validation, groups, choices, teacher=teacher)
    )
    alone = iter(folds * slope)
    return {
        name: GroupCosts(
            scores=scores[name],
            points=tuple(own),
            costs=tuple(float(next(alone)) for _ in own),
            base_loss=floor,
            points_per_fold=slope,
        )
        for name, own in points.items()
    }


def measured_folds(
    outputs: Sequence[NetOutputs],
) -> tuple[float, NDArray[np.float64], float]:
    """Return losses as logarithms of how many times the whole network's they are.

    A loss that falls counts as the whole network's: what it gained is noise.

    Args:
        outputs: Of the whole network, of choices of one thing alone, and of
            `SLOPE_CHOICES` random choices of all.

    Returns:
        The loss of the whole network, at least `LEAST_LOSS` [nats]; the logarithm of
        each choice of one thing; and the top-1 that a logarithm of 1 is, by the random
        choices [points].
    """
    base, *found = outputs
    floor = max(base.loss, LEAST_LOSS)
    folds = np.log1p([max(0.0, each.loss - base.loss) / floor for each in found])
    drops = np.array([base.top1 - each.top1 for each in found])
    slope = points_per_loss(folds[-SLOPE_CHOICES:], drops[-SLOPE_CHOICES:])
    return floor, folds[:-SLOPE_CHOICES], slope


def points_per_loss(losses: NDArray[np.float64], drops: NDArray[np.float64]) -> float:
    """Return how many points of top-1 a rise of the loss by 1 is, by least squares.

    Args:
        losses: Rises of the loss, or logarithms of how many times it is.
        drops: Falls of top-1 that came with them [points].
    """
    square = float((losses**2).sum())
    slope = float((losses * drops).sum()) / square if square > 0 else 0.0
    # Where nothing is lost, any scale will do: all costs are near zero.
    return slope if slope > 0 else 1.0


def _spread(offered: Sequence[int]) -> tuple[int, ...]:
    """Return the narrowest width and others evenly between, descending."""
    count = min(len(offered), MEASURED_WIDTHS)
    places = np.linspace(0, len(offered) - 1, count).round().astype(int)
    return tuple(offered[place] for place in places)
