"""Dense networks for ImageNet: ResNet, RepVGG in deployed form, VGG.

Sources: ResNet: He et al., arXiv:1512.03385, Table 1, with the stride in the 3x3
convolution of a bottleneck as torchvision and timm have it; ResNet-26 is timm's, with
two bottlenecks per stage. RepVGG: Ding et al., arXiv:2101.03697, Tables 2 and 3; its
three training branches are folded into one 3x3 convolution. VGG: Simonyan and
Zisserman, arXiv:1409.1556, Table 1 (A, B, D, E); the form with batch norm is the same
network once that is folded.
"""

from hao.zoo.architecture import (
    CLASSES,
    Architecture,
    ClassSet,
    NamedBlock,
    Publication,
    numbered,
    pooled_classifier,
)
from hao.zoo.blocks import (
    BasicBlock,
    BottleneckBlock,
    ConvBlock,
    LinearBlock,
    MaxPoolBlock,
)

_RESNET_STRIDES = (1, 2, 2, 2)
# Depth, blocks per stage, their kind, channels per stage.
_RESNETS = (
    (18, (2, 2, 2, 2), BasicBlock, (64, 128, 256, 512)),
    (34, (3, 4, 6, 3), BasicBlock, (64, 128, 256, 512)),
    (26, (2, 2, 2, 2), BottleneckBlock, (256, 512, 1024, 2048)),
    (50, (3, 4, 6, 3), BottleneckBlock, (256, 512, 1024, 2048)),
)

_REPVGG_BLOCKS = (2, 4, 14, 1)
# Name, stem channels, channels per stage.
_REPVGG_VARIANTS = (
    ("a0", 48, (48, 96, 192, 1280)),
    ("a1", 64, (64, 128, 256, 1280)),
    ("a2", 64, (96, 192, 384, 1408)),
)

_VGG_CHANNELS = (64, 128, 256, 512, 512)
# Depth, 3x3 convolutions before each of the five max pools.
_VGG_VARIANTS = (
    (11, (1, 1, 2, 2, 2)),
    (13, (2, 2, 2, 2, 2)),
    (16, (2, 2, 3, 3, 3)),
    (19, (2, 2, 4, 4, 4)),
)


def _resnet(
    depth: int,
    repeats: tuple[int, ...],
    kind: type[BasicBlock | BottleneckBlock],
    widths: tuple[int, ...],
) -> Architecture:
    blocks = [
        kind(channels=channels, stride=stride if number == 0 else 1)
        for channels, count, stride in zip(
            widths, repeats, _RESNET_STRIDES, strict=True
        )
        for number in range(count)
    ]
    return Architecture(
        name=f"resnet{depth}",
        family=Publication.RESNET,
        blocks=(
            ("stem", ConvBlock(channels=64, kernel=7, stride=2)),
            ("stem_pool", MaxPoolBlock(kernel=3, stride=2)),
            *numbered("block", blocks),
            *pooled_classifier(),
        ),
    )


def _repvgg(variant: str, stem: int, channels: tuple[int, ...]) -> Architecture:
    blocks = [
        ConvBlock(channels=stage_channels, kernel=3, stride=2 if number == 0 else 1)
        for stage_channels, count in zip(channels, _REPVGG_BLOCKS, strict=True)
        for number in range(count)
    ]
    return Architecture(
        name=f"repvgg_{variant}",
        family=Publication.REPVGG,
        blocks=(
            ("stem", ConvBlock(channels=stem, kernel=3, stride=2)),
            *numbered("block", blocks),
            *pooled_classifier(),
        ),
    )


def vgg_features(
    channels: tuple[int, ...], repeats: tuple[int, ...]
) -> tuple[NamedBlock, ...]:
    """Return groups of 3x3 convolutions, each followed by a 2x2 max pool.

    Layers are named "group2.conv1" and "group2.pool", counted from 1.
    """
    named: list[NamedBlock] = []
    for group, (width, count) in enumerate(zip(channels, repeats, strict=True), 1):
        convs = [ConvBlock(channels=width, kernel=3)] * count
        named += numbered(f"group{group}.conv", convs)
        named.append((f"group{group}.pool", MaxPoolBlock()))
    return tuple(named)


def _vgg(depth: int, repeats: tuple[int, ...]) -> Architecture:
    return Architecture(
        name=f"vgg{depth}",
        family=Publication.VGG,
        blocks=(
            *vgg_features(_VGG_CHANNELS, repeats),
            ("fc1", LinearBlock(channels=4096, activated=True, map_size=7)),
            ("fc2", LinearBlock(channels=4096, activated=True)),
            ("classifier", LinearBlock(channels=CLASSES[ClassSet.IMAGENET])),
        ),
    )


ARCHITECTURES = (
    *(_resnet(*variant) for variant in _RESNETS),
    *(_repvgg(*variant) for variant in _REPVGG_VARIANTS),
    *(_vgg(*variant) for variant in _VGG_VARIANTS),
)
"""Every architecture of this module."""
