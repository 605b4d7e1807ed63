"""The page of a run: complete, in one file, true to the result, safe with any name."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hao.accuracy.drops import Evidence
from hao.page.invocations import cut_svg, memory_section
from hao.page.page import render_page, run_page
from hao.program.solver import Status
from hao.report.result import SearchResult
from hao.report.tables import render_summary
from hao.runs.records import (
    Records,
    ScheduledClock,
    ScheduledLoop,
    ScheduleRecord,
    SynthesisRow,
)
from tests.page.html import Reader, read
from tests.report.samples import QUANTIZATION, SIMULATION, point, small_result

RESULT = small_result()
SECTIONS = [
    *("answer", "front", "cycles", "cut", "bits", "accuracy", "device", "memory"),
    *("roofline", "witnesses", "sources", "glossary"),
]


def page(result: SearchResult = RESULT, records: Records | None = None) -> Reader:
    return read(render_page(run_page(result, records or Records())))


def test_the_page_is_well_formed_and_has_every_section() -> None:
    found = page()
    assert (found.wrong, found.open) == ([], [])
    sections = [attrs["id"] for tag, attrs in found.elements if tag == "section"]
    assert sections == SECTIONS
    ids = found.attributes("id")
    assert len(set(ids)) == len(ids)
    links = [a["href"] for tag, a in found.elements if tag == "a"]
    assert {link[1:] for link in links} <= set(ids)
    assert {f"#{key}" for key in SECTIONS} <= set(links)


def test_the_page_needs_nothing_else_and_is_small() -> None:
    html = render_page(run_page(RESULT, Records()))
    assert len(html.encode()) < 3_000_000
    found = read(html)
    assert {a for a in found.attributes("src")} == set()
    outside = [v for v in found.attributes("href") if not v.startswith("#")]
    assert outside == ["data:,"]
    assert not re.search(r"url\(|@import", "".join(found.texts["style"]))


def test_the_figures_of_the_result_stand_in_words_and_tables() -> None:
    found, cost = page(), RESULT.cost
    words = found.words
    assert f"{cost.fps:,.1f} frames/s" in words
    assert RESULT.accuracy is not None
    assert f"{RESULT.accuracy.mean:.2f} %" in words
    assert f"{cost.latency_cycles:,} cycles" in words
    assert f"{cost.fps:,.1f} frames a second, {1000 / cost.fps:.3g} ms a frame" in words
    for item in cost.invocations:
        assert item.name in words
        assert f"{item.period_cycles:,}" in words
    for layer in RESULT.design.network.compute_layers:
        assert layer.name in words
    for key, source in RESULT.design.board.sources.items():
        assert key in words
        assert " ".join(source.split()) in words


def test_the_answer_in_words_says_all_that_the_summary_says() -> None:
    (table, *_) = run_page(RESULT, Records()).sections[0].tables
    names = [row[0] for row in table.rows]
    assert {"top-1", "rests on", "speed", "at risk", "bits", "proof"} <= set(names)
    summary = " ".join(render_summary(RESULT).split())
    for name, words in table.rows:
        assert f"{name} {' '.join(words.split())}" in summary


def test_further_designs_are_numbered_in_their_order() -> None:
    others = tuple(replace(RESULT, fps_asked=fps) for fps in (33.0, 44.0))
    tables = run_page(replace(RESULT, others=others), Records()).sections[0].tables
    assert [table.caption for table in tables[1:]] == [
        "Design 2 of this network",
        "Design 3 of this network",
    ]
    first, second = (table.rows[0] for table in tables[1:])
    assert (first[0], "asked 33" in first[1]) == ("speed", True)
    assert (second[0], "asked 44" in second[1]) == ("speed", True)


def test_the_charts_hold_the_figures_of_the_result() -> None:
    figures, cost = page().figures, RESULT.cost
    assert next(iter(figures)) == "front-chart"
    bars = figures["cycles-chart"]["data"]
    assert isinstance(bars, list)
    times = {
        place: time
        for bar in bars
        for place, time in zip(bar["y"], bar["x"], strict=True)
    }
    assert [times[n + 1] for n in range(len(times))] == [
        item.period_cycles / cost.clock_khz for item in cost.invocations
    ]
    # Invocations with one binding may lie far apart: Plotly would widen their bars.
    assert all(0 < bar["width"] <= 1 for bar in bars)
    layout = figures["cycles-chart"]["layout"]
    assert isinstance(layout, dict)
    assert layout["yaxis"]["range"] == [len(cost.invocations) + 0.5, 0.5]
    bits = figures["bits-chart"]["data"]
    assert isinstance(bits, list)
    design = RESULT.design
    assert bits[0]["y"] == [
        design.weight_bits[layer.name] for layer in design.network.compute_layers
    ]
    stacked = figures["device-chart"]["data"]
    assert isinstance(stacked, list)
    shares = [trace["x"] for trace in stacked if trace["type"] == "bar"]
    assert [sum(kind) for kind in zip(*shares, strict=True)] == pytest.approx(
        [100 * share for share in RESULT.utilisation.values()], abs=0.01
    )
    assert json.dumps(figures).count("NaN") == 0


def test_published_accelerators_stand_beside_the_front_of_their_device() -> None:
    near = page()
    assert "HAO, searched network" in near.words
    board = replace(RESULT.design.board, device="XCZU9EG")
    away = replace(RESULT, design=replace(RESULT.design, board=board))
    assert "HAO, searched network" not in page(away).words


def test_every_feature_map_has_its_place_without_overlap_while_it_lives() -> None:
    boxes = page().figures["memory-chart"]["data"]
    assert isinstance(boxes, list)
    assert len(boxes) == 1 + len(RESULT.cost.invocations)
    spans = [
        (
            round(2 * b["x"][0] - b["width"][0] + 0.9) / 2,
            round(2 * b["x"][0] + b["width"][0] - 0.9) / 2,
            b["base"][0],
            b["base"][0] + b["y"][0],
        )
        for b in boxes
    ]
    for number, (born, dies, low, high) in enumerate(spans):
        for other_born, other_dies, other_low, other_high in spans[:number]:
            together = born <= other_dies and other_born <= dies
            assert not together or high <= other_low or other_high <= low


def test_a_map_lives_until_the_last_invocation_that_reads_it() -> None:
    runs = [segment.invocation for segment in RESULT.design.segments]
    last = {RESULT.design.network.input.name: len(runs)}
    for number, run in enumerate(runs, start=1):
        for name in (run.input_name, run.residual_name):
            if name is not None and name != RESULT.design.network.input.name:
                last[name] = number
    last[runs[-1].output_name] = len(runs)
    (table,) = memory_section(RESULT).tables
    assert {row[0]: int(row[-1]) for row in table.rows} == last
    # The residual of the block is read later than the map beside it.
    assert len(set(last.values())) > 1


def test_a_run_half_done_says_which_command_comes_next() -> None:
    words = page().words
    for command in ("quantize", "emit-hls", "simulate", "schedule", "report-hls"):
        assert f"hao {command}" in words
    assert "Not simulated yet" in words


def test_what_later_steps_found_takes_the_place_of_that() -> None:
    records = Records(
        quantization=QUANTIZATION,
        simulation=SIMULATION,
        schedule=ScheduleRecord(
            part="xczu3eg",
            clock_ns=4.67,
            compiler="clang 18",
            settings=(
                ScheduledClock(
                    title="run_hls.tcl", uncertainty=0.27, clock_met_mhz=261.6
                ),
            ),
            loops=(ScheduledLoop(process="dense"),) * 3,
            findings=(
                {"rule": "burst", "path": "a.cpp", "line": 3, "message": "no burst"},
            ),
        ),
        synthesis=(
            SynthesisRow(
                block="total",
                quantity="lut",
                source="placement",
                report="placed.rpt",
                predicted=1000,
                reported=1250,
            ),
        ),
        unreadable=("schedule.json",),
    )
    words = page(RESULT, records).words
    assert "97.22 %" in words
    assert "measured, integers, 539 frames of digits" in words
    assert "3 of 32,457,502 integers differ" in words
    assert "7 frames: bit-exact" in words
    assert "1,300; predicted were 1,234" in words
    assert "3 pipelined loops for xczu3eg at 4.67 ns" in words
    assert "uncertainty of 27 % (run_hls.tcl) all of them meet 262 MHz" in words
    assert "no burst" in words
    assert "placed.rpt" in words
    assert "1.250" in words
    assert "left out here: schedule.json" in words
    assert "yet" not in words.replace("Not readable", "")
    wrong = replace(SIMULATION, mismatches=1)
    assert "DIFFERENT" in page(RESULT, Records(simulation=wrong)).words


def test_an_answer_without_accuracy_front_or_proof_says_so() -> None:
    proof = replace(RESULT.proof, status=Status.LIMIT, gap=0.034, open=("mine",))
    bare = replace(
        RESULT, accuracy=None, float_top1=None, float_source="", front=(), proof=proof
    )
    found = page(bare)
    assert "NOT PROVEN" in found.words
    assert "unknown" in found.words
    assert "hao search --front 20" in found.words
    assert "front-chart" not in found.figures
    assert "optimal" not in found.texts["strong"]


def test_an_extrapolated_accuracy_is_called_that() -> None:
    assert "extrapolation" in page(replace(RESULT, evidence=Evidence.NONE)).words


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;\x1b[2J"


def evil_result() -> SearchResult:
    design = RESULT.design
    network = replace(design.network, name=f"net{EVIL}")
    board = replace(
        design.board, title=EVIL, name=EVIL, part=EVIL, sources={EVIL: EVIL}
    )
    cost = replace(
        RESULT.cost,
        invocations=tuple(
            replace(item, name=item.name + EVIL) for item in RESULT.cost.invocations
        ),
    )
    return replace(
        RESULT,
        design=replace(design, network=network, board=board),
        cost=cost,
        float_source=EVIL,
        front=(replace(point(40, 70.0), network=EVIL),),
        run=Path(f"runs/{EVIL.replace('/', '_')}"),
    )


def test_html_and_scripts_in_names_stay_text() -> None:
    clean = page(replace(RESULT, front=RESULT.front[:1]))
    records = Records(
        quantization=replace(QUANTIZATION, data=EVIL, method=EVIL),
        simulation=replace(
            SIMULATION, invocations=(replace(SIMULATION.invocations[0], name=EVIL),)
        ),
    )
    html = render_page(run_page(evil_result(), records))
    found = read(html)
    assert found.count("script") == clean.count("script") == 3
    assert found.count("img") == 0
    assert found.attributes("onerror") == []
    assert "\x1b" not in html
    assert "<script>alert(1)" in found.words
    # Plotly reads a little HTML in labels: none of ours may come from a name.
    labels = json.dumps(found.figures)
    assert "<img" not in labels
    assert "</script" not in labels


def test_names_of_layers_stay_text_in_the_drawing_of_the_cut() -> None:
    segment = RESULT.design.segments[0]
    layer = segment.invocation.dense
    assert layer is not None
    run = replace(segment.invocation, dense=replace(layer, name=EVIL))
    design = replace(RESULT.design)
    object.__setattr__(design, "segments", (replace(segment, invocation=run),))
    found = read(cut_svg(replace(RESULT, design=design)))
    assert {tag for tag, _ in found.elements} <= {"svg", "text", "g", "title", "rect"}
    assert any("<script>alert(1)" in text for text in found.texts["title"])


def test_charts_need_a_script_and_the_rest_does_not() -> None:
    html = render_page(run_page(RESULT, Records()))
    without = re.sub(r"<script.*?</script>", "", html, flags=re.S)
    found = read(without)
    assert "Charts need JavaScript" in found.words
    assert found.count("table") >= 8
    # The drawing of the cut is there: a box for every stage of every invocation.
    stages = sum(len(s.invocation.stages) for s in RESULT.design.segments)
    assert found.count("rect") == stages


def test_the_same_result_gives_the_same_page() -> None:
    assert render_page(run_page(RESULT, Records())) == render_page(
        run_page(small_result(), Records())
    )
