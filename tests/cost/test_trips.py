"""Trips of a stage's loops equal those of the loops walked, shape by shape."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.latency import dense_times, depthwise_times, pointwise_times
from hao.cost.memory import input_channels
from hao.cost.overheads import LEAD_CYCLES
from hao.ir.layer import Conv, Depthwise, Linear
from tests.cost.samples import (
    QUICK,
    THOROUGH,
    conv,
    convs,
    depthwise,
    depthwises,
    linears,
    max_pool,
    shape,
)
from tests.cost.trips import StageTrips, dense_trips, depthwise_trips, pointwise_trips
from tests.cost.walks import Walk, walk_dense, walk_depthwise, walk_pointwise
from tests.hw.samples import BOARD

LANES = st.integers(1, 30)
GROUPS = st.integers(1, 6)
PIXELS = st.integers(1, 8)


def _counted(walk: Walk) -> StageTrips:
    return StageTrips(window=walk.lead + walk.rows, array=walk.array)


@given(st.one_of(convs(), convs(most_channels=4), linears()), LANES, GROUPS, PIXELS)
@THOROUGH
def test_dense_trips_equal_walked_loops(
    layer: Conv | Linear, simd: int, groups: int, px: int
) -> None:
    channels = input_channels(layer, 8, BOARD)
    trips = dense_trips(layer, simd=simd, px=px, groups=groups, act_bits=8, board=BOARD)
    walk = walk_dense(layer, simd=simd, groups=groups, px=px, channels=channels)
    assert trips == _counted(walk)


@given(depthwises(), LANES, st.integers(1, 49), PIXELS, st.booleans())
@THOROUGH
def test_depthwise_trips_equal_walked_loops(
    layer: Depthwise, pe: int, taps: int, px: int, first: bool
) -> None:
    trips = depthwise_trips(layer, pe=pe, taps=taps, px=px, first=first)
    walk = walk_depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    assert trips == _counted(walk)


@given(st.integers(2, 3), LANES, st.integers(1, 9), PIXELS, st.booleans())
@QUICK
def test_pool_trips_equal_walked_loops(
    kernel: int, pe: int, taps: int, px: int, first: bool
) -> None:
    layer = max_pool(shape(11, 9, 13), kernel)
    trips = depthwise_trips(layer, pe=pe, taps=taps, px=px, first=first)
    walk = walk_depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    assert trips == _counted(walk)


@given(st.one_of(convs(kernels=(1,)), linears()), LANES, GROUPS, PIXELS, st.booleans())
@THOROUGH
def test_pointwise_trips_equal_walked_loops(
    layer: Conv | Linear, simd: int, groups: int, px: int, first: bool
) -> None:
    channels = input_channels(layer, 8, BOARD)
    trips = pointwise_trips(
        layer, simd=simd, px=px, groups=groups, first=first, act_bits=8, board=BOARD
    )
    walk = walk_pointwise(
        layer, simd=simd, groups=groups, px=px, first=first, channels=channels
    )
    assert trips == _counted(walk)


def test_trips_by_hand() -> None:
    # 10 channels on simd 4: 3 words; 9 taps: 27 passes, 3 output groups; 5 columns on
    # px 2: 3 groups of pixels. Rows of 3 x 81 = 243; lead 2 rows of 15 words.
    dense = dense_trips(
        conv(shape(10, 4, 5), 7), simd=4, px=2, groups=3, act_bits=8, board=BOARD
    )
    assert dense == StageTrips(window=30 + 4 * 243, array=972)
    # 20 channels on 8 lanes: 3 groups; 25 taps on 9: 3 passes; 6 columns on px 4: 2.
    # First window: 3 + 5 - 2 = 6 columns, 2 cycles, then 1: rows of 3 x 3; from a
    # stage 2 x 3 words come a row, 3 rows before the first.
    middle = depthwise_trips(
        depthwise(shape(20, 5, 6), 5), pe=8, taps=9, px=4, first=False
    )
    assert middle == StageTrips(window=3 * 6 + 5 * 9, array=5 * 2 * 3 * 3)
    # 24 channels on simd 10: 3 words, 3 output groups; 7 columns on px 4: groups of 4
    # and 3 pixels. The first vector: 12; then 9 (next 9), 12 (next 12), 9, 12, 9 and,
    # with nothing to come, 9.
    last = pointwise_trips(
        conv(shape(24, 3, 7), 20, 1),
        simd=10,
        px=4,
        groups=3,
        first=True,
        act_bits=8,
        board=BOARD,
    )
    assert last == StageTrips(window=12 + 9 + 12 + 9 + 12 + 9 + 9, array=3 * 2 * 9)


@given(st.one_of(convs(), linears()), LANES, GROUPS, PIXELS)
@QUICK
def test_priced_cycles_are_the_trips_after_the_lead_in(
    layer: Conv | Linear, simd: int, groups: int, px: int
) -> None:
    """A stage's cycles cover the trips of both processes, and reach one of them."""
    channels = input_channels(layer, 8, BOARD)
    walk = walk_dense(layer, simd=simd, groups=groups, px=px, channels=channels)
    trips = dense_trips(layer, simd=simd, px=px, groups=groups, act_bits=8, board=BOARD)
    times = dense_times(
        layer,
        simd=simd,
        px=px,
        folds_out=np.asarray(groups),
        first=False,
        act_bits=8,
        board=BOARD,
    )
    assert times.lead_in - LEAD_CYCLES + times.cycles == trips.window
    assert times.lead_in - LEAD_CYCLES == walk.lead
    assert times.cycles >= trips.array


@given(depthwises(), LANES, st.integers(1, 49), PIXELS, st.booleans())
@QUICK
def test_priced_depthwise_cycles_cover_window_and_array(
    layer: Depthwise, pe: int, taps: int, px: int, first: bool
) -> None:
    trips = depthwise_trips(layer, pe=pe, taps=taps, px=px, first=first)
    walk = walk_depthwise(layer, pe=pe, taps=taps, px=px, first=first)
    times = depthwise_times(
        layer, pe=pe, taps=taps, px=px, first=first, act_bits=8, board=BOARD
    )
    assert times.cycles >= max(trips.window - walk.lead, trips.array)
    assert times.cycles == walk.together


@given(convs(kernels=(1,)), LANES, GROUPS, PIXELS)
@QUICK
def test_priced_pointwise_cycles_are_the_trips_after_the_first_vector(
    layer: Conv, simd: int, groups: int, px: int
) -> None:
    trips = pointwise_trips(
        layer, simd=simd, px=px, groups=groups, first=True, act_bits=8, board=BOARD
    )
    walk = walk_pointwise(
        layer,
        simd=simd,
        groups=groups,
        px=px,
        first=True,
        channels=layer.ifm.channels,
    )
    times = pointwise_times(
        layer,
        simd=simd,
        px=px,
        folds_out=np.asarray(groups),
        first=True,
        act_bits=8,
        board=BOARD,
    )
    assert times.cycles + walk.lead == trips.window
    assert times.lead_in >= walk.lead
