"""Budgets of a board: counts and shares, what they leave, and what is refused."""

from dataclasses import replace

import pytest

from hao.errors import ArgumentError, InputError
from hao.hw.board_file import load_board
from hao.hw.budget import FIELDS, with_budget

BOARD = load_board("zu3eg")


def test_a_budget_is_a_count_or_a_share_of_the_device() -> None:
    # 70560 LUTs x 12.5 % = 8820; 360 DSPs x 33.4 % = 120.24; BRAM in halves of 18 Kb.
    board = with_budget(
        BOARD, {"lut": "12.5%", "dsp": "33.4 %", "bram_18k": "7", "ff": None}
    )
    assert board.usable == replace(BOARD.usable, lut=8820, dsp=120, bram_18k=7)
    assert with_budget(BOARD, dict.fromkeys(FIELDS)) is BOARD


def test_the_caps_hold_above_a_budget() -> None:
    assert with_budget(BOARD, {"lut": "100%", "dsp": "360"}).usable == BOARD.usable


def test_what_is_usable_may_be_seen_as_a_device() -> None:
    board = with_budget(BOARD, {"lut": "3000"})
    device = board.of_usable
    assert (device.resources, device.usable) == (board.usable, board.usable)
    assert (device.lutram, device.budget) == (3000, None)


@pytest.mark.parametrize(
    "text", ["0", "-1", "0%", "101%", "100.1%", "70561", "x", "", "1e3", "nan", "5.5"]
)
def test_a_budget_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(
        InputError, match=r"^`max_lut` = .*; must be a whole number from"
    ):
        with_budget(BOARD, {"lut": text})


def test_a_budget_may_be_a_number() -> None:
    assert with_budget(BOARD, {"lut": 3000}) == with_budget(BOARD, {"lut": "3000"})
    with pytest.raises(ArgumentError, match=r"^`max_lut` = 0; must be a whole number"):
        with_budget(BOARD, {"lut": 0})


def test_a_budget_may_allow_no_uram() -> None:
    device = replace(BOARD, resources=replace(BOARD.resources, uram=64))
    assert with_budget(device, {"uram": "0"}).usable.uram == 0
    assert with_budget(device, {"uram": "25%"}).usable.uram == 16
    with pytest.raises(ArgumentError, match=r"^`max_uram` = 65; .* from 0 to the 64 "):
        with_budget(device, {"uram": "65"})
