"""Weights and frames that are wider than the lanes, as two digits of four bits.

A layer in two passes keeps its weights w as w = 16 * high + low, both signed digits of
`DIGIT_BITS` bits. The array adds up the products of all high digits, moved up by
`DIGIT_BITS`, and those of all low ones: the same sum, bit for bit, in twice the cycles
on lanes half as wide. Two digits hold -136 to 119; so weights of 8 bits, which are
symmetric, keep to `MOST_CODE` in magnitude.

A frame of 8 bits on narrower activations comes as two planes of digits, x = 16 * high +
low, the high ones first: a first convolution then reads twice the channels, one pass
more than its weights need. In a pass, each plane meets the digit of the weights whose
place makes up for its own. Unsigned codes have unsigned digits; signed ones signed
digits, and keep to `MOST_CODE`.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError, UnsupportedError
from hao.ir.integer import MapType
from hao.ir.layer import Compute, Conv, Depthwise, Input, Layer, Linear
from hao.ir.network import Network
from hao.ir.partition import Invocation
from hao.ir.tensor import QType

DIGIT_BITS = 4
"""Width of a digit, and so of the narrowest lanes that run a layer in two passes."""

MOST_PASSES = 2
"""Of the weights of a layer."""

FRAME_BITS = 8
"""Width of the codes of a frame that comes in digits."""

MOST_CODE = ((1 << (DIGIT_BITS - 1)) - 1) * ((1 << DIGIT_BITS) + 1)
"""Largest magnitude of a weight that two digits hold: 7 * 16 + 7."""


def lane_bits(weight_bits: int, passes: int) -> int:
    """Return the width of the lanes that a layer needs at least."""
    return weight_bits if passes == 1 else DIGIT_BITS


def in_passes(kind: QType, layer: Compute) -> QType:
    """Return the type of a layer's weights with what its passes hold of it."""
    if weight_passes(layer) == 1 or kind.highest <= MOST_CODE:
        return kind
    return replace(kind, most=MOST_CODE)


def most_passes() -> int:
    """Return the most passes over the lanes: two of the weights, one of a frame."""
    return MOST_PASSES + 1


def weight_passes(layer: Compute) -> int:
    """Return in how many digits the weights of a layer are kept."""
    if isinstance(layer, Depthwise):
        return 1
    return layer.passes - _planes(layer) + 1


def _planes(layer: Compute) -> int:
    return layer.planes if isinstance(layer, Conv) else 1


def _digits(weight: NDArray[np.int64], layer: Compute) -> list[NDArray[np.int64]]:
    """Return the digits of a layer's weights, the highest first."""
    if weight_passes(layer) == 1:
        return [weight]
    if weight.size and not -MOST_CODE <= weight.min() <= weight.max() <= MOST_CODE:
        raise InputError(
            f"layer {layer.name!r}: weights from {weight.min()} to {weight.max()}; "
            f"two passes hold -{MOST_CODE} to {MOST_CODE}, as `hao quantize` makes them"
        )
    return list(_halves(weight))


def _halves(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return two signed digits of codes, the high one first."""
    high = (codes + (1 << (DIGIT_BITS - 1))) >> DIGIT_BITS
    return high, codes - (high << DIGIT_BITS)


def digits(weight: NDArray[np.int64], layer: Compute) -> NDArray[np.int64]:
    """Return what the lanes hold in every pass of a layer.

    Args:
        weight: Shape (ofm_channels, ifm_channels, ...).
        layer: Its passes, and the planes of its IFM.

    Returns:
        Shape (passes, ofm_channels, planes * ifm_channels, ...); the sums of a pass are
        moved up by `DIGIT_BITS` for every pass behind it.

    Raises:
        InputError: A weight that two digits do not hold.
    """
    made = _digits(weight, layer)
    if _planes(layer) == 1:
        return np.stack(made)
    none = np.zeros_like(weight)
    pairs = zip([*made, none], [none, *made], strict=True)
    return np.stack([np.concatenate(pair, axis=1) for pair in pairs])


def factors(weight: NDArray[np.int64], layer: Compute) -> NDArray[np.int64]:
    """Return what codes, or their digits, are multiplied with: digits in their place.

    Args:
        weight: Shape (ofm_channels, ifm_channels, ...).
        layer: Its passes, and the planes of its IFM.

    Returns:
        Shape (ofm_channels, passes, planes * ifm_channels, ...).

    Raises:
        InputError: A weight that two digits do not hold.
    """
    made = digits(weight, layer)
    ups = np.arange(len(made) - 1, -1, -1) * DIGIT_BITS
    places = made << ups.reshape(-1, *[1] * weight.ndim)
    return np.moveaxis(places, 0, 1)


def planes_of(codes: NDArray[np.int64], *, signed: bool) -> NDArray[np.int64]:
    """Return a frame as planes of digits, the high ones first.

    Args:
        codes: Of 8 bits, shape (frames, channels, height, width); signed ones at most
            `MOST_CODE`.
        signed: Codes and digits are signed.

    Returns:
        Shape (frames, 2 * channels, height, width).
    """
    high, low = codes >> DIGIT_BITS, codes & ((1 << DIGIT_BITS) - 1)
    if signed:
        high, low = _halves(codes)
    return np.concatenate([high, low], axis=1)


def codes_of(planes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the frames of planes of digits; the inverse of `planes_of`.

    Args:
        planes: Shape (frames, 2 * channels, height, width), the high digits first.

    Returns:
        Shape (frames, channels, height, width).
    """
    high, low = np.split(planes, 2, axis=1)
    return (high << DIGIT_BITS) + low


def digit_type(codes: MapType) -> MapType:
    """Return the type of the digits of a frame."""
    low, high = (-8, 7) if codes.quant.signed else (0, 15)
    quant = QType(bits=DIGIT_BITS, signed=codes.quant.signed)
    return MapType(quant=quant, low=low, high=high, exponent=None)


def frame_planes(network: Network) -> int:
    """Return the planes in which the frame of a network comes."""
    return max((x.planes for x in network.layers if isinstance(x, Conv)), default=1)


def map_bits(network: Network, layer: Layer, act_bits: int) -> int:
    """Return the bits of the map that a layer makes.

    Args:
        network: Whose layer it is.
        layer: The frame, or a layer.
        act_bits: Of all maps but a frame that comes in digits.
    """
    split = isinstance(layer, Input) and frame_planes(network) > 1
    return FRAME_BITS if split else act_bits


def frame_in_planes(network: Network, planes: int) -> Network:
    """Return a network whose frame of 8 bits comes whole, or as two planes of digits.

    Args:
        network: Either.
        planes: 1 or 2.

    Raises:
        UnsupportedError: Two planes, and the frame is read by something else than one
            convolution.
    """
    if frame_planes(network) == planes:
        return network
    readers = network.consumers()[network.input.name]
    first = next(x for x in network.layers if x.name in readers)
    if len(readers) != 1 or not isinstance(first, Conv):
        raise UnsupportedError(
            f"network {network.name!r}: its frame is read by {', '.join(readers)}; "
            "activations of fewer than 8 bits beside a frame of 8 need one convolution "
            "there, so it runs with `act_bits` = 8"
        )
    passes = first.passes + planes - first.planes
    split = replace(first, planes=planes, passes=passes)
    layers = tuple(split if x is first else x for x in network.layers)
    return replace(network, layers=layers)


def run_in_passes(network: Network, passes: dict[str, int]) -> Network:
    """Return a network whose weights run in so many passes; those left out in one."""
    return network.with_layers(
        lambda x: (
            _in_passes(x, passes.get(x.name, 1)) if isinstance(x, Conv | Linear) else x
        )
    )


def invocation_in_passes(run: Invocation, passes: dict[str, int]) -> Invocation:
    """Return a run whose weights take so many passes; those left out take one."""
    dense, pointwise = (
        None if layer is None else _in_passes(layer, passes.get(layer.name, 1))
        for layer in (run.dense, run.pointwise)
    )
    return replace(run, dense=dense, pointwise=pointwise)


def _in_passes(layer: Conv | Linear, passes: int) -> Conv | Linear:
    wanted = passes + _planes(layer) - 1
    return layer if layer.passes == wanted else replace(layer, passes=wanted)
