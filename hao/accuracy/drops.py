"""What drop of top-1 does the search reckon with, for a network at uniform bits?

Reads `data/predicted_drop.csv`, which `hao.accuracy.table` generates from published
measurements. Reading needs no scikit-learn, so that a search starts at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from hao.accuracy.records import read_records
from hao.data import data_path
from hao.errors import InputError
from hao.ir.tensor import MAX_BITS, MIN_BITS

COLUMNS = (
    "network",
    "weight_bits",
    "act_bits",
    "drop_mean",
    "drop_low",
    "drop_high",
    "out_of_range",
    "evidence",
    "references",
)
GENERIC_DENSE = "any_dense"
GENERIC_DEPTHWISE = "any_depthwise"
MIN_ACT_BITS = 4


class Evidence(Enum):
    """What a predicted drop rests on."""

    MEASURED = "measured"
    """This network was measured at these bits."""
    FAMILY = "family"
    """This network at other bits, or others of its family at these."""
    NONE = "none"
    """Other families only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Drop of top-1 at uniform bits [points], with its 90 % interval.

    Attributes:
        mean: Central estimate, at least 0.
        low: Optimistic end, at most `mean`.
        high: Pessimistic end, at least `mean`, at most the float accuracy.
        out_of_range: No network of the family was measured at as few bits.
        evidence: What it rests on.
        references: Published results (one per source) of this network at these bits.
    """

    mean: float
    low: float
    high: float
    out_of_range: bool
    evidence: Evidence
    references: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DropTable:
    """Predicted drops by (network, weight bits, activation bits)."""

    rows: Mapping[tuple[str, int, int], Drop]

    def drop(
        self,
        network: str,
        weight_bits: int,
        act_bits: int,
        *,
        has_depthwise: bool | None = None,
    ) -> Drop:
        """Return the drop of a network at uniform bits.

        Args:
            network: Name in the zoo, or any other name.
            weight_bits: From 2 to 8.
            act_bits: From 4 to 8.
            has_depthwise: Of a network outside the zoo, which then gets the drop of
                its kind with the interval across networks.

        Raises:
            InputError: Bits outside the table, or a network outside the zoo of which
                `has_depthwise` is not said.
        """
        if not MIN_BITS <= weight_bits <= MAX_BITS:
            raise InputError(
                f"weight_bits = {weight_bits}; must be from {MIN_BITS} to {MAX_BITS}"
            )
        if not MIN_ACT_BITS <= act_bits <= MAX_BITS:
            raise InputError(
                f"act_bits = {act_bits}; must be from {MIN_ACT_BITS} to {MAX_BITS}"
            )
        known = self.rows.get((network, weight_bits, act_bits))
        if known is not None:
            return known
        if has_depthwise is None:
            raise InputError(
                f"network {network!r} is not in the table of predicted drops; "
                "has_depthwise must be given for a network outside the zoo"
            )
        name = GENERIC_DEPTHWISE if has_depthwise else GENERIC_DENSE
        return self.rows[name, weight_bits, act_bits]


def load_drops(path: Path) -> DropTable:
    """Return the table of a file.

    Raises:
        InputError: A line is malformed, occurs twice, its ends are out of order, or
            the rows of a kind of network are missing; names file and line.
    """
    rows: dict[tuple[str, int, int], Drop] = {}
    for record in read_records(path, COLUMNS):
        drop = Drop(
            mean=record.number("drop_mean", low=0, high=100),
            low=record.number("drop_low", low=0, high=100),
            high=record.number("drop_high", low=0, high=100),
            out_of_range=record.flag("out_of_range"),
            evidence=record.member("evidence", Evidence),
            references=record.integer("references", low=0, high=10_000),
        )
        if not drop.low <= drop.mean <= drop.high:
            raise record.error("drop_mean", "from drop_low to drop_high")
        key = (
            record.text("network"),
            record.integer("weight_bits", low=MIN_BITS, high=MAX_BITS),
            record.integer("act_bits", low=MIN_ACT_BITS, high=MAX_BITS),
        )
        if key in rows:
            raise record.error("network", "with other bits: these occur twice")
        rows[key] = drop
    for name in dict.fromkeys(
        [GENERIC_DENSE, GENERIC_DEPTHWISE, *(k[0] for k in rows)]
    ):
        for weight_bits in range(MIN_BITS, MAX_BITS + 1):
            for act_bits in range(MIN_ACT_BITS, MAX_BITS + 1):
                if (name, weight_bits, act_bits) not in rows:
                    raise InputError(
                        f"{path.name}: network {name!r} lacks {weight_bits}-bit "
                        f"weights with {act_bits}-bit activations; must have all bits"
                    )
    return DropTable(rows=rows)


@cache
def load_drop_table() -> DropTable:
    """Return the shipped table.

    Raises:
        InputError: The shipped file is missing or malformed.
    """
    return load_drops(data_path("data", "predicted_drop.csv"))
