"""What quantization, emission and simulation found: values, tables and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import to_jsonable_python

from hao.ir.picture import UNPREPARED, Preparation
from hao.report.words import start_in_words
from hao.text import plain, text_table

if TYPE_CHECKING:
    from hao.lint.finding import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """How accurate each form of the network is on the test frames.

    Attributes:
        network: Its name.
        data: Its data set.
        method: How integers were made.
        frames: Test frames.
        float_top1: Floating point [percent]; `None` where a file was quantized.
        quantized_top1: The Brevitas model, or the file's own [percent]; `None`
            without data.
        integer_top1: The integer network [percent]; `None` without data.
        compared: Integers compared between the two, at every layer.
        differing: Of these, how many differ.
        notes: What must be known about the test frames.
        quantized_agreement: Frames that the Brevitas model gives the class that the
            float network does [percent]; `None` where a file was quantized.
        integer_agreement: Of the integer network, likewise; with the file's own class
            where one was quantized.
        preparation: What pictures went through before the network read them.
        classes: Names of the network's outputs; empty if unknown.
    """

    network: str
    data: str
    method: str
    frames: int
    float_top1: float | None
    quantized_top1: float | None
    integer_top1: float | None
    compared: int
    differing: int
    notes: tuple[str, ...] = ()
    quantized_agreement: float | None = None
    integer_agreement: float | None = None
    preparation: Preparation = UNPREPARED
    classes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the report: what Python shows."""
        return render_quantization(self)

    def _repr_html_(self) -> str:
        """Return the tables that a notebook shows."""
        from hao.report.notebook import quantization_html

        return quantization_html(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """An emitted project.

    Attributes:
        project: Its folder.
        digest: Of its content.
        files: How many.
        steps: Of the engine, in a start.
        batch: Frames of a start.
        weights: Where the weights come from, in words.
    """

    project: Path
    digest: str
    files: int
    steps: int
    batch: int
    weights: str

    def __repr__(self) -> str:
        """Return the report: what Python shows."""
        return render_emission(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationCycles:
    """Cycles of one invocation: priced, and replayed from the emitted code."""

    name: str
    tiles: int
    model: int
    replayed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationResult:
    """What the simulation of an emitted project says.

    Attributes:
        build: Number types of the simulation.
        images: Frames.
        batch: Frames of a start of the engine.
        mismatches: Bytes of output maps that differ from the interpreter's.
        wrong_images: Frames with any.
        wrong_steps: Steps whose map differs; `None` if they were not compared.
        cycles_model: Of a start, as priced.
        cycles_replayed: Of the first start of recorded frames, as replayed.
        seconds: Inside the simulated engine, all frames.
        invocations: In order, the first load of weights before them.
        fifos: Streams whose least depth was sought: name, emitted, least.
        float_top1: Of the float network on the same frames [percent], where known.
        quantized_top1: Of the quantized network, likewise.
        simulated_top1: Of the simulated outputs [percent], where labels are known.
        integer_top1: Of the interpreter's [percent], likewise.
        quantization: What `quantize` found, if the run's own weights were emitted.
        simulated_agreement: Frames whose simulated class is that of the float network
            [percent]; `None` where that is not known.
    """

    build: str
    images: int
    batch: int
    mismatches: int
    wrong_images: int
    wrong_steps: int | None
    cycles_model: int
    cycles_replayed: int
    seconds: float
    invocations: tuple[InvocationCycles, ...]
    fifos: tuple[tuple[str, int, int], ...]
    float_top1: float | None
    quantized_top1: float | None
    simulated_top1: float | None
    integer_top1: float | None
    quantization: Quantization | None
    simulated_agreement: float | None = None

    @property
    def exact(self) -> bool:
        """Return whether every compared byte is equal."""
        return self.mismatches == 0 and not self.wrong_steps

    def __repr__(self) -> str:
        """Return the report: what Python shows."""
        return render_simulation(self)

    def _repr_html_(self) -> str:
        """Return the tables that a notebook shows."""
        from hao.report.notebook import simulation_html

        return simulation_html(self)


def render_quantization(found: Quantization) -> str:
    """Return how accurate each form of the network is, as text."""
    lines = [
        f"{found.network} on {found.data}, {found.frames} test frames, {found.method}",
        "              top-1    same class as float",
        f"  float       {percent_in_words(found.float_top1)}",
        f"  quantized   {percent_in_words(found.quantized_top1)} "
        f"{percent_in_words(found.quantized_agreement)}   in floating point",
        f"  integer     {percent_in_words(found.integer_top1)} "
        f"{percent_in_words(found.integer_agreement)}   what the hardware computes",
        f"  {found.differing} of {found.compared} integers differ between the last "
        "two, over all layers and frames",
        *(f"  note: {note}" for note in found.notes),
    ]
    return "\n".join(lines)


def percent_in_words(value: float | None) -> str:
    """Return a share as a percentage, or that it is unknown; always as wide."""
    return " unknown" if value is None else f"{value:6.2f} %"


def values_json(found: object) -> dict[str, object]:
    """Return a dataclass or a mapping as JSON values."""
    made = to_jsonable_python(found)
    assert isinstance(made, dict)
    return made


def render_emission(emission: Emission) -> str:
    """Return what was emitted, as text."""
    return "\n".join(
        (
            f"{emission.project}: {emission.files} files, {emission.steps} steps "
            f"{start_in_words(emission.batch)}, digest {emission.digest}",
            emission.weights,
            f"{emission.project / 'README.md'} says what to type.",
        )
    )


def render_simulation(result: SimulationResult) -> str:
    """Return what the simulation says, as text."""
    verdict = "bit-exact" if result.exact else "DIFFERS"
    lines = [
        f"{result.images} images, {result.build} build: {verdict}, "
        f"{result.mismatches} bytes in {result.wrong_images} images differ from the "
        "integers",
        f"simulated in {result.seconds:.2f} s "
        f"({result.seconds / max(1, result.images):.3f} s an image)",
    ]
    if result.wrong_steps is not None:
        lines.append(f"maps after every step: {result.wrong_steps} steps differ")
    head = (f"cycles of {start_in_words(result.batch)}", "model", "replayed", "ratio")
    table = text_table(head, cycle_rows(result), left={0})
    lines += ["", *_accuracy_lines(result), table]
    if result.fifos:
        rows = [(name, str(depth), str(least)) for name, depth, least in result.fifos]
        lines += ["", text_table(("stream", "depth", "least"), rows, left={0})]
    return "\n".join(lines)


def _accuracy_lines(result: SimulationResult) -> list[str]:
    if result.simulated_top1 is None or result.integer_top1 is None:
        if result.simulated_agreement is None:
            return []
        same = f"{result.simulated_agreement:.2f} % of {result.images} test frames"
        return [f"same class simulated as in float: {same}", ""]
    known = result.quantization
    total = "" if known is None else f" of {known.frames}"
    lines = [f"top-1 on {result.images}{total} test frames, all figures on the same"]
    if known is not None:
        lines.append(f"  float       {percent_in_words(result.float_top1)}")
        lines.append(f"  quantized   {percent_in_words(result.quantized_top1)}")
    lines.append(f"  integer     {result.integer_top1:6.2f} %")
    lines.append(f"  simulated   {result.simulated_top1:6.2f} %")
    return [*lines, ""]


def cycle_rows(result: SimulationResult) -> list[tuple[str, str, str, str]]:
    """Return the cycles of every invocation and of all: priced, replayed, ratio."""
    return [
        (name, str(model), str(replayed), f"{model / max(1, replayed):.3f}")
        for name, model, replayed in (
            *((plain(i.name), i.model, i.replayed) for i in result.invocations),
            ("total", result.cycles_model, result.cycles_replayed),
        )
    ]


def simulation_json(result: SimulationResult) -> dict[str, object]:
    """Return what the simulation says as JSON values."""
    return {**values_json(result), "exact": result.exact}


def render_findings_by_tool(found: Mapping[str, Sequence["Finding"]]) -> str:
    """Return what the lint found for each tool generation, as text."""
    # Its parsers are optional, and all commands read this module.
    from hao.lint.finding import render_findings

    lines = []
    for tool, findings in found.items():
        lines.append(f"{tool}: {len(findings)} findings")
        if findings:
            lines.append(render_findings(findings))
    return "\n".join(lines)
