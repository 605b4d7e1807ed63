"""Operators on constants, evaluated while a file is read.

Exporters compute shapes and weights with chains of small operators. Those whose
operands are all known are run by onnx's reference evaluator, which defines what they
mean. Only operators of this list are: none of them reads files or loops, and none may
produce more than `MAX_BYTES`. What is known of a result's size is checked before it is
computed; `Alive` adds up the constants that are still needed, and all that is computed.
"""

import warnings
from collections.abc import Mapping, MutableMapping, Sequence

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from hao.errors import InputError, UnsupportedError
from hao.frontends.from_onnx.graph import Node
from hao.frontends.from_onnx.tensors import real_numbers
from hao.frontends.from_onnx.values import NodeCall, Value
from hao.frontends.piece_types import Array, Weight

MAX_BYTES = 2**29
"""Largest constant that is computed [bytes]; chosen here: the largest weight of VGG-19
has 411 MB."""

MAX_ALIVE_BYTES = 2**30
"""Most bytes of computed constants that are needed at one time [bytes]; chosen here."""

MAX_WORK = 2**33
"""Most bytes that are computed of constants in a file, and products that are added up
for them, together; chosen here: a minute's work. VGG-19's weights dequantized, scaled
and transposed are 1.7e9 bytes."""

_WIDEST = 8
"""Bytes of the widest number that a constant may be made of [bytes]."""

# fmt: off
FOLDED = frozenset({
    "Abs", "Add", "And", "BatchNormalization", "Cast", "CastLike", "Ceil", "Clip",
    "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Exp", "Expand",
    "Flatten", "Floor", "Gather", "Gemm", "Greater", "GreaterOrEqual", "Identity",
    "Less", "LessOrEqual", "Log", "MatMul", "Max", "Mean", "Min", "Mod", "Mul", "Neg",
    "Not", "Or", "Pad", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "Relu", "Reshape", "Round", "Shape",
    "Sign", "Size", "Slice", "Sqrt", "Squeeze", "Sub", "Sum", "Tile", "Transpose",
    "Unsqueeze", "Where",
})
# fmt: on

REARRANGING = frozenset(
    {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
"""Those that leave values as they are; integer weights stay integer weights."""


_RANGE_BYTES = 512
"""Bytes that a number of a Range counts for [bytes]; chosen here: the evaluator makes
a list of them, one by one, at 0.1 us each and more."""


class Alive:
    """The computed constants that nodes still to come will read."""

    def __init__(self, nodes: Sequence[Node], outputs: Sequence[str]) -> None:
        self._last = {name: node for node in nodes for name in node.inputs}
        self._kept = frozenset(outputs)
        self._bytes: dict[str, int] = {}
        self._work = 0.0

    def start(self, node: Node, values: Mapping[str, Value]) -> None:
        """Count the work that constants of a node are before it is done.

        Raises:
            UnsupportedError: The file computes more than `MAX_WORK` in all.
        """
        if node.op not in FOLDED or node.domain:
            return
        found = [values.get(name) for name in node.inputs if name]
        if all(isinstance(value, Weight) for value in found):
            known = [v.values for v in found if isinstance(v, Weight)]
            # What is more for a node alone is refused with it.
            self._work += min(MAX_BYTES, _bytes_made(node, known))
            self._work += _products(node, known)
        if self._work > MAX_WORK:
            raise UnsupportedError(
                f"{node.label}: what is computed of constants up to here comes to "
                f"{self._work:.4g} bytes and products; handled: up to {MAX_WORK}; "
                "store the results in the file"
            )

    def step(self, node: Node, values: MutableMapping[str, Value]) -> None:
        """Count what a node has made, and drop what it was the last to read.

        Raises:
            UnsupportedError: More than `MAX_ALIVE_BYTES` are needed at one time.
        """
        for name in node.outputs:
            made = values.get(name)
            if isinstance(made, Weight):
                self._bytes[name] = made.values.nbytes
        total = sum(self._bytes.values())
        if total > MAX_ALIVE_BYTES:
            raise UnsupportedError(
                f"{node.label}: constants of {total} bytes are needed at one time; "
                f"handled: up to {MAX_ALIVE_BYTES}"
            )
        for name in (*node.inputs, *node.outputs):
            over = self._last.get(name, node) is node and name not in self._kept
            if over and self._bytes.pop(name, None) is not None:
                del values[name]


def folded_constant(call: NodeCall) -> Weight:
    """Return the first output of a node whose operands are all constants.

    Integer weights stay integer weights when they are only moved around.

    Raises:
        InputError: The operator does not apply to these constants.
        UnsupportedError: It is not in `FOLDED`, or makes too large a constant.
    """
    node = call.node
    operands = [
        call.constant(position).values if name else None
        for position, name in enumerate(node.inputs)
    ]
    result = _evaluated(node, operands)
    source = call.operand(0)
    if isinstance(source, Weight) and source.quant and node.op in REARRANGING:
        return _moved(node, source, result)
    return Weight(values=result)


def _evaluated(node: Node, operands: list[Array | None]) -> Array:
    if node.op not in FOLDED or node.domain:
        raise UnsupportedError(
            f"{node.label}: computes a constant; handled: {', '.join(sorted(FOLDED))}"
        )
    # Not a number where start, limit or step of a Range is none.
    size = _bytes_made(node, [one for one in operands if one is not None])
    if not size <= MAX_BYTES:
        raise _too_large(node, size)
    names = [name for name in dict.fromkeys(node.inputs) if name]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [node.proto],
            "constant",
            [onnx.helper.make_empty_tensor_value_info(name) for name in names],
            [onnx.helper.make_empty_tensor_value_info(node.outputs[0])],
        ),
        opset_imports=[onnx.helper.make_opsetid("", node.version)],
    )
    feeds: dict[str, Array | None] = dict(zip(node.inputs, operands, strict=True))
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # means of nothing, and the like
            evaluator = ReferenceEvaluator(model)
            results = evaluator.run(None, {name: feeds[name] for name in names})
        result = np.asarray(next(iter(results)))
    except Exception as error:  # the evaluator raises whatever NumPy or it meets
        raise InputError(
            f"{node.label}: cannot be computed from its constants: {error}"
        ) from error
    if result.nbytes > MAX_BYTES:
        raise _too_large(node, result.nbytes)
    return real_numbers(node.label, result)


def _bytes_made(node: Node, known: Sequence[Array]) -> float:
    """Return about how many bytes an operator makes of constants; its own at least."""
    width = max((operand.dtype.itemsize for operand in known), default=_WIDEST)
    elements: float = max((operand.size for operand in known), default=1)
    match node.op:
        case "ConstantOfShape" if known:
            elements, width = _product(known[0]), _WIDEST
        case "Cast" | "CastLike" if known:
            elements, width = known[0].size, _WIDEST
        case "Expand" | "Tile" if len(known) > 1:
            elements = _product(known[1]) * max(1, known[0].size)
        case "Range" if len(known) == 3:
            start, limit, step = (float(v.astype(np.float64).ravel()[0]) for v in known)
            elements = abs(limit - start) / abs(step) if step else 0.0
            width = _RANGE_BYTES
        case "Pad" if known:
            pads = known[1] if len(known) > 1 else np.asarray(node.integers("pads", ()))
            elements = _product(pads + max(1, max(known[0].shape, default=1)))
        case "Gather" if len(known) > 1:
            axis = node.integer("axis", 0) % max(1, known[0].ndim)
            rows = known[0].shape[axis] if known[0].ndim else 1
            elements = known[1].size * known[0].size / max(1, rows)
        case "MatMul" | "Gemm" if len(known) > 1:
            rows, columns = known[0].size, known[1].size
            inner = known[0].shape[-1] if known[0].ndim else 1
            elements = rows * columns / max(1, inner) ** 2
        case _ if len(known) > 1:
            elements = _broadcast_size(known)
        case _:
            pass
    return float(elements * width)


def _products(node: Node, known: Sequence[Array]) -> float:
    """Return the products that a MatMul or Gemm of constants adds up."""
    if node.op not in ("Gemm", "MatMul") or len(known) < 2 or not known[0].ndim:
        return 0.0
    return float(known[0].size * known[1].size / max(1, known[0].shape[-1]))


def _product(values: Array) -> float:
    return float(np.prod(np.maximum(values.astype(np.float64), 1)))


def _broadcast_size(operands: Sequence[Array]) -> float:
    """Return the elements of a broadcast; 0 if the shapes do not broadcast."""
    try:
        shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    except ValueError:
        return 0.0
    return float(np.prod(shape, dtype=np.float64))


def _too_large(node: Node, size: float) -> UnsupportedError:
    return UnsupportedError(
        f"{node.label}: computes a constant of {size:.4g} bytes; handled: up to "
        f"{MAX_BYTES}"
    )


def _moved(node: Node, source: Weight, values: Array) -> Weight:
    """Return integer weights in a new arrangement, their scales moved along."""
    return Weight(
        values=values,
        quant=source.quant,
        scale=_moved_scale(node, source, source.scale, values),
        zero_point=_moved_scale(node, source, source.zero_point, values),
    )


def _moved_scale(node: Node, source: Weight, scale: Array, values: Array) -> Array:
    if scale.size == 1:
        return scale.reshape(1)
    rank = source.values.ndim
    if scale.ndim < rank:
        scale = scale.reshape((1,) * (rank - scale.ndim) + scale.shape)
    if node.op in ("Identity", "Cast"):
        return scale
    if node.op == "Transpose":
        return scale.transpose(node.integers("perm", range(rank)[::-1]))
    per_row = scale.shape[0] == scale.size == values.shape[0]
    if per_row and source.values.shape[0] == values.shape[0]:
        return scale.reshape(-1, *(1,) * (values.ndim - 1))
    raise UnsupportedError(
        f"{node.label}: rearranges integer weights with scales of shape {scale.shape}; "
        "handled: one scale, or one per output channel"
    )
