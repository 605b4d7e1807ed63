"""Sections on time: cycles of every invocation, and the roofline."""

from hao.page.parts import (
    Chart,
    Figure,
    PageTable,
    Section,
    axis,
    chart_label,
    count,
    decades,
    hover,
    percent,
    trace,
)
from hao.report.colours import ANSWER, COLOURS, OTHERS
from hao.report.result import SearchResult
from hao.report.tables import invocation_row, roofline_ms
from hao.report.words import start_in_words
from hao.text import clipped, plain


def invocation_section(result: SearchResult) -> Section:
    """Return the cycles of every invocation, and what binds."""
    cost = result.cost
    shares = ", ".join(
        f"{name} for {100 * cycles / cost.latency_cycles:.0f} %"
        for name, cycles in cost.binding_cycles.items()
    )
    rows = tuple(
        invocation_row(item, cost.multipliers, most=60) for item in cost.invocations
    )
    return Section(
        key="cycles",
        title="Cycles: where a frame's time goes",
        words=(
            f"{start_in_words(cost.frames).capitalize()} takes "
            f"{count(cost.latency_cycles)} cycles, "
            f"{count(cost.first_load_cycles)} of them before the first invocation. "
            f"Of its time, this binds: {shares}. The multipliers do useful work in "
            f"{percent(cost.efficiency)} of their cycles.",
        ),
        charts=(
            Chart(
                key="cycles-chart",
                title="Time of every invocation in order, coloured by what binds it",
                figure=_invocation_figure(result),
                height=max(280, 120 + 17 * len(rows)),
            ),
        ),
        tables=(
            PageTable(
                caption="Cycles of every invocation, by path",
                head=(
                    *("invocation", "million MACs", "tiles", "period", "dense"),
                    *("depthwise", "pointwise", "IFM", "OFM", "residual"),
                    *("weight load", "use %", "binds"),
                ),
                rows=rows,
                text=frozenset({0, 12}),
            ),
        ),
    )


def _invocation_figure(result: SearchResult) -> Figure:
    cost = result.cost
    traces = []
    for binding, cycles in cost.binding_cycles.items():
        items = [
            (number, item)
            for number, item in enumerate(cost.invocations, start=1)
            if item.binding == binding
        ]
        times = [item.period_cycles / cost.clock_khz for _, item in items]
        hovers = [
            hover(
                f"{number}. {chart_label(item.name, 60)}",
                f"{count(item.period_cycles)} cycles, {binding} binds",
                *(f"{path}: {count(c)}" for path, c in item.path_cycles.items()),
                f"weight load: {count(item.load_cycles)}",
            )
            for number, item in items
        ]
        traces.append(
            trace(
                "bar",
                f"{binding}: {100 * cycles / cost.latency_cycles:.0f} %",
                (times, [number for number, _ in items]),
                hovers,
                orientation="h",
                marker={"color": COLOURS.get(binding, OTHERS)},
                width=0.8,  # Plotly's own is the least distance within a trace.
            )
        )
    names = [
        f"{number} {chart_label(item.name, 24)}"
        for number, item in enumerate(cost.invocations, start=1)
    ]
    return {
        "data": traces,
        "layout": {
            "xaxis": axis("predicted time [ms]"),
            "yaxis": axis(
                "",
                range=[len(names) + 0.5, 0.5],
                tickvals=list(range(1, len(names) + 1)),
                ticktext=names,
                tickfont={"size": 10},
            ),
            "barmode": "overlay",
        },
    }


def roofline_section(result: SearchResult) -> Section:
    """Return how near every invocation comes to multipliers and DDR."""
    cost, board = result.cost, result.design.board
    peak = cost.multipliers * board.clock_khz / 1e6
    bandwidth = board.ddr_kbytes_per_s / 1e6
    work = [
        (item, item.macs / max(1, item.feature_bytes + item.weight_bytes))
        for item in cost.invocations
        if item.macs
    ]
    rates = [item.macs * board.clock_khz / item.period_cycles / 1e6 for item, _ in work]
    figure: Figure = {"data": [], "layout": {}}
    if work:
        low = min(intensity for _, intensity in work) / 2
        high = max(intensity for _, intensity in work) * 2
        roof = [low, min(max(peak / bandwidth, low), high), high]
        colours = [COLOURS.get(item.binding, OTHERS) for item, _ in work]
        hovers = [
            hover(
                chart_label(item.name, 60),
                f"{rate:.1f} billion MACs/s, {intensity:.1f} a byte",
                f"{item.binding} binds",
            )
            for (item, intensity), rate in zip(work, rates, strict=True)
        ]
        figure = {
            "data": [
                trace(
                    "scatter",
                    "roof: DDR, then multipliers",
                    (roof, [min(peak, bandwidth * x) for x in roof]),
                    mode="lines",
                    line={"color": ANSWER, "width": 2},
                    hoverinfo="skip",
                ),
                trace(
                    "scatter",
                    "invocations",
                    ([intensity for _, intensity in work], rates),
                    hovers,
                    mode="markers",
                    marker={"size": 9, "color": colours},
                ),
            ],
            "layout": {
                "xaxis": axis("MACs a byte of DDR traffic", type="log", **decades()),
                "yaxis": axis("billion MACs a second", type="log", **decades()),
            },
        }
    ideal, transfer = roofline_ms(board, cost)
    return Section(
        key="roofline",
        title="Roofline",
        words=(
            "With every multiplier busy all the time "
            f"{start_in_words(cost.frames)} would take {ideal:.3g} ms; its "
            f"{cost.ddr_bytes / 1e6:.3g} MB over DDR take {transfer:.3g} ms at "
            f"{bandwidth:.2f} GB/s. It takes {cost.latency_ms:.3g} ms (predicted).",
        ),
        charts=(
            Chart(
                key="roofline-chart",
                title="Roofline: billion MACs a second of every invocation against its "
                "MACs a byte",
                figure=figure,
            ),
        )
        if work
        else (),
        tables=(
            PageTable(
                caption="Work, traffic and speed of every invocation",
                head=("invocation", "MACs a byte", "billion MACs a second", "binds"),
                rows=tuple(
                    (
                        clipped(plain(item.name), 60),
                        f"{intensity:.2f}",
                        f"{rate:.2f}",
                        item.binding,
                    )
                    for (item, intensity), rate in zip(work, rates, strict=True)
                ),
                text=frozenset({0, 3}),
            ),
        ),
    )
