"""Labelled frames to train on, to choose by, and to report.

Where they come from is a word: `digits`, a folder of images by class, an `.npz` file,
or a Python function. The test frames are never trained on nor calibrated with.
Every split is fixed and stratified: each class is divided in the same proportions.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from sklearn.datasets import load_digits

from hao.errors import HaoError, InputError, UnsupportedError
from hao.ir.tensor import Shape
from hao.npz import load_npz

DIGITS = "digits"
"""Name of scikit-learn's digits: 1797 greyscale images of 8x8 pixels."""

TEST_SHARE = 0.3
VALIDATION_SHARE = 0.1
"""Shares of a whole that comes without a split of its own; chosen here."""

SPLIT_SEED = 0

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")

_DIGITS_MAX = 16
_BYTE_MAX = 255
_GREY, _COLOUR = 1, 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Frames with their labels.

    Attributes:
        frames: float32 of shape (frames, channels, height, width), finite.
        labels: int64 of shape (frames,), at least 0.

    Raises:
        InputError: A type, a shape or a value is wrong, or there are no frames.
    """

    frames: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        frames, labels = self.frames, self.labels
        if frames.ndim != 4 or frames.dtype != np.float32:
            raise InputError(
                f"frames of shape {frames.shape}, type {frames.dtype}; must be float32 "
                "of (frames, channels, height, width)"
            )
        if labels.shape != frames.shape[:1] or labels.dtype != np.int64:
            raise InputError(
                f"labels of shape {labels.shape}, type {labels.dtype}; must be int64 "
                f"of ({len(frames)},)"
            )
        if frames.size == 0:
            raise InputError("no frames; must be at least one")
        if not np.all(np.isfinite(frames)):
            raise InputError("frames hold NaN or infinity; must be finite")
        if labels.min() < 0:
            raise InputError(f"label {labels.min()}; must be at least 0")
        frames.setflags(write=False)
        labels.setflags(write=False)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Labelled frames of one shape, divided for good.

    Attributes:
        name: What a report calls it.
        train: To train on and to calibrate with.
        validation: To watch training by.
        test: For the figures that are reported.
        classes: Labels are below it.

    Raises:
        InputError: A label is too large, or the shapes differ.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int

    def __post_init__(self) -> None:
        for word in ("train", "validation", "test"):
            split: Split = getattr(self, word)
            if split.labels.max() >= self.classes:
                raise InputError(
                    f"data set {self.name!r}: {word} has label {split.labels.max()}; "
                    f"must be below {self.classes}"
                )
            if split.frames.shape[1:] != self.train.frames.shape[1:]:
                raise InputError(
                    f"data set {self.name!r}: {word} frames of shape "
                    f"{split.frames.shape[1:]}, train frames of "
                    f"{self.train.frames.shape[1:]}; must be the same"
                )

    @property
    def shape(self) -> Shape:
        """Return the shape of a frame."""
        channels, height, width = self.train.frames.shape[1:]
        return Shape(channels=channels, height=height, width=width)


def load_dataset(spec: str, shape: Shape) -> Dataset:
    """Return a data set with frames of the shape that a network reads.

    Args:
        spec: `digits`; a folder with one folder of images per class; an `.npz` file
            with `x_train`, `y_train`, `x_test` and `y_test`; or `package.module:name`
            of a function without arguments that returns a `Dataset`.
        shape: Of the network's input. Images are resized to it; arrays must have it.

    Raises:
        InputError: The data cannot be read, or do not fit.
    """
    if spec == DIGITS:
        dataset = _digits(shape)
    elif Path(spec).is_dir():
        dataset = _image_folder(Path(spec), shape)
    elif spec.endswith(".npz"):
        dataset = _arrays(Path(spec))
    elif ":" in spec:
        dataset = _made(spec)
    else:
        raise InputError(
            f"data set {spec!r}; must be 'digits', a folder of images, an .npz file or "
            "'package.module:function'"
        )
    if dataset.shape != shape:
        raise InputError(
            f"data set {spec!r}: frames of {_text(dataset.shape)}; the network reads "
            f"{_text(shape)}"
        )
    return dataset


def split_of(
    name: str, frames: NDArray[np.float32], labels: NDArray[np.int64]
) -> Dataset:
    """Return a data set that divides labelled frames by fixed shares of each class.

    Raises:
        InputError: A class has fewer than three frames, or `Split` refuses them.
    """
    whole = Split(frames=frames, labels=labels)
    rest, test = _divided(name, whole, TEST_SHARE)
    train, validation = _divided(name, rest, VALIDATION_SHARE / (1 - TEST_SHARE))
    return Dataset(
        name=name,
        train=train,
        validation=validation,
        test=test,
        classes=int(labels.max()) + 1,
    )


def _divided(name: str, whole: Split, share: float) -> tuple[Split, Split]:
    """Return the frames without a share of each class, and that share."""
    generator = np.random.default_rng(SPLIT_SEED)
    kept: list[NDArray[np.intp]] = []
    taken: list[NDArray[np.intp]] = []
    for label in np.unique(whole.labels):
        members = generator.permutation(np.flatnonzero(whole.labels == label))
        count = max(1, round(len(members) * share))
        if count >= len(members):
            raise InputError(
                f"data set {name!r}: class {label} has too few frames to divide into "
                "train, validation and test; must be at least 3"
            )
        taken.append(members[:count])
        kept.append(members[count:])
    first, second = np.sort(np.concatenate(kept)), np.sort(np.concatenate(taken))
    return (
        Split(frames=whole.frames[first], labels=whole.labels[first]),
        Split(frames=whole.frames[second], labels=whole.labels[second]),
    )


def _digits(shape: Shape) -> Dataset:
    if shape.channels != _GREY:
        raise InputError(
            f"data set 'digits' is greyscale; the network reads {_text(shape)}"
        )
    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images.astype(np.float32) / _DIGITS_MAX)
    enlarged = torch.nn.functional.interpolate(
        pixels[:, None],
        size=(shape.height, shape.width),
        mode="bilinear",
        align_corners=False,
    )
    frames: NDArray[np.float32] = enlarged.numpy()
    return split_of(DIGITS, frames, bunch.target.astype(np.int64))


def _image_folder(folder: Path, shape: Shape) -> Dataset:
    modes = {_GREY: "L", _COLOUR: "RGB"}
    if shape.channels not in modes:
        raise InputError(
            f"{folder}: images have 1 or 3 channels; the network reads {_text(shape)}"
        )
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    frames: list[NDArray[np.float32]] = []
    labels: list[int] = []
    for label, entry in enumerate(classes):
        for path in sorted(entry.iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                frames.append(_image(path, modes[shape.channels], shape))
                labels.append(label)
    if not frames:
        raise InputError(
            f"{folder}: no images; must hold a folder per class with "
            f"{', '.join(IMAGE_SUFFIXES)} files"
        )
    empty = sorted(set(range(len(classes))) - set(labels))
    if empty:
        raise InputError(f"{classes[empty[0]]}: no images; every class must have some")
    return split_of(folder.name, np.stack(frames), np.array(labels, dtype=np.int64))


def _image(path: Path, mode: str, shape: Shape) -> NDArray[np.float32]:
    """Return an image as (channels, height, width) from 0 to 1."""
    try:
        with Image.open(path) as image:
            fitted = image.convert(mode).resize(
                (shape.width, shape.height), Image.Resampling.BILINEAR
            )
            pixels = np.asarray(fitted, dtype=np.float32)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as an image; replace it") from error
    planes = pixels.reshape(shape.height, shape.width, shape.channels)
    scaled: NDArray[np.float32] = planes.transpose(2, 0, 1) / np.float32(_BYTE_MAX)
    return scaled


def _arrays(path: Path) -> Dataset:
    keys = ("x_train", "y_train", "x_test", "y_test")
    try:
        arrays = load_npz(path)
    except ValueError as error:
        raise InputError(f"{error}; not readable as .npz without pickle") from error
    if missing := [key for key in keys if key not in arrays]:
        raise InputError(f"{path}: has no {missing[0]!r}; must hold {', '.join(keys)}")
    try:
        whole = _labelled(path, arrays, "train")
        test = _labelled(path, arrays, "test")
        train, validation = _divided(str(path), whole, VALIDATION_SHARE)
        return Dataset(
            name=path.stem,
            train=train,
            validation=validation,
            test=test,
            classes=int(max(whole.labels.max(), test.labels.max())) + 1,
        )
    except InputError as error:
        if str(error).startswith(str(path)):
            raise
        raise InputError(f"{path}: {error}") from error


def _labelled(path: Path, arrays: dict[str, NDArray[np.generic]], word: str) -> Split:
    x, y = arrays[f"x_{word}"], arrays[f"y_{word}"]
    if not np.issubdtype(y.dtype, np.integer):
        raise InputError(f"{path}: y_{word} is {y.dtype}; must be integers")
    if x.dtype == np.uint8:
        frames = x.astype(np.float32) / np.float32(_BYTE_MAX)
    elif np.issubdtype(x.dtype, np.floating):
        with np.errstate(over="ignore"):
            frames = x.astype(np.float32)
    else:
        raise InputError(f"{path}: x_{word} is {x.dtype}; must be float or uint8")
    return Split(frames=frames, labels=y.astype(np.int64))


def _made(spec: str) -> Dataset:
    module_name, _, name = spec.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), name)):
        raise InputError(
            f"data set {spec!r}: no name of a function; must be "
            "'package.module:function'"
        )
    try:
        function = getattr(importlib.import_module(module_name), name)
    except HaoError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        raise InputError(
            f"data set {spec!r}: {type(error).__name__}: {error}; must be an "
            "importable 'package.module:function'"
        ) from error
    if not callable(function):
        raise InputError(f"data set {spec!r}: not a function; must return a Dataset")
    try:
        dataset = function()
    except HaoError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's function raises
        raise UnsupportedError(
            f"data set {spec!r}: the function raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(dataset, Dataset):
        raise InputError(
            f"data set {spec!r}: returned {type(dataset).__name__}; must be "
            "hao.quant.dataset.Dataset"
        )
    return dataset


def _text(shape: Shape) -> str:
    return f"{shape.channels}x{shape.height}x{shape.width}"
