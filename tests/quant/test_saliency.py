"""Scores of channels against finite differences; masks against channels taken out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hao.ir.channels import channel_groups, without_channels
from hao.ir.interpret import run_float
from hao.quant.dataset import Split
from hao.quant.distill import Teacher, teacher_of
from hao.quant.float_net import FloatNet
from hao.quant.modules import module_key
from hao.quant.normed import normed_net
from hao.quant.saliency import (
    masked_losses,
    pruned_losses,
    taylor_scores,
)
from hao.quant.train import TrainSettings, accuracy_of_net, train_float, tune_float
from tests.quant.networks import chain, every_kind, frames_for, stripes

ONE_BATCH = TrainSettings(epochs=1, learning_rate=1e-9, batch=24, weight_decay=0)


def _split() -> Split:
    network = every_kind()
    frames = frames_for(network, 24)
    return Split(frames=frames, labels=np.arange(24) % 3)


def _loss(net: FloatNet, split: Split) -> float:
    assert isinstance(split.frames, np.ndarray)
    with torch.no_grad():
        outputs = net(torch.from_numpy(split.frames.copy()))
        labels = torch.from_numpy(split.labels.copy())
        return float(nn.functional.cross_entropy(outputs, labels))


def test_scores_are_the_first_order_change_of_the_loss() -> None:
    network, split = every_kind(), _split()
    groups = [g for g in channel_groups(network) if not g.fixed]
    net = normed_net(network, split)
    scores = taylor_scores(net, split, groups, ONE_BATCH, steps=1)
    net = normed_net(network, split).double().train()
    frames = torch.from_numpy(split.frames[:].copy()).double()
    for group in groups:
        for channel in range(group.channels):
            change = sum(
                _change(net, name, channel, frames, split)
                for name in (*group.makers, *group.passing)
            )
            # Scores come from single precision.
            assert scores[group.name][channel] == pytest.approx(abs(change), abs=2e-4)


def _change(
    net: FloatNet, name: str, channel: int, frames: torch.Tensor, split: Split
) -> float:
    """Return the rise of the loss per share by which a layer's channel grows."""
    key, step, losses = module_key(name), 1e-4, []
    module = net.norms[key] if key in net.norms else net.compute[key]
    labels = torch.from_numpy(split.labels.copy())
    for share in (1 + step, 1 - step):
        saved = [p.data.clone() for p in module.parameters()]
        for parameter in module.parameters():
            parameter.data[channel] *= share
        with torch.no_grad():
            losses.append(float(nn.functional.cross_entropy(net(frames), labels)))
        for parameter, before in zip(module.parameters(), saved, strict=True):
            parameter.data.copy_(before)
    return (losses[0] - losses[1]) / (2 * step)


def test_masks_do_what_taking_channels_out_does_and_leave_the_net_as_it_was() -> None:
    network, split = every_kind(), _split()
    groups = [g for g in channel_groups(network) if not g.fixed]
    net = FloatNet(network, batch_norm=False)
    before = _loss(net, split)
    kept = {groups[0].name: (0, 2, 3), groups[-1].name: (1, 4)}
    whole, masked = masked_losses(net, split, groups, [{}, kept])
    assert whole.loss == pytest.approx(before, rel=1e-5)
    assert _loss(net, split) == before
    assert isinstance(split.frames, np.ndarray)
    outputs = run_float(without_channels(network, kept), split.frames.astype(float))
    logits = torch.from_numpy(outputs.reshape(24, -1))
    labels = torch.from_numpy(split.labels.copy())
    wanted = float(nn.functional.cross_entropy(logits, labels))
    assert masked.loss == pytest.approx(wanted, rel=1e-4)
    right = 100 * float((logits.argmax(1) == labels).double().mean())
    assert masked.top1 == pytest.approx(right)


def test_without_labels_the_teachers_classes_stand_for_them() -> None:
    network, split = every_kind(), _split()
    groups = [g for g in channel_groups(network) if not g.fixed]
    teacher = teacher_of(network, labels=False)
    net = FloatNet(network, batch_norm=False)
    (whole,) = masked_losses(net, split, groups, [{}], teacher=teacher)
    assert whole.top1 == 100


def test_a_student_that_says_what_its_teacher_does_has_no_distance() -> None:
    network, split = every_kind(), _split()
    frames = torch.from_numpy(split.frames[:].copy())
    teacher = teacher_of(network)
    outputs = teacher.net(frames)
    loss = torch.tensor(2.0)
    assert float(teacher.blended(loss, outputs, frames)) == pytest.approx(0.6)
    blind = Teacher(net=teacher.net, labels=False)
    assert float(blind.blended(loss, outputs, frames)) == pytest.approx(0, abs=1e-5)
    assert float(blind.blended(loss, outputs * 0, frames)) > 0.01


def test_training_with_a_teacher_alone_comes_to_its_classes() -> None:
    dataset = stripes()
    settings = TrainSettings(epochs=12, learning_rate=0.03, batch=4)
    whole = train_float(chain(), dataset, settings)
    net = FloatNet(whole, batch_norm=False)
    assert accuracy_of_net(net, dataset.test) == 1
    narrow = without_channels(whole, {"stem.channels": (0, 1, 3)})
    teacher = teacher_of(whole, labels=False)
    tuned = tune_float(narrow, dataset, settings, teacher=teacher)
    assert accuracy_of_net(FloatNet(tuned, batch_norm=False), dataset.test) > 0.8


def test_weights_set_to_zero_for_a_while_come_back() -> None:
    network, split = every_kind(), _split()
    net = FloatNet(network, batch_norm=False)
    before, name = _loss(net, split), "b.project"
    kept = np.arange(36).reshape(6, 6, 1, 1) % 2 == 0
    whole, pruned = pruned_losses(net, split, [{}, {name: kept}])
    assert whole.loss == pytest.approx(before, rel=1e-5)
    assert _loss(net, split) == before
    params = dict(network.params)
    params[f"{name}.weight"] = params[f"{name}.weight"] * kept
    zeroed = FloatNet(replace(network, params=params), batch_norm=False)
    assert pruned.loss == pytest.approx(_loss(zeroed, split), rel=1e-5)
    assert pruned.loss != whole.loss
