"""Channels that may be taken out of a network, and the network without them.

Layers that have to keep the same channels form a *group*: the convolutions and linear
layers that make a map, and whatever passes its channels on one by one: depthwise
convolutions, pools, and residual adds, which tie the groups of both operands together.
A group that loses channels makes its makers' weights shorter and its readers' rows
shorter; nothing else of the network changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.layer import (
    Activation,
    Add,
    Affine,
    Compute,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Pool,
    Quantize,
)
from hao.ir.network import Network
from hao.ir.partition import DenseLayer, DepthwiseLayer, Invocation
from hao.ir.tensor import Shape

Kept = Mapping[str, Sequence[int]]
"""Channels that stay, ascending, by group; groups left out keep all."""

GROUP_SUFFIX = ".channels"
"""What the name of a group adds to that of its first maker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGroup:
    """Layers that keep the same channels.

    Attributes:
        name: Of its first maker, and `GROUP_SUFFIX`.
        channels: How many there are.
        makers: Layers whose output channels they are, in order.
        passing: Depthwise convolutions that pass them on.
        readers: Convolutions and linear layers that sum over them.
        members: All layers whose map has them.
        fixed: Why none may be taken out, in words; empty if some may.
    """

    name: str
    channels: int
    makers: tuple[str, ...]
    passing: tuple[str, ...]
    readers: tuple[str, ...]
    members: frozenset[str]
    fixed: str


def channel_groups(network: Network) -> tuple[ChannelGroup, ...]:
    """Return the groups of a network that have makers, in order of these.

    Args:
        network: Layers; parameters are not needed.
    """
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    for layer in network.layers:
        match layer:
            case Input() | Conv() | Linear():
                root[layer.name] = layer.name
            case Add():
                first, second = (find(name) for name in layer.inputs)
                root[second] = first
                root[layer.name] = first
            case (
                Depthwise()
                | Pool()
                | GlobalAveragePool()
                | Affine()
                | Activation()
                | Quantize()
            ):
                root[layer.name] = find(layer.input)
            case _:
                assert_never(layer)
    members: dict[str, list[Layer]] = {}
    for layer in network.layers:
        members.setdefault(find(layer.name), []).append(layer)
    readers: dict[str, list[Layer]] = {}
    for layer in network.layers:
        if isinstance(layer, Conv | Linear):
            readers.setdefault(find(layer.input), []).append(layer)
    groups = [
        _group(network, found, readers.get(name, [])) for name, found in members.items()
    ]
    order = {layer.name: place for place, layer in enumerate(network.layers)}
    made = [group for group in groups if group.makers]
    return tuple(sorted(made, key=lambda group: order[group.makers[0]]))


def _group(
    network: Network, members: Sequence[Layer], readers: Sequence[Layer]
) -> ChannelGroup:
    makers = [layer for layer in members if isinstance(layer, Conv | Linear)]
    passing = [layer for layer in members if isinstance(layer, Depthwise)]
    fixed = ""
    quantized = [
        layer.name
        for layer in (*makers, *passing, *readers)
        if isinstance(layer, Compute) and layer.weight is not None
    ]
    if any(isinstance(layer, Input) for layer in members):
        fixed = "tied to the channels of the frame"
    elif network.output in members:
        fixed = "the network's outputs"
    elif quantized:
        fixed = f"the weights of {quantized[0]!r} are quantized in the file already"
    elif members[0].ofm.channels == 1:
        fixed = "one channel"
    return ChannelGroup(
        name=f"{makers[0].name}{GROUP_SUFFIX}" if makers else members[0].name,
        channels=members[0].ofm.channels,
        makers=tuple(layer.name for layer in makers),
        passing=tuple(layer.name for layer in passing),
        readers=tuple(layer.name for layer in readers),
        members=frozenset(layer.name for layer in members),
        fixed=fixed,
    )


def without_channels(network: Network, kept: Kept) -> Network:
    """Return a network with fewer channels, and the parameters of those that stay.

    Args:
        network: Layers and, perhaps, parameters.
        kept: Channels that stay, by group.

    Raises:
        InputError: A group is unknown or fixed, or its channels are not ascending,
            from 0 to below their number, at least one.
    """
    groups = {group.name: group for group in channel_groups(network)}
    chosen: dict[str, NDArray[np.int64]] = {}
    for name, channels in kept.items():
        group = groups.get(name)
        if group is None:
            raise InputError(
                f"network {network.name!r} has no group of channels {name!r}; must be "
                f"one of {', '.join(groups)}"
            )
        index = np.array(channels, dtype=np.int64)
        _check_kept(group, index)
        chosen |= dict.fromkeys(group.members, index)
    layers: list[Layer] = []
    params = dict(network.params)
    counts = {name: int(index.size) for name, index in chosen.items()}
    for layer in network.layers:
        layers.append(_narrowed(layer, counts))
        _keep_parameters(params, layer, chosen)
    return Network(name=network.name, layers=tuple(layers), params=params)


def _check_kept(group: ChannelGroup, index: NDArray[np.int64]) -> None:
    ascending = index.size > 0 and bool(np.all(np.diff(index) > 0))
    if not ascending or index[0] < 0 or index[-1] >= group.channels:
        raise InputError(
            f"channels {index.tolist()[:8]} of {group.name!r}; must be ascending, at "
            f"least one, from 0 to {group.channels - 1}"
        )
    if group.fixed and index.size < group.channels:
        raise InputError(f"{group.name!r} keeps its channels: {group.fixed}")


def narrowed_run(run: Invocation, counts: Mapping[str, int]) -> Invocation:
    """Return a run of the engine with fewer channels.

    Args:
        run: With all channels.
        counts: Channels of the maps of layers, by name; layers left out keep theirs.
    """

    def shape(old: Shape, name: str) -> Shape:
        return replace(old, channels=counts.get(name, old.channels))

    def stage(layer: DenseLayer | DepthwiseLayer | None) -> Layer | None:
        return None if layer is None else _narrowed(layer, counts)

    dense, depthwise, pointwise = map(stage, (run.dense, run.depthwise, run.pointwise))
    assert dense is None or isinstance(dense, DenseLayer)
    assert depthwise is None or isinstance(depthwise, DepthwiseLayer)
    assert pointwise is None or isinstance(pointwise, DenseLayer)
    return replace(
        run,
        dense=dense,
        depthwise=depthwise,
        pointwise=pointwise,
        ifm=shape(run.ifm, run.input_name),
        stage_ofm=shape(run.stage_ofm, run.output_name),
        ofm=shape(run.ofm, run.output_name),
    )


def _narrowed(layer: Layer, counts: Mapping[str, int]) -> Layer:
    """Return a layer whose maps have so many channels, by the name of their maker."""
    ofm = replace(layer.ofm, channels=counts.get(layer.name, layer.ofm.channels))
    if isinstance(layer, Input | Add):
        return replace(layer, ofm=ofm)
    ifm = replace(layer.ifm, channels=counts.get(layer.input, layer.ifm.channels))
    return replace(layer, ifm=ifm, ofm=ofm)


def _keep_parameters(
    params: dict[str, NDArray[np.generic]],
    layer: Layer,
    chosen: Mapping[str, NDArray[np.int64]],
) -> None:
    """Keep of a layer's parameters what belongs to the channels that stay."""
    own, read = chosen.get(layer.name), None
    if isinstance(layer, Conv | Linear):
        read = chosen.get(layer.input)
    for key in [k for k in params if k.rpartition(".")[0] == layer.name]:
        array = params[key]
        if own is not None and array.shape and array.shape[0] == layer.ofm.channels:
            array = array[own]
        if read is not None and key == f"{layer.name}.weight":
            if isinstance(layer, Linear):
                # Rows are flattened maps, channel by channel.
                by_channel = array.reshape(array.shape[0], layer.ifm.channels, -1)
                array = by_channel[:, read].reshape(array.shape[0], -1)
            else:
                array = array[:, read]
        if array is not params[key]:
            params[key] = np.ascontiguousarray(array)
