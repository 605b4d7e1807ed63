"""The emitted project: its files as bytes, and writing them.

Rendering is a pure function: the same design and integers give the same bytes. The
header of every file names hao's version and the digest of all the others.
"""

import functools
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from types import MappingProxyType

import jinja2
import numpy as np
from numpy.typing import NDArray

from hao import __version__
from hao.cost.evaluate import CostReport
from hao.data import data_path
from hao.emission.check_input import check_match
from hao.emission.context import make_context
from hao.emission.steps import Table, make_table
from hao.emission.stored import frame_bytes, map_bytes
from hao.emission.table_text import render_table
from hao.engine.design import Design
from hao.errors import InputError
from hao.files import put_folder, read_file, unwritable, work_folder
from hao.ir.integer import IntegerNetwork
from hao.ir.integer_run import run_integer
from hao.ir.picture import STRETCHED, Fit

MARK = "hao_project.txt"
"""File that makes a folder known as an emitted project."""

_SOURCES = (
    "pragmas.h",
    "integers.h",
    "trace.h",
    "types.h",
    "step.h",
    "layer_table.h",
    "share.h",
    "counter.h",
    "requantize.h",
    "multiply.h",
    "weight_buffer.h",
    "axi.h",
    "load.h",
    "finish.h",
    "unpack.h",
    "regroup.h",
    "pack.h",
    "engine.h",
    "engine.cpp",
)
_STAGE_SOURCES = {
    "dense": ("rows.h", "dense_window.h"),
    "depthwise": ("rows.h", "depthwise_window.h", "depthwise_array.h"),
    "pointwise": ("pointwise_vectors.h",),
}
_SKIPPING_SOURCES = ("order.h",)
_SHARING_SOURCES = ("turns.h",)
_OTHERS = {
    "tb/tb.cpp": "tb/tb.cpp.j2",
    "Makefile": "Makefile.j2",
    "run_hls.tcl": "run_hls.tcl.j2",
    "run_ooc.tcl": "run_ooc.tcl.j2",
    "run_vivado.tcl": "run_vivado.tcl.j2",
    "host/hao_layout.h": "host/hao_layout.h.j2",
    "host/main.cpp": "host/main.cpp.j2",
    "firmware/Makefile": "firmware/Makefile.j2",
    "driver/hao_driver.py": "driver_hao_driver.py.j2",
    "driver/hao_picture.py": "driver_hao_picture.py.j2",
    "driver/demo.py": "driver_demo.py.j2",
    "README.md": "project_README.md.j2",
}
_OVERLAY = "firmware/overlay.dtsi.j2"
_NATIVE = ("hls_stream.h", "hao_trace.h", "hao_replay.h", "hao_report.h")
_COPIED = {
    **{f"tb/native/{name}": f"sim/{name}" for name in _NATIVE},
    "host/hao_device.h": "host/hao_device.h",
    "host/hao_driver.h": "host/hao_driver.h",
    "host/hao_linux.h": "host/hao_linux.h",
    "host/hao_simulated.h": "host/hao_simulated.h",
    "firmware/shell.json": "firmware/shell.json",
}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a project says beside its design and its integers.

    Attributes:
        note: A sentence for its README, such as where weights come from.
        fit: How its driver brings pictures to the size of a frame.
        classes: Names of the network's outputs; empty if unknown.
    """

    note: str = ""
    fit: Fit = STRETCHED
    classes: tuple[str, ...] = ()


NOTHING_TOLD = Told()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """An HLS project.

    Attributes:
        files: Relative path to content, sorted by path.
        digest: Of all contents, as it stands in their headers.
        table: Steps and places of the feature maps.
    """

    files: dict[str, bytes]
    digest: str
    table: Table


def render_project(
    design: Design,
    net: IntegerNetwork,
    cost: CostReport,
    frames: NDArray[np.int64],
    *,
    told: Told = NOTHING_TOLD,
) -> Project:
    """Return the project of a design that runs `net`.

    Args:
        design: Engine, partition, board.
        net: Integers; its layers and bits are those of the design.
        cost: Predictions, for the project's README.
        frames: Input codes recorded with the test bench, of shape (frames, channels,
            height, width), at least one frame.
        told: What else it says.

    Raises:
        InputError: Network and design do not belong together, or a number does not fit
            the hardware.
    """
    check_match(design, net)
    if len(frames) < 1:
        raise InputError("no frames to record with the test bench; must be at least 1")
    table = make_table(design, net)
    context = make_context(design, net, table, cost)
    context |= {
        "version": __version__,
        "origin": origin_digest(design, net),
        "name": _identifier(design),
        "frames": len(frames),
        "tool_notes": [told.note] if told.note else [],
        "picture": {
            "short_side": told.fit.short_side,
            "interpolation": told.fit.interpolation.name,
            "described": str(told.fit),
        },
    }
    files = _data_files(design, net, table, frames)
    if told.classes:
        lines = (" ".join(name.split()) + "\n" for name in told.classes)
        files["driver/labels.txt"] = "".join(lines).encode()
    digest = _digest(files, context)
    context["digest"] = digest
    for path, text in _texts(context).items():
        files[path] = text.encode()
    return Project(files=dict(sorted(files.items())), digest=digest, table=table)


def _identifier(design: Design) -> str:
    name = re.sub(r"[^A-Za-z0-9_]", "_", f"{design.network.name}_{design.board.name}")
    return name if _IDENTIFIER.fullmatch(name) else f"hao_{name}"


def _data_files(
    design: Design, net: IntegerNetwork, table: Table, frames: NDArray[np.int64]
) -> dict[str, bytes]:
    source = table.arena.maps[design.network.input.name]
    result = table.arena.maps[design.segments[-1].invocation.output_name]
    expected = run_integer(net, frames)
    return {
        "layer_table.csv": render_table(table.titles, table.steps).encode(),
        "weights/weights.bin": table.weights.tobytes(),
        "tb/frames.bin": frame_bytes(
            frames,
            source,
            network=design.network,
            signed=net.maps[net.network.input.name].quant.signed,
        ).tobytes(),
        "tb/expected.bin": map_bytes(expected, result).tobytes(),
    }


def _digest(files: dict[str, bytes], context: dict[str, object]) -> str:
    """Return a digest of all that the project holds, before it stands in it."""
    probe = hashlib.sha256()
    for path, text in sorted(_texts({**context, "digest": ""}).items()):
        probe.update(path.encode() + b"\0" + text.encode() + b"\0")
    for path, data in sorted(files.items()):
        probe.update(path.encode() + b"\0" + data + b"\0")
    return probe.hexdigest()[:16]


def origin_digest(design: Design, net: IntegerNetwork) -> str:
    """Return a digest of a design and its integers."""
    probe = hashlib.sha256()
    parts = (
        *(design.network.layers, sorted(design.weight_bits.items()), design.engine),
        *(
            design.segments,
            astuple(design.board),
            net.network.layers,
            net.requantization,
        ),
        *(sorted(net.maps.items(), key=lambda item: item[0]), net.frame),
    )
    for part in parts:
        probe.update(repr(part).encode() + b"\0")
    for key, array in sorted(net.network.params.items()):
        probe.update(key.encode() + b"\0" + array.astype("<i8").tobytes())
    return probe.hexdigest()[:16]


def check_origin(project: Path, design: Design, net: IntegerNetwork) -> None:
    """Check that a project was made from a design and its integers.

    Its sources may have been edited since: a simulation then says what they do.

    Raises:
        InputError: It was made from others, or is none.
    """
    try:
        text = read_file(project / MARK).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{project}: no emitted project in it; `hao emit-hls` makes one"
        ) from error
    if f"Made from {origin_digest(design, net)}." not in text:
        raise InputError(
            f"{project}: emitted from other weights or another design; "
            "`hao emit-hls --force` renders it anew"
        )


def _texts(context: dict[str, object]) -> dict[str, str]:
    """Return the rendered text files, by path."""
    folder = data_path("templates") / "hls"
    environment = _environment(folder)
    stages = context["stages"]
    assert isinstance(stages, list)
    texts: dict[str, str] = {}
    names = list(_SOURCES)
    for stage in stages:
        names += _STAGE_SOURCES[stage.name]
        if stage.name != "depthwise":
            text = environment.get_template("src/array.h.j2").render(
                {**context, "stage": stage}
            )
            texts[f"src/{stage.name}_array.h"] = _headed(text, context)
    if context["skipping"]:
        names += _SKIPPING_SOURCES
    if context["sharing"]:
        names += _SHARING_SOURCES
    for name in dict.fromkeys(names):
        text = environment.get_template(f"src/{name}.j2").render(context)
        texts[f"src/{name}"] = _headed(text, context)
    for path, template in _OTHERS.items():
        texts[path] = environment.get_template(template).render(context)
    overlay = environment.get_template(_OVERLAY)
    texts[f"firmware/{context['name']}.dtsi"] = overlay.render(context)
    for path, name in _COPIED.items():
        texts[path] = (folder / name).read_text()
    texts[MARK] = (
        f"Emitted by hao {context['version']}; digest {context['digest']}.\n"
        f"Made from {context['origin']}.\n"
        "This folder may be replaced by `hao emit-hls --force`.\n"
    )
    return texts


@functools.cache
def _environment(folder: Path) -> jinja2.Environment:
    """Return the templates of a folder, each compiled once in a process."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the output is C++, not HTML
    )
    environment.filters["cpp"] = _cpp
    return environment


def _headed(text: str, context: dict[str, object]) -> str:
    return (
        f"// {context['name']}: emitted by hao {context['version']}, digest "
        f"{context['digest']}.\n{text}"
    )


def _cpp(value: bool) -> str:
    return "true" if value else "false"


def check_project_target(target: Path, *, force: bool) -> None:
    """Check that a project may be written to `target`.

    Raises:
        InputError: Something is there and is not to be replaced, or is no project.
    """
    if not os.path.lexists(target):
        return
    if not force:
        raise InputError(
            f"{target}: exists; must be a new directory, or `force` replaces the "
            "project"
        )
    if target.is_symlink() or not (target / MARK).is_file():
        raise InputError(
            f"{target}: no emitted project ({MARK} is not in it); `force` replaces "
            "emitted projects only"
        )


def write_project(
    project: Project,
    target: Path,
    *,
    force: bool,
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write a project into a new directory, whole or not at all.

    Args:
        project: What to write.
        target: The directory; what contains it must exist.
        force: Whether a project that is there is replaced.
        beside: More files for the directory, by name, that are not of the project.

    Raises:
        InputError: As `check_project_target`, or the directory cannot be written.
    """
    check_project_target(target, force=force)
    try:
        with work_folder(target) as work:
            new = work / "new"
            for path, data in {**project.files, **beside}.items():
                file = new / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            put_folder(new, target)
    except OSError as error:
        raise unwritable(target, error) from error
