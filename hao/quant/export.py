"""An integer network as a QONNX file that computes the same outputs.

Weights and biases are float tensors with a Quant node of their own; every feature map
passes a Quant node with a power-of-two scale; those of weights are such powers times
their multiplier, where sums take one. How codes are rounded is spelled as
`hao.quant.export_rounding` says. Averages by a multiplier that is exact are ONNX
averages; others are depthwise convolutions whose every weight is the hardware's
multiplier, which `hao.quant.tap_sums` reads again as averages. Those that leave padding
out come with a whole factor by position.

An executor in single precision computes exactly what the integer network does as long
as sums stay below 2^24 units; `export_qonnx` names the layers where they might not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import assert_never

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hao.errors import UnsupportedError
from hao.files import check_absent, write_file
from hao.ir.averages import border_factors, mean_pixels
from hao.ir.integer import WIDE_MEAN_BITS, IntegerNetwork, is_wide
from hao.ir.interpret import RELU6_MAX
from hao.ir.layer import (
    ActivationKind,
    Add,
    Compute,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Padding,
    Pool,
    PoolKind,
    Transparent,
    activation_of,
)
from hao.ir.network import Network
from hao.ir.tensor import QType, Rounding
from hao.quant.export_rounding import rounded_by, rounded_range, step_of

QUANT_DOMAIN = "qonnx.custom_op.general"
OPSET = 17
IR_VERSION = 10
"""Versions that qonnx 1.0 and onnxruntime 1.20 read."""

FRAMES = "frames"
"""Name of the input, of shape (batch, channels, height, width)."""

Attributes = Mapping[str, int | str | list[int]]
NO_ATTRIBUTES: Attributes = MappingProxyType({})

EXACT_UNITS = 2**24
"""Integers up to it are exact in single precision; source: IEEE 754-2019, 3.6."""


def export_qonnx(
    net: IntegerNetwork, path: Path, *, batch: int = 1, force: bool = False
) -> tuple[str, ...]:
    """Write an integer network as a QONNX file.

    Args:
        net: The scales of its maps are powers of two.
        path: Must not exist, unless `force`.
        batch: Frames that the file takes at a time.
        force: Whether an existing file is replaced.

    Returns:
        Layers whose sums may exceed what single precision holds exactly; their outputs
        may then differ by a rounding from the integer network's.

    Raises:
        InputError: The file exists or cannot be written.
        UnsupportedError: A map's scale is no power of two.
    """
    check_absent(path, force=force)
    content = qonnx_model(net, batch=batch).SerializeToString(deterministic=True)
    write_file(path, content)
    return tuple(
        layer.name
        for layer in net.network.compute_layers
        if max(map(abs, rounded_range(net, layer))) > EXACT_UNITS
    )


def qonnx_model(net: IntegerNetwork, *, batch: int = 1) -> onnx.ModelProto:
    """Return the QONNX model of an integer network.

    Raises:
        UnsupportedError: A map's scale is no power of two.
    """
    exponents = {name: kind.exponent for name, kind in net.maps.items()}
    if None in exponents.values():
        raise UnsupportedError(
            f"network {net.network.name!r}: scales of maps that are no powers of two; "
            "handled for export: powers of two"
        )
    writer = _Writer(net)
    for layer in net.network.layers:
        writer.write(layer)
    return writer.model(net.network, batch, domains={QUANT_DOMAIN: 1})


class GraphWriter:
    """Nodes and stored tensors of an ONNX graph while they are collected."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._tensors: list[TensorProto] = []

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        output: str,
        attributes: Attributes = NO_ATTRIBUTES,
        *,
        domain: str = "",
    ) -> str:
        """Add a node that makes one tensor; return its name."""
        made = helper.make_node(op, list(inputs), [output], output, domain=domain)
        made.attribute.extend(
            helper.make_attribute(key, attributes[key]) for key in sorted(attributes)
        )
        self._nodes.append(made)
        return output

    def store(self, name: str, values: NDArray[np.generic]) -> str:
        """Store a tensor, real numbers in single precision; return its name."""
        if np.issubdtype(values.dtype, np.floating):
            values = values.astype(np.float32)
        self._tensors.append(numpy_helper.from_array(values, name))
        return name

    def activation(self, kind: ActivationKind, source: str, output: str) -> str:
        """Add what an activation function takes; return the name of what it makes."""
        match kind:
            case ActivationKind.NONE:
                return source
            case ActivationKind.RELU:
                return self.node("Relu", [source], output)
            case ActivationKind.RELU6:
                ends = [
                    self.store(f"{output}.{word}", np.array(float(end)))
                    for word, end in (("least", 0), ("most", RELU6_MAX))
                ]
                return self.node("Clip", [source, *ends], output)
            case _:
                assert_never(kind)

    def model(
        self,
        network: Network,
        batch: int | str,
        domains: Mapping[str, int] = MappingProxyType({}),
    ) -> onnx.ModelProto:
        """Return the model of the graph, which reads `FRAMES`.

        Args:
            network: Whose input and output it has.
            batch: Frames at a time, or a name for any number of them.
            domains: Versions of operator sets beside ONNX's own.
        """
        first, last = network.input.ofm, network.output
        sizes = [last.ofm.channels]
        if not isinstance(last, Linear):
            sizes += [last.ofm.height, last.ofm.width]
        shape = [batch, first.channels, first.height, first.width]
        graph = helper.make_graph(
            self._nodes,
            network.name,
            [helper.make_tensor_value_info(FRAMES, TensorProto.FLOAT, shape)],
            [
                helper.make_tensor_value_info(
                    last.name, TensorProto.FLOAT, [batch, *sizes]
                )
            ],
            self._tensors,
        )
        sets = {"": OPSET, **domains}
        made = helper.make_model(
            graph,
            producer_name="hao",
            opset_imports=[helper.make_opsetid(*each) for each in sets.items()],
        )
        made.ir_version = IR_VERSION
        return made


def window_attributes(layer: Conv | Depthwise | Pool) -> dict[str, list[int]]:
    """Return kernel, strides and padding of a layer as ONNX has them."""
    sides: Padding = layer.padding
    return {
        "kernel_shape": [layer.kernel, layer.kernel],
        "strides": [layer.stride, layer.stride],
        "pads": [sides.top, sides.left, sides.bottom, sides.right],
    }


class _Writer(GraphWriter):
    """The nodes of an integer network."""

    def __init__(self, net: IntegerNetwork) -> None:
        super().__init__()
        self._net = net

    def write(self, layer: Layer) -> None:
        """Add the nodes of one layer; the last one's output has its name."""
        name = layer.name
        assert not isinstance(layer, Transparent), "no IntegerNetwork has it"
        match layer:
            case Input():
                self._map(layer, self._scaled_frames(layer))
            case Conv() | Depthwise() | Linear():
                self._map(layer, self._sums(layer))
            case Add():
                total = self.node("Add", list(layer.inputs), f"{name}.sum")
                self._map(layer, total)
            case GlobalAveragePool():
                self._map(layer, self._global_mean(layer))
            case Pool(kind=PoolKind.AVERAGE):
                self._map(layer, self._window_mean(layer))
            case Pool():
                self.node("MaxPool", [layer.input], name, window_attributes(layer))
            case _:
                assert_never(layer)

    def _quant(
        self, source: str, output: str, *, scale: NDArray[np.float64], quant: QType
    ) -> str:
        inputs = [
            source,
            self.store(f"{output}.scale", scale.astype(np.float32)),
            self.store(f"{output}.zero_point", np.zeros((), dtype=np.float32)),
            self.store(f"{output}.bits", np.array(quant.bits, dtype=np.float32)),
        ]
        return self.node(
            "Quant",
            inputs,
            output,
            {
                "signed": int(quant.signed),
                "narrow": int(quant.narrow),
                "rounding_mode": quant.rounding.value,
            },
            domain=QUANT_DOMAIN,
        )

    def _scaled_frames(self, layer: Input) -> str:
        """Return frames as the host scales them, in units of the input's codes."""
        coding = self._net.frame
        if coding is None:
            return FRAMES
        step = step_of(self._net.maps[layer.name])
        gain, offset = (
            (np.array(numbers) * step).astype(np.float32).reshape(1, -1, 1, 1)
            for numbers in (coding.gain, coding.offset)
        )
        by = self.store(f"{layer.name}.gain", gain)
        scaled = self.node("Mul", [FRAMES, by], f"{layer.name}.scaled")
        plus = self.store(f"{layer.name}.offset", offset)
        return self.node("Add", [scaled, plus], f"{layer.name}.shifted")

    def _map(self, layer: Layer, source: str) -> None:
        """Add what turns sums into a layer's map: activation, rounding and clamp."""
        name, kind = layer.name, self._net.maps[layer.name]
        step = step_of(kind)
        active = activation_of(layer)
        x = self.activation(active, source, f"{name}.{active.value}")
        added, rounding = rounded_by(self._net, layer)
        if np.any(added):
            flat = x.endswith(".products")
            by_channel = added.reshape(1, -1, *[] if flat else [1, 1])
            half = self.store(f"{name}.half", by_channel.astype(np.float32))
            x = self.node("Add", [x, half], f"{name}.raised")
        clamped = (kind.low, kind.high) != (kind.quant.lowest, kind.quant.highest)
        rounded = self._quant(
            x,
            f"{name}.rounded" if clamped else name,
            scale=np.array(step),
            quant=replace(kind.quant, rounding=rounding),
        )
        if clamped:
            ends = np.array([kind.low * step, kind.high * step], dtype=np.float32)
            low = self.store(f"{name}.low", ends[0])
            high = self.store(f"{name}.high", ends[1])
            self.node("Clip", [rounded, low, high], name)

    def _sums(self, layer: Compute) -> str:
        name, net = layer.name, self._net
        weight, bias = net.param(name, "weight"), net.param(name, "bias")
        assert layer.weight is not None
        # The unit of the products, then that of the weights, by channel.
        unit = np.ldexp(step_of(net.maps[name]), -net.param(name, "shift"))
        own = unit / step_of(net.maps[layer.input])
        if net.requantization.multiplies:
            own = own * net.param(name, "multiplier")
        by_row = own.reshape(-1, *[1] * (weight.ndim - 1))
        inputs = [
            layer.input,
            self._quant(
                self.store(f"{name}.weight.real", (weight * by_row).astype(np.float32)),
                f"{name}.weight",
                scale=by_row,
                quant=replace(layer.weight, rounding=Rounding.HALF_EVEN),
            ),
            self._quant(
                self.store(f"{name}.bias.real", (bias * unit).astype(np.float32)),
                f"{name}.bias",
                scale=np.ldexp(unit, net.requantization.cut_bits),
                quant=QType(bits=net.requantization.bias_bits, signed=True),
            ),
        ]
        output = f"{name}.sums"
        if isinstance(layer, Linear):
            inputs[0] = self.node("Flatten", inputs[:1], f"{name}.flat", {"axis": 1})
            flat = self.node("Gemm", inputs, f"{name}.products", {"transB": 1})
            if layer.name == net.network.output.name:
                return flat
            sizes = np.array([0, layer.ofm.channels, 1, 1], dtype=np.int64)
            shape = self.store(f"{name}.shape", sizes)
            return self.node("Reshape", [flat, shape], output)
        groups = layer.ifm.channels if isinstance(layer, Depthwise) else 1
        return self.node(
            "Conv", inputs, output, {"group": groups, **window_attributes(layer)}
        )

    def _global_mean(self, layer: GlobalAveragePool) -> str:
        name, pixels = layer.name, layer.ifm.pixels
        power = pixels & (pixels - 1) == 0
        if self._is_mean(layer) or (power and self._mean_factor(layer) * pixels == 1):
            return self.node("GlobalAveragePool", [layer.input], f"{name}.mean")
        window = {
            "kernel_shape": [layer.ifm.height, layer.ifm.width],
            "strides": [1, 1],
            "pads": [0, 0, 0, 0],
        }
        return self._scaled_sums(layer, window)

    def _window_mean(self, layer: Pool) -> str:
        """Return the averages of windows."""
        window = window_attributes(layer)
        counts = layer.uncounted == Padding()
        if not self._is_mean(layer) or not (counts or layer.uncounted == layer.padding):
            return self._scaled_sums(layer, window)
        named: Attributes = {**window, "count_include_pad": int(counts)}
        return self.node("AveragePool", [layer.input], f"{layer.name}.mean", named)

    def _is_mean(self, layer: Pool | GlobalAveragePool) -> bool:
        """Return whether a wide multiplier stands for one over the pixels."""
        wide = is_wide(int(self._net.param(layer.name, "multiplier")[0]))
        off = self._mean_factor(layer) * mean_pixels(layer) - 1
        return wide and abs(off) <= 2.0 ** (1 - WIDE_MEAN_BITS)

    def _scaled_sums(
        self, layer: Pool | GlobalAveragePool, window: Mapping[str, list[int]]
    ) -> str:
        """Return sums over windows, by a depthwise convolution of one factor."""
        channels = layer.ifm.channels
        height, width = window["kernel_shape"]
        factor = self._mean_factor(layer)
        taps = np.full((channels, 1, height, width), factor, dtype=np.float32)
        weight = self.store(f"{layer.name}.factors", taps)
        mean = self.node(
            "Conv",
            [layer.input, weight],
            f"{layer.name}.mean",
            {"group": channels, **window},
        )
        if isinstance(layer, GlobalAveragePool) or layer.uncounted == Padding():
            return mean
        border = border_factors(layer).astype(np.float32)[None, None]
        factors = self.store(f"{layer.name}.border", border)
        return self.node("Mul", [mean, factors], f"{layer.name}.weighted")

    def _mean_factor(self, layer: Pool | GlobalAveragePool) -> float:
        """Return what a sum of real values is multiplied by."""
        net = self._net
        multiplier = int(net.param(layer.name, "multiplier")[0])
        shift = int(net.param(layer.name, "shift")[0])
        ratio = step_of(net.maps[layer.name]) / step_of(net.maps[layer.input])
        return float(np.ldexp(multiplier * ratio, -shift))
