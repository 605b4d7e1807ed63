"""What runs take at least, by bounds that need no prices of runs.

A run takes at least the work of each of its stages by itself, from the first inputs on,
and what its maps take of the DDR; of a layer that may run in tiles, all weights beyond
what a buffer may hold load beside it, once. Every figure is at most the exact one
(`tests/program/test_rough.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hao.cost.bram import LUTRAM_MAX_DEPTH
from hao.cost.columns import Columns, Setting
from hao.cost.layer_times import layer_times
from hao.cost.loads import loading_stages
from hao.cost.memory import ddr_cycles, record_bytes
from hao.cost.overheads import FILL_CYCLES, STAGE_DEPTH_CYCLES, START_CYCLES
from hao.cost.paths import Path
from hao.cost.transfers import load_delay, run_maps
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer, Role
from hao.ir.sparsity import FULL, stored_density
from hao.options.frame import PricedRun
from hao.program.graph import Graph
from hao.program.loading import Loads, load_paths
from hao.program.run_table import NEVER, NOTHING, Row, RunTable
from hao.program.space import Grid
from hao.program.tables import tiled_role

Ints = NDArray[np.int64]


@dataclass(kw_only=True)
class RoughTables:
    """What runs take at least, whatever the depths of buffers.

    Attributes:
        graph: What may run.
        setting: Board, width of the activations, pixels of shape (p, 1), buffering.
        grids: Lane shapes of each stage.
        words: Deepest weight buffer.
        bits: Most bits of one that is deeper than memories of LUTs.
        computed: Tables of shapes of runs but for their weights; added to.
        plans: What `hao.program.gather` keeps of how tables are read.
        shelves: What it keeps of rows.
    """

    graph: Graph
    setting: Setting
    grids: Mapping[Role, Grid]
    words: int
    bits: int
    computed: dict[int, RunTable] = field(default_factory=dict)
    plans: dict[object, object] = field(default_factory=dict)
    shelves: dict[object, object] = field(default_factory=dict)
    _known: dict[int, RunTable] = field(default_factory=dict)
    _tiled: dict[tuple[int, tuple[int, ...]], RunTable] = field(default_factory=dict)
    _loads: Loads = field(default_factory=dict)
    _work: dict[tuple[Role, DenseLayer | DepthwiseLayer, bool], Ints] = field(
        default_factory=dict
    )

    @property
    def pixels(self) -> tuple[int, ...]:
        """Return the pixels at once, in the order of the rows' first axis."""
        return tuple(np.asarray(self.setting.px)[:, 0].tolist())

    def table(self, number: int) -> RunTable:
        """Return the table of run `number` of the graph."""
        if number not in self._known:
            self._known[number] = self._table(number)
        return self._known[number]

    def _table(self, number: int) -> RunTable:
        run, shape = self.graph.runs[number], self.graph.shapes[number]
        if shape not in self.computed:
            self.computed[shape] = self._computed(run)
        # Where a layer is pruned, what loads depends on the configuration.
        opening, serial = (
            tuple(map(_least_row, paths))
            for paths in load_paths(run, self._columns, self.setting, self._loads)
        )
        table = self.computed[shape]
        if tiled_role(run) is None:
            return replace(table, opening=opening, serial=serial)
        key = shape, run.bits
        if key not in self._tiled:
            self._tiled[key] = self._in_tiles(run, table, opening[1].constant)
        if self.setting.double_buffered:
            serial = NOTHING, NOTHING
        opening = (NOTHING,) * len(opening)
        return replace(self._tiled[key], opening=opening, serial=serial)

    def _in_tiles(self, run: PricedRun, table: RunTable, whole: int) -> RunTable:
        """Return the table of a run beside whose tiles all but the first load.

        Args:
            run: Of one stage, which may run in tiles.
            table: What it takes without its weights.
            whole: Cycles of the DDR for these.
        """
        ((role, layer),), (bits,) = run.invocation.stages, run.bits
        assert not isinstance(layer, Depthwise | Pool), "else it is not tiled"
        board, grid = self.setting.board, self.grids[role]
        if not self.setting.double_buffered or stored_density(layer) < FULL:
            return table
        width = grid.first * grid.second * bits
        words = np.minimum(self.words, np.maximum(self.bits // width, LUTRAM_MAX_DEPTH))
        first = words // 2 * width // 8 + 2 * board.port_bytes
        first = first + layer.ofm.channels * record_bytes(layer)
        # Cycles of every tile are rounded up; so are those of the whole.
        more = np.maximum(whole - 1 - ddr_cycles(first, board), 0)
        shape = len(np.asarray(self.setting.px)), grid.lanes
        loading = np.ascontiguousarray(np.broadcast_to(more, shape))
        rows = tuple(
            Row(constant=row.constant, terms={role: loading}) for row in table.ddr
        )
        # Rows of computation of its own tell it from runs of other bits.
        paths = tuple(replace(path) for path in table.paths)
        return replace(table, paths=paths, ddr=rows)

    def _computed(self, run: PricedRun) -> RunTable:
        """Return the table of a run but for what opens it; bits set that alone."""
        setting, invocation = self.setting, run.invocation
        batch = setting.board.batch
        paths = [
            Row(constant=0, terms={role: self._busy(role, layer, index == 0)})
            for index, (role, layer) in enumerate(invocation.stages)
        ]
        maps = run_maps(invocation, np.asarray(invocation.stage_ofm.channels), setting)
        moved = START_CYCLES - FILL_CYCLES
        moved += int(ddr_cycles(maps.total.ddr, setting.board))
        beside = NOTHING
        if tiled_role(run) is None:
            delay = load_delay(maps, max(1, loading_stages(invocation)), setting)
            beside = Row(constant=batch * int(delay), terms={})
        return RunTable(
            paths=tuple(paths),
            beside=beside,
            standing=NOTHING,
            held=NEVER,
            ddr=(Row(constant=batch * moved, terms={}),),
            opening=(),
            serial=(),
            least_words={},
        )

    @property
    def batch(self) -> int:
        """Return the frames of a start."""
        return self.setting.board.batch

    @cached_property
    def _columns(self) -> dict[Role, Columns]:
        return {role: grid.shapes() for role, grid in self.grids.items()}

    def _busy(
        self, role: Role, layer: DenseLayer | DepthwiseLayer, first: bool
    ) -> Ints:
        """Return the cycles until a stage has done its work for all frames, alone."""
        key = role, replace(layer, name=""), first
        if key not in self._work:
            columns, setting = self._columns[role], self.setting
            batch = setting.board.batch
            self._work[key] = batch * _busy(role, layer, columns, setting, first)
        return self._work[key]


def _least_row(path: Path) -> Row:
    """Return a row's least on any configuration."""
    least = sum(int(term.min()) for term in path.terms.values())
    return Row(constant=path.constant + least, terms={})


def _busy(
    role: Role,
    layer: DenseLayer | DepthwiseLayer,
    columns: Columns,
    setting: Setting,
    first: bool,
) -> Ints:
    """Return the cycles of a stage's work from the start of a run on, (pixels, lanes).

    Args:
        role: The stage.
        layer: What it runs.
        columns: Lane shapes.
        setting: What they share, pixels of shape (p, 1).
        first: The stage reads from DDR.
    """
    times = layer_times(role, layer, columns, setting, first=first)
    cycles = times.cycles + START_CYCLES + STAGE_DEPTH_CYCLES
    if first:
        cycles = cycles + times.lead_in
    shape = len(np.asarray(setting.px)), len(columns)
    return np.ascontiguousarray(np.broadcast_to(cycles, shape), dtype=np.int64)
