"""Channels taken out until a frame time is kept: what stays, and what is refused."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hao.answer.kept import Pruned
from hao.answer.prune import (
    SLOPE_CHOICES,
    group_lanes,
    measured_costs,
    measured_folds,
    points_per_loss,
    prune,
)
from hao.answer.prune_task import PruneSettings, PruneTask
from hao.errors import InfeasibleError, InputError
from hao.ir.channels import channel_groups, without_channels
from hao.ir.tensor import Shape
from hao.options.channels import LEAST_LOSS, kept_by_score
from hao.program.codesign import choose_fastest
from hao.quant.normed import normed_net
from hao.quant.saliency import NetOutputs, masked_losses
from tests.answer.pruning import TRAINING, pruning_task
from tests.program.instances import Builder, board


@pytest.fixture(scope="module")
def task() -> PruneTask:
    return pruning_task((12, 16, 12), board(dsp=40, lut=20_000))


SETTINGS = PruneSettings(
    steps=2,
    iterations=3,
    training=TRAINING,
)


@pytest.fixture(scope="module")
def told() -> list[str]:
    """Return what pruning `pruned` tells."""
    return []


@pytest.fixture(scope="module")
def bounded(task: PruneTask) -> PruneTask:
    start = choose_fastest(task.problem(task.network)).cost.latency_cycles
    return replace(task, budget=start * 3 // 4)


@pytest.fixture(scope="module")
def pruned(bounded: PruneTask, told: list[str]) -> Pruned:
    return prune(bounded, SETTINGS, told.append)


def test_steps_below_1_are_refused() -> None:
    with pytest.raises(InputError, match="`steps` = 0; must be at least 1"):
        PruneSettings(steps=0, iterations=1)
    with pytest.raises(InputError, match="`iterations` = 0; must be at least 1"):
        PruneSettings(iterations=0)


def test_channels_go_until_the_frame_time_is_kept(
    task: PruneTask, bounded: PruneTask, pruned: Pruned, told: list[str]
) -> None:
    assert bounded.budget == pruned.start_cycles * 3 // 4
    assert pruned.cycles <= bounded.budget
    again = choose_fastest(task.problem(pruned.network)).cost.latency_cycles
    assert again <= bounded.budget
    groups = {g.name: g for g in channel_groups(pruned.network) if not g.fixed}
    assert set(pruned.kept) == set(groups)
    for name, channels in pruned.kept.items():
        assert len(channels) == groups[name].channels
        whole = next(g for g in channel_groups(task.network) if g.name == name)
        assert set(channels) <= set(range(whole.channels))
    assert any(word.startswith("pruning step 2/2") for word in told)
    # Weights are those of the channels that stay: trained a little, not shuffled.
    first = task.network.compute_layers[0].name
    kept = list(pruned.kept[f"{first}.channels"])
    own, old = (x.params[f"{first}.weight"] for x in (pruned.network, task.network))
    assert np.corrcoef(np.ravel(own), np.ravel(old[kept]))[0, 1] > 0.9


def test_a_killed_pruning_goes_on_with_the_next_step(
    bounded: PruneTask, pruned: Pruned, tmp_path: Path
) -> None:
    task, whole = bounded, pruned
    checkpoint = tmp_path / "training" / "state.npz"

    def killed(line: str) -> None:
        if line.startswith("pruning step 1/2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(task, SETTINGS, killed, checkpoint=checkpoint)
    told: list[str] = []
    again = prune(task, SETTINGS, told.append, checkpoint=checkpoint)
    assert not any(line.startswith("pruning step 1/2") for line in told)
    assert again.kept == whole.kept
    assert again.cycles == whole.cycles
    for key, array in whole.network.params.items():
        assert np.array_equal(array, again.network.params[key])
    # Nothing is left to do, and nothing is done twice.
    told.clear()
    assert prune(task, SETTINGS, told.append, checkpoint=checkpoint).kept == again.kept
    assert told == []
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(InputError, match="not readable as a pruning of network"):
        prune(task, SETTINGS, checkpoint=checkpoint)


def test_what_is_fast_enough_is_left_alone(task: PruneTask) -> None:
    with pytest.raises(
        InputError, match="cycles a frame as it is, of 10000000 allowed"
    ):
        prune(replace(task, budget=10_000_000), SETTINGS)


def test_a_frame_time_out_of_reach_names_the_nearest(task: PruneTask) -> None:
    groups = [g for g in channel_groups(task.network) if not g.fixed]
    fewest = {g.name: range(max(1, g.channels // 8)) for g in groups}
    narrow = without_channels(task.network, fewest)
    least = choose_fastest(task.problem(narrow)).cost.latency_cycles
    with pytest.raises(InfeasibleError, match=r"out of reach on .* one chan") as found:
        prune(replace(task, budget=least - 1, promised=0.8), SETTINGS)
    most = float(str(found.value).split()[-2])
    assert 0 <= 0.8 * task.board.frames_per_s(least) - most < 0.1


def test_a_network_of_which_nothing_may_go_says_why(task: PruneTask) -> None:
    made = Builder(Shape(channels=1, height=6, width=6)).conv(3, 3)
    network = made.network()
    with pytest.raises(InputError, match=r"no channels may be taken out: .* outputs"):
        prune(replace(task, network=network), SETTINGS)


def test_lanes_of_a_group_are_those_that_make_and_read_it(task: PruneTask) -> None:
    report = choose_fastest(task.problem(task.network))
    groups = channel_groups(task.network)
    lanes = group_lanes(groups, report.design.engine, report.design.segments)
    stages = {
        layer.name: report.design.engine.stage(role)
        for segment in report.design.segments
        for role, layer in segment.invocation.stages
    }
    first = groups[0]
    maker, reader = stages[first.makers[0]], stages[first.readers[0]]
    assert maker is not None
    assert set(lanes[first.name]) == {maker.pe, reader.simd}  # type: ignore[union-attr]


def test_costs_are_measured_and_never_fall_with_channels(task: PruneTask) -> None:
    network = task.network
    groups = [g for g in channel_groups(network) if not g.fixed]
    net = normed_net(network, task.dataset.train)
    rng = np.random.default_rng(0)
    scores = {g.name: rng.random(g.channels) for g in groups}
    widths = {g.name: tuple(range(g.channels, 0, -3)) for g in groups}
    costs = measured_costs(net, task.dataset, groups, scores, widths)
    for name, offered in widths.items():
        found = [costs[name].cost(width) for width in offered]
        assert found[0] == 0
        assert found == sorted(found)
    assert max(costs[name].cost(widths[name][-1]) for name in widths) > 0
    lone = {name: kept_by_score(scores[name], widths[name][-1]) for name in widths}
    choices = [{}, *({name: kept} for name, kept in lone.items())]
    whole, *others = masked_losses(net, task.dataset.validation, groups, choices)
    for name, other in zip(widths, others, strict=True):
        assert costs[name].base_loss == max(whole.loss, LEAST_LOSS)
        fold = np.log1p((other.loss - whole.loss) / costs[name].base_loss)
        wanted = costs[name].points_per_fold * fold
        assert costs[name].costs[-1] == pytest.approx(wanted)


def test_losses_count_as_logarithms_and_none_as_a_gain() -> None:
    drawn = [NetOutputs(math.e, 80.0)] * SLOPE_CHOICES  # log(e / 1) = 1 for 10 points
    alone = [NetOutputs(0.0, 91.0), NetOutputs(math.e**2, 50.0)]
    floor, folds, slope = measured_folds([NetOutputs(1.0, 90.0), *alone, *drawn])
    assert floor == 1.0
    assert folds.tolist() == pytest.approx([0, 2])
    assert slope == pytest.approx(10)


def test_points_per_loss_is_a_slope_through_the_origin() -> None:
    assert points_per_loss(np.array([0.1, 0.2]), np.array([4.0, 8.0])) == pytest.approx(
        40
    )
    assert points_per_loss(np.array([0.0]), np.array([0.0])) == 1
    assert points_per_loss(np.array([0.1]), np.array([-1.0])) == 1
