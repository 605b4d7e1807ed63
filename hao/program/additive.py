"""Bounds of ways that add up run by run: what runs take alone, and their options.

`hao.program.sweep` is exact about what a run loads beside the one before it, which
takes a look at every pair of runs that may follow each other. Here a run takes what it
takes alone, and of options that leave its shape as it is only the cheapest counts. That
is a lower bound for a fiftieth of the time: what it excludes need not be swept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.gather import alone_of
from hao.program.run_table import Row
from hao.program.sweep import Net
from hao.program.tables import Choice, Tables

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CACHED = 4_096
"""Engines that are bounded side by side: what they take fits a cache (chosen here)."""


@dataclass(frozen=True, slots=True)
class _Arc:
    """Runs of one shape between two nodes.

    Attributes:
        end: Node behind them.
        place: Place of the shape in `Additive.runs`.
        loads: Least cycles that each of them loads before it starts.
        costs: Their accuracy costs [micro-points].
    """

    end: int
    place: int
    loads: Floats
    costs: Floats


@dataclass(frozen=True, kw_only=True)
class Additive:
    """A net whose runs add up.

    Attributes:
        tables: Prices, of one buffering.
        runs: One run of each shape.
        arcs: What may follow a node; nodes descend.
        finishes: Least cost of ending at a node, where ways may end [micro-points].
    """

    tables: Tables
    runs: tuple[int, ...]
    arcs: Mapping[int, Sequence[_Arc]]
    finishes: Mapping[int, int]

    def bound(
        self,
        choice: Choice,
        at_best: Mapping[Role, Bools] | None = None,
        *,
        rates: Sequence[float],
        budget: int,
    ) -> Floats:
        """Return bounds of the cost of engines within a budget, at the best price.

        Args:
            choice: Engines, or lane shapes.
            at_best: As `hao.program.gather.periods_of` takes it.
            rates: Prices of accuracy [cycles per micro-point].
            budget: Most cycles.
        """
        found = [np.zeros(0)]
        for start in range(0, len(choice), CACHED):
            some = choice.take(np.arange(start, min(start + CACHED, len(choice))))
            alone = alone_of(self.tables, some, self.runs, at_best)
            cycles = alone.astype(np.float64)
            found.append(
                np.maximum.reduce(
                    [(self._least(cycles, rate) - budget) / rate for rate in rates]
                )
            )
        return np.concatenate(found)

    def _least(self, cycles: Floats, rate: float) -> Floats:
        """Return the least of cycles and priced cost of any way, per engine.

        Args:
            cycles: Of `runs`, of shape (runs, engines).
            rate: Price of accuracy [cycles per micro-point].
        """
        to_go: dict[int, Floats] = {
            node: np.full(cycles.shape[1], rate * cost)
            for node, cost in self.finishes.items()
        }
        for node, arcs in self.arcs.items():
            best = to_go.get(node)
            for arc in arcs:
                more = float((arc.loads + rate * arc.costs).min())
                value = cycles[arc.place] + more
                value += to_go[arc.end]
                best = value if best is None else np.minimum(best, value, out=best)
            assert best is not None, "a node with entries has arcs"
            to_go[node] = best
        return to_go[0]


def additive(net: Net, tables: Tables) -> Additive:
    """Return a net whose runs add up.

    Args:
        net: What ways there are.
        tables: Prices, of one buffering.
    """
    shapes, place = net.graph.shapes, dict[int, int]()
    runs: list[int] = []
    arcs: dict[int, list[_Arc]] = {}
    for node in sorted(net.entries, reverse=True):
        alike: dict[tuple[int, int], list[tuple[float, float]]] = {}
        for entry in net.entries[node]:
            stop = net.stops[entry.stop]
            if shapes[stop.run] not in place:
                place[shapes[stop.run]] = len(runs)
                runs.append(stop.run)
            load = 0.0
            if not tables.double_buffered:
                rows = tables.table(entry.run).serial
                load = float(max(_least(row) for row in rows))
            key = stop.end, place[shapes[stop.run]]
            alike.setdefault(key, []).append((load, float(entry.cost)))
        arcs[node] = [
            _Arc(end, number, *np.array(ways).T)
            for (end, number), ways in alike.items()
        ]
    return Additive(
        tables=tables,
        runs=tuple(runs),
        arcs=arcs,
        finishes={node: finish.cost for node, finish in net.finishes.items()},
    )


def _least(row: Row) -> int:
    """Return the least of a row on any configuration."""
    return row.constant + sum(int(cycles.min()) for cycles in row.terms.values())
