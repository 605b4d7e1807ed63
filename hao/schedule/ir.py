"""LLVM IR as values: types, debug locations, functions and instructions.

`hao.schedule.ir_text` reads them from what LLVM prints. Asking llvmlite for each
instruction instead takes quadratic time, as LLVM numbers a whole function for every
instruction that it prints.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

_INTEGER = re.compile(r"i(\d+)$")


@cache
def type_bits(name: str) -> int:
    """Return the bits of a scalar type: integers, pointers and floats."""
    found = _INTEGER.match(name)
    if found:
        return int(found.group(1))
    return {"half": 16, "bfloat": 16, "float": 32, "double": 64}.get(name, 64)


def split_commas(text: str) -> list[str]:
    """Return the parts between commas that stand in no bracket."""
    if not any(c in text for c in "([{<"):
        return [part.strip() for part in text.split(",")]
    parts, depth, start = [], 0, 0
    quoted = False
    for at, c in enumerate(text):
        if c == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif c in "([{<":
            depth += 1
        elif c in ")]}>":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def closing(text: str, opening: int) -> int:
    """Return the position behind the parenthesis that closes the one at `opening`."""
    depth = 0
    for at in range(opening, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at + 1
    return len(text)


@dataclass(slots=True)
class Instruction:
    """One instruction.

    Attributes:
        name: Its result, such as "%x"; made up for one without.
        op: Opcode.
        type: Type of the result; "void" for none.
        ops: Values that it takes: "%x", "@g", a number, or an expression; of a switch
            also its cases, in the order of the labels behind the first.
        types: Their types.
        block: Block that it stands in.
        detail: Predicate, callee, element type of an address, or "disjoint" of an
            `or` whose operands share no bit.
        labels: Blocks that it goes to, or that a phi comes from.
        volatile: Whether it must stay as it is.
        location: Number of its debug location; -1 for none.
        loop: Number of the loop that a branch closes; -1 for none.
        row: Line of the text that it stands on, from 0.
    """

    name: str
    op: str
    type: str
    ops: tuple[str, ...]
    types: tuple[str, ...]
    block: str
    detail: str = ""
    labels: tuple[str, ...] = ()
    volatile: bool = False
    location: int = -1
    loop: int = -1
    row: int = -1

    @property
    def width(self) -> int:
        """Return the bits of the result."""
        return type_bits(self.type)


@dataclass(slots=True)
class IrFunction:
    """A function with a body.

    Attributes:
        name: Mangled, without "@".
        arguments: Names.
        blocks: Instructions by label, in the order of the text.
        program: Number of its debug subprogram; -1 for none.
        row: Line of the text that its header is, from 0.
        by_value: Arguments that are copies made by the caller.
    """

    name: str
    arguments: tuple[str, ...]
    program: int
    row: int
    by_value: frozenset[str] = frozenset()
    blocks: dict[str, list[Instruction]] = field(default_factory=dict)

    def instructions(self) -> Iterator[Instruction]:
        """Yield every instruction, in the order of the text."""
        for body in self.blocks.values():
            yield from body


@dataclass(frozen=True, slots=True, order=True)
class SourceLine:
    """A line of a source file."""

    path: str
    line: int


NOWHERE = SourceLine("", 0)


@lru_cache(maxsize=64)
def source_lines(path: str) -> tuple[str, ...]:
    """Return the lines of a source file, none where it is not there."""
    file = Path(path)
    if not file.is_file():
        return ()
    return tuple(file.read_text(errors="replace").splitlines())


class Debug:
    """Where instructions and loops of a module come from.

    Args:
        text: The module.
        headers: Folder whose files are passed over: the place is then their user's.
    """

    def __init__(self, text: str, headers: Path) -> None:
        self.nodes: dict[int, str] = {
            int(number): body
            for number, body in re.findall(
                r"^!(\d+) = (?:distinct )?(.*)$", text, re.MULTILINE
            )
        }
        self._headers = str(headers)
        self._places: dict[int, SourceLine] = {}
        self._files: dict[int, str] = {}

    def number(self, node: int, key: str) -> int:
        """Return a reference or a number of a node by its key; -1 for none."""
        found = re.search(rf"\b{key}: !?(\d+)", self.nodes.get(node, ""))
        return int(found.group(1)) if found else -1

    def path(self, node: int) -> str:
        """Return the file of a scope."""
        if node not in self._files:
            text = self.nodes.get(node, "")
            if text.startswith("!DIFile"):
                found = re.search(r'filename: "(.*?)", directory: "(.*?)"', text)
                assert found is not None, "every file node has both"
                path = str(Path(found.group(2), found.group(1)))
            else:
                owner = self.number(node, "file")
                owner = owner if owner >= 0 else self.number(node, "scope")
                path = self.path(owner) if owner >= 0 else ""
            self._files[node] = path
        return self._files[node]

    def place(self, location: int) -> SourceLine:
        """Return the line of a location, outside of the passed-over headers."""
        if location not in self._places:
            text = self.nodes.get(location, "")
            found = re.match(
                r"!DILocation\(line: (\d+),.*scope: !(\d+)(?:, inlinedAt: !(\d+))?",
                text,
            )
            if not found:
                return NOWHERE
            path = self.path(int(found.group(2)))
            if path.startswith(self._headers) and found.group(3):
                self._places[location] = self.place(int(found.group(3)))
            else:
                self._places[location] = SourceLine(path, int(found.group(1)))
        return self._places[location]

    def loop_range(self, loop: int) -> tuple[SourceLine, SourceLine]:
        """Return the first and the last line of a loop."""
        refs = [int(n) for n in re.findall(r"!(\d+)", self.nodes.get(loop, ""))]
        ends = [n for n in refs if self.nodes.get(n, "").startswith("!DILocation")]
        if len(ends) < 2:
            return NOWHERE, NOWHERE
        return self.plain_place(ends[0]), self.plain_place(ends[1])

    def in_headers(self, scope: int) -> bool:
        """Return whether a scope lies in the passed-over headers."""
        return self.path(scope).startswith(self._headers)

    def plain_place(self, location: int) -> SourceLine:
        """Return the line of a location itself, headers included."""
        scope = self.number(location, "scope")
        return SourceLine(self.path(scope), self.number(location, "line"))


@dataclass(slots=True)
class Module:
    """A module.

    Attributes:
        functions: Those with a body, by name.
        globals: Type of every variable by name, without "@".
        constants: Names of the variables that never change.
        types: Body of every named type.
        debug: Where things come from.
    """

    functions: dict[str, IrFunction]
    globals: dict[str, str]
    constants: frozenset[str]
    types: dict[str, str]
    debug: Debug


def constant(value: str) -> int | None:
    """Return the number that a value is, or `None`."""
    if value[0] in "%@":
        return None
    if value in ("true", "false"):
        return int(value == "true")
    if value in ("zeroinitializer", "null"):
        return 0
    return int(value) if value.lstrip("-").isdigit() else None


def undefined(value: str) -> bool:
    """Return whether a value may be anything."""
    return value in ("undef", "poison")
