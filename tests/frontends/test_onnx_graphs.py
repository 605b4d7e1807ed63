"""load_onnx on whole graphs: inputs, layouts, outputs, names, arrays, precision."""

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hao.errors import InputError
from hao.frontends.from_onnx.model import load_onnx
from hao.ir.interpret import run_float
from hao.ir.layer import (
    Input,
    Layer,
    Pool,
)
from tests.frontends.onnx_models import (
    Stored,
    check_equal_to_onnxruntime,
    floats,
    imported,
    model,
    node_with,
    onnxruntime_outputs,
)

X = floats(1, 1, 3, 8, 8)
W = floats(2, 4, 3, 3, 3)
B = floats(3, 4)


def kinds(layers: tuple[Layer, ...]) -> list[str]:
    return [type(layer).__name__ for layer in layers]


def conv(source: str = "x", result: str = "y", **settings: object) -> NodeProto:
    attributes = {"pads": [1, 1, 1, 1], **settings}
    return node_with("Conv", [source, "w", "b"], [result], attributes, name="c")


def test_load_onnx_drops_what_does_nothing_when_a_network_runs(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Identity", ["x"], ["i"]),
        helper.make_node("Cast", ["i"], ["j"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["w0"], ["w"]),
        conv(source="j", result="a"),
        helper.make_node("Dropout", ["a"], ["y"]),
        helper.make_node("Sigmoid", ["a"], ["unread"]),
    ]
    made = model(nodes, stored={"w0": W, "b": B})
    result = check_equal_to_onnxruntime(tmp_path, made, X)
    assert kinds(result.network.layers) == ["Input", "Conv"]


def test_load_onnx_reads_a_stored_array_that_is_listed_as_an_input(
    tmp_path: Path,
) -> None:
    made = model([conv()], stored={"w": W, "b": B})
    made.graph.input.append(
        helper.make_tensor_value_info("w", TensorProto.FLOAT, W.shape)
    )
    check_equal_to_onnxruntime(tmp_path, made, X)


def test_load_onnx_takes_a_channels_last_input(tmp_path: Path) -> None:
    # As tf2onnx writes: normalise channels last, transpose, convolve, transpose back,
    # flatten in the order of pixels, multiply.
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["n"]),
        helper.make_node("Transpose", ["n"], ["t"], perm=[0, 3, 1, 2]),
        conv(source="t", result="a"),
        helper.make_node("Transpose", ["a"], ["u"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["u", "flat"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["y"]),
    ]
    stored: Stored = {
        "w": W,
        "b": B,
        "flat": np.array([-1, 5 * 6 * 4]),
        "m": floats(9, 120, 7),
    }
    stored["mean"] = floats(8, 3)
    made = model(nodes, stored=stored, x=("batch", 5, 6, 3))
    x = floats(1, 2, 5, 6, 3)
    result = imported(tmp_path, made)
    got = run_float(result.network, x.transpose(0, 3, 1, 2))
    expected = onnxruntime_outputs(made, x)
    np.testing.assert_allclose(got[:, :, 0, 0], expected, rtol=1e-4, atol=1e-4)
    assert any("channels, height, width" in note for note in result.notes)


def test_load_onnx_takes_a_vector_that_becomes_an_image(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "image"], ["r"]),
        conv(source="r", result="y"),
    ]
    stored: Stored = {"w": W, "b": B, "image": np.array([-1, 3, 4, 5])}
    made = model(nodes, stored=stored, x=("n", 60))
    result = check_equal_to_onnxruntime(tmp_path, made, floats(1, 2, 60))
    assert result.network.input.ofm.elements == 60
    assert result.network.input.ofm.height == 4


def test_load_onnx_reads_batch_norm_on_channels_last_features(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "m"], ["a"]),
        helper.make_node("Unsqueeze", ["a", "two"], ["u"]),
        helper.make_node("BatchNormalization", ["u", "g", "h", "e", "v"], ["n"]),
        helper.make_node("Squeeze", ["n", "two"], ["y"]),
    ]
    stored: Stored = {"m": floats(2, 6, 4), "two": np.array([2]), "g": floats(4, 4)}
    stored |= {"h": floats(5, 4), "e": floats(6, 4), "v": np.abs(floats(7, 4)) + 0.5}
    made = model(nodes, stored=stored, x=(1, 6))
    result = check_equal_to_onnxruntime(tmp_path, made, floats(1, 1, 6))
    assert kinds(result.network.layers) == ["Input", "Linear"]


def test_load_onnx_folds_arithmetic_with_constants(tmp_path: Path) -> None:
    # 2 * (3 - (-x / 4)) + per-channel, before a convolution without padding.
    nodes = [
        helper.make_node("Neg", ["x"], ["n"]),
        helper.make_node("Div", ["n", "four"], ["d"]),
        helper.make_node("Sub", ["three", "d"], ["s"]),
        helper.make_node("Mul", ["two", "s"], ["t"]),
        helper.make_node("Sum", ["t", "channel"], ["u"]),
        conv(source="u", pads=[0, 0, 0, 0]),
    ]
    stored: Stored = {"w": W, "b": B, "four": np.float32(4), "three": np.float32(3)}
    stored |= {"two": np.array([2], np.float32), "channel": floats(9, 3, 1, 1)}
    result = check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored), X)
    assert kinds(result.network.layers) == ["Input", "Conv"]


def test_load_onnx_reads_sums_of_maps_and_limits_by_channel(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "a", pads=[1, 1, 1, 1]),
        helper.make_node("Sum", ["a"], ["s"], "s"),
        helper.make_node("Max", ["s"], ["m"], "m"),
        helper.make_node("Min", ["m"], ["b"], "b"),
        helper.make_node("Max", ["zeros", "b"], ["c"], "c"),
        helper.make_node("Conv", ["x", "v"], ["d"], "d", pads=[1, 1, 1, 1]),
        helper.make_node("Sum", ["b", "c", "d"], ["y"], "y"),
    ]
    stored: Stored = {"w": W, "v": floats(5, 4, 3, 3, 3)}
    stored["zeros"] = np.zeros((1, 4, 1, 1), np.float32)
    result = check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored), X)
    found = kinds(result.network.layers)
    assert Counter(found) == {"Input": 1, "Conv": 2, "Depthwise": 1, "Add": 2}


def test_load_onnx_leaves_a_shift_before_padding_to_the_host(tmp_path: Path) -> None:
    nodes = [helper.make_node("Sub", ["x", "m"], ["s"]), conv(source="s")]
    stored: Stored = {"w": W, "b": B, "m": floats(9, 1, 3, 1, 1)}
    result = check_equal_to_onnxruntime(tmp_path, model(nodes, stored=stored), X)
    assert kinds(result.network.layers) == ["Input", "Conv"]
    shift = result.network.params["x.shift"]
    np.testing.assert_array_equal(shift, -floats(9, 1, 3, 1, 1).ravel())


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Sigmoid", "Tanh", "ArgMax"])
def test_load_onnx_leaves_out_scores_at_the_end_and_says_so(
    tmp_path: Path, op: str
) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "m"], ["a"]),
        helper.make_node(op, ["a"], ["s"], "last"),
        helper.make_node("Identity", ["s"], ["y"]),
    ]
    if op == "ArgMax":
        nodes[1].attribute.append(helper.make_attribute("axis", 1))
    made = model(nodes, stored={"m": floats(2, 6, 4)}, x=(3, 6))
    result = imported(tmp_path, made)
    x = floats(1, 3, 6)
    got = run_float(result.network, x.reshape(3, 6, 1, 1))[:, :, 0, 0]
    np.testing.assert_allclose(got, x @ floats(2, 6, 4), rtol=1e-5, atol=1e-5)
    assert result.notes == (
        f"{op} 'last' at the end is left out: the network returns what it reads, with "
        "the same order of classes",
    )


def test_load_onnx_leaves_out_both_outputs_of_top_k(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "m"], ["a"]),
        helper.make_node("TopK", ["a", "k"], ["v", "y"]),
    ]
    stored: Stored = {"m": floats(2, 6, 4), "k": np.array([1])}
    made = model(nodes, stored=stored, x=(1, 6), outputs=("v", "y"))
    assert kinds(imported(tmp_path, made).network.layers) == ["Input", "Linear"]


def test_load_onnx_leaves_out_constant_outputs_and_says_so(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Mul", ["two", "two"], ["four"]),
    ]
    made = model(nodes, stored={"two": np.float32(2)}, outputs=("y", "four"))
    result = imported(tmp_path, made)
    assert result.network.output.name == "y"
    assert result.notes[0] == "output 'four' is a constant and is left out"


def test_load_onnx_makes_names_safe_and_unique(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "/layer1/conv<1>"),
        helper.make_node(
            "MaxPool", ["a"], ["p"], "/layer1/conv[1]", kernel_shape=[2, 2]
        ),
        helper.make_node("Relu", ["p"], ["y"], "../../etc/passwd"),
    ]
    network = imported(tmp_path, model(nodes, stored={"w": W})).network
    names = [layer.name for layer in network.layers]
    assert names == ["x", "layer1.conv_1", "etc.passwd"]


def test_load_onnx_reads_arrays_from_a_file_in_its_folder(tmp_path: Path) -> None:
    made = model([conv()], stored={"w": W, "b": B})
    expected = onnxruntime_outputs(made, X)
    path = tmp_path / "model.onnx"
    onnx.save(
        made, path, save_as_external_data=True, location="model.data", size_threshold=0
    )
    got = run_float(load_onnx(path).network, X)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_load_onnx_inlines_functions_of_the_file(tmp_path: Path) -> None:
    function = helper.make_function(
        "local",
        "Block",
        ["a", "w", "b"],
        ["r"],
        [
            helper.make_node("Conv", ["a", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"]),
        ],
        [helper.make_opsetid("", 17)],
    )
    node = helper.make_node("Block", ["x", "w", "b"], ["y"], domain="local")
    made = model([node], stored={"w": W, "b": B}, domains=[("local", 1)])
    made.functions.append(function)
    check_equal_to_onnxruntime(tmp_path, made, X)


def test_load_onnx_reads_nodes_in_any_order(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["a"], ["y"]), conv(result="a")]
    made = model(nodes, stored={"w": W, "b": B})
    assert kinds(imported(tmp_path, made).network.layers) == ["Input", "Conv"]


def test_load_onnx_converts_half_precision_weights(tmp_path: Path) -> None:
    made = model([conv()], stored={"w": W.astype(np.float16), "b": B})
    network = imported(tmp_path, made).network
    reference = model(
        [conv()], stored={"w": W.astype(np.float16).astype(np.float32), "b": B}
    )
    got = run_float(network, X)
    np.testing.assert_allclose(
        got, onnxruntime_outputs(reference, X), rtol=1e-4, atol=1e-4
    )


def test_load_onnx_converts_bfloat16_weights(tmp_path: Path) -> None:
    tensor = helper.make_tensor("w", TensorProto.BFLOAT16, W.shape, W.ravel().tolist())
    made = model([conv()], stored={"b": B})
    made.graph.initializer.append(tensor)
    stored = {"w": numpy_helper.to_array(tensor).astype(np.float32), "b": B}
    ours = run_float(imported(tmp_path, made).network, X)
    theirs = onnxruntime_outputs(model([conv()], stored=stored), X)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_load_onnx_shares_nothing_that_can_be_written(tmp_path: Path) -> None:
    network = imported(tmp_path, model([conv()], stored={"w": W, "b": B})).network
    assert not any(array.flags.writeable for array in network.params.values())
    assert isinstance(network.layers[0], Input)
    assert set(network.params) == {"c.weight", "c.bias"}


def test_load_onnx_reads_global_max_pool(tmp_path: Path) -> None:
    node = helper.make_node("GlobalMaxPool", ["x"], ["y"])
    result = check_equal_to_onnxruntime(tmp_path, model([node]), X)
    assert isinstance(result.network.output, Pool)


def test_load_onnx_reads_pads_from_attributes_and_axes(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Pad", ["x", "p", "", "axes"], ["q"]),
        conv(source="q", pads=[0, 0, 0, 0]),
    ]
    stored: Stored = {
        "w": W,
        "b": B,
        "p": np.array([1, 0, 0, 1]),
        "axes": np.array([2, 3]),
    }
    made = model(nodes, stored=stored, opset=18)
    check_equal_to_onnxruntime(tmp_path, made, X)
    old = [
        helper.make_node("Pad", ["x"], ["q"], pads=[0, 0, 1, 0, 0, 0, 0, 1]),
        nodes[1],
    ]
    made = model(old, stored={"w": W, "b": B}, opset=9)
    check_equal_to_onnxruntime(tmp_path, made, X)
    # Keras pads channels last, in front of the Transpose of the frame.
    keras = [
        helper.make_node("Pad", ["x"], ["q"], pads=[0, 1, 0, 0, 0, 0, 1, 0]),
        helper.make_node("Transpose", ["q"], ["t"], perm=[0, 3, 1, 2]),
        conv(source="t", pads=[0, 0, 0, 0]),
    ]
    made = model(keras, stored={"w": W, "b": B}, opset=9, x=(-1, 8, 8, 3))
    theirs = onnxruntime_outputs(made, X.transpose(0, 2, 3, 1))
    ours = run_float(imported(tmp_path, made).network, X)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_load_onnx_keeps_a_raw_tensor_with_its_own_bytes(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(W, "w")
    assert tensor.raw_data
    made = model([conv()], stored={"b": B})
    made.graph.initializer.append(tensor)
    check_equal_to_onnxruntime(tmp_path, made, X)


def test_a_mean_of_nothing_warns_nobody(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["none"], ["empty"]),
        helper.make_node("ReduceMean", ["empty"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "bias"], ["biases"]),
        helper.make_node("Conv", ["x", "w", "biases"], ["y"], "conv"),
    ]
    stored: Stored = {
        "none": np.array([0], dtype=np.int64),
        "bias": np.zeros(4, dtype=np.float32),
        "w": np.ones((4, 3, 1, 1), dtype=np.float32),
    }
    path = tmp_path / "net.onnx"
    path.write_bytes(model(nodes, stored=stored, x=(1, 3, 8, 8)).SerializeToString())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(InputError, match="holds NaN"):
            load_onnx(path)
    assert [str(one.message) for one in said] == []


def test_a_product_of_two_stored_numbers_is_computed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["a", "b"], ["c"]),
        helper.make_node("Add", ["x", "c"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["y"]),
    ]
    stored: Stored = {"a": np.float32(2), "b": np.float32(3)}
    network = imported(tmp_path, model(nodes, stored=stored)).network
    x = floats(0, 1, 3, 8, 8)
    np.testing.assert_allclose(run_float(network, x), np.maximum(x + 6, 0), rtol=1e-6)
