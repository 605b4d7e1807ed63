"""Layer kinds: a closed set of frozen records without arrays, so hashable.

`Layer` is their union; code that treats kinds apart uses `match` with
`assert_never`. A layer names the layers that it reads, and knows the shapes on both
sides, its multiply-accumulates and its parameters. Arrays live in
`hao.ir.network.Network.params`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from hao.errors import InputError
from hao.ir.tensor import QType, Shape


class ActivationKind(Enum):
    """Activation function; everything the engine applies on the way out."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"


class PoolKind(Enum):
    """What a pooling window computes."""

    MAX = "max"
    AVERAGE = "average"


@dataclass(frozen=True, slots=True, kw_only=True)
class Padding:
    """Rows and columns added around the IFM, each at least 0."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    def __post_init__(self) -> None:
        if min(self.top, self.left, self.bottom, self.right) < 0:
            raise InputError(f"negative padding {self}; must be at least 0")

    @classmethod
    def same(cls, kernel: int) -> "Padding":
        """Return the symmetric padding that keeps the size at stride 1."""
        return cls.halved(kernel - 1, kernel - 1)

    @classmethod
    def halved(cls, rows: int, columns: int) -> "Padding":
        """Return so many rows and columns, half on each side, an odd one behind."""
        top, left = rows // 2, columns // 2
        return cls(top=top, left=left, bottom=rows - top, right=columns - left)

    def __add__(self, other: "Padding") -> "Padding":
        """Return the padding of two that lie around one another."""
        return Padding(
            top=self.top + other.top,
            left=self.left + other.left,
            bottom=self.bottom + other.bottom,
            right=self.right + other.right,
        )


def window_shape(
    ifm: Shape, *, channels: int, kernel: int, stride: int, padding: Padding
) -> Shape:
    """Return the OFM shape of a sliding window that stays inside the padded IFM.

    Raises:
        InputError: The window does not fit in the padded IFM.
    """
    height = ifm.height + padding.top + padding.bottom - kernel
    width = ifm.width + padding.left + padding.right - kernel
    if height < 0 or width < 0:
        raise InputError(
            f"a {kernel}x{kernel} window does not fit in "
            f"{ifm.height}x{ifm.width} with padding"
        )
    return Shape(
        channels=channels, height=height // stride + 1, width=width // stride + 1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """The frame that enters the network."""

    name: str
    ofm: Shape

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return no names: nothing precedes the frame."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unary:
    name: str
    input: str
    ifm: Shape
    ofm: Shape

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the name of the one layer that this one reads."""
        return (self.input,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Windowed(_Unary):
    kernel: int
    stride: int = 1
    padding: Padding = field(default_factory=Padding)

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.stride < 1:
            raise InputError(
                f"layer {self.name!r}: kernel {self.kernel}, stride {self.stride}; "
                "both must be at least 1"
            )
        expected = window_shape(
            self.ifm,
            channels=self.ofm.channels,
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
        )
        if expected != self.ofm:
            raise InputError(f"layer {self.name!r}: OFM {self.ofm}, window {expected}")


@dataclass(frozen=True, kw_only=True)
class _Weighted(ABC):
    """A layer with weights; each of its output values sums `terms` products."""

    __slots__ = ()
    ofm: Shape
    activation: ActivationKind = ActivationKind.NONE
    bias: bool = True
    weight: QType | None = None
    evens: bool = field(default=False, repr=False)
    """Whether halves of its sums go to even codes, as a file says."""
    wide: bool = field(default=False, repr=False)
    """Whether its multiplier is a wide one (`hao.ir.integer.Requantization.WIDE`)."""

    @property
    @abstractmethod
    def terms(self) -> int:
        """Return the products summed into one output value."""

    @property
    def macs(self) -> int:
        """Return the multiply-accumulates of one frame."""
        return self.ofm.elements * self.terms

    @property
    def weights(self) -> int:
        """Return the number of weights, without bias."""
        return self.ofm.channels * self.terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(_Weighted, _Windowed):
    """Dense KxK convolution; params: weight (ofm, ifm, K, K), bias (ofm,)."""

    passes: int = 1
    """How often the lanes run over its products (`hao.ir.passes`)."""
    planes: int = 1
    """Digits in which its IFM comes: 2 of a frame wider than the activations."""
    density: int = 100
    """Share of the words of its weights that are kept [%] (`hao.ir.sparsity`)."""
    multiplied: bool = False
    """Whether its codes take a multiplier: scales of a file that no shifts express."""

    @property
    def terms(self) -> int:
        """Return the products summed into one output value."""
        return self.ifm.channels * self.kernel**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Depthwise(_Weighted, _Windowed):
    """Depthwise KxK convolution; params: weight (channels, 1, K, K), bias."""

    multiplied: bool = False
    """Whether its codes take a multiplier: scales of a file that no shifts express."""

    @property
    def terms(self) -> int:
        """Return the products summed into one output value."""
        return self.kernel**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(_Weighted, _Unary):
    """Fully connected layer on the flattened IFM (channel-major, as ONNX flattens).

    Params: weight (ofm.channels, ifm.elements), bias (ofm.channels,). OFM is
    (ofm.channels, 1, 1).
    """

    passes: int = 1
    """How often the lanes run over its products (`hao.ir.passes`)."""
    density: int = 100
    """Share of the words of its weights that are kept [%] (`hao.ir.sparsity`)."""
    multiplied: bool = False
    """Whether its codes take a multiplier: scales of a file that no shifts express."""

    @property
    def terms(self) -> int:
        """Return the products summed into one output value."""
        return self.ifm.elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(_Windowed):
    """Max or average pooling over KxK windows."""

    kind: PoolKind
    uncounted: Padding = field(default_factory=Padding)
    """Part of the padding, from outside, that an average does not divide by."""
    wide: bool = field(default=False, repr=False)
    """Whether its sums take a multiplier of 24 bits: exact quotients, as of a file."""

    def __post_init__(self) -> None:
        _Windowed.__post_init__(self)
        pads, out = self.padding, self.uncounted
        sides = ("top", "left", "bottom", "right")
        within = all(getattr(out, s) <= getattr(pads, s) for s in sides)
        # The first and the last window reach pixels that count.
        first = max(out.top, out.left) < self.kernel
        height = self.ifm.height + pads.top + pads.bottom - out.bottom
        width = self.ifm.width + pads.left + pads.right - out.right
        last = (self.ofm.height - 1) * self.stride < height
        last &= (self.ofm.width - 1) * self.stride < width
        if not (within and first and last):
            raise InputError(
                f"layer {self.name!r}: {out} of {pads} does not count; must be part of "
                "it, and leave pixels that count in every window"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalAveragePool(_Unary):
    """Average over all pixels; OFM is (channels, 1, 1)."""

    wide: bool = field(default=False, repr=False)
    """Whether its sum takes a wide multiplier, as a file's scales ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """Elementwise sum of two tensors of one shape (the residual add)."""

    name: str
    inputs: tuple[str, str]
    ofm: Shape
    activation: ActivationKind = ActivationKind.NONE

    @property
    def ifm(self) -> Shape:
        """Return the shape of either operand."""
        return self.ofm


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine(_Unary):
    """Per-channel scale and shift; params: scale (channels,), shift (channels,).

    What is left of a batch norm that cannot be folded into weights that a file has
    already quantized; the engine applies it in requantization.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation(_Unary):
    """Activation that no layer before it could take in."""

    kind: ActivationKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantize(_Unary):
    """Quantizer that a file placed on a feature map.

    Params: scale (1,) or (channels,), zero_point (1,) or (channels,).
    """

    quant: QType


Compute = Conv | Depthwise | Linear
Transparent = Affine | Activation | Quantize
"""What only files have: the engine takes it into the requantization of a map."""
Layer = Input | Compute | Pool | GlobalAveragePool | Add | Transparent


def weight_shape(layer: Compute) -> tuple[int, ...]:
    """Return the shape of a layer's weights."""
    if isinstance(layer, Linear):
        return layer.ofm.channels, layer.ifm.elements
    depth = 1 if isinstance(layer, Depthwise) else layer.ifm.channels
    return layer.ofm.channels, depth, layer.kernel, layer.kernel


def activation_of(layer: Layer) -> ActivationKind:
    """Return the activation function on a layer's way out."""
    if isinstance(layer, Compute | Add):
        return layer.activation
    return ActivationKind.NONE


def reading(layer: Layer, heirs: Mapping[str, str]) -> Layer:
    """Return a layer that reads other layers, by the names it reads now."""
    if heirs.keys().isdisjoint(layer.inputs):
        return layer
    match layer:
        case Input():
            return layer
        case Add():
            first, second = (heirs.get(name, name) for name in layer.inputs)
            return replace(layer, inputs=(first, second))
        case _:
            return replace(layer, input=heirs[layer.input])
