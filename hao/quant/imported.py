"""A network that a file has quantized, as integers.

An imported network is layers that sum or pick (convolutions, adds, pools), each
followed by what the file does to its map: affine layers, activations, a quantizer. All
of that becomes one requantization. With y the sums in units of their products,

    code = clamp(round(ratio * (y + bias)))

per channel. Where shifts make exactly the file's codes of all sums that can occur
(`hao.quant.thresholds`), the integer network is in power-of-two mode; otherwise all
layers get multipliers of 18 bits if these make them, which they do where codes are few
or sums short, else of 25, which miss a threshold now and then by one sum:
`ImportedIntegers.rounded` says where that may be, `count_rounding` how often it is.
Adds have shifts and averages multipliers of their own in all modes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.errors import UnsupportedError
from hao.ir.integer import (
    HALVES_UP,
    IntegerNetwork,
    MapType,
    Requantization,
    is_wide,
    requantization_of,
)
from hao.ir.integer_run import run_integer_layers
from hao.ir.interpret import run_float_layers
from hao.ir.layer import (
    Add,
    Compute,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Pool,
    PoolKind,
    Transparent,
    reading,
)
from hao.ir.network import Network
from hao.ir.tensor import MAX_BITS, QType, Rounding
from hao.quant.agreement import COMPARED_BATCH, Agreement
from hao.quant.chain import Chain
from hao.quant.open_ends import close_output, frame_type, open_ends, uniform_step
from hao.quant.requantized import STAND_IN_FRAME, frame_is_open, gathered_chains
from hao.quant.sum_integers import add_shifts, mean_integers
from hao.quant.thresholds import fit
from hao.quant.weighted_sums import WeightedSums, is_shift, requantized, weighted_sums

Integers = NDArray[np.int64]
Real = NDArray[np.float64]

HALF = 1e-6
"""Part of a code within which two codes count as equally near: what is left of a
file's single precision."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedIntegers:
    """The integers of an imported network.

    Attributes:
        net: The integer network; a layer has the name of the one that sums or picks.
        scales: What a step of the codes stands for, by layer of `net`.
        zeros: Code that stands for 0.0, likewise; 0.5 for codes of -1 and 1.
        sources: The layer of the imported network whose map a layer of `net` makes.
        rounded: Layers whose integers may differ from the file's by a rounding.
    """

    net: IntegerNetwork
    scales: Mapping[str, float]
    zeros: Mapping[str, float]
    sources: Mapping[str, str]
    rounded: tuple[str, ...]


def imported_integers(
    network: Network, frames: NDArray[np.float32] | None = None
) -> ImportedIntegers:
    """Return the integers of a network that a file has quantized.

    Args:
        network: As `hao.quant.codable.codable` returns it, with parameters.
        frames: Shape (frames, channels, height, width); needed where the file leaves
            the frame or the output unquantized, to choose its scale: 8 bits.

    Raises:
        InputError: A parameter is missing or wrong.
        UnsupportedError: Something that the accelerator does not do: names the layer.
    """
    frame = frame_type(network, frames) if frame_is_open(network) else None
    chains = gathered_chains(network, frame=frame)
    close_output(network, chains, frames)
    sums = {
        layer.name: weighted_sums(network, layer, chains)
        for layer in network.compute_layers
    }
    mode = _least_mode(tuple(sums.values()))
    if requantization_of(network) is Requantization.MULTIPLIER and mode.multiplies:
        mode = Requantization.MULTIPLIER  # what its design builds
    return _assembled(network, chains, sums, mode)


def _least_mode(sums: Sequence[WeightedSums]) -> Requantization:
    """Return the cheapest mode that makes all codes of sums, or comes closest."""
    if all(is_shift(entry) for entry in sums):
        return Requantization.SHIFT
    narrow = Requantization.MULTIPLIER
    exact = all(requantized(entry, narrow)[1] for entry in sums)
    return narrow if exact else Requantization.WIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationCheck:
    """What a look at a quantized network finds.

    Attributes:
        problems: What `imported_integers` would refuse, a sentence each.
        requantization: The cheapest mode that makes its codes, or comes closest.
        evens: Whether halves of sums go to even codes.
        wide_means: Window averages whose sums take a wide multiplier.
    """

    problems: tuple[str, ...]
    requantization: Requantization
    evens: bool
    wide_means: frozenset[str]


def check_quantization(network: Network) -> QuantizationCheck:
    """Return what a look at a quantized network finds.

    Args:
        network: As `hao.quant.codable.codable` returns it, with parameters.

    Raises:
        InputError: A parameter is missing or wrong.
    """
    problems: list[str] = []
    frame = STAND_IN_FRAME if frame_is_open(network) else None
    chains = gathered_chains(network, problems, frame=frame)
    for name in open_ends(network, chains, problems):
        # Of one step of sums a code is a step; of several, no shifts do for all.
        scale = uniform_step(chains[name]) or 1.0
        quant = QType(bits=MAX_BITS, signed=True, rounding=Rounding.HALF_UP)
        chains[name].quantize(name, quant, scale, 0.0)
    sums: list[WeightedSums] = []
    wide: set[str] = set()
    for layer in network.layers:
        passed = isinstance(layer, Input | Transparent)
        if passed or chains[layer.name].maker != layer.name:
            continue
        try:
            if isinstance(layer, Compute):
                sums.append(weighted_sums(network, layer, chains))
            else:
                made, _ = _parameters(layer, chains, {}, Requantization.SHIFT)
                if "multiplier" in made and is_wide(int(made["multiplier"][0])):
                    wide.add(layer.name)
        except UnsupportedError as error:
            problems.append(str(error))
    mode = _least_mode(sums)
    return QuantizationCheck(
        problems=tuple(dict.fromkeys(problems)),
        requantization=mode,
        evens=any(
            bool(np.any(fit(entry.thresholds, mode).rounding != HALVES_UP))
            for entry in sums
        ),
        wide_means=frozenset(wide),
    )


def count_rounding(
    network: Network, imported: ImportedIntegers, frames: NDArray[np.float32]
) -> Agreement:
    """Return how many integers differ from the imported network's own.

    The reference is `hao.ir.interpret` in double precision; a difference spreads to
    the layers behind it and is counted in each. An output that the file leaves
    unquantized is rounded to the nearest code first; of two equally near ones either
    will do.

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
            real = np.clip(real + imported.zeros[name], kind.low, kind.high)
            compared[name] += real.size
            differing[name] += int(np.sum(np.abs(real - ours[name]) > 0.5 + HALF))
    return Agreement(
        frames=len(frames),
        compared=MappingProxyType(compared),
        differing=MappingProxyType(differing),
    )


def output_differences(
    imported: ImportedIntegers, codes: Integers, outputs: Real
) -> Integers:
    """Return how far output codes are from those of the file's own outputs.

    Args:
        imported: The integers.
        codes: What they make of some frames.
        outputs: What the file makes of them, real values of the same shape.
    """
    name = imported.net.network.output.name
    kind = imported.net.maps[name]
    real = outputs.reshape(codes.shape) / imported.scales[name] + imported.zeros[name]
    real = np.clip(real, kind.low, kind.high)
    beyond = np.abs(real - codes) - (0.5 + HALF)
    return np.ceil(np.maximum(beyond, 0)).astype(np.int64)


def _assembled(
    network: Network,
    chains: Mapping[str, Chain],
    sums: Mapping[str, WeightedSums],
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
        params |= {f"{layer.name}.{word}": array for word, array in values.items()}
        layers.append(_integer_layer(layer, chains))
    made = Network(name=network.name, layers=tuple(layers), params=params)
    return ImportedIntegers(
        net=IntegerNetwork(
            network=made,
            maps=MappingProxyType(maps),
            requantization=mode,
            frame=chains[network.input.name].frame_coding(),
        ),
        scales=MappingProxyType({name: chains[name].scale for name in maps}),
        zeros=MappingProxyType({name: chains[name].zero for name in maps}),
        sources=MappingProxyType({name: chains[name].last for name in maps}),
        rounded=tuple(rounded),
    )


def _parameters(
    layer: Layer,
    chains: Mapping[str, Chain],
    sums: Mapping[str, WeightedSums],
    mode: Requantization,
) -> tuple[dict[str, Integers], bool]:
    """Return a layer's integers, and whether they are exact."""
    assert not isinstance(layer, Transparent)
    match layer:
        case Input():
            return {}, True
        case Conv() | Depthwise() | Linear():
            return requantized(sums[layer.name], mode)
        case Add():
            return add_shifts(layer, chains)
        case GlobalAveragePool() | Pool(kind=PoolKind.AVERAGE):
            return mean_integers(layer, chains)
        case Pool():
            return {}, True
        case _:
            assert_never(layer)


def _integer_layer(layer: Layer, chains: Mapping[str, Chain]) -> Layer:
    """Return a layer that reads makers instead of quantizers."""
    assert not isinstance(layer, Transparent)
    match layer:
        case Input() | Add():
            return reading(layer, {name: chains[name].maker for name in layer.inputs})
        case Conv() | Depthwise() | Linear():
            assert layer.weight is not None
            wide = replace(layer.weight, signed=True, narrow=False)
            return replace(
                layer, input=chains[layer.input].maker, weight=wide, bias=True
            )
        case Pool() | GlobalAveragePool():
            return replace(layer, input=chains[layer.input].maker)
        case _:
            assert_never(layer)
