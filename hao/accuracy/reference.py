"""One published result of a quantized checkpoint, as the law of drops looks at it.

`data/reference_drops.csv` holds those that are comparable with the accelerator; which
these are is decided in benchmarks/accuracy_fit/evidence.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hao.accuracy.records import Record, read_records
from hao.accuracy.terms import QuantSetting, Recipe
from hao.data import data_path
from hao.ir.tensor import MAX_BITS, MIN_BITS

COLUMNS = (
    "network",
    "family",
    "depthwise",
    "top1_float",
    "recipe",
    "weight_bits",
    "act_bits",
    "power_of_two",
    "nearest",
    "per_tensor",
    "drop",
    "rows",
    "source",
)
SHIPPED = "reference_drops.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What one source lost on one checkpoint at given bits with its best setting.

    Attributes:
        network: Name in the zoo where it has the network, else the source's name.
        family: Family of networks.
        depthwise: The network has depthwise convolutions.
        top1_float: Top-1 of the checkpoint [percent].
        setting: How it was quantized.
        drop: Drop of top-1, negative where training gained [points].
        source: Repository.
        rows: Comparable rows it was chosen from.
    """

    network: str
    family: str
    depthwise: bool
    top1_float: float
    setting: QuantSetting
    drop: float
    source: str
    rows: int


def _reference(record: Record) -> Reference:
    return Reference(
        network=record.text("network"),
        family=record.text("family"),
        depthwise=record.flag("depthwise"),
        top1_float=record.number("top1_float", low=0.1, high=100),
        setting=QuantSetting(
            recipe=record.member("recipe", Recipe),
            weight_bits=record.number("weight_bits", low=MIN_BITS, high=MAX_BITS),
            act_bits=record.number("act_bits", low=MIN_BITS, high=MAX_BITS),
            power_of_two=record.flag("power_of_two"),
            nearest=record.flag("nearest"),
            per_tensor=record.flag("per_tensor"),
        ),
        drop=record.number("drop", low=-100, high=100),
        source=record.text("source"),
        rows=record.integer("rows", low=1, high=100_000),
    )


def load_references(path: Path) -> tuple[Reference, ...]:
    """Return the references of a file, in its order.

    Raises:
        InputError: A line is malformed; names file, line and column.
    """
    return tuple(_reference(record) for record in read_records(path, COLUMNS))


@cache
def shipped_references() -> tuple[Reference, ...]:
    """Return the references that ship with hao.

    Raises:
        InputError: The shipped file is missing or malformed.
    """
    return load_references(data_path("data", SHIPPED))


def render_references(references: Sequence[Reference]) -> str:
    """Return references as the text of a CSV file."""
    lines = [",".join(COLUMNS)]
    for r in references:
        s = r.setting
        lines.append(
            f"{r.network},{r.family},{r.depthwise},{r.top1_float:g},{s.recipe.value},"
            f"{s.weight_bits:g},{s.act_bits:g},{s.power_of_two},{s.nearest},"
            f"{s.per_tensor},{r.drop:.3f},{r.rows},{r.source}"
        )
    return "\n".join(lines) + "\n"
