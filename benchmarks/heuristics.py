"""Proven search beside three heuristics: `python benchmarks/heuristics.py`.

All choose the engine, partition and bits of every layer with which a network runs
fastest on zu3eg, at an accuracy cost of at most what 8 bits throughout cost and
`POINTS` more: same cost model, same catalogue, same limits. For each network and method
the table shows the best design found within 10x of the CPU seconds that
`choose_fastest` takes to find *and prove* its optimum, tables included.

The others are treated well. Their moves are steps in the catalogue's own parameters
(buffering, px, width of each stage; lanes and buffer depth of each stage) and in the
bits of each layer; depths that a network cannot use are clamped; the best partition and
DSP steps of an engine are found for them; tables that price a design in a fraction of a
millisecond are built before their clock starts. What exceeds the board or the cost
limit is penalised by how far it does. Annealing is `simanneal` with its temperature
over the whole time, the genetic search `pymoo` (GA, integers, 60 individuals),
restarted when 40 generations bring nothing; the descents start at random and take any
step of one parameter, or exchange of bits between two layers, that brings something.

What they price with shares tables with the search, but none of its bounds, and is
compared with `evaluate` on random designs first, and on the best design of every run
(`_points.py`). None may beat the optimum: the script stops if one does.

`--long` takes 100x, at most `--budget` seconds a run. `--write` puts the table into
docs/benchmarks.md.
"""

import argparse
import math
import random
import statistics
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.problem import ElementwiseProblem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from simanneal import Annealer

from benchmarks._common import (
    back_to_back,
    candidate,
    machine,
    print_row,
    print_table,
    write_section,
)
from benchmarks._points import Ints, Point, Space, Worth
from hao.answer.candidates import BitRules
from hao.hw.board import Board
from hao.options.option import MICRO
from hao.program.codesign import choose_fastest

NETWORKS = {
    "resnet20_cifar": BitRules(choices=(2, 3, 4, 5, 6, 7, 8), keep_first_last=False),
    "resnet18": BitRules(),
    "mobilenet_v2_100": BitRules(),
}
METHODS = ("annealing", "genetic", "descents")
POINTS = 1.0
"""Accuracy cost that is allowed beyond the least [points] (chosen here)."""

PENALTY = 20.0
"""Added to the logarithm of the cycles per unit of relative excess (chosen here)."""

STALE = 40
"""Generations without a better engine after which a restart is made (chosen here)."""


class Record:
    """Prices points, keeps the best feasible one and when it was found."""

    def __init__(self, space: Space, limit: int, budget: float) -> None:
        self.space, self.limit, self.budget = space, limit, budget
        self.start = time.process_time()
        self.best: float = math.inf
        self.point: Point = ()
        self.when = 0.0
        self.priced = 0

    @property
    def elapsed(self) -> float:
        return time.process_time() - self.start

    def price(self, point: Point) -> tuple[float, float]:
        """Return the cycles of a point and by how much it exceeds its limits."""
        worth: Worth = self.space.price(point)
        self.priced += 1
        over = worth.excess + max(0.0, worth.cost / self.limit - 1)
        if over == 0 and worth.cycles < self.best:
            self.best, self.point, self.when = worth.cycles, point, self.elapsed
        return worth.cycles, over

    def value(self, point: Point) -> float:
        cycles, over = self.price(point)
        return math.log(cycles) + PENALTY * over


class Anneal(Annealer):  # type: ignore[misc]
    """Annealing over points: a step of one parameter, sometimes a jump."""

    def __init__(self, record: Record, rng: random.Random) -> None:
        self.record, self.rng = record, rng
        super().__init__([rng.randrange(size) for size in record.space.sizes])
        self.copy_strategy = "slice"
        self.Tmax, self.Tmin, self.updates = 1.0, 0.001, 0

    def move(self) -> None:
        sizes = self.record.space.sizes
        place = self.rng.randrange(len(sizes))
        if self.rng.random() < 0.2:
            self.state[place] = self.rng.randrange(sizes[place])
            return
        step = self.rng.choice((-2, -1, 1, 2))
        self.state[place] = min(max(self.state[place] + step, 0), sizes[place] - 1)

    def energy(self) -> float:
        if self.record.elapsed > self.record.budget:
            self.user_exit = True
        return self.record.value(tuple(self.state))


def anneal(space: Space, limit: int, seed: int, budget: float) -> Record:
    """Return a run whose steps are set so that they fill the budget."""
    rng = random.Random(seed)
    random.seed(seed)  # simanneal draws from the module
    trial = Record(space, limit, budget)
    for _ in range(200):
        trial.price(tuple(rng.randrange(size) for size in space.sizes))
    rate = 200 / trial.elapsed
    record = Record(space, limit, budget)
    run = Anneal(record, rng)
    run.steps = max(100, int(rate * budget))
    run.anneal()
    return record


class Genes(ElementwiseProblem):  # type: ignore[misc]
    """The space as pymoo takes it: minimise cycles, excess at most 0."""

    def __init__(self, record: Record) -> None:
        sizes = np.array(record.space.sizes)
        super().__init__(
            n_var=sizes.size, n_obj=1, n_ieq_constr=1, xl=0, xu=sizes - 1, vtype=int
        )
        self.record = record

    def _evaluate(
        self, x: Ints, out: dict[str, float], *_: object, **__: object
    ) -> None:
        cycles, excess = self.record.price(tuple(int(v) for v in x))
        out["F"], out["G"] = math.log(cycles), excess


def evolve(space: Space, limit: int, seed: int, budget: float) -> Record:
    """Return a genetic run, restarted where it no longer improves."""
    record = Record(space, limit, budget)
    restart = 0
    while record.elapsed < budget:
        algorithm = GA(
            pop_size=60,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=3.0, vtype=float, repair=RoundingRepair()),
            mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        algorithm.setup(
            Genes(record),
            termination=("n_gen", 10**9),
            seed=1000 * seed + restart,
            verbose=False,
        )
        best, stale = math.inf, 0
        while record.elapsed < budget and stale < STALE:
            algorithm.next()
            value = algorithm.opt[0].F[0] if algorithm.opt[0].feas else math.inf
            stale = 0 if value < best else stale + 1
            best = min(best, value)
        restart += 1
    return record


def descend(space: Space, limit: int, seed: int, budget: float) -> Record:
    """Return a run of descents, each from a random point."""
    rng = random.Random(seed)
    record = Record(space, limit, budget)
    while record.elapsed < budget:
        # Of some random engines at the most bits, the best one is improved.
        drawn = [
            tuple(
                rng.randrange(size) if place < len(space.engine_sizes) else 0
                for place, size in enumerate(space.sizes)
            )
            for _ in range(200)
        ]
        here = min(drawn, key=record.value)
        value = record.value(here)
        improved = True
        while improved and record.elapsed < budget:
            improved = False
            for point in _steps(space, here, rng):
                found = record.value(point)
                if found < value:
                    here, value, improved = point, found, True
                    break
                if record.elapsed >= budget:
                    break
    return record


def _steps(space: Space, here: Point, rng: random.Random) -> list[Point]:
    """Return the points next to one, in random order."""
    found: list[Point] = []
    bits = range(len(space.engine_sizes), len(here))
    for place, size in enumerate(space.sizes):
        others = range(size)
        if place in bits:
            others = range(max(0, here[place] - 1), min(size, here[place] + 2))
        for option in others:
            if option != here[place]:
                found.append((*here[:place], option, *here[place + 1 :]))
    for place in bits:
        other = rng.choice(bits)
        if here[place] > 0 and here[other] + 1 < space.sizes[other] and place != other:
            moved = list(here)
            moved[place] -= 1
            moved[other] += 1
            found.append(tuple(moved))
    rng.shuffle(found)
    return found


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one method."""

    method: str
    limit: int
    seed: int
    seconds: float


_SPACES: list[Space] = []


def run_job(job: Job) -> tuple[Job, float, float, int]:
    """Return the best cycles of a run, when it found them, and how many it priced."""
    method = {"annealing": anneal, "genetic": evolve, "descents": descend}[job.method]
    record = method(_SPACES[0], job.limit, job.seed, job.seconds)
    if record.point:
        _SPACES[0].witness(record.point)
    return job, record.best, record.when, record.priced


HEADER = (
    "network",
    "method",
    "CPU s a run",
    "runs",
    "designs priced",
    "median fps",
    "best fps",
    "best found after [s]",
    "best, cycles above the optimum [%]",
)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS)
    parser.add_argument("--long", action="store_true", help="100x in place of 10x")
    parser.add_argument("--budget", type=float, default=600, help="most seconds a run")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    board = back_to_back("zu3eg")
    print(f"Machine: {machine()}; zu3eg at {board.clock_mhz:.0f} MHz\n")
    print_table(HEADER, ())
    rows: list[tuple[object, ...]] = []
    for name in args.networks or NETWORKS:
        for row in compare(name, board, args):
            rows.append(row)
            print_row(row)
    if args.write:
        with write_section("heuristics"):
            print(f"Machine: {machine()}; {100 if args.long else 10}x\n")
            print_table(HEADER, rows)


def compare(
    name: str, board: Board, args: argparse.Namespace
) -> list[tuple[object, ...]]:
    """Return the lines of one network, ours first."""
    rules = NETWORKS[name]
    start = time.process_time()
    problem = candidate(name, rules).problem(board)
    floor = sum(min(site.costs) for site in problem.frame.sites)
    limit = floor + round(POINTS * MICRO)
    report = choose_fastest(problem, cost_limit=limit)
    seconds = time.process_time() - start
    assert report.gap == 0
    optimum = report.cost.latency_cycles
    _SPACES[:] = [Space(problem)]
    assert _SPACES[0].check() > 0
    factor = 100 if args.long else 10
    jobs = [
        Job(method, limit, seed, min(factor * seconds, args.budget))
        for method in METHODS
        for seed in range(args.seeds)
    ]
    with get_context("fork").Pool(args.jobs) as pool:
        done = pool.map(run_job, jobs, chunksize=1)
    fps_text = f"{report.cost.fps:.2f}"
    bits = ", ".join(str(b) for b in rules.choices)
    if len(rules.choices) > 3:
        bits = f"{rules.choices[0]} to {rules.choices[-1]}"
    label = f"{name}, bits {bits}, at most {limit / MICRO:.2f} points"
    rows: list[tuple[object, ...]] = [
        (
            *(label, "proven search", f"{seconds:.1f}", 1, report.priced),
            *(fps_text, fps_text, f"{seconds:.1f}", "0 (proven)"),
        )
    ]
    for method in METHODS:
        mine = [entry for entry in done if entry[0].method == method]
        best, when = min((cycles, when) for _, cycles, when, _ in mine)
        assert best >= optimum, f"the proof is wrong: {best} < {optimum}"
        middle = statistics.median(cycles for _, cycles, _, _ in mine)
        rows.append(
            (
                *(name, method, f"{mine[0][0].seconds:.1f}", len(mine)),
                round(statistics.median(count for *_, count in mine)),
                *(f"{1000 * board.clock_khz / value:.2f}" for value in (middle, best)),
                *(f"{when:.1f}", f"{100 * (best / optimum - 1):.2f}"),
            )
        )
    return rows


if __name__ == "__main__":
    main()
