"""Least cycles of a way through the graph, with a price on accuracy, for many engines.

`Net` is a graph reduced for one purpose: *stops* (a run before a node) and *entries*
(how a stop is reached from a node, with the opening of its run and the cost of its
options). Of entries between the same nodes that differ only in what they open with and
cost, those that another one beats in everything are left out.

`sweep` is the dynamic program over all ways, backwards, for arrays of engines at once.
With a price of `rate` cycles per micro-point it gives the Lagrangian bound: no way of
at most `budget` cycles costs less than (swept - budget) / rate.

Where the depth of buffers is open, a run in tiles may open with few weights and load
the others later; the least of both, each at a depth of its own, counts hardly any. What
port and DDR load of it in all (`RunPeriods.loading`) is no less than the least of their
sum. So a way takes, from the opening of such a run on, no less than that and what
follows, each run taken by its loads; where this is more than what the rows give, the
opening is counted as so much longer. Proof: decision 64.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hao.cost.pairs import paired
from hao.ir.layer import Depthwise, Pool
from hao.ir.sparsity import kept_macs
from hao.program.graph import FAR, Finish, Graph, Settled
from hao.program.periods import Periods, RowPlaces, RunPeriods, Single
from hao.program.tables import tiled_role

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Cycles = NDArray[np.int64] | NDArray[np.float64]
"""Cycles, or cycles plus priced cost."""

MANY_ENTRIES = 24
"""Entries of a node from which on those that matter are picked out (chosen here)."""

FEW_NUMBERS = 65_536
"""Numbers that are computed at a time, where runs and entries meet (chosen here)."""

FEW_SPARED = 4_096
"""Numbers for which runs that no load takes longer than are not told apart (chosen
here)."""

NOTHING: Ints = np.zeros(1, dtype=np.int64)

Rate = float | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stop:
    """A run, the one whose periods it has, and the node behind it."""

    run: int
    end: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A way into a stop.

    Attributes:
        stop: Index of the stop.
        run: Run with whose opening the stop begins.
        cost: Accuracy cost [micro-points].
        arc: Index of the graph's arc.
    """

    stop: int
    run: int
    cost: int
    arc: int


@dataclass(frozen=True, kw_only=True)
class Net:
    """Stops and entries of a graph.

    Attributes:
        graph: Where they are from.
        stops: In the order of the node behind, last first.
        entries: By the node before.
        finishes: Cheapest way to end at a node, where there is one.
    """

    graph: Graph
    stops: tuple[Stop, ...]
    entries: Mapping[int, tuple[Entry, ...]]
    finishes: Mapping[int, Finish]

    @cached_property
    def laid(self) -> dict[int, tuple[RowPlaces, "_LaidNet"]]:
        """Return what is known of where numbers of runs lie, by layout of periods."""
        return {}

    @cached_property
    def runs(self) -> tuple[int, ...]:
        """Return the runs whose periods are asked for."""
        found = {stop.run for stop in self.stops}
        found |= {e.run for entries in self.entries.values() for e in entries}
        return tuple(sorted(found))

    @cached_property
    def ends(self) -> tuple["End", ...]:
        """Return the nodes behind stops with what may follow there, last first."""
        numbers: dict[int, list[int]] = {}
        for number, stop in enumerate(self.stops):
            numbers.setdefault(stop.end, []).append(number)
        return tuple(
            End(
                node=node,
                stops=slice(own[0], own[-1] + 1),
                entries=self.entries.get(node, ()),
                finish=self.finishes.get(node),
            )
            for node, own in numbers.items()
        )

    @cached_property
    def form(self) -> Hashable:
        """Return what the cycles of ways depend on: all but costs and arcs."""
        entries = [
            (node, entry.stop, entry.run)
            for node, found in self.entries.items()
            for entry in found
        ]
        return self.stops, tuple(entries), tuple(self.finishes)


@dataclass(frozen=True, slots=True)
class End:
    """A node behind stops.

    Attributes:
        node: Its number.
        stops: Numbers of the stops before it, which follow each other.
        entries: How it goes on.
        finish: Cheapest way to end there, if there is one.
    """

    node: int
    stops: slice
    entries: tuple[Entry, ...]
    finish: Finish | None


def make_net(
    graph: Graph,
    allowed: Bools,
    count: Callable[[Settled], tuple[int, ...]] | None = None,
) -> Net:
    """Return the net of the allowed arcs.

    Args:
        graph: All arcs.
        allowed: Which of them may be taken.
        count: What the options of an arc count for besides its cost, if anything.
    """
    chosen = np.flatnonzero(allowed)
    run = graph.run[chosen]
    # Runs that differ in bits only share a stop, but where they may run in tiles.
    shape, first = np.unique(graph.shape[run], return_index=True)
    stand_in = dict(zip(shape.tolist(), run[first].tolist(), strict=True))
    of_run = np.arange(len(graph.runs))
    for number in np.unique(run).tolist():
        if tiled_role(graph.runs[number]) is None:
            of_run[number] = stand_in[graph.shapes[number]]
    kept = _unbeaten(graph, chosen, of_run[run], count)
    start, end = graph.start[kept].tolist(), graph.end[kept]
    count_of_runs, nodes = len(graph.runs), graph.position.size
    # Of stops, the last nodes come first.
    keys = (nodes - end) * count_of_runs + of_run[graph.run[kept]]
    unique, place = np.unique(keys, return_inverse=True)
    stops = [
        Stop(key % count_of_runs, nodes - key // count_of_runs)
        for key in unique.tolist()
    ]
    columns = place.reshape(-1), graph.run[kept], graph.cost[kept], kept
    entries: dict[int, list[Entry]] = {}
    for node, *fields in zip(start, *(c.tolist() for c in columns), strict=True):
        entries.setdefault(node, []).append(Entry(*fields))
    finishes: dict[int, Finish] = {}
    for finish in graph.finishes:
        known = finishes.get(finish.node)
        if known is None or finish.cost < known.cost:
            finishes[finish.node] = finish
    return Net(
        graph=graph,
        stops=tuple(stops),
        entries={node: tuple(found) for node, found in entries.items()},
        finishes=finishes,
    )


def _unbeaten(
    graph: Graph,
    chosen: Ints,
    runs: Ints,
    count: Callable[[Settled], tuple[int, ...]] | None,
) -> Ints:
    """Return the arcs that no other to the same stop beats in bits, cost and counts.

    Fewer bits never take longer to load; so an arc with no more bits anywhere, at no
    more cost, does all that the other does.

    Args:
        graph: All arcs.
        chosen: Those of interest, ascending.
        runs: Run of the stop of each.
        count: What the options of an arc count for besides its cost, if anything.
    """
    value = np.column_stack([graph.cost[chosen], graph.bits[chosen]])
    if count is not None:
        counts = [count(graph.arcs[index].settled) for index in chosen.tolist()]
        value = np.column_stack([value, np.array(counts, dtype=np.int64)])
    way = graph.start[chosen] * graph.position.size + graph.end[chosen]
    key = way * len(graph.runs) + runs
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    # Sums grow along the order, so only earlier ones can beat a later one. Stops come
    # in the order of their first arcs.
    group = first[group.reshape(-1)]
    order = np.lexsort((*value.T[::-1], group))
    group, value = group[order], value[order]
    beaten = np.zeros(order.size, dtype=np.bool_)
    for apart in range(1, int(np.bincount(group).max(initial=1))):
        same = np.flatnonzero(group[apart:] == group[:-apart])
        same = same[~beaten[same + apart]]
        beaten[same + apart] = (value[same] <= value[same + apart]).all(axis=1)
    unbeaten: Ints = chosen[order[~beaten]]
    return unbeaten


def lightest(graph: Graph, allowed: Bools) -> Bools:
    """Return, of allowed arcs of one shape, those with the fewest bits.

    No way over the others is faster than one over these. Of equals, the cheapest.
    """
    # By place and shape, then cost; each group of `alike` is a run of this order.
    order = graph.by_shape[allowed[graph.by_shape]]
    group = graph.alike[order]
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    counts = np.diff(np.concatenate([starts, [order.size]]))
    bits = graph.bits[order]
    fewest = np.repeat(np.minimum.reduceat(bits, starts, axis=0), counts, axis=0)
    equal = (bits == fewest).all(axis=1)
    kept = np.zeros_like(allowed)
    numbers = np.repeat(np.arange(starts.size), counts)
    _, first = np.unique(numbers[equal], return_index=True)
    kept[order[equal][first]] = True
    for number in np.flatnonzero(
        np.bincount(numbers[equal], minlength=starts.size) == 0
    ):
        members = order[starts[number] : starts[number] + counts[number]]
        value = graph.bits[members]
        some: list[int] = []
        for index in np.lexsort((*value.T[::-1], value.sum(axis=1))):
            if not some or not (value[some] <= value[index]).all(axis=1).any():
                some.append(int(index))
        kept[members[some]] = True
    return kept


@dataclass(frozen=True, slots=True)
class Swept:
    """Result of a sweep.

    Attributes:
        total: Least cycles plus priced cost of a whole way, per engine.
        to_go: The same from the start of each stop's run on, of shape (stops, ...).
        loads: Per array of `RunPeriods.loading`, by node: the least of what opens a run
            there and what is to go from its start on.
    """

    total: Cycles
    to_go: Cycles
    loads: Sequence[Mapping[int, Cycles]]


@dataclass(frozen=True, slots=True)
class _Laid:
    """Entries side by side, by where their numbers lie.

    Attributes:
        stops: Numbers of their stops.
        rows: Rows of what opens their runs.
        costs: Their costs; `None` where all are 0.
        arcs: Arcs of the graph.
        fixed: Whether each array of `RunPeriods.opening` is alike for all engines.
        tiled: Of the entries whose runs have rows in `RunPeriods.loading`: their
            places, these rows, their stops and the nodes behind them.
    """

    stops: Ints
    rows: Ints
    costs: Ints | None
    arcs: Ints
    fixed: tuple[bool, ...]
    tiled: Sequence[tuple[int, int, int, int]]


@dataclass(frozen=True, slots=True)
class _LaidEnd:
    """A node behind stops: these, rows of their runs, and how it goes on."""

    node: int
    stops: slice
    rows: Ints
    fixed: tuple[bool, ...]
    entries: _Laid | None
    finish: Finish | None


@dataclass(frozen=True, slots=True)
class _LaidNet:
    """A net for periods of a layout.

    Attributes:
        first: Entries of the first node.
        ends: Nodes behind stops, last first.
        computing: Row of the run of each stop.
        end_of: Which of `ends` is behind each stop.
        opening: Rows of what opens the entries of these nodes, one after the other.
        starts: Where those of each node that goes on begin.
        goes_on: Which of `ends` these are.
    """

    first: _Laid
    ends: tuple[_LaidEnd, ...]
    computing: Ints
    end_of: Ints
    opening: Ints
    starts: Ints
    goes_on: Ints


def _laid_entries(net: Net, entries: Sequence[Entry], layout: RowPlaces) -> _Laid:
    rows = np.array([layout.opening[entry.run] for entry in entries])
    costs = np.array([entry.cost for entry in entries], dtype=np.int64)
    half = len(layout.fixed) // 2
    return _Laid(
        stops=np.array([entry.stop for entry in entries]),
        rows=rows,
        costs=costs if costs.any() else None,
        arcs=np.array([entry.arc for entry in entries]),
        fixed=tuple(bool(f[rows].all()) for f in layout.fixed[half:]),
        tiled=[
            (place, layout.loading[e.run], e.stop, net.stops[e.stop].end)
            for place, e in enumerate(entries)
            if e.run in layout.loading
        ],
    )


def _laid_net(net: Net, layout: RowPlaces) -> _LaidNet:
    """Return a net for periods of a layout: made once."""
    known = net.laid.get(id(layout))
    if known is None or known[0] is not layout:
        ends = []
        lay = partial(_laid_entries, net, layout=layout)
        for end in net.ends:
            runs = [stop.run for stop in net.stops[end.stops]]
            rows = np.array([layout.computing[run] for run in runs])
            half = len(layout.fixed) // 2
            ends.append(
                _LaidEnd(
                    node=end.node,
                    stops=end.stops,
                    rows=rows,
                    fixed=tuple(bool(f[rows].all()) for f in layout.fixed[:half]),
                    entries=lay(end.entries) if end.entries else None,
                    finish=end.finish,
                )
            )
        ahead = {n: e.entries.rows for n, e in enumerate(ends) if e.entries is not None}
        sizes = np.array([rows.size for rows in ahead.values()], dtype=np.int64)
        laid = _LaidNet(
            first=lay(net.entries[0]),
            ends=tuple(ends),
            computing=np.concatenate([end.rows for end in ends]),
            end_of=np.repeat(np.arange(len(ends)), [end.rows.size for end in ends]),
            opening=np.concatenate([np.zeros(0, np.int64), *ahead.values()]),
            starts=np.cumsum(sizes) - sizes,
            goes_on=np.array(list(ahead), dtype=np.int64),
        )
        known = net.laid[id(layout)] = layout, laid
    return known[1]


def _taken(
    arrays: Sequence[Ints], kinds: Sequence[int], some: "_Laid | _LaidEnd", wide: bool
) -> list[Ints]:
    """Return rows of some arrays, of shape (rows, 1, engines) where `wide`.

    Rows that are alike for all engines have a last axis of 1.
    """
    taken = [
        (arrays[kind][:, :1] if some.fixed[kind] else arrays[kind]).take(some.rows, 0)
        for kind in kinds
    ]
    return [array[:, None] for array in taken] if wide else taken


def sweep(
    net: Net,
    periods: RunPeriods,
    *,
    double_buffered: bool,
    rate: Rate = 0.0,
    barred: Bools | None = None,
) -> Swept:
    """Return the least of cycles plus `rate` times cost over all ways.

    Args:
        net: What ways there are.
        periods: Of `Net.runs`, for engines side by side.
        double_buffered: Whether weights load while another run computes.
        rate: Price of accuracy [cycles per micro-point]; 0 gives whole cycles. An
            array of shape (m, 1) gives results of shape (m, engines).
        barred: Arcs of the graph that engines cannot take, of shape (arcs, engines);
            `None` for none.
    """
    priced = not (isinstance(rate, float) and rate == 0)
    shape = np.broadcast_shapes((periods.size,), np.shape(rate))
    wide = len(shape) > 1
    to_go: Cycles = np.empty(
        (len(net.stops), *shape), dtype=np.float64 if priced else np.int64
    )
    laid, opening = _laid_net(net, periods.layout), periods.opening
    serial = [len(opening) - 1]
    beside = _Beside(laid, periods, rate) if double_buffered else None

    def ahead(entries: _Laid, kinds: Sequence[int]) -> _Ahead:
        rest: Cycles = to_go.take(entries.stops, axis=0)
        if priced and entries.costs is not None:
            costs = entries.costs.reshape(-1, *(1,) * (rest.ndim - 1))
            rest = np.asarray(rest + rate * costs, dtype=np.float64)
        if barred is not None:
            here = barred[entries.arcs]
            rest = _without(rest, here[:, None] if wide else here)
        return _Ahead(_taken(opening, kinds, entries, wide), rest)

    for number, end in enumerate(laid.ends):
        (alone,) = _taken(periods.computing, [0], end, wide)
        ways: list[Cycles] = []
        if end.finish is not None:
            ways.append(_priced(alone, rate, end.finish.cost))
        if end.entries is not None and beside is None:
            ways.append(alone + ahead(end.entries, serial).opened())
        elif end.entries is not None and beside is not None:
            after = partial(ahead, end.entries)
            ways.append(beside.least(number, alone, after, to_go))
        to_go[end.stops] = reduce(np.minimum, ways)
    loads = beside.loads if beside else ()
    return Swept(ahead(laid.first, serial).opened(), to_go, loads)


class _Beside:
    """Which loads take longer than the runs that they come beside, for some engine.

    Most take less: a run then takes what it takes alone, whatever follows it.

    Args:
        laid: Runs and what follows them.
        periods: For engines side by side, double-buffered.
        rate: As `sweep` takes it.

    Attributes:
        loads: As `Swept.loads`.
    """

    def __init__(self, laid: _LaidNet, periods: RunPeriods, rate: Rate) -> None:
        self._laid, self._periods, self._wide = laid, periods, np.ndim(rate) > 1
        last = {e.node: e.finish.cost for e in laid.ends if e.finish is not None}
        self.loads: list[dict[int, Cycles]] = [
            {node: _priced(NOTHING, rate, cost) for node, cost in last.items()}
            for _ in periods.loading
        ]
        self._spare: list[Ints] = []
        late = np.stack(list(self._late(laid, periods)))
        self._is_late: Bools = np.logical_or.reduce(late)
        # Per node behind stops, places in `Periods.beside` of loads that take longer.
        self._kinds: list[list[int]] = [[] for _ in laid.ends]
        for kind, row in enumerate(late):
            for end in np.unique(laid.end_of[row]).tolist():
                self._kinds[end].append(kind)

    def least(
        self,
        number: int,
        alone: Ints,
        after: Callable[[Sequence[int]], "_Ahead"],
        to_go: Cycles,
    ) -> Cycles:
        """Return the least cycles from the start of the runs before a node on, priced.

        Args:
            number: Which of the ends behind stops.
            alone: Cycles of the runs by themselves.
            after: Gives the entries, with some kinds of what opens these.
            to_go: Of the stops behind it.
        """
        end, kinds = self._laid.ends[number], self._kinds[number]
        late = self._is_late[end.stops]
        if not self.loads:
            entries = after(kinds)
        else:
            count = len(self.loads)
            others = [kind for kind in kinds if kind >= count]
            entries = after([*range(count), *others])
            opens = list(self._opened(end, entries, to_go))
            spare = (self._spare[kind][end.rows] for kind in range(count))
            longer = [o.max() > own for o, own in zip(opens, spare, strict=True)]
            late = np.logical_or.reduce([late, *longer])
            kinds = [kind for kind in range(count) if longer[kind].any()]
            opening = [*(opens[kind] for kind in kinds), *entries.opening[count:]]
            entries, kinds = replace(entries, opening=opening), kinds + others
        beside = [kind + 1 for kind in kinds]
        runs = _taken(self._periods.computing, beside, end, self._wide)
        return entries.least(alone, runs, late)

    def _opened(
        self, end: _LaidEnd, after: "_Ahead", to_go: Cycles
    ) -> Iterator[Cycles]:
        """Yield what opens entries, as late as what their runs load in all says."""
        tiled = () if end.entries is None else end.entries.tiled
        for kind, loads in enumerate(self.loads):
            opens: Cycles = after.opening[kind]
            if tiled:
                opens = np.empty_like(after.rest)
                opens[:] = after.opening[kind]
            for place, row, stop, node in tiled:
                whole = self._periods.loading[kind][row] + loads[node]
                opens[place] = np.maximum(opens[place], whole - to_go[stop])
            least = np.asarray((opens + after.rest).min(axis=0))
            loads[end.node] = np.minimum(loads.get(end.node, least), least)
            yield opens

    def _late(self, laid: _LaidNet, periods: RunPeriods) -> Iterator[Bools]:
        """Yield, per place in `Periods.beside`, at which stops a load takes longer."""
        alone, *beside = periods.computing
        fixed, half = periods.layout.fixed, len(periods.arrays) // 2
        quickest = alone.min(axis=1)
        for kind, here in enumerate(beside):
            load = _most(periods.opening[kind], fixed[half + kind])
            longest = np.full(len(laid.ends), -FAR)
            if laid.starts.size:
                most = np.maximum.reduceat(load[laid.opening], laid.starts)
                longest[laid.goes_on] = most
            spare = quickest - here[:, 0]
            varied = np.flatnonzero(~fixed[1 + kind])
            step = max(1, FEW_NUMBERS // here.shape[1])
            for start in range(0, varied.size, step):
                rows = varied[start : start + step]
                spare[rows] = (alone[rows] - here[rows]).min(axis=1)
            self._spare.append(spare)
            yield longest[laid.end_of] > spare[laid.computing]


def _most(cycles: Ints, fixed: Bools) -> Ints:
    """Return the most cycles of each row, some of which are alike for all engines."""
    most: Ints = cycles[:, 0].copy()
    varied = np.flatnonzero(~fixed)
    if varied.size:
        most[varied] = cycles[varied].max(axis=1)
    return most


def _without(cycles: Cycles, barred: Bools | None) -> Cycles:
    """Return cycles that are out of reach where an engine cannot take a way."""
    return cycles if barred is None else np.asarray(np.where(barred, FAR, cycles))


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The entries of a node side by side, arrays of shape (entries, [1,] engines or 1).

    Attributes:
        opening: Cycles of what opens each (`Periods.opening`), as far as they matter.
        rest: Least cycles from its start on, priced; of shape (entries, m, engines)
            where there are m prices.
    """

    opening: Sequence[Cycles]
    rest: Cycles

    def opened(self) -> Cycles:
        """Return the least cycles where all that opens an entry adds to it."""
        result: Cycles = sum(self.opening, self.rest).min(axis=0)
        return result

    def least(self, alone: Ints, beside: Sequence[Ints], late: Bools) -> Cycles:
        """Return the least cycles from the start of runs on, priced.

        Args:
            alone: Cycles of the runs before by themselves.
            beside: Those to which `opening` is added, side by side.
            late: Runs that some of that takes longer than.
        """
        if not beside:
            return np.asarray(alone + self.rest.min(axis=0))
        if self.rest.size * np.count_nonzero(~late) > FEW_SPARED:
            result: Cycles = np.asarray(alone + self.rest.min(axis=0))
            runs = alone[late], [cycles[late] for cycles in beside]
            result[late] = self._paired(*runs)
            return result
        return self._paired(alone, beside)

    def _paired(self, alone: Ints, beside: Sequence[Ints]) -> Cycles:
        """Return the least cycles from the start of runs on, each pair looked at."""
        opening, rest = self._unbeaten()
        count = max(1, FEW_NUMBERS // rest.size)
        parts = []
        for start in range(0, len(alone), count):
            part = slice(start, start + count)
            here = [cycles[part, None] for cycles in beside]
            periods = paired(alone[part, None], here, cast(Sequence[Ints], opening))
            parts.append((periods + rest).min(axis=1))
        result: Cycles = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return result

    def _unbeaten(self) -> tuple[Sequence[Cycles], Cycles]:
        """Return openings and rests, of many entries those that matter to an engine.

        In the order of what opens them, an entry does not matter where an earlier one
        has no more cycles to go and all earlier ones open no later.
        """
        opens = self.opening
        if len(self.rest) < MANY_ENTRIES:
            return opens, self.rest
        means = [values.reshape(len(values), -1).mean(axis=1) for values in opens]
        order = np.argsort(np.sum(means, axis=0), kind="stable")
        rest = self.rest[order]
        kept = np.ones(rest.shape, dtype=np.bool_)
        kept[1:] = rest[1:] < np.minimum.accumulate(rest)[:-1]
        sorted_ = []
        for values in opens:
            values = values[order]
            late = np.zeros(values.shape, dtype=np.bool_)
            late[1:] = values[1:] < np.maximum.accumulate(values)[:-1]
            kept |= late
            sorted_.append(np.broadcast_to(values, rest.shape))
        place = kept.cumsum(axis=0) - 1
        shape = (int(place[-1].max()) + 1, *rest.shape[1:])
        where = (place[kept], *np.nonzero(kept)[1:])
        packed_rest = np.full(shape, FAR, dtype=rest.dtype)
        packed_rest[where] = rest[kept]
        packed: list[Cycles] = []
        for cycles in sorted_:
            packed.append(np.zeros(shape, dtype=cycles.dtype))
            packed[-1][where] = cycles[kept]
        return packed, packed_rest


def period(here: Periods, after: Periods, *, double_buffered: bool) -> Ints:
    """Return the cycles from the start of a run to that of the one behind it.

    Without double buffering the weights of the latter load between them.
    """
    if not double_buffered:
        return here.alone + after.serial
    return paired(here.alone, here.beside, after.opening)


def _priced(cycles: Cycles, rate: Rate, cost: int) -> Cycles:
    if cost == 0 or (isinstance(rate, float) and rate == 0):
        return cycles
    return np.asarray(cycles + rate * cost, dtype=np.float64)


def through(
    net: Net,
    periods: RunPeriods,
    *,
    double_buffered: bool,
    rate: float = 0.0,
) -> dict[int, float]:
    """Return the least cycles, priced, of any way over each arc, for one engine.

    Args:
        net: What ways there are.
        periods: Of one engine.
        double_buffered: Whether weights load while another run computes.
        rate: Price of accuracy [cycles per micro-point].
    """
    swept = sweep(net, periods, double_buffered=double_buffered, rate=rate)
    go = np.min(swept.to_go, axis=-1).tolist()
    single = periods.singles()
    loads = [
        (whole[:, 0].tolist(), {n: float(np.min(c)) for n, c in behind.items()})
        for whole, behind in zip(periods.loading, swept.loads, strict=False)
    ]
    come = [float(FAR)] * len(net.stops)
    least: dict[int, float] = {}

    def reach(entry: Entry, before: float, here: Single | None) -> None:
        alone, beside, opening, serial = single[entry.run]
        row, late = periods.layout.loading.get(entry.run), list(opening)
        for kind, (whole, behind) in enumerate(() if row is None else loads):
            start = whole[row] + behind[net.stops[entry.stop].end] - go[entry.stop]
            late[kind] = max(late[kind], start)
        after = alone, beside, tuple(late), serial
        arrived = before + took(here, after, double_buffered) + rate * entry.cost
        come[entry.stop] = min(come[entry.stop], arrived)
        whole = arrived + go[entry.stop]
        least[entry.arc] = min(least.get(entry.arc, float(FAR)), whole)

    for entry in net.entries[0]:
        reach(entry, 0.0, None)
    for number in range(len(net.stops) - 1, -1, -1):
        stop = net.stops[number]
        here = single[stop.run]
        for entry in net.entries.get(stop.end, ()):
            reach(entry, come[number], here)
    return least


def runs_of_best(
    net: Net,
    single: Mapping[int, Single],
    to_go: Sequence[float],
    double_buffered: bool,
    rate: float,
) -> set[int]:
    """Return the runs on a way of least cycles, priced, of one engine.

    Args:
        net: What ways there are.
        single: Periods of the engine.
        to_go: Of a sweep of it (`Swept.to_go`).
        double_buffered: Whether weights load while another run computes.
        rate: Price of accuracy of the sweep [cycles per micro-point].
    """
    taken: set[int] = set()
    node: int = 0
    here: Single | None = None
    while True:
        ways = [
            (
                took(here, single[e.run], double_buffered)
                + rate * e.cost
                + to_go[e.stop],
                e,
            )
            for e in net.entries.get(node, ())
        ]
        least = min(ways, key=lambda way: way[0], default=None)
        if here is not None and node in net.finishes:
            ended = here[0] + rate * net.finishes[node].cost
            if least is None or ended <= least[0]:
                return taken
        assert least is not None, "every stop lies on a way from end to end"
        stop = net.stops[least[1].stop]
        taken |= {least[1].run, stop.run}
        node, here = stop.end, single[stop.run]


def took(here: Single | None, after: Single, double_buffered: bool) -> int:
    """Return the cycles from the start of a run, or of a frame, to that of the next.

    Args:
        here: Periods of the run; `None` where nothing runs before.
        after: Of the next one.
        double_buffered: Whether weights load while another run computes.
    """
    alone, beside, _, _ = here or (0, (), (), 0)
    if here is None or not double_buffered:
        return alone + after[3]
    pairs = zip(beside, after[2], strict=True)
    return max(alone, *(cycles + opening for cycles, opening in pairs))


def chain_sweeps(
    net: Net,
    periods: Mapping[int, Periods],
    *,
    double_buffered: bool,
) -> list[Ints]:
    """Return lower bounds of the cycles of every chain of positions.

    A chain lies between positions that no run reaches across. Bounds of all chains, and
    of what is loaded before the first one, add up to a bound of a whole way.

    Args:
        net: What ways there are.
        periods: Lower bounds for the configurations of one stage.
        double_buffered: Whether weights load while another run computes.
    """
    position = net.graph.position
    edges = set(net.graph.edges)
    cut = {n for n in range(position.size) if int(position[n]) in edges}

    lows = {e.run: _lows(periods[e.run]) for es in net.entries.values() for e in es}
    # Where a chain ends, what the next one opens with is all that matters of it.
    behind = {
        node: _undercut([lows[run] for run in {e.run for e in net.entries[node]}])
        for node in cut
        if node in net.entries
    }
    to_go: list[Ints] = []
    for stop in net.stops:
        here = periods[stop.run]

        def until(low: _Lows, here: Periods = here) -> Ints:
            if not double_buffered:
                return here.alone
            return paired(here.alone, here.beside, low)

        ways: list[Ints] = []
        if stop.end in net.finishes:
            ways.append(here.alone)
        if stop.end in cut:
            ways += [until(low) for low in behind.get(stop.end, ())]
        else:
            ways += [
                _entering(
                    until(lows[entry.run]) + to_go[entry.stop],
                    periods[entry.run],
                    double_buffered,
                )
                for entry in net.entries.get(stop.end, ())
            ]
        to_go.append(reduce(np.minimum, ways))
    chains: dict[int, Ints] = {}
    for node in cut:
        if node in net.finishes and node in net.entries:
            # All that lies behind may be left out.
            chains[int(position[node])] = np.zeros(1, dtype=np.int64)
        for entry in net.entries.get(node, ()):
            value = _entering(to_go[entry.stop], periods[entry.run], double_buffered)
            place = int(position[node])
            known = chains.get(place)
            chains[place] = value if known is None else np.minimum(known, value)
    return [chains[place] for place in sorted(chains)]


_Lows = tuple[Ints, ...]
"""Least cycles of what opens a run (`Periods.opening`), by pixels at once."""


def _lows(run: Periods) -> _Lows:
    return tuple(map(_least, run.opening))


def _undercut(lows: Sequence[_Lows]) -> list[_Lows]:
    """Return the openings that no other one undercuts at all pixels at once."""
    kept: list[_Lows] = []
    for low in sorted(lows, key=lambda low: [float(each.sum()) for each in low]):
        if not any(
            all((a <= b).all() for a, b in zip(known, low, strict=True))
            for known in kept
        ):
            kept.append(low)
    return kept


def _entering(cycles: Ints, after: Periods, double_buffered: bool) -> Ints:
    return cycles if double_buffered else cycles + after.serial


def _least(cycles: Ints) -> Ints:
    """Return the least over lane shapes, for each count of pixels."""
    array = np.asarray(cycles)
    return array if array.ndim < 2 else array.min(axis=1, keepdims=True)


def chain_products(net: Net) -> list[int]:
    """Return the fewest products of dense and pointwise layers of every chain."""
    graph = net.graph
    position, edges = graph.position, set(graph.edges)
    products = {}
    for number in net.runs:
        products[number] = sum(
            kept_macs(layer)
            for _, layer in graph.runs[number].invocation.stages
            if not isinstance(layer, Depthwise | Pool)
        )
    to_go: list[int] = []
    cut = {n for n in range(position.size) if int(position[n]) in edges}
    for stop in net.stops:
        following = [to_go[e.stop] for e in net.entries.get(stop.end, ())]
        rest = 0 if stop.end in cut or not following else min(following)
        to_go.append(products[stop.run] + rest)
    chains: dict[int, int] = {}
    for node in cut:
        if node in net.finishes and node in net.entries:
            chains[int(position[node])] = 0
        for entry in net.entries.get(node, ()):
            place = int(position[node])
            chains[place] = min(chains.get(place, int(FAR)), to_go[entry.stop])
    return [chains[place] for place in sorted(chains)]
