"""The chains of layers that an imported network's maps go through.

`hao.quant.chain` says what a chain is; here each layer of a network begins one or is
taken into that of the map it reads.
"""

from collections.abc import Mapping
from copy import copy

import numpy as np

from hao.errors import InputError, NeedsCopyError, UnsupportedError
from hao.ir.averages import mean_pixels
from hao.ir.layer import (
    Activation,
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
    Transparent,
)
from hao.ir.network import Network
from hao.ir.tensor import MAX_BITS, QType
from hao.quant.chain import Chain, Real

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
                made.know_none_below_zero()
            return made


def _scaled_map(network: Network, layer: Depthwise, source: Chain, unit: Real) -> Chain:
    """Return the chain of a layer of one factor a channel, which knows its limits."""
    factors = _values(network, f"{layer.name}.weight")
    ends = [source.scale * (end - source.zero) for end in (source.low, source.high)]
    values = np.outer(ends, factors)
    chain = Chain(layer, unit, float(np.abs(values).max()))
    if values.min() >= 0:
        chain.know_none_below_zero()
    return chain


def _stand_in(layer: Layer) -> Chain:
    """Return a chain that lets the look at a network go on."""
    chain = Chain(layer)
    chain.stand_in()
    return chain


def _take_in(network: Network, chain: Chain, layer: Transparent) -> None:
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
