"""Averages that a file spells as depthwise convolutions of one number.

QONNX has no average by a multiplier of few bits, so `hao.quant.export` writes sums over
windows times that multiplier: every tap of a depthwise convolution has the same number,
which no quantizer makes. Behind such a file stands an average of the engine, times what
the number is of one over the pixels.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

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
from hao.quant.parameters import float_parameters


def averages_of_taps(network: Network) -> Network:
    """Return the network with averages in place of depthwise sums of one factor.

    Args:
        network: Quantized; a depthwise layer whose weights are not becomes an average
            where all taps that meet the map are one positive number.

    Raises:
        InputError: A parameter of such a layer is missing, misshapen or not finite.
    """
    layers: list[Layer] = []
    params = dict(network.params)
    for layer in network.layers:
        found = _average_of(network, layer)
        if found is None:
            layers.append(layer)
            continue
        average, factor, bias = found
        shape = layer.ofm
        scaled = Affine(name=layer.name, input=average.name, ifm=shape, ofm=shape)
        layers += [average, scaled]
        for word in ("weight", "bias"):
            params.pop(f"{layer.name}.{word}", None)
        gain = np.full(layer.ofm.channels, factor * mean_pixels(average))
        params[f"{layer.name}.scale"] = gain
        params[f"{layer.name}.shift"] = bias
    return replace(network, layers=tuple(layers), params=params)


def _average_of(
    network: Network, layer: Layer
) -> tuple[Pool | GlobalAveragePool, float, NDArray[np.float64]] | None:
    """Return the average that a layer computes, the number of its taps, and its bias.

    Raises:
        InputError: A parameter is missing, misshapen or not finite.
    """
    if not isinstance(layer, Depthwise) or layer.weight is not None:
        return None
    if layer.activation is not ActivationKind.NONE:
        return None
    weight, bias = float_parameters(network, layer)
    taps = weight[:, 0]
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
    return average, factor, bias
