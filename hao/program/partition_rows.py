"""Rows of the partition: segments that cover the network, their periods, weight loads.

See `hao.program.build` for what each row says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.cost.loads import load_starts
from hao.cost.memory import ddr_cycles, layer_bytes, port_cycles
from hao.cost.paths import Path
from hao.cost.prices import SegmentPrice, price_segment
from hao.ir.layer import Pool
from hao.ir.partition import Invocation, Segment
from hao.program.bounds import chain_bounds
from hao.program.branch import NEVER
from hao.program.rows import Build

Ints = NDArray[np.int64]


def partition_rows(build: Build) -> tuple[int, ...]:
    """Append segments, periods and everything that limits them; return z's indices."""
    branch = build.branch
    segments = branch.partition.segments
    positions = len(branch.partition.positions)
    double = branch.setting.double_buffered
    starts: list[list[int]] = [[] for _ in range(positions + 1)]
    ends: list[list[int]] = [[] for _ in range(positions)]
    z: list[int] = []
    for index, segment in enumerate(segments):
        starts[segment.start].append(index)
        ends[segment.end].append(index)
        z.append(build.variables.add(f"z[{index}]", 1, True))
    period = {
        position: build.variables.add(f"E[{position}]", np.inf, False, cycles=1)
        for position in range(positions)
        if ends[position]
    }
    build.add("flow[0]", "=", 1, [(z[i], 1) for i in starts[0]])
    for position in range(1, positions):
        entering = [(z[i], 1.0) for i in ends[position - 1]]
        leaving = [(z[i], -1.0) for i in starts[position]]
        build.add(f"flow[{position}]", "=", 0, entering + leaving)
    certain = _certain(segments)
    loads = [
        _load(build, index, z[index], certain=certain[index])
        for index in range(len(segments))
    ]
    waits: dict[int, int] = {}
    for index in range(len(segments)) if not double else starts[0]:
        waiting = build.variables.add(f"wait[{index}]", np.inf, False, cycles=1)
        waits[index] = waiting
        for kind, terms in (("port", loads[index].port), ("ddr", loads[index].ddr)):
            build.add(f"wait[{index},{kind}]", "<", 0, [(waiting, -1.0), *terms])
    for index, segment in enumerate(segments):
        after = starts[segment.end + 1] if double else []
        timing = _Timing(
            build=build,
            variable=z[index],
            period=period[segment.end],
            certain=certain[index],
        )
        _segment_rows(timing, index, [loads[i] for i in after])
    for role, index_of in build.columns.items():
        for low, high, cycles in chain_bounds(branch, role, len(branch.stages[role])):
            covered = [period[p] for p in range(low, high + 1) if p in period]
            if not double:
                covered += [
                    variable
                    for index, variable in waits.items()
                    if low <= segments[index].start <= high
                ]
            build.add(
                f"chain[{low},{role.value}]",
                "<",
                0,
                [(variable, -1.0) for variable in covered],
                [(role, np.where(cycles >= NEVER, 0, cycles)[index_of])],
            )
    return tuple(z)


@dataclass(frozen=True, slots=True)
class _Load:
    """Weights of one segment as terms that are zero unless the segment is used.

    Attributes:
        port: Terms of the weight port's cycles.
        ddr: Terms of the DDR's cycles.
        most_port: Largest value of the port's terms.
        most_ddr: Largest value of the DDR's terms.
    """

    port: list[tuple[int, float]]
    ddr: list[tuple[int, float]]
    most_port: float
    most_ddr: float


def _load(build: Build, index: int, used: int, *, certain: bool) -> _Load:
    """Return the weight loads of a segment, with a variable where bits are free."""
    setting = build.branch.setting
    if setting.double_buffered and build.branch.prices[index].opening.terms:
        return _opening(build, index, used, certain=certain)
    invocation = build.branch.partition.segments[index].invocation
    board = setting.board
    terms: dict[str, list[tuple[int, float]]] = {"port": [], "ddr": []}
    at_port, at_ddr = load_starts(invocation, setting)
    fixed = {"port": at_port, "ddr": at_ddr}
    most = {"port": at_port, "ddr": at_ddr}
    for _, layer in invocation.stages:
        if isinstance(layer, Pool):
            continue
        bits_on_offer = build.choices.bits(layer.name)
        for kind, cycles in (("port", port_cycles), ("ddr", ddr_cycles)):
            values = {
                bits: cycles(layer_bytes(layer, bits, setting.act_bits, board), board)
                for bits in bits_on_offer
            }
            most[kind] += max(values.values())
            if len(values) == 1:
                fixed[kind] += next(iter(values.values()))
                continue
            terms[kind] += [
                (build.choice[layer.name, bits], float(value))
                for bits, value in values.items()
            ]
    result: dict[str, list[tuple[int, float]]] = {}
    for kind in ("port", "ddr"):
        if not terms[kind]:
            result[kind] = [(used, float(fixed[kind]))]
        elif certain:
            result[kind] = [*terms[kind], (used, float(fixed[kind]))]
        else:
            variable = build.variables.add(f"load[{index},{kind}]", np.inf, False)
            build.add(
                f"load[{index},{kind}]",
                "<",
                most[kind] - fixed[kind],
                [(variable, -1.0), (used, float(most[kind])), *terms[kind]],
            )
            result[kind] = [(variable, 1.0)]
    return _Load(result["port"], result["ddr"], most["port"], most["ddr"])


def _opening(build: Build, index: int, used: int, *, certain: bool) -> _Load:
    """Return the weights that a segment which may be tiled opens with.

    They depend on the column (how many tiles) and on the bits; a variable takes the
    most of what the chosen ones ask for.
    """
    invocation = build.branch.partition.segments[index].invocation
    name = invocation.stages[0][1].name
    prices = _prices_by_bits(build, invocation, index)
    result: dict[str, list[tuple[int, float]]] = {}
    most: dict[str, float] = {}
    for kind in ("port", "ddr"):
        variable = build.variables.add(f"open[{index},{kind}]", np.inf, False)
        result[kind] = [(variable, 1.0)]
        needs = []
        for bits, price in prices:
            path = price.opening if kind == "port" else price.opening_ddr
            ((role, cycles),) = path.terms.items()
            needs.append((bits, role, cycles[build.columns[role]]))
        most[kind] = max(float(cycles.max()) for _, _, cycles in needs)
        for bits, role, cycles in needs:
            entries = [(variable, -1.0)]
            rhs = 0.0
            if not certain:
                entries.append((used, most[kind]))
                rhs += most[kind]
            slack = float((cycles - needs[0][2]).max())
            if slack > 0:
                entries.append((build.choice[name, bits], slack))
                rhs += slack
            build.add(
                f"open[{index},{kind},{bits}]", "<", rhs, entries, [(role, cycles)]
            )
    return _Load(result["port"], result["ddr"], most["port"], most["ddr"])


def _certain(segments: Sequence[Segment]) -> list[bool]:
    """Return which segments every partition uses: those that no other overlaps."""
    return [
        all(
            other.end < segment.start or segment.end < other.start
            for other in segments
            if other is not segment
        )
        for segment in segments
    ]


@dataclass(frozen=True, slots=True)
class _Timing:
    """Where the rows of one segment go."""

    build: Build
    variable: int
    period: int
    certain: bool

    def add(
        self,
        name: str,
        path: Path,
        extra: list[tuple[int, float]],
        most_extra: float,
        unless: tuple[int, float] | None = None,
    ) -> None:
        """Append `E >= path + extra if z`, with the smallest constant that frees it.

        Args:
            name: Of the row.
            path: Constant and terms over columns.
            extra: Further terms.
            most_extra: Their largest sum.
            unless: A variable without which the row gives way by so many cycles.
        """
        columns = self.build.columns
        terms = [(r, np.asarray(c)[columns[r]]) for r, c in path.terms.items()]
        entries = [(self.period, -1.0), *extra]
        rhs = -float(path.constant)
        if not self.certain:
            freed = path.constant + sum(float(c.max()) for _, c in terms) + most_extra
            entries.append((self.variable, freed))
            rhs += freed
        if unless is not None and unless[1] > 0:
            entries.append(unless)
            rhs += unless[1]
        self.build.add(name, "<", rhs, entries, terms)


def _segment_rows(timing: _Timing, index: int, after: list[_Load]) -> None:
    """Append the time, weights, ddr and fits rows of one segment."""
    build = timing.build
    invocation = build.branch.partition.segments[index].invocation
    port = [term for load in after for term in load.port]
    ddr = [term for load in after for term in load.ddr]
    most_port = max((load.most_port for load in after), default=0)
    most_ddr = max((load.most_ddr for load in after), default=0)
    least: SegmentPrice | None = None
    for bits, price in _prices_by_bits(build, invocation, index):
        unless = None
        if least is None:
            least = price
        elif price.tiled:
            # Tiles load their own weights: more bits may make them wait.
            (role,) = price.tiled
            more = price.tiled[role] - least.tiled[role]
            slack = float(more[build.columns[role]].max())
            name = invocation.stages[0][1].name
            unless = (build.choice[name, bits], slack)
            if slack == 0:
                continue
        tag = f"{index},{bits}" if unless else f"{index}"
        for path in _merged(price.paths):
            timing.add(f"time[{tag},{path.label}]", path, [], 0, unless)
        if after:
            timing.add(f"weights[{tag}]", price.beside, port, most_port, unless)
        timing.add(f"ddr[{tag}]", price.ddr, ddr, most_ddr, unless)
    assert least is not None
    for role, feasible in least.feasible.items():
        here = feasible[build.columns[role]]
        if not here.all():
            build.add(
                f"fits[{index},{role.value}]",
                "<",
                0,
                [(timing.variable, 1)],
                [(role, -here.astype(np.float64))],
            )


def _prices_by_bits(
    build: Build, invocation: Invocation, index: int
) -> list[tuple[int, SegmentPrice]]:
    """Return the price of a segment at each bits of a tiled layer, fewest bits first.

    Only the weights of tiles within a segment depend on bits here; segments that
    cannot be tiled have one price.
    """
    price = build.branch.prices[index]
    if not price.tiled:
        return [(0, price)]
    name = invocation.stages[0][1].name
    offered = sorted(build.choices.bits(name))
    if len(offered) == 1 and offered[0] == build.branch.scheme[name]:
        return [(offered[0], price)]
    columns = {r: stage.columns for r, stage in build.branch.stages.items()}
    return [
        (
            bits,
            price_segment(invocation, columns, {name: bits}, build.branch.setting),
        )
        for bits in offered
    ]


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
