"""Residual blocks that may be left out of a network, and the network without them.

A block is a chain of layers whose last one adds the map that the first one reads. Left
out, that map takes the place of the block's result: shapes agree, since they were
added. Weights of the other layers stay as they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hao.errors import InputError, UnsupportedError
from hao.ir.layer import Add, Input, Layer, Quantize
from hao.ir.network import Network
from hao.ir.partition import Invocation, partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A residual block.

    Attributes:
        name: The add that makes its result.
        entry: The layer whose result the block reads and adds.
        layers: Names of its layers, those without work included.
        first: Position of its first layer in the network's partition.
        last: Position of its last layer.
    """

    name: str
    entry: str
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
        block = Block(name=add.name, entry=entry, layers=names, first=first, last=last)
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
        names, waiting = set(skipped), [branch]
        while waiting:
            name = waiting.pop()
            if name == shortcut or name in names:
                continue
            if isinstance(layers[name], Input):
                break
            names.add(name)
            waiting += layers[name].inputs
        else:
            return shortcut, frozenset(names)
    return None


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
    """Return a network without some of its residual blocks.

    Args:
        network: Layers and, perhaps, parameters.
        blocks: Of `residual_blocks`.

    Raises:
        InputError: A layer outside a block reads a map inside.
    """
    entry = {block.name: block.entry for block in blocks}
    dropped = frozenset[str]().union(*(block.layers for block in blocks))

    def source(name: str) -> str:
        while name in entry:
            name = entry[name]
        return name

    kept: list[Layer] = []
    for layer in network.layers:
        if layer.name in dropped:
            continue
        if isinstance(layer, Add):
            first, second = layer.inputs
            kept.append(replace(layer, inputs=(source(first), source(second))))
        elif isinstance(layer, Input):
            kept.append(layer)
        else:
            kept.append(replace(layer, input=source(layer.input)))
    return Network(
        name=network.name,
        layers=tuple(kept),
        params={
            key: value
            for key, value in network.params.items()
            if key.rpartition(".")[0] not in dropped
        },
    )
