"""Options as values."""

import pytest

from hao.errors import InputError
from hao.ir.change import Bits
from hao.options.option import Option


def test_cost_in_points_by_hand() -> None:
    option = Option(layer="a", change=Bits(weight_bits=4), cost_micro=1_250_000)
    assert option.cost_points == 1.25


def test_a_negative_cost_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"layer 'a': cost_micro = -1; must be at least"
    ):
        Option(layer="a", change=Bits(weight_bits=4), cost_micro=-1)


@pytest.mark.parametrize("bits", [1, 9])
def test_bits_that_the_engine_does_not_run_are_refused(bits: int) -> None:
    with pytest.raises(InputError, match=f"weight_bits = {bits}; must be from 2 to 8"):
        Bits(weight_bits=bits)
