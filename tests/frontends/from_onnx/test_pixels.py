"""load_onnx: equal to onnxruntime where pixels are gone over, padded or skipped."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto, NodeProto, helper

from hao.errors import UnsupportedError
from hao.ir.layer import Conv, GlobalAveragePool, Pool
from tests.frontends.onnx_models import (
    Stored,
    check_equal_to_onnxruntime,
    floats,
    imported,
    model,
    node_with,
)

X = floats(1, 1, 3, 8, 6)
STORED: Stored = {"w": floats(2, 4, 3, 3, 3), "b": floats(3, 4)}
FIRST = node_with("Conv", ["x", "w", "b"], ["t"], {"pads": [1] * 4}, name="c")


def net(*nodes: NodeProto, opset: int = 17, **stored: ArrayLike) -> ModelProto:
    return model(
        [FIRST, *nodes], stored={**STORED, **stored}, x=(1, 3, 8, 6), opset=opset
    )


def many(*arrays: int) -> NDArray[np.int64]:
    return np.array(arrays, dtype=np.int64)


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axes", [(3, 2), (2, -1), (-1, 2)])
@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum"])
def test_load_onnx_joins_rows_and_columns_of_two_nodes(
    tmp_path: Path, op: str, axes: tuple[int, int], keep: int
) -> None:
    first, second = axes
    nodes = [
        node_with(op, ["t", "a"], ["u"], {"keepdims": 1}, name="one"),
        node_with(op, ["u", "d"], ["y"], {"keepdims": keep}, name="two"),
    ]
    made = net(*nodes, opset=18, a=many(first), d=many(second))
    result = check_equal_to_onnxruntime(tmp_path, made, X, tolerance=1e-4)
    assert any(isinstance(one, GlobalAveragePool) for one in result.network.layers)


def test_load_onnx_counts_axes_after_one_that_is_gone(tmp_path: Path) -> None:
    nodes = [
        node_with("ReduceMean", ["t"], ["u"], {"axes": [2], "keepdims": 0}),
        node_with("ReduceMean", ["u"], ["y"], {"axes": [2], "keepdims": 0}),
    ]
    check_equal_to_onnxruntime(tmp_path, net(*nodes), X)


def test_load_onnx_refuses_a_mean_over_rows_alone(tmp_path: Path) -> None:
    nodes = [
        node_with("ReduceMean", ["t"], ["u"], {"axes": [2]}, name="m"),
        node_with("Relu", ["u"], ["y"], {}, name="r"),
    ]
    with pytest.raises(UnsupportedError, match=r"Relu 'r': follows ReduceMean 'm', w"):
        imported(tmp_path, net(*nodes))
    other = node_with("ReduceSum", ["u", "a"], ["y"], {}, name="s")
    with pytest.raises(UnsupportedError, match=r"Sum 's': follows ReduceMean 'm'"):
        imported(tmp_path, net(nodes[0], other, a=many(3)))
    with pytest.raises(UnsupportedError, match=r"output 'u' holds .*half a mean"):
        imported(tmp_path, model([FIRST, nodes[0]], stored=STORED, outputs=["u"]))


@pytest.mark.parametrize("up", [0, 1])
@pytest.mark.parametrize("lowest", [-np.inf, np.finfo(np.float32).min])
@pytest.mark.parametrize("own", [(0, 0, 0, 0), (1, 0, 1, 0)])
def test_load_onnx_takes_what_no_maximum_picks_as_padding(
    tmp_path: Path, own: tuple[int, ...], lowest: float, up: int
) -> None:
    pads = many(0, 0, 1, 0, 0, 0, 0, 1)
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": own, "ceil_mode": up}
    nodes = [
        node_with("Pad", ["t", "p", "v"], ["u"], {}),
        node_with("MaxPool", ["u"], ["y"], window),
    ]
    made = net(*nodes, p=pads, v=np.float32(lowest))
    result = check_equal_to_onnxruntime(tmp_path, made, X)
    assert isinstance(result.network.output, Pool)


def test_load_onnx_refuses_the_lowest_number_elsewhere(tmp_path: Path) -> None:
    pad = node_with("Pad", ["t", "p", "v"], ["u"], {}, name="p")
    pads = many(0, 0, 1, 1, 0, 0, 1, 1)
    relu = node_with("Relu", ["u"], ["y"], {}, name="r")
    with pytest.raises(UnsupportedError, match=r"Relu 'r': follows Pad 'p', which pad"):
        imported(tmp_path, net(pad, relu, p=pads, v=np.float32(-np.inf)))


@pytest.mark.parametrize("flat", [False, True])
def test_load_onnx_reads_a_product_along_channels_as_a_1x1_convolution(
    tmp_path: Path, flat: bool
) -> None:
    turn = {"perm": [0, 2, 1] if flat else [0, 2, 3, 1]}
    back = {"perm": [0, 2, 1] if flat else [0, 3, 1, 2]}
    nodes = [
        node_with("Reshape", ["t", "s"], ["f"], {}),
        node_with("Transpose", ["f" if flat else "t"], ["h"], turn),
        node_with("MatMul", ["h", "m"], ["p"], {}),
        node_with("Add", ["p", "o"], ["q"], {}),
        node_with("Relu", ["q"], ["r"], {}),
        node_with("Transpose", ["r"], ["y"], back),
    ]
    made = net(*nodes, m=floats(4, 4, 5), o=floats(5, 5), s=many(1, 4, 48))
    result = check_equal_to_onnxruntime(tmp_path, made, X)
    last = result.network.output
    assert isinstance(last, Conv)
    assert (last.kernel, last.bias, last.ofm.channels) == (1, True, 5)


@pytest.mark.parametrize("dilations", [(2, 2), (1, 3), (3, 1)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_load_onnx_spreads_taps_of_a_dilated_convolution(
    tmp_path: Path, dilations: tuple[int, int], groups: int
) -> None:
    height, width = dilations
    settings = {
        "dilations": dilations,
        "pads": [height, width, height, width],
        "group": groups,
        "strides": [2, 2],
    }
    node = node_with("Conv", ["t", "k"], ["y"], settings)
    made = net(node, k=floats(6, 4, 4 // groups, 3, 3))
    check_equal_to_onnxruntime(tmp_path, made, X)


def test_load_onnx_refuses_taps_too_far_apart(tmp_path: Path) -> None:
    node = node_with("Conv", ["t", "k"], ["y"], {"dilations": [4, 4]}, name="d")
    made = net(node, k=floats(6, 4, 4, 3, 3))
    with pytest.raises(UnsupportedError, match=r"'d': a kernel of 3x3 .* over 9x9 pix"):
        imported(tmp_path, made)


@pytest.mark.parametrize("op", ["Sub", "Mean"])
def test_load_onnx_adds_what_maps_differ_by_or_have_in_common(
    tmp_path: Path, op: str
) -> None:
    nodes = [
        node_with("Relu", ["t"], ["r"], {}),
        node_with("Conv", ["r", "k"], ["u"], {"pads": [1] * 4}),
        node_with(op, ["r", "u"], ["y"], {}),
    ]
    made = net(*nodes, k=floats(6, 4, 4, 3, 3))
    check_equal_to_onnxruntime(tmp_path, made, X)


def test_load_onnx_leaves_out_quantizers_of_class_scores(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["t"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Softmax", ["f"], ["p"], name="s"),
        helper.make_node("QuantizeLinear", ["p", "step", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["y"]),
    ]
    made = net(*nodes, step=np.float32(2**-8), zero=np.uint8(0))
    result = imported(tmp_path, made)
    assert result.network.output.name == "g"
    assert "Softmax 's' at the end is left out" in result.notes[0]
