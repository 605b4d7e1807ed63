"""What may stand in the place of which block, and parts of a network by themselves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.blocks import Block, with_operations
from hao.ir.layer import Input, Layer
from hao.ir.network import Network, params_of
from hao.ir.parts import replaceable_blocks
from hao.options.operations import Operation, may_be_left_out, operations_of
from hao.quant.float_net import with_parameters

Params = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A block with what may stand in its place.

    Attributes:
        block: Which.
        operations: Layers by operation.
        identity: Whether it may be left out: the map that it reads takes its place.
    """

    block: Block
    operations: Mapping[str, tuple[Layer, ...]]
    identity: bool


def places_of(
    network: Network, pool: Iterable[Operation], *, identity: bool = True
) -> tuple[Place, ...]:
    """Return the blocks that may be replaced or left out, in order of execution.

    Args:
        network: Layers; parameters are not needed.
        pool: What is offered.
        identity: Whether leaving a block out is, where its maps allow it.

    Raises:
        InputError: No block may be replaced, or an operation of one's own does not fit.
        UnsupportedError: A network that was quantized, or that the engine cannot run.
    """
    operations = tuple(pool)
    found = [
        Place(
            block=block,
            operations=operations_of(network, block, operations),
            identity=identity and may_be_left_out(network, block),
        )
        for block in replaceable_blocks(network)
    ]
    kept = tuple(place for place in found if place.operations or place.identity)
    if not kept:
        raise InputError(
            f"network {network.name!r}: no block that an operation of the pool could "
            "replace; a table of one's own (`pool`) may hold one that fits"
        )
    return kept


def alone(layers: tuple[Layer, ...]) -> Network:
    """Return the layers of an operation as a network; what it reads is the frame."""
    first = layers[0]
    assert not isinstance(first, Input)
    entry = Input(name=first.inputs[0], ofm=first.ifm)
    return Network(name=first.name, layers=(entry, *layers))


def behind(network: Network, result: str) -> Network | None:
    """Return what follows a block's result, which becomes the frame; `None` if nothing.

    Args:
        network: With float parameters.
        result: Layer that makes a map which alone is alive behind it.
    """
    layers = {layer.name: layer for layer in network.layers}
    before: set[str] = set()
    waiting = [result]
    while waiting:
        name = waiting.pop()
        if name not in before:
            before.add(name)
            waiting += layers[name].inputs
    rest = [layer for layer in network.layers if layer.name not in before]
    if not rest:
        return None
    entry = Input(name=result, ofm=layers[result].ofm)
    return Network(
        name=network.name,
        layers=(entry, *rest),
        params=own_params(network.params, rest),
    )


def assembled(
    network: Network, chosen: Mapping[Block, tuple[Layer, ...]], params: Params
) -> Network:
    """Return a network with operations in place of blocks, and their parameters.

    Args:
        network: With float parameters.
        chosen: Layers in the place of blocks; none leaves the block out.
        params: Of the new layers, by "layer.weight" and "layer.bias".

    Raises:
        InputError: A parameter is missing.
    """
    changed = with_operations(network, chosen)
    new = [layer for layers in chosen.values() for layer in layers]
    own = {**own_params(network.params, changed.layers), **own_params(params, new)}
    frame = f"{network.input.name}."
    own |= {k: v for k, v in network.params.items() if k.startswith(frame)}
    return with_parameters(changed, own)


def own_params(params: Params, layers: Iterable[Layer]) -> Params:
    """Return the parameters of some layers."""
    names = {layer.name for layer in layers}
    return MappingProxyType(params_of(params, names))
