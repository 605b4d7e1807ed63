"""Integer arithmetic: equal to exact fractions and to counting."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hao.intmath import ceil_div, ceil_log2


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20))
def test_ceil_div_equals_the_exact_fraction(numerator: int, denominator: int) -> None:
    assert ceil_div(numerator, denominator) == math.ceil(
        Fraction(numerator, denominator)
    )


@given(st.integers(1, 2**80))
def test_ceil_log2_is_the_fewest_bits_that_tell_the_states_apart(value: int) -> None:
    bits = ceil_log2(value)
    assert value <= 2**bits
    assert bits == 0 or 2 ** (bits - 1) < value


def test_ceil_log2_is_exact_where_floats_are_not() -> None:
    assert ceil_log2(2**70) == 70
    assert ceil_log2(2**70 + 1) == 71


@pytest.mark.parametrize("call", [lambda: ceil_div(1, 0), lambda: ceil_log2(0)])
def test_arguments_that_only_a_bug_could_pass_are_asserted(call: object) -> None:
    assert callable(call)
    with pytest.raises(AssertionError):
        call()
