"""ONNX operators that become layers with weights or windows.

Each function reads one node in ONNX's spelling, attributes and defaults included, and
calls the piece that it stands for. Source of every default: the operator
specification, onnx/docs/Operators.md, opsets 7 to 23.
"""

from dataclasses import replace

import numpy as np

from hao.errors import InputError, UnsupportedError
from hao.frontends.feature_map import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    Axis,
    FeatureMap,
    per_channel,
)
from hao.frontends.from_onnx.values import NodeCall, whole_numbers
from hao.frontends.piece_types import (
    Array,
    Order,
    Piece,
    Weight,
    Window,
)
from hao.frontends.pieces import (
    conv_piece,
    global_average_piece,
    linear_piece,
    pixels_piece,
    pool_piece,
)
from hao.frontends.pointwise_pieces import (
    affine_piece,
)
from hao.intmath import ceil_div
from hao.ir.layer import Padding, PoolKind

CHANNELS_LAST_DOMAIN = "qonnx.custom_op.channels_last"
"""Operators of ONNX on channels-last tensors; source: qonnx 1.0, custom_op."""

_AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
"""Source: ONNX operator specification, Conv-11."""


def order_of(call: NodeCall) -> Order:
    """Return how the node's tensors are arranged."""
    last = call.node.domain == CHANNELS_LAST_DOMAIN
    return CHANNELS_LAST if last else CHANNELS_FIRST


def read_conv(call: NodeCall) -> Piece:
    """Return a convolution.

    Raises:
        UnsupportedError: Dilated, or not two-dimensional.
    """
    x = call.feature_map()
    weight = call.constant(1)
    if weight.values.ndim != 4:
        raise UnsupportedError(
            f"{call.label}: weights of shape {weight.values.shape}; handled: "
            "two-dimensional convolutions"
        )
    check_float(call, weight)
    order = order_of(call)
    if order is CHANNELS_LAST:
        weight = replace(weight, values=weight.values.transpose(0, 3, 1, 2))
    bias = call.optional(2)
    return conv_piece(
        call.site,
        x,
        weight=weight,
        bias=None if bias is None else bias.values,
        window=_window(call, x, default=weight.values.shape[2:]),
        groups=call.node.integer("group", 1),
        order=order,
    )


def read_gemm(call: NodeCall) -> Piece:
    """Return a fully connected layer from alpha * A * B + beta * C.

    Raises:
        UnsupportedError: A is transposed, or integer weights are scaled.
    """
    node = call.node
    x = call.feature_map()
    weight, bias = call.constant(1), call.optional(2)
    check_float(call, weight)
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    if node.integer("transA", 0) or (weight.quant is not None and alpha != 1):
        raise UnsupportedError(
            f"{call.label}: transA = {node.integer('transA', 0)}, alpha = {alpha}; "
            "handled: transA = 0, and alpha = 1 on integer weights"
        )
    if not node.integer("transB", 0):
        weight = _transposed(call, weight)
    if alpha != 1:
        weight = Weight(values=_times(weight.values, alpha))
    scaled = None if bias is None else _times(bias.values, beta)
    return linear_piece(call.site, x, weight=weight, bias=scaled)


def read_matmul(call: NodeCall) -> Piece:
    """Return a fully connected layer without bias from a feature map and weights."""
    if call.operand(0) is None or isinstance(call.operand(0), Weight):
        raise UnsupportedError(
            f"{call.label}: multiplies from the left; handled: a feature map times "
            "weights"
        )
    x = call.feature_map()
    weight = _transposed(call, call.constant(1))
    check_float(call, weight)
    return linear_piece(call.site, x, weight=weight, bias=None)


def read_batch_norm(call: NodeCall) -> Piece:
    """Return the affine layer that a batch norm computes with frozen statistics.

    Raises:
        UnsupportedError: It computes its statistics from the batch.
    """
    node = call.node
    x = call.feature_map()
    if node.integer("training_mode", 0):
        raise UnsupportedError(
            f"{call.label}: training_mode = 1; handled: frozen statistics; export the "
            "model in evaluation mode"
        )
    constants = [call.constant(position).values for position in range(1, 5)]
    gamma, beta, mean, variance = (c.astype(np.float64) for c in constants)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = gamma / np.sqrt(variance + node.real("epsilon", 1e-5))
    channels_last = order_of(call) is CHANNELS_LAST
    rank = len(x.dimensions)
    position = rank - 1 if channels_last or rank < 2 else 1
    shape = [-1 if dimension == position else 1 for dimension in range(rank)]
    kind = constants[0].dtype
    return affine_piece(
        call.site,
        x,
        scale=per_channel(x, scale.reshape(shape), node=call.label).astype(kind),
        shift=per_channel(
            x, (beta - mean * scale).reshape(shape), node=call.label
        ).astype(kind),
    )


def read_max_pool(call: NodeCall) -> Piece:
    """Return a maximum over windows; ceil_mode becomes padding, never picked."""
    x = call.feature_map()
    return pool_piece(
        call.site,
        x,
        kind=PoolKind.MAX,
        window=_window(call, x, rounds_up=call.node.integer("ceil_mode", 0) == 1),
        order=order_of(call),
    )


def read_average_pool(call: NodeCall) -> Piece:
    """Return an average over windows; what ceil_mode adds is never counted.

    Source: PyTorch, `avg_pool2d`, which onnxruntime follows; equality with both is
    tested in tests/frontends/from_onnx/test_model.py and tests/frontends/from_torch.
    """
    x = call.feature_map()
    counts = call.node.integer("count_include_pad", 0) == 1
    window = _window(call, x)
    wider = _window(call, x, rounds_up=call.node.integer("ceil_mode", 0) == 1)
    return pool_piece(
        call.site,
        x,
        kind=PoolKind.AVERAGE,
        window=wider,
        uncounted=wider.uncounted(window, counts=counts),
        order=order_of(call),
    )


def read_global_average(call: NodeCall) -> Piece:
    """Return the average over all pixels."""
    x = call.feature_map()
    _check_four(call, x)
    return global_average_piece(call.site, x)


def read_global_max(call: NodeCall) -> Piece:
    """Return the maximum over all pixels of a square map."""
    x = call.feature_map()
    window = Window(kernel=(x.shape.height, x.shape.width))
    return pool_piece(call.site, x, kind=PoolKind.MAX, window=window)


def read_mean(call: NodeCall) -> Piece:
    """Return a mean over pixels.

    Raises:
        UnsupportedError: It names no axes, or other axes than pixels.
    """
    return _over_pixels(call, PoolKind.AVERAGE)


def read_max(call: NodeCall) -> Piece:
    """Return a maximum over pixels.

    Raises:
        UnsupportedError: It names no axes, or other axes than pixels.
    """
    return _over_pixels(call, PoolKind.MAX)


def _over_pixels(call: NodeCall, kind: PoolKind) -> Piece:
    x = call.feature_map()
    axes = call.integers(1, "axes")
    if axes is None:
        raise UnsupportedError(f"{call.label}: goes over all axes; handled: pixels")
    keep = call.node.integer("keepdims", 1) == 1
    return pixels_piece(call.site, x, kind, dimensions=axes, keep=keep)


def read_pad(call: NodeCall) -> Piece:
    """Return the map with zeros around it that the next window layer takes in.

    Raises:
        InputError: It lists another number of sizes.
        UnsupportedError: It pads with something else, crops, or pads channels.
    """
    x = call.feature_map()
    pads = call.integers(1, "pads") or ()
    rank = len(x.dimensions)
    fill = call.optional(2)
    value = (
        call.node.real("value", 0.0) if fill is None else float(fill.values.ravel()[0])
    )
    mode = call.node.text("mode", "constant")
    axes = call.optional(3)
    if axes is not None:
        listed = [axis % rank for axis in whole_numbers(call.label, axes.values)]
        spread = [0] * (2 * rank)
        for index, axis in enumerate(listed):
            spread[axis] = pads[index]
            spread[rank + axis] = pads[len(listed) + index]
        pads = tuple(spread)
    if len(pads) != 2 * rank:
        raise InputError(f"{call.label}: pads {pads} of a tensor of rank {rank}")
    if not any(pads):
        return Piece(value=x)
    order = next((o for o in (CHANNELS_FIRST, CHANNELS_LAST) if x.arranged(o)), None)
    before = dict(zip(order or (), pads[:rank], strict=False))
    after = dict(zip(order or (), pads[rank:], strict=False))
    others = [
        d[a] for d in (before, after) for a in (Axis.BATCH, Axis.CHANNEL) if a in d
    ]
    if mode != "constant" or value != 0 or min(pads) < 0 or not order or any(others):
        raise UnsupportedError(
            f"{call.label}: pads {pads}, mode {mode!r}, value {value}; handled: zeros "
            "around the pixels of a map"
        )
    padding = Padding(
        top=x.padding.top + before[Axis.HEIGHT],
        left=x.padding.left + before[Axis.WIDTH],
        bottom=x.padding.bottom + after[Axis.HEIGHT],
        right=x.padding.right + after[Axis.WIDTH],
    )
    return Piece(value=replace(x, padding=padding))


def check_float(call: NodeCall, weight: Weight) -> None:
    """Refuse weights that are stored as plain integers.

    Raises:
        UnsupportedError: They are.
    """
    if not np.issubdtype(weight.values.dtype, np.floating):
        raise UnsupportedError(
            f"{call.label}: weights of type {weight.values.dtype}; handled: floating "
            "point, or integers behind Quant or DequantizeLinear"
        )


def _times(values: Array, factor: float) -> Array:
    """Return the product in the type of `values`."""
    return (values.astype(np.float64) * factor).astype(values.dtype)


def _transposed(call: NodeCall, weight: Weight) -> Weight:
    """Return a matrix with rows and columns exchanged, scales too."""
    if weight.values.ndim != 2:
        raise UnsupportedError(
            f"{call.label}: weights of shape {weight.values.shape}; handled: matrices"
        )

    def turned(values: Array) -> Array:
        if values.size == 1:
            return values.reshape(1)
        return np.atleast_2d(values).T

    return Weight(
        values=weight.values.T,
        quant=weight.quant,
        scale=turned(weight.scale),
        zero_point=turned(weight.zero_point),
    )


def _check_four(call: NodeCall, x: FeatureMap) -> None:
    if len(x.dimensions) != 4 or not x.arranged(CHANNELS_FIRST):
        raise UnsupportedError(
            f"{call.label}: reads a tensor of shape {x.sizes}; handled: (batch, "
            "channels, height, width)"
        )


def _window(
    call: NodeCall,
    x: FeatureMap,
    *,
    default: tuple[int, ...] = (),
    rounds_up: bool = False,
) -> Window:
    """Return kernel, stride and padding; `rounds_up` adds what ceil_mode asks for.

    Source: ONNX operator specification, Conv-11 and MaxPool-12 (auto_pad).
    """
    node = call.node
    kernel = node.integers("kernel_shape", default)
    if len(kernel) != 2:
        raise UnsupportedError(
            f"{call.label}: kernel_shape {kernel}; handled: two-dimensional windows"
        )
    stride = node.integers("strides", (1, 1))
    dilations = node.integers("dilations", (1, 1))
    pads = node.integers("pads", (0, 0, 0, 0))
    if set(dilations) != {1}:
        raise UnsupportedError(
            f"{call.label}: dilations {dilations}; handled: 1; a larger kernel, up to "
            "7x7, sees as far"
        )
    if len(stride) != 2 or len(pads) != 4 or min(*stride, *kernel) < 1:
        raise InputError(
            f"{call.label}: kernel_shape {kernel}, strides {stride}, pads {pads}"
        )
    if min(pads) < 0:
        raise UnsupportedError(f"{call.label}: pads {pads}; handled: at least 0")
    before, after = list(pads[:2]), list(pads[2:])
    mode = node.text("auto_pad", "NOTSET")
    if mode not in _AUTO_PADS:
        raise InputError(
            f"{call.label}: auto_pad {mode!r}; must be one of {', '.join(_AUTO_PADS)}"
        )
    sizes = (
        x.shape.height + x.padding.top + x.padding.bottom,
        x.shape.width + x.padding.left + x.padding.right,
    )
    for d in range(2):
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            steps = ceil_div(sizes[d], stride[d]) - 1
            total = max(0, steps * stride[d] + kernel[d] - sizes[d])
            small, large = total // 2, total - total // 2
            upper = mode == "SAME_UPPER"
            before[d], after[d] = (small, large) if upper else (large, small)
        elif mode == "VALID":
            before[d] = after[d] = 0
    padding = Padding(top=before[0], left=before[1], bottom=after[0], right=after[1])
    window = Window(
        kernel=(kernel[0], kernel[1]), stride=(stride[0], stride[1]), padding=padding
    )
    return window.rounded_up(x) if rounds_up else window
