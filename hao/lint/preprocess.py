"""What a tool generation sees of the sources: conditionals decided, pragmas unfolded.

A small preprocessor. It decides `#if` and its relatives from the macros that a tool
defines, follows `#include "..."` into the given files, and replaces every macro whose
expansion holds `_Pragma` by `#pragma` lines, and every empty one by nothing. Other
macros stay as they are; their definitions are returned for whoever evaluates constants.
Each line keeps the number of the line it came from.
"""

import ast
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hao.errors import InputError
from hao.lint.finding import Tool

# Macros that the tools define while synthesizing (UG902; UG1399, "Macros").
TOOL_MACROS = {
    Tool.VIVADO_HLS: ("__SYNTHESIS__", "__cplusplus"),
    Tool.VITIS_HLS: ("__SYNTHESIS__", "__VITIS_HLS__", "__cplusplus"),
}
_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|[A-Za-z_]\w*')
_COMMENT = re.compile(
    r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.DOTALL
)
_DIRECTIVE = re.compile(r"\s*#\s*(\w+)\s*(.*)", re.DOTALL)
_DEFINE = re.compile(r"(\w+)(\(([^)]*)\))?\s*(.*)", re.DOTALL)
_PRAGMA_CALL = re.compile(r'_Pragma\s*\(\s*"((?:\\.|[^"\\])*)"\s*\)\s*;?')


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro; `parameters` is None for one without parentheses."""

    parameters: tuple[str, ...] | None
    body: str


@dataclass(frozen=True, slots=True)
class ActiveFile:
    """One file as a tool sees it.

    Attributes:
        lines: Text, comments blanked, inactive lines empty.
        origins: For each of `lines` the line number in the file, from 1.
    """

    path: str
    lines: tuple[str, ...]
    origins: tuple[int, ...]


@dataclass(slots=True)
class _Run:
    files: Mapping[str, str]
    macros: dict[str, Macro]
    active: dict[str, ActiveFile] = field(default_factory=dict)


def strip_comments(text: str) -> str:
    """Return the text with comments blanked and every line in its place."""

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        return re.sub(r"[^\n]", " ", found) if found[0] == "/" else found

    return _COMMENT.sub(blank, text)


def preprocess(
    files: Mapping[str, str], root: str, tool: Tool
) -> tuple[dict[str, ActiveFile], dict[str, Macro]]:
    """Return the root and the files it includes, in order of inclusion, and all macros.

    Args:
        files: Text by path; an include outside of them is left alone.
        root: One of the paths.
        tool: Whose macros are defined.

    Raises:
        InputError: A conditional is not closed, closed twice, or not understood.
    """
    run = _Run(files, {name: Macro(None, "1") for name in TOOL_MACROS[tool]})
    _process(run, root)
    return run.active, run.macros


def _process(run: _Run, path: str) -> None:
    if path in run.active:
        return
    run.active[path] = ActiveFile(path, (), ())  # keeps its place, stops cycles
    lines: list[str] = []
    origins: list[int] = []
    stack: list[tuple[bool, bool]] = []  # (active, a branch was taken)
    for number, text in _logical_lines(strip_comments(run.files[path])):
        live = all(active for active, _ in stack)
        directive = _DIRECTIVE.match(text)
        if directive is None:
            out = _unfold(text, run.macros) if live else [""]
        elif _conditional(run, directive[1], directive[2].strip(), stack, path, number):
            out = [""]
        else:
            out = [text if live else ""]
            if live:
                _obey(run, directive[1], directive[2].strip(), path)
        lines += out
        origins += [number] * len(out)
    if stack:
        raise InputError(f"{path}: #if without #endif; close each conditional")
    run.active[path] = ActiveFile(path, tuple(lines), tuple(origins))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and text, continued lines joined."""
    start, held = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        start = start or number
        if line.rstrip().endswith("\\"):
            held += line.rstrip()[:-1] + " "
            continue
        yield start, held + line
        start, held = 0, ""
    if held:
        yield start, held


def _conditional(
    run: _Run,
    word: str,
    rest: str,
    stack: list[tuple[bool, bool]],
    path: str,
    number: int,
) -> bool:
    """Update the stack for a conditional directive; False for any other."""
    where = f"{path}:{number}"
    match word:
        case "ifdef" | "ifndef":
            truth = (rest.split()[0] in run.macros) == (word == "ifdef")
            stack.append((truth, truth))
        case "if":
            truth = _truth(rest, run.macros, where)
            stack.append((truth, truth))
        case "elif" | "else" | "endif":
            if not stack:
                raise InputError(f"{where}: #{word} without #if; remove it")
            _, taken = stack.pop()
            if word == "else":
                stack.append((not taken, True))
            elif word == "elif":
                truth = not taken and _truth(rest, run.macros, where)
                stack.append((truth, taken or truth))
        case _:
            return False
    return True


def _obey(run: _Run, word: str, rest: str, path: str) -> None:
    match word:
        case "define":
            found = _DEFINE.match(rest)
            if found is not None:
                names = found[3]
                parameters = (
                    None
                    if found[2] is None
                    else tuple(
                        name.strip() for name in names.split(",") if name.strip()
                    )
                )
                run.macros[found[1]] = Macro(parameters, found[4].strip())
        case "undef":
            run.macros.pop(rest.split()[0], None)
        case "include":
            target = find_include(rest, path, run.files)
            if target is not None:
                _process(run, target)
        case _:
            pass


def find_include(text: str, path: str, files: Mapping[str, str]) -> str | None:
    """Return which of the files `"..."` names as seen from a path, or None.

    A file beside the including one wins; otherwise one whose path ends alike, as an
    include path would find it.
    """
    found = re.match(r'"([^"]+)"', text)
    if found is None:
        return None
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[1]))
    if beside in files:
        return beside
    name = posixpath.normpath(found[1])
    alike = [other for other in files if other == name or other.endswith("/" + name)]
    return min(alike, key=len, default=None)


def _truth(text: str, macros: Mapping[str, Macro], where: str) -> bool:
    """Return the value of an `#if` expression."""

    def known(match: re.Match[str]) -> str:
        return "1" if match[1] in macros else "0"

    plain = re.sub(r"\bdefined\s*\(?\s*(\w+)\s*\)?", known, text)
    plain = expand(plain, macros)
    plain = re.sub(r"\b[A-Za-z_]\w*", "0", plain)
    plain = re.sub(r"(\d)[uUlL]+\b", r"\1", plain)
    plain = plain.replace("&&", " and ").replace("||", " or ")
    plain = re.sub(r"!(?!=)", " not ", plain).strip()
    try:
        return bool(_number(ast.parse(plain, mode="eval").body))
    except (SyntaxError, ValueError) as error:
        raise InputError(
            f"{where}: #if {text} is not understood; use defined(), integers, "
            "comparisons, && || !"
        ) from error


def _number(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.Not()):
            return int(not _number(node.operand))
        case ast.UnaryOp(op=ast.USub()):
            return -_number(node.operand)
        case ast.BoolOp(op=ast.And()):
            return int(all(_number(value) for value in node.values))
        case ast.BoolOp(op=ast.Or()):
            return int(any(_number(value) for value in node.values))
        case ast.BinOp(op=ast.Add()):
            return _number(node.left) + _number(node.right)
        case ast.BinOp(op=ast.Sub()):
            return _number(node.left) - _number(node.right)
        case ast.BinOp(op=ast.Mult()):
            return _number(node.left) * _number(node.right)
        case ast.Compare(ops=[test], comparators=[other]):
            left, right = _number(node.left), _number(other)
            table = {
                ast.Eq: left == right,
                ast.NotEq: left != right,
                ast.Lt: left < right,
                ast.LtE: left <= right,
                ast.Gt: left > right,
                ast.GtE: left >= right,
            }
            return int(table[type(test)]) if type(test) in table else 0
        case _:
            raise ValueError(ast.dump(node))


def expand(
    text: str, macros: Mapping[str, Macro], hidden: frozenset[str] = frozenset()
) -> str:
    """Return the text with its macros expanded; strings are left alone."""
    out, position = "", 0
    while (match := _TOKEN.search(text, position)) is not None:
        out += text[position : match.start()]
        name, position = match[0], match.end()
        macro = None if name in hidden else macros.get(name)
        if macro is None:
            out += name
            continue
        if macro.parameters is None:
            out += expand(macro.body, macros, hidden | {name})
            continue
        end, arguments = split_arguments(text, position)
        if end < 0 or len(arguments) != max(len(macro.parameters), 1):
            out += name
            continue
        body = _substitute(macro, arguments, macros, hidden)
        out += expand(body, macros, hidden | {name})
        position = end
    return out + text[position:]


def split_arguments(text: str, position: int) -> tuple[int, list[str]]:
    """Return the end of a parenthesized list and its parts; (-1, []) if none stands."""
    opening = re.compile(r"\s*\(").match(text, position)
    if opening is None:
        return -1, []
    depth, start, parts = 1, opening.end(), []
    for at in range(opening.end(), len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0 or (depth == 1 and text[at] == ","):
            parts.append(text[start:at].strip())
            start = at + 1
        if depth == 0:
            return at + 1, parts
    return -1, []


def _substitute(
    macro: Macro,
    arguments: list[str],
    macros: Mapping[str, Macro],
    hidden: frozenset[str],
) -> str:
    given = dict(zip(macro.parameters or (), arguments, strict=False))

    def text_of(match: re.Match[str]) -> str:
        name = match[2]
        if name not in given:
            return match[0]
        if match[1]:
            escaped = given[name].replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        return expand(given[name], macros, hidden)

    return re.sub(r"(#\s*)?\b([A-Za-z_]\w*)", text_of, macro.body)


def _unfold(text: str, macros: Mapping[str, Macro]) -> list[str]:
    """Return the line with each pragma that its macros hold on a line of its own."""
    wanted = {
        name
        for name in _TOKEN.findall(text)
        if name in macros
        and ("_Pragma" in _closure(name, macros) or not macros[name].body)
    }
    if not wanted and "_Pragma" not in text:
        return [text]
    # Macros in the arguments must be seen, others of the line must stay.
    out, position = "", 0
    while (match := _TOKEN.search(text, position)) is not None:
        out += text[position : match.start()]
        position = match.end()
        piece = match[0]
        if piece in wanted:
            end, _ = split_arguments(text, position)
            if macros[piece].parameters is not None and end >= 0:
                piece, position = text[match.start() : end], end
            piece = expand(piece, macros)
        out += piece
    out += text[position:]
    pieces = _PRAGMA_CALL.split(out)
    lines = []
    for index, piece in enumerate(pieces):
        if index % 2:
            lines.append("#pragma " + re.sub(r"\\(.)", r"\1", piece))
        elif piece.strip():
            lines.append(piece)
    return lines or [""]


def _closure(name: str, macros: Mapping[str, Macro]) -> set[str]:
    """Return the names that the expansion of a macro may hold."""
    seen: set[str] = set()
    todo = [name]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            if current in macros:
                todo += _TOKEN.findall(macros[current].body)
    return seen
