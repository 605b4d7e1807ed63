"""The convolutional MobileNetV4 networks.

Sources: Qin et al., arXiv:2404.10518, Tables 11 to 14 (MNv4-Conv-S, M, L); channels
of the half-width small one as timm has it (`mobilenetv4_conv_small_050`).
"""

from dataclasses import dataclass

from hao.zoo.architecture import (
    Architecture,
    Publication,
    numbered,
    pooled_classifier,
)
from hao.zoo.blocks import ConvBlock, FusedBlock, UniversalBlock, ZooBlock
from hao.zoo.scaling import scaled_channels


@dataclass(frozen=True, slots=True)
class _Row:
    """One universal inverted bottleneck: kernels 0 are absent depthwise layers."""

    channels: int
    ratio: int
    start: int
    middle: int
    stride: int = 1


_LAST, _HEAD = 960, 1280

_SMALL_ROWS = (
    _Row(96, 3, 5, 5, 2),
    *4 * (_Row(96, 2, 0, 3),),
    _Row(96, 4, 3, 0),
    _Row(128, 6, 3, 3, 2),
    _Row(128, 4, 5, 5),
    _Row(128, 4, 0, 5),
    _Row(128, 3, 0, 5),
    *2 * (_Row(128, 4, 0, 3),),
)
_MEDIUM_ROWS = (
    _Row(80, 4, 3, 5, 2),
    _Row(80, 2, 3, 3),
    _Row(160, 6, 3, 5, 2),
    *2 * (_Row(160, 4, 3, 3),),
    _Row(160, 4, 3, 5),
    _Row(160, 4, 3, 3),
    _Row(160, 4, 3, 0),
    _Row(160, 2, 0, 0),
    _Row(160, 4, 3, 0),
    _Row(256, 6, 5, 5, 2),
    _Row(256, 4, 5, 5),
    *2 * (_Row(256, 4, 3, 5),),
    _Row(256, 4, 0, 0),
    _Row(256, 4, 3, 0),
    _Row(256, 2, 3, 5),
    _Row(256, 4, 5, 5),
    *2 * (_Row(256, 4, 0, 0),),
    _Row(256, 2, 5, 0),
)
_LARGE_ROWS = (
    _Row(96, 4, 3, 5, 2),
    _Row(96, 4, 3, 3),
    _Row(192, 4, 3, 5, 2),
    *3 * (_Row(192, 4, 3, 3),),
    _Row(192, 4, 3, 5),
    *5 * (_Row(192, 4, 5, 3),),
    _Row(192, 4, 3, 0),
    _Row(512, 4, 5, 5, 2),
    *3 * (_Row(512, 4, 5, 5),),
    _Row(512, 4, 5, 0),
    _Row(512, 4, 5, 3),
    *2 * (_Row(512, 4, 5, 0),),
    _Row(512, 4, 5, 3),
    _Row(512, 4, 5, 5),
    *3 * (_Row(512, 4, 5, 0),),
)


def _universal(
    rows: tuple[_Row, ...], *, ifm_channels: int, width_percent: int = 100
) -> tuple[UniversalBlock, ...]:
    blocks: list[UniversalBlock] = []
    for row in rows:
        channels = scaled_channels(row.channels, width_percent)
        blocks.append(
            UniversalBlock(
                channels=channels,
                expanded=ifm_channels * row.ratio,
                start=row.start,
                middle=row.middle,
                stride=row.stride,
            )
        )
        ifm_channels = channels
    return tuple(blocks)


def _small(suffix: str, width_percent: int) -> Architecture:
    first, second, third, last = (
        scaled_channels(channels, width_percent) for channels in (32, 96, 64, _LAST)
    )
    front = (
        ConvBlock(channels=first, kernel=3, stride=2),
        ConvBlock(channels=first),
        ConvBlock(channels=second, kernel=3, stride=2),
        ConvBlock(channels=third),
    )
    rest = _universal(_SMALL_ROWS, ifm_channels=third, width_percent=width_percent)
    return _conv(f"small{suffix}", stem=32, blocks=(*front, *rest), last=last)


def _conv(
    size: str,
    *,
    stem: int,
    blocks: tuple[ZooBlock, ...],
    last: int = _LAST,
    image_size: int = 224,
) -> Architecture:
    return Architecture(
        name=f"mobilenet_v4_conv_{size}",
        family=Publication.MOBILENET_V4,
        image_size=image_size,
        blocks=(
            ("stem", ConvBlock(channels=stem, kernel=3, stride=2)),
            *numbered("block", blocks),
            ("last", ConvBlock(channels=last)),
            *pooled_classifier(head_channels=_HEAD, head_first=False),
        ),
    )


ARCHITECTURES = (
    _small("", 100),
    _small("_050", 50),
    _conv(
        "medium",
        stem=32,
        blocks=(
            FusedBlock(channels=48, expanded=128, stride=2),
            *_universal(_MEDIUM_ROWS, ifm_channels=48),
        ),
        image_size=256,
    ),
    _conv(
        "large",
        stem=24,
        blocks=(
            FusedBlock(channels=48, expanded=96, stride=2),
            *_universal(_LARGE_ROWS, ifm_channels=48),
        ),
        image_size=384,
    ),
)
"""Every architecture of this module."""
