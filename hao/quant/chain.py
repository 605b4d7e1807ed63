"""What an imported network does to a map between summing it and reading it.

A chain starts at a layer that sums or picks, and takes in the affine layers,
activations and quantizers behind it. Before its quantizer it is, per channel,

    value = clip(gain * sums + offset, low, high)

since affine layers and ReLUs of such a clip are such clips again. The quantizer divides
by its scale, adds its zero point and rounds; from then on

    value = scale * (code - zero)

A zero point that the range of the codes can do without is taken out of them: int8
with -128 becomes unsigned, uint8 with 128 signed. A quantizer to -1 and 1 is one to the
codes 0 and 1 with zero at a half. What comes behind a quantizer narrows the codes,
changes what they stand for, or leaves them as they are; where it does more, the map
needs a copy with a requantization of its own (`NeedsCopyError`).
"""

from copy import copy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hao.errors import NeedsCopyError, UnsupportedError
from hao.ir.frame import FrameCoding
from hao.ir.integer import MapType
from hao.ir.interpret import RELU6_MAX, round_values
from hao.ir.layer import ActivationKind, Add, Compute, Layer, Pool
from hao.ir.tensor import MAX_BITS, MIN_BITS, QType, Rounding

Real = NDArray[np.float64]

WHOLE = 1e-5
"""Part of a step within which a sum counts as a whole number of steps: scales are
single precision, and a 32-bit quantizer behind sums only says that they are whole."""

_LIMITS = {
    ActivationKind.NONE: (-np.inf, np.inf),
    ActivationKind.RELU: (0.0, np.inf),
    ActivationKind.RELU6: (0.0, float(RELU6_MAX)),
}


class Chain:
    """What follows a layer that sums or picks; grows while it is gathered.

    Attributes:
        maker: The layer that it starts at.
        last: The layer whose map it makes.
        gain: Factor on the sums, shape (channels,).
        offset: What is added then, zero points included, shape (channels,).
        unit: What one step of the sums stands for, shape (channels,); 0 if unknown.
        quant: Type of the codes, `None` until quantized.
        step: What the quantizer divides by.
        scale: What a step of the codes stands for where they are read.
        zero: Code, or half between two, that stands for 0.0.
        moved: What the file's own codes are larger by.
        low: Smallest code.
        high: Largest code.
        shared: Other layers read these codes too, perhaps as other values.
    """

    def __init__(
        self, maker: Layer, unit: Real | float = 0.0, reach: float = np.inf
    ) -> None:
        channels = maker.ofm.channels
        self.maker = self.last = maker.name
        self.gain: Real = np.ones(channels)
        self.offset: Real = np.zeros(channels)
        self.unit: Real = np.broadcast_to(np.asarray(unit), (channels,))
        self.quant: QType | None = None
        self.step, self.scale, self.zero, self.low, self.high = 1.0, 1.0, 0.0, 0, 0
        self.moved = 0
        self.shared, self._reach = False, reach
        self._least: Real = np.full(channels, -np.inf)
        self._low: Real = np.full(channels, -np.inf)
        self._high: Real = np.full(channels, np.inf)
        self._coded: tuple[Real, Real] = self.gain, self.offset
        if isinstance(maker, Compute | Add):
            self.activate(maker.name, maker.activation)

    def know_none_below_zero(self) -> None:
        """Take in that the sums cannot be less, whatever cuts them."""
        self._least = np.zeros_like(self._least)

    def stand_in(self) -> None:
        """Take some codes, so that the look at a network goes on."""
        self.quant = QType(bits=MAX_BITS, signed=True)
        self.low, self.high = self.quant.lowest, self.quant.highest

    def frame_coding(self) -> FrameCoding:
        """Return how the host makes the codes of a frame."""
        assert self.quant is not None
        gain, offset = self._coded
        return FrameCoding(
            gain=tuple(gain.tolist()),
            offset=tuple(offset.tolist()),
            rounding=self.tied,
        )

    def picked_by(self, layer: Pool) -> "Chain":
        """Return the chain of a maximum over these codes: it has the same."""
        chain = copy(self)
        chain.maker = chain.last = layer.name
        chain.shared = False
        return chain

    @property
    def rounding(self) -> Rounding:
        """Return how values become codes, half away from 0 as the limits allow."""
        assert self.quant is not None
        found = self.quant.rounding
        if self.low >= 0 and self.zero == 0:
            if found is Rounding.HALF_AWAY:
                return Rounding.HALF_UP
            if found is Rounding.TO_ZERO:
                return Rounding.FLOOR
        return found

    @property
    def tied(self) -> Rounding:
        """Return how values become codes, which are the file's less `moved`."""
        halves = {
            Rounding.HALF_EVEN: Rounding.HALF_ODD,
            Rounding.HALF_ODD: Rounding.HALF_EVEN,
        }
        found = self.rounding
        return halves.get(found, found) if self.moved % 2 else found

    def map_type(self) -> MapType:
        """Return the integer type of the map."""
        assert self.quant is not None
        mantissa, exponent = np.frexp(self.scale)
        return MapType(
            quant=self.quant,
            low=self.low,
            high=self.high,
            exponent=int(exponent) - 1 if mantissa == 0.5 and not self.zero else None,
            zero=round(self.zero) if self.pads else 0,
        )

    @property
    def pads(self) -> bool:
        """Return whether a code stands for 0.0, so that maps can be padded with it."""
        assert self.quant is not None
        whole = abs(self.zero - round(self.zero)) <= WHOLE
        return whole and self.quant.lowest <= round(self.zero) <= self.quant.highest

    @property
    def is_plain(self) -> bool:
        """Return whether nothing has changed the sums, nor cut them."""
        same = np.all(self.gain == 1) and np.all(self.offset == 0)
        whole = np.all(np.isneginf(self._low)) and np.all(np.isposinf(self._high))
        return bool(self.quant is None and same and whole)

    def uniform_gain(self, layer: str) -> float:
        """Return the one factor of all channels.

        Args:
            layer: Named in the error.

        Raises:
            UnsupportedError: Factors differ or are not positive.
        """
        if np.ptp(self.gain) != 0 or self.gain[0] <= 0:
            raise UnsupportedError(
                f"layer {layer!r}: factors by channel behind it; handled behind adds "
                "and averages: one positive factor; put a quantizer between"
            )
        return float(self.gain[0])

    def added_codes(self, layer: str) -> float:
        """Return what is added to all codes, zero points included.

        Raises:
            UnsupportedError: It differs by channel.
        """
        if np.ptp(self.offset) > WHOLE * self.step:
            raise UnsupportedError(
                f"layer {layer!r}: numbers by channel are added behind it; handled "
                "behind adds and averages: one number; put a quantizer between"
            )
        return float(self.offset[0]) / self.step

    def scale_and_shift(self, layer: str, scale: Real, shift: Real) -> None:
        """Take in an affine layer.

        Raises:
            NeedsCopyError: Codes cannot stand for what comes out.
        """
        if self.quant is not None:
            if np.ptp(scale) != 0 or scale[0] <= 0 or np.ptp(shift) != 0:
                raise NeedsCopyError(layer)
            self.scale *= float(scale[0])
            self.zero -= float(shift[0]) / self.scale
            return
        with np.errstate(invalid="ignore"):
            one, other = self._low * scale + shift, self._high * scale + shift
            least = self._least * scale + shift
        self._least = np.where(scale > 0, least, -np.inf)
        # 0 * inf: the value is the shift, whatever the limits were.
        self._low = np.where(scale == 0, -np.inf, np.minimum(one, other))
        self._high = np.where(scale == 0, np.inf, np.maximum(one, other))
        self.gain = self.gain * scale
        self.offset = self.offset * scale + shift

    def activate(self, layer: str, kind: ActivationKind) -> None:
        """Take in an activation.

        Raises:
            NeedsCopyError: It cuts codes between two of them.
        """
        low, high = _LIMITS[kind]
        if self.quant is None:
            self._low = np.clip(self._low, low, high)
            self._least = np.minimum(self._least, high)
            self._high = np.clip(self._high, low, high)
            return
        self._narrow(layer, low / self.scale + self.zero, high / self.scale + self.zero)

    def quantize(self, layer: str, quant: QType, scale: float, zero: float) -> None:
        """Take in a quantizer.

        Args:
            layer: Its name.
            quant: Its type.
            scale: What a step stands for.
            zero: Code that stands for 0.0.

        Raises:
            UnsupportedError: Its type or rounding.
            NeedsCopyError: A second one that changes values.
        """
        if quant.bipolar:
            # -1 and 1 as 0 and 1: half the step, and 0 in the middle.
            quant = QType(bits=MIN_BITS, signed=False, rounding=Rounding.HALF_UP)
            scale, zero, ends = 2 * scale, 0.5, (0, 1)
        else:
            ends = quant.lowest, quant.highest
        if self.quant is not None:
            self._quantize_again(layer, ends, scale, zero)
            return
        if quant.bits > MAX_BITS and self._all_whole(scale):
            return  # sums on this very grid
        if quant.bits > MAX_BITS and np.isfinite(self._reach):
            # No more codes than the sums can make.
            most = np.abs(self.gain) * self._reach + np.abs(self.offset)
            signed = bool(self._lowest.min() < 0)
            down = quant.rounding is Rounding.FLOOR and not signed
            largest = (np.floor if down else np.ceil)(most.max() / scale)
            bits = int(largest).bit_length()
            quant = replace(quant, bits=bits + signed, signed=signed, narrow=False)
            ends = quant.lowest, quant.highest
        own = ends
        quant, ends, zero = _without_zero(layer, quant, ends, zero)
        self.moved = own[0] - ends[0]
        lowest = self._lowest / scale + zero
        low = _uniform(layer, _rounded(layer, lowest, quant, ends))
        high = _uniform(layer, _rounded(layer, self._high / scale + zero, quant, ends))
        self.offset = self.offset + zero * scale
        if quant.rounding is Rounding.FLOOR and np.all(self.offset == scale / 2):
            # Half a step added, then rounded down: halves up.
            self.offset = self.offset - scale / 2
            quant = replace(quant, rounding=Rounding.HALF_UP)
        self.quant, self.step, self.scale, self.zero = quant, scale, scale, zero
        self._coded = self.gain / scale, self.offset / scale
        self.low, self.high = ends
        self._narrow(layer, low, high)

    @property
    def _lowest(self) -> Real:
        """Return where values are cut, as far as that says more than is known."""
        cut = self._low > self._least
        lowest = np.maximum(self._low, self._least)
        most = lowest[cut].max() if cut.any() else lowest.min()
        common: Real = np.minimum(lowest, most)
        return common

    def _quantize_again(
        self, layer: str, ends: tuple[int, int], scale: float, zero: float
    ) -> None:
        """Take in a quantizer of codes: no change, or fewer of them."""
        ratio = self.scale / scale
        whole = [ratio, zero - ratio * self.zero]
        if any(abs(value - round(value)) > WHOLE for value in whole):
            raise NeedsCopyError(layer)
        # As codes of the first quantizer.
        first, last = ((end - zero) / ratio + self.zero for end in ends)
        if round(ratio) != 1 and (first > self.low or last < self.high):
            raise NeedsCopyError(layer)
        self._narrow(layer, first, last)

    def _all_whole(self, scale: float) -> bool:
        """Return whether all values are whole numbers of steps, before quantizing."""
        steps = np.stack([self.gain * self.unit, self.offset]) / scale
        whole = np.abs(steps - np.rint(steps)) <= WHOLE
        return bool(np.all(self.unit > 0) and np.all(whole))

    def _narrow(self, layer: str, first: float, last: float) -> None:
        """Cut codes at two values, which may lie outside of them."""
        low, high = max(float(self.low), first), min(float(self.high), last)
        if abs(low - round(low)) > WHOLE or abs(high - round(high)) > WHOLE:
            raise NeedsCopyError(layer)
        if round(low) >= round(high):
            raise UnsupportedError(
                f"layer {layer!r}: leaves the codes {low:g} to {high:g}; handled: two "
                "and more; quantize so that more are used"
            )
        self.low, self.high = round(low), round(high)


def _without_zero(
    layer: str, quant: QType, ends: tuple[int, int], zero: float
) -> tuple[QType, tuple[int, int], float]:
    """Return type, codes and zero point, the latter taken out if possible.

    Raises:
        UnsupportedError: More bits than the engine has.
    """
    if not MIN_BITS <= max(quant.bits, MIN_BITS) <= MAX_BITS:
        raise UnsupportedError(
            f"layer {layer!r}: maps of {quant.bits} bits; handled: {MIN_BITS} to "
            f"{MAX_BITS}; quantize maps to int8, uint8 or fewer bits"
        )
    quant = replace(quant, bits=max(quant.bits, MIN_BITS))
    if zero == round(zero) and zero != 0:
        low, high = ends[0] - round(zero), ends[1] - round(zero)
        signed = low < 0
        bits = max((-low - 1).bit_length(), high.bit_length()) + signed
        if bits <= MAX_BITS:
            kept = replace(quant, bits=max(bits, MIN_BITS), signed=signed, narrow=False)
            return kept, (low, high), 0.0
    return quant, ends, zero


def _rounded(layer: str, codes: Real, quant: QType, ends: tuple[int, int]) -> Real:
    """Return limits as codes, rounded as the quantizer does."""
    inside = np.clip(codes, *ends)
    raises = quant.rounding is Rounding.TO_ZERO and inside.min() < 0
    if raises or quant.rounding is Rounding.CEIL:
        raise UnsupportedError(
            f"layer {layer!r}: rounds by {quant.rounding.value}; handled: to the "
            "nearest, or down; export with rounding_mode ROUND or FLOOR"
        )
    return round_values(inside, quant.rounding)


def _uniform(layer: str, ends: Real) -> float:
    if np.ptp(ends) != 0:
        raise UnsupportedError(
            f"layer {layer!r}: other limits in other channels; handled: one for a map; "
            "put a quantizer between an activation and factors by channel"
        )
    return float(ends[0])
