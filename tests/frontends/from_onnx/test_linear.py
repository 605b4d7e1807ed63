"""QuantizeLinear and DequantizeLinear with operators between: equal to onnxruntime."""

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from hao.ir.layer import Conv, Pool, Quantize
from hao.ir.tensor import QType
from tests.frontends.onnx_models import (
    Floats,
    Stored,
    check_equal_to_onnxruntime,
    floats,
    imported,
    model,
    node_with,
)

Step = tuple[str, list[str], dict[str, object]]
"""Operator, its inputs behind the first, attributes."""

X = floats(1, 1, 3, 6, 6)

PAIR: Stored = {
    "s": np.float32(0.043),
    "z": np.int8(-5),
    "fill": np.int8(-5),
    "low": np.int8(-100),
    "w": floats(2, 4, 3, 3, 3),
    "axes": np.array([1]),
    "first": np.array([0]),
    "shape": np.array([1, 3, 36]),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "t": np.float32(0.02),
    "zt": np.int8(7),
}


def chain(*steps: Step) -> list[NodeProto]:
    """Return x behind QuantizeLinear and the steps as node and tensor t0, t1 and on."""
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["t0"])]
    for index, (op, others, attributes) in enumerate(steps):
        inputs, made = [f"t{index}", *others], f"t{index + 1}"
        nodes.append(node_with(op, inputs, [made], attributes, name=f"{op}_{index}"))
    return nodes


DEQUANTIZED: Step = ("DequantizeLinear", ["s", "z"], {})
POOL: dict[str, object] = {"kernel_shape": [2, 2], "strides": [2, 2]}
TURNED: dict[str, object] = {"perm": [0, 2, 3, 1]}
BACK: dict[str, object] = {"perm": [0, 3, 1, 2]}


@pytest.mark.parametrize(
    "steps",
    [
        [("Transpose", [], TURNED), DEQUANTIZED, ("Transpose", [], BACK)],
        [
            ("Reshape", ["shape"], {}),
            ("Transpose", [], {"perm": [0, 2, 1]}),
            DEQUANTIZED,
            ("Transpose", [], {"perm": [0, 2, 1]}),
        ],
        [("Flatten", [], {}), ("Unsqueeze", ["axes"], {}), DEQUANTIZED],
        [("MaxPool", [], {**POOL, "pads": [1, 1, 1, 1]}), DEQUANTIZED],
        [("Identity", [], {}), ("Concat", [], {"axis": 1}), DEQUANTIZED],
        [
            ("Cast", [], {"to": TensorProto.INT32}),
            ("Cast", [], {"to": TensorProto.INT8}),
            DEQUANTIZED,
        ],
        [("Cast", [], {"to": TensorProto.FLOAT})],
        [("Relu", [], {}), DEQUANTIZED],
        [("DequantizeLinear", ["t", "zt"], {})],
    ],
)
def test_what_moves_codes_moves_their_values(tmp_path: Path, steps: list[Step]) -> None:
    nodes = chain(*steps)
    nodes[-1].output[0] = "y"
    check_equal_to_onnxruntime(tmp_path, model(nodes, stored=PAIR, x=X.shape), X)


@pytest.mark.parametrize("computed", [False, True])
def test_codes_padded_with_their_zero_are_a_padded_map(
    tmp_path: Path, *, computed: bool
) -> None:
    stored = dict(PAIR)
    made: list[NodeProto] = []
    if computed:  # as onnxruntime's quantize_static spells it
        stored["none"] = np.zeros(1, dtype=np.float32)
        made = [helper.make_node("QuantizeLinear", ["none", "s", "z"], ["fill"])]
        del stored["fill"]
    nodes = [
        *made,
        *chain(("Pad", ["pads", "fill"], {}), DEQUANTIZED),
        helper.make_node("Conv", ["t2", "w"], ["y"], "conv"),
    ]
    result = check_equal_to_onnxruntime(
        tmp_path, model(nodes, stored=stored, x=X.shape), X
    )
    conv = result.network.output
    assert isinstance(conv, Conv)
    assert conv.padding.top == conv.padding.left == 1


def test_codes_that_two_read_are_quantized_once_each_before_a_pool(
    tmp_path: Path,
) -> None:
    nodes = [
        *chain(("MaxPool", [], POOL), DEQUANTIZED),
        helper.make_node("DequantizeLinear", ["t0", "s", "z"], ["v"], "v"),
        node_with("AveragePool", ["v"], ["a"], POOL),
        helper.make_node("Add", ["t2", "a"], ["y"], "y"),
    ]
    network = check_equal_to_onnxruntime(
        tmp_path, model(nodes, stored=PAIR, x=X.shape), X
    ).network
    pool = next(layer for layer in network.layers if isinstance(layer, Pool))
    source = next(layer for layer in network.layers if layer.name == pool.input)
    assert isinstance(source, Quantize)


def test_weights_are_moved_as_codes_with_their_scales(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["w", "sw", "zw"], ["a"], axis=3),
        helper.make_node("Transpose", ["a"], ["b"], perm=[3, 2, 0, 1]),
        helper.make_node("DequantizeLinear", ["b", "sw", "zw"], ["c"], axis=0),
        helper.make_node("Conv", ["x", "c"], ["y"], "conv"),
    ]
    stored: Stored = {
        "w": floats(3, 3, 3, 3, 4),
        "sw": np.linspace(0.01, 0.04, 4, dtype=np.float32),
        "zw": np.zeros(4, np.int8),
    }
    network = check_equal_to_onnxruntime(
        tmp_path, model(nodes, stored=stored, x=X.shape), X
    ).network
    conv = network.output
    assert isinstance(conv, Conv)
    assert conv.weight == QType(bits=8, signed=True)


def test_a_file_that_ends_in_codes_ends_in_their_values(tmp_path: Path) -> None:
    nodes = chain(("Transpose", [], TURNED))
    nodes[-1].output[0] = "y"
    result = imported(tmp_path, model(nodes, stored=PAIR, x=X.shape))
    assert isinstance(result.network.output, Quantize)
    assert any("output 'y' holds codes" in note for note in result.notes)


def test_a_frame_of_integers_is_dequantized(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["f"], "f"),
        helper.make_node("Conv", ["f", "w"], ["y"], "conv"),
    ]
    stored = PAIR | {"z": np.uint8(114)}
    frames: Floats = np.arange(108).reshape(1, 3, 6, 6).astype(np.uint8)
    made = model(nodes, stored=stored, x=(1, 3, 6, 6), x_type=TensorProto.UINT8)
    network = check_equal_to_onnxruntime(tmp_path, made, frames).network
    codes, conv = network.layers[1:]
    assert isinstance(codes, Quantize)
    assert isinstance(conv, Conv)
    assert codes.quant == QType(bits=8, signed=False)
    assert network.params["f.codes.scale"].tolist() == [1.0]
