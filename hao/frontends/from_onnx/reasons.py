"""Why operators of ONNX files are refused, and what to put in their place."""

from collections.abc import Mapping
from functools import cache

import onnx

from hao.errors import InputError, UnsupportedError
from hao.frontends import reasons as why
from hao.frontends.from_onnx.graph import MIN_OPSET, Node

_INTEGERS = (
    "integer operators; export the model with QuantizeLinear and DequantizeLinear "
    "instead (QDQ format)"
)
_SHAPES_VALUES = (
    "no such function of single values; train with ReLU or ReLU6, and leave what "
    "comes before the network or behind it to the host"
)
_REDUCES = "pixels are averaged, added up or their maximum taken; use ReduceMean"

REASONS: Mapping[str, str] = {
    **why.by_operator(
        {
            why.SMOOTH: "Celu Elu Erf Exp Gelu HardSwish Log Mish Pow Selu Softplus "
            "Sqrt",
            why.ENLARGES: "ConvTranspose DepthToSpace Resize Upsample",
            why.NORM: "GroupNormalization InstanceNormalization LRN LayerNormalization",
            why.ATTENTION: "Attention Einsum",
            why.SPLITS: "Gather Slice Split SpaceToDepth",
            why.LOOPS: "GRU LSTM RNN If Loop Scan",
            _INTEGERS: "ConvInteger MatMulInteger QLinearAveragePool QLinearConcat "
            "QLinearGlobalAveragePool",
            _SHAPES_VALUES: "Abs And Ceil Cos Equal Floor Greater Less Mod Not Or "
            "Reciprocal Round Sign Sin ThresholdedRelu Where",
            _REDUCES: "GlobalLpPool LpPool ReduceL1 ReduceL2 ReduceMin ReduceProd",
        }
    ),
    "DynamicQuantizeLinear": "scales that each frame chooses; quantize statically, "
    "with onnxruntime.quantization.quantize_static in QDQ format",
    "FloatQuant": "quantizes to floating point (such as FP8); weights and feature maps "
    "must be integers: use Quant",
    "MultiThreshold": "a quantizer already turned into thresholds; export the QONNX "
    "model before FINN streamlines it",
}
"""Why some operators are refused that users are likely to meet, and the remedy."""


@cache
def _schema(op: str) -> tuple[int, frozenset[str]] | None:
    """Return the most inputs of an operator of ONNX, and attributes it cannot lack.

    Over all versions that are read, as files declare one and follow another.
    """
    every = onnx.defs.get_all_schemas_with_history()
    found = [one for one in every if one.name == op and one.domain == ""]
    old = [one.since_version for one in found if one.since_version <= MIN_OPSET]
    found = [one for one in found if one.since_version >= max(old, default=0)]
    if not found:
        return None
    needed = [{k for k, a in one.attributes.items() if a.required} for one in found]
    most = max(int(one.max_input) for one in found)
    return most, frozenset(set.intersection(*needed))


def check_form(node: Node) -> None:
    """Check that a node has no more inputs than its operator, and what that requires.

    Raises:
        InputError: It has more, or lacks an attribute.
    """
    known = None if node.domain else _schema(node.op)
    if known is None:
        return
    most, needed = known
    if len(node.inputs) > most:
        raise InputError(
            f"{node.label}: {len(node.inputs)} inputs; {node.op} has at most {most}"
        )
    if missing := needed.difference(one.name for one in node.proto.attribute):
        raise InputError(
            f"{node.label}: has no attribute {min(missing)}, which it needs"
        )


def refused(node: Node) -> UnsupportedError:
    """Return why a node is refused, with what to put in its place."""
    domain = f" of {node.domain!r}" if node.domain else ""
    reason = REASONS.get(
        node.op,
        "the engine has no such operation; put one of docs/models.md in its place, or "
        "leave it to the host",
    )
    if "fpgadataflow" in node.domain:
        reason = "a FINN hardware block; import the model from before the conversion"
    return UnsupportedError(f"{node.label}{domain} is not handled: {reason}")
