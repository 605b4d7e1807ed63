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
        version: Of Vivado, such as "2020.1".
        design: Name of the design.
        part: Part, as the report prints it (no two releases agree).
        state: How far the netlist had come.
        used: Resources; LUTs used as memory are among the LUTs.
        available: What the part has.
        lut_logic: LUTs used as logic.
        lut_memory: LUTs used as memory or shift register.
        of_core: Whether it is about the core's cell alone, without the platform.
    """

    source: str
    version: str
    design: str
    part: str
    state: DesignState
    used: Resources
    available: Resources
    lut_logic: int
    lut_memory: int
    of_core: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingReport:
    """Whether a netlist meets its clocks.

    Attributes:
        source: File it was read from.
        version: Of Vivado.
        design: Name of the design.
        part: Part, as the report prints it.
        state: How far the netlist had come.
        wns_ns: Worst slack of setup [ns], negative if it fails; `None` without paths.
        whs_ns: Worst slack of hold [ns], likewise.
        clocks: Period of every clock by name [ns].
        met: Whether all constraints are met; `None` where the design has none.
    """

    source: str
    version: str
    design: str
    part: str
    state: DesignState
    wns_ns: float | None
    whs_ns: float | None
    clocks: dict[str, float]
    met: bool | None

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
    uram = rows.get("URAM", (Decimal(0), Decimal(0)))

    def resources(column: int) -> Resources:
        return Resources(
            dsp=_whole(dsp[column], text.source, "DSPs"),
            bram_18k=_whole(2 * bram[column], text.source, "Block RAM Tile"),
            uram=_whole(uram[column], text.source, "URAM"),
            lut=_whole(lut[column], text.source, "LUTs"),
            ff=_whole(ff[column], text.source, "Registers"),
        )

    logic = _row(rows, text.source, "LUT as Logic")[0]
    memory = _row(rows, text.source, "LUT as Memory")[0]
    return UtilizationReport(
        source=text.name,
        version=vivado_version(text),
        design=text.field("Design"),
        part=text.field("Device"),
        state=design_state(text),
        used=resources(0),
        available=resources(1),
        lut_logic=_whole(logic, text.source, "LUT as Logic"),
        lut_memory=_whole(memory, text.source, "LUT as Memory"),
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
    met: bool | None = None
    if text.find(r"^All user specified timing constraints are met") is not None:
        met = True
    elif text.find(r"^Timing constraints are not met") is not None:
        met = False
    if not clocks and met is not None:
        raise InputError(f"{text.source}: the table of clocks is missing")
    return TimingReport(
        source=text.name,
        version=vivado_version(text),
        design=text.field("Design"),
        part=text.field("Device"),
        state=design_state(text),
        wns_ns=_slack(slacks["WNS(ns)"], text.source, "WNS"),
        whs_ns=_slack(slacks.get("WHS(ns)", "NA"), text.source, "WHS"),
        clocks=clocks,
        met=met,
    )


def _site_rows(text: ReportText) -> dict[str, tuple[Decimal, Decimal]]:
    """Return used and available by site type, the first table that names one deciding.

    Later tables repeat some names for other things, such as primitives.
    """
    rows: dict[str, tuple[Decimal, Decimal]] = {}
    start = text.require(r"^Utilization Design Information", "title")
    while (at := text.find(r"^\|\s+Site Type\s+\|", start)) is not None:
        table = text.table(at)
        names = columns(table, "Site Type", text.source)
        for row in table[1:]:
            name = row[0].strip().rstrip("*")
            if len(row) != len(names) or name in rows:
                continue
            cells = [row[names[heading]] for heading in ("Used", "Available")]
            if cells[1].strip():
                used, available = (_number(cell, text.source, name) for cell in cells)
                rows[name] = used, available
        start = at + len(table)
    return rows


def _row(
    rows: dict[str, tuple[Decimal, Decimal]], source: str, *names: str
) -> tuple[Decimal, Decimal]:
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


def vivado_version(text: ReportText) -> str:
    """Return the release of Vivado that wrote a report.

    Raises:
        InputError: The header does not name one.
    """
    found = re.search(r"v\.?\s*(\d+\.\d+)", text.field("Tool Version"))
    if found is None:
        raise InputError(
            f"{text.source}: tool version {text.field('Tool Version')!r}; must name a "
            "release of Vivado"
        )
    return found[1]


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
