"""What every run takes on every stage configuration: prices as tables, made once.

Cycles of a run depend on lane shapes, pixels at once and, where the run may be tiled,
on the depth of one weight buffer; not on the width of a stage. So a table holds each
path of a run as a constant plus one array of shape (pixels, lane shapes) per stage, for
all pixels at once, and serves every combination of widths. Columns that cut a layer
into equally many tiles share a *key*. `Periods` are a table's rows at chosen
configurations, exact or with the depth of buffers relaxed to the best of each row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hao.cost.columns import DenseColumns, Setting
from hao.cost.paths import Path
from hao.cost.prices import price_segment
from hao.cost.tiles import cut_tiles
from hao.cost.words import dense_folds
from hao.hw.board import Board
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import Role
from hao.options.frame import PricedRun
from hao.program.graph import FAR, Graph
from hao.program.loading import Loads, load_paths
from hao.program.run_table import (
    Row,
    RowStore,
    RunTable,
    longest_rows,
    relaxed_table,
)
from hao.program.space import Grid, setting_of

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def tiled_role(run: PricedRun) -> Role | None:
    """Return the stage that may run in tiles, `None` if the run is never tiled."""
    stages = run.invocation.stages
    if len(stages) == 1 and not isinstance(stages[0][1], Depthwise | Pool):
        return stages[0][0]
    return None


class Priced(Protocol):
    """Whatever has a table of every run of a graph."""

    @property
    def pixels(self) -> tuple[int, ...]:
        """Return the pixels at once, in the order of the rows' first axis."""

    @property
    def grids(self) -> Mapping[Role, Grid]:
        """Return the configurations of each stage."""

    @property
    def plans(self) -> dict[object, object]:
        """Return what `hao.program.gather` keeps of how tables are read."""

    @property
    def shelves(self) -> dict[object, object]:
        """Return what it keeps of rows; tables that share runs may share it."""

    @property
    def batch(self) -> int:
        """Return the frames of a start."""

    def table(self, number: int) -> RunTable:
        """Return the table of run `number` of the graph."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """Columns of which each cuts a layer in another way.

    Attributes:
        key_of: Which of them stands for each column, or -1.
        lane_of: Lane shape of each, ascending.
        columns: They.
    """

    key_of: Ints
    lane_of: Ints
    columns: DenseColumns


@dataclass(kw_only=True)
class Tables:
    """Tables of one graph at one buffering, made when they are asked for.

    Attributes:
        graph: What may run.
        board: Where it runs.
        act_bits: Width of the activations.
        pixels: Pixels at once, in the order of the rows' first axis.
        double_buffered: Whether weights load while another run computes.
        grids: Configurations of each stage.
        plans: What `hao.program.gather` keeps of how tables are read.
        shelves: What it keeps of rows.
    """

    graph: Graph
    board: Board
    act_bits: int
    pixels: tuple[int, ...]
    double_buffered: bool
    grids: Mapping[Role, Grid]
    plans: dict[object, object] = field(default_factory=dict)
    shelves: dict[object, object] = field(default_factory=dict)
    _known: dict[int, RunTable] = field(default_factory=dict)
    _shaped: dict[int, RunTable] = field(default_factory=dict)
    _alike: RowStore = field(default_factory=RowStore)
    _loads: Loads = field(default_factory=dict)
    _cuts: dict[int, "_Cut"] = field(default_factory=dict)
    _held: dict[tuple[Role, int], Bools] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """Return the frames of a start."""
        return self.board.batch

    def table(self, number: int) -> RunTable:
        """Return the table of run `number` of the graph."""
        found = self._known.get(number)
        if found is None:
            run = self.graph.runs[number]
            role = tiled_role(run)
            found = self._fused(number) if role is None else self._tiled(number, role)
            self._known[number] = found
        return found

    def made(self, numbers: Iterable[int]) -> frozenset[int]:
        """Return those of some runs whose tables are made, or take next to no time."""
        shapes = self.graph.shapes
        return frozenset(
            n for n in numbers if n in self._known or shapes[n] in self._shaped
        )

    def _fused(self, number: int) -> RunTable:
        """Return the table of a run that is never tiled.

        Runs that differ in bits only share its rows: bits set what opens it.
        """
        run, shape = self.graph.runs[number], self.graph.shapes[number]
        if shape not in self._shaped:
            self._shaped[shape] = self._alike.table(self._computed(run))
        sizes = {role: self.grids[role].lanes for role, _ in run.invocation.stages}
        columns = {role: self.grids[role].shapes() for role in sizes}
        opening, serial = (
            tuple(self._row(path, sizes) for path in paths)
            for paths in load_paths(run, columns, self._setting(), self._loads)
        )
        opening = tuple(map(self._alike.row, opening))
        serial = tuple(map(self._alike.row, serial))
        return replace(self._shaped[shape], opening=opening, serial=serial)

    def _computed(self, run: PricedRun) -> RunTable:
        """Return the table of a run that is never tiled, but for what opens it."""
        invocation, setting = run.invocation, self._setting()
        sizes = {role: self.grids[role].lanes for role, _ in invocation.stages}
        columns = {role: self.grids[role].shapes() for role in sizes}
        price = price_segment(invocation, columns, run.weight_bits, setting)
        least: dict[Role, Ints] = {}
        never: dict[Role, Bools] = {}
        for role, layer in invocation.stages:
            if isinstance(layer, Depthwise | Pool):
                continue
            grid = self.grids[role]
            folds = dense_folds(
                layer, grid.first, act_bits=self.act_bits, board=self.board
            )
            halves = 2 if self.double_buffered else 1
            least[role] = halves * folds * -(-layer.ofm.channels // grid.second)
            never[role] = least[role] > deepest_words(grid)
        return RunTable(
            paths=longest_rows(self._row(path, sizes, never) for path in price.paths),
            beside=self._row(price.beside, sizes),
            standing=self._row(price.standing, sizes),
            held=self._row(price.held, sizes),
            ddr=longest_rows(self._row(path, sizes) for path in price.ddr),
            opening=(),
            serial=(),
            least_words=least,
        )

    def _tiled(self, number: int, role: Role) -> RunTable:
        """Return the table of a run that may be tiled; bits do not set how it is.

        Buffers that the board does not hold at its bits are left out.
        """
        run, shape = self.graph.runs[number], self.graph.shapes[number]
        if shape not in self._cuts:
            self._cuts[shape] = self._cut(run, role)
        setting, cut = self._setting(), self._cuts[shape]
        columns = {role: cut.columns}
        price = price_segment(run.invocation, columns, run.weight_bits, setting)
        sizes = {role: len(cut.columns)}
        table = RunTable(
            paths=longest_rows(self._row(path, sizes) for path in price.paths),
            beside=self._row(price.beside, sizes),
            standing=self._row(price.standing, sizes),
            held=self._row(price.held, sizes),
            ddr=longest_rows(self._row(path, sizes) for path in price.ddr),
            opening=tuple(self._row(path, sizes) for path in price.opening),
            serial=tuple(self._row(path, sizes) for path in price.serial),
            least_words={},
            key_of=np.where(self._holding(role, run.bits[0]), cut.key_of, -1),
        )
        relaxed = relaxed_table(table, role, cut.lane_of, self.grids[role].lanes)
        return self._alike.table(replace(table, relaxed=relaxed))

    def _holding(self, role: Role, bits: int) -> Bools:
        """Return the columns of a stage that weights of so many bits may be on."""
        key = role, bits
        if key not in self._held:
            self._held[key] = self.grids[role].holds(bits, self.board)
        return self._held[key]

    def _cut(self, run: PricedRun, role: Role) -> "_Cut":
        """Return the columns of a stage that cut its layer differently."""
        grid = self.grids[role]
        ((_, layer),) = run.invocation.stages
        assert not isinstance(layer, Depthwise | Pool)
        every = grid.columns(np.arange(grid.words.size), 8)
        assert isinstance(every, DenseColumns)
        tiles = cut_tiles(layer, every, self._setting())
        fits = np.flatnonzero(tiles.feasible)
        most = int(tiles.count.max(initial=0)) + 1
        keys, first, place = np.unique(
            grid.lane_of[fits] * most + tiles.count[fits],
            return_index=True,
            return_inverse=True,
        )
        key_of = np.full(grid.words.size, -1, dtype=np.int64)
        key_of[fits] = place
        return _Cut(key_of, keys // most, every.take(fits[first]))

    def _setting(self) -> Setting:
        return setting_of(
            self.board,
            self.act_bits,
            np.array(self.pixels, dtype=np.int64)[:, None],
            double_buffered=self.double_buffered,
        )

    def _row(
        self,
        path: Path,
        sizes: Mapping[Role, int],
        never: Mapping[Role, Bools] | None = None,
    ) -> Row:
        terms = {}
        for role, cycles in path.terms.items():
            shape = (len(self.pixels), sizes[role])
            full = np.broadcast_to(np.asarray(cycles, dtype=np.int64), shape)
            if never is not None and role in never and never[role].any():
                full = np.where(never[role], FAR, full)
            terms[role] = np.ascontiguousarray(full)
        return Row(constant=int(path.constant), terms=terms)


def deepest_words(grid: Grid) -> Ints:
    """Return the deepest buffer on offer for each lane shape, 0 where there is none."""
    words = np.concatenate([grid.words, [0]])
    count = grid.starts[1:] - grid.starts[:-1]
    last = np.where(count > 0, words[grid.starts[1:] - 1], 0)
    result: Ints = last.astype(np.int64)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Configurations of many engines, side by side.

    Attributes:
        pixels: Place of each engine's pixels at once in the tables' first axis.
        lanes: Lane shape per stage.
        columns: Column per stage; of stages that are left out, the buffer's depth is
            relaxed.
    """

    pixels: Ints
    lanes: Mapping[Role, Ints]
    columns: Mapping[Role, Ints]

    def take(self, index: Ints | Bools) -> "Choice":
        """Return the engines at `index`."""
        return Choice(
            pixels=self.pixels[index],
            lanes={role: lane[index] for role, lane in self.lanes.items()},
            columns={role: column[index] for role, column in self.columns.items()},
        )

    def __len__(self) -> int:
        return int(self.pixels.size)


def joined(choices: Sequence[Choice], roles: Sequence[Role]) -> Choice:
    """Return all engines, or lane shapes, of some choices."""
    none = np.zeros(0, dtype=np.int64)
    deep = [r for r in roles if all(r in c.columns for c in choices)]
    lanes = {r: np.concatenate([none, *(c.lanes[r] for c in choices)]) for r in roles}
    return Choice(
        pixels=np.concatenate([none, *(c.pixels for c in choices)]),
        lanes=lanes,
        columns={
            r: np.concatenate([none, *(c.columns[r] for c in choices)]) for r in deep
        },
    )
