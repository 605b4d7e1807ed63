"""Which pragmas a source holds once its macros are expanded, and where each stands.

A pragma of the tool stands inside the braces it is about. So every pragma is kept with
its line and the lines of the braces around it: these tell the function (the compiler
knows the line of its opening brace) and the loop (the compiler knows its first and last
line).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_MARK = re.compile(r'#(?:line)? (\d+) "((?:[^"\\]|\\.)*)"')
_PRAGMA = re.compile(r"\s*#\s*pragma\s+HLS\s+(\w+)\s*(.*)", re.IGNORECASE)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[{}]')
_OPTION = re.compile(r"(\w+)\s*(?:=\s*([^\s,]+))?")


@dataclass(frozen=True, slots=True)
class Pragma:
    """One pragma of the tool.

    Attributes:
        kind: Its name in lower case, such as "pipeline".
        options: Values by lower-case name; "" for an option without a value.
        path: File that it stands in.
        line: Line, from 1.
        braces: (path, line) of the opening braces around it, outermost first.
    """

    kind: str
    options: dict[str, str]
    path: str
    line: int
    braces: tuple[tuple[str, int], ...]

    @property
    def variable(self) -> str:
        """Return the variable that it names, without a field; "" for none."""
        return self.options.get("variable", "").split(".")[0]

    def number(self, option: str, default: int) -> int:
        """Return the value of an option that is a plain number, else `default`."""
        text = self.options.get(option, "")
        return int(text) if text.isdigit() else default


def read_pragmas(preprocessed: str) -> tuple[Pragma, ...]:
    """Return the pragmas of a preprocessed source, in the order of the text."""
    found: list[Pragma] = []
    path, line = "", 0
    braces: list[tuple[str, int]] = []
    for text in preprocessed.splitlines():
        if text.startswith("#"):
            mark = _MARK.match(text)
            if mark:
                path, line = str(Path(mark.group(2))), int(mark.group(1))
                continue
            pragma = _PRAGMA.match(text)
            if pragma:
                options = {
                    name.lower(): value
                    for name, value in _OPTION.findall(pragma.group(2))
                }
                kind = pragma.group(1).lower()
                found.append(Pragma(kind, options, path, line, tuple(braces)))
        else:
            for token in _TOKEN.findall(text):
                if token == "{":
                    braces.append((path, line))
                elif token == "}" and braces:
                    braces.pop()
        line += 1
    return tuple(found)


def pragmas_of(pragmas: Iterable[Pragma], *kinds: str) -> list[Pragma]:
    """Return the pragmas of some kinds."""
    return [item for item in pragmas if item.kind in kinds]
