"""Sources as one tool generation sees them: preprocessed, then parsed.

A C++ compiler's preprocessor decides conditionals and expands macros. It gets copies
from which the headers of the tool and the system are taken out, so that nothing need be
installed for them; what they declare is known by name.
"""

import posixpath
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tree_sitter import Node

from hao.errors import InputError, RefusedError
from hao.files import read_text
from hao.hls.compiler import find_preprocessor, run_compiler
from hao.hls.source import Pragma, read_source
from hao.lint.finding import Finding, LintRule, Tool
from hao.lint.tree import child, declared_name, parse, search

# Macros that the tools define while synthesizing (UG902; UG1399, "Macros").
_MACROS = {
    Tool.VIVADO_HLS: ("-D__SYNTHESIS__",),
    Tool.VITIS_HLS: ("-D__SYNTHESIS__", "-D__VITIS_HLS__"),
}
_SUFFIXES = frozenset({".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp"})
_HEADERS = frozenset({".h", ".hh", ".hpp"})
_DEFINE = re.compile(r"#define (\w+) +(.+)")
# Headers of tools and system, which some write in quotes.
_SHIPPED = re.compile(
    r"((ap|hls|xf|xcl)[_/].*|(std|math|string|assert|float|limits|time)\w*\.h|\w+)$"
)
MISSING = "#pragma hao missing"
"""Stands where a header would be that the project should have and has not."""

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include\b[ \t]*(?:"([^"\n]+)")?.*$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Unit:
    """A source file with all it includes, for one tool.

    Attributes:
        tool: That sees it so.
        root: Tree of the text.
        places: File, as the caller named it, and line of each line of the text.
        pragmas: By line of the text, from 0.
        macros: Those without parameters, by name.
    """

    tool: Tool
    root: Node
    places: tuple[tuple[str, int], ...]
    pragmas: Mapping[int, Pragma]
    macros: Mapping[str, str]

    def place(self, node: Node) -> tuple[str, int]:
        """Return file and line, from 1, where a node begins."""
        return self.places[node.start_point[0]]

    def at(self, node: Node, rule: LintRule, message: str) -> Finding:
        """Return a finding at a node."""
        return Finding(*self.place(node), rule.value, message)

    def pragma(self, node: Node) -> Pragma | None:
        """Return the pragma of the tool that a node is."""
        return self.pragmas.get(node.start_point[0])


def load_files(folder: Path) -> dict[str, str]:
    """Return the text of every C++ file under a folder, by relative path.

    Raises:
        InputError: There is no such folder, or a file cannot be read, is too large or
            not UTF-8.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one with C++ sources")
    files: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in _SUFFIXES and path.is_file():
            files[path.relative_to(folder).as_posix()] = read_text(path)
    return files


def parse_units(files: Mapping[str, str], tool: Tool) -> tuple[Unit, ...]:
    """Return the units a tool synthesizes.

    A root is a source file, or a header of a set without source files. Files with a
    `main` are test benches: the tool compiles them but builds no hardware of them, so
    they are left out, with the headers that only they include.

    Args:
        files: Text by relative path.
        tool: Whose macros are defined.

    Raises:
        RefusedError: The preprocessor refuses a file, such as for an open `#if`.
        ToolError: There is no preprocessor.
    """
    command = find_preprocessor()
    with tempfile.TemporaryDirectory(prefix="hao-lint-") as name:
        folder = Path(name).resolve()
        included = _write(files, folder)
        roots = [path for path in files if Path(path).suffix not in _HEADERS]
        roots = roots or [path for path in files if path not in included] or [*files]
        units = [_parse(command, folder, path, tool) for path in sorted(roots)]
    return tuple(unit for unit in units if not _is_bench(unit))


def _write(files: Mapping[str, str], folder: Path) -> set[str]:
    """Write the files, includes of others left out; return those that are included."""
    included: set[str] = set()

    def keep(match: re.Match[str]) -> str:
        name = posixpath.normpath(match[1] or "/").lstrip("./")
        found = {p for p in files if p == name or p.endswith("/" + name)}
        included.update(found)
        if found:
            return match[0]
        known = not name or _SHIPPED.match(name)
        return "" if known else f"{MISSING} {match[1]}"

    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_INCLUDE.sub(keep, text), encoding="utf-8")
    return included


def _parse(command: Sequence[str], folder: Path, path: str, tool: Tool) -> Unit:
    folders = [folder, *(item for item in folder.rglob("*") if item.is_dir())]
    flags = ["-E", "-dD", "-nostdinc", "-w", *_MACROS[tool]]
    flags += [f"-I{item}" for item in sorted(folders)]
    prefix = f"{folder}/"
    try:
        source = read_source(run_compiler(command, folder / path, flags))
    except RefusedError as error:
        raise RefusedError(str(error).replace(prefix, "")) from error
    lines, places, macros = [], [], {}
    for text, (where, line) in zip(source.lines, source.places, strict=True):
        own, define = where.startswith(prefix), _DEFINE.match(text)
        if own and define is not None:
            macros[define[1]] = define[2]
        lines.append(text if own and not text.startswith(("#define", "#undef")) else "")
        places.append((where.removeprefix(prefix), line))
    root = parse("\n".join(lines))
    pragmas = {item.row: item for item in source.pragmas}
    return Unit(tool, root, tuple(places) or ((path, 1),), pragmas, macros)


def _is_bench(unit: Unit) -> bool:
    return any(
        declared_name(child(node, "declarator")) == "main"
        for _, node in search(unit.root, "(function_definition) @at")
    )
