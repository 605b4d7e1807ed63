"""Cycles of one invocation: what its stages, reader and writer take together.

Reader, stages and writer work side by side, row behind row, joined by streams of a few
words. So an invocation takes as long as its slowest *path*: the time until some process
gets its first input, all of that process's work, and what those behind it still have to
do with its last output. Behind it, again each process may hold up the rows that are
left, or only hand them on. `paths` returns every such path as a constant and one array
per stage, so that the same numbers enter the integer program as rows and the report as
a maximum.

All functions take Python integers or NumPy integer arrays of stage configurations
alike. Their sum over a stage that is chosen is exact; that the slowest path is what the
engine takes was compared with the replay of emitted code (docs/cost_model.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hao.cost.arrival import Arrival
from hao.cost.latency import StageTimes, first_columns, rows_fed, rows_left, rows_needed
from hao.cost.overheads import (
    EXIT_CYCLES,
    POOL_CYCLES,
    SLACK_WORDS,
    STAGE_DEPTH_CYCLES,
    START_CYCLES,
)
from hao.cost.turns import MAX_TURNS
from hao.cost.waits import Waits
from hao.cost.words import Cycles
from hao.ir.layer import Depthwise, Linear, Pool
from hao.ir.partition import Invocation, Role

Terms = dict[Role, Cycles]


@dataclass(frozen=True, slots=True)
class Path:
    """A lower bound on an invocation's cycles: `constant` + sum of stage arrays.

    Attributes:
        label: The processes whose work the path follows, joined by "+": "ifm", a
            role's value, "ofm".
        constant: Cycles that depend on no stage's configuration.
        terms: Cycles per configuration of each stage in use.
    """

    label: str
    constant: int
    terms: Terms

    @property
    def process(self) -> str:
        """Return the process whose work the path follows first."""
        return self.label.partition("+")[0]

    def times(self, count: int) -> "Path":
        """Return the path of so many runs, one behind the other."""
        terms = {role: count * term for role, term in self.terms.items()}
        return replace(self, constant=count * self.constant, terms=terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    """Cycles on the ways in and out of an invocation, per configuration or constant.

    Attributes:
        ifm: Of the port that reads the feature map.
        ofm: Of the port that writes.
        residual: Of the port that reads the residual.
        pack: Until the last stage's pixels are in beats (`pack_cycles`).
        group: Of that, `px` pixels.
        ddr_in: Least cycles of the DDR until the last input is read.
        ddr_out: Least cycles of the DDR from the first output on.
        ddr_left: Of these, what is written, and read to be added to it.
        late: By how much the first rows come later, since weights are read meanwhile.
        arrival: When the input comes from the DDR; `None` if nothing waits for it.
    """

    ifm: Cycles | int
    ofm: Cycles | int
    residual: Cycles | int
    pack: Cycles | int
    group: Cycles | int
    ddr_in: Cycles | int = 0
    ddr_out: Cycles | int = 0
    ddr_left: Cycles | int = 0
    late: Cycles | int = 0
    arrival: Arrival | None = None


def rows_behind(invocation: Invocation) -> int:
    """Return the output rows that cannot leave before the last input row is read."""
    rows = 1
    for index, (role, layer) in enumerate(invocation.stages):
        if role is not Role.POINTWISE:
            rows = rows_left(layer, rows, first=index == 0)
    return rows


def rows_ahead(invocation: Invocation) -> int:
    """Return the input rows that are read before the first output row leaves."""
    rows = 1
    for role, layer in reversed(invocation.stages):
        if isinstance(layer, Linear):
            rows = layer.ifm.height  # every output needs the whole map
        elif role is not Role.POINTWISE:
            rows = rows_needed(layer, rows)
    return rows


def paths(
    invocation: Invocation,
    times: dict[Role, StageTimes],
    transfers: Transfers,
    px: Cycles | int,
) -> tuple[Path, ...]:
    """Return every path of an invocation; its cycles are the largest of them.

    Args:
        invocation: What runs.
        times: Of every stage in use.
        transfers: Those per configuration are of the last stage in use.
        px: Pixels at once, one count or an array.
    """
    chain = _Chain(invocation, times, transfers, px)
    return (*chain.through(), *chain.edges())


def standing_cycles(
    invocation: Invocation,
    times: dict[Role, StageTimes],
    transfers: Transfers,
    px: Cycles | int,
) -> Cycles:
    """Return the cycles in which the array of the first stage stands, until it ended.

    An array takes the weights of the next run only in cycles in which it moves, once an
    iteration. So those that are loaded into it first delay the run to at least these
    cycles and their own.

    Later stages, which may hold the array up longer, are left out; so it is 0 where
    nothing is known of when the input comes. Arguments as in `paths`.

    Source: derived here; compared with the replay (docs/cost_model.md).
    """
    (role, layer), *_ = stages = invocation.stages
    own, arrival = times[role], transfers.arrival
    if arrival is None:
        return np.zeros_like(own.cycles)
    waits = Waits(stages=stages, times=times, arrival=arrival, ahead=0)
    busy = np.maximum(own.lead_in, arrival.first(waits.opening(px))) + own.cycles
    read = np.maximum(np.maximum(transfers.ifm, transfers.ddr_in), own.intake)
    last = transfers.late + read + rows_left(layer, 1, first=True) * own.sweep
    begin = START_CYCLES - EXIT_CYCLES + STAGE_DEPTH_CYCLES
    return np.asarray(begin + np.maximum(busy, last) - own.trips * layer.ofm.height)


@dataclass(frozen=True, slots=True)
class _Sum:
    """Cycles per configuration of stages; what needs no stage is a constant."""

    constant: int
    terms: Terms

    def plus(self, cycles: Cycles | int, role: Role | None) -> "_Sum":
        """Return the sum with more cycles of a stage."""
        more = np.asarray(cycles, dtype=np.int64)
        if more.ndim == 0 and (role is None or role not in self.terms):
            return _Sum(self.constant + int(more), self.terms)
        assert role is not None
        before = self.terms.get(role, np.int64(0))
        return _Sum(self.constant, {**self.terms, role: np.asarray(before + more)})

    def where(self, holds: NDArray[np.bool_]) -> "_Sum":
        """Return the sum with no cycles of stages where a path does not exist."""
        return _Sum(
            self.constant, {r: np.asarray(c * holds) for r, c in self.terms.items()}
        )


class _Chain:
    """The processes of an invocation, one behind another: reader, stages, writer."""

    def __init__(
        self,
        invocation: Invocation,
        times: dict[Role, StageTimes],
        transfers: Transfers,
        px: Cycles | int,
    ) -> None:
        self._stages = invocation.stages
        self._used = [role for role, _ in self._stages]
        self._last = self._used[-1] if self._used else None
        self._times = times
        self._transfers = transfers
        self._px = px
        self._shape = invocation.stage_ofm
        self._has_residual = invocation.residual
        # A global pool writes only after the last pixel, behind every path.
        pooled = invocation.ofm != invocation.stage_ofm
        self._after: Cycles | int = transfers.ofm + POOL_CYCLES if pooled else 0
        moved = 0 if pooled else transfers.ofm
        packed = np.maximum(transfers.pack, moved)
        self._out = np.maximum(packed, transfers.ddr_out)
        self._left = np.maximum(packed, transfers.ddr_left)
        depth = START_CYCLES + STAGE_DEPTH_CYCLES * len(self._used)
        # Codes of last sums, where lanes share multipliers: at most so many turns.
        depth += MAX_TURNS * sum(
            not isinstance(layer, Pool) and layer.multiplied
            for _, layer in self._stages
        )
        self._begin = _Sum(depth, {})
        self._waits = Waits(
            stages=invocation.stages,
            times=times,
            arrival=transfers.arrival,
            ahead=rows_ahead(invocation),
        )

    def through(self) -> Iterator[Path]:
        """Yield the paths of processes that are busy from their first input on."""
        arrival = self._transfers.arrival
        read = np.maximum(self._transfers.ifm, self._transfers.ddr_in)
        if self._used and arrival is not None:
            read = np.maximum(self._transfers.ifm, self._waits.last_input())
        first = self._used[0] if self._used else None
        if first is not None:
            read = np.maximum(read, self._times[first].intake)
        delayed = self._begin.plus(self._transfers.late, self._last)
        yield from self._behind("ifm", delayed.plus(read, first), 0, 1)
        if self._has_residual:
            start = delayed.plus(self._transfers.residual, self._last)
            yield self._path("residual", start)
        for index, (role, _) in enumerate(self._stages):
            own = self._times[role]
            start = self._ready(index).plus(own.cycles, role)
            yield from self._behind(role.value, start, index + 1, 0)
            if index and role is Role.DEPTHWISE:
                start = self._from_first_word(index).plus(own.cycles, role)
                yield from self._behind(f"{role.value}+rows", start, index + 1, 0)
        if self._used or not self._after:
            yield self._path("ofm", self._through(delayed).plus(self._out, self._last))
        if self._used:
            ready = self._ready(len(self._used))
            yield self._path("ofm+held", ready.plus(self._left, self._last))

    def _ready(self, index: int) -> _Sum:
        """Return when a stage begins to send what its first output row needs.

        Or when the last stage has sent it, at the index behind that stage.
        """
        role, layer = self._stages[0]
        own, arrival = self._times[role], self._transfers.arrival
        if index == 0:
            came: Cycles = np.asarray(0)
            if arrival is not None:
                came = arrival.first(self._waits.opening(self._px))
            return self._begin.plus(np.maximum(own.lead_in, came), role)
        work = own.lead_in + self._lead(0) + self._waits.held(0)
        if arrival is not None:
            needed = self._waits.opening(self._px)
            following = self._stages[1][1] if len(self._stages) > 1 else None
            if isinstance(following, Depthwise | Pool):
                rows = rows_needed(layer, rows_needed(following) + 1)
                needed = rows * arrival.row
            # A pipeline's depth takes no time where its iterations wait for input.
            came = arrival.first(needed + self._waits.in_flight())
            work = np.maximum(work, came - STAGE_DEPTH_CYCLES)
        ready = self._begin.plus(work, role)
        for between in range(1, index):
            more = self._lead(between) + self._waits.held(between)
            ready = ready.plus(more, self._used[between])
        return ready

    def _from_first_word(self, index: int) -> _Sum:
        """Return when a stage has its first rows, if it takes them in all the time."""
        first, role = self._used[0], self._used[index]
        own = self._times[first]
        ready = self._begin.plus(own.lead_in + own.group, first)
        return ready.plus(self._times[role].fed, role)

    def _through(self, ready: _Sum) -> _Sum:
        """Return when the first output leaves, with all input there as `ready`."""
        for index, role in enumerate(self._used):
            if index == 0:
                ready = ready.plus(self._times[role].lead_in, role)
            ready = ready.plus(self._lead(index), role)
        return ready

    def _lead(self, index: int) -> Cycles:
        """Return the cycles of a stage until the process behind it can start."""
        own = self._times[self._used[index]]
        if index + 1 < len(self._stages):
            _, following = self._stages[index + 1]
            if isinstance(following, Depthwise | Pool):
                return rows_needed(following) * own.row
        return own.group

    def _behind(
        self, label: str, before: _Sum, index: int, rows: int
    ) -> Iterator[Path]:
        """Yield what stages from `index` on do with the last `rows` rows they get.

        Each stage either takes them slower than the one before, or hands them on;
        `rows` is 0 where only the last pixels are left.
        """
        if index == len(self._stages):
            left = -(-self._left * rows // self._shape.height)
            yield self._path(
                label, before.plus(np.maximum(left, self._transfers.group), self._last)
            )
            return
        role, layer = self._stages[index]
        own = self._times[role]
        if role is not Role.POINTWISE:
            rows = rows_left(layer, max(rows, 1), first=index == 0)
        passed = before.plus(own.group, role)
        yield from self._behind(label, passed, index + 1, rows)
        if rows:
            busy = before.plus(rows * own.sweep, role)
            yield from self._behind(f"{label}+{role.value}", busy, index + 1, 0)

    def edges(self) -> Iterator[Path]:
        """Yield paths that change between processes within every row.

        The first pixels of a row take a depthwise stage longer than the others, while
        what is behind it takes the same for all; few words lie between them.
        """
        if Role.DEPTHWISE not in self._used:
            return
        index = self._used.index(Role.DEPTHWISE)
        layer = self._stages[index][1]
        assert isinstance(layer, Depthwise | Pool)
        groups = -(-layer.ofm.width // np.asarray(self._px))
        if np.all(groups == 1):
            return
        ready = self._ready(index)
        behind, group = self._last, np.asarray(self._transfers.group)
        slack = np.asarray(0)
        if index + 1 < len(self._used):
            behind = self._used[index + 1]
            own = self._times[behind]
            group, slack = own.group, 3 * own.word
        rest: Cycles = np.maximum((groups - 1) * group - slack, 0)
        height = layer.ofm.height
        # The depthwise stage itself at the left edge.
        edge = self._times[Role.DEPTHWISE].edge
        once = ready.plus(height * edge, Role.DEPTHWISE)
        edges = once.plus(height * rest + group, behind)
        yield self._path("depthwise+edge", edges.where(groups > 1))
        if index == 0:
            return
        # What feeds it: the left edge takes so many of a row's words.
        left = first_columns(layer, self._px)
        columns = left + (groups - 1) * layer.stride
        rows, taken = rows_fed(layer)
        before = self._used[index - 1]
        fed = self._times[before]
        share = taken * fed.sweep * left // columns - rows * SLACK_WORDS * fed.word
        start = ready.plus(np.maximum(share, 0), before)
        own_rows = height - rows
        total = rows * rest + (own_rows * groups + 1) * group
        edges = start.plus(total, behind).where(groups > 1)
        yield self._path(f"{before.value}+edge", edges)

    def _path(self, label: str, total: _Sum) -> Path:
        total = total.plus(self._after, self._last)
        return Path(label, total.constant, total.terms)
