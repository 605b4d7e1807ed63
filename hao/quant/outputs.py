"""What nets say to frames, and how two of them compare."""

import numpy as np
import torch
from numpy.typing import NDArray

from hao.quant.dataset import Frames
from hao.quant.modules import LayerwiseModule, class_scores
from hao.quant.train import EVALUATION_BATCH

Floats = NDArray[np.float64]

DEVIATIONS = 2
"""Standard deviations of the count of lucky guesses that are still counted as luck."""


def guess_note(
    name: str, classes: NDArray[np.int64], labels: NDArray[np.int64] | None
) -> str:
    """Return that a float network does no better than a guess; empty where it does.

    The guess is always the most frequent label. Frames of one label say nothing.

    Args:
        name: Of the network.
        classes: Which it gives the frames, shape (frames,).
        labels: Theirs, shape (frames,); `None` if unknown.
    """
    count = len(classes)
    why = "are the weights its own, and the frames prepared as in its training?"
    if labels is not None and np.ptp(labels) > 0:
        chance = np.bincount(labels).max() / count
        luck = DEVIATIONS * np.sqrt(count * chance * (1 - chance))
        right = int(np.sum(classes == labels))
        if right <= count * chance + luck:
            return (
                f"network {name!r}: its float top-1 is {100 * right / count:.2f} % on "
                f"{count} frames, no better than a guess ({100 * chance:.2f} % have "
                f"the most frequent label); {why}"
            )
    if labels is None and np.ptp(classes) == 0 and count > 1:
        return (
            f"network {name!r}: its float outputs give all {count} frames class "
            f"{classes[0]}; {why}"
        )
    return ""


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
