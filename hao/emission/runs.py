"""What the engine runs, one after another: invocations, cut into tiles.

A run holds, for each of its stages, the layer and the output channels that it makes.
Only a run of a single dense or pointwise layer is ever a tile.
"""

from dataclasses import dataclass

from hao.cost.columns import Setting
from hao.cost.memory import input_channels
from hao.cost.tiles import tile_runs
from hao.emission.records import DENSE, DEPTHWISE, POINTWISE
from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage
from hao.ir.integer import IntegerNetwork
from hao.ir.layer import Add, GlobalAveragePool
from hao.ir.partition import DenseLayer, DepthwiseLayer, Invocation, Role

CODES = {Role.DENSE: DENSE, Role.DEPTHWISE: DEPTHWISE, Role.POINTWISE: POINTWISE}
"""How records name a stage as source or target."""

LOAD_ORDER = (Role.DENSE, Role.POINTWISE, Role.DEPTHWISE)
"""Whose weights come first among those of a run.

An array takes weights only in cycles in which it moves. That of the depthwise stage
moves least, and what came behind its weights would wait for them; when they come last,
a run whose load takes longest has ended.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPart:
    """A part of the reduction of a linear layer, which the engine runs by itself.

    Attributes:
        begin: First input, of the stored map as one pixel; begins a beat.
        end: Behind the last one.
        starts: Sums begin with the part; else those of the run before go on.
        ends: Sums end with the part; else nothing is written.
    """

    begin: int
    end: int
    starts: bool
    ends: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """One stage of a run.

    Attributes:
        role: Of the stage.
        layer: Its layer.
        begin: First output channel.
        end: Behind the last one.
        part: Of the reduction, where the run has not all.
    """

    role: Role
    layer: DenseLayer | DepthwiseLayer
    begin: int
    end: int
    part: RunPart | None = None

    @property
    def channels(self) -> int:
        """Return the output channels that the run makes."""
        return self.end - self.begin

    def inputs(self, design: Design) -> int:
        """Return the channels of a pixel as the stage takes them in."""
        if self.part is not None:
            return self.part.end - self.part.begin
        return input_channels(self.layer, design.engine.act_bits, design.board)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the engine.

    Attributes:
        invocation: What it is part of.
        stages: In the order of the pipeline; empty for a pure add or pool.
        tile: Number of the tile, or part of one, from 0.
        tiles: Of these, those of the invocation.
        add: The residual add on the way out, if any.
        pool: The global average pool behind it, if any.
    """

    invocation: Invocation
    stages: tuple[StageRun, ...]
    tile: int
    tiles: int
    add: Add | None
    pool: GlobalAveragePool | None

    @property
    def name(self) -> str:
        """Return the layers, and the tile where there are several."""
        part = f" (tile {self.tile + 1} of {self.tiles})" if self.tiles > 1 else ""
        return self.invocation.name + part

    def stage(self, role: Role) -> StageRun | None:
        """Return the stage of a role, or `None` where it is bypassed."""
        return next((stage for stage in self.stages if stage.role is role), None)

    @property
    def loaded(self) -> tuple[StageRun, ...]:
        """Return the stages in the order in which their weights come."""
        return tuple(filter(None, map(self.stage, LOAD_ORDER)))

    @property
    def part(self) -> RunPart | None:
        """Return the part of the reduction, where the run has not all."""
        return self.stages[0].part if self.stages else None

    @property
    def writes(self) -> bool:
        """Return whether a result leaves the run."""
        return self.part is None or self.part.ends

    @property
    def begin(self) -> int:
        """Return the first channel of what is written."""
        return self.stages[-1].begin if self.stages else 0

    @property
    def channels(self) -> int:
        """Return the channels that are written."""
        if self.stages:
            return self.stages[-1].channels
        return self.invocation.ofm.channels


def engine_stages(design: Design) -> dict[Role, DenseStage | DepthwiseStage]:
    """Return the stages that the engine has."""
    found = ((role, design.engine.stage(role)) for role in Role)
    return {role: stage for role, stage in found if stage is not None}


def design_runs(design: Design, net: IntegerNetwork) -> tuple[Run, ...]:
    """Return the runs of one frame, in order.

    Raises:
        InputError: A weight buffer does not hold a tile.
    """
    runs: list[Run] = []
    for segment in design.segments:
        invocation = segment.invocation
        add, pool = _exit_layers(invocation, net)
        cuts = _cuts(invocation, design)
        runs += [
            Run(
                invocation=invocation,
                stages=cut,
                tile=number,
                tiles=len(cuts),
                add=add,
                pool=pool,
            )
            for number, cut in enumerate(cuts)
        ]
    return tuple(runs)


def _cuts(invocation: Invocation, design: Design) -> list[tuple[StageRun, ...]]:
    """Return the stages of every run of an invocation."""
    pairs = invocation.stages
    if len(pairs) != 1 or pairs[0][0] is Role.DEPTHWISE:
        return [
            tuple(
                StageRun(role=role, layer=layer, begin=0, end=layer.ofm.channels)
                for role, layer in pairs
            )
        ]
    ((role, layer),) = pairs
    stage, engine, board = engine_stages(design)[role], design.engine, design.board
    assert isinstance(layer, DenseLayer)
    assert isinstance(stage, DenseStage)
    setting = Setting.of(engine, board)
    whole = input_channels(layer, engine.act_bits, board)
    cuts: list[tuple[StageRun, ...]] = []
    begin = 0
    for tile in tile_runs(
        layer,
        simd=stage.simd,
        pe=stage.pe,
        weight_words=stage.weight_words,
        setting=setting,
    ):
        end = min(begin + tile.groups * stage.pe, layer.ofm.channels)
        part = None
        if not (tile.starts and tile.ends):
            part = RunPart(
                begin=tile.begin * stage.simd,
                end=min(tile.end * stage.simd, whole),
                starts=tile.starts,
                ends=tile.ends,
            )
        one = StageRun(role=role, layer=layer, begin=begin, end=end, part=part)
        cuts.append((one,))
        begin = end if tile.ends else begin
    return cuts


def _exit_layers(
    invocation: Invocation, net: IntegerNetwork
) -> tuple[Add | None, GlobalAveragePool | None]:
    """Return the add and the global pool on the way out of an invocation."""
    layers = {layer.name: layer for layer in net.network.layers}
    last = layers[invocation.output_name]
    pool = last if isinstance(last, GlobalAveragePool) else None
    if pool is not None:
        if not invocation.stages and invocation.residual_name is None:
            return None, pool
        last = layers[pool.input]
    return (last if isinstance(last, Add) else None), pool
