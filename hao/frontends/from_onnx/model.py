"""ONNX and QONNX files to networks.

The graph is read node by node. Every tensor stands for a feature map, a constant, or
something on the way between quantizers (`hao.frontends.from_onnx.values`); nodes on
constants are evaluated, the others become pieces of the network, and what is not in
`READERS` is refused by name. Batch norms and activations are folded at the end by
`hao.ir.rewrite`. Outputs equal those of onnxruntime and of QONNX's executor up to the
rounding of floating-point sums.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from hao.errors import InputError, UnsupportedError
from hao.frontends.feature_map import CHANNELS_FIRST, Axis, FeatureMap, stand_in
from hao.frontends.final_scores import FinalScores
from hao.frontends.from_onnx import (
    elementwise,
    fold,
    layers,
    linear,
    nothing,
    pixels,
    quant,
)
from hao.frontends.from_onnx.graph import Node, OnnxGraph, load_graph, reads
from hao.frontends.from_onnx.input import input_map
from hao.frontends.from_onnx.reasons import check_form, refused
from hao.frontends.from_onnx.values import Codes, NodeCall, PaddedBelow, Result, Value
from hao.frontends.imported import (
    ImportedNetwork,
    finished_network,
    lone_layer_problems,
)
from hao.frontends.over_pixels import PartOfPixels
from hao.frontends.piece_types import Array, Piece, Weight
from hao.ir.layer import Input, Layer, Padding, PoolKind
from hao.ir.tensor import ImageSize

Reader = Callable[[NodeCall], Result]

QUANTIZERS: Mapping[str, Reader] = {
    "BipolarQuant": quant.read_bipolar_quant,
    "IntQuant": quant.read_quant,
    "Quant": quant.read_quant,
    "Trunc": quant.read_trunc,
}
"""QONNX's operators. Files put them in the domain qonnx.custom_op.general,
finn.custom_op.general, onnx.brevitas or none, so only the operator's name counts."""

LINEAR_QUANTIZERS: Mapping[str, Reader] = {
    "DequantizeLinear": linear.read_dequantize_linear,
    "QuantizeLinear": linear.read_quantize_linear,
}

CHANNELS_LAST_READERS: Mapping[str, Reader] = {
    "BatchNormalization": layers.read_batch_norm,
    "Conv": layers.read_conv,
    "MaxPool": layers.read_max_pool,
}

READERS: Mapping[str, Reader] = {
    **CHANNELS_LAST_READERS,
    **LINEAR_QUANTIZERS,
    "Add": elementwise.read_add,
    "ArgMax": elementwise.read_scores,
    "AveragePool": layers.read_average_pool,
    "Cast": elementwise.read_cast,
    "Clip": elementwise.read_clip,
    "Concat": elementwise.read_concat,
    "Div": elementwise.read_divide,
    "Dropout": elementwise.read_dropout,
    "Expand": nothing.read_expand,
    "Flatten": elementwise.read_flatten,
    "Gemm": layers.read_gemm,
    "GlobalAveragePool": layers.read_global_average,
    "GlobalMaxPool": layers.read_global_max,
    "HardSigmoid": elementwise.read_scores,
    "Identity": elementwise.read_identity,
    "LeakyRelu": elementwise.read_leaky_relu,
    "LogSoftmax": elementwise.read_scores,
    "MatMul": layers.read_matmul,
    "Max": elementwise.read_maximum,
    "Mean": elementwise.read_average,
    "Min": elementwise.read_minimum,
    "Mul": elementwise.read_multiply,
    "Neg": elementwise.read_negative,
    "PRelu": elementwise.read_leaky_relu,
    "Pad": pixels.read_pad,
    "ReduceMax": partial(pixels.read_reduced, kind=PoolKind.MAX),
    "ReduceMean": partial(pixels.read_reduced, kind=PoolKind.AVERAGE),
    "ReduceSum": pixels.read_reduced_sum,
    "Relu": elementwise.read_relu,
    "Reshape": elementwise.read_reshape,
    "Resize": nothing.read_resize,
    "Shape": elementwise.read_shape,
    "Sigmoid": elementwise.read_scores,
    "Size": elementwise.read_size,
    "Slice": nothing.read_slice,
    "Softmax": elementwise.read_scores,
    "Squeeze": elementwise.read_squeeze,
    "Sub": elementwise.read_subtract,
    "Sum": elementwise.read_sum,
    "Tanh": elementwise.read_scores,
    "Tile": nothing.read_expand,
    "TopK": elementwise.read_scores,
    "Transpose": elementwise.read_transpose,
    "Unsqueeze": elementwise.read_unsqueeze,
    "Upsample": nothing.read_resize,
}
"""What is read of ONNX itself, by operator."""

KEEPS_SCORES = frozenset(
    {*QUANTIZERS, *LINEAR_QUANTIZERS, "Flatten", "Reshape", "Squeeze", "Transpose"}
    | {"Unsqueeze"}
)
"""What is left out behind class scores, as what made the scores is."""

CODE_READERS: Mapping[str, Reader] = {
    "Cast": linear.read_cast_codes,
    "Relu": linear.read_relu_codes,
}
"""What is read in another way where it reads integers of a QuantizeLinear."""

MOVES_CODES = frozenset(
    {"ArgMax", "Concat", "Expand", "Flatten", "GlobalMaxPool", "MaxPool", "Pad"}
    | {"ReduceMax", "Reshape", "Resize", "Slice", "Squeeze", "Tile", "TopK"}
    | {"Transpose", "Unsqueeze", "Upsample"}
)
"""What does to codes as it does to the values that they stand for: it moves them
around, or picks the largest."""

SEES_SHAPES = frozenset({"Shape", "Size"})
"""What looks at the shape of codes alone."""


@dataclass(slots=True, kw_only=True)
class _Reading:
    """A network while its file is read.

    Attributes:
        values: What every tensor stands for so far.
        layers: In the order of the file.
        params: By "layer.parameter".
        notes: For a report.
        problems: What cannot be read, a sentence each.
        stand_ins: Tensors whose value only lets the reading go on.
        guessed: Those among them whose shape is not known either.
    """

    values: dict[str, Value]
    layers: list[Layer]
    params: dict[str, Array] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    stand_ins: set[str] = field(default_factory=set)
    guessed: set[str] = field(default_factory=set)

    def add(self, piece: Piece) -> None:
        """Add the layers of a piece."""
        self.layers.extend(piece.layers)
        self.params.update(piece.params)
        self.notes.extend(piece.notes)

    def take(self, node: Node, result: Result) -> None:
        """Add what a node became."""
        if isinstance(result, Piece):
            self.add(result)
            self.values[node.outputs[0]] = result.value
        elif isinstance(result, FinalScores):
            self.values.update((name, result) for name in node.outputs)
        else:
            note = result.note if isinstance(result, Weight) else ""
            if note and note not in self.notes:
                self.notes.append(note)
            self.values[node.outputs[0]] = result


def load_onnx(path: Path, *, image_size: ImageSize | None = None) -> ImportedNetwork:
    """Return the network in an ONNX or QONNX file.

    A batch dimension of the file is left out. A final Softmax, Sigmoid, ArgMax or TopK
    is left out too, and noted: the order of the classes is that of what it reads.

    Args:
        path: The file; arrays that it keeps outside lie in its folder.
        image_size: Height and width of the frame where the file leaves them open.

    Returns:
        Batch norms folded into float weights, activations fused, padding merged into
        windows. Integer weights have their type in the layer, their dequantized
        values in "layer.weight", and "layer.weight_scale", "layer.weight_zero_point".

    Raises:
        InputError: The file cannot be read or contradicts itself.
        UnsupportedError: It holds something that hao does not handle; the error names
            all such nodes.
    """
    graph = load_graph(path, image_size=image_size)
    frame, input_notes, faults = input_map(graph)
    reading = _Reading(
        values={graph.input.name: linear.frame_values(frame, graph.input.kind)},
        layers=[Input(name=frame.layer, ofm=frame.shape)],
        notes=list(input_notes),
        problems=list(faults),
        stand_ins={graph.input.name for _ in faults},
        guessed={graph.input.name for _ in faults},
    )
    reading.values.update((k, Weight(values=v)) for k, v in graph.constants.items())
    alive = fold.Alive(graph.nodes, graph.outputs)
    # Numbers that are not finite are found in the parameters at the end.
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            alive.start(node, reading.values)
            _read_into(reading, graph, node)
            _show_codes(reading, graph, node)
            alive.step(node, reading.values)
    try:
        output, output_notes = _output(path, graph, reading)
    except UnsupportedError as error:
        reading.problems.append(str(error))
    if problems := reading.problems:
        problems += lone_layer_problems(reading.layers, reading.params)
        raise UnsupportedError.of_all(str(path), tuple(dict.fromkeys(problems)))
    return finished_network(
        path.stem,
        reading.layers,
        reading.params,
        output=output.layer,
        notes=(*reading.notes, *output_notes),
    )


def _read_into(reading: _Reading, graph: OnnxGraph, node: Node) -> None:
    """Read a node; where it cannot be read, say why and go on with a stand-in."""
    try:
        call, reader = _call(node, reading.values)
        blind = reading.stand_ins.intersection(node.inputs)
        if blind and node.op in LINEAR_QUANTIZERS:
            # Half of a pair whose other half could not be read.
            half = call.operands[0] or Weight(values=np.zeros(1))
            reading.values[node.outputs[0]] = half
            reading.stand_ins.update(node.outputs)
            return
        reading.take(node, _read(reading, call, reader))
        if blind:
            reading.stand_ins.update(node.outputs)
        scores = isinstance(reading.values[node.outputs[0]], FinalScores)
        if reading.guessed.intersection(node.inputs) and not scores:
            reading.guessed.update(node.outputs)
        return
    except UnsupportedError as error:
        if not reading.guessed.intersection(node.inputs) or not _is_known(node):
            reading.problems.append(str(error))
    except InputError:
        if not reading.stand_ins.intersection(node.inputs):
            raise
    _stand_in_for(reading, graph, node)


def _read(reading: _Reading, call: NodeCall, reader: Reader) -> Result:
    """Return what a node makes; one that moves codes moves their values instead."""
    codes, op = call.operand(0), call.node.op
    if op == "Mul":
        average = pixels.bordered_average(call, reading.layers, reading.params)
        if average is not None:
            return average
    if not isinstance(codes, Codes) or call.node.domain:
        return reader(call)
    if op in CODE_READERS:
        return CODE_READERS[op](call)
    source = codes.source
    if op in SEES_SHAPES:
        return reader(replace(call, operands=(source, *call.operands[1:])))
    if op not in MOVES_CODES:
        return reader(call)
    if isinstance(source, Weight):
        return linear.moved_weights(call, codes, source)
    real = linear.values_to_move(call, codes, source)
    made = reader(linear.with_values(call, codes, real.value))
    reading.add(real)
    if not isinstance(made, Piece):
        return made
    reading.add(made)
    return replace(codes, source=made.value)


def _show_codes(reading: _Reading, graph: OnnxGraph, node: Node) -> None:
    """Put values in the place of codes that a file shows, and note it."""
    for name in set(graph.outputs).intersection(node.outputs):
        codes = reading.values.get(name)
        if isinstance(codes, Codes):
            call = NodeCall(node=node, operands=(codes,))
            reading.take(node, linear.shown_values(call, codes))
            reading.notes.append(
                f"output {name!r} holds codes; the network's holds the values that "
                "they stand for"
            )


def _stand_in_for(reading: _Reading, graph: OnnxGraph, node: Node) -> None:
    """Let the reading go on behind a node that could not be read."""
    fixed = [reading.values.get(name) for name in reads(node.proto) if name]
    if fixed and all(isinstance(value, Weight) for value in fixed):
        # Weights all the same, so that what reads them is not refused for that.
        assert isinstance(fixed[0], Weight)
        zeros = Weight(values=np.zeros(fixed[0].values.shape, dtype=np.float32))
        reading.values.update((name, zeros) for name in node.outputs)
        reading.stand_ins.update(node.outputs)
        return
    shapes = graph.shapes()
    for name in filter(None, node.outputs):
        sizes = shapes.get(name, ())
        first = next(
            (
                value
                for source in node.inputs
                if isinstance(value := reading.values.get(source), FeatureMap)
            ),
            None,
        )
        reading.values[name] = stand_in(node.site.layer, sizes, like=first)
        reading.stand_ins.add(name)
        if len(sizes) not in (2, 4) or min(sizes) < 1:
            reading.guessed.add(name)


def _is_known(node: Node) -> bool:
    """Return whether there is a reader of the operator, not of some shapes alone."""
    joins = node.op == "Concat" and len(node.inputs) > 1
    flat = len(node.integers("kernel_shape", (1, 1))) == 2
    return node.op in QUANTIZERS or (node.op in READERS and flat and not joins)


def _call(node: Node, values: Mapping[str, Value]) -> tuple[NodeCall, Reader]:
    """Return a node with its operands, and what reads it."""
    for name in node.inputs:
        if name and name not in values:
            raise UnsupportedError(
                f"{node.label}: reads {name!r}, a second output of another node; "
                "handled: first outputs"
            )
    operands = tuple(values[name] if name else None for name in node.inputs)
    call = NodeCall(node=node, operands=operands)
    reader = QUANTIZERS.get(node.op)
    fixed = all(isinstance(operand, Weight | None) for operand in operands)
    if fixed and not node.domain and node.op in fold.FOLDED:
        return call, fold.folded_constant
    if reader is None and node.domain in ("", layers.CHANNELS_LAST_DOMAIN):
        table = CHANNELS_LAST_READERS if node.domain else READERS
        reader = table.get(node.op)
    if reader is None:
        raise refused(node)
    check_form(node)
    if node.op in KEEPS_SCORES and isinstance(call.operand(0), FinalScores):
        reader = elementwise.read_identity
    return call, reader


def _output(
    path: Path, graph: OnnxGraph, reading: _Reading
) -> tuple[FeatureMap, list[str]]:
    """Return the one feature map that the outputs show, and notes on the others."""
    notes: list[str] = []
    maps: dict[str, FeatureMap] = {}
    for name in graph.outputs:
        value = reading.values.get(name)
        match value:
            case FeatureMap():
                maps[value.layer] = value
            case FinalScores():
                maps[value.source.layer] = value.source
                notes.append(value.note)
            case Weight():
                notes.append(f"output {name!r} is a constant and is left out")
            case Codes() | PartOfPixels() | PaddedBelow() | None:
                raise UnsupportedError(
                    f"{path}: output {name!r} holds half a mean or pool, or a second "
                    "output; handled: feature maps"
                )
    if len(maps) != 1:
        raise UnsupportedError(
            f"{path}: {len(maps)} outputs {sorted(maps)}; handled: networks of one "
            "output; cut the file to one with onnx.utils.extract_model"
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
