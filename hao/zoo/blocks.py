"""The blocks that the tables of the zoo are written in, and the layers of each.

A block is a record without shapes; `block_layers` places it behind a layer. All
channel counts are absolute: width multipliers are applied where the tables are
expanded. A block's layers are named "<block>.<role>"; a block of one layer has the
block's own name. A residual add is made exactly where it is said to be, and otherwise
where IFM and OFM of the block have one shape.
"""

from dataclasses import dataclass
from typing import assert_never

from hao.errors import InputError
from hao.ir.layer import Conv, GlobalAveragePool, Layer, Linear
from hao.ir.tensor import Shape
from hao.zoo.style import Style


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvBlock:
    """One dense convolution with the network's activation."""

    channels: int
    kernel: int = 1
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPoolBlock:
    """One max pooling."""

    kernel: int = 2
    stride: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalPoolBlock:
    """The average over all pixels."""

    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearBlock:
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
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparableBlock:
    """Depthwise, then 1x1 convolution.

    Attributes:
        activated: Whether the activation follows the 1x1 convolution as well.
        residual: Whether the input is added; shapes must then agree.
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    activated: bool = False
    residual: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InvertedBlock:
    """1x1 expansion, depthwise, linear 1x1 projection; added where shapes agree."""

    channels: int
    expanded: int
    kernel: int = 3
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedBlock:
    """Dense expansion, linear 1x1 projection; added where shapes agree."""

    channels: int
    expanded: int
    kernel: int = 3
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class UniversalBlock:
    """Universal inverted bottleneck of MobileNetV4.

    Linear depthwise `start`, 1x1 expansion, depthwise `middle`, linear 1x1 projection;
    either depthwise may be absent (0). The stride is the middle one's, or the first
    one's where there is no middle one.
    """

    channels: int
    expanded: int
    start: int
    middle: int
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicBlock:
    """Two 3x3 convolutions and a shortcut (1x1 where shapes differ)."""

    channels: int
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckBlock:
    """1x1 to a quarter, strided 3x3, 1x1 back, and a shortcut ("version 1.5")."""

    channels: int
    stride: int = 1


Block = (
    ConvBlock
    | MaxPoolBlock
    | GlobalPoolBlock
    | LinearBlock
    | SeparableBlock
    | InvertedBlock
    | FusedBlock
    | UniversalBlock
    | BasicBlock
    | BottleneckBlock
)

DEPTHWISE_BLOCKS = (SeparableBlock, InvertedBlock, UniversalBlock)


def block_layers(
    block: Block, source: Layer, *, name: str, style: Style
) -> tuple[Layer, ...]:
    """Return the layers of a block that reads `source`, in topological order.

    Raises:
        InputError: A window or a fully connected layer does not fit the IFM.
    """
    match block:
        case ConvBlock():
            return (_conv(block, source, name, style),)
        case MaxPoolBlock():
            return (
                style.max_pool(source, name, kernel=block.kernel, stride=block.stride),
            )
        case GlobalPoolBlock():
            return (_global_pool(source, name),)
        case LinearBlock():
            return (_linear(block, source, name, style),)
        case SeparableBlock():
            return _separable(block, source, name, style)
        case InvertedBlock():
            return _inverted(block, source, name, style)
        case FusedBlock():
            return _fused(block, source, name, style)
        case UniversalBlock():
            return _universal(block, source, name, style)
        case BasicBlock():
            return _basic(block, source, name, style)
        case BottleneckBlock():
            return _bottleneck(block, source, name, style)
        case _:
            assert_never(block)


def _conv(block: ConvBlock, source: Layer, name: str, style: Style) -> Conv:
    return style.conv(
        source, name, channels=block.channels, kernel=block.kernel, stride=block.stride
    )


def _global_pool(source: Layer, name: str) -> GlobalAveragePool:
    pooled = Shape(channels=source.ofm.channels, height=1, width=1)
    return GlobalAveragePool(name=name, input=source.name, ifm=source.ofm, ofm=pooled)


def _linear(block: LinearBlock, source: Layer, name: str, style: Style) -> Linear:
    if {source.ofm.height, source.ofm.width} != {block.map_size}:
        raise InputError(
            f"layer {name!r} needs a {block.map_size}x{block.map_size} map, gets "
            f"{source.ofm.height}x{source.ofm.width}"
        )
    return Linear(
        name=name,
        input=source.name,
        ifm=source.ofm,
        ofm=Shape(channels=block.channels, height=1, width=1),
        activation=(style if block.activated else style.linear).activation,
    )


def _separable(
    block: SeparableBlock, source: Layer, name: str, style: Style
) -> tuple[Layer, ...]:
    depthwise = style.depthwise(
        source, f"{name}.depthwise", kernel=block.kernel, stride=block.stride
    )
    pointwise = (style if block.activated else style.linear).conv(
        depthwise, f"{name}.pointwise", channels=block.channels
    )
    if not block.residual:
        return (depthwise, pointwise)
    return (depthwise, pointwise, style.linear.add(pointwise, source, f"{name}.add"))


def _added(
    layers: tuple[Layer, ...], source: Layer, name: str, style: Style
) -> tuple[Layer, ...]:
    if layers[-1].ofm != source.ofm:
        return layers
    return (*layers, style.linear.add(layers[-1], source, f"{name}.add"))


def _inverted(
    block: InvertedBlock, source: Layer, name: str, style: Style
) -> tuple[Layer, ...]:
    expand = style.conv(source, f"{name}.expand", channels=block.expanded)
    depthwise = style.depthwise(
        expand, f"{name}.depthwise", kernel=block.kernel, stride=block.stride
    )
    project = style.linear.conv(depthwise, f"{name}.project", channels=block.channels)
    return _added((expand, depthwise, project), source, name, style)


def _fused(
    block: FusedBlock, source: Layer, name: str, style: Style
) -> tuple[Layer, ...]:
    expand = style.conv(
        source,
        f"{name}.expand",
        channels=block.expanded,
        kernel=block.kernel,
        stride=block.stride,
    )
    project = style.linear.conv(expand, f"{name}.project", channels=block.channels)
    return _added((expand, project), source, name, style)


def _universal(
    block: UniversalBlock, source: Layer, name: str, style: Style
) -> tuple[Layer, ...]:
    layers: tuple[Layer, ...] = ()
    if block.start:
        start = style.linear.depthwise(
            source,
            f"{name}.start",
            kernel=block.start,
            stride=1 if block.middle else block.stride,
        )
        layers = (start,)
    expand = style.conv(
        layers[-1] if layers else source, f"{name}.expand", channels=block.expanded
    )
    layers = (*layers, expand)
    if block.middle:
        middle = style.depthwise(
            expand, f"{name}.depthwise", kernel=block.middle, stride=block.stride
        )
        layers = (*layers, middle)
    project = style.linear.conv(layers[-1], f"{name}.project", channels=block.channels)
    return _added((*layers, project), source, name, style)


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


def _basic(
    block: BasicBlock, source: Layer, name: str, style: Style
) -> tuple[Layer, ...]:
    first = style.conv(
        source, f"{name}.conv1", channels=block.channels, kernel=3, stride=block.stride
    )
    second = style.linear.conv(
        first, f"{name}.conv2", channels=block.channels, kernel=3
    )
    return _joined((first, second), source, name, style, stride=block.stride)


def _bottleneck(
    block: BottleneckBlock, source: Layer, name: str, style: Style
) -> tuple[Layer, ...]:
    inner = block.channels // 4
    first = style.conv(source, f"{name}.conv1", channels=inner)
    second = style.conv(
        first, f"{name}.conv2", channels=inner, kernel=3, stride=block.stride
    )
    third = style.linear.conv(second, f"{name}.conv3", channels=block.channels)
    return _joined((first, second, third), source, name, style, stride=block.stride)
