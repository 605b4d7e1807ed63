"""The network in floating point: trained with batch norm, used without.

During training every convolution is followed by a batch norm. `folded_network` puts it
into the weights and returns a `Network` with parameters, the form in which weights
enter quantization wherever they come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hao.errors import InputError
from hao.ir.averages import counted_pixels
from hao.ir.interpret import RELU6_MAX
from hao.ir.layer import (
    ActivationKind,
    Add,
    Compute,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Pool,
    PoolKind,
    Transparent,
)
from hao.ir.network import Network
from hao.quant.modules import (
    LayerwiseModule,
    doubles,
    module_key,
    pooled_maximum,
    torch_padding,
    window_sums,
)
from hao.quant.parameters import float_parameters, frame_parameters


class FloatNet(LayerwiseModule):
    """A network in floating point.

    Args:
        network: Its parameters, where it has any, become the initial ones.
        batch_norm: Whether a batch norm follows every convolution.

    Raises:
        InputError: The network has only some parameters, or a wrong one.
        UnsupportedError: The network has a layer that cannot be trained.
    """

    def __init__(self, network: Network, *, batch_norm: bool) -> None:
        super().__init__(network)
        for layer in network.compute_layers:
            self.compute[module_key(layer.name)] = _module(layer)
            if batch_norm and not isinstance(layer, Linear):
                self.norms[module_key(layer.name)] = nn.BatchNorm2d(layer.ofm.channels)
        if set(network.params) - set(frame_parameters(network)):
            for layer in network.compute_layers:
                self.load(layer)

    def norm_behind(self, layer: Compute) -> tuple[nn.BatchNorm2d, Tensor, Tensor]:
        """Return a layer's batch norm with its mean and variance; it must have one."""
        norm = self.norms[module_key(layer.name)]
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        return norm, norm.running_mean, norm.running_var

    def run_layer(self, layer: Layer, operands: Sequence[Tensor]) -> Tensor:
        """Return the feature map that a layer makes."""
        x = operands[0]
        assert not isinstance(layer, Transparent)
        match layer:
            case Input():
                return self.scaled_frames(x)
            case Conv() | Depthwise() | Linear():
                return activated(self.sums(layer, x), layer.activation)
            case Pool():
                return _pooled(layer, x)
            case GlobalAveragePool():
                return x.mean(dim=(2, 3), keepdim=True)
            case Add():
                return activated(x + operands[1], layer.activation)
            case _:
                assert_never(layer)


def activated(x: Tensor, kind: ActivationKind) -> Tensor:
    """Return `x` after an activation function."""
    match kind:
        case ActivationKind.NONE:
            return x
        case ActivationKind.RELU:
            return nn.functional.relu(x)
        case ActivationKind.RELU6:
            return x.clamp(0, RELU6_MAX)
        case _:
            assert_never(kind)


def folded_network(net: FloatNet) -> Network:
    """Return the network with the parameters that a net has after training.

    Batch norms are folded into weights and biases in double precision; every compute
    layer then has a bias.
    """
    params: dict[str, NDArray[np.generic]] = {}
    for layer in net.network.compute_layers:
        module = net.compute[module_key(layer.name)]
        assert isinstance(module, nn.Conv2d | nn.Linear)
        assert module.bias is not None
        weight, bias = doubles(module.weight), doubles(module.bias)
        if module_key(layer.name) in net.norms:
            norm, mean, variance = net.norm_behind(layer)
            gain = doubles(norm.weight) / np.sqrt(doubles(variance) + norm.eps)
            weight = weight * gain.reshape(-1, 1, 1, 1)
            bias = (bias - doubles(mean)) * gain + doubles(norm.bias)
        params[f"{layer.name}.weight"] = weight
        params[f"{layer.name}.bias"] = bias
    return with_parameters(net.network, params | frame_parameters(net.network))


def with_parameters(
    network: Network, params: Mapping[str, NDArray[np.generic]]
) -> Network:
    """Return a network whose compute layers all have a bias, with these parameters.

    Raises:
        InputError: A parameter is missing, unknown, misshapen or not finite.
    """
    expected = {
        f"{layer.name}.{word}"
        for layer in network.compute_layers
        for word in ("weight", "bias")
    }
    frame = {f"{network.input.name}.{word}" for word in ("scale", "shift")}
    if unknown := sorted(set(params) - expected - frame):
        raise InputError(
            f"parameter {unknown[0]!r}: network {network.name!r} has no such parameter"
        )
    given = replace(network, params=params)
    complete = frame_parameters(given)
    layers = list(network.layers)
    for position, layer in enumerate(layers):
        if isinstance(layer, Compute):
            weight, bias = float_parameters(given, layer)
            complete[f"{layer.name}.weight"] = weight
            complete[f"{layer.name}.bias"] = bias
            layers[position] = replace(layer, bias=True)
    return Network(name=network.name, layers=tuple(layers), params=complete)


def _module(layer: Compute) -> nn.Module:
    if isinstance(layer, Linear):
        return nn.Linear(layer.ifm.elements, layer.ofm.channels)
    return nn.Conv2d(
        layer.ifm.channels,
        layer.ofm.channels,
        layer.kernel,
        stride=layer.stride,
        padding=torch_padding(layer) or 0,
        groups=layer.ifm.channels if isinstance(layer, Depthwise) else 1,
    )


def _pooled(layer: Pool, x: Tensor) -> Tensor:
    match layer.kind:
        case PoolKind.MAX:
            return pooled_maximum(layer, x)
        case PoolKind.AVERAGE:
            sums = window_sums(x, layer)
            return sums / torch.from_numpy(counted_pixels(layer)).to(sums)
        case _:
            assert_never(layer.kind)
