"""Widths of words: memories split by hand and by search, words on streams by hand."""

import numpy as np
import pytest

from hao.cost.bram import memory_bram18
from hao.cost.catalogue import (
    Needs,
    column_area,
)
from hao.cost.widths import MAX_WORD_BITS, memory_parts, pixel_bits, window_bits
from tests.cost.samples import conv, dense_columns, setting, shape


@pytest.mark.parametrize(
    ("lanes", "lane_bits", "parts"),
    [
        (32, 128, 1),  # 4096 bits
        (32, 129, 2),
        (32, 256, 2),  # 8192
        (33, 256, 3),  # two parts are no equal ones; 11 lanes have 2816 bits
        (7, 600, 7),  # 4200 bits, and 7 is prime
        (5, 5000, 5),  # a lane is too wide by itself
        (1, 5000, 1),
    ],
)
def test_memory_parts_by_hand(lanes: int, lane_bits: int, parts: int) -> None:
    assert memory_parts(lanes, lane_bits) == parts


def test_memory_parts_are_the_fewest_that_divide_the_lanes() -> None:
    lanes, bits = np.meshgrid(np.arange(1, 65), np.arange(1, 600, 7))
    found = memory_parts(lanes, bits)
    for lane, width, parts in zip(lanes.flat, bits.flat, found.flat, strict=True):
        fits = [
            n
            for n in range(1, int(lane) + 1)
            if lane % n == 0 and lane // n * width <= MAX_WORD_BITS
        ]
        assert parts == min(fits, default=lane)
        assert memory_parts(int(lane), int(width)) == parts


def test_words_on_streams_by_hand() -> None:
    assert pixel_bits(24, px=2, act_bits=8) == 384
    # 5 rows of 7 columns of 16 channels.
    assert window_bits(16, kernel=5, span=7, act_bits=8) == 4480


def test_a_buffer_of_several_memories_is_priced_as_such() -> None:
    needs, shared = Needs((conv(shape(64, 8, 8), 64, name="wide"),)), setting()
    # 33 lanes of 32 8-bit weights: 8448 bits, three memories of 11 lanes. A buffer of
    # a word lies in LUTs.
    deep = column_area(dense_columns([32], [33], [512]), needs, shared, ring=True)
    none = column_area(dense_columns([32], [33], [1]), needs, shared, ring=True)
    found = deep.base.bram_18k[0] - none.base.bram_18k[0]
    assert found == 3 * memory_bram18(11 * 256, 512)
    assert found > memory_bram18(33 * 256, 512)
