"""Load sources and parse what one tool generation sees of them.

tree-sitter gives the syntax tree; it keeps pragmas as nodes at their place, which a
compiler drops. Only this module touches its parser.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tree_sitter_cpp
from tree_sitter import Language, Node, Parser

from hao.errors import InputError
from hao.lint.finding import Tool
from hao.lint.preprocess import ActiveFile, Macro, find_include, preprocess

SUFFIXES = frozenset({".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp"})
HEADERS = frozenset({".h", ".hh", ".hpp"})


@dataclass(frozen=True, slots=True)
class Source:
    """One parsed file; `root` is its tree, of the text in `active`."""

    active: ActiveFile
    root: Node

    @property
    def path(self) -> str:
        """Path of the file, as the caller named it."""
        return self.active.path

    def line(self, node: Node) -> int:
        """Return the line in the file, from 1, where a node begins."""
        return self.active.origins[node.start_point[0]]


@dataclass(frozen=True, slots=True)
class Unit:
    """A root file with all it includes, in the order of inclusion."""

    root: str
    sources: tuple[Source, ...]
    macros: Mapping[str, Macro]


def load_files(folder: Path) -> dict[str, str]:
    """Return the text of every C++ file under a folder, by relative path.

    Raises:
        InputError: There is no such folder, or a file is not UTF-8.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one with C++ sources")
    files: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES and path.is_file():
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise InputError(f"{path}: not UTF-8; convert it") from error
            files[path.relative_to(folder).as_posix()] = text
    return files


def parse_units(files: Mapping[str, str], tool: Tool) -> tuple[Unit, ...]:
    """Return the units a tool synthesizes.

    A root is a source file, or a header of a set without source files. Files with a
    `main` are test benches: the tool compiles them but builds no hardware of them, so
    they are left out, with the headers that only they include.

    Raises:
        InputError: As `preprocess`.
    """
    parser = Parser(Language(tree_sitter_cpp.language()))
    suffixes = {path: Path(path).suffix for path in files}
    roots = sorted(path for path in files if suffixes[path] not in HEADERS)
    if not roots:
        included = _included(files)
        roots = sorted(path for path in files if path not in included) or sorted(files)
    units = []
    for root in roots:
        active, macros = preprocess(files, root, tool)
        sources = tuple(
            Source(file, parser.parse("\n".join(file.lines).encode()).root_node)
            for file in active.values()
        )
        if not any(_has_main(source) for source in sources):
            units.append(Unit(root, sources, macros))
    return tuple(units)


def _included(files: Mapping[str, str]) -> set[str]:
    """Return the files that another one includes."""
    found: set[str] = set()
    for path, text in files.items():
        for line in text.splitlines():
            if line.lstrip().startswith("#include"):
                rest = line.split("include", 1)[1].strip()
                target = find_include(rest, path, files)
                if target is not None and target != path:
                    found.add(target)
    return found


def _has_main(source: Source) -> bool:
    return any(
        declared_name(node) == "main"
        for node in source.root.named_children
        if node.type == "function_definition"
    )


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it, in order of the text."""
    todo = [node]
    while todo:
        current = todo.pop()
        yield current
        todo.extend(reversed(current.named_children))


def text_of(node: Node | None) -> str:
    """Return the text of a node, empty for None."""
    return "" if node is None or node.text is None else node.text.decode()


def ancestors(node: Node) -> Iterator[Node]:
    """Yield the parents of a node, the nearest first."""
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def declarator_name(node: Node | None) -> Node | None:
    """Return the name inside a declarator, through arrays, pointers and the rest."""
    while node is not None:
        if node.type in {"identifier", "field_identifier", "destructor_name"}:
            return node
        if node.type in {"qualified_identifier", "template_function"}:
            node = node.child_by_field_name("name")
            continue
        inner = node.child_by_field_name("declarator")
        if inner is None and node.type in {
            *("reference_declarator", "parenthesized_declarator"),
            *("variadic_declarator", "attributed_declarator"),
        }:
            inner = next(iter(node.named_children), None)
        node = inner
    return None


def declared_name(node: Node) -> str:
    """Return the name that a declaration or definition declares, or an empty text."""
    return text_of(declarator_name(node.child_by_field_name("declarator")))
