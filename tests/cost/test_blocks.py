"""Block formulas follow the measured blocks, on ints and on arrays alike."""

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.cost import blocks
from hao.cost.blocks import IntArray, Logic
from hao.data import data_path
from hao.errors import InputError

Sizes = dict[str, int]


def _rows() -> Iterator[tuple[str, Sizes, Sizes]]:
    """Yield (block, its sizes, its counts) of every measured block."""
    with data_path("data", "block_cost.csv").open() as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            pairs = (pair.split("=") for pair in row["params"].split())
            counts = {k: int(v) for k, v in row.items() if k not in ("block", "params")}
            yield row["block"], {k: int(v) for k, v in pairs}, counts


MEASURED = list(_rows())


def _lane(p: Sizes) -> tuple[int, int, int, int]:
    return p["simd"], p["w"], p["a"], p["acc"]


def _window(p: Sizes) -> tuple[int, int, int, int]:
    return p["kernel"], p["stride"], p["px"], p["word"]


# Block -> (formula, relative tolerance of LUTs, LUTs allowed besides). A lane with
# packed DSPs was measured together with what prepares its activations.
FORMULAS: dict[str, tuple[Callable[[Sizes], Logic[int]], float, int]] = {
    "lut_lane": (lambda p: blocks.lut_lane(*_lane(p)), 0.025, 0),
    "dsp_single": (lambda p: blocks.dsp_single(*_lane(p)), 0.01, 1),
    "dsp_pair": (
        lambda p: (
            blocks.dsp_lanes(*_lane(p), p["chain"], sums=2)
            + blocks.activation_delay(p["simd"], p["a"], p["chain"])
        ),
        0.015,
        1,
    ),
    "dsp_pixel_pair": (
        lambda p: blocks.dsp_pixel_pair(*_lane(p), p["chain"]),
        0.01,
        2,
    ),
    "dsp_quad": (
        lambda p: (
            blocks.dsp_lanes(*_lane(p), p["chain"], sums=4)
            + blocks.activation_delay(p["simd"], p["a"], p["chain"]).times(2)
            + Logic(blocks.quad_operand_lut(p["simd"], p["a"]), 0)
        ),
        0.025,
        0,
    ),
    "requantizer": (lambda p: blocks.requantizer(p["acc"], p["out"]), 0.02, 5),
    "even_requantizer": (
        lambda p: blocks.requantizer(p["acc"], p["out"]) + blocks.EVEN,
        0.07,
        0,
    ),
    "residual": (lambda p: blocks.residual(p["bits"]), 0.02, 0),
    "word_window": (lambda p: blocks.window(1, 0, p["px"], p["word"]), 0.1, 12),
    "column_window": (lambda p: blocks.window(*_window(p)), 0.1, 20),
    "column_cache": (
        lambda p: Logic(blocks.lutram_lut_deep(p["width"], p["depth"]), p["width"]),
        0.1,
        8,
    ),
    "axi_reader": (lambda p: blocks.axi_reader(p["port"]), 0.01, 0),
    "axi_writer": (lambda p: blocks.axi_writer(p["port"]), 0.02, 0),
    "axi_lite": (lambda _: blocks.AXI_LITE, 0.0, 0),
    "loop_control": (lambda _: blocks.LOOP_CONTROL, 0.0, 0),
}


def test_every_priced_block_was_measured() -> None:
    assert set(FORMULAS) <= {kind for kind, _, _ in MEASURED}


@pytest.mark.parametrize("kind", sorted(FORMULAS))
def test_formula_follows_measurement(kind: str) -> None:
    formula, relative, absolute = FORMULAS[kind]
    for name, sizes, counts in MEASURED:
        if name != kind or sizes.get("chain", 1) > blocks.CHAIN_MAX:
            continue
        found, near = formula(sizes), pytest.approx
        assert found.lut == near(counts["lut"], rel=relative, abs=absolute), sizes
        assert found.ff == near(counts["ff"], rel=0.03, abs=4), sizes


def test_multiplier_table_equals_the_measured_products() -> None:
    found = [(p, c["lut"]) for kind, p, c in MEASURED if kind == "product"]
    assert len(found) == 49
    for sizes, lut in found:
        assert blocks.multiplier_lut(sizes["w"], sizes["a"]) == lut, sizes


def test_always_signed_lanes_equal_the_earlier_lane_table() -> None:
    # data/lut_cost.csv measured lanes of 16 signed products with other scripts.
    with data_path("data", "lut_cost.csv").open() as file:
        table = {
            (int(r["w_bits"]), int(r["a_bits"])): 16 * float(r["lut_per_mac"])
            for r in csv.DictReader(file)
        }
    found = [(p, c) for kind, p, c in MEASURED if kind == "lut_lane_signed"]
    assert len(found) == 4
    for sizes, counts in found:
        earlier = table[sizes["w"], sizes["a"]]
        assert counts["lut"] == pytest.approx(earlier, rel=0.04), sizes
        ours = blocks.lut_lane(*_lane(sizes)).lut
        # Signedness chosen at run time costs at most three LUTs a product more.
        assert 0 <= ours - counts["lut"] <= 3 * sizes["simd"]


def test_packed_lanes_of_16_by_hand() -> None:
    # 16 slices in 4 cascades of 4; a field of 8 + 8 + 2 bits. 4 corrections of 18;
    # two trees of 18 + 18 + 19 and two accumulators of 32; the last weights of a
    # cascade, 16 bits, come three cycles late: 4 * 16 shift registers.
    pair = blocks.dsp_lanes(16, 8, 8, 32, 7, sums=2)
    assert pair.lut == 4 * 18 + 2 * (55 + 32) + 64
    # 8 signs of two activations in one LUT; 4 * 8 shift registers.
    assert blocks.activation_delay(16, 8, 7).lut == 8 + 32
    # Ranks of 19, 19, 20 and 32 twice; 1 + 2 flip-flops a cascade and weight bit.
    assert pair.ff == 2 * (19 + 19 + 20 + 32) + 4 * 3 * 16


def test_tree_by_hand() -> None:
    # Five terms of 8 bits: 2 adders of 8, one of 9, one of 10 with the fifth term.
    assert blocks.tree_lut(5, 8) == 8 + 8 + 9 + 10
    # Behind the second level stand a sum and the fifth term, 10 bits each.
    assert blocks.tree_ff(5, 8) == 20
    assert blocks.tree_lut(1, 8) == blocks.tree_ff(1, 8) == 0


def test_multiplier_mode_takes_a_second_slice_beyond_the_port() -> None:
    for kind, sizes, counts in MEASURED:
        if kind != "multiplier_requantizer":
            continue
        acc, out = sizes["acc"], sizes["out"]
        assert blocks.multiplier_requantizer_dsp(acc) == counts["dsp"]
        found = blocks.multiplier_requantizer(acc, out)
        assert found.lut == pytest.approx(counts["lut"], rel=0.07)
        assert found.ff <= counts["ff"]


def test_wide_multipliers_take_a_second_slice_beyond_18_bits() -> None:
    compared = 0
    for kind, sizes, counts in MEASURED:
        if kind != "wide_requantizer":
            continue
        acc, out = sizes["acc"], sizes["out"]
        assert blocks.multiplier_requantizer_dsp(acc, 18) == counts["dsp"]
        found = blocks.wide_requantizer(acc, out)
        assert found.lut == pytest.approx(counts["lut"], rel=0.04)
        assert found.ff <= counts["ff"]
        compared += 1
    assert compared >= 8


def test_masters_and_platform_come_to_the_published_fixed_part() -> None:
    # MSD (FCCM 2023) reserves 10,000 LUTs and 15,000 flip-flops on the ZU3EG.
    masters = blocks.axi_reader(128).times(3) + blocks.axi_writer(128)
    fixed = masters + blocks.AXI_LITE + blocks.platform(4)
    assert fixed.lut == pytest.approx(10_000, rel=0.01)
    assert fixed.ff == pytest.approx(15_000, rel=0.01)
    # 128 bits x 512 words of 36: four halves.
    assert blocks.axi_fifo_bram18(128, 512) == 4
    # Of 4096 beats, what 16 bursts of 256 are: eight times as deep.
    assert blocks.axi_fifo_bram18(128, 4096) == 30


def test_a_port_that_was_not_measured_is_refused() -> None:
    with pytest.raises(InputError, match="port of 32 bits; 64 and 128"):
        blocks.axi_reader(32)


SIMD = st.integers(1, 64)
BITS = st.integers(2, 8)
LANES = st.lists(
    st.tuples(SIMD, BITS, BITS, st.integers(12, 40)), min_size=1, max_size=20
)


@given(LANES, st.integers(1, 300))
def test_arrays_equal_scalars(lanes: list[tuple[int, ...]], depth: int) -> None:
    columns = [np.array(c, np.int64) for c in zip(*lanes, strict=True)]
    for plain in (blocks.lut_lane, blocks.dsp_single):
        _check_arrays(plain(*columns), [plain(*lane) for lane in lanes])
    deep = np.full(len(lanes), depth, np.int64)
    shared: tuple[Callable[..., Logic[Any]], ...] = (
        partial(blocks.dsp_lanes, sums=2),
        blocks.dsp_pixel_pair,
        partial(blocks.dsp_lanes, sums=4),
    )
    for packed in shared:
        each = [packed(*lane, depth) for lane in lanes]
        _check_arrays(packed(*columns, deep), each)


def _check_arrays(found: Logic[IntArray], scalars: Sequence[Logic[int]]) -> None:
    assert all(isinstance(n, int) for one in scalars for n in (one.lut, one.ff))
    assert found.lut.tolist() == [one.lut for one in scalars]
    assert found.ff.tolist() == [one.ff for one in scalars]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 64), st.integers(1, 64), st.integers(1, 8), st.integers(1, 8)
        ),
        min_size=1,
        max_size=20,
    )
)
def test_stream_and_buffer_arrays_equal_scalars(rows: list[tuple[int, ...]]) -> None:
    first, second, third, fourth = (
        np.array(c, np.int64) for c in zip(*rows, strict=True)
    )
    windows = [blocks.window(1 + c % 7, d % 3, c, 8 * a) for a, _, c, d in rows]
    found = blocks.window(1 + third % 7, fourth % 3, third, 8 * first)
    _check_arrays(found, windows)
    scalars = [blocks.column_cache_lut(1 + c, a, 8, b) for a, b, c, _ in rows]
    eight = np.asarray(8, np.int64)
    got = blocks.column_cache_lut(1 + third, first, eight, second)
    assert got.tolist() == scalars


@given(SIMD, BITS, BITS, st.integers(16, 32))
def test_more_or_wider_products_never_cost_less(
    simd: int, w: int, a: int, acc: int
) -> None:
    lane = blocks.lut_lane(simd, w, a, acc).lut
    assert blocks.lut_lane(simd + 1, w, a, acc).lut > lane
    if w < 8:
        assert blocks.lut_lane(simd, w + 1, a, acc).lut > lane
    pair = blocks.dsp_lanes(simd, w, a, acc, 4, sums=2).lut
    assert blocks.dsp_lanes(simd + 4, w, a, acc, 4, sums=2).lut > pair
