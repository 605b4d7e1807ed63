"""Networks and boards that the zoo and `boards/` do not have, by size."""

from dataclasses import replace

from hao.hw.board import Board
from hao.hw.board_file import load_board
from hao.hw.resources import Resources
from hao.ir.network import Network
from hao.zoo.architecture import (
    CLASSES,
    Architecture,
    ClassSet,
    NamedBlock,
    Publication,
    architecture_network,
    numbered,
    pooled_classifier,
)
from hao.zoo.blocks import BasicBlock, ConvBlock, LinearBlock, MaxPoolBlock
from hao.zoo.style import PaddingRule

LENETS = {
    "LeNet-5": (6, 16, 120, 84),
    "LeNet of Caffe": (20, 50, 500, 0),
    "half LeNet-5": (3, 8, 60, 42),
}
"""Channels of two 5x5 convolutions and of one or two layers before the last.

Source: LeCun et al., Proc. IEEE 86(11), 1998, with max pools and every map of the
first convolution read by the second; Caffe's examples/mnist/lenet.prototxt.
"""


def lenet(name: str) -> Network:
    """Return one of `LENETS`, for one channel of 32x32."""
    first, second, third, fourth = LENETS[name]
    blocks: list[NamedBlock] = [
        ("conv1", ConvBlock(channels=first, kernel=5)),
        ("pool1", MaxPoolBlock()),
        ("conv2", ConvBlock(channels=second, kernel=5)),
        ("pool2", MaxPoolBlock()),
        ("fc1", LinearBlock(channels=third, map_size=5, activated=True)),
    ]
    if fourth:
        blocks.append(("fc2", LinearBlock(channels=fourth, activated=True)))
    blocks.append(("classifier", LinearBlock(channels=CLASSES[ClassSet.DIGITS])))
    return architecture_network(
        Architecture(
            name=name.lower().replace(" ", "_").replace("-", ""),
            family=Publication.DIGITS,
            dataset=ClassSet.DIGITS,
            image_size=32,
            padding=PaddingRule.VALID,
            blocks=tuple(blocks),
        )
    )


def residual_network(layers: int) -> Network:
    """Return a residual network for 32x32 with about so many layers with weights.

    Blocks of two 3x3 convolutions in three stages of 16, 32 and 64 channels, as in
    ResNet-20, of which two have a 1x1 shortcut.
    """
    blocks = (layers - 4) // 2
    stages = [(blocks + 2) // 3, (blocks + 1) // 3, blocks // 3]
    chosen = [
        BasicBlock(channels=channels, stride=stride if number == 0 else 1)
        for (channels, stride), count in zip(
            ((16, 1), (32, 2), (64, 2)), stages, strict=True
        )
        for number in range(count)
    ]
    return architecture_network(
        Architecture(
            name=f"residual_{layers}",
            family=Publication.CIFAR,
            dataset=ClassSet.CIFAR10,
            image_size=32,
            blocks=(
                ("stem", ConvBlock(channels=16, kernel=3)),
                *numbered("block", chosen),
                *pooled_classifier(ClassSet.CIFAR10),
            ),
        )
    )


def large_board() -> Board:
    """Return a board with the blocks of a Virtex UltraScale+ VU13P.

    It has four DDR4 channels' bandwidth of the ZCU102's one; clock, ports and caps are
    the ZCU102's. No project is emitted for it.

    Source: DS890 (UltraScale architecture overview), the VU13P's column.
    """
    return replace(
        load_board("zcu102"),
        name="vu13p",
        title="as large as a VU13P",
        device="XCVU13P",
        part="xcvu13p",
        resources=Resources(
            dsp=12_288, bram_18k=5_376, uram=0, lut=1_728_000, ff=3_456_000
        ),
        lutram=791_000,
        ddr_peak_kbytes_per_s=4 * load_board("zcu102").ddr_peak_kbytes_per_s,
    )
