"""Time and memory of searches beside targets: `python benchmarks/search_speed.py`.

Every case runs in a process of its own, one after the other, on zu3eg with the default
bits (4, 6, 8; activations 8) and no margin unless it says otherwise. "Search" is the
CPU time of the answer itself, graph and tables included; "process" (user and system)
adds Python's start and the imports; the peak memory is that of the whole process
(`ru_maxrss`). "Accurate" is the least accuracy cost at a latency halfway from that of
8 bits throughout to the least of all, found before the clock starts.

`--only` takes cases whose name begins with one of its words; `--highs` runs each again
with HiGHS, and fails where an answer differs; `--write` puts the tables into
docs/benchmarks.md. A case is given up after `LIMIT_S` CPU seconds. Takes about a
quarter of an hour.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

import hao
from benchmarks._common import (
    candidate,
    machine,
    print_row,
    print_table,
    uniform_problem,
    write_section,
)
from benchmarks._synthetic import LENETS, large_board, lenet, residual_network
from hao.accuracy.drops import load_drop_law
from hao.answer.candidates import BitRules, Candidate, make_candidate
from hao.answer.objective import Objective
from hao.errors import InfeasibleError
from hao.hw.board import Board
from hao.hw.board_file import load_board
from hao.ir.network import Network
from hao.program.codesign import (
    SolveReport,
    choose_fastest,
    choose_most_accurate,
    field_of,
)
from hao.program.conflicts import fewest_cycles
from hao.program.engines import light_cycles
from hao.program.front import trade_off
from hao.program.hunt import NO_LIMIT
from hao.program.solver import SolverName
from hao.program.tables import Choice
from hao.zoo import build_network

NETWORK = "mobilenet_v2_100"
BOARD = "zu3eg"
LIMIT_S = 240
"""CPU seconds after which a case is given up (chosen here)."""

EIGHT = BitRules(choices=(8,))


@dataclass(frozen=True, slots=True)
class Target:
    """Most CPU seconds and megabytes; `None` where nothing was aimed at."""

    seconds: float | None = None
    mb: float | None = None
    whole: bool = False

    def __str__(self) -> str:
        parts = []
        if self.seconds is not None:
            parts.append(f"< {self.seconds:g} s{' in all' if self.whole else ''}")
        if self.mb is not None:
            parts.append(f"< {self.mb:g} MB")
        return ", ".join(parts) or "-"

    def met(self, search: float, process: float, mb: float) -> bool:
        spent = process if self.whole else search
        return spent < (self.seconds or np.inf) and mb < (self.mb or np.inf)


Timed = Callable[[], str]
"""What is timed: returns a line on its answer."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to time.

    Attributes:
        title: What the table calls it.
        prepare: Makes what is timed, for a solver; not timed itself.
        target: What was aimed at.
    """

    title: str
    prepare: Callable[[SolverName], Timed]
    target: Target


def _said(report: SolveReport) -> str:
    proof = report.status.value + (f", gap {report.gap:.3%}" if report.gap else "")
    return (
        f"{report.cost.fps:,.1f} fps, {report.cost_micro / 1e6:.2f} points, {proof}, "
        f"{report.cost.resources.lut:,} LUTs, program of {report.constraints} rows"
    )


def _flow(request: hao.SearchRequest) -> Timed:
    def run() -> str:
        try:
            found = hao.search(request)
        except InfeasibleError as error:
            return f"refused: {error}"
        name, proof = found.design.network.name, found.proof.status.value
        size = f"{found.cost.resources.lut:,} LUTs"
        return f"{name}, {found.cost.fps:.1f} fps, {size}, {proof}"

    return run


def zoo(fps: float, solver: SolverName) -> Timed:
    """Search the networks with published accuracy, for the answer alone."""
    return _flow(
        hao.SearchRequest(
            board=BOARD,
            fps=fps,
            margin_percent=0,
            front_points=0,
            workers=1,
            solver=solver,
        )
    )


def one(
    name: str,
    fps: float,
    solver: SolverName,
    *,
    bits: Sequence[int] = (4, 6, 8),
    objective: Objective = Objective.ACCURACY,
) -> Timed:
    """Search one network at a frame rate."""
    return _flow(
        hao.SearchRequest(
            board=BOARD,
            network=name,
            fps=fps,
            margin_percent=0,
            objective=objective,
            solver=solver,
            rules=BitRules(choices=tuple(bits)),
        )
    )


def _made(network: Network, rules: BitRules | None = None) -> Candidate:
    law = load_drop_law()
    return make_candidate(
        network, top1=None, source="", law=law, rules=rules or BitRules()
    )


def fastest(
    network: Callable[[], Network],
    solver: SolverName,
    *,
    board: Callable[[], Board] | None = None,
    rules: BitRules | None = None,
) -> Timed:
    """Choose the fastest design of a network."""

    def run() -> str:
        where = load_board(BOARD) if board is None else board()
        made = _made(network(), rules).problem(where)
        return _said(choose_fastest(made, solver=solver))

    return run


def accurate(
    network: Callable[[], Network],
    solver: SolverName,
    *,
    board: Callable[[], Board] | None = None,
    rules: BitRules | None = None,
) -> Timed:
    """Choose the most accurate design halfway from 8 bits to the fewest cycles."""
    where = load_board(BOARD) if board is None else board()
    eight = choose_fastest(uniform_problem(network(), where))
    fewest = fewest_cycles(_made(network(), rules).problem(where))
    budget = (eight.cost.latency_cycles + fewest) // 2

    def run() -> str:
        made = _made(network(), rules).problem(where)
        report = choose_most_accurate(made, budget=budget, solver=solver)
        return _said(report)

    return run


def front(name: str, solver: SolverName) -> Timed:
    """Compute the front of one network."""

    def run() -> str:
        problem = candidate(name).problem(load_board(BOARD))
        points = trade_off(problem, points=20, solver=solver)
        proven = sum(point.gap == 0 for point in points)
        return (
            f"{len(points)} points, {proven} proven, "
            f"{points[0].cost.fps:.0f} to {points[-1].cost.fps:.0f} fps"
        )

    return run


def _zoo_network(name: str) -> Callable[[], Network]:
    return lambda: build_network(name)


def _lenet(name: str) -> Callable[[], Network]:
    return lambda: lenet(name)


def _residual(layers: int) -> Callable[[], Network]:
    return lambda: residual_network(layers)


def _zcu102() -> Board:
    return load_board("zcu102")


LAYERS = (10, 50, 200, 1000)


def _cases() -> dict[str, Case]:
    cases = {
        f"zoo-{fps}": Case(
            f"whole zoo at {fps} fps", partial(zoo, fps), Target(20, 1000)
        )
        for fps in (20, 50, 100, 200, 400)
    }
    cases["one"] = Case(
        f"{NETWORK} at 50 fps", partial(one, NETWORK, 50), Target(3, whole=True)
    )
    cases["fastest"] = Case(
        f"{NETWORK}, fastest at 8 bits",
        partial(fastest, _zoo_network(NETWORK), rules=EIGHT),
        Target(),
    )
    for name in ("resnet18", NETWORK):
        cases[f"front-{name}"] = Case(
            f"{name}, front of 20 points", partial(front, name), Target(15)
        )
    cases["refusal-1"] = Case(
        f"{NETWORK} at 1500 fps", partial(one, NETWORK, 1500), Target(5)
    )
    cases["refusal-2"] = Case(
        "vgg16_cifar at 600 fps, bits 2, 4, 8",
        partial(one, "vgg16_cifar", 600, bits=(2, 4, 8)),
        Target(5),
    )
    for name, fps, least in (
        ("digits", 1500, Objective.AREA),
        ("digits", 1000, Objective.POWER),
        (NETWORK, 100, Objective.AREA),
    ):
        cases[f"least-{least.value}-{name}"] = Case(
            f"{name}, least {least.value} at {fps} fps",
            partial(one, name, fps, objective=least),
            Target(),
        )
    for name in LENETS:
        cases[f"small-{name}"] = Case(
            f"{name}, accurate",
            partial(accurate, _lenet(name)),
            Target(2, 400),
        )
    cases["small-digits"] = Case(
        "digits, accurate", partial(accurate, _zoo_network("digits")), Target()
    )
    for key, make, target in (
        ("zcu102", _zcu102, Target()),
        ("vu13p", large_board, Target(60, 1000)),
    ):
        cases[f"board-{key}-8"] = Case(
            f"{NETWORK}, {key}, fastest at 8 bits",
            partial(fastest, _zoo_network(NETWORK), board=make, rules=EIGHT),
            target,
        )
        cases[f"board-{key}"] = Case(
            f"{NETWORK}, {key}, accurate",
            partial(accurate, _zoo_network(NETWORK), board=make),
            target,
        )
    for layers in LAYERS:
        cases[f"layers-{layers}-8"] = Case(
            f"residual, {layers} layers, fastest at 8 bits",
            partial(fastest, _residual(layers), rules=EIGHT),
            Target(),
        )
        cases[f"layers-{layers}-fast"] = Case(
            f"residual, {layers} layers, fastest",
            partial(fastest, _residual(layers)),
            Target(),
        )
        cases[f"layers-{layers}-accurate"] = Case(
            f"residual, {layers} layers, accurate",
            partial(accurate, _residual(layers)),
            Target(),
        )
    return cases


CASES = _cases()


def run_case(name: str, solver: SolverName) -> None:
    """Print the CPU seconds of preparing and answering one case, and the answer."""
    start = time.process_time()
    run = CASES[name].prepare(solver)
    ready = time.process_time()
    answer = run()
    done = time.process_time()
    print(json.dumps([ready - start, done - ready, answer]))


def measured(name: str, solver: SolverName) -> tuple[object, ...]:
    """Return the line of one case, run in a process of its own."""
    case = CASES[name]
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, __file__, "--case", name, "--solver", solver.value],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_limit,
    )
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    process = usage.ru_utime + usage.ru_stime
    mb = usage.ru_maxrss * 1024 / 1e6
    if child.returncode != 0:
        text = f"FAILED ({child.returncode})"
        cells = (f"{wall:.1f}", "-", f"{process:.1f}", f"{mb:.0f}")
        return (case.title, *cells, str(case.target), text)
    prepared, search, answer = json.loads(said.splitlines()[-1])
    process -= prepared
    target = str(case.target)
    if target != "-" and not case.target.met(search, process, mb):
        target = f"**{target}**"
    cells = (f"{wall:.1f}", f"{search:.1f}", f"{process:.1f}", f"{mb:.0f}")
    return (case.title, *cells, target, answer)


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))


def pricing_rows() -> list[tuple[object, ...]]:
    """Return the tables made and the engines priced per second."""
    problem = uniform_problem(build_network(NETWORK), load_board(BOARD))
    field = field_of(problem)
    groups = field.groups(field.widths, NO_LIMIT)
    group = max(groups, key=lambda each: len(each.roles))
    prices, seconds = 0, 0.0
    for double in problem.space.buffering:
        start = time.process_time()
        tables = field.tables(double)
        for number in group.light.runs:
            tables.table(number)
        seconds += time.process_time() - start
        prices += sum(
            tables.grids[role].words.size * len(field.pixels)
            for number in group.light.runs
            for role, _ in field.graph.runs[number].invocation.stages
        )
    rng = np.random.default_rng(0)
    engines, spent = 0, 0.0
    for double in problem.space.buffering:
        grids = field.tables(double).grids
        columns = {r: rng.integers(0, grids[r].words.size, 40_000) for r in group.roles}
        choice = Choice(
            pixels=rng.integers(0, len(field.pixels), 40_000),
            lanes={role: grids[role].lane_of[c] for role, c in columns.items()},
            columns=columns,
        )
        start = time.process_time()
        light_cycles(field, group, double, choice)
        spent += time.process_time() - start
        engines += len(choice)
    return [
        (
            "(configuration, layer) prices, all pixels and buffer depths",
            f"{prices:,}",
            f"{seconds:.2f}",
            f"{prices / seconds / 1e6:.1f} million",
        ),
        (
            "engines with their best partition",
            f"{engines:,}",
            f"{spent:.2f}",
            f"{engines / spent / 1e3:.0f} thousand",
        ),
    ]


HEADER = (
    "search",
    "wall [s]",
    "search, CPU [s]",
    "process, CPU [s]",
    "peak [MB]",
    "target",
    "answer",
)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", choices=list(CASES), help="one, in this process")
    parser.add_argument("--solver", type=SolverName, default=SolverName.AUTO)
    parser.add_argument("--highs", action="store_true", help="with HiGHS as well")
    parser.add_argument("--only", nargs="+", default=[""], help="names begin so")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    args = parser.parse_args(argv)
    if args.case is not None:
        run_case(args.case, args.solver)
        return
    print(f"Machine: {machine()}\n")
    print_table(HEADER, ())
    rows = []
    for name in CASES:
        if name.startswith(tuple(args.only)):
            rows.append(measured(name, args.solver))
            print_row(rows[-1])
            if args.highs:
                *_, answer = again = measured(name, SolverName.HIGHS)
                print_row((f"{again[0]}, HiGHS", *again[1:]))
                assert answer == rows[-1][-1], f"{name}: HiGHS answers otherwise"
    print()
    pricing = ("pricing", "count", "CPU [s]", "per second")
    prices = pricing_rows()
    print_table(pricing, prices)
    if args.write:
        with write_section("search_speed"):
            print(f"Machine: {machine()}\n")
            print_table(HEADER, rows)
            print()
            print_table(pricing, prices)


if __name__ == "__main__":
    main()
