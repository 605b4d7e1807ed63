"""Which variable an access meets, and where in it.

Variables are registers, memories, constant tables, or a port of the bus. An address is
affine where that can be seen: a constant and multiples of values of the loop, in bytes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from hao.hls.source import Pragma
from hao.schedule.ir import Instruction, IrFunction, Module, constant, split_commas
from hao.schedule.layout import Layout
from hao.schedule.prepare import FIFO

SMALL = 64
"""Numbers up to which a local variable without pragma is taken for registers.

Chosen here: the tools split small arrays by themselves, and LLVM has made registers of
most of them already.
"""


class Storage(Enum):
    """What a variable becomes in hardware."""

    REGISTERS = "registers"
    MEMORY = "memory"
    TABLE = "table"
    BUS = "bus"
    STREAM = "stream"
    INPUT = "input"  # values that do not change while the process runs


@dataclass(frozen=True, slots=True)
class Bank:
    """How a dimension is split: elements, bytes of one, banks, and in which manner."""

    elements: int
    stride: int
    banks: int
    cyclic: bool


@dataclass(frozen=True, slots=True)
class IrVariable:
    """A variable.

    Attributes:
        key: Function (or "" for one of all) and name in the IR; tells variables apart.
        name: Its name in the source.
        storage: What it becomes.
        type: Its type.
        banks: Dimensions that are split into memories of their own.
        word: Bytes that are read at once: an element whose fields are joined; 1 else.
        reads: Most reads of a bank in a cycle.
        writes: Most writes of a bank in a cycle.
        shared: Whether reads and writes share the ports.
        in_luts: Whether it is a memory of LUTs rather than block RAM.
    """

    key: tuple[str, str]
    name: str
    storage: Storage
    type: str
    banks: tuple[Bank, ...] = ()
    word: int = 1
    reads: int = 2
    writes: int = 2
    shared: bool = True
    in_luts: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """Where an access goes: bytes into a variable.

    Attributes:
        base: Value or variable that it starts from.
        terms: Bytes for each of some values.
        offset: Constant bytes.
    """

    base: str
    terms: tuple[tuple[str, int], ...] = ()
    offset: int = 0


@dataclass(slots=True)
class Addresses:
    """Addresses of a function, found on demand.

    Attributes:
        values: Instructions by name.
        layout: Sizes of types.
        fixed: Values whose own sum is not looked into: those handed on by iterations.
    """

    values: Mapping[str, Instruction]
    layout: Layout
    fixed: frozenset[str] = frozenset()
    _found: dict[str, Address] = field(default_factory=dict)

    def of(self, pointer: str) -> Address:
        """Return where a pointer leads."""
        if pointer not in self._found:
            self._found[pointer] = self._trace(pointer)
        return self._found[pointer]

    def _trace(self, pointer: str) -> Address:
        if pointer.startswith("getelementptr"):
            inside = pointer[pointer.index("(") + 1 : pointer.rindex(")")]
            parts = split_commas(inside)
            values = [part.rsplit(" ", 1)[1] for part in parts[1:]]
            return self._step(parts[0], values)
        item = self.values.get(pointer)
        if item is None:
            return Address(pointer)
        if item.op == "getelementptr":
            return self._step(item.detail, list(item.ops))
        if item.op in ("phi", "select"):
            pointers = item.ops if item.op == "phi" else item.ops[1:]
            self._found[pointer] = Address(pointer)  # ends a circle
            bases = {self.of(one).base for one in pointers} - {pointer}
            if len(bases) == 1:
                return Address(bases.pop(), ((pointer, 1),))
        return Address(pointer)

    def _step(self, kind: str, values: list[str]) -> Address:
        """Follow a GEP: its pointer, then an index a level of its element type."""
        start = self.of(values[0])
        terms = dict(start.terms)
        offset = start.offset
        for level, value in enumerate(values[1:]):
            if level == 0:
                stride = self.layout.size(kind)
            else:
                dims = self.layout.dims(kind)
                fields = self.layout.fields(kind)
                if not dims and fields:
                    chosen = fields[constant(value) or 0]
                    offset += chosen.offset
                    kind = chosen.type
                    continue
                if not dims:
                    return Address(start.base, ((values[0], 1),))
                stride = dims[0][1]
                kind = kind[kind.index(" x ") + 3 : -1]
            more, constant_part = self.affine(value)
            offset += constant_part * stride
            for name, factor in more.items():
                terms[name] = terms.get(name, 0) + factor * stride
        kept = tuple(sorted((name, f) for name, f in terms.items() if f))
        return Address(start.base, kept, offset)

    def element(self, pointer: str) -> str:
        """Return the type of the elements that a pointer steps over; "i8" for none."""
        item = self.values.get(pointer)
        while item is not None and item.op == "getelementptr":
            if not self.layout.dims(item.detail) and item.detail != "i8":
                return item.detail
            item = self.values.get(item.ops[0])
        return "i8"

    def affine(self, value: str, depth: int = 0) -> tuple[dict[str, int], int]:
        """Return a value as multiples of others and a constant."""
        number = constant(value)
        if number is not None:
            return {}, number
        item = self.values.get(value)
        if item is None or value in self.fixed or depth > 12:
            return {value: 1}, 0
        by = constant(item.ops[1]) if len(item.ops) > 1 else None
        if item.op in ("zext", "sext", "trunc", "freeze"):
            return self.affine(item.ops[0], depth + 1)
        if item.op in ("add", "sub") or (item.op == "or" and by is not None):
            left, a = self.affine(item.ops[0], depth + 1)
            right, b = self.affine(item.ops[1], depth + 1)
            sign = -1 if item.op == "sub" else 1
            terms = dict(left)
            for name, factor in right.items():
                terms[name] = terms.get(name, 0) + sign * factor
            return terms, a + sign * b
        if item.op in ("mul", "shl") and by is not None:
            factor = by if item.op == "mul" else 1 << by
            terms, a = self.affine(item.ops[0], depth + 1)
            return {name: f * factor for name, f in terms.items()}, a * factor
        return {value: 1}, 0


def accessed_pointers(item: Instruction) -> tuple[str, ...]:
    """Return the pointers that an instruction reads or writes through, FIFOs apart."""
    if item.op in ("load", "store"):
        return item.ops[-1:]
    if item.op == "call" and item.detail.startswith(("@llvm.memcpy", "@llvm.memmove")):
        return item.ops[:2]
    return item.ops[:1] if item.detail.startswith("@llvm.memset") else ()


_MANGLED = re.compile(r"(?:E|L|^_Z)(\d+)(?=([A-Za-z_]\w*)$)")


def source_name(name: str) -> str:
    """Return what a global variable is called in the source."""
    plain = re.sub(r"[.](?:\d+|sroa.*)$", "", name)
    for found in _MANGLED.finditer(plain):
        size, rest = int(found.group(1)), found.group(2)
        if 0 < size <= len(rest) and re.fullmatch(r"(_\d+)?", rest[size:]):
            return rest[:size]
    return plain


def local_names(name: str) -> tuple[str, ...]:
    """Return what a local variable may be called in the source, likeliest first."""
    plain = name.lstrip("%").strip('"').split(".")[0]
    shorter = re.sub(r"\d+$", "", plain)
    return (plain, shorter) if shorter and shorter != plain else (plain,)


def port_limits(pragmas: Iterable[Pragma]) -> tuple[int, int, bool]:
    """Return reads, writes and whether they share ports, as storage pragmas say."""
    for item in pragmas:
        kind = (item.options.get("type") or item.options.get("core") or "").lower()
        if "s2p" in kind:
            return 1, 1, False
        if "1p" in kind:
            return 1, 1, True
        if "1wnr" in kind:
            return 1 << 30, 1, False
    return 2, 2, True


def split_banks(
    dims: tuple[tuple[int, int], ...], pragmas: Iterable[Pragma]
) -> tuple[Bank, ...]:
    """Return how partition and reshape pragmas split the dimensions of an array."""
    found: dict[int, Bank] = {}
    for item in pragmas:
        which = item.number("dim", 1 if "dim" not in item.options else 0)
        chosen = range(len(dims)) if which == 0 else [which - 1]
        for dim in chosen:
            if not 0 <= dim < len(dims):
                continue
            elements, stride = dims[dim]
            how = item.options.get("type", "")
            cyclic = "cyclic" in item.options or how == "cyclic"
            block = "block" in item.options or how == "block"
            banks = item.number("factor", elements) if cyclic or block else elements
            found[dim] = Bank(elements, stride, max(1, banks), cyclic)
    return tuple(bank for _, bank in sorted(found.items()))


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an access meets a split array.

    Attributes:
        banks: Bank in every split dimension; `None` where it is not known.
        inner: Address within the bank.
    """

    banks: tuple[int | None, ...]
    inner: Address


def find_spot(address: Address, banks: tuple[Bank, ...]) -> Spot:
    """Return bank and address within it.

    An access to a bank that is not known reads all of them at one address, and chooses.
    """
    found: list[int | None] = []
    terms, offset = address.terms, address.offset
    for bank in banks:
        whole = bank.stride * bank.elements
        index = offset % whole // bank.stride
        period = bank.stride * bank.banks if bank.cyclic else whole
        across = [
            (name, f) for name, f in terms if abs(f) >= bank.stride and f % period != 0
        ]
        size = -(-bank.elements // bank.banks)
        if across:
            found.append(None)
        else:
            found.append(index % bank.banks if bank.cyclic else index // size)
        if bank.banks == bank.elements:
            terms = tuple(pair for pair in terms if pair not in across)
            offset -= index * bank.stride
    return Spot(tuple(found), Address(address.base, terms, offset))


def called_with(module: Module) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return for every argument what callers hand over: (caller, pointer)."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for function in module.functions.values():
        for item in function.instructions():
            callee = module.functions.get(item.detail[1:].strip('"'))
            if item.op == "call" and callee is not None:
                for argument, value in zip(callee.arguments, item.ops, strict=False):
                    found.setdefault((callee.name, argument), []).append(
                        (function.name, value)
                    )
    return found


def stream_arguments(function: IrFunction) -> frozenset[str]:
    """Return the pointers that a function uses as FIFOs."""
    return frozenset(
        item.ops[0]
        for item in function.instructions()
        if item.op == "call" and item.detail.startswith(FIFO)
    )
