"""How many cycles an iteration needs for its accesses: the ports of memories and FIFOs.

A memory has two ports a bank, unless a pragma says otherwise; a FIFO takes one access a
cycle from either side; a port of the bus one beat. Accesses in branches that exclude
each other count once: what counts is the path with the most. The tools may copy a
memory that is read more often, so that this is an upper bound.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hao.schedule.accesses import Access
from hao.schedule.built import BuiltLoop
from hao.schedule.facts import LoopFacts, exclude
from hao.schedule.layout import Layout
from hao.schedule.memory import Address, IrVariable, Storage, find_spot

_FEW = 48
"""Blocks up to which conditions are compared pair by pair; chosen here, for speed."""

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
    facts = LoopFacts(built.loop)
    worst = PortLimit(1)
    for key, accesses in built.accesses.items():
        variable = built.variables[key]
        for use in _uses(built, layout, variable, accesses):
            reads, writes = _busiest(built, facts, use)
            found = _limit(variable, reads, writes)
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


def _limit(variable: IrVariable, reads: int, writes: int) -> PortLimit:
    """Return the interval that so many accesses an iteration need."""
    if variable.storage is Storage.MEMORY:
        both = math.ceil((reads + writes) / variable.reads)
        apart = max(
            math.ceil(reads / variable.reads), math.ceil(writes / variable.writes)
        )
        need = both if variable.shared else apart
        return PortLimit(max(1, need), variable.name, reads, writes)
    what = "FIFO" if variable.storage is Storage.STREAM else "bus port"
    return PortLimit(max(1, reads, writes), f"{what} {variable.name}", reads, writes)


def _uses(
    built: BuiltLoop, layout: Layout, variable: IrVariable, accesses: Iterable[Access]
) -> Iterable[_Use]:
    """Yield the accesses to each bank of a memory, or to a FIFO or a port."""
    if variable.storage is Storage.MEMORY:
        yield from _by_bank(built, layout, variable, accesses)
    elif variable.storage in (Storage.STREAM, Storage.BUS):
        is_bus = variable.storage is Storage.BUS
        use = _Use()
        for way, block, beat in {
            (item.writes, item.block, _beat(variable, item) if is_bus else item.rank)
            for item in accesses
        }:
            use.add(block, (block, beat), writes=way)
        yield use


def _beat(variable: IrVariable, item: Access) -> tuple[object, int]:
    """Return which beat an access to the bus is part of."""
    return item.address.terms, item.address.offset // variable.word


def _by_bank(
    built: BuiltLoop, layout: Layout, variable: IrVariable, accesses: Iterable[Access]
) -> Iterable[_Use]:
    """Yield the accesses to each bank.

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
            pairs = zip(chosen, other, strict=True)
            if all(a is None or b is None or a == b for a, b in pairs):
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


def _busiest(built: BuiltLoop, facts: LoopFacts, use: _Use) -> tuple[int, int]:
    """Return reads and writes of the blocks that together make most of both.

    Blocks go together if a way leads through them and nothing known contradicts. A word
    that several blocks read is read once.
    """
    chosen = _path(built, facts, use.blocks)
    if 1 < len(use.blocks) <= _FEW:
        chosen = min(chosen, _together(facts, use.blocks), key=sum)
    return min(chosen[0], len(use.words[0])), chosen[1]


def _path(
    built: BuiltLoop, facts: LoopFacts, counts: Mapping[str, list[int]]
) -> tuple[int, int]:
    """Return reads and writes along the way that has most of both."""
    best: dict[str, tuple[int, int, int]] = {}
    most = (0, 0, 0)
    for block in built.loop.order:
        ways = facts.ways[block]
        before = max((best[p] for p in ways), default=(0, 0, 0))
        taken = ways or block == built.loop.head
        reads, writes = counts.get(block, (0, 0)) if taken else (0, 0)
        both = before[0] + reads + writes
        best[block] = (both, before[1] + reads, before[2] + writes)
        most = max(most, best[block])
    return most[1], most[2]


def _together(facts: LoopFacts, counts: Mapping[str, list[int]]) -> tuple[int, int]:
    """Return reads and writes of blocks no two of which exclude each other.

    Grown from each block in turn by the next that fits, so it may miss the largest.
    """
    order = sorted(counts, key=lambda block: -sum(counts[block]))
    best = (0, 0)
    for first in order:
        held: list[str] = []
        for block in (first, *(other for other in order if other != first)):
            known = facts.known[block]
            if not any(exclude(known, facts.known[other]) for other in held):
                held.append(block)
        reads, writes = (sum(counts[block][way] for block in held) for way in (0, 1))
        best = max(best, (reads, writes), key=sum)
    return best
