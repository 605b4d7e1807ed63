"""Two runs beside each other: as rows for a terminal, and as a page."""

from hao.page.design import BITS_HEAD, layer_kind, shape_in_words
from hao.page.parts import (
    OTHERS,
    OURS,
    Chart,
    Figure,
    Page,
    PageTable,
    Section,
    axis,
    chart_label,
    count,
    percent,
    trace,
)
from hao.program.solver import Status
from hao.report.margins import speed_in_words
from hao.report.result import SearchResult
from hao.report.tables import KINDS, label
from hao.report.words import bits_in_words
from hao.runs.records import Records
from hao.text import clipped, plain, text_table

Loaded = tuple[SearchResult, Records]
"""A run: its result, and what later steps found."""

UNKNOWN = "-"


def comparison_rows(
    first: Loaded, second: Loaded
) -> tuple[tuple[str, str, str, str], ...]:
    """Return figure, value of the first run, of the second, and the difference."""
    a, b = first[0], second[0]
    rows = [
        ("network", label(a), label(b), ""),
        ("board", plain(a.design.board.name), plain(b.design.board.name), ""),
        _row("clock [MHz]", a.design.board.clock_mhz, b.design.board.clock_mhz, 3),
        _row("frames/s", a.cost.fps, b.cost.fps, 1),
        _row("engine [ms a frame]", a.cost.engine_ms, b.cost.engine_ms, 3),
        _row("frames of a start", a.cost.frames, b.cost.frames),
        _row("cycles", a.cost.latency_cycles, b.cost.latency_cycles),
        _row("top-1 predicted [%]", _predicted(a), _predicted(b), 2),
        _row("top-1 predicted, low end [%]", _low(a), _low(b), 2),
        _row("top-1 float [%]", a.float_top1, b.float_top1, 2),
        _row("top-1 integer, measured [%]", _measured(first), _measured(second), 2),
        _row("cycles replayed", _replayed(first), _replayed(second)),
        _row("weight bits on average", _bits(a), _bits(b), 2),
        _row("MACs a frame [M]", a.cost.frame_macs / 1e6, b.cost.frame_macs / 1e6, 1),
        _row("multipliers", a.cost.multipliers, b.cost.multipliers),
        _row(
            "multipliers busy [%]", 100 * a.cost.efficiency, 100 * b.cost.efficiency, 1
        ),
        _row(
            "DDR a frame [MB]",
            a.cost.frame_ddr_bytes / 1e6,
            b.cost.frame_ddr_bytes / 1e6,
            2,
        ),
        _row("power [W]", _watts(a), _watts(b), 1),
        *(
            _row(
                name, a.cost.resources.as_dict()[kind], b.cost.resources.as_dict()[kind]
            )
            for kind, name in KINDS.items()
            if a.design.board.resources.as_dict()[kind]
            or b.design.board.resources.as_dict()[kind]
        ),
        ("binds most", a.cost.bottleneck, b.cost.bottleneck, ""),
        ("proof", _proof(a), _proof(b), ""),
    ]
    return tuple(row for row in rows if row[1:3] != (UNKNOWN, UNKNOWN))


def _row(
    name: str, one: float | None, other: float | None, digits: int = 0
) -> tuple[str, str, str, str]:
    """Return a row of figures; the difference as a share where the first is no 0."""
    shown = [UNKNOWN if v is None else f"{v:,.{digits}f}" for v in (one, other)]
    change = ""
    if one is not None and other is not None and one != other:
        change = f"{other - one:+,.{digits}f}"
        if one:
            change += f" ({100 * (other / one - 1):+.1f} %)"
    return name, shown[0], shown[1], change


def _predicted(result: SearchResult) -> float | None:
    return None if result.accuracy is None else result.accuracy.mean


def _low(result: SearchResult) -> float | None:
    return None if result.accuracy is None else result.accuracy.low


def _measured(run: Loaded) -> float | None:
    found = run[1].quantization
    return None if found is None else found.integer_top1


def _replayed(run: Loaded) -> int | None:
    found = run[1].simulation
    return None if found is None else found.cycles_replayed


def _bits(result: SearchResult) -> float:
    layers = result.design.network.compute_layers
    weights = sum(layer.weights for layer in layers)
    bits = sum(
        layer.weights * result.design.weight_bits[layer.name] for layer in layers
    )
    return bits / max(1, weights)


def _watts(result: SearchResult) -> float | None:
    return None if result.power is None else result.power.total_mw / 1000


def _proof(result: SearchResult) -> str:
    if result.proof.status is Status.OPTIMAL and not result.proof.open:
        return "optimal"
    return f"gap {percent(result.proof.gap)}"


def run_names(first: SearchResult, second: SearchResult) -> tuple[str, str]:
    """Return a name for each of two runs, different ones."""
    a, b = (
        label(result) if result.run is None else plain(result.run.name)
        for result in (first, second)
    )
    return (a, b) if a != b else (f"{a} (first)", f"{b} (second)")


def render_comparison(first: Loaded, second: Loaded) -> str:
    """Return two runs beside each other as text."""
    a, b = run_names(first[0], second[0])
    head = ("", clipped(a, 28), clipped(b, 28), "second - first")
    rows = [
        (name, clipped(one, 28), clipped(other, 28), change)
        for name, one, other, change in comparison_rows(first, second)
    ]
    note = (
        "Predicted unless a row says measured or replayed; both are priced "
        "by this version."
    )
    return f"{text_table(head, rows, left={0})}\n\n{note}\n"


def comparison_page(first: Loaded, second: Loaded) -> Page:
    """Return two runs beside each other as a page."""
    a, b = first[0], second[0]
    names = run_names(a, b)
    sections = [
        Section(
            key="figures",
            title="Figures",
            words=(
                f"First: {names[0]}, {speed_in_words(a)}.",
                f"Second: {names[1]}, {speed_in_words(b)}.",
            ),
            charts=(_device_chart(a, b, names), _binding_chart(a, b, names)),
            tables=(
                PageTable(
                    caption="The two runs beside each other",
                    head=("figure", *names, "second - first"),
                    rows=comparison_rows(first, second),
                ),
            ),
        ),
        _bits_section(a, b, names),
    ]
    return Page(
        title=f"{names[0]} beside {names[1]}",
        subtitle="Predicted unless a row says measured or replayed; both "
        "are priced by this version",
        cards=(),
        sections=tuple(sections),
    )


def _bars(
    names: tuple[str, str], where: list[str], values: tuple[list[float], list[float]]
) -> list[Figure]:
    return [
        trace("bar", chart_label(name), (where, heights), marker={"color": colour})
        for name, heights, colour in zip(names, values, (OURS, OTHERS), strict=True)
    ]


def _device_chart(a: SearchResult, b: SearchResult, names: tuple[str, str]) -> Chart:
    kinds = [kind for kind in KINDS if kind in a.utilisation and kind in b.utilisation]
    shares = tuple([100 * run.utilisation[kind] for kind in kinds] for run in (a, b))
    return Chart(
        key="device-chart",
        title="Share of the device that each run takes",
        figure={
            "data": _bars(
                names, [KINDS[kind] for kind in kinds], (shares[0], shares[1])
            ),
            "layout": {
                "barmode": "group",
                "xaxis": axis(""),
                "yaxis": axis("of the device [%]", rangemode="tozero"),
            },
        },
        height=300,
    )


def _binding_chart(a: SearchResult, b: SearchResult, names: tuple[str, str]) -> Chart:
    labels = list(dict.fromkeys([*a.cost.binding_cycles, *b.cost.binding_cycles]))
    times = tuple(
        [run.cost.binding_cycles.get(key, 0) / run.cost.clock_khz for key in labels]
        for run in (a, b)
    )
    return Chart(
        key="binding-chart",
        title="Time of a frame by what binds, of each run",
        figure={
            "data": _bars(names, labels, (times[0], times[1])),
            "layout": {
                "barmode": "group",
                "xaxis": axis(""),
                "yaxis": axis("predicted time [ms]"),
            },
        },
        height=300,
    )


def _bits_section(a: SearchResult, b: SearchResult, names: tuple[str, str]) -> Section:
    words = tuple(
        f"{name}: {bits_in_words(run.design)}."
        for name, run in zip(names, (a, b), strict=True)
    )
    if a.design.network.layers != b.design.network.layers:
        missing = (
            "The networks differ, so their layers are not set beside each other.",
        )
        return Section(key="bits", title="Bits", words=words, missing=missing)
    rows = tuple(
        (
            clipped(plain(layer.name), 60),
            layer_kind(layer),
            shape_in_words(layer.ofm),
            count(layer.weights),
            str(a.design.weight_bits[layer.name]),
            str(b.design.weight_bits[layer.name]),
        )
        for layer in a.design.network.compute_layers
        if a.design.weight_bits[layer.name] != b.design.weight_bits[layer.name]
    )
    table = PageTable(
        caption="Layers whose bits differ",
        head=(*BITS_HEAD, *(f"bits of {name}" for name in names)),
        rows=rows,
        text=frozenset({0, 1, 2}),
    )
    return Section(
        key="bits",
        title="Bits",
        words=words if rows else (*words, "Every layer has the same bits in both."),
        tables=(table,) if rows else (),
    )
