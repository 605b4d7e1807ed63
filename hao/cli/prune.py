"""The command that takes channels or weights out of a network: prune."""

from typing import TYPE_CHECKING, Any

import click

from hao.cli.change import change_options
from hao.cli.common import JSON, QUIET, REPLACED, parted, show, shown_progress
from hao.cli.source import source_options

if TYPE_CHECKING:
    from hao.cli.change import Asked
    from hao.steps.floats import Source


@click.command("prune", cls=parted({"--method": "How"}))
@change_options("8", "pruned")
@source_options
@click.option(
    "--method",
    type=click.Choice(["channels", "sparsity"]),
    default="channels",
    help="What is taken out: channels (HALP), or blocks of weights that the engine "
    "skips (ALCS).",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 100),
    default=4,
    help="Times that channels are taken out, 1: all at once; or that weights are "
    "projected.",
)
@click.option(
    "--iterations",
    type=click.IntRange(1),
    default=60,
    help="Training steps before each, over which saliency is averaged; or behind each "
    "projection.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Epochs of training after the last  [default: 15].",
)
@REPLACED
@JSON
@QUIET
def prune_command(
    *,
    asked: "Asked",
    source: "Source",
    force: bool,
    as_json: bool,
    quiet: bool,
    **named: Any,  # noqa: ANN401  # the request checks what it is given
) -> None:
    """Take channels or weights out of a network for a frame rate.

    NETWORK_OR_RUN is a network of the zoo, a float ONNX file,
    package.module:function that makes a torch module, or a run directory, whose board
    and frame hold. Which channels go (HALP) is decided by their effect on the loss, how
    many by the integer
    program, together with the accelerator. With --method sparsity
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
    from hao.report.hardware import values_json
    from hao.report.tables import render_summary
    from hao.steps import prune

    request = prune.PruneRequest(
        **source.named, search=asked.search, run=asked.run, **named
    )
    with shown_progress(quiet=quiet or as_json) as progress:
        result, pruning = prune.prune_run(
            request, asked.target, force=force, progress=progress
        )
    text = f"{render_summary(result)}\n{prune.render_pruning(pruning)}"
    text += f"\n\nwritten to {result.run}"
    show(values_json(pruning), text, as_json=as_json)
