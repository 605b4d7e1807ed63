"""The site: every page has a place, every command a page, every drawing its source.

The whole site is built by `make docs` and, here, among the thorough tests.
"""

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from hao import flow
from tools import drawings, site

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def listed(nav: str) -> set[str]:
    """Return the pages that the navigation of mkdocs.yml names."""
    return set(re.findall(r"[\w/]+\.md", nav.partition("\nnav:")[2]))


def test_every_page_has_a_place_in_the_navigation() -> None:
    named = listed((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    below = {page for pages in site.navigation().values() for page in pages}
    written = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    made = {path for path, _ in site.made_pages()}
    assert named | below == (written | made) - {"decisions/0000-template.md"}
    assert not written & made


def test_the_navigation_takes_in_what_belongs_below_a_page() -> None:
    class Config:
        nav: Any = ("index.md", {"Do": [{"Commands": "commands.md"}]})

    found: Any = site.on_config(Config())  # type: ignore[arg-type]
    (under,) = found.nav[1]["Do"]
    assert under["Commands"][0] == "commands.md"
    assert "commands/search.md" in under["Commands"]
    assert found.nav[0] == "index.md"


@pytest.mark.parametrize("name", sorted(site.commands()))
def test_a_command_has_a_page_with_all_its_options(name: str) -> None:
    command = site.commands()[name]
    page = site.command_page(name, command)
    assert page.startswith(f"# hao {name}\n")
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            for option in parameter.opts:
                assert option in page
    table = [line for line in page.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in table} == {3}


def test_every_name_of_the_package_leads_to_its_docstring() -> None:
    page = site.python_page()
    pages = {module for modules in site.packages().values() for module in modules}
    for name in flow.__all__:
        place = f"{getattr(flow, name).__module__}.{getattr(flow, name).__qualname__}"
        assert f"[`hao.{name}`][{place}]" in page
        assert getattr(flow, name).__module__ in pages


@pytest.mark.parametrize(
    ("text", "page", "expected"),
    [
        ("[a](../CHANGELOG.md#x)", "index.md", "[a](changelog.md#x)"),
        ("[a](../../CHANGELOG.md)", "decisions/0001.md", "[a](../changelog.md)"),
        ("[the file](../hao/flow.py)", "index.md", "the file (`hao/flow.py`)"),
        ("[`flow`](../hao/flow.py)", "index.md", "`flow`"),
        ("[a](engine.md#rows)", "index.md", "[a](engine.md#rows)"),
        (
            "[a](https://x.org/b.md) [b](#c)",
            "index.md",
            "[a](https://x.org/b.md) [b](#c)",
        ),
        ("```\n[a](../x.py)\n```", "index.md", "```\n[a](../x.py)\n```"),
    ],
)
def test_links_that_leave_the_site_are_mended(
    text: str, page: str, expected: str
) -> None:
    assert site.linked(text, page) == expected


def test_drawings_are_those_of_their_script() -> None:
    for name, text in drawings.drawings().items():
        assert (DOCS / "drawings" / name).read_text(encoding="utf-8") == text, name
    page = (DOCS / "processes.md").read_text(encoding="utf-8")
    assert page == drawings.processes_page()


def test_every_process_of_the_engine_has_a_figure() -> None:
    table = (DOCS / "engine.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", table.partition("| process |")[2], re.M)
    shown = {item.name for item in drawings.processes()}
    assert set(rows[: len(shown)]) | {"read_residual"} == shown


def test_examples_in_docstrings_and_pages_are_true() -> None:
    tried = 0
    for path in sorted((ROOT / "hao").rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            result = doctest.testmod(importlib.import_module(name))
            assert result.failed == 0, name
            tried += result.attempted
    for path in sorted(DOCS.glob("*.md")):
        result = doctest.testfile(str(path), module_relative=False, encoding="utf-8")
        assert result.failed == 0, path.name
        tried += result.attempted
    assert tried > 5


@pytest.mark.thorough
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr.replace("NO_MKDOCS_2_WARNING", "")
    for name in ("tutorial", "commands/search", "api/program", "glossary"):
        assert (tmp_path / "site" / name / "index.html").is_file()
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(
            r'(?:src|href)="(https?://[^"]+\.(?:js|css))"', page.read_text()
        )
        assert loaded == [], page
