"""Fewer channels: the exact program against HALP's knapsack and simpler rules.

One network on digits or Fashion-MNIST, equal frame times on one board. All rules start
from one trained network, take channels out once, and train the same number of epochs
with the whole network as teacher:

- exact: widths and engine chosen together (`hao.answer.prune`, one step);
- scores: the same, with lost scores as costs, as HALP has them, not measured losses;
- knapsack: HALP's own, a dynamic program over groups of channels and cycles that keeps
  one best state per capacity, on the engine of the whole network, each group priced
  with the others whole;
- uniform: one share of all groups, channels by the same scores;
- magnitude: one share of all groups, channels by the L2 norm of their weights.

The last three get the best engine that the program finds for their networks, and the
largest limit at which that engine keeps the budget. Top-1 is that of test frames, after
training and as they were cut.

Before, `--assemblies` random choices of widths say how honest the costs are: Kendall's
tau between the sum of costs and the loss measured on test frames, without training.
Every group is narrower with a probability that is itself drawn, so that choices reach
from the whole network to the narrowest; and, harder, all groups are drawn.

Run: python benchmarks/channels.py [--data fashion-mnist] [--seeds 3] [--share 0.8]
Rows lie in `--folder`; what is there is not run again.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau

from benchmarks._common import machine, print_table
from benchmarks._kept import EPOCHS, Rows, known_data, spread, trained
from hao.answer.prune import group_lanes, measured_costs
from hao.cost.evaluate import evaluate
from hao.hw.board import Frames
from hao.hw.board_file import load_board
from hao.ir.change import Bits, Channels, kept_channels
from hao.ir.channels import ChannelGroup, channel_groups, without_channels
from hao.ir.network import Network
from hao.ir.partition import partition
from hao.options.channels import (
    GroupCosts,
    channel_options,
    kept_by_score,
    offered_widths,
)
from hao.options.option import MICRO, Option
from hao.program.codesign import SolveReport, choose_fastest, choose_most_accurate
from hao.program.problem import Problem
from hao.quant.dataset import Dataset
from hao.quant.distill import Teacher, teacher_of
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.normed import normed_net
from hao.quant.saliency import Scores, masked_losses, taylor_scores
from hao.quant.train import TrainSettings, accuracy_of_net, tune_float
from hao.zoo import build_network

NETWORK, BOARD = "digits", "zu3eg"
ITERATIONS, WIDTHS = 60, 4
TUNING_EPOCHS = {"digits": 10, "fashion-mnist": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A trained network, its scores, and the frame time to keep."""

    name: str
    network: Network
    net: FloatNet
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


_CYCLES: dict[str, int] = {}


def cycles(network: Network) -> int:
    """Return the cycles of the fastest design, which are those of its layers."""
    layers = repr(network.layers)
    if layers not in _CYCLES:
        _CYCLES[layers] = choose_fastest(problem(network)).cost.latency_cycles
    return _CYCLES[layers]


def make_case(name: str, seed: int, share: float, folder: Path) -> Case:
    bare = build_network(NETWORK)
    dataset = known_data(name, bare)
    network = trained(
        bare,
        dataset,
        epochs=EPOCHS[name],
        seed=seed,
        path=folder / f"clean-{name}-{seed}.npz",
    )
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
        name=name,
        network=folded_network(net),
        net=net,
        dataset=dataset,
        groups=groups,
        scores=scores,
        widths=widths,
        whole=whole,
        budget=int(whole.cost.latency_cycles * share),
        teacher=teacher_of(network),
    )


def costs_of(case: Case) -> dict[str, GroupCosts]:
    return measured_costs(case.net, case.dataset, case.groups, case.scores, case.widths)


def honesty(case: Case, count: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return tau of the costs' sum and of the lost scores, by what is drawn."""
    costs = costs_of(case)
    rng = np.random.default_rng(seed)
    found = {}
    for word in ("some groups", "all groups"):
        drawn = []
        for _ in range(count):
            share = rng.random() if word == "some groups" else 1.0
            drawn.append(
                {
                    name: int(rng.choice(offered))
                    if rng.random() < share
                    else offered[0]
                    for name, offered in case.widths.items()
                }
            )
        kept = [
            {name: kept_by_score(case.scores[name], w) for name, w in one.items()}
            for one in drawn
        ]
        losses = [
            one.loss
            for one in masked_losses(case.net, case.dataset.test, case.groups, kept)
        ]
        sums = [sum(costs[n].cost(w) for n, w in one.items()) for one in drawn]
        lost = [lost_scores(case, one) for one in drawn]
        found[word] = (
            float(kendalltau(sums, losses).statistic),
            float(kendalltau(lost, losses).statistic),
        )
    return found


def exact(case: Case) -> Network:
    options = channel_options(costs_of(case), case.widths)
    report = choose_most_accurate(problem(case.network, options), budget=case.budget)
    return without_channels(case.network, kept_channels(report.design.scheme))


def by_scores(case: Case) -> Network:
    options = tuple(
        Option(
            layer=name,
            change=Channels(kept_by_score(case.scores[name], width)),
            cost_micro=round(10 * MICRO * lost_scores(case, {name: width})),
        )
        for name, offered in case.widths.items()
        for width in offered
    )
    report = choose_most_accurate(problem(case.network, options), budget=case.budget)
    return without_channels(case.network, kept_channels(report.design.scheme))


def lost_scores(case: Case, widths: Mapping[str, int]) -> float:
    """Return the sum of the scores of the channels that go."""
    return sum(
        float(np.sort(case.scores[name])[: case.scores[name].size - width].sum())
        for name, width in widths.items()
    )


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


_PRICES: dict[tuple[str, int], int] = {}


def _priced(case: Case, name: str, width: int) -> int:
    """Return the cycles of the whole network's engine with one group narrower."""
    key = name, width
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


def shrunk(
    network: Network, groups: Sequence[ChannelGroup], scores: Scores, budget: int
) -> Network:
    """Return the widest network of one share of all groups that keeps the budget."""
    fits, beyond = 0, 26
    while beyond - fits > 1:
        share = (fits + beyond) // 2
        slow = cycles(_shared(network, groups, scores, share / 25)) > budget
        fits, beyond = (fits, share) if slow else (share, beyond)
    return _shared(network, groups, scores, fits / 25)


def _shared(
    network: Network, groups: Sequence[ChannelGroup], scores: Scores, share: float
) -> Network:
    kept = {
        g.name: kept_by_score(scores[g.name], max(1, round(g.channels * share)))
        for g in groups
    }
    return without_channels(network, kept)


def norms(network: Network, groups: Sequence[ChannelGroup]) -> Scores:
    """Return the L2 norm of every channel's weights, over its makers."""
    return {
        g.name: np.sqrt(
            sum(
                (network.params[f"{name}.weight"].astype(float) ** 2)
                .reshape(g.channels, -1)
                .sum(1)
                for name in g.makers
            )
        )
        for g in groups
    }


def uniform(case: Case) -> Network:
    return shrunk(case.network, case.groups, case.scores, case.budget)


def magnitude(case: Case) -> Network:
    scores = norms(case.network, case.groups)
    return shrunk(case.network, case.groups, scores, case.budget)


def top1(case: Case, network: Network) -> float:
    net = FloatNet(network, batch_norm=False)
    return 100 * accuracy_of_net(net, case.dataset.test)


RULES: dict[str, Callable[[Case], Network]] = {
    "whole": lambda case: case.network,
    "exact": exact,
    "knapsack": knapsack,
    "uniform": uniform,
    "magnitude": magnitude,
    "scores": by_scores,
}


def run(case: Case, rule: str, seed: int) -> dict[str, object]:
    """Return what a rule comes to, as columns of a row."""
    network = RULES[rule](case)
    tuned = network
    if rule != "whole":
        settings = TrainSettings(
            epochs=TUNING_EPOCHS[case.name], learning_rate=4e-3, seed=seed
        )
        tuned = tune_float(network, case.dataset, settings, teacher=case.teacher)
    return {
        "cycles": cycles(network),
        "budget": case.budget,
        "channels": sum(g.channels for g in channel_groups(network) if not g.fixed),
        "cut": round(top1(case, network), 3),
        "top1": round(top1(case, tuned), 3),
    }


def print_rules(rows: Sequence[Mapping[str, str]], rules: Sequence[str]) -> None:
    """Print mean and standard deviation of every rule over seeds."""
    table = []
    for rule in rules:
        found = [row for row in rows if row["rule"] == rule]
        columns = ("cycles", "channels", "cut", "top1")
        cells = [spread([float(row[c]) for row in found]) for c in columns]
        table.append((rule, *cells))
    print_table(("rule", "cycles", "channels", "top-1 cut", "trained again"), table)


def print_taus(rows: Sequence[Mapping[str, str]], title: str) -> None:
    """Print mean and standard deviation of Kendall's tau over seeds."""
    table = [
        (
            word,
            *(
                spread([float(r[c]) for r in rows if r["drawn"] == word])
                for c in ("tau", "lost")
            ),
        )
        for word in ("some groups", "all groups")
    ]
    print(f"\nKendall's tau on {title}\n")
    print_table(("drawn", "sum of costs", "lost scores"), table)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", choices=tuple(EPOCHS), default="fashion-mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--assemblies", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("runs/channels"))
    parser.add_argument("--only", choices=("honesty", "rules"), default=None)
    parser.add_argument("--rules", nargs="+", choices=tuple(RULES), default=[*RULES])
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"Machine: {machine()}")
    rows = Rows(args.folder / "rules.csv", ("data", "seed", "share", "rule"))
    taus = Rows(args.folder / "honesty.csv", ("data", "seed", "drawn"))
    for seed in range(args.seeds):
        one = {"data": args.data, "seed": seed}
        case = make_case(args.data, seed, args.share, args.folder)
        if args.only != "rules" and not taus.where(**one):
            for word, (tau, lost) in honesty(case, args.assemblies, seed).items():
                taus.add({**one, "drawn": word, "tau": tau, "lost": lost})
        for rule in args.rules if args.only != "honesty" else ():
            key = {**one, "share": args.share, "rule": rule}
            if not rows.where(**key):
                rows.add({**key, **run(case, rule, seed)})
                print(rows.rows[-1], flush=True)
    if args.only != "rules":
        print_taus(
            taus.where(data=args.data), f"{args.assemblies} choices, {args.data}"
        )
    if args.only != "honesty":
        print(f"\n{args.data} on {BOARD}, {args.share:.0%} of the frame time\n")
        print_rules(rows.where(data=args.data, share=args.share), args.rules)


if __name__ == "__main__":
    main()
