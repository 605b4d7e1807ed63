"""load_onnx refuses operators that it cannot represent, and says which node."""

import re
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from hao.errors import InputError, UnsupportedError
from tests.frontends.onnx_models import (
    QONNX_DOMAIN,
    Stored,
    floats,
    imported,
    model,
    node_with,
)

W = floats(2, 4, 3, 3, 3)
HARDWARE = "finn.custom_op.fpgadataflow"


def node(op: str, *inputs: str, domain: str = "", **attributes: object) -> NodeProto:
    return node_with(op, inputs, ["y"], attributes, name="it", domain=domain)


REFUSED: list[tuple[NodeProto, Stored, str]] = [
    (node("HardSwish", "x"), {}, r"HardSwish 'it' is not handled: no smooth.*ReLU6"),
    (node("Cumsum", "x"), {}, r"Cumsum 'it' is not handled: the engine has no such"),
    (node("LeakyRelu", "x", alpha=0.1), {}, r"LeakyRelu 'it': slope 0\.1 below 0; ha"),
    (node("ConvTranspose", "x", "w"), {"w": W}, "ConvTranspose 'it' is not handled"),
    (node("Concat", "x", "x", axis=1), {}, "Concat 'it': joins 2 maps; handled: one"),
    (node("If", "x"), {}, "If 'it' is not handled"),
    (
        node("MultiThreshold", "x", "w", domain="finn.custom_op.general"),
        {"w": W},
        "MultiThreshold 'it' of 'finn.custom_op.general' is not handled: a quantizer",
    ),
    (
        node("MatrixVectorActivation", "x", "w", domain=HARDWARE),
        {"w": W},
        "MatrixVectorActivation 'it' of .* is not handled: a FINN hardware block",
    ),
    (
        node("FloatQuant", "x", "w", domain="onnx.brevitas"),
        {"w": W},
        "FloatQuant 'it' of 'onnx.brevitas' is not handled: quantizes to floating",
    ),
    (node("MatMul", "x", "x"), {}, "MatMul 'it': input 1 depends on the network's inp"),
    (node("MatMul", "w", "x"), {"w": W}, "MatMul 'it': multiplies from the left"),
    (node("MatMul", "x", "w"), {"w": W}, "weights of shape .*; handled: matrices"),
    (
        node("MatMul", "x", "w"),
        {"w": floats(0, 8, 2)},
        r"MatMul 'it': multiplies the last dimension of \(1, 3, 8, 8\) only",
    ),
    (node("Mul", "x", "x"), {}, "Mul 'it': input 1 depends on the network's input"),
    (node("Div", "w", "x"), {"w": np.float32(1)}, "input 1 depends on the network's"),
    (node("Sum", "x", "x", "w"), {"w": W}, "Sum 'it': input 2 is a constant"),
    (node("Mul", "x"), {}, "Mul 'it': 1 operands; handled: two"),
    (
        node("Max", "x", "w"),
        {"w": floats(0, 8)},
        r"Max 'it': limits of shape \(8,\) that differ; handled: one number",
    ),
    (
        node("Clip", "x", "a", "b"),
        {"a": np.float32(1), "b": np.float32(1)},
        r"Clip 'it': limits 1\.0 to 1\.0; must be numbers, the first below",
    ),
    (
        node("Add", "x", "w"),
        {"w": floats(0, 8)},
        "Add 'it': a constant varies along the width; handled: one value, or one per",
    ),
    (
        node("Add", "x", "w"),
        {"w": floats(0, 5)},
        r"Add 'it': a constant of shape \(5,\) meets a feature map of shape \(1, 3, 8",
    ),
    (
        node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2]),
        {},
        r"dilations \(2, 2\); handled: 1; a larger window",
    ),
    (
        node("MaxPool", "x", kernel_shape=[2, 2], pads=[2, 0, 0, 0]),
        {},
        "MaxPool 'it': takes the maximum of padding alone; handled: windows with a",
    ),
    (node("Abs", "x"), {}, "Abs 'it' is not handled: no such function of single"),
    (node("Conv", "x", "w", strides=[1, 2]), {"w": W}, "kernel 3x3, stride 1x2; hand"),
    (node("Conv", "x", "w"), {"w": W[..., 0]}, "windows are two-dimensional; write"),
    (node("Conv", "x", "w", pads=[-1, 0, 0, 0]), {"w": W}, "handled: at least 0"),
    (node("Conv", "x", "w"), {"w": W.astype(np.int8)}, "weights of type int8; handled"),
    (
        node("MaxPool", "x", kernel_shape=[3]),
        {},
        r"kernel_shape \(3,\); windows are two-dimensional; write",
    ),
    (
        node("BatchNormalization", "x", "w", "w", "w", "w", training_mode=1),
        {"w": floats(0, 3)},
        "training_mode = 1; handled: frozen statistics",
    ),
    (node("ReduceMean", "x"), {}, "ReduceMean 'it': goes over all axes; handled"),
    (node("ReduceMean", "x", axes=[1]), {}, r"goes over axes \(1,\) of \(1, 3, 8"),
    (
        node("Pad", "x", "p"),
        {"p": np.array([0, 1, 0, 0, 0, 0, 0, 0])},
        r"Pad 'it': pads \(0, 1, .*\), mode 'constant', value 0.0; handled: zeros",
    ),
    (
        node("Pad", "x", "p", mode="reflect"),
        {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
        "mode 'reflect', value 0.0; handled: zeros around the pixels",
    ),
    (
        node("Pad", "x", "p"),
        {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
        "the output is a padded map; handled: layers",
    ),
    (node("Cast", "x", to=TensorProto.INT8), {}, "Cast 'it': casts to type 3; handled"),
    (
        node("Reshape", "x", "s"),
        {"s": np.array([1, 6, 32])},
        r"Reshape 'it': reshapes \(1, 3, 8, 8\) to \(1, 6, 32\), which cuts through",
    ),
    (
        node("QuantizeLinear", "x", "s", axis=2, block_size=4),
        {"s": floats(0, 1, 3, 2, 8)},
        "scales differ by block; handled: one scale per output",
    ),
    (
        node("QuantizeLinear", "x", "s"),
        {"s": floats(0, 2, 2)},
        r"scale of shape \(2, 2\), axis 1; handled: one value, or a vector",
    ),
    (
        node("QuantizeLinear", "x", "s", output_dtype=TensorProto.FLOAT8E4M3FN),
        {"s": np.float32(1)},
        r"type \S*FLOAT8E4M3FN; handled: integers",
    ),
    (
        node("DequantizeLinear", "x", "s"),
        {"s": np.float32(1)},
        "reads no integers of a QuantizeLinear; handled: pairs",
    ),
    (
        node("Range", "o", "s", "p"),
        {"o": np.array(0), "s": np.array(2**21), "p": np.array(1)},
        r"Range 'it': computes a constant of 1\.074e\+09 bytes; handled: up to",
    ),
    (node("Expand", "w", "s"), {"w": W, "s": np.array([9] * 9)}, "constant of .* byt"),
    (
        node("Clip", "x", "a"),
        {"a": np.array(["low"], dtype=object)},
        "tensor 'a': holds text; handled: real numbers",
    ),
    (
        node("Mul", "x", "a"),
        {"a": np.complex64(1)},
        "tensor 'a': holds complex numbers; handled: real numbers",
    ),
    (node("Constant", value_string="a"), {}, "Constant 'it': holds text; handled: re"),
    (
        node("BatchNormalization", "x", "w", "w", "w", "w"),
        {"w": np.ones(3, np.int64)},
        "BatchNormalization 'it': weights of type int64; handled: floating point",
    ),
    (
        node("ArgMax", "x", axis=0),
        {},
        r"ArgMax 'it': goes over axis 0 of \(1, 3, 8, 8\); handled: over the classes",
    ),
    (node("Softmax", "x"), {}, r"Softmax 'it': goes over axis 3 of .* over the class"),
    (
        node("Dropout", "x", "", "t"),
        {"t": np.array(True)},
        "Dropout 'it': training_mode is true; handled: false; export the model in eva",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("made", "stored", "message"), REFUSED)
def test_an_operator_is_refused_by_name(
    tmp_path: Path, made: NodeProto, stored: Stored, message: str
) -> None:
    nodes = [made]
    if "x" not in made.input:
        made = NodeProto.FromString(made.SerializeToString())
        made.output[0] = "c"
        nodes = [made, helper.make_node("Add", ["x", "c"], ["y"])]
    domains = [(made.domain, 1)] if made.domain else []
    with pytest.raises(UnsupportedError, match=message):
        imported(tmp_path, model(nodes, stored=stored, domains=domains))


CONTRADICTIONS: list[tuple[NodeProto, Stored, str]] = [
    (
        node("Conv", "x", "w"),
        {"w": W[:, :2]},
        r"weights of shape .*; must be \(4, 3,",
    ),
    (node("Conv", "x", "w"), {"w": floats(0, 4, 3, 9, 9)}, "a 9x9 window does not fit"),
    (node("Conv", "x", "w", "b"), {"w": W, "b": floats(0, 3)}, r"bias of shape \(3,\)"),
    (node("Conv", "x"), {}, "Conv 'it': input 1 is missing"),
    (
        node("BatchNormalization", "x", "g", "b", "m", "v"),
        {**dict.fromkeys("gbm", floats(0, 3)), "v": floats(0, 2)},
        r"statistics of shapes \(3,\), \(3,\), \(3,\), \(2,\); must be alike",
    ),
    (
        node("Pad", "x", "p", "", "a"),
        {"p": np.array([1, 1]), "a": np.array([2, 3])},
        r"Pad 'it': pads \(1, 1\) of axes \(2, 3\)",
    ),
    (
        node("Pad", "x", "p", "", "a"),
        {"p": np.array([1, 1]), "a": np.array([9])},
        r"Pad 'it': axes \(9,\) of a tensor of rank 4",
    ),
    (
        node("Pad", "x", "p", "v"),
        {"p": np.ones(8, dtype=np.int64), "v": floats(0, 0)},
        r"Pad 'it': input 2 of shape \(0,\); must be one number",
    ),
    (
        node("Unsqueeze", "x", "a"),
        {"a": np.array([1, 1])},
        r"Unsqueeze 'it': axes \(1, 1\) of a tensor of rank 6",
    ),
    (
        node("Squeeze", "x", "a"),
        {"a": np.array([4])},
        r"Squeeze 'it': axes \(4,\) of a tensor of rank 4",
    ),
    (node("PRelu", "x", "s"), {"s": floats(0, 0)}, "PRelu 'it': no slope; must have"),
    (node("Upsample", "x", scales="a"), {}, "scales is not a list of numbers"),
    (
        node("Trunc", "x", "s", "z", "i", "o"),
        {"s": np.float32(1), "z": np.float32(0), "i": np.float32(8), "o": floats(0, 0)},
        r"Trunc 'it': input 4 of shape \(0,\); must be one number",
    ),
    (node("Conv", "x", "w", group=1.5), {"w": W}, "attribute group is not an integer"),
    (node("Conv", "x", "w", pads=1), {"w": W}, "pads is not a list of integers"),
    (node("Conv", "x", "w", strides=[1.5, 1]), {"w": W}, "strides is not a list of in"),
    (node("Add", "x", "w", "w"), {"w": np.ones(1)}, "Add 'it': 3 inputs; Add has at m"),
    (node("Concat", "x"), {}, "Concat 'it': has no attribute axis"),
    (
        node("Concat", "x", axis=9),
        {},
        r"Concat .it.: axes \(9,\) of a tensor of rank 4",
    ),
    (node("Cast", "x"), {}, "Cast 'it': has no attribute to"),
    (
        node("Softmax", "x", axis=9),
        {},
        r"axes \(9,\) of a tensor of rank 2|4",
    ),
    (
        node("MaxPool", "x", kernel_shape=[2, 2], ceil_mode=7),
        {},
        "MaxPool 'it': attribute ceil_mode is 7; must be 0, 1",
    ),
    (node("Conv", "x", "w", auto_pad=1), {"w": W}, "auto_pad is not a text"),
    (
        node("Conv", "x", "w", auto_pad="FOO"),
        {"w": W},
        "Conv 'it': auto_pad 'FOO'; must be one of NOTSET, SAME_UPPER, SAME_LOW",
    ),
    (
        node("Transpose", "x", perm=[9, 9, 9, 9]),
        {},
        r"Transpose 'it': perm \(9, 9, 9, 9\) of a tensor of rank 4",
    ),
    (node("Conv", "x", "w", strides=[0, 0]), {"w": W}, r"strides \(0, 0\), pads"),
    (node("Clip", "x", min="low"), {}, "attribute min is not a number"),
    (node("Flatten", "x", axis=7), {}, "axis 7 of a tensor of rank 4"),
    (node("Transpose", "x", perm=[0, 0, 1, 2]), {}, r"perm \(0, 0, 1, 2\) of a tensor"),
    (node("Reshape", "x", "s"), {"s": np.array([5, -1])}, r"reshapes .* to \(5, -1\)"),
    (
        node("Squeeze", "x", "s"),
        {"s": np.array([1])},
        r"squeezes axes \(1,\) of \(1",
    ),
    (node("ReduceMean", "x", axes=[9]), {}, r"axes \(9,\) of a 4-D tensor"),
    (
        node("Pad", "x", "p"),
        {"p": np.array([1, 1])},
        r"pads \(1, 1\) of a tensor of",
    ),
    (node("Reshape", "x", "s"), {"s": np.array([0.5])}, r"\[0.5\] should be integers"),
    (
        node("Gemm", "x", "w"),
        {"w": floats(0, 4, 2)},
        r"weights of shape \(2, 4\); must be \(2, 192\)",
    ),
    (
        node("MatMul", "w", "v"),
        {"w": W, "v": floats(0, 5, 5)},
        "cannot be computed",
    ),
]


@pytest.mark.parametrize(("made", "stored", "message"), CONTRADICTIONS)
def test_a_contradiction_is_refused_by_name(
    tmp_path: Path, made: NodeProto, stored: Stored, message: str
) -> None:
    nodes = [made]
    if made.op_type == "Gemm":
        flat = helper.make_node("Flatten", ["x"], ["f"])
        made = NodeProto.FromString(made.SerializeToString())
        made.input[0] = "f"
        nodes = [flat, made]
    if "x" not in made.input and made.op_type == "MatMul":
        made = NodeProto.FromString(made.SerializeToString())
        made.output[0] = "c"
        nodes = [made, helper.make_node("Add", ["x", "c"], ["y"])]
    with pytest.raises(InputError, match=message):
        imported(tmp_path, model(nodes, stored=stored))


def quantizer(source: str = "x", **attributes: object) -> NodeProto:
    inputs = [source, "s", "z", "n"]
    return node("Quant", *inputs, domain=QONNX_DOMAIN, **attributes)


QUANT: Stored = {"s": np.float32(1), "z": np.float32(0), "n": np.float32(4)}


@pytest.mark.parametrize(
    ("made", "changed", "kind", "message"),
    [
        (quantizer(), {"s": np.float32(0)}, InputError, "a scale is not above 0"),
        (quantizer(), {"s": np.float32(np.nan)}, InputError, "a scale is not above 0"),
        (
            quantizer(),
            {"n": np.float32(2.5)},
            InputError,
            r"\[2.5\] should be integers",
        ),
        (
            quantizer(),
            {"n": np.float32(41)},
            InputError,
            "'it': 41 bits; must be fro",
        ),
        (quantizer(), {"n": np.array([2, 3])}, UnsupportedError, r"widths \(2, 3\)"),
        (
            quantizer(rounding_mode="UP"),
            {},
            UnsupportedError,
            "rounding_mode 'UP'; handled: ROUND",
        ),
        (
            quantizer(),
            {"s": np.abs(floats(0, 8)) + 1},
            UnsupportedError,
            "varies along the width",
        ),
        (
            node("Trunc", "x", "s", "z", "n", "n", domain=QONNX_DOMAIN),
            {"z": np.float32(1)},
            UnsupportedError,
            "has a zero point; handled: 0",
        ),
    ],
)
def test_a_quantizer_is_refused_by_name(
    tmp_path: Path,
    made: NodeProto,
    changed: Stored,
    kind: type[Exception],
    message: str,
) -> None:
    file = model([made], stored=QUANT | changed, domains=[(QONNX_DOMAIN, 1)])
    with pytest.raises(kind, match=message):
        imported(tmp_path, file)


@pytest.mark.parametrize(
    ("weight", "scale", "kind", "message"),
    [
        (
            np.full((4, 3, 3, 3), 200, np.int32),
            np.float32(1),
            UnsupportedError,
            r"quantizes integers from 0 to 200, which are no codes of 4 bits \(-8 to",
        ),
        (W * np.nan, np.float32(1), InputError, "weights hold NaN or infinity"),
        (W, np.ones(5, np.float32), InputError, r"scale of shape \(5,\) on weights of"),
        (
            W,
            np.ones((1, 3, 1, 1), np.float32),
            UnsupportedError,
            r"weight scales of shape \(1, 3, 1, 1\); handled: one value, or one per o",
        ),
    ],
)
def test_quantized_weights_are_refused_by_name(
    tmp_path: Path,
    weight: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    scale: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    kind: type[Exception],
    message: str,
) -> None:
    quant = quantizer("w")
    quant.output[0] = "q"
    nodes = [quant, helper.make_node("Conv", ["x", "q"], ["y"], "conv")]
    stored = QUANT | {"w": weight, "s": scale}
    with pytest.raises(kind, match=message):
        imported(tmp_path, model(nodes, stored=stored, domains=[(QONNX_DOMAIN, 1)]))


@pytest.mark.parametrize(
    ("middle", "stored", "message"),
    [
        (
            helper.make_node("Neg", ["a"], ["b"], "it"),
            {},
            "Neg 'it': reads integers from QuantizeLinear; handled: DequantizeLinear",
        ),
        (
            helper.make_node("Cast", ["a"], ["b"], "it", to=TensorProto.UINT8),
            {},
            "Cast 'it': casts integers from -128 to 127 to a type of 0 to 255; handled",
        ),
        (
            helper.make_node("MaxPool", ["a"], ["b"], "it", kernel_shape=[2, 2]),
            {"s": np.ones(3, np.float32), "z": np.zeros(3, np.int8)},
            "MaxPool 'it': reads integers of 3 scales; handled: one scale for a map",
        ),
        (
            helper.make_node("Clip", ["a", "low", "high"], ["b"]),
            {"low": np.int8(-3), "high": np.int8(5)},
            "integers from -3 to 5; handled: all integers of some width",
        ),
    ],
)
def test_integers_between_quantizers_are_refused(
    tmp_path: Path, middle: NodeProto, stored: Stored, message: str
) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]),
        middle,
        helper.make_node("DequantizeLinear", ["b", "s", "z"], ["y"], "dq"),
    ]
    pair: Stored = {"s": np.float32(1), "z": np.int8(0)}
    stored = pair | stored
    with pytest.raises(UnsupportedError, match=message):
        imported(tmp_path, model(nodes, stored=stored))


def test_codes_of_weights_that_are_padded_are_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["w", "s", "z"], ["a"]),
        helper.make_node("Pad", ["a", "pads"], ["b"], "it"),
        helper.make_node("DequantizeLinear", ["b", "s", "z"], ["c"], "dq"),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    stored: Stored = {
        "w": W,
        "s": np.float32(1),
        "z": np.int8(0),
        "pads": np.zeros(8, int),
    }
    with pytest.raises(UnsupportedError, match="Pad 'it': changes integer weights; h"):
        imported(tmp_path, model(nodes, stored=stored))


def test_dequantized_floats_are_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["q"], "dq"),
        helper.make_node("Conv", ["x", "q"], ["y"]),
    ]
    stored: Stored = {"s": np.float32(1), "w": W}
    with pytest.raises(UnsupportedError, match="dequantizes type float32; handled: in"):
        imported(tmp_path, model(nodes, stored=stored))


@pytest.mark.parametrize(
    ("nodes", "stored", "message"),
    [
        (
            [
                helper.make_node("Softmax", ["x"], ["s"], axis=1),
                helper.make_node("Relu", ["s"], ["y"], "it"),
            ],
            {},
            "Relu 'it': follows Softmax 's'; handled: that at the end",
        ),
        (
            [
                helper.make_node("Pad", ["x", "p"], ["q"]),
                helper.make_node("Flatten", ["q"], ["y"], "it"),
            ],
            {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
            "Flatten 'it': reads a padded feature map; handled: a Pad before",
        ),
        (
            [
                helper.make_node("Pad", ["x", "p"], ["q"]),
                helper.make_node("MaxPool", ["q"], ["y"], "it", kernel_shape=[2, 2]),
            ],
            {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
            "MaxPool 'it': takes the maximum over padded zeros; handled: zeros around",
        ),
        (
            [
                helper.make_node("MaxPool", ["x"], ["p", "i"], kernel_shape=[2, 2]),
                helper.make_node("Add", ["p", "i"], ["y"], "it"),
            ],
            {},
            "Add 'it': reads 'i', a second output of another node; handled: first",
        ),
        (
            [
                helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2]),
                helper.make_node("Transpose", ["p"], ["t"], perm=[0, 2, 1, 3]),
                helper.make_node("MaxPool", ["t"], ["y"], "it", kernel_shape=[2, 2]),
            ],
            {},
            r"MaxPool 'it': reads a tensor of shape .* that is not arranged as \(batch",
        ),
        (
            [
                helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2]),
                helper.make_node("Add", ["x", "p"], ["y"], "it"),
            ],
            {},
            r"Add 'it': adds feature maps of shape \(1, 3, 8, 8\) and \(1, 3, 7, 7\)",
        ),
        (
            [
                helper.make_node("Flatten", ["x"], ["f"]),
                helper.make_node("GlobalAveragePool", ["f"], ["y"], "it"),
            ],
            {},
            r"GlobalAveragePool 'it': reads a tensor of shape \(1, 192\); handled",
        ),
        (
            [
                helper.make_node("Exp", ["w"], ["e"]),
                helper.make_node("Erf", ["e"], ["f"], "it"),
                helper.make_node("Add", ["x", "f"], ["y"]),
            ],
            {"w": np.float32(1)},
            "Erf 'it' is not handled",
        ),
        (
            [
                helper.make_node("Identity", ["w"], ["v"]),
                helper.make_node("Relu6", ["v"], ["f"], "it"),
                helper.make_node("Add", ["x", "f"], ["y"]),
            ],
            {"w": np.float32(1)},
            "Relu6 'it' is not handled",
        ),
    ],
)  # fmt: skip
def test_a_combination_is_refused_by_name(
    tmp_path: Path, nodes: list[NodeProto], stored: Stored, message: str
) -> None:
    with pytest.raises(UnsupportedError, match=message):
        imported(tmp_path, model(nodes, stored=stored))


def test_scaled_integer_weights_of_gemm_are_refused(tmp_path: Path) -> None:
    quant = quantizer("w")
    quant.output[0] = "q"
    nodes = [quant, helper.make_node("Gemm", ["x", "q"], ["y"], "fc", alpha=2.0)]
    stored = QUANT | {"w": floats(0, 6, 2)}
    made = model(nodes, stored=stored, domains=[(QONNX_DOMAIN, 1)], x=(1, 6))
    with pytest.raises(UnsupportedError, match=r"Gemm 'fc': transA = 0, alpha = 2.0"):
        imported(tmp_path, made)


def test_rearranged_integer_weights_with_many_scales_are_refused(
    tmp_path: Path,
) -> None:
    quant = quantizer("w")
    quant.output[0] = "q"
    nodes = [
        quant,
        helper.make_node("Reshape", ["q", "shape"], ["r"], "it"),
        helper.make_node("MatMul", ["x", "r"], ["y"]),
    ]
    stored = QUANT | {"w": floats(0, 2, 3, 4), "shape": np.array([6, 4])}
    stored |= {"s": np.ones((1, 3, 1), np.float32)}
    made = model(nodes, stored=stored, domains=[(QONNX_DOMAIN, 1)], x=(1, 6))
    message = re.escape("Reshape 'it': rearranges integer weights with scales of shape")
    with pytest.raises(UnsupportedError, match=message):
        imported(tmp_path, made)


def test_an_input_that_no_image_can_be_made_of_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["r"]),
        helper.make_node("Conv", ["r", "w"], ["y"]),
    ]
    stored: Stored = {"s": np.array([1, 3, 8, 8]), "w": W}
    made = model(nodes, stored=stored, x=(1, 24, 2, 4))
    with pytest.raises(UnsupportedError, match="input 'x': a Reshape cuts through its"):
        imported(tmp_path, made)


def test_scales_that_do_not_fit_stored_integers_are_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["q"], "dq", axis=0),
        helper.make_node("Conv", ["x", "q"], ["y"]),
    ]
    stored: Stored = {"s": np.ones(5, np.float32), "w": np.zeros(W.shape, np.int8)}
    message = r"'dq': scale of shape \(5, 1, 1, 1\) on integers of shape \(4, 3, 3, 3\)"
    with pytest.raises(InputError, match=message):
        imported(tmp_path, model(nodes, stored=stored))


def test_what_joins_parts_that_are_refused_is_refused_too(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], "split", axis=1),
        helper.make_node("Concat", ["b", "a"], ["y"], "join", axis=1),
    ]
    with pytest.raises(UnsupportedError) as found:
        imported(tmp_path, model(nodes, x=(1, 4, 8, 8), opset=11))
    assert [problem.split("'")[1] for problem in found.value.problems] == [
        "split",
        "join",
    ]


def test_a_map_that_stands_in_keeps_the_order_of_what_was_read(tmp_path: Path) -> None:
    # Joined channels last, as Keras does: what reads the map behind is no problem.
    turned, back = [0, 2, 3, 1], [0, 3, 1, 2]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=turned),
        helper.make_node("Concat", ["b", "b"], ["c"], "join", axis=3),
        helper.make_node("Transpose", ["c"], ["d"], perm=back),
        helper.make_node("GlobalAveragePool", ["d"], ["y"], "mean"),
    ]
    with pytest.raises(UnsupportedError) as found:
        imported(tmp_path, model(nodes, stored={"w": W}))
    assert [one.split("'")[1] for one in found.value.problems] == ["join"]
    # A map of one pixel runs over no axis in particular.
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["a"]),
        helper.make_node("Resize", ["a", "", "s"], ["b"], "grow"),
        helper.make_node("Conv", ["b", "w"], ["y"], "conv"),
    ]
    stored: Stored = {"w": W, "s": np.array([1, 1, 8, 8], np.float32)}
    with pytest.raises(UnsupportedError) as found:
        imported(tmp_path, model(nodes, stored=stored))
    assert [one.split("'")[1] for one in found.value.problems] == ["grow"]


def test_every_window_over_a_signal_is_named_and_what_follows_scores(
    tmp_path: Path,
) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "first", kernel_shape=[3]),
        helper.make_node("MaxPool", ["a"], ["b"], "pool", kernel_shape=[2]),
        helper.make_node("Sigmoid", ["b"], ["c"], "scores"),
        helper.make_node("Conv", ["c", "w"], ["y"], "second", kernel_shape=[3]),
    ]
    for sizes in ((1, 3, 16), (1, 3, 8, 8, 8)):
        with pytest.raises(UnsupportedError) as found:
            imported(tmp_path, model(nodes, stored={"w": W[0]}, x=sizes))
        *entry, first, pool, second = found.value.problems
        assert [text[:14] for text in entry] == ["input of shape"] * (len(sizes) == 5)
        assert "'first': weights of shape (3, 3, 3); windows are two-dim" in first
        assert "'pool': kernel_shape (2,); windows are two-dimensional" in pool
        assert "'second': follows Sigmoid 'scores'; handled: that at the" in second


def test_a_branch_that_reads_what_was_made_before_is_named(tmp_path: Path) -> None:
    made = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    inner = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", [], [made])
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "first"),
        helper.make_node(
            "If", ["c"], ["y"], "it", then_branch=inner, else_branch=inner
        ),
    ]
    with pytest.raises(UnsupportedError, match="If 'it' is not handled: no recurrence"):
        imported(tmp_path, model(nodes, stored={"c": np.array(True)}))


def test_weights_of_a_product_that_are_one_number_are_refused(tmp_path: Path) -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], "it", transB=1)
    with pytest.raises(UnsupportedError, match=r"weights of shape \(\); handled: ma"):
        imported(tmp_path, model([node], stored={"w": np.float32(2)}, x=(1, 6)))
