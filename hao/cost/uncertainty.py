"""How far the predictions of a design may be off, and which limit that breaks first.

Latency: the rows of data/validated_latency.csv set predicted beside measured times of
published accelerators that could be configured as engines of hao (docs/validation.md).
If a new design's ratio of measured to predicted is drawn like those of n rows, it lies
between the least and the largest of them with probability (n - 1) / (n + 1), whatever
the distribution. The rows come from two accelerators, so that "drawn alike" is more
than is known; it is the best that public figures allow.

Area: DSP slices and block RAMs follow from rules that were exact wherever they could be
counted; LUTs and flip-flops were counted on synthesized blocks (docs/area.md).
"""

import csv
from dataclasses import dataclass, replace
from functools import cache
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

_COLUMNS = ("key", "network", "predicted_ms", "measured_ms")


@dataclass(frozen=True, slots=True)
class LatencyEvidence:
    """What is known of the latency's error.

    Attributes:
        ratios: Measured over predicted time of every comparable row, ascending.
    """

    ratios: tuple[float, ...]

    @property
    def least(self) -> float:
        """Return the least ratio, at most 1: a prediction may always be right."""
        return min(1.0, self.ratios[0])

    @property
    def largest(self) -> float:
        """Return the largest ratio, at least 1."""
        return max(1.0, self.ratios[-1])

    @property
    def median(self) -> float:
        """Return the middle ratio."""
        return median(self.ratios)

    @property
    def confidence_percent(self) -> int:
        """Return the chance that a row drawn alike lies within [percent], down."""
        rows = len(self.ratios)
        return 100 * (rows - 1) // (rows + 1)

    def fps_interval(self, fps: float) -> tuple[float, float]:
        """Return the frame rates between which a prediction's truth may lie."""
        return fps / self.largest, fps / self.least


@cache
def latency_evidence() -> LatencyEvidence:
    """Return the comparable rows that ship with hao.

    Raises:
        InputError: The file is missing or malformed.
    """
    path = data_path("data", LATENCY_FILE)
    ratios = []
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(line for line in stream if not line.startswith("#"))
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise InputError(f"{path}: columns must be {', '.join(_COLUMNS)}")
        for row in reader:
            try:
                ratios.append(float(row["measured_ms"]) / float(row["predicted_ms"]))
            except (TypeError, ValueError, ZeroDivisionError) as error:
                raise InputError(
                    f"{path}: row {row['key']!r}: times must be numbers above 0"
                ) from error
    if not ratios:
        raise InputError(f"{path}: no rows; `make validate` writes them")
    return LatencyEvidence(tuple(sorted(ratios)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """How much larger than predicted a figure may be before a limit is passed.

    Attributes:
        name: "frame time", "LUT" or "FF".
        room: Allowed over predicted.
        seen: How much larger than predicted it may well be.
        limit: What is allowed, in words.
        measured: Whether `seen` was measured on a board.
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
                seen=latency_evidence().largest,
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
