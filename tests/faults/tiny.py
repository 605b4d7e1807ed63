"""A network of two convolutions, and data: the least that every command takes."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_tiny(folder: Path) -> None:
    """Write net.onnx, data.npz and float.npz (the weights of net.onnx)."""
    r = np.random.default_rng(0)
    weights = {
        "a.weight": r.normal(0, 0.3, (4, 3, 3, 3)),
        "a.bias": r.normal(0, 0.1, 4),
        "b.weight": r.normal(0, 0.3, (3, 4, 3, 3)),
        "b.bias": r.normal(0, 0.1, 3),
    }
    arrays = {name: array.astype(np.float32) for name, array in weights.items()}
    pads = [1] * 4
    nodes = [
        helper.make_node(
            "Conv", ["x", "a.weight", "a.bias"], ["t"], name="a", pads=pads
        ),
        helper.make_node("Relu", ["t"], ["u"], "r"),
        helper.make_node(
            "Conv", ["u", "b.weight", "b.bias"], ["v"], name="b", pads=pads
        ),
        helper.make_node("GlobalAveragePool", ["v"], ["y"], "g"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 10, 10])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 1, 1])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(
        helper.make_model(graph, opset_imports=opsets, ir_version=8),
        folder / "net.onnx",
    )
    x = r.normal(0, 1, (32, 3, 10, 10)).astype(np.float32)
    y = np.arange(32) % 3
    np.savez(
        folder / "data.npz",
        x_train=x[:24],
        y_train=y[:24],
        x_test=x[24:],
        y_test=y[24:],
    )
    np.savez(folder / "float.npz", **arrays)  # type: ignore[arg-type] # numpy's stub


def write_deep(folder: Path) -> None:
    """Write deep.onnx, of four convolutions: two of them may be pruned or replaced."""
    r = np.random.default_rng(1)
    nodes, stored, at, channels = [], [], "x", 3
    for number, count in enumerate((16, 16, 16, 3)):
        name = f"l{number}"
        arrays = {
            f"{name}.weight": r.normal(0, 0.3, (count, channels, 3, 3)),
            f"{name}.bias": r.normal(0, 0.1, count),
        }
        stored += [
            numpy_helper.from_array(array.astype(np.float32), key)
            for key, array in arrays.items()
        ]
        made = [at, *arrays]
        nodes.append(helper.make_node("Conv", made, [name], name, pads=[1] * 4))
        at, channels = name, count
        if number < 3:
            at = f"{name}.relu"
            nodes.append(helper.make_node("Relu", [name], [at]))
    nodes.append(helper.make_node("GlobalAveragePool", [at], ["y"], "g"))
    graph = helper.make_graph(
        nodes,
        "deep",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 10, 10])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 1, 1])],
        stored,
    )
    opsets = [helper.make_opsetid("", 13)]
    made_model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(made_model, folder / "deep.onnx")
