"""What a project folder says of itself: sources, top, part, clock and uncertainty.

Read from `run_hls.tcl`, the script that the vendor's tool would run, and `src/*.cpp`,
so that a project edited by hand is taken as it is.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from hao.errors import InputError
from hao.files import read_text

SCRIPT = "run_hls.tcl"
SOURCES = "src"

MAX_CLOCK_MHZ = 2000
"""Highest clock that is looked at [MHz]; chosen here, above what any fabric reaches."""


@dataclass(frozen=True, slots=True)
class HlsProject:
    """A project as its script describes it.

    Attributes:
        folder: That holds the script.
        sources: C++ files to compile.
        top: Name of the top function; `None` if the script names none.
        part: Part of the FPGA.
        clock_ns: Clock period [ns].
        uncertainty: Share of the period that the script keeps from the logic, between 0
            and 1; `None` if it leaves that to the tool.
    """

    folder: Path
    sources: tuple[Path, ...]
    top: str | None
    part: str
    clock_ns: float
    uncertainty: float | None


def load_project(folder: Path, *, clock_mhz: float | None = None) -> HlsProject:
    """Return what a project folder says of itself.

    Args:
        folder: With `run_hls.tcl` and `src/`.
        clock_mhz: Clock instead of the script's [MHz].

    Raises:
        InputError: Script or sources are missing, the script cannot be read, or names
            no part or clock; the clock is out of range.
    """
    script = folder / SCRIPT
    if not script.is_file():
        raise InputError(f"{folder}: no {SCRIPT} in it; give a run or a project folder")
    text = _without_comments(read_text(script))
    sources = tuple(sorted((folder / SOURCES).glob("*.cpp")))
    if not sources:
        raise InputError(f"{folder / SOURCES}: no .cpp file in it")
    part = re.search(r"^\s*set_part\s+\{?\s*([\w-]+)", text, re.MULTILINE)
    if part is None:
        raise InputError(f"{script}: no set_part; the delays depend on the part")
    top = re.search(r"^\s*set_top\s+\{?\s*(\w+)", text, re.MULTILINE)
    if clock_mhz is not None and not 0 < clock_mhz <= MAX_CLOCK_MHZ:
        raise InputError(
            f"`clock_mhz` = {clock_mhz:g} MHz; must be above 0 and at most "
            f"{MAX_CLOCK_MHZ} MHz"
        )
    clock_ns = 1000 / clock_mhz if clock_mhz is not None else _clock_ns(script, text)
    return HlsProject(
        folder,
        sources,
        top.group(1) if top else None,
        part.group(1),
        clock_ns,
        _uncertainty(script, text, clock_ns),
    )


def _without_comments(text: str) -> str:
    return re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)


def _clock_ns(script: Path, text: str) -> float:
    found = re.search(
        r"^\s*create_clock\b.*?-period\s+\{?\s*([\d.]+)\s*(ns|MHz)?", text, re.MULTILINE
    )
    if found is None or float(found.group(1)) <= 0:
        raise InputError(f"{script}: no create_clock -period; give `clock_mhz`")
    value = float(found.group(1))
    return 1000 / value if found.group(2) == "MHz" else value


def _uncertainty(script: Path, text: str, clock_ns: float) -> float | None:
    found = re.search(
        r"^\s*set_clock_uncertainty\s+\{?\s*([\d.]+)\s*(%|ns)?", text, re.MULTILINE
    )
    if found is None:
        return None
    value = float(found.group(1))
    share = value / 100 if found.group(2) == "%" else value / clock_ns
    if not 0 <= share < 1:
        raise InputError(
            f"{script}: set_clock_uncertainty {found.group(1)}{found.group(2) or ''} "
            "leaves no time for logic"
        )
    return share
