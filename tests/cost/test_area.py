"""Area equals blocks counted lane by lane; DSPs as packing says; laws of widths."""

from dataclasses import replace
from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.cost import blocks
from hao.cost.area import (
    DenseShape,
    DepthwiseShape,
    StageArea,
    dense_area,
    depthwise_area,
    engine_resources,
    fixed_area,
    pool_lutram,
)
from hao.cost.bram import memory
from hao.cost.packing import Sharing, packing
from hao.engine.stages import DenseStage, DepthwiseStage, Engine
from hao.errors import InputError
from hao.hw.board import Board, DspType
from hao.hw.resources import Resources
from tests.cost.samples import QUICK, THOROUGH
from tests.hw.samples import BOARD

OLD = replace(BOARD, dsp_type=DspType.DSP48E1)

DENSE = DenseStage(
    simd=9,
    pe=8,
    weight_bits=8,
    dsp_pairs=0,
    weight_words=600,
    feature_words=40,
    channel_words=20,
    pack_words=20,
    terms=300,
)
DEPTHWISE = DepthwiseStage(
    pe=6,
    taps=9,
    weight_bits=8,
    dsp_lanes=0,
    weight_words=30,
    row_words=70,
    groups=12,
    channel_words=24,
    pack_words=24,
    rows=5,
    kernel=3,
    pools=False,
    convolves=True,
)


def _engine(
    *,
    dense: DenseStage | None = None,
    depthwise: DepthwiseStage | None = None,
    pointwise: DenseStage | None = None,
    px: int = 1,
    act_bits: int = 8,
) -> Engine:
    return Engine(
        dense=dense,
        depthwise=depthwise,
        pointwise=pointwise,
        px=px,
        act_bits=act_bits,
        double_buffered=True,
        residual=False,
    )


def _dense_part(
    stage: DenseStage, *, px: int = 1, act_bits: int = 8, board: Board = BOARD
) -> Resources:
    """Return what a stage takes where a pointwise one stands."""
    engine = _engine(pointwise=stage, px=px, act_bits=act_bits)
    return engine_resources(engine, board)["pointwise"]


def _depthwise_part(
    stage: DepthwiseStage, *, px: int = 1, act_bits: int = 8, board: Board = BOARD
) -> Resources:
    engine = _engine(depthwise=stage, px=px, act_bits=act_bits)
    return engine_resources(engine, board)["depthwise"]


@st.composite
def dense_stages(draw: st.DrawFn) -> DenseStage:
    pe = draw(st.integers(1, 24))
    return DenseStage(
        simd=draw(st.integers(1, 32)),
        pe=pe,
        weight_bits=draw(st.integers(2, 8)),
        dsp_pairs=draw(st.integers(0, pe // 2)),
        weight_words=draw(st.integers(1, 3000)),
        feature_words=draw(st.integers(1, 3000)),
        channel_words=draw(st.integers(1, 300)),
        pack_words=draw(st.integers(1, 300)),
        terms=draw(st.integers(1, 5000)),
    )


@st.composite
def depthwise_stages(draw: st.DrawFn) -> DepthwiseStage:
    pe = draw(st.integers(1, 24))
    kernel = draw(st.integers(2, 7))
    return DepthwiseStage(
        pe=pe,
        taps=draw(st.integers(1, kernel**2)),
        weight_bits=draw(st.integers(2, 8)),
        dsp_lanes=draw(st.integers(0, pe)),
        weight_words=draw(st.integers(1, 600)),
        row_words=draw(st.integers(1, 600)),
        groups=draw(st.integers(1, 200)),
        channel_words=draw(st.integers(1, 300)),
        pack_words=draw(st.integers(1, 300)),
        rows=kernel + draw(st.sampled_from((1, 2))),
        kernel=kernel,
        pools=draw(st.booleans()),
        convolves=True,
    )


PIXELS = st.integers(1, 8)
BITS = st.integers(2, 8)
BOARDS = st.sampled_from((BOARD, OLD))


# DSPs, product by product.


def _weights(lanes: int, lane_bits: int, words: int) -> Resources:
    """Return the memories of a buffer: the tools take words of up to 4096 bits."""
    parts = 1
    while parts < lanes and (lanes % parts or lanes // parts * lane_bits > 4096):
        parts += 1
    each = memory(lanes // parts * lane_bits, words)
    return sum([each] * parts, Resources())


@given(dense_stages(), PIXELS, BITS, BOARDS)
@THOROUGH
def test_dense_dsps_are_the_products_over_what_a_slice_gives(
    stage: DenseStage, px: int, act_bits: int, board: Board
) -> None:
    products = 2 * stage.dsp_pairs * stage.simd * px
    shared = 1
    for sharing, legal in ((Sharing.PAIR, True), (Sharing.QUAD, px % 2 == 0)):
        found = packing(
            sharing, board.dsp_type, weight_bits=stage.weight_bits, act_bits=act_bits
        )
        if legal and found is not None:
            shared = max(shared, found.products)
    dsp = _dense_part(stage, px=px, act_bits=act_bits, board=board).dsp
    assert dsp * shared == products


@given(depthwise_stages(), PIXELS, BITS, BOARDS)
@THOROUGH
def test_depthwise_dsps_are_the_products_over_what_a_slice_gives(
    stage: DepthwiseStage, px: int, act_bits: int, board: Board
) -> None:
    found = packing(
        Sharing.PIXEL_PAIR,
        board.dsp_type,
        weight_bits=stage.weight_bits,
        act_bits=act_bits,
    )
    shared = 2 if px % 2 == 0 and found is not None else 1
    dsp = _depthwise_part(stage, px=px, act_bits=act_bits, board=board).dsp
    assert dsp * shared == stage.dsp_lanes * stage.taps * px


def test_dsps_by_hand() -> None:
    # 3 pairs of lanes of 9 products for 4 pixels are 216 products: two a slice at 8
    # bits, four at 4 bits; four need an even number of pixels.
    stage = replace(DENSE, dsp_pairs=3)
    narrow = replace(stage, weight_bits=4)
    assert _dense_part(stage, px=4).dsp == 108
    assert _dense_part(narrow, px=4, act_bits=4).dsp == 54
    assert _dense_part(narrow, px=3, act_bits=4).dsp == 81
    # 5 depthwise lanes of 9 taps: two pixels a slice, or one.
    lanes = replace(DEPTHWISE, dsp_lanes=5)
    assert _depthwise_part(lanes, px=4).dsp == 90
    assert _depthwise_part(lanes, px=3).dsp == 135


def test_multipliers_of_codes_take_a_slice_a_lane_and_pixel_by_hand() -> None:
    # 8 lanes of 4 pixels; sums of 300 products of 8 x 8 bits have 25 bits, which the
    # port of the DSP48E1 takes; those of 600, 26 bits, take two slices there. The
    # port of the DSP48E2 has 27.
    stage = replace(DENSE, multiplies=True)
    assert _dense_part(stage, px=4).dsp == 32
    assert _dense_part(stage, px=4, board=OLD).dsp == 32
    longer = replace(stage, terms=600)
    assert _dense_part(longer, px=4).dsp == 32
    assert _dense_part(longer, px=4, board=OLD).dsp == 64
    more = _dense_part(stage, px=4).lut - _dense_part(DENSE, px=4).lut
    assert more >= 2 * 32  # and memory of records twice as wide
    # Two lanes share one: half the slices and requantizers, but 4 lanes of 4 sums of
    # 25 bits and a record of 64 wait behind multiplexers. All lanes keep theirs.
    shared = replace(stage, turns=2)
    own, few = _dense_part(stage, px=4), _dense_part(shared, px=4)
    assert own.dsp - few.dsp == 16
    fewer = 16 * blocks.multiplier_requantizer(25, 8).lut
    assert own.lut - few.lut == fewer - 4 * (100 + 64)
    fewer = 16 * blocks.multiplier_requantizer(25, 8).ff
    assert own.ff - few.ff == fewer - 8 * (132 + 64)
    # A wide multiplier takes the wide port of either, the sum the other in two parts.
    wide = replace(stage, wide=True)
    for board in (BOARD, OLD):
        assert _dense_part(wide, px=4, board=board).dsp == 64
        assert _dense_part(replace(wide, terms=600), px=4, board=board).dsp == 64
    # Sums of 300 products of 2 x 8 bits have 19 bits, those of 255 fit the other port.
    for terms, slices in ((300, 32), (255, 0)):
        thin = replace(wide, weight_bits=2, terms=terms)
        narrow = replace(thin, wide=False)
        assert _dense_part(thin, px=4).dsp - _dense_part(narrow, px=4).dsp == slices
    # 6 lanes: sums of 9 products have 20 bits.
    lanes = replace(DEPTHWISE, multiplies=True, dsp_lanes=5)
    plain = replace(lanes, multiplies=False)
    assert (
        _depthwise_part(lanes, px=2, board=OLD).dsp
        == 12 + _depthwise_part(plain, px=2, board=OLD).dsp
    )


# LUTs and flip-flops, block by block.


def _placed(beat: int, lanes: int, act_bits: int, grain: int) -> int:
    """Return the LUTs of a word at one of several places of a register of beats."""
    places = 0
    for at in range(beat):
        places += at % gcd(lanes, beat, grain) == 0
    return lanes * act_bits * {1: 1, 2: 3, 4: 5, 8: 9, 16: 12, 32: 15, 64: 18}[places]


def _funnels(
    items: int, pe: int, px: int, act_bits: int, board: Board, *, packs: bool
) -> Resources:
    """Return what turns beats into words of `items` and words of `pe` into beats."""
    code = next(bits for bits in (2, 4, 8) if bits >= act_bits)
    beat = 8 * board.port_bytes // code
    # Packed pixels begin at multiples of 4 codes.
    lut = _placed(beat, items, act_bits, 4 if packs else beat)
    lut += _placed(beat, pe, act_bits, beat)
    # One of px banks: each 4:1 multiplexer of the tree leaves three fewer.
    left = px
    while left > 1:
        left -= 3
        lut += pe * act_bits
    # Two beats each way; a word that leaves, one before and behind its way to a beat.
    ff = (4 * beat + items + 2 * pe) * act_bits
    return Resources(lut=lut, ff=ff)


def _around(
    stage: DenseStage | DepthwiseStage,
    px: int,
    act_bits: int,
    board: Board,
    *,
    packs: bool,
) -> Resources:
    """Return what brings weights, records and activations to a stage and away."""
    dense = isinstance(stage, DenseStage)
    items = stage.simd if isinstance(stage, DenseStage) else stage.taps
    lanes = items if dense else stage.pe
    total = _funnels(lanes, stage.pe, px, act_bits, board, packs=packs)
    bank = memory(stage.pe * act_bits, stage.pack_words)
    for _bank in range(px):
        total += bank
    words = _words(stage, px, act_bits, packs=packs)
    total += _fifos(words)
    if isinstance(stage, DepthwiseStage) and not stage.convolves:
        return total
    total += memory(32 * stage.pe, stage.channel_words)
    port, word = 8 * board.port_bytes, stage.pe * items * stage.weight_bits
    # The funnel of all stages holds two beats; here is what a unit of whole lanes that
    # fills these is larger: a held bit takes 4.5 LUTs and two flip-flops.
    unit = 0
    for _lane in range(stage.pe):
        if unit < 2 * port:
            unit += items * stage.weight_bits
    more = max(unit - 2 * port, 0)
    held = Resources(lut=(more + port) * 9 // 2 - port * 9 // 2, ff=2 * more)
    # Units and records on their way to what hands them to the array, and from there.
    coming = _fifos([unit, port, unit + port])
    control = Resources(lut=blocks.LOOP_CONTROL.lut, ff=blocks.LOOP_CONTROL.ff)
    # A register assembles the word.
    return total + held + coming + control + Resources(ff=word)


def _words(
    stage: DenseStage | DepthwiseStage, px: int, act_bits: int, *, packs: bool
) -> list[int]:
    """Return the bits of the words of a stage's streams."""
    one = act_bits
    made = px * stage.pe * one
    if isinstance(stage, DepthwiseStage):
        # From the DDR, from a stage, windows; to the DDR and to the pointwise stage.
        columns = (px - 1) * (stage.rows - stage.kernel) + stage.kernel
        window = stage.kernel * columns * stage.pe * one
        return [stage.pe * one, px * stage.pe * one, window, made, made]
    word = stage.simd * one
    if packs:  # dense: no stage feeds it, two others take what it makes
        return [word, px * word, made, made, made]
    return [word, px * word, px * word, px * word, made]


def _fifos(words: list[int]) -> Resources:
    """Return FIFOs of two words: half a LUT and two flip-flops a bit."""
    bits = sum(words)
    return Resources(
        lut=bits - bits // 2 + 6 * len(words), ff=2 * bits + 2 * len(words)
    )


def _acc_bits(weight_bits: int, act_bits: int, terms: int) -> int:
    """Return the bits that hold the most negative sum, counted from the sum itself.

    The unsigned activations are the larger ones; the bias may double the sum.
    """
    largest = 2 * max(terms, 2) * 2 ** (weight_bits - 1) * (2**act_bits - 1)
    bits = 1
    while 2 ** (bits - 1) < largest:
        bits += 1
    return bits


@given(dense_stages(), PIXELS, BITS, BOARDS)
@QUICK
def test_the_accumulator_holds_every_sum_with_its_bias(
    stage: DenseStage, px: int, act_bits: int, board: Board
) -> None:
    # Requantizers grow with the accumulator, so their LUTs tell how wide it is.
    one = replace(stage, simd=1, pe=1, dsp_pairs=0, weight_words=1, feature_words=1)
    acc = _acc_bits(one.weight_bits, act_bits, one.terms)
    part = _dense_part(one, act_bits=act_bits, board=board)
    least = blocks.lut_lane(1, one.weight_bits, act_bits, acc).lut
    least += blocks.requantizer(acc, act_bits).lut + blocks.LOOP_CONTROL.lut
    assert part.lut >= least


@given(dense_stages(), PIXELS, BITS, BOARDS, st.booleans())
@THOROUGH
def test_dense_luts_equal_lanes_counted_one_by_one(
    stage: DenseStage, px: int, act_bits: int, board: Board, ring: bool
) -> None:
    simd, bits = stage.simd, stage.weight_bits
    acc = bits + act_bits + (max(stage.terms, 2) - 1).bit_length() + 1
    quad = packing(Sharing.QUAD, board.dsp_type, weight_bits=bits, act_bits=act_bits)
    pair = packing(Sharing.PAIR, board.dsp_type, weight_bits=bits, act_bits=act_bits)
    lut = ff = 0
    together = 2 if quad is not None and px % 2 == 0 else 1
    found = quad if together == 2 else pair
    for first in range(0, px, together):
        for lane in range(stage.pe):
            lut += together * blocks.requantizer(acc, act_bits).lut
            ff += together * blocks.requantizer(acc, act_bits).ff
            if lane >= 2 * stage.dsp_pairs:
                lut += together * blocks.lut_lane(simd, bits, act_bits, acc).lut
                ff += together * blocks.lut_lane(simd, bits, act_bits, acc).ff
            elif found is None:
                lut += blocks.dsp_single(simd, bits, act_bits, acc).lut
                ff += blocks.dsp_single(simd, bits, act_bits, acc).ff
            elif lane % 2 == 0:
                widths = (bits, act_bits, acc, found.depth)
                lanes = blocks.dsp_lanes(simd, *widths, sums=2 * together)
                lut, ff = lut + lanes.lut, ff + lanes.ff
        # What prepares the activations of these pixels, whatever the lanes.
        if together == 2:
            lut += blocks.quad_operand_lut(simd, act_bits)
        for _pixel in range(first, first + together):
            if found is not None:
                lut += blocks.activation_delay(simd, act_bits, found.depth).lut
                ff += blocks.activation_delay(simd, act_bits, found.depth).ff
    weights = _weights(stage.pe, simd * bits, stage.weight_words)
    bank = memory(simd * act_bits, stage.feature_words)
    around = _around(stage, px, act_bits, board, packs=ring)
    lut += weights.lut + px * bank.lut + blocks.LOOP_CONTROL.lut + around.lut
    ff += weights.ff + px * bank.ff + blocks.LOOP_CONTROL.ff + around.ff
    if ring:
        lut += blocks.window(1, 0, px, simd * act_bits).lut
        ff += blocks.window(1, 0, px, simd * act_bits).ff
    engine = (
        _engine(dense=stage, px=px, act_bits=act_bits)
        if ring
        else _engine(pointwise=stage, px=px, act_bits=act_bits)
    )
    part = engine_resources(engine, board)["dense" if ring else "pointwise"]
    assert (part.lut, part.ff) == (lut, ff)
    expected = weights.bram_18k + px * bank.bram_18k + around.bram_18k
    assert part.bram_18k == expected


@given(depthwise_stages(), PIXELS, BITS, BOARDS)
@THOROUGH
def test_depthwise_luts_equal_lanes_counted_one_by_one(
    stage: DepthwiseStage, px: int, act_bits: int, board: Board
) -> None:
    taps, bits, kernel = stage.taps, stage.weight_bits, stage.kernel
    acc = bits + act_bits + (kernel**2 - 1).bit_length() + 1
    found = packing(
        Sharing.PIXEL_PAIR, board.dsp_type, weight_bits=bits, act_bits=act_bits
    )
    together = 2 if px % 2 == 0 and found is not None else 1
    lut = ff = 0
    for _pixel in range(0, px, together):
        for lane in range(stage.pe):
            lut += together * blocks.requantizer(acc, act_bits).lut
            ff += together * blocks.requantizer(acc, act_bits).ff
            if stage.pools:
                lut += together * taps * 2 * act_bits
            if lane >= stage.dsp_lanes:
                lut += together * blocks.lut_lane(taps, bits, act_bits, acc).lut
                ff += together * blocks.lut_lane(taps, bits, act_bits, acc).ff
            elif together == 2:
                assert found is not None
                depth = found.depth
                lut += blocks.dsp_pixel_pair(taps, bits, act_bits, acc, depth).lut
                ff += blocks.dsp_pixel_pair(taps, bits, act_bits, acc, depth).ff
            else:
                lut += blocks.dsp_single(taps, bits, act_bits, acc).lut
                ff += blocks.dsp_single(taps, bits, act_bits, acc).ff
    weights = _weights(stage.pe, taps * bits, stage.weight_words)
    bank = memory(stage.pe * act_bits, stage.row_words)
    banks = stage.rows * px
    stride = stage.rows - kernel
    lut += weights.lut + banks * bank.lut + blocks.LOOP_CONTROL.lut
    lut += blocks.column_cache_lut(kernel, stage.pe, act_bits, stage.groups)
    lut += blocks.window(kernel, stride, px, stage.pe * act_bits).lut
    ff += weights.ff + banks * bank.ff + blocks.LOOP_CONTROL.ff
    ff += blocks.window(kernel, stride, px, stage.pe * act_bits).ff
    around = _around(stage, px, act_bits, board, packs=False)
    lut, ff = lut + around.lut, ff + around.ff
    part = _depthwise_part(stage, px=px, act_bits=act_bits, board=board)
    assert (part.lut, part.ff) == (lut, ff)
    expected = weights.bram_18k + banks * bank.bram_18k + around.bram_18k
    assert part.bram_18k == expected


def test_block_ram_by_hand() -> None:
    # Weights: 8 x 9 x 8 = 576 bits x 600 words: 36 bits x 512 would take 16 x 2 = 32
    # halves, 18 x 1024 takes 32 x 1 = 32. Features: 72 bits x 1024 words of two banks:
    # 2 columns of 36 x 2 = 4 halves each. Records: 8 x 32 = 256 bits x 100 words: 8.
    # The way out: 64 bits x 100 words in 2 banks: 2 each.
    stage = replace(DENSE, feature_words=1024, channel_words=100, pack_words=100)
    assert _dense_part(stage, px=2).bram_18k == 32 + 2 * 4 + 8 + 2 * 2
    # Depthwise: 70 words of 48 bits, 5 rows of 2 banks: 2 halves each; 30 words of
    # weights are LUTs.
    assert _depthwise_part(DEPTHWISE, px=2).bram_18k == 10 * 2


@pytest.mark.parametrize("multiplies", [False, True])
def test_halves_to_even_cost_every_requantizer_a_mask(multiplies: bool) -> None:
    dense = replace(DENSE, multiplies=multiplies)
    depthwise = replace(DEPTHWISE, multiplies=multiplies)
    for plain, even, pe in (
        (
            _dense_part(dense, px=2),
            _dense_part(replace(dense, evens=True), px=2),
            dense.pe,
        ),
        (
            _depthwise_part(depthwise, px=2),
            _depthwise_part(replace(depthwise, evens=True), px=2),
            depthwise.pe,
        ),
    ):
        assert even.lut - plain.lut == 2 * pe * blocks.EVEN.lut
        assert even.ff - plain.ff == 2 * pe * blocks.EVEN.ff


def test_a_stage_that_only_pools_has_no_arithmetic_and_no_weights() -> None:
    pools = replace(DEPTHWISE, pools=True, convolves=False)
    part = _depthwise_part(pools, px=2)
    assert part.dsp == 0
    deeper = replace(pools, weight_words=5000, channel_words=900, weight_bits=2)
    assert _depthwise_part(deeper, px=2) == part
    both = _depthwise_part(replace(DEPTHWISE, pools=True), px=2)
    assert part <= both
    assert part.lut < both.lut


def test_an_average_takes_a_product_and_a_requantizer_a_lane_and_pixel() -> None:
    # 3x3 windows of 8-bit codes: sums of 13 bits, times 8; with borders times 14.
    stage = replace(DEPTHWISE, pools=True, convolves=False, kernel=3, dsp_lanes=0)
    plain, averages, borders = (
        _depthwise_part(replace(stage, mean_bits=bits), px=2) for bits in (0, 8, 14)
    )
    product = int(blocks.multiplier_lut(np.array(8), np.array(8)))
    # (5 * 21) // 2 + 30 - 1 = 81 for 8 bits out; a part more and 27 bits with borders.
    adders = (stage.taps - 1) * 10 + 13
    one = adders + 2 * product + 10 + 81
    more = adders + 4 * product + 3 * 27 // 2 + (5 * 27) // 2 + 29
    lanes = stage.pe * 2
    assert averages.lut - plain.lut == lanes * one
    place = 2 * (4 * 10 + 6) + product
    assert borders.lut - plain.lut == lanes * more + 2 * place
    assert averages.ff - plain.ff == lanes * (13 + 21 + 21 + 16 + 3)


@given(depthwise_stages(), PIXELS, BITS)
@QUICK
def test_pooling_comes_on_top_of_convolving(
    stage: DepthwiseStage, px: int, act_bits: int
) -> None:
    with_pools = _depthwise_part(replace(stage, pools=True), px=px, act_bits=act_bits)
    without = _depthwise_part(replace(stage, pools=False), px=px, act_bits=act_bits)
    # A comparator and a multiplexer, a LUT a bit each.
    more = 2 * act_bits * stage.pe * stage.taps * px
    assert with_pools == without + Resources(lut=more)


# Laws.


@given(dense_stages(), st.integers(1, 8), PIXELS, BITS)
@QUICK
def test_more_dense_lanes_never_take_fewer_luts(
    stage: DenseStage, more: int, px: int, act_bits: int
) -> None:
    few = replace(stage, dsp_pairs=0)
    many = replace(few, pe=few.pe + more)
    small = _dense_part(few, px=px, act_bits=act_bits)
    large = _dense_part(many, px=px, act_bits=act_bits)
    # But for the funnels: those of lanes that divide a beat are smaller.
    funnels = _funnels(few.simd, few.pe, px, act_bits, BOARD, packs=True)
    assert small <= large + funnels


@given(depthwise_stages(), st.integers(1, 8), PIXELS, BITS)
@QUICK
def test_more_depthwise_lanes_never_take_fewer_luts(
    stage: DepthwiseStage, more: int, px: int, act_bits: int
) -> None:
    few = replace(stage, dsp_lanes=0)
    many = replace(few, pe=few.pe + more)
    small = _depthwise_part(few, px=px, act_bits=act_bits)
    large = _depthwise_part(many, px=px, act_bits=act_bits)
    # But for the funnels: those of lanes that divide a beat are smaller.
    funnels = _funnels(few.pe, few.pe, px, act_bits, BOARD, packs=False)
    assert small <= large + funnels


@given(dense_stages(), st.integers(1, 6), PIXELS, BITS)
@QUICK
def test_wider_dense_weights_never_take_fewer_luts_or_block_rams(
    stage: DenseStage, more: int, px: int, act_bits: int
) -> None:
    narrow = replace(stage, dsp_pairs=0)
    wide = replace(narrow, weight_bits=min(8, narrow.weight_bits + more))
    small = _dense_part(narrow, px=px, act_bits=act_bits)
    large = _dense_part(wide, px=px, act_bits=act_bits)
    # Without DSP lanes too the activations are prepared for them; narrow operands
    # whose products share a slice by four need that preparation for longer cascades.
    prepared = px * blocks.activation_delay(stage.simd, act_bits, 4).lut
    prepared += px * blocks.quad_operand_lut(stage.simd, act_bits)
    assert small.bram_18k <= large.bram_18k
    assert small.lut <= large.lut + prepared


@given(depthwise_stages(), st.integers(1, 6), PIXELS, BITS)
@QUICK
def test_wider_depthwise_weights_never_take_fewer_luts_or_block_rams(
    stage: DepthwiseStage, more: int, px: int, act_bits: int
) -> None:
    narrow = replace(stage, dsp_lanes=0)
    wide = replace(narrow, weight_bits=min(8, narrow.weight_bits + more))
    assert _depthwise_part(narrow, px=px, act_bits=act_bits) <= _depthwise_part(
        wide, px=px, act_bits=act_bits
    )


@given(dense_stages(), st.integers(1, 3000), PIXELS)
@QUICK
def test_deeper_buffers_never_take_fewer_block_rams(
    stage: DenseStage, more: int, px: int
) -> None:
    deep = replace(stage, weight_words=stage.weight_words + more)
    assert _dense_part(stage, px=px).bram_18k <= _dense_part(deep, px=px).bram_18k


@given(st.lists(dense_stages(), min_size=2, max_size=6), PIXELS, BITS, st.booleans())
@QUICK
def test_dense_arrays_equal_single_stages(
    stages: list[DenseStage], px: int, act_bits: int, ring: bool
) -> None:
    terms = stages[0].terms

    def column(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.array([getattr(stage, name) for stage in stages], dtype=np.int64)

    area = dense_area(
        DenseShape(
            simd=column("simd"),
            pe=column("pe"),
            weight_bits=column("weight_bits"),
            weight_words=column("weight_words"),
            weights_in_uram=column("weights_in_uram") > 0,
            feature_words=column("feature_words"),
            channel_words=column("channel_words"),
            pack_words=column("pack_words"),
            terms=terms,
        ),
        px=px,
        act_bits=act_bits,
        board=BOARD,
        ring=ring,
    )
    for index, stage in enumerate(stages):
        engine = (
            _engine(dense=replace(stage, terms=terms), px=px, act_bits=act_bits)
            if ring
            else _engine(
                pointwise=replace(stage, terms=terms), px=px, act_bits=act_bits
            )
        )
        part = engine_resources(engine, BOARD)["dense" if ring else "pointwise"]
        assert _built(area, index, stage.dsp_pairs) == part
        assert area.steps[index] == stage.pe // 2


def _built(area: StageArea, index: int, steps: int) -> Resources:
    """Return the blocks of one configuration after so many steps onto DSPs."""
    return Resources(
        dsp=int(area.base.dsp[index] + steps * area.step.dsp[index]),
        bram_18k=int(area.base.bram_18k[index] + steps * area.step.bram_18k[index]),
        lut=int(area.base.lut[index] + steps * area.step.lut[index]),
        ff=int(area.base.ff[index] + steps * area.step.ff[index]),
    )


def _depthwise_shape(weight_words: int, *, convolves: bool = True) -> DepthwiseShape:
    return DepthwiseShape(
        pe=np.array([6, 12]),
        taps=np.array([9, 3]),
        weight_bits=np.array([8, 4]),
        weight_words=np.full(2, weight_words),
        row_words=np.array([70, 40]),
        groups=np.array([12, 6]),
        channel_words=np.array([24, 80]),
        pack_words=np.array([24, 12]),
        rows=5,
        kernel=3,
        pools=True,
        convolves=convolves,
    )


def test_depthwise_arrays_equal_single_stages() -> None:
    area = depthwise_area(_depthwise_shape(30), px=2, act_bits=8, board=BOARD)
    stages = (
        replace(DEPTHWISE, pools=True, dsp_lanes=2),
        replace(
            DEPTHWISE,
            pe=12,
            taps=3,
            weight_bits=4,
            row_words=40,
            groups=6,
            channel_words=80,
            pack_words=12,
            pools=True,
            dsp_lanes=2,
        ),
    )
    for index, stage in enumerate(stages):
        assert _built(area, index, 2) == _depthwise_part(stage, px=2)
    assert list(area.steps) == [6, 12]
    pools = depthwise_area(
        _depthwise_shape(30, convolves=False), px=2, act_bits=8, board=BOARD
    )
    assert list(pools.steps) == [0, 0]


def test_luts_used_as_memory_by_hand() -> None:
    # 30 words of 6 x 9 x 8 = 432 bits: 14 columns to 8 LUTs, 31 groups: 248. 70 words
    # a row are block RAM. The column cache: 2 columns of 3 rows x 6 x 8 bits = 288
    # bits, 12 deep: 21 groups: 168. Records: 24 words of 192 bits: 14 groups: 112. The
    # way out: 24 words of 48 bits in 2 banks: 4 groups: 32 each.
    area = depthwise_area(_depthwise_shape(30), px=2, act_bits=8, board=BOARD)
    assert area.base.lutram[0] == 248 + 168 + 112 + 64
    # Deeper weights move to block RAM; 40 words of 96 bits in 10 banks do not: 7
    # columns to 8 LUTs, 14 groups: 112. The cache: 576 bits: 42 groups: 336.
    area = depthwise_area(_depthwise_shape(65), px=2, act_bits=8, board=BOARD)
    # 80 records are block RAM; the way out, 96 bits: 7 groups: 56 in each of 2 banks.
    assert area.base.lutram[0] == 168 + 112 + 64
    assert area.base.lutram[1] == 10 * 112 + 336 + 2 * 56
    assert np.all(area.base.lutram <= area.base.lut)


# The rest of the engine.


@pytest.mark.parametrize("port_bytes", [8, 16])
def test_the_fixed_part_counts_a_port_for_each_map_and_the_weights(
    port_bytes: int,
) -> None:
    board = replace(BOARD, port_bytes=port_bytes)
    bits = 8 * port_bytes
    plain = fixed_area(board, act_bits=8, residual=False, pool_words=0)
    # IFM and weights are read, the OFM is written.
    lut = 2 * blocks.axi_reader(bits).lut + blocks.axi_writer(bits).lut
    lut += blocks.AXI_LITE.lut + blocks.platform(3).lut
    ff = 2 * blocks.axi_reader(bits).ff + blocks.axi_writer(bits).ff
    ff += blocks.AXI_LITE.ff + blocks.platform(3).ff
    # A process finishes the result; a stream of beats comes behind it and one before
    # the loader: a shift register a bit.
    lut += blocks.LOOP_CONTROL.lut + 2 * (bits + 12)
    ff += blocks.LOOP_CONTROL.ff + 2 * (bits + 8)
    # One funnel cuts units of weights for all stages: of two beats of the widest.
    lut += blocks.weight_funnel(2 * bits, bits).lut
    ff += blocks.weight_funnel(2 * bits, bits).ff
    bram = 3 * blocks.axi_fifo_bram18(bits, 8 * 64)
    assert plain == Resources(lut=lut, ff=ff, bram_18k=bram)
    # A residual takes one more reader, and an adder for each byte of a beat.
    added = fixed_area(board, act_bits=8, residual=True, pool_words=0)
    lut += blocks.axi_reader(bits).lut + port_bytes * blocks.residual(8).lut
    lut += blocks.platform(4).lut - blocks.platform(3).lut
    assert added.lut == lut
    assert added.bram_18k == 4 * blocks.axi_fifo_bram18(bits, 8 * 64)


@pytest.mark.parametrize("words", [10, 100])
def test_a_global_pool_adds_its_sums_and_a_multiplier(words: int) -> None:
    plain = fixed_area(BOARD, act_bits=8, residual=False, pool_words=0)
    pools = fixed_area(BOARD, act_bits=8, residual=False, pool_words=words)
    # 8 channels of a beat, 24 bits each.
    sums = memory(8 * 24, words)
    assert pools.bram_18k == plain.bram_18k + sums.bram_18k
    assert (sums.bram_18k > 0) == (words > 64)
    # 8 adders of 24 bits, a multiplexer of 8 sums (three 4:1 a bit), 24 x 8 bits as
    # three products of 8 x 8 and two adders of 16, a requantizer of 32 bits.
    logic = 8 * 24 + 3 * 24 + 3 * blocks.multiplier_lut(8, 8) + 32
    logic += blocks.requantizer(32, 8).lut
    assert pools.lut == plain.lut + sums.lut + logic
    assert pool_lutram(BOARD, act_bits=8, pool_words=words) == sums.lut
    # A multiplier of 24 bits by 24: 1,585 LUTs where one by 8 takes 581.
    wide = fixed_area(
        BOARD, act_bits=8, residual=False, pool_words=words, wide_mean=True
    )
    assert wide.lut == pools.lut + 1585 - 581
    # A product of 48 bits for 32, and the first register of its requantizer.
    assert wide.ff - pools.ff == 16 + blocks.requantizer(48, 8).ff - (
        blocks.requantizer(32, 8).ff
    )


def test_a_port_without_a_measured_master_is_refused() -> None:
    with pytest.raises(InputError, match="port of 32 bits; 64 and 128"):
        fixed_area(
            replace(BOARD, port_bytes=4), act_bits=8, residual=False, pool_words=0
        )


def test_the_parts_of_an_engine_are_its_stages_and_the_rest() -> None:
    engine = _engine(
        dense=replace(DENSE, pe=6),
        depthwise=DEPTHWISE,
        pointwise=replace(DENSE, simd=6),
    )
    parts = engine_resources(engine, BOARD)
    assert set(parts) == {"fixed", "dense", "depthwise", "pointwise"}
    assert parts["depthwise"] == _depthwise_part(DEPTHWISE)
    assert set(engine_resources(_engine(), BOARD)) == {"fixed"}
