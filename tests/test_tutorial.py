"""The tutorial: its scripts are written, its commands run, its lines appear."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
TIMEOUT = 900  # [s]


def scripts(page: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of every script that a page tells to save."""
    yield from re.findall(r'^```python title="(\S+)"\n(.*?)^```', page, re.M | re.S)


def typed(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield every command that a page types, and the lines that it shows of it."""
    for block in re.findall(r"^```console\n(.*?)^```", page, re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *lines = part.splitlines()
            yield command, lines


def pattern(line: str) -> re.Pattern[str]:
    """Return what matches a line that is shown; `...` stands for anything."""
    return re.compile(".*".join(map(re.escape, line.split("..."))))


def missing(lines: list[str], said: str) -> list[str]:
    """Return the lines that did not appear, in their order."""
    rest, lost = said.splitlines(), []
    for line in lines:
        for number, found in enumerate(rest):
            if pattern(line).fullmatch(found.rstrip()):
                rest = rest[number + 1 :]
                break
        else:
            lost.append(line)
    return lost


def test_lines_are_looked_for_in_order() -> None:
    said = "one 1\ntwo 2 b\nthree"
    assert missing(["one ...", "... b", "three"], said) == []
    assert missing(["two ...", "one 1"], said) == ["one 1"]
    assert missing(["tw"], said) == ["tw"]


def test_the_page_has_scripts_and_commands() -> None:
    assert [name for name, _ in scripts(PAGE)] == ["own_net.py"]
    words = [command.split()[:2] for command, _ in typed(PAGE)]
    for step in ("check", "search", "quantize", "emit-hls", "simulate", "report"):
        assert ["hao", step] in words
    blocks = PAGE.count("```console")
    assert blocks == len(re.findall(r"^```console\n\$ ", PAGE, re.M))


@pytest.mark.thorough
def test_every_line_of_the_tutorial_is_true(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    start = "import sys; from hao.cli import main; sys.exit(main())"
    (tools / "hao").write_text(
        f"#!/bin/sh\nexec {sys.executable} -c '{start}' \"$@\"\n"
    )
    (tools / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    for name, text in scripts(PAGE):
        (work / name).write_text(text, encoding="utf-8")
    names = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    environment = {k: v for k, v in os.environ.items() if k not in names}
    environment |= {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for command, lines in typed(PAGE):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=work,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        assert missing(lines, done.stdout) == [], f"{command}\n{done.stdout}"
