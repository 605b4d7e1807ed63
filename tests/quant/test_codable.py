"""Quantized files with sums that an add reads as they are."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper

from hao.errors import UnsupportedError
from hao.frontends.from_onnx.model import load_onnx
from hao.ir.integer_run import run_integer, run_integer_layers
from hao.ir.interpret import run_float, run_float_layers
from hao.ir.network import Network
from hao.model import load_buildable
from hao.quant.imported import (
    ImportedIntegers,
    count_rounding,
    imported_integers,
    output_differences,
)
from tests.frontends.onnx_models import QONNX_DOMAIN, Stored, floats, model, node_with


class _File:
    """A residual block whose convolution meets the add before a quantizer."""

    def __init__(self, weight_step: float, *, kind: str = "identity") -> None:
        self.nodes: list[NodeProto] = []
        self.stored: Stored = {}
        self._quant("x", "frame", 1 / 4, 4, signed=1)
        self._conv("frame", "stem", 1, 1 / 8)
        self._relu_quant("stem", "a")
        shortcut = reads = "a"
        if kind in ("projection", "bytes"):
            self._conv("a", "middle", 4, 1 / 8)
            if kind == "bytes":
                self._relu_quant("middle", "b", bits=8, step=1 / 16)
            else:
                self._relu_quant("middle", "b")
            reads = "b"
        if kind in ("strided", "halved"):
            # 1x1 with a stride beside a 3x3 that has it before, or has it too.
            halves = 2 if kind == "halved" else 1
            if kind == "strided":
                self._conv("a", "middle", 4, 1 / 8, stride=2)
                self._relu_quant("middle", "b")
                reads = "b"
            self._conv(reads, "branch", 2, weight_step, stride=halves)
            self._conv("a", "beside", 3, weight_step / 2, kernel=1, stride=2)
            self._node("Add", ["branch", "beside"], "sum")
            self._relu_quant("sum", "y")
            return
        group = 8 if kind in ("depthwise", "two") else 1
        self._conv(reads, "branch", 2, weight_step, group=group)
        if kind in ("both", "two"):
            self._conv("a", "beside", 3, weight_step / 2, kernel=1)
            shortcut = "beside"
        if kind in ("projection", "bytes"):
            self._conv("a", "beside", 3, 1 / 16, kernel=1)
            self._quant("beside", "coded", 1 / 32, 8, signed=1)
            shortcut = "coded"
        self._node("Add", ["branch", shortcut], "sum")
        self._relu_quant("sum", "y")

    def _node(self, op: str, inputs: list[str], output: str) -> None:
        self.nodes.append(helper.make_node(op, inputs, [output], output))

    def _quant(self, x: str, y: str, step: float, bits: int, *, signed: int) -> None:
        for word, value in (("s", step), ("z", 0), ("b", bits)):
            self.stored[f"{y}.{word}"] = np.float32(value)
        settings = {"signed": signed, "narrow": signed, "rounding_mode": "ROUND"}
        inputs = [x, f"{y}.s", f"{y}.z", f"{y}.b"]
        node = node_with("Quant", inputs, [y], settings, name=y, domain=QONNX_DOMAIN)
        self.nodes.append(node)

    def _conv(
        self,
        x: str,
        y: str,
        seed: int,
        step: float,
        *,
        kernel: int = 3,
        group: int = 1,
        stride: int = 1,
    ) -> None:
        shape = (8, 3 if x == "frame" else 8 // group, kernel, kernel)
        self.stored[f"{y}.w"] = floats(seed, *shape) * np.float32(0.2)
        self._quant(f"{y}.w", f"{y}.q", step, 4, signed=1)
        inputs, pads = [x, f"{y}.q"], [kernel // 2] * 4
        strides = [stride] * 2
        node = helper.make_node(
            "Conv", inputs, [y], y, pads=pads, group=group, strides=strides
        )
        self.nodes.append(node)

    def _relu_quant(
        self, x: str, y: str, *, bits: int = 4, step: float = 1 / 2
    ) -> None:
        self._node("Relu", [x], f"{y}.relu")
        self._quant(f"{y}.relu", y, step, bits, signed=0)

    def save(self, folder: Path, output: str = "y") -> Path:
        path = folder / "file.onnx"
        made = model(
            self.nodes,
            stored=self.stored,
            x=(1, 3, 8, 8),
            domains=[(QONNX_DOMAIN, 1)],
            outputs=(output,),
        )
        path.write_bytes(made.SerializeToString())
        return path


Real = NDArray[np.float64]

FRAMES = np.random.default_rng(0).uniform(-2, 2, (8, 3, 8, 8)).astype(np.float32)


def compared(file: Network, network: Network) -> tuple[Real, int, Real]:
    """Return how far codes are from a file's, how many differ, and its sums."""
    imported = imported_integers(network, FRAMES)
    assert count_rounding(network, imported, FRAMES).differences == 0
    frames = FRAMES.astype(np.float64)
    maps = run_float_layers(file, frames, keep=frozenset({"sum", "y"}))
    codes = run_integer_layers(
        imported.net, imported.net.frame_codes(FRAMES), frozenset({"sum"})
    )["sum"]
    apart = (codes - np.rint(maps["y"] * 2)).astype(np.float64)
    differing = int(np.count_nonzero(output_differences(imported, codes, maps["y"])))
    return apart, differing, maps["sum"]


@pytest.mark.parametrize(
    ("step", "kind", "said"),
    [
        (1 / 4, "identity", "is cut to 8 bits before"),
        (1 / 16, "identity", "is cut to 8 bits before"),
        # The kernel takes its own input once more.
        (1 / 32, "identity", ": 0 multiply-accumulates more"),
        # 1x1 on the same map goes into the middle of 3x3.
        (1 / 32, "both", f": {-64 * 8 * 8} multiply-accumulates more"),
        # 8 of 16 channels are new, and two layers make the 16.
        (
            1 / 32,
            "projection",
            f": {64 * 8 * 8 * 9 + 2 * 64 * 8 * 16} multiply-accumulates more",
        ),
        (1 / 32, "strided", "as one convolution with both operands"),
        (1 / 32, "halved", f": {-64 * 4 * 4} multiply-accumulates more"),
        # Unsigned bytes beside signed ones, which are raised.
        (1 / 64, "bytes", "as one convolution with both operands"),
    ],
)
def test_a_sum_before_an_add_is_exact(
    tmp_path: Path, step: float, kind: str, said: str
) -> None:
    path = _File(step, kind=kind).save(tmp_path)
    file, found = load_onnx(path).network, load_buildable(path)
    (note,) = found.notes
    assert said in note
    assert "may differ" not in note
    apart, differing, _ = compared(file, found.network)
    assert differing == np.count_nonzero(apart) == 0


def test_a_sum_of_depthwise_windows_before_an_add_differs_at_halves_alone(
    tmp_path: Path,
) -> None:
    path = _File(1 / 32, kind="depthwise").save(tmp_path)
    file, found = load_onnx(path).network, load_buildable(path)
    (note,) = found.notes
    assert "may differ by one from the file's" in note
    apart, differing, sums = compared(file, found.network)
    assert differing == np.count_nonzero(apart) > 0
    assert np.abs(apart).max() == 1
    halves = np.abs(sums * 2 % 1 - 0.5) == 0
    assert np.all(halves[apart != 0])
    assert differing < 0.1 * apart.size


def quantized(name: str, scale: float, zero: int, stored: Stored) -> list[NodeProto]:
    """Return what quantizes a tensor to uint8 and back, and store its numbers."""
    pair = [f"{name}.s", f"{name}.z"]
    stored.update({pair[0]: np.float32(scale), pair[1]: np.uint8(zero)})
    return [
        helper.make_node("QuantizeLinear", [name, *pair], [f"{name}.c"]),
        helper.make_node("DequantizeLinear", [f"{name}.c", *pair], [f"{name}.v"]),
    ]


def test_operands_brought_to_one_scale_keep_their_zero_points(tmp_path: Path) -> None:
    # uint8 from -134 to 121 beside 0 to 255, of scales without a power of two between.
    stored: Stored = {
        "w.c": np.eye(3, dtype=np.int8).reshape(3, 3, 1, 1) * 90,
        "w.s": np.float32(0.011),
    }

    nodes = [
        *quantized("x", 0.0157, 128, stored),
        helper.make_node("DequantizeLinear", ["w.c", "w.s"], ["w"]),
        helper.make_node("Conv", ["x.v", "w"], ["u"], "u"),
        *quantized("u", 0.0214, 134, stored),
        helper.make_node("Add", ["x.v", "u.v"], ["sum"], "sum"),
        *quantized("sum", 0.0446, 64, stored),
    ]
    made = model(nodes, stored=stored, x=(1, 3, 8, 8), outputs=("sum.v",))
    path = tmp_path / "file.onnx"
    path.write_bytes(made.SerializeToString())
    file, network = load_onnx(path).network, load_buildable(path).network
    frames = FRAMES.astype(np.float64)
    apart = (run_float(file, frames) - run_float(network, frames)) / 0.0446
    assert np.abs(np.rint(apart)).max() == 1
    # Both are rounded to half a step of the sum: a difference of up to half of one.
    assert np.mean(np.rint(apart) != 0) < 0.3


def test_an_open_frame_is_not_brought_to_another_scale(tmp_path: Path) -> None:
    stored: Stored = {
        "w.c": np.eye(3, dtype=np.int8).reshape(3, 3, 1, 1) * 90,
        "w.s": np.float32(0.011),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["w.c", "w.s"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["u"], "u"),
        *quantized("u", 0.0214, 134, stored),
        helper.make_node("Add", ["x", "u.v"], ["sum"], "sum"),
        *quantized("sum", 0.0446, 64, stored),
    ]
    path = tmp_path / "file.onnx"
    made = model(nodes, stored=stored, x=(1, 3, 8, 8), outputs=("sum.v",))
    path.write_bytes(made.SerializeToString())
    with pytest.raises(UnsupportedError, match="the frame too where the file leaves"):
        load_buildable(path)


def _exact(
    path: Path,
) -> tuple[ImportedIntegers, NDArray[np.int64], NDArray[np.float64]]:
    """Return integers of a file, whose codes differ nowhere, and codes and values."""
    network = load_buildable(path).network
    imported = imported_integers(network, FRAMES)
    assert count_rounding(network, imported, FRAMES).differences == 0
    codes = run_integer(imported.net, imported.net.frame_codes(FRAMES))
    whole = run_float(load_onnx(path).network, FRAMES.astype(np.float64))
    assert not output_differences(imported, codes, whole).any()
    return imported, codes, whole


def test_codes_are_cut_to_fewer_bits_twice(tmp_path: Path) -> None:
    file = _File(1 / 4)
    for y, inner, bits in (("cut", 4, 3), ("last", 3, 2)):
        for word, value in (("s", 2 / 2**inner * 4), ("b", inner), ("c", bits)):
            file.stored[f"{y}.{word}"] = np.float32(value)
    file.stored["z"] = np.float32(0)
    names = {"cut": "y", "last": "cut"}
    for y, x in names.items():
        inputs = [x, f"{y}.s", "z", f"{y}.b", f"{y}.c"]
        node = node_with("Trunc", inputs, [y], {}, name=y, domain=QONNX_DOMAIN)
        file.nodes.append(node)
    imported, codes, whole = _exact(file.save(tmp_path, output="last"))
    assert np.unique(codes).tolist() == [0, 1]
    codes.flat[0] += 3
    assert output_differences(imported, codes, whole).ravel().tolist()[:2] == [3, 0]


@pytest.mark.parametrize("pooled", [False, True])
def test_codes_of_which_none_is_negative_take_factors_by_channel(
    tmp_path: Path, *, pooled: bool
) -> None:
    file = _File(1 / 4)
    reads = "y"
    if pooled:
        file.nodes.append(
            node_with("AveragePool", ["y"], ["mean"], {"kernel_shape": [2, 2]})
        )
        file._quant("mean", "reads", 1 / 8, 8, signed=0)
        reads = "reads"
    factors = np.array([1, -0.5, 2, 0, 0.25, 1, -1, 0.5], dtype=np.float32)
    file.stored["by"] = factors.reshape(1, 8, 1, 1)
    file.stored["more"] = np.arange(-4, 4, dtype=np.float32).reshape(1, 8, 1, 1) / 4
    file._node("Mul", [reads, "by"], "scaled")
    file._node("Add", ["scaled", "more"], "moved")
    file._quant("moved", "coded", 1 / 8, 8, signed=1)
    _exact(file.save(tmp_path, output="coded"))


def test_what_is_wrong_with_a_quantizer_is_told_once(tmp_path: Path) -> None:
    file = _File(1 / 4)
    (quantizer,) = (node for node in file.nodes if node.name == "a")
    (mode,) = (one for one in quantizer.attribute if one.name == "rounding_mode")
    mode.s = b"CEIL"
    with pytest.raises(UnsupportedError, match="rounds by CEIL") as caught:
        load_buildable(file.save(tmp_path))
    assert len(caught.value.problems) == 1


def test_sums_of_depthwise_windows_and_of_others_are_not_added(tmp_path: Path) -> None:
    path = _File(1 / 8, kind="two").save(tmp_path)
    with pytest.raises(UnsupportedError, match="its map is not quantized") as caught:
        load_buildable(path)
    assert len(caught.value.problems) == 2
