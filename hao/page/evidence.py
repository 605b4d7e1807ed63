"""Sections on what an answer rests on: accuracy, measured cycles, sources."""

from hao import __version__
from hao.accuracy.drops import Evidence
from hao.cost.uncertainty import AREA_ERROR_PERCENT, COVERAGE_PERCENT, latency_evidence
from hao.page.parts import (
    Chart,
    Figure,
    PageTable,
    Section,
    axis,
    chart_label,
    count,
    grouped_bars,
    percent,
    trace,
)
from hao.report.colours import OTHERS, OURS
from hao.report.evidence import basis_in_words, unknown_in_words
from hao.report.hardware import SimulationResult, cycle_rows
from hao.report.measured import Measured, design_rows
from hao.report.result import SearchResult
from hao.runs.records import Records
from hao.text import clipped, plain

NO_INTEGERS = "No integers yet: `hao quantize` makes and measures them."
NO_SIMULATION = "Not simulated yet: `hao emit-hls`, then `hao simulate`."
NO_SCHEDULE = "No schedule yet: `hao schedule` makes one of the emitted project."
NO_SYNTHESIS = "Not synthesized: `hao report-hls` reads the vendor tools' reports."


def accuracy_section(result: SearchResult, records: Records) -> Section:
    """Return the accuracy of every form of the network that is known."""
    rows: list[tuple[str, float, str]] = []
    if result.float_top1 is not None:
        source = plain(result.float_source) or "given"
        rows.append(("float, published or given", result.float_top1, source))
    if result.accuracy is not None:
        accuracy = result.accuracy
        interval = f"90 % interval {accuracy.low:.2f} to {accuracy.high:.2f}"
        rows.append(("quantized, predicted", accuracy.mean, _basis(result, interval)))
    missing = []
    found = records.quantization
    if found is None:
        missing.append(NO_INTEGERS)
    else:
        on = f"measured on {found.frames} frames of {plain(found.data)}"
        for name, value, detail in (
            ("float", found.float_top1, "trained or loaded"),
            ("quantized", found.quantized_top1, f"{plain(found.method)}, Brevitas"),
            (
                "integer",
                found.integer_top1,
                f"what the hardware computes; {count(found.differing)} of "
                f"{count(found.compared)} integers differ from the quantized model",
            ),
        ):
            if value is not None:
                rows.append((f"{name}, measured", value, f"{on}; {detail}"))
    simulation = records.simulation
    if simulation is None:
        missing.append(NO_SIMULATION)
    elif simulation.simulated_top1 is not None:
        detail = f"the emitted C++ on {simulation.images} frames"
        if simulation.integer_top1 is not None:
            detail += f", of which the integers get {simulation.integer_top1:.2f} %"
        rows.append(("simulated, measured", simulation.simulated_top1, detail))
    measured = records.measured
    tables: tuple[PageTable, ...] = ()
    if measured is not None:
        tables = (measured_table(measured),)
    return Section(
        key="accuracy",
        title="Accuracy",
        words=_accuracy_words(result),
        charts=(_accuracy_chart(rows),) if len(rows) > 1 else (),
        tables=(
            PageTable(
                caption="Top-1 of every form of the network",
                head=("form", "top-1 [%]", "where it is from"),
                rows=tuple((name, f"{top1:.2f}", source) for name, top1, source in rows)
                or (("none", "-", unknown_in_words(result.design.network.name)),),
                text=frozenset({0, 2}),
            ),
            *tables,
        ),
        missing=tuple(missing),
    )


def measured_table(found: Measured) -> PageTable:
    """Return the schemes that were measured best."""
    word = "top-1" if found.labelled else "agreement with float"
    return PageTable(
        caption=f"Measured on {plain(found.data)}: the best of {found.schemes} schemes "
        f"(float: {found.float_search_top1:.2f} and {found.float_test_top1:.2f} %). "
        f"Chosen by {found.search_frames} search frames; {found.test_frames} test "
        "frames served for nothing else",
        head=(
            "folder of the run",
            "frames/s, predicted",
            f"{word} [%], search frames",
            f"{word} [%], test frames",
            "90 % interval",
            "layers at bits",
        ),
        rows=tuple(design_rows(found.designs)),
        text=frozenset({0, 5}),
    )


def _basis(result: SearchResult, interval: str) -> str:
    beyond = "; outside the measured bits" if result.out_of_range else ""
    return f"{interval}; {basis_in_words(result)}{beyond}"


def _accuracy_words(result: SearchResult) -> tuple[str, ...]:
    if result.accuracy is None:
        return (
            "No float accuracy of this network is known, so none is predicted; "
            "`--top1` gives it.",
        )
    if result.evidence is Evidence.NONE:
        return (
            "The prediction is an extrapolation: nothing of this family was measured.",
        )
    return ()


def _accuracy_chart(rows: list[tuple[str, float, str]]) -> Chart:
    lowest = min(top1 for _, top1, _ in rows)
    colours = [OURS if "measured" in name else OTHERS for name, _, _ in rows]
    figure: Figure = {
        "data": [
            # Points, since the axis does not begin at 0.
            trace(
                "scatter",
                "",
                ([top1 for _, top1, _ in rows], [name for name, _, _ in rows]),
                [chart_label(source, 90) for _, _, source in rows],
                mode="markers+text",
                marker={"color": colours, "size": 11},
                text=[f"{top1:.2f} %  " for _, top1, _ in rows],
                textposition="middle left",
            )
        ],
        "layout": {
            "xaxis": axis("top-1 [%]", range=[max(0.0, lowest - 10), 100]),
            "yaxis": axis("", autorange="reversed"),
        },
    }
    return Chart(
        key="accuracy-chart",
        title="Top-1 of every form of the network, measured ones in blue",
        figure=figure,
        height=120 + 34 * len(rows),
    )


def witness_section(result: SearchResult, records: Records) -> Section:
    """Return what is predicted beside what was replayed, scheduled, synthesized."""
    words, tables, charts, missing = [], [], [], []
    simulation = records.simulation
    if simulation is None:
        missing.append(NO_SIMULATION)
    else:
        verdict = "bit-exact" if simulation.exact else "DIFFERENT from the integers"
        words.append(
            f"The emitted C++ was compiled and run on {simulation.images} frames: "
            f"{verdict}. Its cycles, replayed from a trace, are "
            f"{count(simulation.cycles_replayed)}; predicted were "
            f"{count(simulation.cycles_model)}."
        )
        charts.append(_replay_chart(simulation))
        tables.append(_replay_table(simulation))
    if records.schedule is None:
        missing.append(NO_SCHEDULE)
    else:
        schedule = records.schedule
        findings = len(schedule.findings or ())
        words.append(
            f"The schedule of {len(schedule.loops)} pipelined loops for "
            f"{plain(schedule.part)} at {schedule.clock_ns:g} ns, compiled by "
            f"{plain(schedule.compiler)}, has {findings} findings."
        )
        words.extend(
            f"With a clock uncertainty of {100 * item.uncertainty:.3g} % "
            f"({plain(item.title)}) all of them meet {item.clock_met_mhz:.0f} MHz."
            for item in schedule.settings
            if item.clock_met_mhz is not None
        )
        if findings:
            tables.append(
                PageTable(
                    caption="Findings of the schedule",
                    head=("rule", "place", "finding"),
                    rows=tuple(
                        (
                            plain(str(item.get("rule", ""))),
                            plain(f"{item.get('path', '')}:{item.get('line', '')}"),
                            plain(str(item.get("message", ""))),
                        )
                        for item in schedule.findings or ()
                    ),
                    text=frozenset({0, 1, 2}),
                )
            )
    if records.synthesis is None:
        missing.append(NO_SYNTHESIS)
    else:
        tables.append(_synthesis_table(records))
    return Section(
        key="witnesses",
        title="Predicted beside replayed, scheduled and synthesized",
        words=tuple(words),
        charts=tuple(charts),
        tables=tuple(tables),
        missing=tuple(missing),
    )


def _replay_chart(simulation: SimulationResult) -> Chart:
    names = [
        f"{number} {chart_label(item.name, 24)}"
        for number, item in enumerate(simulation.invocations)
    ]
    return grouped_bars(
        "replay-chart",
        "Cycles of every invocation, predicted and replayed",
        names,
        (
            ("predicted", OURS, [i.model for i in simulation.invocations]),
            ("replayed", OTHERS, [i.replayed for i in simulation.invocations]),
        ),
        (axis("", tickangle=-45), axis("cycles")),
    )


def _replay_table(simulation: SimulationResult) -> PageTable:
    return PageTable(
        caption="Cycles of every invocation",
        head=("invocation", "predicted", "replayed", "predicted / replayed"),
        rows=tuple(cycle_rows(simulation)),
    )


def _synthesis_table(records: Records) -> PageTable:
    return PageTable(
        caption="Predicted beside the vendor tools' reports",
        head=("block", "quantity", "step", "report", "predicted", "reported", "ratio"),
        rows=tuple(
            (
                plain(row.block),
                plain(row.quantity),
                plain(row.source),
                clipped(plain(row.report), 40),
                count(row.predicted),
                "-" if row.reported is None else count(row.reported),
                "-"
                if row.reported is None or not row.predicted
                else f"{row.reported / row.predicted:.3f}",
            )
            for row in records.synthesis or ()
        ),
        text=frozenset({0, 1, 2, 3}),
    )


def source_section(result: SearchResult) -> Section:
    """Return where every figure comes from."""
    board, proof = result.design.board, result.proof
    evidence = latency_evidence()
    basis = [
        (
            "frames/s, time, cycles",
            "predicted by the cost model of hao from the loops of the emitted engine "
            "(docs/cost_model.md)",
            f"{COVERAGE_PERCENT} % interval: {evidence.fastest:.2f} to "
            f"{evidence.slowest:.2f} times the predicted time, by leaving out in turn "
            f"each of {len(evidence.accelerators)} published accelerators, "
            f"{len(evidence.rows)} results (docs/validation.md)",
        ),
        (
            "host",
            plain(board.sources.get("host.call_us", "the board file")),
            f"{board.host_us / 1000:g} ms of a frame, frames {board.frames.value}",
        ),
        (
            "top-1",
            f"float: {plain(result.float_source) or 'unknown'}; drop by bits: "
            "predicted from published results (docs/accuracy.md)",
            basis_in_words(result),
        ),
        (
            "LUT, FF",
            "predicted from blocks that yosys synthesized (docs/area.md)",
            f"±{AREA_ERROR_PERCENT} %; no vendor tool was run",
        ),
        ("DSP, BRAM18", "by rule from the engine's sizes (docs/area.md)", "exact"),
        (
            "power",
            "coarse estimate from the blocks and the board's idle power "
            "(docs/power.md)",
            "a factor, not a percentage",
        ),
        (
            "optimal",
            f"{proof.solver.value}, {proof.variables} variables, "
            f"{proof.constraints} constraints; {count(proof.priced)} engines priced, "
            f"{proof.candidates} networks considered, {proof.solved} solved",
            f"{proof.status.value}, gap {percent(proof.gap)}; `hao verify` checks it "
            "again (docs/proof.md)",
        ),
        (
            "constants",
            board.calibration.summary,
            "`hao calibrate` fits them to reports and times of a board "
            "(docs/calibration.md)",
        ),
    ]
    return Section(
        key="sources",
        title="Where every figure comes from",
        words=(
            f"Written by hao {__version__}. No vendor tool and no board was used: "
            "speeds are optimistic rather than not (docs/validation.md).",
        ),
        tables=(
            PageTable(
                caption="Figures of the answer",
                head=("figure", "how it was obtained", "how sure it is"),
                rows=tuple(basis),
                text=frozenset({0, 1, 2}),
            ),
            PageTable(
                caption=f"Figures of the board: {plain(board.part)}",
                head=("figure", "source"),
                rows=tuple(
                    (plain(key), plain(text))
                    for key, text in sorted(board.sources.items())
                )
                or (("all", "given without a source"),),
                text=frozenset({0, 1}),
            ),
        ),
    )
