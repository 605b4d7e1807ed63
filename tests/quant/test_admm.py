"""Training towards pruned weights: by hand on one weight, and on a small network."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hao.errors import InputError
from hao.ir.network import Network
from hao.quant.admm import Splitting, train_towards
from hao.quant.normed import normed_net
from hao.quant.saliency import layer_weight
from hao.quant.train import TrainSettings, train_float
from tests.quant.networks import chain, stripes

TRAINING = TrainSettings(epochs=1, learning_rate=3e-3, batch=8, weight_decay=0)
Arrays = Mapping[str, NDArray[np.float64]]


@pytest.fixture(scope="module")
def trained() -> Network:
    settings = TrainSettings(epochs=6, learning_rate=0.02, batch=4)
    return train_float(replace(chain(), params={}), stripes(), settings)


def _half(weights: Arrays) -> dict[str, NDArray[np.bool_]]:
    """Return the larger half of the weights of every layer."""
    return {n: np.abs(w) >= np.median(np.abs(w)) for n, w in weights.items()}


def _names(network: Network) -> list[str]:
    return [layer.name for layer in network.compute_layers]


def test_weights_come_near_what_is_kept_of_them(trained: Network) -> None:
    seen: list[float] = []

    def project(weights: Arrays) -> dict[str, NDArray[np.bool_]]:
        kept = _half(weights)
        lost = sum((w[~kept[n]] ** 2).sum() for n, w in weights.items())
        seen.append(float(lost / sum((w**2).sum() for w in weights.values())))
        return kept

    lost: dict[float, float] = {}
    for penalty in (0.0, 3.0):
        net = normed_net(trained, stripes().train)
        splitting = Splitting(
            rounds=4,
            steps=15,
            training=TRAINING,
            penalties=dict.fromkeys(_names(trained), penalty),
        )
        kept = train_towards(net, stripes().train, splitting, project)
        lost[penalty] = seen[-1]
        for name, stays in kept.items():
            weight = layer_weight(net, name).detach().numpy()
            np.testing.assert_array_equal(weight != 0, stays)
        assert not net.training
    assert len(seen) == 2 * 5
    assert lost[3.0] < 0.5 * lost[0.0]


def test_a_killed_training_goes_on_behind_its_last_round(
    trained: Network, tmp_path: Path
) -> None:
    # What was killed in its third round of four ends as if it had not been.
    name = _names(trained)[0]
    splitting = Splitting(rounds=4, steps=3, training=TRAINING, penalties={name: 3.0})

    def ends(checkpoint: Path | None, least: int = 0) -> tuple[Tensor, int]:
        net, count = normed_net(trained, stripes().train), 0

        def project(weights: Arrays) -> dict[str, NDArray[np.bool_]]:
            nonlocal count
            count += 1
            if count == least:
                raise KeyboardInterrupt
            return _half(weights)

        kept = replace(splitting, checkpoint=checkpoint)
        train_towards(net, stripes().train, kept, project)
        return layer_weight(net, name).detach(), count

    path = tmp_path / "work" / "rounds.pt"
    path.parent.mkdir()
    with pytest.raises(KeyboardInterrupt):
        ends(path, least=3)
    whole, resumed = ends(None), ends(path)
    assert (whole[1], resumed[1]) == (5, 3)  # two rounds and the last projection
    assert torch.equal(whole[0], resumed[0])
    other = replace(splitting, steps=4, checkpoint=path)
    net = normed_net(trained, stripes().train)
    with pytest.raises(InputError, match="checkpoint of another network, data set or"):
        train_towards(net, stripes().train, other, _half)


def test_a_target_is_what_was_kept_less_the_sum_of_what_was_not(
    trained: Network,
) -> None:
    # Learning rates of nothing: W stays, so U grows by what the projections drop, and
    # what is projected is W + U.
    name = _names(trained)[0]
    net = normed_net(trained, stripes().train)
    start = layer_weight(net, name).detach().double().numpy().copy()
    shown: list[NDArray[np.float64]] = []

    def project(weights: Arrays) -> dict[str, NDArray[np.bool_]]:
        shown.append(weights[name])
        return {name: np.arange(start.size).reshape(start.shape) % 2 == 0}

    still = replace(TRAINING, learning_rate=1e-12)
    splitting = Splitting(rounds=3, steps=1, training=still, penalties={name: 1.0})
    train_towards(net, stripes().train, splitting, project)
    even = np.arange(start.size).reshape(start.shape) % 2 == 0
    for times, found in zip((1, 2, 3), shown, strict=False):
        wanted = np.where(even, start, times * start)
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    np.testing.assert_allclose(shown[3], start, rtol=1e-5)
    assert torch.equal(layer_weight(net, name) != 0, torch.from_numpy(even))
