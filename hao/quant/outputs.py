"""What nets say to frames, and how two of them compare."""

import numpy as np
import torch
from numpy.typing import NDArray

from hao.quant.dataset import Frames
from hao.quant.modules import LayerwiseModule, class_scores
from hao.quant.train import EVALUATION_BATCH

Floats = NDArray[np.float64]


def log_probabilities(net: LayerwiseModule, frames: Frames) -> Floats:
    """Return the logarithm of every class's probability, shape (frames, classes).

    Args:
        net: Float or quantized.
        frames: Shape (frames, channels, height, width).
    """
    net.eval()
    parameter = next(net.parameters())
    found: list[Floats] = []
    with torch.no_grad():
        for start in range(0, len(frames), EVALUATION_BATCH):
            batch = torch.from_numpy(frames[start : start + EVALUATION_BATCH].copy())
            raw = net(batch.to(parameter.device, parameter.dtype)).double()
            outputs = class_scores(raw)
            found.append(outputs.log_softmax(1).cpu().numpy())
    return np.concatenate(found)


def divergence(exact: Floats, other: Floats) -> float:
    """Return the mean Kullback-Leibler divergence of `other` from `exact` [nats].

    That is by how much the cross-entropy towards the outputs of the exact net rises.

    Args:
        exact: Logarithms of probabilities, shape (frames, classes).
        other: Likewise.
    """
    return max(0.0, float((np.exp(exact) * (exact - other)).sum(axis=1).mean()))


def cross_entropy(outputs: Floats, labels: NDArray[np.int64]) -> float:
    """Return the mean cross-entropy towards labels [nats].

    Args:
        outputs: Logarithms of probabilities, shape (frames, classes).
        labels: Shape (frames,).
    """
    return -float(outputs[np.arange(len(labels)), labels].mean())
