"""Reading pages in tests: their elements, texts and embedded figures."""

import json
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Elements of a page in order, the text under each tag, and what is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    def attributes(self, key: str) -> list[str]:
        return [attrs[key] for _, attrs in self.elements if key in attrs]

    @property
    def words(self) -> str:
        """Return all text but that of scripts and styles."""
        kept = (t for tag, t in self.texts.items() if tag not in ("script", "style"))
        return " ".join(" ".join(" ".join(texts).split()) for texts in kept)

    @property
    def figures(self) -> dict[str, dict[str, object]]:
        """Return the figures that stand beside the script, by key."""
        found = json.loads(self.texts["script"][0])
        assert isinstance(found, dict)
        return found


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html.replace("<wbr>", ""))  # where a name may break: it parts no text
    reader.close()
    return reader
