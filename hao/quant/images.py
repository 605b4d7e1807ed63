"""Folders of images as labelled frames, decoded when they are needed.

    photos/cat/1.png ...                    a folder per class: divided here
    photos/train/cat/1.png ...              divided by whoever made the folder:
    photos/val/cat/...  photos/test/cat/... one or both beside `train`
    photos/1.png ...                        without classes: divided here, or in
    photos/train/1.png ...  photos/test/... parts

Every file is looked at before any is decoded: its kind, and the size that its header
tells. Frames are read one batch at a time, so that a folder may be larger than memory.
"""

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hao.errors import InputError
from hao.ir.picture import BYTE_MAX, STRETCHED, Fit
from hao.ir.tensor import Shape
from hao.quant.pictures import WIDE_NOTE, WORD_MAX, fitted, mode_note, with_channels

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")

MAX_PIXELS = 64_000_000
"""Largest image [pixels]; chosen here: a decoded one takes 200 MB."""

TRAIN, VALIDATION, TEST = "train", ("val", "validation", "valid"), "test"
"""Names of the folders of a layout that is divided already; source: those of ImageNet
and of torchvision's, Keras' and Ultralytics' examples."""

_KINDS = ", ".join(IMAGE_SUFFIXES)
_CHANNELS = (1, 3)
_FORMATS = ("BMP", "JPEG", "PNG")
_LOOKED_AT = 16
"""Images of 16 bits whose largest number is looked for; chosen here."""
_PASSED_OVER = f"neither of {_KINDS}: passed over"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageFrames:
    """Images that are decoded where an index or a slice of them is asked for.

    Attributes:
        paths: The files.
        size: What they are brought to.
        fit: How.
    """

    paths: tuple[Path, ...]
    size: Shape
    fit: Fit = STRETCHED

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
            frame[:] = _decoded(path, self.size, self.fit)
        return frames

    def subset(self, chosen: NDArray[np.integer]) -> "ImageFrames":
        """Return some of the images, in the order of their indices."""
        return ImageFrames(
            paths=tuple(self.paths[index] for index in chosen),
            size=self.size,
            fit=self.fit,
        )

    def fingerprint(self) -> bytes:
        """Return a digest of which files these are, and of when they last changed."""
        digest = hashlib.sha256(repr((self.size, self.fit)).encode())
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
        classes: Names of the classes, in the order of the labels; none where images lie
            in no folders of classes, and all labels are 0.
        notes: What becomes of images of other modes, a sentence for each kind.
    """

    train: Labelled
    validation: Labelled | None
    test: Labelled | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def load_image_folder(folder: Path, size: Shape, fit: Fit = STRETCHED) -> ImageFolder:
    """Return the images of a folder, none of them decoded yet.

    Args:
        folder: With a folder per class, or with `train` and `val` or `test` of those;
            or with the images themselves in place of the folders per class.
        size: What images are brought to; 1 or 3 channels.
        fit: How.

    Raises:
        InputError: A folder or a file cannot be read, is none, or does not belong.
    """
    if size.channels not in _CHANNELS:
        raise InputError(
            f"{folder}: images have 1 or 3 channels; the network reads {size}"
        )
    reader = _Reader(size, fit)
    names = [entry.name for entry in _folders(folder)]
    if not _is_divided(folder, names):
        parts = [name for name in names if name in (*VALIDATION, TEST)]
        if parts and any(_folders(folder / name) for name in parts):
            raise InputError(
                f"{folder}: {parts[0]}/ but no {TRAIN}/ with images, or with a folder "
                f"of them per class; hao calibrates with images of {TRAIN}/ and never "
                "with those it reports"
            )
        return reader.found(reader.labelled(folder, names), None, None, names)
    classes = [entry.name for entry in _folders(folder / TRAIN)]
    set_apart = [name for name in VALIDATION if name in names]
    validation = test = None
    if set_apart:
        validation = reader.labelled(folder / set_apart[0], classes, all_there=False)
    if TEST in names:
        test = reader.labelled(folder / TEST, classes, all_there=False)
    else:
        # As in ImageNet: what is called validation is what results are reported on.
        validation, test = None, validation
    if test is None:
        raise InputError(
            f"{folder}: {TRAIN}/ but neither val/ nor {TEST}/ beside it; must hold "
            "one, or a folder per class alone"
        )
    train = reader.labelled(folder / TRAIN, classes)
    return reader.found(train, validation, test, classes)


class _Reader:
    """Finds images, and counts those of other modes; keeps some of 16 bits."""

    def __init__(self, size: Shape, fit: Fit) -> None:
        self.size, self.fit = size, fit
        self.notes: Counter[str] = Counter()
        self.wide: list[Path] = []

    def found(
        self,
        train: Labelled,
        validation: Labelled | None,
        test: Labelled | None,
        classes: Sequence[str],
    ) -> ImageFolder:
        return ImageFolder(
            train=train,
            validation=validation,
            test=test,
            classes=tuple(classes),
            notes=(
                *(f"{n} images are {note}" for note, n in self.notes.items() if n),
                *_dark_notes(self.wide),
            ),
        )

    def labelled(
        self, folder: Path, classes: Sequence[str], *, all_there: bool = True
    ) -> Labelled:
        """Return the images of a folder, and the numbers of their classes."""
        unknown = {entry.name for entry in _folders(folder)} - set(classes)
        if unknown:
            raise InputError(
                f"{folder / min(unknown)}: no such class in {TRAIN}/; every class must "
                "be there"
            )
        paths: list[Path] = []
        labels: list[int] = []
        places = [folder / name for name in classes] or [folder]
        for label, place in enumerate(places):
            if not all_there and not place.is_dir():
                continue
            images = _images(place)
            if not images and all_there and len(classes) > 1:
                raise InputError(
                    f"{place}: no {_KINDS} files; every class must have some"
                )
            self.notes[_PASSED_OVER] += _other_images(place)
            for path in images:
                note = _check_image(path, self.size.channels)
                if note:
                    self.notes[note] += 1
                if note == WIDE_NOTE and len(self.wide) < _LOOKED_AT:
                    self.wide.append(path)
            paths += images
            labels += [label] * len(images)
        if not paths:
            raise InputError(
                f"{folder}: no images; must hold {_KINDS} files, or a folder of them "
                "per class"
            )
        frames = ImageFrames(paths=tuple(paths), size=self.size, fit=self.fit)
        return frames, np.array(labels, dtype=np.int64)


def _is_divided(folder: Path, names: Sequence[str]) -> bool:
    """Return whether a folder is divided into parts; a class may be called train."""
    if TRAIN not in names:
        return False
    parts_alone = len(names) > 1 and set(names) <= {TRAIN, *VALIDATION, TEST}
    return parts_alone or bool(_folders(folder / TRAIN))


def _images(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.suffix.lower() in IMAGE_SUFFIXES]


def _other_images(folder: Path) -> int:
    """Return how many files have names of images of kinds that are not read."""
    others = {e.suffix.lower() for e in _entries(folder)} - {*IMAGE_SUFFIXES, ""}
    if not others:
        return 0
    others &= set(Image.registered_extensions())
    return sum(entry.suffix.lower() in others for entry in _entries(folder))


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_dir()]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(
            entry for entry in folder.iterdir() if not entry.name.startswith(".")
        )
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error


def _check_image(path: Path, channels: int) -> str:
    """Check what can be told without decoding an image; return what its mode loses.

    Raises:
        InputError: It is no file, no image, too large, or of a mode not handled.
    """
    if not path.is_file():
        raise InputError(f"{path}: not a file; must be an image, or go")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with _opened(path) as image:
            width, height = image.size
            note = mode_note(image, channels)
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: {width} x {height} pixels; must be at most {MAX_PIXELS} in all"
        )
    return note


def _dark_notes(wide: Sequence[Path]) -> Iterator[str]:
    """Yield a note if images of 16 bits use less than half of what these can hold."""
    if not wide:
        return
    brightest = max(map(_brightest, wide))
    if brightest <= WORD_MAX // 2:
        yield (
            f"no pixel of the first {len(wide)} of them is above {brightest} of "
            f"{WORD_MAX}, so they are dark; scale them to 8 or 16 bits if they hold "
            "fewer"
        )


def _brightest(path: Path) -> int:
    with _opened(path) as image:
        return int(np.asarray(image).max())


def _decoded(path: Path, size: Shape, fit: Fit) -> NDArray[np.float32]:
    """Return an image as (channels, height, width) from 0 to 1."""
    with _opened(path) as image:
        image.load()
        pixels = np.asarray(fitted(with_channels(image, size.channels), size, fit))
    planes = pixels.reshape(size.height, size.width, size.channels)
    return planes.transpose(2, 0, 1).astype(np.float32) / np.float32(BYTE_MAX)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Yield an image; what is wrong with it is told with its path."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path}: far too many pixels; must be at most {MAX_PIXELS} in all"
        ) from error
    except Exception as error:  # Pillow raises whatever a broken file leads to
        raise _unreadable(path, error) from error


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
