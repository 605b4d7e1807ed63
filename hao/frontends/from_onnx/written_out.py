"""Operators of onnxruntime, written out in those of ONNX.

Its QOperator format has operators on integers, which dequantize their operands,
compute, and quantize the result. Each is replaced by those: DequantizeLinear, the
operator on real values, QuantizeLinear, as the QDQ format has them. The same codes come
out, but where onnxruntime multiplies by a ratio of scales in single precision and a
value lies within its error of a half. Files that it has optimized have convolutions
and matrix products with an activation.

Source: ONNX operator specification, QLinearConv-10 and QLinearMatMul-21, and
onnxruntime 1.20, docs/ContribOperators.md, for those of the domain com.microsoft.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType

from onnx import ModelProto, NodeProto, helper

CONTRIB_DOMAIN = "com.microsoft"

_LINEAR = frozenset({"DequantizeLinear", "QuantizeLinear"})
"""Those that onnxruntime has for 16 bits and older operator sets, with the same inputs
as ONNX has now."""

_UNARY: Mapping[str, str] = MappingProxyType(
    {
        "QLinearAveragePool": "AveragePool",
        "QLinearGlobalAveragePool": "GlobalAveragePool",
        "QLinearLeakyRelu": "LeakyRelu",
        "QLinearSigmoid": "Sigmoid",
        "QLinearSoftmax": "Softmax",
    }
)
"""Inputs: x, its scale and zero point, those of the result."""

_BINARY: Mapping[str, str] = MappingProxyType(
    {"QLinearAdd": "Add", "QLinearMul": "Mul"}
)
"""Inputs: two operands with scale and zero point each, those of the result."""


def written_out(model: ModelProto) -> ModelProto:
    """Return a model in which onnxruntime's operators are written out, changed itself.

    Those that are not known stay as they are.
    """
    made: list[NodeProto] = []
    for node in model.graph.node:
        writer = _WRITERS.get(node.op_type)
        if node.domain == CONTRIB_DOMAIN and node.op_type in _LINEAR:
            node.domain = ""
        last = any(a.name == "channels_last" and a.i for a in node.attribute)
        if writer is None or last or not node.output:
            made.append(node)
        else:
            made += writer(_Writing(node)).nodes
    del model.graph.node[:]
    model.graph.node.extend(made)
    return model


class _Writing:
    """The nodes that one operator becomes, while they are collected."""

    def __init__(self, node: NodeProto) -> None:
        self._node = node
        self._title = node.name or node.output[0]
        self.nodes: list[NodeProto] = []

    def input(self, position: int) -> str:
        """Return the name of an input, "" if it is left out."""
        inputs = self._node.input
        return inputs[position] if position < len(inputs) else ""

    def integer(self, name: str) -> int:
        """Return an attribute, 0 if it is left out."""
        return next((a.i for a in self._node.attribute if a.name == name), 0)

    def real(self, position: int, *, axis: int = 1) -> str:
        """Return the values of the operand at a position, scale and zero point next."""
        inputs = [self.input(position + index) for index in range(3)]
        return self._add("DequantizeLinear", inputs, f"real{position}", axis=axis)

    def bias(self, position: int, scales: tuple[str, str]) -> str:
        """Return the values of a bias whose scale is a product."""
        scale = self._add("Mul", scales, "bias_scale")
        return self._add(
            "DequantizeLinear", [self.input(position), scale], "bias", axis=0
        )

    def quantized(self, op: str, operands: Iterable[str], scale: int) -> "_Writing":
        """Add the operator and what quantizes its result.

        Args:
            op: The operator on real values.
            operands: What it reads.
            scale: Position of the result's scale, before that of its zero point.
        """
        output = self._node.output[0]
        quantizes = bool(self.input(scale))
        values = f"{self._title}:values" if quantizes else output
        node = helper.make_node(op, list(operands), [values], name=self._title)
        node.attribute.extend(
            a for a in self._node.attribute if a.name not in ("channels_last", "opset")
        )
        self.nodes.append(node)
        if quantizes:
            inputs = [values, self.input(scale), self.input(scale + 1)]
            while not inputs[-1]:
                inputs.pop()
            self.nodes.append(helper.make_node("QuantizeLinear", inputs, [output]))
        return self

    def activated(self, op: str) -> "_Writing":
        """Add the operator, a sum with the fourth input if any, and the activation."""
        fused = {a.name: a for a in self._node.attribute}
        node = helper.make_node(
            op, self._node.input[:3], [f"{self._title}:sums"], name=self._title
        )
        node.attribute.extend(
            a for name, a in fused.items() if not name.startswith("activation")
        )
        self.nodes.append(node)
        values = node.output[0]
        if self.input(3):
            values = self._add("Add", [values, self.input(3)], "added")
        kind = fused["activation"].s.decode() if "activation" in fused else "Identity"
        made = helper.make_node(kind, [values], list(self._node.output[:1]))
        listed = fused.get("activation_params")
        numbers = list(listed.floats) if listed else []
        numbers += [
            fused[name].f
            for name in ("activation_alpha", "activation_beta")
            if name in fused
        ]
        names = ("min", "max") if kind == "Clip" else ("alpha", "beta")
        made.attribute.extend(map(helper.make_attribute, names, numbers))
        self.nodes.append(made)
        return self

    def _add(
        self, op: str, inputs: Iterable[str], part: str, axis: int | None = None
    ) -> str:
        output = f"{self._title}:{part}"
        node = helper.make_node(op, list(inputs), [output])
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        self.nodes.append(node)
        return output


def _unary(to: _Writing, op: str) -> _Writing:
    return to.quantized(op, [to.real(0)], 3)


def _binary(to: _Writing, op: str) -> _Writing:
    return to.quantized(op, [to.real(0), to.real(3)], 6)


def _conv(to: _Writing) -> _Writing:
    """Inputs: x, w (scales by its first axis), those of the result; then a bias."""
    operands = [to.real(0), to.real(3, axis=0)]
    if to.input(8):
        operands.append(to.bias(8, (to.input(1), to.input(4))))
    return to.quantized("Conv", operands, 6)


def _matmul(to: _Writing) -> _Writing:
    """Inputs: a, b (scales by its last axis), those of the result."""
    return to.quantized("MatMul", [to.real(0), to.real(3, axis=-1)], 6)


def _gemm(to: _Writing) -> _Writing:
    """Inputs: a, b (scales by output), those of the result if it has some; a bias."""
    operands = [to.real(0), to.real(3, axis=0 if to.integer("transB") else 1)]
    if to.input(6):
        operands.append(to.bias(6, (to.input(1), to.input(4))))
    return to.quantized("Gemm", operands, 7)


_WRITERS: Mapping[str, Callable[[_Writing], _Writing]] = {
    **{name: partial(_unary, op=op) for name, op in _UNARY.items()},
    **{name: partial(_binary, op=op) for name, op in _BINARY.items()},
    "FusedConv": partial(_Writing.activated, op="Conv"),
    "FusedGemm": partial(_Writing.activated, op="Gemm"),
    "QGemm": _gemm,
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
}
"""What writes an operator out. Source: ONNX operator specification; for the operators
of com.microsoft, onnxruntime 1.20, docs/ContribOperators.md."""
