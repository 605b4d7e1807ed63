"""Blocks that the engine's stages take, for whole arrays of configurations.

Each stage is priced with all its lanes built from LUTs (`base`), and by what changes
when one pair of lanes (depthwise: one lane) moves to DSPs (`step`). Both are linear
in the integer program. LUT counts are placed LUTs, as measured by synthesis of the
blocks (`hao.cost.blocks`), times the factors of the board's calibration; what C
synthesis prints is another figure.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache, reduce

import numpy as np
from numpy.typing import NDArray

from hao.cost import blocks
from hao.cost.blocks import Logic
from hao.cost.bram import (
    lutram_lut,
    memory,
    memory_bram18,
    memory_ff,
    memory_lut,
    uram,
)
from hao.cost.memory import MULTIPLIED_BYTES, RECORD_BYTES, beat_channels
from hao.cost.overheads import MAX_BURST_BEATS, OUTSTANDING_BURSTS
from hao.cost.packing import (
    NARROW_PORT_BITS,
    Packing,
    Sharing,
    packing,
    wide_port_bits,
)
from hao.cost.widths import memory_parts
from hao.cost.words import INDEX_BYTES, list_words
from hao.engine.stages import DenseStage, DepthwiseStage, Engine
from hao.hw.board import Board, DspType
from hao.hw.calibration import PartFactors, scaled
from hao.hw.resources import Resources
from hao.ir.integer import MEAN_BITS, accumulator_bits

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

AXI_PORTS = 4
"""IFM, OFM, residual and weights, each on its own. Source: docs/engine.md."""

BUS_FIFO_BEATS = MAX_BURST_BEATS * OUTSTANDING_BURSTS
"""Beats that the adapter of a port holds, reading or writing. Source:
`hao.cost.overheads`; the pragmas of the emitted core say the same (tested)."""

BEAT_STREAMS = 2
"""Streams of beats of every engine: to the writer, and from the reader of weights.

Source: the emitted dataflow region. Those of the other ports are counted with them.
"""

UNIT_BEATS = 2
"""Beats of a unit of weights: one of the narrowest, taken to be half of the widest.

Source: derived here from docs/engine.md, "Weights in DDR".
"""

RECORD_BITS = {False: 8 * RECORD_BYTES, True: 8 * MULTIPLIED_BYTES}
"""Of one output channel, without and with a multiplier. Source: `hao.cost.memory`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Device blocks per configuration, arrays that broadcast; `lut` counts `lutram`."""

    dsp: Ints
    bram_18k: Ints
    lut: Ints
    ff: Ints
    lutram: Ints
    uram: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class StageArea:
    """A stage with all lanes in LUTs, and the change per step of lanes onto DSPs.

    Attributes:
        base: All lanes in LUTs; DSPs of requantizers alone.
        step: Change when one pair of lanes (depthwise: one lane) uses DSPs.
        steps: Most such steps, at any pixels at once.
    """

    base: Area
    step: Area
    steps: Ints

    def at(self, place: int) -> "StageArea":
        """Return the area at one of several counts of pixels priced side by side.

        Args:
            place: Index of the count.
        """
        return StageArea(
            base=_each(self.base, lambda values: values[place]),
            step=_each(self.step, lambda values: values[place]),
            steps=self.steps,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseShape:
    """Arrays that describe dense stages: those of `hao.engine.stages.DenseStage`.

    Where many stages differ in the weight buffer alone, `lane_of` says for each of
    `weight_words` and `weights_in_uram` to which place of the other arrays it belongs.
    Of several counts of pixels at once, `feature_words` has an axis in front.
    """

    simd: Ints
    pe: Ints
    weight_bits: Ints
    weight_words: Ints
    weights_in_uram: Bools
    feature_words: Ints
    channel_words: Ints
    pack_words: Ints
    terms: int
    passes: int = 1
    skips: bool = False
    multiplies: bool = False
    turns: Ints | None = None
    evens: bool = False
    wide: bool = False
    lane_of: Ints | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthwiseShape:
    """Arrays that describe depthwise stages: see `hao.engine.stages.DepthwiseStage`.

    Of several counts of pixels at once, `row_words` has an axis in front.
    """

    pe: Ints
    taps: Ints
    weight_bits: Ints
    weight_words: Ints
    row_words: Ints
    groups: Ints
    channel_words: Ints
    pack_words: Ints
    rows: int
    kernel: int
    pools: bool
    convolves: bool
    multiplies: bool = False
    turns: Ints | None = None
    evens: bool = False
    wide: bool = False
    mean_bits: int = 0


_KINDS = tuple(field.name for field in fields(Area))
"""Source: the fields of `Area`."""


def _array(value: int | Ints) -> Ints:
    return np.asarray(value, dtype=np.int64)


def _arrays(logic: Logic[int]) -> Logic[Ints]:
    return Logic(_array(logic.lut), _array(logic.ff))


def dense_area(
    shape: DenseShape, *, px: int | Ints, act_bits: int, board: Board, ring: bool
) -> StageArea:
    """Return the area of dense (`ring`: with a ring of rows) or pointwise stages.

    Args:
        shape: The stages.
        px: Pixels at once: one count, or an array of shape (p, 1) for results of shape
            (p, stages).
        act_bits: Width of the activations.
        board: DSPs, ports and calibration.
        ring: The stage keeps a ring of rows.
    """
    simd, pe, bits = shape.simd, shape.pe, shape.weight_bits
    feature_width = simd * act_bits
    control = _arrays(blocks.LOOP_CONTROL)
    if ring:
        one, none, pixels = _array(1), _array(0), _array(px)
        control += blocks.window(one, none, pixels, feature_width)
    lanes, step = _dense_lanes(shape, px, act_bits, board)
    base = _sum(
        lanes,
        _logic(control),
        _memory(feature_width, shape.feature_words, px),
        _ways(
            simd,
            pe,
            shape.pack_words,
            packs=ring,
            px=px,
            act_bits=act_bits,
            board=board,
        ),
        _loader(simd, pe, bits, board),
        _memory(pe * RECORD_BITS[shape.multiplies], shape.channel_words),
        _links(
            simd,
            px * feature_width,
            pe,
            ways_in=0 if ring else 2,
            ways_out=3 if ring else 1,
            px=px,
            act_bits=act_bits,
        ),
    )
    steps = pe // 2
    if shape.lane_of is not None:
        lane = shape.lane_of
        base, step = (
            _each(
                part, lambda v: np.broadcast_to(v, lanes.lut.shape).take(lane, axis=-1)
            )
            for part in (base, step)
        )
        simd, pe, bits, steps = (each[lane] for each in (simd, pe, bits, steps))
    weights = _weights(pe, simd * bits, shape.weight_words, shape.weights_in_uram)
    base = _sum(base, weights)
    if shape.skips:
        base = _sum(base, _order(shape.weight_words, board, ring=ring))
    calibration = board.calibration
    factors = calibration.dense if ring else calibration.pointwise
    return _stage_area(base, step, steps, px, factors)


def _stage_area(
    base: Area, step: Area, steps: Ints, px: int | Ints, factors: PartFactors
) -> StageArea:
    """Return a calibrated area whose arrays are of one shape."""
    shape = np.broadcast_shapes(np.shape(px), steps.shape)

    def full(area: Area) -> Area:
        made = _calibrated(area, factors)
        return _each(made, lambda values: np.broadcast_to(values, shape))

    return StageArea(base=full(base), step=full(step), steps=steps)


def _dense_lanes(
    shape: DenseShape, px: int | Ints, act_bits: int, board: Board
) -> tuple[Area, Area]:
    """Return the multipliers and adders of all lanes in LUTs, and a step onto DSPs."""
    simd, pe, bits = shape.simd, shape.pe, shape.weight_bits
    pixels = np.reshape(np.asarray(px, dtype=np.int64), (-1, 1))
    act = _array(act_bits)
    made = np.zeros((6, pixels.size, simd.size), dtype=np.int64)
    for width in np.unique(bits):
        here = np.flatnonzero(bits == width)
        acc, w = _accumulator(shape, int(width), act_bits), _array(int(width))
        lane = each = blocks.lut_lane(simd[here], w, act, acc)
        if shape.passes > 1:
            each = replace(lane, lut=lane.lut + blocks.digit_lut(acc))
        for odd in np.unique(pixels % 2):
            rows = np.flatnonzero(pixels[:, 0] % 2 == odd)
            some = pixels[rows]
            again = _requantizers(shape, here, some, acc, board, act_bits)
            step = _dense_step(
                _sharing(board.dsp_type, int(width), act_bits, even=not odd),
                simd[here],
                (w, act, acc),
                some,
            )
            total = each.times(pe[here] * some) + again.logic + step.before
            change = step.logic + lane.times(-2 * some)
            made[:, rows[:, None], here] = np.stack(
                [total.lut, total.ff, step.dsp, change.lut, change.ff, again.dsp]
            )
    lut, ff, dsp, step_lut, step_ff, own = made.reshape(6, *np.shape(px)[:-1], -1)
    return _logic(Logic(lut, ff), own), _logic(Logic(step_lut, step_ff), dsp)


def _accumulator(
    shape: DenseShape | DepthwiseShape, weight_bits: int, act_bits: int
) -> Ints:
    """Return the width of accumulators; behind a multiplier the bias comes later."""
    terms = shape.terms if isinstance(shape, DenseShape) else shape.kernel**2
    bits = accumulator_bits(weight_bits, act_bits, terms, biased=not shape.multiplies)
    return _array(bits)


@dataclass(frozen=True, slots=True)
class _OnSlices:
    """DSP slices, and the logic around them."""

    dsp: Ints
    logic: Logic[Ints]


def _requantizer(
    acc: Ints, act: Ints, board: Board, shape: DenseShape | DepthwiseShape
) -> _OnSlices:
    """Return what brings a sum back to the width of activations.

    A slice adds the bias to its product; of two slices, an adder behind them does. A
    wide multiplier takes the wide port, the sum the other.
    """
    more = _arrays(blocks.EVEN).times(_array(shape.evens))
    if not shape.multiplies:
        return _OnSlices(_array(0), blocks.requantizer(acc, act) + more)
    if shape.wide:
        logic = blocks.wide_requantizer(acc, act) + more
        return _OnSlices(
            blocks.multiplier_requantizer_dsp(acc, NARROW_PORT_BITS), logic
        )
    port = wide_port_bits(board.dsp_type)
    bias = Logic(blocks.wide_bias_lut(acc, port), _array(0))
    logic = blocks.multiplier_requantizer(acc, act, port) + bias + more
    return _OnSlices(blocks.multiplier_requantizer_dsp(acc, port), logic)


def _requantizers(
    shape: DenseShape | DepthwiseShape,
    here: Ints | Bools,
    px: Ints,
    acc: Ints,
    board: Board,
    act_bits: int,
) -> _OnSlices:
    """Return the requantizers of stages `here`, with what holds sums for their turn."""
    act = _array(act_bits)
    one = _requantizer(acc, act, board, shape)
    lanes = shape.pe[here]
    if shape.turns is None:
        built = lanes * px
        return _OnSlices(built * one.dsp, one.logic.times(built))
    turns = shape.turns[here]
    built = lanes // turns * px
    record = _array(RECORD_BITS[shape.multiplies])
    waits = blocks.taking_turns(lanes, turns, px, (acc, act), record)
    return _OnSlices(built * one.dsp, one.logic.times(built) + waits)


@dataclass(frozen=True, slots=True)
class _DenseStep(_OnSlices):
    """Two lanes on DSPs, of shape (pixels at once, stages).

    Attributes:
        before: What serves all lanes that are on DSPs.
    """

    before: Logic[Ints]


def _sharing(
    dsp_type: DspType, weight_bits: int, act_bits: int, *, even: bool
) -> Packing | None:
    """Return how two lanes share slices; with an even count of pixels these may too."""
    for sharing in (Sharing.QUAD, Sharing.PAIR)[not even :]:
        found = packing(sharing, dsp_type, weight_bits=weight_bits, act_bits=act_bits)
        if found is not None:
            return found
    return None


def _dense_step(
    found: Packing | None, simd: Ints, widths: tuple[Ints, Ints, Ints], px: Ints
) -> _DenseStep:
    """Return two lanes on DSPs.

    Args:
        found: How products share a slice, if they do.
        simd: Products of a lane and pixel.
        widths: Of weights, activations and sums [bits].
        px: Pixels at once, of shape (p, 1).
    """
    act = widths[1]
    if found is None:
        none = np.zeros_like(px * simd)
        each = blocks.dsp_single(simd, *widths)
        return _DenseStep(2 * px * simd, each.times(2 * px), Logic(none, none))
    depth = _array(found.depth)
    before = blocks.activation_delay(simd, act, depth).times(px)
    groups, sums = px, 2
    if found.sharing is Sharing.QUAD:
        groups, sums = px // 2, 4
        operands = groups * blocks.quad_operand_lut(simd, act)
        before += Logic(operands, np.zeros_like(operands))
    logic = blocks.dsp_lanes(simd, *widths, depth, sums=sums).times(groups)
    return _DenseStep(groups * simd, logic, before)


def _weights(
    lanes: Ints, lane_bits: Ints, words: Ints, in_uram: Bools | None = None
) -> Area:
    """Return what a buffer of weights takes: one memory, or several of fewer lanes.

    Args:
        lanes: Of a word.
        lane_bits: Bits of each.
        words: Depth of the buffer.
        in_uram: Which buffers are made of URAM; `None` for none.
    """
    parts = memory_parts(lanes, lane_bits)
    width = lanes // parts * lane_bits
    made = _memory(width, words, parts)
    if in_uram is None or not in_uram.any():
        return made
    other = _each(made, lambda values: np.where(in_uram, 0, values))
    return replace(other, uram=np.where(in_uram, parts * uram(width, words), 0))


def _memory(width: Ints, words: Ints, copies: Ints | int = 1) -> Area:
    """Return what `copies` memories of one shape take."""
    return Area(
        dsp=_array(0),
        bram_18k=copies * memory_bram18(width, words),
        lut=copies * memory_lut(width, words),
        ff=copies * memory_ff(width, words),
        lutram=copies * _lutram(width, words),
        uram=_array(0),
    )


def _sum(*parts: Area) -> Area:
    """Return the sum of areas of the same configurations."""
    return Area(
        **{
            kind: reduce(np.add, [getattr(part, kind) for part in parts])
            for kind in _KINDS
        }
    )


def _each(area: Area, change: Callable[[Ints], Ints]) -> Area:
    """Return an area with every array changed alike."""
    return Area(**{kind: change(getattr(area, kind)) for kind in _KINDS})


def _calibrated(area: Area, factors: PartFactors) -> Area:
    """Return an area by a calibration; its memories and DSPs stay as they are."""
    lut, ff = scaled(area.lut, factors.lut), scaled(area.ff, factors.ff)
    return replace(area, lut=lut, ff=ff)


def _logic(logic: Logic[Ints], dsp: Ints | None = None) -> Area:
    """Return logic, and DSP slices if any, as an area without memories."""
    zero = _array(0)
    return Area(
        dsp=zero if dsp is None else dsp,
        bram_18k=zero,
        lut=logic.lut,
        ff=logic.ff,
        lutram=zero,
        uram=zero,
    )


def _ways(
    lanes_in: Ints,
    pe: Ints,
    pack_words: Ints,
    *,
    packs: bool,
    px: int | Ints,
    act_bits: int,
    board: Board,
) -> Area:
    """Return the area of a stage's ways in from beats and out to beats.

    Any stage may be the first of a run, and the last; `packs`: a word that comes in may
    hold several pixels.
    """
    beat = beat_channels(act_bits, board)
    logic = blocks.unpack(beat, lanes_in, act_bits, packs=packs)
    logic += blocks.pack(beat, pe, _array(px), act_bits)
    return _sum(_logic(logic), _memory(pe * act_bits, pack_words, px))


def _links(
    lanes_in: Ints,
    operand_bits: Ints,
    pe: Ints,
    *,
    ways_in: int,
    ways_out: int,
    px: int | Ints,
    act_bits: int,
) -> Area:
    """Return the FIFOs between a stage's processes, and those to its neighbours.

    Args:
        lanes_in: Channels of a word that comes in.
        operand_bits: Of a word of its array.
        pe: Channels that it makes.
        ways_in: Stages that may feed it, besides the DDR.
        ways_out: Where its results may go, the DDR among them.
        px: Pixels at once.
        act_bits: Width of the activations.

    Source: the streams that are emitted (`hao.emission.wiring.make_streams`).
    """
    bits = lanes_in * act_bits * (1 + ways_in * px) + operand_bits
    bits = bits + ways_out * px * pe * act_bits
    return _logic(blocks.link(bits, 2 + ways_in + ways_out))


def _loader(items: Ints, pe: Ints, weight_bits: Ints, board: Board) -> Area:
    """Return the area of what brings weights and records to a stage.

    One funnel serves all stages (`fixed_area`) and holds the largest of their units;
    each pays here for what its own is larger than `UNIT_BEATS`, whose sum is at least
    that of the largest. A register assembles a word of the buffer from units. Units and
    records come through a FIFO each, and go together through another to the array.
    """
    beat = 8 * board.port_bytes
    lane, word = items * weight_bits, pe * items * weight_bits
    shared = UNIT_BEATS * beat
    unit = np.minimum(word, -(-shared // lane) * lane)
    more = np.maximum(unit - shared, 0)
    none, funnel = blocks.weight_funnel(0, beat), blocks.weight_funnel(more, beat)
    own = Logic(funnel.lut - none.lut, funnel.ff - none.ff + word)
    come = blocks.link(2 * (unit + beat), 3)
    return _logic(own + come + _arrays(blocks.LOOP_CONTROL))


def _order(weight_words: Ints, board: Board, *, ring: bool) -> Area:
    """Return the area of the lists of a stage that skips words, and their process.

    Beats come through a FIFO, and places of 16 bits go through another.
    """
    beat = 8 * board.port_bytes
    bits = np.full_like(weight_words, beat + 8 * INDEX_BYTES)
    logic = blocks.link(bits, 2) + _arrays(blocks.order(beat, ring=ring))
    lists = list_words(weight_words, board)
    return _sum(_logic(logic), _memory(np.full_like(lists, beat), lists))


def _lutram(width: Ints, words: Ints) -> Ints:
    """Return the LUTs used as memory, zero where block RAM is."""
    return np.where(memory_bram18(width, words) > 0, 0, lutram_lut(width, words))


def depthwise_area(
    shape: DepthwiseShape, *, px: int | Ints, act_bits: int, board: Board
) -> StageArea:
    """Return the area of depthwise (and pooling) stages.

    Args:
        shape: The stages.
        px: Pixels at once: one count, or an array of shape (p, 1) for results of shape
            (p, stages).
        act_bits: Width of the activations.
        board: DSPs, ports and calibration.
    """
    pe, taps, bits = shape.pe, shape.taps, shape.weight_bits
    lanes, step = _depthwise_lanes(shape, px, act_bits, board)
    row_width = pe * act_bits
    row_banks = shape.rows * px
    # A stage that only pools keeps no weights.
    weights = _weights(pe, taps * bits * int(shape.convolves), shape.weight_words)
    kernel, stride = _array(shape.kernel), _array(shape.rows - shape.kernel)
    cache = blocks.column_cache_lut(kernel, pe, _array(act_bits), shape.groups)
    base = _sum(
        lanes,
        weights,
        _memory(row_width, shape.row_words, row_banks),
        replace(_logic(Logic(cache, _array(0))), lutram=cache),
        _logic(
            blocks.window(kernel, stride, _array(px), row_width)
            + _arrays(blocks.LOOP_CONTROL)
        ),
        _ways(
            pe,
            pe,
            shape.pack_words,
            packs=False,
            px=px,
            act_bits=act_bits,
            board=board,
        ),
        _links(
            pe,
            shape.kernel * ((px - 1) * stride + shape.kernel) * row_width,
            pe,
            ways_in=1,
            ways_out=2,
            px=px,
            act_bits=act_bits,
        ),
    )
    if shape.convolves:
        records = _memory(pe * RECORD_BITS[shape.multiplies], shape.channel_words)
        base = _sum(base, _loader(taps, pe, bits, board), records)
    steps = pe if shape.convolves else np.zeros_like(pe)
    return _stage_area(base, step, steps, px, board.calibration.depthwise)


def _depthwise_lanes(
    shape: DepthwiseShape, px: int | Ints, act_bits: int, board: Board
) -> tuple[Area, Area]:
    """Return all lanes in LUTs with what pools, and a step of one lane onto DSPs."""
    pe, taps, bits = shape.pe, shape.taps, shape.weight_bits
    act = _array(act_bits)
    # Pixels in twos share a slice, where their count is even.
    twos = _array(np.asarray(px) % 2 == 0)
    full = np.broadcast_shapes(np.shape(px), pe.shape)
    made = np.zeros((6, *full), dtype=np.int64)
    for width in np.unique(bits) if shape.convolves else ():
        here = bits == width
        lanes, columns = pe[here], taps[here]
        acc, w = _accumulator(shape, int(width), act_bits), _array(int(width))
        lane = blocks.lut_lane(columns, w, act, acc)
        found = packing(
            Sharing.PIXEL_PAIR,
            board.dsp_type,
            weight_bits=int(width),
            act_bits=act_bits,
        )
        dsp = columns * px
        step = blocks.dsp_single(columns, w, act, acc).times(_array(px))
        if found is not None:
            half, depth = _array(px // 2), _array(found.depth)
            paired = blocks.dsp_pixel_pair(columns, w, act, acc, depth).times(half)
            dsp = np.where(twos, columns * half, dsp)
            step = Logic(
                np.where(twos, paired.lut, step.lut), np.where(twos, paired.ff, step.ff)
            )
        again = _requantizers(shape, here, _array(px), acc, board, act_bits)
        total = lane.times(lanes * px) + again.logic
        change = step + lane.times(-_array(px))
        parts = (total.lut, total.ff, dsp, change.lut, change.ff, again.dsp)
        for values, own in zip(made, parts, strict=True):
            values[..., here] = own
    lut, ff, dsp, step_lut, step_ff, slices = made
    if shape.pools:
        # Compare and select of every tap and pixel: an adder and a multiplexer a bit.
        lut = lut + pe * px * taps * 2 * act_bits
    if shape.mean_bits:
        mean = blocks.mean(taps, act_bits, shape.kernel, shape.mean_bits)
        lut, ff = lut + pe * px * mean.lut, ff + pe * px * mean.ff
    if shape.mean_bits > MEAN_BITS:
        lut = lut + px * blocks.border_lut(shape.mean_bits - MEAN_BITS)
    return _logic(Logic(lut, ff), slices), _logic(Logic(step_lut, step_ff), dsp)


def fixed_area(
    board: Board,
    *,
    act_bits: int,
    residual: bool,
    pool_words: int,
    wide_mean: bool = False,
) -> Resources:
    """Return what the engine takes whatever its stages: ports, loader, platform.

    Args:
        board: Sets the ports.
        act_bits: Width of the activations.
        residual: The way out adds a second feature map.
        pool_words: Words of sums of the global average pool, 0 without one.
        wide_mean: Those sums take a wide multiplier.
    """
    port_bits = 8 * board.port_bytes
    readers = AXI_PORTS - 1 if residual else AXI_PORTS - 2
    ports = readers + 1
    logic = blocks.axi_reader(port_bits).times(readers) + blocks.axi_writer(port_bits)
    # What finishes a result stands between two streams of beats, as does the loader.
    logic += blocks.stream(port_bits).times(BEAT_STREAMS) + blocks.LOOP_CONTROL
    logic += blocks.weight_funnel(UNIT_BEATS * port_bits, port_bits)
    if residual:
        logic += blocks.residual(act_bits).times(board.port_bytes)
    sums = Resources()
    if pool_words:
        beat = beat_channels(act_bits, board)
        logic += blocks.pool(beat, act_bits, wide=wide_mean)
        sums = memory(beat * blocks.POOL_BITS, pool_words)
    logic += blocks.AXI_LITE + blocks.platform(ports)
    fifos = ports * blocks.axi_fifo_bram18(port_bits, BUS_FIFO_BEATS)
    found = sums + Resources(bram_18k=fifos, lut=logic.lut, ff=logic.ff)
    factors = board.calibration.fixed
    return replace(
        found, lut=scaled(found.lut, factors.lut), ff=scaled(found.ff, factors.ff)
    )


def pool_lutram(board: Board, *, act_bits: int, pool_words: int) -> int:
    """Return the LUTs that the sums of the global average pool use as memory."""
    width = beat_channels(act_bits, board) * blocks.POOL_BITS
    return memory_lut(width, pool_words)


def engine_resources(engine: Engine, board: Board) -> dict[str, Resources]:
    """Return the resources of each part of an engine, by name; their sum is the total.

    Source: derived here from `hao.cost.blocks` and `hao.cost.bram`.
    """
    return dict(_parts(engine, board))


@lru_cache(maxsize=4096)
def _parts(engine: Engine, board: Board) -> tuple[tuple[str, Resources], ...]:
    """Return `engine_resources`; many designs share an engine."""
    parts = {
        "fixed": fixed_area(
            board,
            act_bits=engine.act_bits,
            residual=engine.residual,
            pool_words=engine.pool_words,
            wide_mean=engine.wide_mean,
        )
    }
    for name, stage in (("dense", engine.dense), ("pointwise", engine.pointwise)):
        if stage is None:
            continue
        area = dense_area(
            _dense_shape(stage),
            px=engine.px,
            act_bits=engine.act_bits,
            board=board,
            ring=name == "dense",
        )
        parts[name] = _total(area, stage.dsp_pairs)
    if engine.depthwise is not None:
        depthwise = depthwise_area(
            _depthwise_shape(engine.depthwise),
            px=engine.px,
            act_bits=engine.act_bits,
            board=board,
        )
        parts["depthwise"] = _total(depthwise, engine.depthwise.dsp_lanes)
    return tuple(parts.items())


def _dense_shape(stage: DenseStage) -> DenseShape:
    return DenseShape(
        simd=np.array([stage.simd]),
        pe=np.array([stage.pe]),
        weight_bits=np.array([stage.weight_bits]),
        weight_words=np.array([stage.weight_words]),
        weights_in_uram=np.array([stage.weights_in_uram]),
        feature_words=np.array([stage.feature_words]),
        channel_words=np.array([stage.channel_words]),
        pack_words=np.array([stage.pack_words]),
        terms=stage.terms,
        passes=stage.passes,
        skips=stage.skips,
        multiplies=stage.multiplies,
        turns=_turns(stage),
        evens=stage.evens,
        wide=stage.wide,
    )


def _depthwise_shape(stage: DepthwiseStage) -> DepthwiseShape:
    return DepthwiseShape(
        pe=np.array([stage.pe]),
        taps=np.array([stage.taps]),
        weight_bits=np.array([stage.weight_bits]),
        weight_words=np.array([stage.weight_words]),
        row_words=np.array([stage.row_words]),
        groups=np.array([stage.groups]),
        channel_words=np.array([stage.channel_words]),
        pack_words=np.array([stage.pack_words]),
        rows=stage.rows,
        kernel=stage.kernel,
        pools=stage.pools,
        convolves=stage.convolves,
        multiplies=stage.multiplies,
        turns=_turns(stage),
        evens=stage.evens,
        wide=stage.wide,
        mean_bits=stage.mean_bits,
    )


def _turns(stage: DenseStage | DepthwiseStage) -> Ints | None:
    return np.array([stage.turns]) if stage.multiplies else None


def _total(area: StageArea, steps: int) -> Resources:
    base, step = area.base, area.step
    return Resources(
        dsp=int(base.dsp[0] + steps * step.dsp[0]),
        bram_18k=int(base.bram_18k[0] + steps * step.bram_18k[0]),
        uram=int(base.uram[0] + steps * step.uram[0]),
        lut=int(base.lut[0] + steps * step.lut[0]),
        ff=int(base.ff[0] + steps * step.ff[0]),
    )
