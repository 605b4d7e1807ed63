"""Batch norms put back into a network whose weights they were folded into.

A folded network does not say what its batch norms were, and training without them is
slow. `normed_net` gives every convolution a batch norm with the mean and variance that
its sums have on some frames, and the scale and shift that undo both: the net computes
what it did, and trains as one that never was folded.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hao.ir.layer import Linear
from hao.ir.network import Network
from hao.quant.dataset import Split
from hao.quant.float_net import FloatNet
from hao.quant.modules import module_key

MOST_FRAMES = 1024
"""Frames that statistics are taken of (chosen here)."""

_BATCH = 128


def normed_net(network: Network, split: Split) -> FloatNet:
    """Return a net with a batch norm behind every convolution that changes nothing.

    Args:
        network: With parameters.
        split: Statistics are those of its first frames, `MOST_FRAMES` at most.

    Raises:
        InputError: The network lacks parameters.
        UnsupportedError: It has a layer that cannot be trained.
    """
    net = FloatNet(network, batch_norm=True)
    means, squares = _moments(network, split)
    with torch.no_grad():
        for layer in network.compute_layers:
            if module_key(layer.name) not in net.norms:
                continue
            norm, running_mean, running_var = net.norm_behind(layer)
            mean = means[layer.name]
            variance = (squares[layer.name] - mean**2).clamp(min=0)
            running_mean.copy_(mean)
            running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean)
    return net.eval()


@contextmanager
def momentum(net: FloatNet, value: float | None) -> Iterator[list[nn.BatchNorm2d]]:
    """Give batch norms another momentum for a while.

    Args:
        net: Whose batch norms are yielded.
        value: 0 keeps no statistics; `None` takes the mean over all batches.
    """
    norms = [norm for norm in net.norms.values() if isinstance(norm, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = value
    try:
        yield norms
    finally:
        for norm, own in zip(norms, before, strict=True):
            norm.momentum = own


def settle_norms(net: FloatNet, split: Split) -> None:
    """Give batch norms the statistics of a net as it is now; it ends in evaluation.

    Args:
        net: With batch norms, whose weights were changed at a stroke.
        split: Statistics are those of its first frames, `MOST_FRAMES` at most.
    """
    net.cpu().train()
    count = min(len(split), MOST_FRAMES)
    with torch.no_grad(), momentum(net, None) as norms:
        for norm in norms:
            norm.reset_running_stats()
        for start in range(0, count - count % _BATCH or count, _BATCH):
            net(torch.from_numpy(split.frames[start : start + _BATCH].copy()))
    net.eval()


def _moments(
    network: Network, split: Split
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the mean of every convolution's sums and of their squares, by channel."""
    plain = FloatNet(network, batch_norm=False).eval()
    layers = [x for x in network.compute_layers if not isinstance(x, Linear)]
    means = {x.name: torch.zeros(x.ofm.channels, dtype=torch.double) for x in layers}
    squares = {name: value.clone() for name, value in means.items()}
    count = min(len(split), MOST_FRAMES)

    def watched(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def add(module: nn.Module, x: tuple[Tensor, ...], sums: Tensor) -> None:
            own = sums.double()
            means[name] += own.mean((2, 3)).sum(0) / count
            squares[name] += (own**2).mean((2, 3)).sum(0) / count

        return add

    for layer in layers:
        module = plain.compute[module_key(layer.name)]
        module.register_forward_hook(watched(layer.name))
    with torch.no_grad():
        for start in range(0, count, _BATCH):
            plain(
                torch.from_numpy(
                    split.frames[start : min(start + _BATCH, count)].copy()
                )
            )
    return means, squares
