"""What an HLS tool reports about a core, whichever file it wrote it to.

`hao.handoff.csynth` reads the values from XML, `hao.handoff.csynth_text` from text.
A figure that the tool left open ("undef", "?", "-") is `None`, never 0: a loop whose
bound it could not see has an unknown trip count, not none.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from hao.errors import InputError
from hao.hw.resources import Resources

OPEN_VALUES = frozenset({"", "-", "?", "undef", "NA", "N/A"})
"""How the tools print a figure that they do not know.

Source: Vivado HLS 2020.1 and Vitis HLS 2023.2 reports ("-", "undef", "N/A"), Vitis HLS
loop tables of unbounded loops ("?"), co-simulation tables ("NA").
"""

_SPAN = re.compile(r"(\d+)(?:\s*~\s*(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRow:
    """One instance below the top.

    Attributes:
        module: Name of the module, which is the function it was made from.
        instance: Name of the instance; empty where the report names modules only.
        depth: Levels below the top, from 1. Rows stand in the order of the tree: what
            a module holds follows it, one level deeper.
        used: Resources, those of what it holds included.
    """

    module: str
    instance: str
    depth: int
    used: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisReport:
    """What C synthesis estimates; nothing is placed yet.

    Attributes:
        source: File it was read from.
        top: Name of the top function.
        part: Part number.
        clock_estimated_ns: Estimated period, without the uncertainty [ns]; `None` in a
            summary report.
        latency: Longest run of the top [cycles]; `None` where the tool left it open.
        used: Resources by the tool's own estimate.
        modules: Instances below the top, as far as the report has them.
    """

    source: str
    top: str
    part: str
    clock_estimated_ns: float | None
    latency: int | None
    used: Resources
    modules: tuple[ModuleRow, ...]


def parse_most(text: str, where: str) -> int | None:
    """Return a count, or the most of a range such as "1 ~ 64"; `None` if open.

    Raises:
        InputError: `text` is neither, nor a mark for an open figure.
    """
    text = text.strip()
    if text in OPEN_VALUES:
        return None
    found = _SPAN.fullmatch(text)
    if found is None:
        raise InputError(f"{where} = {text!r}; must be a count, a range or 'undef'")
    return int(found[2] or found[1])


def parse_count(text: str, where: str) -> int:
    """Return a number of blocks; "-" stands for none, a share in brackets is dropped.

    Raises:
        InputError: `text` is no count.
    """
    return parse_most(text.split("(")[0], where) or 0


def hls_resources(text_of: Callable[[str], str | None], where: str) -> Resources:
    """Return what an HLS tool counts, by the names that it has for the blocks.

    Args:
        text_of: The figure under a name, `None` where the report lacks the name.
        where: What the report is about, for errors.

    Raises:
        InputError: A figure is no count.
    """

    def count(*names: str) -> int:
        for name in names:
            text = text_of(name)
            if text is not None:
                return parse_count(text, f"{where}: {name}")
        return 0

    return Resources(
        dsp=count("DSP", "DSP48E"),
        bram_18k=count("BRAM_18K", "BRAM"),
        uram=count("URAM"),
        lut=count("LUT"),
        ff=count("FF"),
    )


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
