"""The reader of LLVM IR in text: one instruction a line, as LLVM prints it.

Only what LLVM makes of C++ without exceptions and vectors is understood in full; of
other instructions the operands are read.
"""

import re
from pathlib import Path

from hao.schedule.ir import (
    Debug,
    Instruction,
    IrFunction,
    Module,
    closing,
    split_commas,
)

_DEFINE = re.compile(r'define .*?@("[^"]+"|[-\w.$]+)\((.*)$')
_GLOBAL = re.compile(
    r'^@("[^"]+"|[-\w.$]+) = .*?\b(global|constant) (.*)$', re.MULTILINE
)
_TYPE = re.compile(r'^(%(?:"[^"]+"|[-\w.$]+)) = type (.*)$', re.MULTILINE)
_LABEL = re.compile(r'^("[^"]+"|[-\w.$]+):')


def read_module(text: str, headers: Path) -> Module:
    """Return a module from its text."""
    functions: dict[str, IrFunction] = {}
    function: IrFunction | None = None
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


def _read_header(line: str, row: int) -> IrFunction:
    found = _DEFINE.match(line)
    assert found is not None, line
    inside = "(" + found.group(2)
    parts = split_commas(inside[1 : closing(inside, 0) - 1])
    arguments = tuple(part.split()[-1] for part in parts if part)
    copies = frozenset(part.split()[-1] for part in parts if "byval" in part)
    program = re.search(r"!dbg !(\d+)", line)
    number = int(program.group(1)) if program else -1
    return IrFunction(found.group(1).strip('"'), arguments, number, row, copies)


_RESULT = re.compile(r'(%(?:"[^"]+"|[-\w.$]+)) = (.*)$')
_NOTE = re.compile(r", !([\w.]+) !(\d+)")
# fmt: off
_FLAGS = frozenset({
    "nuw", "nsw", "exact", "nneg", "disjoint", "samesign", "inbounds", "nusw", "tail",
    "musttail", "notail", "fast", "nnan", "ninf", "nsz", "arcp", "contract", "afn",
    "reassoc", "volatile", "atomic", "inrange",
})
_CASTS = frozenset({
    "zext", "sext", "trunc", "bitcast", "ptrtoint", "inttoptr", "sitofp", "uitofp",
    "fptosi", "fptoui", "fpext", "fptrunc", "addrspacecast", "ptrtoaddr",
})
# fmt: on


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
            cases = re.findall(r"\bi\d+ (-?\d+|true|false), label", rest)
            read.ops = (value, *cases) if op == "switch" else (value,)
            read.types = (kind,) * len(read.ops)
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
