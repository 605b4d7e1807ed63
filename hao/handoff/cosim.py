"""The result of RTL co-simulation: <top>_cosim.rpt.

The only report whose cycles were counted and not estimated: C synthesis knows neither
the trip counts that depend on data nor how long a stream stalls. `run_hls.tcl`
simulates a start of the core for each step of its table.

Source: a report of Vitis HLS 2023.2; failed runs print "NA" for every figure.
"""

from dataclasses import dataclass

from hao.errors import InputError
from hao.handoff.report_text import ReportText
from hao.handoff.synthesis import parse_most

LANGUAGES = ("Verilog", "VHDL", "SystemC")


@dataclass(frozen=True, slots=True, kw_only=True)
class CosimReport:
    """Cycles of a simulated run.

    Attributes:
        source: File it was read from.
        language: Of the simulated RTL.
        passed: Whether the outputs were those of the C test bench.
        average_latency: Mean of all starts of the top [cycles]; `None` where it failed.
        total: From the first start to the end of the last [cycles]; `None` where it
            failed or the tool does not say it (Vivado HLS).
    """

    source: str
    language: str
    passed: bool
    average_latency: int | None
    total: int | None


def parse_cosim(text: ReportText) -> CosimReport:
    """Return the simulated run of a report.

    Raises:
        InputError: It is cut short, or nothing was simulated.
    """
    # The headings stand on a rule of their own, or in a row.
    start = text.require(r"^[|+]\s*RTL\s*[|+]", "table of results")
    for row in text.table(start):
        cells = [cell.strip() for cell in row]
        if cells[0] not in LANGUAGES or len(cells) < 5 or cells[1] == "NA":
            continue
        where = f"{text.source}: {cells[0]}"
        return CosimReport(
            source=text.name,
            language=cells[0],
            passed=cells[1].lower() == "pass",
            average_latency=parse_most(cells[3], where),
            total=parse_most(cells[8], where) if len(cells) > 8 else None,
        )
    raise InputError(
        f"{text.source}: no language was simulated; run cosim_design first"
    )
