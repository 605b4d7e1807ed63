"""Blocks with their operations, and networks put together of them."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from hao.distillation.distill import Distilled, teacher_maps
from hao.distillation.pool import Place, alone, assembled, behind, own_params, places_of
from hao.errors import InputError
from hao.ir.network import Network
from hao.quant.float_net import FloatNet
from tests.distillation.instances import dataset, network, pool


def test_blocks_come_with_the_operations_that_fit() -> None:
    # Layers: l1 stem, l2+l3 residual, l4 stride 2, l5 before the pool, which keeps it.
    found = [
        (p.block.name, sorted(p.operations), p.identity)
        for p in places_of(network(), pool())
    ]
    assert found == [
        ("l3", ["conv1", "conv3", "separable_k3"], True),
        ("l4.block", ["conv1", "separable_k3"], False),
    ]


def test_a_pool_without_anything_that_fits_is_refused() -> None:
    with pytest.raises(InputError, match="no block that an operation of the pool"):
        places_of(network(), (), identity=False)


def test_blocks_may_be_left_out_without_any_pool() -> None:
    (place,) = places_of(network(), ())
    assert (place.block.name, dict(place.operations), place.identity) == (
        "l3",
        {},
        True,
    )


def test_what_stands_behind_a_block_makes_the_same_outputs(trained: Network) -> None:
    net = FloatNet(trained, batch_norm=False).eval()
    frames = torch.from_numpy(np.array(dataset().test.frames[:]))
    entry = teacher_maps(net, frames, {"l3"})["l3"]
    rest = behind(trained, "l3")
    assert rest is not None
    with torch.no_grad():
        outputs = FloatNet(rest, batch_norm=False).eval()(entry)
        assert torch.equal(outputs, net(frames))
    assert behind(trained, trained.output.name) is None


def test_an_assembled_network_runs_operations_with_their_own_parameters(
    trained: Network, places: tuple[Place, ...], distilled: Distilled
) -> None:
    place = places[0]
    layers = place.operations["separable_k3"]
    changed = assembled(trained, {place.block: layers}, distilled.params)
    net = FloatNet(trained, batch_norm=False).eval()
    frames = torch.from_numpy(np.array(dataset().test.frames[:]))
    entry = teacher_maps(net, frames, {place.block.entry})[place.block.entry]
    own = replace(alone(layers), params=own_params(distilled.params, layers))
    rest = behind(trained, place.block.result)
    assert rest is not None
    with torch.no_grad():
        made = FloatNet(own, batch_norm=False).eval().visit(entry, lambda a, b: None)
        expected = FloatNet(rest, batch_norm=False).eval()(made)
        found = FloatNet(changed, batch_norm=False).eval()(frames)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_parameters_that_are_missing_are_named(
    trained: Network, places: tuple[Place, ...]
) -> None:
    chosen = {places[0].block: places[0].operations["conv1"]}
    with pytest.raises(InputError, match=re.escape("'l3.conv1.1.weight' is missing")):
        assembled(trained, chosen, {})
