"""How much the loss depends on channels and words: Taylor scores, and masks.

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
from hao.quant.modules import choose_device, class_scores, module_key
from hao.quant.normed import momentum
from hao.quant.train import Steps, TrainSettings

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
        settings: Learning rate, batch and seed.
        steps: Of training, at least 1.
        first: Number of the first step: which batches come.
        teacher: Whose outputs count beside the labels, if any.
        progress: Told now and then.
    """
    totals = {group.name: np.zeros(group.channels) for group in groups}
    training = Steps(net, split, settings, first=first, teacher=teacher)
    for step, loss in enumerate(training.take(steps)):
        for group in groups:
            totals[group.name] += _scores(net, group) / steps
        if (step + 1) % 50 == 0:
            progress(f"saliency: step {step + 1} of {steps}, loss {loss:.3f}")
    net.eval().cpu()
    return totals


def layer_weight(net: FloatNet, name: str) -> nn.Parameter:
    """Return the weights of a layer of a net."""
    return net.compute[module_key(name)].get_parameter("weight")


def _scores(net: FloatNet, group: ChannelGroup) -> NDArray[np.float64]:
    """Return the magnitude of the first-order change of the loss, by channel."""
    total = torch.zeros(group.channels)
    for name in (*group.makers, *group.passing):
        module = _behind(net, name)
        # A batch norm has one weight a channel, a layer without one has several.
        weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
        own = _change(weight).reshape(len(weight), -1).sum(1) + _change(bias)
        total += own.cpu()
    scores: NDArray[np.float64] = total.abs().double().numpy()
    return scores


def _change(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.detach() * parameter.grad


Kept = Mapping[str, Sequence[int]]

Gone = Sequence[tuple[nn.Parameter, NDArray[np.bool_]]]
"""Parameters, and what of each does not stay."""


@dataclass(frozen=True, slots=True)
class NetOutputs:
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
) -> list[NetOutputs]:
    """Return what a net does with channels set to zero, choice by choice.

    Args:
        net: With batch norms; it is left as it was.
        split: Measured on its first frames, `MEASURED_FRAMES` at most.
        groups: Of all choices.
        choices: Channels that stay, by group.
        teacher: Whose classes stand for labels where these mean nothing.
    """
    changes = [
        [
            (parameter, _gone(group, kept))
            for group in groups
            if group.name in kept
            for name in (*group.makers, *group.passing)
            for parameter in _behind(net, name).parameters()
        ]
        for kept in choices
    ]
    return _losses(net, split, changes, teacher)


def _gone(group: ChannelGroup, kept: Kept) -> NDArray[np.bool_]:
    """Return which channels of a group do not stay."""
    return ~np.isin(np.arange(group.channels), kept[group.name])


def _behind(net: FloatNet, name: str) -> nn.Module:
    """Return the batch norm behind a layer, or the layer where there is none."""
    key = module_key(name)
    return net.norms[key] if key in net.norms else net.compute[key]


def pruned_losses(
    net: FloatNet,
    split: Split,
    choices: Sequence[Mapping[str, NDArray[np.bool_]]],
    *,
    teacher: Teacher | None = None,
) -> list[NetOutputs]:
    """Return what a net does with some weights set to zero, choice by choice.

    Args:
        net: With batch norms; it is left as it was.
        split: Measured on its first frames, `MEASURED_FRAMES` at most.
        choices: Which weights stay, by layer.
        teacher: Whose classes stand for labels where these mean nothing.
    """
    changes = [
        [(layer_weight(net, name), ~stays) for name, stays in kept.items()]
        for kept in choices
    ]
    return _losses(net, split, changes, teacher)


def _losses(
    net: FloatNet,
    split: Split,
    changes: Sequence[Gone],
    teacher: Teacher | None,
) -> list[NetOutputs]:
    """Return what a net does without some of its parameters, change by change."""
    device = choose_device()
    net.to(device).train()
    count = min(len(split), MEASURED_FRAMES)
    frames = torch.from_numpy(split.frames[:count].copy()).to(device)
    labels = torch.from_numpy(split.labels[:count].copy()).to(device)
    # Statistics of the batch count, and are not kept.
    with torch.no_grad(), momentum(net, 0.0):
        if teacher is not None and not teacher.labels:
            labels = class_scores(teacher.net(frames)).argmax(1)
        found = []
        for change in changes:
            with _zeroed(change):
                found.append(_measured(net, frames, labels))
    net.eval().cpu()
    return found


def _measured(net: FloatNet, frames: Tensor, labels: Tensor) -> NetOutputs:
    loss, right = 0.0, 0
    for start in range(0, len(frames), _BATCH):
        part = slice(start, start + _BATCH)
        outputs = class_scores(net(frames[part]))
        loss += float(
            nn.functional.cross_entropy(outputs, labels[part], reduction="sum")
        )
        right += int((outputs.argmax(1) == labels[part]).sum())
    return NetOutputs(loss / len(frames), 100 * right / len(frames))


@contextmanager
def _zeroed(gone: Gone) -> Iterator[None]:
    """Set what does not stay of parameters to zero for a while."""
    saved = [(part.data, part.data.clone()) for part, _ in gone]
    for part, which in gone:
        part.data[torch.from_numpy(which).to(part.device)] = 0
    try:
        yield
    finally:
        for values, before in saved:
            values.copy_(before)
