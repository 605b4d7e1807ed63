"""How much a model file may unpack to, checked before it does.

A file of a kilobyte can ask for any amount of memory and time: functions that call one
another twice each, arrays that another file holds in zeros, constants computed from a
shape. All networks that an accelerator runs stay far below these limits.
"""

from collections.abc import Iterable, Sequence
from math import prod
from pathlib import Path

import onnx

from hao.errors import InputError, UnsupportedError

MAX_FILE_BYTES = 800_000_000
"""Largest file, and most bytes of all stored arrays together [bytes]; chosen here: the
weights of VGG-19, the largest common classifier, have 575 MB."""

MAX_NODES = 3_000
"""Most nodes, functions written out; chosen here: ResNet-152 exports to about 500, a
quantized one or one that computes shapes at run time to some two thousand."""


def check_nodes(path: Path, model: onnx.ModelProto) -> None:
    """Check that a model stays small when its functions are written out.

    Raises:
        InputError: A function calls itself.
        UnsupportedError: There are more than `MAX_NODES` nodes.
    """
    bodies = {(f.domain, f.name): f.node for f in model.functions}
    counts: dict[tuple[str, str], int] = {}
    open_calls: set[tuple[str, str]] = set()

    def expanded(nodes: Iterable[onnx.NodeProto]) -> int:
        return sum(count(node) for node in nodes)

    def count(node: onnx.NodeProto) -> int:
        key = (node.domain, node.op_type)
        inner = sum(
            expanded(graph.node)
            for attribute in node.attribute
            for graph in (attribute.g, *attribute.graphs)
        )
        if key not in bodies:
            return 1 + inner
        if key not in counts:
            if key in open_calls:
                raise InputError(f"{path}: function {node.op_type!r} calls itself")
            open_calls.add(key)
            counts[key] = expanded(bodies[key])
            open_calls.remove(key)
        return counts[key] + inner

    try:
        total = expanded(model.graph.node)
    except RecursionError as error:
        raise UnsupportedError(
            f"{path}: functions or graphs nest too deep; handled: some hundred levels"
        ) from error
    if total > MAX_NODES:
        raise UnsupportedError(
            f"{path}: {_shown(total)} nodes with its functions written out; handled: "
            f"up to {MAX_NODES}"
        )


def check_stored(path: Path, tensors: Sequence[onnx.TensorProto]) -> None:
    """Check that arrays kept in other files fit the memory together.

    Many of them may claim the same bytes, or zeros that take no disk.

    Raises:
        UnsupportedError: They have more than `MAX_FILE_BYTES`.
    """
    total = sum(
        prod(max(0, size) for size in tensor.dims) * _width(tensor.data_type)
        for tensor in tensors
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    )
    if total > MAX_FILE_BYTES:
        raise UnsupportedError(
            f"{path}: stored arrays of {_shown(total)} bytes; handled: up to "
            f"{MAX_FILE_BYTES}"
        )


def _shown(total: int) -> str:
    return str(total) if total < 10**15 else f"{total:.3g}"


def _width(kind: int) -> int:
    """Return the bytes of a number in memory, 8 where the kind is not known."""
    try:
        return int(onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize)
    except (KeyError, TypeError, ValueError):
        return 8
