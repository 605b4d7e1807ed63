"""The weight bits of an option, where it has any."""

from hao.ir.change import Bits
from hao.options.option import Option


def width(option: Option) -> int:
    assert isinstance(option.change, Bits)
    return option.change.weight_bits
