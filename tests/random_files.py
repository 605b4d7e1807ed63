"""Random model files as exporters write them: floating point, or quantized in QONNX.

Blocks are convolutions of all sorts, batch norms anywhere, activations, pools and
residual adds; a quantized file has quantizers in the idioms of Brevitas, QKeras and
FINN: on frames or not, in a row, shared, of one bit, with zero points. Some files hold
what cannot be built.
"""

import random

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper

from tests.frontends.onnx_models import QONNX_DOMAIN, Stored, model, node_with

Array = NDArray[np.float32]


def random_file(seed: int) -> onnx.ModelProto:
    """Return the file of a seed; its input is `x`, its output `y`."""
    return _File(random.Random(seed)).make()


class _File:
    """Grows a graph node by node; `at` is the tensor where the next one reads."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.numbers = np.random.default_rng(rng.randrange(2**32))
        self.quantized = rng.random() < 0.6
        self.powers = rng.random() < 0.6
        self.bits = rng.choice((2, 3, 4, 8, 8))
        self.nodes: list[NodeProto] = []
        self.stored: Stored = {}
        self.at, self.channels = "x", rng.randint(1, 4)
        self.size = rng.choice((8, 9, 12, 16))

    def make(self) -> onnx.ModelProto:
        """Return the file."""
        frame = (1, self.channels, self.size, self.size)
        rng = self.rng
        if rng.random() < 0.3:
            self._arithmetic()
        if self.quantized and rng.random() < 0.85:
            self._quant(signed=True, bits=8)
        for _ in range(rng.randint(1, 4)):
            rng.choice(
                (self._conv_block, self._conv_block, self._residual, self._odd)
            )()
        self._end()
        domains = [(QONNX_DOMAIN, 1)]
        self.nodes.append(helper.make_node("Identity", [self.at], ["y"]))
        return model(self.nodes, stored=self.stored, x=frame, domains=domains)

    def _add(self, op: str, *more: str, domain: str = "", **settings: object) -> str:
        name = f"t{len(self.nodes)}"
        inputs = [self.at, *more]
        self.nodes.append(
            node_with(op, inputs, [name], settings, name=f"{op}{name}", domain=domain)
        )
        self.at = name
        return name

    def _keep(self, array: object) -> str:
        name = f"c{len(self.stored)}"
        self.stored[name] = np.asarray(array, dtype=np.float32)
        return name

    def _scale(self, lowest: int, highest: int) -> float:
        exponent = self.rng.randint(lowest, highest)
        factor = 1.0 if self.powers else self.rng.uniform(0.6, 1.4)
        return float(np.float32(factor * 2.0**exponent))

    def _quant(
        self, *, signed: bool, bits: int, scale: float | None = None, zero: int = 0
    ) -> float:
        step = self._scale(-6, -4) * 2.0 ** (8 - bits) / (4 if bits < 8 else 1)
        step = step if scale is None else scale
        kept = [self._keep(value) for value in (step, zero, bits)]
        self._add(
            "Quant",
            *kept,
            domain=QONNX_DOMAIN,
            signed=int(signed),
            narrow=int(signed and self.rng.random() < 0.3),
            rounding_mode="ROUND",
        )
        return step

    def _weight(self, *shape: int) -> str:
        values = self.numbers.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        name = self._keep(values * 2)
        if not self.quantized:
            return name
        made = f"w{len(self.nodes)}"
        if self.bits == 2 and self.rng.random() < 0.3:
            inputs = [name, self._keep(self._scale(-4, -2))]
            self.nodes.append(
                node_with("BipolarQuant", inputs, [made], {}, domain=QONNX_DOMAIN)
            )
            return made
        spread = float(np.abs(values).max()) * 2 / 2 ** (self.bits - 1)
        exponent = int(np.ceil(np.log2(spread)))
        scale = np.array(self._scale(exponent, exponent))
        if self.rng.random() < 0.4:
            some = [self._scale(exponent, exponent + 1) for _ in range(shape[0])]
            scale = np.array(some).reshape(-1, *[1] * (len(shape) - 1))
        inputs = [name, *(self._keep(value) for value in (scale, 0, self.bits))]
        settings = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
        self.nodes.append(
            node_with("Quant", inputs, [made], settings, domain=QONNX_DOMAIN)
        )
        return made

    def _conv(self, out: int, kernel: int, stride: int, *, groups: int = 1) -> None:
        weight = self._weight(out, self.channels // groups, kernel, kernel)
        bias = [self._keep(self.numbers.normal(size=out) / 8)]
        pad = self.rng.choice((0, kernel // 2)) if kernel < self.size else kernel // 2
        pads = [pad] * 4
        self._add(
            "Conv",
            weight,
            *bias[: self.rng.randint(0, 1)],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=pads,
            group=groups,
        )
        self.channels = out
        self.size = (self.size + 2 * pad - kernel) // stride + 1

    def _norm(self) -> None:
        numbers, count = self.numbers, self.channels
        low = -0.3 if self.rng.random() < 0.2 else 0.5
        arrays = (
            numbers.uniform(low, 1.5, count),
            numbers.normal(size=count) / 4,
            numbers.normal(size=count) / 4,
            numbers.uniform(0.5, 1.5, count),
        )
        self._add("BatchNormalization", *(self._keep(array) for array in arrays))

    def _arithmetic(self) -> None:
        op = self.rng.choice(("Mul", "Add", "Sub"))
        many = self.rng.random() < 0.5
        shape = (1, self.channels, 1, 1) if many else ()
        self._add(op, self._keep(self.numbers.uniform(0.25, 1.5, shape)))

    def _active(self) -> bool:
        """Add an activation; return whether nothing is below 0."""
        op = self.rng.choice(("Relu", "Relu", "Clip", "LeakyRelu", ""))
        if op == "Clip":
            self._add("Clip", self._keep(0), self._keep(6))
        elif op == "LeakyRelu":
            self._add("LeakyRelu", alpha=0.0)
        elif op:
            self._add("Relu")
        return bool(op)

    def _requantized(self, *, positive: bool) -> None:
        """Add what a quantized file has behind sums."""
        if not self.quantized:
            return
        rng = self.rng
        if rng.random() < 0.08 and not positive:
            self._add(
                "BipolarQuant", self._keep(self._scale(-2, 0)), domain=QONNX_DOMAIN
            )
            return
        signed = not positive or rng.random() < 0.2
        step = self._quant(signed=signed, bits=self.bits)
        if rng.random() < 0.15:
            self._quant(
                signed=signed, bits=self.bits, scale=step * rng.choice((1, 2, 0.5))
            )

    def _conv_block(self) -> None:
        rng = self.rng
        kernel = rng.choice((1, 1, 3, 3, 5, 2))
        if kernel > self.size:
            kernel = 1
        stride = rng.choice((1, 1, 2, 3)) if self.size > 4 else 1
        out = rng.choice((3, 4, 6, 8))
        groups = 1
        if rng.random() < 0.25:
            groups, out = self.channels, self.channels * rng.choice((1, 1, 2))
        if not self.quantized and rng.random() < 0.2:
            self._norm()
        self._conv(out, kernel, stride, groups=groups)
        if rng.random() < 0.4:
            self._norm()
        self._requantized(positive=self._active())

    def _residual(self) -> None:
        source = self.at
        self._conv(self.channels, 1, 1)
        size = self.size
        if self.quantized:
            step = self._quant(signed=True, bits=8)
            main, self.at = self.at, source
            if self.rng.random() < 0.7:
                self._quant(signed=True, bits=8, scale=step)
            self._add("Add", main)
        else:
            self._add("Add", source)
        assert size == self.size
        self._requantized(positive=self._active())

    def _odd(self) -> None:
        """Add a pool, or what an exporter rarely writes, or what cannot be built."""
        rng = self.rng
        kind = rng.choice(("max", "max", "average", "relu", "norm", "bad"))
        if kind == "max" and self.size >= 4:
            kernel = rng.choice((2, 3, 4))
            stride = rng.choice((1, 2, kernel))
            self._add("MaxPool", kernel_shape=[kernel] * 2, strides=[stride] * 2)
            self.size = (self.size - kernel) // stride + 1
        elif kind == "average" and self.size >= 4:
            self._average()
            self._requantized(positive=False)
        elif kind == "relu":
            self._add("Relu")
        elif kind == "norm" and not self.quantized:
            self._norm()
        elif kind == "bad" and rng.random() < 0.4:
            self._add("HardSwish")

    def _average(self) -> None:
        """Add an average whose padding counts or not, or whose size is rounded up."""
        rng = self.rng
        kernel, stride = rng.choice(((2, 2), (3, 1), (3, 2), (4, 2)))
        pad, up = rng.randint(0, kernel // 2), rng.randint(0, 1)
        self._add(
            "AveragePool",
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[pad] * 4,
            ceil_mode=up,
            count_include_pad=rng.randint(0, 1),
        )
        room = self.size + 2 * pad - kernel
        steps = room // stride
        # A window is added for a rest, if it begins before the padding behind.
        if up and room % stride and (steps + 1) * stride < self.size + pad:
            steps += 1
        self.size = steps + 1

    def _end(self) -> None:
        rng = self.rng
        if rng.random() < 0.6:
            self._add("GlobalAveragePool")
            self.size = 1
            self._requantized(positive=False)
        self._add("Flatten")
        features = self.channels * self.size**2
        self._add("Gemm", self._weight(5, features), transB=1)
        if self.quantized and rng.random() < 0.6:
            self._quant(signed=True, bits=8)
        if rng.random() < 0.3:
            self._add(rng.choice(("Softmax", "Sigmoid")))
