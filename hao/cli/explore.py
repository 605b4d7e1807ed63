"""The command that measures schemes of a run on the user's own data."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hao.cli.common import JSON, QUIET, chosen, parted, show, shown_progress
from hao.cli.source import source_options

if TYPE_CHECKING:
    from hao.steps.explore import ExploreRequest
    from hao.steps.floats import Source

DEFAULT_MEASURE = 40
"""Schemes to measure unless asked otherwise: a predictor's few dozen (chosen here)."""


def _rates(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[float, ...]:
    """Return the frame rates of a comma-separated list."""
    try:
        return tuple(float(part) for part in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(
            f"{value!r}; must be numbers with commas between, such as 50,100"
        ) from None


@click.command("explore", cls=parted({"--rates": "How"}))
@click.option(
    "--measure",
    type=click.IntRange(1),
    default=DEFAULT_MEASURE,
    help="Schemes to measure in all, those of earlier commands included.",
)
@source_options
@click.option(
    "--rates",
    callback=_rates,
    help="Further frame rates to find the best scheme at, such as 50,100.",
)
@click.option(
    "--saliency",
    type=click.Choice(["plug-in", "hessian", "sqnr"]),
    default="plug-in",
    help="What the first schemes are chosen by.",
)
@click.option(
    "--per-turn",
    type=click.IntRange(1),
    default=8,
    help="Schemes that are proposed at once, before the predictor is fitted anew.",
)
@click.option(
    "--epochs",
    type=click.IntRange(0),
    default=0,
    help="Epochs of training with distillation before every measurement.",
)
@click.option(
    "--final-epochs",
    type=click.IntRange(0),
    default=0,
    help="Likewise before the best are measured on the test frames.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    help="Measurements side by side.",
)
@click.option("--cluster", metavar="ADDRESS", help="Measure on a Dask cluster.")
@chosen
@JSON
@QUIET
def explore_command(
    *,
    path: Path,
    source: "Source",
    as_json: bool,
    quiet: bool,
    **named: Any,  # noqa: ANN401  # the request checks what it is given
) -> None:
    """Measure schemes of a run on your own data, keep the best.

    RUN is a run directory or its name; without it, the newest run. The integer
    program proposes schemes, these are quantized and measured, a predictor is fitted,
    and it proposes again. A killed command goes on where it was: type it again.

    \b
    Examples:
      hao explore runs/digits --data digits --measure 40
      hao explore runs/digits --measure 80
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.measure.settings import LoopSettings
    from hao.steps.explore import ExploreRequest
    from hao.steps.floats import Source

    given = ("measure", "per_turn", "epochs", "final_epochs")
    settings = {each: named.pop(each) for each in given}
    request = ExploreRequest(
        run=path,
        source=None if source == Source() else source,
        settings=LoopSettings(**settings, seed=source.seed),
        **named,
    )
    explore_run(request, as_json=as_json, quiet=quiet)


def explore_run(request: "ExploreRequest", *, as_json: bool, quiet: bool) -> None:
    """Measure what was asked for, and print what came out."""
    from hao.report.measured import render_measured
    from hao.steps.explore import explore

    with shown_progress(quiet=quiet or as_json) as progress:
        found = explore(request, progress=progress)
    text = f"{render_measured(found)}\n\nwritten to {request.run}"
    show(asdict(found), text, as_json=as_json)
