"""LLVM IR in text, as values: types, debug locations, functions and instructions.

Reads what LLVM prints after optimisation, one instruction a line. Asking llvmlite for
each instruction instead takes quadratic time, as LLVM numbers a whole function for every
instruction that it prints.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

_INTEGER = re.compile(r"i(\d+)$")


@lru_cache(maxsize=None)
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
        ops: Values that it takes: "%x", "@g", a number, or an expression.
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
class Function:
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
class Place:
    """A line of a source file."""

    path: str
    line: int


NOWHERE = Place("", 0)


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
        self._places: dict[int, Place] = {}
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

    def place(self, location: int) -> Place:
        """Return the line of a location, outside of the passed-over headers."""
        if location not in self._places:
            text = self.nodes.get(location, "")
            found = re.match(
                r"!DILocation\(line: (\d+),.*scope: !(\d+)(?:, inlinedAt: !(\d+))?", text
            )
            if not found:
                return NOWHERE
            path = self.path(int(found.group(2)))
            if path.startswith(self._headers) and found.group(3):
                self._places[location] = self.place(int(found.group(3)))
            else:
                self._places[location] = Place(path, int(found.group(1)))
        return self._places[location]

    def loop_range(self, loop: int) -> tuple[Place, Place]:
        """Return the first and the last line of a loop."""
        refs = [int(n) for n in re.findall(r"!(\d+)", self.nodes.get(loop, ""))]
        ends = [n for n in refs if self.nodes.get(n, "").startswith("!DILocation")]
        if len(ends) < 2:
            return NOWHERE, NOWHERE
        return self.plain_place(ends[0]), self.plain_place(ends[1])

    def in_headers(self, scope: int) -> bool:
        """Return whether a scope lies in the passed-over headers."""
        return self.path(scope).startswith(self._headers)

    def plain_place(self, location: int) -> Place:
        """Return the line of a location itself, headers included."""
        scope = self.number(location, "scope")
        return Place(self.path(scope), self.number(location, "line"))


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

    functions: dict[str, Function]
    globals: dict[str, str]
    constants: frozenset[str]
    types: dict[str, str]
    debug: Debug


_DEFINE = re.compile(r'define .*?@("[^"]+"|[-\w.$]+)\((.*)$')
_GLOBAL = re.compile(
    r'^@("[^"]+"|[-\w.$]+) = .*?\b(global|constant) (.*)$', re.MULTILINE
)
_TYPE = re.compile(r'^(%(?:"[^"]+"|[-\w.$]+)) = type (.*)$', re.MULTILINE)
_LABEL = re.compile(r'^("[^"]+"|[-\w.$]+):')


def read_module(text: str, headers: Path) -> Module:
    """Return a module from its text."""
    functions: dict[str, Function] = {}
    function: Function | None = None
    block = ""
    lines = iter(enumerate(text.splitlines()))
    for row, line in lines:
        if function is None:
            if line.startswith("define "):
                function = _read_header(line, row)
                functions[function.name] = function
                block = ""
            continue
        if line.startswith("}"):
            function = None
        elif line.startswith("  "):
            if line.endswith("["):  # a switch lists its cases on lines of their own
                for _, more in lines:
                    line += more
                    if more.startswith("  ]"):
                        break
            if not block:
                block = "%entry"
                function.blocks[block] = []
            body = function.blocks[block]
            read = _read_instruction(line.strip(), block, len(body))
            read.row = row
            body.append(read)
        elif line:
            label = _LABEL.match(line)
            if label:
                block = "%" + label.group(1)
                function.blocks[block] = []
    variables = {
        match.group(1).strip('"'): (match.group(2), _leading_type(match.group(3)))
        for match in _GLOBAL.finditer(text)
    }
    return Module(
        functions,
        {name: kind for name, (_, kind) in variables.items()},
        frozenset(name for name, (how, _) in variables.items() if how == "constant"),
        dict(_TYPE.findall(text)),
        Debug(text, headers),
    )


def _read_header(line: str, row: int) -> Function:
    found = _DEFINE.match(line)
    assert found is not None, line
    inside = "(" + found.group(2)
    parts = split_commas(inside[1 : closing(inside, 0) - 1])
    arguments = tuple(part.split()[-1] for part in parts if part)
    copies = frozenset(part.split()[-1] for part in parts if "byval" in part)
    program = re.search(r"!dbg !(\d+)", line)
    number = int(program.group(1)) if program else -1
    return Function(found.group(1).strip('"'), arguments, number, row, copies)


_RESULT = re.compile(r'(%(?:"[^"]+"|[-\w.$]+)) = (.*)$')
_NOTE = re.compile(r", !([\w.]+) !(\d+)")
_FLAGS = frozenset(
    "nuw nsw exact nneg disjoint samesign inbounds nusw tail musttail notail fast nnan "
    "ninf nsz arcp contract afn reassoc volatile atomic inrange".split()
)
_CASTS = frozenset(
    "zext sext trunc bitcast ptrtoint inttoptr sitofp uitofp fptosi fptoui fpext "
    "fptrunc addrspacecast ptrtoaddr".split()
)


def _leading_type(text: str) -> str:
    """Return the type that a text begins with."""
    if text[0] in "[{<":
        depth = 0
        for at, c in enumerate(text):
            depth += (c in "[{<") - (c in "]}>")
            if depth == 0:
                return text[: at + 1]
    if text.startswith('%"'):
        return text[: text.index('"', 2) + 1]
    return text.split(" ", 1)[0].rstrip(",")


def _typed(text: str) -> tuple[str, str]:
    """Return type and value of an operand, attributes dropped."""
    kind = _leading_type(text)
    value = text[len(kind) :].strip()
    if kind == "ptr" or " " in value:
        if "getelementptr" in value or value.startswith(("inttoptr", "ptrtoint")):
            for word in ("getelementptr", "inttoptr", "ptrtoint"):
                if word in value:
                    return kind, value[value.index(word) :]
        value = value.rsplit(" ", 1)[-1] if value[:1] not in "[{<" else value
    return kind, value


def _read_instruction(line: str, block: str, index: int) -> Instruction:
    found = _RESULT.match(line) if line[0] == "%" else None
    name, text = (found.group(1), found.group(2)) if found else ("", line)
    location = loop = -1
    if "!" in text:
        for key, number in _NOTE.findall(text):
            if key == "dbg":
                location = int(number)
            elif key == "llvm.loop":
                loop = int(number)
        cut = text.find(", !")
        text = text[:cut] if cut >= 0 else text
    words = text.split(" ")
    op = words[0]
    at, volatile, disjoint = 1, False, False
    while at < len(words) and words[at] in _FLAGS:
        volatile = volatile or words[at] == "volatile"
        disjoint = disjoint or words[at] == "disjoint"
        if op in ("tail", "musttail", "notail"):
            op = ""
        at += 1
    if op in ("tail", "musttail", "notail"):
        op, at = words[1], 2
    rest = " ".join(words[at:])
    made = name or f"%{op}#{block}#{index}"
    read = Instruction(made, op, "void", (), (), block, volatile=volatile)
    read.location, read.loop = location, loop
    read.detail = "disjoint" if disjoint else ""
    _fill(read, rest)
    return read


def _fill(read: Instruction, rest: str) -> None:
    """Read what follows the opcode."""
    op = read.op
    if op == "phi":
        read.type = _leading_type(rest)
        pairs = re.findall(r"\[ (.*?), (%(?:\"[^\"]+\"|[-\w.$]+)) \]", rest)
        read.ops = tuple(value for value, _ in pairs)
        read.labels = tuple(label for _, label in pairs)
        read.types = (read.type,) * len(pairs)
    elif op in _CASTS:
        source, _, read.type = rest.rpartition(" to ")
        kind, value = _typed(source)
        read.ops, read.types = (value,), (kind,)
    elif op in ("br", "switch"):
        labels = re.findall(r"label (%(?:\"[^\"]+\"|[-\w.$]+))", rest)
        read.labels = tuple(labels)
        if not rest.startswith("label"):
            kind, value = _typed(rest.split(", ", 1)[0])
            read.ops, read.types = (value,), (kind,)
    elif op == "call":
        _fill_call(read, rest)
    elif op in ("icmp", "fcmp"):
        read.detail, _, rest = rest.partition(" ")
        read.type = "i1"
        _fill_shared(read, rest)
    elif op == "getelementptr":
        parts = split_commas(rest)
        read.type, read.detail = "ptr", parts[0]
        _fill_each(read, parts[1:])
    elif op == "load":
        parts = split_commas(rest)
        read.type = parts[0]
        _fill_each(read, parts[1:2])
    elif op == "alloca":
        read.type, read.detail = "ptr", split_commas(rest)[0]
    elif op in ("store", "select", "insertelement", "extractelement", "insertvalue"):
        parts = split_commas(rest)
        _fill_each(read, parts[:2] if op == "store" else parts)
        if op != "store":
            read.type = read.types[1] if op == "select" else read.types[0]
    elif op in ("freeze", "fneg", "extractvalue"):
        _fill_each(read, split_commas(rest)[:1])
        read.type = read.types[0]
    elif op == "ret":
        if rest and rest != "void":
            _fill_each(read, [rest])
    elif op not in ("unreachable", "fence"):
        read.type = _leading_type(rest)
        _fill_shared(read, rest)


def _fill_each(read: Instruction, parts: list[str]) -> None:
    pairs = [_typed(part) for part in parts if part and part[:5] != "align"]
    read.types = tuple(kind for kind, _ in pairs)
    read.ops = tuple(value for _, value in pairs)


def _fill_shared(read: Instruction, rest: str) -> None:
    """Read operands that share the type in front of the first."""
    kind = _leading_type(rest)
    values = split_commas(rest[len(kind) :].strip())
    read.types, read.ops = (kind,) * len(values), tuple(values)


def _fill_call(read: Instruction, rest: str) -> None:
    found = re.search(r'(@(?:"[^"]+"|[-\w.$]+)|%[-\w.$]+)\((.*)$', rest)
    if not found:
        return
    before = rest[: found.start()].split()
    read.type = next(
        (word for word in before if word in ("void", "ptr") or word[0] in "i{[f%"),
        "void",
    )
    read.detail = found.group(1)
    inside = "(" + found.group(2)
    _fill_each(read, split_commas(inside[1 : closing(inside, 0) - 1]))


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
