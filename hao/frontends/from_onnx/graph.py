"""Reading an ONNX file: bytes to nodes and arrays, trusting nothing in them.

A model file comes from anywhere: it is parsed as a protobuf message and never
unpickled, and only what the outputs depend on is looked at. How arrays are read is in
`hao.frontends.from_onnx.tensors`, what the nodes mean in
`hao.frontends.from_onnx.layers`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import MappingProxyType

import onnx
from onnx import inliner

from hao.errors import InputError, UnsupportedError
from hao.frontends.from_onnx.limits import MAX_FILE_BYTES, check_nodes, check_stored
from hao.frontends.from_onnx.tensors import open_sizes, stored_array, tensor_values
from hao.frontends.from_onnx.written_out import written_out
from hao.frontends.imported import unique_names
from hao.frontends.piece_types import Array, NodeSite
from hao.ir.tensor import ImageSize

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | Array

MIN_OPSET = 7
"""Oldest operator set that is read: before it, Add and Mul named the axis along which
they broadcast. Source: onnx/docs/Changelog.md, Add-6 and Add-7."""

ZIP_MAGIC = b"PK"
PICKLE_MAGIC = b"\x80"
"""First bytes of files that torch.save writes; source: APPNOTE.TXT 4.3.7 (zip), PEP
3154 (pickle protocol 2 and later)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator.

    Attributes:
        site: Safe layer name, and what errors call it.
        op: Operator type, such as "Conv".
        domain: Who defines it; "" for ONNX itself.
        version: Version of that domain's operators, as the file declares it.
        inputs: Tensor names; "" where an optional one is left out.
        outputs: Tensor names.
        attributes: By name; graphs and other rare kinds are left out.
        proto: The message, for evaluation on constants.
    """

    site: NodeSite
    op: str
    domain: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    proto: onnx.NodeProto

    @property
    def label(self) -> str:
        """Return what errors call it."""
        return self.site.label

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise InputError(f"{self.label}: attribute {name} is not an integer")
        return value

    def integers(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """Return an attribute that lists integers."""
        value = self.attributes.get(name, tuple(default))
        if not isinstance(value, tuple) or not all(isinstance(i, int) for i in value):
            raise InputError(
                f"{self.label}: attribute {name} is not a list of integers"
            )
        return tuple(int(item) for item in value)

    def real(self, name: str, default: float) -> float:
        """Return a floating-point attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int | float):
            raise InputError(f"{self.label}: attribute {name} is not a number")
        return float(value)

    def text(self, name: str, default: str) -> str:
        """Return a text attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, str):
            raise InputError(f"{self.label}: attribute {name} is not a text")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphInput:
    """The tensor that enters.

    Attributes:
        name: What nodes call it.
        sizes: Its shape, the batch first, 1 where that may vary.
        kind: Type of its numbers, one of onnx.TensorProto.
    """

    name: str
    sizes: tuple[int, ...]
    kind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxGraph:
    """What a file holds that its outputs depend on.

    Attributes:
        input: The frame.
        outputs: Names of the output tensors.
        nodes: Operators in an order in which they can run.
        constants: Stored arrays, by tensor name.
        input_layer: Safe name for the frame.
        model: The file, for shapes.
    """

    input: GraphInput
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    input_layer: str
    model: onnx.ModelProto

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of tensors as far as onnx can tell; a size of 0 is open."""
        try:
            model = onnx.shape_inference.infer_shapes(self.model)
        except Exception:  # whatever onnx meets in a file that contradicts itself
            return {}
        return {
            value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
            for value in (*model.graph.value_info, *model.graph.output)
        }


def load_graph(path: Path, *, image_size: ImageSize | None = None) -> OnnxGraph:
    """Return the part of an ONNX file that its outputs depend on.

    Args:
        path: The file.
        image_size: Height and width of the frame where the file leaves them open.

    Raises:
        InputError: The file cannot be read, is no ONNX model, refers to files outside
            its folder, or contradicts itself.
        UnsupportedError: Weights are missing, there are several inputs, or the
            operator set is too old.
    """
    model = written_out(_parsed(path))
    versions = {entry.domain: entry.version for entry in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx"))
    if opset is None:
        raise InputError(f"{path}: declares no operator set; the file may be cut off")
    if opset < MIN_OPSET:
        raise UnsupportedError(
            f"{path}: operator set {opset}; handled: {MIN_OPSET} and later; convert "
            "the file with onnx.version_converter"
        )
    versions = {**versions, "": opset}
    outputs = tuple(output.name for output in model.graph.output)
    if not outputs:
        raise InputError(f"{path}: the graph has no output")
    protos = _ordered(path, _needed(path, model.graph.node, outputs))
    used = {name for proto in protos for name in proto.input} | set(outputs)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    sparse = {t.values.name for t in model.graph.sparse_initializer} & used
    if sparse:
        raise UnsupportedError(f"{path}: sparse tensor {min(sparse)!r}; handled: dense")
    frame = _frame(path, model.graph, protos, used - set(stored), image_size)
    layers = unique_names([frame.name, *(_title(proto) for proto in protos)])
    nodes = tuple(
        _node(proto, layer, versions)
        for proto, layer in zip(protos, layers[1:], strict=True)
    )
    needed = {name: tensor for name, tensor in stored.items() if name in used}
    check_stored(path, list(needed.values()))
    constants = {name: stored_array(tensor, path) for name, tensor in needed.items()}
    return OnnxGraph(
        input=frame,
        outputs=outputs,
        nodes=nodes,
        constants=MappingProxyType(constants),
        input_layer=layers[0],
        model=model,
    )


def _parsed(path: Path) -> onnx.ModelProto:
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{path}: {size} bytes; must be at most {MAX_FILE_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if content.startswith((ZIP_MAGIC, PICKLE_MAGIC)):
        raise InputError(
            f"{path}: a zip archive or a pickle, not an ONNX model; hao never "
            "unpickles a file; export the model with torch.onnx.export"
        )
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError, whose module has no types
        raise InputError(f"{path}: not an ONNX model, or cut off") from error
    if not model.ir_version or not model.HasField("graph"):
        raise InputError(f"{path}: not an ONNX model: it holds no graph")
    _check_texts(path, model)
    check_nodes(path, model)
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # the C++ inliner raises several unrelated types
        raise InputError(f"{path}: its functions cannot be inlined: {error}") from error


def _check_texts(path: Path, model: onnx.ModelProto) -> None:
    """Refuse names that are not UTF-8; protobuf hands them over as bytes."""
    graph = model.graph
    names: list[object] = [entry.domain for entry in model.opset_import]
    names += [tensor.name for tensor in graph.initializer]
    names += [value.name for value in (*graph.input, *graph.output)]
    for proto in graph.node:
        names += [proto.name, proto.op_type, proto.domain, *proto.input, *proto.output]
        names += [attribute.name for attribute in proto.attribute]
    broken = [name for name in names if not isinstance(name, str)]
    if broken:
        raise InputError(f"{path}: {broken[0]!r} is no text; the file is damaged")


def _needed(
    path: Path, protos: Iterable[onnx.NodeProto], outputs: Sequence[str]
) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs depend on, in the order of the file."""
    makers: dict[str, int] = {}
    everything = list(protos)
    for index, proto in enumerate(everything):
        for name in filter(None, proto.output):
            if name in makers:
                raise InputError(f"{path}: tensor {name!r} is written by two nodes")
            makers[name] = index
    wanted = list(outputs)
    needed: set[int] = set()
    while wanted:
        index = makers.get(wanted.pop(), -1)
        if index >= 0 and index not in needed:
            needed.add(index)
            wanted.extend(reads(everything[index]))
    return [everything[index] for index in sorted(needed)]


def reads(proto: onnx.NodeProto) -> list[str]:
    """Return what a node reads, in the graphs of its branches or its loop too."""
    nodes = [n for a in proto.attribute for g in (a.g, *a.graphs) for n in g.node]
    return [*proto.input, *(name for node in nodes for name in reads(node))]


def _ordered(path: Path, protos: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the nodes with every tensor written before it is read."""
    makers = {name: i for i, proto in enumerate(protos) for name in proto.output}
    readers = {
        i: [makers[name] for name in proto.input if name in makers]
        for i, proto in enumerate(protos)
    }
    if all(before < i for i, earlier in readers.items() for before in earlier):
        return protos
    try:
        return [protos[i] for i in TopologicalSorter(readers).static_order()]
    except CycleError as error:
        raise InputError(f"{path}: nodes read one another in a circle") from error


def _frame(
    path: Path,
    graph: onnx.GraphProto,
    protos: Sequence[onnx.NodeProto],
    unstored: set[str],
    image_size: ImageSize | None,
) -> GraphInput:
    """Return the one input of the graph that is not a stored array."""
    made = {name for proto in protos for name in proto.output}
    entering = {value.name: value for value in graph.input if value.name in unstored}
    for proto in protos:
        for position, name in enumerate(proto.input):
            if not name or name in made or name not in unstored:
                continue
            weight = position > 0 and proto.op_type in ("Conv", "Gemm", "MatMul")
            if weight and (name not in entering or len(entering) > 1):
                raise UnsupportedError(
                    f"{_label(proto)}: its weights {name!r} are not in the file; "
                    "handled: models with their weights"
                )
            if name not in entering:
                raise InputError(
                    f"{path}: {_label(proto)} reads {name!r}, which nothing writes"
                )
    if len(entering) != 1:
        raise UnsupportedError(
            f"{path}: inputs {sorted(entering)}; handled: networks of one input; make "
            "the others constants, or cut the file with onnx.utils.extract_model "
            "behind where they meet"
        )
    (value,) = entering.values()
    return GraphInput(
        name=value.name,
        sizes=_sizes(path, value, image_size),
        kind=value.type.tensor_type.elem_type,
    )


def _sizes(
    path: Path, value: onnx.ValueInfoProto, image_size: ImageSize | None
) -> tuple[int, ...]:
    """Return the sizes of the frame, those that the file leaves open from outside.

    The value is changed too, so that shapes can be inferred.
    """
    tensor, place = value.type.tensor_type, f"{path}: input {value.name!r}"
    if not tensor.HasField("shape"):
        raise InputError(f"{place} has no shape; export it with one")
    sizes: list[int] = []
    # PaddlePaddle writes -1 for a size that is open, others 0 or a name.
    found = [max(0, each.dim_value) for each in tensor.shape.dim]
    given = open_sizes(found, image_size)
    for position, dimension in enumerate(tensor.shape.dim):
        if found[position]:
            sizes.append(found[position])
        elif position == 0:
            sizes.append(1)
        elif position in given:
            dimension.dim_value = given[position]
            sizes.append(dimension.dim_value)
        else:
            known = dimension.dim_param or dimension.dim_value or "unknown"
            raise InputError(
                f"{place}: dimension {position} is {known}; must "
                "be a size of at least 1 (only the batch may vary); give height and "
                "width with `image_size`, or export the model with fixed sizes"
            )
    return tuple(sizes)


def _title(proto: onnx.NodeProto) -> str:
    return proto.name or next(filter(None, proto.output), proto.op_type)


def _label(proto: onnx.NodeProto) -> str:
    return f"{proto.op_type} {_title(proto)!r}"


def _node(proto: onnx.NodeProto, layer: str, versions: Mapping[str, int]) -> Node:
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    label = _label(proto)
    return Node(
        site=NodeSite(layer=layer, label=label),
        op=proto.op_type,
        domain=domain,
        version=versions.get(domain, 1),
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes=MappingProxyType(
            {
                a.name: v
                for a in proto.attribute
                if (v := _attribute(a, label)) is not None
            }
        ),
        proto=proto,
    )


def _attribute(proto: onnx.AttributeProto, label: str) -> Attribute | None:
    kind = onnx.AttributeProto
    match proto.type:
        case kind.INT:
            return proto.i
        case kind.FLOAT:
            return proto.f
        case kind.STRING:
            return proto.s.decode("utf-8", errors="replace")
        case kind.INTS:
            return tuple(proto.ints)
        case kind.FLOATS:
            return tuple(proto.floats)
        case kind.TENSOR:
            return tensor_values(proto.t, f"{label}, attribute {proto.name}")
        case _:
            return None
