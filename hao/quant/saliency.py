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
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hao.ir.channels import ChannelGroup
from hao.quant.dataset import Split
from hao.quant.distill import Teacher
from hao.quant.float_net import FloatNet
from hao.quant.modules import choose_device, class_scores, module_key
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


class Steps:
    """Training of a net, step by step, in place.

    Args:
        net: What is trained.
        split: What it is trained on.
        settings: Learning rate, batch, seed and labels' smoothing.
        first: Number of the first step: which batches come.
        teacher: Whose outputs count beside the labels, if any.
        penalty: What is added to the loss, if anything.
    """

    def __init__(
        self,
        net: FloatNet,
        split: Split,
        settings: TrainSettings,
        *,
        first: int = 0,
        teacher: Teacher | None = None,
        penalty: Callable[[], Tensor] | None = None,
    ) -> None:
        self._net, self._split, self._settings = net, split, settings
        self._teacher, self._penalty = teacher, penalty
        self._device = choose_device()
        net.to(self._device).train()
        self._optimizer = torch.optim.AdamW(
            net.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self._batches = _batches(split, settings, first)

    def state(self) -> dict[str, object]:
        """Return what the next step goes on from, but for the frames."""
        return {
            "net": self._net.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._net.load_state_dict(state["net"])
        self._optimizer.load_state_dict(dict(state["optimizer"]))

    def take(self, steps: int) -> Iterator[float]:
        """Train on, and yield each step's loss where its gradients are at hand."""
        self._net.train()
        for _ in range(steps):
            chosen = next(self._batches)
            frames = torch.from_numpy(self._split.frames[chosen]).to(self._device)
            labels = torch.from_numpy(self._split.labels[chosen]).to(self._device)
            loss = loss_of(self._net, frames, labels, self._settings, self._teacher)
            if self._penalty is not None:
                loss = loss + self._penalty()
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch has it untyped
            yield float(loss.detach())
            self._optimizer.step()


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
    changes = [_masked(net, groups, kept) for kept in choices]
    return _losses(net, split, changes, teacher)


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
    changes = [_zeroed(net, kept) for kept in choices]
    return _losses(net, split, changes, teacher)


def _losses(
    net: FloatNet,
    split: Split,
    changes: Sequence[AbstractContextManager[None]],
    teacher: Teacher | None,
) -> list[NetOutputs]:
    """Return what a net does under changes, one after another."""
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
            labels = class_scores(teacher.net(frames)).argmax(1)
        found = []
        for change in changes:
            with change:
                found.append(_measured(net, frames, labels))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
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


@contextmanager
def _zeroed(net: FloatNet, kept: Mapping[str, NDArray[np.bool_]]) -> Iterator[None]:
    """Set the weights that do not stay to zero for a while."""
    saved: list[tuple[Tensor, Tensor]] = []
    for name, stays in kept.items():
        weight = layer_weight(net, name)
        saved.append((weight.data, weight.data.clone()))
        weight.data[torch.from_numpy(~stays).to(weight.device)] = 0
    try:
        yield
    finally:
        for values, before in saved:
            values.copy_(before)
