"""The parameters of a network in floating point, checked; NumPy alone."""

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.layer import Compute, weight_shape
from hao.ir.network import Network


def float_parameters(
    network: Network, layer: Compute
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return copies of a layer's weight and bias, zeros where it has no bias.

    Raises:
        InputError: A parameter is missing, misshapen or not finite.
    """
    name, channels = layer.name, layer.ofm.channels
    weight = _checked(network, f"{name}.weight", weight_shape(layer))
    if not layer.bias and f"{name}.bias" not in network.params:
        return weight, np.zeros(channels)
    return weight, _checked(network, f"{name}.bias", (channels,))


def parameters_named_as(
    theirs: Network, ours: Network
) -> dict[str, NDArray[np.generic]]:
    """Return the parameters of a network under the names of an equal one's layers.

    Two files of one network, such as those of PyTorch's two exporters, name its layers
    differently. Layers are the same where all are of the same kinds and shapes, in the
    same order, and read the same others.

    Raises:
        InputError: The networks are not equal, and no name tells which layer is which.
    """
    names = [layer.name for layer in ours.layers]
    if [layer.name for layer in theirs.layers] == names:
        return dict(theirs.params)
    if _structure(theirs) != _structure(ours):
        raise InputError(
            f"its layers are not those of network {ours.name!r}; must be a file of the "
            "same network, such as the one that was searched"
        )
    new = dict(zip((layer.name for layer in theirs.layers), names, strict=True))
    params: dict[str, NDArray[np.generic]] = {}
    for key, array in theirs.params.items():
        layer, _, word = key.rpartition(".")
        params[f"{new[layer]}.{word}"] = array
    return params


def _structure(network: Network) -> list[tuple[object, ...]]:
    """Return of every layer its kind, which others it reads, and all but its names."""
    place = {layer.name: number for number, layer in enumerate(network.layers)}
    return [
        (
            type(layer),
            [place[name] for name in layer.inputs],
            {f.name: getattr(layer, f.name) for f in fields(layer)}
            | dict.fromkeys(("name", "input", "inputs", "bias")),
        )
        for layer in network.layers
    ]


def _checked(network: Network, key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    if key not in network.params:
        raise InputError(
            f"parameter {key!r} is missing; train network {network.name!r} or load "
            "its weights"
        )
    array = network.params[key]
    if array.shape != shape:
        raise InputError(f"parameter {key!r} has shape {array.shape}; must be {shape}")
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"parameter {key!r} is {array.dtype}; must be floating point")
    values = array.astype(np.float64)
    if not np.all(np.isfinite(values)):
        raise InputError(f"parameter {key!r} holds NaN or infinity; must be finite")
    return values


def frame_parameters(network: Network) -> dict[str, NDArray[np.generic]]:
    """Return the scale and shift of frames that a network leaves to the host, if any.

    Raises:
        InputError: One is missing, misshapen or not finite.
    """
    keys = [f"{network.input.name}.{word}" for word in ("scale", "shift")]
    if not any(key in network.params for key in keys):
        return {}
    shape = (network.input.ofm.channels,)
    return {key: _checked(network, key, shape) for key in keys}
