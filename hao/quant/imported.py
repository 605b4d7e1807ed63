"""A network that a file has quantized, as integers.

An imported network is layers that sum or pick (convolutions, adds, pools), each
followed by what the file does to its map: affine layers, activations, a quantizer. All
of that becomes one requantization. With y the sums in units of their products,

    code = clamp(round(ratio * (y + bias)))

per channel. Where shifts make exactly the file's codes of all sums that can occur
(`hao.quant.thresholds`), the integer network is in power-of-two mode; otherwise all
layers get multipliers, which make them too where codes are few or sums short, and come
within one code elsewhere: `ImportedIntegers.rounded` says where, `count_rounding` how
often. Adds have shifts and averages multipliers of their own in both modes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError, UnsupportedError
from hao.ir.integer import (
    HALVES_UP,
    IntegerNetwork,
    MapType,
    Requantization,
    is_wide,
    sum_range,
)
from hao.ir.integer_run import run_integer_layers
from hao.ir.interpret import run_float_layers, scaled_frames
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
    Padding,
    Pool,
    PoolKind,
    Quantize,
)
from hao.ir.network import Network
from hao.ir.tensor import MAX_BITS, QType, Rounding
from hao.quant.agreement import COMPARED_BATCH, Agreement
from hao.quant.chain import Chain
from hao.quant.exponents import best_exponent
from hao.quant.parameters import float_parameters
from hao.quant.requantized import STAND_IN_FRAME, frame_is_open, gathered_chains
from hao.quant.sum_integers import add_shifts, check_pads, mean_integers
from hao.quant.thresholds import Thresholds, file_thresholds, fit

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sums:
    """What a compute layer requantizes.

    Attributes:
        weight: Integers, signs turned where a later factor is negative and they hold.
        thresholds: The file's codes of its sums, turned where that factor is negative.
        signs: -1 for channels whose sums are turned but not their weights.
    """

    weight: Integers
    thresholds: Thresholds
    signs: Integers


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
    frame = _frame_type(network, frames) if frame_is_open(network) else None
    chains = gathered_chains(network, frame=frame)
    close_output(network, chains, frames)
    sums = {
        layer.name: _sums(network, layer, chains) for layer in network.compute_layers
    }
    shifted = all(_is_shift(entry) for entry in sums.values())
    mode = Requantization.SHIFT if shifted else Requantization.MULTIPLIER
    return _assembled(network, chains, sums, mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationCheck:
    """What a look at a quantized network finds.

    Attributes:
        problems: What `imported_integers` would refuse, a sentence each.
        multiplies: Whether shifts do not express its scales.
        evens: Whether halves of sums go to even codes.
        wide_means: Window averages whose sums take a wide multiplier.
    """

    problems: tuple[str, ...]
    multiplies: bool
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
    for name in _open_ends(network, chains, problems):
        # Of one step of sums a code is a step; of several, no shifts do for all.
        scale = _uniform_step(chains[name]) or 1.0
        quant = QType(bits=MAX_BITS, signed=True, rounding=Rounding.HALF_UP)
        chains[name].quantize(name, quant, scale, 0.0)
    sums: list[_Sums] = []
    wide: set[str] = set()
    for layer in network.layers:
        passed = isinstance(layer, Input | Affine | Activation | Quantize)
        if passed or chains[layer.name].maker != layer.name:
            continue
        try:
            if isinstance(layer, Conv | Depthwise | Linear):
                sums.append(_sums(network, layer, chains))
            else:
                made, _ = _parameters(layer, chains, {}, Requantization.SHIFT)
                if "multiplier" in made and is_wide(int(made["multiplier"][0])):
                    wide.add(layer.name)
        except UnsupportedError as error:
            problems.append(str(error))
    multiplies = not all(_is_shift(entry) for entry in sums)
    mode = Requantization.MULTIPLIER if multiplies else Requantization.SHIFT
    return QuantizationCheck(
        problems=tuple(dict.fromkeys(problems)),
        multiplies=multiplies,
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
) -> int:
    """Return how many output codes are not those of the file's own outputs.

    Args:
        imported: The integers.
        codes: What they make of some frames.
        outputs: What the file makes of them, real values of the same shape.
    """
    name = imported.net.network.output.name
    kind = imported.net.maps[name]
    real = outputs.reshape(codes.shape) / imported.scales[name] + imported.zeros[name]
    real = np.clip(real, kind.low, kind.high)
    return int(np.sum(np.abs(real - codes) > 0.5 + HALF))


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
        zeros=MappingProxyType({name: chains[name].zero for name in maps}),
        sources=MappingProxyType({name: chains[name].last for name in maps}),
        rounded=tuple(rounded),
    )


def _open_ends(
    network: Network, chains: Mapping[str, Chain], problems: list[str] | None
) -> list[str]:
    """Return the frame and the output where no quantizer closes them.

    Raises:
        UnsupportedError: Another map is not quantized, if `problems` is `None`.
    """
    readers = {name for layer in network.layers for name in layer.inputs}
    ends: list[str] = []
    for chain in dict.fromkeys(chains.values()):
        if chain.quant is not None:
            continue
        if chain.last in readers and chain.maker != network.input.name:
            text = (
                f"layer {chain.maker!r}: its map is not quantized; handled: a "
                "quantizer behind every sum that another layer reads"
            )
            if problems is None:
                raise UnsupportedError(text)
            problems.append(text)
        ends.append(chain.maker)
    return ends


def _frame_type(
    network: Network, frames: NDArray[np.float32] | None
) -> tuple[QType, float]:
    """Return type and scale of a frame that the file does not quantize.

    Raises:
        UnsupportedError: There are no frames.
    """
    given = _given(network.input.name, frames)
    values = scaled_frames(network, given.astype(np.float64))
    signed = bool(values.min() < 0)
    quant = QType(bits=MAX_BITS, signed=signed, rounding=Rounding.HALF_UP)
    return quant, 2.0 ** best_exponent(values, quant)


def _given(name: str, frames: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return frames.

    Raises:
        UnsupportedError: There are none.
    """
    if frames is None:
        raise UnsupportedError(
            f"layer {name!r}: its map is not quantized, and without frames no "
            "scale can be chosen for it; give some"
        )
    return frames


def close_output(
    network: Network, chains: Mapping[str, Chain], frames: NDArray[np.float32] | None
) -> None:
    """Give the output a scale where the file gives none.

    Args:
        network: Whose chains they are.
        chains: By layer; changed in place.
        frames: From which the scale is chosen.

    Raises:
        UnsupportedError: Another map is not quantized, or there are no frames.
    """
    for name in _open_ends(network, chains, None):
        chain = chains[name]
        real = _given(name, frames).astype(np.float64)
        values = run_float_layers(network, real, keep=frozenset({chain.last}))
        quant = QType(bits=MAX_BITS, signed=True, rounding=Rounding.HALF_UP)
        chain.quantize(
            name, quant, _chosen_scale(chain, values[chain.last], quant), 0.0
        )


def _chosen_scale(chain: Chain, values: Real, quant: QType) -> float:
    """Return what a code of an output shall stand for.

    Steps of the sums times a power of two where all channels have the same steps, so
    that shifts do; else a power of two.
    """
    step = _uniform_step(chain)
    if step:
        return step * 2.0 ** max(0, best_exponent(values / step, quant))
    return 2.0 ** best_exponent(values, quant)


def _uniform_step(chain: Chain) -> float:
    """Return what a unit of all channels' sums stands for; 0 if they differ."""
    steps = np.abs(chain.gain * chain.unit)
    same = np.all(steps > 0) and np.ptp(steps) <= 1e-9 * steps.max()
    return float(steps[0]) if same else 0.0


def _parameters(
    layer: Layer,
    chains: Mapping[str, Chain],
    sums: Mapping[str, _Sums],
    mode: Requantization,
) -> tuple[dict[str, Integers], bool]:
    """Return a layer's integers, and whether they are exact."""
    match layer:
        case Input():
            return {}, True
        case Conv() | Depthwise() | Linear():
            return _requantized(sums[layer.name], mode)
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
    entry: _Sums, mode: Requantization
) -> tuple[dict[str, Integers], bool]:
    found = fit(entry.thresholds, mode)
    values = {"weight": entry.weight, "bias": found.bias, "shift": found.shift}
    if mode is Requantization.MULTIPLIER:
        values["multiplier"] = found.multiplier * entry.signs
    if np.any(found.rounding != HALVES_UP):
        values["rounding"] = found.rounding
    return values, bool(np.all(found.exact))


def _sums(network: Network, layer: Compute, chains: Mapping[str, Chain]) -> _Sums:
    """Return a compute layer's integers with all that follows folded in."""
    name, chain = layer.name, chains[layer.name]
    quant = layer.weight
    if quant is None or not 2 <= quant.bits <= MAX_BITS:
        raise UnsupportedError(
            f"layer {name!r}: weights of type {quant}; handled: quantized to 2 to "
            f"{MAX_BITS} bits"
        )
    real, bias = float_parameters(network, layer)
    step = _weight_scale(network, layer)
    codes = np.rint(real / step.reshape(-1, *[1] * (real.ndim - 1))).astype(np.int64)
    source = chains[layer.input]
    unit = source.scale * step
    if source.zero != 0:
        if not isinstance(layer, Linear) and layer.padding != Padding():
            check_pads(name, source)
        bias = bias - unit * source.zero * codes.reshape(len(codes), -1).sum(axis=1)
    assert chain.quant is not None
    gain, offset = chain.gain, chain.offset
    turned = np.where(gain < 0, -1, 1)
    dead = gain == 0  # a channel that is a constant: no weights, the constant as bias
    shape = (-1, *[1] * (codes.ndim - 1))
    weight = codes * np.where(dead, 0, turned).reshape(shape)
    ratio = np.where(dead, 1.0, np.abs(gain) * unit / chain.step)
    lowest, highest = sum_range(weight, source.map_type())
    # The code that only negative numbers have, once turned around, has no counterpart.
    kept = weight.reshape(len(weight), -1).max(axis=1) >= 2 ** (quant.bits - 1)
    return _Sums(
        weight=np.where(kept.reshape(shape), codes, weight),
        signs=np.where(kept, -1, 1),
        # (gain * (unit * y + bias) + offset) / step = ratio * (turned * y + added)
        thresholds=file_thresholds(
            ratio,
            (gain * bias + offset) / chain.step / ratio,
            codes=(chain.low, chain.high, chain.moved),
            rounding=chain.quant.rounding,
            sums=(lowest, highest),
        ),
    )


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


def _is_shift(entry: _Sums) -> bool:
    """Return whether shifts make a layer's codes."""
    found = fit(entry.thresholds, Requantization.SHIFT)
    return bool(np.all(found.exact) and np.all(entry.signs > 0))
