"""The integer program over columns of stages and arcs of a graph.

Pixels at once, buffering and widths of the stages are given; the program picks a column
of every stage, DSP lanes, and a way: partition and options together.

Variables
    x[r,c]   column c of stage r is built                                  binary
    e[r,g]   steps of lanes of stage r onto DSPs, g: columns of equal step integer
    f[a]     arc a is taken: what runs between two nodes, and its options  binary
    E[p]     period of the run that ends before position p [cycles]        >= 0
    A[p]     of it, the run by itself; where a start has several frames    >= 0
    O[n,j]   cycles of the weights loaded before node n, j: port, DDR, and >= 0
             where a start has several frames what is uneven (hao.cost.pairs)

Rows
    one[r]           sum_c x[r,c] = 1
    match[..]        a lane count of one stage needs a matching one next door
    step[r,g]        e[r,g] <= sum_{c in g} steps_c x[r,c]
    dsp, lut, ff, bram_18k, uram, lutram within the board
    flow[n]          as many arcs leave a node as enter it; one leaves the source
    time[k,path]     E >= path of run k                        if an arc of it is taken
    weights[k]       E >= delay of run k + O[n,0], n behind it if an arc of it is taken
    ddr[k]           E >= traffic of run k + O[n,1]            if an arc of it is taken
    late[k]          N E >= (N - 1) A + delay or traffic of run k + N O[n,2 or 3]
    open[n,j,a]      O[n,j] >= what the run of arc a opens with if it is taken
    first            the cycles before anything runs cover what loads then
    fits[a,r]        f[a] <= sum of the columns of r with enough buffer
    other[i]         arcs agree with an earlier answer in at most so many choices

Latency: sum_p E[p] + first (double-buffered), or + weights of every run (not). Rows
that hold "if taken" use the smallest constant that frees them, taken over the columns
in play. The flow makes the program a path problem whose relaxation is tight where the
columns are fixed; options joined by ties or pairs are part of the nodes.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hao.cost.paths import Path
from hao.cost.prices import price_segment
from hao.cost.segment_price import SegmentPrice
from hao.program.engine_rows import EngineRows, Play
from hao.program.graph import Arc, Finish
from hao.program.periods import pair_rows
from hao.program.rows import Program

Terms = list[tuple[int, float]]


def build_program(play: Play) -> Program:
    """Return the program of what is in play."""
    return _Writer(play).program()


class _Writer:
    """A program under construction."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._graph = play.graph
        self._double = play.setting.double_buffered
        self._built = EngineRows(play)
        self._variables, self._rows = self._built.variables, self._built.rows
        self._arc: dict[int, int] = {}
        self._end: dict[int, int] = {}
        self._opening: dict[int, tuple[int, ...]] = {}
        self._prices: dict[int, SegmentPrice] = {}
        self._batch = play.setting.board.batch
        self._alone: dict[int, float] = {}

    def program(self) -> Program:
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
                role: (self._built.first[role], index)
                for role, index in self._play.columns.items()
            },
            steps=self._built.steps,
            arcs=dict(self._arc),
            ends=dict(self._end),
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
        return self._price(self._graph.arcs[arc].run).serial

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
            prices = {arc: self._price(self._graph.arcs[arc].run) for arc in arcs}
            variables = []
            for kind in range(pair_rows(self._batch)):
                name = f"O[{node},{kind}]"
                variable = self._variables.add(name, np.inf, False)
                loads = {arc: price.opening[kind] for arc, price in prices.items()}
                self._covers(f"open[{node},{kind}", variable, loads)
                variables.append(variable)
            self._opening[node] = tuple(variables)
        first = self._variables.add("first", np.inf, False, cycles=1)
        for number in range(2):
            loads = {
                arc: self._price(self._graph.arcs[arc].run).serial[number]
                for arc in leaving[0]
            }
            self._covers(f"first[{number}", first, loads)

    def _covers(self, name: str, variable: int, loads: Mapping[int, Path]) -> None:
        """Write that a variable is at least the load of the arc that is taken."""
        fixed: Terms = []
        for arc, path in loads.items():
            if path.terms:
                self._if_taken(f"{name},{arc}]", variable, path, [], [arc])
            else:
                fixed.append((self._arc[arc], float(path.constant)))
        if fixed:
            self._rows.add(f"{name}]", "<", 0, [(variable, -1.0), *fixed])

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
        period: dict[int, tuple[int, int]] = {}
        for end, _ in runs:
            place = int(graph.position[end])
            if place not in period:
                period[place] = self._period(place)
        for number, ((end, _), arcs) in enumerate(runs.items()):
            variable, alone = period[int(graph.position[end])]
            price = self._price(graph.arcs[arcs[0]].run)
            for path in _merged(price.paths):
                self._if_taken(f"time[{number},{path.label}]", alone, path, [], arcs)
            after = self._opening.get(end)
            if after is None or alone != variable:
                self._on_ddr(number, alone, price, [], arcs)
            if after is not None:
                self._loading(number, (variable, alone), price, after, arcs)
            for role, feasible in price.feasible.items():
                if not feasible.all():
                    self._built.add(
                        f"fits[{number},{role.value}]",
                        "<",
                        0,
                        [(self._arc[arc], 1.0) for arc in arcs],
                        [(role, -feasible.astype(np.float64))],
                    )

    def _period(self, place: int) -> tuple[int, int]:
        """Write the period of a run, and of it the run by itself; return both.

        They are one where a start has one frame and no row adds to the run by itself,
        or where nothing loads beside a run.
        """
        period = self._variables.add(f"E[{place}]", np.inf, False, cycles=1)
        ending = [
            self._price(self._graph.arcs[arc].run)
            for arc in self._play.arcs
            if int(self._graph.position[self._graph.arcs[arc].end]) == place
        ]
        adds = self._batch > 1 or any(price.held.terms for price in ending)
        if not (self._double and adds):
            return period, period
        alone = self._variables.add(f"A[{place}]", np.inf, False)
        self._rows.add(f"alone[{place}]", "<", 0, [(period, -1.0), (alone, 1.0)])
        rows = [row for price in ending for row in (*price.paths, *price.ddr)]
        self._alone[alone] = max(map(_largest, rows))
        return period, alone

    def _loading(
        self,
        number: int,
        variables: tuple[int, int],
        price: SegmentPrice,
        opening: Sequence[int],
        arcs: Sequence[int],
    ) -> None:
        """Write what a run takes with the load of the next one (`besides`)."""
        port, ddr, *late, dense, pointwise = opening
        period, alone = variables
        load = [(port, 1.0)]
        self._if_taken(f"weights[{number}]", period, price.beside, load, arcs)
        self._on_ddr(number, period, price, [(ddr, 1.0)], arcs)
        load = [(dense, 1.0)]
        self._if_taken(f"dense[{number}]", period, price.standing, load, arcs)
        if price.held.terms:
            load = [(pointwise, 1.0), (alone, 1.0)]
            self._if_taken(f"held[{number}]", period, price.held, load, arcs)
        if late:
            self._late(number, variables, price, late, arcs)

    def _on_ddr(
        self,
        number: int,
        variable: int,
        price: SegmentPrice,
        load: Terms,
        arcs: Sequence[int],
    ) -> None:
        """Write that a variable is at least a run's cycles on the DDR, with a load."""
        for path in _merged(price.ddr):
            name = f"ddr[{number},{path.label},{variable}]"
            self._if_taken(name, variable, path, load, arcs)

    def _late(
        self,
        number: int,
        variables: tuple[int, int],
        price: SegmentPrice,
        opening: Sequence[int],
        arcs: Sequence[int],
    ) -> None:
        """Write the rows of frames that load more than others; `besides` sums alike."""
        period, alone = variables
        batch = self._batch
        beside = (("late", [price.beside]), ("late_ddr", _merged(price.ddr)))
        for (kind, rows), load in zip(beside, opening, strict=True):
            for path in rows:
                most = (batch - 1) * self._alone[alone] + batch * self._most(load)
                most += _largest(path)
                entries: Terms = [
                    (period, -batch),
                    (alone, batch - 1),
                    (load, batch),
                    *((self._arc[arc], most) for arc in arcs),
                ]
                self._built.add(
                    f"{kind}[{number},{path.label}]",
                    "<",
                    most - path.constant,
                    entries,
                    list(path.terms.items()),
                )

    def _if_taken(
        self, name: str, variable: int, path: Path, extra: Terms, arcs: Sequence[int]
    ) -> None:
        """Write `variable >= path + extra` if one of some arcs is taken."""
        columns = [
            (role, np.asarray(c, dtype=np.float64)) for role, c in path.terms.items()
        ]
        most = _largest(path) + sum(self._most(v) for v, _ in extra)
        entries: Terms = [(variable, -1.0), *extra]
        entries += [(self._arc[arc], most) for arc in arcs]
        self._built.add(name, "<", most - path.constant, entries, columns)

    def _most(self, variable: int) -> float:
        """Return the largest value of a run by itself, or of a load before a node."""
        if variable in self._alone:
            return self._alone[variable]
        node = next(n for n, pair in self._opening.items() if variable in pair)
        kind = self._opening[node].index(variable)
        values = []
        for arc in self._play.arcs:
            if self._graph.arcs[arc].start != node:
                continue
            price = self._price(self._graph.arcs[arc].run)
            values.append(_largest(price.opening[kind]))
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


def _largest(path: Path) -> float:
    """Return a row's most, of each stage by itself."""
    return path.constant + sum(float(np.max(c, initial=0)) for c in path.terms.values())


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
