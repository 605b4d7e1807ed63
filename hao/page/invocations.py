"""Sections on invocations: where their maps lie in DDR, and how the network is cut."""

from html import escape

from hao.emission.arena import map_lives, place_maps
from hao.page.design import KIB, shape_in_words
from hao.page.parts import (
    Chart,
    PageTable,
    Section,
    axis,
    chart_label,
    count,
    hover,
    trace,
)
from hao.report.colours import COLOURS, OURS
from hao.report.result import SearchResult
from hao.report.words import start_in_words
from hao.text import clipped, plain

ROW = 30
"""Height of an invocation in the drawing of the cut [SVG units]."""

BOW = 74
"""Where bows begin and end, left of the numbers [SVG units]."""


def memory_section(result: SearchResult) -> Section:
    """Return where feature maps lie in DDR and what is kept on the chip."""
    design = result.design
    port = design.board.port_bytes
    arena = place_maps(design)
    lives = map_lives(design)
    rows, traces = [], []
    for name, stored in arena.maps.items():
        born, kept = lives[name]
        size, base = stored.beats * port, stored.base * port
        rows.append(
            (
                clipped(plain(name), 60),
                shape_in_words(stored.shape),
                f"0x{base:08x}",
                count(size),
                "frame" if born == 0 else str(born),
                str(kept),
            )
        )
        told = hover(
            chart_label(name),
            f"{size / KIB:.1f} KiB from {base / KIB:.1f} KiB",
            f"written by {born or 'the host'}, kept until {kept} has run",
        )
        traces.append(
            trace(
                "bar",
                "",
                ([(born + kept) / 2], [size / KIB]),
                [told],
                width=[kept - born + 0.9],
                base=[base / KIB],
                marker={"color": OURS, "opacity": 0.55, "line": {"width": 1}},
                showlegend=False,
            )
        )
    weights = sum(item.weight_bytes for item in result.cost.invocations)
    return Section(
        key="memory",
        title="Memory map",
        words=(
            f"Feature maps share {arena.frame_beats * port / KIB:,.0f} KiB of DDR: two "
            "may overlap where the one is read for the last time before the other is "
            "written; the frame and the result are kept to the end. "
            f"{start_in_words(result.cost.frames).capitalize()} moves "
            f"{weights / 1e6:.3g} MB of weights and "
            f"{(result.cost.ddr_bytes - weights) / 1e6:.3g} MB of feature maps. The "
            "buffers on the chip stand with the stages of the engine above.",
        ),
        charts=(
            Chart(
                key="memory-chart",
                title="Feature maps in DDR: place and life of each",
                figure={
                    "data": traces,
                    "layout": {
                        "barmode": "overlay",
                        "xaxis": axis("invocation"),
                        "yaxis": axis("place in the arena [KiB]"),
                    },
                },
            ),
        ),
        tables=(
            PageTable(
                caption="Feature maps in DDR",
                head=("map", "shape", "place", "bytes", "written by", "kept until"),
                rows=tuple(rows),
                text=frozenset({0, 1, 2}),
            ),
        ),
    )


def cut_section(result: SearchResult) -> Section:
    """Return how the network is cut into invocations, as a graph."""
    segments = result.design.segments
    return Section(
        key="cut",
        title="The network, cut into invocations",
        words=(
            f"{len(segments)} invocations run the network, one after the other. A row "
            "is one invocation: its layers by the stage that runs them (blue: dense, "
            "brown: depthwise, green: pointwise), and the map that it leaves in DDR. A "
            "bow on the left brings a residual, or a map that another invocation than "
            "the one above reads.",
        ),
        svg=cut_svg(result),
    )


def cut_svg(result: SearchResult) -> str:
    """Return the graph as SVG; every name in it is escaped."""
    runs = [segment.invocation for segment in result.design.segments]
    rows = {run.output_name: number for number, run in enumerate(runs)}
    lines = []
    for number, run in enumerate(runs):
        for name, kind in ((run.input_name, "map"), (run.residual_name, "residual")):
            source = rows.get(name, -1) if name is not None else number
            if name is None or (kind == "map" and source == number - 1):
                continue
            start, end = (source + 1.75) * ROW, (number + 1.5) * ROW
            bow = min(BOW, 24 + 9 * (number - source))
            lines.append(
                f'<path class="{kind}" d="M{BOW} {start} C{BOW - bow} {start} '
                f'{BOW - bow} {end} {BOW} {end}"/>'
            )
    for number, run in enumerate(runs):
        y = (number + 1) * ROW
        lines.append(_node(number + 1, y, shape_in_words(run.ofm)))
        stages = [(role.value, layer.name) for role, layer in run.stages]
        width = 420 / max(1, len(stages))
        for place, (role, name) in enumerate(stages):
            lines.append(_stage(100 + place * width, y, width - 4, (role, name)))
    height = (len(runs) + 1.5) * ROW
    return (
        f'<svg class="cut" viewBox="0 0 700 {height}" role="img" '
        f'aria-label="The network cut into {len(runs)} invocations">'
        f'<text x="100" y="{ROW * 0.6}">frame {shape_in_words(runs[0].ifm)}</text>'
        f"{''.join(lines)}</svg>"
    )


def _node(number: int, y: float, shape: str) -> str:
    return (
        f'<text class="number" x="92" y="{y + 18}">{number}</text>'
        f'<text x="530" y="{y + 18}">{shape}</text>'
    )


def _stage(x: float, y: float, width: float, stage: tuple[str, str]) -> str:
    role, name = stage
    most = max(6, int(width / 7))
    return (
        f"<g><title>{escape(f'{role}: {plain(name)}')}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 8}" rx="3" '
        f'fill="{COLOURS[role]}"/><text class="in" x="{x + 6:.1f}" y="{y + 15}">'
        f"{escape(clipped(plain(name), most))}</text></g>"
    )
