"""What nets say to frames, and how two of them compare."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hao.errors import InputError
from hao.quant.counted import Counted, batch_size, uncounted
from hao.quant.dataset import Frames, Split
from hao.quant.modules import LayerwiseModule, class_scores

Floats = NDArray[np.float64]

EVALUATION_BATCH = 256
"""Frames evaluated at a time, at most."""

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
    scores = _of_scores(net, frames, lambda s: s.double().log_softmax(1), uncounted)
    found: Floats = scores.numpy()
    return found


def classes_of_net(
    net: LayerwiseModule, split: Split, counted: Counted = uncounted
) -> NDArray[np.int64]:
    """Return the class that a net gives every frame, shape (frames,)."""
    found = _of_scores(net, split.frames, lambda s: s.argmax(1), counted)
    classes: NDArray[np.int64] = found.numpy()
    return classes


def _of_scores(
    net: LayerwiseModule,
    frames: Frames,
    of: Callable[[Tensor], Tensor],
    counted: Counted,
) -> Tensor:
    """Return what is asked of the class scores of all frames, a batch at a time.

    Raises:
        InputError: They are no numbers.
    """
    net.eval()
    parameter = next(net.parameters())
    size = batch_size(net.network, EVALUATION_BATCH)
    found: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(frames), size):
            batch = torch.from_numpy(frames[start : start + size].copy())
            scores = class_scores(net(batch.to(parameter.device, parameter.dtype)))
            if not torch.isfinite(scores).all():
                raise InputError(
                    f"network {net.network.name!r}: outputs of frames {start + 1} to "
                    f"{start + len(batch)} of {len(frames)} overflow single precision "
                    "(3.4e38); its weights or the frames are too large, scale them down"
                )
            found.append(of(scores).cpu())
            counted(start + len(batch), len(frames))
    return torch.cat(found)


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
