"""The layers that operators on single values become, one function per kind of layer.

As `hao.frontends.pieces`, for layers without weights and windows.
"""

from dataclasses import replace

import numpy as np

from hao.errors import InputError, UnsupportedError
from hao.frontends.feature_map import FeatureMap
from hao.frontends.piece_types import Array, NodeSite, Piece, check_no_padding
from hao.ir.interpret import RELU6_MAX
from hao.ir.layer import Activation, ActivationKind, Add, Affine, Quantize
from hao.ir.tensor import QType

FLOAT_MAX = float(np.finfo(np.float32).max)
"""What Clip-6 takes for an absent limit; source: onnx/docs/Changelog.md, Clip-6."""


def add_piece(site: NodeSite, x: FeatureMap, y: FeatureMap) -> Piece:
    """Return the residual add.

    Raises:
        UnsupportedError: The operands differ in shape or arrangement.
    """
    for operand in (x, y):
        check_no_padding(site, operand)
    if (x.shape, x.dimensions) != (y.shape, y.dimensions):
        raise UnsupportedError(
            f"{site.label}: adds feature maps of shape {x.sizes} and {y.sizes}; "
            "handled: maps of one shape; bring them to one with a convolution"
        )
    layer = Add(name=site.layer, inputs=(x.layer, y.layer), ofm=x.shape)
    nonnegative = x.nonnegative and y.nonnegative
    value = x.after(site.layer, x.shape, nonnegative=nonnegative)
    return Piece(value=value, layers=(layer,))


def activation_piece(site: NodeSite, x: FeatureMap, kind: ActivationKind) -> Piece:
    """Return an activation; padded zeros stay zeros."""
    layer = Activation(
        name=site.layer, input=x.layer, ifm=x.shape, ofm=x.shape, kind=kind
    )
    value = x.after(site.layer, x.shape, nonnegative=True)
    return Piece(value=replace(value, padding=x.padding), layers=(layer,))


def clip_piece(site: NodeSite, x: FeatureMap, lowest: float, highest: float) -> Piece:
    """Return what keeps values between two limits: nothing, a ReLU or a ReLU6.

    Between other limits than those of a ReLU6 values are scaled and shifted to its and
    back; below or above one limit they are shifted, or turned around, to a ReLU's.

    Args:
        site: Where it stands.
        x: Its input.
        lowest: -inf for none, as the least number of single precision is.
        highest: inf for none, likewise.

    Raises:
        UnsupportedError: It would move padded zeros, no value lies between the
            limits, or one is no number.
    """
    if not lowest < highest:
        raise UnsupportedError(
            f"{site.label}: limits {lowest} to {highest}; must be numbers, the first "
            "below the second"
        )
    low = max(lowest, 0.0) if x.nonnegative else lowest
    scale, shift, kind = 1.0, low, ActivationKind.RELU
    if highest < FLOAT_MAX and low > -FLOAT_MAX:
        scale, kind = (highest - low) / RELU6_MAX, ActivationKind.RELU6
    elif highest < FLOAT_MAX:
        scale, shift = -1.0, highest
    elif low <= -FLOAT_MAX or (x.nonnegative and low == 0):
        return Piece(value=x)
    if (scale, shift) == (1.0, 0.0):
        return activation_piece(site, x, kind)
    names = f"{site.layer}.to", f"{site.layer}.{kind.value}"
    to, act = (replace(site, layer=name) for name in names)
    first = affine_piece(to, x, scale=_one(1 / scale), shift=_one(-shift / scale))
    second = activation_piece(act, first.value, kind)
    third = affine_piece(site, second.value, scale=_one(scale), shift=_one(shift))
    value = replace(third.value, nonnegative=low >= 0)
    return replace(third, value=value).behind(second.behind(first))


def _one(value: float) -> Array:
    return np.array([value], dtype=np.float64)


def affine_piece(site: NodeSite, x: FeatureMap, *, scale: Array, shift: Array) -> Piece:
    """Return scale * x + shift.

    Args:
        site: Where it stands.
        x: Its input.
        scale: Shape (1,) or (channels,).
        shift: Shape (1,) or (channels,).

    Raises:
        UnsupportedError: It would shift padded zeros.
    """
    if np.any(shift != 0):
        check_no_padding(site, x)
    channels = (x.shape.channels,)
    layer = Affine(name=site.layer, input=x.layer, ifm=x.shape, ofm=x.shape)
    params = {
        f"{site.layer}.scale": np.broadcast_to(scale, channels),
        f"{site.layer}.shift": np.broadcast_to(shift, channels),
    }
    value = x.after(site.layer, x.shape, nonnegative=False)
    return Piece(
        value=replace(value, padding=x.padding), layers=(layer,), params=params
    )


def quantize_piece(
    site: NodeSite, x: FeatureMap, *, quant: QType, scale: Array, zero_point: Array
) -> Piece:
    """Return a quantizer on a feature map.

    Args:
        site: Where it stands.
        x: Its input.
        quant: Integer type.
        scale: Shape (1,) or (channels,).
        zero_point: Shape (1,) or (channels,).

    Raises:
        InputError: A scale is not a positive number.
        UnsupportedError: It would move padded zeros.
    """
    check_scale(site, scale)
    zero = zero_point.astype(np.float64)
    # 0.0 has a code of its own.
    kept = np.array_equal(np.clip(np.rint(zero), quant.lowest, quant.highest), zero)
    zeros_stay = kept and not quant.bipolar
    if not zeros_stay:
        check_no_padding(site, x)
    layer = Quantize(
        name=site.layer, input=x.layer, ifm=x.shape, ofm=x.shape, quant=quant
    )
    above = bool(np.all(zero <= quant.lowest))
    nonnegative = zeros_stay and (x.nonnegative or above)
    value = x.after(site.layer, x.shape, nonnegative=nonnegative)
    return Piece(
        value=replace(value, padding=x.padding),
        layers=(layer,),
        params={f"{site.layer}.scale": scale, f"{site.layer}.zero_point": zero_point},
    )


def check_scale(site: NodeSite, scale: Array) -> None:
    """Refuse a quantizer whose scale is not a positive number.

    Raises:
        InputError: Zero, negative, infinite or NaN.
    """
    real = scale.astype(np.float64)
    if not np.all((real > 0) & np.isfinite(real)):
        raise InputError(f"{site.label}: a scale is not above 0; must be positive")
