"""Catalogues hold every useful column that fits; buffers equal banks filled by hand."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.area import engine_resources
from hao.cost.catalogue import (
    BUFFER_WORDS,
    LANES,
    PIXELS,
    TAPS,
    Needs,
    build_stages,
    channel_groups,
    channel_words,
    column_area,
    kernel_words,
    pack_words,
    pool_words,
    ring_words,
    row_words,
    vector_words,
)
from hao.cost.columns import Columns
from hao.cost.memory import input_channels
from hao.engine.stages import Engine
from hao.hw.resources import Resources
from hao.ir.layer import Conv, Depthwise, Linear
from hao.ir.partition import DenseLayer, Role, partition
from hao.zoo.registry import build_network
from tests.cost.samples import (
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
from tests.hw.samples import BOARD

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


# Columns.


def test_depths_on_offer_rise() -> None:
    for values in (LANES, TAPS, PIXELS, BUFFER_WORDS):
        assert list(values) == sorted(set(values))


@given(st.data())
@QUICK
def test_the_area_of_columns_is_that_of_their_stages(data: st.DataObject) -> None:
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
    lanes = st.sampled_from((1, 3, 8, 20))
    bits = data.draw(st.sampled_from((4, 8)))
    first = [data.draw(lanes), data.draw(lanes)]
    second = [data.draw(lanes), data.draw(lanes)]
    columns: Columns
    if role is Role.DEPTHWISE:
        columns = depthwise_columns(first, second, bits)
    else:
        words = [data.draw(st.sampled_from((32, 64, 512, 9000))) for _ in first]
        columns = dense_columns(
            first, second, words, bits, in_uram=[data.draw(st.booleans()), False]
        )
    area = column_area(columns, needs, shared, ring=role is Role.DENSE)
    index = data.draw(st.integers(0, 1))
    steps = data.draw(st.integers(0, int(area.steps[index])))
    one = {role: columns.take(np.array([index]))}
    dense, middle, pointwise = build_stages(one, {role: steps}, {role: needs}, shared)
    engine = Engine(
        dense=dense,
        depthwise=middle,
        pointwise=pointwise,
        px=shared.px,
        act_bits=shared.act_bits,
        double_buffered=shared.double_buffered,
        residual=False,
    )
    assert engine_resources(engine, BOARD)[role.value] == Resources(
        dsp=int(area.base.dsp[index] + steps * area.step.dsp[index]),
        bram_18k=int(area.base.bram_18k[index]),
        uram=int(area.base.uram[index]),
        lut=int(area.base.lut[index] + steps * area.step.lut[index]),
        ff=int(area.base.ff[index] + steps * area.step.ff[index]),
    )


def test_weights_in_uram_take_no_other_memory() -> None:
    needs, shared = Needs((WIDE,)), setting()
    # 20 x 8 weights of 8 bits: 1280 bits, 18 blocks of 72; 4,097 words take two each.
    columns = dense_columns([20] * 3, [8] * 3, [4096, 4097, 1], in_uram=[True] * 3)
    ultra = column_area(columns, needs, shared, ring=False).base
    none = column_area(dense_columns([20], [8], [0]), needs, shared, ring=False).base
    assert ultra.uram.tolist() == [18, 36, 18]
    for kind in ("bram_18k", "lut", "ff", "lutram"):
        assert set(getattr(ultra, kind).tolist()) == set(getattr(none, kind).tolist())


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
