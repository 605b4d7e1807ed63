"""Designs of a problem as points, priced one at a time in a fraction of a ms.

For `heuristics.py`. A point is one index per free parameter: buffering, pixels at once,
width of each stage, lanes and buffer depth of each stage, and an option for every site
of the network. Its partition is the fastest one, found by a recursion of this file's
own. Prices are the exact periods of `hao.program.tables`, rearranged; none of the
search's bounds, groups, lists or labels is used. `Space.check` compares points with
`evaluate`, which prices a design anew.
"""

import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hao.cost.evaluate import evaluate
from hao.ir.partition import Role
from hao.program.codesign import design_of, field_of
from hao.program.exact import Way
from hao.program.fit import FEWEST_LUTS, KINDS, Room
from hao.program.graph import FAR, Widths
from hao.program.hunt import Found
from hao.program.problem import Problem
from hao.program.run_table import Row, RunTable
from hao.program.tables import Tables, tiled_role

Ints = NDArray[np.int64]
Point = tuple[int, ...]

NEARLY = 0.05
"""Excess below which all DSP steps are tried, not only greedy ones (chosen here)."""

SLOWEST = 1e12
"""Cycles of what cannot run."""

KEPT = 20_000
"""Engines whose prices are remembered (chosen here)."""


class Prices:
    """The tables of all runs at one buffering, arranged by columns."""

    def __init__(self, tables: Tables) -> None:
        graph = tables.graph
        self._grids = tables.grids
        # Fused runs of one shape differ in what they open with alone.
        first: dict[int, int] = {}
        self.stop_of = [
            number if tiled_role(run) else first.setdefault(shape, number)
            for number, (run, shape) in enumerate(
                zip(graph.runs, graph.shapes, strict=True)
            )
        ]
        self._stops = sorted(set(self.stop_of))
        place = {number: index for index, number in enumerate(self._stops)}
        self.stop_of = [place[number] for number in self.stop_of]
        made = [tables.table(number) for number in self._stops]
        every = [tables.table(number) for number in range(len(graph.runs))]
        # The longest row of each counts: of every stop, then of every run.
        groups = [(t, (*t.paths, *t.ddr)) for t in made]
        groups += [(t, (t.beside,)) for t in made] + [(t, t.ddr) for t in made]
        groups += [(t, (t.standing,)) for t in made] + [(t, (t.held,)) for t in made]
        for kind in range(4):  # of one frame
            groups += [(t, (t.opening[kind],)) for t in every]
        groups += [(t, t.serial) for t in every]
        self._starts = np.cumsum([0, *(len(some) for _, some in groups[:-1])])
        rows = [(table, row) for table, some in groups for row in some]
        self._constants = np.array([row.constant for _, row in rows], dtype=np.int64)
        pixels = len(tables.pixels)
        self._fused: dict[Role, tuple[Ints, Ints]] = {}
        self._tiled: dict[Role, tuple[Ints, Ints]] = {}
        for role, grid in tables.grids.items():
            mine = [i for i, (_, row) in enumerate(rows) if role in row.terms]
            for store, kind, size in (
                (self._fused, False, grid.lanes),
                (self._tiled, True, grid.words.size),
            ):
                some = [i for i in mine if (rows[i][0].key_of is not None) == kind]
                values = np.zeros((pixels, size, len(some)), dtype=np.int64)
                for index, number in enumerate(some):
                    values[:, :, index] = _spread(*rows[number], role)
                store[role] = np.array(some, dtype=np.int64), values
        self._short = {
            role: np.stack([_short(t, role, tables) for t in made], axis=1)
            for role in tables.grids
        }

    def price(self, place: int, columns: dict[Role, int]) -> list[list[int]]:
        """Return what each stop takes alone, what loads come on, and what opens.

        Loads come on what delays the port, on the DDR, and on the cycles in which the
        dense array stands, and the pointwise one (added to all of the stop). What opens
        each run: the same four, and all of it in a row.
        """
        total = self._constants.copy()
        short = np.zeros(len(self._stops), dtype=np.bool_)
        for role, column in columns.items():
            lane = int(self._grids[role].lane_of[column])
            for (rows, values), index in (
                (self._fused[role], lane),
                (self._tiled[role], column),
            ):
                total[rows] += values[place, index]
            short |= self._short[role][column]
        longest = np.maximum.reduceat(total, self._starts)
        size, runs = len(self._stops), len(self.stop_of)
        longest[:size] = np.where(short, FAR, longest[:size])
        cuts = np.cumsum([size] * 5 + [runs] * 4)
        return [part.tolist() for part in np.split(longest, cuts)]


def _spread(table: RunTable, row: Row, role: Role) -> Ints:
    """Return a row's cycles by lane shape, or by column where it may be tiled."""
    values = row.terms[role]
    if table.key_of is None:
        return values
    if values.shape[1] == 0:
        return np.full((values.shape[0], table.key_of.size), FAR)
    spread = values[:, np.maximum(table.key_of, 0)]
    return np.where(table.key_of < 0, FAR, spread)


def _short(table: RunTable, role: Role, tables: Tables) -> NDArray[np.bool_]:
    """Return which columns of a stage cannot hold a run's weights."""
    grid = tables.grids[role]
    least = table.least_words.get(role)
    if least is None:
        return np.zeros(grid.words.size, dtype=np.bool_)
    result: NDArray[np.bool_] = least[grid.lane_of] > grid.words
    return result


@dataclass(frozen=True, slots=True)
class Step:
    """Runs of one shape between two nodes, by the options of what they depend on."""

    start: int
    end: int
    sites: tuple[int, ...]
    arcs: dict[tuple[int, ...], int]


@dataclass(frozen=True, slots=True)
class Worth:
    """What a point is worth: cycles, accuracy cost [micro-points], relative excess."""

    cycles: float
    cost: int
    excess: float
    arcs: tuple[int, ...] = ()


Priced = tuple[Widths, bool, int, dict[Role, int], float, list[list[int]]]
"""Widths, buffering, place of pixels, columns, excess and prices of an engine."""


class Space:
    """Every design as a point.

    Args:
        problem: Whose options are bits alone: nodes of its graph are positions.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.field = problem, field_of(problem)
        graph, space = self.field.graph, problem.space
        assert len(set(graph.position.tolist())) == graph.position.size
        assert not any(finish.settled for finish in graph.finishes)
        self._prices = {d: Prices(self.field.tables(d)) for d in space.buffering}
        self._widths = {tuple(w.bits.values()): w for w in self.field.widths}
        self._offers = [
            sorted({bits[number] for bits in self._widths}) for number in range(3)
        ]
        self.roles = tuple(self.field.tables(space.buffering[0]).grids)
        self._lanes = {
            role: {
                (int(a), int(b)): lane
                for lane, (a, b) in enumerate(zip(g.first, g.second, strict=True))
            }
            for role, g in self.field.tables(space.buffering[0]).grids.items()
        }
        self._steps = self._group()
        self._last = {finish.node for finish in graph.finishes}
        self._run = [arc.run for arc in graph.arcs]
        self._allowed = {id(w): w.allowed.tolist() for w in self.field.widths}
        self.free = problem.free_sites
        self._costs = [site.costs for site in problem.frame.sites]
        sizes = [len(space.buffering), len(space.pixels)]
        sizes += [len(offer) for offer in self._offers]
        for role in self.roles:
            sizes.append(len(space.lanes))
            if role is Role.DEPTHWISE:
                sizes.append(len(space.taps))
            else:
                sizes += [len(space.lanes), len(space.depths)]
        self.engine_sizes = tuple(sizes)
        self.sizes: Point = (*sizes, *(len(self._costs[site]) for site in self.free))
        self._engines: OrderedDict[
            Point,
            Priced | None,
        ] = OrderedDict()
        self.kernel = max(
            (
                needs.kernel**2
                for w in self.field.widths
                for role, needs in w.needs.items()
                if role is Role.DEPTHWISE
            ),
            default=1,
        )

    def _group(self) -> list[Step]:
        graph = self.field.graph
        found: dict[tuple[int, int, int], Step] = {}
        for index, arc in enumerate(graph.arcs):
            sites = tuple(site for site, _ in arc.settled)
            key = arc.start, arc.end, graph.shapes[arc.run]
            step = found.setdefault(key, Step(arc.start, arc.end, sites, {}))
            assert step.sites == sites
            step.arcs[tuple(option for _, option in arc.settled)] = index
        return sorted(found.values(), key=lambda step: -step.start)

    def options(self, point: Point) -> list[int]:
        """Return the option of every site."""
        chosen = [0] * len(self._costs)
        for site, option in zip(
            self.free, point[len(self.engine_sizes) :], strict=True
        ):
            chosen[site] = option
        return chosen

    def price(self, point: Point) -> Worth:
        """Return what a point is worth."""
        chosen = self.options(point)
        cost = sum(self._costs[site][option] for site, option in enumerate(chosen))
        engine = self._engine(point[: len(self.engine_sizes)])
        if engine is None:
            return Worth(SLOWEST, cost, 2.0)
        widths, double, _, _, excess, prices = engine
        cycles, arcs = self._fastest(
            self._prices[double], prices, chosen, self._allowed[id(widths)], double
        )
        if cycles >= FAR:
            return Worth(SLOWEST, cost, excess + 1.0)
        return Worth(float(cycles), cost, excess, arcs)

    def _fastest(
        self,
        made: Prices,
        prices: Sequence[list[int]],
        chosen: list[int],
        allowed: list[bool],
        double: bool,
    ) -> tuple[int, tuple[int, ...]]:
        """Return the least cycles of any partition, and its arcs."""
        alone, beside, ddr, standing, held, *opening, serial = prices
        far = int(FAR)
        # By node: (run's openings, serial load, cycles from its start on, way).
        behind: dict[int, list[tuple[list[int], int, int, tuple[int, ...]]]] = {}
        for step in self._steps:
            arc = step.arcs.get(tuple([chosen[site] for site in step.sites]))
            if arc is None or not allowed[arc]:
                continue
            run = self._run[arc]
            stop = made.stop_of[run]
            here = alone[stop]
            if here >= far:
                continue
            best, way = far, tuple[int, ...]()
            if step.end in self._last:
                best, way = here, (arc,)
            for (port, bus, *more), load, cycles, after in behind.get(step.end, ()):
                if double:
                    loaded = (
                        beside[stop] + port,
                        ddr[stop] + bus,
                        standing[stop] + more[0],
                        here + held[stop] + more[1],
                    )
                    took = max(here, *loaded) + cycles
                else:
                    took = here + load + cycles
                if took < best:
                    best, way = took, (arc, *after)
            if best < far:
                behind.setdefault(step.start, []).append(
                    ([each[run] for each in opening], serial[run], best, way)
                )
        first = ((load + cycles, way) for _, load, cycles, way in behind.get(0, ()))
        return min(first, default=(far, ()))

    def _engine(self, point: Point) -> Priced | None:
        if point not in self._engines:
            if len(self._engines) >= KEPT:
                self._engines.popitem(last=False)
            self._engines[point] = self._made(point)
        return self._engines[point]

    def _made(self, point: Point) -> Priced | None:
        space = self.problem.space
        double, place = space.buffering[point[0]], point[1]
        bits = tuple(o[i] for o, i in zip(self._offers, point[2:5], strict=True))
        widths = self._widths.get(bits)
        if widths is None:
            return None
        room = self.field.room(widths, place, double)
        columns: dict[Role, int] = {}
        index = 5
        for role in self.roles:
            first = space.lanes[point[index]]
            second_of = space.taps if role is Role.DEPTHWISE else space.lanes
            second = second_of[point[index + 1]]
            depth = 0
            if role is Role.DEPTHWISE:
                second = min(second, self.kernel)
            else:
                depth = space.depths[point[index + 2]]
            index += 2 if role is Role.DEPTHWISE else 3
            if role not in widths.needs:
                continue
            column = self._column(room, role, self._lanes[role][first, second], depth)
            if column is None:
                return None
            columns[role] = column
        prices = self._prices[double].price(place, columns)
        return widths, double, place, columns, excess_of(room, columns), prices

    @staticmethod
    def _column(room: Room, role: Role, lane: int, depth: int) -> int | None:
        """Return the column of a lane shape whose buffer is about so deep."""
        grid = room.grids[role]
        some = np.arange(grid.starts[lane], grid.starts[lane + 1])
        some = some[room.held[role][some]]
        if some.size == 0:
            return None
        return int(some[max(0, int(np.sum(grid.words[some] <= depth)) - 1)])

    def check(self, samples: int = 300, starts: int = 6) -> int:
        """Compare points that fit with `evaluate`; return how many.

        Of random points few fit: steps of one or two parameters, none of which exceeds
        the board by more, lead to one that does, and from there to others.
        """
        rng = random.Random(0)
        compared = 0
        for _ in range(starts):
            point = tuple(rng.randrange(size) for size in self.sizes)
            known = self.price(point)
            for _ in range(100 * samples // starts):
                near = list(point)
                for index in rng.sample(range(len(near)), rng.choice((1, 2))):
                    near[index] = rng.randrange(self.sizes[index])
                worth = self.price(tuple(near))
                if worth.excess > known.excess:
                    continue
                point, known = tuple(near), worth
                if worth.excess == 0 and worth.cycles < SLOWEST:
                    self.witness(point)
                    compared += 1
                    if compared % (samples // starts) == 0:
                        break
        return compared

    def witness(self, point: Point) -> None:
        """Price a point that fits by `evaluate`, and check cycles, cost and limits."""
        worth = self.price(point)
        engine = self._engine(point[: len(self.engine_sizes)])
        assert engine is not None
        widths, double, place, columns, _, _ = engine
        room = self.field.room(widths, place, double)
        steps = room.best_steps(columns)
        assert steps is not None
        graph = self.field.graph
        settled = tuple(
            sorted(pair for arc in worth.arcs for pair in graph.arcs[arc].settled)
        )
        way = Way(int(worth.cycles), worth.cost, worth.arcs, settled)
        blocks = room.measured(columns, steps, FEWEST_LUTS)
        found = Found(
            widths=widths,
            double=double,
            place=place,
            columns=columns,
            steps=steps,
            way=way,
            blocks=blocks,
        )
        design, choice = design_of(self.problem, found)
        report = evaluate(design)
        assert report.latency_cycles == worth.cycles, (report.latency_cycles, worth)
        assert not report.resources.shortfall(self.problem.board.usable)
        assert sum(c[o] for c, o in zip(self._costs, choice, strict=True)) == worth.cost


def excess_of(room: Room, columns: dict[Role, int]) -> float:
    """Return by how much an engine misses the board's limits; 0 if it fits."""
    limits = room.limits
    base = {k: 0 for k in KINDS}
    picked = []
    for role, column in columns.items():
        area = room.areas[role]
        parts = [
            {k: int(getattr(part, k)[column]) for k in KINDS}
            for part in (area.base, area.step)
        ]
        for kind in KINDS:
            base[kind] += parts[0][kind]
        picked.append((parts[1], int(area.steps[column])))
    left = limits["dsp"] - base["dsp"]
    for step, most in sorted(picked, key=lambda p: p[0]["lut"] / max(p[0]["dsp"], 1)):
        if step["lut"] < 0 < left:
            taken = min(most, left // max(step["dsp"], 1))
            left -= taken * step["dsp"]
            for kind in KINDS:
                base[kind] += taken * step[kind]
    over = sum(
        max(0.0, base[kind] / limit - 1) if limit else float(base[kind] > 0)
        for kind, limit in limits.items()
    )
    if 0 < over < NEARLY and room.best_steps(columns) is not None:
        over = 0.0
    return over + mismatch(room, columns)


def mismatch(room: Room, columns: dict[Role, int]) -> float:
    """Return 0 if the lane counts of neighbours divide each other."""
    total = 0.0
    roles = [role for role in Role if role in columns]
    for left, right in pairwise(roles):
        grids = room.grids
        a = int(grids[left].lanes_out[grids[left].lane_of[columns[left]]])
        b = int(grids[right].lanes_in[grids[right].lane_of[columns[right]]])
        if a % b and b % a:
            total += min(a % b, b % a) / max(a, b)
    return total
