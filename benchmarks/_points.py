"""The catalogue's engines as points, priced one at a time in a fraction of a ms.

For `heuristics.py`: a point is one index per parameter of the engine. Prices are those
of `hao.program.branch`, arranged in tables; `Space.check` compares the two.
"""

import random
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from hao.program.branch import NEVER, Branch, latencies
from hao.program.incumbent import lane_counts
from numpy.typing import NDArray

from hao.cost.columns import DepthwiseColumns
from hao.cost.prices import SegmentPrice
from hao.hw.board import Board
from hao.hw.resources import Resources
from hao.ir.partition import Role
from hao.program.engines import exact_steps
from hao.program.problem import Problem, branch_at, settings, width_combinations

Ints = NDArray[np.int64]
Point = tuple[int, ...]

KINDS = ("dsp", "lut", "ff", "bram_18k", "lutram")
NEARLY = 0.05
"""Excess below which all DSP steps are tried, not only greedy ones (chosen here)."""

SLOWEST = 1e12
"""Cycles of what cannot run."""


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
    its DDR, then `beside`, `ddr`, `opening` and `opening_ddr` for the recursion.
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
        beside = [price.beside.constant for price in self.prices]
        return np.array(paths + beside + ddr + opening + opening_ddr, dtype=np.int64)

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
            for name in ("beside", "ddr", "opening", "opening_ddr"):
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
        beside, ddr, opening, opening_ddr = total[paths:].reshape(4, count).tolist()
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
                        beside[price] + opening[upcoming],
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
        over: float = sum(
            max(0.0, t / m - 1) for t, m in zip(totals, limits, strict=True)
        )
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
        """Return the branch of a point and its columns; `None` if it has none."""
        space = self.problem.space
        number = point[0] * len(space.pixels) + point[1]
        branch = self.tables[number].branch
        result: dict[Role, int] = {}
        place = 2
        for role in branch.stages:
            first = space.lanes[point[place]]
            key: tuple[Role, int, int]
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
