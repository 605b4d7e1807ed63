"""What others measured on the ZU3EG: the points beside ours in the picture.

Reads `data/published_zu3eg.csv`. A point needs what ours has: ImageNet, batch 1, frame
rate and top-1.
"""

from dataclasses import dataclass
from pathlib import Path

from hao.accuracy.records import read_records
from hao.data import data_path
from hao.errors import InputError

DEVICE = "XCZU3EG"

COLUMNS = ("key", "network", "dataset", "device", "fps", "top1", "batch", "source")

AUTHORS = {
    "dong2021hao": "HAO",
    "yang2019synetgy": "Synetgy",
    "zhang2021fracbnn": "FracBNN",
    "wu2023msd": "MSD",
    "vai1.0": "DPU B1600",
}
"""What the picture calls a publication, by the start of its key in the file."""

NETWORKS = {
    "HAO searched MobileNetV2-like": "searched network",
    "MobileNetV2 (authors baseline)": "MobileNetV2",
    "MobileNet-V2": "MobileNetV2",
    "FracBNN ImageNet": "binary network",
    "cf_resnet50_imagenet_224_224_7.7G": "ResNet-50",
    "cf_resnet18_imagenet_224_224_3.65G": "ResNet-18",
    "cf_mobilenetv2_imagenet_224_224_0.59G": "MobileNetV2 (Caffe)",
    "tf_mobilenetv1_imagenet_224_224_1.14G": "MobileNetV1",
    "tf_mobilenetv2_imagenet_224_224_1.17G": "MobileNetV2 x1.4",
}
"""What the picture calls a network, where not as the file does."""


BATCH_1 = ("1", "1 thread")
"""How the file says that frames ran one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPoint:
    """A published accelerator with a network.

    Attributes:
        label: Publication and network.
        fps: Measured frames per second at batch 1.
        top1: Measured top-1 on ImageNet [percent].
        source: Where it is printed.
    """

    label: str
    fps: float
    top1: float
    source: str


def load_published(path: Path | None = None) -> tuple[PublishedPoint, ...]:
    """Return the points of a file that can be compared with ours, in its order.

    Args:
        path: `None` for the shipped file.

    Raises:
        InputError: The file is missing or a line malformed; names file and line.
    """
    points = []
    for record in read_records(
        path or data_path("data", "published_zu3eg.csv"), COLUMNS
    ):
        cells = record.cells
        comparable = (
            cells["dataset"].startswith("ImageNet")
            and cells["device"] == DEVICE
            and cells["batch"] in BATCH_1
            and cells["fps"]
            and cells["top1"]
        )
        if not comparable:
            continue
        network = record.text("network")
        author = record.text("key").partition("_")[0]
        if author not in AUTHORS:
            raise InputError(
                f"{record.path.name}:{record.line}: key {author!r}; must be one of "
                f"{', '.join(AUTHORS)}"
            )
        points.append(
            PublishedPoint(
                label=f"{AUTHORS[author]}, {NETWORKS.get(network, network)}",
                fps=record.number("fps", low=0.001, high=1e6),
                top1=record.number("top1", low=0, high=100),
                source=record.text("source"),
            )
        )
    return tuple(points)
