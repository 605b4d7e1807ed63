"""Weights and biases that make up for what quantization does to the layers before.

Layer by layer, in order, with everything before already quantized:

- Fitted rounding (`hao.quant.rounding`), so that a layer that reads quantized maps
  sums up to what it does in floating point.
- Bias correction (Nagel et al., arXiv:1906.04721, section 4.2, from data): the mean
  over frames and pixels of what a channel sums up to, in floating point less quantized,
  is added to its bias.

What both gain on a pretrained network stands in docs/accuracy.md.
"""

from dataclasses import replace
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hao.ir.layer import Compute, Layer
from hao.ir.network import Network, run_layers
from hao.ir.sparsity import FULL, density_of
from hao.quant.counted import Counted, uncounted
from hao.quant.float_net import FloatNet
from hao.quant.modules import module_key
from hao.quant.parameters import float_parameters
from hao.quant.quant_net import QuantNet, weight_type
from hao.quant.rounding import MOST_TERMS, fitted_weights, window_energy

LOOKED_AT_VALUES = 2**27
"""Values of the largest map that is looked at, at most; chosen here: 111 frames of
EfficientNet-Lite0, and four such maps in memory."""


def adjusted_network(
    rounded: QuantNet,
    frames: Tensor,
    *,
    fit_rounding: bool,
    correct_bias: bool,
    counted: Counted = uncounted,
) -> Network:
    """Return a model's network with weights and biases adjusted to its scales.

    Args:
        rounded: Changed in place; of use no more.
        frames: Shape (frames, channels, height, width), float32; so many are looked at
            that the largest map has `LOOKED_AT_VALUES`.
        fit_rounding: Whether roundings are fitted; where words are left out, so that
            zeros stay zeros, and beyond `MOST_TERMS` they are not.
        correct_bias: Whether mean errors are taken out.
        counted: Told of every layer.

    Raises:
        InputError: A parameter is missing.
    """
    network = rounded.network
    largest = max(layer.ofm.elements for layer in network.layers)
    frames = frames[: max(1, LOOKED_AT_VALUES // largest)]
    exact = FloatNet(network, batch_norm=False).eval()
    params, done = dict(network.params), count(1)

    def run(layer: Layer, read: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        pairs = read or [(frames, frames)]
        if isinstance(layer, Compute):
            weight, bias = float_parameters(network, layer)
            if fit_rounding and _can_fit(layer):
                weight = _fitted(layer, rounded, pairs[0])
            if correct_bias:
                bias = bias + _correction(layer, exact, rounded, pairs[0])
            params[f"{layer.name}.weight"] = weight
            params[f"{layer.name}.bias"] = bias
        made = (
            exact.run_layer(layer, [pair[0] for pair in pairs]),
            rounded.run_layer(layer, [pair[1] for pair in pairs]),
        )
        counted(next(done), len(network.layers))
        return made

    with torch.no_grad():
        run_layers(network, run)
    return with_biases(network, params)


def with_biases(network: Network, params: dict[str, NDArray[np.generic]]) -> Network:
    """Return a network whose compute layers all have a bias, with these parameters."""
    return replace(network, params=params).with_layers(
        lambda x: replace(x, bias=True) if isinstance(x, Compute) else x
    )


def _can_fit(layer: Compute) -> bool:
    return density_of(layer) == FULL and layer.terms <= MOST_TERMS


def _fitted(
    layer: Compute, model: QuantNet, x: tuple[Tensor, Tensor]
) -> NDArray[np.float64]:
    """Fit the roundings of a layer of a model to what it reads; return its weights."""
    weight = model.compute[module_key(layer.name)].get_parameter("weight")
    step = torch.from_numpy(model.scales.steps(layer.name))
    quant = weight_type(model.scheme, layer)
    weight.copy_(fitted_weights(weight, window_energy(layer, *x), step, quant))
    return weight.double().numpy()


def _correction(
    layer: Compute, exact: FloatNet, model: QuantNet, x: tuple[Tensor, Tensor]
) -> NDArray[np.float64]:
    """Take the mean error out of a layer of a model; return what its bias gains."""
    error = (exact.sums(layer, x[0]) - model.sums(layer, x[1])).double()
    mean = error.mean(dim=(0, 2, 3))
    bias = model.compute[module_key(layer.name)].get_parameter("bias")
    bias.add_(mean.to(bias.dtype))
    return mean.numpy()
