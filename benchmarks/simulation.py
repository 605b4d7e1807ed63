"""Emitted projects: compiled, simulated, replayed: `python benchmarks/simulation.py`.

For each network the search chooses a design for zu3eg at a frame rate; it is emitted
with seeded random weights, compiled with g++ in both builds, run on two frames and
compared with the integer interpreter; the cycles of the first frame are replayed from a
trace. Seconds are wall time of one process on one core, side by side in one run.

Takes about three minutes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import hao
from benchmarks._common import machine, print_table
from hao.emission.check import run_replay, run_simulation
from hao.emission.compiling import Build, compile_project
from hao.emission.project import render_project, write_project
from hao.emission.stored import map_bytes
from hao.ir.integer_run import run_integer
from hao.ir.seeded import seeded_frames, seeded_integers
from hao.report.result import SearchResult

BOARD = "zu3eg"
FRAMES = 2
SEED = 0
CASES = (
    ("mobilenet_v2_100", 300.0),
    ("resnet18", 100.0),
    ("efficientnet_lite0", 200.0),
)

T = TypeVar("T")


def timed(call: Callable[[], T]) -> tuple[T, float]:
    started = time.monotonic()
    value = call()
    return value, time.monotonic() - started


def measured(result: SearchResult, folder: Path) -> list[str]:
    design = result.design
    net = seeded_integers(
        design.network, design.weight_bits, act_bits=design.engine.act_bits, seed=SEED
    )
    frames = seeded_frames(net, FRAMES, SEED + 1)
    project, render_s = timed(lambda: render_project(design, net, result.cost, frames))
    write_project(project, folder / "hls", force=False)
    maps = project.table.arena.maps
    stored = (
        map_bytes(frames, maps[design.network.input.name]),
        map_bytes(
            run_integer(net, frames),
            maps[design.segments[-1].invocation.output_name],
        ),
    )
    cells = [f"{render_s:.1f}"]
    outputs = []
    for kind in (Build.NATIVE, Build.AP_INT):
        program = folder / kind.value

        def compiled(kind: Build = kind, program: Path = program) -> None:
            compile_project(folder / "hls", kind, program)

        _, compile_s = timed(compiled)
        said = run_simulation(
            program, folder / "hls", frames=stored[0], expected=stored[1]
        )
        outputs.append(said.outputs)
        exact = "bit-exact" if said.mismatches == 0 else f"{said.mismatches} differ"
        cells += [f"{compile_s:.1f}", f"{said.seconds / FRAMES:.2f}", exact]
    cells.append("yes" if (outputs[0] == outputs[1]).all() else "NO")
    compile_project(folder / "hls", Build.TRACE, folder / "trace")
    replay, replay_s = timed(lambda: run_replay(folder / "trace", folder / "hls"))
    model = result.cost.latency_cycles
    cells += [
        f"{model:,}",
        f"{replay.cycles:,}",
        f"{model / replay.cycles:.3f}",
        f"{replay_s:.1f}",
    ]
    return cells


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(machine())
    rows = []
    for name, fps in CASES:
        request = hao.SearchRequest(
            board=BOARD, network=name, fps=fps, margin_percent=0
        )
        result = hao.search(request)
        with tempfile.TemporaryDirectory(prefix="hao-bench-") as work:
            label = f"{name}, {result.cost.fps:.0f} fps"
            rows.append([label, *measured(result, Path(work))])
    print_table(
        (
            "design (predicted fps)",
            "render [s]",
            "native: compile [s]",
            "a frame [s]",
            "outputs",
            "ap_int: compile [s]",
            "a frame [s]",
            "outputs",
            "builds equal",
            "cycles, model",
            "cycles, replayed",
            "ratio",
            "replay [s]",
        ),
        rows,
    )


if __name__ == "__main__":
    main()
