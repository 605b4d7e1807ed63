"""Quantizers in ONNX files: QONNX operators, and what all quantizers become.

On weights a quantizer leaves an integer type beside the values that it computes; on
feature maps it becomes a `Quantize` layer. QONNX writes a quantizer as one operator
(Quant, also called IntQuant; BipolarQuant; Trunc); ONNX's pair of operators is read in
`hao.frontends.from_onnx.linear`.

Source: QONNX operator specification, github.com/fastmachinelearning/qonnx,
docs/qonnx-custom-ops, and the executor of qonnx 1.0, which the tests compare with.
"""

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError, UnsupportedError
from hao.frontends.feature_map import FeatureMap, per_channel
from hao.frontends.from_onnx.values import NodeCall, Result, whole_numbers
from hao.frontends.piece_types import Array, Piece, Weight
from hao.frontends.pointwise_pieces import affine_piece, check_scale, quantize_piece
from hao.ir.interpret import quantize_codes
from hao.ir.tensor import QType, Rounding

ROUNDINGS = {
    "ROUND": Rounding.HALF_EVEN,
    "HALF_EVEN": Rounding.HALF_EVEN,
    "HALF_UP": Rounding.HALF_AWAY,
    "CEIL": Rounding.CEIL,
    "FLOOR": Rounding.FLOOR,
    "DOWN": Rounding.TO_ZERO,
    "ROUND_TO_ZERO": Rounding.TO_ZERO,
}
"""Rounding modes by their QONNX names; source: qonnx 1.0, `resolve_rounding_mode`,
and Brevitas, `FloatToIntImplType`, for ROUND_TO_ZERO."""

TRUNC_INPUT_BITS = 32
"""Width at which the input of Trunc is brought back to integers. Trunc does not clamp
there, and no accumulator is wider; source: qonnx 1.0, `trunc_v1` and `trunc_v2`."""

_Real = NDArray[np.floating]


def read_quant(call: NodeCall) -> Result:
    """Return what QONNX's Quant makes of weights or a feature map.

    Raises:
        InputError: The bit width is no integer.
        UnsupportedError: The rounding mode is none of `ROUNDINGS`.
    """
    scale, zero_point = call.constant(1).values, call.constant(2).values
    bits = whole_numbers(call.label, call.constant(3).values)
    if len(set(bits)) != 1:
        raise UnsupportedError(f"{call.label}: widths {bits}; handled: one width")
    quant = _qtype(
        call,
        bits=bits[0],
        signed=call.node.integer("signed", 1) == 1,
        narrow=call.node.integer("narrow", 0) == 1,
        rounding=_rounding(call, "ROUND"),
    )
    return quantized(call, quant, scale, zero_point)


def read_bipolar_quant(call: NodeCall) -> Result:
    """Return what QONNX's BipolarQuant makes: -scale or scale."""
    scale = call.constant(1).values
    quant = QType(bits=1, signed=True)
    return quantized(call, quant, scale, np.zeros((1,), dtype=scale.dtype))


def read_trunc(call: NodeCall) -> Piece:
    """Return QONNX's Trunc: integers of a wide type, cut to fewer bits.

    Version 1 keeps the scale of the input, version 2 names the new one. The map is
    first brought back to integers, which a scale of other than a power of two would
    leave slightly off, so that halves are rounded as they should be.

    Raises:
        UnsupportedError: A zero point other than 0, or a constant operand.
    """
    x = call.feature_map()
    scale = call.constant(1).values
    if np.any(call.constant(2).values != 0):
        raise UnsupportedError(f"{call.label}: has a zero point; handled: 0")
    check_scale(call.site, scale)
    real = _on_map(call, x, scale).astype(np.float64)
    named = len(call.operands) > 5
    bits = whole_numbers(call.label, call.single(5 if named else 4))[0]
    if named:
        ratio = _on_map(call, x, call.constant(4).values).astype(np.float64) / real
        shift: _Real = np.rint(np.log2(ratio))
    else:
        input_bits = whole_numbers(call.label, call.single(3))[0]
        shift = np.array([input_bits - bits], dtype=np.float64)
    exact = np.all(np.log2(real) == np.rint(np.log2(real)))
    unit = np.where(exact, real, 1.0)
    quant = _qtype(
        call,
        bits=bits if named else TRUNC_INPUT_BITS,
        signed=not named or call.node.integer("signed", 1) == 1,
        narrow=named and call.node.integer("narrow", 0) == 1,
        rounding=_rounding(call, "FLOOR"),
    )
    wide = QType(bits=TRUNC_INPUT_BITS, signed=True)
    after = 1.0 if named else 2.0**-shift
    factors = (unit / real, unit, unit * 2.0**shift, real / unit * after)
    return _trunc_layers(
        call, x, (wide, quant), tuple(np.atleast_1d(f) for f in factors)
    )


def _trunc_layers(
    call: NodeCall,
    x: FeatureMap,
    quants: tuple[QType, QType],
    factors: tuple[_Real, ...],
) -> Piece:
    """Return a scaling, two quantizers and a scaling, by their four factors."""
    kind = call.constant(1).values.dtype
    first, inner, outer, last = (factor.astype(kind) for factor in factors)
    zero = np.zeros((1,), dtype=kind)
    site = call.site
    scaled = affine_piece(site.part("unscaled"), x, scale=first, shift=zero)
    integers = quantize_piece(
        site.part("integers"),
        scaled.value,
        quant=quants[0],
        scale=inner,
        zero_point=zero,
    )
    cut = quantize_piece(
        site.part("cut"), integers.value, quant=quants[1], scale=outer, zero_point=zero
    )
    back = affine_piece(site, cut.value, scale=last, shift=zero)
    return back.behind(cut.behind(integers.behind(scaled)))


def quantized(
    call: NodeCall, quant: QType, scale: Array, zero_point: Array
) -> Piece | Weight:
    """Return what a quantizer makes of its first operand, weights or a map.

    Raises:
        InputError: A scale is not positive or of another shape, or weights are not
            finite.
        UnsupportedError: Scales differ along other axes than channels.
    """
    source = call.operand(0)
    check_scale(call.site, scale)
    if not isinstance(source, Weight):
        x = call.feature_map()
        return quantize_piece(
            call.site,
            x,
            quant=quant,
            scale=_on_map(call, x, scale),
            zero_point=_on_map(call, x, zero_point),
        )
    if not np.issubdtype(source.values.dtype, np.floating):
        return _stored_codes(call, source.values, quant, (scale, zero_point))
    values = real_array(source.values)
    if not np.all(np.isfinite(values)):
        raise InputError(f"{call.label}: weights hold NaN or infinity; must be finite")
    step, zero = real_array(scale, values.dtype), real_array(zero_point, values.dtype)
    try:
        codes = quantize_codes(values, quant, scale=step, zero_point=zero)
    except ValueError as error:
        raise InputError(
            f"{call.label}: scale of shape {scale.shape} on weights of shape "
            f"{values.shape}"
        ) from error
    return Weight(
        values=(codes - zero) * step, quant=quant, scale=step, zero_point=zero
    )


def _stored_codes(
    call: NodeCall, stored: Array, quant: QType, parameters: tuple[Array, Array]
) -> Weight:
    """Return weights of integers in front of a Quant, which are its codes already.

    So are they where a tool makes one Quant of a Clip and a DequantizeLinear (nn2FPGA
    does). Quant itself takes floating point alone, and would divide codes by their
    scale once more.

    Raises:
        UnsupportedError: They are no codes of its type.
    """
    lowest, highest = int(stored.min(initial=0)), int(stored.max(initial=0))
    if not quant.lowest <= lowest <= highest <= quant.highest:
        raise UnsupportedError(
            f"{call.label}: quantizes integers from {lowest} to {highest}, which are "
            f"no codes of {quant.bits} bits ({quant.lowest} to {quant.highest}); store "
            "weights as floating point, or behind a DequantizeLinear"
        )
    scale, zero_point = parameters
    step = real_array(scale)
    values = (stored.astype(step.dtype) - zero_point.astype(step.dtype)) * step
    return Weight(
        values=values,
        quant=quant,
        scale=scale,
        zero_point=zero_point,
        note=f"{stored.dtype} in front of a Quant is taken as its codes",
    )


def _qtype(
    call: NodeCall, *, bits: int, signed: bool, narrow: bool, rounding: Rounding
) -> QType:
    try:
        return QType(bits=bits, signed=signed, narrow=narrow, rounding=rounding)
    except InputError as error:
        raise InputError(f"{call.label}: {error}") from error


def _rounding(call: NodeCall, default: str) -> Rounding:
    mode = call.node.text("rounding_mode", default).upper()
    if mode not in ROUNDINGS:
        raise UnsupportedError(
            f"{call.label}: rounding_mode {mode!r}; handled: {', '.join(ROUNDINGS)}"
        )
    return ROUNDINGS[mode]


def _on_map(call: NodeCall, x: FeatureMap, values: Array) -> Array:
    return per_channel(x, values, node=call.label)


def real_array(values: Array, kind: np.dtype[np.generic] | None = None) -> _Real:
    """Return an array of a floating-point type as one."""
    real: _Real = values.astype(kind or values.dtype)
    return real
