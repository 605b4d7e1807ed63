"""What a convolution or fully connected layer of a quantized file requantizes.

All that follows the sums is folded into the file's codes of every sum that can occur.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError, UnsupportedError
from hao.ir.integer import HALVES_UP, Requantization, sum_range
from hao.ir.layer import Compute, Linear, Padding
from hao.ir.network import Network
from hao.ir.tensor import MAX_BITS
from hao.quant.chain import Chain
from hao.quant.parameters import float_parameters
from hao.quant.sum_integers import check_pads
from hao.quant.thresholds import Thresholds, file_thresholds, fit

Integers = NDArray[np.int64]
Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightedSums:
    """What a compute layer requantizes.

    Attributes:
        weight: Integers, signs turned where a later factor is negative and they hold.
        thresholds: The file's codes of its sums, turned where that factor is negative.
        signs: -1 for channels whose sums are turned but not their weights.
    """

    weight: Integers
    thresholds: Thresholds
    signs: Integers


def weighted_sums(
    network: Network, layer: Compute, chains: Mapping[str, Chain]
) -> WeightedSums:
    """Return a compute layer's integers with all that follows folded in."""
    name, chain = layer.name, chains[layer.name]
    quant = layer.weight
    if quant is None or not 2 <= quant.bits <= MAX_BITS:
        raise UnsupportedError(
            f"layer {name!r}: weights quantized to {quant.bits if quant else 'no'} "
            f"bits; handled: 2 to {MAX_BITS}; use int8 around 0 (symmetric)"
        )
    real, bias = float_parameters(network, layer)
    step = _weight_scale(network, layer)
    codes = np.rint(real / step.reshape(-1, *[1] * (real.ndim - 1))).astype(np.int64)
    source = chains[layer.input]
    unit = source.scale * step
    if source.zero != 0:
        if not isinstance(layer, Linear) and layer.padding != Padding():
            check_pads(name, source)
        bias = bias - unit * source.zero * codes.reshape(len(codes), -1).sum(axis=1)
    assert chain.quant is not None
    gain, offset = chain.gain, chain.offset
    turned = np.sign(gain).astype(np.int64)  # 0: a constant, which becomes the bias
    shape = (-1, *[1] * (codes.ndim - 1))
    weight = codes * turned.reshape(shape)
    ratio = np.where(turned == 0, 1.0, np.abs(gain) * unit / chain.step)
    lowest, highest = sum_range(weight, source.map_type())
    # The code that only negative numbers have, once turned around, has no counterpart.
    kept = weight.reshape(len(weight), -1).max(axis=1) >= 2 ** (quant.bits - 1)
    return WeightedSums(
        weight=np.where(kept.reshape(shape), codes, weight),
        signs=np.where(kept, -1, 1),
        # (gain * (unit * y + bias) + offset) / step = ratio * (turned * y + added)
        thresholds=file_thresholds(
            ratio,
            (gain * bias + offset) / chain.step / ratio,
            codes=(chain.low, chain.high, chain.moved),
            rounding=chain.quant.rounding,
            sums=(lowest, highest),
        ),
    )


def _weight_scale(network: Network, layer: Compute) -> Real:
    """Return the step of a layer's weights, one per OFM channel."""
    key = f"{layer.name}.weight_scale"
    if key not in network.params:
        raise UnsupportedError(
            f"layer {layer.name!r}: its weights are not quantized; handled: quantized "
            f"to 2 to {MAX_BITS} bits"
        )
    step = network.params[key].astype(np.float64).reshape(-1)
    if step.size not in (1, layer.ofm.channels) or step.min() <= 0:
        raise InputError(
            f"parameter {key!r} has {step.size} values from {step.min()}; must be 1 "
            f"or {layer.ofm.channels}, above 0"
        )
    return np.broadcast_to(step, (layer.ofm.channels,))


def requantized(
    entry: WeightedSums, mode: Requantization
) -> tuple[dict[str, Integers], bool]:
    """Return the integers that make the codes of sums, and whether all are exact."""
    found = fit(entry.thresholds, mode)
    values = {"weight": entry.weight, "bias": found.bias, "shift": found.shift}
    if mode.multiplies:
        values["multiplier"] = found.multiplier * entry.signs
    if np.any(found.rounding != HALVES_UP):
        values["rounding"] = found.rounding
    return values, bool(np.all(found.exact))


def is_shift(entry: WeightedSums) -> bool:
    """Return whether shifts make a layer's codes."""
    found = fit(entry.thresholds, Requantization.SHIFT)
    return bool(np.all(found.exact) and np.all(entry.signs > 0))
