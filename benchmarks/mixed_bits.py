"""What do mixed bits gain? `python benchmarks/mixed_bits.py`, some 10 minutes.

For networks of the zoo on the ZU3EG: the fastest design with 8 bits everywhere, and the
fastest one whose expected top-1 (under the default recipe, training) is at most one
point below, with weights of 4, 6 or 8 bits per layer and activations of 8, 5 or 4 bits.
First and last layer keep 8 bits, as the results behind the accuracies do. Speeds are
predicted by the cost model, accuracies by the law of drops (docs/accuracy.md); no host
time counts. A design is said to be proven if the search closed its gap.

`--networks resnet18` takes some of them, `--points 0.5` another loss, `--scales free`
scales of weights of any value, whose sums take multipliers.
"""

import argparse
import time
from collections import Counter
from dataclasses import replace

from benchmarks._common import machine, print_row
from hao.accuracy.drops import load_drop_law
from hao.accuracy.published import published_networks
from hao.answer.candidates import BitRules, Candidate, Stance, make_candidate
from hao.answer.explore import search_fps
from hao.answer.ledger import Outcome
from hao.errors import InfeasibleError
from hao.hw.board import Board, Frames
from hao.hw.board_file import load_board
from hao.zoo import build_network

NETWORKS = ("mobilenet_v2_100", "resnet18", "resnet50", "efficientnet_lite0")
ACT_BITS = (8, 5, 4)
SIZE = 224


def candidate_of(name: str, rules: BitRules) -> Candidate:
    """Return a network with bits on offer, ranked by its expected accuracy."""
    found = published_networks()[name, SIZE]
    return make_candidate(
        build_network(name, SIZE),
        top1=found.top1,
        source=found.best.source,
        law=load_drop_law(),
        rules=rules,
    )


def fastest(candidate: Candidate, board: Board, top1: float) -> Outcome | None:
    """Return the fastest design of at least such a top-1 [percent], if there is one."""
    try:
        return search_fps([candidate], board, top1=top1)
    except InfeasibleError:
        return None


def line(name: str, act_bits: int, found: Outcome, base: float, started: float) -> None:
    """Print a line of the table."""
    report = found.report
    bits = Counter(sorted(report.design.weight_bits.values()))
    accuracy = found.candidate.accuracy(report.design.scheme)
    assert accuracy is not None
    print_row(
        [
            name,
            " + ".join(f"{count} x {width}" for width, count in bits.items()),
            act_bits,
            f"{accuracy.mean:.2f} ({accuracy.low:.1f} to {accuracy.high:.1f})",
            f"{report.cost.fps:.1f}",
            f"{100 * (report.cost.fps / base - 1):+.1f} %",
            report.status.value,
            f"{time.process_time() - started:.0f}",
        ]
    )


def print_network(name: str, board: Board, points: float, *, free: bool) -> None:
    """Print the uniform design of a network and the mixed ones."""
    started = time.process_time()
    rules = BitRules(choices=(8,), stance=Stance.MEAN, free_scales=free)
    uniform = fastest(candidate_of(name, rules), board, 0)
    assert uniform is not None
    base = uniform.report.cost.fps
    accuracy = uniform.candidate.accuracy(uniform.report.design.scheme)
    assert accuracy is not None
    line(name, 8, uniform, base, started)
    for act_bits in ACT_BITS:
        started = time.process_time()
        mixed = candidate_of(name, replace(rules, choices=(4, 6, 8), act_bits=act_bits))
        found = fastest(mixed, board, accuracy.mean - points)
        if found is None:
            print_row([name, "none", act_bits, "-", "-", "-", "infeasible", "-"])
        else:
            line(name, act_bits, found, base, started)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--points", type=float, default=1.0)
    parser.add_argument("--scales", choices=("powers", "free"), default="powers")
    arguments = parser.parse_args()
    board = replace(load_board("zu3eg"), frames=Frames.BACK_TO_BACK)
    print(f"Machine: {machine()}\n")
    header = ("network", "weights", "activations", "top-1 expected", "fps", "gain")
    print_row([*header, "proof", "CPU s"])
    print("|" + "---|" * 8)
    for name in arguments.networks:
        print_network(name, board, arguments.points, free=arguments.scales == "free")


if __name__ == "__main__":
    main()
