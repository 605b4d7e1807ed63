"""What an integer network computes: the definition that emitted C++ equals bit for bit.

Codes have shape (batch, channels, height, width). `round_shift(v, s)` is v for s = 0;
for s >= 1, as the layer's `rounding` says,

    HALVES_UP      floor((v + 2^(s-1)) / 2^s), where a layer says nothing
    HALVES_EVEN    floor((v + 2^(s-1) - 1 + (floor(v / 2^s) mod 2)) / 2^s)
    DOWN           floor(v / 2^s)
    HALVES_ODD     floor((v + 2^(s-1) - (floor(v / 2^s) mod 2)) / 2^s)

and `clamp` is to `MapType.low` and `high` of the layer at hand:

    Conv, Depthwise, Linear    acc = sum(weight * x)
        shift mode             y = clamp(round_shift(acc + bias, shift))
        multiplier mode        y = clamp(round_shift(acc * multiplier + bias, shift))
    Add                        y = clamp(round_shift((a << l) + (b << r) + bias, s)),
                               l, r, s = shifts
    Pool (maximum)             y = the largest code of the window
    Pool (average),            y = clamp(round_shift(mean + (bias[1] << shift), shift)),
    GlobalAveragePool          mean = (sum + bias[0]) * factor * multiplier; with a
                               wide multiplier rounded to a multiple of 2^MEAN_GUARD
                               first, halves up; factor is 1 but where padding does
                               not count (`hao.ir.averages`)

Padding has the code that stands for 0.0 in sums and is never the maximum. Linear
flattens channel-major, as `run_float` does. Nothing wraps: accumulators are as wide as
they must be, which is what
`hao.ir.integer.accumulator_range` says.

Sums are taken in floating point wherever all values on the way are proven to be
integers below 2^24 (float32) or 2^53 (float64), which these types hold exactly in any
order of summation, so that matrix products run at full speed; in int64 otherwise.
Between layers, codes are float32.
"""

from collections.abc import Mapping
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.averages import border_factors
from hao.ir.integer import (
    DOWN,
    HALVES_EVEN,
    HALVES_ODD,
    HALVES_UP,
    MEAN_GUARD,
    IntegerNetwork,
    MapType,
    is_wide,
    sum_range,
)
from hao.ir.layer import (
    Add,
    Compute,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Padding,
    Pool,
    PoolKind,
    Transparent,
)
from hao.ir.network import run_layers
from hao.ir.windows import (
    Number,
    dense_sums,
    depthwise_sums,
    pad_pixels,
    window_maximum,
    window_sum,
)

Codes = NDArray[np.float32]
"""Codes of a feature map between layers; all are integers."""


def run_integer(net: IntegerNetwork, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the output codes of an integer network.

    Args:
        net: The network.
        codes: Shape (batch, channels, height, width) of the network's input.

    Returns:
        Shape (batch, channels, height, width) of the last layer's OFM.

    Raises:
        InputError: `codes` has another shape or type, or a code that the type of the
            input does not let through.
    """
    name = net.network.output.name
    return run_integer_layers(net, codes, frozenset({name}))[name]


def run_integer_layers(
    net: IntegerNetwork, codes: NDArray[np.int64], keep: frozenset[str]
) -> dict[str, NDArray[np.int64]]:
    """Return the codes of the feature maps of the layers named in `keep`.

    Raises:
        InputError: As `run_integer`, or `keep` names no layer.
    """
    unknown = sorted(keep - {layer.name for layer in net.network.layers})
    if unknown:
        raise InputError(
            f"network {net.network.name!r} has no layers {unknown}; keep its own"
        )
    _check_codes(net, codes)

    def run(layer: Layer, operands: list[Codes]) -> Codes:
        if not operands:
            return codes.astype(np.float32)
        return layer_codes(
            layer,
            operands,
            types=[net.maps[name] for name in layer.inputs],
            params=layer_params(net, layer),
            output=net.maps[layer.name],
        )

    maps = run_layers(net.network, run, keep)
    return {name: found.astype(np.int64) for name, found in maps.items()}


def layer_params(net: IntegerNetwork, layer: Layer) -> dict[str, NDArray[np.int64]]:
    """Return the parameters of a layer by their own names ("weight", "bias", ...)."""
    prefix = f"{layer.name}."
    return {
        key.removeprefix(prefix): net.param(layer.name, key.removeprefix(prefix))
        for key in net.network.params
        if key.rpartition(".")[0] == layer.name
    }


def layer_codes(
    layer: Layer,
    operands: list[Codes],
    *,
    types: list[MapType],
    params: Mapping[str, NDArray[np.int64]],
    output: MapType,
) -> Codes:
    """Return the codes of one layer's map.

    Args:
        layer: Any layer of an integer network but its input.
        operands: The maps that it reads, each (batch, channels, height, width).
        types: Their types.
        params: Its parameters by name.
        output: Type of the map that it makes.
    """
    result: Codes
    assert not isinstance(layer, Input | Transparent), "no IntegerNetwork has it"
    match layer:
        case Conv() | Depthwise() | Linear():
            result = _compute_codes(layer, operands[0], types[0], params, output)
        case Add():
            left, right, shift = (int(value) for value in params["shifts"])
            # At most 2 * 255 << 7, a bias below 2^23 and half a step of 2^15: exact in
            # float32.
            total = operands[0] * np.float32(2**left)
            total += operands[1] * np.float32(2**right)
            if "bias" in params:
                total += np.float32(params["bias"][0])
            result = requantize(
                total, np.array([shift]), output, params.get("rounding")
            )
        case GlobalAveragePool() | Pool(kind=PoolKind.AVERAGE):
            result = _mean_codes(layer, operands[0], types[0], params, output)
        case Pool():
            result = window_maximum(
                operands[0],
                kernel=layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                lowest=np.float32(types[0].low),
            )
        case _:
            assert_never(layer)
    return result


def exact_type(limit: int) -> type[np.float32 | np.float64 | np.int64]:
    """Return the fastest type that holds all integers up to `limit` in magnitude.

    Args:
        limit: At least 0 and below 2^63.

    Source: IEEE 754-2019, table 3.5: significands of 24 and 53 bits.
    """
    assert 0 <= limit < 2**63
    if limit <= 2**24:
        return np.float32
    return np.float64 if limit <= 2**53 else np.int64


def exact_sums(
    layer: Compute, x: Codes, weight: NDArray[np.int64], limit: int, *, zero: int = 0
) -> NDArray[np.number]:
    """Return a layer's exact sums of products, without bias, in some number type.

    Args:
        layer: Says how windows move.
        x: Shape (batch, ifm_channels, ifm_height, ifm_width).
        weight: Shape as in `hao.ir.layer`.
        limit: No sum of a subset of products exceeds it in magnitude.
        zero: Code of the padding.

    Returns:
        Shape (batch, ofm_channels, ofm_height, ofm_width), of type `exact_type(limit)`.
    """
    kind = exact_type(limit)
    if kind is np.float32:
        return _sums(layer, x, weight.astype(np.float32), np.float32(zero))
    if kind is np.float64:
        wide = x.astype(np.float64), weight.astype(np.float64)
        return _sums(layer, *wide, np.float64(zero))
    return _sums(layer, x.astype(np.int64), weight, np.int64(zero))


def requantize(
    values: NDArray[np.number],
    shift: NDArray[np.int64],
    output: MapType,
    rounding: NDArray[np.int64] | None = None,
) -> Codes:
    """Return integers after a rounding right shift and a clamp.

    Args:
        values: Shape (batch, channels, height, width); each, and each plus half of
            2^shift, must be exact in the type of the array.
        shift: Shape (channels,) or (1,), at least 0.
        output: Says the clamp.
        rounding: Shape (channels,) or (1,); halves up if `None`.
    """
    by_channel = shift.reshape(1, -1, 1, 1)
    mode = np.array(HALVES_UP if rounding is None else rounding).reshape(1, -1, 1, 1)
    if np.issubdtype(values.dtype, np.integer):
        integers = values.astype(np.int64)
        half = np.where(by_channel > 0, np.int64(1) << np.maximum(by_channel - 1, 0), 0)
        odd = (integers >> by_channel) & 1
        less = np.where(
            mode == HALVES_EVEN, 1 - odd, np.where(mode == HALVES_ODD, odd, 0)
        )
        less = np.where(by_channel > 0, less, 0)
        added = np.where(mode == DOWN, 0, half - less)
        rounded = (integers + added) >> by_channel
        clamped: NDArray[np.int64] = np.clip(rounded, output.low, output.high)
        return clamped.astype(np.float32)
    kind = values.dtype
    # Half a unit is added after the division: the same real number, and exact since its
    # numerator is. Without a shift there is nothing to round and no bit to hold a half.
    scaled = values * np.ldexp(1.0, -by_channel).astype(kind)
    even = mode == HALVES_EVEN
    if np.any(even):
        np.copyto(scaled, np.rint(scaled), where=even)
    up, odd = mode == HALVES_UP, mode == HALVES_ODD
    scaled += np.where((by_channel > 0) & (up | odd), 0.5, 0.0).astype(kind)
    raised = scaled.copy() if np.any(odd) else scaled
    np.floor(scaled, out=scaled)
    if np.any(odd):
        # What has become a whole number by a half was one.
        halves = odd & (by_channel > 0) & (raised == scaled)
        scaled -= halves & (scaled % 2 == 0)
    np.clip(scaled, output.low, output.high, out=scaled)
    codes: Codes = np.asarray(scaled, dtype=np.float32)
    return codes


def rounding_limit(limit: int, shift: NDArray[np.int64]) -> int:
    """Return what integers up to `limit` may reach when `requantize` rounds them."""
    return limit + int((np.int64(1) << shift).max()) // 2


def _check_codes(net: IntegerNetwork, codes: NDArray[np.int64]) -> None:
    name, entry = net.network.name, net.network.input
    expected = (entry.ofm.channels, entry.ofm.height, entry.ofm.width)
    if codes.ndim != 4 or codes.shape[1:] != expected or len(codes) < 1:
        channels, height, width = expected
        raise InputError(
            f"network {name!r}: codes of shape {codes.shape}; must be (batch, "
            f"{channels}, {height}, {width})"
        )
    if codes.dtype != np.int64:
        raise InputError(
            f"network {name!r}: codes of type {codes.dtype}; must be int64"
        )
    kind = net.maps[entry.name]
    if codes.min() < kind.low or codes.max() > kind.high:
        raise InputError(
            f"network {name!r}: codes {codes.min()} to {codes.max()}; must be "
            f"{kind.low} to {kind.high}"
        )


def _sums(
    layer: Compute, x: NDArray[Number], weight: NDArray[Number], zero: Number
) -> NDArray[Number]:
    match layer:
        case Conv():
            padded = pad_pixels(x, layer.padding, fill=zero)
            return dense_sums(padded, weight, stride=layer.stride, padding=Padding())
        case Depthwise():
            padded = pad_pixels(x, layer.padding, fill=zero)
            return depthwise_sums(
                padded, weight, stride=layer.stride, padding=Padding()
            )
        case Linear():
            sums = np.empty((len(x), len(weight)), dtype=x.dtype)
            np.matmul(x.reshape(len(x), -1), weight.T, out=sums)
            return sums[:, :, None, None]


def _compute_codes(
    layer: Compute,
    x: Codes,
    codes: MapType,
    params: Mapping[str, NDArray[np.int64]],
    output: MapType,
) -> Codes:
    weight, bias, shift = params["weight"], params["bias"], params["shift"]
    lowest, highest = sum_range(weight, codes)
    widest = np.maximum(-lowest, highest)
    acc = exact_sums(layer, x, weight, int(widest.max()), zero=codes.zero)
    multiplier = params.get("multiplier")
    if multiplier is not None:
        widest = widest * np.maximum(np.abs(multiplier), 1)
    # The sums keep their type where it holds what follows; otherwise they are widened.
    kind = exact_type(rounding_limit(int((widest + np.abs(bias)).max()), shift))
    wide: NDArray[np.number] = acc.astype(kind, copy=False)
    if multiplier is not None:
        np.multiply(wide, multiplier.astype(kind).reshape(1, -1, 1, 1), out=wide)
    np.add(wide, bias.astype(kind).reshape(1, -1, 1, 1), out=wide)
    return requantize(wide, shift, output, params.get("rounding"))


def _mean_codes(
    layer: Pool | GlobalAveragePool,
    x: Codes,
    codes: MapType,
    params: Mapping[str, NDArray[np.int64]],
    output: MapType,
) -> Codes:
    multiplier, shift = params["multiplier"], params["shift"]
    pixels, most_factor = layer.ifm.pixels, 1
    if isinstance(layer, Pool):
        pixels, most_factor = layer.kernel**2, int(border_factors(layer).max())
    begin, end = (int(value) for value in params.get("bias", np.zeros(2)))
    most = max(codes.high, -codes.low, abs(codes.zero))
    largest = (pixels * most + abs(begin)) * most_factor * int(multiplier[0])
    largest += abs(end) << int(shift[0])
    kind = exact_type(rounding_limit(largest, shift))
    wide: NDArray[np.number] = x.astype(kind)
    if isinstance(layer, Pool):
        padded = pad_pixels(wide, layer.padding, fill=kind(codes.zero))
        sums = window_sum(
            padded, kernel=layer.kernel, stride=layer.stride, padding=Padding()
        )
    else:
        sums = wide.sum(axis=(2, 3), keepdims=True, dtype=kind)
    moved = sums + kind(begin)
    if isinstance(layer, Pool):
        moved = moved * border_factors(layer).astype(kind)
    scaled = moved * multiplier.astype(kind)
    if is_wide(int(multiplier[0])):
        guard = kind(2**MEAN_GUARD)
        scaled = ((scaled + guard // kind(2)) // guard) * guard
    scaled = scaled + kind(end << int(shift[0]))
    return requantize(scaled, shift, output, params.get("rounding"))
