"""Why operators of ONNX files are refused, and what to put in their place."""

from collections.abc import Mapping

from hao.errors import UnsupportedError
from hao.frontends.from_onnx.graph import Node
from hao.frontends.reasons import (
    ATTENTION,
    ENLARGES,
    LOOPS,
    NORM,
    SMOOTH,
    SPLITS,
    for_each,
)

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
    **for_each(
        SMOOTH, "Celu Elu Erf Exp Gelu HardSwish Log Mish Pow Selu Softplus Sqrt"
    ),
    **for_each(ENLARGES, "ConvTranspose DepthToSpace Resize Upsample"),
    **for_each(NORM, "GroupNormalization InstanceNormalization LRN LayerNormalization"),
    **for_each(ATTENTION, "Attention Einsum"),
    **for_each(SPLITS, "Gather Slice Split SpaceToDepth"),
    **for_each(LOOPS, "GRU LSTM RNN If Loop Scan"),
    **for_each(_INTEGERS, "ConvInteger MatMulInteger QLinearConcat"),
    **for_each(_INTEGERS, "QLinearAveragePool QLinearGlobalAveragePool"),
    **for_each(
        _SHAPES_VALUES, "Abs Ceil Cos Floor Mod Reciprocal Round Sign Sin Where"
    ),
    **for_each(_SHAPES_VALUES, "And Equal Greater Less Not Or ThresholdedRelu"),
    **for_each(_REDUCES, "GlobalLpPool LpPool ReduceL1 ReduceL2 ReduceMin ReduceProd"),
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
