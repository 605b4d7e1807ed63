"""Is every search proven, and how fast? `python benchmarks/search_sweep.py`.

`choose_most_accurate` for 10 networks on zu3eg at four rates, three sets of bits, first
and last layer kept at 8 bits or free: 240 requests. The budgets are what the fastest
engine at 8 bits throughout takes, divided by 0.9 (8 bits will do), 1.03, 1.1 and 1.2
(only fewer bits will, or nothing). Each request is a problem of its own, from which
nothing is kept for the next; its CPU seconds are those of the whole answer, graph and
tables included.

A refusal is checked: the least latency of any design, whatever its accuracy
(`hao.program.conflicts.fewest_cycles`, on a problem of its own), must exceed the
budget. The answers' costs are what the predictor gives; the table is about the search.

`--highs` has each program solved by HiGHS as well, on the tables that are there; an
answer whose cost, bound, latency or LUTs differ is wrong. `--quick` takes 3 networks
and 2 rates. `--csv FILE` saves every request, one by one;
`--write` puts the summary into docs/benchmarks.md. Takes about 40
minutes.
"""

import argparse
import csv
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path

from benchmarks._common import (
    candidate,
    machine,
    print_row,
    print_table,
    uniform_problem,
    write_section,
)
from hao.answer.candidates import BitRules
from hao.errors import InfeasibleError
from hao.hw.board import Board
from hao.hw.board_file import load_board
from hao.options.option import MICRO
from hao.program.codesign import SolveReport, choose_fastest, choose_most_accurate
from hao.program.conflicts import fewest_cycles
from hao.program.problem import Problem
from hao.program.solver import SolverName
from hao.zoo import build_network

BOARD = "zu3eg"
NETWORKS = (
    "digits",
    "resnet8_cifar",
    "resnet20_cifar",
    "cnv_cifar",
    "vgg16_cifar",
    "resnet18",
    "mobilenet_v1_025",
    "mobilenet_v2_035",
    "mobilenet_v2_100",
    "mobilenet_v4_conv_small_050",
)
QUICK = ("resnet8_cifar", "cnv_cifar", "mobilenet_v2_100")
LEVELS = (0.9, 1.03, 1.1, 1.2)
QUICK_LEVELS = (1.03, 1.1)
BITS = ((8,), (4, 6, 8), (2, 3, 4, 5, 6, 7, 8))
WORST_S, MEDIAN_S = 30.0, 5.0
SLOWEST = 10
HEADER = (
    "network",
    "bits",
    "ends",
    "level",
    "budget [cycles]",
    "answer",
    "cost [points]",
    "cycles",
    "CPU [s]",
    "proof",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request and its answer.

    Attributes:
        network: Its name.
        bits: On offer.
        ends: "fixed" if first and last layer keep 8 bits, else "free".
        level: What the optimum at 8 bits is divided by.
        budget: Most cycles.
        cpu_s: Of the answer.
        status: "optimal", "limit", "infeasible", or "WRONG".
        gap: Of the objective.
        cost_micro: Accuracy cost, -1 if there is no design [micro-points].
        cycles: Of the design, -1 if there is none.
        fewest: Least cycles of any design, where the request was refused; else -1.
        proof_s: CPU seconds of that.
    """

    network: str
    bits: str
    ends: str
    level: float
    budget: int
    cpu_s: float
    status: str
    gap: float
    cost_micro: int
    cycles: int
    fewest: int
    proof_s: float

    @property
    def row(self) -> tuple[object, ...]:
        """Return its line of the table."""
        none = self.cost_micro < 0
        proof = f"gap {self.gap:.4f}"
        if none:
            proof = f"fewest {self.fewest:,} cycles, {self.proof_s:.1f} s"
        return (
            self.network,
            self.bits,
            self.ends,
            self.level,
            f"{self.budget:,}",
            self.status,
            "-" if none else f"{self.cost_micro / MICRO:.6f}",
            "-" if none else f"{self.cycles:,}",
            f"{self.cpu_s:.2f}",
            proof,
        )


def ask(
    name: str,
    bits: Sequence[int],
    *,
    fixed: bool,
    level: float,
    base: int,
    highs: bool,
) -> Answer:
    """Return the answer to one request.

    Args:
        name: The network.
        bits: On offer.
        fixed: First and last layer keep the most bits.
        level: Divides `base`.
        base: Least cycles at 8 bits throughout.
        highs: Whether HiGHS must answer alike.
    """
    board = load_board(BOARD)
    known = candidate(name, BitRules(choices=tuple(bits), keep_first_last=fixed))
    budget = int(base / level)
    fewest, proof_s = -1, 0.0
    status, gap, cost, cycles = "infeasible", 0.0, -1, -1
    start = time.process_time()
    try:
        problem = known.problem(board)
        report = choose_most_accurate(problem, budget=budget)
    except InfeasibleError:
        seconds = time.process_time() - start
        start = time.process_time()
        fewest = fewest_cycles(known.problem(board))
        proof_s = time.process_time() - start
        if fewest <= budget:
            status = "WRONG"
    else:
        seconds = time.process_time() - start
        gap, cost = report.gap, report.cost_micro
        cycles = report.cost.latency_cycles
        status = "optimal" if gap == 0 else "limit"
        if cycles > budget or (highs and not _alike(problem, budget, report)):
            status = "WRONG"
    return Answer(
        network=name,
        bits=_shown(bits),
        ends="fixed" if fixed else "free",
        level=level,
        budget=budget,
        cpu_s=round(seconds, 3),
        status=status,
        gap=gap,
        cost_micro=cost,
        cycles=cycles,
        fewest=fewest,
        proof_s=round(proof_s, 3),
    )


def _alike(problem: Problem, budget: int, report: SolveReport) -> bool:
    solved = choose_most_accurate(problem, budget=budget, solver=SolverName.HIGHS)
    assert solved.solver is SolverName.HIGHS
    figures = [
        (r.objective, r.bound, r.cost_micro, r.cost.latency_cycles, r.cost.resources)
        for r in (report, solved)
    ]
    return figures[0] == figures[1]


def _shown(bits: Sequence[int]) -> str:
    if len(bits) > 3:
        return f"{bits[0]}..{bits[-1]}"
    return ",".join(str(b) for b in bits)


def answers(
    networks: Sequence[str], levels: Sequence[float], *, highs: bool
) -> Iterator[Answer]:
    """Yield the answers to all requests on some networks."""
    board: Board = load_board(BOARD)
    for name in networks:
        report = choose_fastest(uniform_problem(build_network(name), board))
        assert report.gap == 0
        base = report.cost.latency_cycles
        for bits, fixed, level in product(BITS, (True, False), levels):
            yield ask(name, bits, fixed=fixed, level=level, base=base, highs=highs)


def counts(found: Sequence[Answer]) -> tuple[object, ...]:
    """Return requests, kinds of answers, median and worst CPU seconds."""
    seconds = [a.cpu_s for a in found]
    return (
        len(found),
        *(sum(a.status == s for a in found) for s in ("optimal", "infeasible")),
        sum(a.status == "limit" for a in found),
        sum(a.status == "WRONG" for a in found),
        f"{statistics.median(seconds):.2f}",
        f"{max(seconds):.2f}",
    )


def summary(found: Sequence[Answer]) -> list[tuple[object, ...]]:
    """Return a line per network, per set of bits, and of all."""
    rows: list[tuple[object, ...]] = []
    for name in dict.fromkeys(a.network for a in found):
        rows.append((name, *counts([a for a in found if a.network == name])))
    for bits in dict.fromkeys(a.bits for a in found):
        rows.append((f"bits {bits}", *counts([a for a in found if a.bits == bits])))
    rows.append(("**all**", *counts(found)))
    return rows


def print_summary(found: Sequence[Answer]) -> None:
    """Print the counts, then the slowest requests."""
    print(f"\nTargets: median < {MEDIAN_S:g} CPU s, worst < {WORST_S:g}, gap 0.\n")
    header = ("requests of", "asked", "optimal", "infeasible, proven", "at a limit")
    print_table((*header, "wrong", "median CPU [s]", "worst"), summary(found))
    print(f"\nThe slowest {SLOWEST}:\n")
    slowest = sorted(found, key=lambda a: -a.cpu_s)[:SLOWEST]
    print_table(HEADER, [a.row for a in slowest])


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 networks, 2 rates")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS)
    parser.add_argument("--highs", action="store_true", help="with HiGHS as well")
    parser.add_argument("--csv", type=Path, help="save every request")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    args = parser.parse_args(argv)
    print(f"Machine: {machine()}\n")
    networks = args.networks or (QUICK if args.quick else NETWORKS)
    levels = QUICK_LEVELS if args.quick else LEVELS
    found: list[Answer] = []
    print_table(HEADER, ())
    for answer in answers(networks, levels, highs=args.highs):
        found.append(answer)
        print_row(answer.row)
        if args.csv:
            save(found, args.csv)
    if args.write:
        with write_section("search_sweep"):
            print(f"Machine: {machine()}")
            print_summary(found)
    print_summary(found)
    assert all(a.status in {"optimal", "infeasible"} for a in found)


def save(found: Sequence[Answer], path: Path) -> None:
    """Write all answers so far."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Answer)])
        writer.writeheader()
        writer.writerows(asdict(answer) for answer in found)


if __name__ == "__main__":
    main()
