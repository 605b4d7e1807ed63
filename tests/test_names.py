"""What prose names exists, and a public name has one home."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = {
    ".".join(part for part in path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted((ROOT / "hao").rglob("*.py"))
    if "_data" not in path.parts
}
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("templates/**/*.md")]
)
NAMED = re.compile(r"`(hao(?:\.[A-Za-z_]\w*)+)(?:\(\))?`")


@cache
def names_of(path: Path) -> dict[str, ast.stmt]:
    """Return the top-level names of a module with what binds them."""
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {(a.asname or a.name): node for a in node.names}
        elif isinstance(node, ast.Assign):
            found |= {t.id: node for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


def module_of(parts: list[str]) -> tuple[Path | None, list[str]]:
    """Return the module that a dotted name begins with, and what is left."""
    for count in range(len(parts), 0, -1):
        for stem in (parts[:count], [*parts[:count], "__init__"]):
            path = MODULES.get(".".join(stem))
            if path is not None:
                return path, parts[count:]
    return None, parts


def exists(name: str) -> bool:
    """Return whether a dotted name is a module, a name of one, or a member of that."""
    path, left = module_of(name.split("."))
    if path is None:
        return False
    if not left:
        return True
    names = names_of(path)
    if path == ROOT / "hao" / "__init__.py":
        names = names | names_of(ROOT / "hao" / "flow.py")
    bound = names.get(left[0])
    if bound is None:
        return False
    if len(left) == 1 or not isinstance(bound, ast.ClassDef):
        return len(left) == 1 or isinstance(bound, ast.ImportFrom)
    members = {
        getattr(item, "name", None) or getattr(getattr(item, "target", None), "id", "")
        for item in bound.body
    }
    members |= {
        target.id
        for item in bound.body
        if isinstance(item, ast.Assign)
        for target in item.targets
        if isinstance(target, ast.Name)
    }
    return left[1] in members or bool(bound.bases)


def named_in(text: str) -> Iterator[str]:
    """Return the dotted names of hao that a text sets in backticks."""
    return (match.group(1) for match in NAMED.finditer(text))


@pytest.mark.parametrize(
    "path",
    [*(p for p in PAGES if p.name != "CHANGELOG.md"), *MODULES.values()],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_name_in_prose_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [name for name in named_in(text) if not exists(name)] == []


def test_a_name_that_is_not_there_is_found() -> None:
    assert exists("hao.cost.area")
    assert exists("hao.flow.search")
    assert exists("hao.search")
    assert exists("hao.request.SearchRequest.promised_share")
    assert not exists("hao.cost.aera")
    assert not exists("hao.flow.serach")
    assert not exists("hao.request.SearchRequest.promise")
    assert list(named_in("as `hao.flow.x` and `hao.y()` say")) == [
        "hao.flow.x",
        "hao.y",
    ]


def test_no_public_class_has_two_homes() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for module, path in MODULES.items():
        for name, node in names_of(path).items():
            if isinstance(node, ast.ClassDef) and not name.startswith("_"):
                homes[name].append(module)
    twice = {name: where for name, where in homes.items() if len(where) > 1}
    assert twice == {}
