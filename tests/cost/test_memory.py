"""Bytes in DDR equal codes placed one by one, cycles whole beats; by hand and laws."""

from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.memory import (
    Moved,
    beat_channels,
    ddr_cycles,
    feature_bytes,
    input_channels,
    layer_bytes,
    pixel_channels,
    port_cycles,
    read,
    row_bytes,
    rows_used,
    store_bits,
    tile_bytes,
    tile_run_bytes,
    weight_bytes,
    written,
)
from hao.ir.layer import Conv, Depthwise, Padding
from tests.cost.samples import QUICK, conv, convs, depthwises, linear, shape
from tests.hw.samples import BOARD

WIDE = replace(BOARD, port_bytes=16)
# 150 MHz, ports up to 100 MHz only, DDR of 1.2 GB/s: also 8 bytes a cycle.
SLOW_PORT = replace(
    BOARD, clock_khz=150_000, port_max_khz=100_000, ddr_peak_kbytes_per_s=2_400_000
)


def _stored_row(channels: int, width: int, act_bits: int, port_bytes: int) -> int:
    """Place a row's pixels code by code and return the bytes up to the last beat."""
    code = next(bits for bits in (2, 4, 8) if bits >= act_bits)
    beat = 8 * port_bytes // code
    placed = 0
    for _pixel in range(width):
        # No pixel straddles a beat that it does not start.
        room = beat - placed % beat
        assert room == beat or room >= channels
        size = 4
        while size < min(channels, beat):
            size *= 2
        while size < channels:
            size += beat
        placed += size
    return -(-placed // beat) * port_bytes


def test_row_bytes_by_hand() -> None:
    # RGB takes 4 codes: 10 pixels x 4 bytes = 40, five beats of 8.
    assert row_bytes(3, 10, 8, BOARD) == 40
    # 6 channels take 8 codes, of 3 bits stored as 4: 4 x 8 x 4 = 128 bits, a beat.
    assert row_bytes(6, 4, 3, WIDE) == 16
    # One more pixel: two beats.
    assert row_bytes(6, 5, 3, WIDE) == 32
    # 24 channels on beats of 16 codes: 2 beats a pixel.
    assert row_bytes(24, 5, 8, WIDE) == 5 * 32
    # On beats of 64 codes of 2 bits: 32 codes a pixel, two pixels a beat.
    assert row_bytes(24, 5, 2, WIDE) == 3 * 16


def test_codes_are_stored_in_2_4_or_8_bits() -> None:
    assert [store_bits(bits) for bits in range(2, 9)] == [2, 4, 4, 8, 8, 8, 8]
    assert beat_channels(4, WIDE) == 32


def test_pixels_take_powers_of_two_up_to_a_beat() -> None:
    taken = [pixel_channels(channels, 16) for channels in (1, 4, 5, 8, 9, 16, 17, 33)]
    assert taken == [4, 4, 8, 8, 16, 16, 32, 48]
    array = np.array([1, 4, 5, 8, 9, 16, 17, 33])
    assert list(pixel_channels(array, 16)) == taken


@given(
    st.integers(1, 40), st.integers(1, 20), st.integers(2, 8), st.sampled_from((8, 16))
)
@QUICK
def test_row_bytes_equal_codes_placed_one_by_one(
    channels: int, width: int, act_bits: int, port_bytes: int
) -> None:
    board = replace(BOARD, port_bytes=port_bytes)
    counted = _stored_row(channels, width, act_bits, port_bytes)
    assert row_bytes(channels, width, act_bits, board) == counted


def test_every_row_of_a_map_starts_a_beat() -> None:
    # 4 x 3 bytes a row take two beats of 8; 5 rows.
    assert feature_bytes(shape(4, 5, 3), 8, BOARD) == 5 * 16


def test_a_tile_of_all_channels_is_the_map() -> None:
    whole = shape(10, 7, 9)
    assert tile_bytes(10, whole, 5, BOARD) == feature_bytes(whole, 5, BOARD)


def test_a_tile_moves_its_own_beats_of_every_pixel() -> None:
    # 20 channels x 4 columns in beats of 8: 3 beats a pixel, 2 of which hold 16 or 12.
    whole = shape(20, 1, 4)
    parts = np.array([16, 12, 8, 4])
    assert list(tile_bytes(parts, whole, 8, BOARD)) == [64, 64, 32, 32]
    # Where a beat holds the whole pixel, or two, a tile is the map.
    assert tile_bytes(3, shape(3, 2, 5), 8, BOARD) == 2 * 24


def _touched(run: int, pixel: int, offset: int, burst: int, beat: int) -> float:
    """Return the bytes of the bursts that a run touches, averaged over pixels."""
    begins = [(n * pixel + offset) * beat for n in range(burst)]
    ends = [begin + run * beat - 1 for begin in begins]
    bursts = [e // burst - b // burst + 1 for b, e in zip(begins, ends, strict=True)]
    return burst * sum(bursts) / len(begins)


@pytest.mark.parametrize(("run", "pixel"), [(1, 3), (3, 5), (4, 7), (6, 9), (9, 11)])
def test_a_short_run_takes_the_bursts_that_it_touches(run: int, pixel: int) -> None:
    # Beats of 8 bytes in bursts of 64: pixels of an odd number of beats begin at any.
    board = replace(BOARD, ddr_burst_bytes=64)
    whole = shape(8 * pixel, 3, 5)
    found = tile_run_bytes(8 * run, whole, 8, board)
    for offset in range(8):
        assert found == 15 * _touched(run, pixel, offset, 64, 8)


def test_pixels_of_whole_bursts_begin_with_one() -> None:
    board = replace(BOARD, ddr_burst_bytes=64)
    # Pixels of 16 beats; runs of 8, 3 and 9 beats touch 1, 1 and 2 bursts from the
    # start of one on.
    for run, bursts in ((8, 1), (3, 1), (9, 2)):
        assert tile_run_bytes(8 * run, shape(128, 2, 2), 8, board) == 4 * 64 * bursts
        assert _touched(run, 16, 0, 64, 8) == 64 * bursts
    # All channels, or pixels within a beat, lie without gaps.
    assert tile_run_bytes(120, shape(120, 2, 2), 8, board) == 4 * 120
    assert tile_run_bytes(3, shape(3, 2, 5), 8, board) == 2 * 24
    # No burst is shorter than a beat.
    assert tile_run_bytes(
        24, shape(40, 2, 2), 8, replace(board, ddr_burst_bytes=16)
    ) == (4 * (24 + 8))


def test_writes_take_their_own_share_of_the_ddr() -> None:
    board = replace(BOARD, ddr_read_percent=60, ddr_write_percent=45)
    # 60 / 45: 41 bytes written are 54.7 read.
    assert written(41, board) == Moved(np.asarray(41), np.asarray(55))
    assert written(41, board, 64).ddr == 86
    assert read(41, 64) == Moved(np.asarray(41), np.asarray(64))


def test_rows_that_no_window_meets_are_not_read() -> None:
    # 1x1, stride 2 on 8 rows: the last window stands on row 6.
    layer = conv(shape(4, 8, 8), 4, 1, stride=2)
    assert rows_used(layer) == 7
    # 3x3 with padding meets the last row; without, of 8 rows at stride 2, seven.
    assert rows_used(conv(shape(4, 8, 8), 4)) == 8
    assert rows_used(conv(shape(4, 8, 8), 4, stride=2, padding=Padding())) == 7


@given(convs())
@QUICK
def test_rows_used_are_those_that_some_window_meets(layer: Conv) -> None:
    met = {
        row
        for out in range(layer.ofm.height)
        for row in range(
            out * layer.stride - layer.padding.top,
            out * layer.stride - layer.padding.top + layer.kernel,
        )
        if 0 <= row < layer.ifm.height
    }
    assert rows_used(layer) == max(met) + 1


def test_a_linear_layer_takes_the_stored_map_in_as_one_pixel() -> None:
    # 5 channels as 8 codes, 3 pixels: 3 beats of 8 codes a row; 2 rows.
    layer = linear(shape(5, 2, 3), 7)
    assert input_channels(layer, 8, BOARD) == 48
    assert rows_used(layer) == 2
    # 7 records of 4 bytes: 4 beats; 7 x 48 weights of 4 bits.
    assert layer_bytes(layer, 4, 8, BOARD) == 32 + 168
    # With a multiplier a record has 8 bytes.
    wide = replace(layer, multiplied=True)
    assert layer_bytes(wide, 4, 8, BOARD) == 56 + 168
    # One pixel has no codes between.
    assert input_channels(linear(shape(5, 1, 1), 7), 8, BOARD) == 5


def test_weights_are_packed_at_their_own_width_behind_records() -> None:
    # 5 records are 20 bytes, three beats; 100 weights of 3 bits: 38 bytes, five beats.
    assert weight_bytes(5, 20, 3, BOARD) == 24 + 40
    assert weight_bytes(5, 20, 8, BOARD) == 24 + 104


def _stored_weights(
    layer: Conv | Depthwise, bits: int, pe: int, taps: int, port_bytes: int
) -> int:
    """Return the bytes of a layer's weights as they lie in DDR, group by group."""
    channels = layer.ofm.channels
    total = weights = 0
    for group in range(0, channels, pe):
        lanes = min(pe, channels - group)
        total += -(-lanes * 4 // port_bytes) * port_bytes
        terms = layer.terms
        if isinstance(layer, Depthwise):
            terms = -(-layer.terms // taps) * taps
        weights += lanes * terms * bits
    return total + -(-weights // (8 * port_bytes)) * port_bytes


@given(
    st.one_of(convs(), depthwises()),
    st.integers(2, 8),
    st.integers(1, 16),
    st.integers(1, 9),
    st.sampled_from((8, 16)),
)
@QUICK
def test_what_the_price_of_weights_leaves_out_is_bounded(
    layer: Conv | Depthwise, bits: int, pe: int, taps: int, port_bytes: int
) -> None:
    board = replace(BOARD, port_bytes=port_bytes)
    stored = _stored_weights(layer, bits, pe, taps, port_bytes)
    priced = layer_bytes(layer, bits, 8, board)
    groups = -(-layer.ofm.channels // pe)
    most = groups * port_bytes
    if isinstance(layer, Depthwise):
        filled = layer.ofm.channels * (taps - 1) * bits
        most += -(-filled // (8 * port_bytes)) * port_bytes
    assert priced <= stored <= priced + most


@given(st.integers(1, 10**6), st.integers(2, 7), st.integers(1, 6))
@QUICK
def test_fewer_bits_never_move_more_weights(weights: int, bits: int, more: int) -> None:
    wide = min(8, bits + more)
    assert weight_bytes(weights, 3, bits, BOARD) <= weight_bytes(
        weights, 3, wide, BOARD
    )
    assert 8 * weight_bytes(weights, 3, bits, BOARD) >= weights * (3 * bits + 32)


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
    assert ddr_cycles(41, BOARD.at_ddr(60)) == 5


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
        assert list(weight_bytes(array, 9, 5, board)) == [
            weight_bytes(v, 9, 5, board) for v in values
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
