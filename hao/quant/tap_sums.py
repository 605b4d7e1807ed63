"""Averages that a file spells as depthwise convolutions of one number.

QONNX has no average by a multiplier of few bits, so `hao.quant.export` writes sums over
windows times that multiplier: every tap of a depthwise convolution has the same number,
which no quantizer makes. Behind such a file stands an average of the engine, times what
the number is of one over the pixels.
"""

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from hao.ir.averages import mean_pixels
from hao.ir.layer import (
    ActivationKind,
    Affine,
    Depthwise,
    GlobalAveragePool,
    Layer,
    Pool,
    PoolKind,
)
from hao.ir.network import Network
from hao.ir.spellings import free_name


def averages_of_taps(network: Network) -> Network:
    """Return the network with averages in place of depthwise sums of one factor.

    Args:
        network: Quantized; a depthwise layer whose weights are not becomes an average
            where all taps that meet the map are one positive number.
    """
    layers: list[Layer] = []
    params = dict(network.params)
    for layer in network.layers:
        found = _average_of(network, layer) if isinstance(layer, Depthwise) else None
        if found is None or not isinstance(layer, Depthwise):
            layers.append(layer)
            continue
        average, factor = found
        key = f"{layer.name}.bias"
        bias = params[key] if layer.bias else np.zeros(layer.ofm.channels)
        scaled = Affine(
            name=layer.name, input=average.name, ifm=layer.ofm, ofm=layer.ofm
        )
        layers += [average, scaled]
        for word in ("weight", "bias"):
            params.pop(f"{layer.name}.{word}", None)
        gain = np.full(layer.ofm.channels, factor * mean_pixels(average))
        params[f"{layer.name}.scale"] = gain
        params[f"{layer.name}.shift"] = bias
    return replace(network, layers=tuple(layers), params=MappingProxyType(params))


def _average_of(
    network: Network, layer: Depthwise
) -> tuple[Pool | GlobalAveragePool, float] | None:
    """Return the average that a layer computes, and the number of its taps."""
    taps = network.params[f"{layer.name}.weight"].astype(np.float64)[:, 0]
    if layer.weight is not None or layer.activation is not ActivationKind.NONE:
        return None
    whole = layer.ofm.pixels == 1 and layer.kernel >= max(
        layer.padding.top + layer.ifm.height, layer.padding.left + layer.ifm.width
    )
    if whole:
        # Others meet padding alone.
        top, left = layer.padding.top, layer.padding.left
        taps = taps[:, top : top + layer.ifm.height, left : left + layer.ifm.width]
    factor = float(taps.flat[0])
    if factor <= 0 or np.ptp(taps) != 0:
        return None
    name = free_name(network, f"{layer.name}.mean")
    average: Pool | GlobalAveragePool
    if whole:
        average = GlobalAveragePool(
            name=name, input=layer.input, ifm=layer.ifm, ofm=layer.ofm
        )
    else:
        average = Pool(
            name=name,
            input=layer.input,
            ifm=layer.ifm,
            ofm=layer.ofm,
            kernel=layer.kernel,
            stride=layer.stride,
            padding=layer.padding,
            kind=PoolKind.AVERAGE,
        )
    return average, factor
