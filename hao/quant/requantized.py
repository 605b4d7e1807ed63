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

from collections.abc import Mapping
from copy import copy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError, NeedsCopyError, UnsupportedError
from hao.ir.averages import mean_pixels
from hao.ir.frame import FrameCoding
from hao.ir.integer import (
    ADD_BIAS_BITS,
    DOWN,
    HALVES_EVEN,
    HALVES_UP,
    MAX_MEAN_SHIFT,
    MAX_WIDE_MEAN_SHIFT,
    MEAN_BIAS_BITS,
    MEAN_BITS,
    MEAN_GUARD,
    WIDE_MEAN_BITS,
    MapType,
)
from hao.ir.interpret import RELU6_MAX
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    Affine,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Padding,
    Pool,
    PoolKind,
    Quantize,
)
from hao.ir.network import Network
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
        self._low: Real = np.full(channels, -np.inf)
        self._high: Real = np.full(channels, np.inf)
        self._coded: tuple[Real, Real] = self.gain, self.offset
        if isinstance(maker, Conv | Depthwise | Linear | Add):
            self.activate(maker.name, maker.activation)

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
            rounding=self.quant.rounding,
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
            signed = bool(self._low.min() < 0)
            down = quant.rounding is Rounding.FLOOR and not signed
            largest = (np.floor if down else np.ceil)(most.max() / scale)
            bits = int(largest).bit_length()
            quant = replace(quant, bits=bits + signed, signed=signed, narrow=False)
            ends = quant.lowest, quant.highest
        own = ends
        quant, ends, zero = _without_zero(layer, quant, ends, zero)
        self.moved = own[0] - ends[0]
        low = _uniform(layer, _rounded(layer, self._low / scale + zero, quant, ends))
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
            f"{MAX_BITS}"
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


STAND_IN_FRAME = QType(bits=MAX_BITS, signed=True), 2.0 ** (1 - MAX_BITS)
"""Type and scale of an open frame as long as there are no frames to choose from."""


def frame_is_open(network: Network) -> bool:
    """Return whether a network's frame is read before it is quantized."""
    readers = network.consumers()
    layers = {layer.name: layer for layer in network.layers}
    name = network.input.name
    while len(readers[name]) == 1:
        reader = layers[readers[name][0]]
        if isinstance(reader, Quantize):
            return False
        if not isinstance(reader, Affine | Activation):
            return True
        name = reader.name
    return True


def gathered_chains(
    network: Network,
    problems: list[str] | None = None,
    *,
    frame: tuple[QType, float] | None = None,
) -> dict[str, Chain]:
    """Return the chain that every layer is part of.

    Args:
        network: As an importer returns it.
        problems: Takes what is not handled, to go on; raised if `None`.
        frame: Type and scale of the frame where the file does not quantize it.

    Raises:
        InputError: A parameter is missing.
        UnsupportedError: Something that is no single requantization.
        NeedsCopyError: A layer whose operand must be copied first.
    """
    readers = network.consumers()
    chains: dict[str, Chain] = {}
    for layer in network.layers:
        try:
            chains[layer.name] = _chain(network, layer, chains, readers)
            if isinstance(layer, Input) and frame is not None:
                chains[layer.name].quantize(layer.name, *frame, 0.0)
        except UnsupportedError as error:
            if problems is None:
                raise
            problems.append(str(error))
            chains[layer.name] = _stand_in(layer)
            read = chains[layer.inputs[0]] if layer.inputs else None
            if isinstance(layer, Quantize) and read is not None and read.quant is None:
                read.stand_in()  # what is wrong with its quantizer has been told
        except NeedsCopyError as need:
            need.scale = chains[layer.inputs[0]].scale
            raise
    return chains


def _chain(
    network: Network,
    layer: Layer,
    chains: Mapping[str, Chain],
    readers: Mapping[str, tuple[str, ...]],
) -> Chain:
    match layer:
        case Affine() | Activation() | Quantize():
            chain = chains[layer.input]
            if len(readers[layer.input]) == 1 and not chain.shared:
                _take_in(network, chain, layer)
                chain.last = layer.name
                return chain
            if chain.quant is None:
                raise UnsupportedError(
                    f"layer {layer.input!r}: read as it is and through {layer.name!r}; "
                    "handled: one quantizer behind a map, before it is shared"
                )
            # A view of its own on the same codes, if they stay the same.
            view = copy(chain)
            view.shared = True
            _take_in(network, view, layer)
            if (view.low, view.high) != (chain.low, chain.high):
                raise NeedsCopyError(layer.name)
            return view
        case Pool(kind=PoolKind.MAX):
            source = chains[layer.input]
            if source.quant is None:
                raise UnsupportedError(
                    f"layer {source.last!r}: its map is not quantized where "
                    f"{layer.name!r} reads it; handled: a quantizer before a maximum"
                )
            return source.picked_by(layer)
        case Input():
            chain = Chain(layer)
            if f"{layer.name}.scale" in network.params:
                _scale(network, chain, layer)
            return chain
        case Conv() | Depthwise() | Linear():
            step = network.params.get(f"{layer.name}.weight_scale", np.zeros(1))
            unit = chains[layer.input].scale * step.astype(np.float64).reshape(-1)
            if isinstance(layer, Depthwise) and layer.kernel == 1 and not layer.bias:
                return _scaled_map(network, layer, chains[layer.input], unit)
            return Chain(layer, unit)
        case Add():
            steps = [chains[name].scale for name in layer.inputs]
            return Chain(layer, min(steps))
        case Pool() | GlobalAveragePool():
            source = chains[layer.input]
            reach = source.scale * max(
                source.high - source.zero, source.zero - source.low
            )
            made = Chain(layer, source.scale / mean_pixels(layer), reach)
            if source.low >= source.zero:
                made.activate(layer.name, ActivationKind.RELU)  # it is none below 0
            return made


def _scaled_map(network: Network, layer: Depthwise, source: Chain, unit: Real) -> Chain:
    """Return the chain of a layer of one factor a channel, which knows its limits."""
    factors = _values(network, f"{layer.name}.weight")
    ends = [source.scale * (end - source.zero) for end in (source.low, source.high)]
    values = np.outer(ends, factors)
    chain = Chain(layer, unit, float(np.abs(values).max()))
    if values.min() >= 0:
        chain.activate(layer.name, ActivationKind.RELU)  # it is none below 0
    return chain


def _stand_in(layer: Layer) -> Chain:
    """Return a chain that lets the look at a network go on."""
    chain = Chain(layer)
    chain.stand_in()
    return chain


def add_shifts(
    layer: Add, chains: Mapping[str, Chain]
) -> tuple[dict[str, NDArray[np.int64]], bool]:
    """Return an add's integers, and whether they are exact.

    Raises:
        UnsupportedError: No shifts do what the file does.
    """
    chain = chains[layer.name]
    operands = [chains[name] for name in layer.inputs]
    steps = [operand.scale for operand in operands]
    zeros = sum(operand.scale * operand.zero for operand in operands)
    gain = chain.uniform_gain(layer.name)
    base = min([*steps, chain.step / gain])
    ratios = np.array([steps[0] / base, steps[1] / base, chain.step / (base * gain)])
    shifts = np.rint(np.log2(ratios))
    if not np.allclose(2.0**shifts, ratios, rtol=WHOLE, atol=0) or shifts.min() < 0:
        raise UnsupportedError(
            f"layer {layer.name!r}: scales {steps[0]:g} and {steps[1]:g}, and "
            f"{chain.step / gain:g} of the sum; handled: ratios that are powers of two"
        )
    rounding, known = _way(chain)
    integers = {"shifts": shifts.astype(np.int64)}
    # In units of the sum: what is added to codes, less what the operands' zeros are.
    bias = chain.added_codes(layer.name) * 2.0 ** shifts[2] - zeros / base
    whole, cuts = abs(bias - np.rint(bias)) <= WHOLE, shifts[2] > 0
    if not whole:
        # Then no sum is a half, and the part of a unit decides nothing.
        rounding = DOWN if rounding == DOWN else HALVES_UP
    bias = np.rint(bias) if whole else np.floor(bias)
    if abs(bias) >= 2 ** (ADD_BIAS_BITS - 1):
        raise UnsupportedError(
            f"layer {layer.name!r}: zero points far beyond the codes of its sum; "
            "handled: scales of operands and sum that are alike"
        )
    if bias:
        integers["bias"] = np.array([int(bias)])
    if rounding != HALVES_UP and cuts:
        integers["rounding"] = np.array([rounding])
    return integers, bool(whole if not cuts else known or not whole)


def mean_integers(
    layer: Pool | GlobalAveragePool, chains: Mapping[str, Chain]
) -> tuple[dict[str, NDArray[np.int64]], bool]:
    """Return an average's integers, and whether they are exact.

    Raises:
        UnsupportedError: No 8-bit multiplier comes close.
    """
    chain, source = chains[layer.name], chains[layer.input]
    if isinstance(layer, Pool) and layer.padding != Padding():
        check_pads(layer.name, source)
    gain = chain.uniform_gain(layer.name)
    ratio = gain * source.scale / (chain.step * mean_pixels(layer))
    rounding, known = _way(chain)
    power = abs(np.frexp(ratio)[0] - 0.5) <= WHOLE / 2
    bias, whole = _mean_bias(layer, chain, source, ratio)
    if power and ratio < 1 and not whole:
        # As for an add: no sum is a half, and the part of a unit decides nothing.
        rounding = DOWN if rounding == DOWN else HALVES_UP
        known = whole = True
    known = known and whole
    if 2.0**-MAX_MEAN_SHIFT < ratio < 1 and not power:
        largest = mean_pixels(layer) * max(abs(source.low), abs(source.high))
        return _wide_mean(ratio, rounding) | bias, known and largest < 2**MEAN_GUARD
    shift = min(MEAN_BITS - 1 - int(np.floor(np.log2(ratio))), MAX_MEAN_SHIFT)
    multiplier = int(np.rint(np.ldexp(ratio, shift)))
    if multiplier == 2**MEAN_BITS:
        multiplier, shift = multiplier // 2, shift - 1
    if shift < 0 or multiplier == 0:
        raise UnsupportedError(
            f"layer {layer.name!r}: {ratio:g} codes per code of the sum; handled: "
            f"2^-{MAX_MEAN_SHIFT} to below 2^{MEAN_BITS}"
        )
    off = abs(np.ldexp(float(multiplier), -shift) / ratio - 1)
    integers = {
        "multiplier": np.array([multiplier]),
        "shift": np.array([shift]),
        **bias,
    }
    if rounding != HALVES_UP:
        integers["rounding"] = np.array([rounding])
    return integers, bool(off <= WHOLE and known)


def _mean_bias(
    layer: Pool | GlobalAveragePool, chain: Chain, source: Chain, ratio: float
) -> tuple[dict[str, NDArray[np.int64]], bool]:
    """Return what an average adds to sums and codes, and whether that is whole.

    Nothing where the codes of 0.0 cancel; all of it to the sums, the part of a unit
    left out, where halves of their units are no codes.

    Raises:
        UnsupportedError: Too much of it.
    """
    codes = chain.added_codes(layer.name)
    pixels = layer.kernel**2 if isinstance(layer, Pool) else mean_pixels(layer)
    sums = -pixels * source.zero
    # Sums at a border count several times, zeros in the padding included.
    alike = isinstance(layer, GlobalAveragePool) or layer.uncounted == Padding()
    if abs(codes) + abs(sums) == 0 or (alike and abs(codes + sums * ratio) <= WHOLE):
        return {}, True
    whole = [round(sums), round(codes)]
    exact = max(abs(sums - whole[0]), abs(codes - whole[1])) <= WHOLE
    if not exact and alike and ratio < 1 and abs(np.frexp(ratio)[0] - 0.5) <= WHOLE / 2:
        total = sums + codes / ratio
        exact = abs(total - round(total)) <= WHOLE
        whole = [round(total) if exact else int(np.floor(total)), 0]
    if abs(whole[0]) >= 2 ** (MEAN_BIAS_BITS - 1) or abs(whole[1]) >= 2**MAX_BITS:
        raise UnsupportedError(
            f"layer {layer.name!r}: {codes:g} is added to its codes; handled: less "
            f"than {2**MAX_BITS}; put a quantizer between"
        )
    return {"bias": np.array(whole, dtype=np.int64)}, exact


def check_pads(layer: str, source: Chain) -> None:
    """Check that a map that a layer pads has a code for 0.0.

    Raises:
        UnsupportedError: It has none.
    """
    if not source.pads:
        raise UnsupportedError(
            f"layer {layer!r}: pads a map whose zero point is {source.zero:g}, which "
            "is none of its codes; quantize so that 0.0 is one, or pad by nothing"
        )


def _wide_mean(ratio: float, rounding: int) -> dict[str, NDArray[np.int64]]:
    """Return the integers of an average whose ratio is no power of two."""
    shift = WIDE_MEAN_BITS - 1 - int(np.floor(np.log2(ratio)))
    shift = min(shift, MAX_WIDE_MEAN_SHIFT)
    multiplier = min(int(np.rint(np.ldexp(ratio, shift))), 2**WIDE_MEAN_BITS - 1)
    integers = {"multiplier": np.array([multiplier]), "shift": np.array([shift])}
    if rounding != HALVES_UP:
        integers["rounding"] = np.array([rounding])
    return integers


def _way(chain: Chain) -> tuple[int, bool]:
    """Return how the hardware rounds for a quantizer, and whether it is the same."""
    match chain.rounding:
        case Rounding.HALF_EVEN:
            return HALVES_EVEN, chain.moved % 2 == 0
        case Rounding.FLOOR:
            return DOWN, True
        case Rounding.HALF_UP:
            return HALVES_UP, True
        case _:
            return HALVES_UP, False


def _take_in(
    network: Network, chain: Chain, layer: Affine | Activation | Quantize
) -> None:
    name = layer.name
    codes = (chain.low, chain.high)
    match layer:
        case Affine():
            _scale(network, chain, layer)
        case Activation():
            chain.activate(name, layer.kind)
        case Quantize():
            scale = _values(network, f"{name}.scale")
            zero = _values(network, f"{name}.zero_point")
            if np.ptp(scale) != 0 or np.ptp(zero) != 0:
                raise UnsupportedError(
                    f"layer {name!r}: {max(scale.size, zero.size)} scales or zero "
                    "points; handled: one for a map"
                )
            chain.quantize(name, layer.quant, float(scale[0]), float(zero[0]))
    source = next(one for one in network.layers if one.name == chain.maker)
    picks = isinstance(source, Pool) and source.kind is PoolKind.MAX
    if picks and codes != (chain.low, chain.high):
        raise NeedsCopyError(name)


def _scale(network: Network, chain: Chain, layer: Affine | Input) -> None:
    """Take in a layer's scale and shift."""
    shape = (layer.ofm.channels,)
    scale = np.broadcast_to(_values(network, f"{layer.name}.scale"), shape)
    shift = np.broadcast_to(_values(network, f"{layer.name}.shift"), shape)
    chain.scale_and_shift(layer.name, scale, shift)


def _values(network: Network, key: str) -> Real:
    if key not in network.params:
        raise InputError(f"parameter {key!r} is missing; import it with its file")
    return network.params[key].astype(np.float64).reshape(-1)


def _rounded(layer: str, codes: Real, quant: QType, ends: tuple[int, int]) -> Real:
    """Return limits as codes, rounded as the quantizer does."""
    inside = np.clip(codes, *ends)
    match quant.rounding:
        case Rounding.HALF_EVEN:
            return np.rint(inside)
        case Rounding.HALF_UP:
            return np.floor(inside + 0.5)
        case Rounding.HALF_AWAY:
            return np.sign(inside) * np.floor(np.abs(inside) + 0.5)
        case Rounding.FLOOR:
            return np.floor(inside)
        case Rounding.TO_ZERO if inside.min() >= 0:
            return np.floor(inside)
        case Rounding.CEIL | Rounding.TO_ZERO:
            raise UnsupportedError(
                f"layer {layer!r}: rounds by {quant.rounding.value}; handled: to the "
                "nearest, or down"
            )


def _uniform(layer: str, ends: Real) -> float:
    if np.ptp(ends) != 0:
        raise UnsupportedError(
            f"layer {layer!r}: other limits in other channels; handled: one for a map"
        )
    return float(ends[0])
