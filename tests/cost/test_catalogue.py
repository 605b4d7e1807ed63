"""Catalogues hold every useful column that fits; buffers equal banks filled by hand."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.area import engine_resources, fixed_area
from hao.cost.catalogue import (
    BUFFER_WORDS,
    LANES,
    PIXELS,
    TAPS,
    Catalogue,
    Needs,
    build_stages,
    channel_groups,
    channel_words,
    column_area,
    dense_catalogue,
    depthwise_catalogue,
    kernel_words,
    pack_words,
    pool_words,
    ring_words,
    row_words,
    vector_words,
    word_bits,
)
from hao.cost.columns import Columns, DenseColumns, DepthwiseColumns, Setting
from hao.cost.memory import input_channels
from hao.cost.words import dense_folds
from hao.engine.stages import Engine
from hao.hw.board import Board
from hao.hw.resources import Resources
from hao.ir.layer import Conv, Depthwise, Linear
from hao.ir.partition import DenseLayer, Role, partition
from hao.zoo.registry import build_network
from tests.cost.samples import (
    BOARD,
    QUICK,
    conv,
    convs,
    dense_columns,
    depthwise,
    depthwise_columns,
    depthwises,
    invocation,
    linear,
    linears,
    max_pool,
    setting,
    shape,
)

STEM = conv(shape(3, 12, 12), 16, 3, stride=2, name="stem")
WIDE = conv(shape(20, 6, 6), 40, 1, name="wide")
HEAD = linear(shape(10, 2, 2), 12, name="head")
DENSE = Needs((STEM, WIDE, HEAD))
SMALL = depthwise(shape(16, 9, 9), 3, stride=2, name="small")
LARGE = depthwise(shape(20, 5, 5), 5, name="large")
POOL = max_pool(shape(24, 8, 8), name="pool")
DEPTHWISE = Needs((SMALL, LARGE, POOL))


# What layers need.


def test_needs_are_the_distinct_layers_of_a_stage() -> None:
    parts = partition(build_network("digits"))
    dense, pointwise = Needs.of(parts, Role.DENSE), Needs.of(parts, Role.POINTWISE)
    names = [layer.name for layer in dense.layers]
    assert len(names) == len(set(names))
    # The 3x3 stem runs on the dense stage alone.
    assert set(names) - {layer.name for layer in pointwise.layers} == {"stem"}
    middle = Needs.of(parts, Role.DEPTHWISE)
    assert {type(layer) for layer in middle.layers} == {Depthwise}
    assert not middle.pools
    assert middle.convolves


def test_needs_by_hand() -> None:
    # 27, 20 and 40 terms.
    assert DENSE.terms == 40
    assert DEPTHWISE.kernel == 5
    # 3 + 2, 5 + 1 and 2 + 2 rows.
    assert DEPTHWISE.rows == 6
    assert DEPTHWISE.pools
    assert DEPTHWISE.convolves
    assert not Needs((POOL,)).convolves


def _fullest_ring(layer: DenseLayer, simd: int, px: int) -> int:
    """Deal the words of a ring's rows to banks by column; return the slots needed."""
    if isinstance(layer, Linear):
        return 2 * len(range(0, input_channels(layer, 8, BOARD), simd))
    channels, stride = layer.ifm.channels, layer.stride
    taps = simd // channels if layer.kernel > 1 else 1
    slots: dict[int, set[int]] = {}
    for column in range(layer.ifm.width):
        if taps > 1:
            bank, slot = column // taps % px, column // taps // px
        else:
            bank = column // stride % px
            slot = column // stride // px * stride + column % stride
        # No two columns (packed: words) meet in one place.
        assert taps > 1 or slot not in slots.setdefault(bank, set())
        slots.setdefault(bank, set()).add(slot)
    depth = max(max(used) for used in slots.values()) + 1
    if taps <= 1:
        # A bank has room for whole strides.
        depth = ceil(depth / stride) * stride
    rows = layer.kernel + stride
    return rows * depth * len(range(0, channels, simd))


@given(
    st.lists(st.one_of(convs(), linears()), min_size=1, max_size=3),
    st.integers(1, 40),
    st.integers(1, 8),
)
@QUICK
def test_ring_words_equal_the_fullest_bank(
    layers: Sequence[Conv | Linear], simd: int, px: int
) -> None:
    words = ring_words(Needs(tuple(layers)), np.array([simd]), setting(px=px))
    assert words[0] == max(_fullest_ring(layer, simd, px) for layer in layers)


@given(
    st.lists(st.one_of(convs(), depthwises()), min_size=1, max_size=3),
    st.integers(1, 20),
    st.booleans(),
)
@QUICK
def test_output_memories_hold_every_group(
    layers: Sequence[Conv | Depthwise], pe: int, double: bool
) -> None:
    needs, one = Needs(tuple(layers)), np.array([pe])
    groups = max(len(range(0, layer.ofm.channels, pe)) for layer in layers)
    assert channel_words(needs, one, double=double)[0] == groups * (2 if double else 1)
    assert pack_words(needs, one)[0] == 2 * groups


def test_pools_need_no_records_but_a_way_out() -> None:
    one = np.array([5])
    assert channel_words(Needs((POOL,)), one, double=True)[0] == 1
    # 24 channels are 5 groups.
    assert pack_words(Needs((POOL,)), one)[0] == 10


def test_pool_words_are_the_beats_of_the_channels() -> None:
    # 20 channels in beats of 8, or of 16 codes of 4 bits.
    mean = invocation(dense=WIDE, pooled=True)
    narrow = replace(mean, ofm=shape(20, 1, 1))
    assert pool_words(narrow, act_bits=8, board=BOARD) == 3
    assert pool_words(narrow, act_bits=4, board=BOARD) == 2
    assert pool_words(invocation(dense=WIDE), act_bits=8, board=BOARD) == 0


@given(
    st.lists(depthwises(), min_size=1, max_size=3),
    st.integers(1, 20),
    st.integers(1, 9),
    st.integers(1, 8),
    st.booleans(),
)
@QUICK
def test_depthwise_words_equal_the_fullest_bank(
    layers: list[Depthwise], pe: int, taps: int, px: int, double: bool
) -> None:
    needs = Needs(tuple(layers))
    row, weights, groups = 0, 0, 0
    for layer in layers:
        banks = [0] * px
        for column in range(layer.ifm.width):
            banks[column % px] += len(range(0, layer.ifm.channels, pe))
        row = max(row, *banks)
        mine = len(range(0, layer.ifm.channels, pe))
        groups = max(groups, mine)
        weights = max(weights, mine * len(range(0, layer.kernel**2, taps)))
    one, tap = np.array([pe]), np.array([taps])
    assert row_words(needs, one, px)[0] == row
    assert channel_groups(needs, one)[0] == groups
    halves = 2 if double else 1
    assert kernel_words(needs, one, tap, double=double)[0] == halves * weights


def test_vectors_hold_the_longest_twice() -> None:
    # The linear layer takes 2 x 2 pixels of 16 codes: 64 on simd 12 are 6 words, of two
    # pixels; on simd 40 two.
    assert list(vector_words(DENSE, np.array([12, 40]), setting())) == [12, 4]


def test_pools_need_no_weights() -> None:
    one = np.array([4])
    assert kernel_words(Needs((POOL,)), one, one, double=True)[0] == 1


# Catalogues.

SPACE = (1, 3, 8, 20)
DEPTHS = (32, 64, 512, 1024)


def _alone(columns: Columns, needs: Needs, shared: Setting, *, ring: bool) -> bool:
    """Return whether a single column fits the board with some lanes on DSPs.

    And whether the tools take its words.
    """
    if word_bits(columns, needs, shared)[0] > 4096:
        return False
    area = column_area(columns, needs, shared, ring=ring)
    limit = shared.board.usable
    fixed = fixed_area(
        shared.board, act_bits=shared.act_bits, residual=False, pool_words=0
    )
    return any(
        area.base.lut[0] + steps * area.step.lut[0] <= limit.lut - fixed.lut
        and steps * area.step.dsp[0] <= limit.dsp
        and area.base.bram_18k[0] <= limit.bram_18k
        for steps in range(int(area.steps[0]) + 1)
    )


TIGHT = replace(
    BOARD,
    resources=Resources(dsp=60, bram_18k=40, lut=14_000, ff=10**6),
    lutram=14_000,
)


@pytest.mark.parametrize("board", [BOARD, TIGHT], ids=["roomy", "tight"])
@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("ring", [True, False])
def test_a_dense_catalogue_is_every_useful_column_that_fits(
    board: Board, double: bool, ring: bool
) -> None:
    needs = DENSE if ring else Needs((WIDE, HEAD))
    shared = replace(setting(px=2, double_buffered=double), board=board)
    found = dense_catalogue(
        needs, shared, (4, 8), ring=ring, lanes=SPACE, depths=DEPTHS
    )
    halves = 2 if double else 1
    expected = set()
    for simd, pe, bits in product(SPACE, SPACE, (4, 8)):
        folds = [
            int(dense_folds(layer, simd, act_bits=8, board=BOARD))
            for layer in needs.dense
        ]
        least = halves * max(folds)
        whole = halves * max(
            fold * ceil(layer.ofm.channels / pe)
            for fold, layer in zip(folds, needs.dense, strict=True)
        )
        for depth in DEPTHS:
            words = min(depth, whole)
            column = dense_columns([simd], [pe], [words], bits)
            if depth >= least and _alone(column, needs, shared, ring=ring):
                expected.add((simd, pe, words, bits))
    columns = found.columns
    assert isinstance(columns, DenseColumns)
    listed = list(
        zip(
            columns.simd.tolist(),
            columns.pe.tolist(),
            columns.weight_words.tolist(),
            columns.weight_bits.tolist(),
            strict=True,
        )
    )
    assert len(listed) == len(set(listed)) == len(found)
    assert set(listed) == expected
    full = len(SPACE) ** 2 * 2
    assert (len({(s, p, b) for s, p, _, b in listed}) < full) == (board is TIGHT)


@pytest.mark.parametrize("board", [BOARD, TIGHT], ids=["roomy", "tight"])
def test_a_depthwise_catalogue_is_every_column_that_fits(board: Board) -> None:
    shared = replace(setting(px=2), board=board)
    found = depthwise_catalogue(
        DEPTHWISE, shared, (4, 8), lanes=SPACE, taps=(1, 9, 25, 49)
    )
    columns = found.columns
    assert isinstance(columns, DepthwiseColumns)
    listed = list(
        zip(
            columns.pe.tolist(),
            columns.taps.tolist(),
            columns.weight_bits.tolist(),
            strict=True,
        )
    )
    # 49 taps of a 5x5 kernel are 25.
    expected = {
        (pe, taps, bits)
        for pe, taps, bits in product(SPACE, (1, 9, 25), (4, 8))
        if _alone(depthwise_columns([pe], [taps], bits), DEPTHWISE, shared, ring=False)
    }
    assert len(listed) == len(set(listed))
    assert set(listed) == expected
    # 20 channels of a window of 5 rows and 7 columns are too wide a word.
    assert (len(listed) < (len(SPACE) - 1) * 3 * 2) == (board is TIGHT)


def test_a_large_board_has_every_default_column() -> None:
    parts = partition(build_network("digits"))
    large = replace(
        BOARD, resources=Resources(dsp=9999, bram_18k=9999, lut=10**8, ff=1)
    )
    for px in PIXELS:
        shared = replace(setting(px=px), board=large)
        dense = dense_catalogue(Needs.of(parts, Role.DENSE), shared, (8,), ring=True)
        assert isinstance(dense.columns, DenseColumns)
        lanes = set(zip(dense.columns.simd, dense.columns.pe, strict=True))
        # The tools take words of up to 4096 bits: 8-bit codes of px pixels.
        offered = [lane for lane in LANES if lane * px * 8 <= 4096]
        assert lanes == set(product(offered, offered))
        middle = depthwise_catalogue(Needs.of(parts, Role.DEPTHWISE), shared, (8,))
        # Kernels of 3: 9 taps at most. Strides of 2: 2 px + 1 columns.
        windows = [pe for pe in LANES if pe * 3 * (2 * px + 1) * 8 <= 4096]
        assert len(middle) == len(windows) * len([taps for taps in TAPS if taps <= 9])


def test_depths_on_offer_rise() -> None:
    for values in (LANES, TAPS, PIXELS, BUFFER_WORDS):
        assert list(values) == sorted(set(values))


def _engine_of(
    catalogues: dict[Role, Catalogue],
    needs: dict[Role, Needs],
    index: dict[Role, int],
    steps: dict[Role, int],
    shared: Setting,
) -> Engine:
    columns = {
        role: catalogue.columns.take(np.array([index[role]]))
        for role, catalogue in catalogues.items()
    }
    dense, middle, pointwise = build_stages(columns, steps, needs, shared)
    return Engine(
        dense=dense,
        depthwise=middle,
        pointwise=pointwise,
        px=shared.px,
        act_bits=shared.act_bits,
        double_buffered=shared.double_buffered,
        residual=False,
    )


@given(st.data())
@QUICK
def test_a_catalogue_prices_what_its_stages_take(data: st.DataObject) -> None:
    # One stage at a time, so that no lanes have to match.
    role = data.draw(st.sampled_from(list(Role)))
    needs = {
        Role.DENSE: DENSE,
        Role.DEPTHWISE: DEPTHWISE,
        Role.POINTWISE: Needs((WIDE, HEAD)),
    }[role]
    shared = setting(
        px=data.draw(st.integers(1, 4)), double_buffered=data.draw(st.booleans())
    )
    if role is Role.DEPTHWISE:
        found = depthwise_catalogue(needs, shared, (4, 8), lanes=SPACE)
    else:
        found = dense_catalogue(
            needs, shared, (4, 8), ring=role is Role.DENSE, lanes=SPACE, depths=DEPTHS
        )
    index = data.draw(st.integers(0, len(found) - 1))
    steps = data.draw(st.integers(0, int(found.area.steps[index])))
    engine = _engine_of(
        {role: found}, {role: needs}, {role: index}, {role: steps}, shared
    )
    part = engine_resources(engine, BOARD)[role.value]
    base, step = found.area.base, found.area.step
    assert part == Resources(
        dsp=int(base.dsp[index] + steps * step.dsp[index]),
        bram_18k=int(base.bram_18k[index]),
        lut=int(base.lut[index] + steps * step.lut[index]),
        ff=int(base.ff[index] + steps * step.ff[index]),
    )


def test_stages_of_an_engine_by_hand() -> None:
    columns: dict[Role, Columns] = {
        Role.DENSE: dense_columns([6], [8], [100]),
        Role.DEPTHWISE: depthwise_columns([4], [9], 6),
    }
    dense, middle, pointwise = build_stages(
        columns,
        {Role.DENSE: 3, Role.DEPTHWISE: 2},
        {Role.DENSE: DENSE, Role.DEPTHWISE: DEPTHWISE},
        setting(px=2),
    )
    assert pointwise is None
    assert dense is not None
    assert middle is not None
    # Stem: 5 rows of 6 words of 2 columns, in 2 banks: 15. Wide: 2 rows of 3 columns a
    # bank of 4 words: 24. Head, 2 x 2 pixels of 16 codes: 2 rows of 11 words: 22.
    assert dense.feature_words == 24
    assert (dense.simd, dense.pe, dense.weight_words) == (6, 8, 100)
    # 40 outputs are 5 groups, of records in two halves and of words for two pixels.
    assert (dense.channel_words, dense.pack_words) == (10, 10)
    assert (dense.dsp_pairs, dense.weight_bits, dense.terms) == (3, 8, 40)
    # Rows: 9 columns in 2 banks of 4 groups: 20; 5 in 2 of 5: 15; 8 in 2 of 6: 24.
    assert middle.row_words == 24
    # 4 groups x 1 fold, 5 x 3, in two halves.
    assert middle.weight_words == 30
    assert (middle.groups, middle.rows, middle.kernel) == (6, 6, 5)
    # The pool's 6 groups have no records.
    assert (middle.channel_words, middle.pack_words) == (10, 12)
    assert (middle.pe, middle.taps, middle.weight_bits, middle.dsp_lanes) == (
        4,
        9,
        6,
        2,
    )
    assert middle.pools
    assert middle.convolves
