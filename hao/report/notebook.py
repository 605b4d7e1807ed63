"""Results as a notebook shows them: small tables of HTML in place of text.

They say what the text says, and nothing else. Names come from files; all are escaped.
"""

from collections.abc import Sequence
from html import escape

from hao.report.goal import unproven_in_words
from hao.report.hardware import (
    Quantization,
    SimulationResult,
    cycle_rows,
    percent_in_words,
)
from hao.report.measured import (
    DESIGN_HEAD,
    Measured,
    design_rows,
    measured_word,
)
from hao.report.result import SearchResult
from hao.report.tables import (
    RESOURCE_HEAD,
    answer_rows,
    design_title,
    excess_in_words,
    proof_rows,
    resource_rows,
)
from hao.report.words import start_in_words
from hao.text import plain


def html_table(
    caption: str,
    rows: Sequence[Sequence[str]],
    *,
    head: Sequence[str] = (),
    notes: Sequence[str] = (),
    folded: bool = False,
) -> str:
    """Return a table of HTML; all text in it is escaped.

    Args:
        caption: What it shows.
        rows: Cells; the first of each row is its name.
        head: Heads of the columns; empty for none.
        notes: Sentences below.
        folded: Whether it opens only when its caption is clicked.
    """

    def row(cells: Sequence[str], tag: str) -> str:
        made = [
            f'<{tag if number else "th"} style="text-align:left">'
            f"{escape(plain(cell))}</{tag if number else 'th'}>"
            for number, cell in enumerate(cells)
        ]
        return f"<tr>{''.join(made)}</tr>"

    title = escape(plain(caption))
    parts = [
        "<table>",
        "" if folded else f'<caption style="text-align:left"><b>{title}</b></caption>',
        f"<thead>{row(head, 'th')}</thead>" if head else "",
        f"<tbody>{''.join(row(cells, 'td') for cells in rows)}</tbody></table>",
        *(f"<p>{escape(plain(note))}</p>" for note in notes),
    ]
    table = "".join(parts)
    if folded:
        return f"<details><summary>{title}</summary>{table}</details>"
    return f"<div>{table}</div>"


def search_html(result: SearchResult) -> str:
    """Return what was found, what it takes and how it is proven."""
    board = result.design.board
    warnings = (
        ("NOT PROVEN", unproven_in_words(result)),
        ("DOES NOT FIT", excess_in_words(board, result.cost)),
    )
    answer = html_table(
        design_title(result),
        [
            *((name, words) for name, words in warnings if words is not None),
            *answer_rows(result),
            *proof_rows(result),
        ],
    )
    return answer + html_table(
        "What it takes of the device",
        resource_rows(board, result.cost),
        head=RESOURCE_HEAD,
        folded=True,
    )


def quantization_html(found: Quantization) -> str:
    """Return how accurate each form of the network is."""
    return html_table(
        f"{found.network} on {found.data}, {found.frames} test frames, {found.method}",
        [
            ("float", percent_in_words(found.float_top1), ""),
            (
                "quantized",
                percent_in_words(found.quantized_top1),
                percent_in_words(found.quantized_agreement),
            ),
            (
                "integer: what the hardware computes",
                percent_in_words(found.integer_top1),
                percent_in_words(found.integer_agreement),
            ),
        ],
        head=("", "top-1", "same class as float"),
        notes=(
            f"{found.differing} of {found.compared} integers differ between the last "
            "two, over all layers and frames",
            *found.notes,
        ),
    )


def simulation_html(result: SimulationResult) -> str:
    """Return whether the emitted project is exact, how accurate, and its cycles."""
    verdict = "bit-exact" if result.exact else "DIFFERS"
    rows = [
        (name, f"{value:.2f} %")
        for name, value in (
            ("top-1, float", result.float_top1),
            ("top-1, quantized", result.quantized_top1),
            ("top-1, integer", result.integer_top1),
            ("top-1, simulated", result.simulated_top1),
            ("same class as in float", result.simulated_agreement),
        )
        if value is not None
    ]
    if result.wrong_steps is not None:
        rows.append(("maps after every step that differ", str(result.wrong_steps)))
    return html_table(
        f"{result.images} images, {result.build} build: {verdict}, "
        f"{result.mismatches} bytes in {result.wrong_images} images differ",
        rows,
    ) + html_table(
        f"Cycles of {start_in_words(result.batch)}",
        cycle_rows(result),
        head=("invocation", "model", "replayed", "ratio"),
        folded=True,
    )


def measured_html(found: Measured) -> str:
    """Return the best designs by measurement."""
    return html_table(
        f"{found.network} on {found.data}: {found.schemes} schemes measured",
        design_rows(found.designs),
        head=DESIGN_HEAD,
        notes=(
            f"Measured {measured_word(found)} [%]: search, on the "
            f"{found.search_frames} frames that schemes are chosen by; test, on "
            f"{found.test_frames} frames used for nothing else. Float: "
            f"{found.float_search_top1:.2f} and {found.float_test_top1:.2f}.",
            *found.notes,
        ),
    )
