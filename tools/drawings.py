"""The drawings of the site, as SVG: what is chosen, the price of bits, the engine.

    python tools/drawings.py        writes docs/drawings/ and docs/processes.md

Texts are text and colours follow the page's scheme, so that drawings can be read out,
searched and seen in the dark.
"""

import csv
from dataclasses import dataclass
from html import escape
from pathlib import Path

from hao.data import data_path

DOCS = Path(__file__).resolve().parent.parent / "docs"
STYLE = """<style>
text { font: 13px sans-serif; fill: #1a1a1a; } .small { font-size: 11px; }
.head { font-weight: bold; } .mid { text-anchor: middle; } .end { text-anchor: end; }
rect { fill: #f4f6fb; stroke: #3f51b5; } .store { fill: #fff4e0; stroke: #b36b00; }
.way { stroke: #555; fill: none; marker-end: url(#tip); } .grid { stroke: #ccc; }
@media (prefers-color-scheme: dark) { svg { background: #f8f8f8; } }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"
markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>
"""


def drawing(width: int, height: int, title: str, parts: list[str]) -> str:
    """Return an SVG with a title that is read out."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(title)}">\n<title>{escape(title)}</title>\n'
        + STYLE
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def box(x: int, y: int, width: int, lines: list[str], *, store: bool = False) -> str:
    """Return a box with a bold first line and small ones below."""
    height = 14 + 16 * len(lines)
    kind = ' class="store"' if store else ""
    texts = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4"{kind}/>']
    for number, line in enumerate(lines):
        name = "head mid" if number == 0 else "small mid"
        at = f'x="{x + width // 2}" y="{y + 20 + 16 * number}"'
        texts.append(f'<text {at} class="{name}">{escape(line)}</text>')
    return "\n".join(texts)


def way(*points: tuple[int, int]) -> str:
    """Return an arrow through points."""
    (first, *rest) = points
    path = f"M{first[0]} {first[1]}" + "".join(f" L{x} {y}" for x, y in rest)
    return f'<path class="way" d="{path}"/>'


def label(x: int, y: int, text: str, kind: str = "small mid") -> str:
    """Return a line of text."""
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>'


def program() -> str:
    """Return what goes in, what is chosen together, what comes out."""
    parts = [
        box(10, 20, 170, ["network", "layers, or 45 of the zoo"]),
        box(10, 90, 170, ["board", "device, DDR, clock"]),
        box(10, 160, 170, ["frame rate", "or accuracy, area, power"]),
        box(
            240,
            20,
            200,
            [
                "options of every layer",
                "bits, channels, operation",
                "cost in accuracy each",
            ],
        ),
        box(
            240,
            120,
            200,
            ["engines", "lanes, DSP or LUT, buffers", "price of every layer each"],
        ),
        box(
            500, 70, 170, ["one integer program", "picks both at once", "with a proof"]
        ),
        box(730, 20, 170, ["design", "and its front"]),
        box(730, 90, 170, ["integers", "quantized, trained"]),
        box(730, 160, 170, ["HLS project", "bit-exact; driver"]),
        way((180, 43), (238, 50)),
        way((180, 113), (238, 140)),
        way((180, 100), (238, 70)),
        way((180, 190), (585, 190), (585, 134)),
        way((440, 50), (498, 90)),
        way((440, 150), (498, 110)),
        way((670, 100), (728, 43)),
        way((815, 66), (815, 88)),
        way((815, 136), (815, 158)),
    ]
    return drawing(
        910, 215, "Options of every layer and engines meet in one program", parts
    )


def bits() -> str:
    """Return LUTs of a multiplier against the product of the widths, as measured."""
    with (data_path("data") / "lut_cost.csv").open(encoding="utf-8") as file:
        lines = (line for line in file if not line.startswith("#"))
        rows = list(csv.DictReader(lines))
    parts = []
    for step in range(0, 81, 20):
        y = 300 - 3 * step
        parts.append(f'<path class="grid" d="M60 {y} H620"/>')
        parts.append(label(52, y + 4, str(step), "small end"))
    for step in range(0, 65, 16):
        parts.append(label(60 + 8 * step + 20, 320, str(step)))
    marked = {(8, 8), (4, 8), (4, 4), (2, 2)}
    for row in rows:
        weight, act = int(row["w_bits"]), int(row["a_bits"])
        lut = float(row["lut_per_mult"])
        x, at = 80 + 8 * weight * act, round(300 - 3 * lut)
        parts.append(f'<circle cx="{x}" cy="{at}" r="3.5" fill="#3f51b5"/>')
        if (weight, act) in marked:
            away = 20 if (weight, act) == (4, 8) else -9  # a point lies above it
            parts.append(label(x, at + away, f"{weight} x {act}: {lut:g}"))
    parts.append(label(340, 345, "weight bits times activation bits"))
    parts.append(label(60, 30, "LUTs of one multiplier", "small"))
    return drawing(660, 360, "LUTs of a multiplier by the bits of its factors", parts)


def engine() -> str:
    """Return the processes of the engine, and the streams between them."""
    top, low = 150, 270
    names = [
        ("read_ifm", "a beat a cycle"),
        ("unpack", "beats to words"),
        ("dense", "window, array"),
        ("depthwise", "window, array"),
        ("pointwise", "vectors, array"),
        ("pack", "words to beats"),
        ("finish", "residual, mean"),
        ("write_ofm", "a beat a cycle"),
    ]
    parts = [
        box(
            300,
            15,
            390,
            ["DDR: all feature maps in one arena; packed weights"],
            store=True,
        )
    ]
    for number, (name, does) in enumerate(names):
        x = 10 + 122 * number
        parts.append(box(x, top, 104, [name, does]))
        if number:
            parts.append(way((x - 18, top + 23), (x - 2, top + 23)))
    parts += [
        way((330, 45), (62, 100), (62, top - 2)),
        way((916, top), (916, 100), (660, 47)),
    ]
    parts.append(way((640, 45), (794, 100), (794, top - 2)))
    parts.append(label(806, 118, "residual", "small"))
    parts += [
        box(60, low, 130, ["read_weights", "of the next run"]),
        box(220, low, 130, ["load_weights", "units, records"]),
        box(400, low, 170, ["fill", "one a stage: ping-pong"], store=True),
        way((320, 45), (4, 110), (4, low + 23), (58, low + 23)),
        way((190, low + 23), (218, low + 23)),
        way((350, low + 23), (398, low + 23)),
        way((440, low), (306, top + 48)),
        way((485, low), (428, top + 48)),
        way((530, low), (550, top + 48)),
    ]
    return drawing(
        990, 330, "Processes of the engine and the streams between them", parts
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of the engine, as a row of processes.csv.

    Attributes:
        name: As in docs/engine.md and the sources.
        reads: Words that come.
        does: For what an iteration is.
        then: What it does in one.
        keeps: Memory on the chip; "" for none.
        writes: Words that go.
    """

    name: str
    reads: str
    does: str
    then: str
    keeps: str
    writes: str

    @property
    def says(self) -> str:
        """Return the process in words."""
        kept = f"; keeps {self.keeps}" if self.keeps else ""
        return (
            f"{self.name}: reads {self.reads}; {self.does}, {self.then}; "
            f"writes {self.writes}{kept}"
        )


def processes() -> list[Process]:
    """Return all processes, along the way of the data."""
    path = Path(__file__).with_name("processes.csv")
    with path.open(encoding="utf-8") as file:
        return [Process(**row) for row in csv.DictReader(file)]


def process(item: Process) -> str:
    """Return the figure of one process."""
    parts = [
        label(70, 40, item.reads),
        way((10, 48), (148, 48)),
        box(150, 10, 230, [item.name, item.does, item.then]),
        label(460, 40, item.writes),
        way((380, 48), (520, 48)),
    ]
    if item.keeps:
        parts += [
            box(170, 92, 190, [item.keeps], store=True),
            way((230, 72), (230, 91)),
            way((300, 92), (300, 74)),
        ]
    return drawing(530, 135 if item.keeps else 85, item.says, parts)


def drawings() -> dict[str, str]:
    """Return all drawings, by file."""
    found = {"program.svg": program(), "bits.svg": bits(), "engine.svg": engine()}
    return found | {f"{item.name}.svg": process(item) for item in processes()}


def processes_page() -> str:
    """Return the page with a figure for every process."""
    lines = ["# The engine, process by process", ""]
    lines += [
        "What does each process of the engine read, do, write and keep? Each box is a",
        "loop that starts an iteration a cycle; what it keeps is memory on the chip.",
        "How many iterations each takes stands in [the engine](engine.md).",
        "",
    ]
    for item in processes():
        figure = f"![{item.says}](drawings/{item.name}.svg)"
        lines += [f"## {item.name}", "", figure, ""]
    return "\n".join(lines)


def main() -> None:
    """Write the drawings and their page."""
    folder = DOCS / "drawings"
    folder.mkdir(exist_ok=True)
    for name, text in drawings().items():
        (folder / name).write_text(text, encoding="utf-8")
    (DOCS / "processes.md").write_text(processes_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
