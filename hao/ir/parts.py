"""Which blocks of a network may other layers replace?

Where exactly one map is alive, the network is cut. Between two cuts lies a residual
block, or one layer; layers that follow each other alone are joined as far as one run of
the engine takes them (1x1, depthwise, 1x1). What reads the frame or makes the network's
output stays, and so does what the global average is part of.
"""

from hao.errors import UnsupportedError
from hao.ir.blocks import Block, layers_between
from hao.ir.layer import Add, Conv, Depthwise, Input, Layer, Linear, Transparent
from hao.ir.network import Network
from hao.ir.partition import Invocation, Partition, partition
from hao.ir.quantizers import is_quantized

MOST_JOINED = 3
"""Layers that one run of the engine takes at most."""


def replaceable_blocks(network: Network) -> tuple[Block, ...]:
    """Return the blocks that other layers may replace, in order of execution.

    Residual blocks are called as `hao.ir.blocks.residual_blocks` calls them, others by
    what the names of their layers have in common.

    Args:
        network: Layers; parameters are not needed.

    Raises:
        UnsupportedError: A layer that the engine cannot run, or a network that a file
            has quantized, whose weights no new layers could join.
    """
    if is_quantized(network) or any(
        isinstance(layer, Transparent) for layer in network.layers
    ):
        raise UnsupportedError(
            f"network {network.name!r}: quantized already, or with functions of single "
            "values that stand alone; operations are replaced in networks of "
            "convolutions, linear layers, pools and adds: give the float model"
        )
    part = partition(network)
    layers = {layer.name: layer for layer in network.layers}
    alone: list[Invocation] = [part.segments[0].invocation] * len(part.positions)
    for segment in part.segments:
        if segment.start == segment.end:
            alone[segment.start] = segment.invocation
    found = []
    for first, last in _spans(alone, part):
        entry, result = alone[first].input_name, alone[last].output_name
        names = layers_between(result, entry, layers)
        block = Block(
            name=_name(result, names, layers),
            entry=entry,
            result=result,
            layers=names,
            first=first,
            last=last,
        )
        if _may_go(block, alone[last], network, layers):
            found.append(block)
    return tuple(found)


def _spans(alone: list[Invocation], part: Partition) -> list[tuple[int, int]]:
    """Return first and last position of every span between cuts, joined where alone."""
    cuts = [0]
    for place in range(1, len(alone)):
        read = {
            name
            for run in alone[place:]
            for name in (run.input_name, run.residual_name)
            if name is not None
        }
        made = {run.output_name for run in alone[place:]}
        if len(read - made) == 1:
            cuts.append(place)
    spans = list(zip(cuts, [*(c - 1 for c in cuts[1:]), len(alone) - 1], strict=True))
    fused = {(segment.start, segment.end) for segment in part.segments}
    joined: list[tuple[int, int]] = []
    place = 0
    while place < len(spans):
        first, last = spans[place]
        count = 1
        if first == last and place > 0:
            for more in range(MOST_JOINED, 1, -1):
                run = spans[place : place + more]
                ends = [a == b for a, b in run]
                if len(run) == more and all(ends) and (first, run[-1][1]) in fused:
                    last, count = run[-1][1], more
                    break
        joined.append((first, last))
        place += count
    return joined


def _name(result: str, names: frozenset[str], layers: dict[str, Layer]) -> str:
    if isinstance(layers[result], Add):
        return result
    stem = _stem(names)
    alike = {name for name in layers if name.startswith(f"{stem}.")}
    return stem if stem and alike == names else f"{result}.block"


def _stem(names: frozenset[str]) -> str:
    """Return what names of layers have in common before a dot; empty if nothing."""
    split = [name.split(".")[:-1] for name in sorted(names)]
    common = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return ".".join(common)


def _may_go(
    block: Block, last: Invocation, network: Network, layers: dict[str, Layer]
) -> bool:
    inside = [layers[name] for name in block.layers]
    return (
        not isinstance(layers[block.entry], Input)
        and block.result != network.output.name
        and last.ofm == last.stage_ofm
        and any(isinstance(layer, Conv | Depthwise) for layer in inside)
        and not any(isinstance(layer, Input | Linear) for layer in inside)
    )
