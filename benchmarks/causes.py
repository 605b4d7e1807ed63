"""What each cost of a real board takes from the zoo: `python benchmarks/causes.py`.

    python benchmarks/causes.py [--board zu3eg] [--kept FILE] [NETWORK...]

For each network the fastest engine at 8 bits is searched under the model as it is, and
again with one cause changed, all else equal; every figure is predicted [frames/s].

    one at a time   as it is: the host's call counts
    back to back    without the host's call; all columns to the right are without it
    DDR 92 %        reads and writes at 92 % of the peak, as bursts of a traffic
                    generator reach (FPT 2019), not at what accelerators reach
    all BRAM        block RAM up to all that the device has, not to the board's cap
    all LUTs        the same of LUTs
    batch 2, 4      weights that load once for so many frames

Without names, the whole zoo: a few seconds to a minute of one core a search. With
`--kept`, rows are appended to that file as they come, and known ones are not run again.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks._common import machine, print_row, print_table, uniform_problem
from benchmarks._kept import Rows
from hao.errors import HaoError
from hao.hw.board import Board, Frames
from hao.hw.board_file import load_board
from hao.program.codesign import choose_fastest
from hao.zoo import build_network
from hao.zoo.registry import network_names

IDEAL_DDR_PERCENT = 92
"""Source: Manev, Vaishnav, Koch, FPT 2019, abstract (92.5 percent)."""


def boards(board: Board) -> dict[str, Board]:
    """Return the board as it is, and with each cause changed, by column."""
    alone = replace(board, frames=Frames.BACK_TO_BACK)
    cap = board.cap_percent
    return {
        "one at a time": board,
        "back to back": alone,
        "DDR 92 %": alone.at_ddr(IDEAL_DDR_PERCENT),
        "all BRAM": replace(alone, cap_percent=replace(cap, bram_18k=100)),
        "all LUTs": replace(alone, cap_percent=replace(cap, lut=100)),
        "batch 2": replace(alone, batch=2),
        "batch 4": replace(alone, batch=4),
    }


def rates(name: str, board: Board) -> dict[str, str]:
    """Return the frame rates of a network's fastest engines, by column."""
    network, found = build_network(name), {}
    for column, changed in boards(board).items():
        try:
            cost = choose_fastest(uniform_problem(network, changed)).cost
        except HaoError:
            found[column] = "none"
        else:
            found[column] = f"{cost.fps:.1f}"
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", help="of the zoo")
    parser.add_argument("--board", default="zu3eg")
    parser.add_argument("--kept", type=Path)
    arguments = parser.parse_args(argv)
    board = load_board(arguments.board)
    kept = (
        None if arguments.kept is None else Rows(arguments.kept, ("network", "board"))
    )
    print(f"{machine()}; {board.name} at {board.clock_mhz:.0f} MHz, W8A8\n")
    print_table(("network", *boards(board)), ())
    for name in arguments.networks or network_names():
        key = {"network": name, "board": board.name}
        known = kept.where(**key) if kept is not None else []
        found = known[0] if known else {**key, **rates(name, board)}
        if kept is not None and not known:
            kept.add(found)
        print_row((name, *(found[column] for column in boards(board))))


if __name__ == "__main__":
    main()
