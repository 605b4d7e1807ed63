"""Bytes in DDR equal packed bits, cycles are whole beats; both by hand and as laws."""

from dataclasses import replace
from math import ceil

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.memory import (
    CHANNEL_UNIT,
    ddr_cycles,
    feature_bytes,
    port_cycles,
    row_bytes,
    tile_bytes,
    weight_bytes,
)
from tests.cost.samples import BOARD, QUICK, shape

WIDE = replace(BOARD, port_bytes=16)
# 150 MHz, ports up to 100 MHz only, DDR of 1.2 GB/s: also 8 bytes a cycle.
SLOW_PORT = replace(
    BOARD, clock_khz=150_000, port_max_khz=100_000, ddr_peak_kbytes_per_s=2_400_000
)


def _packed_row(channels: int, width: int, act_bits: int, port_bytes: int) -> int:
    """Place a row's activations bit by bit and return the bytes up to the last beat."""
    bits = 0
    for _pixel in range(width):
        placed = 0
        while placed < channels or placed % CHANNEL_UNIT:
            placed += 1
            bits += act_bits
    size = 0
    while size * 8 < bits or size % port_bytes:
        size += 1
    return size


def test_row_bytes_by_hand() -> None:
    # RGB is padded to 4 channels: 10 pixels x 4 bytes = 40, five beats of 8.
    assert row_bytes(3, 10, 8, BOARD) == 40
    # 6 channels to 8, at 3 bits: 5 x 8 x 3 = 120 bits = 15 bytes, one beat of 16.
    assert row_bytes(6, 5, 3, WIDE) == 16
    # One more pixel: 144 bits = 18 bytes, two beats.
    assert row_bytes(6, 6, 3, WIDE) == 32


@given(
    st.integers(1, 40), st.integers(1, 20), st.integers(2, 8), st.sampled_from((8, 16))
)
@QUICK
def test_row_bytes_equal_bits_placed_one_by_one(
    channels: int, width: int, act_bits: int, port_bytes: int
) -> None:
    board = replace(BOARD, port_bytes=port_bytes)
    counted = _packed_row(channels, width, act_bits, port_bytes)
    assert row_bytes(channels, width, act_bits, board) == counted


def test_every_row_of_a_map_starts_a_beat() -> None:
    # 4 x 3 bytes a row take two beats of 8; 5 rows.
    assert feature_bytes(shape(4, 5, 3), 8, BOARD) == 5 * 16


def test_a_tile_of_all_channels_is_the_map() -> None:
    whole = shape(10, 7, 9)
    assert tile_bytes(10, whole, 5, BOARD) == feature_bytes(whole, 5, BOARD)


def test_tiles_of_part_of_a_unit_are_padded_each() -> None:
    # 8 channels x 4 columns = 32 bytes a row; in tiles of 5 and 3: 8 and 4 channels.
    whole = shape(8, 1, 4)
    both = np.array([5, 3])
    assert list(tile_bytes(both, whole, 8, BOARD)) == [32, 16]


def test_weights_are_packed_at_their_own_width() -> None:
    # 100 weights of 3 bits: 300 bits = 38 bytes, five beats of 8.
    assert weight_bytes(100, 3, BOARD) == 40
    assert weight_bytes(100, 8, BOARD) == 104


@given(st.integers(1, 10**6), st.integers(2, 7), st.integers(1, 6))
@QUICK
def test_fewer_bits_never_move_more_weights(weights: int, bits: int, more: int) -> None:
    wide = min(8, bits + more)
    assert weight_bytes(weights, bits, BOARD) <= weight_bytes(weights, wide, BOARD)
    assert 8 * weight_bytes(weights, bits, BOARD) >= weights * bits


def test_a_port_moves_a_beat_a_cycle() -> None:
    # 41 bytes: six beats of 8.
    assert port_cycles(41, BOARD) == 6


def test_a_port_slower_than_the_engine_stretches_the_transfer() -> None:
    # 6 beats at 100 MHz are 9 cycles at 150 MHz; 5 are 7.5, so 8.
    assert port_cycles(41, SLOW_PORT) == 9
    assert port_cycles(40, SLOW_PORT) == 8


def test_a_port_as_fast_as_the_engine_is_not_stretched() -> None:
    assert port_cycles(40, replace(SLOW_PORT, port_max_khz=150_000)) == 5


def test_ddr_cycles_by_hand() -> None:
    # 800,000 kB/s at 100,000 kHz: 8 bytes a cycle; 41 bytes in 6 cycles.
    assert ddr_cycles(41, BOARD) == 6
    # 60 %: 960,000 kB/s, 9.6 bytes a cycle: 41 / 9.6 = 4.3.
    assert ddr_cycles(41, replace(BOARD, ddr_efficiency_percent=60)) == 5


@given(st.integers(0, 10**9), st.integers(0, 10**9))
@QUICK
def test_transfers_moved_at_once_never_take_longer(first: int, second: int) -> None:
    for cycles in (port_cycles, ddr_cycles):
        for board in (BOARD, SLOW_PORT):
            both = cycles(first + second, board)
            assert both <= cycles(first, board) + cycles(second, board)
            assert both >= cycles(first, board)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
@QUICK
def test_arrays_equal_single_values(values: list[int]) -> None:
    array = np.array(values)
    whole = shape(1, 7, 5)
    for board in (WIDE, SLOW_PORT):
        assert list(port_cycles(array, board)) == [
            port_cycles(v, board) for v in values
        ]
        assert list(ddr_cycles(array, board)) == [ddr_cycles(v, board) for v in values]
        assert list(weight_bytes(array, 5, board)) == [
            weight_bytes(v, 5, board) for v in values
        ]
        assert list(tile_bytes(array, whole, 7, board)) == [
            tile_bytes(v, whole, 7, board) for v in values
        ]


def test_a_map_of_more_bytes_than_a_c_int_counts_is_exact() -> None:
    # 2^17 channels x 2^10 columns x 2^10 rows bytes = 2^37.
    assert feature_bytes(shape(2**17, 2**10, 2**10), 8, BOARD) == 2**37
    many = np.array([2**37])
    exact = ceil(2**37 * BOARD.clock_khz / BOARD.ddr_kbytes_per_s)
    assert list(ddr_cycles(many, BOARD)) == [exact]
