"""Small ONNX models for the tests, and what onnxruntime and QONNX compute for them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import onnx
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from hao.frontends.from_onnx.model import load_onnx
from hao.frontends.imported import ImportedNetwork
from hao.ir.interpret import run_float

Floats = NDArray[np.float32]
Stored = dict[str, ArrayLike]

IR_VERSION = 10
"""What onnxruntime reads; newer versions of onnx write a newer one by default."""

_ONE_AT_A_TIME = Lock()
"""Held while a function of the onnx package is another: threads must not undo it."""

QONNX_DOMAIN = "qonnx.custom_op.general"


def floats(seed: int, *sizes: int) -> Floats:
    return np.random.default_rng(seed).normal(size=sizes).astype(np.float32)


def node_with(
    op: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attributes: Mapping[str, object],
    *,
    name: str = "",
    domain: str = "",
) -> NodeProto:
    node = helper.make_node(op, inputs, outputs, name, domain=domain)
    node.attribute.extend(
        helper.make_attribute(key, value) for key, value in sorted(attributes.items())
    )
    return node


def model(
    nodes: Sequence[NodeProto],
    *,
    stored: Mapping[str, ArrayLike] | None = None,
    x: Sequence[int | str | None] = (1, 3, 8, 8),
    opset: int = 17,
    outputs: Sequence[str] = ("y",),
    domains: Sequence[tuple[str, int]] = (),
    x_type: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", x_type, list(x))],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in outputs
        ],
        [
            numpy_helper.from_array(np.asarray(array), name)
            for name, array in (stored or {}).items()
        ],
    )
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(name, version) for name, version in domains]
    made = helper.make_model(graph, opset_imports=imports)
    made.ir_version = IR_VERSION
    return made


def imported(folder: Path, made: onnx.ModelProto) -> ImportedNetwork:
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return load_onnx(path)


def onnxruntime_outputs(made: onnx.ModelProto, x: NDArray[np.generic]) -> Floats:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(made.SerializeToString(), options)
    result: Floats = session.run(None, {made.graph.input[0].name: x})[0]
    return result


def qonnx_outputs(made: onnx.ModelProto, x: Floats) -> Floats:
    """Return what QONNX's executor computes; it runs every node as its own model."""
    with _ONE_AT_A_TIME, _old_ir_version():
        wrapper = ModelWrapper(made).transform(InferShapes())
        results = execute_onnx(wrapper, {made.graph.input[0].name: x})
    (result,) = results.values()
    return np.asarray(result, dtype=np.float32)


@contextmanager
def _old_ir_version() -> Iterator[None]:
    original = helper.make_model

    def patched(graph: onnx.GraphProto, **settings: object) -> onnx.ModelProto:
        made = original(graph, **settings)
        made.ir_version = IR_VERSION
        return made

    helper.make_model = patched
    onnx.helper.make_model = patched
    try:
        yield
    finally:
        helper.make_model = original
        onnx.helper.make_model = original


def check_equal_to_onnxruntime(
    folder: Path,
    made: onnx.ModelProto,
    x: NDArray[np.generic],
    *,
    tolerance: float = 1e-5,
) -> ImportedNetwork:
    """Check an import against onnxruntime on frames x, channels first."""
    result = imported(folder, made)
    expected = onnxruntime_outputs(made, x)
    shape = result.network.input.ofm
    real = x.astype(np.float64) if x.dtype == np.float64 else x.astype(np.float32)
    frames = real.reshape(-1, shape.channels, shape.height, shape.width)
    got = run_float(result.network, frames)
    np.testing.assert_allclose(
        got.ravel(), expected.ravel(), rtol=tolerance, atol=tolerance
    )
    return result
