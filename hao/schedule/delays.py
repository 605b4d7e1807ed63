"""How long an operator of the FPGA's fabric takes, by part, kind and width [ns].

The figures are what Vivado HLS and Vitis HLS printed in public schedule reports
(data/hls_delays.csv, which names its sources). Between two widths they are
interpolated; beyond them the nearest holds.
"""

import csv
import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import numpy as np

from hao.data import data_path
from hao.errors import InputError

TABLE = "hls_delays.csv"


class Timed(Enum):
    """Kinds of operators in the table; the value is what a row says."""

    ADD = "add"
    ADD3 = "add3"  # three operands at once
    COMPARE = "compare"
    SELECT = "select"
    LOGIC = "logic"
    SHIFT = "shift"  # by a variable; its width is that of the shifted value
    MULTIPLY = "multiply"  # within a cycle; its width is that of the wider operand
    MUX = "mux"  # its width is the number of inputs
    REGISTER = "register"  # the multiplexer in front of a register
    MEMORY = "memory"  # block RAM: address set up, and the same again for the output
    LUTRAM = "lutram"  # a memory of LUTs, likewise
    FIFO = "fifo"  # its width is the clock period, rounded down


@dataclass(frozen=True, slots=True)
class Delays:
    """Delays of one family and speed grade.

    Attributes:
        family: Such as "zynquplus-1".
        rows: Widths and delays [ns] by kind, sorted by width.
    """

    family: str
    rows: dict[Timed, tuple[tuple[int, float], ...]]

    def delay(self, kind: Timed, width: int) -> float:
        """Return the delay of an operator [ns]."""
        return _between(self.rows[kind], width)


@lru_cache(maxsize=10_000)
def _between(points: tuple[tuple[int, float], ...], width: int) -> float:
    widths, delays = zip(*points, strict=True)
    return float(np.interp(width, widths, delays))


def part_family(part: str) -> str:
    """Return family and speed grade of a part, such as "zynquplus-1".

    Raises:
        InputError: There are no delays of such a part.
    """
    found = re.search(r"-(\d)(?:LV|L)?(?:-[a-z]+)?$", part)
    grade = int(found.group(1)) if found else 1
    if re.match(r"xczu|xck2", part):
        family = f"zynquplus-{grade}"
    elif re.match(r"xc7(?:k|v|z03|z045|z100)", part) and grade > 1:
        family = "kintex7-2"  # that of grade 3 is faster
    elif part.startswith("xc7"):
        family = f"7series-{grade}"
    else:
        family = "unknown"
    known = sorted(_table())
    if family not in known:
        raise InputError(
            f"part {part}: no operator delays; they are there for {', '.join(known)}"
        )
    return family


def load_delays(part: str) -> Delays:
    """Return the delays of a part.

    Raises:
        InputError: There are none for it.
    """
    family = part_family(part)
    rows = {kind: tuple(sorted(points)) for kind, points in _table()[family].items()}
    return Delays(family, rows)


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[Timed, list[tuple[int, float]]]]:
    found: dict[str, dict[Timed, list[tuple[int, float]]]] = {}
    with data_path("data", TABLE).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            kinds = found.setdefault(row["family"], {})
            points = kinds.setdefault(Timed(row["kind"]), [])
            points.append((int(row["width"]), float(row["delay_ns"])))
    return found
