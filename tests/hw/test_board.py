"""Board: derived figures by hand, its own checks, and travel to other processes."""

import copy
import pickle
import re
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

from hao.errors import InputError
from hao.hw.board import Board, DspType, Family, Frames
from hao.hw.resources import Resources
from tests.hw.samples import BOARD as SAMPLE

BOARD = replace(
    SAMPLE,
    name="demo",
    clock_khz=214_285,
    resources=Resources(dsp=11, bram_18k=101, uram=3, lut=1001, ff=2002),
    cap_percent=Resources(dsp=80, bram_18k=97, uram=50, lut=79, ff=100),
    lutram=100,
    ddr_peak_kbytes_per_s=4_266_666,
    ddr_read_percent=92,
    ddr_write_percent=92,
    port_bytes=16,
    sources={"clock.khz": "made up"},
)


def test_usable_rounds_down() -> None:
    # 11 x 0.80 = 8.8; 101 x 0.97 = 97.97; 3 x 0.5 = 1.5; 1001 x 0.79 = 790.79
    assert BOARD.usable == Resources(dsp=8, bram_18k=97, uram=1, lut=790, ff=2002)


def test_ddr_bandwidth_is_the_share_of_the_peak() -> None:
    # 4,266,666 x 92 / 100 = 3,925,332.72
    assert BOARD.ddr_kbytes_per_s == 3_925_332


def test_at_ddr_moves_reads_and_writes_alike() -> None:
    apart = replace(BOARD, ddr_read_percent=80, ddr_write_percent=60)
    half = apart.at_ddr(40)
    assert (half.ddr_read_percent, half.ddr_write_percent) == (40, 30)
    assert half.at_ddr(80) == apart


def test_the_host_counts_where_frames_come_one_at_a_time() -> None:
    board = replace(BOARD.at_clock(100_000), host_call_us=250)
    # 100,000 cycles at 100 MHz are 1 ms; with 0.25 ms of the host 800 a second.
    assert board.host_us == 250
    assert board.frames_per_s(100_000) == 800
    apart = replace(board, frames=Frames.BACK_TO_BACK)
    assert apart.host_us == 0
    assert apart.frames_per_s(100_000) == 1000


def test_clock_in_mhz() -> None:
    assert BOARD.clock_mhz == 214.285


def test_at_clock_changes_the_clock_alone() -> None:
    slow = BOARD.at_clock(100_000)
    assert slow.clock_khz == 100_000
    assert slow.at_clock(214_285) == BOARD


def test_the_clock_exceeds_the_sourced_one_or_does_not() -> None:
    assert BOARD.clock_excess == 1
    assert BOARD.at_clock(100_000).clock_excess == 1
    # Twice 214,285 kHz, by way of another clock.
    assert BOARD.at_clock(100_000).at_clock(428_570).clock_excess == 2


def test_at_clock_refuses_a_stopped_clock() -> None:
    with pytest.raises(InputError, match="'demo': clock_khz = 0; must be at least 1"):
        BOARD.at_clock(0)


@pytest.mark.parametrize(
    ("board", "message"),
    [
        (lambda: replace(BOARD, title=" "), "title is empty"),
        (lambda: replace(BOARD, part=""), "part is empty"),
        (lambda: replace(BOARD, resources=Resources()), "resources.dsp = 0; must be"),
        (lambda: replace(BOARD, ports=-1), "ports = -1; must be at least 1"),
        (lambda: replace(BOARD, port_max_khz=0), "port_max_khz = 0; must be at least"),
        (lambda: replace(BOARD, ddr_peak_kbytes_per_s=0), "must be at least 1"),
        (lambda: BOARD.at_ddr(101), "must be from 1 to 100"),
        (lambda: replace(BOARD, cap_percent=Resources(dsp=1)), "must be from 1 to 100"),
        (lambda: replace(BOARD, lutram=1002), "lutram = 1002; must be from 0 to 1001"),
        (
            lambda: replace(BOARD, host_call_us=-1),
            "host_call_us = -1; must be",
        ),
        (lambda: replace(BOARD, lutram=-1), "lutram = -1; must be from 0"),
        (lambda: replace(BOARD, idle_mw=0), "idle_mw = 0; must be at least 1"),
        (lambda: replace(BOARD, budget=Resources(lut=9)), "budget.dsp = 0; must be at"),
        (
            lambda: replace(BOARD, budget=replace(BOARD.resources, ff=2003)),
            "budget.ff is 1 above what the device has",
        ),
        (lambda: replace(BOARD, port_bytes=32), "= 32; must be one of 4, 8, 16"),
        (lambda: replace(BOARD, ddr_write_percent=0), "must be from 1 to 100"),
        (lambda: replace(BOARD, batch=0), "batch = 0; must be from 1 to 16"),
        (lambda: replace(BOARD, batch=17), "batch = 17; must be from 1 to 16"),
        (
            lambda: replace(BOARD, most_start_us=0),
            "most_start_us = 0; must be at least 1",
        ),
        (lambda: replace(BOARD, ddr_burst_bytes=48), "= 48; must be one of 16, 32, 64"),
    ],
)
def test_board_refuses_a_figure_out_of_range(
    board: Callable[[], Board], message: str
) -> None:
    with pytest.raises(InputError, match=f"^board 'demo': .*{message}"):
        board()


@pytest.mark.parametrize(
    ("part", "family"),
    [
        ("xc7z020clg400-1", Family.ZYNQ_7000),
        ("xczu3eg-sbva484-1-i", Family.ZYNQ_ULTRASCALE),
        ("xczu28dr-ffvg1517-2-e", Family.ZYNQ_ULTRASCALE),
        ("xck26-sfvc784-2LV-c", Family.ZYNQ_ULTRASCALE),
    ],
)
def test_the_family_follows_from_the_part(part: str, family: Family) -> None:
    assert replace(BOARD, part=part, dsp_type=family.dsp_type).family is family
    other = next(kind for kind in DspType if kind is not family.dsp_type)
    with pytest.raises(
        InputError,
        match=rf"^board 'demo': dsp_type = '{other.value}'; the part '{part}' is of "
        rf"the family {re.escape(family.value)}, which has {family.dsp_type.value}$",
    ):
        _ = replace(BOARD, part=part, dsp_type=other).family


@pytest.mark.parametrize("part", ["xcvc1902-vsva2197-2MP-e-S", "xc7a35t", "xc0-1"])
def test_a_part_of_another_family_is_refused(part: str) -> None:
    with pytest.raises(
        InputError, match=rf"^board 'demo': part = '{part}'; must begin with xc7z \(Zy"
    ):
        _ = replace(BOARD, part=part).family


def test_python_shows_a_board_in_a_line() -> None:
    shown = repr(replace(BOARD, sources={"a": "b" * 9999}))
    assert shown.startswith(f"<Board 'demo': {BOARD.title}, {BOARD.part} at 214.285 ")
    assert f"usable {BOARD.usable.dsp} dsp, " in shown
    assert len(shown) < 200


def test_board_survives_pickle_copy_and_hash() -> None:
    assert pickle.loads(pickle.dumps(BOARD)).sources == BOARD.sources
    assert copy.deepcopy(BOARD) == BOARD
    assert hash(BOARD) == hash(BOARD.at_clock(1).at_clock(214_285))
    assert asdict(BOARD)["resources"]["lut"] == 1001


def test_boards_that_differ_in_sources_alone_are_equal() -> None:
    assert replace(BOARD, sources={}) == BOARD
