"""Network to Network: the same outputs from layers that the engine has.

`simplify` folds what it can; what is left and has no stage of its own is spelled out
here in layers that have one. Outputs stay those of the network before, up to the
rounding of floating-point arithmetic. The last layer of a spelling keeps the name, so
that readers stay as they are.

    a maximum, then a function that never falls   the function first (`maxima_last`)
    an affine layer on the frame                  left to the host (`hao.ir.frame`)
    any other affine layer or activation          a 1x1 depthwise convolution
    x + x                                         a doubling
    an add without a stage of its own             a copy of one operand before it
    a maximum over a large window or stride       two maxima
    an average of 4x4 pixels, stride 4            two averages
    a convolution of a large even stride, or of
    stride 2 and a large kernel                   2x2 patches, then one of half of both

In a network that a file has quantized, affine layers and activations are part of a
requantization (`hao.quant.chain`) and stay, and averages stay whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from hao.ir.layer import (
    Activation,
    Add,
    Affine,
    Conv,
    Depthwise,
    Layer,
    Pool,
    PoolKind,
    Quantize,
    Transparent,
    reading,
)
from hao.ir.network import Network, params_without
from hao.ir.quantizers import is_quantized, merged_quantizers
from hao.ir.rewrite import simplify
from hao.ir.spellings import (
    Spelling,
    doubled,
    halved_average,
    patches,
    pointwise_as_depthwise,
    smaller_maximum,
    with_own_operand,
)


def lowered(network: Network) -> Network:
    """Return the network in layers that the engine has, as far as there are such.

    Args:
        network: With parameters, simplified.

    Raises:
        InputError: A parameter is missing, or overflows where layers are merged.
    """
    quantized = is_quantized(network)
    network = simplify(maxima_last(merged_quantizers(network)))
    network = simplify(_respelled(network, doubled))
    network = _frame_affine_to_host(network)
    spellings: tuple[Callable[[Network, Layer], Spelling | None], ...] = (
        smaller_maximum,
        patches,
        with_own_operand,
    )
    if not quantized:
        spellings = (pointwise_as_depthwise, halved_average, *spellings)
    for spell in spellings:
        network = _respelled(network, spell)
    return network


def respelled_layers(before: Network, after: Network) -> tuple[str, ...]:
    """Return what `lowered` spelled anew, a sentence each.

    Args:
        before: Its argument.
        after: Its result.
    """
    notes: list[str] = []
    frame = after.input.name
    if f"{frame}.scale" in after.params and f"{frame}.scale" not in before.params:
        notes.append(
            f"input {frame!r}: what the file does to the frame first (scale and shift "
            "by channel) is left to the host; the emitted driver does it"
        )
    now = {layer.name: layer for layer in after.layers}
    for layer in before.layers:
        text = _respelling(layer, now)
        if text:
            notes.append(f"layer {layer.name!r}: {text}")
    return tuple(notes)


def _respelling(layer: Layer, now: Mapping[str, Layer]) -> str:
    made = now.get(layer.name)
    match layer, made:
        case ((Affine() | Activation()), Depthwise()):
            kind = type(layer).__name__.lower()
            return f"an {kind} that no layer takes in runs as a 1x1 depthwise layer"
        case Pool(), Pool() if made.kernel != layer.kernel:
            return f"{layer.kernel}x{layer.kernel} windows run as smaller ones in a row"
        case Conv(), Conv() if made.stride != layer.stride:
            size = layer.stride // made.stride
            return (
                f"kernel {layer.kernel}, stride {layer.stride} runs on patches of "
                f"{size}x{size} pixels, with kernel {made.kernel}, stride {made.stride}"
            )
        case Add(), Add() if made.inputs[1] != layer.inputs[1]:
            return "an operand that other layers read too is copied for it"
        case _:
            return ""


def maxima_last(network: Network) -> Network:
    """Return the network with maxima behind functions of single values.

    The largest of f(x) is f of the largest x where f never falls. Moved where nothing
    else reads either map; a maximum of quantized values stays before a quantizer, which
    then works on fewer of them.
    """
    position = 1
    while position < len(network.layers):
        layer = network.layers[position]
        moved = _swapped(network, layer)
        network, position = (
            (network, position + 1) if moved is None else (moved, position)
        )
    return network


def _swapped(network: Network, layer: Layer) -> Network | None:
    """Return the network with `layer` before the maximum that it reads."""
    if not isinstance(layer, Transparent):
        return None
    layers = {one.name: one for one in network.layers}
    pool = layers[layer.input]
    readers = network.consumers()
    if not isinstance(pool, Pool) or pool.kind is not PoolKind.MAX:
        return None
    if len(readers[pool.name]) > 1 or len(readers[pool.input]) > 1:
        return None
    if isinstance(layer, Affine):
        scale = network.params[f"{layer.name}.scale"].astype(np.float64)
        if np.any(scale < 0):
            return None
    if isinstance(layer, Quantize) and isinstance(layers[pool.input], Quantize):
        return None
    # Names stay with what is computed last, so that readers need not change.
    first = replace(layer, name=pool.name, input=pool.input, ifm=pool.ifm, ofm=pool.ifm)
    second = replace(pool, name=layer.name, input=pool.name)
    params = {
        key.replace(f"{layer.name}.", f"{pool.name}.", 1)
        if key.rpartition(".")[0] == layer.name
        else key: array
        for key, array in network.params.items()
    }
    swapped = {pool.name: first, layer.name: second}
    kept = tuple(swapped.get(one.name, one) for one in network.layers)
    return replace(network, layers=kept, params=params)


def _respelled(
    network: Network, spell: Callable[[Network, Layer], Spelling | None]
) -> Network:
    """Return the network with every layer spelled anew for which there is a spelling.

    A spelling is looked at again, so that it may hold what is spelled anew itself.
    """
    position = 0
    while position < len(network.layers):
        layer = network.layers[position]
        made = spell(network, layer)
        if made is None:
            position += 1
            continue
        params = params_without(network.params, {layer.name}) | dict(made.params)
        before, after = network.layers[:position], network.layers[position + 1 :]
        layers = (*before, *made.layers, *after)
        network = replace(network, layers=layers, params=params)
    return network


def _frame_affine_to_host(network: Network) -> Network:
    """Return the network with what only scales and shifts the frame left to the host.

    It stands in the frame's own parameters, `scale` and `shift`, from then on.
    """
    frame = network.input
    readers = network.consumers()[frame.name]
    first = next((one for one in network.layers if one.name in readers), None)
    if len(readers) != 1 or not isinstance(first, Affine) or first is network.output:
        return network
    params = {
        f"{frame.name}.{word}": network.params[f"{first.name}.{word}"]
        for word in ("scale", "shift")
    }
    kept = params_without(network.params, {first.name})
    layers = tuple(
        reading(one, {first.name: frame.name})
        for one in network.layers
        if one is not first
    )
    return replace(network, layers=layers, params=kept | params)
