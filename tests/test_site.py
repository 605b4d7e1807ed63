"""The site: every page has a place, every command a page, every drawing its source.

The whole site is built by `make docs` and, here, among the thorough tests.
"""

import doctest
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Thread
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

    config: Any = Config()
    found: Any = site.on_config(config)
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
    assert tried >= 5


def test_what_the_theme_leaves_out_is_put_in() -> None:
    page = '<div data-md-component="search" role="dialog"><pre><code>x</code></pre>'
    made = site.on_post_page(page)
    assert 'role="dialog" aria-label="Search"' in made
    assert '<pre tabindex="0"><code>' in made


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built strictly."""
    folder = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.mark.thorough
def test_the_site_is_whole_and_loads_nothing_from_elsewhere(built: Path) -> None:
    for name in ("tutorial", "commands/search", "api/program", "glossary"):
        assert (built / name / "index.html").is_file()
    for page in built.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r'(?:src|href)="(https?://[^"]+\.(?:js|css))"', text) == []


CHECK = """<script>window.addEventListener("load", function () {
  setTimeout(function () { axe.run(document).then(function (found) {
    var kept = document.createElement("pre");
    kept.id = "axe";
    kept.textContent = JSON.stringify({
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      wrong: found.violations.map(function (each) {
        return each.id + ": " + each.nodes[0].html.slice(0, 200);
      }),
    });
    document.body.appendChild(kept);
  }); }, 4000);
});</script>"""


@pytest.mark.thorough
@pytest.mark.parametrize("width", [1280, 500])
@pytest.mark.parametrize("name", ["explained", "tutorial", "commands/search"])
def test_a_page_of_the_site_keeps_the_rules_of_axe(
    built: Path, tmp_path: Path, name: str, width: int
) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on PATH")
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    text = (built / name / "index.html").read_text(encoding="utf-8")
    text = text.replace("</body>", f"<script>{axe}</script>{CHECK}</body>")
    (built / name / "checked.html").write_text(text, encoding="utf-8")
    handler = partial(SimpleHTTPRequestHandler, directory=str(built))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu"),
                *("--enable-logging=stderr", f"--user-data-dir={tmp_path}"),
                *(f"--window-size={width},900", "--virtual-time-budget=60000"),
                *("--dump-dom", f"http://{address}/{name}/checked.html"),
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        server.shutdown()
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    found = re.search(r'<pre id="axe">(.*?)</pre>', done.stdout, re.S)
    assert found is not None
    assert json.loads(unescape(found[1])) == {"wide": 0, "wrong": []}
