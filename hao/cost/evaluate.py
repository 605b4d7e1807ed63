"""What a design costs: cycles of every invocation, device blocks, what binds.

The only entry point of the cost model for a single design. The integer program
prices whole catalogues with the same formulas (`hao.cost.prices`), and its objective
must equal `CostReport.latency_cycles` of the design it returns (tested).
"""

from dataclasses import dataclass
from functools import lru_cache

from hao.cost.area import engine_resources
from hao.cost.catalogue import check_buffers
from hao.cost.columns import Columns, Setting, engine_columns
from hao.cost.loads import load_bytes, load_cycles
from hao.cost.pairs import besides
from hao.cost.paths import Path
from hao.cost.prices import price_segment
from hao.cost.segment_price import SegmentPrice
from hao.cost.transfers import map_bytes
from hao.engine.design import Design
from hao.engine.stages import Engine
from hao.errors import InputError
from hao.hw.resources import Resources
from hao.ir.layer import Pool
from hao.ir.partition import Invocation, Role
from hao.ir.sparsity import kept_macs


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationCost:
    """Cycles and bytes of one invocation (all its tiles), for the frames of a start.

    Attributes:
        name: Layers it runs.
        macs: Multiply-accumulates, of the words of weights that are kept.
        tiles: Runs over groups of output channels, and parts of a reduction.
        steps: Of the engine: a run for each tile and frame, and loads apart from them.
        path_cycles: Cycles of each path: a stage, or a port ("ifm", "ofm", ...).
        load_cycles: Cycles to load its weights; a step of its own, with its start,
            without double buffering.
        period_cycles: From its start to the start of the next invocation.
        binding: Label of what sets `period_cycles`, or most of it where weights
            load before the run: a path, "weights" or "ddr".
        feature_bytes: Feature maps moved to and from DDR [bytes].
        weight_bytes: Weights moved from DDR [bytes].
    """

    name: str
    macs: int
    tiles: int
    steps: int
    path_cycles: dict[str, int]
    load_cycles: int
    period_cycles: int
    binding: str
    feature_bytes: int
    weight_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """What a design costs on its board.

    Attributes:
        invocations: In execution order.
        first_load_cycles: Weights of the first invocation, before anything runs.
        latency_cycles: The engine's time for a start, first weight to last output.
        frames: Those of a start, at least 1.
        clock_khz: Clock [kHz].
        host_us: What the host adds to the time of a frame [us]; 0 back to back.
        parts: Resources by part of the engine.
        resources: Their sum.
        multipliers: Multipliers built.
        macs: Multiply-accumulates of a start, of the words of weights that are kept.
    """

    invocations: tuple[InvocationCost, ...]
    first_load_cycles: int
    latency_cycles: int
    frames: int = 1
    clock_khz: int
    host_us: int
    parts: dict[str, Resources]
    resources: Resources
    multipliers: int
    macs: int

    @property
    def latency_ms(self) -> float:
        """Return the engine's time for a start, of one frame or several [ms]."""
        return self.latency_cycles / self.clock_khz

    @property
    def engine_ms(self) -> float:
        """Return the engine's time for each frame of a start [ms]."""
        return self.latency_ms / self.frames

    @property
    def frame_ms(self) -> float:
        """Return the time between frames, with what the host adds [ms]."""
        return self.engine_ms + self.host_us / 1000

    @property
    def steps(self) -> int:
        """Return the steps of the engine in a start."""
        own = sum(cost.steps for cost in self.invocations)
        return own + (self.first_load_cycles > 0)

    @property
    def fps(self) -> float:
        """Return frames per second, as frames follow each other."""
        return 1000 / self.frame_ms

    @property
    def efficiency(self) -> float:
        """Return the share of all multipliers' cycles that hold a useful product.

        Without multipliers, as where a network only pools, it is 0.
        """
        return self.macs / max(1, self.latency_cycles * self.multipliers)

    @property
    def ddr_bytes(self) -> int:
        """Return the bytes that cross the DDR in a start."""
        return sum(c.feature_bytes + c.weight_bytes for c in self.invocations)

    @property
    def frame_macs(self) -> float:
        """Return the multiply-accumulates of each frame of a start."""
        return self.macs / self.frames

    @property
    def frame_ddr_bytes(self) -> float:
        """Return the bytes that cross the DDR for each frame of a start."""
        return self.ddr_bytes / self.frames

    @property
    def bottleneck(self) -> str:
        """Return the label that binds for most cycles of a start."""
        return max(self.binding_cycles.items(), key=lambda item: item[1])[0]

    @property
    def binding_cycles(self) -> dict[str, int]:
        """Return the cycles of a start by what binds, largest first."""
        total: dict[str, int] = {}
        for cost in self.invocations:
            total[cost.binding] = total.get(cost.binding, 0) + cost.period_cycles
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


KEPT = 4096
"""Prices of segments that are kept (chosen here)."""


def evaluate(design: Design, *, aligned_tiles: bool = True) -> CostReport:
    """Return what `design` costs.

    Args:
        design: What runs where.
        aligned_tiles: As the engine of hao writes tiles (`Setting.aligned_tiles`).

    Raises:
        InputError: A segment needs a stage, a width or a buffer that the engine lacks.
    """
    engine, board = design.engine, design.board
    setting = Setting.of(engine, board, aligned_tiles=aligned_tiles)
    columns = engine_columns(engine)
    check_buffers(design)
    prices, lanes = [], design.lane_bits
    for segment in design.segments:
        invocation = segment.invocation
        names = [layer.name for _, layer in invocation.stages]
        bits = tuple((name, lanes[name]) for name in names if name in lanes)
        price = _segment_price(invocation, engine, bits, setting)
        for role, feasible in price.feasible.items():
            if not feasible[0]:
                raise InputError(
                    f"invocation {invocation.name!r}: its weights do not fit the "
                    f"{role.value} stage's buffer"
                )
        prices.append(price)
    costs = [
        _invocation_cost(segment.invocation, columns, price, upcoming, design, setting)
        for segment, price, upcoming in zip(
            design.segments, prices, (*prices[1:], None), strict=True
        )
    ]
    first = max(map(_single, prices[0].serial)) if engine.double_buffered else 0
    parts = engine_resources(engine, board)
    return CostReport(
        invocations=tuple(costs),
        first_load_cycles=first,
        latency_cycles=first + sum(cost.period_cycles for cost in costs),
        frames=board.batch,
        clock_khz=board.clock_khz,
        host_us=board.host_us,
        parts=parts,
        resources=sum(parts.values(), Resources()),
        multipliers=engine.multipliers,
        macs=sum(cost.macs for cost in costs),
    )


@lru_cache(maxsize=KEPT)
def _segment_price(
    invocation: Invocation,
    engine: Engine,
    bits: tuple[tuple[str, int], ...],
    setting: Setting,
) -> SegmentPrice:
    """Return the price of a segment on an engine; designs that differ little share it.

    Args:
        invocation: What runs.
        engine: Its stages are read.
        bits: Bits of a lane's weights, of the layers that have any.
        setting: What all columns share.
    """
    return price_segment(invocation, engine_columns(engine), dict(bits), setting)


def _single(path: Path) -> int:
    """Return the value of a row over single columns."""
    return path.constant + sum(int(term[0]) for term in path.terms.values())


def _beside(
    price: SegmentPrice,
    upcoming: SegmentPrice,
    alone: int,
    ddr: int,
    setting: Setting,
) -> list[int]:
    """Return the cycles of a run with the load of the next, of port and DDR in turn.

    The last one is of the port again.
    """
    beside, batch = _single(price.beside), setting.board.batch
    arrays = _single(price.standing), _single(price.held)
    here = besides(alone, beside, ddr, arrays, batch=batch)
    pairs = zip(here, upcoming.opening, strict=True)
    return [cycles + _single(row) for cycles, row in pairs]


def _invocation_cost(
    invocation: Invocation,
    columns: dict[Role, Columns],
    price: SegmentPrice,
    upcoming: SegmentPrice | None,
    design: Design,
    setting: Setting,
) -> InvocationCost:
    """Return the cost of one invocation that is followed by `upcoming`."""
    bits = design.lane_bits
    rows: dict[str, int] = {}
    for path in price.paths:
        rows[path.process] = max(rows.get(path.process, 0), _single(path))
    ddr = max(_single(path) for path in price.ddr)
    own_load = load_cycles(invocation, columns, bits, setting)
    serial = 0
    bounds = {**rows, "ddr": ddr}
    if setting.double_buffered and upcoming is not None:
        sums = _beside(price, upcoming, max(bounds.values()), ddr, setting)
        bounds["weights"], bounds["ddr"] = max(sums[::2]), max(ddr, *sums[1::2])
    if not setting.double_buffered:
        serial = max(map(_single, price.serial))
    binding, longest = max(bounds.items(), key=lambda item: item[1])
    if serial > longest:
        binding = "weights"
    tiles = max((int(t[0]) for t in price.tiles.values()), default=1)
    parts = max((int(t[0]) for t in price.parts.values()), default=1)
    apart = not setting.double_buffered and own_load > 0
    return InvocationCost(
        name=invocation.name,
        macs=setting.board.batch
        * sum(
            kept_macs(layer)
            for _, layer in invocation.stages
            if not isinstance(layer, Pool)
        ),
        tiles=tiles,
        steps=tiles * (setting.board.batch + apart),
        path_cycles=rows,
        load_cycles=own_load,
        period_cycles=longest + serial,
        binding=binding,
        feature_bytes=setting.board.batch
        * map_bytes(invocation, setting, tiles=tiles // parts),
        weight_bytes=sum(
            int(moved.max())
            for moved in load_bytes(invocation, columns, bits, setting).values()
        ),
    )
