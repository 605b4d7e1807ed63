"""ONNX and QONNX files to networks.

The graph is read node by node. Every tensor stands for a feature map, a constant, or
something on the way between quantizers (`hao.frontends.onnx_values`); nodes on
constants are evaluated, the others become pieces of the network, and what is not in
`READERS` is refused by name. Batch norms and activations are folded at the end by
`hao.ir.rewrite`. Outputs equal those of onnxruntime and of QONNX's executor up to the
rounding of floating-point sums.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from hao.errors import UnsupportedError
from hao.frontends import (
    onnx_elementwise,
    onnx_fold,
    onnx_layers,
    onnx_quant,
)
from hao.frontends.feature_map import CHANNELS_FIRST, Axis, FeatureMap
from hao.frontends.imported import ImportedNetwork, finished_network
from hao.frontends.onnx_graph import Graph, Node, load_graph
from hao.frontends.onnx_input import input_map
from hao.frontends.onnx_values import Call, Codes, Result, Scores, Value
from hao.frontends.piece_types import Array, Piece, Weight
from hao.ir.layer import Input, Layer, Padding

Reader = Callable[[Call], Result]

QUANTIZERS: Mapping[str, Reader] = {
    "BipolarQuant": onnx_quant.read_bipolar_quant,
    "IntQuant": onnx_quant.read_quant,
    "Quant": onnx_quant.read_quant,
    "Trunc": onnx_quant.read_trunc,
}
"""QONNX's operators. Files put them in the domain qonnx.custom_op.general,
finn.custom_op.general, onnx.brevitas or none, so only the operator's name counts."""

LINEAR_QUANTIZERS: Mapping[str, Reader] = {
    "DequantizeLinear": onnx_quant.read_dequantize_linear,
    "QuantizeLinear": onnx_quant.read_quantize_linear,
}

CHANNELS_LAST_READERS: Mapping[str, Reader] = {
    "BatchNormalization": onnx_layers.read_batch_norm,
    "Conv": onnx_layers.read_conv,
    "MaxPool": onnx_layers.read_max_pool,
}

READERS: Mapping[str, Reader] = {
    **CHANNELS_LAST_READERS,
    **LINEAR_QUANTIZERS,
    "Add": onnx_elementwise.read_add,
    "ArgMax": onnx_elementwise.read_scores,
    "AveragePool": onnx_layers.read_average_pool,
    "Cast": onnx_elementwise.read_cast,
    "Clip": onnx_elementwise.read_clip,
    "Div": onnx_elementwise.read_divide,
    "Dropout": onnx_elementwise.read_identity,
    "Flatten": onnx_elementwise.read_flatten,
    "Gemm": onnx_layers.read_gemm,
    "GlobalAveragePool": onnx_layers.read_global_average,
    "GlobalMaxPool": onnx_layers.read_global_max,
    "Identity": onnx_elementwise.read_identity,
    "LogSoftmax": onnx_elementwise.read_scores,
    "MatMul": onnx_layers.read_matmul,
    "Max": onnx_elementwise.read_maximum,
    "MaxPool": onnx_layers.read_max_pool,
    "Min": onnx_elementwise.read_minimum,
    "Mul": onnx_elementwise.read_multiply,
    "Neg": onnx_elementwise.read_negative,
    "Pad": onnx_layers.read_pad,
    "ReduceMean": onnx_layers.read_mean,
    "Relu": onnx_elementwise.read_relu,
    "Reshape": onnx_elementwise.read_reshape,
    "Shape": onnx_elementwise.read_shape,
    "Size": onnx_elementwise.read_size,
    "Softmax": onnx_elementwise.read_scores,
    "Squeeze": onnx_elementwise.read_squeeze,
    "Sub": onnx_elementwise.read_subtract,
    "Sum": onnx_elementwise.read_sum,
    "TopK": onnx_elementwise.read_scores,
    "Transpose": onnx_elementwise.read_transpose,
    "Unsqueeze": onnx_elementwise.read_unsqueeze,
}
"""What is read of ONNX itself, by operator."""

REASONS: Mapping[str, str] = {
    "FloatQuant": "quantizes to floating point (such as FP8); weights and feature maps "
    "must be integers",
    "MultiThreshold": "a quantizer already turned into thresholds; export the QONNX "
    "model before FINN streamlines it",
    "QLinearConv": "integer operators; export the model with QuantizeLinear and "
    "DequantizeLinear instead (QDQ format)",
}
"""Why some operators are refused that users are likely to meet."""


def load_onnx(path: Path) -> ImportedNetwork:
    """Return the network in an ONNX or QONNX file.

    A batch dimension of the file is left out. A final Softmax, ArgMax or TopK is left
    out too, and noted: the order of the classes is that of what it reads.

    Args:
        path: The file; arrays that it keeps outside lie in its folder.

    Returns:
        Batch norms folded into float weights, activations fused, padding merged into
        windows. Integer weights have their type in the layer, their dequantized
        values in "layer.weight", and "layer.weight_scale", "layer.weight_zero_point".

    Raises:
        InputError: The file cannot be read or contradicts itself.
        UnsupportedError: It holds something that hao does not handle; the message
            names the node.
    """
    graph = load_graph(path)
    frame, input_notes = input_map(graph)
    layers: list[Layer] = [Input(name=frame.layer, ofm=frame.shape)]
    params: dict[str, Array] = {}
    values: dict[str, Value] = {graph.input.name: frame}
    values.update(
        (name, Weight(values=array)) for name, array in graph.constants.items()
    )
    alive = onnx_fold.Alive(graph.nodes, graph.outputs)
    # Numbers that are not finite are found in the parameters at the end.
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            result = _read(node, values)
            if isinstance(result, Piece):
                layers.extend(result.layers)
                params.update(result.params)
                values[node.outputs[0]] = result.value
            elif isinstance(result, Scores):
                values.update((name, result) for name in node.outputs)
            else:
                values[node.outputs[0]] = result
            alive.step(node, values)
    output, output_notes = _output(path, graph, values)
    network = finished_network(path.stem, layers, params, output=output.layer)
    return ImportedNetwork(
        network=network, notes=tuple(dict.fromkeys((*input_notes, *output_notes)))
    )


def _read(node: Node, values: Mapping[str, Value]) -> Result:
    for name in node.inputs:
        if name and name not in values:
            raise UnsupportedError(
                f"{node.label}: reads {name!r}, a second output of another node; "
                "handled: first outputs"
            )
    operands = tuple(values[name] if name else None for name in node.inputs)
    call = Call(node=node, operands=operands)
    reader = QUANTIZERS.get(node.op)
    known = [operand for operand in operands if operand is not None]
    fixed = all(isinstance(operand, Weight) for operand in known)
    if fixed and not node.domain and node.op in onnx_fold.FOLDED:
        return onnx_fold.folded_constant(call)
    if reader is None and node.domain in ("", onnx_layers.CHANNELS_LAST_DOMAIN):
        table = CHANNELS_LAST_READERS if node.domain else READERS
        reader = table.get(node.op)
    if reader is None:
        raise _refused(node)
    return reader(call)


def _refused(node: Node) -> UnsupportedError:
    domain = f" of {node.domain!r}" if node.domain else ""
    reason = REASONS.get(node.op, "")
    if "fpgadataflow" in node.domain:
        reason = "a FINN hardware block; import the model from before the conversion"
    handled = ", ".join(sorted({*READERS, *QUANTIZERS}))
    return UnsupportedError(
        f"{node.label}{domain} is not handled{': ' if reason else ''}{reason}; "
        f"handled: {handled}"
    )


def _output(
    path: Path, graph: Graph, values: Mapping[str, Value]
) -> tuple[FeatureMap, list[str]]:
    """Return the one feature map that the outputs show, and notes on the others."""
    notes: list[str] = []
    maps: dict[str, FeatureMap] = {}
    for name in graph.outputs:
        value = values.get(name)
        match value:
            case FeatureMap():
                maps[value.layer] = value
            case Scores():
                maps[value.source.layer] = value.source
                notes.append(value.note)
            case Weight():
                notes.append(f"output {name!r} is a constant and is left out")
            case Codes() | None:
                raise UnsupportedError(
                    f"{path}: output {name!r} holds integers of a QuantizeLinear or a "
                    "second output; handled: feature maps"
                )
    if len(maps) != 1:
        raise UnsupportedError(
            f"{path}: {len(maps)} outputs {sorted(maps)}; handled: networks of one "
            "output"
        )
    (output,) = maps.values()
    if output.padding != Padding():
        raise UnsupportedError(f"{path}: the output is a padded map; handled: layers")
    order = [axis for axis in CHANNELS_FIRST if axis in output.axes]
    if list(output.axes) != order:
        axes = ", ".join(a.value for a in output.axes if a is not Axis.BATCH)
        notes.append(
            f"the file's output runs over ({axes}); the network's over channels, "
            "height, width"
        )
    return output, notes
