"""Every constant of the cost model says where it comes from.

A constant is a module-level name in capitals, and any number above `PLAIN` within a
function that prices a block. Its source stands in the comment above it or in the
docstring below it (constants), or in the docstring of the function; what it names in
this repository must exist.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = sorted((ROOT / "hao" / "cost").glob("*.py"))
TOLD = re.compile(r"[Ss]ources?:|[Cc]hosen here|[Dd]erived here")
PLAIN = 16
"""Numbers up to here count things: ports of a LUT, operands, levels of a tree."""

FILES = re.compile(r"\b(?:data|docs|benchmarks|tests|templates)/[\w./-]+\w")


def constants(tree: ast.Module) -> Iterator[tuple[ast.stmt, str, str]]:
    """Yield module-level names in capitals, with the docstring below each."""
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        elif isinstance(node, ast.AnnAssign):
            target = node.target
        else:
            continue
        if not isinstance(target, ast.Name) or not target.id.strip("_").isupper():
            continue
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = str(after.value.value)
        yield node, target.id, text


def comment_above(lines: list[str], node: ast.stmt) -> str:
    """Return the comment over a statement and those of the same block above it."""
    index, found = node.lineno - 2, []
    while index >= 0 and lines[index].strip():
        found.append(lines[index].strip())
        index -= 1
    return " ".join(line for line in reversed(found) if line.startswith("#"))


def block_below(lines: list[str], tree: ast.Module, node: ast.stmt) -> str:
    """Return the docstring that ends the block of constants that a name stands in."""
    last = node.end_lineno or node.lineno
    texts = []
    for other in tree.body:
        if other.lineno <= last or any(
            not line.strip() for line in lines[last : other.lineno - 1]
        ):
            continue
        if isinstance(other, ast.Expr) and isinstance(other.value, ast.Constant):
            texts.append(str(other.value.value))
            break
        last = other.end_lineno or other.lineno
    return " ".join(texts)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_constant_has_a_source(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines, tree = text.splitlines(), ast.parse(text)
    without = []
    for node, name, below in constants(tree):
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        numbers = [
            item.value
            for item in ast.walk(value or node)
            if isinstance(item, ast.Constant) and isinstance(item.value, int | float)
        ]
        names = [i for i in ast.walk(value or node) if isinstance(i, ast.Call)]
        if not numbers and not names:
            continue
        told = f"{comment_above(lines, node)} {below} {block_below(lines, tree, node)}"
        if not TOLD.search(told):
            without.append(name)
    assert without == []


def test_every_block_formula_has_a_source() -> None:
    tree = ast.parse((ROOT / "hao" / "cost" / "blocks.py").read_text(encoding="utf-8"))
    without = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        large = [
            item.value
            for item in ast.walk(node)
            if isinstance(item, ast.Constant)
            and isinstance(item.value, int | float)
            and abs(item.value) > PLAIN
        ]
        if large and not TOLD.search(ast.get_docstring(node) or ""):
            without.append(node.name)
    assert without == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_what_a_source_names_exists(path: Path) -> None:
    named = set(FILES.findall(path.read_text(encoding="utf-8")))
    missing = [name for name in sorted(named) if not (ROOT / name).exists()]
    assert missing == []


def test_the_walk_finds_a_constant_without_a_source() -> None:
    text = '# A count.\nMANY = 17\n\nOTHER = 18\n"""Of things. Source: here."""\n'
    lines, tree = text.splitlines(), ast.parse(text)
    found = {}
    for node, name, below in constants(tree):
        told = f"{comment_above(lines, node)} {below} {block_below(lines, tree, node)}"
        found[name] = bool(TOLD.search(told))
    assert found == {"MANY": False, "OTHER": True}
