"""How far the predictions of a design may be off, and which limit that breaks first.

Latency: the rows of data/validated_latency.csv set predicted beside measured times of
published accelerators that could be configured as engines of hao (docs/validation.md).
An accelerator's rows share its errors, so that a new design is to them as one
accelerator is to the others: each is left out in turn, and its rows are set beside the
middle ratio of all others. The interval is as wide as holds `COVERAGE_PERCENT` of what
was left out. With two accelerators that is the best that public figures allow.

Area: DSP slices and block RAMs follow from rules that were exact wherever they could be
counted; LUTs and flip-flops were counted on synthesized blocks (docs/area.md).
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from math import ceil, exp, inf, log
from statistics import median

from hao.cost.evaluate import CostReport
from hao.data import data_path
from hao.errors import InputError
from hao.hw.board import Board

AREA_ERROR_PERCENT = 15
"""By how much LUTs and flip-flops may be off [percent].

Source: docs/area.md; the one block that could be compared with Vivado was 6 to 17 %
off, and blocks are within 3 % of their own synthesis.
"""

LATENCY_FILE = "validated_latency.csv"

COVERAGE_PERCENT = 80
"""Share of frame rates that their interval is to hold [percent] (chosen here)."""

_COLUMNS = ("key", "accelerator", "network", "predicted_ms", "measured_ms")


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """A published row.

    Attributes:
        accelerator: Whose it is.
        ratio: Measured over predicted time, above 0.
    """

    accelerator: str
    ratio: float


@dataclass(frozen=True, slots=True)
class LatencyEvidence:
    """What is known of the latency's error.

    Attributes:
        rows: Every comparable row, of at least two accelerators.
    """

    rows: tuple[LatencyRow, ...]

    @property
    def accelerators(self) -> tuple[str, ...]:
        """Return whose rows there are, sorted."""
        return tuple(sorted({row.accelerator for row in self.rows}))

    @property
    def left_out(self) -> tuple[float, ...]:
        """Return how far rows are from the middle of all other accelerators' rows.

        As natural logarithms of ratios, in the order of the rows.
        """
        middle = {
            name: _middle(row for row in self.rows if row.accelerator != name)
            for name in self.accelerators
        }
        return tuple(log(row.ratio) - middle[row.accelerator] for row in self.rows)

    @property
    def half_width(self) -> float:
        """Return the least distance that holds enough of what was left out.

        So many that a further row, drawn alike, would be held as often.
        """
        distances = sorted(abs(distance) for distance in self.left_out)
        held = ceil(COVERAGE_PERCENT * (len(distances) + 1) / 100)
        return distances[min(held, len(distances)) - 1]

    @property
    def fastest(self) -> float:
        """Return the least ratio of the interval, at most 1: what is predicted."""
        return min(1.0, exp(_middle(self.rows) - self.half_width))

    @property
    def slowest(self) -> float:
        """Return the largest ratio of the interval, at least 1."""
        return max(1.0, exp(_middle(self.rows) + self.half_width))

    @property
    def margin_percent(self) -> int:
        """Return the part of the frame time that the interval takes at most [percent].

        With so much left free, the interval begins no lower than what was asked.
        """
        return ceil(100 * (1 - 1 / self.slowest))

    def fps_interval(self, fps: float) -> tuple[float, float]:
        """Return the frame rates between which a prediction's truth may lie."""
        return fps / self.slowest, fps / self.fastest


def _middle(rows: Iterable[LatencyRow]) -> float:
    return median(log(row.ratio) for row in rows)


@cache
def latency_evidence() -> LatencyEvidence:
    """Return the comparable rows that ship with hao.

    Raises:
        InputError: The file is missing or malformed.
    """
    path = data_path("data", LATENCY_FILE)
    rows = []
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(line for line in stream if not line.startswith("#"))
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise InputError(f"{path}: columns must be {', '.join(_COLUMNS)}")
        for row in reader:
            try:
                ratio = float(row["measured_ms"]) / float(row["predicted_ms"])
                if not 0 < ratio < inf:
                    raise ValueError
                rows.append(LatencyRow(row["accelerator"], ratio))
            except (TypeError, ValueError, ZeroDivisionError) as error:
                raise InputError(
                    f"{path}: row {row['key']!r}: times must be numbers above 0"
                ) from error
    evidence = LatencyEvidence(tuple(rows))
    if len(evidence.accelerators) < 2:
        raise InputError(
            f"{path}: rows of fewer than two accelerators; `make validate` writes them"
        )
    return evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """How much larger than predicted a figure may be before a limit is passed.

    Attributes:
        name: "frame time", "LUT" or "FF".
        room: Allowed over predicted.
        seen: How much larger than predicted it may well be.
        limit: What is allowed, in words.
        measured: Whether `seen` rests on times of boards.
    """

    name: str
    room: float
    seen: float
    limit: str
    measured: bool

    @property
    def strain(self) -> float:
        """Return which part of its room the error takes: above 1 the limit breaks."""
        return (self.seen - 1) / max(self.room - 1, 1e-9)


def headrooms(
    cost: CostReport, board: Board, *, fps_asked: float | None
) -> tuple[Headroom, ...]:
    """Return the limits that an error of prediction may break, the first one first.

    Args:
        cost: What the design is predicted to cost.
        board: Its limits.
        fps_asked: Frame rate to reach, if any.
    """
    found = []
    if fps_asked is not None:
        found.append(
            Headroom(
                name="frame time",
                room=cost.fps / fps_asked,
                seen=latency_evidence().slowest,
                limit=f"{fps_asked:g} frames/s",
                measured=True,
            )
        )
    limits, used = board.usable.as_dict(), cost.resources.as_dict()
    caps = board.cap_percent.as_dict()
    at_caps = replace(board, budget=None).usable.as_dict()
    for key, name in (("lut", "LUT"), ("ff", "FF")):
        if used[key]:
            found.append(
                Headroom(
                    name=name,
                    room=limits[key] / used[key],
                    seen=1 + AREA_ERROR_PERCENT / 100,
                    limit=f"{caps[key]} % of the device"
                    if limits[key] == at_caps[key]
                    else f"the {limits[key]} asked for",
                    measured=False,
                )
            )
    return tuple(sorted(found, key=lambda headroom: -headroom.strain))
