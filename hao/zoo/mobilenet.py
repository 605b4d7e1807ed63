"""MobileNetV1, V2 and the minimal V3.

Widths that TensorFlow published (tf_slim) pad as 'SAME' does; the variants that only
timm has pad as PyTorch does. timm's own 050, 100 and 140 have the shapes of the tf_slim
networks of that width and differ in the padding alone.

Sources: V1: Howard et al., arXiv:1704.04861, Table 1. V2: Sandler et al.,
arXiv:1801.04381, Table 2. V3 minimal (no squeeze-and-excite, no hard-swish, 3x3 only):
tf_slim nets/mobilenet/README.md and Howard et al., arXiv:1905.02244, Tables 1 and 2.
timm's variants (125, 100h, 110d, 120d): its `mobilenetv3.py` and `efficientnet.py`.
Widths between these were published by nobody; they follow the same tables.
"""

from hao.ir.layer import ActivationKind
from hao.zoo.architecture import (
    Architecture,
    NamedBlock,
    Publication,
    numbered,
    pooled_classifier,
)
from hao.zoo.blocks import ConvBlock, InvertedBlock, SeparableBlock
from hao.zoo.scaling import Stage, inverted_blocks, scaled_channels, scaled_stages
from hao.zoo.style import PaddingRule

# V1: (channels, stride) of the depthwise separable blocks.
_V1_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *5 * ((512, 1),),
    (1024, 2),
    (1024, 1),
)

# V1: widths between published ones [%]; beyond 100 as timm pads its 125.
_V1_BETWEEN = (
    *((width, PaddingRule.SAME) for width in (30, 40, 60, 70, 80, 90)),
    *((width, PaddingRule.SYMMETRIC) for width in (110, 120)),
)

# V1: name suffix, width [%], channels of an extra 1x1 head, padding.
_V1_VARIANTS = (
    ("025", 25, None, PaddingRule.SAME),
    ("050", 50, None, PaddingRule.SAME),
    ("075", 75, None, PaddingRule.SAME),
    ("100", 100, None, PaddingRule.SAME),
    ("100h", 100, 1024, PaddingRule.SYMMETRIC),
    ("125", 125, None, PaddingRule.SYMMETRIC),
    *((f"{width:03}", width, None, padding) for width, padding in _V1_BETWEEN),
)

_V2_STEM, _V2_FIRST, _V2_HEAD = 32, 16, 1280
_V2_STAGES = (
    Stage(ratio=6, channels=24, repeats=2, stride=2, kernel=3),
    Stage(ratio=6, channels=32, repeats=3, stride=2, kernel=3),
    Stage(ratio=6, channels=64, repeats=4, stride=2, kernel=3),
    Stage(ratio=6, channels=96, repeats=3, stride=1, kernel=3),
    Stage(ratio=6, channels=160, repeats=3, stride=2, kernel=3),
    Stage(ratio=6, channels=320, repeats=1, stride=1, kernel=3),
)

# V2: name suffix, width [%], depth [%], padding; the "d" variants repeat all stages but
# the last more often, and leave the channels of stem and head as they are.
_V2_VARIANTS = (
    ("035", 35, 100, PaddingRule.SAME),
    ("050", 50, 100, PaddingRule.SAME),
    ("075", 75, 100, PaddingRule.SAME),
    ("100", 100, 100, PaddingRule.SAME),
    ("130", 130, 100, PaddingRule.SAME),
    ("140", 140, 100, PaddingRule.SAME),
    ("110d", 110, 120, PaddingRule.SYMMETRIC),
    ("120d", 120, 140, PaddingRule.SYMMETRIC),
    *(
        (f"{width:03}", width, 100, PaddingRule.SAME)
        for width in (40, 60, 70, 80, 90, 110, 120)
    ),
)

_V3_STEM = 16
# V3 minimal: (expanded, channels, stride) of the inverted residual blocks.
_V3_SMALL = (
    (72, 24, 2),
    (88, 24, 1),
    (96, 40, 2),
    (240, 40, 1),
    (240, 40, 1),
    (120, 48, 1),
    (144, 48, 1),
    (288, 96, 2),
    (576, 96, 1),
    (576, 96, 1),
)
_V3_LARGE = (
    (64, 24, 2),
    (72, 24, 1),
    (72, 40, 2),
    (120, 40, 1),
    (120, 40, 1),
    (240, 80, 2),
    (200, 80, 1),
    (184, 80, 1),
    (184, 80, 1),
    (480, 112, 1),
    (672, 112, 1),
    (672, 160, 2),
    (960, 160, 1),
    (960, 160, 1),
)


def _stem(channels: int) -> NamedBlock:
    return ("stem", ConvBlock(channels=channels, kernel=3, stride=2))


def _v1(
    suffix: str, width_percent: int, head_channels: int | None, padding: PaddingRule
) -> Architecture:
    separable = [
        SeparableBlock(
            channels=scaled_channels(channels, width_percent),
            stride=stride,
            activated=True,
        )
        for channels, stride in _V1_BLOCKS
    ]
    return Architecture(
        name=f"mobilenet_v1_{suffix}",
        family=Publication.MOBILENET_V1,
        activation=ActivationKind.RELU6,
        padding=padding,
        blocks=(
            _stem(scaled_channels(32, width_percent)),
            *numbered("block", separable),
            *pooled_classifier(head_channels=head_channels),
        ),
    )


def _v2(
    suffix: str, width_percent: int, depth_percent: int, padding: PaddingRule
) -> Architecture:
    deeper = depth_percent > 100
    stem = _V2_STEM if deeper else scaled_channels(_V2_STEM, width_percent)
    head = _V2_HEAD
    if width_percent > 100 and not deeper:
        head = scaled_channels(_V2_HEAD, width_percent)
    first = scaled_channels(_V2_FIRST, width_percent)
    stages = scaled_stages(
        _V2_STAGES, width_percent=width_percent, depth_percent=depth_percent
    )
    inverted = inverted_blocks(stages, ifm_channels=first)
    return Architecture(
        name=f"mobilenet_v2_{suffix}",
        family=Publication.MOBILENET_V2,
        activation=ActivationKind.RELU6,
        padding=padding,
        blocks=(
            _stem(stem),
            *numbered("block", [SeparableBlock(channels=first), *inverted]),
            *pooled_classifier(head_channels=head),
        ),
    )


def _v3(
    size: str,
    first: SeparableBlock,
    rows: tuple[tuple[int, int, int], ...],
    *,
    head_channels: int,
) -> Architecture:
    inverted = [
        InvertedBlock(channels=channels, expanded=expanded, stride=stride)
        for expanded, channels, stride in rows
    ]
    return Architecture(
        name=f"mobilenet_v3_{size}_minimal",
        family=Publication.MOBILENET_V3,
        padding=PaddingRule.SAME,
        blocks=(
            _stem(_V3_STEM),
            *numbered("block", [first, *inverted]),
            ("last", ConvBlock(channels=rows[-1][0])),
            *pooled_classifier(head_channels=head_channels, head_first=False),
        ),
    )


ARCHITECTURES = (
    *(_v1(*variant) for variant in _V1_VARIANTS),
    *(_v2(*variant) for variant in _V2_VARIANTS),
    _v3("small", SeparableBlock(channels=16, stride=2), _V3_SMALL, head_channels=1024),
    _v3(
        "large",
        SeparableBlock(channels=16, residual=True),
        _V3_LARGE,
        head_channels=1280,
    ),
)
"""Every architecture of this module."""

WIDTHS = {
    f"{line}_{suffix}": (line, width)
    for line, variants in (
        ("mobilenet_v1", _V1_VARIANTS),
        ("mobilenet_v2", _V2_VARIANTS),
    )
    for suffix, width, *_ in variants
    if suffix.isdigit()
}
"""Line and width [%] of the networks that differ in width alone, by name."""
