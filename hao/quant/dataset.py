"""Frames to train on, to choose by, and to report, mostly with labels.

Where they come from is a word: `digits`, `fashion-mnist`, a folder of images
(`hao.quant.images`) or of IDX files, an `.npz` file, or a Python function. So

    shape = Shape(channels=1, height=28, width=28)
    dataset = load_dataset("fashion-mnist", shape)
    dataset.train.frames[:64]   # float32, (64, 1, 28, 28), from 0 to 1
    dataset.train.labels[:64]   # int64, (64,)

has 54,000 frames to train on, 6,000 to choose by (`validation`) and 10,000 to report
(`test`), kept as bytes until they are asked for. The test frames are never trained on
nor calibrated with: training frames that equal one are left out. Every split is fixed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.factory import made_by
from hao.ir.picture import STRETCHED, Fit
from hao.ir.tensor import Shape
from hao.quant.arrays import (
    ArrayFile,
    LabelledArray,
    holds_idx,
    load_arrays,
    load_idx_folder,
)
from hao.quant.division import divided, mixed_order
from hao.quant.images import ImageFrames, load_image_folder
from hao.quant.known import CLASS_NAMES, DIGITS, FASHION, digits, fashion_folder
from hao.quant.pictures import ByteFrames, byte_frames, channels_note

TEST_SHARE = 0.3
VALIDATION_SHARE = 0.1
"""Shares of a whole that comes without a split of its own; chosen here."""

_CHECKED = 1024
"""Frames that are checked at a time."""

Frames = NDArray[np.float32] | ByteFrames | ImageFrames
"""Frames in memory as numbers or as bytes, or images that are decoded when a part of
them is asked for. All have `shape` and `len`; a slice or an array of indices gives
float32 of shape (frames, channels, height, width)."""


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
        if isinstance(frames, np.ndarray):
            return Split(frames=frames[indices], labels=self.labels[indices])
        return Split(frames=frames.subset(indices), labels=self.labels[indices])

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
    """Frames of one shape, divided for good.

    Attributes:
        name: What a report calls it.
        train: To train on and to calibrate with.
        validation: To watch training by.
        test: For the figures that are reported.
        classes: Labels are below it.
        drawn: Whether the test frames were drawn here from all frames, so that weights
            from elsewhere may have been trained with them.
        left_out: Training frames that were left out since they equal a test frame.
        labelled: Whether labels mean anything; without, all of them are 0.
        names: Of the classes, in the order of the labels; empty if unknown.
        notes: What became of images of other modes, a sentence each.

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
    labelled: bool = True
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

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


def load_dataset(spec: str, shape: Shape, fit: Fit = STRETCHED) -> Dataset:
    """Return a data set with frames of the shape that a network reads.

    Args:
        spec: `digits`; `fashion-mnist`; a folder with one folder of images per class,
            or with `train` and `val` or `test` of those, or with images that have no
            labels in their place; a folder of IDX files; an
            `.npz` file with `x_train`, `y_train`, `x_test` and `y_test`; or
            `package.module:name` of a function without arguments that returns a
            `Dataset`.
        shape: Of the network's input. Images and arrays of bytes are brought to it;
            floats must have it.
        fit: How they are brought to it.

    Raises:
        InputError: The data cannot be read, or do not fit.
        UnsupportedError: The function raised something.
    """
    folder = Path(spec)
    if spec == DIGITS:
        dataset = _digits(shape)
    elif spec == FASHION:
        dataset = _arrays(FASHION, load_idx_folder(fashion_folder()), shape, fit)
    elif folder.is_dir() and holds_idx(folder):
        dataset = _arrays(spec, load_idx_folder(folder), shape, fit)
    elif folder.is_dir():
        dataset = _image_folder(folder, shape, fit)
    elif spec.endswith(".npz"):
        dataset = _arrays(spec, load_arrays(folder), shape, fit)
    elif ":" in spec:
        dataset = _made(spec)
    else:
        absent = ": no such folder" if not folder.exists() else ""
        raise InputError(
            f"data set {spec!r}{absent}; must be 'digits', 'fashion-mnist', a folder "
            "of images or of IDX files, an .npz file or 'package.module:function'"
        )
    if dataset.shape != shape:
        raise InputError(
            f"data set {spec!r}: frames of {dataset.shape}; the network reads "
            f"{shape}: {_remedy(dataset.shape, shape)}"
        )
    return _apart(dataset)


def _remedy(given: Shape, wanted: Shape) -> str:
    """Return what makes frames of floats those that a network reads."""
    last = Shape(channels=given.width, height=given.channels, width=given.height)
    if last == wanted:
        return "channels come first; give frames.transpose(0, 3, 1, 2)"
    if given.channels != wanted.channels:
        return "give frames of as many channels"
    return "give frames of that size, or bytes (uint8), which are resized"


def _apart(dataset: Dataset) -> Dataset:
    """Return a data set without training frames that equal a test frame.

    Raises:
        InputError: None is left.
    """
    train, test = dataset.train.frames, dataset.test.frames
    if isinstance(train, ImageFrames) and isinstance(test, ImageFrames):
        equal = train.equals(test)
    elif isinstance(train, ImageFrames) or isinstance(test, ImageFrames):
        return dataset
    else:
        theirs = set(_digests(test))
        equal = np.array([digest in theirs for digest in _digests(train)])
    if not equal.any():
        return dataset
    if equal.all():
        raise InputError(
            f"data set {dataset.name!r}: all training frames are test frames too; must "
            "be others"
        )
    kept = dataset.train.chosen(np.flatnonzero(~equal))
    return replace(dataset, train=kept, left_out=int(equal.sum()))


def _digests(frames: NDArray[np.float32] | ByteFrames) -> Iterator[bytes]:
    for frame in frames.pixels if isinstance(frames, ByteFrames) else frames:
        yield hashlib.sha256(frame.tobytes()).digest()


def _mixed(split: Split) -> Split:
    return split.chosen(mixed_order(split.labels))


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
        names=CLASS_NAMES.get(name, ()),
    )


def _split(frames: Frames, labels: NDArray[np.int64]) -> Split:
    return Split(frames=frames, labels=labels)


def _divided(name: str, whole: Split, share: float) -> tuple[Split, Split]:
    """Return the frames without a share of each class, and that share."""
    try:
        first, second = divided(whole.labels, share)
    except InputError as error:
        raise InputError(f"data set {name!r}: {error}") from error
    return whole.chosen(first), whole.chosen(second)


def _digits(shape: Shape) -> Dataset:
    # They come in no order of classes.
    return split_of(DIGITS, *digits(shape), mixed=False)


def _image_folder(folder: Path, shape: Shape, fit: Fit) -> Dataset:
    """Return the images of a folder, divided as it is or by fixed shares."""
    found = load_image_folder(folder, shape, fit)
    name, known = folder.resolve().name, found.classes
    if found.test is None:
        dataset = split_of(name, *found.train)
        return replace(dataset, names=known, labelled=bool(known), notes=found.notes)
    whole = _split(*found.train)
    if found.validation is None:
        train, validation = _divided(name, whole, VALIDATION_SHARE)
    else:
        train, validation = whole, _split(*found.validation)
    return Dataset(
        name=name,
        train=_mixed(train),
        validation=validation,
        test=_mixed(_split(*found.test)),
        classes=max(1, len(known)),
        names=known,
        labelled=bool(known),
        notes=found.notes,
    )


def _arrays(spec: str, found: ArrayFile, shape: Shape, fit: Fit) -> Dataset:
    """Return the arrays of a file or a folder; what trains is divided by a share."""
    try:
        whole = _array_split("training", found.train, shape, fit)
        test = _array_split("test", found.test, shape, fit)
        train, validation = _divided(spec, whole, VALIDATION_SHARE)
        return Dataset(
            name=Path(spec).stem,
            train=_mixed(train),
            validation=validation,
            test=_mixed(test),
            classes=int(max(whole.labels.max(), test.labels.max())) + 1,
            labelled=found.train.labels is not None,
            names=CLASS_NAMES.get(spec, ()),
            notes=_channel_notes(found.train, shape),
        )
    except InputError as error:
        if str(error).startswith(spec):
            raise
        raise InputError(f"{spec}: {error}") from error


def _channel_notes(given: LabelledArray, shape: Shape) -> tuple[str, ...]:
    if given.frames.dtype != np.uint8:
        return ()
    note = channels_note(given.frames.astype(np.uint8, copy=False), shape.channels)
    return (f"all images are {note}",) if note else ()


def _array_split(part: str, given: LabelledArray, shape: Shape, fit: Fit) -> Split:
    frames: Frames
    try:
        if given.frames.dtype == np.uint8:
            frames = byte_frames(given.frames.astype(np.uint8, copy=False), shape, fit)
        else:
            frames = given.frames.astype(np.float32, copy=False)
        none = np.zeros(frames.shape[:1], dtype=np.int64)
        return _split(frames, none if given.labels is None else given.labels)
    except InputError as error:
        raise InputError(f"{part} part: {error}") from error


def _made(spec: str) -> Dataset:
    dataset = made_by(spec, "data set", Dataset)
    return replace(dataset, train=_mixed(dataset.train), test=_mixed(dataset.test))
