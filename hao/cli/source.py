"""The options that name data, weights and how pictures are prepared, for commands."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TypeVar

import click

T = TypeVar("T")

_OPTIONS = (
    click.option(
        "--data",
        help="'digits' (the default), 'fashion-mnist', a folder with a folder of "
        "images per class (or train/ and val/ or test/ of those) or with IDX files, an "
        ".npz file (x_train, y_train, x_test, y_test), or 'package.module:function' "
        "returning a Dataset. Labels are needed for training alone: else images in no "
        "folders will do, or no y_train, y_test.",
    ),
    click.option(
        "--weights",
        type=click.Path(path_type=Path),
        help="Float weights: torch state dict, .safetensors, .npz, ONNX file, or "
        "'package.module:function' that makes a torch module  [default: train here]. "
        "Integers of a QONNX or QCDQ file are taken as they are by quantize.",
    ),
    click.option(
        "--float-epochs", type=click.IntRange(1), help="Of training in float."
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Of training.",
    ),
    click.option(
        "--preset",
        help="Normalisation of the frames: imagenet, tf, 0..1 or 0..255  [default: "
        "0..1].",
    ),
    click.option(
        "--mean", help="Instead of it: one number, or one a channel, as 0.5,0.4."
    ),
    click.option(
        "--std", help="Likewise. Numbers above 1 are of pixels from 0 to 255."
    ),
    click.option(
        "--resize",
        type=int,
        help="Short side that pictures are resized to, the middle then cut out "
        "[pixels]  [default: stretched to the frame].",
    ),
    click.option(
        "--interpolation",
        type=click.Choice(["bilinear", "bicubic"]),
        default="bilinear",
        show_default=True,
        help="Of the resizing.",
    ),
    click.option(
        "--bn-eps",
        type=float,
        help="Of the batch norms in --weights  [default: what their library has].",
    ),
    click.option(
        "--mapping",
        type=click.Path(path_type=Path),
        help="Lines `layer <- name in --weights`: followed if the file is there, else "
        "written.",
    ),
    click.option(
        "--labels",
        type=click.Path(path_type=Path),
        help="Names of the network's outputs, one a line.",
    ),
)


def source_options(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the options, as one argument `source`."""

    @wraps(command)
    def gathered(
        *,
        data: str | None,
        weights: Path | None,
        float_epochs: int | None,
        seed: int,
        preset: str | None,
        mean: str | None,
        std: str | None,
        resize: int | None,
        interpolation: str,
        bn_eps: float | None,
        mapping: Path | None,
        labels: Path | None,
        **others: object,
    ) -> T:
        from hao.ir.picture import Fit, Interpolation, Preparation, normalisation
        from hao.steps.floats import Source

        means, stds = normalisation(preset, mean, std)
        fit = Fit(short_side=resize, interpolation=Interpolation(interpolation))
        source = Source(
            data=data,
            weights=weights,
            float_epochs=float_epochs,
            seed=seed,
            preparation=Preparation(fit=fit, mean=means, std=stds),
            labels=labels,
            bn_eps=bn_eps,
            mapping=mapping,
        )
        return command(source=source, **others)

    decorated: Callable[..., T] = gathered
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


_POOL_OPTIONS = (
    click.option(
        "--pool",
        type=click.Path(path_type=Path),
        help="A table of operations beside hao's own: name,layers,add.",
    ),
    click.option(
        "--only", metavar="NAMES", help="Operations to offer, with commas between."
    ),
    click.option(
        "--score-frames",
        type=int,
        default=1024,
        show_default=True,
        help="Training frames that losses of operations are measured on.",
    ),
    click.option("--distill-epochs", type=int, help="Of every operation."),
)


def pool_options(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the options of which operations, as one argument `pooled`."""

    @wraps(command)
    def gathered(
        *,
        pool: Path | None,
        only: str | None,
        score_frames: int,
        distill_epochs: int | None,
        **others: object,
    ) -> T:
        from hao.steps.operations import Pooled

        pooled = Pooled(
            pool=pool,
            only=() if only is None else tuple(only.split(",")),
            score_frames=score_frames,
            distill_epochs=distill_epochs,
        )
        return command(pooled=pooled, **others)

    decorated: Callable[..., T] = gathered
    for option in reversed(_POOL_OPTIONS):
        decorated = option(decorated)
    return decorated
