"""What an HLS tool reports about a core, whichever file it wrote it to.

`hao.handoff.csynth` reads the values from XML, `hao.handoff.csynth_text` from text.
A figure that the tool left open ("undef", "?", "-") is `None`, never 0: a loop whose
bound it could not see has an unknown trip count, not none.
"""

import re
from dataclasses import dataclass
from enum import Enum

from hao.errors import InputError
from hao.hw.resources import Resources

OPEN_VALUES = frozenset({"", "-", "?", "undef", "NA", "N/A"})
"""How the tools print a figure that they do not know.

Source: Vivado HLS 2020.1 and Vitis HLS 2023.2 reports ("-", "undef", "N/A"), Vitis HLS
loop tables of unbounded loops ("?"), co-simulation tables ("NA").
"""

_SPAN = re.compile(r"(\d+)(?:\s*~\s*(\d+))?")


class HlsTool(Enum):
    """Who wrote a report."""

    VIVADO_HLS = "Vivado HLS"
    VITIS_HLS = "Vitis HLS"


@dataclass(frozen=True, slots=True)
class Span:
    """Least and most of a count, such as cycles; `None` where the tool left it open."""

    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRow:
    """One instance below the top.

    Attributes:
        module: Name of the module, which is the function it was made from.
        instance: Name of the instance; empty where the report names modules only.
        depth: Levels below the top, from 1. Rows stand in the order of the tree: what
            a module holds follows it, one level deeper.
        latency: Of one run [cycles].
        interval: Between two runs [cycles].
        used: Resources, those of what it holds included.
    """

    module: str
    instance: str
    depth: int
    latency: Span
    interval: Span
    used: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisReport:
    """What C synthesis estimates; nothing is placed yet.

    Attributes:
        source: File it was read from.
        tool: Who wrote it.
        version: Of the tool, such as "2020.1".
        top: Name of the top function.
        part: Part number.
        clock_estimated_ns: Estimated period, without the uncertainty [ns]; `None` in a
            summary report.
        latency: Of one run of the top [cycles].
        interval: Between two runs [cycles].
        used: Resources by the tool's own estimate.
        modules: Instances below the top, as far as the report has them.
    """

    source: str
    tool: HlsTool
    version: str
    top: str
    part: str
    clock_estimated_ns: float | None
    latency: Span
    interval: Span
    used: Resources
    modules: tuple[ModuleRow, ...]


def parse_span(text: str, where: str) -> Span:
    """Return a count or a range of counts, such as "64" or "1 ~ 64".

    Raises:
        InputError: `text` is neither, nor a mark for an open figure.
    """
    text = text.strip()
    if text in OPEN_VALUES:
        return Span()
    found = _SPAN.fullmatch(text)
    if found is None:
        raise InputError(f"{where} = {text!r}; must be a count, a range or 'undef'")
    low = int(found[1])
    return Span(low, int(found[2]) if found[2] else low)


def parse_count(text: str, where: str) -> int:
    """Return a number of blocks; "-" stands for none, a share in brackets is dropped.

    Raises:
        InputError: `text` is no count.
    """
    value = parse_span(text.split("(")[0], where)
    return value.high or 0


def parse_ns(text: str, where: str) -> float | None:
    """Return a time such as "3.33" or "3.33 ns" [ns], `None` where it is open.

    Raises:
        InputError: `text` is no time of at least 0 ns.
    """
    text = text.removesuffix("ns").strip()
    if text in OPEN_VALUES:
        return None
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise InputError(f"{where} = {text!r}; must be a time in ns")
    return float(text)
