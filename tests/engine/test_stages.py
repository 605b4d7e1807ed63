"""Engine: which stages may stand side by side, multipliers by hand, refusals."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hao.engine.stages import DenseStage, DepthwiseStage, Engine, lanes_match
from hao.errors import InputError

DENSE = DenseStage(
    simd=6,
    pe=8,
    weight_bits=8,
    dsp_pairs=4,
    weight_words=64,
    feature_words=32,
    channel_words=10,
    pack_words=10,
    terms=54,
)
DEPTHWISE = DepthwiseStage(
    pe=4,
    taps=9,
    weight_bits=8,
    dsp_lanes=2,
    weight_words=16,
    row_words=32,
    channel_words=10,
    pack_words=10,
    groups=8,
    rows=5,
    kernel=3,
    pools=False,
    convolves=True,
)
POINTWISE = replace(DENSE, simd=12, pe=10, terms=96)
ENGINE = Engine(
    dense=DENSE,
    depthwise=DEPTHWISE,
    pointwise=POINTWISE,
    px=2,
    act_bits=8,
    double_buffered=True,
    residual=True,
)


def test_multipliers_by_hand() -> None:
    # 2 x (6 x 8 + 4 x 9 + 12 x 10)
    assert ENGINE.multipliers == 408


def test_a_stage_that_only_pools_has_no_multipliers() -> None:
    pools = replace(DEPTHWISE, pools=True, convolves=False)
    assert replace(ENGINE, depthwise=pools).multipliers == 336


def test_an_engine_may_lack_any_stage() -> None:
    assert replace(ENGINE, dense=None).multipliers == 312
    assert replace(ENGINE, pointwise=None).multipliers == 168
    alone = replace(ENGINE, dense=None, pointwise=None)
    assert alone.multipliers == 72
    assert replace(alone, depthwise=None).multipliers == 0


@given(st.integers(1, 64), st.integers(1, 64))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_lanes_match_where_words_of_one_fill_words_of_the_other(
    lanes: int, neighbour: int
) -> None:
    # The smaller group, repeated, meets the larger one's end exactly.
    small, large = sorted((lanes, neighbour))
    total = 0
    while total < large:
        total += small
    assert lanes_match(lanes, neighbour) == (total == large)
    assert lanes_match(lanes, neighbour) == lanes_match(neighbour, lanes)


def test_neighbours_that_do_not_match_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"dense pe = 8 and depthwise pe = 3; one must divide the oth"
    ):
        replace(ENGINE, depthwise=replace(DEPTHWISE, pe=3, dsp_lanes=0))
    with pytest.raises(
        InputError, match=r"depthwise pe = 4 and pointwise simd = 6; one must divide"
    ):
        replace(ENGINE, pointwise=replace(POINTWISE, simd=6))
    with pytest.raises(
        InputError, match=r"dense pe = 8 and pointwise simd = 12; one must divide the"
    ):
        replace(ENGINE, depthwise=None)


def test_stages_that_are_no_neighbours_need_not_match() -> None:
    # Dense 8 and pointwise 12 both match the depthwise 4 between them.
    assert not lanes_match(DENSE.pe, POINTWISE.simd)
    assert ENGINE.dense is DENSE


@pytest.mark.parametrize("px", [0, -2])
def test_an_engine_of_no_pixels_is_refused(px: int) -> None:
    with pytest.raises(InputError, match=rf"px = {px}; must be at least 1"):
        replace(ENGINE, px=px)


@pytest.mark.parametrize("bits", [1, 9])
def test_widths_that_no_stage_is_built_for_are_refused(bits: int) -> None:
    message = rf"{bits} bits; the engine is built for 2 to 8"
    with pytest.raises(InputError, match=message):
        replace(ENGINE, act_bits=bits)
    with pytest.raises(InputError, match=message):
        replace(DENSE, weight_bits=bits)
    with pytest.raises(InputError, match=message):
        replace(DEPTHWISE, weight_bits=bits)


@pytest.mark.parametrize(
    "name",
    [
        *("simd", "pe", "weight_words", "feature_words"),
        *("channel_words", "pack_words", "terms"),
    ],
)
def test_a_dense_stage_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"DenseStage.*must be at least 1"):
        DenseStage(**(asdict(DENSE) | {"dsp_pairs": 0, name: 0}))


@pytest.mark.parametrize(
    "name",
    [
        *("pe", "taps", "weight_words", "row_words", "groups"),
        *("channel_words", "pack_words", "rows", "kernel"),
    ],
)
def test_a_depthwise_stage_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"DepthwiseStage.*must be at least 1"):
        DepthwiseStage(**(asdict(DEPTHWISE) | {"dsp_lanes": 0, name: 0}))


def test_more_dsp_lanes_than_lanes_are_refused() -> None:
    with pytest.raises(InputError, match=r"5 DSP pairs exceed 8 lanes"):
        replace(DENSE, dsp_pairs=5)
    with pytest.raises(InputError, match=r"5 DSP lanes exceed 4 lanes"):
        replace(DEPTHWISE, dsp_lanes=5)
    with pytest.raises(InputError, match=r"-1 DSP pairs"):
        replace(DENSE, dsp_pairs=-1)
    with pytest.raises(InputError, match=r"-1 DSP lanes"):
        replace(DEPTHWISE, dsp_lanes=-1)
    # An odd lane stays in LUTs.
    assert replace(DENSE, pe=9, dsp_pairs=4).pe == 9


def test_a_pool_memory_of_less_than_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"pool_words = -1; must be at least 0"):
        replace(ENGINE, pool_words=-1)


@pytest.mark.parametrize(("turns", "multiplies"), [(3, True), (0, True), (2, False)])
@pytest.mark.parametrize("stage", [DENSE, DEPTHWISE])
def test_turns_divide_the_lanes_and_need_multipliers(
    stage: DenseStage | DepthwiseStage, turns: int, *, multiplies: bool
) -> None:
    shared = replace(stage, turns=2, multiplies=True)
    assert shared.turns == 2
    with pytest.raises(
        InputError, match=r"turns = \d; must divide the \d lanes, and be"
    ):
        replace(stage, turns=turns, multiplies=multiplies)
