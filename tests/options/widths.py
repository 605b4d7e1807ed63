"""The width of the lanes that an option needs, where it has any."""

from hao.ir.change import Bits
from hao.options.option import Option


def width(option: Option) -> int:
    assert isinstance(option.change, Bits)
    return option.change.lane_bits
