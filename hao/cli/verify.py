"""The command that checks a run's answer again."""

import time
from pathlib import Path
from typing import Any

import click

from hao.cli.common import JSON, QUIET, chosen, show, shown_progress


@click.command("verify")
@chosen
@JSON
@click.option(
    "--quick",
    is_flag=True,
    help="Believe the run on other networks that would have to be solved again.",
)
@click.option(
    "--samples",
    type=click.IntRange(0, 100_000),
    default=100,
    help="Random designs to price.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    help="Networks solved again side by side.",
)
@QUIET
@click.pass_context
def verify_command(
    ctx: click.Context,
    /,
    *,
    path: Path,
    as_json: bool,
    quiet: bool,
    **named: Any,  # noqa: ANN401  # the step checks what it is given
) -> None:
    """Check again that a run's answer is the best.

    RUN is a run directory or its name; without it, the newest run. Prints one line,
    and exits with 1 unless all agrees. Its design is priced again, its problem solved
    again with the other solver, random legal designs are priced beside it, and every
    network that was passed over is excluded again. This shares with the search the
    cost model, the accuracy tables and the code of the exact search; the random
    designs share the cost model alone (docs/proof.md).

    \b
    Examples:
      hao verify                             the newest run
      hao verify runs/zu3eg-50fps-all --workers 4
      hao verify runs/zu3eg-50fps-all --quick --json
      hao verify RUN --samples 1000          ten times the random designs
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.steps.verify import verify

    started = time.monotonic()
    with shown_progress(quiet=quiet or as_json) as progress:
        seen = verify(path, **named, progress=progress)
    seconds = time.monotonic() - started
    values = {**seen.as_json(), "seconds": seconds}
    show(values, seen.line(seconds), as_json=as_json)
    ctx.exit(0 if seen.verified else 1)
