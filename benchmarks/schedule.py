"""How well the schedule analysis predicts initiation intervals that Vitis HLS reached.

    python benchmarks/schedule.py FOLDER...

Each folder is a checkout of a repository that holds `*.verbose.sched.rpt` files, the
vendor's own schedules; docs/schedule.md names public ones. Of every loop that such a
report schedules, the operators, their delays and their dependences are the vendor's;
the interval is predicted by hao's rules for recurrences and ports, and compared with
the one reached. Loops that a repository repeats (one function, numbered) count once.

Not judged here: the way from C++ to operators, which needs the sources of the loops in
a form that clang takes, and `ap_fixed`.
"""

import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._vendor_schedule import VendorLoop, read_loop
from hao.schedule.pipeline import find_pipeline
from hao.schedule.recurrence import find_recurrences

PATTERN = "*.verbose.sched.rpt"


@dataclass(frozen=True, slots=True)
class Judged:
    """A loop with what is predicted for it."""

    repository: str
    loop: VendorLoop
    interval: int
    depth: int

    @property
    def error(self) -> int:
        """Return predicted less reached interval [cycles]."""
        return self.interval - self.loop.achieved


def judge(folder: Path) -> list[Judged]:
    found: dict[tuple[object, ...], Judged] = {}
    for path in sorted(folder.rglob(PATTERN)):
        loop = read_loop(path.read_text(encoding="utf-8", errors="replace"))
        if loop is None:
            continue
        (recurrence,) = find_recurrences(loop.graph, [loop.budget_ns])
        interval = max(recurrence.interval, loop.port_interval(), loop.target)
        depth = find_pipeline(loop.graph, loop.budget_ns).depth
        name = re.sub(r"_?\d+$", "", path.name.removesuffix(PATTERN[1:]))
        size = len(loop.graph.operators)
        key = (path.parent, name, size, loop.achieved, loop.depth)
        found.setdefault(key, Judged(folder.name, loop, interval, depth))
    return list(found.values())


def row(title: str, chosen: Sequence[Judged]) -> str:
    count = len(chosen)
    if not count:
        return f"{title:<44} {0:>5}"
    exact = sum(item.error == 0 for item in chosen)
    near = sum(abs(item.error) <= 1 for item in chosen)
    under = sum(item.error < 0 for item in chosen)
    over = sum(item.error > 0 for item in chosen)
    depths = sorted(abs(item.depth - item.loop.depth) for item in chosen)
    return (
        f"{title:<44} {count:>5} {100 * exact / count:>6.0f} % "
        f"{100 * near / count:>8.0f} % {under:>6} {over:>5} {depths[count // 2]:>12}"
    )


GROUPS: tuple[tuple[str, Callable[[Judged], bool]], ...] = (
    ("all", lambda item: True),
    ("reached the target", lambda item: item.loop.achieved == item.loop.target),
    ("missed the target", lambda item: item.loop.achieved > item.loop.target),
    ("no array rewritten, no call", lambda item: not item.loop.rewrites),
    (
        "  of these, missed the target",
        lambda item: not item.loop.rewrites and item.loop.achieved > item.loop.target,
    ),
    ("Zynq UltraScale+", lambda item: item.loop.part.startswith("xczu")),
)


def main() -> None:
    folders = [Path(word) for word in sys.argv[1:]]
    if not folders:
        print(f"give folders with {PATTERN} files, such as docs/schedule.md names")
        return
    started = time.process_time()
    judged = [item for folder in folders for item in judge(folder)]
    print(
        f"{'loops':<44} {'count':>5} {'exact':>8} {'within 1':>10} {'under':>6} "
        f"{'over':>5} {'depth error':>12}"
    )
    for title, chosen in GROUPS:
        print(row(title, [item for item in judged if chosen(item)]))
    for folder in folders:
        print(row(folder.name, [i for i in judged if i.repository == folder.name]))
    print(f"{time.process_time() - started:.1f} CPU s")


if __name__ == "__main__":
    main()
