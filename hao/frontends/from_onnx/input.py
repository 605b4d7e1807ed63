"""How the input of an ONNX graph lies over the frame that enters the network.

Most files take (batch, channels, height, width). Others take channels last, or a flat
vector that a Reshape makes an image of. The nodes between the input and the first
layer tell: they are followed to the tensor that the first layer reads, whose order is
known, and undone from there.
"""

from dataclasses import dataclass
from math import prod

from hao.errors import UnsupportedError
from hao.frontends.feature_map import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    Axis,
    Dimension,
    FeatureMap,
    one_axis_each,
    regroup,
    stand_in,
)
from hao.frontends.from_onnx.graph import Node, OnnxGraph
from hao.frontends.from_onnx.layers import CHANNELS_LAST_DOMAIN
from hao.frontends.reasons import FLAT
from hao.ir.tensor import MAX_SIDE, Shape

MAX_PIXELS = MAX_SIDE**2
"""Most pixels of a frame; chosen here: what `image_size` may ask for."""

_KEEPS_SHAPE = frozenset(
    {"Add", "BatchNormalization", "BipolarQuant", "Cast", "Clip", "DequantizeLinear"}
    | {"Div", "Identity", "IntQuant", "Mul", "Pad", "Quant", "QuantizeLinear", "Relu"}
    | {"Sub"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A node that moves the input around, and the shape before it."""

    sizes: tuple[int, ...]
    permutation: tuple[int, ...] | None


def input_map(
    graph: OnnxGraph,
) -> tuple[FeatureMap, tuple[str, ...], tuple[str, ...]]:
    """Return the input as a feature map, and notes on how it is taken.

    Returns:
        The map; the notes; what is wrong where it has other than two to four
        dimensions, or is no image: then the map only stands in for one.
    """
    try:
        return *_input_map(graph), ()
    except UnsupportedError as error:
        return stand_in(graph.input_layer, (), like=None), (), (str(error),)


def _input_map(graph: OnnxGraph) -> tuple[FeatureMap, tuple[str, ...]]:
    frame = graph.input
    sizes = frame.sizes
    steps: list[_Step] = []
    last: Node | None = None
    for node in _chain(graph):
        moved = _moved(graph, node, sizes)
        if moved is None:
            last = node
            break
        if node.op == "Transpose":
            permutation = node.integers("perm", range(len(sizes))[::-1])
            steps.append(_Step(sizes=sizes, permutation=permutation))
        elif moved != sizes:
            steps.append(_Step(sizes=sizes, permutation=None))
        sizes = moved
    if len(sizes) != 4:
        # No image: the file's own shape counts, whatever flattens it later.
        sizes, steps = frame.sizes, []
    layout = _read_by(graph.input_layer, sizes, last)
    for step in reversed(steps):
        layout = _undone(frame.name, layout, step)
    if layout.shape.pixels > MAX_PIXELS:
        raise UnsupportedError(
            f"input {frame.name!r}: frames of {layout.shape.height}x"
            f"{layout.shape.width}; handled: up to {MAX_PIXELS} pixels; export the "
            "model for smaller ones"
        )
    return layout, _notes(frame.name, frame.sizes, layout)


def _chain(graph: OnnxGraph) -> list[Node]:
    """Return the nodes in a row behind the input; the last one may be a layer."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.op != "Shape":
            for name in node.inputs:
                readers.setdefault(name, []).append(node)
    nodes: list[Node] = []
    name = graph.input.name
    while len(readers.get(name, ())) == 1:
        (node,) = readers[name]
        nodes.append(node)
        name = node.outputs[0]
    return nodes


def _moved(
    graph: OnnxGraph, node: Node, sizes: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Return the shape behind a node that no layer sees; None behind other nodes."""
    if node.op in _KEEPS_SHAPE and node.domain != CHANNELS_LAST_DOMAIN:
        return sizes
    rank = len(sizes)
    match node.op:
        case "Transpose":
            order = node.integers("perm", range(rank)[::-1])
            known_order = sorted(order) == list(range(rank))
            return tuple(sizes[i] for i in order) if known_order else None
        case "Reshape":
            target = _listed(graph, node, "shape")
            if target is None:
                return None
            wanted = [
                sizes[i] if size == 0 and i < rank else size
                for i, size in enumerate(target)
            ]
            known = prod(size for size in wanted if size != -1)
            if known < 1 or prod(sizes) % known:
                return None
            return tuple(prod(sizes) // known if s == -1 else s for s in wanted)
        case "Unsqueeze":
            axes = _listed(graph, node, "axes") or ()
            new = {axis % (rank + len(axes)) for axis in axes}
            left = iter(sizes)
            return tuple(
                1 if i in new else next(left, 1) for i in range(rank + len(axes))
            )
        case _:
            return None


def _listed(graph: OnnxGraph, node: Node, attribute: str) -> tuple[int, ...] | None:
    """Return a list from a stored operand or an attribute, if it is there."""
    if len(node.inputs) > 1:
        stored = graph.constants.get(node.inputs[1])
        if stored is None:
            maker = next((n for n in graph.nodes if node.inputs[1] in n.outputs), None)
            value = maker.attributes.get("value") if maker else None
            if value is None or isinstance(value, int | float | str | tuple):
                return None
            stored = value
        return tuple(int(value) for value in stored.ravel())
    return node.integers(attribute, ()) if attribute in node.attributes else None


def _read_by(layer: str, sizes: tuple[int, ...], reader: Node | None) -> FeatureMap:
    """Return the tensor that the first layer reads."""
    order: tuple[Axis, ...]
    match sizes:
        case (batch, features):
            shape = Shape(channels=features, height=1, width=1)
            order = (Axis.BATCH, Axis.CHANNEL)
        case (batch, height, width):
            shape = Shape(channels=1, height=height, width=width)
            order = (Axis.BATCH, Axis.HEIGHT, Axis.WIDTH)
        case (batch, height, width, channels) if (
            reader is not None and reader.domain == CHANNELS_LAST_DOMAIN
        ):
            shape = Shape(channels=channels, height=height, width=width)
            order = CHANNELS_LAST
        case (batch, channels, height, width):
            shape = Shape(channels=channels, height=height, width=width)
            order = CHANNELS_FIRST
        case _:
            raise UnsupportedError(
                f"input of shape {sizes}; handled: (batch, features) and (batch, "
                f"channels, height, width); {FLAT}"
            )
    bare = FeatureMap(layer=layer, batch=batch, shape=shape, dimensions=())
    return FeatureMap(
        layer=layer,
        batch=batch,
        shape=shape,
        dimensions=one_axis_each(bare, order),
    )


def _undone(name: str, layout: FeatureMap, step: _Step) -> FeatureMap:
    """Return the tensor before a step."""
    before: tuple[Dimension, ...] | None
    if step.permutation is None:
        before = regroup(layout, layout.axes, step.sizes)
    else:
        inverse = sorted(range(len(step.sizes)), key=step.permutation.__getitem__)
        before = tuple(layout.dimensions[i] for i in inverse)
    if before is None:
        raise UnsupportedError(
            f"input {name!r}: a Reshape cuts through its rows or channels; handled: "
            "adding or removing sizes of 1, and unflattening"
        )
    return FeatureMap(
        layer=layout.layer, batch=layout.batch, shape=layout.shape, dimensions=before
    )


def _notes(name: str, sizes: tuple[int, ...], layout: FeatureMap) -> tuple[str, ...]:
    shape = layout.shape
    taken = (shape.channels, shape.height, shape.width)
    order = [axis for axis in CHANNELS_FIRST if axis in layout.axes]
    if list(layout.axes) == order and (sizes[1:] == taken or len(sizes) == 2):
        return ()
    axes = ", ".join(axis.value for axis in layout.axes if axis is not Axis.BATCH)
    return (
        f"input {name!r} of shape {sizes}, running over ({axes}), is taken as "
        f"(channels, height, width) = {taken}",
    )
