"""What every stage configuration makes a segment cost, for whole arrays of them.

`price_segment` returns the cycles of a segment as rows that are linear in the choice
of columns (`hao.cost.columns`), so that the report (`hao.cost.evaluate`), the local
search and the integer program use the same numbers.

Period of a segment: what passes from its start to the start of the next one.

    tiles - 1 times    max(paths of a tile, its weights, its DDR traffic)
    plus, at the end   max(paths of the last tile, weights that the next segment opens
                           with, DDR traffic of both)

A layer whose weights exceed the buffer (one half of it, where the engine double-
buffers) runs in `tiles` over its output channels, each reading the IFM anew. Tiles are
cut in units of `tile_unit` output groups, so that each begins a beat of the OFM; they
are as few and as even as can be in these units. Even tiles make a segment never slower
in a deeper buffer (tested), though the one before it then has more weights to load.
Only a segment of a single stage is tiled; a fused one needs all its weights at once.
Without double buffering the weights of a run load in a step of their own before it, and
nothing overlaps. The board's calibration may add cycles to every tile.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hao.cost.columns import (
    Columns,
    DenseColumns,
    DepthwiseColumns,
    Setting,
    WeightBits,
)
from hao.cost.latency import StageTimes
from hao.cost.layer_times import layer_times
from hao.cost.loads import (
    load_stand_in,
    loading_rows,
    loading_stages,
    serial_rows,
    stage_loads,
)
from hao.cost.overheads import EXIT_CYCLES, POOL_CYCLES
from hao.cost.paths import Path, Transfers, paths, standing_cycles
from hao.cost.segment_price import NEVER, SegmentPrice
from hao.cost.tiled import TiledRun, price_tiled
from hao.cost.tiles import cut_tiles
from hao.cost.transfers import (
    RunMaps,
    burst_beats,
    ddr_start,
    load_delay,
    run_maps,
    run_transfers,
    shared_beside_load,
)
from hao.cost.words import Cycles
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import Invocation, Role


def price_segment(
    invocation: Invocation,
    columns: Mapping[Role, Columns],
    bits: WeightBits,
    setting: Setting,
) -> SegmentPrice:
    """Return what each column makes the segment cost.

    Args:
        invocation: What runs.
        columns: Configurations of every stage that the invocation uses.
        bits: Weight bits by layer; they set the transfer of tiled weights.
        setting: What all columns share.
    """
    stages = invocation.stages
    if len(stages) == 1 and stages[0][0] is not Role.DEPTHWISE:
        role, layer = stages[0]
        assert not isinstance(layer, Depthwise | Pool)
        chosen = columns[role]
        assert isinstance(chosen, DenseColumns)
        run = TiledRun(invocation, role, layer, chosen, setting)
        price = price_tiled(run, bits[layer.name])
    else:
        price = _price_fused(invocation, columns, bits, setting)
    more = setting.board.calibration.step_cycles * setting.board.batch
    return _with_steps(price, more) if more else price


def _with_steps(price: SegmentPrice, cycles: int) -> SegmentPrice:
    """Return a price whose every run (tile) takes so many cycles more."""

    def longer(path: Path) -> Path:
        if not price.tiles:
            return replace(path, constant=path.constant + cycles)
        terms = {role: path.terms[role] + cycles * n for role, n in price.tiles.items()}
        return replace(path, terms=terms)

    return replace(
        price,
        paths=tuple(longer(path) for path in price.paths),
        tiled={
            role: body + cycles * (price.tiles[role] - 1)
            for role, body in price.tiled.items()
        },
        ddr=tuple(longer(path) for path in price.ddr),
        beside=longer(price.beside),
        standing=longer(price.standing),
    )


def _price_fused(
    invocation: Invocation,
    columns: Mapping[Role, Columns],
    bits: WeightBits,
    setting: Setting,
) -> SegmentPrice:
    """Return the price of a run that is not tiled; arguments as `price_segment`."""
    times, feasible = _stage_times(invocation, columns, setting)
    last = invocation.stages[-1:]
    pe: Cycles = columns[last[0][0]].pe if last else np.asarray(1)
    channels = np.asarray(invocation.stage_ofm.channels)
    burst = burst_beats(invocation, -(-channels // pe), channels, setting)
    maps = run_maps(invocation, channels, setting)
    batch = setting.board.batch
    weights = load_stand_in(invocation, setting) // batch
    transfers = run_transfers(
        invocation,
        setting,
        maps,
        pe=pe,
        channels=channels,
        weights=np.asarray(weights),
        burst=burst,
    )
    moved = _ddr_row(invocation, times, maps, weights, burst, setting)
    found = paths(invocation, times, transfers, setting.px)
    delay = int(load_delay(maps, max(1, loading_stages(invocation)), setting))
    loads = stage_loads(invocation, columns, bits, setting)
    return SegmentPrice(
        paths=_times(found, batch),
        tiled={},
        ddr=(moved.times(batch),),
        beside=Path("weights", batch * delay, {}),
        standing=_standing(invocation, times, transfers, setting),
        held=_held(invocation, times, transfers, setting),
        opening=loading_rows(invocation, loads, setting),
        serial=serial_rows(invocation, loads),
        tiles={},
        parts={},
        feasible=feasible,
    )


def _times(paths: tuple[Path, ...], count: int) -> tuple[Path, ...]:
    return tuple(path.times(count) for path in paths)


def _standing(
    invocation: Invocation,
    times: dict[Role, StageTimes],
    transfers: Transfers,
    setting: Setting,
) -> Path:
    """Return the row `SegmentPrice.standing` of a run that is not tiled."""
    if Role.DENSE not in times:
        return Path("weights", 0, {})
    standing = standing_cycles(invocation, times, transfers, setting.px)
    return Path("weights", 0, {Role.DENSE: setting.board.batch * standing})


def _held(
    invocation: Invocation,
    times: dict[Role, StageTimes],
    transfers: Transfers,
    setting: Setting,
) -> Path:
    """Return the row `SegmentPrice.held` of a run that is not tiled."""
    if Role.POINTWISE not in times:
        return NEVER
    (_, layer), own = invocation.stages[-1], times[Role.POINTWISE]
    moves = own.trips * layer.ofm.height + EXIT_CYCLES
    if invocation.ofm != invocation.stage_ofm:
        # A global pool writes behind the array's last pixel.
        moves = moves + transfers.ofm + POOL_CYCLES
    return Path("weights", 0, {Role.POINTWISE: -setting.board.batch * moves})


def _stage_times(
    invocation: Invocation, columns: Mapping[Role, Columns], setting: Setting
) -> tuple[dict[Role, StageTimes], dict[Role, NDArray[np.bool_]]]:
    """Return the times of every stage, and which columns hold all of its weights."""
    times: dict[Role, StageTimes] = {}
    feasible: dict[Role, NDArray[np.bool_]] = {}
    for index, (role, layer) in enumerate(invocation.stages):
        chosen = columns[role]
        times[role] = layer_times(role, layer, chosen, setting, first=index == 0)
        if isinstance(chosen, DepthwiseColumns):
            feasible[role] = np.ones(len(chosen), dtype=np.bool_)
            continue
        assert not isinstance(layer, Depthwise | Pool)
        tiles = cut_tiles(layer, chosen, setting)
        feasible[role] = tiles.feasible & (tiles.count == 1)
    return times, feasible


def _ddr_row(
    invocation: Invocation,
    times: dict[Role, StageTimes],
    maps: RunMaps,
    weights: int,
    burst: Cycles,
    setting: Setting,
) -> Path:
    """Return the cycles of the DDR for a run that is not tiled, as a row."""
    stages = invocation.stages
    depth = int(ddr_start(len(stages), maps.ifm.port, weights, setting))
    own = np.asarray(weights)
    if len(stages) != 1:
        none = np.asarray(0)
        shared = shared_beside_load(maps, own, setting, work=none, burst=none)
        return Path("ddr", depth + int(shared), {})
    ((role, _),) = stages
    work = times[role].lead_in + times[role].cycles
    shared = shared_beside_load(maps, own, setting, work=work, burst=burst)
    return Path("ddr", depth, {role: shared})
