"""Fewer channels: groups, shapes, and outputs equal to those of channels set to 0."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.change import Channels
from hao.ir.channels import channel_groups, narrowed_run, without_channels
from hao.ir.interpret import run_float
from hao.ir.layer import Conv, Depthwise, Linear
from hao.ir.network import Network
from hao.ir.partition import partition
from hao.ir.tensor import QType
from hao.zoo import build_network
from tests.quant.networks import every_kind


def _with_integers(network: Network, seed: int) -> Network:
    """Return a network whose parameters are small integers: sums are exact."""
    rng = np.random.default_rng(seed)
    params: dict[str, NDArray[np.generic]] = {}
    for layer in network.compute_layers:
        shape: tuple[int, ...] = (layer.ofm.channels, layer.ifm.elements)
        if not isinstance(layer, Linear):
            depth = 1 if isinstance(layer, Depthwise) else layer.ifm.channels
            shape = (layer.ofm.channels, depth, layer.kernel, layer.kernel)
        params[f"{layer.name}.weight"] = rng.integers(-2, 3, shape).astype(float)
        params[f"{layer.name}.bias"] = rng.integers(-3, 4, shape[:1]).astype(float)
    layers = tuple(
        replace(x, bias=True) if isinstance(x, Conv | Depthwise | Linear) else x
        for x in network.layers
    )
    return Network(name=network.name, layers=layers, params=MappingProxyType(params))


def _masked(network: Network, gone: dict[str, list[int]]) -> Network:
    """Return the network with rows of weights and biases of some channels set to 0."""
    params = {key: np.array(value) for key, value in network.params.items()}
    for group in channel_groups(network):
        for layer in (*group.makers, *group.passing):
            for word in ("weight", "bias"):
                params[f"{layer}.{word}"][gone.get(group.name, [])] = 0
    return replace(network, params=MappingProxyType(params))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["every_kind", "digits", "resnet8_cifar"])
def test_fewer_channels_compute_what_zeros_in_their_place_do(
    name: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bare = every_kind() if name == "every_kind" else build_network(name)
    network = _with_integers(bare, seed)
    kept, gone = {}, {}
    for group in channel_groups(network):
        if not group.fixed:
            count = int(rng.integers(1, group.channels + 1))
            chosen = rng.choice(group.channels, count, replace=False)
            kept[group.name] = sorted(chosen.tolist())
            gone[group.name] = sorted(set(range(group.channels)) - set(chosen.tolist()))
    assert kept
    narrow = without_channels(network, kept)
    shape = network.input.ofm
    size = (2, shape.channels, shape.height, shape.width)
    frames = rng.integers(-2, 3, size).astype(float)
    assert np.array_equal(
        run_float(narrow, frames), run_float(_masked(network, gone), frames)
    )
    for group in channel_groups(network):
        most = len(kept.get(group.name, range(group.channels)))
        shapes = {x.ofm.channels for x in narrow.layers if x.name in group.members}
        assert shapes == {most}


def test_residual_adds_tie_groups_and_depthwise_layers_pass_channels_on() -> None:
    groups = {group.name: group for group in channel_groups(build_network("digits"))}
    trunk = groups["stem.channels"]
    assert trunk.channels == 16
    assert trunk.makers == ("stem", "block1.project")
    assert set(trunk.readers) == {"block1.expand", "block2.expand"}
    inner = groups["block1.expand.channels"]
    assert (inner.makers, inner.passing) == (("block1.expand",), ("block1.depthwise",))
    assert inner.readers == ("block1.project",)
    assert not trunk.fixed
    assert not inner.fixed
    last = channel_groups(build_network("digits"))[-1]
    assert last.fixed == "the network's outputs"


def test_what_cannot_be_narrower_says_why() -> None:
    network = build_network("digits")
    fixed = channel_groups(network)[-1].name
    with pytest.raises(InputError, match="keeps its channels: the network's outputs"):
        without_channels(network, {fixed: [0, 1]})
    with pytest.raises(
        InputError, match=r"has no group of channels 'x'; must be one of stem"
    ):
        without_channels(network, {"x": [0]})
    for wrong in ([], [1, 1], [3, 2], [-1, 2], [16]):
        with pytest.raises(
            InputError, match=r"must be ascending, at least one, from 0"
        ):
            without_channels(network, {"stem.channels": wrong})
    quantized = tuple(
        replace(x, weight=QType(bits=8, signed=True))
        if isinstance(x, Conv) and x.name == "block1.expand"
        else x
        for x in network.layers
    )
    found = channel_groups(replace(network, layers=quantized))
    assert "'block1.expand' are quantized in the file" in found[0].fixed


def test_a_narrower_run_is_that_of_the_narrower_network() -> None:
    network = build_network("digits")
    kept = {"stem.channels": range(5), "block1.expand.channels": range(3)}
    groups = {group.name: group for group in channel_groups(network)}
    counts = {m: len(k) for name, k in kept.items() for m in groups[name].members}
    whole, narrow = (partition(x) for x in (network, without_channels(network, kept)))
    assert tuple(s.invocation for s in narrow.segments) == tuple(
        narrowed_run(s.invocation, counts) for s in whole.segments
    )


@pytest.mark.parametrize("kept", [(0,), (0, 1, 2), (3, 5, 6, 7, 9), (1, 3)])
def test_channels_and_their_text_are_the_same(kept: tuple[int, ...]) -> None:
    assert Channels.of_text(str(Channels(kept))) == Channels(kept)


def test_channels_in_text_are_ranges() -> None:
    assert str(Channels((0, 1, 2, 5, 7, 8))) == "0-2,5,7-8"
    with pytest.raises(InputError, match="must be ascending from 0, at least one"):
        Channels((2, 1))
    with pytest.raises(InputError, match="must be ascending from 0, at least one"):
        Channels(())
    with pytest.raises(InputError, match="must be ranges such as 0-3,5"):
        Channels.of_text("0-,4")
    with pytest.raises(InputError, match="channel 9999999; must be below"):
        Channels.of_text("0-9999999")
