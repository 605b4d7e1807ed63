"""Fewer channels: the exact program against HALP's knapsack and simpler rules.

Digits, one network, equal frame times on one board. All rules start from one trained
network, take channels out once, and train the same number of epochs with the whole
network as teacher:

- exact: widths and engine chosen together (`hao.answer.prune`, one step);
- scores: the same, with lost scores as costs, as HALP has them, not measured losses;
- knapsack: HALP's own, a dynamic program over groups of channels and cycles that keeps
  one best state per capacity, on the engine of the whole network, each group priced
  with the others whole;
- uniform: one share of all groups, channels by the same scores;
- magnitude: one share of all groups, channels by the L2 norm of their weights.

The last three get the best engine that the program finds for their networks, and the
largest limit at which that engine keeps the budget. Top-1 is that of test frames.

Run: python benchmarks/channels.py [SEEDS] [SHARE]
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hao.answer.prune import group_lanes, measured_costs
from hao.cost.evaluate import evaluate
from hao.hw.board import Frames
from hao.hw.board_file import load_board
from hao.ir.change import Bits, kept_channels
from hao.ir.channels import ChannelGroup, channel_groups, without_channels
from hao.ir.network import Network
from hao.ir.partition import partition
from hao.options.channels import (
    GroupCosts,
    channel_options,
    kept_by_score,
    offered_widths,
)
from hao.options.option import Option
from hao.program.codesign import SolveReport, choose_fastest, choose_most_accurate
from hao.program.problem import Problem
from hao.quant.dataset import Dataset, load_dataset
from hao.quant.distill import Teacher, teacher_of
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.normed import normed_net
from hao.quant.saliency import Scores, taylor_scores
from hao.quant.train import TrainSettings, accuracy_of_net, train_float
from hao.quant.tune import tune_float
from hao.zoo import build_network

NETWORK, BOARD = "digits", "zu3eg"
FLOAT_EPOCHS, TUNING_EPOCHS, ITERATIONS, WIDTHS = 15, 10, 60, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A trained network, its scores, and the frame time to keep."""

    network: Network
    dataset: Dataset
    groups: tuple[ChannelGroup, ...]
    scores: Scores
    widths: dict[str, tuple[int, ...]]
    whole: SolveReport
    budget: int
    teacher: Teacher


def problem(network: Network, more: Sequence[Option] = ()) -> Problem:
    bits = [
        Option(layer=layer.name, change=Bits(weight_bits=8), cost_micro=0)
        for layer in network.compute_layers
    ]
    board = replace(load_board(BOARD), frames=Frames.BACK_TO_BACK)
    return Problem(network=network, options=(*bits, *more), board=board)


def cycles(network: Network) -> int:
    return choose_fastest(problem(network)).cost.latency_cycles


def make_case(seed: int, share: float) -> Case:
    bare = build_network(NETWORK)
    dataset = load_dataset(NETWORK, bare.input.ofm)
    settings = TrainSettings(epochs=FLOAT_EPOCHS, learning_rate=5e-3, seed=seed)
    network = train_float(bare, dataset, settings)
    groups = tuple(g for g in channel_groups(network) if not g.fixed)
    net = normed_net(network, dataset.train)
    settings = TrainSettings(epochs=1, learning_rate=1e-3, seed=seed)
    scores = taylor_scores(net, dataset.train, groups, settings, steps=ITERATIONS)
    whole = choose_fastest(problem(network))
    lanes = group_lanes(groups, whole.design.engine, whole.design.segments)
    widths = {
        g.name: offered_widths(
            g.channels, lanes[g.name], least=max(1, g.channels // 8), most=WIDTHS
        )
        for g in groups
    }
    return Case(
        network=folded_network(net),
        dataset=dataset,
        groups=groups,
        scores=scores,
        widths=widths,
        whole=whole,
        budget=int(whole.cost.latency_cycles * share),
        teacher=teacher_of(network),
    )


def exact(case: Case) -> Network:
    net = normed_net(case.network, case.dataset.train)
    costs = measured_costs(net, case.dataset, case.groups, case.scores, case.widths)
    options = channel_options(costs, case.widths)
    report = choose_most_accurate(problem(case.network, options), budget=case.budget)
    return without_channels(case.network, kept_channels(report.design.scheme))


def by_scores(case: Case) -> Network:
    costs = {
        g.name: GroupCosts(
            scores=case.scores[g.name], points=(), costs=(), points_per_score=10.0
        )
        for g in case.groups
    }
    options = channel_options(costs, case.widths)
    report = choose_most_accurate(problem(case.network, options), budget=case.budget)
    return without_channels(case.network, kept_channels(report.design.scheme))


def knapsack(case: Case) -> Network:
    """Return what HALP's dynamic program leaves at the largest limit that does."""
    for percent in range(100, 0, -1):
        network = _knapsack(case, case.budget * percent // 100)
        if cycles(network) <= case.budget:
            return network
    raise SystemExit("the knapsack does not keep the budget")


def _knapsack(case: Case, budget: int) -> Network:
    """Return the network that HALP's dynamic program leaves.

    Items are what lies between two neighbouring widths of a group, the most important
    first; an item may be taken only in a state that took the one before it. One state
    is kept for every capacity: that is what makes it greedy.
    """
    items: list[tuple[str, int, float, int]] = []
    for group in case.groups:
        order = np.sort(case.scores[group.name])[::-1]
        widths = sorted(case.widths[group.name])
        took = [_priced(case, group.name, width) for width in widths]
        for place, width in enumerate(widths):
            start = widths[place - 1] if place else 0
            value = float(order[start:width].sum())
            cost = took[place] - (took[place - 1] if place else min(took))
            items.append((group.name, place, value, max(0, cost)))
    base = case.whole.cost.latency_cycles - sum(item[3] for item in items)
    room = max(0, budget - base)
    states: list[tuple[float, dict[str, int]]] = [(0.0, {}) for _ in range(room + 1)]
    for name, place, value, cost in items:
        for left in range(room, cost - 1, -1):
            gained, taken = states[left - cost]
            if taken.get(name, -1) != place - 1:
                continue
            if gained + value > states[left][0]:
                states[left] = gained + value, {**taken, name: place}
    chosen = states[room][1]
    kept = {
        g.name: kept_by_score(
            case.scores[g.name], sorted(case.widths[g.name])[chosen.get(g.name, 0)]
        )
        for g in case.groups
    }
    return without_channels(case.network, kept)


_PRICES: dict[tuple[int, str, int], int] = {}


def _priced(case: Case, name: str, width: int) -> int:
    """Return the cycles of the whole network's engine with one group narrower."""
    key = id(case), name, width
    if key not in _PRICES:
        kept = {name: kept_by_score(case.scores[name], width)}
        network = without_channels(case.network, kept)
        by_name = {
            (s.start, s.end, tuple(r for r, _ in s.invocation.stages)): s
            for s in partition(network).segments
        }
        design = case.whole.design
        segments = tuple(
            by_name[s.start, s.end, tuple(r for r, _ in s.invocation.stages)]
            for s in design.segments
        )
        made = replace(design, network=network, segments=segments)
        _PRICES[key] = evaluate(made).latency_cycles
    return _PRICES[key]


def shrunk(case: Case, scores: Scores) -> Network:
    """Return the widest network of one share of all groups that keeps the budget."""
    for percent in range(100, 5, -4):
        kept = {
            g.name: kept_by_score(
                scores[g.name], max(1, round(g.channels * percent / 100))
            )
            for g in case.groups
        }
        network = without_channels(case.network, kept)
        if cycles(network) <= case.budget:
            return network
    raise SystemExit("no uniform share keeps the budget")


def norms(case: Case) -> Scores:
    """Return the L2 norm of every channel's weights, over its makers."""
    return {
        g.name: np.sqrt(
            sum(
                (case.network.params[f"{name}.weight"].astype(float) ** 2)
                .reshape(g.channels, -1)
                .sum(1)
                for name in g.makers
            )
        )
        for g in case.groups
    }


def top1(case: Case, network: Network) -> float:
    net = FloatNet(network, batch_norm=False)
    return 100 * accuracy_of_net(net, case.dataset.test)


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    share = float(sys.argv[2]) if len(sys.argv) > 2 else 0.8
    torch.set_num_threads(1)
    print(f"{NETWORK} on {BOARD}, {share:.0%} of the whole network's frame time")
    print(
        f"{'seed':>4} {'rule':10} {'cycles':>7} {'budget':>7} {'kept':>5} {'top-1':>6}"
    )
    for seed in range(seeds):
        case = make_case(seed, share)
        print(
            f"{seed:>4} {'whole':10} {case.whole.cost.latency_cycles:>7} {'':>7} "
            f"{sum(g.channels for g in case.groups):>5} "
            f"{top1(case, case.network):6.2f}",
            flush=True,
        )
        rules = {
            "exact": lambda case=case: exact(case),
            "scores": lambda case=case: by_scores(case),
            "knapsack": lambda case=case: knapsack(case),
            "uniform": lambda case=case: shrunk(case, case.scores),
            "magnitude": lambda case=case: shrunk(case, norms(case)),
        }
        for word, rule in rules.items():
            network = rule()
            tuned = tune_float(
                network,
                case.dataset,
                TrainSettings(epochs=TUNING_EPOCHS, learning_rate=4e-3, seed=seed),
                teacher=case.teacher,
            )
            kept = sum(g.channels for g in channel_groups(network) if not g.fixed)
            print(
                f"{seed:>4} {word:10} {cycles(network):>7} {case.budget:>7} {kept:>5} "
                f"{top1(case, tuned):6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
