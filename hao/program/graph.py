"""Every way to run a network, as a graph: what the options of all layers amount to.

A node is a position between steps with the options, chosen before it, on which steps
behind it still depend (mostly none). An *arc* is one run of the engine under one option
of each site that it settles. A way from the first to the last node is a partition of
the network together with an option of every site; its arcs' costs add up to the
accuracy cost of these options. Steps in which nothing runs are passed over: their cost
and options are part of the arc behind them, or of how a way ends.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hao.cost.catalogue import Needs
from hao.ir.layer import Conv, Linear, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer, Invocation, Role
from hao.ir.sparsity import FULL, density_of, stored_density
from hao.ir.tensor import MAX_BITS, MIN_BITS
from hao.options.frame import Frame, PricedRun, Site

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FAR = np.int64(1) << 50
"""Cycles or costs of what cannot be; far above any real one, far below overflow."""

ROLES = tuple(Role)

ABSENT = -1
"""Weight bits of a stage that a run does not use, or that an engine does not have."""

Settled = tuple[tuple[int, int], ...]
"""Sites with their chosen options."""


@dataclass(frozen=True, slots=True)
class Arc:
    """A run between two nodes.

    Attributes:
        start: Node before it.
        end: Node behind it.
        run: Index of what runs, in `Graph.runs`, or of what takes as long.
        invocation: What runs.
        cost: Accuracy cost of the options that it settles [micro-points].
        settled: These options.
    """

    start: int
    end: int
    run: int
    invocation: Invocation
    cost: int
    settled: Settled


@dataclass(frozen=True, slots=True)
class Finish:
    """How a way may end at a node: what blocks left out behind it cost."""

    node: int
    cost: int
    settled: Settled


@dataclass(frozen=True, kw_only=True)
class Graph:
    """All arcs between all nodes.

    Attributes:
        position: Position of each node, ascending; the first is the source.
        arcs: By start, then end.
        finishes: How a way may end.
        runs: What may run; runs that cost the same are one.
        shapes: Number of each run's shape: runs that differ in bits only share it.
        edges: Positions that no arc reaches across; between them lie chains.
    """

    position: Ints
    arcs: tuple[Arc, ...]
    finishes: tuple[Finish, ...]
    runs: tuple[PricedRun, ...]
    shapes: tuple[int, ...]
    edges: tuple[int, ...]

    @cached_property
    def start(self) -> Ints:
        """Return the start node of each arc."""
        return np.array([arc.start for arc in self.arcs], dtype=np.int64)

    @cached_property
    def end(self) -> Ints:
        """Return the end node of each arc."""
        return np.array([arc.end for arc in self.arcs], dtype=np.int64)

    @cached_property
    def shapes_at_places(self) -> float:
        """Return how many shapes of runs there are between two positions, on average.

        Runs that differ in bits only have one shape.
        """
        ends = zip(self.position[self.start], self.position[self.end], strict=True)
        places = list(ends)
        shapes = {
            (*place, self.shapes[arc.run])
            for place, arc in zip(places, self.arcs, strict=True)
        }
        return len(shapes) / max(1, len(set(places)))

    @cached_property
    def cost(self) -> Ints:
        """Return the cost of each arc [micro-points]."""
        return np.array([arc.cost for arc in self.arcs], dtype=np.int64)

    @cached_property
    def run(self) -> Ints:
        """Return the run of each arc."""
        return np.array([arc.run for arc in self.arcs], dtype=np.int64)

    @cached_property
    def shape(self) -> Ints:
        """Return the shape of each run."""
        return np.array(self.shapes, dtype=np.int64)

    @cached_property
    def bits(self) -> Ints:
        """Return the weight bits of each arc's run by stage, of shape (arcs, 3).

        They are 0 where a stage only pools, `ABSENT` where it does not take part.
        """
        of_run = np.full((len(self.runs), len(ROLES)), ABSENT, dtype=np.int64)
        for number, run in enumerate(self.runs):
            for (role, _), bits in zip(run.invocation.stages, run.bits, strict=True):
                of_run[number, ROLES.index(role)] = bits
        result: Ints = of_run[self.run]
        return result

    @cached_property
    def most(self) -> Ints:
        """Return the widest stages that each arc's run is of use on, (arcs, 3)."""
        of_run = np.full((len(self.runs), len(ROLES)), MAX_BITS, dtype=np.int64)
        for number, run in enumerate(self.runs):
            for (role, _), bits in zip(run.invocation.stages, run.most, strict=True):
                of_run[number, ROLES.index(role)] = bits
        result: Ints = of_run[self.run]
        return result

    @cached_property
    def skips(self) -> Bools:
        """Return in which stages each arc's run leaves out words, (arcs, 3)."""
        of_run = np.zeros((len(self.runs), len(ROLES)), dtype=np.bool_)
        for number, run in enumerate(self.runs):
            for role, layer in run.invocation.stages:
                pruned = isinstance(layer, DenseLayer) and stored_density(layer) < FULL
                of_run[number, ROLES.index(role)] = pruned
        result: Bools = of_run[self.run]
        return result

    @cached_property
    def alike(self) -> Ints:
        """Return a number for each arc that arcs of one place and shape share."""
        key = np.stack([self.start, self.end, self.shape[self.run]])
        _, group = np.unique(key, axis=1, return_inverse=True)
        result: Ints = group.reshape(-1)
        return result

    @cached_property
    def by_shape(self) -> Ints:
        """Return the arcs by `alike`, then by cost."""
        return np.lexsort((self.cost, self.alike))

    def with_costs(self, sites: Sequence[Site]) -> "Graph":
        """Return the graph with other accuracy costs of the same options.

        Args:
            sites: Of the frame that the graph is of, but for their costs.
        """

        def cost(settled: Settled) -> int:
            return sum(sites[site].costs[option] for site, option in settled)

        return replace(
            self,
            arcs=tuple(replace(arc, cost=cost(arc.settled)) for arc in self.arcs),
            finishes=tuple(replace(f, cost=cost(f.settled)) for f in self.finishes),
        )

    def come_and_go(self, allowed: Bools) -> tuple[Ints, Ints]:
        """Return the least cost up to each node, and from it on.

        Args:
            allowed: Arcs that may be taken, of shape (..., arcs).

        Returns:
            Two arrays of shape (..., nodes) [micro-points], at least `FAR` where there
            is no way.
        """
        shape = (*allowed.shape[:-1], self.position.size)
        come = np.full(shape, FAR, dtype=np.int64)
        go = np.full(shape, FAR, dtype=np.int64)
        come[..., 0] = 0
        cost = np.where(allowed, self.cost, FAR)
        for node in range(1, self.position.size):
            into = self._into[node]
            if into.size:
                ways = come[..., self.start[into]] + cost[..., into]
                come[..., node] = np.minimum(ways.min(axis=-1), FAR)
        for finish in self.finishes:
            go[..., finish.node] = np.minimum(go[..., finish.node], finish.cost)
        for node in range(self.position.size - 1, -1, -1):
            out = self._out[node]
            if out.size:
                ways = go[..., self.end[out]] + cost[..., out]
                go[..., node] = np.minimum(go[..., node], ways.min(axis=-1))
        return come, go

    @cached_property
    def _into(self) -> list[Ints]:
        return [np.flatnonzero(self.end == n) for n in range(self.position.size)]

    @cached_property
    def _out(self) -> list[Ints]:
        return [np.flatnonzero(self.start == n) for n in range(self.position.size)]

    def within(self, allowed: Bools, spend: int) -> Bools:
        """Return the arcs that lie on a way of allowed arcs of at most a cost."""
        come, go = self.come_and_go(allowed)
        through = come[..., self.start] + self.cost + go[..., self.end]
        result: Bools = allowed & (through <= spend)
        return result

    def needs(self, allowed: Bools) -> dict[Role, Needs]:
        """Return the layers that each stage has to run, of stages that run any."""
        # Runs that are alike ask for the same buffers: one of each shape will do.
        found: dict[Role, list[DenseLayer | DepthwiseLayer]] = {}
        shapes = self.shape[self.run[allowed]]
        _, first = np.unique(shapes, return_index=True)
        for arc in np.flatnonzero(allowed)[first]:
            for role, layer in self.runs[self.run[arc]].invocation.stages:
                found.setdefault(role, []).append(layer)
        return {r: Needs(tuple(found[r])) for r in ROLES if r in found}


def build_graph(frame: Frame) -> Graph:
    """Return the graph of a frame.

    Args:
        frame: Sites and steps.
    """
    return _Builder(frame).graph()


class _Builder:
    """Nodes, arcs and runs under construction."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._nodes: dict[tuple[int, Settled], int] = {}
        self._runs: dict[Hashable, int] = {}
        self._shapes: dict[Hashable, int] = {}
        self._found: list[PricedRun] = []
        self._shape_of: list[int] = []

    def graph(self) -> Graph:
        frame = self._frame
        at: list[dict[Settled, None]] = [{} for _ in range(frame.positions + 1)]
        at[0][()] = None
        raw: list[
            tuple[
                tuple[int, Settled], tuple[int, Settled], PricedRun | None, int, Settled
            ]
        ]
        raw = []
        for step in sorted(frame.steps, key=lambda s: (s.start, s.end)):
            alive = self._alive(step.end + 1)
            for state in list(at[step.start]):
                before = dict(state)
                for variant in step.variants:
                    chosen = dict(zip(step.sites, variant.choice, strict=True))
                    if any(before.get(s, o) != o for s, o in chosen.items()):
                        continue
                    known = before | chosen
                    # Layers that are tied in a block which is replaced have no option.
                    behind = tuple((s, known[s]) for s in alive if s in known)
                    settled = tuple(
                        (site, option)
                        for site, option in chosen.items()
                        if frame.sites[site].first >= step.start
                    )
                    cost = sum(frame.sites[s].costs[o] for s, o in settled)
                    at[step.end + 1][behind] = None
                    raw.append(
                        (
                            (step.start, state),
                            (step.end + 1, behind),
                            variant.run,
                            cost,
                            settled,
                        )
                    )
        for place, states in enumerate(at):
            for state in states:
                self._nodes[place, state] = len(self._nodes)
        arcs, skips = [], []
        for start, end, run, cost, settled in raw:
            ends = self._nodes[start], self._nodes[end]
            if run is None:
                skips.append((*ends, cost, settled))
            else:
                arcs.append(
                    Arc(*ends, self._number(run), run.invocation, cost, settled)
                )
        last = self._nodes[frame.positions, ()]
        ways = _passed_over(skips, len(self._nodes))
        joined = [
            replace(a, start=start, cost=cost + a.cost, settled=settled + a.settled)
            for a in arcs
            for start, cost, settled in ways[a.start]
        ]
        position = np.array([place for place, _ in self._nodes], dtype=np.int64)
        crossed = np.zeros(frame.positions + 1, dtype=np.bool_)
        for arc in joined:
            crossed[position[arc.start] + 1 : position[arc.end]] = True
        for node, _, _ in ways[last]:
            crossed[position[node] + 1 : frame.positions] = True
        edges = tuple(int(p) for p in np.flatnonzero(~crossed))
        ordered = tuple(sorted(joined, key=lambda a: (a.start, a.end, a.run)))
        return Graph(
            position=position,
            arcs=ordered,
            finishes=tuple(Finish(*way) for way in ways[last]),
            runs=tuple(self._found),
            shapes=tuple(self._shape_of),
            edges=edges,
        )

    def _alive(self, place: int) -> tuple[int, ...]:
        """Return the sites on which steps on both sides of a position depend."""
        return tuple(
            number
            for number, site in enumerate(self._frame.sites)
            if site.first < place <= site.last
        )

    def _number(self, run: PricedRun) -> int:
        shape = likeness(run.invocation)
        key = shape, run.bits, run.most
        if key not in self._runs:
            self._runs[key] = len(self._found)
            self._found.append(run)
            self._shape_of.append(self._shapes.setdefault(shape, len(self._shapes)))
        return self._runs[key]


Way = tuple[int, int, Settled]


def _passed_over(
    skips: Iterable[tuple[int, int, int, Settled]], nodes: int
) -> list[list[Way]]:
    """Return for every node the ways to it on which nothing runs, none included."""
    ways: list[list[Way]] = [[(node, 0, ())] for node in range(nodes)]
    for start, end, cost, settled in sorted(skips, key=lambda skip: skip[0]):
        ways[end] += [(s, c + cost, t + settled) for s, c, t in ways[start]]
    return ways


def likeness(invocation: Invocation) -> Hashable:
    """Return what of an invocation its price depends on: all but the names."""
    stages = tuple(
        (
            role,
            type(layer),
            layer.ifm,
            layer.ofm,
            (
                None
                if isinstance(layer, Linear)
                else (layer.kernel, layer.stride, layer.padding)
            ),
            layer.passes if isinstance(layer, DenseLayer) else 1,
            layer.planes if isinstance(layer, Conv) else 1,
            density_of(layer),
            not isinstance(layer, Pool) and layer.multiplied,
        )
        for role, layer in invocation.stages
    )
    return (
        stages,
        invocation.ifm,
        invocation.stage_ofm,
        invocation.ofm,
        invocation.residual,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """One combination of stage widths.

    Attributes:
        bits: Weight width of each stage; `ABSENT` for one that is not built.
        passes: Stages that may run layers in two passes.
        skips: Stages that may leave out words of pruned layers.
        allowed: Arcs whose weights are no wider, on ways from end to end.
        needs: Layers that each stage may have to run; what buffers are sized for.
        floor: Least accuracy cost of any way [micro-points].
    """

    bits: Mapping[Role, int]
    passes: frozenset[Role]
    skips: frozenset[Role]
    allowed: Bools
    needs: Mapping[Role, Needs]
    floor: int


def _order(widths: Widths) -> tuple[int, list[int]]:
    """Return the key of an order in which the cheapest come first, then the widest."""
    return widths.floor, [-widths.bits[role] for role in ROLES]


def at_costs_of(graph: Graph, every: Sequence[Widths]) -> list[Widths]:
    """Return combinations of stage widths with the floors of a graph, cheapest first.

    Args:
        graph: Differs from that of the combinations in accuracy costs only.
        every: The combinations.
    """
    _, go = graph.come_and_go(np.stack([widths.allowed for widths in every]))
    made = [
        replace(widths, floor=int(floor))
        for widths, floor in zip(every, go[:, 0], strict=True)
    ]
    return sorted(made, key=_order)


def width_combinations(graph: Graph) -> list[Widths]:
    """Return every combination of stage widths that runs the network, cheapest first.

    A stage that the network can do without may be left out too, and one that may run
    layers in two passes, or leave out words, may be built without. Of equal cost, the
    widest come first.
    """
    offered: list[list[tuple[int, bool, bool]]] = []
    twice = graph.most < MAX_BITS
    for number in range(len(ROLES)):
        found = {int(bits) for bits in graph.bits[:, number]}
        wide_ = sorted(bits for bits in found if bits > 0) or [MIN_BITS]
        widest = graph.most[twice[:, number], number].max(initial=0)
        least = graph.bits[twice[:, number], number].min(initial=MAX_BITS)
        ways = [(bits, False) for bits in wide_]
        ways += [(bits, True) for bits in wide_ if least <= bits <= widest]
        skips = [False, True] if graph.skips[:, number].any() else [False]
        built = [(*way, skip) for way in ways for skip in skips]
        absent = [(ABSENT, False, False)]
        offered.append(absent + built if found != {ABSENT} else absent)
    combinations = list(product(*offered))
    wide, passes, skips_ = (
        np.array([[way[n] for way in each] for each in combinations]) for n in range(3)
    )
    allowed: Bools = np.all(
        (graph.bits[None] <= wide[:, None])
        & (~twice[None] | passes[:, None] & (wide[:, None] <= graph.most[None]))
        & (~graph.skips[None] | skips_[:, None]),
        axis=-1,
    )
    come, go = graph.come_and_go(allowed)
    through = come[:, graph.start] + graph.cost + go[:, graph.end]
    allowed &= through < FAR
    result = []
    known: dict[bytes, dict[Role, Needs]] = {}
    for ways_, mask, floor in zip(combinations, allowed, go[:, 0], strict=True):
        if floor >= FAR:
            continue
        layers = np.unique(graph.shape[graph.run[mask]]).tobytes()
        if layers not in known:
            known[layers] = graph.needs(mask)
        result.append(
            Widths(
                bits={role: way[0] for role, way in zip(ROLES, ways_, strict=True)},
                passes=frozenset(
                    r for r, (_, both, _) in zip(ROLES, ways_, strict=True) if both
                ),
                skips=frozenset(
                    r for r, (_, _, skip) in zip(ROLES, ways_, strict=True) if skip
                ),
                allowed=mask,
                needs=known[layers],
                floor=int(floor),
            )
        )
    return sorted(result, key=_order)
