"""What the benchmarks share: tables, the machine, problems at uniform bits."""

import os
import platform
import resource
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from importlib.metadata import version
from io import StringIO
from pathlib import Path

from hao.accuracy.drops import load_drop_law
from hao.accuracy.published import published_networks
from hao.answer.candidates import BitRules, Candidate, make_candidate
from hao.hw.board import Board, Frames
from hao.hw.board_file import load_board
from hao.ir.network import Network
from hao.options.bits import bit_options
from hao.program.problem import DEFAULT_SPACE, Problem
from hao.program.space import Space
from hao.zoo import build_network


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a Markdown table; floats with three digits or as whole numbers."""
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print_row(row)


def print_row(row: Sequence[object]) -> None:
    """Print one line of a Markdown table."""
    print("| " + " | ".join(_text(value) for value in row) + " |", flush=True)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def machine() -> str:
    """Return the processor, the cores on offer and how busy they are."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        names = [
            line.split(":", 1)[1].strip() for line in lines if "model name" in line
        ]
        model = names[0] if names else model
    return (
        f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, gurobipy {version('gurobipy')}, "
        f"highspy {version('highspy')}"
    )


def peak_mb() -> float:
    """Return the peak memory of this process [10^6 bytes]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def back_to_back(name: str) -> Board:
    """Return a shipped board whose frames wait for no host, as peers are measured."""
    return replace(load_board(name), frames=Frames.BACK_TO_BACK)


def uniform_problem(
    network: Network,
    board: Board,
    *,
    bits: int = 8,
    act_bits: int = 8,
    space: Space = DEFAULT_SPACE,
) -> Problem:
    """Return the problem of running every layer at `bits`, at no accuracy cost."""
    options = bit_options(
        network, choices=(bits,), drop_by_bits={bits: 0.0}, keep_first_last=False
    )
    return Problem(
        network=network, options=options, board=board, act_bits=act_bits, space=space
    )


def candidate(name: str, rules: BitRules | None = None) -> Candidate:
    """Return a network of the zoo with its published top-1 and predicted drops."""
    network = build_network(name)
    known = published_networks().get((network.name, network.input.ofm.width))
    return make_candidate(
        network,
        top1=None if known is None else known.top1,
        source="" if known is None else known.best.source,
        law=load_drop_law(),
        rules=rules or BitRules(),
    )


PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


@contextmanager
def write_section(name: str) -> Iterator[None]:
    """Put what is printed into the page between the marks of a script.

    Args:
        name: The marks are `<!-- NAME -->` and `<!-- end NAME -->`.
    """
    with redirect_stdout(StringIO()) as printed:
        yield
    head, start, rest = PAGE.read_text("utf-8").partition(f"<!-- {name} -->\n")
    _, end, tail = rest.partition(f"<!-- end {name} -->")
    assert start, f"{PAGE}: the mark of {name} is missing"
    assert end, f"{PAGE}: the end mark of {name} is missing"
    PAGE.write_text(f"{head}{start}\n{printed.getvalue()}\n{end}{tail}", "utf-8")
