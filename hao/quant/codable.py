"""A network that a file has quantized, spelled so that a map has one requantization.

The engine requantizes a map once, on its way out of a stage. Files do more: a second
quantizer behind the first, one before an add alone, a batch norm on codes. Each of
these gets a 1x1 depthwise layer that hands the codes on, with a requantization of its
own (the double rounding of the file, bit for bit). Operands of an add whose scales have
no power of two between them are brought to such scales the same way. Weights of one
bit, or with a zero point, get a signed type that holds them; depthwise sums of one
number are averages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hao.errors import NeedsCopyError, UnsupportedError
from hao.ir.integer import MAX_ALIGN_SHIFT
from hao.ir.layer import Add, Affine, Compute, Layer, Quantize, Transparent, reading
from hao.ir.network import Network
from hao.ir.spellings import COPY_WEIGHT, copy_layer, free_name
from hao.ir.tensor import MAX_BITS, MIN_BITS, QType, Rounding
from hao.quant.chain import WHOLE, Chain
from hao.quant.joined import joined
from hao.quant.requantized import STAND_IN_FRAME, frame_is_open, gathered_chains
from hao.quant.tap_sums import averages_of_taps

MOST_FINER = MAX_BITS - MIN_BITS
"""Largest power of two by which a copy may be finer than its source: its one weight."""


def codable(network: Network) -> tuple[Network, tuple[str, ...]]:
    """Return the network with a copy of a map wherever it needs one, and notes on them.

    Outputs stay those of the network before, but for operands of adds, which are
    rounded once more where scales have no power of two between them.

    Args:
        network: Quantized, in layers of the engine, with parameters.

    Raises:
        InputError: A parameter is missing.
    """
    network = _plain_weights(averages_of_taps(network))
    notes: list[str] = []
    while True:
        try:
            frame = STAND_IN_FRAME if frame_is_open(network) else None
            chains = gathered_chains(network, [], frame=frame)
        except NeedsCopyError as need:
            layer = next(one for one in network.layers if one.name == need.layer)
            finer = _finer(network, layer, need.scale)
            network = _with_copy(network, layer, layer.inputs[0], finer)
            notes.append(
                f"layer {need.layer!r}: changes codes that are there already, so it "
                "runs as a 1x1 depthwise layer of its own"
            )
            continue
        found = _one_sum(network, chains, open_frame=frame is not None)
        if found is not None:
            network, note = found
            notes.append(note)
            continue
        aligned = _aligned_add(network, chains, open_frame=frame is not None)
        if aligned is None:
            return network, tuple(notes)
        network, name = aligned
        notes.append(
            f"layer {name!r}: an operand is brought to a scale that shifts reach, and "
            "rounded once more"
        )


def _plain_weights(network: Network) -> Network:
    """Return the network with signed weight types of 2 bits and more."""
    return network.with_layers(
        lambda x: (
            replace(x, weight=_weight_type(network, x)) if isinstance(x, Compute) else x
        )
    )


def _weight_type(network: Network, layer: Compute) -> QType | None:
    """Return a type that holds a layer's integers, the file's own where it does."""
    quant = layer.weight
    key = f"{layer.name}.weight_scale"
    if quant is None or key not in network.params:
        return quant
    zero = network.params.get(f"{layer.name}.weight_zero_point", np.zeros(1))
    if quant.signed and quant.bits >= MIN_BITS and not zero.any():
        return quant
    weight = network.params[f"{layer.name}.weight"].astype(np.float64)
    step = network.params[key].astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    codes = np.rint(weight / step)
    reach = max(-codes.min() - 1, codes.max(), 1)
    return QType(bits=int(reach).bit_length() + 1, signed=True)


def _finer(network: Network, layer: Layer, scale: float) -> int:
    """Return by which power of two the next quantizer is finer than codes; 0 if not."""
    while isinstance(layer, Transparent):
        params = network.params
        if isinstance(layer, Affine):
            factors = params[f"{layer.name}.scale"].astype(np.float64)
            if np.ptp(factors) != 0:
                return 0
            scale *= abs(float(factors.ravel()[0]))
        if isinstance(layer, Quantize):
            target = float(params[f"{layer.name}.scale"].astype(np.float64).ravel()[0])
            exponent = np.log2(scale / target) if scale > 0 else 0.0
            whole = abs(exponent - np.rint(exponent)) <= WHOLE and exponent > 0
            return min(int(np.rint(exponent)), MOST_FINER) if whole else 0
        readers = network.consumers()[layer.name]
        if len(readers) != 1:
            return 0
        layer = next(one for one in network.layers if one.name == readers[0])
    return 0


def _with_copy(
    network: Network,
    layer: Layer,
    source: str,
    finer: int,
    extra: tuple[Quantize, dict[str, NDArray[np.generic]]] | None = None,
) -> Network:
    """Return the network in which a layer reads a copy of what it read.

    Args:
        network: The network.
        layer: The reader.
        source: Which of its operands is copied.
        finer: The copy's weight is 2^finer steps of 2^-finer.
        extra: A quantizer behind the copy, which reads it.
    """
    reads = next(one for one in network.layers if one.name == source)
    name = free_name(network, f"{layer.name}.copy")
    made, params = copy_layer(network, reads, name)
    if finer:
        quant = replace(COPY_WEIGHT, bits=MIN_BITS + finer)
        made = replace(made, weight=quant)
        params[f"{name}.weight_scale"] = np.array([2.0**-finer], dtype=np.float32)
    added: list[Layer] = [made]
    last = name
    if extra is not None:
        quantizer, more = extra
        added.append(replace(quantizer, input=name))
        params |= more
        last = quantizer.name
    layers: list[Layer] = []
    for one in network.layers:
        if one.name == layer.name:
            # A map that is added to itself has been doubled before.
            layers += [*added, reading(layer, {source: last})]
        else:
            layers.append(one)
    return replace(network, layers=tuple(layers), params={**network.params, **params})


def _one_sum(
    network: Network, chains: Mapping[str, Chain], *, open_frame: bool
) -> tuple[Network, str] | None:
    """Return the network without one of the sums that an add reads unquantized.

    Cut to 8 bits where the result is the same; else one convolution with the other
    operand; else cut all the same. `None` where there is no such sum.

    Returns:
        The network, and a note.
    """
    for layer in network.layers:
        if not isinstance(layer, Add) or chains[layer.name].quant is None:
            continue
        if all(chains[name].quant is not None for name in layer.inputs):
            continue
        # What the codes of an open frame stand for is not known yet.
        framed = any(chains[name].maker == network.input.name for name in layer.inputs)
        cut = None if open_frame and framed else _cut_of(layer, chains)
        if cut is None or not cut[1].exact:
            made = joined(network, layer, chains)
            if made is not None:
                return made, (
                    f"layer {layer.name!r}: adds before the file quantizes, so it runs "
                    "as one convolution with both operands as its input: "
                    f"{made.macs - network.macs} multiply-accumulates more a frame"
                )
        if cut is not None:
            source, how = cut
            note = (
                f"layer {layer.name!r}: an operand that the file does not quantize is "
                f"cut to {MAX_BITS} bits before"
            )
            if not how.exact:
                note += "; its codes may differ by one from the file's, outputs by more"
            return _cut(network, source, how), note
    return None


def _cut_of(layer: Add, chains: Mapping[str, Chain]) -> "tuple[str, _Cut] | None":
    """Return which operand of an add is to be cut, and how; `None` if none can be.

    Its 8 bits hold what the other operand can bring to the result's range, in as fine
    steps as can be; beyond, it is clamped.
    """
    chain = chains[layer.name]
    for source, other in (layer.inputs, layer.inputs[::-1]):
        operand, beside = chains[source], chains[other]
        if operand.quant is not None or beside.quant is None:
            continue
        if operand.last != source or not np.all(operand.unit > 0):
            continue
        try:
            target = chain.step / chain.uniform_gain(layer.name)
        except UnsupportedError:
            continue  # told by those who ask for all problems
        return source, _Cut.of(operand, beside, chain, target)
    return None


@dataclass(frozen=True, slots=True)
class _Cut:
    """How a sum becomes codes of 8 bits.

    Attributes:
        scale: A step of the codes.
        zero: Code of 0.0.
        rounding: Of the sum.
        middle: What the codes stand for beyond themselves, in steps.
        exact: The result of the add is what the whole sum makes it.
    """

    scale: float
    zero: int
    rounding: Rounding
    middle: float
    exact: bool

    @classmethod
    def of(cls, operand: Chain, beside: Chain, result: Chain, target: float) -> "_Cut":
        """Return how an operand of an add is cut.

        Where one bit is lost, halves go to odd codes. Sums from which a half of the
        result comes are even ones, so that none else becomes a half or passes it. Where
        more bits are lost, the sum is rounded down and stands for the middle of what is
        cut off: the result may differ where the sum lies as near to a half.

        Args:
            operand: The sum, not quantized.
            beside: The other operand.
            result: What the add becomes.
            target: A step of the result, at the add.
        """
        ends = (
            (result.low - result.zero) * target
            - (beside.high - beside.zero) * beside.scale,
            (result.high - result.zero) * target
            - (beside.low - beside.zero) * beside.scale,
        )
        unit = np.abs(operand.gain * operand.unit)
        # No finer than the sums themselves.
        finest = int(np.floor(np.log2(unit.min() / target) + WHOLE))
        exponent, zeros = _held(ends, target, max(finest, -MAX_ALIGN_SHIFT))
        scale = target * 2.0**exponent
        steps = unit / scale
        plain = min(zeros, key=abs)
        if np.all(steps >= 1 - WHOLE) and np.all(operand.offset == 0):
            return cls(scale, plain, Rounding.FLOOR, 0.0, exact=True)
        odd = min((zero for zero in zeros if zero % 2), key=abs, default=None)
        offset = operand.offset / scale
        halves = np.all(np.abs(2 * steps - np.rint(2 * steps)) <= WHOLE)
        halves &= np.all(np.abs(2 * offset - np.rint(2 * offset)) <= WHOLE)
        # Of the other operand and of halves of the result, all are even codes.
        even = exponent <= -2 and abs(beside.scale / scale % 2) <= WHOLE
        if odd is not None and halves and even:
            return cls(scale, odd, Rounding.HALF_EVEN, 0.0, exact=True)
        return cls(scale, plain, Rounding.FLOOR, 0.5, exact=False)


def _held(ends: tuple[float, float], target: float, exponent: int) -> tuple[int, range]:
    """Return the finest scale by which signed 8 bits hold a range of values.

    Args:
        ends: Of the range.
        target: The scale is this times a power of two.
        exponent: The finest to try.

    Returns:
        The power's exponent, and the zero points with which the range is held.
    """
    quant = QType(bits=MAX_BITS, signed=True)
    while True:
        scale = target * 2.0**exponent
        low, high = int(np.floor(ends[0] / scale)), int(np.ceil(ends[1] / scale))
        zeros = range(quant.lowest - low, quant.highest - high + 1)
        if zeros:
            return exponent, zeros
        exponent += 1


def _cut(network: Network, source: str, made: _Cut) -> Network:
    """Return the network with a sum quantized for the adds that read it."""
    quant = QType(bits=MAX_BITS, signed=True, rounding=made.rounding)
    ofm = next(one.ofm for one in network.layers if one.name == source)
    name = free_name(network, f"{source}.cut")
    cut = Quantize(name=name, input=source, ifm=ofm, ofm=ofm, quant=quant)
    params: dict[str, NDArray[np.generic]] = {
        f"{name}.scale": np.array([made.scale]),
        f"{name}.zero_point": np.array([float(made.zero)]),
    }
    added: list[Layer] = [cut]
    if made.middle:
        name = free_name(network, f"{source}.middle")
        added.append(Affine(name=name, input=cut.name, ifm=ofm, ofm=ofm))
        params[f"{name}.scale"] = np.ones(1)
        params[f"{name}.shift"] = np.array([made.middle * made.scale])
    layers: list[Layer] = []
    for one in network.layers:
        layers.append(reading(one, {source: name}) if isinstance(one, Add) else one)
        if one.name == source:
            layers += added
    return replace(network, layers=tuple(layers), params={**network.params, **params})


def _aligned_add(
    network: Network, chains: Mapping[str, Chain], *, open_frame: bool
) -> tuple[Network, str] | None:
    """Return the network with one more operand of an add on a scale that shifts reach.

    `None` where all are.
    """
    for layer in network.layers:
        if not isinstance(layer, Add) or chains[layer.name].quant is None:
            continue
        chain = chains[layer.name]
        try:
            gain = chain.uniform_gain(layer.name)
        except UnsupportedError:
            continue  # told by those who ask for all problems
        target = chain.step / gain
        for source in layer.inputs:
            operand = chains[source]
            if open_frame and operand.maker == network.input.name:
                continue  # what its codes stand for is not known yet
            exponent = np.log2(operand.scale / target)
            if operand.quant is None or abs(exponent - np.rint(exponent)) <= WHOLE:
                continue
            made = _rescaled(network, layer, source, operand, target)
            return made, layer.name
    return None


def _rescaled(
    network: Network, layer: Add, source: str, operand: Chain, target: float
) -> Network:
    """Return the network with an operand on the finest scale that holds its values."""
    quant = QType(bits=MAX_BITS, signed=True, rounding=Rounding.HALF_EVEN)
    low, high = (
        (code - operand.zero) * operand.scale for code in (operand.low, operand.high)
    )
    exponent, zeros = _held((low, high), target, -MAX_ALIGN_SHIFT)
    reads = next(one for one in network.layers if one.name == source)
    name = free_name(network, f"{layer.name}.aligned")
    quantizer = Quantize(
        name=name, input=source, ifm=reads.ofm, ofm=reads.ofm, quant=quant
    )
    params: dict[str, NDArray[np.generic]] = {
        f"{name}.scale": np.array([target * 2.0**exponent]),
        f"{name}.zero_point": np.array([float(min(zeros, key=abs))]),
    }
    return _with_copy(network, layer, source, 0, (quantizer, params))
