"""A network as a torch module, whatever its numbers: the order of its layers.

`LayerwiseModule` runs the layers of a `Network`; float and quantized nets say what one
layer computes. Feature maps have shape (batch, channels, height, width).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hao.errors import UnsupportedError
from hao.ir.layer import (
    Compute,
    Conv,
    Depthwise,
    Layer,
    Linear,
    Padding,
    Pool,
    PoolKind,
    Transparent,
)
from hao.ir.network import Network, run_layers
from hao.ir.sparsity import FULL, density_of
from hao.quant.parameters import float_parameters


class LayerwiseModule(nn.Module, ABC):
    """A module that runs a network's layers in order.

    Attributes:
        network: Its layers; compute, pooling and add layers only.
        compute: What multiplies, by `module_key` of the layer.
        norms: Batch norms behind these, where there are any.

    Raises:
        UnsupportedError: The network has another layer.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        for layer in network.layers:
            if isinstance(layer, Transparent):
                raise UnsupportedError(
                    f"layer {layer.name!r}: {type(layer).__name__} cannot be trained "
                    "or quantized here; handled: convolutions, linear layers, pools "
                    "and adds"
                )
        self.network = network
        self.compute, self.norms = nn.ModuleDict(), nn.ModuleDict()
        # What the network leaves to the host.
        name = network.input.name
        for word, neutral in (("scale", 1.0), ("shift", 0.0)):
            given = network.params.get(f"{name}.{word}", np.array([neutral]))
            values = torch.from_numpy(given.astype(np.float64)).reshape(1, -1, 1, 1)
            self.register_buffer(f"frame_{word}", values.float(), persistent=False)

    def load(self, layer: Compute) -> None:
        """Give a layer's module its parameters; of a pruned one, zeros stay zeros.

        Raises:
            InputError: One is missing, misshapen or not finite.
        """
        module = self.compute[module_key(layer.name)]
        parameters = float_parameters(self.network, layer)
        with torch.no_grad():
            for word, array in zip(("weight", "bias"), parameters, strict=True):
                module.get_parameter(word).copy_(torch.from_numpy(array))
        if density_of(layer) < FULL:
            hold_zeros(module.get_parameter("weight"))

    def scaled_frames(self, x: Tensor) -> Tensor:
        """Return frames as the first layer reads them."""
        return x * self.get_buffer("frame_scale") + self.get_buffer("frame_shift")

    def sums(self, layer: Compute, x: Tensor) -> Tensor:
        """Return a compute layer's map before its activation function."""
        module = self.compute[module_key(layer.name)]
        if isinstance(layer, Linear):
            flat: Tensor = module(x.flatten(1))
            return flat[:, :, None, None]
        inside = padded(x, layer.padding) if torch_padding(layer) is None else x
        out: Tensor = module(inside)
        key = module_key(layer.name)
        return self.norms[key](out) if key in self.norms else out

    @abstractmethod
    def run_layer(self, layer: Layer, operands: Sequence[Tensor]) -> Tensor:
        """Return the feature map that a layer makes; an `Input` gets the frames."""

    def forward(self, frames: Tensor) -> Tensor:
        """Return the outputs of a batch, flattened to (batch, elements)."""
        return self.visit(frames, lambda layer, ofm: None).flatten(1)

    def visit(self, frames: Tensor, see: Callable[[Layer, Tensor], None]) -> Tensor:
        """Return the last feature map, showing each one to `see` as it is made."""

        def run(layer: Layer, operands: list[Tensor]) -> Tensor:
            ofm = self.run_layer(layer, operands or [frames])
            see(layer, ofm)
            return ofm

        last = self.network.output.name
        return run_layers(self.network, run, (last,))[last]


def class_scores(outputs: Tensor) -> Tensor:
    """Return a score per class, shape (batch, classes).

    Those are the outputs; of a single one, behind which a Sigmoid stands, 0 and itself.
    """
    if outputs.shape[1] > 1:
        return outputs
    return torch.cat([torch.zeros_like(outputs), outputs], dim=1)


def module_key(layer: str) -> str:
    """Return a layer's name as torch allows it in a `ModuleDict`: without dots."""
    return layer.replace(".", "/")


def torch_padding(layer: Conv | Depthwise | Pool) -> tuple[int, int] | None:
    """Return symmetric padding as (rows, columns), or `None` if it is not symmetric."""
    padding = layer.padding
    if padding.top != padding.bottom or padding.left != padding.right:
        return None
    return padding.top, padding.left


def padded(x: Tensor, padding: Padding, value: float = 0.0) -> Tensor:
    """Return feature maps with padding around them."""
    if padding == Padding():
        return x
    sides = [padding.left, padding.right, padding.top, padding.bottom]
    return nn.functional.pad(x, sides, value=value)


def pooled_maximum(layer: Pool, x: Tensor) -> Tensor:
    """Return the maximum over each window; padding is never picked."""
    assert layer.kind is PoolKind.MAX
    inside = padded(x, layer.padding, float("-inf"))
    return nn.functional.max_pool2d(inside, layer.kernel, layer.stride)


def window_sums(x: Tensor, layer: Pool) -> Tensor:
    """Return the sum over each window of the zero-padded maps.

    Each sum is exact where a float of twice the bits of the values is.
    """
    taps = nn.functional.unfold(
        padded(x, layer.padding).flatten(0, 1)[:, None],
        layer.kernel,
        stride=layer.stride,
    )
    shape = (*x.shape[:2], layer.ofm.height, layer.ofm.width)
    return taps.sum(1).reshape(shape)


def doubles(tensor: Tensor) -> NDArray[np.float64]:
    """Return a copy of a tensor in double precision, wherever it lies."""
    array: NDArray[np.float64] = tensor.detach().cpu().double().numpy().copy()
    return array


def choose_device() -> torch.device:
    """Return a GPU if torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def hold_zeros(weight: nn.Parameter) -> None:
    """Let no gradient reach what is 0 now: what was pruned stays so in training."""
    kept = (weight.detach() != 0).to(weight.dtype)
    weight.register_hook(  # type: ignore[no-untyped-call] # torch has it untyped
        lambda gradient: gradient * kept.to(gradient)
    )
