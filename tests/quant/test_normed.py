"""Batch norms that are put back: they change nothing, in evaluation and in training."""

import numpy as np
import torch
from torch import nn

from hao.quant.dataset import Split
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.normed import normed_net, settle_norms
from tests.quant.networks import every_kind


def _split(count: int) -> Split:
    frames = np.random.default_rng(0).normal(size=(count, 2, 11, 11))
    labels = np.zeros(count, dtype=np.int64)
    return Split(frames=frames.astype(np.float32), labels=labels)


def test_norms_put_back_change_nothing() -> None:
    network, split = every_kind(), _split(40)
    plain = FloatNet(network, batch_norm=False).eval()
    normed = normed_net(network, split)
    assert len(normed.norms) == 3
    assert isinstance(split.frames, np.ndarray)
    frames = torch.from_numpy(split.frames.copy())
    with torch.no_grad():
        wanted = plain(frames)
        assert torch.allclose(normed(frames), wanted, atol=1e-4)
        # With the statistics of the very frames that gave them, training starts there.
        assert torch.allclose(normed.train()(frames), wanted, atol=1e-2)
    for norm in normed.norms.values():
        assert isinstance(norm, nn.BatchNorm2d)
        assert float(norm.weight.detach().min()) > 0


def test_folding_undoes_what_was_put_back() -> None:
    network = every_kind()
    again = folded_network(normed_net(network, _split(40)))
    for layer in network.compute_layers:
        key = f"{layer.name}.weight"
        assert np.allclose(again.params[key], network.params[key], atol=1e-5)


def test_norms_settle_on_weights_that_changed_at_a_stroke() -> None:
    split = _split(300)
    net = normed_net(every_kind(), split)
    assert isinstance(split.frames, np.ndarray)
    first = next(iter(net.norms))
    weight = net.compute[first].get_parameter("weight")
    with torch.no_grad():
        weight.mul_(3)
        settle_norms(net, split)
        sums = net.compute[first](torch.from_numpy(split.frames[:256].copy()))
    norm = net.norms[first]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert torch.allclose(norm.running_mean, sums.mean((0, 2, 3)), atol=1e-4)
    assert norm.momentum == 0.1
    assert not net.training
