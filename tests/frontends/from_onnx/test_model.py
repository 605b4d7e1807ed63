"""load_onnx: equal to onnxruntime on files built here, spelling by spelling."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import NodeProto, helper

from hao.ir.layer import (
    ActivationKind,
    Add,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Layer,
    Linear,
    Padding,
    Pool,
)
from tests.frontends.onnx_models import (
    Stored,
    check_equal_to_onnxruntime,
    floats,
    model,
    node_with,
)

X = floats(1, 1, 3, 8, 8)
W = floats(2, 4, 3, 3, 3)
B = floats(3, 4)


def kinds(layers: tuple[Layer, ...]) -> list[str]:
    return [type(layer).__name__ for layer in layers]


def conv(source: str = "x", result: str = "y", **settings: object) -> NodeProto:
    attributes = {"pads": [1, 1, 1, 1], **settings}
    return node_with("Conv", [source, "w", "b"], [result], attributes, name="c")


def test_load_onnx_folds_batch_norm_and_fuses_relu(tmp_path: Path) -> None:
    nodes = [
        conv(result="a"),
        helper.make_node("BatchNormalization", ["a", "g", "h", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    stored: Stored = {
        "w": W,
        "b": B,
        "g": floats(4, 4),
        "h": floats(5, 4),
        "m": floats(6, 4),
    }
    stored["v"] = np.abs(floats(7, 4)) + 0.5
    result = check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored), X)
    assert kinds(result.network.layers) == ["Input", "Conv"]
    last = result.network.output
    assert isinstance(last, Conv)
    assert last.activation is ActivationKind.RELU


@pytest.mark.parametrize("opset", [9, 17])
def test_load_onnx_reads_clip_as_relu6_from_attributes_and_inputs(
    tmp_path: Path, opset: int
) -> None:
    if opset < 11:
        clip = helper.make_node("Clip", ["a"], ["y"], min=0.0, max=6.0)
    else:
        clip = helper.make_node("Clip", ["a", "low", "high"], ["y"])
    stored: Stored = {"w": W * 3, "b": B}
    limits: Stored = {"low": np.float32(0), "high": np.float32(6)} if opset > 9 else {}
    made = model([conv(result="a"), clip], stored=stored | limits, opset=opset)
    result = check_equal_to_onnxruntime(tmp_path, made, X)
    last = result.network.output
    assert isinstance(last, Conv)
    assert last.activation is ActivationKind.RELU6


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-1, 1), (-0.5, None), (None, 0.25), (0.5, 3)]
)
@pytest.mark.parametrize("behind", [False, True])
def test_load_onnx_scales_other_limits_to_those_of_a_relu6(
    tmp_path: Path, low: float | None, high: float | None, behind: bool
) -> None:
    limits: Stored = {
        name: np.float32(value)
        for name, value in (("low", low), ("high", high))
        if value is not None
    }
    names = [name if name in limits else "" for name in ("low", "high")]
    source = "r" if behind else "a"
    nodes = [
        conv(result="a"),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Clip", [source, *names], ["c"]),
        helper.make_node("Conv", ["c", "w2"], ["y"]),
    ]
    stored: Stored = {"w": W * 3, "b": B, "w2": floats(9, 2, 4, 1, 1), **limits}
    check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored), X)


@pytest.mark.parametrize(
    ("op", "second", "kind"),
    [
        ("Max", 0.0, ActivationKind.RELU),
        ("Clip", 0.0, ActivationKind.RELU),
    ],
)
def test_load_onnx_reads_other_spellings_of_relu(
    tmp_path: Path, op: str, second: float, kind: ActivationKind
) -> None:
    stored: Stored = {"w": W, "b": B, "zero": np.float32(second)}
    nodes = [conv(result="a"), helper.make_node(op, ["a", "zero"], ["y"])]
    made = model(nodes, stored=stored)
    last = check_equal_to_onnxruntime(tmp_path, made, X).network.output
    assert isinstance(last, Conv)
    assert last.activation is kind


def test_load_onnx_reads_minimum_of_relu_as_relu6(tmp_path: Path) -> None:
    nodes = [
        conv(result="a"),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Min", ["six", "r"], ["y"]),
    ]
    stored: Stored = {"w": W * 3, "b": B, "six": np.float32(6)}
    result = check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored), X)
    assert kinds(result.network.layers) == ["Input", "Conv"]


@given(
    size=st.integers(5, 12),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    depthwise=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_load_onnx_conv_geometry_equals_onnxruntime(
    tmp_path_factory: pytest.TempPathFactory,
    size: int,
    kernel: int,
    stride: int,
    pads: tuple[int, int, int, int],
    depthwise: bool,
) -> None:
    groups = 3 if depthwise else 1
    stored: Stored = {"w": floats(2, 3, 3 // groups, kernel, kernel), "b": floats(3, 3)}
    node = conv(pads=list(pads), strides=[stride, stride], group=groups)
    made = model([node], stored=stored, x=(1, 3, size, size + 1))
    folder = tmp_path_factory.mktemp("conv")
    x = floats(1, 1, 3, size, size + 1)
    network = check_equal_to_onnxruntime(folder, made, x).network
    assert isinstance(network.output, Depthwise if depthwise else Conv)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [2, 3])
def test_load_onnx_reads_auto_pad(
    tmp_path: Path, mode: str, stride: int, kernel: int
) -> None:
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], auto_pad=mode, strides=[stride, stride]
    )
    stored: Stored = {"w": floats(2, 4, 3, kernel, kernel)}
    check_equal_to_onnxruntime(tmp_path, model([node], stored=stored), X)


@given(
    size=st.integers(4, 9),
    kernel=st.integers(2, 3),
    stride=st.integers(1, 3),
    pad=st.integers(0, 1),
    rounds_up=st.booleans(),
    counts=st.sampled_from([None, 0, 1]),
)
@settings(max_examples=40, deadline=None)
def test_load_onnx_pool_geometry_equals_onnxruntime(
    tmp_path_factory: pytest.TempPathFactory,
    size: int,
    kernel: int,
    stride: int,
    pad: int,
    rounds_up: bool,
    counts: int | None,
) -> None:
    kind = "MaxPool" if counts is None else "AveragePool"
    node = helper.make_node(
        kind,
        ["x"],
        ["y"],
        kernel_shape=[kernel, kernel],
        strides=[stride, stride],
        pads=[pad] * 4,
        ceil_mode=int(rounds_up),
    )
    if counts is not None:
        node.attribute.append(helper.make_attribute("count_include_pad", counts))
    # From operator set 19 on, what ceil_mode adds is not counted in any case.
    made = model([node], x=(1, 3, size, size), opset=19)
    folder = tmp_path_factory.mktemp("pool")
    check_equal_to_onnxruntime(folder, made, floats(1, 1, 3, size, size))


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMean"])
def test_load_onnx_reduces_over_pixels(tmp_path: Path, op: str, keep: int) -> None:
    node = helper.make_node(op, ["x"], ["y"], axes=[2, -1], keepdims=keep)
    check_equal_to_onnxruntime(tmp_path, model([node], opset=13), X)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node(op, ["t"], ["y"], axes=[1, 2], keepdims=keep),
    ]
    stored: Stored = {"w": floats(0, 4, 3, 3, 3)}
    check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored, opset=13), X)
    nodes[1:] = [
        helper.make_node("Reshape", ["c", "rows"], ["r"]),
        helper.make_node(op, ["r"], ["y"], axes=[-1], keepdims=keep),
    ]
    stored["rows"] = np.array([0, 4, -1])
    check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored, opset=13), X)


def test_load_onnx_averages_over_padding_of_its_own_and_of_a_pad(
    tmp_path: Path,
) -> None:
    nodes = [
        helper.make_node("Pad", ["x", "p"], ["q"]),
        helper.make_node(
            "AveragePool", ["q"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 0, 1]
        ),
    ]
    stored: Stored = {"p": np.array([0, 0, 1, 0, 0, 0, 1, 1])}
    result = check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored), X)
    (pool,) = (x for x in result.network.layers if isinstance(x, Pool))
    assert pool.uncounted == Padding(top=1, left=1, right=1)


def test_load_onnx_counts_padding_in_an_average_when_told(tmp_path: Path) -> None:
    node = helper.make_node(
        "AveragePool",
        ["x"],
        ["y"],
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
        count_include_pad=1,
    )
    result = check_equal_to_onnxruntime(tmp_path, model([node]), X)
    assert isinstance(result.network.output, Pool)
    assert result.network.output.uncounted == Padding()


@pytest.mark.parametrize(
    "pool",
    [
        helper.make_node("GlobalAveragePool", ["a"], ["p"]),
        helper.make_node("AveragePool", ["a"], ["p"], kernel_shape=[8, 8]),
        helper.make_node("ReduceMean", ["a"], ["p"], axes=[2, 3], keepdims=1),
        helper.make_node("ReduceMean", ["a"], ["p"], axes=[-1, -2], keepdims=1),
    ],
)
@pytest.mark.parametrize(
    "flatten",
    [
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Reshape", ["p", "flat"], ["f"]),
        helper.make_node("Squeeze", ["p", "pixels"], ["f"]),
    ],
)
def test_load_onnx_reads_every_way_to_a_classifier(
    tmp_path: Path, pool: NodeProto, flatten: NodeProto
) -> None:
    stored: Stored = {"w": W, "b": B, "m": floats(8, 4, 10), "k": floats(9, 10)}
    stored["flat"] = np.array([0, -1])
    stored["pixels"] = np.array([2, 3])
    nodes = [conv(result="a"), pool, flatten]
    nodes.append(helper.make_node("MatMul", ["f", "m"], ["l"], "fc"))
    nodes.append(helper.make_node("Add", ["k", "l"], ["y"]))
    result = check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored), X)
    layers = result.network.layers
    assert kinds(layers) == ["Input", "Conv", "GlobalAveragePool", "Linear"]
    assert [layer.name for layer in layers][-1] == "fc"
    assert isinstance(layers[-1], Linear)
    assert layers[-1].bias


def test_load_onnx_reads_axes_of_a_mean_from_an_input(tmp_path: Path) -> None:
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)
    made = model([node], stored={"axes": np.array([2, 3])}, opset=18)
    result = check_equal_to_onnxruntime(tmp_path, made, X)
    assert isinstance(result.network.output, GlobalAveragePool)


@pytest.mark.parametrize("batch", [1, 4, "N", None])
def test_load_onnx_folds_a_reshape_computed_from_the_shape(
    tmp_path: Path, batch: int | str | None
) -> None:
    # What torch.onnx writes for x.view(x.size(0), -1) with a dynamic batch.
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Constant", [], ["i"], value_int=0),
        helper.make_node("Gather", ["s", "i"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "zero"], ["n1"]),
        helper.make_node("Constant", [], ["rest"], value_ints=[-1]),
        helper.make_node("Concat", ["n1", "rest"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["y"], transB=1),
    ]
    stored: Stored = {"w": floats(2, 5, 192), "b": floats(3, 5), "zero": np.array([0])}
    made = model(nodes, stored=stored, x=(batch, 3, 8, 8))
    frames = floats(1, batch if isinstance(batch, int) else 1, 3, 8, 8)
    result = check_equal_to_onnxruntime(tmp_path, made, frames)
    assert kinds(result.network.layers) == ["Input", "Linear"]


def test_load_onnx_reads_gemm_with_factors(tmp_path: Path) -> None:
    node = helper.make_node(
        "Gemm", ["x", "w", "b"], ["y"], alpha=0.5, beta=2.0, transB=0
    )
    stored: Stored = {"w": floats(2, 6, 5), "b": floats(3, 1, 5)}
    made = model([node], stored=stored, x=(1, 6))
    check_equal_to_onnxruntime(tmp_path, made, floats(1, 1, 6))


def test_load_onnx_keeps_the_residual_add_and_fuses_its_relu(tmp_path: Path) -> None:
    stored: Stored = {"w": floats(2, 3, 3, 3, 3), "b": floats(3, 3)}
    nodes = [
        conv(result="a"),
        helper.make_node("Add", ["a", "x"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    result = check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored), X)
    last = result.network.output
    assert isinstance(last, Add)
    assert last.activation is ActivationKind.RELU


def test_load_onnx_merges_an_asymmetric_pad_into_the_convolution(
    tmp_path: Path,
) -> None:
    nodes = [
        helper.make_node("Pad", ["x", "p"], ["q"]),
        conv(source="q", pads=[0, 0, 0, 0], strides=[2, 2]),
    ]
    stored: Stored = {"w": W, "b": B, "p": np.array([0, 0, 0, 0, 0, 0, 1, 1])}
    result = check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored), X)
    last = result.network.output
    assert isinstance(last, Conv)
    assert last.padding == Padding(bottom=1, right=1)


def test_load_onnx_merges_a_pad_into_max_pool_behind_relu(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Pad", ["r", "p"], ["q"]),
        helper.make_node("MaxPool", ["q"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    made = model(nodes, stored={"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])})
    result = check_equal_to_onnxruntime(tmp_path, made, X)
    assert kinds(result.network.layers) == ["Input", "Depthwise", "Pool"]
