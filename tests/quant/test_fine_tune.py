"""Fine-tuning: batch norms that do nothing at first, and learning from a teacher."""

from dataclasses import replace

import numpy as np
import torch

from hao.quant.fine_tune import fine_tune, with_identity_norms
from hao.quant.float_net import FloatNet, folded_network
from hao.quant.train import TrainSettings, train_float
from tests.replace.instances import dataset, network

SETTINGS = TrainSettings(epochs=3, learning_rate=0.01, batch=16, distillation=0.5)


def test_norms_do_nothing_before_training() -> None:
    data = dataset()
    trained = train_float(network(), data, replace(SETTINGS, distillation=0.0))
    net = with_identity_norms(trained, data).eval()
    frames = torch.from_numpy(np.array(data.test.frames[:]))
    with torch.no_grad():
        expected = FloatNet(trained, batch_norm=False).eval()(frames)
        np.testing.assert_allclose(net(frames), expected, atol=1e-4)
    folded = folded_network(net)
    for key, array in trained.params.items():
        found = folded.params[key].astype(np.float64)
        np.testing.assert_allclose(found, array.astype(np.float64), atol=1e-4)


def test_a_network_comes_nearer_to_its_teacher() -> None:
    data = dataset()
    teacher = train_float(network(), data, replace(SETTINGS, epochs=6))
    start = train_float(network(), data, replace(SETTINGS, epochs=1, seed=3))
    frames = torch.from_numpy(np.array(data.test.frames[:]))
    taught = fine_tune(start, teacher, data, replace(SETTINGS, distillation=1.0))
    with torch.no_grad():
        wanted, before, after = (
            FloatNet(each, batch_norm=False).eval()(frames).softmax(1)
            for each in (teacher, start, taught)
        )
    assert (after - wanted).abs().mean() < 0.5 * (before - wanted).abs().mean()
