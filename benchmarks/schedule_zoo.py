"""Do the fastest engines of the zoo keep an iteration a cycle, and fit the device?

    python benchmarks/schedule_zoo.py [--boards zu3eg,kv260] [--all | NETWORK...]

For each network and board the fastest engine at 8-bit weights is chosen and its project
emitted with random weights; the analysis behind `hao schedule` looks at every pipelined
loop of these sources. Nothing here was synthesized: frame rates and shares of the
device are predicted, loops analysed from source (docs/schedule.md).

    worst      the loop whose recurrence takes the largest share of what a cycle leaves
               at 27 % uncertainty (Vitis HLS' default), and that share; below 0.9: II 1
    12.5 %     the largest share of what Vivado HLS' default leaves
    ports      the largest interval that memories and FIFOs ask for
    div        dividers by a variable
    no burst   accesses to the bus that cannot burst

Half a minute to two minutes of one core a line; `--all` looks at the whole zoo, which
takes hours. Without it and without names: the networks of `SAMPLE`.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks._common import machine, print_row, print_table, uniform_problem
from hao.emission.project import render_project, write_project
from hao.errors import HaoError
from hao.hw.board import Board
from hao.hw.board_file import load_board
from hao.ir.seeded import seeded_frames, seeded_integers
from hao.program.codesign import SolveReport, choose_fastest
from hao.schedule.analyse import analyse_project
from hao.schedule.project import load_project
from hao.schedule.recurrence import Recurrence
from hao.schedule.result import ScheduleReport
from hao.zoo import build_network
from hao.zoo.registry import network_names

HEADER = (
    *("network", "board", "frames/s", "LUT %", "DSP %", "BRAM %", "worst", "share"),
    *("12.5 %", "ports", "div", "no burst", "CPU s"),
)
SAMPLE = ("digits", "cnv_cifar", "vgg16_cifar", "resnet18", "mobilenet_v2_100")
VITIS, VIVADO = 0.27, 0.125


def analyse(report: SolveReport, folder: Path) -> ScheduleReport:
    """Emit a design with random weights and analyse its loops."""
    design = report.design
    net = seeded_integers(
        design.network, design.weight_bits, act_bits=design.engine.act_bits, seed=0
    )
    frames = seeded_frames(net, 1, 1)
    project = render_project(design, net, report.cost, frames)
    write_project(project, folder / "hls", force=True)
    return analyse_project(load_project(folder / "hls"))


def shares(found: ScheduleReport, uncertainty: float) -> list[tuple[float, str]]:
    """Return what every loop's recurrence takes of a cycle, the largest first."""
    budget = found.clock_ns * (1 - uncertainty)
    rows = [
        (_period(loop.recurrences[0]) / budget, f"{loop.process}/{loop.label}")
        for loop in found.loops
    ]
    return sorted(rows, reverse=True)


def _period(found: Recurrence) -> float:
    return math.inf if found.least_period is None else found.least_period


def row(name: str, board: Board, title: str) -> tuple[object, ...]:
    """Return a network's line on a board, or why there is none."""
    start = time.process_time()
    try:
        report = choose_fastest(uniform_problem(build_network(name), board))
    except HaoError as error:
        return (name, title, f"refused: {error}"[:60], *[""] * 10)
    with tempfile.TemporaryDirectory() as folder:
        found = analyse(report, Path(folder))
    used, device = report.cost.resources, board.resources
    (share, loop), (later, _) = shares(found, VITIS)[0], shares(found, VIVADO)[0]
    return (
        name,
        title,
        f"{report.cost.fps:.1f}",
        f"{100 * used.lut / device.lut:.0f}",
        f"{100 * used.dsp / device.dsp:.0f}",
        f"{100 * used.bram_18k / device.bram_18k:.0f}",
        loop,
        f"{share:.2f}",
        f"{later:.2f}",
        max(item.ports.interval for item in found.loops),
        sum(item.counts.dividers for item in found.loops),
        sum(access.obstacle != "" for item in found.loops for access in item.bus),
        f"{time.process_time() - start:.0f}",
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", help="of the zoo")
    parser.add_argument("--all", action="store_true", help="every network of the zoo")
    parser.add_argument("--boards", default="zu3eg,kv260,pynq-z2")
    arguments = parser.parse_args(argv)
    print(f"{machine()}\n")
    print_table(HEADER, ())
    every = network_names() if arguments.all else SAMPLE
    for name in arguments.networks or every:
        for title in arguments.boards.split(","):
            print_row(row(name, load_board(title), title))


if __name__ == "__main__":
    main()
