"""Emitted projects on disk: written, built with g++ or clang++, run on their frames."""

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hao.cost.evaluate import evaluate
from hao.emission.project import Project, render_project, write_project
from hao.emission.stored import map_bytes
from hao.ir.integer_run import run_integer_layers
from tests.emission.random_designs import Sample

TIMEOUT = 240  # [s]
NATIVE = ("-DHAO_FAST", "-Itb/native")
# Indices past the end of a buffer would read or write a neighbour unseen.
CHECKED = ("-O0", "-fsanitize=bounds,address", "-fno-sanitize-recover=all")
SOURCES = ("src/engine.cpp", "tb/tb.cpp")
MAPS = "tb/maps.bin"
# At -O0 clang takes half of g++'s time; it brings no sanitizers of its own on Debian.
QUICKEST = "clang++" if shutil.which("clang++") else "g++"

# What the sources include of the library, compiled once for many designs.
_LIBRARY = (
    "cassert chrono cstdint cstdio cstdlib cstring map string type_traits utility "
    "vector"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended: exit status, its last line as JSON, all that it wrote."""

    status: int
    result: dict[str, int | float]
    text: str

    @property
    def exact(self) -> bool:
        """Return whether all codes of all frames and all maps were equal."""
        return (
            self.status == 0
            and self.result["mismatches"] == 0
            and self.result["wrong_steps"] == 0
        )


def write_sample(sample: Sample, folder: Path) -> Project:
    """Write a sample's project, and the maps that each of its steps leaves."""
    project = render_project(
        sample.design, sample.net, evaluate(sample.design), sample.frames
    )
    write_project(project, folder, force=True)
    (folder / MAPS).write_bytes(_recorded_maps(sample, project))
    return project


def _recorded_maps(sample: Sample, project: Project) -> bytes:
    """Return the record that `tb --maps` reads: for each step a map or nothing."""
    table, design = project.table, sample.design
    names = frozenset(s.invocation.output_name for s in design.segments)
    codes = run_integer_layers(sample.net, sample.frames[:1], names)
    parts = []
    for run, frame in zip(table.runs, table.frames, strict=True):
        if run is None or run.tile + 1 < run.tiles:
            parts.append(struct.pack("<ii", 0, 0))
            continue
        name = run.invocation.output_name
        stored = table.arena.maps[name]
        data = map_bytes(codes[name], stored)
        base = stored.base + frame * table.arena.frame_beats
        parts.append(struct.pack("<ii", base, stored.beats) + data.tobytes())
    return b"".join(parts)


def precompile(folder: Path, *flags: str) -> tuple[str, ...]:
    """Return flags that include the library's headers, compiled once for `flags`."""
    header = folder / "library.h"
    header.write_text("".join(f"#include <{name}>\n" for name in _LIBRARY.split()))
    _compile(folder, "g++", [*flags, "-x", "c++-header", str(header)], f"{header}.gch")
    return ("-include", str(header), *flags)


def build(
    folder: Path, program: str, *flags: str, compiler: str = "g++"
) -> tuple[Path, str]:
    """Return a project's program, and what the compiler said.

    Raises:
        AssertionError: It does not compile; holds the messages.
    """
    said = _compile(folder, compiler, ["-Isrc", *flags, *SOURCES], program)
    return folder / program, said


def _compile(folder: Path, compiler: str, words: Sequence[str], target: str) -> str:
    done = subprocess.run(
        [compiler, "-std=c++14", *words, "-o", target],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{folder}: {done.stderr[:4000]}"
    return done.stderr


def run(folder: Path, program: Path, *options: str) -> Outcome:
    """Return how a project's program ran its recorded frames."""
    done = subprocess.run(
        [program, "tb/frames.bin", "tb/expected.bin", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
    )
    lines = done.stdout.splitlines()
    result = json.loads(lines[-1]) if lines else {}
    return Outcome(
        status=done.returncode, result=result, text=done.stdout + done.stderr[:4000]
    )
