"""Mobile networks found by search: MnasNet, SPNASNet, FBNet, EfficientNet-Lite.

All are a stem, one depthwise separable block (FBNet: an inverted one), stages of
inverted residual blocks, a 1x1 head and a classifier. Variants with
squeeze-and-excite (MnasNet-A1, timm's mnasnet_small, EfficientNet-B) are left out:
the engine has no such block.

Sources: MnasNet-B1: Tan et al., arXiv:1807.11626, and the authors' `mnasnet_models.py`.
Single-Path NAS: Stamoulis et al., arXiv:1904.02877, Figure 4. FBNet-C: Wu et al.,
arXiv:1812.03443, and mobile-vision's `fbnet_modeldef.py`. EfficientNet-Lite: TPU
repository, `efficientnet/lite/efficientnet_lite_builder.py` (stem, head and the depth
of the first and last stage are not scaled). Checked against timm's definitions.
"""

from hao.ir.layer import ActivationKind
from hao.zoo.architecture import (
    Architecture,
    Publication,
    numbered,
    pooled_classifier,
)
from hao.zoo.blocks import ConvBlock, SeparableBlock, ZooBlock
from hao.zoo.scaling import Stage, inverted_blocks, scaled_channels, scaled_stages
from hao.zoo.style import PaddingRule

# Columns: ratio, channels, repeats, stride, kernel.
_MNASNET_B1 = (
    Stage(3, 24, 3, 2, 3),
    Stage(3, 40, 3, 2, 5),
    Stage(6, 80, 3, 2, 5),
    Stage(6, 96, 2, 1, 3),
    Stage(6, 192, 4, 2, 5),
    Stage(6, 320, 1, 1, 3),
)
_SPNASNET = (
    Stage(3, 24, 3, 2, 3),
    Stage(6, 40, 1, 2, 5),
    Stage(3, 40, 3, 1, 3),
    Stage(6, 80, 1, 2, 5),
    Stage(3, 80, 3, 1, 3),
    Stage(6, 96, 1, 1, 5),
    Stage(3, 96, 3, 1, 5),
    Stage(6, 192, 4, 2, 5),
    Stage(6, 320, 1, 1, 3),
)
_FBNET_C = (
    Stage(1, 16, 1, 1, 3),
    Stage(6, 24, 1, 2, 3),
    Stage(1, 24, 2, 1, 3),
    Stage(6, 32, 1, 2, 5),
    Stage(3, 32, 1, 1, 5),
    Stage(6, 32, 1, 1, 5),
    Stage(6, 32, 1, 1, 3),
    Stage(6, 64, 1, 2, 5),
    Stage(3, 64, 1, 1, 5),
    Stage(6, 64, 2, 1, 5),
    Stage(6, 112, 3, 1, 5),
    Stage(3, 112, 1, 1, 5),
    Stage(6, 184, 4, 2, 5),
    Stage(6, 352, 1, 1, 3),
)
_EFFICIENTNET_LITE = (
    Stage(6, 24, 2, 2, 3),
    Stage(6, 40, 2, 2, 5),
    Stage(6, 80, 3, 2, 3),
    Stage(6, 112, 3, 1, 5),
    Stage(6, 192, 4, 2, 5),
    Stage(6, 320, 1, 1, 3),
)
# Number, width [%], depth [%], image size.
_EFFICIENTNET_LITE_VARIANTS = (
    (0, 100, 100, 224),
    (1, 100, 110, 240),
    (2, 110, 120, 260),
    (3, 120, 140, 300),
    (4, 140, 180, 380),
)


def _searched(
    name: str,
    family: Publication,
    *,
    stem: int,
    blocks: tuple[ZooBlock, ...],
    head: int = 1280,
) -> Architecture:
    return Architecture(
        name=name,
        family=family,
        blocks=(
            ("stem", ConvBlock(channels=stem, kernel=3, stride=2)),
            *numbered("block", blocks),
            *pooled_classifier(head_channels=head),
        ),
    )


def _efficientnet_lite(
    number: int, width_percent: int, depth_percent: int, image_size: int
) -> Architecture:
    first = scaled_channels(16, width_percent)
    stages = scaled_stages(
        _EFFICIENTNET_LITE, width_percent=width_percent, depth_percent=depth_percent
    )
    inverted = inverted_blocks(stages, ifm_channels=first)
    return Architecture(
        name=f"efficientnet_lite{number}",
        family=Publication.EFFICIENTNET_LITE,
        image_size=image_size,
        activation=ActivationKind.RELU6,
        padding=PaddingRule.SAME,
        blocks=(
            ("stem", ConvBlock(channels=32, kernel=3, stride=2)),
            *numbered("block", [SeparableBlock(channels=first), *inverted]),
            *pooled_classifier(head_channels=1280),
        ),
    )


ARCHITECTURES = (
    _searched(
        "mnasnet_100",
        Publication.MNASNET,
        stem=32,
        blocks=(
            SeparableBlock(channels=16),
            *inverted_blocks(_MNASNET_B1, ifm_channels=16),
        ),
    ),
    _searched(
        "spnasnet_100",
        Publication.SPNASNET,
        stem=32,
        blocks=(
            SeparableBlock(channels=16),
            *inverted_blocks(_SPNASNET, ifm_channels=16),
        ),
    ),
    _searched(
        "fbnetc_100",
        Publication.FBNET,
        stem=16,
        blocks=inverted_blocks(_FBNET_C, ifm_channels=16),
        head=1984,
    ),
    *(_efficientnet_lite(*variant) for variant in _EFFICIENTNET_LITE_VARIANTS),
)
"""Every architecture of this module."""
