"""Blocks that may be left out of a network or replaced, and the network without them.

A block is a part of a network that reads one map and makes one; no other layer reads
what is inside. Left out, the map that it reads takes the place of its result; replaced,
the result of the layers in its place does. Weights of other layers stay as they are.

A residual block is a chain of layers whose last one adds the map that the first one
reads. What else may be replaced is found by `hao.ir.parts`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hao.errors import InputError, UnsupportedError
from hao.ir.layer import Add, Input, Layer, Quantize, reading
from hao.ir.network import Network, params_without
from hao.ir.partition import Invocation, partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block.

    Attributes:
        name: What it is called; of a residual block, the add that makes its result.
        entry: The layer whose result the block reads.
        result: The layer that makes its result.
        layers: Names of its layers, those without work included.
        first: Position of its first layer in the network's partition.
        last: Position of its last layer.
    """

    name: str
    entry: str
    result: str
    layers: frozenset[str]
    first: int
    last: int


def residual_blocks(network: Network) -> tuple[Block, ...]:
    """Return the blocks that may be left out, in order of execution.

    Every run of neighbouring blocks may be left out together: what remains keeps its
    order. Blocks of which that is not so are not offered.

    Args:
        network: Layers; parameters are not needed.

    Raises:
        UnsupportedError: A layer that the engine cannot run.
    """
    part = partition(network)
    alone: dict[int, Invocation] = {}
    for segment in part.segments:
        if segment.start == segment.end:
            alone.setdefault(segment.start, segment.invocation)
    layers = {layer.name: layer for layer in network.layers}
    found: list[Block] = []
    for last, run in sorted(alone.items()):
        first = last
        while (
            run.residual_name is not None
            and alone[first].input_name != run.residual_name
            and first > 0
            and alone[first - 1].output_name == alone[first].input_name
        ):
            first -= 1
        if alone[first].input_name != run.residual_name or run.ofm != run.stage_ofm:
            continue
        add = layers[run.output_name]
        inside = _inside(add, layers)
        if inside is None:
            continue
        entry, names = inside
        block = Block(
            name=add.name,
            entry=entry,
            result=add.name,
            layers=names,
            first=first,
            last=last,
        )
        if _keeps_order(network, part.positions, block, found):
            found.append(block)
    return tuple(found)


def _inside(add: Layer, layers: dict[str, Layer]) -> tuple[str, frozenset[str]] | None:
    """Return what a block reads, and its layers, or `None` if it reads several maps."""
    if not isinstance(add, Add):
        return None
    for shortcut, branch in (add.inputs, add.inputs[::-1]):
        skipped = {add.name}
        while isinstance(layers[shortcut], Quantize):
            skipped.add(shortcut)
            (shortcut,) = layers[shortcut].inputs
        names = layers_between(branch, shortcut, layers)
        if not any(isinstance(layers[name], Input) for name in names):
            return shortcut, names | skipped
    return None


def layers_between(
    result: str, entry: str, layers: Mapping[str, Layer]
) -> frozenset[str]:
    """Return the layers that make `result` of `entry`, and of whatever else they read.

    Args:
        result: The last of them.
        entry: The layer before them.
        layers: Of the network, by name.
    """
    names: set[str] = set()
    waiting = [result]
    while waiting:
        name = waiting.pop()
        if name != entry and name not in names:
            names.add(name)
            waiting += layers[name].inputs
    return frozenset(names)


def _keeps_order(
    network: Network, positions: tuple[str, ...], block: Block, before: list[Block]
) -> bool:
    """Return whether what is left keeps its order without the block and its run."""
    run = [block]
    for other in [None, *reversed(before)]:
        if other is not None:
            if other.last + 1 != run[-1].first:
                return True
            run.append(other)
        dropped = {p for b in run for p in range(b.first, b.last + 1)}
        left = tuple(name for p, name in enumerate(positions) if p not in dropped)
        try:
            if partition(without_blocks(network, run)).positions != left:
                return False
        except (InputError, UnsupportedError):
            return False
    return True


def without_blocks(network: Network, blocks: Iterable[Block]) -> Network:
    """Return a network without some of its blocks.

    Args:
        network: Layers and, perhaps, parameters.
        blocks: Of `residual_blocks` or `hao.ir.parts`; each has the shape of its entry.

    Raises:
        InputError: A layer outside a block reads a map inside.
    """
    return with_operations(network, {block: () for block in blocks})


def with_operations(
    network: Network, operations: Mapping[Block, Sequence[Layer]]
) -> Network:
    """Return a network with other layers in the place of some of its blocks.

    Args:
        network: Layers and, perhaps, parameters.
        operations: In topological order, each reading the block's entry or another of
            them; none leaves the block out. Their names are new to the network.

    Returns:
        Without parameters of the new layers.

    Raises:
        InputError: A layer outside a block reads a map inside, or the layers in its
            place do not fit between the maps that it reads and makes.
    """
    instead = {
        block.result: layers[-1].name if layers else block.entry
        for block, layers in operations.items()
    }
    dropped = frozenset[str]().union(*(block.layers for block in operations))

    def source(name: str) -> str:
        while name in instead:
            name = instead[name]
        return name

    def repointed(layer: Layer) -> Layer:
        return reading(layer, {name: source(name) for name in layer.inputs})

    waiting = dict(operations)
    kept: list[Layer] = []
    for layer in network.layers:
        for block in [b for b in waiting if layer.name in b.layers]:
            kept += map(repointed, waiting.pop(block))
        if layer.name not in dropped:
            kept.append(repointed(layer))
    params = params_without(network.params, dropped)
    return replace(network, layers=tuple(kept), params=params)
