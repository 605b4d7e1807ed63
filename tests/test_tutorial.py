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
            if pattern(line.strip()).fullmatch(found.strip()):
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


README = (ROOT / "README.md").read_text(encoding="utf-8")


def five() -> list[str]:
    """Return the commands of the README for one's own network, without the set-up."""
    part = README.partition("## Your own network in five commands\n")[2]
    block = re.match(r"\n((?:    .*\n)+)", part)
    assert block is not None
    lines = [line.strip() for line in block[1].splitlines()]
    assert lines[0].startswith("git clone")
    assert len(lines) == 5
    return lines[1:]


def test_the_readme_goes_from_a_file_to_a_simulation_in_five_commands() -> None:
    words = [command.split()[1] for command in five()]
    assert words == ["search", "quantize", "emit-hls", "simulate"]


def prepared(folder: Path) -> tuple[Path, dict[str, str]]:
    """Return a folder with the tutorial's scripts, and where `hao` is a command."""
    tools = folder / "bin"
    tools.mkdir()
    start = "import sys; from hao.cli import main; sys.exit(main())"
    (tools / "hao").write_text(
        f"#!/bin/sh\nexec {sys.executable} -c '{start}' \"$@\"\n"
    )
    (tools / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    work = folder / "work"
    work.mkdir()
    for name, text in scripts(PAGE):
        (work / name).write_text(text, encoding="utf-8")
    names = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    environment = {k: v for k, v in os.environ.items() if k not in names}
    environment |= {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return work, environment


def said(command: str, work: Path, environment: dict[str, str]) -> str:
    """Return what a command prints; it must succeed."""
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
    return done.stdout


@pytest.mark.thorough
def test_every_line_of_the_tutorial_is_true(tmp_path: Path) -> None:
    work, environment = prepared(tmp_path)
    for command, lines in typed(PAGE):
        text = said(command, work, environment)
        assert missing(lines, text) == [], f"{command}\n{text}"


@pytest.mark.thorough
def test_the_five_commands_of_the_readme_are_true(tmp_path: Path) -> None:
    work, environment = prepared(tmp_path)
    said("python own_net.py", work, environment)
    for command in five():
        text = said(command, work, environment)
    assert "native build: bit-exact, 0 bytes in 0 images differ" in text
