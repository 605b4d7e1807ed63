"""A network with float parameters as files for use elsewhere.

An ONNX file; a torch program (`torch.export`), which runs without hao; and a state
dict by "layer.weight" and "layer.bias", which `hao quantize --weights` reads too.
"""

import io
from typing import assert_never

import numpy as np
import onnx
import torch

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
from hao.quant.export import FRAMES, Attributes, GraphWriter, window_attributes
from hao.quant.float_net import FloatNet
from hao.quant.parameters import float_parameters, frame_parameters


def float_files(network: Network) -> dict[str, bytes]:
    """Return the files of a network with float parameters, by suffix.

    Args:
        network: Compute, pooling and add layers, with parameters.

    Raises:
        InputError: A parameter is missing.
        UnsupportedError: A layer of another kind.
    """
    net = FloatNet(network, batch_norm=False).eval()
    return {
        ".pt": _state(network),
        ".pt2": _program(net),
        ".onnx": onnx_model(network).SerializeToString(deterministic=True),
    }


def _state(network: Network) -> bytes:
    tensors = {}
    for layer in network.compute_layers:
        for word, array in zip(
            ("weight", "bias"), float_parameters(network, layer), strict=True
        ):
            tensors[f"{layer.name}.{word}"] = torch.from_numpy(array).float()
    for key, values in frame_parameters(network).items():
        tensors[key] = torch.from_numpy(values.astype(np.float32))
    content = io.BytesIO()
    torch.save(tensors, content)
    return content.getvalue()


def _program(net: FloatNet) -> bytes:
    shape = net.network.input.ofm
    # A batch of two, since torch takes one for a fixed size.
    frames = torch.zeros(2, shape.channels, shape.height, shape.width)
    batch = torch.export.Dim("batch", min=1, max=65536)
    program = torch.export.export(net, (frames,), dynamic_shapes=({0: batch},))
    content = io.BytesIO()
    torch.export.save(program, content)
    return content.getvalue()


def onnx_model(network: Network) -> onnx.ModelProto:
    """Return the ONNX model of a network in single precision.

    Args:
        network: Compute, pooling and add layers, with parameters.

    Raises:
        InputError: A parameter is missing.
    """
    made = _Writer(network)
    for layer in network.layers:
        made.add(layer)
    return made.model(network, "batch")


class _Writer(GraphWriter):
    """The nodes of a network with float parameters."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def add(self, layer: Layer) -> None:
        """Add a layer's nodes."""
        kind = activation_of(layer)
        out = layer.name if kind is ActivationKind.NONE else f"{layer.name}/sums"
        assert not isinstance(layer, Transparent)
        match layer:
            case Input():
                self._add_frames(layer)
            case Conv() | Depthwise():
                groups = layer.ifm.channels if isinstance(layer, Depthwise) else 1
                names = [layer.input, *self._parameters(layer)]
                self.node(
                    "Conv", names, out, {**window_attributes(layer), "group": groups}
                )
            case Linear():
                flat = f"{layer.name}/flat"
                self.node("Flatten", [layer.input], flat, {"axis": 1})
                self.node("Gemm", [flat, *self._parameters(layer)], out, {"transB": 1})
            case Pool(kind=PoolKind.MAX):
                self.node("MaxPool", [layer.input], out, window_attributes(layer))
            case Pool():
                self._add_average(layer, out)
            case GlobalAveragePool():
                self.node("GlobalAveragePool", [layer.input], out)
            case Add():
                self.node("Add", layer.inputs, out)
            case _:
                assert_never(layer)
        self.activation(kind, out, layer.name)

    def _add_average(self, layer: Pool, out: str) -> None:
        """Add an average; zeros that count come by a Pad where others do not."""
        source, window = layer.input, window_attributes(layer)
        counts = layer.uncounted == Padding()
        if not counts:
            pads, less = layer.padding, layer.uncounted
            sides = [pads.top, pads.left, pads.bottom, pads.right]
            rest = [less.top, less.left, less.bottom, less.right]
            first = [side - left for side, left in zip(sides, rest, strict=True)]
            window["pads"] = rest
            if any(first):
                source = f"{layer.name}/padded"
                sizes = np.array([0, 0, *first[:2], 0, 0, *first[2:]], dtype=np.int64)
                stored = self.store(f"{source}.sizes", sizes)
                self.node("Pad", [layer.input, stored], source)
        counted: Attributes = {"count_include_pad": int(counts), **window}
        self.node("AveragePool", [source], out, counted)

    def _parameters(self, layer: Compute) -> list[str]:
        arrays = float_parameters(self._network, layer)
        words = zip(("weight", "bias"), arrays, strict=True)
        return [self.store(f"{layer.name}.{word}", array) for word, array in words]

    def _add_frames(self, layer: Input) -> None:
        """Add the scale and shift of frames, or nothing."""
        values = frame_parameters(self._network)
        if not values:
            self.node("Identity", [FRAMES], layer.name)
            return
        scale, shift = (
            self.store(key, values[key].reshape(-1, 1, 1))
            for key in (f"{layer.name}.scale", f"{layer.name}.shift")
        )
        self.node("Mul", [FRAMES, scale], f"{layer.name}/scaled")
        self.node("Add", [f"{layer.name}/scaled", shift], layer.name)
