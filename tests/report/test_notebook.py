"""What a notebook shows: the figures of the text in tables, safe with any name."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hao.program.solver import Status
from hao.report.hardware import InvocationCycles, Quantization, SimulationResult
from hao.report.measured import Measured, MeasuredDesign
from hao.report.result import SearchResult
from hao.report.verification import Verification
from tests.page.html import read
from tests.report.samples import QUANTIZATION, SIMULATION, small_result

Shown = SearchResult | Quantization | SimulationResult | Measured
HOSTILE = "</table><script>alert('&')</script>\x1b[2J"
RESULT = small_result()
FOUND = replace(
    QUANTIZATION, notes=("all frames are alike",), quantized_agreement=99.25
)
SIMULATED = replace(SIMULATION, wrong_steps=2, quantized_top1=96.75, integer_top1=96.25)
MEASURED = Measured(
    network="small",
    data="digits",
    labelled=True,
    search_frames=300,
    test_frames=200,
    float_search_top1=97.96,
    float_test_top1=97.02,
    schemes=12,
    failed=0,
    turns=2,
    rested=False,
    final_epochs=0,
    seconds_measuring=3.0,
    seconds_own=2.0,
    learner="",
    scores=(),
    designs=(
        MeasuredDesign(
            folder="measured/1",
            fps=71.5,
            cycles=3000,
            cycles_limit=3100,
            search_top1=96.33,
            test_top1=95.5,
            test_low=92.44,
            test_high=97.36,
            bits="2 at 4",
            act_bits=8,
        ),
    ),
)
EVERY = (RESULT, FOUND, SIMULATED, MEASURED)
each = pytest.mark.parametrize("found", EVERY, ids=lambda one: type(one).__name__)


@each
def test_a_notebook_gets_well_formed_tables_that_need_nothing_else(
    found: Shown,
) -> None:
    seen = read(found._repr_html_())
    assert (seen.wrong, seen.open) == ([], [])
    assert "table" in {tag for tag, _ in seen.elements}
    assert {tag for tag, _ in seen.elements} <= {
        *("div", "details", "summary", "caption", "table", "thead", "tbody"),
        *("tr", "th", "td", "b", "p"),
    }


@each
def test_every_figure_of_the_tables_stands_in_the_text(found: Shown) -> None:
    text = " ".join(repr(found).split())
    figures = re.findall(r"\d+\.\d+", read(found._repr_html_()).words)
    assert figures
    assert [figure for figure in figures if figure not in text] == []


def test_the_tables_say_what_was_found() -> None:
    shown = read(RESULT._repr_html_()).words
    for part in ("small@16 on Ultra96-V2", "70.25 % (predicted", "proof", "DSP"):
        assert part in shown
    shown = read(FOUND._repr_html_()).words
    for part in ("97.96 %", "97.40 %", "97.22 %", "99.25 %", "unknown"):
        assert part in shown
    assert "3 of 32457502 integers differ" in shown
    assert "all frames are alike" in shown
    shown = read(SIMULATED._repr_html_()).words
    assert "7 images, native build: DIFFERS" in shown  # two steps do
    for part in ("97.50 %", "96.75 %", "96.50 %", "96.25 %", "600", "650", "0.949"):
        assert part in shown
    shown = read(MEASURED._repr_html_()).words
    for part in ("71.5", "96.33", "92.44 to 97.36", "2 at 4; A8", "97.02"):
        assert part in shown


def test_what_is_wrong_with_a_design_stands_in_its_tables() -> None:
    proven = replace(RESULT.proof, status=Status.OPTIMAL, open=())
    assert "NOT PROVEN" in read(RESULT._repr_html_()).words
    shown = read(replace(RESULT, proof=proven)._repr_html_()).words
    assert "NOT PROVEN" not in shown
    cost = RESULT.cost
    full = replace(cost, resources=replace(cost.resources, dsp=5000))
    assert "DOES NOT FIT" in read(replace(RESULT, cost=full)._repr_html_()).words
    assert "DOES NOT FIT" not in read(RESULT._repr_html_()).words


def test_names_from_files_stay_text() -> None:
    network = replace(RESULT.design.network, name=HOSTILE)
    step = InvocationCycles(name=HOSTILE, tiles=1, model=1, replayed=1)
    for found in (
        replace(RESULT, design=replace(RESULT.design, network=network)),
        replace(FOUND, network=HOSTILE, data=HOSTILE, notes=(HOSTILE,)),
        replace(SIMULATED, invocations=(step,)),
        replace(MEASURED, network=HOSTILE, data=HOSTILE),
    ):
        html = found._repr_html_()
        seen = read(html)
        assert (seen.wrong, seen.open) == ([], [])
        assert "script" not in {tag for tag, _ in seen.elements}
        assert "</table><script>alert('&')</script>" in seen.words
        assert "\x1b" not in html


def test_details_are_folded_away() -> None:
    assert SIMULATED._repr_html_().count("<details>") == 1
    assert RESULT._repr_html_().count("<details>") == 1
    assert FOUND._repr_html_().count("<details>") == 0


def test_a_check_prints_as_its_line() -> None:
    seen = Verification(run=Path("r"), claim="best")
    assert repr(seen) == "r: verified: best; gap 0 (0 networks)"
    assert seen.line(1.25) == "r: verified: best; gap 0 (0 networks, 1.2 s)"
