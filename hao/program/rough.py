"""Whether any lane shapes may be in time, by bounds that need no prices of runs.

Pricing every run on every configuration is most of what it takes to refuse a network.
Here a run takes at least the work of each of its stages by itself, from the first
inputs on, and what its maps take of the DDR; a layer that may run in tiles is taken to
run in one, without its weights. Lanes of dense and pointwise stages take the LUTs and
DSPs of their multipliers alone, without buffers. Every figure is at most the exact one
(`tests/program/test_rough.py`). Lane shapes are bounded stage by stage; where these
bounds leave few, each over all whole ways. So what is excluded is in no design in time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hao.cost.catalogue import column_area
from hao.cost.columns import Columns, DepthwiseColumns, Setting
from hao.cost.latency import dense_times, depthwise_times, pointwise_times
from hao.cost.loads import loading_stages
from hao.cost.memory import ddr_cycles
from hao.cost.overheads import FILL_CYCLES, STAGE_DEPTH_CYCLES, START_CYCLES
from hao.cost.paths import Path
from hao.cost.transfers import load_delay, run_maps
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer, Role
from hao.options.frame import PricedRun
from hao.program.field import Field, Group, LaneArea
from hao.program.fit import DSP_PRICES, priced_luts
from hao.program.gather import periods_of
from hao.program.graph import Graph, Widths
from hao.program.lanes import LaneBounds, Prices, bounds_key
from hao.program.loading import Loads, load_paths
from hao.program.products import BoardKey, bare_lanes, lane_pairs
from hao.program.sieve import FEW
from hao.program.space import Grid, depthwise_grid
from hao.program.sweep import sweep
from hao.program.tables import NOTHING, Row, RunTable, tiled_role

Ints = NDArray[np.int64]


def any_within(field: Field, group: Group, double: bool, limit: int) -> bool:
    """Return whether lane shapes of a group may run a frame in some cycles.

    Args:
        field: What is searched.
        group: Combinations of widths.
        double: Whether engines double-buffer.
        limit: Most cycles.

    Returns:
        If not, no engine does.
    """
    key = "rough", *bounds_key(group, double)
    known = field.bounds.get((*key, limit))
    if known is None:
        known = field.bounds[*key, limit] = _any_within(field, group, double, limit)
    return known is True


def any_by_stage(field: Field, group: Group, double: bool, limit: int) -> bool:
    """Return what `any_within` does by bounds of stages alone, in less time."""
    if _takes_less_than_work(field):
        return True
    return _bounds(field, group, double).few(limit, 0) is None


def _takes_less_than_work(field: Field) -> bool:
    """Return whether runs, and tiles, may take less than rough bounds say."""
    return field.problem.board.calibration.step_cycles < 0


def _bounds(field: Field, group: Group, double: bool) -> LaneBounds:
    key = "rough bounds", *bounds_key(group, double)
    bounds = field.bounds.get(key)
    if not isinstance(bounds, LaneBounds):
        bounds = LaneBounds(field, group, double, rough_prices(field, group, double))
        field.bounds[key] = bounds
    return bounds


def _any_within(field: Field, group: Group, double: bool, limit: int) -> bool:
    if _takes_less_than_work(field):
        return True
    bounds = _bounds(field, group, double)
    few = bounds.few(limit, FEW)
    if few is None or not len(few):
        return few is None
    periods = periods_of(bounds.prices.tables, few, group.light.runs)
    swept = sweep(group.light, periods, double_buffered=double)
    return bool((swept.total <= limit).any())


def rough_prices(field: Field, group: Group, double: bool) -> Prices:
    """Return what runs and lane shapes of a group take at least.

    Args:
        field: What is searched.
        group: Combinations of widths.
        double: Whether engines double-buffer.
    """
    grids = {role: _bare_grid(field, role) for role in group.roles}
    areas = {
        role: _least_area(field, group.widths, grid, double)
        for role, grid in grids.items()
    }
    key = "rough tables", group.roles, double
    tables = field.bounds.get(key)
    if not isinstance(tables, RoughTables):
        setting = field.setting(np.array(field.pixels)[:, None], double)
        tables = RoughTables(graph=field.graph, setting=setting, grids=grids)
        field.bounds[key] = tables
    return Prices(tables=tables, areas=areas)


def _bare_grid(field: Field, role: Role) -> Grid:
    """Return the lane shapes of a stage; dense and pointwise ones have no columns."""
    space = field.problem.space
    if role is Role.DEPTHWISE:
        return depthwise_grid(field.needs(role), space)
    simd, pe = lane_pairs(*space.lanes_of(role))
    none = np.zeros(0, dtype=np.int64)
    return Grid(
        role=role,
        first=simd,
        second=pe,
        lane_of=none,
        words=none,
        in_uram=none > 0,
        starts=np.zeros(simd.size + 1, dtype=np.int64),
        held=(),
    )


def _least_area(
    field: Field, widths: tuple[Widths, ...], grid: Grid, double: bool
) -> LaneArea:
    """Return what lane shapes of a stage take at least under any of some widths."""
    role, problem = grid.role, field.problem
    shape = len(field.pixels), grid.lanes
    if role is not Role.DEPTHWISE:
        lanes = problem.space.lanes_of(role)
        key, ring = BoardKey(problem.board), role is Role.DENSE
        bits = {w.bits[role] for w in widths}
        surrogate = np.minimum.reduce(
            [
                bare_lanes(key, problem.act_bits, b, field.pixels, lanes, ring)
                for b in bits
            ]
        )
        return _area_of(surrogate, np.zeros(shape, dtype=np.int64))
    offers = {(w.bits[role], id(w.needs)): w for w in widths}
    columns = np.arange(grid.lanes)
    setting = field.setting(np.array(field.pixels)[:, None], double)
    least: list[tuple[Ints, Ints]] = []
    for each in offers.values():
        stages = grid.columns(columns, each.bits[role])
        area = column_area(stages, each.needs[role], setting, ring=False)
        luts = [np.broadcast_to(priced_luts(area, p), shape) for p in DSP_PRICES]
        least.append((np.stack(luts), np.broadcast_to(area.base.bram_18k, shape)))
    return _area_of(
        np.minimum.reduce([luts for luts, _ in least]),
        np.minimum.reduce([bram for _, bram in least]),
    )


def _area_of(surrogate: Ints, bram_18k: Ints) -> LaneArea:
    return LaneArea(
        surrogate=surrogate,
        bram_18k=bram_18k,
        columns_surrogate=surrogate,
        columns_bram=bram_18k,
    )


@dataclass(kw_only=True)
class RoughTables:
    """What runs take at least, whatever the depths of buffers.

    Attributes:
        graph: What may run.
        setting: Board, width of the activations, pixels of shape (p, 1), buffering.
        grids: Lane shapes of each stage.
        plans: What `hao.program.gather` keeps of how tables are read.
    """

    graph: Graph
    setting: Setting
    grids: Mapping[Role, Grid]
    plans: dict[object, object] = field(default_factory=dict)
    _known: dict[int, RunTable] = field(default_factory=dict)
    _shaped: dict[int, RunTable] = field(default_factory=dict)
    _loads: Loads = field(default_factory=dict)
    _work: dict[tuple[Role, DenseLayer | DepthwiseLayer, bool], Ints] = field(
        default_factory=dict
    )

    def table(self, number: int) -> RunTable:
        """Return the table of run `number` of the graph."""
        if number not in self._known:
            self._known[number] = self._table(number)
        return self._known[number]

    def _table(self, number: int) -> RunTable:
        run, shape = self.graph.runs[number], self.graph.shapes[number]
        if shape not in self._shaped:
            self._shaped[shape] = self._computed(run)
        # Where a layer is pruned, what loads depends on the configuration.
        opening, serial = (
            tuple(map(_least_row, paths))
            for paths in load_paths(run, self._columns, self.setting, self._loads)
        )
        if tiled_role(run) is not None:
            opening = (NOTHING,) * len(opening)
            if self.setting.double_buffered:
                serial = NOTHING, NOTHING
        return replace(self._shaped[shape], opening=opening, serial=serial)

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
    px, act_bits, board = setting.px, setting.act_bits, setting.board
    if isinstance(columns, DepthwiseColumns):
        assert isinstance(layer, Depthwise | Pool)
        times = depthwise_times(
            layer,
            pe=columns.pe,
            taps=columns.taps,
            px=px,
            first=first,
            act_bits=act_bits,
            board=board,
        )
    else:
        assert not isinstance(layer, Depthwise | Pool)
        stage_times = dense_times if role is Role.DENSE else pointwise_times
        times = stage_times(
            layer,
            simd=columns.simd,
            px=px,
            folds_out=-(-layer.ofm.channels // columns.pe),
            first=first,
            act_bits=act_bits,
            board=board,
        )
    cycles = times.cycles + START_CYCLES + STAGE_DEPTH_CYCLES
    if first:
        cycles = cycles + times.lead_in
    shape = len(np.asarray(px)), len(columns)
    return np.ascontiguousarray(np.broadcast_to(cycles, shape), dtype=np.int64)
