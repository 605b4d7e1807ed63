"""How many bits the operators of a loop really need.

Forward: the range of every value, as the bits of an unsigned and of a signed number
that hold it. A value that an iteration hands to the next starts at what the loop begins
with and is widened to its type when it keeps growing. Backward: the low bits that
anyone looks at.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from hao.schedule.ir import Instruction, constant, type_bits, undefined

_GROWTH = 3
"""Rounds that a carried value may grow before it is taken to fill its type."""

_LOOKED_THROUGH = frozenset(("zext", "sext", "trunc", "and", "lshr", "ashr", "select"))
"""Instructions before the loop whose results may be narrower than their types."""

_JOIN = frozenset(("phi", "select"))


class Range(NamedTuple):
    """Bits that hold a value.

    Attributes:
        plain: As an unsigned number.
        signed: As a signed number, its sign included.
    """

    plain: int
    signed: int

    @property
    def bits(self) -> int:
        """Return the fewer of both."""
        return max(1, min(self.plain, self.signed))


class ValueWidths:
    """Bits of the values of a loop.

    Args:
        body: Instructions, each behind those that it uses in the same iteration.
        carried: Names of the values that iterations hand on (phis of the head).
        outside: Instructions of the function by name, for values from before the loop.
        limits: Bits of counters, where the loop's end tells.
    """

    def __init__(
        self,
        body: Sequence[Instruction],
        carried: frozenset[str],
        outside: Mapping[str, Instruction],
        limits: Mapping[str, int],
    ) -> None:
        self._outside = outside
        self._ranges: dict[str, Range] = {}
        self._forward(body, carried, limits)
        self._needed = _needed_bits(body, carried)

    def range(self, value: str, kind: str) -> Range:
        """Return what holds a value of a type."""
        if value[0] not in "%@":
            number = _of_constant(value, kind)
            if number is not None:
                return number
        if value not in self._ranges:
            before = self._outside.get(value)
            self._ranges[value] = _full(kind)
            if before is not None and before.op in _LOOKED_THROUGH:
                self._ranges[value] = self._result(before)
        return self._ranges[value]

    def operand(self, item: Instruction, at: int) -> int:
        """Return the bits of an operand."""
        return self.range(item.ops[at], item.types[at]).bits

    def result(self, item: Instruction) -> int:
        """Return the bits of a result that matter."""
        held = self.range(item.name, item.type).bits
        return max(1, min(held, self._needed.get(item.name, held)))

    def compared(self, item: Instruction) -> int:
        """Return the bits that a comparison looks at."""
        both = [self.range(v, k) for v, k in zip(item.ops, item.types, strict=True)]
        return max(1, min(max(r.plain for r in both), max(r.signed for r in both)))

    def _forward(
        self,
        body: Sequence[Instruction],
        carried: frozenset[str],
        limits: Mapping[str, int],
    ) -> None:
        phis = [item for item in body if item.name in carried]
        inner = {item.name for item in body}
        rest = [
            item for item in body if item.name not in carried and item.type != "void"
        ]
        growth = dict.fromkeys(carried, 0)
        for phi in phis:
            first = [v for v in phi.ops if v not in inner]
            self._ranges[phi.name] = self._join(first, phi.type)
        before: set[str] | None = None
        changed = True
        while changed:
            changed, moved = False, set[str]()
            for item in rest:
                # What is made of values that have not changed since does not either.
                as_before = before is not None and before.isdisjoint(item.ops)
                if as_before and moved.isdisjoint(item.ops):
                    continue
                found = _limited(self._result(item), limits.get(item.name))
                if self._ranges.get(item.name) != found:
                    self._ranges[item.name] = found
                    moved.add(item.name)
            for phi in phis:
                old = self._ranges[phi.name]
                new = _limited(self._join(phi.ops, phi.type), limits.get(phi.name))
                if new.plain > old.plain or new.signed > old.signed:
                    growth[phi.name] += 1
                    wide = growth[phi.name] > _GROWTH
                    self._ranges[phi.name] = _full(phi.type) if wide else new
                    moved.add(phi.name)
                    changed = True
            before = moved

    def _join(self, values: Sequence[str], kind: str) -> Range:
        known = [self.range(v, kind) for v in values if not undefined(v)]
        return _widest(known) if known else Range(1, 1)

    def _result(self, item: Instruction) -> Range:
        """Return what holds the result of an instruction."""
        full = _full(item.type)
        width = full.plain
        if item.op in ("icmp", "fcmp"):
            return Range(1, 1)
        if item.op in _JOIN:
            return self._join(
                item.ops[1:] if item.op == "select" else item.ops, item.type
            )
        if not item.ops or not item.type.startswith("i"):
            return full
        a = self.range(item.ops[0], item.types[0])
        b = self.range(item.ops[1], item.types[1]) if len(item.ops) > 1 else a
        by = constant(item.ops[1]) if len(item.ops) > 1 else None
        found = _combined(item, a, b, by)
        plain = min(width, found.plain) if found.plain < width else width
        signed = min(found.signed, plain + 1 if plain < width else width, width)
        return Range(max(1, plain), max(1, signed))


def _limited(found: Range, bits: int | None) -> Range:
    if bits is None:
        return found
    return Range(min(found.plain, bits), min(found.signed, bits + 1))


@cache
def _full(kind: str) -> Range:
    width = type_bits(kind)
    return Range(width, width)


@cache
def _of_constant(value: str, kind: str) -> Range | None:
    """Return what holds a constant of a type; `None` for what is no number."""
    number, width = constant(value), type_bits(kind)
    if number is None:
        return None
    if number < 0:
        return Range(width, (~number).bit_length() + 1)
    bits = number.bit_length()
    return Range(max(1, bits), min(width, bits + 1))


def _widest(ranges: Sequence[Range]) -> Range:
    return Range(max(r.plain for r in ranges), max(r.signed for r in ranges))


def _combined(item: Instruction, a: Range, b: Range, by: int | None) -> Range:
    """Return a range of a result, which may exceed its type."""
    width = item.width
    whole = Range(width, width)
    match item.op:
        case "zext":
            return Range(a.plain, a.plain + 1)
        case "sext":
            inner = type_bits(item.types[0])
            return Range(a.plain if a.plain < inner else width, a.signed)
        case "trunc" | "freeze":
            return Range(a.plain, a.signed if a.signed <= width else width)
        case "add":
            return Range(max(a.plain, b.plain) + 1, max(a.signed, b.signed) + 1)
        case "sub":
            return Range(width, max(a.signed, b.signed) + 1)
        case "mul":
            return Range(a.plain + b.plain, a.signed + b.signed)
        case "and":
            plain = min(a.plain, b.plain)
            return Range(plain, plain + 1 if plain < width else max(a.signed, b.signed))
        case "or" | "xor":
            return _widest([a, b])
        case "shl" if by is not None:
            return Range(a.plain + by, a.signed + by)
        case "lshr" if by is not None:
            return Range(max(1, a.plain - by), max(1, a.plain - by) + 1)
        case "lshr":
            return Range(a.plain, width)
        case "ashr":
            less = by or 0
            plain = max(1, a.plain - less) if a.plain < width else width
            return Range(plain, max(1, a.signed - less))
        case "udiv":
            return Range(a.plain, a.plain + 1)
        case "urem":
            return Range(min(a.plain, b.plain), min(a.plain, b.plain) + 1)
        case "sdiv":
            return Range(a.plain if a.plain < width else width, a.signed + 1)
        case "srem":
            plain = min(a.plain, b.plain) if a.plain < width else width
            return Range(plain, min(a.signed, b.signed + 1))
        case "call" if item.detail.startswith("@llvm.umin"):
            return Range(min(a.plain, b.plain), width)
        case "call" if item.detail.startswith(
            ("@llvm.smax", "@llvm.smin", "@llvm.umax")
        ):
            return _widest([a, b])
        case _:
            return whole


_PASSING = frozenset(
    ("add", "sub", "mul", "and", "or", "xor", "phi", "select", "freeze")
)


def _needed_bits(
    body: Sequence[Instruction], carried: frozenset[str]
) -> dict[str, int]:
    """Return the low bits of every value that an instruction of the loop looks at."""
    needed: dict[str, int] = {}
    for item in reversed(body):
        whole = item.width if item.type != "void" else 0
        own = whole if item.name in carried else needed.get(item.name, whole)
        for at, (value, kind) in enumerate(zip(item.ops, item.types, strict=True)):
            if value[0] != "%":
                continue
            bits = type_bits(kind)
            if item.op == "trunc" or (item.op in ("zext", "sext")):
                bits = min(bits, own)
            elif item.op in _PASSING and not (item.op == "select" and at == 0):
                bits = min(bits, own)
                if item.op == "and":
                    mask = constant(item.ops[1 - at])
                    if mask is not None and mask >= 0:
                        bits = min(bits, mask.bit_length())
            elif item.op == "shl" and at == 0:
                by = constant(item.ops[1])
                bits = max(1, min(bits, own - by)) if by is not None else min(bits, own)
            needed[value] = max(needed.get(value, 0), bits)
    return needed
