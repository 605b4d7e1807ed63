"""Sections on the design: cycles, bits, device, memory, roofline and how it is cut."""

from collections.abc import Mapping
from html import escape

from hao.cost.evaluate import InvocationCost
from hao.cost.uncertainty import AREA_ERROR_PERCENT
from hao.emission.arena import place_maps
from hao.ir.layer import Conv, Depthwise, Layer, Linear, Pool
from hao.ir.tensor import Shape
from hao.page.parts import (
    ANSWER,
    COLOURS,
    OTHERS,
    OURS,
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
from hao.report.margins import risk_in_words
from hao.report.result import SearchResult
from hao.report.tables import KINDS, PATHS
from hao.report.text import clipped, plain
from hao.report.words import bits_in_words, engine_in_words

KIB = 1024

BITS_HEAD = ("layer", "kind", "output", "weights")
"""First columns of tables of layers."""


def invocation_section(result: SearchResult) -> Section:
    """Return the cycles of every invocation, and what binds."""
    cost = result.cost
    shares = ", ".join(
        f"{name} for {100 * cycles / cost.latency_cycles:.0f} %"
        for name, cycles in cost.binding_cycles.items()
    )
    rows = tuple(
        (
            clipped(plain(item.name), 60),
            f"{item.macs / 1e6:.2f}",
            str(item.tiles),
            count(item.period_cycles),
            *(
                "-" if (cycles := item.path_cycles.get(name)) is None else count(cycles)
                for name in PATHS
            ),
            count(item.load_cycles),
            f"{100 * _use(item, cost.multipliers):.0f}",
            item.binding,
        )
        for item in cost.invocations
    )
    return Section(
        key="cycles",
        title="Cycles: where a frame's time goes",
        words=(
            f"A frame takes {count(cost.latency_cycles)} cycles, "
            f"{count(cost.first_load_cycles)} of them before the first invocation. "
            f"Of the frame, this binds: {shares}. The multipliers do useful work in "
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


def _use(item: InvocationCost, multipliers: int) -> float:
    return item.macs / max(1, item.period_cycles * multipliers)


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


def bits_section(result: SearchResult) -> Section:
    """Return the weight bits of every layer."""
    design = result.design
    layers = design.network.compute_layers
    bits = [design.weight_bits[layer.name] for layer in layers]
    rows = tuple(
        (
            clipped(plain(layer.name), 60),
            layer_kind(layer),
            shape_in_words(layer.ofm),
            count(layer.weights),
            str(width),
            f"{layer.weights * width / 8 / KIB:.1f}",
        )
        for layer, width in zip(layers, bits, strict=True)
    )
    hovers = [
        hover(
            chart_label(layer.name, 60),
            f"{width} bits, {count(layer.weights)} weights",
            f"{layer.weights * width / 8 / KIB:.1f} KiB",
        )
        for layer, width in zip(layers, bits, strict=True)
    ]
    places = list(range(1, len(bits) + 1))
    figure: Figure = {
        "data": [trace("bar", "", (places, bits), hovers, marker={"color": OURS})],
        "layout": {
            "xaxis": axis("layer, in order"),
            "yaxis": axis("weight bits", range=[0, 8.4], dtick=2),
        },
    }
    return Section(
        key="bits",
        title="Bits of every layer",
        words=(f"{bits_in_words(design)}.",),
        charts=(
            Chart(
                key="bits-chart",
                title="Weight bits of every layer, in order",
                figure=figure,
                height=260,
            ),
        ),
        tables=(
            PageTable(
                caption="Bits and weights of every layer",
                head=(*BITS_HEAD, "bits", "KiB"),
                rows=rows,
                text=frozenset({0, 1, 2}),
            ),
        ),
    )


def layer_kind(layer: Layer) -> str:
    """Return what a layer does, in a few words."""
    match layer:
        case Conv() | Depthwise():
            word = "convolution" if isinstance(layer, Conv) else "depthwise"
            return f"{layer.kernel}x{layer.kernel} {word}, stride {layer.stride}"
        case Linear():
            return "classifier"
        case Pool():
            return "pool"
        case _:
            return type(layer).__name__.lower()


def device_section(result: SearchResult) -> Section:
    """Return what the design takes of the device, with margins."""
    board, cost = result.design.board, result.cost
    used, usable = cost.resources.as_dict(), board.usable.as_dict()
    have = board.resources.as_dict()
    kinds = [kind for kind in KINDS if have[kind]]
    rows = tuple(
        (
            KINDS[kind],
            count(used[kind]),
            count(usable[kind]),
            count(have[kind]),
            percent(used[kind] / have[kind]),
            f"±{AREA_ERROR_PERCENT} %" if kind in ("lut", "ff") else "by rule",
            count(usable[kind] - used[kind]),
        )
        for kind in kinds
    )
    parts = tuple(
        (name, *(count(blocks.as_dict()[kind]) for kind in kinds))
        for name, blocks in cost.parts.items()
    )
    stages = tuple(
        (name, "absent" if words is None else words)
        for name, words in engine_in_words(result.design.engine).items()
    )
    return Section(
        key="device",
        title="Device: what the design takes",
        words=(f"At risk: {risk_in_words(result)}.",),
        charts=(
            Chart(
                key="device-chart",
                title="Share of the device that each part of the engine takes, with "
                "what may be used and the error of the prediction",
                figure=_device_figure(result, kinds),
                height=320,
            ),
        ),
        tables=(
            PageTable(
                caption="Blocks of the device",
                head=(
                    *("resource", "used", "usable", "device", "of device"),
                    *("error", "left"),
                ),
                rows=rows,
                text=frozenset({0, 5}),
            ),
            PageTable(
                caption="The same by part of the engine",
                head=("part", *(KINDS[kind] for kind in kinds)),
                rows=parts,
            ),
            PageTable(
                caption="Stages of the engine",
                head=("stage", "what is built"),
                rows=stages,
                text=frozenset({0, 1}),
            ),
        ),
    )


def _device_figure(result: SearchResult, kinds: list[str]) -> Figure:
    board, cost = result.design.board, result.cost
    have, usable = board.resources.as_dict(), board.usable.as_dict()
    used = cost.resources.as_dict()
    names = [KINDS[kind] for kind in kinds]

    def shares(blocks: Mapping[str, int]) -> list[float]:
        return [100 * blocks[kind] / have[kind] for kind in kinds]

    errors = [
        share * AREA_ERROR_PERCENT / 100 if kind in ("lut", "ff") else 0
        for kind, share in zip(kinds, shares(used), strict=True)
    ]
    traces = [
        trace(
            "bar",
            part,
            (shares(blocks.as_dict()), names),
            orientation="h",
            marker={"color": COLOURS.get(part, OTHERS)},
            hovertemplate=f"{part}: %{{x:.1f}} %<extra></extra>",
        )
        for part, blocks in cost.parts.items()
    ]
    line = {"width": 3, "color": ANSWER}
    traces += [
        trace(
            "scatter",
            "usable",
            (shares(usable), names),
            mode="markers",
            marker={"symbol": "line-ns", "size": 26, "line": line},
            hovertemplate="usable: %{x:.1f} %<extra></extra>",
        ),
        trace(
            "scatter",
            "predicted, with its error",
            (shares(used), names),
            mode="markers",
            marker={"size": 5, "color": "#111827"},
            error_x={"type": "data", "array": errors, "color": "#111827"},
            hovertemplate="predicted: %{x:.1f} %<extra></extra>",
        ),
    ]
    return {
        "data": traces,
        "layout": {
            "barmode": "stack",
            "xaxis": axis("share of the device [%]", rangemode="tozero"),
            "yaxis": axis("", autorange="reversed"),
        },
    }


def memory_section(result: SearchResult) -> Section:
    """Return where feature maps lie in DDR and what is kept on the chip."""
    design = result.design
    port = design.board.port_bytes
    arena = place_maps(design)
    lives = _lives(result)
    rows, traces = [], []
    for name, stored in arena.maps.items():
        born, dies = lives[name]
        size, base = stored.beats * port, stored.base * port
        rows.append(
            (
                clipped(plain(name), 60),
                shape_in_words(stored.shape),
                f"0x{base:08x}",
                count(size),
                "frame" if born == 0 else str(born),
                str(dies),
            )
        )
        told = hover(
            chart_label(name),
            f"{size / KIB:.1f} KiB from {base / KIB:.1f} KiB",
            f"written by {born or 'the host'}, last read by {dies}",
        )
        traces.append(
            trace(
                "bar",
                "",
                ([(born + dies) / 2], [size / KIB]),
                [told],
                width=[dies - born + 0.9],
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
            f"Feature maps share {arena.beats * port / KIB:,.0f} KiB of DDR: two may "
            "overlap where the one is read for the last time before the other is "
            f"written. A frame moves {weights / 1e6:.3g} MB of weights and "
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
                head=("map", "shape", "place", "bytes", "written by", "last read by"),
                rows=tuple(rows),
                text=frozenset({0, 1, 2}),
            ),
        ),
    )


def _lives(result: SearchResult) -> dict[str, tuple[int, int]]:
    """Return by which invocation each map is written, and by which read last."""
    runs = [segment.invocation for segment in result.design.segments]
    lives = {result.design.network.input.name: (0, len(runs))}
    for number, run in enumerate(runs, start=1):
        for name in (run.input_name, run.residual_name):
            if name is not None:
                born, dies = lives[name]
                lives[name] = born, max(dies, number)
        lives[run.output_name] = number, number
    lives[runs[-1].output_name] = lives[runs[-1].output_name][0], len(runs)
    return lives


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
    ideal = cost.macs / max(1, cost.multipliers) / board.clock_khz
    transfer = cost.ddr_bytes / board.ddr_kbytes_per_s
    return Section(
        key="roofline",
        title="Roofline",
        words=(
            f"With every multiplier busy all the time a frame would take {ideal:.3g} "
            f"ms; its {cost.ddr_bytes / 1e6:.3g} MB over DDR take {transfer:.3g} ms at "
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


ROW = 30
"""Height of an invocation in the drawing of the cut [SVG units]."""


BOW = 74
"""Where bows begin and end, left of the numbers [SVG units]."""


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


def shape_in_words(shape: Shape) -> str:
    """Return a shape as channels, rows and columns."""
    return f"{shape.channels} x {shape.height} x {shape.width}"


def _stage(x: float, y: float, width: float, stage: tuple[str, str]) -> str:
    role, name = stage
    most = max(6, int(width / 7))
    return (
        f"<g><title>{escape(f'{role}: {plain(name)}')}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 8}" rx="3" '
        f'fill="{COLOURS[role]}"/><text class="in" x="{x + 6:.1f}" y="{y + 15}">'
        f"{escape(clipped(plain(name), most))}</text></g>"
    )
