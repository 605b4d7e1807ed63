"""Stage cycles equal walked loop nests; folds and paths by hand; laws of lanes."""

from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.latency import (
    STAGE_DEPTH_CYCLES,
    START_CYCLES,
    StageTimes,
    Transfers,
    dense_folds,
    dense_times,
    depthwise_times,
    pack_cycles,
    paths,
    pointwise_times,
    rows_needed,
)
from hao.ir.layer import Conv, Depthwise, Linear, Padding, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer, Role
from tests.cost.samples import (
    BOARD,
    QUICK,
    THOROUGH,
    conv,
    convs,
    depthwise,
    depthwises,
    invocation,
    linear,
    linears,
    max_pool,
    shape,
)
from tests.cost.walks import (
    Walk,
    input_rows,
    passes,
    row_words,
    walk_dense,
    walk_depthwise,
    walk_pack,
    walk_pointwise,
)


def _flat(layer: DenseLayer) -> int:
    """Return the channels of a pixel as stored: a linear layer takes whole maps."""
    ifm = layer.ifm
    if isinstance(layer, Conv) or ifm.height * ifm.width == 1:
        return ifm.channels
    size = 4
    while size < ifm.channels and size < 8:
        size *= 2
    pixel = size if ifm.channels <= 8 else ceil(ifm.channels / 8) * 8
    return ifm.height * ceil(ifm.width * pixel / 8) * 8


def _walk(layer: DenseLayer, *, simd: int, pe: int, px: int) -> Walk:
    return walk_dense(
        layer,
        simd=simd,
        groups=ceil(layer.ofm.channels / pe),
        px=px,
        channels=_flat(layer),
    )


def _dense(layer: DenseLayer, *, simd: int, pe: int, px: int) -> StageTimes:
    return dense_times(
        layer,
        simd=simd,
        px=px,
        folds_out=np.asarray(ceil(layer.ofm.channels / pe)),
        first=True,
        act_bits=8,
        board=BOARD,
    )


def _pointwise(
    layer: DenseLayer, *, simd: int, pe: int, px: int, first: bool
) -> StageTimes:
    return pointwise_times(
        layer,
        simd=simd,
        px=px,
        folds_out=np.asarray(ceil(layer.ofm.channels / pe)),
        first=first,
        act_bits=8,
        board=BOARD,
    )


def _depthwise(
    layer: DepthwiseLayer, *, pe: int, taps: int, px: int, first: bool
) -> StageTimes:
    return depthwise_times(
        layer, pe=pe, taps=taps, px=px, first=first, act_bits=8, board=BOARD
    )


LANES = st.integers(1, 30)
PIXELS = st.integers(1, 8)


@given(convs(), LANES)
@THOROUGH
def test_dense_folds_hold_every_product_once_within_simd(
    layer: Conv, simd: int
) -> None:
    found = passes(layer, simd, layer.ifm.channels)
    assert max(map(len, found)) <= simd
    products = [product for one in found for product in one]
    assert len(products) == len(set(products)) == layer.terms
    assert dense_folds(layer, simd, act_bits=8, board=BOARD) == len(found)


@given(convs(), LANES, LANES, PIXELS)
@THOROUGH
def test_dense_cycles_equal_a_counted_loop_nest(
    layer: Conv, simd: int, pe: int, px: int
) -> None:
    times = _dense(layer, simd=simd, pe=pe, px=px)
    assert times.cycles == _walk(layer, simd=simd, pe=pe, px=px).rows


@given(convs(most_channels=4), st.integers(8, 40), LANES, PIXELS)
@QUICK
def test_dense_cycles_equal_a_counted_loop_nest_with_packed_taps(
    layer: Conv, simd: int, pe: int, px: int
) -> None:
    times = _dense(layer, simd=simd, pe=pe, px=px)
    assert times.cycles == _walk(layer, simd=simd, pe=pe, px=px).rows


@given(depthwises(), LANES, st.integers(1, 49), PIXELS, st.booleans())
@THOROUGH
def test_depthwise_cycles_equal_a_counted_loop_nest(
    layer: Depthwise, pe: int, taps: int, px: int, first: bool
) -> None:
    times = _depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    counted = walk_depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    assert times.cycles == counted.together


@given(st.integers(2, 3), LANES, st.integers(1, 9), PIXELS, st.booleans())
@QUICK
def test_pool_cycles_equal_a_counted_loop_nest(
    kernel: int, pe: int, taps: int, px: int, first: bool
) -> None:
    layer = max_pool(shape(11, 9, 13), kernel)
    times = _depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    counted = walk_depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    assert times.cycles == counted.together


@given(convs(kernels=(1,)), LANES, LANES, PIXELS, st.booleans())
@THOROUGH
def test_pointwise_cycles_equal_a_counted_loop_nest(
    layer: Conv, simd: int, pe: int, px: int, first: bool
) -> None:
    times = _pointwise(layer, simd=simd, pe=pe, px=px, first=first)
    counted = walk_pointwise(
        layer,
        simd=simd,
        groups=ceil(layer.ofm.channels / pe),
        px=px,
        first=first,
        channels=layer.ifm.channels,
    )
    assert times.cycles == counted.rows


@given(linears(), LANES, LANES, PIXELS)
@QUICK
def test_linear_cycles_are_the_folds_on_either_stage(
    layer: Linear, simd: int, pe: int, px: int
) -> None:
    # One pixel, so px lanes do not help: every pass of every channel fold.
    channels = _flat(layer)
    folds = len(passes(layer, simd, channels)) * ceil(layer.ofm.channels / pe)
    assert _dense(layer, simd=simd, pe=pe, px=px).cycles == folds
    counted = _pointwise(layer, simd=simd, pe=pe, px=px, first=True)
    assert counted.cycles == folds


@given(convs(), LANES, LANES, PIXELS)
@QUICK
def test_the_longest_row_bounds_the_cycles(
    layer: Conv, simd: int, pe: int, px: int
) -> None:
    times = _dense(layer, simd=simd, pe=pe, px=px)
    assert times.row <= times.cycles <= layer.ofm.height * times.row
    assert times.row >= times.group


@given(depthwises(), LANES, st.integers(1, 49), PIXELS)
@QUICK
def test_a_depthwise_group_is_all_channels_of_its_pixels(
    layer: Depthwise, pe: int, taps: int, px: int
) -> None:
    # A pass per fold, and per px columns of the first window, of every channel group.
    wide = range(-layer.padding.left, (px - 1) * layer.stride + layer.kernel)
    wide = wide[: (px - 1) * layer.stride + layer.kernel]
    columns = max(1, sum(0 <= column < layer.ifm.width for column in wide))
    group = 0
    for _channel in range(0, layer.ofm.channels, pe):
        group += max(len(range(0, layer.kernel**2, taps)), ceil(columns / px))
    assert _depthwise(layer, pe=pe, taps=taps, px=px, first=True).group == group


def _windows(layer: Conv) -> list[set[int]]:
    """Return for every output row the input rows that its windows meet."""
    first = (row * layer.stride - layer.padding.top for row in range(layer.ofm.height))
    return [
        {r for r in range(top, top + layer.kernel) if 0 <= r < layer.ifm.height}
        for top in first
    ]


@given(convs(), LANES, LANES, PIXELS)
@THOROUGH
def test_lead_in_takes_the_rows_of_the_first_window(
    layer: Conv, simd: int, pe: int, px: int
) -> None:
    rows = max(_windows(layer)[0], default=0) + 1
    assert rows_needed(layer) == rows
    # 8-bit channels, 4 or a multiple of 8 a pixel, in beats of 8 bytes.
    channels = layer.ifm.channels
    pixel = 4 if channels <= 4 else ceil(channels / 8) * 8
    row_beats = ceil(pixel * layer.ifm.width / 8)
    times = _dense(layer, simd=simd, pe=pe, px=px)
    words = row_words(layer, simd, channels)
    assert times.lead_in == rows * max(words, row_beats)


@given(convs(), LANES, LANES, PIXELS)
@THOROUGH
def test_tail_makes_the_output_rows_that_wait_for_the_last_input_row(
    layer: Conv, simd: int, pe: int, px: int
) -> None:
    # Rows of which no later one meets a new input row: what lies below is not read.
    *_, last = (i for i, rows in enumerate(input_rows(layer)) if len(rows))
    times = _dense(layer, simd=simd, pe=pe, px=px)
    assert times.tail == (layer.ofm.height - last) * times.row


def test_dense_cycles_by_hand() -> None:
    # 10 channels on simd 4: 3 words; 9 taps: 27 passes. 7 outputs on 3 lanes: 3 folds.
    # 5 columns on px 2: 3 groups. Row: 3 x 3 x 27 = 243 (intake 5 x 3 = 15 is less);
    # 4 rows: 972.
    layer = conv(shape(10, 4, 5), 7)
    assert _dense(layer, simd=4, pe=3, px=2).cycles == 972


def test_dense_cycles_by_hand_where_taps_are_packed() -> None:
    # RGB on simd 12: 4 taps a pass, so 9 taps in 3 passes. 16 outputs on 16 lanes.
    # Stride 2: 7 x 7 from 14 x 14. Windows of 4 pixels span 9 columns, 3 words of 4:
    # read 4 a cycle, 3 kernel rows take 3 cycles. Row: 3 + max(3, 3) + 3 = 9; two
    # input rows of ceil(14 / 4) = 4 words are less. 7 rows: 63.
    layer = conv(shape(3, 14, 14), 16, stride=2)
    assert _dense(layer, simd=12, pe=16, px=4).cycles == 63
    # One pixel: 3 columns may lie in 2 words: 3 kernel rows x 2 = 6 cycles, more than
    # 3 passes. Row: 6 + 6 x 6 + 3 = 45.
    assert _dense(layer, simd=12, pe=16, px=1).cycles == 7 * 45


def test_dense_cycles_by_hand_where_taking_in_rows_binds() -> None:
    # 1x1, stride 2, 8 channels on simd 8, all 4 outputs at once: a row of 5 pixels
    # takes 5 passes, but two input rows of 9 words come in: 18. 4 rows of them; during
    # the last nothing comes: 4 x 18 + 5.
    layer = conv(shape(8, 9, 9), 4, 1, stride=2, padding=Padding())
    assert _dense(layer, simd=8, pe=4, px=1).cycles == 77


def test_depthwise_cycles_by_hand() -> None:
    # 20 channels on 8 lanes: 3 groups; 25 taps on 9: 3 passes. 6 columns on px 4: 2.
    # Row: 2 x 3 x 3 = 18; intake from a stage before: ceil(6 / 4) x 3 = 6. 5 rows: 90.
    layer = depthwise(shape(20, 5, 6), 5)
    assert _depthwise(layer, pe=8, taps=9, px=4, first=False).cycles == 90


def test_depthwise_cycles_by_hand_at_stride_two() -> None:
    # All 9 taps at once, but 8 columns of the only window to read, 4 a cycle: 2 cycles
    # a group; 2 channel groups. Row: 4; two rows of 8 pixels from DDR, 2 words each:
    # 32, but for the last row. 3 x 32 + 4. Behind another stage 4 pixels come at once:
    # 8, so 3 x 8 + 4.
    layer = depthwise(shape(16, 8, 8), 3, stride=2)
    assert _depthwise(layer, pe=8, taps=9, px=4, first=True).cycles == 100
    assert _depthwise(layer, pe=8, taps=9, px=4, first=False).cycles == 28


def test_pointwise_cycles_by_hand() -> None:
    # 24 channels on simd 10: 3 words; 20 outputs on 8 lanes: 3 folds; 9 passes. 7
    # columns on px 4: 2 groups. 3 rows x 2 x 9 = 54. From DDR groups of 4 and 3 pixels
    # x 3 words come: 12 and 9. Beside the first group come 9, then 12, 9, 12, 9, none.
    layer = conv(shape(24, 3, 7), 20, 1)
    assert _pointwise(layer, simd=10, pe=8, px=4, first=False).cycles == 54
    assert _pointwise(layer, simd=10, pe=8, px=4, first=True).cycles == 60


@given(convs(), LANES, LANES, LANES, PIXELS)
@THOROUGH
def test_more_dense_lanes_never_cost_more_cycles(
    layer: Conv, simd: int, pe: int, more: int, px: int
) -> None:
    few = _dense(layer, simd=simd, pe=pe, px=px)
    many = _dense(layer, simd=simd, pe=pe + more, px=px)
    for name in ("row", "group", "cycles", "lead_in", "tail"):
        assert getattr(many, name) <= getattr(few, name), name


@given(depthwises(), LANES, LANES, st.integers(1, 49), PIXELS, st.booleans())
@THOROUGH
def test_more_depthwise_lanes_never_cost_more_cycles(
    layer: Depthwise, pe: int, more: int, taps: int, px: int, first: bool
) -> None:
    few = _depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    many = _depthwise(layer, pe=pe + more, taps=taps, px=px, first=first)
    for name in ("row", "group", "cycles", "lead_in", "tail"):
        assert getattr(many, name) <= getattr(few, name), name


@given(convs(kernels=(1,)), LANES, LANES, LANES, PIXELS, st.booleans())
@QUICK
def test_more_pointwise_lanes_never_cost_more_cycles(
    layer: Conv, simd: int, pe: int, more: int, px: int, first: bool
) -> None:
    few = _pointwise(layer, simd=simd, pe=pe, px=px, first=first)
    wide = _pointwise(layer, simd=simd, pe=pe + more, px=px, first=first)
    long = _pointwise(layer, simd=simd + more, pe=pe, px=px, first=first)
    assert wide.cycles <= few.cycles
    assert long.cycles <= few.cycles


def test_arrays_of_configurations_equal_single_ones() -> None:
    layer = conv(shape(3, 9, 11), 10, 5, stride=2)
    simd, pe = np.meshgrid(np.arange(1, 40), np.arange(1, 13))
    folds = -(-10 // pe)
    together = dense_times(
        layer, simd=simd, px=3, folds_out=folds, first=True, act_bits=8, board=BOARD
    )
    for index in np.ndindex(simd.shape):
        alone = _dense(layer, simd=int(simd[index]), pe=int(pe[index]), px=3)
        assert together.cycles[index] == alone.cycles
        assert together.lead_in[index] == alone.lead_in
        assert together.tail[index] == alone.tail


def _times(row: int, group: int, cycles: int, lead_in: int, tail: int) -> StageTimes:
    return StageTimes(*(np.asarray(x) for x in (row, group, cycles, lead_in, tail)))


def _path_cycles(
    kernel: int, *, residual: bool = False, pooled: bool = False, pack: int = 0
) -> dict[str, int]:
    """Return the paths of a three-stage block with made-up times, less the depth."""
    block = shape(8, 6, 6)
    run = invocation(
        dense=conv(shape(4, 6, 6), 8, 1, name="a"),
        depthwise=depthwise(block, kernel, name="b"),
        pointwise=conv(block, 4, 1, name="c"),
        residual=residual,
        pooled=pooled,
    )
    times = {
        Role.DENSE: _times(10, 5, 60, 7, 20),
        Role.DEPTHWISE: _times(100, 30, 600, 999, 200),
        Role.POINTWISE: _times(1000, 400, 6000, 888, 400),
    }
    found = paths(run, times, Transfers(ifm=50, ofm=40, residual=30, pack=pack))
    depth = START_CYCLES + 3 * STAGE_DEPTH_CYCLES
    return {
        path.label: path.constant - depth + sum(map(int, path.terms.values()))
        for path in found
    }


def test_paths_of_three_stages_by_hand() -> None:
    # A 3x3 window with one row of padding needs 2 rows, so the dense stage leads by 7
    # (its input) + 2 x 10; the depthwise stage by one group, 30.
    assert _path_cycles(3) == {
        "ifm": 50 + 20 + 200 + 400,
        "dense": 7 + 60 + 200 + 400,
        "depthwise": 27 + 600 + 400,
        "pointwise": 27 + 30 + 6000,
        "ofm": 27 + 30 + 400 + 40,
    }


def test_paths_follow_the_rows_that_the_next_window_needs() -> None:
    # 5x5 with two rows of padding: 3 rows of 10 behind an input of 7.
    assert _path_cycles(5)["depthwise"] == 37 + 600 + 400


def test_a_residual_is_a_path_of_its_own() -> None:
    assert _path_cycles(3, residual=True)["residual"] == 30


def test_a_global_pool_writes_after_every_path() -> None:
    plain, pooled = _path_cycles(3, residual=True), _path_cycles(3, pooled=True)
    # What is packed into beats is summed, and written at the end.
    assert pooled.pop("ofm") == plain.pop("ofm")
    assert pooled == {
        label: plain[label] + 40 for label in ("ifm", "dense", "depthwise", "pointwise")
    }


def test_the_way_out_takes_the_slower_of_packing_and_writing() -> None:
    assert _path_cycles(3, pack=39)["ofm"] == _path_cycles(3)["ofm"]
    assert _path_cycles(3, pack=45)["ofm"] == _path_cycles(3)["ofm"] + 5
    # A pool packs all pixels, then writes its sums.
    assert _path_cycles(3, pooled=True, pack=45)["ofm"] == 57 + 400 + 45 + 40


@given(st.one_of(convs(), depthwises()), LANES, PIXELS, st.sampled_from((8, 16)))
@QUICK
def test_pack_cycles_equal_a_counted_loop_nest(
    layer: DenseLayer | DepthwiseLayer, pe: int, px: int, beat: int
) -> None:
    channels = layer.ofm.channels
    found = pack_cycles(
        layer,
        groups=np.asarray(ceil(channels / pe)),
        channels=channels,
        px=px,
        beat=beat,
    )
    counted = walk_pack(layer, pe=pe, channels=channels, px=px, beat=beat)
    assert found == counted


def test_paths_without_a_stage_are_the_transfers() -> None:
    whole = shape(8, 6, 6)
    run = replace(invocation(dense=conv(whole, 8, 1)), dense=None, ofm=shape(8, 1, 1))
    (path,) = paths(run, {}, Transfers(ifm=50, ofm=40, residual=0, pack=0))
    assert (path.label, path.constant, path.terms) == ("ifm", START_CYCLES + 90, {})


def test_transfers_per_configuration_join_the_stage() -> None:
    run = invocation(dense=conv(shape(4, 6, 6), 8, 1), residual=True)
    times = {Role.DENSE: _times(10, 5, 60, 7, 20)}
    moved = np.array([100, 200])
    found = {
        path.label: path.constant + path.terms[Role.DENSE]
        for path in paths(
            run, times, Transfers(ifm=50, ofm=moved, residual=moved, pack=0)
        )
    }
    depth = START_CYCLES + STAGE_DEPTH_CYCLES
    # The writer starts after the dense stage's input (7) and first group (5).
    assert list(found["ofm"]) == [depth + 112, depth + 212]
    assert list(found["residual"]) == [depth + 100, depth + 200]
    assert found["ifm"] == depth + 70


@pytest.mark.parametrize("first", [True, False])
def test_only_a_stage_that_reads_ddr_waits_for_the_port(first: bool) -> None:
    # 64 channels of 9 columns: 72 beats of 8 bytes a row, against 9 words.
    layer = depthwise(shape(64, 9, 9))
    times = _depthwise(layer, pe=64, taps=9, px=1, first=first)
    assert times.lead_in == (2 * 72 if first else 2 * 9)


def test_a_linear_layer_is_one_pixel_of_all_its_terms() -> None:
    # 20 terms on simd 8: 3 passes; 6 outputs on 4 lanes: 2 folds.
    layer = linear(shape(20, 1, 1), 6)
    assert _dense(layer, simd=8, pe=4, px=3).cycles == 6
    # 5 channels are stored as 8: 2 x 2 pixels are 32 terms, 4 passes.
    layer = linear(shape(5, 2, 2), 6)
    assert _dense(layer, simd=8, pe=4, px=3).cycles == 8


def test_pools_count_as_depthwise_stages_in_paths() -> None:
    pool: Pool = max_pool(shape(8, 6, 6))
    run = invocation(dense=conv(shape(4, 6, 6), 8, 3, name="a"), depthwise=pool)
    times = {
        Role.DENSE: _times(10, 5, 60, 7, 20),
        Role.DEPTHWISE: _times(100, 30, 300, 999, 100),
    }
    found = {
        p.label: p
        for p in paths(run, times, Transfers(ifm=1, ofm=1, residual=0, pack=0))
    }
    # A 2x2 window needs 2 rows of the dense stage.
    assert found["depthwise"].terms[Role.DENSE] == 7 + 2 * 10
