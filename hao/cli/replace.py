"""The command that replaces a network's blocks by operations that run faster."""

from typing import TYPE_CHECKING, Any

import click

from hao.cli.change import change_options
from hao.cli.common import JSON, QUIET, REPLACED, parted, show, shown_progress
from hao.cli.source import pool_options, source_options

if TYPE_CHECKING:
    from hao.cli.change import Asked
    from hao.steps.floats import Source


@click.command("replace", cls=parted({"--pool": "How"}))
@change_options("4,8", "replaced")
@source_options
@pool_options
@click.option(
    "--operations-only",
    is_flag=True,
    help="Layers that are not replaced keep the most bits.",
)
@click.option(
    "--best",
    type=int,
    default=10,
    metavar="K",
    help="Designs whose networks are put together and measured.",
)
@click.option(
    "--epochs",
    type=click.IntRange(0),
    help="Epochs of fine-tuning, 0 for none  [default: 20].",
)
@REPLACED
@JSON
@QUIET
def replace_command(
    *,
    asked: "Asked",
    source: "Source",
    force: bool,
    as_json: bool,
    quiet: bool,
    **named: Any,  # noqa: ANN401  # the request checks what it is given
) -> None:
    """Replace blocks of a network by operations that run faster.

    NETWORK_OR_RUN is a network of the zoo, a float ONNX file,
    package.module:function that makes a torch module, or a run directory, whose board
    and frame hold. Every operation of a pool is trained to do what each block does; an
    integer program
    chooses operations, bits and engine; the best of several choices is trained on.

    \b
    Examples:
      hao replace digits --fps 45000 --frames back-to-back
      hao replace mobilenet.onnx --fps 200 --data photographs/
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.steps.replace import ReplaceRequest, replace_operations

    request = ReplaceRequest(
        **source.named, search=asked.search, run=asked.run, **named
    )
    with shown_progress(quiet=quiet or as_json) as progress:
        found = replace_operations(
            request, run_path=asked.target, force=force, progress=progress
        )
    text = f"{found}\nwritten to {found.result.run}"
    show(found.as_json(), text, as_json=as_json)
