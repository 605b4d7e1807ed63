"""Proven search beside annealing and a genetic one: `python benchmarks/heuristics.py`.

All three choose the engine that runs a network fastest, 8-bit weights and activations,
zu3eg: same cost model, same catalogue, same limits. For each network and method the
table shows the best design found within 1x, 10x (and with `--long` 100x) of the CPU
seconds that `choose_fastest` takes to find *and prove* its optimum.

The other two are treated well. Their moves are steps in the catalogue's own parameters
(buffering, px; simd, pe and buffer depth of the dense and pointwise stages; pe and taps
of the depthwise stage); depths that a network cannot use are clamped; the best
partition (the program's own recursion) and DSP steps are found for them; tables that
price an engine in a fraction of a millisecond are built before their clock starts,
whereas the proven search pays for its tables. Infeasible engines are penalised by how
far they exceed the board. Annealing is `simanneal` with its temperature over the whole
budget, the genetic search `pymoo` (GA, integers, 60 individuals), restarted when 40
generations bring nothing.

Wall clock: about six minutes on two cores (`--jobs 1`: about ten). `--long` adds runs
of 100x for the last network, at most `--budget` seconds each.
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
from _common import machine, print_row, print_table, uniform_problem
from _points import Ints, Point, Space
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.problem import ElementwiseProblem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from simanneal import Annealer

from hao.hw.board import Board
from hao.hw.board_file import load_board
from hao.program.codesign import choose_fastest
from hao.zoo import build_network

NETWORKS = ("resnet18", "mobilenet_v2_100", "mobilenet_v4_conv_small")
FACTORS = (1, 10)
PENALTY = 20.0
"""Added to the logarithm of the cycles per unit of relative excess (chosen here)."""

STALE = 40
"""Generations without a better engine after which a restart is made (chosen here)."""


class Record:
    """Prices points, keeps the best feasible one and when it was found."""

    def __init__(self, space: Space, budget: float) -> None:
        self.space, self.budget = space, budget
        self.start = time.process_time()
        self.trace: list[tuple[float, float]] = []
        self.priced = 0

    @property
    def elapsed(self) -> float:
        return time.process_time() - self.start

    def price(self, point: Point) -> tuple[float, float]:
        cycles, excess = self.space.price(point)
        self.priced += 1
        if excess == 0 and (not self.trace or cycles < self.trace[-1][1]):
            self.trace.append((self.elapsed, cycles))
        return cycles, excess

    def best(self, seconds: float) -> float:
        """Return the best cycles found within so many seconds."""
        found = [cycles for when, cycles in self.trace if when <= seconds]
        return found[-1] if found else math.inf


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
        cycles, excess = self.record.price(tuple(self.state))
        return math.log(cycles) + PENALTY * excess


def anneal(space: Space, seed: int, budget: float) -> Record:
    """Return a run whose steps are set so that they fill the budget."""
    rng = random.Random(seed)
    random.seed(seed)  # simanneal draws from the module
    trial = Record(space, budget)
    for _ in range(200):
        trial.price(tuple(rng.randrange(size) for size in space.sizes))
    rate = 200 / trial.elapsed
    record = Record(space, budget)
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


def evolve(space: Space, seed: int, budget: float) -> Record:
    """Return a genetic run, restarted where it no longer improves."""
    record = Record(space, budget)
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


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one method."""

    network: str
    method: str
    seed: int
    factor: int
    seconds: float


_SPACES: dict[str, Space] = {}


def run_job(job: Job) -> tuple[Job, float, int]:
    """Return the best cycles of a run and how many engines it priced."""
    method = anneal if job.method == "annealing" else evolve
    record = method(_SPACES[job.network], job.seed, job.seconds)
    return job, record.best(math.inf), record.priced


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--long", action="store_true", help="100x, last network")
    parser.add_argument("--budget", type=float, default=300, help="most seconds a run")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    board = load_board("zu3eg")
    print(f"Machine: {machine()}; zu3eg at {board.clock_mhz:.0f} MHz, W8A8\n")
    header = ("network", "method", "time", "CPU s", "engines priced", "runs")
    print_table((*header, "median fps", "best fps", "median below optimum [%]"), ())
    for name in args.networks:
        factors = (
            (*FACTORS, 100) if args.long and name == args.networks[-1] else FACTORS
        )
        for row in compare(name, board, factors, args):
            print_row(row)


def compare(
    name: str, board: Board, factors: Sequence[int], args: argparse.Namespace
) -> list[tuple[object, ...]]:
    """Return the lines of one network, ours first."""
    problem = uniform_problem(build_network(name), board)
    start = time.process_time()
    report = choose_fastest(problem)
    seconds = time.process_time() - start
    assert report.gap == 0
    optimum = report.cost.fps
    _SPACES.clear()
    _SPACES[name] = Space(problem)
    _SPACES[name].check()
    jobs = [
        Job(name, method, seed, factor, min(factor * seconds, args.budget))
        for factor in sorted(factors, reverse=True)
        for method in ("annealing", "genetic")
        for seed in range(args.seeds if factor < 100 else 2)
    ]
    with get_context("fork").Pool(args.jobs) as pool:
        done = pool.map(run_job, jobs, chunksize=1)
    fps_text = f"{optimum:.2f}"
    rows: list[tuple[object, ...]] = [
        (
            *(name, "proven search", "1x", f"{seconds:.1f}", report.priced, 1),
            *(fps_text, fps_text, "0 (proven)"),
        )
    ]
    for method, factor in sorted({(j.method, j.factor) for j in jobs}):
        mine = [
            (1000 * board.clock_khz / best, count, job.seconds)
            for job, best, count in done
            if (job.method, job.factor) == (method, factor)
        ]
        fps = [value for value, _, _ in mine]
        assert max(fps) <= optimum * (1 + 1e-12), "the proof is wrong"
        middle = statistics.median(fps)
        priced = round(statistics.median(count for _, count, _ in mine))
        below = 100 * (1 - middle / optimum)
        rows.append(
            (
                *(name, method, f"{factor}x", f"{mine[0][2]:.1f}", priced, len(mine)),
                *(f"{middle:.2f}", f"{max(fps):.2f}", f"{below:.1f}"),
            )
        )
    return rows


if __name__ == "__main__":
    main()
