"""What nobody foresaw ends in one line too, and signals end a command alike."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from hao.cli.common import GuardedGroup
from hao.errors import InputError


def failing(error: BaseException) -> click.Group:
    @click.group(cls=GuardedGroup)
    def group() -> None:
        """Do nothing."""

    @group.command("fail")
    def fail() -> None:
        """Raise what was asked for."""
        raise error

    return group


def run(error: BaseException, *words: str) -> Result:
    return CliRunner().invoke(failing(error), ["fail", *words])


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("x.toml: a = 1; must be 2"), 2, "x.toml: a = 1; must be 2"),
        (InputError("two\nlines\x1b[2J"), 2, "two lines\\x1b[2J"),
        (InputError("x" * 9000), 2, "x" * 1997 + "..."),
        (click.UsageError("no"), 2, "no"),
        (OSError(errno.ENOSPC, "No space left", "runs/a"), 1, "runs/a: No space left"),
        (OSError(errno.EIO, "Input/output error"), 1, "output: Input/output error"),
        (
            MemoryError(),
            1,
            "out of memory; close other programs, or give it sm",
        ),
        (
            KeyError("lost"),
            1,
            "unforeseen KeyError: 'lost'; --traceback shows where.",
        ),
        (RecursionError("deep"), 1, "unforeseen RecursionError: deep; --traceback"),
        (SystemExit(0), 1, "unforeseen SystemExit: 0; --traceback shows where."),
        (BaseException("a"), 1, "unforeseen BaseException: a; --traceback shows wh"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_whatever_is_raised_is_one_line_and_a_code(
    error: BaseException, code: int, line: str
) -> None:
    found = run(error)
    assert found.exit_code == code
    assert found.stdout == ""
    assert found.stderr.startswith(f"hao: {line}")
    assert found.stderr.count("\n") == 1


def test_developers_see_where_an_unforeseen_error_arose() -> None:
    found = run(KeyError("lost"), "--traceback")
    assert isinstance(found.exception, KeyError)
    # What is foreseen stays one line.
    assert run(InputError("a"), "--traceback").stderr == "hao: a\n"


@pytest.mark.parametrize("words", [["boards"], ["--help"], ["search", "--help"]])
def test_a_full_disk_behind_the_output_is_one_line(words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from hao.cli import main; main()", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "hao: output: No space left on device\n"


WAIT = """
import pathlib, sys, time, click
from hao.cli.common import GuardedGroup
@click.group(cls=GuardedGroup)
def main(): pass
@main.command("wait")
def wait():
    try:
        pathlib.Path(sys.argv[2]).touch()
        time.sleep(60)
    finally:
        pathlib.Path(sys.argv[2]).unlink()
main(["wait"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_let_a_command_clear_up(number: signal.Signals, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = subprocess.Popen(
        [sys.executable, "-c", WAIT, "-", str(mark)], stderr=subprocess.PIPE, text=True
    )
    while not mark.exists():
        assert child.poll() is None
        time.sleep(0.02)
    os.kill(child.pid, number)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert said == "hao: interrupted\n"
    assert not mark.exists()
