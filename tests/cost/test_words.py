"""Words of weights of a stage that are kept, their lists and their bytes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.cost.area import DenseShape, dense_area
from hao.cost.evaluate import evaluate
from hao.cost.latency import dense_times
from hao.cost.words import (
    dense_folds,
    index_bytes,
    list_words,
    skips_words,
    stage_bytes,
)
from hao.engine.design import Design
from hao.errors import InputError
from hao.hw.board_file import load_board
from hao.ir.change import Bits, scheme_of
from hao.ir.layer import Conv, Linear
from hao.ir.partition import Role
from hao.ir.sparsity import with_densities
from hao.zoo import build_network
from tests.cost.samples import QUICK, build_engine, conv, convs, linears, shape
from tests.cost.trips import dense_trips
from tests.hw.samples import BOARD
from tests.report.samples import longest_segments

PIXELS = st.integers(1, 5)


def _list(layer: Conv, simd: int) -> int:
    found = index_bytes(layer, 10, simd=simd, pe=4, act_bits=8, board=BOARD)
    return int(found)


def _bytes(layer: Conv, simd: int, bits: int) -> int:
    found = stage_bytes(layer, 10, bits, simd=simd, pe=4, act_bits=8, board=BOARD)
    return int(found)


def test_bytes_of_a_pruned_layer_by_hand() -> None:
    # 9 taps of 3 words of 8 of 20 channels: 27 words, of which 14 are kept.
    layer = replace(conv(shape(20, 6, 6), 10), density=50)
    assert dense_folds(layer, 8, act_bits=8, board=BOARD) == 14
    # 3 groups of 4 channels: 42 places of 2 bytes, in beats of 8.
    assert _list(layer, 8) == 88
    # 10 channels of 14 whole words of 8 weights of 3 bits: 420 bytes, 424 in beats.
    assert _bytes(layer, 8, 3) == 424 + 40 + 88
    # Without pruning words hold the inputs that there are: 10 x 180 x 3 bits.
    whole = replace(layer, density=100)
    assert _list(whole, 8) == 0
    assert _bytes(whole, 8, 3) == 680 + 40


def test_packed_taps_are_not_skipped() -> None:
    layer = replace(conv(shape(4, 6, 6), 10), density=50)
    simd = np.array([4, 8])
    assert list(skips_words(layer, simd, act_bits=8, board=BOARD)) == [True, False]
    assert list(dense_folds(layer, simd, act_bits=8, board=BOARD)) == [5, 5]
    assert _list(layer, 8) == 0
    assert _bytes(layer, 8, 8) == _bytes(replace(layer, density=100), 8, 8)


def test_lists_have_a_place_for_every_word_of_the_buffer() -> None:
    # Beats of 8 bytes hold 4 places; each half its own.
    depths = list_words(np.array([1, 8, 9, 1000]), BOARD)
    assert list(depths) == [2, 2, 4, 250]


@given(st.one_of(convs(), linears()), st.integers(1, 30), PIXELS, st.integers(1, 100))
@QUICK
def test_times_of_a_pruned_layer_are_those_of_its_trips(
    layer: Conv | Linear, simd: int, px: int, density: int
) -> None:
    def window(one: Conv | Linear) -> tuple[int, int]:
        trips = dense_trips(one, simd=simd, px=px, groups=3, act_bits=8, board=BOARD)
        times = dense_times(
            one,
            simd=simd,
            px=px,
            folds_out=np.asarray(3),
            first=True,
            act_bits=8,
            board=BOARD,
        )
        return trips.window - int(times.cycles), trips.array

    lead, array = window(replace(layer, density=density))
    whole_lead, whole = window(layer)
    # The rows before the first output are taken in as ever.
    assert lead == whole_lead
    assert array <= whole


def test_skipping_words_costs_a_list_and_its_process() -> None:
    one = np.ones(1, dtype=np.int64)
    plain = DenseShape(
        simd=8 * one,
        pe=8 * one,
        weight_bits=8 * one,
        weight_words=4096 * one,
        weights_in_uram=one > 1,
        feature_words=512 * one,
        channel_words=64 * one,
        pack_words=16 * one,
        terms=576,
    )
    for ring, lut, ff in ((True, 164 + 300, 272), (False, 164 + 16, 111)):
        areas = [
            dense_area(
                replace(plain, skips=skips),
                px=2,
                act_bits=8,
                board=load_board("zu3eg"),
                ring=ring,
            ).base
            for skips in (False, True)
        ]
        # 2 x 512 beats of 128 bits: four memories of 36 bits by 512, twice.
        more = {
            name: int((getattr(areas[1], name) - getattr(areas[0], name))[0])
            for name in ("lut", "ff", "bram_18k", "dsp")
        }
        # Two FIFOs of two words: of a beat, and of a place.
        assert more == {
            "lut": lut + 72 + 12,
            "ff": ff + 288 + 4,
            "bram_18k": 4,
            "dsp": 0,
        }


def _digits(density: int, *, double: bool = True) -> Design:
    network = build_network("digits")
    kept = {layer.name: density for layer in network.compute_layers}
    network = with_densities(network, kept)
    segments = longest_segments(network)
    engine = build_engine(
        segments,
        lanes={Role.DENSE: (8, 8), Role.DEPTHWISE: (8, 9), Role.POINTWISE: (8, 8)},
        double_buffered=double,
        spare_folds=0,
        px=2,
    )
    scheme = {
        layer.name: Bits(weight_bits=8, density=getattr(layer, "density", 100))
        for layer in network.compute_layers
    }
    return Design(
        network=network,
        scheme=scheme,
        engine=engine,
        segments=segments,
        board=load_board("zu3eg"),
    )


@pytest.mark.parametrize("double", [True, False])
def test_fewer_words_take_fewer_cycles_and_bytes(double: bool) -> None:
    reports = [evaluate(_digits(d, double=double)) for d in (100, 50, 25)]
    cycles = [report.latency_cycles for report in reports]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[1] < cycles[0]
    moved = [sum(i.weight_bytes for i in report.invocations) for report in reports]
    assert moved[2] < moved[1] < moved[0]


def test_a_design_says_what_its_layers_keep() -> None:
    design = _digits(50)
    names = [layer.name for layer in design.network.compute_layers]
    with pytest.raises(InputError, match=r"keeps 50 % of its words; the scheme says"):
        replace(design, scheme=scheme_of(dict.fromkeys(names, 8)))


def test_an_engine_without_lists_does_not_run_a_pruned_layer() -> None:
    design = _digits(50)
    assert design.engine.dense is not None
    engine = replace(design.engine, dense=replace(design.engine.dense, skips=False))
    with pytest.raises(InputError, match=r"needs 1 skipping of words; the dense stage"):
        evaluate(replace(design, engine=engine))
