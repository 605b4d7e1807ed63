"""onnxruntime's own operators are written out: equal to what onnxruntime computes."""

import re
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, helper

from hao.errors import UnsupportedError
from hao.ir.layer import Conv, Linear
from hao.ir.tensor import QType
from tests.frontends.onnx_models import (
    Stored,
    check_equal_to_onnxruntime,
    floats,
    model,
    node_with,
)

X = floats(1, 1, 3, 6, 6)
CODES = np.random.default_rng(2)

# Powers of two: onnxruntime's product of scales in single precision is exact. An even
# zero point of the result: its adds round halves behind it, not in front.
STORED: Stored = {
    "s": np.float32(2**-5),
    "z": np.int8(-5),
    "t": np.float32(2**-2),
    "zt": np.int8(8),
    "w": CODES.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
    "sw": np.array([2**-7, 2**-8, 2**-9, 2**-6], np.float32),
    "zw": np.zeros(4, np.int8),
    "b": np.array([100, -2000, 3000, 0], np.int32),
    "m": CODES.integers(-127, 128, (108, 4)).astype(np.int8),
    "f": floats(3, 4, 3, 3, 3),
    "r": floats(4, 4),
    "flat": np.array([1, 108]),
}


def check(folder: Path, *nodes: NodeProto) -> Conv | Linear | None:
    """Check a file whose frame is quantized to "a" and whose result is "c"."""
    domains = [("com.microsoft", 1)]
    made = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]),
        helper.make_node("Reshape", ["a", "flat"], ["l"]),
        *nodes,
        helper.make_node("DequantizeLinear", ["c", "t", "zt"], ["y"]),
    ]
    file = model(made, stored=STORED, x=X.shape, domains=domains, opset=13)
    network = check_equal_to_onnxruntime(folder, file, X).network
    found = [one for one in network.layers if isinstance(one, Conv | Linear)]
    return found[0] if found else None


def contrib(
    op: str, inputs: str, domain: str = "com.microsoft", **attributes: object
) -> NodeProto:
    return node_with(op, inputs.split(), ["c"], attributes, name="it", domain=domain)


def test_integer_convolution_with_scales_by_channel(tmp_path: Path) -> None:
    inputs = ["a", "s", "z", "w", "sw", "zw", "t", "zt", "b"]
    layer = check(
        tmp_path, helper.make_node("QLinearConv", inputs, ["c"], pads=[1] * 4)
    )
    assert isinstance(layer, Conv)
    assert layer.weight == QType(bits=8, signed=True)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node(
            "QLinearMatMul", ["l", "s", "z", "m", "sw", "zw", "t", "zt"], ["c"]
        ),
        contrib("QGemm", "l s z m sw zw b t zt", alpha=1.0),
    ],
)
def test_integer_products(tmp_path: Path, node: NodeProto) -> None:
    layer = check(tmp_path, node)
    assert isinstance(layer, Linear)
    assert layer.weight == QType(bits=8, signed=True)


@pytest.mark.parametrize(
    "node",
    [
        contrib("QLinearAdd", "a s z a s z t zt"),
        contrib("QLinearGlobalAveragePool", "a s z t zt", channels_last=0),
        contrib("QLinearAveragePool", "a s z t zt", kernel_shape=[2, 2]),
        contrib("QLinearLeakyRelu", "a s z t zt", alpha=0.0),
    ],
)
def test_integer_operators_without_weights(tmp_path: Path, node: NodeProto) -> None:
    assert check(tmp_path, node) is None


def test_a_product_of_integers_may_be_left_in_floating_point(tmp_path: Path) -> None:
    product = contrib("QGemm", "l s z m sw zw b", alpha=1.0)
    product.output[0] = "f1"
    check(
        tmp_path, product, helper.make_node("QuantizeLinear", ["f1", "t", "zt"], ["c"])
    )


def test_quantizers_of_the_older_domain(tmp_path: Path) -> None:
    there = contrib("DequantizeLinear", "a s z")
    there.output[0] = there.name = "real"
    check(tmp_path, there, contrib("QuantizeLinear", "real t zt"))


@pytest.mark.parametrize(
    "activation",
    [
        {"activation": "Relu"},
        {"activation": "LeakyRelu", "activation_params": [0.0]},
        {"activation": "Clip", "activation_params": [0.0, 6.0]},
    ],
)
@pytest.mark.parametrize("added", [False, True])
def test_convolutions_fused_with_what_follows(
    tmp_path: Path, activation: dict[str, object], added: bool
) -> None:
    domain = "com.microsoft"
    plain = helper.make_node("Conv", ["x", "f", "r"], ["z0"], "first", pads=[1] * 4)
    inputs = ["x", "f", "r", *(["z0"] if added else [])]
    settings = {"pads": [1] * 4, **activation}
    node = node_with("FusedConv", inputs, ["y"], settings, name="it", domain=domain)
    nodes = [plain, node] if added else [node]
    made = model(nodes, stored=STORED, x=X.shape, domains=[(domain, 1)], opset=13)
    check_equal_to_onnxruntime(tmp_path, made, X)


@pytest.mark.parametrize(
    "node",
    [
        contrib("QLinearGlobalAveragePool", "a s z t zt", channels_last=1),
        contrib("QLinearConcat", "t zt a s z a s z", axis=1),
    ],
)
def test_channels_last_and_joined_integers_are_refused(
    tmp_path: Path, node: NodeProto
) -> None:
    message = "'it' of 'com.microsoft' is not handled: "
    with pytest.raises(UnsupportedError, match=re.escape(message)):
        check(tmp_path, node)
