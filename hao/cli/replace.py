"""The command that replaces a network's blocks by operations that run faster."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hao.cli.common import (
    FRAMES,
    MARGIN,
    QUIET,
    REPLACED,
    RUN_NAME,
    RUNS,
    shown_progress,
)
from hao.cli.search import bit_choices
from hao.cli.source import pool_options, source_options

if TYPE_CHECKING:
    from hao.steps.floats import Source
    from hao.steps.operations import Pooled


@click.command("replace")
@click.argument("subject", metavar="NETWORK_OR_RUN")
@click.option("--fps", type=float, required=True, help="Frames per second to reach.")
@click.option(
    "--board", default="zu3eg", show_default=True, help="Name, or a .toml file."
)
@source_options
@pool_options
@click.option(
    "--bits",
    default="4,8",
    show_default=True,
    callback=bit_choices,
    help="Weight bits on offer.",
)
@click.option(
    "--operations-only",
    is_flag=True,
    help="Layers that are not replaced keep the most bits.",
)
@click.option(
    "--best",
    type=int,
    default=10,
    show_default=True,
    metavar="K",
    help="Designs whose networks are put together and measured.",
)
@FRAMES
@click.option("--epochs", type=int, help="Of fine-tuning; 0 for none.")
@MARGIN
@RUN_NAME
@RUNS
@REPLACED
@QUIET
def replace_command(
    *,
    subject: str,
    fps: float,
    board: str,
    source: "Source",
    pooled: "Pooled",
    bits: tuple[int, ...],
    operations_only: bool,
    best: int,
    frames: str,
    epochs: int | None,
    margin_percent: float,
    run_name: str | None,
    runs: Path,
    force: bool,
    quiet: bool,
) -> None:
    """Replace blocks of a network by operations that run faster.

    NETWORK_OR_RUN is a network of the zoo, a float ONNX file, or a run directory. Every
    operation of a pool is trained to do what each block does; an integer program
    chooses operations, bits and engine; the best of several choices is trained on.

    \b
    Examples:
      hao replace digits --fps 45000 --frames back-to-back
      hao replace mobilenet.onnx --fps 200 --data photographs/
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.answer.candidates import BitRules
    from hao.files import recover
    from hao.hw.board import Frames
    from hao.request import SearchRequest
    from hao.runs.run import check_run_name, default_run_name
    from hao.steps.changed import subject_named
    from hao.steps.replace import ReplaceRequest, replace_operations

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
    request = ReplaceRequest(
        **source.named,
        search=search,
        run=run,
        pooled=pooled,
        operations_only=operations_only,
        best=best,
        epochs=epochs,
    )
    recover(runs)
    if run_name is None:
        run_name = default_run_name(
            runs, board=board, fps=fps, network=f"{Path(subject).stem}-replaced"
        )
    check_run_name(run_name)
    with shown_progress(quiet=quiet) as progress:
        found = replace_operations(
            request, run_path=runs / run_name, force=force, progress=progress
        )
    click.echo(str(found))
    click.echo(f"written to {found.result.run}")
