"""The last engines of a search: closed one by one, by bounds and by labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.ir.tensor import MAX_BITS
from hao.program.by_cost import Sums, sums_of
from hao.program.dominance import distinct, row_table, undominated
from hao.program.engines import fitting
from hao.program.exact import (
    Outlook,
    Way,
    dual_bound,
    guessed_rate,
    outlooks,
)
from hao.program.fit import Room
from hao.program.gather import periods_of
from hao.program.graph import ABSENT, ROLES, Graph, Widths
from hao.program.hunt import Found, Hunt, Least, dearest, goal_limit, goal_of
from hao.program.labels import best_way
from hao.program.periods import RunPeriods
from hao.program.reach import GUESSED, exact_bound
from hao.program.sweep import Net, make_net, sweep
from hao.program.tables import Choice

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

BATCH = 4_096
"""Engines whose Lagrangian bound is computed side by side (chosen here)."""

CLOSED = 32
"""Engines whose outlook is computed side by side (chosen here)."""

QUICK = 24
"""Fast engines that are tried first where the smallest is sought (chosen here)."""

SPREAD = np.geomspace(2.0**-5, 2.0**5, 9)
"""Prices of accuracy tried on many engines, relative to a guess (chosen here)."""


def try_engines(
    hunt: Hunt,
    members: Sequence[Widths],
    double: bool,
    choice: Choice,
    cycles: Ints,
) -> None:
    """Look for better designs among engines with known least cycles."""
    order = np.argsort(cycles, kind="stable")
    choice, cycles = choice.take(order), cycles[order]
    served = Served(hunt.field.graph, cycles.size)
    for widths in sorted(members, key=widest_first):
        if widths.floor > hunt.cost:
            continue
        open_ = cycles <= hunt.cycles
        if hunt.least is not Least.BLOCKS:
            open_ &= ~served.at(widths)
        rows = np.flatnonzero(open_)
        if rows.size == 0:
            continue
        some = rows[fitting(hunt.field, widths, double, choice.take(rows))]
        served.add(widths, some)
        if some.size:
            close(hunt, widths, double, choice.take(some), cycles[some])


def widest_first(widths: Widths) -> tuple[list[int], int, int]:
    """Return the key of an order in which widths come after all that run theirs too."""
    wide = [-bits for bits in widths.bits.values()]
    return wide, -len(widths.passes), -len(widths.skips)


class Served:
    """Which engines fit at widths that run all that other ones do, nothing slower.

    Whatever runs on narrower stages runs on an engine that is wider too, and in one
    pass a layer is never slower than in two.

    Args:
        graph: What is run.
        count: Engines.
    """

    def __init__(self, graph: Graph, count: int) -> None:
        most = np.where(graph.most < MAX_BITS, graph.most, ABSENT)
        self._twice = most.max(axis=0, initial=ABSENT)
        self._none = np.zeros(count, dtype=np.bool_)
        self._traits = np.zeros((0, 3, len(ROLES)), dtype=np.int64)
        self._fits: list[Bools] = []

    def add(self, widths: Widths, rows: Ints) -> None:
        """Note the engines that fit at some widths."""
        if rows.size:
            fits = self._none.copy()
            fits[rows] = True
            self._traits = np.concatenate([self._traits, _traits(widths)[None]])
            self._fits.append(fits)

    def at(self, widths: Widths) -> Bools:
        """Return the engines that fit at widths that run all that these do."""
        if not self._fits:
            return self._none
        bits, passes, skips = _traits(widths)
        wide, both, leave = self._traits.swapaxes(0, 1)
        runs_all = (wide >= bits) & (leave >= skips)
        runs_all &= (both >= passes) | (wide > self._twice)
        rows = np.flatnonzero(runs_all.all(axis=1))
        fits = [self._none, *(self._fits[row] for row in rows)]
        return np.asarray(np.logical_or.reduce(fits), dtype=np.bool_)


def _traits(widths: Widths) -> Ints:
    """Return bits, passes and skips of every stage, of shape (3, stages)."""
    return np.array(
        [
            [widths.bits[role] for role in ROLES],
            [role in widths.passes for role in ROLES],
            [role in widths.skips for role in ROLES],
        ]
    )


def ways_of(hunt: Hunt, widths: Widths) -> tuple[Net, bool]:
    """Return the ways of at most the cost, and whether all of them cost no more."""
    key = id(widths)
    if key not in hunt.nets:
        graph = hunt.field.graph
        allowed = graph.within(widths.allowed, hunt.cost)
        apart = hunt.apart
        net = make_net(graph, allowed, None if apart is None else apart.count)
        hunt.nets[key] = net, apart is None and dearest(net) <= hunt.cost
    return hunt.nets[key]


def _sums(hunt: Hunt, widths: Widths, net: Net) -> Sums | None:
    """Return the sums of costs in a net, `None` if too many or if answers differ."""
    if hunt.apart is not None:
        return None
    key = id(widths)
    if key not in hunt.sums:
        hunt.sums[key] = sums_of(net, hunt.cost)
    return hunt.sums[key]


def close(
    hunt: Hunt, widths: Widths, double: bool, choice: Choice, cycles: Ints
) -> None:
    """Look for better designs among engines of given widths.

    Args:
        hunt: What is sought.
        widths: Widths at which the engines fit the board.
        double: Whether they double-buffer.
        choice: The engines, the most promising first.
        cycles: Their least cycles.
    """
    net, free = ways_of(hunt, widths)
    case = ClosingTask(hunt, net, widths, double)
    if hunt.least is Least.BLOCKS:
        _close_blocks(case, choice)
        return
    if free and hunt.least is Least.CYCLES:
        # Whatever is fastest is cheap enough: over the lightest ways. The cycles are of
        # a search that may have allowed a higher cost: lower bounds then, not exact.
        _, light = hunt.field.light(hunt.field.graph.within(widths.allowed, hunt.cost))
        case = ClosingTask(hunt, light, widths, double)
        rows, cycles = _fastest(case, choice)
        for row, least in zip(rows, cycles, strict=True):
            if int(least) > hunt.cycles:
                return
            one = choice.take(np.array([row]))
            case.settle_all(one, case.periods(one), case.rate(one))
        return
    sums = _sums(hunt, widths, net)
    for start in range(0, cycles.size, BATCH):
        rows = np.arange(start, min(start + BATCH, cycles.size))
        rows = rows[cycles[rows] <= hunt.cycles]
        if rows.size == 0:
            return
        hunt.counts.bounded += rows.size
        prune = sums is None
        some, periods, bound, rates = _bounds(case, choice.take(rows), prune=prune)
        if sums is not None and len(some):
            bound = exact_bound(hunt, sums, periods, double, len(some))
        order = np.argsort(bound, kind="stable")
        for first in range(0, order.size, CLOSED):
            part = order[first : first + CLOSED]
            if float(bound[part[0]]) > goal_limit(hunt) + 1e-3:
                break
            own = periods.take(part)
            case.settle_all(some.take(part), own, rates[part])


def _fastest(case: "ClosingTask", choice: Choice) -> tuple[Ints, Ints]:
    """Return the engines within the hunt's cycles, at any cost, and their cycles."""
    cycles = np.empty(len(choice), dtype=np.int64)
    for start in range(0, cycles.size, BATCH):
        some = case.periods(
            choice.take(np.arange(start, min(start + BATCH, cycles.size)))
        )
        swept = sweep(case.net, some, double_buffered=case.double)
        cycles[start : start + BATCH] = swept.total
    order = np.argsort(cycles, kind="stable")
    order = order[cycles[order] <= case.hunt.cycles]
    return order, cycles[order]


@dataclass(frozen=True, slots=True)
class ClosingTask:
    """Engines of given widths and buffering under a hunt."""

    hunt: Hunt
    net: Net
    widths: Widths
    double: bool

    def periods(self, choice: Choice) -> RunPeriods:
        """Return the periods of engines."""
        return periods_of(self.hunt.field.tables(self.double), choice, self.net.runs)

    def rate(self, choice: Choice) -> Floats:
        """Return a guess of the price of accuracy for each engine."""
        rates, key = self.hunt.rates, (id(self.widths), self.double)
        if key not in rates:
            rates[key] = self.hunt.rate or self._guess(choice)
        return np.full(len(choice), rates[key])

    def _guess(self, choice: Choice) -> float:
        some = self.periods(choice.take(np.arange(min(GUESSED, len(choice)))))
        return guessed_rate(self.net, some, self.double)

    def outlooks(self, periods: RunPeriods, rates: Floats) -> list[Outlook | None]:
        """Return what is to come for engines side by side."""
        hunt = self.hunt
        return outlooks(
            self.net,
            periods,
            double_buffered=self.double,
            goal=goal_of(hunt.least),
            budget=hunt.cycles,
            spend=hunt.cost,
            rates=rates,
        )

    def way(self, periods: RunPeriods, outlook: Outlook) -> Way | None:
        """Return the best way of one engine within the limits, if there is one."""
        hunt = self.hunt
        hunt.counts.closed += 1
        return best_way(
            self.net,
            periods,
            outlook,
            double_buffered=self.double,
            goal=goal_of(hunt.least),
            budget=hunt.cycles,
            spend=hunt.cost,
            apart=hunt.apart,
        )

    def settle_all(self, choice: Choice, periods: RunPeriods, rates: Floats) -> None:
        """Keep the best design of each engine that has a better one."""
        for place, outlook in enumerate(self.outlooks(periods, rates)):
            limit = goal_limit(self.hunt)
            if outlook is None or outlook.least > limit + 1e-3:
                continue
            one = np.array([place])
            way = self.way(periods.take(one), outlook)
            if way is not None:
                self.keep(choice.take(one), way)

    def keep(self, one: Choice, way: Way) -> None:
        """Keep a design of one engine that fits the board."""
        columns, room = self.columns(one), self.room(one)
        steps = room.best_steps(columns, self.hunt.measure)
        assert steps is not None, "the engine fits"
        self.hunt.take(
            Found(
                widths=self.widths,
                double=self.double,
                place=int(one.pixels[0]),
                columns=columns,
                steps=steps,
                way=way,
                blocks=room.measured(columns, steps, self.hunt.measure),
            )
        )

    def room(self, one: Choice) -> Room:
        """Return the room of one engine's pixels."""
        return self.hunt.field.room(self.widths, int(one.pixels[0]), self.double)

    @staticmethod
    def columns(one: Choice) -> dict[Role, int]:
        """Return the columns of one engine."""
        return {role: int(index[0]) for role, index in one.columns.items()}


def _bounds(
    case: ClosingTask, choice: Choice, *, prune: bool
) -> tuple[Choice, RunPeriods, Floats, Floats]:
    """Return the engines within reach, their periods, bounds and best rates.

    Args:
        case: What they are engines of.
        choice: Engines.
        prune: Leave out engines that take at least as long as another one in every row.
    """
    hunt = case.hunt
    every = case.periods(choice)
    if prune:
        first = distinct(every, len(choice))
        choice = choice.take(first)
        every = every.take(first)
    goal, limit = goal_of(hunt.least), goal_limit(hunt) + 1e-3
    bound = np.full(len(choice), -np.inf)
    sharpest = case.rate(choice)
    alive = np.arange(len(choice))
    for spread in (np.ones(1), SPREAD, SPREAD**0.25):
        some = every.take(alive)
        rates = sharpest[None, alive] * spread[:, None]
        swept = sweep(case.net, some, double_buffered=case.double, rate=rates)
        total = np.broadcast_to(np.asarray(swept.total, dtype=np.float64), rates.shape)
        bounds = dual_bound(
            total, rates, goal=goal, budget=hunt.cycles, spend=hunt.cost
        )
        best = bounds.argmax(axis=0)
        across = np.arange(alive.size)
        better = bounds[best, across] > bound[alive]
        sharpest[alive[better]] = rates[best, across][better]
        bound[alive] = np.maximum(bound[alive], bounds[best, across])
        alive = alive[bound[alive] <= limit]
        if alive.size == 0:
            break
    if alive.size:
        key = id(case.widths), case.double
        hunt.rate = float(sharpest[alive[np.argmin(bound[alive])]])
        hunt.rates[key] = hunt.rate
    if prune and alive.size:
        alive = undominated(every, alive[np.argsort(bound[alive])])
    return (
        choice.take(alive),
        every.take(alive),
        bound[alive],
        sharpest[alive],
    )


def _least_blocks(case: ClosingTask, choice: Choice) -> Ints:
    """Return a lower bound of the blocks of engines: every stage by itself."""
    least = np.zeros(len(choice), dtype=np.int64)
    for place in np.unique(choice.pixels):
        here = np.flatnonzero(choice.pixels == place)
        room = case.hunt.field.room(case.widths, int(place), case.double)
        columns = {role: index[here] for role, index in choice.columns.items()}
        least[here] = room.least_measures(columns, case.hunt.measure)
    return least


def _close_blocks(case: ClosingTask, choice: Choice) -> None:
    """Look for designs of fewer blocks, smallest engines first."""
    hunt = case.hunt
    choice = choice.take(np.flatnonzero(_least_blocks(case, choice) <= hunt.blocks))
    if not len(choice):
        return
    choice, periods, _, rates = _bounds(case, choice, prune=False)
    if not len(choice):
        return
    least = _least_blocks(case, choice)
    table = row_table(periods, len(choice))
    # What a fast engine cannot do, no engine that is nowhere faster can.
    quick = np.argsort(table.sum(axis=1), kind="stable")[:QUICK]
    failed: list[int] = []
    order = np.concatenate([quick, np.argsort(least, kind="stable")])
    for row in order:
        if int(least[row]) > hunt.blocks:
            continue
        if failed and (table[failed] <= table[row]).all(axis=1).any():
            continue
        one = choice.take(np.array([row]))
        columns_, room = case.columns(one), case.room(one)
        steps = room.best_steps(columns_, hunt.measure)
        assert steps is not None, "the engine fits"
        if room.measured(columns_, steps, hunt.measure) > hunt.blocks:
            continue
        own = periods.take(np.array([row]))
        (outlook,) = case.outlooks(own, rates[[row]])
        way = None if outlook is None else case.way(own, outlook)
        if way is None:
            failed.append(int(row))
        else:
            case.keep(one, way)
