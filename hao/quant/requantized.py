"""What an imported network does to a map between summing it and reading it.

A chain starts at a layer that sums or picks, and takes in the affine layers,
activations and quantizers behind it. Before its quantizer it is, per channel,

    value = clip(gain * sums + offset, low, high)

since affine layers and ReLUs of such a clip are such clips again. The quantizer divides
by its scale and rounds; a later activation, or a second quantizer on the same grid,
only narrows the codes.
"""

from collections.abc import Mapping
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError, UnsupportedError
from hao.ir.frame import FrameCoding
from hao.ir.integer import MAX_MEAN_SHIFT, MEAN_BITS, MapType
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
    Pool,
    PoolKind,
    Quantize,
)
from hao.ir.network import Network
from hao.ir.tensor import MAX_BITS, MIN_BITS, QType, Rounding
from hao.quant.scales import mean_pixels

Real = NDArray[np.float64]

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
        offset: What is added then, shape (channels,).
        quant: Type of the codes, `None` until quantized.
        scale: What a code stands for.
        low: Smallest code.
        high: Largest code.
    """

    def __init__(self, maker: Layer) -> None:
        channels = maker.ofm.channels
        self.maker = self.last = maker.name
        self.gain: Real = np.ones(channels)
        self.offset: Real = np.zeros(channels)
        self.quant: QType | None = None
        self.scale, self.low, self.high = 1.0, 0, 0
        self._low: Real = np.full(channels, -np.inf)
        self._high: Real = np.full(channels, np.inf)
        self._coded: tuple[Real, Real] = self.gain, self.offset
        if isinstance(maker, Conv | Depthwise | Linear | Add):
            self.activate(maker.name, maker.activation)

    def frame_coding(self) -> FrameCoding:
        """Return how the host makes the codes of a frame."""
        assert self.quant is not None
        gain, offset = self._coded
        return FrameCoding(
            gain=tuple(gain.tolist()),
            offset=tuple(offset.tolist()),
            rounding=self.quant.rounding,
        )

    @property
    def floors(self) -> bool:
        """Return whether the quantizer rounds down."""
        return self.quant is not None and self.quant.rounding is Rounding.FLOOR

    @property
    def ties_up(self) -> bool:
        """Return whether the quantizer rounds halves as the hardware does."""
        return self.quant is not None and self.quant.rounding is Rounding.HALF_UP

    def map_type(self) -> MapType:
        """Return the integer type of the map."""
        assert self.quant is not None
        mantissa, exponent = np.frexp(self.scale)
        return MapType(
            quant=self.quant,
            low=self.low,
            high=self.high,
            exponent=int(exponent) - 1 if mantissa == 0.5 else None,
        )

    def uniform_gain(self, layer: str) -> float:
        """Return the one factor of all channels.

        Raises:
            UnsupportedError: They differ, are not positive, or something is added.
        """
        shifted = np.any(self.offset != 0)
        if np.ptp(self.gain) != 0 or self.gain[0] <= 0 or shifted:
            raise UnsupportedError(
                f"layer {layer!r}: factors or offsets by channel behind it; handled "
                "behind adds, averages and frames: one positive factor"
            )
        return float(self.gain[0])

    def scale_and_shift(self, layer: str, scale: Real, shift: Real) -> None:
        """Take in an affine layer."""
        if self.quant is not None:
            if np.ptp(scale) != 0 or scale[0] <= 0 or np.any(shift != 0):
                raise UnsupportedError(
                    f"layer {layer!r}: changes quantized values by channel; handled: "
                    "one positive factor"
                )
            self.scale *= float(scale[0])
            return
        with np.errstate(invalid="ignore"):
            one, other = self._low * scale + shift, self._high * scale + shift
        # 0 * inf: the value is the shift, whatever the limits were.
        self._low = np.where(scale == 0, -np.inf, np.minimum(one, other))
        self._high = np.where(scale == 0, np.inf, np.maximum(one, other))
        self.gain = self.gain * scale
        self.offset = self.offset * scale + shift

    def activate(self, layer: str, kind: ActivationKind) -> None:
        """Take in an activation."""
        low, high = _LIMITS[kind]
        if self.quant is None:
            self._low = np.clip(self._low, low, high)
            self._high = np.clip(self._high, low, high)
            return
        ends = (max(self.low, low / self.scale), min(self.high, high / self.scale))
        self._narrow(layer, ends)

    def quantize(self, layer: str, quant: QType, scale: float) -> None:
        """Take in a quantizer.

        Raises:
            UnsupportedError: Its type or rounding, or a second one on another grid.
        """
        if not MIN_BITS <= quant.bits <= MAX_BITS:
            raise UnsupportedError(
                f"layer {layer!r}: maps of {quant.bits} bits; handled: {MIN_BITS} to "
                f"{MAX_BITS}"
            )
        if self.quant is not None:
            if scale != self.scale:
                raise UnsupportedError(
                    f"layer {layer!r}: quantizes codes of {self.scale:g} once more, to "
                    f"{scale:g}; handled: the same scale"
                )
            ends = (max(self.low, quant.lowest), min(self.high, quant.highest))
            self._narrow(layer, ends)
            return
        low = _uniform(layer, _rounded(layer, self._low / scale, quant))
        high = _uniform(layer, _rounded(layer, self._high / scale, quant))
        if quant.rounding is Rounding.FLOOR and self._centres(scale):
            # Half a step added, then rounded down: halves up.
            self.offset = self.offset - scale / 2
            quant = QType(
                bits=quant.bits,
                signed=quant.signed,
                narrow=quant.narrow,
                rounding=Rounding.HALF_UP,
            )
        self.quant, self.scale = quant, scale
        self._coded = self.gain / scale, self.offset / scale
        self._narrow(layer, (low, high))

    def _centres(self, scale: float) -> bool:
        """Return whether every channel has half a step added, at least."""
        return bool(np.all(self.offset - scale / 2 == 0))

    def _narrow(self, layer: str, ends: tuple[float, float]) -> None:
        if ends[0] != int(ends[0]) or ends[1] != int(ends[1]) or ends[0] > 0:
            raise UnsupportedError(
                f"layer {layer!r}: cuts codes at {ends[0]:g} and {ends[1]:g}; "
                "handled: whole codes around 0"
            )
        self.low, self.high = int(ends[0]), int(ends[1])


def gathered_chains(network: Network) -> dict[str, Chain]:
    """Return the chain that every layer is part of.

    Raises:
        InputError: A parameter is missing.
        UnsupportedError: Something that is no single requantization.
    """
    readers = network.consumers()
    chains: dict[str, Chain] = {}
    for layer in network.layers:
        match layer:
            case Affine() | Activation() | Quantize():
                chain = chains[layer.input]
                if len(readers[layer.input]) > 1:
                    raise UnsupportedError(
                        f"layer {layer.input!r}: read as it is and through "
                        f"{layer.name!r}; handled: one quantizer behind a map, before "
                        "it is shared"
                    )
                _take_in(network, chain, layer)
                chain.last = layer.name
            case Pool(kind=PoolKind.MAX):
                chain = _picked(chains[layer.input], layer)
            case Input():
                chain = Chain(layer)
                if f"{layer.name}.scale" in network.params:
                    _scale(network, chain, layer)
            case _:
                chain = Chain(layer)
        chains[layer.name] = chain
    return chains


def add_shifts(
    layer: Add, chains: Mapping[str, Chain]
) -> tuple[dict[str, NDArray[np.int64]], bool]:
    """Return an add's integers, and whether they are exact.

    Raises:
        UnsupportedError: No shifts do what the file does.
    """
    chain = chains[layer.name]
    steps = [chains[name].scale for name in layer.inputs]
    base = min(steps)
    gain = chain.uniform_gain(layer.name)
    ratios = np.array([steps[0] / base, steps[1] / base, chain.scale / (base * gain)])
    shifts = np.rint(np.log2(ratios))
    if not np.array_equal(2.0**shifts, ratios) or shifts.min() < 0:
        raise UnsupportedError(
            f"layer {layer.name!r}: scales {steps[0]:g} and {steps[1]:g}, and "
            f"{chain.scale / gain:g} of the sum; handled: ratios that are powers of "
            "two, the sum's not finer than both"
        )
    exact = bool(chain.ties_up or shifts[2] == 0)
    if chain.floors and shifts[2] > 0:
        raise UnsupportedError(
            f"layer {layer.name!r}: the sum is rounded down; handled: to the nearest"
        )
    return {"shifts": shifts.astype(np.int64)}, exact


def mean_integers(
    layer: Pool | GlobalAveragePool, chains: Mapping[str, Chain]
) -> tuple[dict[str, NDArray[np.int64]], bool]:
    """Return an average's integers, and whether they are exact.

    Raises:
        UnsupportedError: No 8-bit multiplier comes close, or it is rounded down.
    """
    chain = chains[layer.name]
    if chain.floors:
        raise UnsupportedError(
            f"layer {layer.name!r}: the average is rounded down; handled: to the "
            "nearest"
        )
    gain = chain.uniform_gain(layer.name)
    ratio = gain * chains[layer.input].scale / (chain.scale * mean_pixels(layer))
    shift = min(MEAN_BITS - 1 - int(np.floor(np.log2(ratio))), MAX_MEAN_SHIFT)
    multiplier = int(np.rint(np.ldexp(ratio, shift)))
    if multiplier == 2**MEAN_BITS:
        multiplier, shift = multiplier // 2, shift - 1
    if shift < 0 or multiplier == 0:
        raise UnsupportedError(
            f"layer {layer.name!r}: {ratio:g} codes per code of the sum; handled: "
            f"2^-{MAX_MEAN_SHIFT} to below 2^{MEAN_BITS}"
        )
    exact = bool(np.ldexp(float(multiplier), -shift) == ratio and chain.ties_up)
    return {"multiplier": np.array([multiplier]), "shift": np.array([shift])}, exact


def _picked(source: Chain, layer: Pool) -> Chain:
    """Return the chain of a maximum: its codes are its input's."""
    if source.quant is None:
        raise UnsupportedError(
            f"layer {source.last!r}: its map is not quantized where {layer.name!r} "
            "reads it; handled: a quantizer before a maximum"
        )
    chain = Chain(layer)
    chain.quant, chain.scale = source.quant, source.scale
    chain.low, chain.high = source.low, source.high
    return chain


def _take_in(
    network: Network, chain: Chain, layer: Affine | Activation | Quantize
) -> None:
    name = layer.name
    before = (chain.low, chain.high, chain.scale)
    match layer:
        case Affine():
            _scale(network, chain, layer)
        case Activation():
            chain.activate(name, layer.kind)
        case Quantize():
            scale = _values(network, f"{name}.scale")
            if np.any(_values(network, f"{name}.zero_point") != 0):
                raise UnsupportedError(
                    f"layer {name!r}: maps with a zero point; handled: none"
                )
            if np.ptp(scale) != 0:
                raise UnsupportedError(
                    f"layer {name!r}: {scale.size} scales; handled: one for a map"
                )
            chain.quantize(name, layer.quant, float(scale[0]))
        case _:
            assert_never(layer)
    source = next(one for one in network.layers if one.name == chain.maker)
    picks = isinstance(source, Pool) and source.kind is PoolKind.MAX
    if picks and before != (chain.low, chain.high, chain.scale):
        raise UnsupportedError(
            f"layer {name!r}: changes the codes of a maximum; handled: behind a "
            "maximum, nothing"
        )


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


def _rounded(layer: str, codes: Real, quant: QType) -> Real:
    """Return limits as codes, rounded as the quantizer does."""
    inside = np.clip(codes, quant.lowest, quant.highest)
    match quant.rounding:
        case Rounding.HALF_EVEN:
            return np.rint(inside)
        case Rounding.HALF_UP:
            return np.floor(inside + 0.5)
        case Rounding.HALF_AWAY:
            return np.sign(inside) * np.floor(np.abs(inside) + 0.5)
        case Rounding.FLOOR:
            return np.floor(inside)
        case Rounding.CEIL | Rounding.TO_ZERO:
            raise UnsupportedError(
                f"layer {layer!r}: rounds by {quant.rounding.value}; handled: to the "
                "nearest, or down"
            )
        case _:
            assert_never(quant.rounding)


def _uniform(layer: str, ends: Real) -> float:
    if np.ptp(ends) != 0:
        raise UnsupportedError(
            f"layer {layer!r}: other limits in other channels; handled: one for a map"
        )
    return float(ends[0])
