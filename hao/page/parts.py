"""What a page consists of: sections with words, tables, charts and drawings.

Everything that comes from a file (names of networks, layers, boards) is text here; the
template escapes it. Labels of charts are the exception, since Plotly reads a little
HTML in them: `chart_label` escapes these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from hao.text import clipped, plain

Figure = dict[str, object]
"""A Plotly figure: its `data` and `layout`, as JSON values."""

LONG_TABLE = 16
"""Rows from which on a table is folded away until asked for (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTable:
    """A table.

    Attributes:
        caption: What it shows.
        head: Heads of the columns.
        rows: Cells; as many in each row as heads.
        text: Columns that hold words, by number; the others are aligned as figures.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: frozenset[int] = frozenset({0})

    @property
    def long(self) -> bool:
        """Return whether it has so many rows that it is folded away."""
        return len(self.rows) >= LONG_TABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart.

    Attributes:
        key: Its name in the page, of letters and "-".
        title: What it shows, read out where it cannot be seen.
        figure: For Plotly.
        height: Of the drawing [CSS pixels].
    """

    key: str
    title: str
    figure: Figure
    height: int = 380


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of a page.

    Attributes:
        key: Its anchor, of letters and "-".
        title: Its heading.
        words: Paragraphs before everything else.
        charts: Drawn if the browser runs scripts.
        tables: The same figures, and others.
        svg: A drawing without a script; every name in it is escaped.
        missing: What is not there yet, and which command brings it.
    """

    key: str
    title: str
    words: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[PageTable, ...] = ()
    svg: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A figure that stands at the top of a page, with what it rests on."""

    name: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page: its heading, its foremost figures, its sections."""

    title: str
    subtitle: str
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]

    @property
    def figures(self) -> dict[str, Figure]:
        """Return the figures of all charts by their names in the page."""
        return {
            chart.key: chart.figure
            for section in self.sections
            for chart in section.charts
        }


def chart_label(text: str, most: int = 44) -> str:
    """Return a name for Plotly, which takes some tags in labels for formatting."""
    return escape(clipped(plain(text), most), quote=False)


def hover(*lines: str) -> str:
    """Return lines that stand beside the pointer; each is escaped already."""
    return "<br>".join(lines)


def trace(
    kind: str,
    name: str,
    points: tuple[Sequence[object], Sequence[object]],
    hovers: Sequence[str] | None = None,
    **more: object,
) -> Figure:
    """Return a trace of a figure.

    Args:
        kind: As Plotly calls it.
        name: For the legend; "" for none.
        points: What stands along x, and what along y.
        hovers: What stands beside the pointer at each point.
        more: What else Plotly is told.
    """
    shown = {} if hovers is None else {"hovertext": hovers, "hoverinfo": "text"}
    named = {"name": name} if name else {}
    x, y = points
    return {"type": kind, **named, "x": x, "y": y, **shown, **more}


def grouped_bars(
    key: str,
    title: str,
    places: Sequence[str],
    bars: Sequence[tuple[str, str, Sequence[float]]],
    axes: tuple[dict[str, object], dict[str, object]],
) -> Chart:
    """Return a chart of bars side by side at each place.

    Args:
        key: Name of the chart.
        title: What it shows.
        places: Names along x.
        bars: Name for the legend, colour and heights of the bars of each kind.
        axes: Along x and y.
    """
    x, y = axes
    return Chart(
        key=key,
        title=title,
        figure={
            "data": [
                trace("bar", name, (places, heights), marker={"color": colour})
                for name, colour, heights in bars
            ],
            "layout": {"barmode": "group", "xaxis": x, "yaxis": y},
        },
    )


def axis(title: str, **more: object) -> dict[str, object]:
    """Return an axis with a title, for the layout of a figure."""
    return {"title": {"text": title}, "automargin": True, **more}


def decades() -> dict[str, object]:
    """Return ticks at 1, 2 and 5 of every decade, for a logarithmic axis.

    Plotly's own ticks leave most of them without a number.
    """
    ticks = [step * 10.0**power for power in range(-3, 6) for step in (1, 2, 5)]
    return {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def count(value: float) -> str:
    """Return a count with commas between thousands."""
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.1f} %"
