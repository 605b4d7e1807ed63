"""Parts of a reduction: cut by hand, priced as the whole where they are the whole."""

from dataclasses import fields, replace

import numpy as np
import pytest

from hao.cost.columns import Columns
from hao.cost.latency import StageTimes, dense_times, pointwise_times
from hao.cost.loads import load_cycles
from hao.cost.overheads import load_overhead
from hao.cost.parts import part_of, part_times
from hao.cost.prices import price_segment
from hao.cost.segment_price import SegmentPrice
from hao.cost.tiles import TileRun, least_words, splits, tile_runs
from hao.errors import InputError
from hao.ir.layer import Linear
from hao.ir.partition import Role
from tests.cost.samples import (
    conv,
    dense_columns,
    invocation,
    linear,
    load_ddr,
    setting,
    shape,
)
from tests.hw.samples import BOARD

LAYER = linear(shape(5000, 1, 1), 70, name="linear")
"""On 16 multipliers 313 words, the last of 8 inputs."""

BITS = {"linear": 4}


def runs(words: int, *, pe: int = 16, simd: int = 16) -> tuple[TileRun, ...]:
    shared = setting(double_buffered=False)
    return tile_runs(LAYER, simd=simd, pe=pe, weight_words=words, setting=shared)


def test_parts_by_hand() -> None:
    # 5 groups of 16. Room for 2 of them whole; of 1; of 120 words: 3 parts, of 105.
    assert [(r.groups, r.begin, r.end) for r in runs(626)] == [
        *((2, 0, 313), (2, 0, 313), (1, 0, 313)),
    ]
    assert [r.groups for r in runs(313)] == [1] * 5
    cut = runs(120)
    assert [(r.begin, r.end) for r in cut] == [(0, 105), (105, 210), (210, 313)] * 5
    assert [r.starts for r in cut] == [True, False, False] * 5
    assert [r.ends for r in cut] == [False, False, True] * 5
    assert {r.groups for r in cut} == {1}


def test_a_part_begins_a_beat() -> None:
    # A beat holds 8 codes. 834 words of 6 inputs: 4 of them are 3 beats.
    cut = runs(90, simd=6)
    assert [(r.begin, r.end) for r in cut[:4]] == [
        *((0, 84), (84, 168), (168, 252), (252, 336)),
    ]
    assert all(r.begin % 4 == 0 for r in cut)
    assert cut[9].end == 834
    with pytest.raises(InputError, match=r"'linear': the weight buffer holds 0 output"):
        runs(3, simd=6)


def test_groups_that_are_no_whole_beats_are_not_cut() -> None:
    with pytest.raises(InputError, match=r"holds 0 output groups; must hold 2"):
        runs(120, pe=12)
    one = replace(LAYER, ofm=shape(10, 1, 1))
    shared = setting(double_buffered=False)
    assert len(tile_runs(one, simd=16, pe=12, weight_words=120, setting=shared)) == 3


def test_only_a_large_linear_layer_in_one_pass_is_cut() -> None:
    alone = setting(double_buffered=True)
    assert splits(LAYER, alone)
    for layer in (
        linear(shape(4096, 1, 1), 70),
        conv(shape(1200, 4, 4), 8),
        replace(LAYER, passes=2),
        replace(LAYER, density=50),
    ):
        assert not splits(layer, alone)
    # The array holds the sums of one frame.
    several = replace(alone, board=replace(alone.board, batch=2))
    assert not splits(LAYER, several)


def test_least_words_are_those_with_which_a_layer_still_runs() -> None:
    for simd, pe in ((16, 16), (6, 16), (16, 12), (12, 24)):
        shared = setting(double_buffered=False)
        least = int(least_words(LAYER, np.array(simd), np.array(pe), shared))
        alone = least if pe % 8 == 0 else 2 * least
        runs(alone, simd=simd, pe=pe)
        with pytest.raises(InputError, match="weight buffer holds"):
            runs(alone - 1, simd=simd, pe=pe)


@pytest.mark.parametrize("role", [Role.DENSE, Role.POINTWISE])
@pytest.mark.parametrize("inputs", [(5000, 1, 1), (30, 13, 12)])
def test_a_whole_reduction_takes_what_the_layer_takes(
    role: Role, inputs: tuple[int, int, int]
) -> None:
    layer = linear(shape(*inputs), 70)
    assert isinstance(layer, Linear)
    simd, groups, shared = np.arange(1, 40), np.arange(39, 0, -1), setting()
    made = dense_times if role is Role.DENSE else pointwise_times
    whole = made(
        layer,
        simd=simd,
        px=3,
        folds_out=groups,
        first=True,
        act_bits=8,
        board=BOARD,
    )
    channels = 5000 if inputs[1] == 1 else 13 * 12 * 32
    words = -(-channels // simd)
    part = part_of(layer, words, np.ones(39, dtype=np.bool_), simd, shared)
    assert set(part.channels) == {channels}
    times = part_times(role, part, simd=simd, groups=groups, setting=shared)
    for item in fields(StageTimes):
        expected = getattr(whole, item.name)
        assert np.array_equal(
            np.broadcast_to(expected, simd.shape), getattr(times, item.name)
        ), item.name


def price(words: list[int], *, double: bool) -> SegmentPrice:
    column: dict[Role, Columns] = {
        Role.POINTWISE: dense_columns([16] * len(words), [16] * len(words), words)
    }
    shared = setting(double_buffered=double)
    return price_segment(invocation(pointwise=LAYER), column, BITS, shared)


@pytest.mark.parametrize("double", [True, False])
def test_a_price_counts_every_part(double: bool) -> None:
    some = price([120, 240, 626], double=double)
    parts = [6, 3, 1] if double else [3, 2, 1]
    assert list(some.parts[Role.POINTWISE]) == parts
    tiles = [5, 5, 5] if double else [5, 5, 3]
    counts = [a * b for a, b in zip(parts, tiles, strict=True)]
    assert list(some.tiles[Role.POINTWISE]) == counts
    assert all(some.feasible[Role.POINTWISE])
    for place, words in enumerate((120, 240, 626)):
        alone = price([words], double=double)
        assert (
            some.tiled[Role.POINTWISE][place],
            some.opening[0].terms[Role.POINTWISE][place],
        ) == (
            alone.tiled[Role.POINTWISE][0],
            alone.opening[0].terms[Role.POINTWISE][0],
        )


def test_parts_take_at_least_their_weights_and_their_products() -> None:
    # All but the last of 15 runs: the weights of the next one, on the DDR.
    (body,) = price([240], double=True).tiled[Role.POINTWISE]
    run = invocation(pointwise=LAYER)
    column: dict[Role, Columns] = {Role.POINTWISE: dense_columns([16], [16], [240])}
    shared = setting(double_buffered=True)
    ddr = load_ddr(run, column, BITS, shared)
    port = load_cycles(run, column, BITS, shared)
    first = price([240], double=True).opening[1].terms[Role.POINTWISE][0]
    assert max(ddr, port - load_overhead(1)) - first < body < 1.4 * max(ddr, port)
    # Without a second half: 313 products a group and what a run takes besides.
    (body,) = price([120], double=False).tiled[Role.POINTWISE]
    assert 5 * 313 < body < 5 * 313 + 15 * 400
