"""Folders of images as labelled frames, decoded when they are needed.

    photos/cat/1.png ...                    a folder per class: divided here
    photos/train/cat/1.png ...              divided by whoever made the folder:
    photos/val/cat/...  photos/test/cat/... one or both beside `train`

Every file is looked at before any is decoded: its kind, and the size that its header
tells. Frames are read one batch at a time, so that a folder may be larger than memory.
"""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hao.errors import InputError
from hao.ir.tensor import Shape

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")

MAX_PIXELS = 64_000_000
"""Largest image [pixels]; chosen here: a decoded one takes 200 MB."""

TRAIN, VALIDATION, TEST = "train", ("val", "validation", "valid"), "test"
"""Names of the folders of a layout that is divided already; source: those of ImageNet
and of torchvision's, Keras' and Ultralytics' examples."""

_MODES = {1: "L", 3: "RGB"}
_FORMATS = ("BMP", "JPEG", "PNG")
_BYTE_MAX = 255


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageFrames:
    """Images that are decoded where an index or a slice of them is asked for.

    Attributes:
        paths: The files.
        size: What they are resized to.
    """

    paths: tuple[Path, ...]
    size: Shape

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return (frames, channels, height, width)."""
        size = self.size
        return len(self.paths), size.channels, size.height, size.width

    def __getitem__(self, chosen: slice | NDArray[np.integer]) -> NDArray[np.float32]:
        """Return frames as float32 from 0 to 1.

        Raises:
            InputError: A file is not readable as an image.
        """
        paths = (
            self.paths[chosen]
            if isinstance(chosen, slice)
            else [self.paths[index] for index in chosen]
        )
        frames = np.empty((len(paths), *self.shape[1:]), dtype=np.float32)
        for frame, path in zip(frames, paths, strict=True):
            frame[:] = _decoded(path, self.size)
        return frames

    def subset(self, chosen: NDArray[np.integer]) -> "ImageFrames":
        """Return some of the images, in the order of their indices."""
        return ImageFrames(
            paths=tuple(self.paths[index] for index in chosen), size=self.size
        )

    def fingerprint(self) -> bytes:
        """Return a digest of which files these are, and of when they last changed."""
        digest = hashlib.sha256(repr(self.size).encode())
        for path in self.paths:
            known = path.stat()
            digest.update(f"{path}\0{known.st_size}\0{known.st_mtime_ns}\0".encode())
        return digest.digest()

    def equals(self, others: "ImageFrames") -> NDArray[np.bool_]:
        """Return which of the files have the content of one of the others."""
        sizes = {path.stat().st_size for path in others.paths}
        sizes &= {path.stat().st_size for path in self.paths}
        theirs = {_content(p) for p in others.paths if p.stat().st_size in sizes}
        return np.array(
            [p.stat().st_size in sizes and _content(p) in theirs for p in self.paths],
            dtype=np.bool_,
        )


Labelled = tuple[ImageFrames, NDArray[np.int64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFolder:
    """What a folder holds.

    Attributes:
        train: All images, if nobody has divided them.
        validation: Those to watch training by, if set apart.
        test: Those to report, if set apart.
        classes: Names of the classes, in the order of the labels.
    """

    train: Labelled
    validation: Labelled | None
    test: Labelled | None
    classes: tuple[str, ...]


def load_image_folder(folder: Path, size: Shape) -> ImageFolder:
    """Return the images of a folder, none of them decoded yet.

    Args:
        folder: With a folder per class, or with `train` and `val` or `test` of those.
        size: What images are resized to; 1 or 3 channels.

    Raises:
        InputError: A folder or a file cannot be read, is none, or does not belong.
    """
    if size.channels not in _MODES:
        raise InputError(
            f"{folder}: images have 1 or 3 channels; the network reads "
            f"{size.channels}x{size.height}x{size.width}"
        )
    names = [entry.name for entry in _folders(folder)]
    if TRAIN not in names or not _folders(folder / TRAIN):
        parts = [name for name in names if name in (*VALIDATION, TEST)]
        if parts and any(_folders(folder / name) for name in parts):
            raise InputError(
                f"{folder}: {parts[0]}/ but no {TRAIN}/ with a folder per class; hao "
                f"calibrates with images of {TRAIN}/ and never with those it reports"
            )
        classes = tuple(names)
        whole = _labelled(folder, classes, size)
        return ImageFolder(train=whole, validation=None, test=None, classes=classes)
    classes = tuple(entry.name for entry in _folders(folder / TRAIN))
    set_apart = [name for name in VALIDATION if name in names]
    validation = (
        _labelled(folder / set_apart[0], classes, size, all_there=False)
        if set_apart
        else None
    )
    test = (
        _labelled(folder / TEST, classes, size, all_there=False)
        if TEST in names
        else None
    )
    if test is None:
        # As in ImageNet: what is called validation is what results are reported on.
        validation, test = None, validation
    if test is None:
        raise InputError(
            f"{folder}: {TRAIN}/ but neither val/ nor {TEST}/ beside it; must hold "
            "one, or a folder per class alone"
        )
    train = _labelled(folder / TRAIN, classes, size)
    return ImageFolder(train=train, validation=validation, test=test, classes=classes)


def _labelled(
    folder: Path, classes: Sequence[str], size: Shape, *, all_there: bool = True
) -> Labelled:
    """Return the images of a folder per class, and the numbers of their classes."""
    unknown = {entry.name for entry in _folders(folder)} - set(classes)
    if unknown:
        raise InputError(
            f"{folder / min(unknown)}: no such class in {TRAIN}/; every class must be "
            "there"
        )
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        if not all_there and not (folder / name).is_dir():
            continue
        found = [
            path
            for path in _entries(folder / name)
            if path.suffix.lower() in IMAGE_SUFFIXES
        ]
        if not found and all_there and len(classes) > 1:
            raise InputError(f"{folder / name}: no images; every class must have some")
        for path in found:
            _check_image(path)
        paths += found
        labels += [label] * len(found)
    if not paths:
        raise InputError(
            f"{folder}: no images; must hold a folder per class with "
            f"{', '.join(IMAGE_SUFFIXES)} files"
        )
    return ImageFrames(paths=tuple(paths), size=size), np.array(labels, dtype=np.int64)


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_dir()]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(
            entry for entry in folder.iterdir() if not entry.name.startswith(".")
        )
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error


def _check_image(path: Path) -> None:
    """Check what can be told without decoding an image.

    Raises:
        InputError: It is no file, no image, or too large.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: not a file; must be an image, or go")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                width, height = image.size
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path}: far too many pixels; must be at most {MAX_PIXELS} in all"
        ) from error
    except Exception as error:  # Pillow raises whatever a broken file leads to
        raise _unreadable(path, error) from error
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: {width} x {height} pixels; must be at most {MAX_PIXELS} in all"
        )


def _decoded(path: Path, size: Shape) -> NDArray[np.float32]:
    """Return an image as (channels, height, width) from 0 to 1."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            fitted = image.convert(_MODES[size.channels]).resize(
                (size.width, size.height), Image.Resampling.BILINEAR
            )
            pixels = np.asarray(fitted, dtype=np.float32)
    except Exception as error:  # Pillow raises whatever a broken file leads to
        raise _unreadable(path, error) from error
    planes = pixels.reshape(size.height, size.width, size.channels)
    scaled: NDArray[np.float32] = planes.transpose(2, 0, 1) / np.float32(_BYTE_MAX)
    return scaled


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = error.strerror if isinstance(error, OSError) else None
    reason = reason or "damaged, or of another kind"
    return InputError(f"{path}: not readable as an image ({reason}); replace it")


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise _unreadable(path, error) from error
