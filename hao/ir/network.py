"""A network: layers in topological order and, where known, their parameters.

`Network` checks on construction that names are unique, that every layer reads only
earlier ones, and that shapes agree. `params` maps "layer.weight" and the like to
read-only arrays; a network of the zoo has none, since the search needs shapes only.
"""

from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.layer import Compute, Input, Layer
from hao.ir.tensor import Shape

Params = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A checked network with one input and one output.

    Attributes:
        name: What a user calls it.
        layers: Topological order; the first is the only `Input`, the last is the
            output.
        params: Arrays by "layer.parameter", read-only from here on; may be empty.

    Raises:
        InputError: A name occurs twice, a layer reads a later or unknown one, or
            shapes disagree.
    """

    name: str
    layers: tuple[Layer, ...]
    params: Params = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", _read_only(self.params))
        shapes: dict[str, Shape] = {}
        for position, layer in enumerate(self.layers):
            if layer.name in shapes:
                raise InputError(f"layer {layer.name!r} occurs twice")
            if isinstance(layer, Input) != (position == 0):
                raise InputError(
                    f"layer {layer.name!r}: the first layer, and only it, is the input"
                )
            for name in layer.inputs:
                if name not in shapes:
                    raise InputError(
                        f"layer {layer.name!r} reads {name!r}, which is not before it"
                    )
                if not isinstance(layer, Input) and shapes[name] != layer.ifm:
                    raise InputError(
                        f"layer {layer.name!r}: IFM {layer.ifm}, but {name!r} gives "
                        f"{shapes[name]}"
                    )
            shapes[layer.name] = layer.ofm
        if not self.layers:
            raise InputError(f"network {self.name!r} has no layers")
        unread = set(shapes) - {n for layer in self.layers for n in layer.inputs}
        if unread != {self.layers[-1].name}:
            raise InputError(
                f"network {self.name!r}: outputs {sorted(unread)}; must be one, "
                "the last layer"
            )

    def __repr__(self) -> str:
        """Return what it is in a line: what Python shows."""
        known = "" if self.params else ", without their values"
        return (
            f"<Network {self.name!r}: {len(self.layers) - 1} layers, frame "
            f"{self.input.ofm}, output {self.output.ofm}; {self.macs} "
            f"multiply-accumulates a frame, {self.parameters} parameters{known}>"
        )

    @property
    def label(self) -> str:
        """Return the name with the frame's size: "net@224", "net@49x10"."""
        frame = self.input.ofm
        size = f"{frame.height}x" * (frame.height != frame.width) + f"{frame.width}"
        return f"{self.name}@{size}"

    @property
    def input(self) -> Input:
        """Return the frame that enters."""
        first = self.layers[0]
        assert isinstance(first, Input)
        return first

    @property
    def output(self) -> Layer:
        """Return the last layer."""
        return self.layers[-1]

    @property
    def compute_layers(self) -> tuple[Compute, ...]:
        """Return the layers that hold weights, in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Compute))

    def with_layers(self, change: Callable[[Layer], Layer]) -> "Network":
        """Return the network with every layer as `change` makes it."""
        return replace(self, layers=tuple(map(change, self.layers)))

    @property
    def macs(self) -> int:
        """Return the multiply-accumulates of one frame."""
        return sum(layer.macs for layer in self.compute_layers)

    @property
    def parameters(self) -> int:
        """Return weights plus biases."""
        return sum(
            layer.weights + layer.ofm.channels * int(layer.bias)
            for layer in self.compute_layers
        )

    def consumers(self) -> dict[str, tuple[str, ...]]:
        """Return for every layer the names of the layers that read it."""
        readers: dict[str, list[str]] = {layer.name: [] for layer in self.layers}
        for layer in self.layers:
            for name in layer.inputs:
                readers[name].append(layer.name)
        return {name: tuple(names) for name, names in readers.items()}


Map = TypeVar("Map")


def run_layers(
    network: Network,
    run: Callable[[Layer, list[Map]], Map],
    keep: Collection[str] = (),
) -> dict[str, Map]:
    """Return the feature maps of the layers named in `keep`.

    Others are released once their last reader has run.

    Args:
        network: Whose layers run, in order.
        run: Returns the map of a layer, given those that it reads: none of an input.
        keep: Names of layers.
    """
    last_reader = {
        name: layer.name for layer in network.layers for name in layer.inputs
    }
    maps: dict[str, Map] = {}
    for layer in network.layers:
        maps[layer.name] = run(layer, [maps[name] for name in layer.inputs])
        for name in set(layer.inputs):
            if last_reader[name] == layer.name and name not in keep:
                del maps[name]
    return {name: maps[name] for name in keep}


def params_of(params: Params, names: Container[str]) -> dict[str, NDArray[np.generic]]:
    """Return the parameters of the layers of some names."""
    return {k: v for k, v in params.items() if k.rpartition(".")[0] in names}


def params_without(
    params: Params, names: Container[str]
) -> dict[str, NDArray[np.generic]]:
    """Return the parameters of all other layers than those of some names."""
    return {k: v for k, v in params.items() if k.rpartition(".")[0] not in names}


def _read_only(params: Params) -> Params:
    """Return parameters that nobody writes to; the arrays given stay as they are."""
    views = {}
    for key, array in params.items():
        views[key] = array.view() if array.flags.writeable else array
        views[key].setflags(write=False)
    return MappingProxyType(views)
