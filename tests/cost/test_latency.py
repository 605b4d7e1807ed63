"""Stage cycles equal walked loop nests; folds by hand; laws of lanes."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.latency import (
    StageTimes,
    dense_times,
    depthwise_times,
    pack_cycles,
    pointwise_times,
    rows_fed,
    rows_left,
    rows_needed,
)
from hao.cost.overheads import LEAD_CYCLES
from hao.cost.words import dense_folds
from hao.ir.layer import Conv, Depthwise, Linear, Padding
from hao.ir.partition import DenseLayer, DepthwiseLayer
from tests.cost.samples import (
    QUICK,
    THOROUGH,
    conv,
    convs,
    depthwise,
    depthwises,
    linear,
    linears,
    max_pool,
    shape,
)
from tests.cost.walks import (
    Walk,
    passes,
    row_words,
    walk_dense,
    walk_depthwise,
    walk_pack,
    walk_pointwise,
)
from tests.hw.samples import BOARD


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
    came = max(row_beats, _unpacked(layer, simd))
    assert times.lead_in == rows * max(words, came) + LEAD_CYCLES
    used = 1 + max(row for window in _windows(layer) for row in window)
    assert times.intake == used * came


def _unpacked(layer: Conv, simd: int) -> int:
    """Count the iterations that cut a row of beats of 8 codes into words."""
    channels, width = layer.ifm.channels, layer.ifm.width
    stored = 4 if channels <= 4 else ceil(channels / 8) * 8
    taps = simd // channels if layer.kernel > 1 else 1
    if taps >= 2:
        sizes = [taps * stored] * ceil(width / taps)
    else:
        words = ceil(channels / simd)
        sizes = [*[simd] * (words - 1), stored - (words - 1) * simd] * width
    iterations, codes, taken, row = 0, 0, 0, ceil(stored * width / 8)
    for size in sizes:
        codes += size
        fresh = min(ceil(codes / 8), row) - taken
        taken += fresh
        iterations += max(1, fresh)
    return iterations


@given(convs(), LANES, LANES, PIXELS)
@THOROUGH
def test_rows_left_are_those_that_wait_for_the_last_input_rows(
    layer: Conv, simd: int, pe: int, px: int
) -> None:
    windows = _windows(layer)
    last = max(row for window in windows for row in window)
    for rows in range(1, last + 2):
        # The ends only grow: a row below also waits where its window lies above.
        reached, waiting = 0, 0
        for window in windows:
            reached = max([reached, *(row + 1 for row in window)])
            waiting += reached > last + 1 - rows
        assert rows_left(layer, rows, first=True) == waiting
        # Behind a stage, the last of its rows may lie below all windows.
        below = layer.ifm.height - (last + 1)
        assert rows_left(layer, rows + below, first=False) == waiting
        assert rows_left(layer, below, first=False) == 0
    fed, taken = rows_fed(layer)
    assert taken == layer.ifm.height - rows_needed(layer)
    assert fed <= layer.ofm.height
    times = _dense(layer, simd=simd, pe=pe, px=px)
    assert times.sweep <= times.row


def test_a_stage_behind_another_takes_in_a_row_that_no_window_meets() -> None:
    # 8 rows at stride 2 without padding: 3 windows of 3 rows end with row 6. From DDR
    # the last output row takes in nothing; from a stage row 7, of 100 columns on 1 px.
    layer = depthwise(shape(1, 8, 100), 3, stride=2, padding=Padding())
    assert layer.ofm.height == 3
    by = {"pe": 1, "taps": 9, "px": 1}
    sweep = 3 + 48 * 2
    assert _depthwise(layer, **by, first=True).cycles == 2 * 2 * 100 + sweep
    assert _depthwise(layer, **by, first=False).cycles == 2 * 2 * 100 + 100
    assert _depthwise(layer, **by, first=False).intake == 0


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
    for name in ("row", "sweep", "group", "cycles", "lead_in", "intake"):
        assert getattr(many, name) <= getattr(few, name), name


@given(depthwises(), LANES, LANES, st.integers(1, 49), PIXELS, st.booleans())
@THOROUGH
def test_more_depthwise_lanes_never_cost_more_cycles(
    layer: Depthwise, pe: int, more: int, taps: int, px: int, first: bool
) -> None:
    few = _depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    many = _depthwise(layer, pe=pe + more, taps=taps, px=px, first=first)
    for name in ("row", "sweep", "group", "cycles", "lead_in", "intake"):
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
        assert together.sweep[index] == alone.sweep
        assert together.intake[index] == alone.intake


@given(st.one_of(convs(), depthwises()), LANES, PIXELS, st.sampled_from((8, 16)))
@QUICK
def test_pack_cycles_equal_a_counted_loop_nest(
    layer: DenseLayer | DepthwiseLayer, pe: int, px: int, beat: int
) -> None:
    channels = layer.ofm.channels
    found = pack_cycles(layer, pe=np.asarray(pe), channels=channels, beat=beat)
    counted = walk_pack(layer, pe=pe, channels=channels, px=px, beat=beat)
    assert found == counted


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
