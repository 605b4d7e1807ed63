"""Labelled frames to train on, to choose by, and to report.

Where they come from is a word: `digits`, a folder of images (`hao.quant.images`), an
`.npz` file, or a Python function. The test frames are never trained on nor calibrated
with: training frames that equal one of them are left out.
Every split is fixed and stratified: each class is divided in the same proportions. The
frames of a split are mixed, so that any first part of them has all classes alike.
"""

import hashlib
import importlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from hao.errors import HaoError, InputError, UnsupportedError
from hao.ir.tensor import Shape
from hao.npz import load_npz
from hao.quant.images import ImageFrames, load_image_folder

DIGITS = "digits"
"""Name of scikit-learn's digits: 1797 greyscale images of 8x8 pixels."""

TEST_SHARE = 0.3
VALIDATION_SHARE = 0.1
"""Shares of a whole that comes without a split of its own; chosen here."""

SPLIT_SEED = 0

_DIGITS_MAX = 16
_BYTE_MAX = 255
_GREY = 1
_CHECKED = 1024
"""Frames that are checked at a time."""

Frames = NDArray[np.float32] | ImageFrames
"""Frames in memory, or images that are decoded when a part of them is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Frames with their labels.

    Attributes:
        frames: float32 of shape (frames, channels, height, width), finite; or images.
        labels: int64 of shape (frames,), at least 0.

    Raises:
        InputError: A type, a shape or a value is wrong, or there are no frames.
    """

    frames: Frames
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        frames, labels = self.frames, self.labels
        if isinstance(frames, np.ndarray):
            _check_array(frames)
        if labels.shape != frames.shape[:1] or labels.dtype != np.int64:
            raise InputError(
                f"labels of shape {labels.shape}, type {labels.dtype}; must be int64 "
                f"of ({len(frames)},)"
            )
        if len(labels) == 0:
            raise InputError("no frames; must be at least one")
        if labels.min() < 0:
            raise InputError(f"label {labels.min()}; must be at least 0")
        labels.setflags(write=False)

    def __len__(self) -> int:
        return len(self.labels)

    def chosen(self, indices: NDArray[np.integer]) -> "Split":
        """Return some of the frames, in the order of their indices."""
        frames = self.frames
        kept: Frames = (
            frames[indices]
            if isinstance(frames, np.ndarray)
            else frames.subset(indices)
        )
        return Split(frames=kept, labels=self.labels[indices])

    def fingerprint(self) -> bytes:
        """Return a digest of the frames, or of their files, and of the labels."""
        frames = self.frames
        own = (
            hashlib.sha256(frames.tobytes()).digest()
            if isinstance(frames, np.ndarray)
            else frames.fingerprint()
        )
        return own + hashlib.sha256(self.labels.tobytes()).digest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Labelled frames of one shape, divided for good.

    Attributes:
        name: What a report calls it.
        train: To train on and to calibrate with.
        validation: To watch training by.
        test: For the figures that are reported.
        classes: Labels are below it.
        drawn: Whether the test frames were drawn here from all frames, so that weights
            from elsewhere may have been trained with them.
        left_out: Training frames that were left out since they equal a test frame.

    Raises:
        InputError: A label is too large, or the shapes differ.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    drawn: bool = False
    left_out: int = 0

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


def _check_array(frames: NDArray[np.float32]) -> None:
    if frames.ndim != 4 or frames.dtype != np.float32:
        raise InputError(
            f"frames of shape {frames.shape}, type {frames.dtype}; must be float32 "
            "of (frames, channels, height, width)"
        )
    for start in range(0, len(frames), _CHECKED):
        if not np.all(np.isfinite(frames[start : start + _CHECKED])):
            raise InputError("frames hold NaN or infinity; must be finite")
    frames.setflags(write=False)


def load_dataset(spec: str, shape: Shape) -> Dataset:
    """Return a data set with frames of the shape that a network reads.

    Args:
        spec: `digits`; a folder with one folder of images per class, or with `train`
            and `val` or `test` of those; an `.npz` file
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
    return _apart(dataset)


def _apart(dataset: Dataset) -> Dataset:
    """Return a data set without training frames that equal a test frame.

    Raises:
        InputError: None is left.
    """
    train, test = dataset.train.frames, dataset.test.frames
    if isinstance(train, np.ndarray) and isinstance(test, np.ndarray):
        theirs = {hashlib.sha256(frame.tobytes()).digest() for frame in test}
        equal = np.array(
            [hashlib.sha256(frame.tobytes()).digest() in theirs for frame in train]
        )
    elif isinstance(train, ImageFrames) and isinstance(test, ImageFrames):
        equal = train.equals(test)
    else:
        return dataset
    if not equal.any():
        return dataset
    if equal.all():
        raise InputError(
            f"data set {dataset.name!r}: all training frames are test frames too; must "
            "be others"
        )
    kept = dataset.train.chosen(np.flatnonzero(~equal))
    return replace(dataset, train=kept, left_out=int(equal.sum()))


def _mixed(split: Split) -> Split:
    """Return the frames in an order in which every first part has all classes alike.

    Frame k of the n of a class comes at place (k + 1/2) / n.
    """
    place = np.empty(len(split))
    for label in np.unique(split.labels):
        members = np.flatnonzero(split.labels == label)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return split.chosen(np.lexsort((split.labels, place)))


def _split(frames: Frames, labels: NDArray[np.int64]) -> Split:
    return Split(frames=frames, labels=labels)


def split_of(
    name: str, frames: Frames, labels: NDArray[np.int64], *, mixed: bool = True
) -> Dataset:
    """Return a data set that divides labelled frames by fixed shares of each class.

    Args:
        name: What a report calls it.
        frames: All of them.
        labels: One a frame.
        mixed: Whether training frames are mixed too, as test frames always are.

    Raises:
        InputError: A class has fewer than three frames, or `Split` refuses them.
    """
    whole = Split(frames=frames, labels=labels)
    rest, test = _divided(name, whole, TEST_SHARE)
    train, validation = _divided(name, rest, VALIDATION_SHARE / (1 - TEST_SHARE))
    return Dataset(
        name=name,
        train=_mixed(train) if mixed else train,
        validation=validation,
        test=_mixed(test),
        classes=int(labels.max()) + 1,
        drawn=True,
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
    return whole.chosen(first), whole.chosen(second)


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
    # They come in no order of classes.
    return split_of(DIGITS, frames, bunch.target.astype(np.int64), mixed=False)


def _image_folder(folder: Path, shape: Shape) -> Dataset:
    """Return the images of a folder, divided as it is or by fixed shares."""
    found = load_image_folder(folder, shape)
    name = folder.name
    if found.test is None:
        return split_of(name, *found.train)
    whole = Split(frames=found.train[0], labels=found.train[1])
    if found.validation is None:
        train, validation = _divided(name, whole, VALIDATION_SHARE)
    else:
        train, validation = whole, _split(*found.validation)
    return Dataset(
        name=name,
        train=_mixed(train),
        validation=validation,
        test=_mixed(_split(*found.test)),
        classes=len(found.classes),
    )


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
            train=_mixed(train),
            validation=validation,
            test=_mixed(test),
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
    return replace(dataset, train=_mixed(dataset.train), test=_mixed(dataset.test))


def _text(shape: Shape) -> str:
    return f"{shape.channels}x{shape.height}x{shape.width}"
