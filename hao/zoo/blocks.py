"""The blocks that the tables of the zoo are written in, and the layers of each.

A block is a record without shapes; its `layers` place it behind a layer. All channel
counts are absolute: width multipliers are applied where the tables are expanded. A
block's layers are named "<block>.<role>"; a block of one layer has the block's own
name. A residual add is made exactly where it is said to be, and otherwise where IFM and
OFM of the block have one shape.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from hao.errors import InputError
from hao.ir.layer import GlobalAveragePool, Layer, Linear
from hao.ir.tensor import Shape
from hao.zoo.style import Style


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooBlock(ABC):
    """A block.

    Attributes:
        stride: Image rows and columns that become one.
    """

    stride: int = 1

    @abstractmethod
    def layers(self, source: Layer, name: str, style: Style) -> tuple[Layer, ...]:
        """Return the layers behind `source`, in topological order.

        Raises:
            InputError: A window or a fully connected layer does not fit the IFM.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvBlock(ZooBlock):
    """One dense convolution with the network's activation."""

    channels: int
    kernel: int = 1

    def layers(self, source: Layer, name: str, style: Style) -> tuple[Layer, ...]:
        """Return the convolution."""
        conv = style.conv(
            source,
            name,
            channels=self.channels,
            kernel=self.kernel,
            stride=self.stride,
        )
        return (conv,)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPoolBlock(ZooBlock):
    """One max pooling."""

    kernel: int = 2
    stride: int = 2

    def layers(self, source: Layer, name: str, style: Style) -> tuple[Layer, ...]:
        """Return the pooling."""
        return (style.max_pool(source, name, kernel=self.kernel, stride=self.stride),)


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalPoolBlock(ZooBlock):
    """The average over all pixels."""

    def layers(self, source: Layer, name: str, style: Style) -> tuple[Layer, ...]:
        """Return the average."""
        ofm = Shape(channels=source.ofm.channels, height=1, width=1)
        pool = GlobalAveragePool(name=name, input=source.name, ifm=source.ofm, ofm=ofm)
        return (pool,)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearBlock(ZooBlock):
    """One fully connected layer.

    Attributes:
        channels: Outputs.
        activated: Whether the network's activation follows.
        map_size: Rows and columns of the only map that it can be applied to, since
            its weights depend on it.
    """

    channels: int
    activated: bool = False
    map_size: int = 1

    def layers(self, source: Layer, name: str, style: Style) -> tuple[Layer, ...]:
        """Return the layer; it refuses a map of another size."""
        if {source.ofm.height, source.ofm.width} != {self.map_size}:
            raise InputError(
                f"layer {name!r} needs a {self.map_size}x{self.map_size} map, gets "
                f"{source.ofm.height}x{source.ofm.width}"
            )
        linear = Linear(
            name=name,
            input=source.name,
            ifm=source.ofm,
            ofm=Shape(channels=self.channels, height=1, width=1),
            activation=(style if self.activated else style.linear).activation,
        )
        return (linear,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparableBlock(ZooBlock):
    """Depthwise, then 1x1 convolution.

    Attributes:
        activated: Whether the activation follows the 1x1 convolution as well.
        residual: Whether the input is added; shapes must then agree.
    """

    channels: int
    kernel: int = 3
    activated: bool = False
    residual: bool = False

    def layers(self, source: Layer, name: str, style: Style) -> tuple[Layer, ...]:
        """Return both convolutions, and the add."""
        depthwise = style.depthwise(
            source, f"{name}.depthwise", kernel=self.kernel, stride=self.stride
        )
        pointwise = (style if self.activated else style.linear).conv(
            depthwise, f"{name}.pointwise", channels=self.channels
        )
        if not self.residual:
            return depthwise, pointwise
        return depthwise, pointwise, style.linear.add(pointwise, source, f"{name}.add")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvertedBlock(ZooBlock):
    """1x1 expansion, depthwise, linear 1x1 projection; added where shapes agree."""

    channels: int
    expanded: int
    kernel: int = 3

    def layers(self, source: Layer, name: str, style: Style) -> tuple[Layer, ...]:
        """Return the three convolutions, and the add."""
        expand = style.conv(source, f"{name}.expand", channels=self.expanded)
        depthwise = style.depthwise(
            expand, f"{name}.depthwise", kernel=self.kernel, stride=self.stride
        )
        project = style.linear.conv(
            depthwise, f"{name}.project", channels=self.channels
        )
        return _added((expand, depthwise, project), source, name, style)


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedBlock(ZooBlock):
    """Dense expansion, linear 1x1 projection; added where shapes agree."""

    channels: int
    expanded: int
    kernel: int = 3

    def layers(self, source: Layer, name: str, style: Style) -> tuple[Layer, ...]:
        """Return both convolutions, and the add."""
        expand = style.conv(
            source,
            f"{name}.expand",
            channels=self.expanded,
            kernel=self.kernel,
            stride=self.stride,
        )
        project = style.linear.conv(expand, f"{name}.project", channels=self.channels)
        return _added((expand, project), source, name, style)


@dataclass(frozen=True, slots=True, kw_only=True)
class UniversalBlock(ZooBlock):
    """Universal inverted bottleneck of MobileNetV4.

    Linear depthwise `start`, 1x1 expansion, depthwise `middle`, linear 1x1 projection;
    either depthwise may be absent (0). The stride is the middle one's, or the first
    one's where there is no middle one.
    """

    channels: int
    expanded: int
    start: int
    middle: int

    def layers(self, source: Layer, name: str, style: Style) -> tuple[Layer, ...]:
        """Return the convolutions that are there, and the add."""
        made: list[Layer] = [source]
        if self.start:
            stride = 1 if self.middle else self.stride
            made.append(
                style.linear.depthwise(
                    source, f"{name}.start", kernel=self.start, stride=stride
                )
            )
        made.append(style.conv(made[-1], f"{name}.expand", channels=self.expanded))
        if self.middle:
            made.append(
                style.depthwise(
                    made[-1],
                    f"{name}.depthwise",
                    kernel=self.middle,
                    stride=self.stride,
                )
            )
        made.append(
            style.linear.conv(made[-1], f"{name}.project", channels=self.channels)
        )
        return _added(tuple(made[1:]), source, name, style)


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicBlock(ZooBlock):
    """Two 3x3 convolutions and a shortcut (1x1 where shapes differ)."""

    channels: int

    def layers(self, source: Layer, name: str, style: Style) -> tuple[Layer, ...]:
        """Return the convolutions, the shortcut's too, and the add."""
        first = style.conv(
            source,
            f"{name}.conv1",
            channels=self.channels,
            kernel=3,
            stride=self.stride,
        )
        second = style.linear.conv(
            first, f"{name}.conv2", channels=self.channels, kernel=3
        )
        return _joined((first, second), source, name, style, stride=self.stride)


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckBlock(ZooBlock):
    """1x1 to a quarter, strided 3x3, 1x1 back, and a shortcut ("version 1.5")."""

    channels: int

    def layers(self, source: Layer, name: str, style: Style) -> tuple[Layer, ...]:
        """Return the convolutions, the shortcut's too, and the add."""
        inner = self.channels // 4
        first = style.conv(source, f"{name}.conv1", channels=inner)
        second = style.conv(
            first, f"{name}.conv2", channels=inner, kernel=3, stride=self.stride
        )
        third = style.linear.conv(second, f"{name}.conv3", channels=self.channels)
        return _joined((first, second, third), source, name, style, stride=self.stride)


def _added(
    layers: tuple[Layer, ...], source: Layer, name: str, style: Style
) -> tuple[Layer, ...]:
    if layers[-1].ofm != source.ofm:
        return layers
    return (*layers, style.linear.add(layers[-1], source, f"{name}.add"))


def _joined(
    layers: tuple[Layer, ...], source: Layer, name: str, style: Style, *, stride: int
) -> tuple[Layer, ...]:
    main = layers[-1]
    if stride == 1 and main.ofm == source.ofm:
        return (*layers, style.add(main, source, f"{name}.add"))
    shortcut = style.linear.conv(
        source, f"{name}.shortcut", channels=main.ofm.channels, stride=stride
    )
    return (*layers, shortcut, style.add(main, shortcut, f"{name}.add"))
