"""Width and depth multipliers, and the expansion of stage tables into blocks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from hao.zoo.blocks import InvertedBlock

CHANNEL_MULTIPLE = 8


def scaled_channels(channels: int, width_percent: int) -> int:
    """Return channels times width, rounded to a multiple of 8.

    Rounds to the nearest multiple (half up), but up where that loses more than a
    tenth.

    Args:
        channels: At width 1, at least 1.
        width_percent: 100 times the width multiplier, at least 1.

    Source: MobileNetV2's reference code (tf_slim `conv_blocks`), as every family here
    uses it; exact in integers, checked by the parameter counts in tests/zoo.
    """
    exact = Fraction(channels * width_percent, 100)
    rounded = max(
        CHANNEL_MULTIPLE,
        int(exact + CHANNEL_MULTIPLE // 2) // CHANNEL_MULTIPLE * CHANNEL_MULTIPLE,
    )
    return rounded + CHANNEL_MULTIPLE if rounded < Fraction(9, 10) * exact else rounded


def scaled_repeats(repeats: int, depth_percent: int) -> int:
    """Return repeats times depth, rounded up; `depth_percent` is 100 times depth."""
    return ceil(Fraction(repeats * depth_percent, 100))


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of a table of inverted residual blocks, all of one kind.

    Attributes:
        ratio: Expansion of each block's IFM channels.
        channels: OFM channels.
        repeats: Number of blocks.
        stride: Of the first block; the others have 1.
        kernel: Of the depthwise convolution.
    """

    ratio: int
    channels: int
    repeats: int
    stride: int
    kernel: int


def inverted_blocks(
    stages: Iterable[Stage], *, ifm_channels: int
) -> tuple[InvertedBlock, ...]:
    """Return the blocks of a stage table behind a map of `ifm_channels`."""
    blocks: list[InvertedBlock] = []
    for stage in stages:
        for repeat in range(stage.repeats):
            blocks.append(
                InvertedBlock(
                    channels=stage.channels,
                    expanded=ifm_channels * stage.ratio,
                    kernel=stage.kernel,
                    stride=stage.stride if repeat == 0 else 1,
                )
            )
            ifm_channels = stage.channels
    return tuple(blocks)


def scaled_stages(
    stages: Sequence[Stage], *, width_percent: int, depth_percent: int
) -> list[Stage]:
    """Return stages of other widths; all but the last are repeated more often."""
    return [
        replace(
            stage,
            channels=scaled_channels(stage.channels, width_percent),
            repeats=stage.repeats
            if stage is stages[-1]
            else scaled_repeats(stage.repeats, depth_percent),
        )
        for stage in stages
    ]
