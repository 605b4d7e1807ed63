"""Time and memory of a search beside targets: `python benchmarks/search_speed.py`.

Every case runs in a process of its own, one after the other, on zu3eg with the default
bits (4, 6, 8; activations 8). Wall and CPU seconds cover building the candidates and
searching, not Python's start and imports; the peak memory is that of the whole process
(`ru_maxrss`). Pricing is timed on all columns of MobileNetV2's 18 branches: a price is
one stage configuration for one layer of one invocation, with its transfers.

Takes about a minute and a half.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from _common import (
    candidate,
    machine,
    peak_mb,
    print_row,
    print_table,
    uniform_problem,
)
from hao.program.branch import latencies

from hao.accuracy.drops import load_drop_table
from hao.accuracy.published import published_networks
from hao.cost.prices import price_segment
from hao.hw.board_file import load_board
from hao.program.codesign import choose_fastest
from hao.program.problem import branch_at, settings, width_combinations
from hao.program.solver import SolverName
from hao.search.candidates import BitRules, published_candidates
from hao.search.explore import Outcome, search_accuracy
from hao.search.front import network_front
from hao.zoo import build_network

NETWORK = "mobilenet_v2_100"
BOARD = "zu3eg"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to time: returns a line on its answer."""

    title: str
    run: Callable[[], str]
    target: str


def _answer(outcome: Outcome) -> str:
    report = outcome.report
    looked = sum(verdict.looked_at for verdict in outcome.verdicts)
    return (
        f"{outcome.candidate.label}, {report.cost.fps:.1f} fps, "
        f"{report.status.value}; {looked} of {len(outcome.verdicts)} solved"
    )


def zoo() -> str:
    """Search the networks with published accuracy."""
    candidates = published_candidates(
        tuple(published_networks().values()), load_drop_table(), BitRules()
    )
    return _answer(search_accuracy(candidates, load_board(BOARD), fps=50))


def one(solver: SolverName) -> str:
    """Search one network at 50 frames per second."""
    found = search_accuracy(
        [candidate(NETWORK)], load_board(BOARD), fps=50, solver=solver
    )
    return f"{_answer(found)} ({found.report.solver.value})"


def fastest() -> str:
    """Choose the fastest design of one network at 8 bits."""
    report = choose_fastest(uniform_problem(build_network(NETWORK), load_board(BOARD)))
    return f"{report.cost.fps:.1f} fps, {report.status.value}"


def front() -> str:
    """Compute the front of one network."""
    points = network_front(candidate(NETWORK), load_board(BOARD), points=20)
    proven = sum(point.status.value == "optimal" for point in points)
    return (
        f"{len(points)} points, {proven} proven, "
        f"{points[0].fps:.0f} to {points[-1].fps:.0f} fps"
    )


CASES = {
    "zoo": Case("whole zoo at 50 fps", zoo, "< 60 s, < 1000 MB"),
    "one": Case(f"{NETWORK} at 50 fps", lambda: one(SolverName.AUTO), "< 5 s"),
    "one-highs": Case(
        f"{NETWORK} at 50 fps, HiGHS", lambda: one(SolverName.HIGHS), "-"
    ),
    "fastest": Case(f"{NETWORK}, fastest at 8 bits", fastest, "-"),
    "front": Case(f"{NETWORK}, front of 20 points", front, "< 30 s"),
}


def run_case(name: str) -> None:
    """Print seconds, peak memory and answer of one case as JSON."""
    start, cpu = time.perf_counter(), time.process_time()
    answer = CASES[name].run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(json.dumps([seconds, cpu, peak_mb(), answer]))


def pricing_rows() -> list[tuple[object, ...]]:
    """Return prices per second of whole catalogues, and engines per second."""
    problem = uniform_problem(build_network(NETWORK), load_board(BOARD))
    widths = width_combinations(problem)[0]
    branches = [
        branch_at(problem, widths, setting, widths.scheme)
        for setting in settings(problem)
    ]
    prices, seconds = 0, 0.0
    for branch in branches:
        columns = {role: stage.columns for role, stage in branch.stages.items()}
        start = time.process_time()
        for segment in branch.partition.segments:
            price_segment(segment.invocation, columns, branch.scheme, branch.setting)
        seconds += time.process_time() - start
        prices += sum(
            len(columns[role])
            for segment in branch.partition.segments
            for role, _ in segment.invocation.stages
        )
    rng = np.random.default_rng(0)
    engines, spent = 0, 0.0
    for branch in branches:
        choice = {
            role: rng.integers(0, len(stage), 4000)
            for role, stage in branch.stages.items()
        }
        start = time.process_time()
        latencies(branch, choice)
        spent += time.process_time() - start
        engines += 4000
    return [
        (
            "(configuration, layer) prices",
            f"{prices:,}",
            seconds,
            f"{prices / seconds / 1e6:.1f} million",
            "> 5 million",
        ),
        (
            "engines with their best partition",
            f"{engines:,}",
            spent,
            f"{engines / spent / 1e3:.0f} thousand",
            "-",
        ),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", choices=list(CASES), help="one, in this process")
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    args = parser.parse_args(argv)
    if args.case is not None:
        run_case(args.case)
        return
    print(f"Machine: {machine()}\n")
    header = ("search", "wall [s]", "CPU [s]", "peak [MB]", "target", "answer")
    print_table(header, ())
    for name in args.only:
        command = [sys.executable, __file__, "--case", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        wall, cpu, peak, answer = json.loads(done.stdout.splitlines()[-1])
        case = CASES[name]
        times = (f"{wall:.1f}", f"{cpu:.1f}", f"{peak:.0f}")
        print_row((case.title, *times, case.target, answer))
    print()
    print_table(("pricing", "count", "CPU [s]", "per second", "target"), pricing_rows())


if __name__ == "__main__":
    main()
