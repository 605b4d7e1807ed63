"""Prices against the cycle replay: `python benchmarks/price_against_replay.py`.

Of each seed three designs: a random network on a random engine (`engine`), a random
network on its fastest engine (`fastest`), and the digits network with random channels,
some of them pruned, on its fastest engine (`narrow`). Each is emitted with random
weights, compiled, and replayed cycle by cycle for one frame; a seed always gives the
same designs under the same prices. Fastest engines are chosen by the prices that are
tested, which therefore are too low for them more often than for others.

Takes about ten CPU seconds a seed.
"""

import argparse
import random
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks._common import machine, print_table
from hao.engine.design import Design
from hao.errors import UnsupportedError
from hao.hw.board_file import load_board
from hao.ir.partition import partition
from hao.options.bits import bit_options
from hao.program.codesign import choose_fastest
from hao.program.problem import Problem
from tests.emission.random_designs import random_network, random_sample
from tests.emission.test_replayed_cycles import compared, narrowed, replayed

KINDS = ("engine", "fastest", "narrow")
BOARDS = ("zu3eg", "pynq-z2", "kv260", "zc706", "zu2eg", "aup-zu3")
BITS = (8, 8, 8, 6, 4)
LEAST = 300, 1000, 3000
"""Cycles from which on an invocation counts, counts as long, and a frame counts."""

WIDE, NARROW = 0.1, 0.03
"""Deviations that are counted: of invocations, of long ones and frames."""

Row = tuple[str, int, int, float]
"""What ran, cycles priced and replayed, and by what share the price is off."""


def fastest(seed: int) -> Design:
    """Return a random network on its fastest engine."""
    rng = random.Random(seed)
    while True:
        network = random_network(rng, f"fastest{seed}")
        try:
            partition(network)
        except UnsupportedError:
            continue
        break
    bits = rng.choice(BITS)
    options = bit_options(network, choices=(bits,), drop_by_bits={bits: 0.0})
    board = load_board(rng.choice(BOARDS))
    return choose_fastest(Problem(network=network, options=options, board=board)).design


def designed(kind: str, seed: int) -> Design:
    match kind:
        case "engine":
            return random_sample(seed).design
        case "fastest":
            return fastest(seed)
        case _:
            return narrowed(seed)


def measured(name: str, design: Design) -> Iterator[Row]:
    """Yield the invocations of a design, the first load left out, then the frame."""
    with tempfile.TemporaryDirectory(prefix="hao-") as folder:
        table, replay = replayed(design, Path(folder))
    found = compared(design, table, replay)
    cycles = [(f"{name} {i.name}", i.model, i.replayed) for i in found[1:]]
    cycles.append((name, sum(i.model for i in found), replay.cycles))
    for what, model, ran in cycles:
        yield what, model, ran, model / ran - 1


def beyond(rows: list[Row], least: int, share: float) -> str:
    kept = [row for row in rows if row[2] > least]
    return f"{sum(abs(row[3]) > share for row in kept)} of {len(kept)}"


def summary(runs: list[Row], frames: list[Row]) -> list[str]:
    """Return the counts of a set of designs."""
    short, long, whole = LEAST
    shares = [row[3] for row in runs if row[2] > short] or [0.0]
    totals = [abs(row[3]) for row in frames if row[2] > whole] or [0.0]
    return [
        str(len(frames)),
        beyond(runs, short, WIDE),
        f"{100 * min(shares):+.0f} to {100 * max(shares):+.0f} %",
        beyond(runs, long, NARROW),
        beyond(frames, whole, NARROW),
        f"{100 * statistics.median(totals):.1f} %",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=5000, help="first seed")
    parser.add_argument("--count", type=int, default=10, help="seeds")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--all", action="store_true", help="print every invocation")
    args = parser.parse_args()
    print(f"Seeds {args.first} to {args.first + args.count - 1}; {machine()}.\n")
    every: dict[str, tuple[list[Row], list[Row]]] = {}
    for kind in args.kinds:
        runs, frames = every.setdefault(kind, ([], []))
        for seed in range(args.first, args.first + args.count):
            *own, frame = measured(f"{kind} {seed}", designed(kind, seed))
            runs += own
            frames.append(frame)
    both = list(every.values())
    every["all"] = (
        [r for runs, _ in both for r in runs],
        [f for _, fs in both for f in fs],
    )
    header = [
        "kind",
        "designs",
        f"invocations above {LEAST[0]} cycles beyond {WIDE:.0%}",
        "the worst of them",
        f"above {LEAST[1]}, beyond {NARROW:.0%}",
        f"frames above {LEAST[2]} beyond {NARROW:.0%}",
        "median frame",
    ]
    print_table(header, [[kind, *summary(*found)] for kind, found in every.items()])
    runs, frames = every["all"]
    off = [row for row in runs if row[2] > LEAST[0] and abs(row[3]) > WIDE]
    off += [row for row in frames if row[2] > LEAST[2] and abs(row[3]) > NARROW]
    print()
    print_table(
        ["design, invocation", "priced", "replayed", "off [%]"],
        [[w, m, r, 100 * d] for w, m, r, d in (runs + frames if args.all else off)],
    )


if __name__ == "__main__":
    main()
