"""The pages: every relative link and every picture points at a file that exists."""

import re
from pathlib import Path

import pytest

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
