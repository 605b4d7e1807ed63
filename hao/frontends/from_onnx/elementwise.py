"""ONNX operators that work on every value alone, or only move values around.

Arithmetic with constants becomes affine layers, which the rewrites then fold; moving
values around becomes arithmetic on dimensions and leaves no layer behind. Source of
every default: the operator specification, onnx/docs/Operators.md, opsets 7 to 23.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf, prod

import numpy as np
import onnx
from numpy.typing import NDArray

from hao.errors import InputError, UnsupportedError
from hao.frontends.feature_map import Axis, FeatureMap, per_channel, reshape, transpose
from hao.frontends.final_scores import FinalScores, final_scores
from hao.frontends.from_onnx.values import Codes, NodeCall, Result, axes_of
from hao.frontends.piece_types import Array, Piece, Weight, check_no_padding
from hao.frontends.pointwise_pieces import (
    FLOAT_MAX,
    activation_piece,
    add_piece,
    affine_piece,
    clip_piece,
)
from hao.ir.layer import ActivationKind

_Real = NDArray[np.floating]

_SCORES_AXIS = {"ArgMax": 0, "LogSoftmax": -1, "Softmax": -1, "TopK": -1}
_ONE_AXIS = 13
"""Axes that are not named, and the operator set since which a Softmax goes over one
axis alone. Source: ONNX operator specification, Softmax-11 and Softmax-13."""


def read_relu(call: NodeCall) -> Piece:
    """Return a ReLU."""
    return activation_piece(call.site, call.feature_map(), ActivationKind.RELU)


def read_leaky_relu(call: NodeCall) -> Piece:
    """Return a ReLU, spelled LeakyRelu or PRelu with a slope of 0; nothing for 1.

    Raises:
        InputError: No slope.
        UnsupportedError: Another slope.
    """
    slopes = [call.node.real("alpha", 0.01)]
    if call.node.op == "PRelu":
        slopes = [float(v) for v in call.constant(1).values.astype(np.float64).ravel()]
    if not slopes:
        raise InputError(f"{call.label}: no slope; must have one, or one per channel")
    if set(slopes) == {0.0}:
        return read_relu(call)
    if set(slopes) == {1.0}:
        return Piece(value=call.feature_map())
    raise UnsupportedError(
        f"{call.label}: slope {slopes[0]:g} below 0; handled: 0, which is ReLU; train "
        "with ReLU or ReLU6 instead"
    )


def read_concat(call: NodeCall) -> Result:
    """Return the one operand of a Concat.

    Raises:
        UnsupportedError: There are several.
    """
    if len(call.operands) == 1:
        x = call.operand(0)
        if isinstance(x, FeatureMap):
            axes_of(call.label, [call.node.integer("axis", 1)], len(x.dimensions))
        return read_identity(call)
    raise UnsupportedError(
        f"{call.label}: joins {len(call.operands)} maps; handled: one; add maps of "
        "equal channels instead of joining them, as residual networks do"
    )


def read_clip(call: NodeCall) -> Result:
    """Return what keeps values between two limits; on integer codes, fewer of them."""
    lowest = _limit(call, 1, "min", -inf)
    highest = _limit(call, 2, "max", inf)
    source = call.operand(0)
    if isinstance(source, Codes):
        return replace(
            source,
            lowest=max(source.lowest, _whole(lowest, source.lowest)),
            highest=min(source.highest, _whole(highest, source.highest)),
        )
    return clip_piece(call.site, call.feature_map(), lowest, highest)


def read_maximum(call: NodeCall) -> Result:
    """Return what keeps values above a constant; nothing for one operand."""
    if len(call.operands) == 1:
        return read_identity(call)
    x, constant = _map_and_constant(call)
    return clip_piece(call.site, x, _single(call, constant.values), inf)


def read_minimum(call: NodeCall) -> Result:
    """Return what keeps values below a constant; nothing for one operand."""
    if len(call.operands) == 1:
        return read_identity(call)
    x, constant = _map_and_constant(call)
    return clip_piece(call.site, x, -inf, _single(call, constant.values))


def read_add(call: NodeCall) -> Piece:
    """Return a residual add, or an affine layer for a constant."""
    first, second = call.operand(0), call.operand(1)
    if isinstance(first, FeatureMap) and isinstance(second, FeatureMap):
        return add_piece(call.site, first, second)
    return _arithmetic(call, lambda c: (np.ones_like(c), c))


def read_sum(call: NodeCall) -> Result:
    """Return a Sum as one Add behind the other; of one operand it is nothing.

    Raises:
        UnsupportedError: Three operands and more, constants among them.
    """
    if len(call.operands) == 1:
        return read_identity(call)
    if len(call.operands) == 2:
        return read_add(call)
    total = Piece(value=call.feature_map())
    for place in range(1, len(call.operands)):
        last = place == len(call.operands) - 1
        site = call.site if last else call.site.part(str(place))
        total = add_piece(site, total.value, call.feature_map(place)).behind(total)
    return total


def read_average(call: NodeCall) -> Result:
    """Return the mean of several maps: their sum, divided by their number."""
    if len(call.operands) == 1:
        return read_identity(call)
    total = read_sum(call.part("sum"))
    assert isinstance(total, Piece)
    share = np.array([1 / len(call.operands)], dtype=np.float64)
    mean = affine_piece(call.site, total.value, scale=share, shift=share * 0)
    return mean.behind(total)


def read_subtract(call: NodeCall) -> Piece:
    """Return an affine layer for a difference with a constant; of maps, an add."""
    first, second = call.operand(0), call.operand(1)
    if isinstance(first, FeatureMap) and isinstance(second, FeatureMap):
        minus = np.array([-1.0], dtype=np.float32)
        site = call.site.part("minus")
        turned = affine_piece(site, second, scale=minus, shift=minus * 0)
        return add_piece(call.site, first, turned.value).behind(turned)
    if isinstance(call.operand(0), Weight):
        return _arithmetic(call, lambda c: (-np.ones_like(c), c))
    return _arithmetic(call, lambda c: (np.ones_like(c), -c))


def read_multiply(call: NodeCall) -> Piece:
    """Return an affine layer for a product with a constant."""
    return _arithmetic(call, lambda c: (c, np.zeros_like(c)))


def read_divide(call: NodeCall) -> Piece:
    """Return an affine layer for a quotient by a constant.

    Raises:
        UnsupportedError: The feature map is the divisor.
    """
    call.constant(1)
    return _arithmetic(call, lambda c: (1 / c, np.zeros_like(c)))


def read_negative(call: NodeCall) -> Piece:
    """Return an affine layer that changes the sign."""
    minus = np.array([-1.0], dtype=np.float32)
    return affine_piece(call.site, call.feature_map(), scale=minus, shift=minus * 0)


def read_identity(call: NodeCall) -> Result:
    """Return the operand: an operator that does nothing when a network runs."""
    source = call.operand(0)
    if isinstance(source, Codes | FinalScores | Weight):
        return source
    return Piece(value=call.feature_map())


def read_dropout(call: NodeCall) -> Result:
    """Return the operand of a Dropout, which does nothing outside training.

    Raises:
        UnsupportedError: The file leaves it in training.
    """
    training = call.optional(2)
    if training is not None and np.any(training.values):
        raise UnsupportedError(
            f"{call.label}: training_mode is true; handled: false; export the model in "
            "evaluation mode"
        )
    return read_identity(call)


def read_cast(call: NodeCall) -> Result:
    """Return the operand of a cast to floating point.

    Raises:
        UnsupportedError: It casts a feature map to integers.
    """
    kind = onnx.TensorProto
    real = (kind.FLOAT, kind.DOUBLE, kind.FLOAT16, kind.BFLOAT16)
    target = call.node.integer("to", kind.FLOAT)
    if target not in real and not isinstance(call.operand(0), FinalScores):
        raise UnsupportedError(
            f"{call.label}: casts to type {target}; handled: floating point; leave "
            "codes to QuantizeLinear and DequantizeLinear"
        )
    return read_identity(call)


def read_flatten(call: NodeCall) -> Piece:
    """Return the tensor as a matrix."""
    x = call.feature_map()
    rank = len(x.dimensions)
    axis = call.node.integer("axis", 1)
    if not -rank <= axis <= rank:
        raise InputError(f"{call.label}: axis {axis} of a tensor of rank {rank}")
    axis = axis + rank if axis < 0 else axis
    return _reshaped(call, x, (prod(x.sizes[:axis]), prod(x.sizes[axis:])))


def read_reshape(call: NodeCall) -> Piece:
    """Return the tensor in another shape; 0 copies a size."""
    x = call.feature_map()
    wanted = list(call.integers(1, "shape") or ())
    if not call.flag("allowzero"):
        copied = [i for i, size in enumerate(wanted) if size == 0 and i < len(x.sizes)]
        for i in copied:
            wanted[i] = x.sizes[i]
    return _reshaped(call, x, tuple(wanted))


def read_squeeze(call: NodeCall) -> Piece:
    """Return the tensor without some dimensions of size 1."""
    x = call.feature_map()
    rank = len(x.sizes)
    axes = call.integers(1, "axes")
    if axes is None:
        axes = tuple(i for i, size in enumerate(x.sizes) if size == 1)
    gone = axes_of(call.label, axes, rank)
    if any(x.sizes[axis] != 1 for axis in gone):
        raise InputError(f"{call.label}: squeezes axes {axes} of {x.sizes}")
    return _reshaped(call, x, tuple(s for i, s in enumerate(x.sizes) if i not in gone))


def read_unsqueeze(call: NodeCall) -> Piece:
    """Return the tensor with more dimensions of size 1."""
    x = call.feature_map()
    axes = call.integers(1, "axes") or ()
    rank = len(x.sizes) + len(axes)
    new = axes_of(call.label, axes, rank)
    sizes = iter(x.sizes)
    return _reshaped(
        call, x, tuple(1 if i in new else next(sizes) for i in range(rank))
    )


def read_transpose(call: NodeCall) -> Piece:
    """Return the tensor with its dimensions in another order."""
    x = call.feature_map()
    rank = len(x.dimensions)
    order = call.node.integers("perm", range(rank)[::-1])
    if sorted(order) != list(range(rank)):
        raise InputError(
            f"{call.label}: perm {order} of a tensor of rank {rank}; must name each of "
            "its dimensions once"
        )
    return Piece(value=transpose(x, order))


def read_shape(call: NodeCall) -> Weight:
    """Return the shape of a feature map, its batch taken as the file has it."""
    sizes = call.feature_map().sizes
    start = call.node.integer("start", 0)
    end = call.node.integer("end", len(sizes))
    return Weight(values=np.array(sizes[start:end], dtype=np.int64))


def read_size(call: NodeCall) -> Weight:
    """Return the number of elements of a feature map."""
    return Weight(values=np.array(prod(call.feature_map().sizes), dtype=np.int64))


def read_scores(call: NodeCall) -> FinalScores:
    """Return class scores: what the end of a network does with its output."""
    source = call.operand(0)
    if isinstance(source, FinalScores):
        return source
    x = call.feature_map()
    first = _SCORES_AXIS.get(call.node.op)
    if first is not None and x.shape.channels > 1:
        old = call.node.version < _ONE_AXIS and call.node.op.endswith("Softmax")
        axis = call.node.integer("axis", 1 if old else first)
        (axis,) = axes_of(call.label, [axis], len(x.dimensions))
        over = x.dimensions[axis:] if old else x.dimensions[axis : axis + 1]
        if not any(Axis.CHANNEL in dimension for dimension in over):
            raise UnsupportedError(
                f"{call.label}: goes over axis {axis} of {x.sizes}; handled: over the "
                "classes"
            )
    return final_scores(call.site, x)


def _arithmetic(call: NodeCall, terms: Callable[[_Real], tuple[_Real, _Real]]) -> Piece:
    """Return scale and shift that `terms` makes of the constant operand."""
    x, constant = _map_and_constant(call)
    values = constant.values
    extra = values.ndim - len(x.dimensions)
    if extra > 0:
        x = replace(x, dimensions=((),) * extra + x.dimensions)
    real = np.issubdtype(values.dtype, np.floating)
    along: _Real = per_channel(x, values, node=call.label).astype(
        values.dtype if real else np.float32
    )
    with np.errstate(divide="ignore"):
        scale, shift = terms(along)
    return affine_piece(call.site, x, scale=scale, shift=shift)


def _map_and_constant(call: NodeCall) -> tuple[FeatureMap, Weight]:
    if len(call.operands) != 2:
        raise UnsupportedError(
            f"{call.label}: {len(call.operands)} operands; handled: two; write it as "
            "several nodes of two"
        )
    if isinstance(call.operand(0), Weight):
        return call.feature_map(1), call.constant(0)
    return call.feature_map(0), call.constant(1)


def _limit(call: NodeCall, position: int, attribute: str, default: float) -> float:
    value = call.optional(position)
    if value is not None and value.values.size:
        return _single(call, value.values)
    return call.node.real(attribute, default)


def _single(call: NodeCall, values: Array) -> float:
    if not values.size or not np.array_equal(
        values.ravel(), [values.flat[0]] * values.size, equal_nan=True
    ):
        raise UnsupportedError(
            f"{call.label}: limits of shape {values.shape} that differ; handled: one "
            "number; limit all channels alike"
        )
    return float(values.ravel()[0])


def _whole(limit: float, default: int) -> int:
    return int(limit) if abs(limit) < FLOAT_MAX else default


def _reshaped(call: NodeCall, x: FeatureMap, sizes: tuple[int, ...]) -> Piece:
    check_no_padding(call.site, x)
    return Piece(value=reshape(x, sizes, node=call.label))
