"""How many cycles an iteration needs for its accesses: the ports of memories and FIFOs.

A memory has two ports a bank, unless a pragma says otherwise; a FIFO takes one access a
cycle from either side; a port of the bus one beat. Accesses in branches that exclude
each other count once: what counts is the path with the most. The tools may copy a memory
that is read more often, so that this is an upper bound.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hao.schedule.accesses import Access
from hao.schedule.build import BuiltLoop
from hao.schedule.layout import Layout
from hao.schedule.memory import Storage, Variable, bank_of
from hao.schedule.regions import Loop

Bank = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class PortLimit:
    """The ports that an iteration waits for longest.

    Attributes:
        interval: Least initiation interval, at least 1 [cycles].
        variable: What is accessed, in words; "" where nothing is short.
        reads: Reads of one bank on one path.
        writes: Writes of it.
    """

    interval: int
    variable: str = ""
    reads: int = 0
    writes: int = 0


def find_port_limit(built: BuiltLoop, layout: Layout) -> PortLimit:
    """Return the ports that an iteration of a loop waits for longest."""
    worst = PortLimit(1)
    for key, accesses in built.accesses.items():
        variable = built.variables[key]
        for found in _limits(built.loop, variable, accesses, layout):
            if found.interval > worst.interval:
                worst = found
    return worst


def _limits(
    loop: Loop, variable: Variable, accesses: Iterable[Access], layout: Layout
) -> Iterable[PortLimit]:
    if variable.storage is Storage.MEMORY:
        banks = _by_bank(variable, accesses, layout)
        for reads, writes in (_busiest(loop, bank) for bank in banks):
            if variable.shared:
                need = math.ceil((reads + writes) / variable.reads)
            else:
                need = max(
                    math.ceil(reads / variable.reads),
                    math.ceil(writes / variable.writes),
                )
            yield PortLimit(max(1, need), variable.name, reads, writes)
    elif variable.storage in (Storage.STREAM, Storage.BUS):
        blocks: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for item in accesses:
            blocks[item.block][item.writes] += 1
        reads, writes = _busiest(loop, blocks)
        what = "FIFO" if variable.storage is Storage.STREAM else "bus port"
        yield PortLimit(max(1, reads, writes), f"{what} {variable.name}", reads, writes)


def _by_bank(
    variable: Variable, accesses: Iterable[Access], layout: Layout
) -> list[dict[str, list[int]]]:
    """Return reads and writes by block, for each bank.

    An access whose bank is not known may meet any. Accesses of a block to one word
    count once.
    """
    element = layout.size(layout.element(variable.type))
    seen: dict[str, set[tuple[bool, Bank, object, int]]] = defaultdict(set)
    for item in accesses:
        bank: Bank = bank_of(item.address, variable.banks)
        word = item.address.offset
        if variable.word > 1:
            word //= variable.word
        elif element > 1:
            bank = (*bank, item.address.offset % element)
        seen[item.block].add((item.writes, bank, item.address.terms, word))
    every = {bank for words in seen.values() for _, bank, _, _ in words}
    chosen = {bank for bank in every if None not in bank} or every
    found = []
    for bank in chosen:
        blocks: dict[str, list[int]] = {}
        for block, words in seen.items():
            counts = [0, 0]
            for writes, other, _, _ in words:
                if all(a is None or b is None or a == b for a, b in _pairs(bank, other)):
                    counts[writes] += 1
            blocks[block] = counts
        found.append(blocks)
    return found


def _pairs(a: Bank, b: Bank) -> Iterable[tuple[int | None, int | None]]:
    return zip(a, b, strict=True)


def _busiest(loop: Loop, blocks: Mapping[str, list[int]]) -> tuple[int, int]:
    """Return reads and writes along the path that has the most of both."""
    best: dict[str, tuple[int, int, int]] = {}
    most = (0, 0, 0)
    for block in loop.order:
        before = max((best[p] for p in loop.pred[block]), default=(0, 0, 0))
        reads, writes = blocks.get(block, (0, 0))
        best[block] = (
            before[0] + reads + writes,
            before[1] + reads,
            before[2] + writes,
        )
        most = max(most, best[block])
    return most[1], most[2]
