"""The last line of defence: what a command raises becomes one line and an exit code.

Errors that hao foresees have their own message and code (`hao.errors`). What it does
not foresee is caught here: one line that names it, exit code 1, and the traceback only
with `--traceback`. SIGTERM and SIGHUP stop a command as ctrl-C does, so that it clears
up behind itself.
"""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

import click

from hao.errors import HaoError

_CALLED = {"run_path": "run_name", "short_side": "resize"}
"""Parameters of commands that are not called as the field that they set."""

INTERNAL = 1
"""Exit code of an error that was not foreseen."""

_LONGEST = 2000
"""Most characters of a message (chosen here); a hostile file may have long names."""

_STOPPED = 128
"""Exit code of a command that a signal ended, less its number; as shells have it."""

_UNKNOWN = ("Missing ", "No such ", "Got unexpected ")
"""How click begins to say that a word is one too many, too few, or not known."""


@contextmanager
def one_line(ctx: click.Context) -> Iterator[None]:
    """Print one line and exit where the body raises."""
    signals: list[int] = []
    try:
        with _stopped_by_signals(signals):
            yield
    except click.exceptions.Exit:
        raise
    except HaoError as error:
        _say(error.named(partial(flag_of, _invoked(ctx))))
        ctx.exit(error.exit_code)
    except click.ClickException as error:
        said = error.format_message()
        known = "id you mean" in said or not said.startswith(_UNKNOWN)
        if isinstance(error, click.UsageError) and not known:
            command = (error.ctx or ctx).command_path
            said = f"{said.rstrip('.')}; `{command} --help` says what there is"
        _say(said)
        ctx.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        ctx.exit(_STOPPED + (signals or [signal.SIGINT])[0])
    except BaseException as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # click ends quietly when nobody reads on
        if ctx.find_root().meta.get(TRACEBACK):
            raise
        _say(_unforeseen(error))
        _give_up_output()
        ctx.exit(INTERNAL)


TRACEBACK = "hao.traceback"
"""Key of the flag in a click context's `meta`."""


def traceback_option() -> click.Option:
    """Return the option, for every command, to see where an unforeseen error arose."""

    def note(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.find_root().meta[TRACEBACK] = True

    return click.Option(
        ["--traceback"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=note,
        help="Show where an unforeseen error arose, for developers.",
    )


def _invoked(ctx: click.Context) -> click.Command:
    """Return the command that a context runs, or itself while none is known."""
    command = ctx.command
    if isinstance(command, click.Group):
        return command.commands.get(ctx.invoked_subcommand or "", command)
    return command


def flag_of(command: click.Command, field: str) -> str:
    """Return the flag or argument of a command that sets a field, "" if there is none.

    Args:
        command: A command, or a group whose commands are looked through.
        field: Of a request, or an argument of a step.
    """
    name = _CALLED.get(field, field)
    commands = [command]
    for group in commands:
        for param in group.params:
            if param.name == name:
                argument = isinstance(param, click.Argument)
                return param.human_readable_name if argument else param.opts[0]
        if isinstance(group, click.Group):
            commands += group.commands.values()
    return ""


def _unforeseen(error: BaseException) -> str:
    match error:
        case MemoryError():
            return "out of memory; close other programs, or give it smaller files"
        case OSError() if error.strerror is not None:
            place = "output" if error.filename is None else error.filename
            return f"{place}: {error.strerror}"
        case _:
            return (
                f"unforeseen {type(error).__name__}: {error}; --traceback shows where. "
                "Please report it"
            )


def _say(message: str) -> None:
    """Print a message to stderr, on one line and without control characters."""
    line = " ".join(message.split())
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST - 3]}..."
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    with suppress(OSError):  # a full disk, or a closed terminal
        click.echo(f"hao: {shown}", err=True)


def _give_up_output() -> None:
    """Drop what could not be printed, which Python would try again at its end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


@contextmanager
def _stopped_by_signals(came: list[int]) -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt the body as SIGINT does, and list what came."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    # Who was started with a signal ignored (nohup) goes on ignoring it.
    signals = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in signals:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
