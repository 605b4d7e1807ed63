"""How many cycles an iteration needs for its accesses: the ports of memories and FIFOs.

A memory has two ports a bank, unless a pragma says otherwise; a FIFO takes one access a
cycle from either side; a port of the bus one beat. Accesses in branches that exclude
each other count once: what counts is the path with the most. The tools may copy a
memory that is read more often, so that this is an upper bound.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from hao.schedule.accesses import Access
from hao.schedule.built import BuiltLoop
from hao.schedule.layout import Layout
from hao.schedule.memory import Address, Storage, Variable, find_spot
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
        for found in _limits(built, variable, accesses, layout):
            if found.interval > worst.interval:
                worst = found
    return worst


@dataclass(slots=True)
class _Use:
    """Accesses to one bank: how many a block makes, and to which words in all."""

    blocks: dict[str, list[int]] = field(default_factory=dict)
    words: tuple[set[object], set[object]] = field(
        default_factory=lambda: (set(), set())
    )

    def add(self, block: str, word: object, *, writes: bool) -> None:
        """Count an access to a word that the block has not accessed yet."""
        self.blocks.setdefault(block, [0, 0])[writes] += 1
        self.words[writes].add(word)


def _limits(
    built: BuiltLoop, variable: Variable, accesses: Iterable[Access], layout: Layout
) -> Iterable[PortLimit]:
    loop = built.loop
    if variable.storage is Storage.MEMORY:
        for use in _by_bank(built, variable, accesses, layout):
            reads, writes = _busiest(loop, use)
            if variable.shared:
                need = math.ceil((reads + writes) / variable.reads)
            else:
                need = max(
                    math.ceil(reads / variable.reads),
                    math.ceil(writes / variable.writes),
                )
            yield PortLimit(max(1, need), variable.name, reads, writes)
    elif variable.storage in (Storage.STREAM, Storage.BUS):
        use = _Use()
        beats = {
            (item.writes, item.block, item.rank)
            if variable.storage is Storage.STREAM
            else (item.writes, item.block, _beat(variable, item))
            for item in accesses
        }
        for writes_beat, block, beat in beats:
            use.add(block, beat, writes=writes_beat)
        reads, writes = _busiest(loop, use)
        what = "FIFO" if variable.storage is Storage.STREAM else "bus port"
        yield PortLimit(max(1, reads, writes), f"{what} {variable.name}", reads, writes)


def _beat(variable: Variable, item: Access) -> tuple[object, int]:
    """Return which beat an access to the bus is part of."""
    return item.address.terms, item.address.offset // variable.word


def _by_bank(
    built: BuiltLoop, variable: Variable, accesses: Iterable[Access], layout: Layout
) -> Iterable[_Use]:
    """Return the accesses to each bank.

    An access whose bank is not known meets all. Accesses of a block to one word count
    once.
    """
    element = layout.size(layout.element(variable.type))
    seen: set[tuple[str, bool, Bank, object]] = set()
    for item in accesses:
        spot = find_spot(_stepped(built, item.address), variable.banks)
        bank: Bank = spot.banks
        word = spot.inner.offset
        if variable.word > 1:
            word //= variable.word
        elif element > 1:
            bank = (*bank, item.address.offset % element)
        seen.add((item.block, item.writes, bank, (spot.inner.terms, word)))
    every = {bank for _, _, bank, _ in seen}
    for chosen in {bank for bank in every if None not in bank} or every:
        use = _Use()
        for block, writes, other, key in seen:
            if all(a is None or b is None or a == b for a, b in _pairs(chosen, other)):
                use.add(block, key, writes=writes)
        yield use


def _stepped(built: BuiltLoop, address: Address) -> Address:
    """Return an address in iterations: counted by 4, only every fourth is met."""
    terms, offset = [], address.offset
    for name, factor in address.terms:
        start = built.starts.get(name)
        if start is None:
            terms.append((name, factor))
        else:
            terms.append((name, factor * built.steps[name]))
            offset += factor * start
    return Address(address.base, tuple(terms), offset)


def _pairs(a: Bank, b: Bank) -> Iterable[tuple[int | None, int | None]]:
    return zip(a, b, strict=True)


def _busiest(loop: Loop, use: _Use) -> tuple[int, int]:
    """Return reads and writes along the path that has the most of both.

    A word that several blocks of a path access is accessed once.
    """
    best: dict[str, tuple[int, int, int]] = {}
    most = (0, 0, 0)
    for block in loop.order:
        before = max((best[p] for p in loop.pred[block]), default=(0, 0, 0))
        reads, writes = use.blocks.get(block, (0, 0))
        best[block] = (
            before[0] + reads + writes,
            before[1] + reads,
            before[2] + writes,
        )
        most = max(most, best[block])
    return min(most[1], len(use.words[0])), min(most[2], len(use.words[1]))
