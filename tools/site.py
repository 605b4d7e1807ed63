"""Hook of MkDocs: pages of commands, of the API, of words, and links that leave docs/.

    make docs

Pages that would say twice what the code says are made here: one for each command, from
its help; one for each package, from its docstrings; the glossary, from the one that the
page of a run shows. CHANGELOG.md and CONTRIBUTING.md become pages of the site.
"""

import posixpath
import re
from collections.abc import Iterator
from html import escape
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

import hao
from hao import flow
from hao.cli import main
from hao.cli.common import Parted
from hao.report.terms import TERMS

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
TAKEN_IN = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
"""Pages of the site that are files of the repository's root."""

MADE = ("commands.md", "python.md", "glossary.md", *TAKEN_IN)
"""Pages that other pages may link to, though they are made."""

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")

COMMANDS_HEAD = """# Commands

`hao COMMAND --help` says the same on the command line. A command without RUN takes the
newest run; `--json` prints one object; a wrong input is one line on stderr and an exit
status that is not 0.

| command | what it does |
| --- | --- |
"""

PYTHON_HEAD = """# Python

`import hao` gives every step, request and result by name ({version}):

| name | what it is |
| --- | --- |
"""


def commands() -> dict[str, click.Command]:
    """Return all commands by name."""
    return dict(main.commands)


def packages() -> dict[str, list[str]]:
    """Return the modules of every package of hao, by the package's name."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "hao").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1].startswith("_"):
            continue
        package = parts[1] if len(parts) > 2 else "modules"
        found.setdefault(package, []).append(".".join(parts))
    return found


def first_sentence(text: str | None) -> str:
    """Return the first sentence of a docstring, on one line."""
    words = " ".join(cleandoc(text or "").split("\n\n")[0].split())
    return words.partition(". ")[0].rstrip(".")


def _cell(text: str) -> str:
    return re.sub(r"([\[|])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Return code for a table, with characters that a cell takes for its own."""
    kept = escape(text).replace("|", "&#124;").replace("[", "&#91;")
    return f"<code>{kept}</code>"


def command_page(name: str, command: click.Command) -> str:
    """Return the page of a command: usage, what it does, its options."""
    context = click.Context(command, info_name=f"hao {name}", show_default=True)
    lines = [f"# hao {name}", "", "```", command.get_usage(context), "```", ""]
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            lines += ["```", paragraph.strip("\b\n"), "```", ""]
        else:
            lines += [" ".join(paragraph.split()), ""]
    if isinstance(command, Parted):
        parts = command.parts(context)
    else:
        found = (param.get_help_record(context) for param in command.params)
        parts = {"Options": [record for record in found if record is not None]}
    for title, records in parts.items():
        lines += [f"## {title}", "", "| option | what it does |", "| --- | --- |"]
        lines += [f"| {_code(name)} | {_cell(text)} |" for name, text in records]
        lines.append("")
    return "\n".join(lines)


def commands_page() -> str:
    """Return the list of commands."""
    rows = (
        f"| [hao {name}](commands/{name}.md) | {_cell(first_sentence(command.help))} |"
        for name, command in sorted(commands().items())
    )
    return COMMANDS_HEAD + "\n".join(rows) + "\n"


def package_page(package: str, modules: list[str]) -> str:
    """Return the page of a package: what every module's docstrings say."""
    title = "hao" if package == "modules" else f"hao.{package}"
    blocks = "\n".join(
        f"::: {module}\n    options:\n      heading_level: 2\n" for module in modules
    )
    return f"# {title}\n\n{blocks}"


def python_page() -> str:
    """Return the list of all names of `hao`, and of its packages."""
    lines = [PYTHON_HEAD.format(version=hao.__version__).rstrip("\n")]
    for name in flow.__all__:
        item = getattr(flow, name)
        place = f"{item.__module__}.{item.__qualname__}"
        lines.append(
            f"| [`hao.{name}`][{place}] | {_cell(first_sentence(item.__doc__))} |"
        )
    lines += ["", "## Packages", ""]
    lines += [f"- [{package}](api/{package}.md)" for package in packages()]
    return "\n".join(lines) + "\n"


def glossary_page() -> str:
    """Return the words that the page of a run explains, in alphabetical order."""
    rows = (
        f"| {term} | {_cell(TERMS[term])} |" for term in sorted(TERMS, key=str.lower)
    )
    return "# Glossary\n\n| word | meaning |\n| --- | --- |\n" + "\n".join(rows) + "\n"


def made_pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every page that is made."""
    yield "commands.md", commands_page()
    for name, command in commands().items():
        yield f"commands/{name}.md", command_page(name, command)
    yield "python.md", python_page()
    for package, modules in packages().items():
        yield f"api/{package}.md", package_page(package, modules)
    yield "glossary.md", glossary_page()
    for path, source in TAKEN_IN.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        # Their links are seen from the root, where docs/ is a folder.
        yield path, re.sub(r"\]\(docs/", "](", text)


def linked(text: str, page: str) -> str:
    """Return a page whose links to files outside docs/ are links of the site, or text.

    Args:
        text: Markdown.
        page: Its path below docs/.
    """
    taken = {source: path for path, source in TAKEN_IN.items()}

    def replaced(match: re.Match[str]) -> str:
        words, target = match[1], match[2]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, _, part = target.partition("#")
        whole = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
        outside = posixpath.normpath(posixpath.join("docs", whole))
        if outside in taken:
            to = posixpath.relpath(taken[outside], posixpath.dirname(page) or ".")
            return f"[{words}]({to}{'#' + part if part else ''})"
        inside = not whole.startswith("..") and (ROOT / "docs" / whole).exists()
        if not inside and whole not in MADE:
            return words if words.startswith("`") else f"{words} (`{outside}`)"
        return match[0]

    pieces = re.split(r"(^```.*?^```)", text, flags=re.S | re.M)
    return "".join(
        piece if piece.startswith("```") else _LINK.sub(replaced, piece)
        for piece in pieces
    )


def navigation() -> dict[str, list[str]]:
    """Return the pages that belong under a page of the navigation."""
    return {
        "commands.md": [f"commands/{name}.md" for name in sorted(commands())],
        "python.md": [f"api/{package}.md" for package in packages()],
        "decisions/README.md": [
            f"decisions/{path.name}"
            for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
            if not path.name.startswith("0000")
        ],
    }


def on_config(config: "MkDocsConfig") -> "MkDocsConfig":
    """Put the made pages under theirs in the navigation."""
    below = navigation()

    def filled(entries: list[object]) -> list[object]:
        found: list[object] = []
        for entry in entries:
            if isinstance(entry, dict):
                ((title, value),) = entry.items()
                if isinstance(value, list):
                    found.append({title: filled(value)})
                    continue
                if value in below:
                    found.append({title: [value, *below[value]]})
                    continue
            found.append(entry)
        return found

    config.nav = filled(cast("list[object]", config.nav))
    return config


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the made pages."""
    from mkdocs.structure.files import File

    for path, text in made_pages():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: "Page", **_: object) -> str:
    """Mend links that leave docs/."""
    return linked(markdown, page.file.src_uri)


def on_post_page(output: str, **_: object) -> str:
    """Name the dialog of the search, and let the keyboard scroll code."""
    dialog = 'data-md-component="search" role="dialog"'
    output = output.replace(dialog, f'{dialog} aria-label="Search"')
    return output.replace("<pre>", '<pre tabindex="0">')
