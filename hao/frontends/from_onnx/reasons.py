"""Why operators of ONNX files are refused, and what to put in their place."""

from collections.abc import Mapping

from hao.errors import UnsupportedError
from hao.frontends.from_onnx.graph import Node

_SMOOTH = "no smooth functions inside a network; train with ReLU or ReLU6 instead"
_ENLARGES = "maps never grow; classify, or leave what enlarges the map to the host"
_NORM = "statistics of the frame at hand; train with BatchNormalization instead"
_ATTENTION = "no products of two maps; use convolutions instead"
_LOOPS = "no recurrence and no branches; unroll the model, or use convolutions"
_INTEGERS = (
    "integer operators; export the model with QuantizeLinear and DequantizeLinear "
    "instead (QDQ format)"
)
_SPLITS = "maps are neither split nor joined; add maps of equal channels instead"
_SHAPES_VALUES = (
    "no such function of single values; train with ReLU or ReLU6, and leave what "
    "comes before the network or behind it to the host"
)
_REDUCES = "pixels are averaged, added up or their maximum taken; use ReduceMean"


def _each(reason: str, operators: str) -> dict[str, str]:
    return dict.fromkeys(operators.split(), reason)


REASONS: Mapping[str, str] = {
    **_each(_SMOOTH, "Celu Elu Erf Exp Gelu HardSwish Log Mish Pow Selu Softplus Sqrt"),
    **_each(_ENLARGES, "ConvTranspose DepthToSpace Resize Upsample"),
    **_each(_NORM, "GroupNormalization InstanceNormalization LRN LayerNormalization"),
    **_each(_ATTENTION, "Attention Einsum"),
    **_each(_SPLITS, "Gather Slice Split SpaceToDepth"),
    **_each(_LOOPS, "GRU LSTM RNN If Loop Scan"),
    **_each(_INTEGERS, "ConvInteger MatMulInteger QLinearConcat"),
    **_each(_INTEGERS, "QLinearAveragePool QLinearGlobalAveragePool"),
    **_each(_SHAPES_VALUES, "Abs Ceil Cos Floor Mod Reciprocal Round Sign Sin Where"),
    **_each(_SHAPES_VALUES, "And Equal Greater Less Not Or ThresholdedRelu"),
    **_each(_REDUCES, "GlobalLpPool LpPool ReduceL1 ReduceL2 ReduceMin ReduceProd"),
    "DynamicQuantizeLinear": "scales that each frame chooses; quantize statically, "
    "with onnxruntime.quantization.quantize_static in QDQ format",
    "FloatQuant": "quantizes to floating point (such as FP8); weights and feature maps "
    "must be integers: use Quant",
    "MultiThreshold": "a quantizer already turned into thresholds; export the QONNX "
    "model before FINN streamlines it",
}
"""Why some operators are refused that users are likely to meet, and the remedy."""


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
