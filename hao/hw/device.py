"""Devices: what a part number has, and how fast it may be clocked.

`data/devices.csv` holds the devices and `data/speed_grades.csv` the limits of their
speed grades, each with its source. Board files name a part; all else follows from it.
"""

import csv
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType

from hao.data import data_path
from hao.errors import InputError
from hao.hw.board import Board, Family
from hao.hw.resources import Resources

PART = re.compile(
    r"(?P<device>xc7z\d{3}s?|xczu\d{1,2}t?(?:cg|eg|ev|dr)|xck\d{2})"
    r"-?[a-z]{3,4}\d{3,4}-(?P<speed>[123])(?P<low>l?)v?(-?[a-z])?",
    re.IGNORECASE,
)
"""A part number: device, package, speed grade, temperature range.

Examples: xc7z020clg400-1, xczu3eg-sbva484-1-i, xck26-sfvc784-2LV-c.
"""

CAP_PERCENT = MappingProxyType(
    {"lut": 70, "ff": 50, "dsp": 80, "bram_18k": 80, "uram": 80}
)
"""Share of each resource that designs may use where a board file says nothing.

Source: `CAP_SOURCE`. FINN also asks that BRAM, URAM and DSP stay below 70 percent on
average, which caps per resource cannot express.
"""

CAP_SOURCE = (
    "no published limit found for this board; FINN's limit for timing closure "
    "(Xilinx/finn src/finn/util/platforms.py)"
)
"""Where `CAP_PERCENT` comes from, for the sources of a board."""

PORTS = 4
"""AXI ports that the engine uses: one each for IFM, OFM, residual and weights."""

PORTS_SOURCE = (
    "one port each for IFM, OFM, residual and weights; UG585: S_AXI_HP0 to HP3 of 32 "
    "or 64 bits; DS891 and UG1085: four S_AXI_HP ports of 128 bits at most"
)
"""Where number and width of the ports come from, for the sources of a board."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device of the table.

    Attributes:
        name: Family member, such as "XCZU3EG".
        logic: Whose fabric it has: "Artix-7", "Kintex-7" or "UltraScale+".
        resources: What it has.
        lutram: LUTs that can be memory.
        source: Where the figures come from.
    """

    name: str
    logic: str
    resources: Resources
    lutram: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockLimit:
    """How fast something may be clocked, and why.

    Attributes:
        khz: Fastest clock [kHz].
        what: What sets it, in words.
        source: Where that is from.
    """

    khz: int
    what: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorSide:
    """What the processor of a family brings, where a board file does not say it.

    Attributes:
        host_us: What the host takes for a frame besides the engine's run [us].
        host_source: Where that comes from.
        port_bytes: Width of the widest AXI port to its DDR [bytes].
        port_limit: Fastest clock of an AXI port between logic and processor.
    """

    host_us: int
    host_source: str
    port_bytes: int
    port_limit: ClockLimit


PROCESSOR_SIDES = {
    Family.ZYNQ_7000: ProcessorSide(
        host_us=1000,
        host_source="assumed: twice what the KV260 takes (boards/kv260.toml), as the "
        "Cortex-A9 has half the clock of its Cortex-A53; not measured",
        port_bytes=8,
        port_limit=ClockLimit(
            khz=250_000,
            what="an AXI port of the processor",
            source="DS187 and DS191, PS-PL interface: 250 MHz, all speed grades; "
            "data sheets as remembered, not opened. UG585 has an example of four "
            "ports at 150 MHz",
        ),
    ),
    Family.ZYNQ_ULTRASCALE: ProcessorSide(
        host_us=500,
        host_source="by analogy with the KV260, the same cores: boards/kv260.toml",
        port_bytes=16,
        port_limit=ClockLimit(
            khz=333_000,
            what="an AXI port of the processor",
            source="DS925 Table 6, FAXICLK: 333 MHz, all speed grades",
        ),
    ),
}
"""Of each family. Source of the widths: UG585 (S_AXI_HP ports of 32 or 64 bits), DS891
(128 bits at most)."""


@cache
def devices() -> dict[str, Device]:
    """Return every device of the table by its name, in the table's order."""
    table: dict[str, Device] = {}
    for row in _rows("devices.csv"):
        blocks = {
            kind: int(row[kind]) for kind in ("dsp", "bram_18k", "uram", "lut", "ff")
        }
        for name in row["devices"].split():
            table[name] = Device(
                name=name,
                logic=row["logic"],
                resources=Resources(**blocks),
                lutram=int(row["lutram"]),
                source=row["source"],
            )
    return table


def device_name(part: str) -> str:
    """Return the name of the device of a part number, in capitals.

    Raises:
        InputError: It is no part number of a family that hao knows.
    """
    found = PART.fullmatch(part)
    if found is not None:
        return found["device"].upper()
    raise InputError(
        f"part = {part[:60]!r}; must be a part number of {' or '.join(_FAMILIES)} with "
        "package and speed grade, such as xc7z020clg400-1, xczu3eg-sbva484-1-i or "
        "xck26-sfvc784-2LV-c"
    )


def family_of(part: str) -> Family:
    """Return the family of a part number.

    Raises:
        InputError: It is no part number of a family that hao knows.
    """
    name = device_name(part).lower()
    return next(family for family in Family if name.startswith(family.prefixes))


def device_of(part: str) -> Device:
    """Return the device of a part number.

    Raises:
        InputError: It is no part number, or its device is not in the table.
    """
    name = device_name(part)
    table = devices()
    if name in table:
        return table[name]
    close = get_close_matches(name, table, n=3)
    hint = f"; the nearest are {', '.join(close)}" if close else ""
    raise InputError(
        f"part = {part!r}: the device {name} is not in the table of devices{hint}; "
        "give what it has as [resources]"
    )


def grade_limit(part: str) -> ClockLimit | None:
    """Return how fast the speed grade of a part lets DSP slices and clocks run.

    Returns:
        The lower of both; `None` for a device that is not in the table.

    Raises:
        InputError: It is no part number, or the device has no such speed grade.
    """
    device = devices().get(device_name(part))
    if device is None:
        return None
    found = PART.fullmatch(part)
    assert found is not None
    grade = f"-{found['speed']}{found['low'].upper()}"
    rows = [row for row in _rows("speed_grades.csv") if row["logic"] == device.logic]
    for row in rows:
        if row["grade"] == grade:
            khz = min(int(row["dsp_khz"]), int(row["tree_khz"]))
            what = f"the speed grade {grade}"
            return ClockLimit(khz=khz, what=what, source=row["source"])
    known = ", ".join(row["grade"] for row in rows)
    raise InputError(
        f"part = {part!r}: {device.name} has no speed grade {grade}; must be one of "
        f"{known}"
    )


def check_clock(board: Board) -> None:
    """Check that a board's logic may be clocked so fast.

    The emitted design runs its AXI ports with the clock of the logic.

    Raises:
        InputError: The clock is beyond what ports or speed grade allow.
    """
    ports = replace(
        PROCESSOR_SIDES[board.family].port_limit,
        khz=board.port_max_khz,
        source=board.sources.get("ports.max_khz", "ports.max_khz of its file"),
    )
    grade = grade_limit(board.part)
    limit = min((ports, grade or ports), key=lambda each: each.khz)
    if board.clock_khz > limit.khz:
        raise InputError(
            f"board {board.name!r}: a clock of {board.clock_mhz:g} MHz; must be at "
            f"most {limit.khz / 1000:g} MHz, the limit of {limit.what} "
            f"({limit.source})"
        )


_FAMILIES = tuple(family.value for family in Family)


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    path = data_path("data", name)
    with path.open(encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(line for line in stream if line[:1] != "#"))
