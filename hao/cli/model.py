"""The command that looks at a model file: what of it can be built."""

from pathlib import Path

import click

from hao.cli.common import JSON


@click.command("check")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--image-size",
    type=int,
    help="Height and width of the frame where the file leaves them open [pixels].",
)
@JSON
@click.pass_context
def check_command(
    ctx: click.Context, *, model: Path, image_size: int | None, as_json: bool
) -> None:
    """Say what of a model file is handled, rewritten and missing.

    MODEL is an ONNX or QONNX file, or package.module:function that makes a torch
    module. Everything that is missing is listed, each with what to put in its place.
    Exits with 2 if anything is missing; what passes can be searched, quantized, emitted
    and simulated.

    \b
    Examples:
      hao check net.onnx
      hao check net.onnx --image-size 224
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.model import check_model
    from hao.report.model import check_json, render_check

    check = check_model(model, image_size=image_size)
    render = check_json if as_json else render_check
    click.echo(render(model, check))
    if check.missing:
        ctx.exit(2)
