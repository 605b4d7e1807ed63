"""Memories: equal to the synthesized ones, and arrays equal to scalars."""

import csv

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.bram import (
    ASPECTS,
    LUTRAM_MAX_DEPTH,
    bram18,
    lutram_lut,
    memory,
    memory_bram18,
    memory_ff,
    memory_lut,
)
from hao.data import data_path

SIZES = st.lists(
    st.tuples(st.integers(0, 2048), st.integers(0, 40000)), min_size=1, max_size=30
)


def _rows() -> list[dict[str, int]]:
    with data_path("data", "bram_yosys.csv").open() as file:
        return [{k: int(v) for k, v in row.items()} for row in csv.DictReader(file)]


def test_bram18_equals_every_memory_that_synthesis_put_in_block_ram() -> None:
    in_bram = [row for row in _rows() if row["ramb18_equiv"]]
    assert len(in_bram) == 77
    for row in in_bram:
        assert bram18(row["width"], row["depth"]) == row["ramb18_equiv"], row


def test_lutram_follows_synthesis_within_two_cells() -> None:
    # yosys counts cells of eight LUTs; it may split a remainder differently, and packs
    # memories of 32 words at half the density (64-word cells) where we use RAM32M16.
    rows = [r for r in _rows() if r["lutram_cells"] and r["depth"] in (32, 64)]
    assert len(rows) == 24
    for row in rows:
        ours = lutram_lut(row["width"], row["depth"]) // 8
        assert abs(ours - row["lutram_cells"]) <= 1, row


def test_bram18_by_hand() -> None:
    # 128 bits x 2048: 15 columns of 9 x 2048. 72 x 600: 72/18 x 1 = 4 of 18 x 1024.
    assert bram18(128, 2048) == 15
    assert bram18(72, 600) == 4
    assert bram18(1, 1) == 1
    assert bram18(0, 512) == 0


def test_a_shallow_memory_goes_to_luts_and_a_deeper_one_does_not() -> None:
    shallow, deep = memory(64, LUTRAM_MAX_DEPTH), memory(64, LUTRAM_MAX_DEPTH + 1)
    assert shallow.bram_18k == 0
    # 64 columns, 7 in each group of eight LUTs: 10 groups.
    assert (shallow.lut, shallow.ff) == (80, 64)
    assert (deep.bram_18k, deep.lut, deep.ff) == (2, 0, 0)


def test_an_absent_memory_costs_nothing() -> None:
    for width, depth in ((0, 100), (100, 0), (0, 0)):
        found = memory(width, depth)
        assert (found.bram_18k, found.lut) == (0, 0)


@given(SIZES)
def test_arrays_equal_scalars(sizes: list[tuple[int, int]]) -> None:
    width = np.array([w for w, _ in sizes], np.int64)
    depth = np.array([d for _, d in sizes], np.int64)
    for function in (bram18, memory_bram18, memory_lut, memory_ff):
        scalars = [function(w, d) for w, d in sizes]
        assert all(isinstance(value, int) for value in scalars)
        assert function(width, depth).tolist() == scalars


@given(st.integers(1, 600), st.integers(1, 40000))
def test_bram18_holds_the_bits_and_no_grid_is_smaller(width: int, depth: int) -> None:
    blocks = bram18(width, depth)
    assert blocks * 18432 >= width * depth
    assert blocks == min(-(-width // w) * -(-depth // d) for w, d in ASPECTS)


@given(st.integers(1, 600), st.integers(65, 40000))
def test_a_larger_memory_never_takes_fewer_blocks(width: int, depth: int) -> None:
    assert bram18(width + 1, depth) >= bram18(width, depth)
    assert bram18(width, depth + 1) >= bram18(width, depth)
