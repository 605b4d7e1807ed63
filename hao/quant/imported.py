"""A network that a file has quantized, as integers.

An imported network is layers that sum or pick (convolutions, adds, pools), each
followed by what the file does to its map: affine layers, activations, a quantizer. All
of that becomes one requantization. With y the sums in units of their products,

    code = clamp(round(ratio * (y + bias)))

per channel. Where every ratio is 1 / 2^shift, the integer network is in power-of-two
mode and the integers are the file's, halves included: a bias that is no whole number of
units leaves no halves, a whole one rounds them as the file does. Otherwise all ratios
become 16-bit multipliers over powers of two, which are ratios only nearly:
`count_rounding` says how many integers differ, `ImportedIntegers.rounded` where they
may. Adds have shifts and averages 8-bit multipliers in both modes.
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
    HALVES_EVEN,
    HALVES_UP,
    MAX_MULTIPLIER_SHIFT,
    MAX_SHIFT,
    MULTIPLIER_BITS,
    IntegerNetwork,
    MapType,
    Requantization,
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
from hao.quant.exponents import best_exponent
from hao.quant.parameters import float_parameters
from hao.quant.requantized import (
    STAND_IN_FRAME,
    Chain,
    add_shifts,
    frame_is_open,
    gathered_chains,
    mean_integers,
)

Integers = NDArray[np.int64]
Real = NDArray[np.float64]

RATIO = 2.0**-22
"""Part by which a ratio may differ from a power of two and count as one: scales in
files are single precision, some of them quotients."""

WHOLE_BIAS = 2.0**-10
"""Part of a unit of the products within which a bias counts as whole, likewise."""


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
    shifted = all(_is_shift(entry.ratio) for entry in sums.values())
    mode = Requantization.SHIFT if shifted else Requantization.MULTIPLIER
    return _assembled(network, chains, sums, mode)


def quantization_problems(network: Network) -> tuple[str, ...]:
    """Return what `imported_integers` would refuse, a sentence each.

    Args:
        network: As `hao.quant.codable.codable` returns it, with parameters.

    Raises:
        InputError: A parameter is missing or wrong.
    """
    problems: list[str] = []
    frame = STAND_IN_FRAME if frame_is_open(network) else None
    chains = gathered_chains(network, problems, frame=frame)
    for name in _open_ends(network, chains, problems):
        chains[name].quantize(name, QType(bits=MAX_BITS, signed=True), 1.0, 0.0)
    for layer in network.layers:
        passed = isinstance(layer, Input | Affine | Activation | Quantize)
        if passed or chains[layer.name].maker != layer.name:
            continue
        try:
            if isinstance(layer, Conv | Depthwise | Linear):
                entry = _sums(network, layer, chains)
                mode = Requantization.SHIFT
                if not _is_shift(entry.ratio):
                    mode = Requantization.MULTIPLIER
                _requantized(layer.name, chains[layer.name], entry, mode)
            else:
                _parameters(layer, chains, {}, Requantization.SHIFT)
        except UnsupportedError as error:
            problems.append(str(error))
    return tuple(dict.fromkeys(problems))


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
            codes_of_file = np.floor(real + imported.zeros[name] + 0.5)
            wanted = np.clip(codes_of_file, kind.low, kind.high)
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
    that shifts do; else a power of two, no finer than the sums.
    """
    steps = np.abs(chain.gain * chain.unit)
    if np.all(steps > 0) and np.ptp(steps) <= 1e-9 * steps.max():
        step = float(steps[0])
        return step * 2.0 ** max(0, best_exponent(values / step, quant))
    finest = float(steps.max())
    scale = 2.0 ** best_exponent(values, quant)
    return max(scale, 2.0 ** np.ceil(np.log2(finest))) if finest > 0 else scale


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
            return {}, True
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
        multiplier = np.ones_like(shift)
    else:
        multiplier, shift = _multipliers(name, entry.ratio)
    whole, even, exact = _whole_bias(chain, entry, multiplier, shift)
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
    if np.any(even):
        values["rounding"] = np.where(even, HALVES_EVEN, HALVES_UP)
    return values, exact


def _multipliers(name: str, ratio: Real) -> tuple[Integers, Integers]:
    """Return 16-bit multipliers and right shifts that come closest to ratios."""
    wished = MULTIPLIER_BITS - 1 - np.floor(np.log2(ratio)).astype(np.int64)
    shift = np.minimum(wished, MAX_MULTIPLIER_SHIFT)
    if shift.min() < 0:
        raise UnsupportedError(
            f"layer {name!r}: {ratio.max():g} codes per unit of a product; "
            f"handled: below 2^{MULTIPLIER_BITS}"
        )
    multiplier = np.rint(np.ldexp(ratio, shift)).astype(np.int64)
    full = multiplier == 2**MULTIPLIER_BITS
    return np.where(full, multiplier // 2, multiplier), shift - full


def _whole_bias(
    chain: Chain, entry: _Sums, multiplier: Integers, shift: Integers
) -> tuple[Real, NDArray[np.bool_], bool]:
    """Return biases in whole units, where halves go to even, and whether all is exact.

    Sums y are integers, so that where a ratio is 1 / 2^n, floor((y + bias) / 2^n) needs
    only the whole part of a bias, and so does rounding to the nearest for n > 0: halves
    occur where the bias is whole. Rounding down is rounding halves up of half a code
    less. Where there are two codes, y is compared with one number, whatever the ratio.
    """
    bias = entry.bias
    if _has_two_codes(chain):
        return _threshold(chain, entry, multiplier, shift)
    made = np.ldexp(multiplier.astype(np.float64), -shift)
    power = made == np.ldexp(1.0, np.frexp(made)[1] - 1)
    same = (np.abs(made / entry.ratio - 1) <= RATIO) & power
    cuts = same & (made < 1)
    half = np.where(cuts | ~same, 0.5 / entry.ratio, 0.0)
    near = np.abs(bias - np.rint(bias)) <= WHOLE_BIAS
    floor = np.where(near, np.rint(bias), np.floor(bias))
    if chain.floors:
        whole = np.where(same, floor - half, np.floor(bias - half + 0.5))
        return whole, np.zeros(len(bias), dtype=np.bool_), bool(np.all(same))
    whole = np.where(cuts, floor, np.floor(bias + 0.5))
    rounding = chain.rounding
    even = cuts & near & (rounding is Rounding.HALF_EVEN)
    if rounding in (Rounding.HALF_EVEN, Rounding.HALF_UP):
        # Without a cut, a half in the bias is one in every sum.
        ties = same & ~cuts & (np.abs(bias - np.floor(bias) - 0.5) <= WHOLE_BIAS)
        known = ~ties if rounding is Rounding.HALF_EVEN else np.ones_like(ties)
    else:
        known = ~(cuts & near)
    return whole, even, bool(np.all(same & known))


def _has_two_codes(chain: Chain) -> bool:
    return chain.low == 0 and chain.high == 1 and not chain.floors


def _threshold(
    chain: Chain, entry: _Sums, multiplier: Integers, shift: Integers
) -> tuple[Real, NDArray[np.bool_], bool]:
    """Return the biases of a layer whose codes are 0 and 1: y is at least a number.

    The least y whose ratio * (y + bias) rounds to 1 is ceil(0.5 / ratio - bias); with
    halves to even the half itself rounds to 0.
    """
    made = np.ldexp(multiplier.astype(np.float64), -shift)
    edge = 0.5 / entry.ratio - entry.bias
    near = np.abs(edge - np.rint(edge)) <= WHOLE_BIAS
    least = np.where(near, np.rint(edge), np.ceil(edge))
    if chain.rounding is not Rounding.HALF_UP:
        least = np.where(near, least + 1, least)
    # floor(made * (y + whole) + 1 / 2) >= 1 from y = least on.
    whole = np.ceil(0.5 / made) - least
    return whole, np.zeros(len(least), dtype=np.bool_), True


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
            raise UnsupportedError(
                f"layer {name!r}: pads a map whose zero point is {source.zero:g}; "
                "handled: 0, or no padding; quantize activations symmetrically"
            )
        bias = bias - unit * source.zero * codes.reshape(len(codes), -1).sum(axis=1)
    gain, offset = chain.gain, chain.offset
    turned = np.where(gain < 0, -1, 1)
    dead = gain == 0  # a channel that is a constant: no weights, the constant as bias
    by_row = np.where(dead, 0, turned).reshape(-1, *[1] * (codes.ndim - 1))
    ratio = np.where(dead, 1.0, np.abs(gain) * unit / chain.step)
    # (gain * (unit * y + bias) + offset) / scale = ratio * (turned * y + added)
    added = (gain * bias + offset) / chain.step / ratio
    if _has_two_codes(chain):
        # y is compared with one number, which every ratio can say; 1 says it in shifts.
        added, ratio = added - 0.5 / ratio + 0.5, np.ones_like(ratio)
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
    shift = np.rint(-np.log2(ratio))
    near = np.all(np.abs(np.ldexp(ratio, shift.astype(np.int64)) - 1) <= RATIO)
    return bool(near and shift.min() >= 0 and shift.max() <= MAX_SHIFT)
