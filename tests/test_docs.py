"""The pages: links and pictures point at files, commands are such as hao takes."""

import re
import shlex
from pathlib import Path

import pytest
from click import NoSuchOption

from hao.cli import main
from tools.site import made_pages

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MADE = {ROOT / "docs" / path for path, _ in made_pages()}
LINK = re.compile(r"\]\(([^)\s]+)\)")


def dead_links(text: str, folder: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    targets = [link.partition("#")[0] for link in LINK.findall(prose)]
    local = [t for t in targets if t and not re.match(r"[a-z]+:", t)]
    return [
        target
        for target in local
        if not (folder / target).exists() and (folder / target) not in MADE
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page.read_text(encoding="utf-8"), page.parent) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    text = "[a](no.md#part) [b](https://x.org/no.md) ![c](pic.png) [d](#here)"
    assert dead_links(text, tmp_path) == ["no.md", "pic.png"]


def test_every_decision_has_a_number_of_its_own_which_its_title_says() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*-*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert numbers == list(range(len(pages)))
    for number, page in zip(numbers[1:], pages[1:], strict=True):
        title = page.read_text(encoding="utf-8").partition("\n")[0]
        assert re.match(rf"# {number:04d}\. ", title), title


def typed(text: str, indent: str) -> list[list[str]]:
    """Return the words of every `hao` command that a text tells to type."""
    lines = re.findall(rf"^(?:{indent})(hao [a-z].*)$", text.replace("\\\n", " "), re.M)
    parts = [part for line in lines for part in re.split(r"; |&& | {3,}", line)]
    words = [shlex.split(part, comments=True) for part in parts]
    return [found for found in words if found[:1] == ["hao"]]


def test_every_command_that_a_page_or_a_help_shows_is_one_that_hao_takes() -> None:
    helps = [
        main.help or "",
        *(command.help or "" for command in main.commands.values()),
    ]
    texts = [(page.read_text(encoding="utf-8"), r"    |\$ ") for page in PAGES]
    shown = [
        words
        for text, indent in (*texts, *((text, "  ") for text in helps))
        for words in typed(text, indent)
    ]
    assert len(shown) > 70
    for _, name, *words in shown:
        main.commands[name].make_context(name, words)


def test_a_command_with_an_unknown_flag_is_found() -> None:
    ((_, name, *words),) = typed("    hao search --fsp 50   # fast\n", r"    |\$ ")
    with pytest.raises(NoSuchOption, match="--fsp"):
        main.commands[name].make_context(name, words)
