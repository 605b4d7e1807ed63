"""Accesses of a loop to its variables, and which of them depend on which.

A read depends on every write that may have written there: earlier in the iteration if a
path leads from one to the other, or in an iteration before. A write that surely
overwrites hides those before it. DEPENDENCE pragmas are believed.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hao.hls.source import Pragma, pragmas_of
from hao.schedule.memory import Address
from hao.schedule.regions import Loop

_GRAIN = 8
_MANY = 32


@dataclass(frozen=True, slots=True)
class Access:
    """An access.

    Attributes:
        node: Operator that makes it.
        block: Block that it stands in.
        rank: Its place in the order of the loop.
        address: Where it goes.
        span: Least and largest byte that it may begin at.
        step: Bytes that all its indices move by multiples of; 0 for no index.
        size: Bytes; 0 for the whole variable.
        writes: Whether it writes; else it reads.
    """

    node: int
    block: str
    rank: int
    address: Address
    span: tuple[int, int]
    step: int
    size: int
    writes: bool


@dataclass(frozen=True, slots=True)
class Dependence:
    """A read that depends on a write some iterations before."""

    write: Access
    read: Access
    distance: int


class Reach:
    """Which block of a loop leads to which within an iteration."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self._bit = {block: 1 << at for at, block in enumerate(loop.order)}
        self._behind: dict[str, int] = {}
        for block in reversed(loop.order):
            found = self._bit[block]
            for after in loop.succ[block]:
                found |= self._behind[after]
            self._behind[block] = found

    def leads(self, a: str, b: str) -> bool:
        """Return whether a path goes from `a` to `b`, or both are one."""
        return bool(self._behind[a] & self._bit[b])


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a variable keeps what is written.

    Attributes:
        carries: Whether the next iteration can read it.
        moves_by: What every iteration adds to the values that only count, where
            addresses are compared by them; `None` where every iteration may meet all.
        rule: Iterations between a write and the reads that depend on it, as a pragma
            says; 0 for no dependence, `None` for no word.
    """

    carries: bool
    moves_by: Mapping[str, int] | None
    rule: int | None


def find_dependences(
    reach: Reach, accesses: Sequence[Access], keeping: Keeping
) -> Iterator[Dependence]:
    """Yield the dependences among the accesses to one variable.

    Args:
        reach: Paths of the loop.
        accesses: All of them, in the order of the loop.
        keeping: What the variable keeps.
    """
    writes = _Index([item for item in accesses if item.writes])
    for read in accesses:
        if read.writes:
            continue
        near = writes.near(read)
        hiding = _hiding(reach.loop, read, near)
        for write in near:
            before = write.rank < read.rank and reach.leads(write.block, read.block)
            if before and (hiding is None or write.rank >= hiding.rank):
                yield Dependence(write, read, 0)
        if not keeping.carries or hiding is not None or keeping.rule == 0:
            continue
        for write in near:
            distance = keeping.rule
            if distance is None:
                steps = keeping.moves_by
                distance = 1 if steps is None else _distance(write, read, steps)
            if distance is not None:
                yield Dependence(write, read, distance)


class _Index:
    """Writes by where they go, so that a read finds those it may meet."""

    def __init__(self, writes: Sequence[Access]) -> None:
        self._grains: dict[tuple[object, int], list[Access]] = defaultdict(list)
        self._wide: list[Access] = []
        self._moving: dict[object, list[Access]] = defaultdict(list)
        for item in writes:
            grains = _grains(item)
            if grains is None:
                self._wide.append(item)
            else:
                self._moving[item.address.terms].append(item)
                for grain in grains:
                    self._grains[item.address.terms, grain].append(item)

    def near(self, read: Access) -> list[Access]:
        """Return the writes that a read may meet, in the order of the loop."""
        found = {item.rank: item for item in self._wide}
        grains = _grains(read)
        terms = read.address.terms
        for other, items in self._moving.items():
            if grains is None or other != terms:
                found.update((x.rank, x) for x in items if _may_meet(x, read))
        for grain in grains or ():
            for item in self._grains.get((terms, grain), ()):
                if _overlap(item, read):
                    found[item.rank] = item
        return [found[rank] for rank in sorted(found)]


def _grains(item: Access) -> range | None:
    first = item.address.offset // _GRAIN
    last = (item.address.offset + item.size - 1) // _GRAIN
    return range(first, last + 1) if item.size and last - first < _MANY else None


def _overlap(a: Access, b: Access) -> bool:
    """Return whether accesses of one pattern meet in an iteration."""
    if not a.size or not b.size:
        return True
    return (
        a.address.offset < b.address.offset + b.size
        and b.address.offset < a.address.offset + a.size
    )


def _may_meet(a: Access, b: Access) -> bool:
    """Return whether the ranges of two accesses meet, steps of indices considered."""
    if not a.size or not b.size:
        return True
    if a.span[0] >= b.span[1] + b.size or b.span[0] >= a.span[1] + a.size:
        return False
    # An index of a row moves by rows: the place within the row stays.
    step = math.gcd(a.step, b.step)
    if not step:
        return True
    ahead = (b.address.offset - a.address.offset) % step
    return ahead < a.size or step - ahead < b.size


def _hiding(loop: Loop, read: Access, near: Sequence[Access]) -> Access | None:
    """Return the last write that surely wrote all that a read reads."""
    for write in reversed(near):
        if write.rank < read.rank and loop.dominates(write.block, read.block):
            if not write.size:
                return write
            if (
                write.address.terms == read.address.terms
                and read.size
                and write.address.offset <= read.address.offset
                and read.address.offset + read.size <= write.address.offset + write.size
            ):
                return write
    return None


def read_rule(pragmas: Sequence[Pragma]) -> int | None:
    """Return the distance that pragmas give reads after writes; 0 for no dependence."""
    for item in pragmas_of(pragmas, "dependence"):
        words = {word.lower() for word in item.options}
        words |= {value.lower() for value in item.options.values()}
        if "intra" in words or words & {"war", "waw"}:
            continue
        if "false" in words:
            return 0
        if "distance" in item.options:
            return max(1, item.number("distance", 1))
    return None


def _distance(write: Access, read: Access, steps: Mapping[str, int]) -> int | None:
    """Return after how many iterations a read meets a write; `None` for never.

    What cannot be told is taken to be the next iteration.
    """
    mine, other = dict(write.address.terms), dict(read.address.terms)
    if mine != other or any(name not in steps for name in mine):
        return 1
    move = sum(factor * steps[name] for name, factor in mine.items())
    ahead = write.address.offset - read.address.offset
    if move == 0:
        return 1 if _overlap(write, read) else None
    size = max(1, write.size)
    # Read address r + move * k meets write address w: k = (w - r) / move.
    quotient = ahead / move
    if abs(ahead - round(quotient) * move) >= size:
        return None
    return round(quotient) if round(quotient) > 0 else None
