"""Batch statistics re-estimated after a network was changed.

EagleEye (Li et al., arXiv:2007.02491) evaluates a changed network only once the means
and variances of its batch norms were estimated anew, since those of the whole network
no longer describe its maps. Here batch norms are folded, so that the folded layers are
adapted: a batch norm gives its outputs, on the frames that it was estimated on, the
mean and the spread that the whole network has there. Layer by layer, every channel of
the changed network is scaled and shifted to the mean and the spread, before its
activation, of that channel in the whole network. The last layer, which no batch norm
follows, stays as it is.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hao.errors import InputError
from hao.ir.layer import Compute, Layer
from hao.ir.network import Network, run_layers
from hao.quant.float_net import FloatNet, with_parameters
from hao.quant.modules import module_key

Floats = NDArray[np.float64]

Statistics = Mapping[str, tuple[Floats, Floats]]
"""Mean and spread of every channel before its activation, by layer."""

_LEAST_SPREAD = 1e-6
"""Spread up to which a channel counts as constant (chosen here)."""


def channel_statistics(network: Network, frames: NDArray[np.float32]) -> Statistics:
    """Return the statistics of a network on frames.

    Args:
        network: With float parameters.
        frames: Shape (frames, channels, height, width).

    Raises:
        InputError: A parameter is missing.
    """
    found: dict[str, tuple[Floats, Floats]] = {}

    def see(layer: Compute, sums: Tensor) -> None:
        found[layer.name] = _moments(sums)

    _visit(FloatNet(network, batch_norm=False), frames, see)
    return MappingProxyType(found)


def with_statistics(
    changed: Network, statistics: Statistics, frames: NDArray[np.float32]
) -> Network:
    """Return a changed network whose channels have the given means and spreads.

    Args:
        changed: With float parameters.
        statistics: Of the network before the change, on the same frames.
        frames: Shape (frames, channels, height, width).

    Raises:
        InputError: A layer has no statistics, or a parameter is missing.
    """
    net = FloatNet(changed, batch_norm=False)
    last = changed.compute_layers[-1].name

    def adapt(layer: Compute, sums: Tensor) -> None:
        if layer.name not in statistics:
            raise InputError(
                f"layer {layer.name!r}: no statistics are known of it; must be those "
                "of the network before the change"
            )
        if layer.name == last:
            return
        (mean, spread), (wanted, wide) = _moments(sums), statistics[layer.name]
        gain = np.where(spread > _LEAST_SPREAD, wide, 1.0)
        gain /= np.where(spread > _LEAST_SPREAD, spread, 1.0)
        module = net.compute[module_key(layer.name)]
        factor, shift = torch.from_numpy(gain), torch.from_numpy(wanted - mean * gain)
        weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
        weight.mul_(factor.reshape(-1, *[1] * (weight.ndim - 1)).to(weight.dtype))
        bias.mul_(factor.to(bias.dtype)).add_(shift.to(bias.dtype))

    _visit(net, frames, adapt)
    params: dict[str, NDArray[np.generic]] = dict(changed.params)
    for layer in changed.compute_layers:
        module = net.compute[module_key(layer.name)]
        for word in ("weight", "bias"):
            array = module.get_parameter(word).detach().double().numpy()
            params[f"{layer.name}.{word}"] = array
    return with_parameters(changed, params)


def _visit(
    net: FloatNet,
    frames: NDArray[np.float32],
    see: Callable[[Compute, Tensor], None],
) -> None:
    """Run the layers on frames, showing what each sums up to before it is used."""
    net.eval()

    def run(layer: Layer, operands: list[Tensor]) -> Tensor:
        if isinstance(layer, Compute):
            see(layer, net.sums(layer, operands[0]))
        return net.run_layer(layer, operands or [torch.from_numpy(frames.copy())])

    with torch.no_grad():
        run_layers(net.network, run)


def _moments(sums: Tensor) -> tuple[Floats, Floats]:
    """Return mean and spread of every channel, shape (channels,) each."""
    exact = sums.double()
    return exact.mean(dim=(0, 2, 3)).numpy(), exact.std(
        dim=(0, 2, 3), correction=0
    ).numpy()
