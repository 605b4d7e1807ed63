"""Weights and records as the loader reads them (docs/engine.md, "Weights in DDR")."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hao.cost.memory import input_channels
from hao.cost.units import unit_lanes
from hao.cost.words import packed_taps, skips_words
from hao.emission.arena import stored_map
from hao.emission.lists import fold_places, kept_folds
from hao.emission.records import LoadStep
from hao.emission.runs import StageRun, engine_stages
from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage
from hao.hw.board import Board
from hao.intmath import ceil_div
from hao.ir.change import densities_of
from hao.ir.integer import IntegerNetwork
from hao.ir.layer import Conv, Depthwise, Linear, Pool
from hao.ir.network import Network
from hao.ir.partition import DenseLayer
from hao.ir.passes import digits
from hao.ir.sparsity import Words, keep_largest

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

RECORD_SHIFT_BITS = 5
"""Of the shift of a record; the bit above says halves to even."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageWeights:
    """One stage's share of a run's weights.

    Attributes:
        data: Records, then weights; whole beats.
        load: What tells the loader about them.
        units: Units that reach the stage.
        records: Beats of records.
        lists: Beats of the list of words that are kept.
        base: First beat among the weights of all runs.
        first: Output group of the run that they begin with.
    """

    data: Bytes
    load: LoadStep
    units: int
    records: int
    lists: int = 0
    base: int = 0
    first: int = 0


def record_bits(net: IntegerNetwork) -> int:
    """Return the bits of an output channel's record in DDR."""
    return 64 if net.requantization.multiplies else 32


def stage_weights(
    run: StageRun,
    stage: DenseStage | DepthwiseStage,
    *,
    net: IntegerNetwork,
    design: Design,
) -> StageWeights | None:
    """Return the packed weights of one stage of a run, or `None` for a pool.

    Args:
        run: Layer and output channels.
        stage: The hardware.
        net: Weights, biases, shifts.
        design: Board and width of the activations.
    """
    layer = run.layer
    if isinstance(layer, Pool):
        return None
    port = design.board.port_bytes
    weight = net.param(layer.name, "weight")[run.begin : run.end]
    quant = design.lane_bits[layer.name]
    if isinstance(stage, DepthwiseStage):
        assert isinstance(layer, Depthwise)
        order = _depthwise_order(weight, stage)
    else:
        assert isinstance(layer, DenseLayer)
        order = _dense_order(digits(weight, layer), run, stage, design)
    records = _records(run, stage.pe, net, port)
    listed = _beats(order.places.astype("<u2").view(np.uint8), port)
    packed = _beats(_pack_bits(order.items, quant), port)
    rows = unit_rows(layer, stage, quant, design.board)
    units, trips = _unit_trips(order, rows=rows, bits=quant, port=port)
    groups = ceil_div(run.channels, stage.pe)
    last_lanes = run.channels - (groups - 1) * stage.pe
    tail_rows, end_rows = (
        rows if items == order.width else 1
        for items in (order.tail_items, order.end_items)
    )
    load = LoadStep(
        record_beats=len(records) // port,
        unit_trips=trips,
        bits=quant,
        groups=groups,
        lanes=stage.pe,
        last_lanes=last_lanes,
        folds=order.folds,
        inner_folds=order.inner_folds,
        rows=rows,
        tail_rows=tail_rows,
        end_rows=end_rows,
        need=rows * order.width * quant,
        tail_need=tail_rows * order.tail_items * quant,
        end_need=end_rows * order.end_items * quant,
        rest_need=_rest(stage.pe, rows) * order.width * quant,
        last_need=_rest(last_lanes, rows) * order.width * quant,
        list_beats=len(listed) // port,
    )
    return StageWeights(
        data=np.concatenate([records, listed, packed]),
        load=load,
        units=units,
        records=len(records) // port,
        lists=len(listed) // port,
    )


def unit_rows(
    layer: DenseLayer | Depthwise,
    stage: DenseStage | DepthwiseStage,
    bits: int,
    board: Board,
) -> int:
    """Return the lanes of a unit of a layer's weights of so many bits."""
    lanes = min(stage.pe, layer.ofm.channels)
    return int(unit_lanes(items=stage.items, lanes=lanes, bits=bits, board=board))


def _rest(lanes: int, rows: int) -> int:
    """Return the lanes of a word's last unit."""
    return lanes - (ceil_div(lanes, rows) - 1) * rows


def unit_needs(load: LoadStep) -> frozenset[int]:
    """Return the bits of all units that may occur in a load."""
    needs = {load.need, load.rest_need, load.last_need}
    return frozenset(needs | {load.tail_need, load.end_need})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """Weights in the order of DDR, and how they fall into words.

    Attributes:
        items: All weights, shape (weights,).
        lanes: Lanes of every output group.
        folds: Words of a group.
        inner_folds: Words of a kernel tap.
        width: Items of a full word's lane.
        tail_items: Items in a lane of the last word of a tap.
        end_items: Items in a lane of the last word of a group.
        places: Of the words among all of a group, as the windows' list says them; empty
            where all words are kept.
    """

    items: Ints
    lanes: tuple[int, ...]
    folds: int
    inner_folds: int
    width: int
    tail_items: int
    end_items: int
    places: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def lane_items(self, fold: int) -> int:
        """Return the items of a lane in word `fold` of a group."""
        if fold == self.folds - 1:
            return self.end_items
        if fold % self.inner_folds == self.inner_folds - 1:
            return self.tail_items
        return self.width


def _lanes(channels: int, pe: int) -> tuple[int, ...]:
    groups = ceil_div(channels, pe)
    return (*(pe,) * (groups - 1), channels - (groups - 1) * pe)


def _dense_order(
    weight: Ints, run: StageRun, stage: DenseStage, design: Design
) -> _Order:
    """Return the weights of output channels by (group, pass, fold, lane, item).

    Args:
        weight: Digits of the weights, shape (passes, ofm_channels, ...).
        run: Layer, and part of its reduction.
        stage: The hardware.
        design: Board and width of the activations.
    """
    simd, pe, board, layer = stage.simd, stage.pe, design.board, run.layer
    assert isinstance(layer, DenseLayer)
    channels = input_channels(layer, design.engine.act_bits, board)
    taps = np.stack([_taps(digit, layer, channels, design) for digit in weight], axis=1)
    if run.part is not None:
        taps, channels = taps[..., run.part.begin : run.part.end], run.inputs(design)
    rows, passes, kernel = taps.shape[:3]
    packed = int(packed_taps(layer, simd, channels))
    if packed > 1:
        folds = ceil_div(kernel, packed)
        size = folds * packed * channels
        flat = _padded(taps.reshape(rows, passes, -1), 2, size)
        # The last word of a pass is filled up where another pass follows it.
        exists = np.arange(size) < (kernel * channels if passes == 1 else size)
        cube = flat.reshape(rows, passes * folds, packed * channels)
        there = np.tile(exists.reshape(folds, -1), (rows, passes, 1))
        inner, tail = 1, packed * channels
        end = tail if passes > 1 else (kernel - (folds - 1) * packed) * channels
    else:
        inner = ceil_div(channels, simd)
        folds = kernel * inner
        wide = _padded(taps, 3, inner * simd)
        cube = wide.reshape(rows, passes * folds, simd)
        exists = np.tile(np.arange(inner * simd) < channels, passes * kernel)
        there = np.broadcast_to(exists.reshape(passes * folds, simd), cube.shape)
        tail = end = channels - (inner - 1) * simd
        if skips_words(layer, simd, act_bits=design.engine.act_bits, board=board):
            return _kept_order(cube.reshape(rows, passes, folds, simd), layer, stage)
    return _Order(
        items=_by_group(cube, there, pe),
        lanes=_lanes(rows, pe),
        folds=passes * folds,
        inner_folds=inner,
        width=simd,
        tail_items=tail,
        end_items=end,
    )


def stage_words(design: Design, network: Network | None = None) -> dict[str, Words]:
    """Return how the weights of every layer that may be pruned lie in words.

    Layers whose words hold several taps, or whose frame comes in digits, keep all of
    them: they are left out.

    Args:
        design: Its stages hold the words.
        network: Whose layers they are, on the stages of the layers of the same names;
            `None` for the design's own.
    """
    stages, board = engine_stages(design), design.board
    others = {} if network is None else {x.name: x for x in network.layers}
    found = {}
    for segment in design.segments:
        for role, layer in segment.invocation.stages:
            stage = stages[role]
            own = layer if network is None else others.get(layer.name)
            if not isinstance(own, DenseLayer) or not isinstance(stage, DenseStage):
                continue
            pruned = replace(own, density=1)
            act_bits = design.engine.act_bits
            if skips_words(pruned, stage.simd, act_bits=act_bits, board=board):
                place = _word_places(own, stage.simd, design)
                found[own.name] = Words(place, stage.pe)
    return found


def _word_places(layer: Conv | Linear, simd: int, design: Design) -> Ints:
    """Return the word of an output group that each weight of a channel lies in.

    Args:
        layer: Whose words hold channels of one tap.
        simd: Multipliers per lane.
        design: Board and width of the activations.

    Returns:
        Shape of the weights of one output channel.
    """
    shape: tuple[int, ...] = (layer.ifm.elements,)
    if isinstance(layer, Conv):
        shape = (layer.ifm.channels, layer.kernel, layer.kernel)
    count = int(np.prod(shape))
    channels = input_channels(layer, design.engine.act_bits, design.board)
    numbers = 1 + np.arange(count).reshape(1, *shape)  # 0: no weight
    taps = _taps(numbers, layer, channels, design)[0]
    inner = ceil_div(channels, simd)
    word = np.arange(taps.shape[1]) // simd + inner * np.arange(len(taps))[:, None]
    found = np.zeros(count + 1, dtype=np.int64)
    found[taps] = word
    return found[1:].reshape(shape)


def pruned_network(
    network: Network, design: Design, densities: Mapping[str, int] | None = None
) -> Network:
    """Return a network whose pruned layers keep the words of the most energy.

    Args:
        network: With parameters.
        design: Says what a word of the stage of each layer holds.
        densities: What each layer keeps [%]; `None` for what the design says.
    """
    params = dict(network.params)
    if densities is None:
        densities = densities_of(design.scheme)
    for name, words in stage_words(design, network).items():
        if name in densities:
            weight = f"{name}.weight"
            params[weight] = keep_largest(params[weight], words, densities[name])
    return replace(network, params=params)


def _kept_order(cube: Ints, layer: Conv | Linear, stage: DenseStage) -> _Order:
    """Return the words of a pruned layer that are kept, whole, and their places.

    Args:
        cube: Weights, shape (ofm_channels, passes, folds, simd).
        layer: Whose weights they are.
        stage: The hardware.
    """
    rows, passes, folds, simd = cube.shape
    kept = kept_folds(cube, layer, stage.pe)
    count = kept.shape[1]
    group = np.arange(rows) // stage.pe
    chosen = np.take_along_axis(cube, kept[group][:, None, :, None], axis=2)
    chosen = chosen.reshape(rows, passes * count, simd)
    places = np.repeat(fold_places(kept, folds, layer)[:, None, :], passes, axis=1)
    return _Order(
        items=_by_group(chosen, np.ones(chosen.shape, dtype=np.bool_), stage.pe),
        lanes=_lanes(rows, stage.pe),
        folds=passes * count,
        inner_folds=1,
        width=simd,
        tail_items=simd,
        end_items=simd,
        places=places.ravel(),
    )


def _taps(weight: Ints, layer: Conv | Linear, channels: int, design: Design) -> Ints:
    """Return weights of shape (ofm_channels, kernel taps, channels)."""
    if isinstance(layer, Conv):
        depth = weight.shape[1]  # of all planes
        return weight.transpose(0, 2, 3, 1).reshape(len(weight), -1, depth)
    shape = layer.ifm
    if shape.height * shape.width == 1:
        return weight.reshape(len(weight), 1, shape.channels)
    act_bits, board = design.engine.act_bits, design.board
    stored = stored_map(shape, base=0, act_bits=act_bits, board=board)
    rows = np.zeros(
        (len(weight), shape.height, channels // shape.height), dtype=np.int64
    )
    cube = weight.reshape(len(weight), shape.channels, shape.height, shape.width)
    for column in range(shape.width):
        begin = column * stored.pixel_channels
        rows[:, :, begin : begin + shape.channels] = cube[..., column].transpose(
            0, 2, 1
        )
    return rows.reshape(len(weight), 1, channels)


def _depthwise_order(weight: Ints, stage: DepthwiseStage) -> _Order:
    """Return the weights of channels by (group, pass, lane, tap), taps filled up."""
    channels = len(weight)
    kernel = weight[0].size
    passes = ceil_div(kernel, stage.taps)
    flat = _padded(weight.reshape(channels, kernel), 1, passes * stage.taps)
    cube = flat.reshape(channels, passes, stage.taps)
    return _Order(
        items=_by_group(cube, np.ones(cube.shape, dtype=np.bool_), stage.pe),
        lanes=_lanes(channels, stage.pe),
        folds=passes,
        inner_folds=1,
        width=stage.taps,
        tail_items=stage.taps,
        end_items=stage.taps,
    )


def _padded(array: Ints, axis: int, size: int) -> Ints:
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, size - array.shape[axis])
    return np.pad(array, widths)


def _by_group(cube: Ints, there: NDArray[np.bool_], pe: int) -> Ints:
    """Return (channels, folds, items) in the order (group, fold, lane, item)."""
    groups = ceil_div(len(cube), pe)
    wide = _padded(cube, 0, groups * pe)
    mask = np.zeros(wide.shape, dtype=np.bool_)
    mask[: len(cube)] = there
    shape = (groups, pe, *cube.shape[1:])
    ordered = wide.reshape(shape).transpose(0, 2, 1, 3)
    result: Ints = ordered[mask.reshape(shape).transpose(0, 2, 1, 3)]
    return result


def _pack_bits(items: Ints, bits: int) -> Bytes:
    """Return two's complement integers of `bits` bits each, lowest bit first."""
    codes = (items & ((1 << bits) - 1)).astype(np.uint16)
    planes = (codes[:, None] >> np.arange(bits, dtype=np.uint16)) & 1
    return np.packbits(planes.astype(np.uint8).ravel(), bitorder="little")


def _beats(data: Bytes, port: int) -> Bytes:
    """Return the data filled up to whole beats."""
    return np.pad(data, (0, -len(data) % port))


def _records(run: StageRun, pe: int, net: IntegerNetwork, port: int) -> Bytes:
    """Return the records of a run's channels, each group of `pe` from a new beat."""
    name = run.layer.name
    part = slice(run.begin, run.end)
    mode = net.requantization
    bias = net.param(name, "bias")[part] >> mode.cut_bits
    shift = net.param(name, "shift")[part] - mode.cut_bits
    assert shift.max() < 1 << RECORD_SHIFT_BITS
    even = np.broadcast_to(net.rounding(name), (run.layer.ofm.channels,))[part]
    above = shift | even << RECORD_SHIFT_BITS
    words = (bias & ((1 << mode.bias_bits) - 1)) | above << mode.bias_bits
    size = record_bits(net) // 8
    if mode.multiplies:
        multiplier = net.param(name, "multiplier")[part]
        words = words | multiplier << 64 - mode.multiplier_bits
    kind = np.dtype("<u4") if size == 4 else np.dtype("<u8")
    data = words.astype(kind).view(np.uint8).reshape(-1, size)
    groups = [
        _beats(data[begin : begin + pe].ravel(), port)
        for begin in range(0, len(data), pe)
    ]
    return np.concatenate(groups)


def _unit_trips(order: _Order, *, rows: int, bits: int, port: int) -> tuple[int, int]:
    """Return the units, and the iterations in which the loader makes them.

    An iteration takes in a beat where one is missing, and makes a unit where it can;
    so a unit lasts as many iterations as it needs new beats, and at least one.
    """
    needs: list[Ints] = []
    for lanes in order.lanes:
        for fold in range(order.folds):
            items = order.lane_items(fold)
            step = rows if items == order.width else 1
            full, rest = divmod(lanes, step)
            sizes = [step] * full + [rest] * (rest > 0)
            needs.append(np.array(sizes, dtype=np.int64) * items * bits)
    need = np.concatenate(needs)
    beats = -(-np.cumsum(need) // (8 * port))
    fresh = np.diff(beats, prepend=0)
    return len(need), int(np.maximum(fresh, 1).sum())
