"""Why operators of ONNX files are refused, and what to put in their place."""

from collections.abc import Mapping

from hao.errors import UnsupportedError
from hao.frontends import reasons as why
from hao.frontends.from_onnx.graph import Node

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
