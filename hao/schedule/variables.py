"""Which hardware the variables of a module become, as their types and pragmas say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hao.hls.source import Pragma, pragmas_of
from hao.schedule.ir import IrFunction, Module
from hao.schedule.layout import Layout
from hao.schedule.memory import (
    SMALL,
    Addresses,
    IrVariable,
    Storage,
    called_with,
    local_names,
    port_limits,
    source_name,
    split_banks,
    stream_arguments,
)

SHALLOW = 64
"""Words up to which a memory without pragma is taken to be one of LUTs: a LUT of the
fabric holds 64 bits (UG574)."""

_PARTITION = ("array_partition", "array_reshape")
_STORAGE = ("bind_storage", "resource")
_JOIN = ("aggregate", "data_pack")


@dataclass(frozen=True, slots=True)
class Declared:
    """What only the unoptimised code tells.

    Attributes:
        words: Names of local variables that are structs: words, never memories.
        holders: Names in the source of the functions around every pragma's line, as
            mangled, by index of the pragma.
        bus_bytes: Bytes of an element, by pointer of the top function.
    """

    words: frozenset[str] = frozenset()
    holders: tuple[frozenset[str], ...] = ()
    bus_bytes: Mapping[str, int] = field(default_factory=dict)


class IrVariables:
    """The variables of a module.

    Args:
        module: Optimised.
        layout: Sizes of its types.
        pragmas: Of its source.
        top: Functions whose pointers are ports.
        declared: What the unoptimised code says.
    """

    def __init__(
        self,
        module: Module,
        layout: Layout,
        pragmas: Sequence[Pragma],
        top: Sequence[str],
        *,
        declared: Declared,
    ) -> None:
        self._declared = declared
        self._module = module
        self._layout = layout
        self._pragmas = pragmas
        self._top = frozenset(top)
        self._callers = called_with(module)
        self._streams = {
            name: stream_arguments(function)
            for name, function in module.functions.items()
        }
        self._values = {
            name: {item.name: item for item in function.instructions()}
            for name, function in module.functions.items()
        }
        self._found: dict[tuple[str, str], IrVariable] = {}
        self.bus = {
            item.options["port"]: item.options.get("bundle", "gmem")
            for item in pragmas_of(pragmas, "interface")
            if ("m_axi" in item.options or item.options.get("mode") == "m_axi")
            and "port" in item.options
        }

    def find(self, function: IrFunction, base: str) -> IrVariable:
        """Return the variable that a pointer of a function starts from."""
        key = (function.name, base)
        if key not in self._found:
            # Guards against a circle of calls.
            self._found[key] = IrVariable(key, base.lstrip("%@"), Storage.INPUT, "i8")
            self._found[key] = self._make(function, base)
        return self._found[key]

    def addresses(self, function: IrFunction, fixed: frozenset[str]) -> Addresses:
        """Return the addresses of a function."""
        return Addresses(self._values[function.name], self._layout, fixed)

    def _make(self, function: IrFunction, base: str) -> IrVariable:
        if base.startswith("@"):
            return self._global(base[1:].strip('"'))
        item = self._values[function.name].get(base)
        if item is not None and item.op == "alloca":
            return self._local(function, base, item.detail)
        if base in self._streams[function.name]:
            return IrVariable((function.name, base), base[1:], Storage.STREAM, "i8")
        if base in function.arguments and base not in function.by_value:
            return self._argument(function, base)
        return IrVariable((function.name, base), base.lstrip("%"), Storage.INPUT, "i8")

    def _argument(self, function: IrFunction, base: str) -> IrVariable:
        name = base[1:]
        if function.name in self._top:
            if name in self.bus:
                key = ("", f"bus {self.bus[name]} {name}")
                word = self._declared.bus_bytes.get(name, 1)
                return IrVariable(key, name, Storage.BUS, "i8", word=word)
            return IrVariable((function.name, base), name, Storage.MEMORY, "i8")
        for caller_name, value in self._callers.get((function.name, base), []):
            caller = self._module.functions[caller_name]
            origin = self.addresses(caller, frozenset()).of(value).base
            return self.find(caller, origin)
        return IrVariable((function.name, base), name, Storage.INPUT, "i8")

    def _global(self, name: str) -> IrVariable:
        kind = self._module.globals.get(name, "i8")
        called = source_name(name)
        key = ("", "@" + name)
        if name in self._module.constants:
            return IrVariable(key, called, Storage.TABLE, kind)
        own = self._of_static(name, called)
        return self._array(key, called, own, kind, is_word=False)

    def _local(self, function: IrFunction, base: str, kind: str) -> IrVariable:
        key = (function.name, base)
        is_stream = "hls::stream" in kind or base in self._streams[function.name]
        if is_stream:
            return IrVariable(key, base[1:], Storage.STREAM, kind)
        names = local_names(base)
        is_word = any(n in self._declared.words for n in names)
        for name in names:
            own = self._of_local(function, base, name)
            if own:
                return self._array(key, name, own, kind, is_word=is_word)
        small = self._layout.scalars(kind) <= SMALL
        return self._array(key, names[0], [], kind, is_word=is_word or small)

    def _array(
        self,
        key: tuple[str, str],
        name: str,
        own: Sequence[Pragma],
        kind: str,
        *,
        is_word: bool,
    ) -> IrVariable:
        layout = self._layout
        dims = layout.dims(kind)
        banks = split_banks(dims, pragmas_of(own, *_PARTITION))
        complete = len(banks) == len(dims) and all(b.banks == b.elements for b in banks)
        if not dims or complete or is_word:
            return IrVariable(key, name, Storage.REGISTERS, kind, banks)
        joined = bool(pragmas_of(own, *_JOIN))
        element = layout.element(kind)
        reads, writes, shared = port_limits(pragmas_of(own, *_STORAGE))
        word = layout.size(element) if joined or not layout.fields(element) else 1
        made = IrVariable(
            key, name, Storage.MEMORY, kind, banks, word, reads, writes, shared
        )
        return replace(made, in_luts=self._in_luts(made, own))

    def _in_luts(self, variable: IrVariable, own: Sequence[Pragma]) -> bool:
        """Return whether a memory is built of LUTs: by pragma, or as it is shallow."""
        for item in pragmas_of(own, *_STORAGE):
            how = " ".join(item.options.values()).lower()
            if "lutram" in how or "bram" in how or "uram" in how:
                return "lutram" in how
        words = self._layout.size(variable.type) // max(1, variable.word)
        for bank in variable.banks:
            words //= bank.banks
        return words <= SHALLOW

    def _of_static(self, mangled: str, name: str) -> list[Pragma]:
        """Return the pragmas of a static variable: those of the function around it."""
        named = self._named(name)
        held = [
            item
            for item, holders in named
            if any(mangled.startswith(f"_ZZ{holder[2:]}E") for holder in holders)
        ]
        return held or [item for item, holders in named if not holders]

    def _of_local(self, function: IrFunction, base: str, name: str) -> list[Pragma]:
        """Return the pragmas of a local variable: those in a file that uses it."""
        named = [item for item, _ in self._named(name)]
        if len({item.path for item in named}) < 2:
            return named
        paths = {
            self._module.debug.place(item.location).path
            for item in function.instructions()
            if base in item.ops and item.location >= 0
        }
        return [item for item in named if item.path in paths]

    def _named(self, name: str) -> list[tuple[Pragma, frozenset[str]]]:
        holders = self._declared.holders
        return [
            (item, holders[at] if at < len(holders) else frozenset())
            for at, item in enumerate(self._pragmas)
            if item.variable == name
        ]


def declared_words(module: Module) -> frozenset[str]:
    """Return the names of the local variables that are structs, of unoptimised code."""
    return frozenset(
        name
        for function in module.functions.values()
        for item in function.instructions()
        if item.op == "alloca" and item.detail.startswith("%")
        for name in local_names(item.name)[:1]
    )


def pragma_holders(
    module: Module, pragmas: Sequence[Pragma]
) -> tuple[frozenset[str], ...]:
    """Return for every pragma the functions of unoptimised code that it stands in."""
    debug = module.debug
    opened: dict[tuple[str, int], set[str]] = {}
    for name, function in module.functions.items():
        if function.program >= 0:
            line = debug.number(function.program, "scopeLine")
            opened.setdefault((debug.path(function.program), line), set()).add(name)
    return tuple(
        frozenset(n for brace in item.braces for n in opened.get(brace, ()))
        for item in pragmas
    )
