"""Packings are exact to their depth and not beyond; equal to the brute-forced table."""

import csv
from itertools import product

import numpy as np
import pytest

from hao.cost.blocks import CHAIN_MAX
from hao.cost.packing import (
    QUAD_MIN_DEPTH,
    Packing,
    Sharing,
    packing,
)
from hao.data import data_path
from hao.errors import InputError
from hao.hw.board import DspType

WIDE = {DspType.DSP48E1: 25, DspType.DSP48E2: 27}


def _codes(bits: int, signed: bool, narrow: bool = False) -> list[int]:
    low = -(2 ** (bits - 1)) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    return [low, low + 1, high]


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _sums_of_slices(
    found: Packing, terms: list[tuple[list[int], list[int]]], dsp_type: DspType
) -> list[int]:
    """Multiply, add in 48 bits and split as the hardware does."""
    field, total = found.field_bits, 0
    for weights, acts in terms:
        match found.sharing:
            case Sharing.PAIR:
                wide, narrow = weights[1] * 2**field + weights[0], acts[0]
            case Sharing.PIXEL_PAIR:
                wide, narrow = acts[1] * 2**field + acts[0], weights[0]
            case Sharing.QUAD:
                wide = weights[1] * 4**field + weights[0]
                narrow = acts[1] * 2**field + acts[0]
        assert _signed(wide, WIDE[dsp_type]) == wide
        assert _signed(narrow, 18) == narrow
        total += wide * narrow
    total = _signed(total, 48)
    sums = []
    for n in range(found.products):
        top = 48 - n * field
        bits = min(field, top)
        borrow = (total >> (n * field - 1)) & 1 if n else 0
        sums.append(_signed((total >> (n * field)) + borrow, bits))
    return sums


def _expected(terms: list[tuple[list[int], list[int]]]) -> list[int]:
    weights, acts = terms[0]
    return [
        sum(w[i] * x[j] for w, x in terms)
        for i in range(len(weights))
        for j in range(len(acts))
    ]


def _operands(sharing: Sharing) -> tuple[int, int]:
    return (1 if sharing is Sharing.PIXEL_PAIR else 2), (
        1 if sharing is Sharing.PAIR else 2
    )


CASES = [
    (sharing, dsp_type, w, a, signed, narrow)
    for sharing in Sharing
    for dsp_type in DspType
    for w in (2, 3, 4, 6, 8)
    for a in (2, 4, 5, 8)
    for signed in (False, True)
    for narrow in (False, True)
]


def test_sums_of_depth_extreme_terms_split_exactly_and_one_more_does_not() -> None:
    checked = 0
    for sharing, dsp_type, w, a, signed, narrow in CASES:
        found = packing(
            sharing,
            dsp_type,
            weight_bits=w,
            act_bits=a,
            act_signed=signed,
            narrow=narrow,
        )
        if found is None:
            continue
        weights, acts = _operands(sharing)
        broken = False
        for ws in product(_codes(w, True, narrow), repeat=weights):
            for xs in product(_codes(a, signed), repeat=acts):
                # Equal terms are the worst case; N of them are one scaled term, as
                # everything before the split is linear.
                for count in (1, found.depth, found.depth + 1):
                    total = _scaled(found, list(ws), list(xs), count)
                    exact = total == [
                        count * v for v in _expected([(list(ws), list(xs))])
                    ]
                    if count <= found.depth:
                        assert exact, (sharing, dsp_type, w, a, signed, narrow, count)
                    else:
                        broken = broken or not exact
        assert broken, (sharing, dsp_type, w, a, signed, narrow)
        checked += 1
    assert checked > 300


def _scaled(found: Packing, ws: list[int], xs: list[int], count: int) -> list[int]:
    """Return the split sums of `count` equal terms."""
    field = found.field_bits
    weight_step = 4**field if found.sharing is Sharing.QUAD else 2**field
    wide = sum(w * weight_step**i for i, w in enumerate(ws))
    total = _signed(
        count * wide * sum(x * (2**field) ** j for j, x in enumerate(xs)), 48
    )
    sums = []
    for n in range(found.products):
        borrow = (total >> (n * field - 1)) & 1 if n else 0
        bits = min(field, 48 - n * field)
        sums.append(_signed((total >> (n * field)) + borrow, bits))
    return sums


@pytest.mark.parametrize("sharing", list(Sharing))
@pytest.mark.parametrize("dsp_type", list(DspType))
@pytest.mark.parametrize("bits", [(8, 8), (4, 8), (4, 5), (4, 4), (2, 3)])
def test_random_terms_split_exactly(
    sharing: Sharing, dsp_type: DspType, bits: tuple[int, int]
) -> None:
    found = packing(sharing, dsp_type, weight_bits=bits[0], act_bits=bits[1])
    if found is None:
        assert sharing is Sharing.QUAD
        assert bits[1] == 8 or (bits == (4, 5) and dsp_type is DspType.DSP48E1)
        return
    rng = np.random.default_rng(0)
    weights, acts = _operands(sharing)
    half = 2 ** (bits[0] - 1)
    for _ in range(50):
        terms = [
            (
                [int(v) for v in rng.integers(-half, half, weights)],
                [int(v) for v in rng.integers(0, 2 ** bits[1], acts)],
            )
            for _ in range(min(found.depth, 16))
        ]
        assert _sums_of_slices(found, terms, dsp_type) == _expected(terms)


def test_the_unsigned_packing_also_carries_signed_activations() -> None:
    # A stage that serves both kinds uses the unsigned packing for both.
    for sharing, dsp_type, w, a, _, narrow in CASES:
        found = packing(sharing, dsp_type, weight_bits=w, act_bits=a, narrow=narrow)
        if found is None:
            continue
        weights, acts = _operands(sharing)
        for ws in product(_codes(w, True, narrow), repeat=weights):
            for xs in product(_codes(a, True), repeat=acts):
                wanted = _expected([(list(ws), list(xs))])
                got = _scaled(found, list(ws), list(xs), found.depth)
                assert got == [found.depth * v for v in wanted]


def test_depth_and_field_equal_the_brute_forced_table() -> None:
    compared = 0
    with data_path("data", "dsp_pack_exact.csv").open() as file:
        for row in csv.DictReader(file):
            packed, shared = row["packed_operand"], row["shared_operand"]
            if row["products_per_dsp"] != "2":
                continue
            weights_packed = packed[0] == "s"
            weight, act = (packed, shared) if weights_packed else (shared, packed)
            found = packing(
                Sharing.PAIR if weights_packed else Sharing.PIXEL_PAIR,
                DspType(row["dsp"]),
                weight_bits=int(weight[1:]),
                act_bits=int(act[1:]),
                act_signed=act[0] == "s",
            )
            assert found is not None
            assert found.field_bits == int(row["field_width_G"])
            assert found.depth == int(row["max_exact_accumulations_N"])
            compared += 1
    assert compared == 40


def test_four_products_where_they_cost_no_more_luts_each_than_two() -> None:
    # 4 x 5 bits: products from -8 * 31 to 7 * 31, 4 of them within 11 bits; the slice's
    # ports hold -8 * 2^22 - 8 (27 bits) and 31 * 2^11 + 31 (17 bits).
    found = {
        dsp_type: {
            (w, a)
            for w in range(2, 9)
            for a in range(2, 9)
            if packing(Sharing.QUAD, dsp_type, weight_bits=w, act_bits=a) is not None
        }
        for dsp_type in DspType
    }
    assert max(a for w, a in found[DspType.DSP48E2] if w == 4) == 5
    assert found[DspType.DSP48E2] == {
        *((w, a) for w in (2, 3) for a in range(2, 7)),
        *((4, a) for a in range(2, 6)),
        *((5, 2), (5, 3), (6, 2)),
    }
    assert found[DspType.DSP48E1] < found[DspType.DSP48E2]
    assert QUAD_MIN_DEPTH == CHAIN_MAX


def test_known_products_per_slice() -> None:
    def of(sharing: Sharing, dsp: DspType, w: int, a: int) -> Packing | None:
        return packing(sharing, dsp, weight_bits=w, act_bits=a)

    e1, e2 = DspType.DSP48E1, DspType.DSP48E2
    for widths, fours in (((4, 4), True), ((4, 5), True), ((4, 6), False)):
        assert (of(Sharing.QUAD, e2, *widths) is not None) is fours
    assert of(Sharing.QUAD, e1, 4, 4) is not None
    for bits in (2, 4, 8):
        assert of(Sharing.QUAD, e2, bits, 8) is None
        assert of(Sharing.PAIR, e2, bits, 8) is not None
    for dsp, signed, narrow, depth in (
        *((e2, False, False, 4), (e2, True, False, 7), (e2, False, True, 8)),
        (e1, False, False, 1),
    ):
        found = packing(
            Sharing.PAIR,
            dsp,
            weight_bits=8,
            act_bits=8,
            act_signed=signed,
            narrow=narrow,
        )
        assert found is not None
        assert found.depth == depth


@pytest.mark.parametrize(
    ("w", "a", "named"),
    [(1, 8, "weight_bits = 1"), (9, 8, "weight_bits = 9"), (8, 9, "act_bits = 9")],
)
def test_widths_outside_the_engine_are_refused(w: int, a: int, named: str) -> None:
    with pytest.raises(InputError, match=rf"{named}; must be from 2 to 8"):
        packing(Sharing.PAIR, DspType.DSP48E2, weight_bits=w, act_bits=a)
