"""The page of a run: what is in it, and its HTML."""

from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from hao import __version__
from hao.data import data_path
from hao.page.cycles import invocation_section, roofline_section
from hao.page.design import bits_section, device_section
from hao.page.evidence import accuracy_section, source_section, witness_section
from hao.page.front import front_section
from hao.page.glossary import term_key, with_code, with_terms
from hao.page.invocations import cut_section, memory_section
from hao.page.parts import Card, Page, PageTable, Section, percent
from hao.program.solver import Status
from hao.report.goal import unproven_in_words
from hao.report.margins import speed_in_words
from hao.report.result import SearchResult
from hao.report.tables import KINDS, answer_rows, label, proof_rows
from hao.report.terms import TERMS
from hao.report.words import bits_in_words, count_in_words
from hao.runs.records import Records
from hao.text import plain

SCRIPT_FILE = "plotly-basic.min.js"
"""Plotly's basic bundle 4.1.1 (MIT), as npm serves it: plotly.js-basic-dist-min."""


def run_page(result: SearchResult, records: Records) -> Page:
    """Return the page of a run.

    Args:
        result: What was found.
        records: What later steps found about it.
    """
    board = result.design.board
    sections = [
        _answer_section(result, records),
        front_section(result),
        invocation_section(result),
        cut_section(result),
        bits_section(result),
        accuracy_section(result, records),
        device_section(result),
        memory_section(result),
        roofline_section(result),
        witness_section(result, records),
        source_section(result),
    ]
    return Page(
        title=f"{label(result)} on {plain(board.title)}",
        subtitle=f"at {board.clock_mhz:g} MHz; chosen by hao {__version__}"
        + ("" if result.run is None else f"; run {plain(result.run.name)}"),
        cards=_cards(result, records),
        sections=tuple(sections),
    )


def _cards(result: SearchResult, records: Records) -> tuple[Card, ...]:
    cost, power, proof = result.cost, result.power, result.proof
    kind, share = max(result.utilisation.items(), key=lambda item: item[1])
    cards = [
        Card(
            name="Speed",
            value=f"{cost.fps:,.1f} frames/s",
            detail=f"{cost.frame_ms:.3g} ms a frame, {cost.engine_ms:.3g} of it in "
            "the engine; predicted",
        ),
        _measured(records) or _predicted(result),
        Card(
            name="Device",
            value=f"{100 * share:.0f} % {KINDS[kind]}",
            detail="the fullest of DSP, BRAM18, LUT and FF; predicted",
        ),
    ]
    if power is not None:
        cards.append(
            Card(
                name="Power",
                value=f"{power.total_mw / 1000:.1f} W",
                detail=f"{power.low_mw / 1000:.1f} to {power.high_mw / 1000:.1f} W of "
                "the board; coarse estimate",
            )
        )
    proven = proof.status is Status.OPTIMAL and not proof.open
    near = "within gap" if proof.as_asked else "not proven"
    cards.append(
        Card(
            name="Proof",
            value="optimal" if proven else near,
            detail=f"{count_in_words(proof.candidates, 'network')} considered"
            if proven
            else f"gap {percent(proof.gap)}",
        )
    )
    return tuple(cards)


def _measured(records: Records) -> Card | None:
    """Return the top-1 that the integers were measured to have, if they were."""
    found = records.quantization
    if found is None or found.integer_top1 is None:
        return None
    return Card(
        name="Top-1",
        value=f"{found.integer_top1:.2f} %",
        detail=f"measured, integers, {found.frames} frames of {plain(found.data)}",
    )


def _now(records: Records) -> list[tuple[str, str]]:
    """Return the row of what was measured since the search, if anything was."""
    card = _measured(records)
    return [("top-1 now", f"{card.value} ({card.detail})")] if card else []


def _predicted(result: SearchResult) -> Card:
    if result.accuracy is None:
        return Card(name="Top-1", value="unknown", detail="no float accuracy is known")
    accuracy = result.accuracy
    return Card(
        name="Top-1",
        value=f"{accuracy.mean:.2f} %",
        detail=f"{accuracy.low:.2f} to {accuracy.high:.2f}; predicted",
    )


def _answer_section(result: SearchResult, records: Records) -> Section:
    design, cost = result.design, result.cost
    over = cost.resources.shortfall(design.board.usable)
    fits = "It fits" if not over else f"It DOES NOT FIT ({', '.join(over)} too large)"
    words = [
        f"{label(result)} runs on {plain(design.board.title)} at "
        f"{cost.fps:,.1f} frames a second, {cost.frame_ms:.3g} ms a frame (predicted, "
        f"batch {cost.frames}). {fits}. What binds the engine for most of its time: "
        f"{cost.bottleneck}."
    ]
    unproven = unproven_in_words(result)
    if unproven is not None:
        words.insert(0, f"NOT PROVEN: {unproven}.")
    if records.unreadable:
        words.append(
            f"Not readable, and left out here: {', '.join(records.unreadable)}."
        )
    others = tuple(
        PageTable(
            caption=f"Design {number} of this network",
            head=("", ""),
            rows=(
                ("speed", speed_in_words(other)),
                ("bits", bits_in_words(other.design)),
            ),
            text=frozenset({0, 1}),
        )
        for number, other in enumerate(result.others, start=2)
    )
    table = PageTable(
        caption="The answer in words",
        head=("what", "how much, and how sure"),
        rows=(*_now(records), *answer_rows(result), *proof_rows(result)),
        text=frozenset({0, 1}),
    )
    return Section(
        key="answer", title="The answer", words=tuple(words), tables=(table, *others)
    )


def render_page(page: Page) -> str:
    """Return a page as one file of HTML that needs nothing else."""
    return _template().render(
        page=page,
        figures=page.figures,
        terms={term: (term_key(term), text) for term, text in sorted(TERMS.items())},
        style=Markup(_text("page.css")),
        script=Markup(_text("page.js")),
        # A vendored library: never from a run.
        library=Markup(_text(SCRIPT_FILE)) if page.figures else Markup(""),
        version=__version__,
    )


@cache
def _text(name: str) -> str:
    return data_path("templates", "page", name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(data_path("templates", "page")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = with_code
    environment.filters["terms"] = with_terms
    # In the order of the page, so that the first chart is drawn first.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    return environment.get_template("page.html.j2")
