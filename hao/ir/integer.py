"""A network whose every number is an integer: what the accelerator computes.

`IntegerNetwork` is a `Network` of compute, pooling and add layers with integer
parameters, and the integer type of every feature map. Nothing in it is floating
point. `hao.ir.integer_run` says what it computes; the emitted C++ equals that bit for
bit. Who makes one: `hao.quant` (Brevitas, imported QONNX files) and `hao.ir.seeded`.

Parameters by layer (`params`), all int64 and read-only:

    Conv, Depthwise, Linear   weight      shapes as in hao.ir.layer
                              bias        (ofm_channels,), unit of the products; in
                                          multiplier modes that times the multiplier,
                                          in whole multiples of 2^cut_bits
                              shift       (ofm_channels,), 0 to MAX_SHIFT, or what
                                          `Requantization.shifts` says
                              multiplier  (ofm_channels,), in multiplier modes only
    Add                       shifts      (3,): operand 0 and 1 left, their sum right
                              bias        (1,), added to that sum; may be missing
    Pool (average), GlobalAveragePool
                              multiplier  (1,), at most MEAN_BITS bits, or wide
                              shift       (1,), 0 to MAX_MEAN_SHIFT
                              bias        (2,), added to the sum of codes, and to the
                                          codes that leave; may be missing
    Pool (maximum)            none: its codes are its input's

How a right shift rounds is up to its layer, `rounding`, where it is no rounding of
halves up: `HALVES_EVEN` or, not of a compute layer, `DOWN` (which its bias can do) or
`HALVES_ODD` (before an odd zero point); for a compute layer (ofm_channels,), for all
others (1,).

An activation function is no operation of its own: `MapType.low` and `high` clamp.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError, UnsupportedError
from hao.intmath import ceil_log2
from hao.ir.frame import FrameCoding
from hao.ir.layer import (
    Activation,
    Add,
    Affine,
    Compute,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Linear,
    Pool,
    PoolKind,
    Quantize,
    weight_shape,
)
from hao.ir.network import Network
from hao.ir.tensor import MAX_BITS, MIN_BITS, QType

MAX_SHIFT = 15
"""Largest right shift of the requantizer (4 bits; as priced in `hao.cost.blocks`)."""

MAX_MULTIPLIER_SHIFT = 31
"""Largest right shift in multiplier mode."""

MULTIPLIER_BITS = 18
"""Width of the signed multipliers of multiplier mode: a port of a DSP slice."""

WIDE_MULTIPLIER_BITS = 25
"""The same in wide multiplier mode: the wide port of the DSP48E1 (UG479), which that of
the DSP48E2 exceeds by 2 bits; sums of up to 35 bits go through the other port in two
parts. So wide, what is rounded off a multiplier seldom moves one of 255 thresholds:
tests/quant/test_thresholds.py counts."""

CUT_BITS = 13
"""Low bits that a bias behind a wide multiplier leaves out.

So bias, shift and multiplier fill a 64-bit record, as with 18 bits. A unit of the sums
is still 2^10 or more of them."""

BIAS_BITS = 26
"""Width of the signed bias in memory; with 6 bits of shift it fills a 32-bit record."""

WIDE_BIAS_BITS = 40
"""The same in multiplier mode; with shift and multiplier it fills a 64-bit record, as
one of 33 bits does with a wide multiplier.

It is added behind the multiplier, so that both ends of a channel's codes are met: a
bias in whole units of the products moves all its codes by the same part of a unit.
"""

ADD_BIAS_BITS = 24
"""Width of the signed bias of an add: a code of the sum, shifted to the left."""

MEAN_BIAS_BITS = 24
"""Width of the signed bias of a sum of codes: a code times the pixels of a mean."""

MAX_ALIGN_SHIFT = 7
"""Largest left shift of an operand of an add (3 bits, as `cost.blocks` prices it)."""

MEAN_BITS = 8
"""Width of the unsigned multiplier that divides a sum by its number of pixels."""

WIDE_MEAN_BITS = 24
"""The same where a file divides by what 8 bits only come near; see `MEAN_GUARD`."""

MEAN_GUARD = 20
"""Low bits that a product with such a multiplier is rounded to first.

They hold the error of the multiplier, half a unit of it times the sum, so that halves
are halves; above them two different quotients differ. Source: derived here for sums
below 2^20; tests/quant/test_imported.py compares with exact quotients.
"""

MAX_WIDE_MEAN_SHIFT = 47
"""Largest right shift after a wide multiplier."""

HALVES_UP, HALVES_EVEN, DOWN, HALVES_ODD = 0, 1, 2, 3
"""What a right shift does to what it cuts off: as the parameter `rounding` has it."""

MAX_MEAN_SHIFT = 31
"""Largest right shift after it."""


class Requantization(Enum):
    """How sums of products return to the width of activations."""

    SHIFT = "shift"
    """A right shift per output channel, rounding halves up."""
    MULTIPLIER = "multiplier"
    """An 18-bit multiplier, a wide bias and a right shift per output channel."""
    WIDE = "wide multiplier"
    """The same with 25 bits, where 18 do not make a file's codes of every sum."""

    @property
    def multiplies(self) -> bool:
        """Return whether sums take a multiplier."""
        return self is not Requantization.SHIFT

    @property
    def multiplier_bits(self) -> int:
        """Return the width of a signed multiplier, 0 without one."""
        match self:
            case Requantization.SHIFT:
                return 0
            case Requantization.MULTIPLIER:
                return MULTIPLIER_BITS
            case Requantization.WIDE:
                return WIDE_MULTIPLIER_BITS

    @property
    def cut_bits(self) -> int:
        """Return the low bits that a bias leaves out."""
        return CUT_BITS if self is Requantization.WIDE else 0

    @property
    def bias_bits(self) -> int:
        """Return the width of a bias in memory, without the bits that it leaves out."""
        match self:
            case Requantization.SHIFT:
                return BIAS_BITS
            case Requantization.MULTIPLIER:
                return WIDE_BIAS_BITS
            case Requantization.WIDE:
                return WIDE_BIAS_BITS + MULTIPLIER_BITS - WIDE_MULTIPLIER_BITS

    @property
    def shifts(self) -> tuple[int, int]:
        """Return the least and the largest right shift.

        A bit more than the bias leaves out is cut, so that a half is among those kept.
        """
        if self is Requantization.WIDE:
            return CUT_BITS + 1, CUT_BITS + MAX_MULTIPLIER_SHIFT
        return 0, MAX_MULTIPLIER_SHIFT if self.multiplies else MAX_SHIFT


def with_multipliers(network: Network, *, wide: bool = False) -> Network:
    """Return a network whose sums all take a multiplier, perhaps a wide one."""
    return network.with_layers(
        lambda x: (
            replace(x, multiplied=True, wide=wide) if isinstance(x, Compute) else x
        )
    )


def with_evens(network: Network) -> Network:
    """Return a network whose halves of sums go to even codes.

    One requantizer serves all layers of a stage, so all are marked.
    """
    return network.with_layers(
        lambda x: replace(x, evens=True) if isinstance(x, Compute) else x
    )


def with_wide_means(network: Network, names: frozenset[str]) -> Network:
    """Return a network in which these averages take a wide multiplier."""
    return network.with_layers(
        lambda x: (
            replace(x, wide=True)
            if isinstance(x, Pool | GlobalAveragePool) and x.name in names
            else x
        )
    )


def means_are_wide(network: Network) -> bool:
    """Return whether any average takes a wide multiplier: one width serves all."""
    return any(
        layer.wide
        for layer in network.layers
        if isinstance(layer, Pool | GlobalAveragePool)
    )


def requantization_of(network: Network) -> Requantization:
    """Return how the sums of a network's compute layers become codes."""
    if any(layer.wide for layer in network.compute_layers):
        return Requantization.WIDE
    if any(layer.multiplied for layer in network.compute_layers):
        return Requantization.MULTIPLIER
    return Requantization.SHIFT


@dataclass(frozen=True, slots=True, kw_only=True)
class MapType:
    """Integer type of a feature map.

    Attributes:
        quant: Width and sign.
        low: Smallest code that its layer lets through (0 after a ReLU).
        high: Largest one (below the type's own after a ReLU6).
        exponent: A code stands for `code * 2**exponent`; `None` where its scale is
            no power of two (multiplier mode), and only ratios of scales are known.
        zero: Code that stands for 0.0, of which padding is.
    """

    quant: QType
    low: int
    high: int
    exponent: int | None
    zero: int = 0

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.quant.bits <= MAX_BITS:
            raise InputError(
                f"activations of {self.quant.bits} bits; must have {MIN_BITS} to "
                f"{MAX_BITS}"
            )
        least, most = self.quant.lowest, self.quant.highest
        if not (least <= self.low < self.high <= most and least <= self.zero <= most):
            raise InputError(
                f"codes {self.low} to {self.high}, {self.zero} for 0.0, of "
                f"{self.quant}; must be two or more, in {least} to {most}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerNetwork:
    """A network of integers; see the module for its parameters.

    Attributes:
        network: Layers and integer parameters; no Affine, Activation or Quantize.
        maps: Type of the feature map that every layer makes, by layer name.
        requantization: Shift or multiplier, for all layers.
        frame: How frames become codes; `None` where the exponent of the input says it.

    Raises:
        InputError: A layer kind, a parameter's shape or range, or a type is wrong, or
            a maximum changes the type of its map.
    """

    network: Network
    maps: Mapping[str, MapType]
    requantization: Requantization
    frame: FrameCoding | None = None

    def __post_init__(self) -> None:
        for layer in self.network.layers:
            if layer.name not in self.maps:
                raise InputError(f"layer {layer.name!r}: its map has no integer type")
            match layer:
                case Input():
                    pass
                case Conv() | Depthwise() | Linear():
                    self._check_compute(layer)
                case Add():
                    self._check_add(layer)
                case GlobalAveragePool():
                    self._check_mean(layer.name)
                case Pool():
                    self._check_pool(layer)
                case Affine() | Activation() | Quantize():
                    raise InputError(
                        f"layer {layer.name!r}: {type(layer).__name__} in an integer "
                        "network; must be part of a requantization"
                    )
                case _:
                    assert_never(layer)

    def frame_codes(self, frames: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return frames of real values as the codes that enter.

        Args:
            frames: Shape (frames, channels, height, width).

        Raises:
            UnsupportedError: Neither `frame` nor an exponent says how.
        """
        kind = self.maps[self.network.input.name]
        return self.coding.codes(frames, low=kind.low, high=kind.high)

    @property
    def coding(self) -> FrameCoding:
        """Return how frames become codes.

        Raises:
            UnsupportedError: Neither `frame` nor an exponent says how.
        """
        exponent = self.maps[self.network.input.name].exponent
        if self.frame is not None:
            return self.frame
        if exponent is None:
            raise UnsupportedError(
                f"network {self.network.name!r}: the scale of its input is not known; "
                "give it codes"
            )
        return FrameCoding(gain=(2.0**-exponent,))

    def param(self, layer: str, name: str) -> NDArray[np.int64]:
        """Return a parameter.

        Raises:
            InputError: It is missing or not int64.
        """
        key = f"{layer}.{name}"
        array = self.network.params.get(key)
        if array is None:
            raise InputError(f"parameter {key!r} is missing")
        if array.dtype != np.int64:
            raise InputError(f"parameter {key!r} is {array.dtype}; must be int64")
        result: NDArray[np.int64] = array.view(np.int64)
        return result

    def optional(self, layer: str, name: str, count: int) -> tuple[int, ...]:
        """Return the numbers of a parameter, zeros where a layer has none."""
        if f"{layer}.{name}" not in self.network.params:
            return (0,) * count
        return tuple(int(value) for value in self.param(layer, name))

    def rounding(self, layer: str) -> NDArray[np.int64]:
        """Return how a layer's right shifts round: one value, or one per channel."""
        if f"{layer}.rounding" not in self.network.params:
            return np.array([HALVES_UP])
        return self.param(layer, "rounding")

    def weight_bits(self) -> dict[str, int]:
        """Return the width of every compute layer's weights, from their `QType`."""
        return {
            layer.name: layer.weight.bits
            for layer in self.network.compute_layers
            if layer.weight is not None
        }

    def _check_compute(self, layer: Compute) -> None:
        name, channels = layer.name, layer.ofm.channels
        if layer.weight is None or not MIN_BITS <= layer.weight.bits <= MAX_BITS:
            raise InputError(
                f"layer {name!r}: weight type {layer.weight}; must have {MIN_BITS} to "
                f"{MAX_BITS} bits"
            )
        quant = layer.weight
        self._check(name, "weight", weight_shape(layer), quant.lowest, quant.highest)
        mode = self.requantization
        most, unit = 2 ** (mode.bias_bits - 1 + mode.cut_bits), 2**mode.cut_bits
        self._check(name, "bias", (channels,), -most, most - unit)
        if np.any(self.param(name, "bias") % unit):
            raise InputError(
                f"parameter '{name}.bias' holds numbers that are no multiples of {unit}"
                ", the unit of a bias behind a wide multiplier"
            )
        if mode.multiplies:
            top = 2 ** (mode.multiplier_bits - 1)
            self._check(name, "multiplier", (channels,), -top, top - 1)
        self._check(name, "shift", (channels,), *mode.shifts)
        self._check_rounding(name, (channels,), HALVES_EVEN)

    def _check_add(self, layer: Add) -> None:
        self._check(layer.name, "shifts", (3,), 0, MAX_SHIFT)
        if max(self.param(layer.name, "shifts")[:2]) > MAX_ALIGN_SHIFT:
            raise InputError(
                f"layer {layer.name!r}: operands are shifted left by "
                f"{self.param(layer.name, 'shifts')[:2].tolist()}; must be at most "
                f"{MAX_ALIGN_SHIFT}"
            )
        if f"{layer.name}.bias" in self.network.params:
            most = 2 ** (ADD_BIAS_BITS - 1)
            self._check(layer.name, "bias", (1,), -most, most - 1)
        self._check_rounding(layer.name, (1,), HALVES_ODD)

    def _check_pool(self, layer: Pool) -> None:
        if layer.kind is PoolKind.AVERAGE:
            self._check_mean(layer.name)
            return
        # What the codes stand for may differ.
        made, read = (
            replace(self.maps[name], exponent=None, zero=0)
            for name in (layer.name, layer.input)
        )
        if made != read:
            raise InputError(
                f"layer {layer.name!r}: a maximum of type {made}; must be its input's, "
                f"{read}"
            )

    def _check_mean(self, name: str) -> None:
        self._check(name, "multiplier", (1,), 1, 2**WIDE_MEAN_BITS - 1)
        wide = is_wide(int(self.param(name, "multiplier")[0]))
        most = MAX_WIDE_MEAN_SHIFT if wide else MAX_MEAN_SHIFT
        self._check(name, "shift", (1,), MEAN_GUARD + 1 if wide else 0, most)
        if f"{name}.bias" in self.network.params:
            most = 2 ** (MEAN_BIAS_BITS - 1)
            self._check(name, "bias", (2,), -most, most - 1)
            self._check_code(name, int(self.param(name, "bias")[1]))
        self._check_rounding(name, (1,), HALVES_ODD)

    def _check_code(self, name: str, value: int) -> None:
        if abs(value) >= 2**MAX_BITS:
            raise InputError(
                f"parameter '{name}.bias' adds {value} to codes; must be less than "
                f"{2**MAX_BITS}"
            )

    def _check_rounding(self, name: str, shape: tuple[int, ...], most: int) -> None:
        if f"{name}.rounding" in self.network.params:
            self._check(name, "rounding", shape, HALVES_UP, most)

    def _check(
        self, layer: str, name: str, shape: tuple[int, ...], low: int, high: int
    ) -> None:
        array = self.param(layer, name)
        if array.shape != shape:
            raise InputError(
                f"parameter '{layer}.{name}' has shape {array.shape}; must be {shape}"
            )
        if array.size and not low <= array.min() <= array.max() <= high:
            raise InputError(
                f"parameter '{layer}.{name}' holds {array.min()} to {array.max()}; "
                f"must be {low} to {high}"
            )


def is_wide(multiplier: int) -> bool:
    """Return whether a mean's multiplier has more than `MEAN_BITS` bits."""
    return multiplier.bit_length() > MEAN_BITS


def accumulator_bits(
    weight_bits: int, act_bits: int, terms: int, *, biased: bool = True
) -> int:
    """Return the width of the signed accumulator of a stage.

    It holds `terms` products of a signed weight and an activation of either sign,
    |w * x| < 2^(weight_bits + act_bits - 1), and a bias of no more than their largest
    sum, which takes one bit. Where the bias comes behind a multiplier, that bit is not
    needed.

    Args:
        weight_bits: Width of the signed weights.
        act_bits: Width of the activations.
        terms: Products summed into one output value, at least 1.
        biased: Sums begin with the bias.

    Source: derived here; tests/ir/test_integer.py reaches both ends.
    """
    return weight_bits + act_bits + ceil_log2(max(terms, 2)) + int(biased)


def sum_range(
    weight: NDArray[np.int64], codes: MapType
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lowest and the highest sum of any subset of a channel's products.

    A sum of floating-point or wrapping numbers that passes through no value outside
    this range, in whatever order it adds, is therefore covered. Padding is, whatever
    code it has.

    Args:
        weight: Shape (ofm_channels, ...); all products of a channel are summed.
        codes: What the weights are multiplied with.

    Returns:
        Two arrays of shape (ofm_channels,), the first at most 0, the second at least 0.

    Source: derived here; tests/ir/test_integer.py reaches both ends.
    """
    rows = weight.reshape(len(weight), -1)
    positive = np.maximum(rows, 0).sum(axis=1)
    negative = rows.sum(axis=1) - positive
    low, high = min(codes.low, codes.zero, 0), max(codes.high, codes.zero, 0)
    return positive * low + negative * high, positive * high + negative * low


def accumulator_range(net: IntegerNetwork, layer: Compute) -> tuple[int, int]:
    """Return the lowest and the highest value of a layer's accumulators.

    The exact worst case over all input maps, all channels and all orders in which
    products and bias are added, from the actual weights and the codes that the layer
    before lets through. In multiplier mode the bias comes behind the accumulator.

    Args:
        net: The network of `layer`.
        layer: One of its compute layers.

    Raises:
        InputError: The network has no parameters of such a layer.
    """
    codes = net.maps.get(layer.input)
    if codes is None:
        raise InputError(
            f"layer {layer.name!r} reads {layer.input!r}, which is not in it"
        )
    lowest, highest = sum_range(net.param(layer.name, "weight"), codes)
    if net.requantization.multiplies:
        return int(lowest.min()), int(highest.max())
    bias = net.param(layer.name, "bias")
    low = lowest + np.minimum(bias, 0)
    high = highest + np.maximum(bias, 0)
    return int(low.min()), int(high.max())


def mean_multiplier(pixels: int) -> tuple[int, int]:
    """Return the multiplier and the right shift that come closest to 1 / pixels.

    The multiplier has all `MEAN_BITS` bits, 128 to 255; powers of two are exact, with
    a multiplier of 128.

    Args:
        pixels: 1 to 2^24, so that the shift is at most `MAX_MEAN_SHIFT`.

    Raises:
        InputError: There are fewer or more pixels.

    Source: derived here; equal to a search over all pairs in tests/ir/test_integer.py.
    """
    most = 2 ** (MAX_MEAN_SHIFT - MEAN_BITS + 1)
    if not 1 <= pixels <= most:
        raise InputError(f"a mean of {pixels} pixels; must be 1 to {most}")
    # 2^shift / pixels lies in 128 (included) to 256, and is no half: were it one, it
    # would be odd / 2 above 128, and pixels no integer.
    shift = MEAN_BITS - 1 + ceil_log2(pixels)
    multiplier = (2 * 2**shift + pixels) // (2 * pixels)
    if multiplier == 2**MEAN_BITS:
        return 2 ** (MEAN_BITS - 1), shift - 1
    return multiplier, shift
