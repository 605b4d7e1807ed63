"""What an importer hands over, and the last steps that all importers share.

Names from a file become layer names here: unique, and safe wherever a name may end up
(a file name, a C++ comment, a table).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.layer import Conv, Depthwise, Input, Layer, Pool
from hao.ir.lower import lowered, respelled_layers
from hao.ir.network import Network, params_of
from hao.ir.partition import engine_problems
from hao.ir.rewrite import simplify

NAME_LENGTH = 80
"""Longest layer name [characters]; longer ones are cut. Chosen here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedNetwork:
    """A network from a file or a module.

    Attributes:
        network: Simplified; with parameters.
        notes: What the importer took for granted or left out, one sentence each; a
            report prints them.
    """

    network: Network
    notes: tuple[str, ...] = ()


def safe_name(name: str) -> str:
    """Return the name with [A-Za-z0-9_.] only, at most `NAME_LENGTH` long."""
    dotted = re.sub(r"[/:]+", ".", name)
    safe = re.sub(r"[^A-Za-z0-9_.]+", "_", dotted)
    return safe.strip("._")[:NAME_LENGTH] or "layer"


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return safe names in the same order, told apart by a number where they clash."""
    taken: set[str] = set()
    unique: list[str] = []
    for name in names:
        base = candidate = safe_name(name)
        count = 2
        while candidate in taken:
            candidate = f"{base}_{count}"
            count += 1
        taken.add(candidate)
        unique.append(candidate)
    return tuple(unique)


def finished_network(
    name: str,
    layers: Sequence[Layer],
    params: Mapping[str, NDArray[np.generic]],
    *,
    output: str,
    notes: Sequence[str] = (),
) -> ImportedNetwork:
    """Return the network that ends in a layer, in layers that the engine has.

    Layers that nothing reads are dropped.

    Args:
        name: What the user called it; made safe here.
        layers: Topological order.
        params: By "layer.parameter".
        output: Name of the layer whose OFM is the result.
        notes: What the importer has to say.

    Raises:
        InputError: A parameter is not finite, or there is nothing but an input.
    """
    read = {output}
    kept: list[Layer] = []
    for layer in reversed(layers):
        if layer.name in read:
            read.update(layer.inputs)
            kept.insert(0, layer)
    if len(kept) < 2:
        raise InputError(f"network {name!r}: the output is the input; nothing to run")
    names = {layer.name for layer in kept}
    own = params_of(params, names)
    checked = {key: _checked(key, array) for key, array in own.items()}
    read_network = simplify(
        Network(name=safe_name(name), layers=tuple(kept), params=checked)
    )
    network = lowered(read_network)
    said = (*notes, *respelled_layers(read_network, network))
    return ImportedNetwork(network=network, notes=tuple(dict.fromkeys(said)))


def lone_layer_problems(
    layers: Sequence[Layer], params: Mapping[str, NDArray[np.generic]]
) -> list[str]:
    """Return what the engine does not run of layers with windows, each on its own.

    For a file that makes no network, so that all its problems are told at once.
    """
    problems: list[str] = []
    for layer in layers:
        if not isinstance(layer, Conv | Depthwise | Pool):
            continue
        entry = Input(name="frame" if layer.name != "frame" else "entry", ofm=layer.ifm)
        alone = replace(layer, input=entry.name)
        own = params_of(params, {layer.name})
        network = Network(name="one", layers=(entry, alone), params=own)
        problems += engine_problems(lowered(network))
    return problems


def _checked(key: str, array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return an own copy; half precision becomes single precision."""
    half = np.issubdtype(array.dtype, np.floating) and array.dtype.itemsize < 4
    with np.errstate(invalid="ignore"):
        own = array.astype(np.float32 if half else array.dtype)
        finite = np.all(np.isfinite(own.astype(np.float64)))
    if not finite:
        raise InputError(
            f"parameter {key!r} holds NaN or infinity; must be finite numbers"
        )
    return own
