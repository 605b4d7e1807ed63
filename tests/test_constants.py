"""One number, one name, one place: no public constant stands in two modules."""

import ast
from collections import defaultdict
from pathlib import Path

import hao

PACKAGE = Path(hao.__file__).parent

# Name: why each module has a number of its own.
ALLOWED = {"MAX_FILE_BYTES": "each kind of file has its own largest size"}


def numbers(source: str) -> set[str]:
    """Return the public constants of a module whose values are written as numbers."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if name.isupper() and not name.startswith("_") and _is_number(value):
                found.add(name)
    return found


def _is_number(value: ast.expr) -> bool:
    """Return whether an expression has a number in it and calls nothing."""
    nodes = list(ast.walk(value))
    return any(
        isinstance(node, ast.Constant) and type(node.value) in (int, float)
        for node in nodes
    ) and all(
        isinstance(
            node,
            ast.Constant | ast.operator | ast.unaryop | ast.BinOp | ast.UnaryOp,
        )
        for node in nodes
    )


def repeated(sources: dict[str, str]) -> dict[str, list[str]]:
    """Return the names that several modules define, with these."""
    homes: dict[str, list[str]] = defaultdict(list)
    for module, source in sorted(sources.items()):
        for name in numbers(source):
            homes[name].append(module)
    return {name: modules for name, modules in homes.items() if len(modules) > 1}


def test_no_public_number_has_two_homes() -> None:
    sources = {
        path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
        if "_data" not in path.parts
    }
    found = repeated(sources)
    assert set(found) == set(ALLOWED), found


def test_repeated_finds_a_number_in_two_modules_and_nothing_else() -> None:
    sources = {
        "a": "ONE = 1\nTWO: int = 2\nMANY = -(2**31) + 1\nNAME = 'n'\n_OWN = 3\nx = 4",
        "b": "ONE = 2\nTWO = 2\nMANY = 1.5\nNAME = 'n'\n_OWN = 3\nx = 4\nTHREE = f(3)",
    }
    assert repeated(sources) == {name: ["a", "b"] for name in ("ONE", "TWO", "MANY")}
