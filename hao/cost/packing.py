"""Which products can share one DSP slice exactly, and how many terms they may sum.

A DSP slice multiplies a wide port (27 bits on DSP48E2, 25 on DSP48E1) by an 18-bit
port and adds into 48 bits. Two operands at distance `field_bits` on one port give two
products at that distance: (w1 * 2^G + w0) * x = w1 * x * 2^G + w0 * x. The products of
several slices are added in the 48-bit cascade before the fields are split, as long as
the sum of every field fits its G bits; `depth` is the longest such sum. Splitting adds
the sign bit of a field to the one above it (a borrow otherwise stays in it).

Three arrangements exist in the hardware templates:

    PAIR         two weights (wide port) share one activation: two output channels
    PIXEL_PAIR   two activations (wide port) share one weight: two pixels of a row
    QUAD         two weights and two activations: two output channels of two pixels

A stage decides per layer whether its activations are signed, so a slice that serves
both kinds must be exact for unsigned ones, whose products are the larger.

Source: derived here from the ranges of the operands; tests/cost/test_packing.py
multiplies and splits every extreme operand and compares with the brute-forced rows of
data/dsp_pack_exact.csv. Port widths: Xilinx UG579 (DSP48E2) and UG479 (DSP48E1).
"""

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import assert_never

from hao.errors import InputError
from hao.hw.board import DspType
from hao.ir.tensor import MAX_BITS, MIN_BITS

NARROW_PORT_BITS = 18
"""Bits of the multiplier's narrow signed port. Source: UG579, UG479, "Multiplier"."""

_SUM_BITS = 48
"""Bits of a slice's accumulator. Source: UG579, UG479, "ALU"."""

QUAD_MIN_DEPTH = 4
"""Fewest terms that every field of the four-product template must be able to sum.

Source: chosen here: as many slices are added in a cascade anyhow
(`hao.cost.blocks.CHAIN_MAX`), so four products then cost no more LUTs each than two;
shorter cascades are corrected more often (docs/area.md, "Packed DSP lanes").
"""


def wide_port_bits(dsp_type: DspType) -> int:
    """Return the bits of the multiplier's wide signed port; sources as above."""
    match dsp_type:
        case DspType.DSP48E1:
            return 25
        case DspType.DSP48E2:
            return 27
        case _:
            assert_never(dsp_type)


class Sharing(Enum):
    """What the products of one DSP slice have in common."""

    PAIR = "two weights, one activation"
    PIXEL_PAIR = "two activations, one weight"
    QUAD = "two weights, two activations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """One exact way to put several products in a DSP slice.

    Attributes:
        sharing: What the products have in common.
        field_bits: Distance between neighbouring products [bits].
        depth: Most terms that every field can sum before it is split; at least 1.
    """

    sharing: Sharing
    field_bits: int
    depth: int

    @property
    def products(self) -> int:
        """Return how many products one DSP slice gives per cycle."""
        return 4 if self.sharing is Sharing.QUAD else 2


def _check_bits(name: str, bits: int) -> None:
    if not MIN_BITS <= bits <= MAX_BITS:
        raise InputError(f"{name} = {bits}; must be from {MIN_BITS} to {MAX_BITS}")


def _weight_range(bits: int, narrow: bool) -> tuple[int, int]:
    return -(1 << (bits - 1)) + int(narrow), (1 << (bits - 1)) - 1


def _act_range(bits: int, signed: bool) -> tuple[int, int]:
    if signed:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _widest_field(operand: tuple[int, int], port_bits: int, step: int = 1) -> int:
    """Return the largest G with x1 * 2^(step * G) + x0 inside a signed port."""
    low, high = operand
    field = 0
    while low * 2 ** (step * (field + 1)) + low >= -(
        2 ** (port_bits - 1)
    ) and high * 2 ** (step * (field + 1)) + high < 2 ** (port_bits - 1):
        field += 1
    return field


def _depth(weight: tuple[int, int], act: tuple[int, int], field_bits: int) -> int:
    """Return the most products whose sum fits a signed field, whatever they are."""
    products = [w * x for w in weight for x in act]
    lowest, highest = min(products), max(products)
    if field_bits < 1:
        return 0
    half = 1 << (field_bits - 1)
    return min(half // -lowest, (half - 1) // highest)


@cache
def packing(
    sharing: Sharing,
    dsp_type: DspType,
    *,
    weight_bits: int,
    act_bits: int,
    act_signed: bool = False,
    narrow: bool = False,
) -> Packing | None:
    """Return the packing with the widest fields, or `None` if none is exact.

    Four products are not packed where a field holds fewer than `QUAD_MIN_DEPTH` terms.

    Args:
        sharing: What the products are to have in common.
        dsp_type: DSP slice of the device.
        weight_bits: Width of the signed weights, 2 to 8.
        act_bits: Width of the activations, 2 to 8.
        act_signed: All activations are signed; a slice that serves both kinds is
            priced as unsigned.
        narrow: Weights never take their most negative code.

    Raises:
        InputError: A width outside 2 to 8 bits.
    """
    _check_bits("weight_bits", weight_bits)
    _check_bits("act_bits", act_bits)
    weight = _weight_range(weight_bits, narrow)
    act = _act_range(act_bits, act_signed)
    wide = wide_port_bits(dsp_type)
    match sharing:
        case Sharing.PAIR:
            field = _widest_field(weight, wide)
        case Sharing.PIXEL_PAIR:
            field = _widest_field(act, wide)
        case Sharing.QUAD:
            field = min(
                _widest_field(weight, wide, 2), _widest_field(act, NARROW_PORT_BITS)
            )
    fields, least = (4, QUAD_MIN_DEPTH) if sharing is Sharing.QUAD else (2, 1)
    topmost = _SUM_BITS - (fields - 1) * field
    depth = _depth(weight, act, min(field, topmost))
    if depth < least:
        return None
    return Packing(sharing=sharing, field_bits=field, depth=depth)
