"""How long does the program take with all kinds of options on MobileNetV2 at 224?

    python benchmarks/all_kinds.py --shares 0.8 --seeds 0

Bits 4 and 8 of every layer, half of the words of the pointwise layers but the first and
last two, two thirds of every inner group of channels, and three operations or nothing
in the place of each block. Costs are drawn: what is measured is the time to an answer
within 1 % of the least cost, proven over all engines, at shares of the frame time of
the fastest design at 8 bits.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from benchmarks._common import machine, print_row, print_table
from hao.hw.board_file import load_board
from hao.ir.change import Bits, densities_of, kept_channels, left_out, replaced
from hao.ir.channels import channel_groups
from hao.ir.network import Network
from hao.ir.parts import replaceable_blocks
from hao.ir.sparsity import FULL
from hao.options.bits import bit_options
from hao.options.channels import GroupCosts, channel_options
from hao.options.operations import (
    load_pool,
    may_be_left_out,
    operation_options,
    operations_of,
)
from hao.options.option import MICRO, Option
from hao.options.sparsity import density_options
from hao.program.codesign import SolveReport, choose_fastest, choose_most_accurate
from hao.program.problem import Problem
from hao.program.solver import SolverName
from hao.zoo import build_network

NAMES = ("inverted_e1_k3", "inverted_e3_k3", "conv1")
TOLERANCE = 0.01


def options_of(network: Network, seed: int) -> tuple[Option, ...]:
    """Return options of all kinds, at drawn costs."""
    rng = np.random.default_rng(seed)
    found = bit_options(network, choices=(4, 8), drop_by_bits={4: 3.0, 8: 0.2})
    layers = dict.fromkeys(
        option.layer for option in found if isinstance(option.change, Bits)
    )
    pointwise = [name for name in layers if not name.endswith("depthwise")][2:-2]
    halves = {name: {50: round(rng.uniform(0.1, 1) * MICRO)} for name in pointwise}
    found = density_options(found, halves)
    pool = [each for each in load_pool() if each.name in NAMES]
    edges: set[str] = set()
    for block in replaceable_blocks(network):
        edges |= {block.entry, block.result}
        offered = operations_of(network, block, pool)
        costs = {
            (n, b): round(rng.uniform(0.3, 3) * MICRO) for n in offered for b in (4, 8)
        }
        out = None
        if may_be_left_out(network, block):
            out = round(rng.uniform(1, 4) * MICRO)
        found += operation_options(network, block, offered, costs, leave_out_micro=out)
    groups = [
        g for g in channel_groups(network) if not g.fixed and not g.members & edges
    ]
    weighed = {
        g.name: GroupCosts(
            scores=rng.uniform(0, 0.02, g.channels),
            points=(),
            costs=(),
            points_per_fold=1.0,
        )
        for g in groups
    }
    widths = {g.name: (g.channels, g.channels * 2 // 3 // 8 * 8) for g in groups}
    return found + channel_options(weighed, widths)


def chosen(report: SolveReport, network: Network) -> tuple[str, ...]:
    """Return how much of each kind an answer takes."""
    widths = {g.name: g.channels for g in channel_groups(network)}
    scheme = report.design.scheme
    bits = [c.weight_bits for c in scheme.values() if isinstance(c, Bits)]
    dense = [d for d in densities_of(scheme).values() if d < FULL]
    kept = kept_channels(scheme)
    return (
        f"{bits.count(4)} of {len(bits)}",
        str(len(dense)),
        str(sum(len(own) < widths[name] for name, own in kept.items())),
        str(len(replaced(scheme))),
        str(len(left_out(scheme))),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0, 0.8, 0.6])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--solver", type=SolverName, default=SolverName.AUTO)
    asked = parser.parse_args()
    network = replace(build_network("mobilenet_v2_100"), params={})
    board = load_board("zu3eg")
    plain = bit_options(network, choices=(8,), drop_by_bits={8: 0.2})
    fastest = choose_fastest(Problem(network=network, options=plain, board=board))
    print(machine(), end="\n\n")
    print_table(
        (
            "share",
            "costs",
            "options",
            "at 4 bits",
            "pruned",
            "narrowed",
            "replaced",
            "left out",
            "cost [points]",
            "proven within [%]",
            "engines priced",
            "solver",
            "CPU [s]",
        ),
        (),
    )
    for share in asked.shares:
        for seed in asked.seeds:
            options = options_of(network, seed)
            made = Problem(network=network, options=options, board=board)
            budget, started = (
                int(share * fastest.cost.latency_cycles),
                time.process_time(),
            )
            report = choose_most_accurate(
                made, budget=budget, tolerance=TOLERANCE, solver=asked.solver
            )
            print_row(
                (
                    share,
                    f"seed {seed}",
                    len(options),
                    *chosen(report, network),
                    report.cost_micro / MICRO,
                    f"{100 * report.gap:.2f}",
                    report.priced,
                    report.solver.value,
                    time.process_time() - started,
                )
            )


if __name__ == "__main__":
    main()
