"""Fewer words of weights: ALCS on the engine against other rules, at equal frame times.

A small convolutional network on the digits or on Fashion-MNIST. All rules start from
one trained network and keep the same frame time on one board, a share of the whole
network's; what they leave is trained the same number of epochs with the whole network
as teacher:

- alcs: what `hao prune --method sparsity` does;
- one shot: the same densities and engine program, words of least energy taken out at
  once, without the training towards them;
- uniform: one density of all layers, the largest that keeps the frame time;
- unstructured: single weights of least magnitude, over all layers (each scaled by its
  root mean square), on the lanes of the whole network's best design: a word is skipped
  where all its weights are zero, and a layer keeps as many words as its fullest group;
- channels: what `hao prune --steps 1` does.

Then how honest the sum of measured costs is: Kendall's tau between it and the measured
rise of the loss over 100 random assemblies of densities, with words kept by energy and
by Taylor score, and of densities (by energy) and numbers of channels mixed, cut as
`hao search` cuts them. Cycles are predicted; top-1 is of test frames in floating point.

Run: python benchmarks/sparsity.py [--data digits] [--seeds 3] [--share 0.7]
Rows lie in `--folder`; what is there is not run again.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmarks._common import machine, print_table
from benchmarks._kept import EPOCHS, Rows, spread, trained
from hao.answer.densities import Scores, energies, measured_curves, prunable, weights_of
from hao.answer.prune import measured_costs, prune
from hao.answer.prune_task import PruneSettings, PruneTask
from hao.answer.sparsity import (
    density_costs,
    space_like,
    sparse_problem,
    sparsify,
)
from hao.emission.weights import pruned_network, stage_words
from hao.hw.board import Frames
from hao.hw.board_file import load_board
from hao.ir.change import Bits, Change, Channels, densities_of
from hao.ir.channels import channel_groups
from hao.ir.layer import (
    ActivationKind,
    Conv,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Padding,
    window_shape,
)
from hao.ir.network import Network
from hao.ir.sparsity import Words, with_densities
from hao.ir.tensor import Shape
from hao.measure.sample import Part
from hao.measure.subject import make_subject, network_under
from hao.options.bits import bit_options
from hao.options.channels import kept_by_score
from hao.options.option import MICRO
from hao.options.sparsity import DENSITIES
from hao.program.codesign import SolveReport, choose_fastest, choose_most_accurate
from hao.quant.dataset import Dataset, Split, load_dataset
from hao.quant.distill import Teacher, teacher_of
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.normed import normed_net, settle_norms
from hao.quant.outputs import cross_entropy, log_probabilities
from hao.quant.saliency import layer_weight, pruned_losses, taylor_scores
from hao.quant.train import (
    Steps,
    TrainSettings,
    accuracy_of_net,
    tune_float,
)

BOARD = "zu3eg"
WIDTHS = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1))
"""Output channels and stride of each 3x3 convolution."""
SIDE = 16
TRAIN_FRAMES, TEST_FRAMES = 4000, 4000
FLOAT_EPOCHS, TUNING_EPOCHS, ITERATIONS, ROUNDS = 8, 4, 60, 6
ASSEMBLIES = 100


def build(classes: int) -> Network:
    """Return five convolutions, a mean and a classifier."""
    shape = Shape(channels=1, height=SIDE, width=SIDE)
    layers: list[Layer] = [Input(name="frame", ofm=shape)]
    for number, (channels, stride) in enumerate(WIDTHS, start=1):
        padding = Padding.same(3)
        ofm = window_shape(
            shape, channels=channels, kernel=3, stride=stride, padding=padding
        )
        layers.append(
            Conv(
                name=f"conv{number}",
                input=layers[-1].name,
                ifm=shape,
                ofm=ofm,
                kernel=3,
                stride=stride,
                padding=padding,
                activation=ActivationKind.RELU,
            )
        )
        shape = ofm
    flat = Shape(channels=shape.channels, height=1, width=1)
    layers.append(
        GlobalAveragePool(name="mean", input=layers[-1].name, ifm=shape, ofm=flat)
    )
    out = Shape(channels=classes, height=1, width=1)
    layers.append(Linear(name="classifier", input="mean", ifm=flat, ofm=out))
    return Network(name="five", layers=tuple(layers))


def load(data: str) -> tuple[Network, Dataset]:
    """Return a network and a data set, of a part of its frames where there are many."""
    shape = Shape(channels=1, height=SIDE, width=SIDE)
    dataset = load_dataset(data, shape)
    dataset = replace(
        dataset,
        train=first(dataset.train, TRAIN_FRAMES),
        validation=first(dataset.validation, TEST_FRAMES),
        test=first(dataset.test, TEST_FRAMES),
    )
    return build(dataset.classes), dataset


def first(split: Split, most: int) -> Split:
    return split.chosen(np.arange(min(most, len(split))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A trained network, and the frame time to keep."""

    task: PruneTask
    whole: SolveReport
    seed: int

    @property
    def training(self) -> TrainSettings:
        return TrainSettings(epochs=1, learning_rate=1e-3, seed=self.seed)


def make_case(data: str, seed: int, share: float, folder: Path) -> Case:
    bare, dataset = load(data)
    path = folder / f"clean-{data}-{seed}.npz"
    network = trained(bare, dataset, epochs=FLOAT_EPOCHS, seed=seed, path=path)
    task = PruneTask(
        network=network,
        dataset=dataset,
        board=replace(load_board(BOARD), frames=Frames.BACK_TO_BACK),
        budget=0,
        layer_options=partial(bit_options, choices=(8,), drop_by_bits={8: 0}),
        act_bits=8,
        teacher=teacher_of(network),
    )
    whole = choose_fastest(task.problem(network))
    budget = int(whole.cost.latency_cycles * share)
    return Case(task=replace(task, budget=budget), whole=whole, seed=seed)


Cut = tuple[Network, int]
"""A network before it is trained again, and its cycles."""


def alcs(case: Case) -> Cut:
    settings = PruneSettings(
        steps=ROUNDS, iterations=ITERATIONS, training=case.training
    )
    found = sparsify(case.task, settings)
    return found.network, found.cycles


def one_shot(case: Case) -> Cut:
    net = normed_net(case.task.network, case.task.dataset.train)
    costs = density_costs(case.task, net)
    report = choose_most_accurate(
        sparse_problem(case.task, costs), budget=case.task.budget
    )
    return _cut(case, report), report.cost.latency_cycles


def uniform(case: Case) -> Cut:
    names = prunable(case.task.network)
    for density in range(95, 4, -5):
        # Free of cost, so that the fastest design has them all.
        network = with_densities(case.task.network, dict.fromkeys(names, density))
        report = choose_fastest(case.task.problem(network))
        if report.cost.latency_cycles <= case.task.budget:
            return _cut(case, report), report.cost.latency_cycles
    raise SystemExit("no uniform density keeps the frame time")


def _cut(case: Case, report: SolveReport) -> Network:
    densities = densities_of(report.design.scheme)
    pruned = pruned_network(with_densities(case.task.network, densities), report.design)
    kept = {name: pruned.params[f"{name}.weight"] != 0 for name in densities}
    return with_densities(settled(case, kept), densities)


def settled(case: Case, kept: Mapping[str, NDArray[np.bool_]]) -> Network:
    """Return the network with some weights at 0, and batch norms that suit it."""
    net = normed_net(case.task.network, case.task.dataset.train)
    with torch.no_grad():
        for name, stays in kept.items():
            layer_weight(net, name).mul_(torch.from_numpy(stays))
    settle_norms(net, case.task.dataset.train)
    return folded_network(net)


def unstructured(case: Case) -> Cut | None:
    """Return what is left at the least threshold that keeps the frame time.

    `None` where not even one weight in 200 leaves enough words without any.
    """
    network = case.task.network
    # The best engine whose stages skip words.
    pruned = with_densities(network, dict.fromkeys(prunable(network), 99))
    design = choose_fastest(case.task.problem(pruned)).design
    words = stage_words(design)
    scaled = {
        name: np.abs(network.params[f"{name}.weight"].astype(np.float64))
        for name in prunable(network)
    }
    scaled = {name: w / np.sqrt((w**2).mean()) for name, w in scaled.items()}
    every = np.sort(np.concatenate([w.ravel() for w in scaled.values()]))
    space = space_like(design, case.task.space)
    low, high = 0, every.size - 1
    best: Cut | None = None
    while high - low > every.size // 200:
        middle = (low + high) // 2
        kept = {name: w > every[middle] for name, w in scaled.items()}
        densities = {n: _density(words[n], kept[n]) for n in words if n in kept}
        pruned = with_densities(network, densities)
        held = replace(case.task, space=space)
        cycles = choose_fastest(held.problem(pruned)).cost.latency_cycles
        if cycles > case.task.budget:
            low = middle
            continue
        high = middle
        # Zeros are held in training where a layer keeps a part of its words.
        held_zeros = {n: min(99, densities.get(n, 99)) for n in kept}
        best = with_densities(settled(case, kept), held_zeros), cycles
    return best


def _density(words: Words, kept: NDArray[np.bool_]) -> int:
    """Return the density at which a layer keeps the words of its fullest group."""
    most = int((words.sums(kept) > 0).sum(axis=1).max())
    return max(1, 100 * most // words.count + (100 * most % words.count > 0))


def channels(case: Case) -> Cut:
    settings = PruneSettings(steps=1, iterations=ITERATIONS, training=case.training)
    found = prune(case.task, settings)
    return found.network, found.cycles


Rule = Callable[[Case], Cut | None]

RULES: dict[str, Rule] = {
    "whole": lambda case: (case.task.network, case.whole.cost.latency_cycles),
    "alcs": alcs,
    "one shot": one_shot,
    "uniform": uniform,
    "unstructured": unstructured,
    "channels": channels,
}
COLUMNS = ("cycles", "left", "cut", "top1")


def top1(case: Case, network: Network) -> float:
    net = FloatNet(network, batch_norm=False)
    return 100 * accuracy_of_net(net, case.task.dataset.test)


def share_left(case: Case, network: Network) -> float:
    """Return the share of the whole network's weights that are left [percent]."""

    def count(some: Network) -> int:
        return sum(
            int(np.count_nonzero(some.params[f"{layer.name}.weight"]))
            for layer in some.compute_layers
        )

    return 100 * count(network) / count(case.task.network)


def taylor_word_scores(
    net: FloatNet,
    split: Split,
    words: Mapping[str, Words],
    settings: TrainSettings,
    *,
    steps: int,
    teacher: Teacher | None = None,
) -> Scores:
    """Train a net for some steps, in place, and return its words' mean scores.

    The score of a word is |sum of w * dL/dw| over its weights, the first-order change
    of the loss where the word is set to zero, averaged over the steps.

    Args:
        net: With batch norms.
        split: What it is trained on.
        words: How the weights of layers lie in words.
        settings: Learning rate, batch and seed.
        steps: Of training, at least 1.
        teacher: Whose outputs count beside the labels, if any.

    Returns:
        Of every word, shape (groups, words), by layer.
    """
    totals: dict[str, NDArray[np.float64]] = {}
    for _ in Steps(net, split, settings, teacher=teacher).take(steps):
        for name, own in words.items():
            weight = layer_weight(net, name)
            assert weight.grad is not None
            change = (weight.detach() * weight.grad).cpu().double().numpy()
            scores = np.abs(own.sums(change)) / steps
            totals[name] = totals[name] + scores if name in totals else scores
    net.eval().cpu()
    return totals


def taus(case: Case) -> dict[str, float]:
    """Return Kendall's tau of the sum of costs, by how words are scored."""
    task = case.task
    net = normed_net(task.network, task.dataset.train)
    names = prunable(task.network)
    words = {n: w for n, w in stage_words(case.whole.design).items() if n in names}
    trained = normed_net(task.network, task.dataset.train)
    scores: dict[str, Scores] = {
        "energy": energies(weights_of(net, tuple(words)), words),
        "Taylor": taylor_word_scores(
            trained,
            task.dataset.train,
            words,
            case.training,
            steps=ITERATIONS,
            teacher=task.teacher,
        ),
    }
    found = {word: _tau(case, net, words, own) for word, own in scores.items()}
    return found | mixed_taus(case, words)


def mixed_taus(case: Case, words: Mapping[str, Words]) -> dict[str, float]:
    """Return Kendall's tau of the sum of costs of words and of channels.

    As `hao search --options bits,channels,sparsity` weighs and cuts: channels by their
    scores, then words of what is left by energy. All groups and layers are drawn, or
    each with a probability that is drawn. Beside the sum: words weighed by the energy
    that they lose of what is left, which no sum over layers and groups can say.
    """
    task, rng = case.task, np.random.default_rng(case.seed)
    dataset, design = task.dataset, case.whole.design
    net = normed_net(task.network, dataset.train)
    groups = [g for g in channel_groups(task.network) if not g.fixed]
    scores = taylor_scores(
        net,
        dataset.train,
        groups,
        case.training,
        steps=ITERATIONS,
        teacher=task.teacher,
    )
    widths = {g.name: [g.channels * k // 4 for k in (4, 3, 2, 1)] for g in groups}
    narrow = measured_costs(net, dataset, groups, scores, widths, teacher=task.teacher)
    energy = energies(weights_of(net, tuple(words)), words)
    curves = measured_curves(net, dataset, words, energy, DENSITIES)
    costs = curves.costs(words, energy, DENSITIES)
    network = folded_network(net)
    subject = make_subject({8: network}, dataset)
    subject = replace(subject, words=design)
    held = subject.parts[Part.SEARCH]
    found = {}
    for word in ("all drawn", "shares drawn"):
        sums, weighed, losses = [], [], []
        for _ in range(ASSEMBLIES):
            share = 1.0 if word == "all drawn" else rng.random()
            dense = {n: _drawn(rng, own, share) for n, own in costs.items()}
            kept = {
                name: own[int(rng.integers(4)) if rng.random() < share else 0]
                for name, own in widths.items()
            }
            scheme: dict[str, Change] = {
                name: Channels(kept_by_score(scores[name], width))
                for name, width in kept.items()
            }
            cut = network_under(subject, network, scheme)
            scheme |= {n: Bits(weight_bits=8, density=d) for n, d in dense.items()}
            left = network_under(subject, network, scheme)
            outputs = log_probabilities(FloatNet(left, batch_norm=False), held.frames)
            losses.append(cross_entropy(outputs, held.labels))
            own = stage_words(design, cut)
            arrays = {n: cut.params[f"{n}.weight"].astype(np.float64) for n in own}
            energy_left = energies(arrays, own)
            narrower = MICRO * sum(narrow[n].cost(width) for n, width in kept.items())
            sums.append(narrower + sum(costs[n].get(d, 0) for n, d in dense.items()))
            weighed.append(
                narrower
                + sum(
                    curves.of[n].cost_micro(own[n].lost(energy_left[n], d))
                    for n, d in dense.items()
                    if n in own and d < 100
                )
            )
        name = f"energy, channels fewer too, {word}"
        found[name] = float(kendalltau(sums, losses).statistic)
        found[f"{name}, in what is left"] = float(kendalltau(weighed, losses).statistic)
        print(f"{name}: median loss {np.median(losses):.2f} nats", flush=True)
    return found


def _tau(
    case: Case, net: FloatNet, words: Mapping[str, Words], scores: Scores
) -> float:
    dataset, rng = case.task.dataset, np.random.default_rng(case.seed)
    curves = measured_curves(net, dataset, words, scores, DENSITIES)
    costs = curves.costs(words, scores, DENSITIES)
    made = {x.name: x.ofm.channels for x in case.task.network.compute_layers}
    predicted, choices = [], []
    for _ in range(ASSEMBLIES):
        chosen = {name: _drawn(rng, own) for name, own in costs.items()}
        predicted.append(sum(costs[n].get(d, 0) for n, d in chosen.items()))
        choices.append(
            {n: words[n].mask(scores[n], d, made[n]) for n, d in chosen.items()}
        )
    found = pruned_losses(net, dataset.validation, choices)
    return float(kendalltau(predicted, [each.loss for each in found]).statistic)


def _drawn(
    rng: np.random.Generator, costs: Mapping[int, int], share: float = 1.0
) -> int:
    offered: Sequence[int] = (100, *costs) if rng.random() < share else (100,)
    return int(rng.choice(offered))


def measured(rule: Rule, case: Case) -> dict[str, object]:
    """Return what a rule comes to, as columns of a row, empty where it does not."""
    found = rule(case)
    if found is None:
        return dict.fromkeys(COLUMNS, "")
    cut, cycles = found
    tuned = cut
    if cut is not case.task.network:
        settings = TrainSettings(
            epochs=TUNING_EPOCHS, learning_rate=4e-3, seed=case.seed
        )
        tuned = tune_float(cut, case.task.dataset, settings, teacher=case.task.teacher)
    figures = share_left(case, tuned), top1(case, cut), top1(case, tuned)
    return dict(zip(COLUMNS, (cycles, *figures), strict=True))


def print_taus(rows: Sequence[Mapping[str, str]], data: str) -> None:
    """Print mean and standard deviation of Kendall's tau over seeds."""
    table = [
        (word, spread([float(r["tau"]) for r in rows if r["words"] == word]))
        for word in dict.fromkeys(row["words"] for row in rows)
    ]
    print(f"\nKendall's tau on {ASSEMBLIES} assemblies, {data}\n")
    print_table(("words by", "sum of costs"), table)


def print_rules(rows: Sequence[Mapping[str, str]], rules: Sequence[str]) -> None:
    """Print mean and standard deviation of every rule over seeds."""
    table = []
    for rule in rules:
        reached = [row for row in rows if row["rule"] == rule and row["cycles"]]
        cells = [spread([float(row[c]) for row in reached]) for c in COLUMNS]
        table.append((rule, *cells))
    heads = ("rule", "cycles", "weights left [%]", "cut [%]", "trained [%]")
    print_table(heads, table)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", choices=tuple(EPOCHS), default="fashion-mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.7)
    parser.add_argument("--rules", nargs="+", choices=tuple(RULES), default=[*RULES])
    parser.add_argument("--folder", type=Path, default=Path("runs/sparsity"))
    parser.add_argument("--only", choices=("honesty", "rules"), default=None)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Machine: {machine()}")
    rows = Rows(asked.folder / "rules.csv", ("data", "seed", "share", "rule"))
    honest = Rows(asked.folder / "honesty.csv", ("data", "seed", "words"))
    for seed in range(asked.seeds):
        one = {"data": asked.data, "seed": seed}
        case = make_case(asked.data, seed, asked.share, asked.folder)
        if asked.only != "rules" and not honest.where(**one):
            for word, tau in taus(case).items():
                honest.add({**one, "words": word, "tau": tau})
        for rule in asked.rules if asked.only != "honesty" else ():
            key = {**one, "share": asked.share, "rule": rule}
            if not rows.where(**key):
                rows.add({**key, **measured(RULES[rule], case)})
                print(rows.rows[-1], flush=True)
    if asked.only != "rules":
        print_taus(honest.where(data=asked.data), asked.data)
    if asked.only != "honesty":
        print(f"\n{asked.data} on {BOARD}, {asked.share:.0%} of the frame time\n")
        print_rules(rows.where(data=asked.data, share=asked.share), asked.rules)


if __name__ == "__main__":
    main()
