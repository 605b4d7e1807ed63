"""Network to Network: the same outputs from fewer layers.

Every pass takes a valid network with parameters and returns a valid one that computes
the same up to the rounding of floating-point arithmetic. A layer that is absorbed
disappears and its readers read the layer that took it in. A name that survives means
the same layer as before.

    drop_identities      removes affine layers that change nothing
    merge_affines        two affine layers in a row become one
    fold_batch_norm      an affine layer goes into the weights before it
    fold_input_affine    an affine layer goes into the weights after it
    fuse_activations     an activation goes into the layer before it
    simplify             all of them, until nothing changes

Weights that a file has quantized are never changed: an affine layer behind them stays,
unless it only adds, which the bias can do. Choosing bits is left to the search.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    Affine,
    Compute,
    Conv,
    Depthwise,
    Layer,
    Linear,
    Padding,
    reading,
)
from hao.ir.network import Network, Params, params_without

_Real = NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """One step of a rewrite.

    Attributes:
        layers: New version of layers, by name.
        params: New version of parameters; those of removed layers are dropped.
        removed: Layer that disappears, and the one that its readers read instead.
    """

    layers: Mapping[str, Layer] = field(default_factory=dict)
    params: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    removed: tuple[str, str]


def simplify(network: Network) -> Network:
    """Return the network after all passes, repeated until none applies.

    Raises:
        InputError: A layer to be folded has no parameters, or they overflow.
    """
    passes = (
        drop_identities,
        merge_affines,
        fold_batch_norm,
        fold_input_affine,
        fuse_activations,
    )
    before = -1
    while len(network.layers) != before:
        before = len(network.layers)
        for rewrite in passes:
            network = rewrite(network)
    return network


def drop_identities(network: Network) -> Network:
    """Return the network without affine layers of scale 1 and shift 0.

    Raises:
        InputError: An affine layer has no parameters.
    """
    return _repeat(network, _identity_change)


def merge_affines(network: Network) -> Network:
    """Return the network with every chain of affine layers merged into its last one.

    An affine layer that something else reads too is left.

    Raises:
        InputError: An affine layer has no parameters.
    """
    return _repeat(network, _affine_pair_change)


def fold_batch_norm(network: Network) -> Network:
    """Return the network with affine layers folded into the weights before them.

    Folded where the layer before holds float weights and has no other reader. Through
    a ReLU goes a scale that is not negative. A quantized layer takes in a shift, but no
    scale.

    Raises:
        InputError: A layer to be folded has no parameters, or they overflow.
    """
    return _repeat(network, _affine_after_change)


def fold_input_affine(network: Network) -> Network:
    """Return the network with affine layers folded into the weights after them.

    Folded where the only reader holds float weights and, unless the shift is 0, has
    no padding: padded zeros are not shifted.

    Raises:
        InputError: A layer to be folded has no parameters, or they overflow.
    """
    return _repeat(network, _affine_before_change)


def fuse_activations(network: Network) -> Network:
    """Return the network with activations fused into the layers before them.

    Fused where the layer before has a slot for one and no other reader. ReLU after
    ReLU or ReLU6 changes nothing and is dropped.
    """
    return _repeat(network, _activation_change)


def _repeat(
    network: Network, find: Callable[[Network, Layer], _Change | None]
) -> Network:
    """Return the network after applying the changes that `find` sees, to the last."""
    position = 1
    while position < len(network.layers):
        change = find(network, network.layers[position])
        if change is None:
            position += 1
        else:
            network = _applied(network, change)
    return network


def _applied(network: Network, change: _Change) -> Network:
    gone, heir = change.removed
    layers = tuple(
        reading(change.layers.get(layer.name, layer), {gone: heir})
        for layer in network.layers
        if layer.name != gone
    )
    params = params_without(network.params, {gone}) | dict(change.params)
    return replace(network, layers=layers, params=params)


def _layer(network: Network, name: str) -> Layer:
    return next(layer for layer in network.layers if layer.name == name)


def _read_once(network: Network, name: str) -> bool:
    return sum(layer.inputs.count(name) for layer in network.layers) == 1


def _param(params: Params, key: str) -> _Real:
    if key not in params:
        raise InputError(f"parameter {key!r} is missing; cannot rewrite without it")
    array: _Real = params[key].astype(np.float64)
    return array


def _affine(params: Params, name: str) -> tuple[_Real, _Real]:
    """Return scale and shift of an affine layer."""
    return _param(params, f"{name}.scale"), _param(params, f"{name}.shift")


def _like(array: _Real, params: Params, key: str) -> NDArray[np.generic]:
    """Return the array in the type of an existing parameter."""
    kind = params[key].dtype
    with np.errstate(over="ignore"):
        converted: NDArray[np.generic] = array.astype(kind)
    if not np.all(np.isfinite(converted.astype(np.float64))):
        raise InputError(
            f"parameter {key!r} overflows {kind} when an affine layer is folded; the "
            "weights or the batch norm must be smaller"
        )
    return converted


def _identity_change(network: Network, layer: Layer) -> _Change | None:
    if not isinstance(layer, Affine):
        return None
    scale, shift = _affine(network.params, layer.name)
    if np.all(scale == 1) and np.all(shift == 0):
        return _Change(removed=(layer.name, layer.input))
    return None


def _affine_pair_change(network: Network, layer: Layer) -> _Change | None:
    if not isinstance(layer, Affine) or not _read_once(network, layer.input):
        return None
    before = _layer(network, layer.input)
    if not isinstance(before, Affine):
        return None
    params = network.params
    inner_scale, inner_shift = _affine(params, before.name)
    scale, shift = _affine(params, layer.name)
    made = {"scale": scale * inner_scale, "shift": shift + scale * inner_shift}
    named = {f"{layer.name}.{word}": array for word, array in made.items()}
    return _Change(
        params={key: _like(array, params, key) for key, array in named.items()},
        removed=(before.name, before.input),
    )


def _affine_after_change(network: Network, layer: Layer) -> _Change | None:
    if not isinstance(layer, Affine) or not _read_once(network, layer.input):
        return None
    before = _layer(network, layer.input)
    if not isinstance(before, Compute):
        return None
    params = network.params
    scale, moved = _affine(params, layer.name)
    passes = before.activation is ActivationKind.NONE or (
        before.activation is ActivationKind.RELU
        and bool(np.all(scale >= 0) and np.all(moved == 0))
    )
    if not passes:
        return None
    if before.weight is not None and not np.all(scale == 1):
        return None
    weight_key, bias_key = f"{before.name}.weight", f"{before.name}.bias"
    weight = _param(params, weight_key)
    changed = {}
    if before.bias or np.any(moved != 0):
        bias = scale * _param(params, bias_key) if before.bias else 0.0
        changed[bias_key] = _like(moved + bias, params, weight_key)
    if before.weight is None:
        rows = scale.reshape(-1, *[1] * (weight.ndim - 1))
        changed[weight_key] = _like(weight * rows, params, weight_key)
    return _Change(
        layers={before.name: replace(before, bias=bias_key in changed)},
        params=changed,
        removed=(layer.name, before.name),
    )


def _affine_before_change(network: Network, layer: Layer) -> _Change | None:
    if not isinstance(layer, Compute) or layer.weight is not None:
        return None
    before = _layer(network, layer.input)
    if not isinstance(before, Affine) or not _read_once(network, layer.input):
        return None
    params = network.params
    scale, shift = _affine(params, before.name)
    padded = not isinstance(layer, Linear) and layer.padding != Padding()
    if padded and np.any(shift != 0):
        return None
    weight_key, bias_key = f"{layer.name}.weight", f"{layer.name}.bias"
    weight = _param(params, weight_key)
    grouped = weight.reshape(_by_channel(layer))
    scaled = grouped * scale.reshape(_channel_shape(layer))
    changed = {weight_key: _like(scaled.reshape(weight.shape), params, weight_key)}
    if np.any(shift != 0):
        moved = grouped * shift.reshape(_channel_shape(layer))
        bias = moved.reshape(len(weight), -1).sum(axis=1)
        if layer.bias:
            bias = bias + _param(params, bias_key)
        changed[bias_key] = _like(bias, params, weight_key)
    return _Change(
        layers={layer.name: replace(layer, bias=layer.bias or bias_key in changed)},
        params=changed,
        removed=(before.name, before.input),
    )


def _by_channel(layer: Compute) -> tuple[int, ...]:
    """Return the shape that gives the weights an axis of their own per IFM channel."""
    match layer:
        case Conv():
            return layer.ofm.channels, layer.ifm.channels, layer.kernel**2
        case Depthwise():
            return layer.ofm.channels, 1, layer.kernel**2
        case Linear():
            return layer.ofm.channels, layer.ifm.channels, layer.ifm.pixels


def _channel_shape(layer: Compute) -> tuple[int, ...]:
    """Return the shape in which a value per IFM channel meets `_by_channel`."""
    return (-1, 1, 1) if isinstance(layer, Depthwise) else (1, -1, 1)


def _activation_change(network: Network, layer: Layer) -> _Change | None:
    if not isinstance(layer, Activation):
        return None
    if layer.kind is ActivationKind.NONE:
        return _Change(removed=(layer.name, layer.input))
    before = _layer(network, layer.input)
    match before:
        case Conv() | Depthwise() | Linear() | Add():
            present = before.activation
        case Activation():
            present = before.kind
        case _:
            return None
    if layer.kind in (present, ActivationKind.RELU) and (
        present is not ActivationKind.NONE
    ):
        return _Change(removed=(layer.name, before.name))
    if not _read_once(network, before.name):
        return None
    # Nothing, or a ReLU that ReLU6 replaces.
    fused: Layer
    if isinstance(before, Activation):
        fused = replace(before, kind=layer.kind)
    else:
        fused = replace(before, activation=layer.kind)
    return _Change(layers={before.name: fused}, removed=(layer.name, before.name))
