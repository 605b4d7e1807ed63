"""The parameters of a network in floating point, checked; NumPy alone."""

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.layer import Compute, Depthwise, Linear
from hao.ir.network import Network


def float_parameters(
    network: Network, layer: Compute
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return copies of a layer's weight and bias, zeros where it has no bias.

    Raises:
        InputError: A parameter is missing, misshapen or not finite.
    """
    name, channels = layer.name, layer.ofm.channels
    shape: tuple[int, ...] = (channels, layer.ifm.elements)
    if not isinstance(layer, Linear):
        depth = 1 if isinstance(layer, Depthwise) else layer.ifm.channels
        shape = (channels, depth, layer.kernel, layer.kernel)
    weight = _checked(network, f"{name}.weight", shape)
    if not layer.bias and f"{name}.bias" not in network.params:
        return weight, np.zeros(channels)
    return weight, _checked(network, f"{name}.bias", (channels,))


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
