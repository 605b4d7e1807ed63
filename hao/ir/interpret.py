"""What a network computes: reference semantics in NumPy floating point.

`run_float` is what every importer, rewrite and quantizer is compared with. The sums
over windows are in `hao.ir.windows`; they know no scales, so that arithmetic on
integers is built from the same functions.

Conventions: feature maps have shape (batch, channels, height, width). Convolutions
and averages see zeros in the padding, a maximum never picks it. A quantizer divides
by its scale, adds the zero point, clamps, rounds, and undoes both, in this order and
in the type of the feature map; that is the order of QONNX's executor. How images are
normalised before they enter is left to the caller.
"""

from collections.abc import Mapping
from typing import TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.averages import counted_pixels
from hao.ir.layer import (
    Activation,
    ActivationKind,
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
    PoolKind,
    Quantize,
)
from hao.ir.network import Network, run_layers
from hao.ir.tensor import QType, Rounding
from hao.ir.windows import dense_sums, depthwise_sums, window_maximum, window_sum

Real = TypeVar("Real", bound=np.floating)

RELU6_MAX = 6
"""Upper end of ReLU6; source: Sandler et al., MobileNetV2, CVPR 2018, section 4."""


def run_float(network: Network, x: NDArray[Real]) -> NDArray[Real]:
    """Return the outputs of a network in the floating-point type of `x`.

    Args:
        network: With parameters for every layer that has any.
        x: Shape (batch, channels, height, width) of the network's input.

    Returns:
        Shape (batch, channels, height, width) of the last layer's OFM.

    Raises:
        InputError: `x` is not floating point or has another shape, or a parameter
            is missing.
    """
    maps = run_float_layers(network, x, keep=frozenset({network.output.name}))
    return maps[network.output.name]


def run_float_layers(
    network: Network, x: NDArray[Real], *, keep: frozenset[str]
) -> dict[str, NDArray[Real]]:
    """Return the feature maps of the layers named in `keep`.

    Raises:
        InputError: As `run_float`.
    """
    _check_frames(network, x)

    def run(layer: Layer, operands: list[NDArray[Real]]) -> NDArray[Real]:
        frames = operands or [scaled_frames(network, x)]
        return _run_layer(layer, frames, network.params)

    return run_layers(network, run, keep)


def scaled_frames(network: Network, x: NDArray[Real]) -> NDArray[Real]:
    """Return frames after the scaling that a network leaves to the host, if any.

    It stands in the parameters `scale` and `shift` of the input layer, shape
    (channels,) each; `hao.ir.lower` puts it there.
    """
    name = network.input.name
    if f"{name}.scale" not in network.params:
        return x
    scaled: NDArray[Real] = x * _per_channel(network.params, f"{name}.scale", x)
    return scaled + _per_channel(network.params, f"{name}.shift", x)


def quantize_codes(
    x: NDArray[Real], quant: QType, *, scale: NDArray[Real], zero_point: NDArray[Real]
) -> NDArray[Real]:
    """Return the integers, as floats, that a quantizer gives to real values.

    Args:
        x: Any shape.
        quant: Range and rounding.
        scale: Positive; must broadcast against `x`.
        zero_point: Integer that stands for 0.0; must broadcast against `x`.

    Source: QONNX Quant and BipolarQuant, `int_quant` and `binary_quant` of qonnx 1.0
    (divide, add, clamp, round); equality is tested in
    tests/frontends/from_onnx/test_quant.py.
    """
    shifted = x / scale + zero_point
    if quant.bipolar:
        one = x.dtype.type(1)
        signs: NDArray[Real] = np.where(shifted >= 0, one, -one)
        return signs
    clamped = np.clip(shifted, x.dtype.type(quant.lowest), x.dtype.type(quant.highest))
    return round_values(clamped, quant.rounding)


def round_values(x: NDArray[Real], rounding: Rounding) -> NDArray[Real]:
    """Return `x` rounded to integers that are still floats."""
    half = x.dtype.type(0.5)
    rounded: NDArray[Real]
    match rounding:
        case Rounding.HALF_EVEN:
            rounded = np.rint(x)
        case Rounding.HALF_ODD:
            rounded = np.rint(x + 1) - 1
        case Rounding.HALF_UP:
            # x + 0.5 itself may round up, as at 0.49999999999999994; x - low is exact.
            low = np.floor(x)
            rounded = low + (x - low >= half).astype(x.dtype)
        case Rounding.HALF_AWAY:
            rounded = np.sign(x) * np.floor(np.abs(x) + half)
        case Rounding.CEIL:
            rounded = np.ceil(x)
        case Rounding.FLOOR:
            rounded = np.floor(x)
        case Rounding.TO_ZERO:
            rounded = np.trunc(x)
        case _:
            assert_never(rounding)
    return rounded


def activate(x: NDArray[Real], kind: ActivationKind) -> NDArray[Real]:
    """Return `x` after an activation function."""
    zero = x.dtype.type(0)
    active: NDArray[Real]
    match kind:
        case ActivationKind.NONE:
            active = x
        case ActivationKind.RELU:
            active = np.maximum(x, zero)
        case ActivationKind.RELU6:
            active = np.clip(x, zero, x.dtype.type(RELU6_MAX))
        case _:
            assert_never(kind)
    return active


def _check_frames(network: Network, x: NDArray[Real]) -> None:
    shape = network.input.ofm
    expected = (shape.channels, shape.height, shape.width)
    if x.ndim != 4 or x.shape[1:] != expected or len(x) < 1:
        raise InputError(
            f"network {network.name!r}: frames of shape {x.shape}; must be (batch, "
            f"{shape.channels}, {shape.height}, {shape.width})"
        )
    if not np.issubdtype(x.dtype, np.floating):
        raise InputError(
            f"network {network.name!r}: frames of type {x.dtype}; must be floating "
            "point"
        )


def _run_layer(
    layer: Layer,
    operands: list[NDArray[Real]],
    params: Mapping[str, NDArray[np.generic]],
) -> NDArray[Real]:
    x = operands[0]
    result: NDArray[Real]
    match layer:
        case Input():
            result = x
        case Conv() | Depthwise() | Linear():
            result = _run_compute(layer, x, params)
        case Pool():
            result = _run_pool(layer, x)
        case GlobalAveragePool():
            result = x.mean(axis=(2, 3), keepdims=True, dtype=x.dtype)
        case Add():
            result = activate(x + operands[1], layer.activation)
        case Affine():
            scale = _per_channel(params, f"{layer.name}.scale", x)
            result = x * scale + _per_channel(params, f"{layer.name}.shift", x)
        case Activation():
            result = activate(x, layer.kind)
        case Quantize():
            scale = _per_channel(params, f"{layer.name}.scale", x)
            zero_point = _per_channel(params, f"{layer.name}.zero_point", x)
            codes = quantize_codes(x, layer.quant, scale=scale, zero_point=zero_point)
            result = (codes - zero_point) * scale
        case _:
            assert_never(layer)
    return result


def _run_compute(
    layer: Compute,
    x: NDArray[Real],
    params: Mapping[str, NDArray[np.generic]],
) -> NDArray[Real]:
    weight = _param(params, f"{layer.name}.weight", x)
    sums: NDArray[Real]
    match layer:
        case Conv():
            sums = dense_sums(x, weight, stride=layer.stride, padding=layer.padding)
        case Depthwise():
            sums = depthwise_sums(x, weight, stride=layer.stride, padding=layer.padding)
        case Linear():
            flat = x.reshape(len(x), -1) @ weight.T
            sums = flat.reshape(len(x), -1, 1, 1)
        case _:
            assert_never(layer)
    if layer.bias:
        sums += _per_channel(params, f"{layer.name}.bias", x)
    return activate(sums, layer.activation)


def _run_pool(layer: Pool, x: NDArray[Real]) -> NDArray[Real]:
    kernel, stride, padding = layer.kernel, layer.stride, layer.padding
    pooled: NDArray[Real]
    match layer.kind:
        case PoolKind.MAX:
            lowest = x.dtype.type(-np.inf)
            pooled = window_maximum(
                x, kernel=kernel, stride=stride, padding=padding, lowest=lowest
            )
        case PoolKind.AVERAGE:
            sums = window_sum(x, kernel=kernel, stride=stride, padding=padding)
            pixels: NDArray[Real] = counted_pixels(layer).astype(x.dtype)
            pooled = sums / pixels
        case _:
            assert_never(layer.kind)
    return pooled


def _param(
    params: Mapping[str, NDArray[np.generic]], key: str, like: NDArray[Real]
) -> NDArray[Real]:
    if key not in params:
        raise InputError(
            f"parameter {key!r} is missing; import the network from a file"
        )
    array: NDArray[Real] = params[key].astype(like.dtype, copy=False)
    return array


def _per_channel(
    params: Mapping[str, NDArray[np.generic]], key: str, like: NDArray[Real]
) -> NDArray[Real]:
    """Return a parameter as (1, channels or 1, 1, 1)."""
    return _param(params, key, like).reshape(1, -1, 1, 1)
