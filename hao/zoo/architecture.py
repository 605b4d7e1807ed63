"""One row of the zoo: an architecture as named blocks, and its network at a size.

An `Architecture` is the table; `architecture_network` places its blocks one behind
the other for an image size. No parameters are attached: the search needs shapes only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import prod

from hao.errors import InputError
from hao.ir.layer import ActivationKind, Input, Layer
from hao.ir.network import Network
from hao.ir.tensor import Shape
from hao.zoo.blocks import (
    ConvBlock,
    GlobalPoolBlock,
    LinearBlock,
    ZooBlock,
)
from hao.zoo.style import PaddingRule, Style

NamedBlock = tuple[str, ZooBlock]


class Publication(Enum):
    """Which publication an architecture belongs to."""

    MOBILENET_V1 = "mobilenet_v1"
    MOBILENET_V2 = "mobilenet_v2"
    MOBILENET_V3 = "mobilenet_v3"
    MOBILENET_V4 = "mobilenet_v4"
    MNASNET = "mnasnet"
    SPNASNET = "spnasnet"
    FBNET = "fbnet"
    EFFICIENTNET_LITE = "efficientnet_lite"
    RESNET = "resnet"
    REPVGG = "repvgg"
    VGG = "vgg"
    CIFAR = "cifar"
    DIGITS = "digits"


class ClassSet(Enum):
    """What the classifier tells apart; the value names the data."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    DIGITS = "digits"


IMAGE_CHANNELS = {ClassSet.IMAGENET: 3, ClassSet.CIFAR10: 3, ClassSet.DIGITS: 1}
CLASSES = {ClassSet.IMAGENET: 1000, ClassSet.CIFAR10: 10, ClassSet.DIGITS: 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A network as a table.

    Attributes:
        name: Canonical and unique in the zoo.
        family: Publication.
        dataset: Sets image channels and classes.
        image_size: Default rows and columns of the image.
        activation: Of every layer that has one.
        padding: How windows are padded.
        blocks: Named, in order; the last is the classifier.
    """

    name: str
    family: Publication
    dataset: ClassSet = ClassSet.IMAGENET
    image_size: int = 224
    activation: ActivationKind = ActivationKind.RELU
    padding: PaddingRule = PaddingRule.SYMMETRIC
    blocks: tuple[NamedBlock, ...]

    @property
    def total_stride(self) -> int:
        """Return the image pixels per pixel of the last map, in one direction."""
        return prod(block.stride for _, block in self.blocks)


def numbered(prefix: str, blocks: Sequence[ZooBlock]) -> tuple[NamedBlock, ...]:
    """Return blocks with the names prefix1, prefix2, ..."""
    return tuple((f"{prefix}{number}", block) for number, block in enumerate(blocks, 1))


def pooled_classifier(
    dataset: ClassSet = ClassSet.IMAGENET,
    *,
    head_channels: int | None = None,
    head_first: bool = True,
) -> tuple[NamedBlock, ...]:
    """Return the usual end: a 1x1 head, global average pool, classifier.

    Args:
        dataset: Sets the number of classes.
        head_channels: Channels of the 1x1 convolution; none without.
        head_first: Whether it stands before the pool; behind it, it sees a 1x1 map.
    """
    pool: NamedBlock = ("pool", GlobalPoolBlock())
    classifier: NamedBlock = ("classifier", LinearBlock(channels=CLASSES[dataset]))
    if head_channels is None:
        return (pool, classifier)
    head: NamedBlock = ("head", ConvBlock(channels=head_channels))
    return (head, pool, classifier) if head_first else (pool, head, classifier)


def architecture_network(
    architecture: Architecture, *, image_size: int | None = None
) -> Network:
    """Return the network for square images, without parameters.

    Args:
        architecture: The table.
        image_size: Rows and columns; the architecture's default if None.

    Raises:
        InputError: The image is too small, or its classifier is bound to a size.
    """
    size = architecture.image_size if image_size is None else image_size
    if size < architecture.total_stride:
        raise InputError(
            f"{architecture.name}: image size {size}; must be at least "
            f"{architecture.total_stride}, the total stride"
        )
    frame = Shape(
        channels=IMAGE_CHANNELS[architecture.dataset], height=size, width=size
    )
    style = Style(activation=architecture.activation, padding=architecture.padding)
    layers: list[Layer] = [Input(name="image", ofm=frame)]
    try:
        for name, block in architecture.blocks:
            layers.extend(block.layers(layers[-1], name, style))
    except InputError as error:
        raise InputError(
            f"{architecture.name}: image size {size}: {error}; "
            f"the default is {architecture.image_size}"
        ) from error
    return Network(name=architecture.name, layers=tuple(layers))
