"""What all commands share: errors, progress, options, how results are printed."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click

from hao.cli.guard import one_line, traceback_option

if TYPE_CHECKING:
    from hao.ir.tensor import ImageSize


class GuardedGroup(click.Group):
    """A group whose commands turn errors into one line and an exit code."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, with the options that all have."""
        cmd.params.append(traceback_option())
        super().add_command(cmd, name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words before the command; print one line and exit if they fail."""
        with one_line(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; print one line and exit where it raises."""
        with one_line(ctx):
            return super().invoke(ctx)


def quiet_progress(_: str) -> None:
    """Drop a line of progress."""


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Yield a receiver of progress: one changing line on a terminal, else lines."""
    if quiet:
        yield quiet_progress
        return
    started = time.monotonic()
    live = sys.stderr.isatty()

    def show(line: str) -> None:
        text = f"{time.monotonic() - started:6.1f} s  {line}"
        if live:
            click.echo(f"\r\x1b[2K{text[:100]}", err=True, nl=False)
        elif not line.startswith("widths"):
            click.echo(text, err=True)

    try:
        yield show
    finally:
        if live:
            click.echo("\r\x1b[2K", err=True, nl=False)


def show(values: object, text: object, *, as_json: bool) -> None:
    """Print what was found: its values as one JSON object, or text."""
    click.echo(json.dumps(values, indent=2) if as_json else text)


JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
RUNS = click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    help="Folder that holds the runs.",
)
CALIBRATION = click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Constants of the cost model, as `hao calibrate` writes them  [default: the "
    "shipped ones].",
)


def _usual_margin() -> float:
    from hao.request import usual_margin

    return usual_margin()


MARGIN = click.option(
    "--margin",
    "margin_percent",
    type=float,
    default=_usual_margin,
    show_default="so much that the interval of the frame rate begins at --fps",
    help="Part of the frame time that the prediction leaves free, for --fps [percent].",
)

RUN_NAME = click.option(
    "--run", "run_name", help="Name of the run  [default: from the request]."
)

REPLACED = click.option("--force", is_flag=True, help="Replace a run of the same name.")

QUIET = click.option("--quiet", is_flag=True, help="Show no progress.")


_ASKED, _WRITTEN = "What is asked for", "What is written and printed"


class Parted(click.Command):
    """A command whose help sets options apart by what they are for.

    Attributes:
        titles: First option of each part, and its title.
    """

    titles: ClassVar[dict[str, str]] = {
        **{"--data": "Data and weights", "--run": _WRITTEN, "--runs": _WRITTEN},
        **{"--force": _WRITTEN, "--json": _WRITTEN},
    }

    def parts(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        """Return options and what they do, by the title of their part."""
        parts: dict[str, list[tuple[str, str]]] = {}
        title = _ASKED
        for param in self.get_params(ctx):
            title = self.titles.get(param.opts[0], title)
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                parts.setdefault(title, []).append(record)
        written = parts.pop(_WRITTEN)
        return {**parts, _WRITTEN: written}

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the options, each part under its title."""
        for title, records in self.parts(ctx).items():
            with formatter.section(title):
                formatter.write_dl(records)


def parted(own: dict[str, str]) -> type[Parted]:
    """Return a kind of command with parts of its own: first option, and title."""

    class OwnParts(Parted):
        titles: ClassVar[dict[str, str]] = {**Parted.titles, **own}

    return OwnParts


Command = Callable[..., object]


def frame_size(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> "ImageSize | None":
    """Return the size of a frame: one number, or height and width with x between."""
    if value is None:
        return None
    try:
        sizes = [int(part) for part in value.split("x")]
    except ValueError:
        sizes = []
    match sizes:
        case [size]:
            return size
        case [height, width]:
            return height, width
        case _:
            raise click.BadParameter(
                f"{value!r}; must be a number of pixels, or height and width, such as "
                "49x10"
            )


def gathered(name: str) -> Callable[[Command], Callable[[Command], Command]]:
    """Turn a function that has options into what gives them to a command.

    The command gets one argument: what the function makes of the options' values.

    Args:
        name: Of the argument.
    """

    def turned(make: Command) -> Callable[[Command], Command]:
        params: list[click.Parameter] = vars(make)["__click_params__"]

        def decorate(command: Command) -> Command:
            @wraps(command)
            def gathering(**values: object) -> object:
                own = {str(param.name): values.pop(str(param.name)) for param in params}
                return command(**{name: make(**own)}, **values)

            before = vars(command).get("__click_params__", [])
            vars(gathering)["__click_params__"] = [*before, *params]
            return gathering

        return decorate

    return turned


RUN_ARGUMENT = click.argument("run", type=click.Path(path_type=Path), required=False)


@gathered("path")
@RUN_ARGUMENT
@RUNS
def chosen(*, run: Path | None, runs: Path) -> Path:
    """Give a command the run that it names, or the newest one, as `path`."""
    from hao.runs.run import chosen_run

    return chosen_run(run, runs)
