"""How much the loss depends on every channel: Taylor scores, and masks that test them.

Source: HALP (Shen et al., arXiv:2110.10811, as described by its authors' code): the
score of a channel is |gamma * dL/dgamma + beta * dL/dbeta| with the scale and shift of
its batch norm, summed over the layers that are tied before the magnitude is taken, and
averaged over steps of training. That is the first-order change of the loss where the
channel is set to zero. A linear layer, which has no batch norm, has |sum of w * dL/dw|
over a channel's weights and bias instead, the same change.

How far scores are off says `masked_losses`: the loss with channels really set to zero,
and every batch norm on the statistics of the frames at hand, as training would leave
it (LANA, arXiv:2107.10624, section 3.2).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hao.ir.channels import ChannelGroup
from hao.quant.dataset import Split
from hao.quant.distill import Teacher
from hao.quant.float_net import FloatNet
from hao.quant.modules import choose_device, module_key
from hao.quant.train import TrainSettings, loss_of

Scores = Mapping[str, NDArray[np.float64]]
"""Score of every channel, by group."""

MEASURED_FRAMES = 1024
"""Most frames that a loss is measured on (chosen here)."""

_BATCH = 256


def taylor_scores(
    net: FloatNet,
    split: Split,
    groups: Sequence[ChannelGroup],
    settings: TrainSettings,
    *,
    steps: int,
    first: int = 0,
    teacher: Teacher | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Scores:
    """Train a net for some steps, in place, and return its channels' mean scores.

    Args:
        net: With batch norms.
        split: What it is trained on.
        groups: Whose channels are scored.
        settings: Learning rate, batch, seed and labels' smoothing.
        steps: Of training, at least 1.
        first: Number of the first step: which batches come.
        teacher: Whose outputs count beside the labels, if any.
        progress: Told now and then.
    """
    device = choose_device()
    net.to(device).train()
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    totals = {group.name: np.zeros(group.channels) for group in groups}
    batches = _batches(split, settings, first)
    for step in range(steps):
        chosen = next(batches)
        frames = torch.from_numpy(split.frames[chosen]).to(device)
        labels = torch.from_numpy(split.labels[chosen]).to(device)
        loss = loss_of(net, frames, labels, settings, teacher)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch has it untyped
        for group in groups:
            totals[group.name] += _scores(net, group) / steps
        optimizer.step()
        if (step + 1) % 50 == 0:
            progress(
                f"saliency: step {step + 1} of {steps}, loss {float(loss.detach()):.3f}"
            )
    net.eval().cpu()
    return totals


def _batches(
    split: Split, settings: TrainSettings, first: int
) -> Iterator[NDArray[np.intp]]:
    """Yield batches of frames, epoch after epoch, from some batch on."""
    size = min(settings.batch, len(split))
    each = max(1, len(split) // size)
    number = first
    while True:
        epoch, place = divmod(number, each)
        order = np.random.default_rng((settings.seed, epoch)).permutation(len(split))
        yield order[place * size : (place + 1) * size]
        number += 1


def _scores(net: FloatNet, group: ChannelGroup) -> NDArray[np.float64]:
    """Return the magnitude of the first-order change of the loss, by channel."""
    total = torch.zeros(group.channels)
    for name in (*group.makers, *group.passing):
        key = module_key(name)
        if key in net.norms:
            norm = net.norms[key]
            assert isinstance(norm, nn.BatchNorm2d)
            own = _change(norm.weight) + _change(norm.bias)
        else:
            module = net.compute[key]
            assert isinstance(module, nn.Linear | nn.Conv2d)
            assert module.bias is not None
            own = _change(module.weight).flatten(1).sum(1) + _change(module.bias)
        total += own.cpu()
    scores: NDArray[np.float64] = total.abs().double().numpy()
    return scores


def _change(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.detach() * parameter.grad


Kept = Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a net does on some frames.

    Attributes:
        loss: Mean cross entropy; from the teacher's classes where there are no labels.
        top1: Share of the frames that it classifies as labelled [percent].
    """

    loss: float
    top1: float


def masked_losses(
    net: FloatNet,
    split: Split,
    groups: Sequence[ChannelGroup],
    choices: Sequence[Kept],
    *,
    teacher: Teacher | None = None,
) -> list[Measured]:
    """Return what a net does with channels set to zero, choice by choice.

    Args:
        net: With batch norms; it is left as it was.
        split: Measured on its first frames, `MEASURED_FRAMES` at most.
        groups: Of all choices.
        choices: Channels that stay, by group.
        teacher: Whose classes stand for labels where these mean nothing.
    """
    device = choose_device()
    net.to(device).train()
    norms = [norm for norm in net.norms.values() if isinstance(norm, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # statistics of the batch count, and are not kept
    count = min(len(split), MEASURED_FRAMES)
    frames = torch.from_numpy(split.frames[:count].copy()).to(device)
    labels = torch.from_numpy(split.labels[:count].copy()).to(device)
    with torch.no_grad():
        if teacher is not None and not teacher.labels:
            labels = teacher.net(frames).argmax(1)
        found = []
        for kept in choices:
            with _masked(net, groups, kept):
                found.append(_measured(net, frames, labels))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    net.eval().cpu()
    return found


def _measured(net: FloatNet, frames: Tensor, labels: Tensor) -> Measured:
    loss, right = 0.0, 0
    for start in range(0, len(frames), _BATCH):
        part = slice(start, start + _BATCH)
        outputs = net(frames[part])
        loss += float(
            nn.functional.cross_entropy(outputs, labels[part], reduction="sum")
        )
        right += int((outputs.argmax(1) == labels[part]).sum())
    return Measured(loss / len(frames), 100 * right / len(frames))


@contextmanager
def _masked(
    net: FloatNet, groups: Sequence[ChannelGroup], kept: Kept
) -> Iterator[None]:
    """Set the channels that do not stay to zero for a while."""
    saved: list[tuple[Tensor, Tensor]] = []
    for group in groups:
        if group.name not in kept:
            continue
        gone = np.setdiff1d(np.arange(group.channels), np.asarray(kept[group.name]))
        for name in (*group.makers, *group.passing):
            key = module_key(name)
            module = net.norms[key] if key in net.norms else net.compute[key]
            for parameter in module.parameters():
                saved.append((parameter.data, parameter.data.clone()))
                parameter.data[torch.from_numpy(gone).to(parameter.device)] = 0
    try:
        yield
    finally:
        for values, before in saved:
            values.copy_(before)
