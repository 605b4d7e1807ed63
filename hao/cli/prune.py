"""The command that takes channels out of a network: prune."""

import json
from pathlib import Path

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


@click.command("prune")
@click.argument("source", metavar="RUN_OR_NETWORK")
@click.option("--fps", type=float, required=True, help="Frames per second to reach.")
@click.option(
    "--data",
    default="digits",
    show_default=True,
    help="Labelled frames, as `hao quantize --data` takes them.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Float weights: torch state dict or .npz  [default: the run's, or from "
    "training here].",
)
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
    "--steps",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    help="Times that channels are taken out; 1: all at once.",
)
@click.option(
    "--iterations",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="Training steps before each, over which saliency is averaged.",
)
@click.option("--epochs", type=click.IntRange(1), help="Of training after the last.")
@click.option("--float-epochs", type=click.IntRange(1), help="Of training before.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of training."
)
@FRAMES
@MARGIN
@RUN_NAME
@RUNS
@REPLACED
@JSON
@QUIET
def prune_command(
    *,
    source: str,
    fps: float,
    data: str,
    weights: Path | None,
    board: str,
    bits: tuple[int, ...],
    steps: int,
    iterations: int,
    epochs: int | None,
    float_epochs: int | None,
    seed: int,
    frames: str,
    margin_percent: float,
    run_name: str | None,
    runs: Path,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Take channels out of a network until it reaches a frame rate (HALP).

    RUN_OR_NETWORK is a run directory, a network of the zoo, or an ONNX file with float
    weights. Which channels go is decided by their effect on the loss, how many by the
    integer program, together with the accelerator. The narrower network is trained
    again with the whole one as its teacher, and left in a run like any other: `hao
    quantize`, `hao emit-hls` and `hao simulate` go on from there. The run holds it as
    float.pt (state dict), float.pt2 (torch program) and float.onnx too.

    \b
    Examples:
      hao prune digits --fps 40000 --frames back-to-back
      hao prune runs/mine --fps 900 --data images/ --steps 1
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.answer.candidates import BitRules
    from hao.files import recover
    from hao.hw.board import Frames
    from hao.report.run import check_run_name, default_run_name
    from hao.report.tables import render_summary
    from hao.request import SearchRequest
    from hao.steps import prune

    path = Path(source)
    is_run, is_file = prune.is_run(path), path.suffix == ".onnx"
    request = prune.PruneRequest(
        search=SearchRequest(
            board=board,
            fps=fps,
            network=None if is_run or is_file else source,
            model=path if is_file else None,
            rules=BitRules(choices=bits),
            frames=Frames(frames),
            margin_percent=margin_percent,
        ),
        run=path if is_run else None,
        data=data,
        weights=weights,
        steps=steps,
        iterations=iterations,
        epochs=epochs,
        float_epochs=float_epochs,
        seed=seed,
    )
    recover(runs)
    if run_name is None:
        what = f"{path.name if is_run else source}-pruned"
        run_name = default_run_name(runs, board=board, fps=fps, network=what)
    check_run_name(run_name)
    with shown_progress(quiet=quiet or as_json) as progress:
        result, pruning = prune.prune_run(
            request, runs / run_name, force=force, progress=progress
        )
    if as_json:
        click.echo(json.dumps(prune.pruning_json(pruning), indent=2))
        return
    click.echo(render_summary(result))
    click.echo(prune.render_pruning(pruning))
    click.echo(f"\nwritten to {result.run}")
