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
    FeatureMap,
    per_channel,
)
from hao.frontends.from_onnx.values import NodeCall, PaddedBelow
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
    pool_piece,
)
from hao.frontends.pointwise_pieces import affine_piece
from hao.frontends.reasons import FLAT
from hao.frontends.taps import spread_taps
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
        UnsupportedError: Not two-dimensional.
    """
    x = call.feature_map()
    weight = call.constant(1)
    if weight.values.ndim != 4:
        raise UnsupportedError(
            f"{call.label}: weights of shape {weight.values.shape}; {FLAT}"
        )
    check_float(call, weight)
    order = order_of(call)
    if order is CHANNELS_LAST:
        weight = replace(weight, values=weight.values.transpose(0, 3, 1, 2))
    bias = call.optional(2)
    dilations = _dilations(call)
    return conv_piece(
        call.site,
        x,
        weight=spread_taps(call.site, weight, dilations),
        bias=None if bias is None else bias.values,
        window=_window(call, x, default=weight.values.shape[2:], dilations=dilations),
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
    _check_matrix(call, weight)
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    if call.flag("transA") or (weight.quant is not None and alpha != 1):
        raise UnsupportedError(
            f"{call.label}: transA = {node.integer('transA', 0)}, alpha = {alpha}; "
            "handled: transA = 0, and alpha = 1 on integer weights; write x @ W, as "
            "torch.nn.Linear does, and put alpha into the scale"
        )
    if not call.flag("transB"):
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
            "weights; write x @ W, as torch.nn.Linear does"
        )
    x = call.feature_map()
    weight = _transposed(call, call.constant(1))
    check_float(call, weight)
    return linear_piece(call.site, x, weight=weight, bias=None)


def read_batch_norm(call: NodeCall) -> Piece:
    """Return the affine layer that a batch norm computes with frozen statistics.

    Raises:
        InputError: Its constants differ in shape.
        UnsupportedError: It computes its statistics from the batch.
    """
    node = call.node
    x = call.feature_map()
    if call.flag("training_mode"):
        raise UnsupportedError(
            f"{call.label}: training_mode = 1; handled: frozen statistics; export the "
            "model in evaluation mode"
        )
    constants = [call.constant(position).values for position in range(1, 5)]
    check_float(call, *map(call.constant, range(1, 5)))
    if len({c.shape for c in constants}) > 1:
        shapes = ", ".join(str(c.shape) for c in constants)
        raise InputError(f"{call.label}: statistics of shapes {shapes}; must be alike")
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
    """Return a maximum over windows; what ceil_mode adds is padding, never picked."""
    below = call.operand(0)
    more = below.padding if isinstance(below, PaddedBelow) else Padding()
    x = below.source if isinstance(below, PaddedBelow) else call.feature_map()
    seen = replace(x, padding=x.padding + more)
    window = _window(call, seen, rounds_up=call.flag("ceil_mode"))
    return pool_piece(
        call.site,
        x,
        kind=PoolKind.MAX,
        window=replace(window, padding=window.padding + more),
        order=order_of(call),
    )


def read_average_pool(call: NodeCall) -> Piece:
    """Return an average over windows; what ceil_mode adds is never counted.

    Source: PyTorch, `avg_pool2d`, which onnxruntime follows; equality with both is
    tested in tests/frontends/from_onnx/test_model.py and tests/frontends/from_torch.
    """
    x = call.feature_map()
    counts = call.flag("count_include_pad")
    window = _window(call, x)
    wider = _window(call, x, rounds_up=call.flag("ceil_mode"))
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


def check_float(call: NodeCall, *weights: Weight) -> None:
    """Refuse weights that are stored as plain integers.

    Raises:
        UnsupportedError: Some are.
    """
    for weight in weights:
        if not np.issubdtype(weight.values.dtype, np.floating):
            raise UnsupportedError(
                f"{call.label}: weights of type {weight.values.dtype}; handled: "
                "floating point, or integers behind Quant or DequantizeLinear"
            )


def _times(values: Array, factor: float) -> Array:
    """Return the product in the type of `values`."""
    return (values.astype(np.float64) * factor).astype(values.dtype)


def _check_matrix(call: NodeCall, weight: Weight) -> None:
    if weight.values.ndim != 2:
        raise UnsupportedError(
            f"{call.label}: weights of shape {weight.values.shape}; handled: matrices"
        )


def _transposed(call: NodeCall, weight: Weight) -> Weight:
    """Return a matrix with rows and columns exchanged, scales too."""
    _check_matrix(call, weight)

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


def _dilations(call: NodeCall) -> tuple[int, int]:
    """Return how far apart taps are, by height and width."""
    given = call.node.integers("dilations", (1, 1))
    if len(given) != 2 or min(given) < 1:
        raise InputError(f"{call.label}: dilations {given}; must be two, at least 1")
    return given[0], given[1]


def _around(
    mode: str, size: int, kernel: int, stride: int, *, own: tuple[int, int]
) -> tuple[int, int]:
    """Return what auto_pad puts before and behind pixels; none leaves `own`."""
    if mode == "VALID":
        return 0, 0
    if mode == "NOTSET":
        return own
    total = max(0, (ceil_div(size, stride) - 1) * stride + kernel - size)
    small, large = total // 2, total - total // 2
    return (small, large) if mode == "SAME_UPPER" else (large, small)


def _window(
    call: NodeCall,
    x: FeatureMap,
    *,
    default: tuple[int, ...] = (),
    rounds_up: bool = False,
    dilations: tuple[int, int] | None = None,
) -> Window:
    """Return kernel, stride and padding; `rounds_up` adds what ceil_mode asks for.

    With `dilations` the kernel is what the taps spread over; pools have none.

    Source: ONNX operator specification, Conv-11 and MaxPool-12 (auto_pad).
    """
    node = call.node
    kernel = node.integers("kernel_shape", default)
    if len(kernel) != 2:
        raise UnsupportedError(f"{call.label}: kernel_shape {kernel}; {FLAT}")
    stride = node.integers("strides", (1, 1))
    pads = node.integers("pads", (0, 0, 0, 0))
    if dilations is None and _dilations(call) != (1, 1):
        raise UnsupportedError(
            f"{call.label}: dilations {_dilations(call)}; handled: 1; a larger window "
            "sees as far"
        )
    if len(stride) != 2 or len(pads) != 4 or min(*stride, *kernel) < 1:
        raise InputError(
            f"{call.label}: kernel_shape {kernel}, strides {stride}, pads {pads}; must "
            "be two sizes and two strides of at least 1, and four pads"
        )
    if min(pads) < 0:
        raise UnsupportedError(
            f"{call.label}: pads {pads}; handled: at least 0; crop the frames instead"
        )
    apart = dilations or (1, 1)
    kernel = ((kernel[0] - 1) * apart[0] + 1, (kernel[1] - 1) * apart[1] + 1)
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
        sizes_of = sizes[d], kernel[d], stride[d]
        before[d], after[d] = _around(mode, *sizes_of, own=(before[d], after[d]))
    padding = Padding(top=before[0], left=before[1], bottom=after[0], right=after[1])
    window = Window(
        kernel=(kernel[0], kernel[1]), stride=(stride[0], stride[1]), padding=padding
    )
    return window.rounded_up(x) if rounds_up else window
