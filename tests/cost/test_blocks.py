"""Block formulas follow the measured blocks, on ints and on arrays alike."""

import csv
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.cost import blocks
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


# Block -> (LUTs, flip-flops, relative tolerance, LUTs allowed besides). A lane with
# packed DSPs was measured together with what prepares its activations.
FORMULAS: dict[
    str, tuple[Callable[[Sizes], int], Callable[[Sizes], int], float, int]
] = {
    "lut_lane": (
        lambda p: blocks.lut_lane(*_lane(p)),
        lambda p: blocks.lut_lane_ff(*_lane(p)),
        0.025,
        0,
    ),
    "dsp_single": (
        lambda p: blocks.dsp_single_lut(*_lane(p)),
        lambda p: blocks.dsp_single_ff(*_lane(p)),
        0.01,
        1,
    ),
    "dsp_pair": (
        lambda p: (
            blocks.dsp_pair_lut(*_lane(p), p["chain"])
            + blocks.activation_delay_lut(p["simd"], p["a"], p["chain"])
        ),
        lambda p: (
            blocks.dsp_pair_ff(*_lane(p), p["chain"])
            + blocks.activation_delay_ff(p["simd"], p["a"], p["chain"])
        ),
        0.015,
        1,
    ),
    "dsp_pixel_pair": (
        lambda p: blocks.dsp_pixel_pair_lut(*_lane(p), p["chain"]),
        lambda p: blocks.dsp_pixel_pair_ff(*_lane(p), p["chain"]),
        0.01,
        2,
    ),
    "dsp_quad": (
        lambda p: (
            blocks.dsp_quad_lut(*_lane(p), p["chain"])
            + 2 * blocks.activation_delay_lut(p["simd"], p["a"], p["chain"])
            + blocks.quad_operand_lut(p["simd"], p["a"])
        ),
        lambda p: (
            blocks.dsp_quad_ff(*_lane(p), p["chain"])
            + 2 * blocks.activation_delay_ff(p["simd"], p["a"], p["chain"])
        ),
        0.025,
        0,
    ),
    "requantizer": (
        lambda p: blocks.requantizer_lut(p["acc"], p["out"]),
        lambda p: blocks.requantizer_ff(p["acc"], p["out"]),
        0.02,
        5,
    ),
    "even_requantizer": (
        lambda p: blocks.requantizer_lut(p["acc"], p["out"]) + blocks.EVEN_LUT,
        lambda p: blocks.requantizer_ff(p["acc"], p["out"]) + blocks.EVEN_FF,
        0.07,
        0,
    ),
    "residual": (
        lambda p: blocks.residual_lut(p["bits"]),
        lambda p: blocks.residual_ff(p["bits"]),
        0.02,
        0,
    ),
    "word_window": (
        lambda p: blocks.window_lut(1, 0, p["px"], p["word"]),
        lambda p: blocks.window_ff(1, 0, p["px"], p["word"]),
        0.1,
        12,
    ),
    "column_window": (
        lambda p: blocks.window_lut(*_window(p)),
        lambda p: blocks.window_ff(*_window(p)),
        0.1,
        20,
    ),
    "column_cache": (
        lambda p: blocks.lutram_lut_deep(p["width"], p["depth"]),
        lambda p: p["width"],
        0.1,
        8,
    ),
    "axi_reader": (
        lambda p: blocks.axi_reader_lut(p["port"]),
        lambda p: blocks.axi_reader_ff(p["port"]),
        0.01,
        0,
    ),
    "axi_writer": (
        lambda p: blocks.axi_writer_lut(p["port"]),
        lambda p: blocks.axi_writer_ff(p["port"]),
        0.02,
        0,
    ),
    "axi_lite": (
        lambda _: blocks.axi_lite_lut(),
        lambda _: blocks.axi_lite_ff(),
        0.0,
        0,
    ),
    "loop_control": (
        lambda _: blocks.loop_control_lut(),
        lambda _: blocks.loop_control_ff(),
        0.0,
        0,
    ),
}


def test_every_priced_block_was_measured() -> None:
    assert set(FORMULAS) <= {kind for kind, _, _ in MEASURED}


@pytest.mark.parametrize("kind", sorted(FORMULAS))
def test_formula_follows_measurement(kind: str) -> None:
    lut, ff, relative, absolute = FORMULAS[kind]
    for name, sizes, counts in MEASURED:
        if name != kind or sizes.get("chain", 1) > blocks.CHAIN_MAX:
            continue
        assert lut(sizes) == pytest.approx(counts["lut"], rel=relative, abs=absolute), (
            sizes
        )
        assert ff(sizes) == pytest.approx(counts["ff"], rel=0.03, abs=4), sizes


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
        ours = blocks.lut_lane(*_lane(sizes))
        # Signedness chosen at run time costs at most three LUTs a product more.
        assert 0 <= ours - counts["lut"] <= 3 * sizes["simd"]


def test_packed_lanes_of_16_by_hand() -> None:
    # 16 slices in 4 cascades of 4; a field of 8 + 8 + 2 bits. 4 corrections of 18;
    # two trees of 18 + 18 + 19 and two accumulators of 32; the last weights of a
    # cascade, 16 bits, come three cycles late: 4 * 16 shift registers.
    assert blocks.dsp_pair_lut(16, 8, 8, 32, 7) == 4 * 18 + 2 * (55 + 32) + 64
    # 8 signs of two activations in one LUT; 4 * 8 shift registers.
    assert blocks.activation_delay_lut(16, 8, 7) == 8 + 32
    # Ranks of 19, 19, 20 and 32 twice; 1 + 2 flip-flops a cascade and weight bit.
    assert blocks.dsp_pair_ff(16, 8, 8, 32, 7) == 2 * (19 + 19 + 20 + 32) + 4 * 3 * 16


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
        assert blocks.multiplier_requantizer_lut(acc, out) == pytest.approx(
            counts["lut"], rel=0.07
        )
        assert blocks.multiplier_requantizer_ff(acc, out) <= counts["ff"]


def test_masters_and_platform_come_to_the_published_fixed_part() -> None:
    # MSD (FCCM 2023) reserves 10,000 LUTs and 15,000 flip-flops on the ZU3EG.
    lut = 3 * blocks.axi_reader_lut(128) + blocks.axi_writer_lut(128)
    ff = 3 * blocks.axi_reader_ff(128) + blocks.axi_writer_ff(128)
    lut += blocks.axi_lite_lut() + blocks.platform_lut(4)
    ff += blocks.axi_lite_ff() + blocks.platform_ff(4)
    assert lut == pytest.approx(10_000, rel=0.01)
    assert ff == pytest.approx(15_000, rel=0.01)
    # 128 bits x 512 words of 36: four halves.
    assert blocks.axi_fifo_bram18(128, 512) == 4
    # Of 4096 beats, what 16 bursts of 256 are: eight times as deep.
    assert blocks.axi_fifo_bram18(128, 4096) == 30


def test_a_port_that_was_not_measured_is_refused() -> None:
    with pytest.raises(InputError, match="port of 32 bits; 64 and 128"):
        blocks.axi_reader_lut(32)


SIMD = st.integers(1, 64)
BITS = st.integers(2, 8)
LANES = st.lists(
    st.tuples(SIMD, BITS, BITS, st.integers(12, 40)), min_size=1, max_size=20
)


@given(LANES, st.integers(1, 300))
def test_arrays_equal_scalars(lanes: list[tuple[int, ...]], depth: int) -> None:
    columns = [np.array(c, np.int64) for c in zip(*lanes, strict=True)]
    for plain in (
        blocks.lut_lane,
        blocks.lut_lane_ff,
        blocks.dsp_single_lut,
        blocks.dsp_single_ff,
    ):
        scalars = [plain(*lane) for lane in lanes]
        assert all(isinstance(value, int) for value in scalars)
        assert plain(*columns).tolist() == scalars
    deep = np.full(len(lanes), depth, np.int64)
    shared: tuple[Callable[..., object], ...] = (
        blocks.dsp_pair_lut,
        blocks.dsp_pair_ff,
        blocks.dsp_pixel_pair_lut,
        blocks.dsp_pixel_pair_ff,
        blocks.dsp_quad_lut,
        blocks.dsp_quad_ff,
    )
    for packed in shared:
        each = [packed(*lane, depth) for lane in lanes]
        assert all(isinstance(value, int) for value in each)
        assert np.array_equal(np.array(packed(*columns, deep)), np.array(each))


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
    for name in ("window_lut", "window_ff"):
        function = getattr(blocks, name)
        scalars = [function(1 + c % 7, d % 3, c, 8 * a) for a, _, c, d in rows]
        got = function(1 + third % 7, fourth % 3, third, 8 * first)
        assert got.tolist() == scalars
    scalars = [blocks.column_cache_lut(1 + c, a, 8, b) for a, b, c, _ in rows]
    eight = np.asarray(8, np.int64)
    got = blocks.column_cache_lut(1 + third, first, eight, second)
    assert got.tolist() == scalars


@given(SIMD, BITS, BITS, st.integers(16, 32))
def test_more_or_wider_products_never_cost_less(
    simd: int, w: int, a: int, acc: int
) -> None:
    assert blocks.lut_lane(simd + 1, w, a, acc) > blocks.lut_lane(simd, w, a, acc)
    if w < 8:
        assert blocks.lut_lane(simd, w + 1, a, acc) > blocks.lut_lane(simd, w, a, acc)
    pair = blocks.dsp_pair_lut(simd, w, a, acc, 4)
    assert blocks.dsp_pair_lut(simd + 4, w, a, acc, 4) > pair
