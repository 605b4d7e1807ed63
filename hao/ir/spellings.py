"""Layers that the engine has not, spelled out in layers that it has.

Each function takes a network and one of its layers, and returns the layers that compute
the same map, the last of which keeps the name; or None where there is nothing to spell
anew. `hao.ir.lower` says in which order they are asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hao.ir.layer import (
    Activation,
    Add,
    Affine,
    Compute,
    Conv,
    Depthwise,
    Layer,
    Padding,
    Pool,
    PoolKind,
    Transparent,
    window_shape,
)
from hao.ir.network import Network, params_of
from hao.ir.partition import MAX_KERNEL, MAX_STRIDE
from hao.ir.quantizers import is_quantized, requantizer_of
from hao.ir.tensor import QType

Arrays = Mapping[str, NDArray[np.generic]]

COPY_WEIGHT = QType(bits=2, signed=True)
"""Type of the weights of layers that hand codes on: they are 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """Layers in place of one; the last bears its name. Parameters replace its own."""

    layers: tuple[Layer, ...]
    params: Arrays = field(default_factory=dict)


def copy_layer(
    network: Network, reads: Layer, name: str
) -> tuple[Depthwise, dict[str, NDArray[np.generic]]]:
    """Return a depthwise layer that hands a map on, and its parameters.

    Its weights are quantized where the network is.
    """
    channels = reads.ofm.channels
    quantized = is_quantized(network)
    layer = Depthwise(
        name=name,
        input=reads.name,
        ifm=reads.ofm,
        ofm=reads.ofm,
        kernel=1,
        bias=False,
        weight=COPY_WEIGHT if quantized else None,
    )
    params: dict[str, NDArray[np.generic]] = {
        f"{name}.weight": np.ones((channels, 1, 1, 1), dtype=np.float32)
    }
    if quantized:
        params |= _copy_scale(name)
    return layer, params


def _copy_scale(name: str) -> dict[str, NDArray[np.generic]]:
    return {
        f"{name}.weight_scale": np.ones(1, dtype=np.float32),
        f"{name}.weight_zero_point": np.zeros(1, dtype=np.float32),
    }


def _handed_on(
    network: Network, maker: Layer, reads: Layer, name: str
) -> tuple[tuple[Layer, ...], dict[str, NDArray[np.generic]]] | None:
    """Return a layer that hands codes on with the quantizer that it needs, if any.

    `None` where a quantized network has no codes there.
    """
    if not is_quantized(network):
        return (replace(maker, name=name),), {}
    found = requantizer_of(network, reads)
    if found is None:
        return None
    sums = free_name(network, f"{name}.sums")
    again = replace(found, name=name, input=sums, ifm=maker.ofm, ofm=maker.ofm)
    params = {
        key.replace(f"{found.name}.", f"{name}.", 1): array
        for key, array in params_of(network.params, {found.name}).items()
    }
    return (replace(maker, name=sums), again), params


def doubled(network: Network, layer: Layer) -> Spelling | None:
    """Return x + x as 2 x."""
    if not isinstance(layer, Add) or layer.inputs[0] != layer.inputs[1]:
        return None
    twice = free_name(network, f"{layer.name}.twice")
    double = Affine(name=twice, input=layer.inputs[0], ifm=layer.ofm, ofm=layer.ofm)
    active = Activation(
        name=layer.name,
        input=twice,
        ifm=layer.ofm,
        ofm=layer.ofm,
        kind=layer.activation,
    )
    channels = layer.ofm.channels
    return Spelling(
        layers=(double, active),
        params={
            f"{twice}.scale": np.full(channels, 2, dtype=np.float32),
            f"{twice}.shift": np.zeros(channels, dtype=np.float32),
        },
    )


def halved_average(network: Network, layer: Layer) -> Spelling | None:
    """Return an average of 4x4 pixels, stride 4, as two of 2x2, stride 2."""
    plain = (
        isinstance(layer, Pool)
        and layer.kind is PoolKind.AVERAGE
        and (layer.kernel, layer.stride, layer.padding) == (4, 4, Padding())
    )
    if not plain:
        return None
    assert isinstance(layer, Pool)
    made = _two_pools(layer, 2, 2, 2)
    assert made is not None
    return _in_a_row(made, free_name(network, f"{layer.name}.first"))


def smaller_maximum(network: Network, layer: Layer) -> Spelling | None:
    """Return a maximum over a window that the engine has not as two maxima.

    The first window is as large as its stride at least, so that both together see
    every pixel of the large one; all padding goes to the first, none of whose windows
    then lies in padding alone.
    """
    if not isinstance(layer, Pool) or layer.kind is not PoolKind.MAX:
        return None
    if _runs(layer.kernel, layer.stride):
        return None
    pads = layer.padding
    most = max(pads.top, pads.left, pads.bottom, pads.right)
    strides = [layer.stride] + [2, 4] * (layer.ofm.pixels == 1)
    for stride in strides:
        first = 2 if stride % 2 == 0 else 1
        # first kernel + (second kernel - 1) * first stride = kernel
        sizes = range(max(first, most + 1), min(MAX_KERNEL, layer.kernel - 1) + 1)
        fitting = [size for size in sizes if (layer.kernel - size) % first == 0]
        if fitting and not (first == 1 and stride > MAX_STRIDE):
            size = fitting[0] if first == 2 else fitting[-1]
            made = _two_pools(layer, size, first, stride // first)
            if made is not None:
                name = free_name(network, f"{layer.name}.first")
                return _in_a_row(made, name)
    return None


def _two_pools(
    pool: Pool, kernel: int, first: int, second: int
) -> tuple[Pool, Pool] | None:
    """Return a pool as one of `kernel` and stride `first`, and one of stride `second`.

    `None` where they make a map of another size.
    """
    rest = (pool.kernel - kernel) // first + 1
    between = window_shape(
        pool.ifm,
        channels=pool.ifm.channels,
        kernel=kernel,
        stride=first,
        padding=pool.padding,
    )
    if min(between.height, between.width) < rest:
        return None
    found = window_shape(
        between,
        channels=between.channels,
        kernel=rest,
        stride=second,
        padding=Padding(),
    )
    if found != pool.ofm:
        return None
    return (
        replace(pool, kernel=kernel, stride=first, ofm=between),
        replace(pool, ifm=between, kernel=rest, stride=second, padding=Padding()),
    )


def _in_a_row(pools: tuple[Pool, Pool], name: str) -> Spelling:
    """Return two pools, the first of another name, as a spelling."""
    first, second = pools
    return Spelling(layers=(replace(first, name=name), replace(second, input=name)))


def patches(network: Network, layer: Layer) -> Spelling | None:
    """Return a convolution as 2x2 patches and one of half the stride and kernel.

    Where the engine lacks its window. The patches are the map's own values, four
    channels for each, so that nothing is rounded: channel 4 c + 2 y + x is pixel (y, x)
    of the patch.
    """
    if not isinstance(layer, Conv) or _runs(layer.kernel, layer.stride):
        return None
    if not _runs_halved(layer):
        return None
    reads = next(one for one in network.layers if one.name == layer.input)
    pads = layer.padding
    small = (layer.kernel + 1) // 2
    first, second = _split_padding(pads, layer, small)
    if first is None or second is None:
        return None
    channels = layer.ifm.channels
    name = free_name(network, f"{layer.name}.patches")
    maker = Conv(
        name=name,
        input=layer.input,
        ifm=layer.ifm,
        ofm=window_shape(
            layer.ifm, channels=4 * channels, kernel=2, stride=2, padding=first
        ),
        kernel=2,
        stride=2,
        padding=first,
        bias=False,
        weight=COPY_WEIGHT if is_quantized(network) else None,
    )
    made = _handed_on(network, maker, reads, name)
    if made is None:
        return None
    makers, params = made
    sums = makers[0].name
    picks = np.zeros((4 * channels, channels, 2, 2), dtype=np.float32)
    for channel in range(channels):
        for tap in range(4):
            picks[4 * channel + tap, channel, tap // 2, tap % 2] = 1
    params[f"{sums}.weight"] = picks
    if is_quantized(network):
        params |= _copy_scale(sums)
    params |= params_of(network.params, {layer.name})
    weight = network.params[f"{layer.name}.weight"]
    wide = np.zeros((len(weight), channels, 2 * small, 2 * small), dtype=weight.dtype)
    wide[:, :, : layer.kernel, : layer.kernel] = weight
    taps = wide.reshape(len(weight), channels, small, 2, small, 2)
    params[f"{layer.name}.weight"] = taps.transpose(0, 1, 3, 5, 2, 4).reshape(
        len(weight), 4 * channels, small, small
    )
    return Spelling(
        layers=(
            *makers,
            replace(
                layer,
                input=name,
                ifm=maker.ofm,
                kernel=small,
                stride=layer.stride // 2,
                padding=second,
            ),
        ),
        params=params,
    )


def _runs(kernel: int, stride: int) -> bool:
    """Return whether the engine has windows of a size and stride."""
    return kernel <= MAX_KERNEL and stride <= MAX_STRIDE


def _runs_halved(layer: Conv) -> bool:
    """Return whether the engine has a window once both are halved often enough."""
    kernel, stride = layer.kernel, layer.stride
    while not _runs(kernel, stride) and stride % 2 == 0:
        kernel, stride = (kernel + 1) // 2, stride // 2
    return _runs(kernel, stride)


def _split_padding(
    pads: Padding, layer: Conv, small: int
) -> tuple[Padding | None, Padding | None]:
    """Return the padding of 2x2 patches and of what reads them.

    Rows before count in whole patches but for one; behind, as much as the last window
    of the output reaches into.
    """
    before = {"top": pads.top, "left": pads.left}
    first = {word: count % 2 for word, count in before.items()}
    second = {word: count // 2 for word, count in before.items()}
    sizes = (
        ("bottom", "top", layer.ifm.height, layer.ofm.height),
        ("right", "left", layer.ifm.width, layer.ofm.width),
    )
    for word, opposite, size, out in sizes:
        # What the second layer looks at.
        patches = (out - 1) * (layer.stride // 2) + small
        inside = patches - second[opposite]
        have = first[opposite] + size
        first[word] = have % 2 if -(-have // 2) <= inside else 0
        second[word] = max(0, inside - (have + first[word]) // 2)
    if max(second.values()) >= small:
        return None, None
    return Padding(**first), Padding(**second)


def with_own_operand(network: Network, layer: Layer) -> Spelling | None:
    """Return an add one of whose operands is made for it, by a copy if need be.

    The engine adds on a map's way out of a stage, so one operand must come from a
    stage and have no other reader.
    """
    if not isinstance(layer, Add):
        return None
    readers = network.consumers()
    layers = {one.name: one for one in network.layers}
    for name in layer.inputs:
        maker, alone = layers[name], len(readers[name]) == 1
        while isinstance(maker, Transparent):
            maker = layers[maker.input]
            alone = alone and len(readers[maker.name]) == 1
        if alone and isinstance(maker, Compute | Pool):
            return None
    reads = layers[layer.inputs[1]]
    name = free_name(network, f"{layer.name}.copy")
    copy, params = copy_layer(network, reads, name)
    made = _handed_on(network, copy, reads, name)
    if made is None:
        return None
    makers, more = made
    weights = {
        key.replace(f"{name}.", f"{makers[0].name}.", 1): array
        for key, array in params.items()
    }
    return Spelling(
        layers=(*makers, replace(layer, inputs=(layer.inputs[0], name))),
        params=weights | more,
    )


def pointwise_as_depthwise(network: Network, layer: Layer) -> Spelling | None:
    """Return an affine layer or an activation as a depthwise layer of 1x1 windows."""
    if not isinstance(layer, Affine | Activation):
        return None
    channels = layer.ofm.channels
    scale: NDArray[np.generic] = np.ones(channels, dtype=np.float32)
    shift: NDArray[np.generic] = np.zeros(channels, dtype=np.float32)
    if isinstance(layer, Affine):
        scale = network.params[f"{layer.name}.scale"]
        shift = network.params[f"{layer.name}.shift"]
    made = Depthwise(
        name=layer.name, input=layer.input, ifm=layer.ifm, ofm=layer.ofm, kernel=1
    )
    if isinstance(layer, Activation):
        made = replace(made, activation=layer.kind)
    return Spelling(
        layers=(made,),
        params={
            f"{layer.name}.weight": scale.reshape(channels, 1, 1, 1).copy(),
            f"{layer.name}.bias": shift.reshape(channels).copy(),
        },
    )


def free_name(network: Network, name: str) -> str:
    """Return a name that no layer has: this one, or with a number behind it."""
    taken = {layer.name for layer in network.layers}
    count, candidate = 2, name
    while candidate in taken:
        candidate, count = f"{name}_{count}", count + 1
    return candidate
