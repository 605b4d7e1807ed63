"""What the layers of one network have in common: activation and padding.

Batch norm is folded, so every convolution has a bias. A `Style` makes single layers;
`hao.zoo.blocks` makes the blocks that the tables name.

Padding conventions: PyTorch pads both sides alike; TensorFlow's 'SAME' makes the OFM
ceil(IFM / stride) and puts the odd row and column at the bottom and right. With odd
kernels both give OFMs of one size for every image, so MACs and parameters do not
depend on the choice; only which pixels a window covers does.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from hao.intmath import ceil_div
from hao.ir.layer import (
    ActivationKind,
    Add,
    Conv,
    Depthwise,
    Layer,
    Padding,
    Pool,
    PoolKind,
    window_shape,
)


class PaddingRule(Enum):
    """How windows are padded."""

    SYMMETRIC = "symmetric"
    SAME = "same"
    VALID = "valid"


def rule_padding(
    rule: PaddingRule, *, height: int, width: int, kernel: int, stride: int
) -> Padding:
    """Return the padding of a window that moves over an IFM.

    Args:
        rule: Which convention.
        height: IFM rows, at least 1.
        width: IFM columns, at least 1.
        kernel: Window size, at least 1.
        stride: At least 1.

    Source: PyTorch's usual (kernel - 1) // 2; TensorFlow's `tf.nn` notes on padding.
    """
    if rule is PaddingRule.VALID:
        return Padding()
    if rule is PaddingRule.SYMMETRIC:
        side = (kernel - 1) // 2
        return Padding.halved(2 * side, 2 * side)
    rows = max((ceil_div(height, stride) - 1) * stride + kernel - height, 0)
    columns = max((ceil_div(width, stride) - 1) * stride + kernel - width, 0)
    return Padding.halved(rows, columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Makes layers that share an activation and a padding rule.

    Every method takes the layer that is read and the name of the new one, and raises
    InputError if a window does not fit.
    """

    activation: ActivationKind
    padding: PaddingRule

    @property
    def linear(self) -> "Style":
        """Return the same style without activation."""
        return replace(self, activation=ActivationKind.NONE)

    def conv(
        self,
        source: Layer,
        name: str,
        *,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
    ) -> Conv:
        """Return a dense convolution."""
        window = self._window(source, name, channels, kernel, stride)
        return Conv(**window, activation=self.activation)

    def depthwise(
        self, source: Layer, name: str, *, kernel: int, stride: int = 1
    ) -> Depthwise:
        """Return a depthwise convolution."""
        window = self._window(source, name, source.ofm.channels, kernel, stride)
        return Depthwise(**window, activation=self.activation)

    def max_pool(self, source: Layer, name: str, *, kernel: int, stride: int) -> Pool:
        """Return a max pooling."""
        window = self._window(source, name, source.ofm.channels, kernel, stride)
        return Pool(**window, kind=PoolKind.MAX)

    def add(self, first: Layer, second: Layer, name: str) -> Add:
        """Return the residual add of two tensors of one shape."""
        return Add(
            name=name,
            inputs=(first.name, second.name),
            ofm=first.ofm,
            activation=self.activation,
        )

    def _window(
        self, source: Layer, name: str, channels: int, kernel: int, stride: int
    ) -> dict[str, Any]:
        """Return what all layers have whose window moves over a map."""
        ifm = source.ofm
        padding = rule_padding(
            self.padding,
            height=ifm.height,
            width=ifm.width,
            kernel=kernel,
            stride=stride,
        )
        ofm = window_shape(
            ifm, channels=channels, kernel=kernel, stride=stride, padding=padding
        )
        return {
            **{"name": name, "input": source.name, "ifm": ifm, "ofm": ofm},
            **{"kernel": kernel, "stride": stride, "padding": padding},
        }
