"""Reports read back: figures by hand, two layouts agree, damaged files are refused.

The fixtures are of the project's own making, in the formats of the tools, but for those
in `published`: reports of another project's design, as their README.md says.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hao.errors import InputError
from hao.handoff.cosim import CosimReport
from hao.handoff.csynth import MAX_XML_DEPTH, MAX_XML_ELEMENTS
from hao.handoff.hierarchy import HierarchyReport
from hao.handoff.load import MAX_REPORT_BYTES, Report, load_report, parse_report_text
from hao.handoff.synthesis import (
    ModuleRow,
    SynthesisReport,
    parse_count,
    parse_most,
    parse_ns,
)
from hao.handoff.utilization import DesignState, TimingReport, UtilizationReport
from hao.hw.resources import Resources

FIXTURES = Path(__file__).parent / "fixtures"
PUBLISHED = FIXTURES / "published"


def synthesis(name: str) -> SynthesisReport:
    report = load_report(FIXTURES / name)
    assert isinstance(report, SynthesisReport)
    return report


def utilization(name: str) -> UtilizationReport:
    report = load_report(FIXTURES / name)
    assert isinstance(report, UtilizationReport)
    return report


def timing(text: str) -> TimingReport:
    report = parse_report_text(text, "t.rpt")
    assert isinstance(report, TimingReport)
    return report


def test_a_functions_report_behind_a_summary_does_not_take_its_place() -> None:
    both = [
        (FIXTURES / f"{tool}_csynth.rpt").read_text() for tool in ("vitis", "vivado")
    ]
    assert parse_report_text("\n".join(both), "t") == parse_report_text(both[0], "t")


# ---- C synthesis --------------------------------------------------------------------


def test_vitis_xml_gives_the_figures_of_the_top() -> None:
    report = synthesis("vitis_csynth.xml")
    assert report == replace(
        report,
        source="vitis_csynth.xml",
        top="hao_engine",
        part="xczu3eg-sbva484-1-i",
        clock_estimated_ns=3.408,
        latency=3000,
        used=Resources(dsp=30, bram_18k=40, lut=8000, ff=5000),
    )


def test_vitis_xml_gives_the_tree_of_modules() -> None:
    report = synthesis("vitis_csynth.xml")
    # The multiplier is an instance without a module of its own.
    assert [(row.depth, row.module) for row in report.modules] == [
        (1, "run_invocation"),
        (2, "read_ifm"),
        (2, "dense_window"),
        (2, "dense_array"),
        (3, "dense_array_Pipeline_fold"),
        (2, "depthwise_array"),
        (2, "pointwise_array"),
    ]
    assert report.modules[3] == ModuleRow(
        module="dense_array",
        instance="dense_array_U0",
        depth=2,
        used=Resources(dsp=16, bram_18k=10, lut=2500, ff=1500),
    )


def test_summary_text_equals_the_xml_of_the_same_run() -> None:
    xml, text = synthesis("vitis_csynth.xml"), synthesis("vitis_csynth.rpt")
    # The summary has no clock, nothing about the part, and no names of instances.
    assert text == replace(
        xml,
        source="vitis_csynth.rpt",
        clock_estimated_ns=None,
        modules=tuple(replace(row, instance="") for row in xml.modules),
    )


def test_vivado_text_equals_the_xml_of_the_same_run() -> None:
    xml, text = synthesis("vivado_csynth.xml"), synthesis("vivado_csynth.rpt")
    assert text == replace(xml, source="vivado_csynth.rpt", modules=text.modules)
    assert xml.part == "xc7z020clg400-1"
    assert xml.clock_estimated_ns == 8.75
    assert xml.latency is None
    assert xml.used == Resources(dsp=73, bram_18k=20, lut=12_532, ff=7969)


def test_vivado_text_gives_what_instances_take() -> None:
    first, second = synthesis("vivado_csynth.rpt").modules
    assert first == ModuleRow(
        module="dense_array",
        instance="grp_dense_array_fu_9",
        depth=1,
        used=Resources(dsp=73, bram_18k=12, lut=9000, ff=6000),
    )
    # An adapter has resources alone.
    assert second.module == "hao_engine_ifm_m"


def test_text_without_details_has_no_modules() -> None:
    text = (FIXTURES / "vivado_csynth.rpt").read_text()
    text = re.sub(
        r"(\* (?:Instance|Loop): \n)(?:[ ]+[|+].*\n)+", r"\1        N/A\n", text
    )
    report = parse_report_text(text, "x.rpt")
    assert isinstance(report, SynthesisReport)
    assert report.modules == ()


def test_xml_may_call_its_dsp_slices_by_either_name(tmp_path: Path) -> None:
    text = (FIXTURES / "vivado_csynth.xml").read_text().replace("DSP48E", "DSP")
    (tmp_path / "r.xml").write_text(text)
    report = load_report(tmp_path / "r.xml")
    assert isinstance(report, SynthesisReport)
    assert report.used.dsp == 73


# ---- Vivado and co-simulation -------------------------------------------------------


def test_placed_utilization_counts_halves_of_block_ram() -> None:
    report = utilization("utilization_placed.rpt")
    # 16.5 tiles are 33 halves. "LUT as Logic" of the second table is another thing.
    assert report == UtilizationReport(
        source="utilization_placed.rpt",
        part="xczu3eg-sbva484-1-i",
        state=DesignState.PLACED,
        used=Resources(dsp=28, bram_18k=33, lut=5000, ff=3600),
    )


def test_synthesized_utilization_of_7_series_has_stars_and_slices() -> None:
    report = utilization("utilization_synth.rpt")
    assert report.state is DesignState.SYNTHESIZED
    assert not report.state.placed
    assert report.used == Resources(dsp=73, bram_18k=20, lut=7500, ff=6100)


def test_hierarchical_utilization_gives_the_core_and_what_it_holds() -> None:
    report = load_report(FIXTURES / "utilization_hierarchy.rpt")
    assert isinstance(report, HierarchyReport)
    assert report.part == "xczu3eg-sbva484-1-i"
    assert (report.top, report.state) == ("hao_bd_hao_engine_0_0", DesignState.ROUTED)
    # 14 whole block RAMs and 3 halves: 31 halves. The interconnect is outside.
    assert report.used == Resources(dsp=28, bram_18k=31, lut=4000, ff=3000)
    # Rows in brackets are a module's own share, and no instances.
    assert [(row.depth, row.instance) for row in report.modules] == [
        (3, "inst"),
        (4, "dense_U0"),
        (5, "mac_U1"),
        (4, "depthwise_U0"),
        (4, "pointwise_U0"),
    ]


def test_hierarchical_utilization_without_the_core_is_of_the_whole() -> None:
    text = (FIXTURES / "utilization_hierarchy.rpt").read_text()
    report = parse_report_text(text.replace("hao_engine_0", "another_core"), "h.rpt")
    assert isinstance(report, HierarchyReport)
    assert (report.top, report.used.lut, len(report.modules)) == ("(top)", 5000, 8)


def test_utilization_counts_uram_where_the_device_has_it() -> None:
    text = (FIXTURES / "utilization_placed.rpt").read_text()
    row = "| URAM              |    7 |     0 |          0 |        64 | 10.94 |\n"
    text = text.replace("|   RAMB18 ", row + "|   RAMB18 ")
    report = parse_report_text(text, "u.rpt")
    assert isinstance(report, UtilizationReport)
    assert report.used.uram == 7


@pytest.mark.parametrize(
    ("stated", "state"),
    [
        ("Fully Routed", DesignState.ROUTED),
        ("Physopt postPlace", DesignState.PLACED),
        ("Optimized", DesignState.OPTIMIZED),
    ],
)
def test_design_states_of_vivado(stated: str, state: DesignState) -> None:
    text = (FIXTURES / "utilization_placed.rpt").read_text()
    report = parse_report_text(text.replace("Fully Placed", stated), "u.rpt")
    assert isinstance(report, UtilizationReport)
    assert report.state is state


def test_timing_summary_gives_slack_and_the_period_reached() -> None:
    report = timing((FIXTURES / "timing_summary.rpt").read_text())
    assert report.wns_ns == -0.333
    assert report.clocks == {"clk_pl_0": 4.667, "clk_slow": 10.0}
    assert report.period_ns == 4.667
    # 4.667 ns asked for and 0.333 ns missed: 5 ns.
    assert report.reached_ns == pytest.approx(5.0, abs=1e-9)
    assert report.state is DesignState.ROUTED


def test_timing_summary_met_and_unconstrained() -> None:
    text = (FIXTURES / "timing_summary.rpt").read_text()
    missed = "Timing constraints are not met."
    met = text.replace(missed, "All user specified timing constraints are met.")
    assert timing(met.replace("-0.333", " 0.100")).wns_ns == 0.1
    free = text.replace(missed, "There are no user specified timing constraints.")
    free = free.replace("-0.333", "    NA")
    free = re.sub(r"^clk_(pl|slow).*\n", "", free, flags=re.M)
    report = timing(free)
    assert (report.wns_ns, report.reached_ns) == (None, None)
    assert report.clocks == {}


def test_cosim_gives_the_simulated_language() -> None:
    assert load_report(FIXTURES / "cosim.rpt") == CosimReport(
        source="cosim.rpt",
        language="Verilog",
        passed=True,
        average_latency=3150,
        total=6300,
    )


def test_cosim_that_failed_has_no_figures() -> None:
    text = (FIXTURES / "cosim.rpt").read_text().replace("Pass", "Fail")
    text = re.sub(r"3100|3150|3200|6300", "  NA", text)
    report = parse_report_text(text, "c.rpt")
    assert isinstance(report, CosimReport)
    figures = report.average_latency, report.total
    assert (report.passed, figures) == (False, (None, None))


# ---- Refusals -----------------------------------------------------------------------

TEXTS = (
    "vitis_csynth.rpt",
    "vivado_csynth.rpt",
    "utilization_placed.rpt",
    "utilization_synth.rpt",
    "utilization_hierarchy.rpt",
    "timing_summary.rpt",
    "cosim.rpt",
)


@pytest.mark.parametrize("name", ["vitis_csynth.xml", "vivado_csynth.xml", *TEXTS])
def test_a_file_cut_short_anywhere_is_refused_or_complete(
    tmp_path: Path, name: str
) -> None:
    data = (FIXTURES / name).read_bytes()
    whole = load_report(FIXTURES / name)
    path = tmp_path / name
    refused: list[str] = []
    for length in range(0, len(data), max(1, len(data) // 200)):
        path.write_bytes(data[:length])
        try:
            report = load_report(path)
        except InputError as error:
            refused.append(str(error))
        else:
            assert _totals(report) == _totals(whole), length
    assert all(message.startswith(str(path)) for message in refused)
    assert len(refused) > 50


def _totals(report: Report) -> tuple[object, ...]:
    """Return what a report says about the whole; details may be missing at its end."""
    match report:
        case SynthesisReport():
            return report.top, report.latency, report.used
        case UtilizationReport():
            return (report.used,)
        case HierarchyReport():
            return report.used, report.modules
        case TimingReport():
            return (report.wns_ns,)
        case CosimReport():
            return report.passed, report.average_latency


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a report that hao reads; must be csynth.xml, csynth.rpt"),
        (b"\x7fELF\x00\xff", "not a report that hao reads"),
        (b"<html></html>", "root element 'html'; must be 'profile'"),
        (b"<profile><a></profile>", "line 1: mismatched tag; must be a complete XML"),
        (b"<profile></profile>", "element UserAssignments/TopModelName is missing"),
        (b"<!DOCTYPE p><p/>", "line 1: declares a document type or an entity"),
        (
            '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE p><p/>'.encode("utf-16"),
            "declares a document type|not a report that hao reads",
        ),
        (
            b"<profile>" * (MAX_XML_DEPTH + 1),
            f"elements nest deeper than {MAX_XML_DEPTH}",
        ),
        (
            b"<profile>" + b"<a/>" * MAX_XML_ELEMENTS,
            f"line 1: more than {MAX_XML_ELEMENTS} elements",
        ),
    ],
)
def test_files_of_another_kind_are_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "r.xml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: .*({message})"):
        load_report(path)


def test_entities_are_never_expanded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xml"
    path.write_text(
        '<!DOCTYPE p [<!ENTITY a "xxxx"><!ENTITY b "&a;&a;&a;">]><profile>&b;</profile>'
    )
    with pytest.raises(InputError, match="a synthesis report has none"):
        load_report(path)


def test_a_missing_or_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.rpt: no such file"):
        load_report(tmp_path / "none.rpt")
    message = f"{tmp_path}: cannot be read (not a file); must be csynth.xml,"
    with pytest.raises(InputError, match=re.escape(message)):
        load_report(tmp_path)
    path = tmp_path / "huge.rpt"
    with path.open("wb") as file:
        file.truncate(MAX_REPORT_BYTES + 1)
    with pytest.raises(InputError, match=f"more than {MAX_REPORT_BYTES} bytes"):
        load_report(path)


def edit(name: str, old: str, new: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        text = (FIXTURES / name).read_text()
        assert old in text
        path = folder / name
        path.write_text(text.replace(old, new))
        return path

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            edit("vitis_csynth.xml", "<LUT>8000</LUT>", ""),
            "element Resources has no LUT; must have one",
        ),
        (
            edit("vitis_csynth.xml", "<LUT>8000</LUT>", "<LUT>many</LUT>"),
            "LUT = 'many'; must be a count, a range or 'undef'",
        ),
        (
            edit("vitis_csynth.xml", ">3.408<", ">fast<"),
            "EstimatedClockPeriod = 'fast'; must be a time in ns",
        ),
        (
            edit("vitis_csynth.xml", "hao_engine<", "<"),
            "element UserAssignments/TopModelName is empty",
        ),
        (
            edit("vitis_csynth.rpt", "+ read_ifm", "? read_ifm"),
            r"row '  \? read_ifm\s*'; must begin with '\+' or 'o'",
        ),
        (
            edit("vitis_csynth.rpt", "Target device:", "Device:"),
            "header field 'Target device' is missing",
        ),
        (
            edit("vivado_csynth.rpt", "|Total ", "|Totals"),
            "summary of the utilization has no row 'Total'",
        ),
        (
            edit("vivado_csynth.rpt", "|       Name ", "|       Site "),
            "no table has the heading 'Name'; must have one",
        ),
        (
            edit("utilization_placed.rpt", "| DSPs ", "| DSQs "),
            "no row 'DSPs'; must be a complete report of report_utilization",
        ),
        (
            edit("utilization_placed.rpt", "| 16.5 |", "| 16.3 |"),
            r"Block RAM Tile counts 32\.6 blocks; must be whole",
        ),
        (
            edit("utilization_placed.rpt", "|   28 |     0", "| lots |     0"),
            "DSPs = 'lots'; must be a number",
        ),
        (
            edit("utilization_placed.rpt", "Fully Placed", "Elsewhere"),
            "design state 'Elsewhere'; must be synthesized, optimized, placed or",
        ),
        (
            edit("utilization_hierarchy.rpt", " RAMB18 ", " RAMB17 "),
            r"the table of instances lacks \['RAMB18'\]; must be a report of report_",
        ),
        (
            edit("utilization_hierarchy.rpt", " DSP Blocks ", " Blocks DSP "),
            "the table of instances lacks DSPs; must be a report of report_util",
        ),
        (
            edit("timing_summary.rpt", "     -0.333      -13.146  ", "     -0.333  "),
            "has 7 of 8 slacks; must be a complete report",
        ),
        (
            edit("timing_summary.rpt", " {0.000", "  0.000"),
            "the table of clocks is missing",
        ),
        (
            edit("cosim.rpt", "Verilog|      Pass", "Verilog|        NA"),
            "no language was simulated; run cosim_design first",
        ),
    ],
)
def test_a_damaged_report_is_refused_by_name(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: .*{message}"):
        load_report(path)


def test_parse_most_and_count_and_ns() -> None:
    assert parse_most(" 64 ", "x") == 64
    assert parse_most("1 ~ 64", "x") == 64
    for mark in ("undef", "?", "-", "NA", "N/A", ""):
        assert parse_most(mark, "x") is None
        assert parse_count(mark, "x") == 0
        assert parse_ns(mark, "x") is None
    assert parse_count("997 (24%)", "x") == 997
    assert parse_ns("4.049 ns", "x") == 4.049
    with pytest.raises(InputError, match="x = '-3'; must be a count"):
        parse_most("-3", "x")


# ---- Published reports --------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*_*")), ids=lambda p: p.name)
def test_a_published_report_is_read(path: Path) -> None:
    report = load_report(path)
    assert isinstance(report, SynthesisReport | UtilizationReport)
    assert report.used.lut > 0


def test_published_text_and_xml_of_one_run_agree() -> None:
    xml = synthesis("published/myproject_csynth.xml")
    text = synthesis("published/myproject_csynth.rpt")
    assert text == replace(xml, source="myproject_csynth.rpt", modules=text.modules)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.rpt")), ids=lambda p: p.name)
@pytest.mark.parametrize("kept", [1, 2, 4])
def test_rows_that_lost_cells_are_read_or_refused(path: Path, kept: int) -> None:
    lines = path.read_text().splitlines()
    refused: list[str] = []
    for number, line in enumerate(lines):
        bars = [place for place, sign in enumerate(line) if sign == "|"]
        if len(bars) <= kept + 1:
            continue
        cut = [*lines[:number], line[: bars[kept] + 1], *lines[number + 1 :]]
        try:
            parse_report_text("\n".join(cut), path.name)
        except InputError as error:
            refused.append(str(error))
    assert all(message.startswith(path.name) for message in refused)
    assert refused or not any(line.count("|") > kept + 1 for line in lines)
