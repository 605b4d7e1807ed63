"""The pages: every relative link and every picture points at a file that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def dead_links(text: str, folder: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    targets = [link.partition("#")[0] for link in LINK.findall(prose)]
    local = [t for t in targets if t and not re.match(r"[a-z]+:", t)]
    return [target for target in local if not (folder / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page.read_text(encoding="utf-8"), page.parent) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    text = "[a](no.md#part) [b](https://x.org/no.md) ![c](pic.png) [d](#here)"
    assert dead_links(text, tmp_path) == ["no.md", "pic.png"]
