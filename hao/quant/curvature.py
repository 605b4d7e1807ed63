"""How curved the loss is in the weights of every layer: Hutchinson's estimate.

Of random vectors v of +1 and -1, the mean of v'Hv is the trace of H (Hutchinson 1989);
HAWQ (Dong et al., arXiv:1911.03852) takes the mean of H's eigenvalues, the trace per
weight, as the sensitivity of a layer. The loss is the cross-entropy towards the
network's own outputs, whose Hessian at these weights is positive semidefinite (it is
the Fisher information), so that no labels are needed.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from hao.ir.network import Network
from hao.quant.float_net import FloatNet
from hao.quant.modules import choose_device, module_key


def mean_curvatures(
    network: Network, frames: NDArray[np.float32], *, probes: int = 20, seed: int = 0
) -> dict[str, float]:
    """Return the trace of the loss's Hessian per weight of every compute layer [nats].

    Args:
        network: With float parameters.
        frames: Shape (frames, channels, height, width).
        probes: Random vectors, at least 1.
        seed: Of the random vectors.

    Raises:
        InputError: A parameter is missing.
    """
    device = choose_device()
    net = FloatNet(network, batch_norm=False).eval().to(device)
    layers = network.compute_layers
    weights = [
        net.compute[module_key(layer.name)].get_parameter("weight") for layer in layers
    ]
    outputs = net(torch.from_numpy(frames.copy()).to(device))
    target = outputs.detach().softmax(1)
    loss = -(target * outputs.log_softmax(1)).sum(1).mean()
    slopes = torch.autograd.grad(loss, weights, create_graph=True)
    generator = torch.Generator().manual_seed(seed)
    totals = np.zeros(len(layers))
    for _ in range(probes):
        signs = [
            (torch.randint(0, 2, w.shape, generator=generator) * 2 - 1).to(w)
            for w in weights
        ]
        products = torch.autograd.grad(slopes, weights, signs, retain_graph=True)
        totals += [float((v * hv).sum()) for v, hv in zip(signs, products, strict=True)]
    return {
        layer.name: max(0.0, float(total)) / probes / layer.weights
        for layer, total in zip(layers, totals, strict=True)
    }
