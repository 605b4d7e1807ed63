"""Pictures of a result: the front beside published points, and the invocations.

The only module that imports matplotlib; it is imported when a picture is drawn. Figures
are drawn without a display, with fixed sizes and no date, so that equal results give
equal files.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from hao.accuracy.drops import Evidence
from hao.answer.front import FrontPoint
from hao.hw.board import Frames
from hao.report.colours import ANSWER, COLOURS, OTHERS, OURS
from hao.report.published import DEVICE, load_published
from hao.report.result import SearchResult
from hao.text import clipped, decimal, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class _Label:
    text: str
    fps: float
    top1: float
    colour: str
    bold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whisker:
    """A point of our front with the ends of its interval."""

    fps: float
    top1: float
    low: float
    high: float


def write_front_picture(result: SearchResult, path: Path) -> None:
    """Write the front as PNG: top-1 against frames/s, published points beside it.

    Our points stand at what the search ranks by, so that the answer is on their line.
    Without a top-1 that is what their bits cost, negated. Published points appear where
    the board has their device.

    Args:
        result: With a front.
        path: File to write.
    """
    known = all(point.accuracy is not None for point in result.front)
    figure, axes = _figure(9.6, 6.2)
    heights = [point.ranked for point in result.front]
    labels = _draw_front(axes, result, heights, known=known)
    board = result.design.board
    if known and board.device == DEVICE:
        published = load_published()
        axes.plot(
            [point.fps for point in published],
            [point.top1 for point in published],
            linestyle="none",
            marker="s",
            markersize=6,
            color=OTHERS,
            label="measured (published), batch 1",
        )
        labels += [
            _Label(text=p.label, fps=p.fps, top1=p.top1, colour=OTHERS)
            for p in published
        ]
    _finish_axes(axes, labels, known=known, frames=board.frames)
    axes.set_title(
        f"{_literal(board.title, 60)}, {board.clock_mhz:.0f} MHz", loc="left"
    )
    axes.legend(loc="lower left", frameon=True, framealpha=0.9, fontsize=9)
    _place_labels(figure, axes, labels, _whiskers(result.front, heights))
    figure.savefig(path, dpi=150, format="png", metadata={"Software": None})


def write_stage_picture(result: SearchResult, path: Path) -> None:
    """Write the cycles of every invocation as PNG, coloured by what binds."""
    cost = result.cost
    count = len(cost.invocations)
    figure, axes = _figure(9.6, max(2.8, min(16.0, 1.3 + 0.21 * count)))
    # Narrower bars would make the names of a large network overlap.
    size = max(3.0, min(8.0, 72 * 16.0 / max(1, count) * 0.7))
    axes.barh(
        range(count),
        [item.period_cycles / cost.clock_khz for item in cost.invocations],
        color=[COLOURS.get(item.binding, OTHERS) for item in cost.invocations],
        height=0.8,
    )
    names = [_literal(item.name, 44) for item in cost.invocations]
    axes.set_yticks(range(count), names, fontsize=size)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xlabel("time of the invocation, predicted [ms]")
    axes.grid(visible=True, axis="x", color="#dddddd", linewidth=0.7)
    axes.set_title(
        f"{_literal(result.design.network.name, 40)}: {decimal(cost.engine_ms)} ms a "
        f"frame in the engine at {result.design.board.clock_mhz:.0f} MHz",
        loc="left",
    )
    handles = [
        Patch(
            color=COLOURS.get(label, OTHERS),
            label=f"{label}: {100 * cycles / cost.latency_cycles:.0f} % of the time",
        )
        for label, cycles in cost.binding_cycles.items()
    ]
    axes.legend(handles=handles, title="what binds", fontsize=9, loc="best")
    figure.savefig(path, dpi=130, format="png", metadata={"Software": None})


def _literal(text: str, most: int) -> str:
    """Return a name for matplotlib, which takes text between dollars for a formula."""
    return clipped(plain(text), most).replace("$", r"\$")


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _whiskers(front: Sequence[FrontPoint], heights: Sequence[float]) -> list[_Whisker]:
    return [
        _Whisker(
            fps=point.fps,
            top1=height,
            low=height if point.accuracy is None else point.accuracy.low,
            high=height if point.accuracy is None else point.accuracy.high,
        )
        for point, height in zip(front, heights, strict=True)
    ]


def _draw_front(
    axes: Axes, result: SearchResult, heights: Sequence[float], *, known: bool
) -> list[_Label]:
    """Draw our points and their intervals; return the labels that they want."""
    front = result.front
    fps = [point.fps for point in front]
    ours = f"predicted (ours){_recipe_in_words(front)}, as ranked"
    if known:
        intervals = [p.accuracy for p in front if p.accuracy is not None]
        pairs = list(zip(heights, intervals, strict=True))
        below = [max(height - a.low, 0.0) for height, a in pairs]
        above = [max(a.high - height, 0.0) for height, a in pairs]
        axes.errorbar(
            fps,
            heights,
            yerr=[below, above],
            linestyle="none",
            ecolor=OURS,
            elinewidth=1.4,
            capsize=3,
            alpha=0.55,
        )
        ours += ", bar: 90 % interval"
    order = sorted(range(len(front)), key=lambda index: fps[index])
    axes.plot(
        [fps[i] for i in order],
        [heights[i] for i in order],
        marker="o",
        markersize=6,
        linewidth=1.2,
        color=OURS,
        label=ours,
    )
    far = [
        i
        for i, point in enumerate(front)
        if point.basis is not None and point.basis.evidence is not Evidence.MEASURED
    ]
    if far:
        axes.plot(
            [fps[i] for i in far],
            [heights[i] for i in far],
            linestyle="none",
            marker="o",
            markersize=6,
            markerfacecolor="white",
            color=OURS,
            label="hollow: this network was not measured at these bits",
        )
    here = result.design.network.label
    one = len({point.network for point in front}) == 1
    labels = []
    for point, height in zip(front, heights, strict=True):
        answer = point.network == here and math.isclose(point.fps, result.cost.fps)
        text = f"{point.mean_bits:.1f} bits"
        text = text if one else f"{clipped(point.network, 32)}, {text}"
        if answer:
            axes.plot(
                [point.fps],
                [height],
                linestyle="none",
                marker="*",
                markersize=16,
                color=ANSWER,
                zorder=5,
                label=f"the answer: {_literal(point.network, 40)}, predicted",
            )
        labels.append(
            _Label(
                text=text,
                fps=point.fps,
                top1=height,
                colour=ANSWER if answer else OURS,
                bold=answer,
            )
        )
    return labels


def _recipe_in_words(front: Sequence[FrontPoint]) -> str:
    recipes = {p.basis.recipe.value.upper() for p in front if p.basis is not None}
    return f", {' and '.join(sorted(recipes))}" if recipes else ""


def _finish_axes(
    axes: Axes, labels: Sequence[_Label], *, known: bool, frames: Frames
) -> None:
    fps = [label.fps for label in labels]
    axes.set_xscale("log")
    # A third of a decade at least, so that the axis has numbers; room for labels.
    middle = math.sqrt(min(fps) * max(fps))
    spread = max(max(fps) / min(fps), 2.0)
    axes.set_xlim(middle / spread**0.62, middle * spread**0.78)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.08)
    counted = frames.value.replace("-", " ")
    axes.set_xlabel(f"frames per second, {counted} [1/s], logarithmic")
    axes.set_ylabel(
        "ImageNet top-1 [%]" if known else "top-1 that the bits cost, negated [points]"
    )
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.7)


def _place_labels(
    figure: Figure, axes: Axes, labels: Sequence[_Label], front: Sequence[_Whisker]
) -> None:
    """Write every label where it meets neither another, nor a point, nor a line.

    Places around the point are tried from near to far, the second time over lines;
    a label without a free place is left out, the answer's comes first.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    # matplotlib leaves this method without annotations.
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    frame = axes.get_window_extent(renderer)
    taken = [
        Bbox.from_bounds(x - 7, y - 7, 14, 14)
        for x, y in axes.transData.transform([(p.fps, p.top1) for p in labels])
    ]
    legend = axes.get_legend()
    if legend is not None:
        taken.append(legend.get_window_extent(renderer))
    lines = _line_boxes(axes, front)
    for label in sorted(labels, key=lambda item: not item.bold):
        for (x, y), avoided in (
            *((place, [*taken, *lines]) for place in _PLACES),
            *((place, taken) for place in _PLACES),
        ):
            text = _annotation(axes, label, x, y)
            text.update_positions(renderer)
            # The text alone: the extent of an annotation holds its arrow too.
            area = Text.get_window_extent(text, renderer)
            inside = frame.x0 <= area.x0 and area.x1 <= frame.x1
            inside = inside and frame.y0 <= area.y0 and area.y1 <= frame.y1
            if inside and not area.count_overlaps(avoided):
                taken.append(area)
                break
            text.remove()


def _annotation(axes: Axes, label: _Label, x: float, y: float) -> Annotation:
    far = max(abs(x), abs(y)) > 14
    return axes.annotate(
        _literal(label.text, 40),
        (label.fps, label.top1),
        xytext=(x, y),
        textcoords="offset points",
        ha="left" if x > 0 else "right" if x < 0 else "center",
        va="center",
        fontsize=8.5,
        fontweight="bold" if label.bold else "normal",
        color=label.colour,
        arrowprops={"arrowstyle": "-", "color": label.colour, "lw": 0.5}
        if far
        else None,
    )


def _line_boxes(axes: Axes, front: Sequence[_Whisker]) -> list[Bbox]:
    """Return small boxes [pixels] that cover the bars and the line of the front."""
    boxes = []
    for bar in front:
        ends = [(bar.fps, bar.low), (bar.fps, bar.high)]
        (x, low), (_, high) = axes.transData.transform(ends)
        boxes.append(Bbox.from_extents(x - 4, low - 2, x + 4, high + 2))
    order = sorted(front, key=lambda bar: bar.fps)
    for left, right in pairwise(order):
        ends = [(left.fps, left.top1), (right.fps, right.top1)]
        (x0, y0), (x1, y1) = axes.transData.transform(ends)
        steps = 1 + int(max(abs(x1 - x0), abs(y1 - y0)) // 6)
        boxes += [
            Bbox.from_bounds(
                x0 + (x1 - x0) * step / steps - 2,
                y0 + (y1 - y0) * step / steps - 2,
                4,
                4,
            )
            for step in range(steps + 1)
        ]
    return boxes


_PLACES = tuple(
    (dx * reach, dy * reach)
    for reach in (1, 2, 3, 4.5, 6.5, 9)
    for dx, dy in (
        (9, 0),
        (9, 9),
        (9, -9),
        (0, 13),
        (0, -13),
        (-9, 0),
        (-9, 9),
        (-9, -9),
    )
)
