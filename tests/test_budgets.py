"""The budgets of CONTRIBUTING.md: what is past one today, and that nothing joins it.

Lines of a function are counted without its docstring, parameters without `self`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE, CLASS, FUNCTION, PARAMETERS = 400, 200, 40, 5
# These lists and numbers only get shorter and smaller.
LONG_MODULES = {
    "answer/workers.py",
    "cost/area.py",
    "cost/blocks.py",
    "cost/catalogue.py",
    "emission/context.py",
    "emission/records.py",
    "emission/stage_steps.py",
    "emission/weights.py",
    "ir/integer.py",
    "ir/partition.py",
    "program/codesign.py",
    "program/field.py",
    "program/graph.py",
    "program/labels.py",
    "program/sweep.py",
    "request.py",
    "steps/verify.py",
}
LONG_CLASSES = {
    "hw/board.py:Board",
    "options/build.py:_Builder",
    "program/field.py:Field",
    "program/fit.py:Room",
    "program/formulation.py:_Writer",
    "program/labels.py:_Search",
    "quant/chain.py:Chain",
}
LONG_FUNCTIONS = 82
MANY_PARAMETERS = 59

PATHS = {
    str(path.relative_to(ROOT / "hao")): path
    for path in sorted((ROOT / "hao").rglob("*.py"))
    if "_data" not in path.parts
}


def nodes(kind: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Return the nodes of a kind in all modules, with the module."""
    for name, path in PATHS.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield name, node


def lines_of(node: ast.FunctionDef) -> int:
    """Return the lines of a function without those of its docstring."""
    doc = ast.get_docstring(node, clean=False)
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1 - len((doc or "").splitlines())


def parameters_of(node: ast.FunctionDef) -> int:
    """Return how many parameters a caller gives a function."""
    names = [a.arg for a in node.args.posonlyargs + node.args.args]
    return len([n for n in names if n not in {"self", "cls"}]) + len(
        node.args.kwonlyargs
    )


def test_modules() -> None:
    long = {
        name
        for name, path in PATHS.items()
        if len(path.read_text(encoding="utf-8").splitlines()) > MODULE
    }
    assert long == LONG_MODULES


def test_classes() -> None:
    long = {
        f"{name}:{node.name}"
        for name, node in nodes(ast.ClassDef)
        if isinstance(node, ast.ClassDef)
        and (node.end_lineno or 0) - node.lineno >= CLASS
    }
    assert long == LONG_CLASSES


def test_functions_and_parameters() -> None:
    functions = [n for _, n in nodes(ast.FunctionDef) if isinstance(n, ast.FunctionDef)]
    long = sum(lines_of(node) > FUNCTION for node in functions)
    many = sum(parameters_of(node) > PARAMETERS for node in functions)
    assert (long, many) == (LONG_FUNCTIONS, MANY_PARAMETERS)
