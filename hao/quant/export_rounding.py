"""How an exported file rounds as the integers do.

QONNX has no rounding of halves up for negative values, so half a step is added first
and the quantizer rounds down: the same function. Where channels round halves to even
beside others that round them up, the quantizer rounds to even, and half a unit of their
sums brings the others past a half.
"""

import numpy as np
from numpy.typing import NDArray

from hao.errors import UnsupportedError
from hao.ir.integer import (
    DOWN,
    HALVES_ODD,
    HALVES_UP,
    IntegerNetwork,
    MapType,
    accumulator_range,
)
from hao.ir.layer import Compute, Input, Layer
from hao.ir.tensor import Rounding


def step_of(kind: MapType) -> float:
    """Return what a step of codes stands for, a power of two."""
    assert kind.exponent is not None
    return float(np.ldexp(1.0, kind.exponent))


def rounded_by(
    net: IntegerNetwork, layer: Layer
) -> tuple[NDArray[np.float64], Rounding]:
    """Return what is added to the values of a map, and how a quantizer then rounds.

    Args:
        net: The integer network.
        layer: What makes the map.

    Returns:
        What is added, shape (1,) or (channels,).

    Raises:
        UnsupportedError: Halves go to odd codes, for which QONNX has no word.
    """
    step, nothing = step_of(net.maps[layer.name]), np.zeros(1)
    if isinstance(layer, Input):
        how = net.coding.rounding
        if how is Rounding.HALF_ODD:
            raise _odd(layer.name)
        up = how is Rounding.HALF_UP
        return (nothing + step / 2, Rounding.FLOOR) if up else (nothing, how)
    ways = net.rounding(layer.name)
    if np.any(ways == HALVES_ODD):
        raise _odd(layer.name)
    if np.all(ways == HALVES_UP):
        return nothing + step / 2, Rounding.FLOOR
    if np.all(ways == DOWN):
        return nothing, Rounding.FLOOR
    shift = net.param(layer.name, "shift") if np.any(ways == HALVES_UP) else nothing
    passed = (ways == HALVES_UP) & (shift > 0)
    return np.where(passed, np.ldexp(step, -1 - shift.astype(int)), 0.0), (
        Rounding.HALF_EVEN
    )


def rounded_range(net: IntegerNetwork, layer: Compute) -> tuple[int, int]:
    """Return the lowest and the highest sum, with half a step of the output added."""
    low, high = accumulator_range(net, layer)
    half = 2 ** int(net.param(layer.name, "shift").max()) // 2
    if net.requantization.multiplies:
        most = int(np.abs(net.param(layer.name, "multiplier")).max())
        bias = int(np.abs(net.param(layer.name, "bias")).max())
        low, high = low * most - bias, high * most + bias
    return low, high + half


def _odd(layer: str) -> UnsupportedError:
    return UnsupportedError(
        f"layer {layer!r}: rounds halves to odd codes; handled for export: up, to "
        "even, down"
    )
