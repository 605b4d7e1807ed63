"""A float network as an ONNX file that any runtime reads: what a changed one leaves.

Weights and biases are initialisers; padding is the operators' own. hao reads the file
back as the same layers.
"""

from typing import assert_never

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hao.errors import UnsupportedError
from hao.ir.interpret import RELU6_MAX
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    Affine,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Padding,
    Pool,
    PoolKind,
    Quantize,
)
from hao.ir.network import Network
from hao.quant.parameters import float_parameters

OPSET = 17
IR_VERSION = 10
"""Versions that onnxruntime 1.20 reads."""


def float_onnx(network: Network) -> bytes:
    """Return an ONNX model of a network in floating point, of any batch.

    Args:
        network: With float parameters.

    Raises:
        InputError: A parameter is missing.
        UnsupportedError: A layer that a float network does not have.
    """
    writer = _Writer(network)
    for layer in network.layers:
        writer.write(layer)
    frame, last = network.input, network.output
    sizes = [last.ofm.channels, last.ofm.height, last.ofm.width]
    if isinstance(last, Linear):
        sizes = sizes[:1]
    graph = helper.make_graph(
        writer.nodes,
        network.name,
        [_value(frame.name, [frame.ofm.channels, frame.ofm.height, frame.ofm.width])],
        [_value(writer.names[last.name], sizes)],
        writer.tensors,
    )
    model = helper.make_model(
        graph,
        producer_name="hao",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _value(name: str, sizes: list[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sizes])


class _Writer:
    """Nodes and tensors of a graph under construction."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = []
        self.names: dict[str, str] = {}

    def write(self, layer: Layer) -> None:
        """Add a layer's nodes."""
        sources = [self.names[name] for name in layer.inputs]
        match layer:
            case Input():
                self.names[layer.name] = layer.name
                self._host_frame(layer)
            case Conv() | Depthwise():
                groups = layer.ifm.channels if isinstance(layer, Depthwise) else 1
                self._node(
                    "Conv",
                    [*sources, *self._weights(layer)],
                    layer,
                    group=groups,
                    kernel_shape=[layer.kernel, layer.kernel],
                    strides=[layer.stride, layer.stride],
                    pads=_pads(layer.padding),
                )
                self._activate(layer.name, layer.activation)
            case Linear():
                flat = f"{layer.name}.flat"
                self.nodes.append(helper.make_node("Flatten", sources, [flat], axis=1))
                self._node("Gemm", [flat, *self._weights(layer)], layer, transB=1)
                self._activate(layer.name, layer.activation)
            case Pool():
                self._pool(layer, sources)
            case GlobalAveragePool():
                self._node("GlobalAveragePool", sources, layer)
            case Add():
                self._node("Add", sources, layer)
                self._activate(layer.name, layer.activation)
            case Affine() | Activation() | Quantize():
                raise UnsupportedError(
                    f"layer {layer.name!r}: {type(layer).__name__} is not written to "
                    "float ONNX files; handled: convolutions, linear layers, pools and "
                    "adds"
                )
            case _:
                assert_never(layer)

    def _node(
        self,
        kind: str,
        sources: list[str],
        layer: Layer,
        **attributes: int | list[int],
    ) -> None:
        node = helper.make_node(kind, sources, [layer.name], layer.name)
        node.attribute.extend(
            helper.make_attribute(key, value) for key, value in attributes.items()
        )
        self.nodes.append(node)
        self.names[layer.name] = layer.name

    def _activate(self, name: str, kind: ActivationKind) -> None:
        match kind:
            case ActivationKind.NONE:
                return
            case ActivationKind.RELU:
                node = helper.make_node("Relu", [name], [f"{name}.active"])
            case ActivationKind.RELU6:
                limits = []
                for word, value in (("low", 0.0), ("high", float(RELU6_MAX))):
                    limits.append(f"{name}.{word}")
                    self._tensor(limits[-1], np.array(value))
                node = helper.make_node("Clip", [name, *limits], [f"{name}.active"])
            case _:
                assert_never(kind)
        self.nodes.append(node)
        self.names[name] = f"{name}.active"

    def _pool(self, layer: Pool, sources: list[str]) -> None:
        window = {
            "kernel_shape": [layer.kernel, layer.kernel],
            "strides": [layer.stride, layer.stride],
            "pads": _pads(layer.padding),
        }
        match layer.kind:
            case PoolKind.MAX:
                self._node("MaxPool", sources, layer, **window)
            case PoolKind.AVERAGE:
                counted = int(layer.include_padding)
                self._node(
                    "AveragePool", sources, layer, **window, count_include_pad=counted
                )
            case _:
                assert_never(layer.kind)

    def _host_frame(self, layer: Input) -> None:
        """Add what the network leaves to the host to do with a frame."""
        key = f"{layer.name}.scale"
        if key not in self._network.params:
            return
        for kind, word in (("Mul", "scale"), ("Add", "shift")):
            name = f"{layer.name}.{word}"
            values = self._network.params[name].reshape(1, -1, 1, 1)
            self._tensor(name, values.astype(np.float64))
            made = f"{name}.applied"
            self.nodes.append(
                helper.make_node(kind, [self.names[layer.name], name], [made])
            )
            self.names[layer.name] = made

    def _weights(self, layer: Conv | Depthwise | Linear) -> list[str]:
        names = []
        for word, values in zip(
            ("weight", "bias"), float_parameters(self._network, layer), strict=True
        ):
            names.append(f"{layer.name}.{word}")
            self._tensor(names[-1], values)
        return names

    def _tensor(self, name: str, values: NDArray[np.float64]) -> None:
        self.tensors.append(
            numpy_helper.from_array(values.astype(np.float32), name=name)
        )


def _pads(padding: Padding) -> list[int]:
    return [padding.top, padding.left, padding.bottom, padding.right]
