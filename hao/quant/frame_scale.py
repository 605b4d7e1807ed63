"""The normalisation of frames as part of a network, and what of it the weights take.

Frames stay as a data set gives them. What normalises them is the scale and shift that a
network leaves to the host (`hao.ir.interpret.scaled_frames`), so that training, the
integers and the emitted driver cannot differ in it.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.layer import Compute, Depthwise, Linear, Padding
from hao.ir.network import Network
from hao.ir.passes import FRAME_BITS
from hao.ir.picture import BYTE_MAX, Preparation
from hao.quant.parameters import float_parameters, frame_parameters

Real = NDArray[np.float64]

_OVER = 0.1
"""How far frames of floats may lie outside 0 to 1, as sharpened pictures do (chosen
here)."""


def check_unit_frames(frames: NDArray[np.float32], preparation: Preparation) -> None:
    """Check that frames are what a preparation normalises: values from 0 to 1.

    Args:
        frames: Any shape, at least one value.
        preparation: One that does not normalise takes any values.

    Raises:
        InputError: It normalises, and they lie elsewhere.
    """
    low, high = float(frames.min()), float(frames.max())
    if preparation.normalises and not -_OVER <= low <= high <= 1 + _OVER:
        raise InputError(
            f"frames of floats from {low:.4g} to {high:.4g}; a `preset`, or `mean` and "
            "`std`, normalises values from 0 to 1: divide pixels by 255 or give them "
            "as uint8, and name none where they are normalised already"
        )


def normalised_network(network: Network, preparation: Preparation) -> Network:
    """Return a network that normalises its frames before all else.

    What it does to them already, as a file may, comes after that.

    Raises:
        InputError: There are more or fewer means than channels.
    """
    channels = network.input.ofm.channels
    preparation.check_channels(channels)
    if not preparation.normalises:
        return network
    mean, std = (
        np.broadcast_to(np.array(numbers), channels)
        for numbers in (preparation.mean, preparation.std)
    )
    scale, shift = _frame_scaling(network)
    return _with_frame_scaling(network, scale / std, shift - scale * mean / std)


def folded_frames(network: Network) -> Network:
    """Return a network of the same outputs whose frames from 0 to 1 use all codes.

    Where nothing is padded, or nothing shifted, the first weights and biases take the
    whole normalisation: the codes of a frame are then the bytes of its pixels. Else the
    host normalises, and the weights take the one factor with which the normalised
    values reach from end to end of their codes, which stand for powers of two.

    Args:
        network: With float parameters, batch norms folded; its frames hold bytes over
            255.

    Raises:
        InputError: A parameter is missing.
    """
    readers = network.consumers()[network.input.name]
    first = [layer for layer in network.compute_layers if layer.name in readers]
    if len(first) != len(readers):
        return network
    scale, shift = _frame_scaling(network)
    if not np.any(shift) or not any(_is_padded(layer) for layer in first):
        step = BYTE_MAX / 2**FRAME_BITS
        folded = _folded(network, first, scale / step, shift)
        return _with_frame_scaling(
            folded, np.full(len(scale), step), np.zeros(len(scale))
        )
    factor = _filling(scale, shift)
    folded = _folded(network, first, np.full(len(scale), factor), np.zeros(len(scale)))
    return _with_frame_scaling(folded, scale / factor, shift / factor)


def _filling(scale: Real, shift: Real) -> float:
    """Return what normalised values are divided by to fill signed codes.

    It is above a half, and 1 where the values reach a power of two already, but for the
    code of it that signed codes lack.
    """
    ends = np.concatenate([shift, scale + shift])
    high = ends.max() * 2**FRAME_BITS / (2**FRAME_BITS - 2)
    reach = max(-ends.min(), high)
    power = 2.0 ** np.ceil(np.log2(max(-ends.min(), ends.max())))
    return min(1.0, float(reach / power))


def _folded(
    network: Network, first: list[Compute], scale: Real, shift: Real
) -> Network:
    """Return a network whose first layers scale and shift what they read."""
    params = dict(network.params)
    for layer in first:
        weight, bias = float_parameters(network, layer)
        rows = weight.reshape(len(weight), -1)
        if isinstance(layer, Depthwise):
            bias = bias + rows.sum(axis=1) * shift
            weight = weight * scale.reshape(-1, 1, 1, 1)
        else:
            by_channel = rows.reshape(len(rows), len(scale), -1)
            bias = bias + by_channel.sum(axis=2) @ shift
            weight = (by_channel * scale[:, None]).reshape(weight.shape)
        params[f"{layer.name}.weight"], params[f"{layer.name}.bias"] = weight, bias
    return replace(network, params=params).with_layers(
        lambda x: replace(x, bias=True) if isinstance(x, Compute) and x in first else x
    )


def _is_padded(layer: Compute) -> bool:
    return not isinstance(layer, Linear) and layer.padding != Padding()


def _frame_scaling(network: Network) -> tuple[Real, Real]:
    channels, name = network.input.ofm.channels, network.input.name
    found = frame_parameters(network)
    if not found:
        return np.ones(channels), np.zeros(channels)
    scale, shift = (
        found[f"{name}.{word}"].astype(np.float64) for word in ("scale", "shift")
    )
    return scale, shift


def _with_frame_scaling(network: Network, scale: Real, shift: Real) -> Network:
    name = network.input.name
    params = dict(network.params)
    for word, array in (("scale", scale), ("shift", shift)):
        params[f"{name}.{word}"] = array
    return replace(network, params=params)
