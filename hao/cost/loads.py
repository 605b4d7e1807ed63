"""How long the weights of a run take to load: at their port, and on the DDR.

With double buffering they load while another run computes; else in a step of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hao.cost.columns import Columns, DenseColumns, Setting, WeightBits
from hao.cost.memory import (
    ddr_cycles,
    layer_bytes,
    port_cycles,
)
from hao.cost.overheads import LOAD_STAGE_CYCLES, load_overhead, load_step
from hao.cost.paths import Path
from hao.cost.units import unit_cycles
from hao.cost.words import Cycles, ceil_divided, stage_bytes
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import DenseLayer, Invocation, Role
from hao.ir.sparsity import FULL, stored_density


@dataclass(frozen=True, slots=True)
class StageLoad:
    """How long the weights of a stage take to load.

    Attributes:
        port: What adds up to the cycles of the port.
        ddr: What adds up to those of the DDR. All are one number, or one for each
            column where these differ.
        uneven: What is left for the port where every other frame takes the least share.
        uneven_ddr: What is left for the DDR then.
    """

    port: tuple[Cycles, ...]
    ddr: tuple[Cycles, ...]
    uneven: tuple[Cycles, ...]
    uneven_ddr: tuple[Cycles, ...]


def load_path(start: int, stages: Mapping[Role, Sequence[Cycles]]) -> Path:
    """Return the cycles of a load as a row.

    Args:
        start: What it takes besides the weights.
        stages: What adds up to each stage's cycles.
    """
    constant, terms = start, dict[Role, Cycles]()
    for role, parts in stages.items():
        for cycles in parts:
            if cycles.ndim:
                terms[role] = terms.get(role, np.asarray(0)) + cycles
            else:
                constant += int(cycles)
    return Path("weights", constant, terms)


def loading_rows(
    invocation: Invocation, loads: Mapping[Role, StageLoad], setting: Setting
) -> tuple[Path, ...]:
    """Return what a run opens with, in the order of `SegmentPrice.opening`.

    Args:
        invocation: What runs.
        loads: Of its stages.
        setting: What all columns share.
    """
    batch, stages = setting.board.batch, loading_stages(invocation)
    start = load_overhead(stages)
    rows = [
        load_path(batch * start, {role: load.port for role, load in loads.items()}),
        load_path(0, {role: load.ddr for role, load in loads.items()}),
    ]
    if batch > 1:
        rows += [
            load_path(start, {role: load.uneven for role, load in loads.items()}),
            load_path(0, {role: load.uneven_ddr for role, load in loads.items()}),
        ]
    # The weights of the dense stage come before all others, then the pointwise ones.
    first = next((r for r in (Role.DENSE, Role.POINTWISE) if r in loads), None)
    for role in (Role.DENSE, Role.POINTWISE):
        behind = loads if role is first else {}
        ends = batch * stages * LOAD_STAGE_CYCLES * bool(behind)
        rows.append(load_path(ends, {r: load.port for r, load in behind.items()}))
    return tuple(rows)


def serial_rows(
    invocation: Invocation, loads: Mapping[Role, StageLoad]
) -> tuple[Path, Path]:
    """Return the cycles of a step that only loads weights, of the port and of the DDR.

    Args:
        invocation: What runs.
        loads: Of its stages.
    """
    start = load_step(loading_stages(invocation))
    return (
        load_path(start, {role: load.port for role, load in loads.items()}),
        load_path(start, {role: load.ddr for role, load in loads.items()}),
    )


def uneven_part(
    cycles: Cycles, layer: DenseLayer | Depthwise, groups: Cycles, batch: int
) -> Cycles:
    """Return what is left of a load where every other frame takes the least share.

    Each frame brings a share of whole output groups, the first one all of a layer that
    is pruned (docs/engine.md, "Beginning and end of a step"). Frames take at most the
    longest of: all of them by themselves, all of them with their loads, and all but one
    by themselves and that one with what is left here (proven in
    docs/decisions/0048-uneven-shares-and-first-loads.md).

    Args:
        cycles: Of the whole load.
        layer: Whose weights load.
        groups: Of output channels.
        batch: Frames of a start.
    """
    if not isinstance(layer, Depthwise) and stored_density(layer) < FULL:
        return cycles
    return ceil_divided(cycles * (groups - (batch - 1) * (groups // batch)), groups)


def stage_loads(
    invocation: Invocation,
    columns: Mapping[Role, Columns],
    bits: WeightBits,
    setting: Setting,
) -> dict[Role, StageLoad]:
    """Return how long the weights of every stage take to load; as in `load_cycles`."""
    return {
        role: stage_load(layer, columns.get(role), bits[layer.name], setting)
        for role, layer in invocation.stages
        if not isinstance(layer, Pool)
    }


def stage_load(
    layer: DenseLayer | Depthwise, columns: Columns | None, bits: int, setting: Setting
) -> StageLoad:
    """Return how long a layer's weights take to load.

    Args:
        layer: Whose weights load.
        columns: Configurations of its stage; `None` takes units to be made as beats
            come, and layers not to be pruned.
        bits: Width of the weights, or of their digits.
        setting: What all columns share.
    """
    moved = _stage_bytes(layer, columns, bits, setting)
    port, ddr = port_cycles(moved, setting.board), ddr_cycles(moved, setting.board)
    parts = [port]
    if columns is not None:
        channels = np.full_like(columns.pe, layer.ofm.channels)
        made = unit_cycles(layer, columns, channels, bits, setting)
        slower = np.maximum(made - port, 0)
        if slower.any():
            parts.append(slower)
    left, batch = (tuple(parts), (ddr,)), setting.board.batch
    if batch > 1 and columns is not None:
        groups = -(-layer.ofm.channels // columns.pe)
        port = sum(parts[1:], parts[0])
        left = (
            (uneven_part(port, layer, groups, batch),),
            (uneven_part(ddr, layer, groups, batch),),
        )
    return StageLoad(port=tuple(parts), ddr=(ddr,), uneven=left[0], uneven_ddr=left[1])


def load_cycles(
    invocation: Invocation,
    columns: Mapping[Role, Columns],
    bits: WeightBits,
    setting: Setting,
) -> int:
    """Return the least cycles in which the port loads an invocation's weights at once.

    Without double buffering they are a step of their own. They depend on a stage's
    configuration where the loader makes units slower than beats come.

    Args:
        invocation: What runs.
        columns: Configurations of every stage that the invocation uses.
        bits: Weight bits by layer.
        setting: What all columns share.
    """
    overhead = load_overhead if setting.double_buffered else load_step
    loads = stage_loads(invocation, columns, bits, setting)
    row = load_path(
        overhead(loading_stages(invocation)),
        {role: load.port for role, load in loads.items()},
    )
    return row.constant + sum(int(np.min(term)) for term in row.terms.values())


def load_bytes(
    invocation: Invocation,
    columns: Mapping[Role, Columns],
    bits: WeightBits,
    setting: Setting,
) -> dict[Role, Cycles]:
    """Return the bytes of every stage's weights, where it has any [bytes].

    One number of a stage whose layer is not pruned, else one for each column. Arguments
    as in `load_cycles`.
    """
    return {
        role: _stage_bytes(layer, columns.get(role), bits[layer.name], setting)
        for role, layer in invocation.stages
        if not isinstance(layer, Pool)
    }


def _stage_bytes(
    layer: DenseLayer | Depthwise, columns: Columns | None, bits: int, setting: Setting
) -> Cycles:
    if isinstance(layer, Depthwise) or stored_density(layer) == FULL:
        return np.asarray(layer_bytes(layer, bits, setting.act_bits, setting.board))
    assert isinstance(columns, DenseColumns)
    return stage_bytes(
        layer,
        layer.ofm.channels,
        bits,
        simd=columns.simd,
        pe=columns.pe,
        act_bits=setting.act_bits,
        board=setting.board,
    )


def loading_stages(invocation: Invocation) -> int:
    """Return the stages of a run that have weights."""
    return sum(not isinstance(layer, Pool) for _, layer in invocation.stages)


def load_stand_in(invocation: Invocation, setting: Setting) -> int:
    """Return the bytes of weights that stand for those of the next run [bytes].

    Those are not known where a run is priced; its own mostly are about as many, here as
    wide as activations, and of pruned layers the share that is kept. They must not
    depend on the bits, or a run with wider weights would be faster; nor on how many
    words that share is, which differs by configuration.
    """
    return sum(
        layer_bytes(layer, setting.act_bits, setting.act_bits, setting.board)
        * (FULL if isinstance(layer, Depthwise) else stored_density(layer))
        // FULL
        for _, layer in invocation.stages
        if not isinstance(layer, Pool)
    )
