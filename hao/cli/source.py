"""The options that name data, weights and how pictures are prepared, for commands."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from hao.steps.floats import QuantizeRequest

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Data, weights and preparation as they were typed.

    Attributes:
        data: What to read; `None` if not named.
        weights: File of float weights.
        float_epochs: Of training in float.
        seed: Of training.
        preset: Name of a normalisation.
        mean: Of the normalisation, in words.
        std: Likewise.
        resize: Short side [pixels].
        interpolation: Of the resizing.
        bn_eps: Of the batch norms in the weights.
        mapping: File that says which weights are of which layer.
        labels: File with the names of the outputs.
    """

    data: str | None
    weights: Path | None
    float_epochs: int | None
    seed: int
    preset: str | None
    mean: str | None
    std: str | None
    resize: int | None
    interpolation: str
    bn_eps: float | None
    mapping: Path | None
    labels: Path | None

    @property
    def named(self) -> bool:
        """Return whether anything was named but the seed."""
        return self.interpolation != "bilinear" or any(
            value is not None
            for value in (
                self.data,
                self.weights,
                self.float_epochs,
                self.preset,
                self.mean,
                self.std,
                self.resize,
                self.bn_eps,
                self.mapping,
                self.labels,
            )
        )

    def request(self, run: Path) -> "QuantizeRequest | None":
        """Return the request that the words amount to, `None` if nothing was named.

        Args:
            run: Run directory.

        Raises:
            InputError: A word is no number, or the name of a normalisation is unknown.
        """
        from hao.ir.picture import Fit, Interpolation, Preparation, normalisation
        from hao.steps.floats import QuantizeRequest

        if not self.named and self.seed == 0:
            return None
        means, stds = normalisation(self.preset, self.mean, self.std)
        return QuantizeRequest(
            run=run,
            data=self.data,
            weights=self.weights,
            float_epochs=self.float_epochs,
            seed=self.seed,
            preparation=Preparation(
                fit=Fit(
                    short_side=self.resize,
                    interpolation=Interpolation(self.interpolation),
                ),
                mean=means,
                std=stds,
            ),
            labels=self.labels,
            bn_eps=self.bn_eps,
            mapping=self.mapping,
        )


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
        source = Source(
            data=data,
            weights=weights,
            float_epochs=float_epochs,
            seed=seed,
            preset=preset,
            mean=mean,
            std=std,
            resize=resize,
            interpolation=interpolation,
            bn_eps=bn_eps,
            mapping=mapping,
            labels=labels,
        )
        return command(source=source, **others)

    decorated: Callable[..., T] = gathered
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
