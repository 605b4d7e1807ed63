"""Sections on the design: bits of every layer, and what the engine takes."""

from collections.abc import Mapping

from hao.cost.uncertainty import AREA_ERROR_PERCENT
from hao.ir.layer import Conv, Depthwise, Layer, Linear, Pool
from hao.ir.tensor import Shape
from hao.page.parts import (
    Chart,
    Figure,
    PageTable,
    Section,
    axis,
    chart_label,
    count,
    hover,
    trace,
)
from hao.report.colours import ANSWER, COLOURS, OTHERS, OURS
from hao.report.margins import risk_in_words
from hao.report.result import SearchResult
from hao.report.tables import KINDS, RESOURCE_HEAD, resource_rows
from hao.report.words import bits_in_words, engine_in_words
from hao.text import clipped, plain

KIB = 1024

BITS_HEAD = ("layer", "kind", "output", "weights")
"""First columns of tables of layers."""


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


def shape_in_words(shape: Shape) -> str:
    """Return a shape as channels, rows and columns."""
    return f"{shape.channels} x {shape.height} x {shape.width}"


def device_section(result: SearchResult) -> Section:
    """Return what the design takes of the device, with margins."""
    board, cost = result.design.board, result.cost
    used, usable = cost.resources.as_dict(), board.usable.as_dict()
    kinds = [kind for kind in KINDS if board.resources.as_dict()[kind]]
    left = [str(usable[kind] - used[kind]) for kind in kinds]
    rows = zip(resource_rows(board, cost), left, strict=True)
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
                head=(*RESOURCE_HEAD, "left"),
                rows=tuple((*row, rest) for row, rest in rows),
                text=frozenset({0, 5}),
            ),
            PageTable(
                caption="Blocks by part of the engine",
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
