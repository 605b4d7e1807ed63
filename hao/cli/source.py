"""The options that name data, weights and how pictures are prepared, for commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hao.cli.common import gathered

if TYPE_CHECKING:
    from hao.steps.floats import Source
    from hao.steps.operations import Pooled


@gathered("source")
@click.option(
    "--data",
    help="'digits' (the default), 'fashion-mnist', a folder with a folder of "
    "images per class (or train/ and val/ or test/ of those) or with IDX files, an "
    ".npz file (x_train, y_train, x_test, y_test), or 'package.module:function' "
    "returning a Dataset. Labels are needed for training alone: else images in no "
    "folders will do, or no y_train, y_test.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Float weights: torch state dict, .safetensors, .npz, ONNX file, or "
    "'package.module:function' that makes a torch module  [default: train here]. "
    "Integers of a QONNX or QCDQ file are taken as they are by quantize.",
)
@click.option(
    "--float-epochs",
    type=click.IntRange(1),
    help="Epochs of training in floating point, without --weights  [default: 20].",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    help="Seed of training.",
)
@click.option(
    "--preset",
    help="Normalisation of the frames: imagenet, tf, 0..1 or 0..255  [default: 0..1].",
)
@click.option("--mean", help="Instead of --preset: one number, or one a channel.")
@click.option("--std", help="Likewise; with --mean. Above 1: of pixels from 0 to 255.")
@click.option(
    "--resize",
    type=int,
    help="Short side that pictures are resized to, the middle then cut out "
    "[pixels]  [default: stretched to the frame].",
)
@click.option(
    "--interpolation",
    type=click.Choice(["bilinear", "bicubic"]),
    default="bilinear",
    help="Filter that resizes.",
)
@click.option(
    "--bn-eps",
    type=float,
    help="Epsilon of the batch norms in --weights  [default: what their library has].",
)
@click.option(
    "--mapping",
    type=click.Path(path_type=Path),
    help="Lines `layer <- name in --weights`: followed if the file is there, else "
    "written.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="File with the names of the network's outputs, one a line  [default: names of "
    "the classes' folders].",
)
def source_options(
    *,
    preset: str | None,
    mean: str | None,
    std: str | None,
    resize: int | None,
    interpolation: str,
    **named: Any,  # noqa: ANN401  # the request checks what it is given
) -> "Source":
    """Give a command the options that name data and weights, as `source`."""
    from hao.ir.picture import Fit, Interpolation, Preparation, normalisation
    from hao.steps.floats import Source

    means, stds = normalisation(preset, mean, std)
    fit = Fit(short_side=resize, interpolation=Interpolation(interpolation))
    return Source(preparation=Preparation(fit=fit, mean=means, std=stds), **named)


@gathered("pooled")
@click.option(
    "--pool",
    type=click.Path(path_type=Path),
    help="A table of operations beside hao's own: name,layers,add (docs/replace.md).",
)
@click.option(
    "--only",
    metavar="NAMES",
    help="Operations to offer, with commas between  [default: all].",
)
@click.option(
    "--score-frames",
    type=int,
    default=1024,
    help="Training frames that losses of operations are measured on.",
)
@click.option(
    "--distill-epochs",
    type=click.IntRange(1),
    help="Epochs of training every operation  [default: 4].",
)
def pool_options(
    *,
    only: str | None,
    **named: Any,  # noqa: ANN401  # the request checks what it is given
) -> "Pooled":
    """Give a command the options of which operations, as `pooled`."""
    from hao.steps.operations import Pooled

    return Pooled(only=() if only is None else tuple(only.split(",")), **named)
