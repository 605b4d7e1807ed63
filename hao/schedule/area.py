"""What the operators of a loop cost: DSP slices, LUTs and flip-flops, as csynth prints.

Sources: operator tables of public csynth reports of UltraScale+ parts, from 33
repositories. The rule for DSP slices was right for 62 of 65 printed multipliers up to
27 x 18 bits and for 12 of 55 wider ones. csynth prints more LUTs than are placed in the
end.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hao.schedule.graph import Operator, OperatorKind

_ADDER_EXTRA = 7  # an adder of w bits prints w + 7
_COMPARE_WIDE = 25  # comparisons up to here print w + 7, wider ones a third of w
_FABRIC_MOST = 10  # products up to here are built of LUTs
_DSP_SMALL, _DSP_LARGE = 18, 27  # ports of a slice (UG579)
_LUT_PRODUCT = 0.65  # LUTs per bit times bit: 8 x 8 prints 40, 10 x 9 prints 62
_DIVIDER_LUT, _DIVIDER_FF = 1.7, 2.2  # per squared bit: 38 bits print 2434 and 3189
_MUX_INPUTS = 4  # of one LUT a bit (UG574)
_SHIFTER = (
    (1, 16, 20, 32, 63, 128, 256, 512),  # bits of what is shifted by a variable
    (2, 35, 48, 92, 179, 423, 950, 2171),  # LUTs
)


@dataclass(frozen=True, slots=True)
class LoopArea:
    """Blocks of a loop's operators.

    Attributes:
        dsp: Slices.
        lut: LUTs.
        ff: Flip-flops, those between pipeline stages included.
    """

    dsp: int
    lut: int
    ff: int


def product_slices(operator: Operator) -> int:
    """Return the DSP slices of a product."""
    small, large = sorted(operator.sizes)
    if operator.fabric is True:
        return 0
    if operator.fabric is None and large <= _FABRIC_MOST:
        return 0
    if operator.by_constant and small <= 4 and operator.fabric is None:
        return 0
    if small <= _DSP_SMALL and large <= _DSP_LARGE:
        return 1
    whole = math.ceil(small / (_DSP_SMALL - 1)) * math.ceil(large / (_DSP_LARGE - 1))
    # A result no wider than its operands leaves out the product of the upper halves.
    return whole - 1 if whole > 2 and operator.bits <= large else max(2, whole)


def loop_area(operators: Iterable[Operator], registers: int) -> LoopArea:
    """Return the blocks of a loop.

    Args:
        operators: Of its body.
        registers: Bits that cross clock edges.
    """
    dsp, lut, ff = 0, 0.0, float(registers)
    for operator in operators:
        if operator.kind is OperatorKind.MULTIPLY:
            slices = product_slices(operator)
            dsp += slices
        lut += operator_luts(operator)
        if operator.kind is OperatorKind.DIVIDE and not operator.by_constant:
            ff += _DIVIDER_FF * operator.width**2
    return LoopArea(dsp, round(lut), round(ff))


def operator_luts(operator: Operator) -> float:
    """Return the LUTs of an operator."""
    bits = operator.bits
    match operator.kind:
        case OperatorKind.ADD:
            return bits + _ADDER_EXTRA
        case OperatorKind.COMPARE:
            wide = operator.width > _COMPARE_WIDE
            return (operator.width // 3 if wide else operator.width) + _ADDER_EXTRA
        case OperatorKind.SELECT | OperatorKind.LOGIC:
            return bits
        case OperatorKind.REGISTER:
            return operator.width if operator.delay else 0
        case OperatorKind.MUX:
            return bits * math.ceil(operator.width / _MUX_INPUTS)
        case OperatorKind.SHIFT:
            return float(np.interp(operator.width, *_SHIFTER))
        case OperatorKind.MULTIPLY if product_slices(operator) == 0:
            small, large = operator.sizes
            return _LUT_PRODUCT * small * large
        case OperatorKind.DIVIDE:
            # By a constant it is a product and some adders.
            power = 1.0 if operator.by_constant else _DIVIDER_LUT
            return power * operator.width**2
        case _:
            return 0
