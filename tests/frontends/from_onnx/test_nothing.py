"""Operators that leave a map as it is are nothing; others of their kind are refused."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from onnx import NodeProto, helper

from hao.errors import InputError, UnsupportedError
from tests.frontends.onnx_models import (
    check_equal_to_onnxruntime,
    floats,
    imported,
    model,
)

X = floats(1, 1, 3, 6, 6)
NUMBERS: dict[str, ArrayLike] = {
    "ones": np.ones(4, np.float32),
    "twice": np.array([1, 1, 2, 2], np.float32),
    "size": np.array([1, 3, 6, 6]),
    "large": np.array([1, 3, 12, 12]),
    "roi": np.zeros(0, np.float32),
    "0": np.array([0, 0]),
    "1": np.array([1, 1]),
    "6": np.array([6, 2**31 - 1]),
    "axes": np.array([2, -1]),
    "narrow": np.array([3, 1, 1]),
    "once": np.ones(4, np.int64),
    "four": np.array([4]),
}


def made(
    op: str, *inputs: str, opset: int = 17, **attributes: object
) -> tuple[NodeProto, int]:
    node = helper.make_node(op, ["x", *inputs], ["m"], "it")
    node.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())
    return node, opset


@pytest.mark.parametrize(
    ("node", "opset"),
    [
        made("Resize", "roi", "ones"),
        made("Resize", "", "", "size"),
        made("Resize", "ones", opset=10),
        made("Upsample", "ones", opset=9),
        made("Upsample", opset=7, scales=[1.0] * 4),
        made("Slice", "0", "6", "axes"),
        made("Slice", opset=9, starts=[0, 0], ends=[6, 6], axes=[2, 3]),
        made("Expand", "size"),
        made("Expand", "narrow"),
        made("Tile", "once"),
    ],
)
def test_what_keeps_a_map_is_nothing(
    tmp_path: Path, node: NodeProto, opset: int
) -> None:
    nodes = [node, helper.make_node("Relu", ["m"], ["y"], "relu")]
    stored = {name: NUMBERS[name] for name in node.input[1:] if name}
    file = model(nodes, stored=stored, x=X.shape, opset=opset)
    network = check_equal_to_onnxruntime(tmp_path, file, X).network
    assert len(network.layers) == 2


@pytest.mark.parametrize(
    ("node", "opset"),
    [
        made("Resize", "roi", "twice"),
        made("Resize", "", "", "large"),
        made("Upsample", opset=7, scales=[1.0, 1.0, 2.0, 2.0]),
        made("Slice", "1", "6", "axes"),
        made("Slice", "0", "1", "axes"),
        made("Expand", "large"),
        made("Tile", "large"),
    ],
)
def test_what_changes_a_map_is_refused(
    tmp_path: Path, node: NodeProto, opset: int
) -> None:
    nodes = [node, helper.make_node("Relu", ["m"], ["y"], "relu")]
    stored = {name: NUMBERS[name] for name in node.input[1:] if name}
    message = f"{node.op_type} 'it' is not handled: "
    with pytest.raises(UnsupportedError, match=message):
        imported(tmp_path, model(nodes, stored=stored, x=X.shape, opset=opset))


@pytest.mark.parametrize(
    ("ends", "axes", "message"),
    [
        ("four", "axes", "Slice 'it': starts"),
        ("6", "large", "Slice 'it': starts"),
        ("6", "6", "Slice 'it': axis 6 of a tensor of"),
    ],
)
def test_a_slice_that_contradicts_itself_is_refused(
    tmp_path: Path, ends: str, axes: str, message: str
) -> None:
    node = helper.make_node("Slice", ["x", "0", ends, axes], ["y"], "it")
    stored = {name: NUMBERS[name] for name in ("0", ends, axes)}
    with pytest.raises(InputError, match=message):
        imported(tmp_path, model([node], stored=stored, x=X.shape))
