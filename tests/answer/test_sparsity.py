"""Words taken out until a frame time is kept: what stays, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from hao.answer.densities import energies, measured_curves, prunable, weights_of
from hao.answer.prune_task import PruneSettings, PruneTask
from hao.answer.sparsity import space_like, sparsify
from hao.cost.evaluate import evaluate
from hao.emission.weights import stage_words
from hao.errors import InfeasibleError, InputError
from hao.ir.change import densities_of
from hao.ir.sparsity import Words, density_of, kept_words
from hao.program.codesign import choose_fastest
from hao.program.space import Space
from hao.quant.normed import normed_net
from tests.answer.pruning import TRAINING, pruning_task
from tests.program.instances import Builder, board
from tests.quant.networks import shape

SPACE = Space(pixels=(1,), lanes=(2, 4), taps=(9,), depths=(64, 512), buffering=(True,))
SETTINGS = PruneSettings(
    steps=2,
    iterations=3,
    training=TRAINING,
)


@pytest.fixture(scope="module")
def task() -> PruneTask:
    return pruning_task((16, 16, 16), board(dsp=8, lut=16_000), SPACE)


def test_words_go_until_the_frame_time_is_kept(task: PruneTask) -> None:
    start = choose_fastest(task.problem(task.network)).cost.latency_cycles
    budget = start * 3 // 4
    told: list[str] = []
    found = sparsify(replace(task, budget=budget), SETTINGS, told.append)
    assert found.start_cycles == start
    assert found.cycles <= budget
    # On the engines with these words, a search of the pruned network is as fast.
    assert found.space is not None
    again = choose_fastest(replace(task, space=found.space).problem(found.network))
    assert again.cost.latency_cycles <= found.cycles
    assert evaluate(again.design) == again.cost
    design = again.design
    densities = densities_of(design.scheme)
    assert densities
    layers = {layer.name: layer for layer in found.network.compute_layers}
    for name, words in stage_words(design).items():
        kept = kept_words(words.count, density_of(layers[name]))
        assert (found.after[name], found.before[name]) == (kept, words.count)
        assert density_of(layers[name]) == densities.get(name, 100)
        used = words.sums(found.network.params[f"{name}.weight"] ** 2) > 0
        assert used.sum(axis=1).max() <= kept
    assert space_like(design, SPACE) == found.space
    assert sum(word.startswith("projection") for word in told) == 3


def test_what_is_fast_enough_is_left_alone(task: PruneTask) -> None:
    with pytest.raises(
        InputError, match="cycles a frame as it is, of 10000000 allowed"
    ):
        sparsify(replace(task, budget=10_000_000), SETTINGS)


def test_a_frame_time_out_of_reach_names_the_nearest(task: PruneTask) -> None:
    with pytest.raises(InfeasibleError, match=r"25 % of the words .* ask for is"):
        sparsify(replace(task, budget=10), SETTINGS)


def test_a_network_of_which_nothing_may_go_says_why() -> None:
    network = Builder(shape(4, 6)).depthwise().network()
    with pytest.raises(InputError, match="no words may be left out: l1: depthwise"):
        prunable(network)


def test_costs_are_measured_and_rise_with_what_is_lost(task: PruneTask) -> None:
    net = normed_net(task.network, task.dataset.train)
    weights = weights_of(net, prunable(task.network))
    words = {
        name: Words(np.arange(int(np.prod(w.shape[1:]))).reshape(w.shape[1:]) // 2, 4)
        for name, w in weights.items()
    }
    scores = energies(weights, words)
    curves = measured_curves(net, task.dataset, words, scores, (75, 50, 25))
    assert set(curves.of) == set(words)
    costs = curves.costs(words, scores, (75, 50, 25))
    for own in costs.values():
        assert list(own.values()) == sorted(own.values())
        assert min(own.values(), default=1) > 0
    # Three words of a channel: 75 % keep all of them, and are not offered.
    few = {"l1": Words(np.arange(9).reshape(1, 3, 3) // 3, 4)}
    few_scores = energies(weights, few)
    assert list(curves.costs(few, few_scores, (75, 50, 25))["l1"]) == [50, 25]
