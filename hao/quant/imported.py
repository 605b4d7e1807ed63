"""A network that a file has quantized, as integers.

An imported network is layers that sum or pick (convolutions, adds, pools), each
followed by what the file does to its map: affine layers, activations, a quantizer. All
of that becomes one requantization. With y the sums in units of their products,

    code = clamp(round(ratio * (y + bias)))

per channel. Where every ratio is 1 / 2^shift, the integer network is in power-of-two
mode; otherwise all ratios become 16-bit multipliers over powers of two. Hardware
rounds halves up, files mostly to even, and a multiplier is a ratio only nearly:
`count_rounding` says how many integers differ, `ImportedIntegers.rounded` where they
may. Adds and averages have shifts or 8-bit multipliers in both modes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError, UnsupportedError
from hao.ir.integer import (
    BIAS_BITS,
    MAX_MULTIPLIER_SHIFT,
    MAX_SHIFT,
    MULTIPLIER_BITS,
    IntegerNetwork,
    MapType,
    Requantization,
)
from hao.ir.integer_run import run_integer_layers
from hao.ir.interpret import run_float_layers
from hao.ir.layer import (
    Activation,
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
)
from hao.ir.network import Network
from hao.ir.tensor import MAX_BITS, QType, Rounding
from hao.quant.float_net import float_parameters
from hao.quant.integers import COMPARED_BATCH, Agreement
from hao.quant.ptq import best_exponent
from hao.quant.requantized import (
    Chain,
    add_shifts,
    gathered_chains,
    mean_integers,
)

Integers = NDArray[np.int64]
Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedIntegers:
    """The integers of an imported network.

    Attributes:
        net: The integer network; a layer has the name of the one that sums or picks.
        scales: What one code stands for, by layer of `net`.
        sources: The layer of the imported network whose map a layer of `net` makes.
        rounded: Layers whose integers may differ from the file's by a rounding.
    """

    net: IntegerNetwork
    scales: Mapping[str, float]
    sources: Mapping[str, str]
    rounded: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sums:
    """What a compute layer requantizes.

    Attributes:
        weight: Integers, signs turned where a later factor is negative.
        bias: In units of the products, not rounded yet.
        ratio: Codes per unit of the products, positive.
    """

    weight: Integers
    bias: Real
    ratio: Real


def imported_integers(
    network: Network, frames: NDArray[np.float32] | None = None
) -> ImportedIntegers:
    """Return the integers of a network that a file has quantized.

    Args:
        network: As an importer returns it, with parameters.
        frames: Shape (frames, channels, height, width); needed where the file leaves
            the output unquantized, to choose its scale: signed, 8 bits.

    Raises:
        InputError: A parameter is missing or wrong.
        UnsupportedError: Something that the accelerator does not do: names the layer.
    """
    chains = gathered_chains(network)
    _close_output(network, chains, frames)
    sums = {
        layer.name: _sums(network, layer, chains) for layer in network.compute_layers
    }
    shifted = all(_is_shift(entry.ratio) for entry in sums.values())
    mode = Requantization.SHIFT if shifted else Requantization.MULTIPLIER
    return _assembled(network, chains, sums, mode)


def count_rounding(
    network: Network, imported: ImportedIntegers, frames: NDArray[np.float32]
) -> Agreement:
    """Return how many integers differ from the imported network's own.

    The reference is `hao.ir.interpret` in double precision; a difference spreads to
    the layers behind it and is counted in each. An output that the file leaves
    unquantized is rounded to the nearest code first.

    Args:
        network: What `imported` was made from.
        imported: Its integers.
        frames: Shape (frames, channels, height, width).

    Raises:
        InputError: Frames of another shape.
    """
    names = [layer.name for layer in imported.net.network.layers]
    compared, differing = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    sources = frozenset(imported.sources.values())
    for start in range(0, len(frames), COMPARED_BATCH):
        batch = frames[start : start + COMPARED_BATCH]
        theirs = run_float_layers(network, batch.astype(np.float64), keep=sources)
        codes = imported.net.frame_codes(batch)
        ours = run_integer_layers(imported.net, codes, frozenset(names))
        for name in names:
            kind = imported.net.maps[name]
            real = theirs[imported.sources[name]] / imported.scales[name]
            wanted = np.clip(np.floor(real + 0.5), kind.low, kind.high)
            compared[name] += wanted.size
            differing[name] += int(np.sum(wanted != ours[name]))
    return Agreement(
        frames=len(frames),
        compared=MappingProxyType(compared),
        differing=MappingProxyType(differing),
    )


def _assembled(
    network: Network,
    chains: Mapping[str, Chain],
    sums: Mapping[str, _Sums],
    mode: Requantization,
) -> ImportedIntegers:
    maps: dict[str, MapType] = {}
    params: dict[str, NDArray[np.generic]] = {}
    layers: list[Layer] = []
    rounded: list[str] = []
    for layer in network.layers:
        chain = chains[layer.name]
        if chain.maker != layer.name:
            continue
        maps[layer.name] = chain.map_type()
        values, exact = _parameters(layer, chains, sums, mode)
        if not exact:
            rounded.append(layer.name)
        for word, array in values.items():
            array.setflags(write=False)
            params[f"{layer.name}.{word}"] = array
        layers.append(_integer_layer(layer, chains))
    made = Network(
        name=network.name, layers=tuple(layers), params=MappingProxyType(params)
    )
    return ImportedIntegers(
        net=IntegerNetwork(
            network=made,
            maps=MappingProxyType(maps),
            requantization=mode,
            frame=chains[network.input.name].frame_coding(),
        ),
        scales=MappingProxyType({name: chains[name].scale for name in maps}),
        sources=MappingProxyType({name: chains[name].last for name in maps}),
        rounded=tuple(rounded),
    )


def _close_output(
    network: Network, chains: dict[str, Chain], frames: NDArray[np.float32] | None
) -> None:
    """Give an output without a quantizer a power-of-two scale; check all others."""
    readers = {name for layer in network.layers for name in layer.inputs}
    for chain in chains.values():
        if chain.quant is not None:
            continue
        name = chain.maker
        if chain.last in readers:
            raise UnsupportedError(
                f"layer {name!r}: its map is not quantized; handled: a quantizer "
                "behind every sum and on the frame"
            )
        if frames is None:
            raise UnsupportedError(
                f"layer {name!r}: the output is not quantized, and without frames no "
                "scale can be chosen for it; give some"
            )
        outputs = run_float_layers(
            network, frames.astype(np.float64), keep=frozenset({chain.last})
        )[chain.last]
        quant = QType(bits=MAX_BITS, signed=True, rounding=Rounding.HALF_UP)
        scale = np.ldexp(1.0, best_exponent(outputs, quant))
        layer = next(layer for layer in network.layers if layer.name == name)
        if isinstance(layer, Conv | Depthwise | Linear):
            # No finer than the products: then shifts reach it.
            units = chains[layer.input].scale * _weight_scale(network, layer)
            finest = float(np.abs(units * chain.gain).max())
            scale = max(scale, np.ldexp(1.0, int(np.ceil(np.log2(finest)))))
        chain.quantize(name, quant, float(scale))


def _parameters(
    layer: Layer,
    chains: Mapping[str, Chain],
    sums: Mapping[str, _Sums],
    mode: Requantization,
) -> tuple[dict[str, Integers], bool]:
    """Return a layer's integers, and whether they are exact."""
    chain = chains[layer.name]
    match layer:
        case Input():
            return {}, chain.ties_up
        case Conv() | Depthwise() | Linear():
            return _requantized(layer.name, chain, sums[layer.name], mode)
        case Add():
            return add_shifts(layer, chains)
        case GlobalAveragePool() | Pool(kind=PoolKind.AVERAGE):
            return mean_integers(layer, chains)
        case Pool():
            return {}, True
        case Affine() | Activation() | Quantize():
            raise AssertionError(layer)
        case _:
            assert_never(layer)


def _requantized(
    name: str, chain: Chain, entry: _Sums, mode: Requantization
) -> tuple[dict[str, Integers], bool]:
    if mode is Requantization.SHIFT:
        shift = np.rint(-np.log2(entry.ratio)).astype(np.int64)
        multiplier, error = np.ones_like(shift), np.zeros(len(shift))
    else:
        wished = MULTIPLIER_BITS - 1 - np.floor(np.log2(entry.ratio)).astype(np.int64)
        shift = np.minimum(wished, MAX_MULTIPLIER_SHIFT)
        if shift.min() < 0:
            raise UnsupportedError(
                f"layer {name!r}: {entry.ratio.max():g} codes per unit of a product; "
                f"handled: below 2^{MULTIPLIER_BITS}"
            )
        exact = np.ldexp(entry.ratio, shift)
        multiplier = np.rint(exact).astype(np.int64)
        full = multiplier == 2**MULTIPLIER_BITS
        multiplier, shift = np.where(full, multiplier // 2, multiplier), shift - full
        error = np.ldexp(multiplier.astype(np.float64), -shift) - entry.ratio
    whole, exact_bias = _whole_bias(chain, entry, shift, mode)
    most = 2 ** (BIAS_BITS - 1) - 1
    if np.abs(whole).max() > most:
        raise UnsupportedError(
            f"layer {name!r}: a bias of {np.abs(whole).max():.0f} units of its "
            f"products; handled: up to {most}"
        )
    values = {
        "weight": entry.weight,
        "bias": whole.astype(np.int64),
        "shift": shift,
    }
    if mode is Requantization.MULTIPLIER:
        values["multiplier"] = multiplier
    return values, bool(exact_bias and not np.any(error))


def _whole_bias(
    chain: Chain, entry: _Sums, shift: Integers, mode: Requantization
) -> tuple[Real, bool]:
    """Return biases in whole units, and whether rounding stays what the file does.

    Sums y are integers, so that behind a shift floor((y + bias) / 2^n) needs only the
    whole part of a bias, and so does rounding to the nearest for n > 0. Rounding down
    is rounding halves up of half a code less.
    """
    bias = entry.bias
    half = np.where(shift > 0, 0.5 / entry.ratio, 0.0)
    if mode is Requantization.MULTIPLIER:
        return np.floor(bias - half * chain.floors + 0.5), False
    if chain.floors:
        return np.floor(bias) - half, True
    whole = np.where(shift > 0, np.floor(bias), np.floor(bias + 0.5))
    # Halves occur where a bias is whole (behind a shift) or half (without one).
    rest = bias - np.floor(bias)
    halves = np.where(shift > 0, rest == 0, rest == 0.5)
    return whole, bool(chain.ties_up or not np.any(halves))


def _sums(network: Network, layer: Compute, chains: Mapping[str, Chain]) -> _Sums:
    """Return a compute layer's integers with all that follows folded in."""
    name, chain = layer.name, chains[layer.name]
    quant = layer.weight
    if quant is None or not 2 <= quant.bits <= MAX_BITS:
        raise UnsupportedError(
            f"layer {name!r}: weights of type {quant}; handled: quantized to 2 to "
            f"{MAX_BITS} bits"
        )
    if np.any(network.params[f"{name}.weight_zero_point"] != 0):
        raise UnsupportedError(
            f"layer {name!r}: weights with a zero point; handled: none"
        )
    real, bias = float_parameters(network, layer)
    step = _weight_scale(network, layer)
    codes = np.rint(real / step.reshape(-1, *[1] * (real.ndim - 1))).astype(np.int64)
    unit = chains[layer.input].scale * step
    gain, offset = chain.gain, chain.offset
    turned = np.where(gain < 0, -1, 1)
    dead = gain == 0  # a channel that is a constant: no weights, the constant as bias
    by_row = np.where(dead, 0, turned).reshape(-1, *[1] * (codes.ndim - 1))
    ratio = np.where(dead, 1.0, np.abs(gain) * unit / chain.scale)
    # (gain * (unit * y + bias) + offset) / scale = ratio * (turned * y + added)
    added = (gain * bias + offset) / chain.scale / ratio
    weight = codes * by_row
    # The code that only negative numbers have, once turned around, has no counterpart.
    if weight.min() < -(2 ** (quant.bits - 1)) or weight.max() >= 2 ** (quant.bits - 1):
        raise UnsupportedError(
            f"layer {name!r}: weights reach {np.abs(weight).max()}, which "
            f"{quant.bits} signed bits do not hold; handled: signed, and narrow where "
            "a negative factor follows"
        )
    return _Sums(weight=weight, bias=added, ratio=ratio)


def _weight_scale(network: Network, layer: Compute) -> Real:
    """Return the step of a layer's weights, one per OFM channel."""
    key = f"{layer.name}.weight_scale"
    if key not in network.params:
        raise UnsupportedError(
            f"layer {layer.name!r}: its weights are not quantized; handled: quantized "
            f"to 2 to {MAX_BITS} bits"
        )
    step = network.params[key].astype(np.float64).reshape(-1)
    if step.size not in (1, layer.ofm.channels) or step.min() <= 0:
        raise InputError(
            f"parameter {key!r} has {step.size} values from {step.min()}; must be 1 "
            f"or {layer.ofm.channels}, above 0"
        )
    return np.broadcast_to(step, (layer.ofm.channels,))


def _integer_layer(layer: Layer, chains: Mapping[str, Chain]) -> Layer:
    """Return a layer that reads makers instead of quantizers."""
    match layer:
        case Input():
            return layer
        case Add():
            first, second = (chains[name].maker for name in layer.inputs)
            return replace(layer, inputs=(first, second))
        case Conv() | Depthwise() | Linear():
            assert layer.weight is not None
            wide = replace(layer.weight, signed=True, narrow=False)
            return replace(
                layer, input=chains[layer.input].maker, weight=wide, bias=True
            )
        case Pool() | GlobalAveragePool():
            return replace(layer, input=chains[layer.input].maker)
        case Affine() | Activation() | Quantize():
            raise AssertionError(layer)
        case _:
            assert_never(layer)


def _is_shift(ratio: Real) -> bool:
    mantissa, exponent = np.frexp(ratio)
    shift = 1 - exponent
    whole = np.all(mantissa == 0.5) and shift.min() >= 0 and shift.max() <= MAX_SHIFT
    return bool(whole)
