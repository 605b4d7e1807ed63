"""What importers hand to the functions of `hao.frontends.pieces`, and get back.

Plain values in the units of the network: where an operator stands, its weights, the
geometry of its window, and the piece of a network that it becomes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hao.errors import UnsupportedError
from hao.frontends.feature_map import Axis, FeatureMap
from hao.intmath import ceil_div
from hao.ir.layer import Layer, Padding
from hao.ir.tensor import QType

Array = NDArray[np.generic]
Order = tuple[Axis, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSite:
    """Where an operator stands.

    Attributes:
        layer: Unique safe name for the layer that it becomes.
        label: What errors call it, such as "Conv '/conv1/Conv'".
    """

    layer: str
    label: str

    def part(self, name: str) -> "NodeSite":
        """Return the site of a layer that the operator needs before its own."""
        return replace(self, layer=f"{self.layer}.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """Weights of a layer.

    Attributes:
        values: Real values; for integer weights the dequantized ones.
        quant: Integer type, if the file fixed one.
        scale: Real value of one integer step; broadcasts against `values`.
        zero_point: Integer that stands for 0.0; broadcasts against `values`.
        note: What was made of them, for a report.
    """

    values: Array
    quant: QType | None = None
    scale: Array = field(default_factory=lambda: np.ones(1))
    zero_point: Array = field(default_factory=lambda: np.zeros(1))
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one operator adds: its result, layers with their parameters, and notes."""

    value: FeatureMap
    layers: tuple[Layer, ...] = ()
    params: Mapping[str, Array] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def behind(self, first: "Piece") -> "Piece":
        """Return this piece with all that another one adds before it."""
        return replace(
            self,
            layers=(*first.layers, *self.layers),
            params={**first.params, **self.params},
            notes=(*first.notes, *self.notes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Geometry of a window operator as files give it, sizes as (height, width)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = field(default_factory=Padding)

    def square(self, site: NodeSite, x: FeatureMap, *, taps: bool) -> "Window":
        """Return the window with one size and one stride for both directions.

        The kernel grows behind the map. Where it takes one step alone, as over a
        signal of height 1, any stride is its own.

        Args:
            site: Where it stands.
            x: What it reads.
            taps: What the kernel grows by has weight 0; else it must be padding.

        Raises:
            UnsupportedError: There is no such window.
        """
        pads = x.padding + self.padding
        height = x.shape.height + pads.top + pads.bottom - self.kernel[0]
        width = x.shape.width + pads.left + pads.right - self.kernel[1]
        steps = tuple(zip(self.stride, (height, width), strict=True))
        fits = [
            stride
            for stride in self.stride
            if all(own == stride or left < min(own, stride) for own, left in steps)
        ]
        kernel = max(self.kernel)
        more = (kernel - self.kernel[0], kernel - self.kernel[1])
        beyond = (height == 0 or not more[0]) and (width == 0 or not more[1])
        if not fits or not (taps or beyond):
            raise UnsupportedError(
                f"{site.label}: kernel {_by(self.kernel)}, stride {_by(self.stride)}; "
                "handled: square kernels, and one stride for both directions"
            )
        padding = self.padding + Padding(bottom=more[0], right=more[1])
        return Window(
            kernel=(kernel, kernel), stride=(fits[0], fits[0]), padding=padding
        )

    def uncounted(self, own: "Window", *, counts: bool) -> Padding:
        """Return the padding by which an average over these windows does not divide.

        Args:
            own: The windows before their sizes were rounded up: what that adds is
                never counted.
            counts: Whether the padding of `own` is.
        """
        pads, less = self.padding, own.padding
        if not counts:
            return pads
        return Padding(bottom=pads.bottom - less.bottom, right=pads.right - less.right)

    def rounded_up(self, x: FeatureMap) -> "Window":
        """Return the window with the padding that rounding sizes up asks for.

        A window that would start behind the last pixel is not added.

        Source: ONNX operator specification, MaxPool-22 (ceil_mode), and PyTorch;
        tests/frontends/from_onnx/test_model.py compares with onnxruntime.
        """
        own, around = self.padding, x.padding
        height = x.shape.height + around.top + around.bottom
        width = x.shape.width + around.left + around.right
        (rows, columns), (down, across) = self.kernel, self.stride
        more = Padding(
            bottom=_missing(height, rows, down, before=own.top, after=own.bottom),
            right=_missing(width, columns, across, before=own.left, after=own.right),
        )
        return replace(self, padding=own + more)


def check_no_padding(site: NodeSite, x: FeatureMap) -> None:
    """Refuse a map with zeros around it, where no window takes them in.

    Raises:
        UnsupportedError: It has some.
    """
    if x.padding != Padding():
        raise UnsupportedError(
            f"{site.label}: reads a padded feature map; handled: a Pad before a "
            "convolution or a pooling"
        )


def _missing(size: int, kernel: int, stride: int, *, before: int, after: int) -> int:
    """Return what has to be padded so that rounding down finds the last window."""
    padded = size + before + after
    steps = ceil_div(max(0, padded - kernel), stride)
    if steps * stride >= size + before:
        steps -= 1
    return max(0, steps * stride + kernel - padded)


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
