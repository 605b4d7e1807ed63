"""Which float accuracy was published for which network, width and image size?

Reads `data/imagenet_float_accuracy.csv` (ImageNet-1k validation, single crop) as
frozen records and groups them by network of the zoo and image size, since top-1
belongs to both. The quantization results are read by
benchmarks/accuracy_fit/measured.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from hao.accuracy.records import Record, read_records
from hao.data import data_path
from hao.errors import InputError
from hao.zoo import zoo_name

_COLUMNS = (
    "architecture",
    "recipe",
    "width",
    "image_size",
    "top1",
    "params_m",
    "precision",
    "source",
)


class Precision(Enum):
    """Arithmetic in which a published accuracy was measured."""

    FP32 = "fp32"
    INT8 = "int8 (w8a8, fake-quantized training)"


class Between(Enum):
    """What lies between two published networks (`hao.accuracy.between`)."""

    SIZES = "image sizes"
    WIDTHS = "widths"


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatRow:
    """One published accuracy.

    Attributes:
        network: Name in the zoo, or None where the zoo lacks the network.
        architecture: As the source spells it.
        recipe: Training recipe, as the source spells it; may be empty.
        width: Channel multiplier, as the source spells it; may be empty.
        image_size: Height and width of the frame [pixels].
        top1: Top-1 on the ImageNet validation set [percent].
        params: Parameters, rounded to what the source prints; 0 if it prints none.
        precision: Arithmetic of the measurement.
        source: Repository, file and date.
    """

    network: str | None
    architecture: str
    recipe: str
    width: str
    image_size: int
    top1: float
    params: int
    precision: Precision
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedNetwork:
    """A network of the zoo at one image size, with everything published on it.

    Attributes:
        name: Name in the zoo.
        image_size: Height and width of the frame [pixels].
        best: The float row of highest top-1.
        quantized: Rows that were published as already quantized.
        interpolated: Between which published networks its top-1 lies; `None` if it was
            published itself.
    """

    name: str
    image_size: int
    best: FloatRow
    quantized: tuple[FloatRow, ...]
    interpolated: Between | None = None

    @property
    def top1(self) -> float:
        """Return the best float top-1 [percent]."""
        return self.best.top1


def _row(record: Record) -> FloatRow:
    architecture, width = record.text("architecture"), record.cells["width"]
    params_m = record.optional_number("params_m", low=0.01, high=2000)
    return FloatRow(
        network=zoo_name(architecture, width),
        architecture=architecture,
        recipe=record.cells["recipe"],
        width=width,
        image_size=record.integer("image_size", low=8, high=2048),
        top1=record.number("top1", low=0.1, high=100),
        params=0 if params_m is None else round(params_m * 1_000_000),
        precision=record.member("precision", Precision),
        source=record.text("source"),
    )


def load_float_rows(path: Path | None = None) -> tuple[FloatRow, ...]:
    """Return every published float accuracy, in the order of the file.

    Args:
        path: Another file with the same columns; the shipped one by default.

    Raises:
        InputError: A line is malformed, or one (architecture, recipe, width, image
            size, precision, source) occurs twice; names file and line.
    """
    file = path or data_path("data", "imagenet_float_accuracy.csv")
    rows: dict[tuple[str, str, str, int, Precision, str], FloatRow] = {}
    for record in read_records(file, _COLUMNS):
        row = _row(record)
        key = (
            row.architecture,
            row.recipe,
            row.width,
            row.image_size,
            row.precision,
            row.source,
        )
        if key in rows:
            raise InputError(
                f"{file.name}:{record.line}: architecture = {row.architecture!r} "
                "with this recipe, width, image size and source occurs twice; "
                "must occur once"
            )
        rows[key] = row
    return tuple(rows.values())


def group_by_network(
    rows: tuple[FloatRow, ...],
) -> Mapping[tuple[str, int], PublishedNetwork]:
    """Return the zoo's networks by (name, image size); others are left out.

    A network without a float row (published only as quantized) is left out too.
    """
    groups: dict[tuple[str, int], list[FloatRow]] = {}
    for row in rows:
        if row.network is not None:
            groups.setdefault((row.network, row.image_size), []).append(row)
    networks = {}
    for (name, size), members in sorted(groups.items()):
        floats = [r for r in members if r.precision is Precision.FP32]
        if floats:
            networks[name, size] = PublishedNetwork(
                name=name,
                image_size=size,
                best=min(floats, key=lambda r: (-r.top1, r.architecture, r.recipe)),
                quantized=tuple(r for r in members if r.precision is Precision.INT8),
            )
    return networks


@cache
def published_networks() -> Mapping[tuple[str, int], PublishedNetwork]:
    """Return the shipped accuracies by (zoo name, image size).

    Raises:
        InputError: The shipped file is missing or malformed.
    """
    return group_by_network(load_float_rows())
