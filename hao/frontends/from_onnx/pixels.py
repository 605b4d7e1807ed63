"""ONNX operators that go over the pixels of a map, or put some around it.

What takes two nodes to say, a mean over rows and then columns or a maximum over what
was padded with the lowest number, is kept as it stands between them
(`hao.frontends.from_onnx.values`) and becomes one layer. Source of every default: the
operator specification, onnx/docs/Operators.md, opsets 7 to 23.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from hao.errors import InputError, UnsupportedError
from hao.frontends.feature_map import CHANNELS_FIRST, CHANNELS_LAST, Axis, FeatureMap
from hao.frontends.from_onnx.values import (
    NodeCall,
    PaddedBelow,
    Result,
    axes_of,
    whole_numbers,
)
from hao.frontends.over_pixels import PartOfPixels, Reduction, over_pixels
from hao.frontends.piece_types import Array, Piece, Weight
from hao.frontends.pointwise_pieces import affine_piece
from hao.ir.averages import border_factors, mean_pixels
from hao.ir.layer import Depthwise, Layer, Padding, Pool, PoolKind

_ALIKE = 1e-6
"""Part by which numbers of a file in single precision may differ and count as equal;
source: IEEE 754-2019, 3.6, some roundings."""

LOWEST = float(np.finfo(np.float32).min)
"""What exporters write for minus infinity; source: IEEE 754, binary32."""


def read_reduced(call: NodeCall, kind: PoolKind) -> Result:
    """Return a mean or maximum of all pixels, or what a second node has to complete.

    Raises:
        UnsupportedError: It names no axes, or other axes than pixels.
    """
    axes = call.integers(1, "axes")
    if axes is None:
        raise UnsupportedError(
            f"{call.label}: goes over all axes; handled: pixels; name the axes of "
            "height and width"
        )
    keep = call.node.integer("keepdims", 1) == 1
    how = Reduction(op=call.node.op, kind=kind, axes=axes, keep=keep)
    value = call.operand(0)
    if isinstance(value, PartOfPixels) and value.op == how.op:
        return over_pixels(call.site, value, how)
    return over_pixels(call.site, call.feature_map(), how)


def read_reduced_sum(call: NodeCall) -> Result:
    """Return a sum over pixels: their mean, times their number.

    Raises:
        UnsupportedError: It names no axes, or other axes than pixels.
    """
    piece = read_reduced(call.part("mean"), PoolKind.AVERAGE)
    if not isinstance(piece, Piece) or not piece.layers:
        return piece
    pixels = _source(call).shape.pixels
    count = np.array([pixels], dtype=np.float32)
    scaled = affine_piece(call.site, piece.value, scale=count, shift=count * 0)
    value = replace(scaled.value, nonnegative=piece.value.nonnegative)
    return replace(scaled, value=value).behind(piece)


def bordered_average(
    call: NodeCall, layers: Sequence[Layer], params: Mapping[str, Array]
) -> Piece | None:
    """Return the average that leaves padding out for sums times numbers by position.

    A depthwise convolution of one number makes sums; where they are then multiplied by
    what pixels of padding take from each window, they are such an average, times a
    number. `hao.quant.export` writes averages so. `None` for anything else.

    Args:
        call: The product.
        layers: What has been read.
        params: Their parameters.
    """
    x, by = call.operand(0), call.operand(1)
    if not isinstance(x, FeatureMap) or not isinstance(by, Weight):
        return None
    sums = next((one for one in layers if one.name == x.layer), None)
    if not isinstance(sums, Depthwise) or sums.weight is not None:
        return None
    taps = params[f"{sums.name}.weight"].astype(np.float64)
    bias = params.get(f"{sums.name}.bias", np.zeros(1)).astype(np.float64)
    pixels = (sums.ofm.height, sums.ofm.width)
    if by.values.shape != (1, 1, *pixels) or np.ptp(taps) != 0 or np.any(bias != 0):
        return None
    factors = by.values[0, 0].astype(np.float64)
    for uncounted in _left_out(sums.padding):
        average = Pool(
            name=f"{call.site.layer}.mean",
            input=sums.input,
            ifm=sums.ifm,
            ofm=sums.ofm,
            kernel=sums.kernel,
            stride=sums.stride,
            padding=sums.padding,
            kind=PoolKind.AVERAGE,
            uncounted=uncounted,
        )
        ratios = factors / border_factors(average)
        if np.ptp(ratios) <= _ALIKE * abs(ratios.flat[0]):
            gain = taps.flat[0] * ratios.flat[0] * mean_pixels(average)
            mean = Piece(value=replace(x, layer=average.name), layers=(average,))
            scale = np.array([gain])
            made = affine_piece(call.site, mean.value, scale=scale, shift=scale * 0)
            return made.behind(mean)
    return None


def _left_out(padding: Padding) -> Iterator[Padding]:
    """Yield what an average may leave out: all padding, or what ceil_mode adds."""
    yield padding
    for bottom, right in product(range(padding.bottom + 1), range(padding.right + 1)):
        if bottom or right:
            yield Padding(bottom=bottom, right=right)


def read_pad(call: NodeCall) -> Result:
    """Return the map with zeros around it that the next window layer takes in.

    Raises:
        InputError: It lists another number of sizes.
        UnsupportedError: It pads with something else, crops, or pads channels.
    """
    x = call.feature_map()
    rank = len(x.dimensions)
    fill = call.optional(2)
    value = call.node.real("value", 0.0) if fill is None else float(call.single(2)[0])
    mode = call.node.text("mode", "constant")
    pads = _pads(call, rank)
    if not any(pads):
        return Piece(value=x)
    order = next((o for o in (CHANNELS_FIRST, CHANNELS_LAST) if x.arranged(o)), None)
    before = dict(zip(order or (), pads[:rank], strict=False))
    after = dict(zip(order or (), pads[rank:], strict=False))
    others = [
        d[a] for d in (before, after) for a in (Axis.BATCH, Axis.CHANNEL) if a in d
    ]
    below = value <= LOWEST and x.padding == Padding()
    filled = mode == "constant" and (value == 0 or below)
    if not filled or min(pads) < 0 or not order or any(others):
        raise UnsupportedError(
            f"{call.label}: pads {pads}, mode {mode!r}, value {value}; handled: zeros "
            "around the pixels of a map, minus infinity in front of a MaxPool; train "
            "with padding by zeros"
        )
    padding = Padding(
        top=before[Axis.HEIGHT],
        left=before[Axis.WIDTH],
        bottom=after[Axis.HEIGHT],
        right=after[Axis.WIDTH],
    )
    if below:
        return PaddedBelow(source=x, maker=call.label, padding=padding)
    return Piece(value=replace(x, padding=x.padding + padding))


def _pads(call: NodeCall, rank: int) -> tuple[int, ...]:
    """Return what is padded before all dimensions, then behind them."""
    pads = call.integers(1, "pads") or ()
    axes = call.optional(3)
    if axes is not None:
        given = whole_numbers(call.label, axes.values)
        listed = axes_of(call.label, given, rank)
        if len(pads) != 2 * len(listed):
            raise InputError(f"{call.label}: pads {pads} of axes {given}")
        spread = [0] * (2 * rank)
        for index, axis in enumerate(listed):
            spread[axis] = pads[index]
            spread[rank + axis] = pads[len(listed) + index]
        pads = tuple(spread)
    if len(pads) != 2 * rank:
        raise InputError(f"{call.label}: pads {pads} of a tensor of rank {rank}")
    return pads


def _source(call: NodeCall) -> FeatureMap:
    """Return the map that a node goes over, or another before it."""
    value = call.operand(0)
    return value.source if isinstance(value, PartOfPixels) else call.feature_map()
