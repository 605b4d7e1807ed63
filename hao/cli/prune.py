"""The command that takes channels or weights out of a network: prune."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hao.cli.common import (
    FRAMES,
    JSON,
    MARGIN,
    QUIET,
    REPLACED,
    RUN_NAME,
    RUNS,
    shown_progress,
)
from hao.cli.search import bit_choices
from hao.cli.source import source_options

if TYPE_CHECKING:
    from hao.steps.floats import Source


@click.command("prune")
@click.argument("subject", metavar="RUN_OR_NETWORK")
@click.option("--fps", type=float, required=True, help="Frames per second to reach.")
@source_options
@click.option(
    "--board", default="zu3eg", show_default=True, help="Of a network; a run has one."
)
@click.option(
    "--bits",
    default="8",
    show_default=True,
    callback=bit_choices,
    help="Weight bits that a layer may have.",
)
@click.option(
    "--method",
    type=click.Choice(["channels", "sparsity"]),
    default="channels",
    show_default=True,
    help="What is taken out: channels (HALP), or blocks of weights that the engine "
    "skips (ALCS).",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    help="Times that channels are taken out, 1: all at once; or that weights are "
    "projected.",
)
@click.option(
    "--iterations",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="Training steps before each, over which saliency is averaged; or behind each "
    "projection.",
)
@click.option("--epochs", type=click.IntRange(1), help="Of training after the last.")
@FRAMES
@MARGIN
@RUN_NAME
@RUNS
@REPLACED
@JSON
@QUIET
def prune_command(
    *,
    subject: str,
    fps: float,
    source: "Source",
    board: str,
    bits: tuple[int, ...],
    method: str,
    steps: int,
    iterations: int,
    epochs: int | None,
    frames: str,
    margin_percent: float,
    run_name: str | None,
    runs: Path,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Take channels or weights out of a network for a frame rate.

    RUN_OR_NETWORK is a run directory, a network of the zoo, or an ONNX file with float
    weights. Which channels go (HALP) is decided by their effect on the loss, how many
    by the integer program, together with the accelerator. With --method sparsity
    (ALCS), weights go in blocks that take the engine a cycle; the same program is the
    projection of ADMM. The pruned network is trained again with the whole one as its
    teacher, and left in a run like any other: `hao quantize`, `hao emit-hls` and `hao
    simulate` go on from there. The run holds it as float.pt (state dict), float.pt2
    (torch program) and float.onnx too.

    \b
    Examples:
      hao prune digits --fps 40000 --frames back-to-back
      hao prune runs/mine --fps 900 --data images/ --steps 1
      hao prune digits --fps 37500 --frames back-to-back --method sparsity
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.answer.candidates import BitRules
    from hao.files import recover
    from hao.hw.board import Frames
    from hao.report.hardware import values_json
    from hao.report.tables import render_summary
    from hao.request import SearchRequest
    from hao.runs.run import check_run_name, default_run_name
    from hao.steps import prune
    from hao.steps.changed import subject_named

    search, run = subject_named(
        subject,
        SearchRequest(
            board=board,
            fps=fps,
            rules=BitRules(choices=bits),
            frames=Frames(frames),
            margin_percent=margin_percent,
        ),
    )
    request = prune.PruneRequest(
        **source.named,
        search=search,
        run=run,
        method=prune.PruneMethod(method),
        steps=steps,
        iterations=iterations,
        epochs=epochs,
    )
    recover(runs)
    if run_name is None:
        what = f"{Path(subject).stem}-pruned"
        run_name = default_run_name(runs, board=board, fps=fps, network=what)
    check_run_name(run_name)
    with shown_progress(quiet=quiet or as_json) as progress:
        result, pruning = prune.prune_run(
            request, runs / run_name, force=force, progress=progress
        )
    if as_json:
        click.echo(json.dumps(values_json(pruning), indent=2))
        return
    click.echo(render_summary(result))
    click.echo(prune.render_pruning(pruning))
    click.echo(f"\nwritten to {result.run}")
