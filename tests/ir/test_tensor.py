"""Shapes and integer types: sizes and ranges by hand, laws, refusals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hao.errors import InputError
from hao.ir.tensor import QType, Shape


def test_pixels_and_elements() -> None:
    shape = Shape(channels=3, height=5, width=7)
    assert shape.pixels == 35
    assert shape.elements == 105


@pytest.mark.parametrize("size", ["channels", "height", "width"])
@pytest.mark.parametrize("value", [0, -1])
def test_an_empty_shape_is_refused(size: str, value: int) -> None:
    sizes = {"channels": 2, "height": 3, "width": 4} | {size: value}
    shown = "x".join(map(str, sizes.values()))
    with pytest.raises(InputError, match=rf"shape {shown}: every size must be at lea"):
        Shape(**sizes)


@pytest.mark.parametrize(
    ("bits", "signed", "narrow", "lowest", "highest"),
    [
        (8, True, False, -128, 127),
        (8, True, True, -127, 127),
        (8, False, False, 0, 255),
        (8, False, True, 0, 254),
        (2, True, False, -2, 1),
        (2, True, True, -1, 1),
        (1, False, False, 0, 1),
        (32, True, False, -(2**31), 2**31 - 1),
    ],
)
def test_ranges_by_hand(
    bits: int, signed: bool, narrow: bool, lowest: int, highest: int
) -> None:
    quant = QType(bits=bits, signed=signed, narrow=narrow)
    assert (quant.lowest, quant.highest) == (lowest, highest)
    assert not quant.bipolar


@pytest.mark.parametrize("narrow", [True, False])
def test_one_signed_bit_is_bipolar(narrow: bool) -> None:
    quant = QType(bits=1, signed=True, narrow=narrow)
    assert quant.bipolar
    assert (quant.lowest, quant.highest) == (-1, 1)


@given(st.integers(2, 32), st.booleans(), st.booleans())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_type_has_as_many_codes_as_its_bits_count(
    bits: int, signed: bool, narrow: bool
) -> None:
    quant = QType(bits=bits, signed=signed, narrow=narrow)
    assert quant.highest - quant.lowest + 1 == 2**bits - int(narrow)
    # Narrow signed codes are symmetric; unsigned ones start at zero.
    assert quant.lowest == (0 if not signed else -quant.highest - int(not narrow))


@pytest.mark.parametrize("bits", [0, 41, -4])
def test_other_widths_are_refused(bits: int) -> None:
    with pytest.raises(InputError, match=rf"{bits} bits; must be from 1 to 40"):
        QType(bits=bits, signed=True)
