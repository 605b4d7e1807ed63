"""A preprocessed source: where its lines come from, and which pragmas of HLS it holds.

A pragma of the tool stands inside the braces it is about. So every pragma is kept with
its line and the lines of the braces around it: these tell the function (the compiler
knows the line of its opening brace) and the loop (the compiler knows its first and last
line).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_MARK = re.compile(r'#(?:line)? (\d+) "((?:[^"\\]|\\.)*)"')
_PRAGMA = re.compile(r"\s*#\s*pragma\s+HLS\b(.*)", re.IGNORECASE)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[{}]')
# `name = value` with a value in quotes, in braces, or as an expression; or a word.
_ITEM = re.compile(
    r'([\w.:\[\]]+)\s*=\s*("[^"]*"|\{[^}]*\}|(?:\([^)]*\)|[^\s=(])+'
    r"(?:(?:\s*[-+*/]\s*|(?<=[-+*/])\s+)[^\s=]+)*)|([^\s=]+)"
)


@dataclass(frozen=True, slots=True)
class Pragma:
    """One pragma of the tool.

    Attributes:
        kind: Its name in lower case, such as "pipeline"; "" where it has none.
        items: Names in lower case and values of its options as they stand, repeated
            ones too; "" for an option without a value.
        options: The first value of every option.
        path: File that it stands in.
        line: Line, from 1.
        row: Line of the preprocessed text, from 0.
        braces: (path, line) of the opening braces around it, outermost first.
    """

    kind: str
    items: tuple[tuple[str, str], ...]
    options: Mapping[str, str]
    path: str
    line: int
    row: int
    braces: tuple[tuple[str, int], ...]

    @property
    def variable(self) -> str:
        """Return the variable that it names, without a field; "" for none."""
        return self.options.get("variable", "").split(".")[0]

    def number(self, option: str, default: int) -> int:
        """Return the value of an option that is a plain number, else `default`."""
        text = self.options.get(option, "")
        return int(text) if text.isdigit() else default


@dataclass(frozen=True, slots=True)
class PreprocessedSource:
    """A preprocessed source.

    Attributes:
        lines: Of the text; line marks are empty.
        places: File and line, from 1, of each of them.
        pragmas: In the order of the text.
    """

    lines: tuple[str, ...]
    places: tuple[tuple[str, int], ...]
    pragmas: tuple[Pragma, ...]


def read_source(preprocessed: str) -> PreprocessedSource:
    """Return what a preprocessed source holds."""
    lines: list[str] = []
    places: list[tuple[str, int]] = []
    pragmas: list[Pragma] = []
    path, line = "", 0
    braces: list[tuple[str, int]] = []
    for row, text in enumerate(preprocessed.splitlines()):
        mark = _MARK.match(text) if text.startswith("#") else None
        if mark is not None:
            path, line = str(Path(mark.group(2))), int(mark.group(1)) - 1
            text = ""
        lines.append(text)
        places.append((path, line))
        line += 1
        if text.lstrip().startswith("#"):
            found = _PRAGMA.match(text)
            if found is not None:
                kind, items = _read_items(found.group(1))
                options = dict(reversed(items))
                where = (*places[-1], row, tuple(braces))
                pragmas.append(Pragma(kind, items, options, *where))
            continue
        for token in _TOKEN.findall(text):
            if token == "{":
                braces.append(places[-1])
            elif token == "}" and braces:
                braces.pop()
    return PreprocessedSource(tuple(lines), tuple(places), tuple(pragmas))


def _read_items(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return name and options of a pragma from what follows `HLS`."""
    found = [
        (name.lower(), value.strip('"')) if name else (word.lower(), "")
        for name, value, word in _ITEM.findall(text)
    ]
    if not found or found[0][1]:
        return "", tuple(found)
    return found[0][0], tuple(found[1:])


def pragmas_of(pragmas: Iterable[Pragma], *kinds: str) -> list[Pragma]:
    """Return the pragmas of some kinds."""
    return [item for item in pragmas if item.kind in kinds]
