"""Scales that the accelerator's shifts and multipliers can reach.

A code of exponent e stands for code * 2^e, one of weights that take a multiplier m for
code * m * 2^e. Calibration says which exponents would lose least; `legal_scales` raises
them as little as the hardware demands, and never lowers one. With x the exponent of a
map and w that of a channel's weights:

    right shift   x_out - (x_in + w) is 0 to MAX_SHIFT: raise w, or x_out if negative
    bias          at most 2^(weight_bits + act_bits - 1 + ceil_log2(terms)) - 1 in
                  units of the products, and within BIAS_BITS: raise w
    add           operands shifted left by at most MAX_ALIGN_SHIFT: raise the finer;
                  sum shifted right by 0 to MAX_SHIFT: raise x_out, or the operands
    average       right shift of 0 to MAX_MEAN_SHIFT: raise x_in
    ReLU6         6 is at least one code: x_out is at most 3

With a multiplier the right shift may be up to MAX_MULTIPLIER_SHIFT, and the bias, which
comes behind the multiplier, has up to WIDE_BIAS_BITS in units of 2^(x_in + w).

A maximum has its input's exponent. Nothing here knows torch: NumPy and integers only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.errors import UnsupportedError
from hao.intmath import ceil_log2
from hao.ir.averages import mean_pixels
from hao.ir.integer import (
    BIAS_BITS,
    MAX_ALIGN_SHIFT,
    MAX_MEAN_SHIFT,
    MAX_MULTIPLIER_SHIFT,
    MAX_SHIFT,
    WIDE_BIAS_BITS,
    MapType,
    mean_multiplier,
)
from hao.ir.interpret import RELU6_MAX
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    Affine,
    Compute,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Pool,
    PoolKind,
    Quantize,
    activation_of,
)
from hao.ir.network import Network
from hao.ir.passes import FRAME_BITS, MOST_CODE, map_bits
from hao.ir.tensor import QType, Rounding
from hao.quant.parameters import float_parameters
from hao.quant.scheme import Scheme, check_scheme

RELU6_EXPONENT = 3
"""Largest exponent at which 6 rounds to a code above 0: 6 / 8 does, 6 / 16 does not."""

Exponents = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scales:
    """The frozen scales of a quantized network.

    Attributes:
        maps: Type of every layer's map; none lacks an exponent.
        weights: Exponents of a compute layer's weights, shape (ofm_channels,).
        multipliers: What sums of such a layer are multiplied by, shape (ofm_channels,),
            of the layers that take a multiplier.
    """

    maps: Mapping[str, MapType]
    weights: Mapping[str, Exponents]
    multipliers: Mapping[str, Exponents] = field(default_factory=dict)

    def steps(self, layer: str) -> NDArray[np.float64]:
        """Return what a code of a layer's weights stands for, shape (ofm_channels,)."""
        steps: NDArray[np.float64] = np.ldexp(
            np.asarray(self.multipliers.get(layer, 1), dtype=np.float64),
            self.weights[layer],
        )
        return steps

    def exponent(self, layer: str) -> int:
        """Return the exponent of a layer's map."""
        exponent = self.maps[layer].exponent
        assert exponent is not None
        return exponent


def bias_code_bits(layer: Compute, scheme: Scheme) -> int:
    """Return k such that the magnitude of a layer's bias codes stays below 2^k.

    Source: the accumulator of `hao.ir.integer.accumulator_bits` has room for a bias
    of up to the largest sum of products, and memory for one of `BIAS_BITS`; a bias
    behind a multiplier needs no room in the accumulator.
    """
    if layer.multiplied:
        return WIDE_BIAS_BITS - 1
    planes = layer.planes if isinstance(layer, Conv) else 1
    act_bits = scheme.act_bits if planes == 1 else FRAME_BITS
    sums = scheme.weight_bits[layer.name] + act_bits - 1
    return min(sums + ceil_log2(layer.terms), BIAS_BITS - 1)


def legal_scales(
    network: Network,
    scheme: Scheme,
    *,
    maps: Mapping[str, int],
    weights: Mapping[str, Exponents],
    multipliers: Mapping[str, Exponents] = MappingProxyType({}),
    signed_input: bool,
) -> Scales:
    """Return the smallest legal exponents that are not below the wished ones.

    Args:
        network: With float parameters; their biases count.
        scheme: Bits.
        maps: Wished exponent of every layer's map; that of a maximum is not read.
        weights: Wished exponents of every compute layer, shape (ofm_channels,).
        multipliers: Of every compute layer whose sums take one, likewise.
        signed_input: Whether frames hold negative values.

    Raises:
        InputError: The scheme is of another network, or a parameter is missing.
        UnsupportedError: No legal exponents exist.
    """
    check_scheme(network, scheme)
    state = _Raising(network, scheme, maps, weights)
    # Every pass but the last raises something, along a path of the network; a cycle of
    # demands (only adds make one) would go on for ever.
    for _ in range(len(network.layers) * (MAX_SHIFT + MAX_ALIGN_SHIFT)):
        before = (
            dict(state.exponents),
            {k: v.copy() for k, v in state.channel.items()},
        )
        for layer in network.layers:
            state.raise_for(layer)
        if before[0] == state.exponents and all(
            np.array_equal(before[1][name], now) for name, now in state.channel.items()
        ):
            found = _typed(network, scheme, state, signed_input)
            return replace(found, multipliers=multipliers)
    raise UnsupportedError(
        f"network {network.name!r}: no powers of two suit both operands of its adds; "
        "equalize its weights or give them more bits"
    )


class _Raising:
    """Exponents while they are being raised.

    Attributes:
        exponents: Of maps, by the layer that made their codes.
        channel: Of weights, by layer.
    """

    def __init__(
        self,
        network: Network,
        scheme: Scheme,
        maps: Mapping[str, int],
        weights: Mapping[str, Exponents],
    ) -> None:
        self._network, self._scheme = network, scheme
        self._maker: dict[str, str] = {}
        for layer in network.layers:
            passes = isinstance(layer, Pool) and layer.kind is PoolKind.MAX
            source = self._maker[layer.inputs[0]] if passes else layer.name
            self._maker[layer.name] = source
        makers = set(self._maker.values())
        self.exponents = {name: maps[name] for name in self._maker if name in makers}
        self.channel = {name: wish.astype(np.int64) for name, wish in weights.items()}

    def exponent(self, layer: str) -> int:
        """Return the exponent of a layer's map."""
        return self.exponents[self._maker[layer]]

    def raise_for(self, layer: Layer) -> None:
        """Raise what a layer demands to be higher."""
        match layer:
            case Input():
                pass
            case Conv() | Depthwise() | Linear():
                self._raise_channels(layer)
                sums = self.exponent(layer.input) + int(self.channel[layer.name].max())
                self._at_least(layer.name, sums)
            case Add():
                highest = max(self.exponent(name) for name in layer.inputs)
                out = self.exponent(layer.name)
                for name in layer.inputs:
                    self._at_least(
                        name, max(highest - MAX_ALIGN_SHIFT, out - MAX_SHIFT)
                    )
                lowest = min(self.exponent(name) for name in layer.inputs)
                self._at_least(layer.name, lowest)
            case GlobalAveragePool() | Pool(kind=PoolKind.AVERAGE):
                _, own = mean_multiplier(mean_pixels(layer))
                x_in, x_out = self.exponent(layer.input), self.exponent(layer.name)
                self._at_least(layer.name, x_in - own)
                self._at_least(layer.input, x_out + own - MAX_MEAN_SHIFT)
            case Pool():
                pass
            case Affine() | Activation() | Quantize():
                raise UnsupportedError(
                    f"layer {layer.name!r}: {type(layer).__name__} cannot be "
                    "quantized here; handled: convolutions, linear layers, pools and "
                    "adds"
                )
            case _:
                assert_never(layer)

    def _at_least(self, layer: str, exponent: int) -> None:
        maker = self._maker[layer]
        self.exponents[maker] = max(self.exponents[maker], exponent)

    def _raise_channels(self, layer: Compute) -> None:
        x_in, x_out = self.exponent(layer.input), self.exponent(layer.name)
        most_shift = MAX_MULTIPLIER_SHIFT if layer.multiplied else MAX_SHIFT
        channel = np.maximum(self.channel[layer.name], x_out - x_in - most_shift)
        _, bias = float_parameters(self._network, layer)
        most = 2 ** bias_code_bits(layer, self._scheme) - 1
        # Half a code less, so that rounding stays within it.
        fits = np.abs(bias) <= np.ldexp(most - 0.5, channel + x_in)
        while not np.all(fits):
            channel = channel + ~fits
            fits = np.abs(bias) <= np.ldexp(most - 0.5, channel + x_in)
        self.channel[layer.name] = channel


def _typed(
    network: Network, scheme: Scheme, state: _Raising, signed_input: bool
) -> Scales:
    maps: dict[str, MapType] = {}
    for layer in network.layers:
        exponent = state.exponent(layer.name)
        if isinstance(layer, Pool) and layer.kind is PoolKind.MAX:
            maps[layer.name] = maps[layer.input]
            continue
        signed = is_signed(layer, maps, signed_input)
        bits = map_bits(network, layer, scheme.act_bits)
        split = bits != scheme.act_bits
        quant = QType(
            bits=bits,
            signed=signed,
            rounding=Rounding.HALF_UP,
            most=MOST_CODE if signed and split else None,
        )
        high = quant.highest
        if activation_of(layer) is ActivationKind.RELU6:
            if exponent > RELU6_EXPONENT:
                raise UnsupportedError(
                    f"layer {layer.name!r}: a step of 2^{exponent} rounds the 6 of its "
                    f"ReLU6 to 0; handled: up to 2^{RELU6_EXPONENT}"
                )
            high = min(high, int(np.floor(np.ldexp(RELU6_MAX, -exponent) + 0.5)))
        maps[layer.name] = MapType(
            quant=quant, low=quant.lowest, high=high, exponent=exponent
        )
    for channel in state.channel.values():
        channel.setflags(write=False)
    return Scales(maps=MappingProxyType(maps), weights=MappingProxyType(state.channel))


def is_signed(layer: Layer, maps: Mapping[str, MapType], signed_input: bool) -> bool:
    """Return whether a layer's map holds negative values, its inputs being typed."""
    match layer:
        case Input():
            return signed_input
        case Conv() | Depthwise() | Linear():
            return layer.activation is ActivationKind.NONE
        case Add():
            return layer.activation is ActivationKind.NONE and any(
                maps[name].quant.signed for name in layer.inputs
            )
        case _:
            return any(maps[name].quant.signed for name in layer.inputs)
