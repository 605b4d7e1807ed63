"""Small networks: CIFAR-10 and scikit-learn's digits.

Sources: `resnet8_cifar`: MLPerf Tiny, image classification (`keras_model.py`,
ResNet v1 with 16, 32 and 64 channels). `resnet20_cifar`: He et al., arXiv:1512.03385,
section 4.2, but with 1x1 convolutions for the two strided shortcuts (their option B),
since an add reads two maps of one shape. `cnv_cifar`: Umuroglu et al.,
arXiv:1612.07119 (FINN), its unpadded VGG-like CNV. `vgg16_cifar`: the convolutions of
VGG-16 and one classifier on the 1x1 map that 32x32 images leave. `vgg_cifar`: the first
three groups of VGG-16 and one classifier, 191 MMAC. `digits` is this project's own:
8x8 digits enlarged to 16x16, four inverted residual blocks, two of them with an add.
"""

from hao.zoo.architecture import (
    CLASSES,
    Architecture,
    ClassSet,
    Publication,
    numbered,
    pooled_classifier,
)
from hao.zoo.blocks import (
    BasicBlock,
    ConvBlock,
    InvertedBlock,
    LinearBlock,
    MaxPoolBlock,
)
from hao.zoo.classic import vgg_features
from hao.zoo.style import PaddingRule

_CIFAR_SIZE = 32
_DIGITS_SIZE = 16


def _cifar_resnet(
    depth: int, blocks_per_stage: int, padding: PaddingRule
) -> Architecture:
    blocks = [
        BasicBlock(channels=channels, stride=stride if number == 0 else 1)
        for channels, stride in ((16, 1), (32, 2), (64, 2))
        for number in range(blocks_per_stage)
    ]
    return Architecture(
        name=f"resnet{depth}_cifar",
        family=Publication.CIFAR,
        dataset=ClassSet.CIFAR10,
        image_size=_CIFAR_SIZE,
        padding=padding,
        blocks=(
            ("stem", ConvBlock(channels=16, kernel=3)),
            *numbered("block", blocks),
            *pooled_classifier(ClassSet.CIFAR10),
        ),
    )


def _cifar_vgg(
    name: str, channels: tuple[int, ...], repeats: tuple[int, ...]
) -> Architecture:
    classifier = LinearBlock(
        channels=CLASSES[ClassSet.CIFAR10], map_size=_CIFAR_SIZE >> len(channels)
    )
    return Architecture(
        name=name,
        family=Publication.CIFAR,
        dataset=ClassSet.CIFAR10,
        image_size=_CIFAR_SIZE,
        blocks=(*vgg_features(channels, repeats), ("classifier", classifier)),
    )


_CNV = Architecture(
    name="cnv_cifar",
    family=Publication.CIFAR,
    dataset=ClassSet.CIFAR10,
    image_size=_CIFAR_SIZE,
    padding=PaddingRule.VALID,
    blocks=(
        ("conv1", ConvBlock(channels=64, kernel=3)),
        ("conv2", ConvBlock(channels=64, kernel=3)),
        ("pool1", MaxPoolBlock()),
        ("conv3", ConvBlock(channels=128, kernel=3)),
        ("conv4", ConvBlock(channels=128, kernel=3)),
        ("pool2", MaxPoolBlock()),
        ("conv5", ConvBlock(channels=256, kernel=3)),
        ("conv6", ConvBlock(channels=256, kernel=3)),
        ("fc1", LinearBlock(channels=512, activated=True)),
        ("fc2", LinearBlock(channels=512, activated=True)),
        ("classifier", LinearBlock(channels=CLASSES[ClassSet.CIFAR10])),
    ),
)

_DIGITS = Architecture(
    name="digits",
    family=Publication.DIGITS,
    dataset=ClassSet.DIGITS,
    image_size=_DIGITS_SIZE,
    blocks=(
        ("stem", ConvBlock(channels=16, kernel=3)),
        ("block1", InvertedBlock(channels=16, expanded=32)),
        ("block2", InvertedBlock(channels=24, expanded=48, stride=2)),
        ("block3", InvertedBlock(channels=24, expanded=48)),
        ("block4", InvertedBlock(channels=32, expanded=48, stride=2)),
        *pooled_classifier(ClassSet.DIGITS, head_channels=48),
    ),
)

ARCHITECTURES = (
    _cifar_resnet(8, 1, PaddingRule.SAME),
    _cifar_resnet(20, 3, PaddingRule.SYMMETRIC),
    _cifar_vgg("vgg_cifar", (64, 128, 256), (2, 2, 3)),
    _cifar_vgg("vgg16_cifar", (64, 128, 256, 512, 512), (2, 2, 3, 3, 3)),
    _CNV,
    _DIGITS,
)
"""Every architecture of this module."""
