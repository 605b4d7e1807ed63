"""The integer program over columns of stages and arcs of a graph.

Pixels at once, buffering and widths of the stages are given; the program picks a column
of every stage, DSP lanes, and a way: partition and options together.

Variables
    x[r,c]   column c of stage r is built                                  binary
    e[r,g]   steps of lanes of stage r onto DSPs, g: columns of equal step integer
    f[a]     arc a is taken: what runs between two nodes, and its options  binary
    E[p]     period of the run that ends before position p [cycles]        >= 0
    O[n], D[n]   port and DDR cycles of the weights loaded before node n   >= 0

Rows
    one[r]           sum_c x[r,c] = 1
    match[..]        a lane count of one stage needs a matching one next door
    step[r,g]        e[r,g] <= sum_{c in g} steps_c x[r,c]
    dsp, lut, ff, bram_18k, uram, lutram within the board
    flow[n]          as many arcs leave a node as enter it; one leaves the source
    time[k,path]     E >= path of run k                        if an arc of it is taken
    weights[k]       E >= delay of run k + O[n], n behind it   if an arc of it is taken
    ddr[k]           E >= traffic of run k + D[n]              if an arc of it is taken
    open[n,a]        O[n] >= what the run of arc a opens with  if it is taken; D alike
    first            the cycles before anything runs cover both of the source
    fits[a,r]        f[a] <= sum of the columns of r with enough buffer
    other[i]         arcs agree with an earlier answer in at most so many choices

Latency: sum_p E[p] + first (double-buffered), or + weights of every run (not). Rows
that hold "if taken" use the smallest constant that frees them, taken over the columns
in play. The flow makes the program a path problem whose relaxation is tight where the
columns are fixed; options joined by ties or pairs are part of the nodes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.cost.columns import Columns, Setting
from hao.cost.loads import load_ddr_row, load_row
from hao.cost.paths import Path
from hao.cost.prices import price_segment
from hao.cost.segment_price import SegmentPrice
from hao.ir.partition import Role
from hao.program.exact import Apart
from hao.program.fit import KINDS, Measure, Room, lanes_match, neighbours
from hao.program.graph import Arc, Finish, Graph
from hao.program.rows import Program, Rows, Variables

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Terms = list[tuple[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What an integer program chooses from.

    Attributes:
        graph: All arcs.
        arcs: Indices of those in play; each on a way from end to end.
        columns: Columns in play of each stage, indices of its grid.
        stages: These columns as the cost model takes them.
        room: Areas and limits.
        setting: Board, pixels at once, widths of activations, buffering.
        measure: Of what blocks to be made small, where that is the objective.
        apart: Earlier answers to stay apart from; arcs cost what it says then.
    """

    graph: Graph
    arcs: tuple[int, ...]
    columns: Mapping[Role, Ints]
    stages: Mapping[Role, Columns]
    room: Room
    setting: Setting
    measure: Measure
    apart: Apart | None = None


def build_program(play: Play) -> Program:
    """Return the program of what is in play."""
    return _Writer(play).program()


class _Writer:
    """A program under construction."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._graph = play.graph
        self._double = play.setting.double_buffered
        self._variables = Variables()
        self._rows = Rows()
        self._first: dict[Role, int] = {}
        self._arc: dict[int, int] = {}
        self._end: dict[int, int] = {}
        self._opening: dict[int, tuple[int, int]] = {}
        self._prices: dict[int, SegmentPrice] = {}

    def program(self) -> Program:
        steps = self._engine()
        self._flow()
        if self._double:
            self._openings()
        self._periods()
        self._others()
        variables = self._variables
        return Program(
            names=tuple(variables.names),
            upper=np.array(variables.upper),
            integer=np.array(variables.integer, dtype=np.bool_),
            cycles=np.array(variables.cycles),
            cost=np.array(variables.cost),
            measure=np.array(variables.measure),
            rows=self._rows,
            columns={
                role: (self._first[role], index)
                for role, index in self._play.columns.items()
            },
            steps=steps,
            arcs=dict(self._arc),
            ends=dict(self._end),
        )

    def _engine(self) -> dict[Role, tuple[tuple[int, Ints], ...]]:
        """Write one column per stage, matching lanes, DSP steps and the board."""
        play, room = self._play, self._play.room
        for role, index in play.columns.items():
            base, _ = play.measure.columns(room.areas[role])
            self._first[role] = len(self._variables.names)
            for column in index:
                self._variables.add(
                    f"x[{role.value},{column}]", 1, True, measure=float(base[column])
                )
            self._add(f"one[{role.value}]", "=", 1, [], [(role, np.ones(index.size))])
        self._matches()
        used: dict[str, Terms] = {kind: [] for kind in KINDS}
        steps: dict[Role, tuple[tuple[int, Ints], ...]] = {}
        for role, index in play.columns.items():
            area = room.areas[role]
            _, per_step = play.measure.columns(area)
            step = np.stack([getattr(area.step, kind)[index] for kind in KINDS])
            kinds, group = np.unique(step, axis=1, return_inverse=True)
            groups = []
            for number, values in enumerate(kinds.T):
                members = group.reshape(-1) == number
                most = int(area.steps[index][members].max())
                if most == 0:
                    continue
                saved = float(per_step[index][members][0])
                variable = self._variables.add(
                    f"e[{role.value},{number}]", most, True, measure=saved
                )
                groups.append((variable, np.flatnonzero(members)))
                self._add(
                    f"step[{role.value},{number}]",
                    "<",
                    0,
                    [(variable, 1.0)],
                    [(role, -(area.steps[index] * members))],
                )
                for kind, value in zip(KINDS, values, strict=True):
                    used[kind].append((variable, float(value)))
            steps[role] = tuple(groups)
        for kind, limit in room.limits.items():
            taken = [
                (role, getattr(room.areas[role].base, kind)[index])
                for role, index in play.columns.items()
            ]
            self._add(kind, "<", limit, used[kind], taken)
        return steps

    def _matches(self) -> None:
        """Write that neighbouring stages exchange channel groups."""
        play = self._play
        for left, right in neighbours(play.columns):
            grids = play.room.grids
            lanes = {
                left: grids[left].lanes_out[grids[left].lane_of[play.columns[left]]],
                right: grids[right].lanes_in[grids[right].lane_of[play.columns[right]]],
            }
            for near, far in ((left, right), (right, left)):
                for count in np.unique(lanes[near]):
                    mate = lanes_match(lanes[far], count)
                    if not mate.all():
                        self._add(
                            f"match[{near.value},{far.value},{count}]",
                            "<",
                            0,
                            [],
                            [
                                (near, (lanes[near] == count).astype(np.float64)),
                                (far, -mate.astype(np.float64)),
                            ],
                        )

    def _flow(self) -> None:
        """Write the arcs, and that they make one way from end to end."""
        graph = self._graph
        balance: dict[int, Terms] = {}
        loads: dict[int, list[tuple[int, tuple[Path, ...]]]] = {}
        for arc in self._play.arcs:
            made = graph.arcs[arc]
            rows = () if self._double else self._loads(arc)
            fixed = not any(row.terms for row in rows)
            serial = float(max((row.constant for row in rows if fixed), default=0))
            variable = self._variables.add(
                f"f[{arc}]", 1, True, cycles=serial, cost=self._cost(made)
            )
            self._arc[arc] = variable
            if not fixed:
                loads.setdefault(int(graph.position[made.end]), []).append((arc, rows))
            balance.setdefault(made.start, []).append((variable, 1.0))
            balance.setdefault(made.end, []).append((variable, -1.0))
        for number, finish in enumerate(graph.finishes):
            if finish.node in balance:
                variable = self._variables.add(
                    f"end[{number}]", 1, True, cost=self._cost(finish)
                )
                balance[finish.node].append((variable, 1.0))
                self._end[number] = variable
        for node in sorted(balance):
            self._rows.add(f"flow[{node}]", "=", 1 if node == 0 else 0, balance[node])
        for place, every in loads.items():
            # Of pruned layers, how long weights load depends on the columns.
            variable = self._variables.add(f"S[{place}]", np.inf, False, cycles=1)
            for arc, rows in every:
                for number, row in enumerate(rows):
                    self._if_taken(f"load[{arc},{number}]", variable, row, [], [arc])

    def _cost(self, made: Arc | Finish) -> int:
        apart = self._play.apart
        return made.cost if apart is None else apart.count(made.settled)[0]

    def _loads(self, arc: int) -> tuple[Path, ...]:
        run = self._graph.runs[self._graph.arcs[arc].run]
        play = self._play
        asked = run.invocation, play.stages, run.weight_bits, play.setting
        return load_row(*asked), load_ddr_row(*asked)

    def _price(self, number: int) -> SegmentPrice:
        if number not in self._prices:
            run = self._graph.runs[number]
            self._prices[number] = price_segment(
                run.invocation, self._play.stages, run.weight_bits, self._play.setting
            )
        return self._prices[number]

    def _openings(self) -> None:
        """Write what must be loaded before each node; once, before the source."""
        leaving: dict[int, list[int]] = {}
        for arc in self._play.arcs:
            leaving.setdefault(self._graph.arcs[arc].start, []).append(arc)
        for node, arcs in sorted(leaving.items()):
            pair = []
            for kind in ("port", "ddr"):
                name = f"{'O' if kind == 'port' else 'D'}[{node}]"
                variable = self._variables.add(name, np.inf, False)
                fixed: Terms = []
                for arc in arcs:
                    price = self._price(self._graph.arcs[arc].run)
                    path = price.opening if kind == "port" else price.opening_ddr
                    if not path.terms:
                        fixed.append((self._arc[arc], float(path.constant)))
                        continue
                    self._if_taken(
                        f"open[{node},{kind},{arc}]", variable, path, [], [arc]
                    )
                if fixed:
                    self._rows.add(
                        f"open[{node},{kind}]", "<", 0, [(variable, -1.0), *fixed]
                    )
                pair.append(variable)
            self._opening[node] = pair[0], pair[1]
        first = self._variables.add("first", np.inf, False, cycles=1)
        for number, variable in enumerate(self._opening[0]):
            self._rows.add(f"first[{number}]", "<", 0, [(first, -1.0), (variable, 1.0)])

    def _periods(self) -> None:
        """Write what limits the period of each run from below."""
        graph = self._graph
        runs: dict[tuple[int, int], list[int]] = {}
        for arc in self._play.arcs:
            made = graph.arcs[arc]
            price = self._price(made.run)
            # Only tiles load weights while they run: else bits do not matter here.
            number = made.run if price.tiled else -1 - graph.shapes[made.run]
            runs.setdefault((made.end, number), []).append(arc)
        period: dict[int, int] = {}
        for end, _ in runs:
            place = int(graph.position[end])
            if place not in period:
                period[place] = self._variables.add(
                    f"E[{place}]", np.inf, False, cycles=1
                )
        for number, ((end, _), arcs) in enumerate(runs.items()):
            variable = period[int(graph.position[end])]
            price = self._price(graph.arcs[arcs[0]].run)
            for path in _merged(price.paths):
                self._if_taken(f"time[{number},{path.label}]", variable, path, [], arcs)
            after = self._opening.get(end)
            more: Terms = []
            if after is not None:
                port, ddr = after
                self._if_taken(
                    f"weights[{number}]", variable, price.beside, [(port, 1.0)], arcs
                )
                more = [(ddr, 1.0)]
            for path in _merged(price.ddr):
                self._if_taken(
                    f"ddr[{number},{path.label}]", variable, path, more, arcs
                )
            for role, feasible in price.feasible.items():
                if not feasible.all():
                    self._add(
                        f"fits[{number},{role.value}]",
                        "<",
                        0,
                        [(self._arc[arc], 1.0) for arc in arcs],
                        [(role, -feasible.astype(np.float64))],
                    )

    def _if_taken(
        self, name: str, variable: int, path: Path, extra: Terms, arcs: Sequence[int]
    ) -> None:
        """Write `variable >= path + extra` if one of some arcs is taken."""
        columns = [
            (role, np.asarray(c, dtype=np.float64)) for role, c in path.terms.items()
        ]
        most = path.constant + sum(float(c.max(initial=0)) for _, c in columns)
        most += sum(self._most(v) for v, _ in extra)
        entries: Terms = [(variable, -1.0), *extra]
        entries += [(self._arc[arc], most) for arc in arcs]
        self._add(name, "<", most - path.constant, entries, columns)

    def _most(self, opening: int) -> float:
        """Return the largest value that a load before a node may need."""
        node = next(n for n, pair in self._opening.items() if opening in pair)
        kind = self._opening[node].index(opening)
        values = []
        for arc in self._play.arcs:
            if self._graph.arcs[arc].start != node:
                continue
            price = self._price(self._graph.arcs[arc].run)
            path = (price.opening, price.opening_ddr)[kind]
            values.append(
                path.constant
                + sum(float(np.max(c, initial=0)) for c in path.terms.values())
            )
        return max(values)

    def _others(self) -> None:
        """Write that a way agrees with each earlier answer in few choices only."""
        apart = self._play.apart
        if apart is None:
            return
        made = [(v, self._graph.arcs[arc].settled) for arc, v in self._arc.items()]
        made += [(v, self._graph.finishes[f].settled) for f, v in self._end.items()]
        counted = [(variable, apart.count(settled)[1:]) for variable, settled in made]
        for number in range(len(apart.answers)):
            terms = [(v, float(same[number])) for v, same in counted if same[number]]
            self._rows.add(f"other[{number}]", "<", apart.overlap[number], terms)

    def _add(
        self,
        name: str,
        sense: str,
        rhs: float,
        entries: Terms,
        columns: Sequence[tuple[Role, Ints | Floats]] = (),
    ) -> None:
        """Write a row; `columns` are coefficients over a stage's columns in play."""
        every = list(entries)
        for role, values in columns:
            start = self._first[role]
            every += [(start + i, float(v)) for i, v in enumerate(values) if v]
        self._rows.add(name, sense, rhs, every)


def _merged(paths: Sequence[Path]) -> list[Path]:
    """Return the paths; if all are over one stage, their maximum as a single one."""
    roles = {role for path in paths for role in path.terms}
    if len(roles) != 1:
        return list(paths)
    (role,) = roles
    columns = [
        np.asarray(path.terms.get(role, 0), dtype=np.int64) + path.constant
        for path in paths
    ]
    longest = np.max(np.broadcast_arrays(*columns), axis=0)
    return [Path("all", 0, {role: longest})]
