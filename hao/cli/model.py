"""The command that looks at a model file: what of it can be built."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hao.cli.common import JSON, frame_size, show

if TYPE_CHECKING:
    from hao.ir.tensor import ImageSize


@click.command("check")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--image-size",
    callback=frame_size,
    metavar="PIXELS",
    help="Height and width of the frame where the file leaves them open: 224, or "
    "49x10 for 49 rows of 10.",
)
@JSON
@click.pass_context
def check_command(
    ctx: click.Context,
    *,
    model: Path,
    image_size: "ImageSize | None",
    as_json: bool,
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
      hao check package.module:network --image-size 49x10
    """  # noqa: D301 - click needs the backspace that ends re-wrapping
    from hao.model import check_model

    check = check_model(model, image_size=image_size)
    network = check.network
    found = {
        "file": str(model),
        "operators": dict(check.operators),
        "layers": None if network is None else [one.name for one in network.layers],
        "rewritten": list(check.notes),
        "missing": list(check.missing),
    }
    show(found, f"{model}: {check!r}", as_json=as_json)
    if check.missing:
        ctx.exit(2)
