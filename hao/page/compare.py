"""Two runs beside each other: as rows for a terminal, and as a page."""

from collections.abc import Callable, Sequence

from hao.page.design import BITS_HEAD, layer_kind, shape_in_words
from hao.page.parts import (
    Chart,
    Page,
    PageTable,
    Section,
    axis,
    chart_label,
    count,
    grouped_bars,
    percent,
)
from hao.program.solver import Status
from hao.report.colours import OTHERS, OURS
from hao.report.margins import speed_in_words
from hao.report.result import SearchResult
from hao.report.tables import KINDS, label
from hao.report.words import bits_in_words
from hao.runs.records import Records
from hao.text import clipped, plain, text_table

Loaded = tuple[SearchResult, Records]
"""A run: its result, and what later steps found."""

UNKNOWN = "-"


_FIGURES: tuple[
    tuple[str, Callable[[SearchResult, Records], float | None], int], ...
] = (
    ("clock [MHz]", lambda one, _: one.design.board.clock_mhz, 3),
    ("frames/s", lambda one, _: one.cost.fps, 1),
    ("engine [ms a frame]", lambda one, _: one.cost.engine_ms, 3),
    ("frames of a start", lambda one, _: one.cost.frames, 0),
    ("cycles", lambda one, _: one.cost.latency_cycles, 0),
    (
        "top-1 predicted [%]",
        lambda one, _: one.accuracy.mean if one.accuracy else None,
        2,
    ),
    (
        "top-1 predicted, low end [%]",
        lambda one, _: one.accuracy.low if one.accuracy else None,
        2,
    ),
    ("top-1 float [%]", lambda one, _: one.float_top1, 2),
    (
        "top-1 integer, measured [%]",
        lambda _, got: got.quantization.integer_top1 if got.quantization else None,
        2,
    ),
    (
        "cycles replayed",
        lambda _, got: got.simulation.cycles_replayed if got.simulation else None,
        0,
    ),
    ("weight bits on average", lambda one, _: one.design.mean_bits, 2),
    ("MACs a frame [M]", lambda one, _: one.cost.frame_macs / 1e6, 1),
    ("multipliers", lambda one, _: one.cost.multipliers, 0),
    ("multipliers busy [%]", lambda one, _: 100 * one.cost.efficiency, 1),
    ("DDR a frame [MB]", lambda one, _: one.cost.frame_ddr_bytes / 1e6, 2),
    ("power [W]", lambda one, _: one.power.total_mw / 1000 if one.power else None, 1),
)
"""Figure, its value in a run, and the digits behind the point that are shown."""


def comparison_rows(
    first: Loaded, second: Loaded
) -> tuple[tuple[str, str, str, str], ...]:
    """Return figure, value of the first run, of the second, and the difference."""
    a, b = first[0], second[0]
    used = [run.cost.resources.as_dict() for run in (a, b)]
    device = [run.design.board.resources.as_dict() for run in (a, b)]
    rows = [
        ("network", label(a), label(b), ""),
        ("board", plain(a.design.board.name), plain(b.design.board.name), ""),
        *(_row(name, of(*first), of(*second), most) for name, of, most in _FIGURES),
        *(
            _row(name, used[0][kind], used[1][kind])
            for kind, name in KINDS.items()
            if device[0][kind] or device[1][kind]
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
    names: tuple[str, str],
    values: tuple[Sequence[float], Sequence[float]],
) -> list[tuple[str, str, Sequence[float]]]:
    """Return the bars of two runs."""
    labels = (chart_label(name) for name in names)
    return list(zip(labels, (OURS, OTHERS), values, strict=True))


def _device_chart(a: SearchResult, b: SearchResult, names: tuple[str, str]) -> Chart:
    kinds = [kind for kind in KINDS if kind in a.utilisation and kind in b.utilisation]
    first, second = ([100 * run.utilisation[kind] for kind in kinds] for run in (a, b))
    return grouped_bars(
        "device-chart",
        "Share of the device that each run takes",
        [KINDS[kind] for kind in kinds],
        _bars(names, (first, second)),
        (axis(""), axis("of the device [%]", rangemode="tozero")),
    )


def _binding_chart(a: SearchResult, b: SearchResult, names: tuple[str, str]) -> Chart:
    labels = list(dict.fromkeys([*a.cost.binding_cycles, *b.cost.binding_cycles]))
    first, second = (
        [run.cost.binding_cycles.get(key, 0) / run.cost.clock_khz for key in labels]
        for run in (a, b)
    )
    return grouped_bars(
        "binding-chart",
        "Time of a frame by what binds, of each run",
        labels,
        _bars(names, (first, second)),
        (axis(""), axis("predicted time [ms]")),
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
