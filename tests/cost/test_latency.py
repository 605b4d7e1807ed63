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


def _passes(layer: DenseLayer, simd: int) -> list[list[tuple[int, int]]]:
    """Return the (tap, channel) products of every pass that sums one output value."""
    if isinstance(layer, Linear):
        taps, channels = 1, layer.terms
    else:
        taps, channels = layer.kernel**2, layer.ifm.channels
    together = max(1, simd // channels)
    return [
        [
            (tap, channel)
            for tap in range(tap0, min(tap0 + together, taps))
            for channel in range(channel0, min(channel0 + simd, channels))
        ]
        for tap0 in range(0, taps, together)
        for channel0 in range(0, channels, simd)
    ]


def _row_words(layer: Conv, simd: int) -> int:
    """Count the words of an input row, several columns to a word where they fit."""
    step = max(1, simd // layer.ifm.channels) if layer.kernel > 1 else 1
    words = 0
    for _column in range(0, layer.ifm.width, step):
        for _channel in range(0, layer.ifm.channels, simd):
            words += 1
    return words


def _gather_words(layer: Conv, simd: int, px: int) -> int:
    """Count the words read for the new columns of px windows, if taps are packed."""
    step = simd // layer.ifm.channels if layer.kernel > 1 else 1
    if step < 2:
        return 0
    return sum(
        1 for _row in range(layer.kernel) for _word in range(0, px * layer.stride, step)
    )


def _walk_dense(layer: Conv, *, simd: int, pe: int, px: int) -> int:
    cycles = 0
    for _row in range(layer.ofm.height):
        compute = 0
        for _column in range(0, layer.ofm.width, px):
            group = 0
            for _channel in range(0, layer.ofm.channels, pe):
                for _ in _passes(layer, simd):
                    group += 1
            compute += max(group, _gather_words(layer, simd, px))
        intake = sum(_row_words(layer, simd) for _ in range(layer.stride))
        cycles += max(compute, intake)
    return cycles


def _walk_depthwise(
    layer: DepthwiseLayer, *, pe: int, taps: int, px: int, first: bool
) -> int:
    cycles = 0
    for _row in range(layer.ofm.height):
        compute = 0
        for _column in range(0, layer.ofm.width, px):
            for _channel in range(0, layer.ofm.channels, pe):
                folds = sum(1 for _ in range(0, layer.kernel**2, taps))
                compute += max(folds, layer.stride)
        intake = 0
        for _input_row in range(layer.stride):
            for _column in range(0, layer.ifm.width, 1 if first else px):
                for _channel in range(0, layer.ifm.channels, pe):
                    intake += 1
        cycles += max(compute, intake)
    return cycles


def _walk_pointwise(
    layer: DenseLayer, *, simd: int, pe: int, px: int, first: bool
) -> int:
    cycles = 0
    for _row in range(layer.ofm.height):
        for _column in range(0, layer.ofm.width, px):
            compute = 0
            for _channel in range(0, layer.ofm.channels, pe):
                compute += len(_passes(layer, simd))
            intake = 0
            for _pixel in range(min(px, layer.ofm.width)):
                intake += len(_passes(layer, simd)) if first else 0
            cycles += max(compute, intake)
    return cycles


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
    passes = _passes(layer, simd)
    assert max(map(len, passes)) <= simd
    products = [product for one in passes for product in one]
    assert len(products) == len(set(products)) == layer.terms
    assert dense_folds(layer, simd) == len(passes)


@given(convs(), LANES, LANES, PIXELS)
@THOROUGH
def test_dense_cycles_equal_a_counted_loop_nest(
    layer: Conv, simd: int, pe: int, px: int
) -> None:
    times = _dense(layer, simd=simd, pe=pe, px=px)
    assert times.cycles == _walk_dense(layer, simd=simd, pe=pe, px=px)


@given(convs(most_channels=4), st.integers(8, 40), LANES, PIXELS)
@QUICK
def test_dense_cycles_equal_a_counted_loop_nest_with_packed_taps(
    layer: Conv, simd: int, pe: int, px: int
) -> None:
    times = _dense(layer, simd=simd, pe=pe, px=px)
    assert times.cycles == _walk_dense(layer, simd=simd, pe=pe, px=px)


@given(depthwises(), LANES, st.integers(1, 49), PIXELS, st.booleans())
@THOROUGH
def test_depthwise_cycles_equal_a_counted_loop_nest(
    layer: Depthwise, pe: int, taps: int, px: int, first: bool
) -> None:
    times = _depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    counted = _walk_depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    assert times.cycles == counted


@given(st.integers(2, 3), LANES, st.integers(1, 9), PIXELS, st.booleans())
@QUICK
def test_pool_cycles_equal_a_counted_loop_nest(
    kernel: int, pe: int, taps: int, px: int, first: bool
) -> None:
    layer = max_pool(shape(11, 9, 13), kernel)
    times = _depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    counted = _walk_depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    assert times.cycles == counted


@given(convs(kernels=(1,)), LANES, LANES, PIXELS, st.booleans())
@THOROUGH
def test_pointwise_cycles_equal_a_counted_loop_nest(
    layer: Conv, simd: int, pe: int, px: int, first: bool
) -> None:
    times = _pointwise(layer, simd=simd, pe=pe, px=px, first=first)
    counted = _walk_pointwise(layer, simd=simd, pe=pe, px=px, first=first)
    assert times.cycles == counted


@given(linears(), LANES, LANES, PIXELS)
@QUICK
def test_linear_cycles_are_the_folds_on_either_stage(
    layer: Linear, simd: int, pe: int, px: int
) -> None:
    # One pixel, so px lanes do not help: every pass of every channel fold.
    folds = sum(len(_passes(layer, simd)) for _ in range(0, layer.ofm.channels, pe))
    assert _dense(layer, simd=simd, pe=pe, px=px).cycles == folds
    counted = _pointwise(layer, simd=simd, pe=pe, px=px, first=True)
    assert counted.cycles == folds


@given(convs(), LANES, LANES, PIXELS)
@QUICK
def test_row_and_group_add_up_to_the_cycles(
    layer: Conv, simd: int, pe: int, px: int
) -> None:
    times = _dense(layer, simd=simd, pe=pe, px=px)
    assert times.cycles == layer.ofm.height * times.row
    assert times.row >= ceil(layer.ofm.width / px) * times.group


@given(depthwises(), LANES, st.integers(1, 49), PIXELS)
@QUICK
def test_a_depthwise_group_is_all_channels_of_its_pixels(
    layer: Depthwise, pe: int, taps: int, px: int
) -> None:
    # A pass per fold, and per new column of the window, of every channel group.
    group = 0
    for _channel in range(0, layer.ofm.channels, pe):
        group += max(len(range(0, layer.kernel**2, taps)), layer.stride)
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
    # 8-bit channels, padded to a unit of 4, in beats of 8 bytes.
    row_beats = ceil(ceil(layer.ifm.channels / 4) * 4 * layer.ifm.width / 8)
    times = _dense(layer, simd=simd, pe=pe, px=px)
    assert times.lead_in == rows * max(_row_words(layer, simd), row_beats)


@given(convs(), LANES, LANES, PIXELS)
@THOROUGH
def test_tail_makes_the_output_rows_that_wait_for_the_last_input_row(
    layer: Conv, simd: int, pe: int, px: int
) -> None:
    last = layer.ifm.height - 1
    # A row that lies in the padding below the map waits for the last input row too.
    waiting = sum(
        1
        for row in range(layer.ofm.height)
        if row * layer.stride - layer.padding.top + layer.kernel > last
    )
    times = _dense(layer, simd=simd, pe=pe, px=px)
    assert times.tail == max(1, waiting) * times.row


def test_dense_cycles_by_hand() -> None:
    # 10 channels on simd 4: 3 words; 9 taps: 27 passes. 7 outputs on 3 lanes: 3 folds.
    # 5 columns on px 2: 3 groups. Row: 3 x 3 x 27 = 243 (intake 5 x 3 = 15 is less);
    # 4 rows: 972.
    layer = conv(shape(10, 4, 5), 7)
    assert _dense(layer, simd=4, pe=3, px=2).cycles == 972


def test_dense_cycles_by_hand_where_taps_are_packed() -> None:
    # RGB on simd 12: 4 taps a pass, so 9 taps in 3 passes. 16 outputs on 16 lanes.
    # Stride 2: 7 x 7 from 14 x 14. A group of 4 pixels: 3 passes, but 3 kernel rows x
    # ceil(8 new columns / 4 a word) = 6 words to gather. Row: 2 groups x 6 = 12; two
    # input rows of ceil(14 / 4) = 4 words are less. 7 rows: 84.
    layer = conv(shape(3, 14, 14), 16, stride=2)
    assert _dense(layer, simd=12, pe=16, px=4).cycles == 84


def test_dense_cycles_by_hand_where_taking_in_rows_binds() -> None:
    # 1x1, stride 2, 8 channels on simd 8, all 4 outputs at once: a row of 5 pixels
    # takes 5 passes, but two input rows of 9 words come in: 18. 5 rows: 90.
    layer = conv(shape(8, 9, 9), 4, 1, stride=2, padding=Padding())
    assert _dense(layer, simd=8, pe=4, px=1).cycles == 90


def test_depthwise_cycles_by_hand() -> None:
    # 20 channels on 8 lanes: 3 groups; 25 taps on 9: 3 passes. 6 columns on px 4: 2.
    # Row: 2 x 3 x 3 = 18; intake from a stage before: ceil(6 / 4) x 3 = 6. 5 rows: 90.
    layer = depthwise(shape(20, 5, 6), 5)
    assert _depthwise(layer, pe=8, taps=9, px=4, first=False).cycles == 90


def test_depthwise_cycles_by_hand_at_stride_two() -> None:
    # All 9 taps at once, but 2 new columns to read: 2 cycles a group. 4 columns on
    # px 4: 1; 2 channel groups. Row: 4; two rows of 8 pixels from DDR, 2 words each:
    # 32. 4 rows: 128. Behind another stage 4 pixels come at once: 8, so 32.
    layer = depthwise(shape(16, 8, 8), 3, stride=2)
    assert _depthwise(layer, pe=8, taps=9, px=4, first=True).cycles == 128
    assert _depthwise(layer, pe=8, taps=9, px=4, first=False).cycles == 32


def test_pointwise_cycles_by_hand() -> None:
    # 24 channels on simd 10: 3 words; 20 outputs on 8 lanes: 3 folds; 9 passes. 7
    # columns on px 4: 2 groups. 3 rows x 2 x 9 = 54; from DDR 4 pixels x 3 words = 12
    # come in a group: 3 x 2 x 12 = 72.
    layer = conv(shape(24, 3, 7), 20, 1)
    assert _pointwise(layer, simd=10, pe=8, px=4, first=False).cycles == 54
    assert _pointwise(layer, simd=10, pe=8, px=4, first=True).cycles == 72


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
    kernel: int, *, residual: bool = False, pooled: bool = False
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
    found = paths(run, times, Transfers(ifm=50, ofm=40, residual=30))
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
    assert "ofm" not in pooled
    assert pooled == {
        label: plain[label] + 40 for label in ("ifm", "dense", "depthwise", "pointwise")
    }


def test_paths_without_a_stage_are_the_transfers() -> None:
    whole = shape(8, 6, 6)
    run = replace(invocation(dense=conv(whole, 8, 1)), dense=None, ofm=shape(8, 1, 1))
    (path,) = paths(run, {}, Transfers(ifm=50, ofm=40, residual=0))
    assert (path.label, path.constant, path.terms) == ("ifm", START_CYCLES + 90, {})


def test_transfers_per_configuration_join_the_stage() -> None:
    run = invocation(dense=conv(shape(4, 6, 6), 8, 1), residual=True)
    times = {Role.DENSE: _times(10, 5, 60, 7, 20)}
    moved = np.array([100, 200])
    found = {
        path.label: path.constant + path.terms[Role.DENSE]
        for path in paths(run, times, Transfers(ifm=50, ofm=moved, residual=moved))
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
    # 5 x 2 x 2 = 20 terms on simd 8: 3 passes; 6 outputs on 4 lanes: 2 folds.
    layer = linear(shape(5, 2, 2), 6)
    assert _dense(layer, simd=8, pe=4, px=3).cycles == 6


def test_pools_count_as_depthwise_stages_in_paths() -> None:
    pool: Pool = max_pool(shape(8, 6, 6))
    run = invocation(dense=conv(shape(4, 6, 6), 8, 3, name="a"), depthwise=pool)
    times = {
        Role.DENSE: _times(10, 5, 60, 7, 20),
        Role.DEPTHWISE: _times(100, 30, 300, 999, 100),
    }
    found = {p.label: p for p in paths(run, times, Transfers(ifm=1, ofm=1, residual=0))}
    # A 2x2 window needs 2 rows of the dense stage.
    assert found["depthwise"].terms[Role.DENSE] == 7 + 2 * 10
