"""The section on the front: what else could have been had, and what was published."""

import math

from hao.answer.front import FrontPoint
from hao.page.parts import (
    Chart,
    Figure,
    PageTable,
    Section,
    axis,
    chart_label,
    decades,
    hover,
    trace,
)
from hao.report.colours import ANSWER, OTHERS, OURS
from hao.report.published import DEVICE, PublishedPoint, load_published
from hao.report.result import SearchResult
from hao.report.tables import front_rows
from hao.text import decimal, plain


def front_section(result: SearchResult) -> Section:
    """Return the front with the published accelerators of the device beside it."""
    front = result.front
    known = bool(front) and all(point.accuracy is not None for point in front)
    published: tuple[PublishedPoint, ...] = ()
    if known and result.design.board.device == DEVICE:
        published = load_published()
    tables = []
    if front:
        tables.append(_front_table(front))
    if published:
        tables.append(_published_table(published))
    return Section(
        key="front",
        title="The front: accuracy against speed",
        words=(
            "Each point is the best design for another demand. Points show the "
            "predicted top-1 as the search ranks it, bars its 90 % interval; squares "
            "are accelerators that others built and measured on the same device at "
            "batch 1. Point at one for its bits and evidence.",
        )
        if front
        else (),
        charts=(
            Chart(
                key="front-chart",
                title="Predicted top-1 against frames a second, with published "
                "accelerators of the device",
                figure=_figure(result, published, known=known),
                height=460,
            ),
        )
        if front
        else (),
        tables=tuple(tables),
        missing=() if front else ("No front was asked for: `hao search --front 20`.",),
    )


def _figure(
    result: SearchResult, published: tuple[PublishedPoint, ...], *, known: bool
) -> Figure:
    front = sorted(result.front, key=lambda point: point.fps)
    heights = [point.ranked for point in front]
    ours = trace(
        "scatter",
        "predicted by hao",
        ([point.fps for point in front], heights),
        [_about(point) for point in front],
        mode="lines+markers",
        marker={"size": 9, "color": OURS},
        line={"width": 1.5, "color": OURS},
    )
    if known:
        accuracies = [point.accuracy for point in front if point.accuracy is not None]
        ours["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [
                max(a.high - h, 0.0) for a, h in zip(accuracies, heights, strict=True)
            ],
            "arrayminus": [
                max(h - a.low, 0.0) for a, h in zip(accuracies, heights, strict=True)
            ],
            "color": OURS,
            "thickness": 1.2,
        }
    here = result.design.network.label
    answer = [
        index
        for index, point in enumerate(front)
        if point.network == here and math.isclose(point.fps, result.cost.fps)
    ][:1]
    traces = [
        ours,
        trace(
            "scatter",
            "the answer",
            ([front[i].fps for i in answer], [heights[i] for i in answer]),
            [_about(front[i]) for i in answer],
            mode="markers",
            marker={"symbol": "star", "size": 17, "color": ANSWER},
        ),
    ]
    if published:
        hovers = [
            hover(
                f"<b>{chart_label(point.label, 60)}</b>",
                f"{point.fps:.1f} frames/s, {point.top1:.2f} % (measured)",
                chart_label(point.source, 90),
            )
            for point in published
        ]
        traces.append(
            trace(
                "scatter",
                "published, measured",
                ([p.fps for p in published], [p.top1 for p in published]),
                hovers,
                mode="markers",
                marker={"symbol": "square", "size": 8, "color": OTHERS},
            )
        )
    high = (
        "ImageNet top-1 [%]" if known else "top-1 that the bits cost, negated [points]"
    )
    return {
        "data": traces,
        "layout": {
            "xaxis": axis(
                "frames a second at batch 1, logarithmic", type="log", **decades()
            ),
            "yaxis": axis(high),
        },
    }


def _about(point: FrontPoint) -> str:
    accuracy = "top-1 unknown"
    if point.accuracy is not None:
        a = point.accuracy
        accuracy = f"top-1 {a.mean:.2f} % ({a.low:.2f} to {a.high:.2f}), predicted"
    watt = point.fps_per_watt
    bases = [] if point.basis is None else [point.basis]
    return hover(
        f"<b>{chart_label(point.network, 60)}</b>",
        f"{point.fps:.1f} frames/s, {decimal(point.latency_ms)} ms, predicted",
        accuracy,
        f"{point.mean_bits:.2f} bits on average, reckoned to cost "
        f"{point.cost_points:.2f} points",
        *(f"rests on {basis.recipe.value}, {basis.evidence.value}" for basis in bases),
        point.status.value if watt is None else f"{watt:.1f} frames/s per watt",
    )


def _front_table(front: tuple[FrontPoint, ...]) -> PageTable:
    return PageTable(
        caption="Points of the front",
        head=(
            *("network", "top-1 [%]", "90 % interval", "ranked", "frames/s", "ms"),
            *("frames/s per W", "bits", "rests on", "proof"),
        ),
        rows=tuple(front_rows(front, most=60)),
        text=frozenset({0, 2, 8, 9}),
    )


def _published_table(published: tuple[PublishedPoint, ...]) -> PageTable:
    return PageTable(
        caption="Published accelerators of this device, measured at batch 1",
        head=("accelerator", "top-1 [%]", "frames/s", "source"),
        rows=tuple(
            (plain(p.label), f"{p.top1:.2f}", f"{p.fps:.1f}", plain(p.source))
            for p in published
        ),
        text=frozenset({0, 3}),
    )
