"""Operator delays: printed figures come back, widths between are interpolated."""

import pytest

from hao.errors import InputError
from hao.hw.board_file import load_board
from hao.schedule.delays import Timed, load_delays, part_family


@pytest.mark.parametrize(
    ("part", "kind", "width", "delay"),
    [
        ("xczu3eg-sbva484-1-i", Timed.ADD, 32, 1.19),
        ("xczu7ev-ffvc1156-2-e", Timed.ADD, 32, 1.01),
        ("xc7z020clg400-1", Timed.ADD, 32, 2.55),
        ("xczu3eg-sbva484-1-i", Timed.SELECT, 32, 0.52),
        ("xczu3eg-sbva484-1-i", Timed.MULTIPLY, 32, 3.88),
        ("xczu3eg-sbva484-1-i", Timed.MEMORY, 1, 1.35),
        ("xczu3eg-sbva484-1-i", Timed.LUTRAM, 1, 0.79),
        ("xczu3eg-sbva484-1-i", Timed.REGISTER, 32, 0.48),
        ("xczu3eg-sbva484-1-i", Timed.ADD3, 32, 0.88),
        ("xc7k325tffg900-2", Timed.MEMORY, 1, 2.26),
    ],
)
def test_delays_are_what_the_reports_print(
    part: str, kind: Timed, width: int, delay: float
) -> None:
    assert load_delays(part).delay(kind, width) == pytest.approx(delay)


def test_widths_between_are_interpolated_and_past_the_ends_held() -> None:
    delays = load_delays("xczu3eg-sbva484-1-i")
    # 20 bits 1.06, 24 bits 1.10.
    assert delays.delay(Timed.ADD, 22) == pytest.approx(1.08)
    assert delays.delay(Timed.ADD, 1) == delays.delay(Timed.ADD, 3)
    assert delays.delay(Timed.ADD, 10_000) == delays.delay(Timed.ADD, 514)


@pytest.mark.parametrize(
    ("board", "family"),
    [
        ("zu2eg", "zynquplus-1"),
        ("zu3eg", "zynquplus-1"),
        ("zcu102", "zynquplus-2"),
        ("zcu104", "zynquplus-2"),
        ("kv260", "zynquplus-2"),
        ("pynq-z2", "7series-1"),
        ("zc706", "kintex7-2"),
    ],
)
def test_every_board_has_delays_of_all_kinds(board: str, family: str) -> None:
    delays = load_delays(load_board(board).part)
    assert delays.family == family
    for kind in Timed:
        assert delays.delay(kind, 8) > 0


@pytest.mark.parametrize(
    ("part", "family"),
    [
        ("xc7z045ffg900-2", "kintex7-2"),
        ("xc7z045ffg900-3", "kintex7-2"),
        ("xc7z045ffg900-1", "7series-1"),
        ("xc7k325tffg900-2", "kintex7-2"),
        ("xc7vx690tffg1761-2", "kintex7-2"),
        ("xc7z020clg484-2", "7series-2"),
        ("xc7a200tfbg676-2", "7series-2"),
    ],
)
def test_large_7_series_parts_are_of_the_faster_fabric(part: str, family: str) -> None:
    assert part_family(part) == family


def test_a_slower_grade_is_slower() -> None:
    fast, slow = (
        load_delays(f"xczu3eg-sbva484-{grade}-i").delay(Timed.COMPARE, 16)
        for grade in (2, 1)
    )
    assert slow > fast


@pytest.mark.parametrize("part", ["xcvc1902-vsva2197-2MP-e-S", "xczu3eg-sbva484-3-e"])
def test_a_part_without_delays_is_refused(part: str) -> None:
    with pytest.raises(InputError, match=f"part {part}: no operator delays; .*7series"):
        part_family(part)
