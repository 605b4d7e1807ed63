"""What the engine runs, one after another: invocations, cut into tiles.

A run holds, for each of its stages, the layer and the output channels that it makes.
Only a run of a single dense or pointwise layer is ever a tile.
"""

from dataclasses import dataclass
from typing import assert_never

from hao.cost.columns import Setting
from hao.cost.tiles import tile_groups
from hao.emission.records import DENSE, DEPTHWISE, POINTWISE
from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage
from hao.ir.integer import IntegerNetwork
from hao.ir.layer import Add, GlobalAveragePool
from hao.ir.partition import DenseLayer, DepthwiseLayer, Invocation, Role


def _code(role: Role) -> int:
    match role:
        case Role.DENSE:
            return DENSE
        case Role.DEPTHWISE:
            return DEPTHWISE
        case Role.POINTWISE:
            return POINTWISE
        case _:
            assert_never(role)


CODES = {role: _code(role) for role in Role}
"""How records name a stage as source or target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """One stage of a run: output channels `begin` to `end` of `layer`."""

    role: Role
    layer: DenseLayer | DepthwiseLayer
    begin: int
    end: int

    @property
    def channels(self) -> int:
        """Return the output channels that the run makes."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the engine.

    Attributes:
        invocation: What it is part of.
        stages: In the order of the pipeline; empty for a pure add or pool.
        tile: Number of the tile, from 0.
        tiles: Tiles of the invocation.
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
    stages = engine_stages(design)
    setting = Setting(
        board=design.board,
        px=design.engine.px,
        act_bits=design.engine.act_bits,
        double_buffered=design.engine.double_buffered,
    )
    runs: list[Run] = []
    for segment in design.segments:
        invocation = segment.invocation
        add, pool = _exit_layers(invocation, net)
        cuts: list[tuple[StageRun, ...]] = []
        pairs = invocation.stages
        if len(pairs) == 1 and pairs[0][0] is not Role.DEPTHWISE:
            role, layer = pairs[0]
            assert isinstance(layer, DenseLayer)
            stage = stages[role]
            assert isinstance(stage, DenseStage)
            begin = 0
            for groups in tile_groups(
                layer,
                simd=stage.simd,
                pe=stage.pe,
                weight_words=stage.weight_words,
                setting=setting,
            ):
                end = min(begin + groups * stage.pe, layer.ofm.channels)
                cuts.append((StageRun(role=role, layer=layer, begin=begin, end=end),))
                begin = end
        else:
            cuts.append(
                tuple(
                    StageRun(role=role, layer=layer, begin=0, end=layer.ofm.channels)
                    for role, layer in pairs
                )
            )
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
