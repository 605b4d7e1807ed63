"""Multipliers of codes that lanes use in turn, by hand and against counted loops."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.turns import MAX_TURNS, code_turns, sum_cycles
from hao.hw.board_file import load_board
from hao.ir.layer import Conv, Depthwise, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer
from tests.cost.samples import conv, depthwise, max_pool, shape

BOARD = load_board("zu3eg")


def turns_of(
    layers: list[DenseLayer | DepthwiseLayer], pe: int, items: int
) -> int | None:
    found = code_turns(
        layers, pe=np.array([pe]), items=np.array([items]), act_bits=8, board=BOARD
    )
    return None if found is None else int(found[0])


def multiplied(layer: Conv | Depthwise) -> Conv | Depthwise:
    return replace(layer, multiplied=True)


def test_turns_by_hand() -> None:
    # 40 channels of 1 x 1 on 16 multipliers: 3 cycles a sum. 12 lanes go in threes,
    # 8 in twos, 7 not at all.
    point = multiplied(conv(shape(40, 6, 6), 24, 1, name="point"))
    assert [turns_of([point], pe, 16) for pe in (12, 8, 7)] == [3, 2, 1]
    # 3 x 3 taps, 3 at once: 3 cycles; 9 at once: one, which no lane can wait for.
    middle = multiplied(depthwise(shape(40, 6, 6), name="middle"))
    assert [turns_of([middle], 12, taps) for taps in (3, 5, 9)] == [3, 2, 1]
    # The layer that takes least decides: 16 channels take one cycle.
    short = multiplied(conv(shape(16, 6, 6), 24, 1, name="short"))
    assert turns_of([point, short], 12, 16) == 1


def test_no_turns_without_multipliers_or_where_the_stage_pools_too() -> None:
    middle = depthwise(shape(40, 6, 6), name="middle")
    assert turns_of([middle], 12, 3) is None
    pool = max_pool(shape(40, 6, 6), name="pool")
    assert isinstance(pool, Pool)
    assert turns_of([multiplied(middle), pool], 12, 3) is None


@given(
    st.integers(1, 70),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 64),
    st.integers(1, 9),
)
def test_turns_divide_the_lanes_and_leave_time(
    channels: int, kernel: int, pe: int, simd: int
) -> None:
    layer = conv(shape(channels, 8, 8), 9, kernel, name="it")
    found = turns_of([multiplied(layer)], pe, simd)
    cycles = int(sum_cycles(layer, simd, act_bits=8, board=BOARD))
    fitting = [
        turns
        for turns in range(1, MAX_TURNS + 1)
        if pe % turns == 0 and turns <= cycles
    ]
    assert found == max(fitting)
