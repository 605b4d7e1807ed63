"""Commands that look at several runs: list them, set two beside each other."""

import json
from pathlib import Path

import click

from hao.cli.common import JSON, RUNS


@click.command("runs")
@RUNS
@JSON
def runs_command(*, runs: Path, as_json: bool) -> None:
    """List the runs of a folder, the newest first."""
    from hao.page.listing import list_runs, render_runs, runs_json

    lines = list_runs(runs)
    click.echo(runs_json(lines) if as_json else render_runs(lines, runs))


@click.command("compare")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option(
    "--html", "page", type=click.Path(path_type=Path), help="Also write a page here."
)
@click.option("--force", is_flag=True, help="Replace a page that is there.")
@JSON
def compare_command(
    *, first: Path, second: Path, page: Path | None, force: bool, as_json: bool
) -> None:
    """Show two runs beside each other.

    FIRST and SECOND are run directories or design files.

    \b
    Example:
      hao compare runs/a runs/b --html both.html
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.report.tables import result_json
    from hao.steps.runs import compare_runs, reopen

    text = compare_runs(first, second, page=page, force=force)
    if page is not None:
        text += f"\npage: {page}\n"
    if as_json:
        runs = {"first": first, "second": second}
        found = {
            word: result_json(reopen(run), seconds=None) for word, run in runs.items()
        }
        text = f"{json.dumps(found, indent=2)}\n"
    click.echo(text, nl=False)
