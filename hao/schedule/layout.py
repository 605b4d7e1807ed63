"""Sizes of types: bytes as the compiler lays them out, bits as hardware stores them.

An integer of the analysis' `ap_int.h` carries its width as the length of an empty array
behind it, so that the bits of a word are known although memory holds whole bytes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hao.schedule.ir import split_commas, type_bits

_ARRAY = re.compile(r"\[(\d+) x (.*)\]$")
_MARK = re.compile(r"\[0 x \[(\d+) x i8\]\]$")


@dataclass(frozen=True, slots=True)
class StructMember:
    """A member of a struct: byte that it begins at, and its type."""

    offset: int
    type: str


class Layout:
    """Sizes of the types of a module.

    Args:
        types: Body of every named type.
    """

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = types
        self._sizes: dict[str, tuple[int, int]] = {}
        self._bits: dict[str, int] = {}

    def size(self, name: str) -> int:
        """Return the bytes from one element of an array of a type to the next."""
        return self._measure(name)[0]

    def dims(self, name: str) -> tuple[tuple[int, int], ...]:
        """Return elements and bytes of every dimension of an array, outermost first."""
        found = []
        array = _ARRAY.match(name)
        while array:
            found.append((int(array.group(1)), self.size(array.group(2))))
            name = array.group(2)
            array = _ARRAY.match(name)
        return tuple(found)

    def element(self, name: str) -> str:
        """Return what an array of any dimensions holds; else the type itself."""
        array = _ARRAY.match(name)
        return self.element(array.group(2)) if array else name

    def scalars(self, name: str) -> int:
        """Return how many numbers a type holds."""
        array = _ARRAY.match(name)
        if array:
            return int(array.group(1)) * self.scalars(array.group(2))
        fields = self.fields(name)
        if not fields:
            return 1
        if self._marked(name) is not None:
            return 1
        return sum(self.scalars(item.type) for item in fields)

    def bits(self, name: str) -> int:
        """Return the bits that a word of a type has in hardware."""
        if name not in self._bits:
            array = _ARRAY.match(name)
            marked = self._marked(name)
            if array:
                found = int(array.group(1)) * self.bits(array.group(2))
            elif marked is not None:
                found = marked
            elif self._struct(name) is not None:
                # Fillers are arrays of bytes that no source names.
                found = sum(
                    self.bits(item.type)
                    for item in self.fields(name)
                    if not re.match(r"\[\d+ x i8\]$", item.type)
                )
            else:
                found = type_bits(name)
            self._bits[name] = found
        return self._bits[name]

    def fields(self, name: str) -> tuple[StructMember, ...]:
        """Return the members of a struct; none for other types."""
        body = self._struct(name)
        if body is None:
            return ()
        packed = body.startswith("<")
        found, at = [], 0
        for part in split_commas(body.strip("<>").strip()[1:-1].strip()):
            size, align = self._measure(part)
            if not packed:
                at = -(-at // align) * align
            found.append(StructMember(at, part))
            at += size
        return tuple(found)

    def _struct(self, name: str) -> str | None:
        body = self._types.get(name, name)
        return body if body.startswith(("{", "<{")) else None

    def _marked(self, name: str) -> int | None:
        body = self._struct(name)
        if body is None:
            return None
        parts = split_commas(body.strip("<>").strip()[1:-1].strip())
        mark = _MARK.match(parts[-1]) if parts else None
        return int(mark.group(1)) if mark else None

    def _measure(self, name: str) -> tuple[int, int]:
        """Return bytes and alignment."""
        if name not in self._sizes:
            array = _ARRAY.match(name)
            if array:
                size, align = self._measure(array.group(2))
                found = (int(array.group(1)) * size, align)
            elif self._struct(name) is not None:
                found = self._measure_struct(name)
            else:
                plain = -(-type_bits(name) // 8)
                align = 1 << max(0, min(plain, 8) - 1).bit_length()
                found = (-(-plain // align) * align, align)
            self._sizes[name] = found
        return self._sizes[name]

    def _measure_struct(self, name: str) -> tuple[int, int]:
        fields = self.fields(name)
        packed = (self._struct(name) or "").startswith("<")
        align = 1 if packed else max([self._measure(f.type)[1] for f in fields] or [1])
        end = fields[-1].offset + self.size(fields[-1].type) if fields else 0
        return -(-end // align) * align, align
