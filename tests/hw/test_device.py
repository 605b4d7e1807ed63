"""Devices: the table keeps what is known of logic, and clocks keep to the sheets."""

import csv
from dataclasses import replace

import pytest

from hao.data import data_path
from hao.errors import InputError
from hao.hw.board import Family
from hao.hw.board_file import load_board
from hao.hw.device import (
    PROCESSOR_SIDES,
    check_clock,
    device_name,
    device_of,
    devices,
    family_of,
    grade_limit,
)
from hao.hw.resources import Resources


@pytest.mark.parametrize("device", devices().values(), ids=lambda device: device.name)
def test_a_device_keeps_the_laws_of_its_logic(device: object) -> None:
    # Every 7-series and UltraScale+ logic block has two flip-flops a LUT; half of the
    # LUTs at most can be memory in these families; a 36 Kb block is two halves.
    row = devices()[getattr(device, "name", "")]
    assert row.resources.ff == 2 * row.resources.lut
    assert 0.25 < row.lutram / row.resources.lut < 0.55
    assert row.resources.bram_18k % 2 == 0
    assert len(row.source) >= 20


def test_the_table_has_every_part_that_people_have() -> None:
    numbers = {name.rstrip("CEGVDRS") for name in devices()}
    assert numbers >= {f"XC7Z{n:03}" for n in (7, 10, 12, 14, 15, 20, 30, 35, 45, 100)}
    assert numbers >= {f"XCZU{n}" for n in (*range(1, 8), 9, 11, 15, 17, 19, 28, 48)}
    assert numbers >= {"XCK24", "XCK26"}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        # The feature tables of DS190 and DS891.
        (
            "xc7z010clg400-1",
            Resources(lut=17_600, ff=35_200, dsp=80, bram_18k=120),
        ),
        (
            "xczu5ev-sfvc784-1-e",
            Resources(lut=117_120, ff=234_240, dsp=1248, bram_18k=288, uram=64),
        ),
        (
            "xczu48dr-ffvg1517-2-e",
            Resources(lut=425_280, ff=850_560, dsp=4272, bram_18k=2160, uram=80),
        ),
    ],
)
def test_a_part_has_what_its_data_sheet_says(part: str, expected: Resources) -> None:
    assert device_of(part).resources == expected


def test_dies_that_are_sold_under_two_names_are_equal() -> None:
    for one, other in (("XCK26", "XCZU5EV"), ("XCK24", "XCZU3EG")):
        assert devices()[one].resources == devices()[other].resources
        assert devices()[one].lutram == devices()[other].lutram


@pytest.mark.parametrize(
    ("part", "name", "family"),
    [
        ("xc7z007sclg400-1", "XC7Z007S", Family.ZYNQ_7000),
        ("xc7z010iclg225-1L", "XC7Z010", Family.ZYNQ_7000),
        ("XCZU3EG-SBVA484-1-I", "XCZU3EG", Family.ZYNQ_ULTRASCALE),
        ("xczu3egsbva484-1", "XCZU3EG", Family.ZYNQ_ULTRASCALE),
        ("xck24-ubva530-2LV-c", "XCK24", Family.ZYNQ_ULTRASCALE),
    ],
)
def test_device_and_family_follow_from_the_part(
    part: str, name: str, family: Family
) -> None:
    assert device_name(part) == name
    assert family_of(part) is family


@pytest.mark.parametrize(
    "part", ["", "zu3eg", "xczu3eg", "xcvc1902-vsva2197-2MP-e-S", "xc7a35tcpg236-1"]
)
def test_what_is_no_part_number_is_refused(part: str) -> None:
    with pytest.raises(
        InputError,
        match=rf"^part = '{part}'; must be a part number of Zynq-7000 or Zynq Ultra",
    ):
        device_of(part)


def test_an_unknown_device_names_its_neighbours() -> None:
    with pytest.raises(
        InputError,
        match=r"^part = 'xczu3teg-sfvc784-1-e': the device XCZU3TEG is not in the "
        r"table of devices; the nearest are XCZU3EG, .*; give what it has as \[res",
    ):
        device_of("xczu3teg-sfvc784-1-e")
    with pytest.raises(InputError, match=r"XCK99 is not in the table of devices"):
        device_of("xck99-sfvc784-2LV-c")


@pytest.mark.parametrize(
    ("part", "khz"),
    [
        # DS925: the lower of DSP slice (645) and clock tree (667 MHz), and so on.
        ("xczu3eg-sbva484-1-i", 645_000),
        ("xczu9eg-ffvb1156-2-e", 775_000),
        ("xck26-sfvc784-2LV-c", 644_000),
        ("xc7z020clg400-1", 464_000),
        ("xc7z045ffg900-2", 650_200),
    ],
)
def test_the_limit_of_a_speed_grade(part: str, khz: int) -> None:
    limit = grade_limit(part)
    assert limit is not None
    assert limit.khz == khz


def test_a_device_that_is_not_in_the_table_has_no_limit_of_its_grade() -> None:
    assert grade_limit("xczu3teg-sfvc784-1-e") is None


def test_a_speed_grade_that_a_device_does_not_have_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=r"^part = 'xc7z020clg400-2L': XC7Z020 has no speed grade -2L; must be "
        r"one of -1, -2, -3, -1L$",
    ):
        grade_limit("xc7z020clg400-2L")


def test_every_logic_of_the_table_has_speed_grades() -> None:
    with data_path("data", "speed_grades.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(line for line in stream if line[0] != "#"))
    assert {row["logic"] for row in rows} == {d.logic for d in devices().values()}
    assert all(len(row["source"]) >= 20 for row in rows)


def test_ports_of_the_families() -> None:
    sides = [PROCESSOR_SIDES[family] for family in Family]
    assert [side.port_bytes for side in sides] == [8, 16]
    assert [side.port_limit.khz for side in sides] == [250_000, 333_000]


def test_a_clock_up_to_the_ports_limit_is_allowed() -> None:
    check_clock(load_board("zu3eg").at_clock(333_000))


def test_a_clock_beyond_the_ports_is_refused_with_the_source() -> None:
    with pytest.raises(
        InputError,
        match=r"^board 'zu3eg': a clock of 400 MHz; must be at most 333 MHz, the limit "
        r"of an AXI port of the processor \(DS925 Table 6, FAXICLK: 333 MHz, all",
    ):
        check_clock(load_board("zu3eg").at_clock(400_000))


def test_a_clock_beyond_the_speed_grade_is_refused_too() -> None:
    fast_ports = replace(load_board("zu3eg"), port_max_khz=900_000)
    with pytest.raises(
        InputError, match=r"must be at most 645 MHz, the limit of the speed grade -1 \("
    ):
        check_clock(fast_ports.at_clock(700_000))
