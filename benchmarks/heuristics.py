"""Proven search against annealing and a genetic search: `python benchmarks/heuristics.py`.

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
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
from _common import machine, print_table, uniform_problem
from numpy.typing import NDArray
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.problem import ElementwiseProblem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from simanneal import Annealer

from hao.cost.prices import DepthwiseColumns, SegmentPrice
from hao.hw.board import Board
from hao.hw.board_file import load_board
from hao.hw.resources import Resources
from hao.ir.partition import Role
from hao.program.branch import NEVER, Branch, latencies
from hao.program.codesign import choose_fastest
from hao.program.engines import exact_steps
from hao.program.incumbent import lane_counts
from hao.program.problem import Problem, branch_at, settings, width_combinations
from hao.zoo import build_network

Ints = NDArray[np.int64]
Point = tuple[int, ...]

NETWORKS = ("mobilenet_v2_100", "mobilenet_v4_conv_small", "resnet18")
FACTORS = (1, 10)
KINDS = ("dsp", "lut", "ff", "bram_18k", "lutram")
PENALTY = 20.0
"""Added to the logarithm of the cycles per unit of relative excess (chosen here)."""

NEARLY = 0.05
"""Excess below which all DSP steps are tried, not only the greedy ones (chosen here)."""

SLOWEST = 1e12
STALE = 40


def unlimited(board: Board) -> Board:
    """Return the board with so many resources that every column has a price."""
    counts = {
        kind: 1000 * getattr(board.resources, kind)
        for kind in ("dsp", "bram_18k", "uram", "lut", "ff")
    }
    return replace(board, resources=Resources(**counts), lutram=1000 * board.lutram)


@dataclass(frozen=True)
class Tables:
    """One branch, arranged so that a single engine is priced quickly.

    Every row of `values` belongs to one price of the branch: the rows of its paths and
    its DDR, then `body`, `ddr`, `opening` and `opening_ddr` for the recursion.
    """

    branch: Branch

    @cached_property
    def prices(self) -> list[SegmentPrice]:
        return list({id(price): price for price in self.branch.prices}.values())

    @cached_property
    def which(self) -> list[int]:
        place = {id(price): index for index, price in enumerate(self.prices)}
        return [place[id(price)] for price in self.branch.prices]

    @cached_property
    def starts(self) -> Ints:
        counts = [len(price.paths) + 1 for price in self.prices]
        return np.cumsum([0, *counts[:-1]])

    @cached_property
    def constants(self) -> Ints:
        paths = [
            row.constant for price in self.prices for row in (*price.paths, price.ddr)
        ]
        ddr = [price.ddr.constant for price in self.prices]
        opening = [price.opening.constant for price in self.prices]
        opening_ddr = [price.opening_ddr.constant for price in self.prices]
        body = [0] * len(ddr)
        return np.array(paths + body + ddr + opening + opening_ddr, dtype=np.int64)

    @cached_property
    def values(self) -> dict[Role, Ints]:
        """Return per stage an array of shape (columns, rows)."""
        result = {}
        for role, catalogue in self.branch.stages.items():
            none = np.zeros(len(catalogue), dtype=np.int64)
            rows = []
            for price in self.prices:
                fine = price.feasible.get(role)
                never = none if fine is None else np.where(fine, 0, NEVER)
                rows += [path.terms.get(role, none) + never for path in price.paths]
                rows.append(price.ddr.terms.get(role, none))
            rows += [price.tiled.get(role, none) for price in self.prices]
            for name in ("ddr", "opening", "opening_ddr"):
                rows += [getattr(p, name).terms.get(role, none) for p in self.prices]
            result[role] = np.ascontiguousarray(np.stack(rows, axis=1))
        return result

    @cached_property
    def area(self) -> dict[Role, tuple[Ints, Ints, Ints]]:
        """Return per stage base and step of shape (columns, kinds), and the steps."""
        return {
            role: (
                np.stack([getattr(c.area.base, kind) for kind in KINDS], axis=1),
                np.stack([getattr(c.area.step, kind) for kind in KINDS], axis=1),
                c.area.steps,
            )
            for role, c in self.branch.stages.items()
        }

    @cached_property
    def lanes(self) -> dict[Role, list[int]]:
        return {
            role: [int(v) for v in lane_counts(self.branch, role)]
            for role in self.branch.stages
        }

    @cached_property
    def followers(self) -> list[tuple[int, int, list[int], int]]:
        """Return (segment, its price, segments that may follow, serial loads)."""
        segments = self.branch.partition.segments
        double = self.branch.setting.double_buffered
        after: dict[int, list[int]] = {}
        for index, segment in enumerate(segments):
            after.setdefault(segment.start, []).append(index)
        order = sorted(range(len(segments)), key=lambda i: -segments[i].start)
        return [
            (
                index,
                self.which[index],
                after.get(segments[index].end + 1, []),
                0
                if double
                else max(self.branch.loads[index], self.branch.ddr_loads[index]),
            )
            for index in order
        ]

    @cached_property
    def first(self) -> list[int]:
        return self.branch.starting(0)

    def cycles(self, columns: dict[Role, int]) -> int:
        """Return the least latency of one engine [cycles]."""
        total = self.constants.copy()
        for role, column in columns.items():
            total += self.values[role][column]
        count = len(self.prices)
        paths = total.size - 4 * count
        alone = np.maximum.reduceat(total[:paths], self.starts).tolist()
        body, ddr, opening, opening_ddr = total[paths:].reshape(4, count).tolist()
        to_go = [0] * len(self.which)
        which, double = self.which, self.branch.setting.double_buffered
        for index, price, followers, serial in self.followers:
            here = alone[price]
            best = here if not followers else 1 << 62
            for after in followers:
                period = here
                if double:
                    upcoming = which[after]
                    period = max(
                        here,
                        body[price] + opening[upcoming],
                        ddr[price] + opening_ddr[upcoming],
                    )
                best = min(best, period + to_go[after])
            to_go[index] = best + serial
        return min(
            to_go[i] + (max(opening[which[i]], opening_ddr[which[i]]) if double else 0)
            for i in self.first
        )

    def excess(self, columns: dict[Role, int]) -> float:
        """Return by how much an engine misses the board's limits; 0 if it fits."""
        limit = self.branch.limit
        limits = (limit.dsp, limit.lut, limit.ff, limit.bram_18k, self.branch.lutram)
        picked = [
            [part[column].tolist() for part in self.area[role]]
            for role, column in columns.items()
        ]
        totals = [sum(values) for values in zip(*(p[0] for p in picked), strict=True)]
        left = limits[0] - totals[0]
        for _, step, most in sorted(picked, key=lambda p: p[1][1] / max(p[1][0], 1)):
            if step[1] < 0 and left > 0:
                taken = min(most, left // max(step[0], 1))
                left -= taken * step[0]
                totals = [t + taken * s for t, s in zip(totals, step, strict=True)]
        over = sum(max(0.0, t / m - 1) for t, m in zip(totals, limits, strict=True))
        if 0 < over < NEARLY and exact_steps(self.branch, columns) is not None:
            over = 0.0
        return over + self.mismatch(columns)

    def mismatch(self, columns: dict[Role, int]) -> float:
        """Return 0 if the lane counts of neighbours divide each other."""
        lanes = [self.lanes[role][columns[role]] for role in Role if role in columns]
        return sum(
            min(a % b, b % a) / max(a, b) for a, b in pairwise(lanes) if a % b and b % a
        )


@dataclass
class Space:
    """Every engine as a point: one index per parameter of the catalogue."""

    problem: Problem
    tables: list[Tables] = field(init=False)
    where: list[dict[tuple[Role, int, int], list[int]]] = field(init=False)

    def __post_init__(self) -> None:
        widths = width_combinations(self.problem)[0]
        true = branch_at(
            self.problem, widths, next(settings(self.problem)), widths.scheme
        )
        loose = self.problem.on_board(unlimited(self.problem.board))
        self.tables, self.where = [], []
        for setting in settings(loose):
            branch = branch_at(loose, widths, setting, widths.scheme)
            branch = replace(branch, limit=true.limit, lutram=true.lutram)
            self.tables.append(Tables(branch))
            self.where.append(_places(branch))
            self.tables[-1].cycles(dict.fromkeys(branch.stages, 0))
            self.tables[-1].excess(dict.fromkeys(branch.stages, 0))

    @cached_property
    def sizes(self) -> Point:
        """Return how many values each parameter has."""
        space = self.problem.space
        lanes, depths = len(space.lanes), len(space.depths)
        result = [len(space.buffering), len(space.pixels)]
        for role in self.tables[0].branch.stages:
            third = () if role is Role.DEPTHWISE else (depths,)
            second = len(space.taps) if role is Role.DEPTHWISE else lanes
            result += [lanes, second, *third]
        return tuple(result)

    def columns(self, point: Point) -> tuple[int, dict[Role, int] | None]:
        """Return the branch and column per stage of a point; `None` if there is none."""
        space = self.problem.space
        number = point[0] * len(space.pixels) + point[1]
        branch = self.tables[number].branch
        result: dict[Role, int] = {}
        place = 2
        for role in branch.stages:
            first = space.lanes[point[place]]
            if role is Role.DEPTHWISE:
                most = branch.needs[role].kernel ** 2
                key = (role, first, min(space.taps[point[place + 1]], most))
                rank = 0
            else:
                key = (role, first, space.lanes[point[place + 1]])
                rank = point[place + 2]
            found = self.where[number].get(key)
            if found is None:
                return number, None
            result[role] = found[min(rank, len(found) - 1)]
            place += 2 if role is Role.DEPTHWISE else 3
        return number, result

    def price(self, point: Point) -> tuple[float, float]:
        """Return cycles and excess of a point."""
        number, columns = self.columns(point)
        if columns is None:
            return SLOWEST, 2.0
        tables = self.tables[number]
        cycles = tables.cycles(columns)
        if cycles >= NEVER:
            return SLOWEST, 1.0
        return float(cycles), tables.excess(columns)

    def check(self, samples: int = 200) -> None:
        """Check that tables and program price random engines alike."""
        rng = random.Random(0)
        for _ in range(samples):
            point = tuple(rng.randrange(size) for size in self.sizes)
            number, columns = self.columns(point)
            if columns is None:
                continue
            branch = self.tables[number].branch
            choice = {role: np.array([column]) for role, column in columns.items()}
            exact = min(int(latencies(branch, choice)[0][0]), int(NEVER))
            assert min(self.tables[number].cycles(columns), int(NEVER)) == exact


def _places(branch: Branch) -> dict[tuple[Role, int, int], list[int]]:
    """Return the columns of a pair of parameters, by rising depth."""
    result: dict[tuple[Role, int, int], list[int]] = {}
    for role, catalogue in branch.stages.items():
        columns = catalogue.columns
        if isinstance(columns, DepthwiseColumns):
            for index, (pe, taps) in enumerate(
                zip(columns.pe.tolist(), columns.taps.tolist(), strict=True)
            ):
                result.setdefault((role, pe, taps), []).append(index)
            continue
        for index in np.argsort(columns.weight_words, kind="stable").tolist():
            key = (role, int(columns.simd[index]), int(columns.pe[index]))
            result.setdefault(key, []).append(index)
    return result


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
    proven: dict[str, tuple[float, float, int]] = {}
    jobs: list[Job] = []
    for name in args.networks:
        problem = uniform_problem(build_network(name), board)
        start = time.process_time()
        report = choose_fastest(problem)
        seconds = time.process_time() - start
        assert report.gap == 0
        proven[name] = (seconds, report.cost.latency_cycles, report.priced)
        _SPACES[name] = Space(problem)
        _SPACES[name].check()
        print(
            f"{name}: {report.cost.fps:.2f} fps proven in {seconds:.1f} CPU s; "
            f"{math.prod(_SPACES[name].sizes):.1e} points",
            flush=True,
        )
        factors = [
            *FACTORS,
            *([100] if args.long and name == args.networks[-1] else []),
        ]
        jobs += [
            Job(name, method, seed, factor, min(factor * seconds, args.budget))
            for method in ("annealing", "genetic")
            for factor in factors
            for seed in range(args.seeds if factor < 100 else 2)
        ]
    jobs.sort(key=lambda job: -job.seconds)
    with get_context("fork").Pool(args.jobs) as pool:
        done = pool.map(run_job, jobs, chunksize=1)
    rows: list[tuple[object, ...]] = []
    for name in args.networks:
        seconds, cycles, priced = proven[name]
        optimum = 1000 * board.clock_khz / cycles
        rows.append((name, "proven search", "1x", f"{seconds:.1f}", priced, 1))
        rows[-1] += (f"{optimum:.2f}", f"{optimum:.2f}", "0 (proven)")
        for method, factor in sorted({(j.method, j.factor) for j in jobs}):
            mine = [
                (best, count, job.seconds)
                for job, best, count in done
                if (job.network, job.method, job.factor) == (name, method, factor)
            ]
            if not mine:
                continue
            fps = [1000 * board.clock_khz / best for best, _, _ in mine]
            assert max(fps) <= optimum + 1e-9, "the proof is wrong"
            middle = statistics.median(fps)
            rows.append(
                (
                    name,
                    method,
                    f"{factor}x",
                    f"{mine[0][2]:.1f}",
                    round(statistics.median(count for _, count, _ in mine)),
                    len(mine),
                    f"{middle:.2f}",
                    f"{max(fps):.2f}",
                    f"{100 * (1 - middle / optimum):.1f}",
                )
            )
    print()
    print_table(
        (
            "network",
            "method",
            "time",
            "CPU s",
            "engines priced",
            "runs",
            "median fps",
            "best fps",
            "median below optimum [%]",
        ),
        rows,
    )


if __name__ == "__main__":
    main()
