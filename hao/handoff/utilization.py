"""Reports of Vivado: what a netlist takes, and whether it meets its clock.

`report_utilization` names the sites by family: "Slice LUTs" and "Slice Registers" on
7-series, "CLB LUTs" and "CLB Registers" on UltraScale+, with a star where the figure
may still change. Block RAM is counted there in 36 Kb tiles with halves; here always in
18 Kb halves. `report_timing_summary` gives the worst slacks and the clocks.

Source: `report_utilization` of Vivado 2020.1; the tables of UltraScale+ devices and of
`report_timing_summary` as printed in public design reports (UG906 describes both).
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum

from hao.errors import InputError
from hao.handoff.report_text import ReportText, columns
from hao.hw.resources import Resources

CORE = "hao_engine"
"""Top function of every emitted design."""

_VERDICT = (
    r"^(All user specified timing constraints are met|Timing constraints are not met)"
)
_CLOCK_ROW = re.compile(r"\s*(\S+)\s+\{[^}]*\}\s+(\d+\.\d+)\s+(\d+\.\d+)\s*")


class DesignState(Enum):
    """How far the netlist had come."""

    SYNTHESIZED = "synthesized"
    OPTIMIZED = "optimized"
    PLACED = "placed"
    ROUTED = "routed"

    @property
    def placed(self) -> bool:
        """Return whether every cell had its site."""
        return self in (DesignState.PLACED, DesignState.ROUTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilizationReport:
    """What a netlist takes.

    Attributes:
        source: File it was read from.
        part: Part, as the report prints it (no two releases agree).
        state: How far the netlist had come.
        used: Resources; LUTs used as memory are among the LUTs.
        of_core: Whether it is about the core's cell alone, without the platform.
    """

    source: str
    part: str
    state: DesignState
    used: Resources
    of_core: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingReport:
    """Whether a netlist meets its clocks.

    Attributes:
        source: File it was read from.
        part: Part, as the report prints it.
        state: How far the netlist had come.
        wns_ns: Worst slack of setup [ns], negative if it fails; `None` without paths.
        clocks: Period of every clock by name [ns].
    """

    source: str
    part: str
    state: DesignState
    wns_ns: float | None
    clocks: dict[str, float]

    @property
    def period_ns(self) -> float:
        """Return the period of the fastest clock, which runs the core [ns]."""
        return min(self.clocks.values())

    @property
    def reached_ns(self) -> float | None:
        """Return the shortest period at which the worst path still fits [ns].

        It holds where the worst path belongs to the fastest clock.
        """
        return None if self.wns_ns is None else self.period_ns - self.wns_ns


def parse_utilization(text: ReportText) -> UtilizationReport:
    """Return a report of `report_utilization`, whole design or one cell.

    Raises:
        InputError: It is cut short or a figure cannot be read.
    """
    rows = _site_rows(text)
    lut = _row(rows, text.source, "CLB LUTs", "Slice LUTs")
    ff = _row(rows, text.source, "CLB Registers", "Slice Registers")
    bram = _row(rows, text.source, "Block RAM Tile")
    dsp = _row(rows, text.source, "DSPs")
    uram = rows.get("URAM", Decimal(0))
    used = Resources(
        dsp=_whole(dsp, text.source, "DSPs"),
        bram_18k=_whole(2 * bram, text.source, "Block RAM Tile"),
        uram=_whole(uram, text.source, "URAM"),
        lut=_whole(lut, text.source, "LUTs"),
        ff=_whole(ff, text.source, "Registers"),
    )
    return UtilizationReport(
        source=text.name,
        part=text.field("Device"),
        state=design_state(text),
        used=used,
        of_core=text.find(r"^\|\s*Command\s*:.*\s-cells\s") is not None
        or text.field("Design").startswith(CORE),
    )


def parse_timing(text: ReportText) -> TimingReport:
    """Return a report of `report_timing_summary`.

    Raises:
        InputError: It is cut short or a figure cannot be read.
    """
    heading = text.require(r"^\s*WNS\(ns\)\s+TNS\(ns\)", "table of slacks")
    names = re.split(r"\s{2,}", text.lines[heading].strip())
    cells = text.lines[heading + 2].split() if len(text.lines) > heading + 2 else []
    if len(cells) != len(names):
        raise InputError(
            f"{text.source}: line {heading + 3} has {len(cells)} of {len(names)} "
            "slacks; must be a complete report, so write it again"
        )
    slacks = dict(zip(names, cells, strict=True))
    found = (_CLOCK_ROW.fullmatch(line) for line in text.lines)
    clocks = {row[1]: float(row[2]) for row in found if row}
    if not clocks and text.find(_VERDICT) is not None:
        raise InputError(f"{text.source}: the table of clocks is missing")
    return TimingReport(
        source=text.name,
        part=text.field("Device"),
        state=design_state(text),
        wns_ns=_slack(slacks["WNS(ns)"], text.source, "WNS"),
        clocks=clocks,
    )


def _site_rows(text: ReportText) -> dict[str, Decimal]:
    """Return what is used by site type, the first table that names one deciding.

    Later tables repeat some names for other things, such as primitives.
    """
    rows: dict[str, Decimal] = {}
    start = text.require(r"^Utilization Design Information", "title")
    while (at := text.find(r"^\|\s+Site Type\s+\|", start)) is not None:
        table = text.table(at)
        names = columns(table, "Site Type", text.source)
        for row in table[1:]:
            name = row[0].strip().rstrip("*")
            if len(row) != len(names) or name in rows:
                continue
            if row[names["Available"]].strip():
                rows[name] = _number(row[names["Used"]], text.source, name)
        start = at + len(table)
    return rows


def _row(rows: dict[str, Decimal], source: str, *names: str) -> Decimal:
    for name in names:
        if name in rows:
            return rows[name]
    raise InputError(
        f"{source}: no row {' or '.join(map(repr, names))}; must be a complete report "
        "of report_utilization"
    )


def _number(cell: str, source: str, name: str) -> Decimal:
    try:
        return Decimal(cell.strip().replace(",", ""))
    except InvalidOperation as error:
        raise InputError(
            f"{source}: {name} = {cell.strip()!r}; must be a number"
        ) from error


def _whole(value: Decimal, source: str, name: str) -> int:
    if value != int(value):
        raise InputError(f"{source}: {name} counts {value} blocks; must be whole")
    return int(value)


def _slack(text: str, source: str, name: str) -> float | None:
    if text in ("NA", "inf"):
        return None
    return float(_number(text, source, name))


def design_state(text: ReportText) -> DesignState:
    """Return how far the netlist of a report had come.

    Raises:
        InputError: The header does not say it.
    """
    stated = text.field("Design State").lower()
    for word, state in (
        ("rout", DesignState.ROUTED),
        ("place", DesignState.PLACED),
        ("opt", DesignState.OPTIMIZED),
        ("synth", DesignState.SYNTHESIZED),
    ):
        if word in stated:
            return state
    raise InputError(
        f"{text.source}: design state {text.field('Design State')!r}; must be "
        "synthesized, optimized, placed or routed"
    )
