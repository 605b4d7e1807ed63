"""load_onnx on quantized files: equal to QONNX's executor and to onnxruntime."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from onnx import NodeProto, helper

from hao.errors import UnsupportedError
from hao.ir.interpret import run_float
from hao.ir.layer import Affine, Conv, Linear, Quantize
from hao.ir.tensor import QType, Rounding
from tests.frontends.onnx_models import (
    QONNX_DOMAIN,
    Floats,
    Stored,
    check_equal_to_onnxruntime,
    floats,
    imported,
    model,
    node_with,
    qonnx_outputs,
)

X = floats(1, 1, 3, 6, 6)


def quant(
    source: str, result: str, *, domain: str = QONNX_DOMAIN, **attributes: object
) -> NodeProto:
    """Return a Quant whose parameters are stored as result.scale and so on."""
    chosen = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **attributes}
    inputs = [source, *(f"{result}.{part}" for part in ("scale", "zero", "bits"))]
    return node_with(
        "Quant", inputs, [result], chosen, name=f"{result}_quant", domain=domain
    )


def parameters(result: str, scale: ArrayLike, bits: int, zero: float = 0.0) -> Stored:
    return {
        f"{result}.scale": np.asarray(scale, np.float32),
        f"{result}.zero": np.asarray(zero, np.float32),
        f"{result}.bits": np.asarray(bits, np.float32),
    }


@given(
    bits=st.integers(1, 8),
    signed=st.booleans(),
    narrow=st.booleans(),
    rounding=st.sampled_from(["ROUND", "HALF_UP", "CEIL", "FLOOR", "DOWN"]),
    zero=st.sampled_from([0.0, 1.0, -2.0]),
    scale=st.sampled_from([0.25, 0.3, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_quantize_layer_equals_qonnx(
    tmp_path_factory: pytest.TempPathFactory,
    bits: int,
    signed: bool,
    narrow: bool,
    rounding: str,
    zero: float,
    scale: float,
) -> None:
    node = quant(
        "x", "y", signed=int(signed), narrow=int(narrow), rounding_mode=rounding
    )
    made = model(
        [node],
        stored=parameters("y", scale, bits, zero),
        domains=[(QONNX_DOMAIN, 2)],
        x=(1, 1, 9, 9),
    )
    # Multiples of an eighth, so that halves occur at scale 0.25.
    x = np.arange(-40, 41, dtype=np.float32).reshape(1, 1, 9, 9) * np.float32(0.125)
    network = imported(tmp_path_factory.mktemp("quant"), made).network
    assert np.array_equal(run_float(network, x), qonnx_outputs(made, x))


@pytest.mark.parametrize(
    "domain",
    [QONNX_DOMAIN, "finn.custom_op.general", "onnx.brevitas", "brevitas.onnx", ""],
)
def test_quant_is_read_in_every_domain(tmp_path: Path, domain: str) -> None:
    domains = [(domain, 1)] if domain else []
    made = model(
        [quant("x", "y", domain=domain)],
        stored=parameters("y", 0.5, 4),
        domains=domains,
    )
    network = imported(tmp_path, made).network
    x = floats(1, 1, 3, 8, 8)
    expected = np.clip(np.rint(x * 2), -8, 7) / 2
    assert np.array_equal(run_float(network, x), expected)


def quantized_cnn(weight_scale: Floats) -> tuple[list[NodeProto], Stored]:
    nodes = [
        quant("x", "qx"),
        quant("w", "qw", narrow=1),
        helper.make_node("Conv", ["qx", "qw"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "g", "h", "m", "v"], ["n"], "bn"),
        helper.make_node("Relu", ["n"], ["r"], "relu"),
        quant("r", "qr", signed=0),
        helper.make_node("Flatten", ["qr"], ["f"]),
        quant("k", "qk", narrow=1),
        helper.make_node("Transpose", ["qk"], ["kt"]),
        helper.make_node("MatMul", ["f", "kt"], ["l"], "fc"),
        quant("b", "qb"),
        helper.make_node("Add", ["l", "qb"], ["y"]),
    ]
    stored: Stored = {"w": floats(2, 4, 3, 3, 3), "k": floats(3, 5, 4 * 36)}
    stored |= {"g": floats(4, 4), "h": floats(5, 4), "m": floats(6, 4)}
    stored |= {"v": np.abs(floats(7, 4)) + 0.5, "b": floats(8, 5)}
    stored |= parameters("qx", 0.125, 8) | parameters("qw", weight_scale, 4)
    stored |= parameters("qr", 0.3, 4) | parameters("qb", 0.01, 32)
    stored |= parameters("qk", np.abs(floats(9, 5, 1)) / 3 + 0.1, 3)
    return nodes, stored


@pytest.mark.parametrize(
    "weight_scale",
    [np.float32(0.3), np.array([0.1, 0.2, 0.3, 0.4], np.float32).reshape(4, 1, 1, 1)],
)
def test_quantized_cnn_equals_qonnx(tmp_path: Path, weight_scale: Floats) -> None:
    nodes, stored = quantized_cnn(weight_scale)
    made = model(nodes, stored=stored, domains=[(QONNX_DOMAIN, 2)], x=(1, 3, 6, 6))
    network = imported(tmp_path, made).network
    kinds = [type(layer).__name__ for layer in network.layers]
    # The batch norm stays: its scale must not touch integer weights. The classifier's
    # addition is a bias.
    assert kinds == [
        "Input",
        "Quantize",
        "Conv",
        "Affine",
        "Activation",
        "Quantize",
        "Linear",
    ]
    np.testing.assert_allclose(
        run_float(network, X).ravel(),
        qonnx_outputs(made, X).ravel(),
        rtol=1e-5,
        atol=1e-5,
    )


def test_integer_weights_keep_their_type_values_and_scales(tmp_path: Path) -> None:
    scale = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    nodes, stored = quantized_cnn(scale.reshape(4, 1, 1, 1))
    made = model(nodes, stored=stored, domains=[(QONNX_DOMAIN, 2)], x=(1, 3, 6, 6))
    network = imported(tmp_path, made).network
    conv, fc = network.compute_layers
    assert isinstance(conv, Conv)
    assert isinstance(fc, Linear)
    assert conv.weight == QType(bits=4, signed=True, narrow=True)
    assert fc.weight == QType(bits=3, signed=True, narrow=True)
    params = network.params
    assert np.array_equal(params["conv.weight_scale"], scale)
    assert np.array_equal(params["conv.weight_zero_point"], [0])
    codes = params["conv.weight"].astype(np.float64) / scale.reshape(4, 1, 1, 1)
    assert np.abs(codes - np.rint(codes)).max() < 1e-5
    assert np.abs(codes).max() < 7.5
    assert params["fc.weight"].shape == (5, 144)
    assert params["fc.weight_scale"].shape == (5,)


def test_bipolar_quant_equals_qonnx(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("BipolarQuant", ["x", "one"], ["q"], domain=QONNX_DOMAIN),
        helper.make_node("BipolarQuant", ["w", "half"], ["v"], domain=QONNX_DOMAIN),
        helper.make_node("MatMul", ["q", "v"], ["y"], "fc"),
    ]
    stored: Stored = {
        "one": np.float32(1).reshape(1),
        "half": np.array([0.5], np.float32),
    }
    stored["w"] = floats(2, 6, 4)
    made = model(nodes, stored=stored, domains=[(QONNX_DOMAIN, 1)], x=(1, 6))
    network = imported(tmp_path, made).network
    x = floats(1, 1, 6)
    x[0, 0] = 0
    expected = qonnx_outputs(made, x)
    assert np.array_equal(
        run_float(network, x.reshape(1, 6, 1, 1)).ravel(), expected[0]
    )
    fc = network.output
    assert isinstance(fc, Linear)
    assert fc.weight == QType(bits=1, signed=True)


@pytest.mark.parametrize("scale", [0.1, 0.125])
@pytest.mark.parametrize(("version", "rounding"), [(1, "FLOOR"), (2, "ROUND")])
def test_trunc_equals_qonnx(
    tmp_path: Path, version: int, rounding: str, scale: float
) -> None:
    inputs = ["x", "scale", "zero", "wide", *(["new"] if version == 2 else []), "bits"]
    node = helper.make_node(
        "Trunc", inputs, ["y"], domain=QONNX_DOMAIN, rounding_mode=rounding
    )
    stored: Stored = {
        "scale": np.float32(scale),
        "zero": np.float32(0),
        "wide": np.float32(8),
        "new": np.float32(scale * 16),
        "bits": np.float32(4),
    }
    made = model(
        [node], stored=stored, domains=[(QONNX_DOMAIN, version)], x=(1, 1, 16, 15)
    )
    x = np.arange(-120, 120, dtype=np.float32).reshape(1, 1, 16, 15)
    x *= np.float32(scale)
    network = imported(tmp_path, made).network
    np.testing.assert_allclose(
        run_float(network, x), qonnx_outputs(made, x), rtol=1e-6, atol=1e-6
    )


def test_qcdq_weights_and_maps_equal_onnxruntime(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "sx", "zx"], ["b"], "qx"),
        helper.make_node("QuantizeLinear", ["w", "sw", "zw"], ["wa"], axis=0),
        helper.make_node("Clip", ["wa", "low", "high"], ["wb"]),
        helper.make_node("DequantizeLinear", ["wb", "sw", "zw"], ["wc"], axis=0),
        helper.make_node("Conv", ["b", "wc"], ["y"], "conv", pads=[1, 1, 1, 1]),
    ]
    stored: Stored = {
        "sx": np.float32(0.02),
        "zx": np.uint8(114),
        "w": floats(2, 4, 3, 3, 3),
        "sw": np.array([0.1, 0.2, 0.3, 0.4], np.float32),
        "zw": np.zeros(4, np.int8),
        "low": np.int8(-7),
        "high": np.int8(7),
    }
    made = model(nodes, stored=stored, x=(1, 3, 6, 6))
    network = check_equal_to_onnxruntime(tmp_path, made, X).network
    quantizer, conv = network.layers[1:]
    assert isinstance(quantizer, Quantize)
    assert isinstance(conv, Conv)
    assert quantizer.quant == QType(bits=8, signed=False)
    assert np.array_equal(network.params["qx.zero_point"], [114])
    assert conv.weight == QType(bits=4, signed=True, narrow=True)


def test_qdq_reads_stored_integers(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(-128, 128, (5, 6)).astype(np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wf"], axis=0),
        helper.make_node("DequantizeLinear", ["b", "sb"], ["bf"]),
        helper.make_node("Gemm", ["x", "wf", "bf"], ["y"], "fc", transB=1),
    ]
    stored: Stored = {
        "w": codes,
        "sw": np.linspace(0.01, 0.05, 5, dtype=np.float32),
        "zw": np.array([0, 3, -4, 0, 0], np.int8),
        "b": np.arange(5, dtype=np.int32),
        "sb": np.float32(0.01),
    }
    made = model(nodes, stored=stored, x=(1, 6))
    network = check_equal_to_onnxruntime(tmp_path, made, floats(1, 1, 6)).network
    assert isinstance(network.output, Linear)
    assert network.output.weight == QType(bits=8, signed=True)
    assert np.array_equal(network.params["fc.weight_zero_point"], stored["zw"])


def test_scales_by_block_that_agree_are_scales_by_channel(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(-8, 8, (5, 32)).astype(np.int8)
    node = node_with(
        "DequantizeLinear", ["w", "s"], ["wf"], {"axis": 1, "block_size": 16}
    )
    nodes = [node, helper.make_node("Gemm", ["x", "wf"], ["y"], "fc", transB=1)]
    scales = np.linspace(0.01, 0.05, 5, dtype=np.float32)[:, None]
    stored: Stored = {"w": codes, "s": np.repeat(scales, 2, axis=1)}
    made = model(nodes, stored=stored, x=(1, 32), opset=21)
    network = check_equal_to_onnxruntime(tmp_path, made, floats(1, 1, 32)).network
    assert np.array_equal(network.params["fc.weight_scale"], scales.ravel())
    stored["s"] = scales * np.array([[1, 2]], np.float32)
    made = model(nodes, stored=stored, x=(1, 32), opset=21)
    with pytest.raises(UnsupportedError, match="scales differ by block") as caught:
        imported(tmp_path, made)
    assert len(caught.value.problems) == 1  # not what reads the weights as well


def test_integers_in_front_of_a_quant_are_its_codes(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(-31, 32, (4, 3, 3, 3)).astype(np.int8)
    stored: Stored = {"w": codes, **parameters("q", 1 / 32, 6)}
    nodes = [
        quant("w", "q", narrow=1),
        helper.make_node("Conv", ["x", "q"], ["y"], "c"),
    ]
    made = model(nodes, stored=stored, x=(1, 3, 6, 6), domains=[(QONNX_DOMAIN, 1)])
    result = imported(tmp_path, made)
    assert np.array_equal(result.network.params["c.weight"] * 32, codes)
    assert result.notes == ("int8 in front of a Quant is taken as its codes",)


def test_quantizer_per_channel_of_a_map_equals_qonnx(tmp_path: Path) -> None:
    scale = np.array([0.1, 0.2, 0.4], np.float32).reshape(1, 3, 1, 1)
    made = model(
        [quant("x", "y", signed=1)],
        stored=parameters("y", scale, 4),
        domains=[(QONNX_DOMAIN, 2)],
        x=(1, 3, 6, 6),
    )
    network = imported(tmp_path, made).network
    assert np.array_equal(network.params["y_quant.scale"], scale.ravel())
    assert np.array_equal(run_float(network, X), qonnx_outputs(made, X))


def test_channels_last_operators_equal_qonnx(tmp_path: Path) -> None:
    domain = "qonnx.custom_op.channels_last"
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node(
            "Conv", ["t", "w"], ["c"], "conv", domain=domain, kernel_shape=[3, 3],
            pads=[1, 1, 1, 1], strides=[1, 1], dilations=[1, 1], group=1,
        ),
        helper.make_node(
            "MaxPool", ["c"], ["p"], domain=domain, kernel_shape=[2, 2],
            strides=[2, 2], pads=[0, 0, 0, 0],
        ),
        helper.make_node("Transpose", ["p"], ["y"], perm=[0, 3, 1, 2]),
    ]  # fmt: skip
    weight = floats(2, 4, 3, 3, 3)
    stored = {"w": weight.transpose(0, 2, 3, 1).copy()}
    made = model(nodes, stored=stored, domains=[(domain, 1)], x=(1, 3, 6, 6))
    plain = model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("MaxPool", ["c"], ["y"], kernel_shape=[2, 2],
                             strides=[2, 2]),
        ],
        stored={"w": weight},
        x=(1, 3, 6, 6),
    )  # fmt: skip
    network = imported(tmp_path, made).network
    (tmp_path / "plain").mkdir()
    reference = check_equal_to_onnxruntime(tmp_path / "plain", plain, X).network
    assert np.array_equal(run_float(network, X), run_float(reference, X))


@pytest.mark.parametrize("zero", [0, -7, -128])
def test_quantizer_lets_padding_through_when_zero_stays_zero(
    tmp_path: Path, zero: int
) -> None:
    nodes = [
        helper.make_node("Pad", ["x", "p"], ["q"]),
        helper.make_node("QuantizeLinear", ["q", "s", "z"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
        helper.make_node("Conv", ["b", "w"], ["y"], "conv"),
    ]
    stored: Stored = {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "s": np.float32(0.02)}
    stored |= {"z": np.int8(zero), "w": floats(2, 4, 3, 3, 3)}
    made = model(nodes, stored=stored, x=(1, 3, 6, 6))
    network = check_equal_to_onnxruntime(tmp_path, made, X).network
    assert isinstance(network.output, Conv)
    assert network.output.padding.top == 1


def test_scale_behind_relu_goes_into_float_weights(tmp_path: Path) -> None:
    # A streamlined QONNX graph: Conv, Mul, Add, Relu, Mul, Quant.
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("Mul", ["c", "s"], ["d"]),
        helper.make_node("Add", ["d", "t"], ["e"]),
        helper.make_node("Relu", ["e"], ["r"]),
        helper.make_node("Mul", ["r", "u"], ["v"]),
        quant("v", "y", signed=0),
    ]
    stored: Stored = {"w": floats(2, 4, 3, 3, 3), "s": floats(3, 1, 4, 1, 1)}
    stored |= {"t": floats(4, 1, 4, 1, 1), "u": np.abs(floats(5, 1, 4, 1, 1))}
    stored |= parameters("y", 0.5, 4)
    made = model(nodes, stored=stored, domains=[(QONNX_DOMAIN, 2)], x=(1, 3, 6, 6))
    network = imported(tmp_path, made).network
    assert not any(isinstance(layer, Affine) for layer in network.layers)
    assert np.array_equal(run_float(network, X), qonnx_outputs(made, X))


def test_half_up_of_qonnx_is_away_from_zero(tmp_path: Path) -> None:
    made = model(
        [quant("x", "y", rounding_mode="HALF_UP")],
        stored=parameters("y", 1.0, 4),
        domains=[(QONNX_DOMAIN, 2)],
        x=(1, 1, 1, 2),
    )
    network = imported(tmp_path, made).network
    output = network.output
    assert isinstance(output, Quantize)
    assert output.quant.rounding is Rounding.HALF_AWAY
    x = np.array([-2.5, 2.5], np.float32).reshape(1, 1, 1, 2)
    assert run_float(network, x).ravel().tolist() == [-3.0, 3.0]


@pytest.mark.parametrize("zero", [np.uint8(2), np.uint8(3), np.int8(-3)])
def test_halves_go_to_even_before_a_zero_point_is_added(
    tmp_path: Path, zero: np.generic
) -> None:
    made = model(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["a"]),
            helper.make_node("DequantizeLinear", ["a", "scale", "zero"], ["y"]),
        ],
        stored={"scale": np.float32(1), "zero": zero},
        x=(1, 1, 1, 8),
    )
    x = np.arange(-1.5, 6.5, dtype=np.float32).reshape(1, 1, 1, 8)
    check_equal_to_onnxruntime(tmp_path, made, x)
