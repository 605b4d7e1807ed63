"""Feature maps as bytes: by hand, there and back, and what every step leaves."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.emission.arena import stored_map
from hao.emission.steps import make_table
from hao.emission.stored import (
    frame_bytes,
    frame_codes,
    map_bytes,
    map_codes,
    step_maps,
)
from hao.hw.board_file import load_board
from hao.ir.integer_run import run_integer_layers
from hao.ir.passes import frame_planes
from tests.cost.samples import shape
from tests.emission.designs import sample, small

BOARD = load_board("zu3eg")
PORT = BOARD.port_bytes


def stored_bytes(codes: list[int], channels: int, width: int, act_bits: int) -> bytes:
    """Return the bytes of a map of one row, from codes by (pixel, channel)."""
    stored = stored_map(
        shape(channels, 1, width), base=0, act_bits=act_bits, board=BOARD
    )
    array = np.array(codes, dtype=np.int64).reshape(1, 1, width, channels)
    return map_bytes(array.transpose(0, 3, 1, 2), stored).tobytes()


def test_eight_bits_by_hand() -> None:
    # Pixels of 3 codes take 4 bytes; two of them half a beat, the rest is 0.
    found = stored_bytes([1, 2, 3, -1, -2, 127], channels=3, width=2, act_bits=8)
    assert found == bytes([1, 2, 3, 0, 0xFF, 0xFE, 127, 0]) + bytes(8)


def test_four_bits_by_hand() -> None:
    # The first code is the low half of a byte; -1 is 0xF, -8 is 0x8.
    found = stored_bytes([1, 2, 3, -1, -8, 7], channels=3, width=2, act_bits=4)
    assert found == bytes([0x21, 0x03, 0x8F, 0x07]) + bytes(12)


def test_three_bits_take_four_and_keep_no_sign_beyond_three() -> None:
    # -1 of 3 bits is 0b111; the fourth bit is 0.
    assert stored_bytes([-1, 3, -4], channels=3, width=1, act_bits=3)[:2] == bytes(
        [0x37, 0x04]
    )


def test_two_bits_by_hand() -> None:
    # 5 codes take 8: two bytes. 1 | 2 << 2 | 3 << 4 | 0 << 6 = 0x39; then 1.
    found = stored_bytes([1, -2, -1, 0, 1], channels=5, width=1, act_bits=2)
    assert found == bytes([0x39, 0x01]) + bytes(14)


def test_a_row_ends_with_a_whole_beat_and_a_pixel_with_its_own() -> None:
    stored = stored_map(shape(17, 2, 1), base=0, act_bits=8, board=BOARD)
    codes = np.arange(34, dtype=np.int64).reshape(1, 2, 1, 17).transpose(0, 3, 1, 2)
    data = map_bytes(codes, stored)[0].tolist()
    assert data == [*range(17), *[0] * 15, *range(17, 34), *[0] * 15]


@given(data=st.data())
def test_codes_come_back(data: st.DataObject) -> None:
    draw = data.draw
    act_bits, signed = draw(st.integers(2, 8)), draw(st.booleans())
    size = (draw(st.integers(1, 40)), draw(st.integers(1, 4)), draw(st.integers(1, 6)))
    low = -(1 << (act_bits - 1)) if signed else 0
    seed = draw(st.integers(0, 2**16))
    codes = np.random.default_rng(seed).integers(low, low + 2**act_bits, (2, *size))
    stored = stored_map(shape(*size), base=0, act_bits=act_bits, board=BOARD)
    there = map_bytes(codes, stored)
    assert there.shape == (2, stored.beats * PORT)
    back = map_codes(there, stored, signed=signed)
    np.testing.assert_array_equal(back, codes)
    # What fills pixels, rows and codes up is 0: as many bits are set as codes have.
    ones = sum(int(code) & ((1 << act_bits) - 1) for code in codes.ravel())
    assert (ones == 0) == (not there.any())
    set_bits = sum(bin(int(c) & ((1 << act_bits) - 1)).count("1") for c in codes.flat)
    assert int(np.unpackbits(there).sum()) == set_bits


def test_frames_come_back_from_digits_too() -> None:
    found = set()
    for seed in range(12):
        drawn = sample(seed)
        design, name = drawn.design, drawn.net.network.input.name
        stored = make_table(design, drawn.net).arena.maps[name]
        signed = drawn.net.maps[name].quant.signed
        network = design.network
        data = frame_bytes(drawn.frames, stored, network=network, signed=signed)
        back = frame_codes(data, stored, network=network, signed=signed)
        np.testing.assert_array_equal(back, drawn.frames)
        found.add((frame_planes(network), signed))
    assert found == {(1, False), (1, True), (2, True)}


@pytest.mark.parametrize("seed", range(0, 30, 3))
def test_step_maps_names_what_every_step_completes(seed: int) -> None:
    found = sample(seed)
    design, net = found.design, found.net
    table = make_table(design, net)
    names = frozenset(layer.name for layer in net.network.layers)
    maps = run_integer_layers(net, found.frames[:1], names)
    port = design.board.port_bytes
    text = step_maps(table, maps)
    completed = []
    for run in table.runs:
        base, beats = struct.unpack_from("<ii", text)
        text = text[8:]
        if beats == 0:
            # Only a step that loads, or a tile that others follow, leaves no map.
            assert run is None or run.tile + 1 < run.tiles
            continue
        assert run is not None
        name = run.invocation.output_name
        stored = table.arena.maps[name]
        assert (base, beats) == (stored.base, stored.beats)
        data = np.frombuffer(text[: beats * port], dtype=np.uint8)[None]
        codes = map_codes(data, stored, signed=net.maps[name].quant.signed)
        np.testing.assert_array_equal(codes, maps[name])
        completed.append(name)
        text = text[beats * port :]
    assert text == b""
    assert completed == [s.invocation.output_name for s in design.segments]


def test_step_maps_of_the_small_design_has_all_steps() -> None:
    found = small()
    table = make_table(found.design, found.net)
    assert table.runs[0] is None
    assert len(table.steps) == 1 + len(found.design.segments)
