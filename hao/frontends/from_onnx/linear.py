"""QuantizeLinear and DequantizeLinear, and what stands between them.

Between the two of a pair a file has integers, fewer than 8 bits by a Clip (QCDQ).
Operators that only move them around or pick among them do the same to the real values
that the integers stand for, so the map is quantized where the first of them reads it.
On weights a pair leaves an integer type beside the values.

Source: ONNX operator specification, QuantizeLinear and DequantizeLinear, opsets 10 to
23, and Cast-13.
"""

from dataclasses import replace

import numpy as np
import onnx

from hao.errors import InputError, UnsupportedError
from hao.frontends.feature_map import FeatureMap, per_channel
from hao.frontends.from_onnx import fold
from hao.frontends.from_onnx.quant import quantized, real_array
from hao.frontends.from_onnx.values import Codes, NodeCall, Result
from hao.frontends.piece_types import Array, Piece, Weight
from hao.frontends.pointwise_pieces import affine_piece, check_scale
from hao.ir.tensor import QType, Rounding

_INTEGER_RANGES: dict[int, tuple[int, int]] = {
    int(kind): (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for kind, dtype in (
        (onnx.TensorProto.INT8, np.int8),
        (onnx.TensorProto.UINT8, np.uint8),
        (onnx.TensorProto.INT16, np.int16),
        (onnx.TensorProto.UINT16, np.uint16),
        (onnx.TensorProto.INT32, np.int32),
    )
} | {int(onnx.TensorProto.INT4): (-8, 7), int(onnx.TensorProto.UINT4): (0, 15)}


_NO_NUMBERS = frozenset(
    {onnx.TensorProto.STRING, onnx.TensorProto.BOOL}
    | {onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128}
)


def frame_values(frame: FeatureMap, kind: int) -> FeatureMap | Codes:
    """Return what a frame holds: real values, or codes of an integer type.

    Args:
        frame: The map.
        kind: Type of its numbers, one of onnx.TensorProto.

    Raises:
        UnsupportedError: They are no real numbers.
    """
    if kind in _NO_NUMBERS:
        name = onnx.TensorProto.DataType.Name(kind).lower()
        raise UnsupportedError(
            f"input {frame.layer!r}: of type {name}; handled: real numbers and "
            "integers; export the model for frames of float32 or uint8"
        )
    if kind not in _INTEGER_RANGES:
        return frame
    lowest, highest = _INTEGER_RANGES[kind]
    return Codes(
        source=frame,
        scale=np.ones(1, dtype=np.float32),
        zero_point=np.zeros(1, dtype=np.float32),
        lowest=lowest,
        highest=highest,
        given=True,
    )


def read_quantize_linear(call: NodeCall) -> Codes:
    """Return the integers of a QuantizeLinear.

    Raises:
        UnsupportedError: Blocked scales or another integer type.
    """
    source = call.operand(0)
    if not isinstance(source, Weight):
        source = call.feature_map()
    scale, zero_point, kind = _linear_parameters(call, _rank(source))
    if "output_dtype" in call.node.attributes and call.optional(2) is None:
        kind = call.node.integer("output_dtype", kind)
    lowest, highest = _range(call, kind)
    return Codes(
        source=source,
        scale=scale,
        zero_point=zero_point,
        lowest=lowest,
        highest=highest,
    )


def read_dequantize_linear(call: NodeCall) -> Result:
    """Return the real values of integers: stored ones, or those of QuantizeLinear.

    Raises:
        UnsupportedError: There is no QuantizeLinear, or the range is no integer type.
    """
    source = call.operand(0)
    if isinstance(source, Weight):
        return _dequantized(call, source)
    if not isinstance(source, Codes):
        raise UnsupportedError(
            f"{call.label}: reads no integers of a QuantizeLinear; handled: pairs"
        )
    scale, zero_point, _ = _linear_parameters(call, _rank(source.source))
    return real_values(call, source, scale, zero_point)


def read_cast_codes(call: NodeCall) -> Result:
    """Return codes in another integer type, or as the numbers that they are.

    Raises:
        UnsupportedError: The type does not hold them.
    """
    codes = _codes(call)
    target = call.node.integer("to", onnx.TensorProto.FLOAT)
    if target not in _INTEGER_RANGES:
        if codes.given and isinstance(codes.source, FeatureMap):
            return Piece(value=codes.source)
        return real_values(call, codes, np.ones(1), np.zeros(1))
    lowest, highest = _INTEGER_RANGES[target]
    if codes.lowest < lowest or codes.highest > highest:
        raise UnsupportedError(
            f"{call.label}: casts integers from {codes.lowest} to {codes.highest} to a "
            f"type of {lowest} to {highest}; handled: types that hold them"
        )
    return codes


def read_relu_codes(call: NodeCall) -> Codes:
    """Return codes of which none is below 0."""
    codes = _codes(call)
    return replace(codes, lowest=max(codes.lowest, 0))


def real_values(
    call: NodeCall, codes: Codes, scale: Array, zero_point: Array
) -> Piece | Weight:
    """Return what codes stand for by a scale and a zero point.

    Where these are others than those that made the codes, the map is scaled and shifted
    behind its quantizer.
    """
    quant = _type_of_range(call, codes.lowest, codes.highest)
    if np.all(codes.zero_point % 2 == 1):
        quant = replace(quant, rounding=Rounding.HALF_ODD)
    same = np.array_equal(scale, codes.scale)
    same = same and np.array_equal(zero_point, codes.zero_point)
    inner = replace(call, operands=(codes.source, *call.operands[1:]))
    if same:
        return quantized(inner, quant, codes.scale, codes.zero_point)
    check_scale(call.site, scale)
    made = quantized(inner.part("codes"), quant, codes.scale, codes.zero_point)
    step, zero = real_array(scale), real_array(zero_point)
    factor = step / real_array(codes.scale)
    shift = (real_array(codes.zero_point) - zero) * step
    if isinstance(made, Weight):
        values = real_array(made.values) * factor + shift
        return Weight(values=values, quant=quant, scale=step, zero_point=zero)
    x = made.value
    scaled = affine_piece(
        call.site,
        x,
        scale=per_channel(x, factor, node=call.label),
        shift=per_channel(x, shift, node=call.label),
    )
    return scaled.behind(made)


def moved_weights(call: NodeCall, codes: Codes, source: Weight) -> Codes:
    """Return codes of weights in a new arrangement, their scales moved along.

    Raises:
        UnsupportedError: The operator does more than that.
    """
    if call.node.op not in fold.REARRANGING:
        raise UnsupportedError(
            f"{call.label}: changes integer weights; handled between QuantizeLinear "
            f"and DequantizeLinear: {', '.join(sorted(fold.REARRANGING))}"
        )
    typed = replace(
        source,
        quant=_type_of_range(call, codes.lowest, codes.highest),
        scale=codes.scale,
        zero_point=codes.zero_point,
    )
    moved = fold.folded_constant(replace(call, operands=(typed, *call.operands[1:])))
    return replace(codes, source=moved, scale=moved.scale, zero_point=moved.zero_point)


def values_to_move(call: NodeCall, codes: Codes, source: FeatureMap) -> Piece:
    """Return the map that an operator moves, or picks from, in place of its codes.

    Args:
        call: The operator.
        codes: What it reads.
        source: Their source.

    Raises:
        UnsupportedError: Scales differ by channel.
    """
    if codes.given:
        return Piece(value=source)
    if max(codes.scale.size, codes.zero_point.size) > 1:
        raise UnsupportedError(
            f"{call.label}: reads integers of {codes.scale.size} scales; handled: one "
            "scale for a map; quantize maps per tensor"
        )
    real = real_values(call.part("codes"), codes, codes.scale, codes.zero_point)
    assert isinstance(real, Piece)
    return real


def with_values(call: NodeCall, codes: Codes, values: FeatureMap) -> NodeCall:
    """Return an operator on codes as one on values; a Pad fills with a value too."""
    others = list(call.operands[1:])
    if call.node.op == "Pad":
        fill = call.operand(2)
        if isinstance(fill, Codes) and isinstance(fill.source, Weight):
            made = real_values(call, fill, fill.scale, fill.zero_point)
            assert isinstance(made, Weight)
            steps = real_array(made.values) / real_array(fill.scale)
            stored = steps + real_array(fill.zero_point)
        else:
            fill = call.optional(2)
            stored = np.zeros(1) if fill is None else fill.values.astype(np.float64)
        others += [None] * (2 - len(others))
        above = stored - real_array(codes.zero_point)
        others[1] = Weight(values=above * real_array(codes.scale))
    return replace(call, operands=(values, *others))


def shown_values(call: NodeCall, codes: Codes) -> Piece | Weight:
    """Return the values that codes stand for where a file ends in codes."""
    return real_values(call.part("values"), codes, codes.scale, codes.zero_point)


def _codes(call: NodeCall) -> Codes:
    codes = call.operand(0)
    assert isinstance(codes, Codes)
    return codes


def _dequantized(call: NodeCall, stored: Weight) -> Weight:
    codes = stored.values
    scale, zero_point, _ = _linear_parameters(call, codes.ndim)
    check_scale(call.site, scale)
    if np.issubdtype(codes.dtype, np.floating):
        raise UnsupportedError(
            f"{call.label}: dequantizes type {codes.dtype}; handled: integers; "
            "quantize to int8 or uint8"
        )
    kind = onnx.helper.np_dtype_to_tensor_dtype(codes.dtype)
    quant = _type_of_range(call, *_range(call, kind))
    step = real_array(scale)
    try:
        shifted = codes.astype(np.int64) - zero_point.astype(np.int64)
        values = shifted.astype(step.dtype) * step
    except ValueError as error:
        raise InputError(
            f"{call.label}: scale of shape {scale.shape} on integers of shape "
            f"{codes.shape}"
        ) from error
    return Weight(values=values, quant=quant, scale=scale, zero_point=zero_point)


def _linear_parameters(call: NodeCall, rank: int) -> tuple[Array, Array, int]:
    """Return scale, zero point and integer type; vectors lie along their axis."""
    scale = call.constant(1).values
    given = call.optional(2)
    zeros = np.zeros(scale.shape, dtype=np.uint8)
    stored = zeros if given is None else given.values
    if call.node.integer("block_size", 0):
        scale, stored = (_one_block(call, values) for values in (scale, stored))
    kind = onnx.helper.np_dtype_to_tensor_dtype(stored.dtype)
    axis = call.node.integer("axis", 1)
    real = np.float32 if not np.issubdtype(scale.dtype, np.floating) else scale.dtype
    return (
        _along(call, scale.astype(real), axis, rank),
        _along(call, stored.astype(real), axis, rank),
        kind,
    )


def _along(call: NodeCall, values: Array, axis: int, rank: int) -> Array:
    if values.size == 1:
        return values.reshape(1)
    if call.node.integer("block_size", 0) and values.ndim == rank:
        return values
    if values.ndim != 1 or not -rank <= axis < rank:
        raise UnsupportedError(
            f"{call.label}: scale of shape {values.shape}, axis {axis}; handled: one "
            "value, or a vector along an axis"
        )
    return values.reshape([-1 if d == axis % rank else 1 for d in range(rank)])


def _one_block(call: NodeCall, values: Array) -> Array:
    """Return the scales or zero points of one block, where all along the axis agree.

    Raises:
        UnsupportedError: They do not.
    """
    if values.size == 1:
        return values
    axis = call.node.integer("axis", 1)
    if not -values.ndim <= axis < values.ndim:
        raise InputError(f"{call.label}: axis {axis} of scales {values.shape}")
    first = np.take(values, [0], axis=axis)
    if np.any(values != first):
        raise UnsupportedError(
            f"{call.label}: scales differ by block; handled: one scale per output "
            "channel; quantize per channel, or per tensor"
        )
    return first


def _rank(source: FeatureMap | Weight) -> int:
    if isinstance(source, Weight):
        return source.values.ndim
    return len(source.dimensions)


def _range(call: NodeCall, kind: int) -> tuple[int, int]:
    if kind not in _INTEGER_RANGES:
        name = onnx.helper.tensor_dtype_to_string(kind)
        raise UnsupportedError(f"{call.label}: type {name}; handled: integers (int8)")
    return _INTEGER_RANGES[kind]


def _type_of_range(call: NodeCall, lowest: int, highest: int) -> QType:
    """Return the integer type of exactly these limits, narrow if it has to be."""
    signed = lowest < 0
    bits = (highest + 1).bit_length() if signed else max(1, highest.bit_length())
    for narrow in (False, True):
        if 1 <= bits <= 32 and not (signed and bits == 1):
            quant = QType(bits=bits, signed=signed, narrow=narrow)
            if (quant.lowest, quant.highest) == (lowest, highest):
                return quant
    raise UnsupportedError(
        f"{call.label}: integers from {lowest} to {highest}; handled: all integers of "
        "some width, with or without the last one"
    )
