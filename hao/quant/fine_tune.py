"""Train a changed network on from where it is, towards labels and its teacher.

The parameters have no batch norms any more. Each layer gets one that, on training
frames, gives its outputs the mean and the spread that they have: the same function to
begin with, which then trains as any other.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from hao.ir.network import Network
from hao.quant.dataset import Dataset
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.modules import module_key
from hao.quant.statistics import channel_statistics
from hao.quant.train import (
    Progress,
    TrainSettings,
    check_fit,
    ignore_progress,
    run_epochs,
)

STATISTICS_FRAMES = 256
"""Training frames on which means and spreads are taken (chosen here)."""

FINE_TUNE_SETTINGS = TrainSettings(epochs=20, learning_rate=3e-3, distillation=0.5)
"""What a changed network is trained with (chosen here; LANA takes 100 epochs)."""


def fine_tune(
    network: Network,
    teacher: Network,
    dataset: Dataset,
    settings: TrainSettings = FINE_TUNE_SETTINGS,
    *,
    checkpoint: Path | None = None,
    progress: Progress = ignore_progress,
) -> Network:
    """Return a network trained on, with batch norms folded in again.

    Args:
        network: With float parameters, where training starts.
        teacher: Float network whose outputs are learnt too, as far as settings say.
        dataset: Only its train and validation frames are used.
        settings: How to train.
        checkpoint: Where to keep the state after every epoch, and to resume from.
        progress: Called after every epoch.

    Raises:
        InputError: Data and network do not fit, training diverges, or the checkpoint
            is of another run.
        UnsupportedError: A layer cannot be trained.
    """
    check_fit(network, dataset)
    net = with_identity_norms(network, dataset)
    run_epochs(
        net,
        dataset,
        settings,
        teacher=teacher,
        checkpoint=checkpoint,
        progress=progress,
    )
    return folded_network(net)


def with_identity_norms(network: Network, dataset: Dataset) -> FloatNet:
    """Return a net with batch norms that do nothing on the first training frames."""
    frames = dataset.train.frames[:STATISTICS_FRAMES]
    statistics = channel_statistics(network, np.array(frames))
    net = FloatNet(network, batch_norm=True)
    for layer in network.compute_layers:
        if module_key(layer.name) not in net.norms:
            continue
        norm = net.norms[module_key(layer.name)]
        assert isinstance(norm, nn.BatchNorm2d)
        mean, spread = (torch.from_numpy(part) for part in statistics[layer.name])
        variance = spread.square()
        with torch.no_grad():
            norm.get_parameter("weight").copy_((variance + norm.eps).sqrt())
            norm.get_parameter("bias").copy_(mean)
            norm.get_buffer("running_mean").copy_(mean)
            norm.get_buffer("running_var").copy_(variance)
    return net
