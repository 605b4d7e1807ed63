"""Arrays of frames and labels: `.npz` files, and folders of IDX files.

IDX is the format of MNIST and of its relatives (Fashion-MNIST, KMNIST, EMNIST): two
zero bytes, a type, the number of axes, their lengths, and the numbers, all big-endian;
often packed by gzip. Source: LeCun, "The MNIST database", section "file formats".
"""

import gzip
import struct
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.npz import MAX_UNPACKED_BYTES, load_npz

TRAIN, TEST = ("train-",), ("t10k-", "test-")
"""How names of IDX files begin, or go on after that of the data set."""

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_BYTE_TYPE = 0x08
_LABEL_AXES, _IMAGE_AXES = 1, 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledArray:
    """Frames as a file holds them, with their labels.

    Attributes:
        frames: uint8, or float32, of any shape.
        labels: int64 of shape (frames,); `None` where the file has none.
    """

    frames: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayFile:
    """What a file, or a folder, of arrays holds.

    Attributes:
        train: To train on and to calibrate with.
        test: To report.
    """

    train: LabelledArray
    test: LabelledArray


def npz_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an `.npz` file that a user names, by name.

    Raises:
        InputError: It is not there, or not readable without pickle.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; must be an .npz archive")
    try:
        return load_npz(path)
    except ValueError as error:
        raise InputError(f"{error}; must be an .npz archive without pickle") from error


def load_arrays(path: Path) -> ArrayFile:
    """Return the frames and labels of an `.npz` file.

    Args:
        path: With `x_train`, `y_train`, `x_test` and `y_test`, or without the labels.

    Raises:
        InputError: It cannot be read, or lacks an array, or one is of another type.
    """
    arrays = npz_arrays(path)
    unlabelled = "y_train" not in arrays and "y_test" not in arrays
    keys = [key for key in _KEYS if not (unlabelled and key.startswith("y"))]
    if missing := [key for key in keys if key not in arrays]:
        raise InputError(
            f"{path}: has no {missing[0]!r}; must hold {', '.join(_KEYS)}, or no labels"
        )
    return ArrayFile(
        train=_labelled(path, arrays, "train"), test=_labelled(path, arrays, "test")
    )


def _labelled(
    path: Path, arrays: dict[str, NDArray[np.generic]], word: str
) -> LabelledArray:
    x, y = arrays[f"x_{word}"], arrays.get(f"y_{word}")
    if y is not None and y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]  # a column, as Keras has labels
    if y is not None and not np.issubdtype(y.dtype, np.integer):
        raise InputError(
            f"{path}: y_{word} is {y.dtype}; must be integers, the "
            "class of each frame (y.argmax(1) of rows with a 1)"
        )
    if y is not None and y.size and int(y.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{path}: y_{word} has label {y.max()}; must be below 2^63")
    frames: NDArray[np.uint8] | NDArray[np.float32]
    if x.dtype == np.uint8:
        frames = x.astype(np.uint8, copy=False)
    elif np.issubdtype(x.dtype, np.floating):
        with np.errstate(over="ignore"):
            frames = x.astype(np.float32)
    else:
        raise InputError(f"{path}: x_{word} is {x.dtype}; must be float or uint8")
    return LabelledArray(
        frames=frames, labels=None if y is None else y.astype(np.int64)
    )


def holds_idx(folder: Path) -> bool:
    """Return whether a folder holds IDX files."""
    return any(folder.glob("*-idx[0-9]-ubyte*"))


def load_idx_folder(folder: Path) -> ArrayFile:
    """Return the frames and labels of a folder of four IDX files.

    Args:
        folder: With `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same
            with `t10k-` or `test-`; packed by gzip (`.gz`) or not, a name of the data
            set before them or not.

    Raises:
        InputError: A file is missing, there twice, or not what its name says.
    """
    return ArrayFile(train=_idx_pair(folder, TRAIN), test=_idx_pair(folder, TEST))


def _idx_pair(folder: Path, words: tuple[str, ...]) -> LabelledArray:
    images = _idx_file(folder, words, f"images-idx{_IMAGE_AXES}-ubyte")
    labels = _idx_file(folder, words, f"labels-idx{_LABEL_AXES}-ubyte")
    frames, classes = load_idx(images), load_idx(labels)
    if frames.ndim != _IMAGE_AXES:
        raise InputError(f"{images}: {frames.ndim} axes; images have {_IMAGE_AXES}")
    if classes.shape != frames.shape[:1]:
        raise InputError(
            f"{labels}: shape {classes.shape}; must be a label for each of the "
            f"{len(frames)} images of {images.name}"
        )
    return LabelledArray(frames=frames, labels=classes.astype(np.int64))


def _idx_file(folder: Path, words: tuple[str, ...], ending: str) -> Path:
    names = [f"{word}{ending}{suffix}" for word in words for suffix in ("", ".gz")]
    found = sorted(
        path
        for path in folder.iterdir()
        if any(path.name == name or path.name.endswith(f"-{name}") for name in names)
    )
    if len(found) != 1:
        has = " and ".join(path.name for path in found) or "none of them"
        raise InputError(
            f"{folder}: holds {has}; must hold one of {' and '.join(names)}"
        )
    return found[0]


def load_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of an IDX file of bytes.

    Raises:
        InputError: It cannot be read, is no IDX file of bytes, is not as long as its
            header tells, or larger than `hao.npz.MAX_UNPACKED_BYTES`.
    """
    try:
        # A file packed by gzip may unpack to any size: no more is read than is told.
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            zeros, kind, axes = stream.read(2), stream.read(1), stream.read(1)
            if zeros != b"\0\0" or kind != bytes([_BYTE_TYPE]) or not axes:
                raise InputError(
                    f"{path}: begins with {(zeros + kind + axes).hex()}; must be an "
                    f"IDX file of bytes, 0000{_BYTE_TYPE:02x}"
                )
            header = stream.read(4 * axes[0])
            shape = struct.unpack(f">{len(header) // 4}I", header[: len(header) & ~3])
            size = prod(shape)
            if len(shape) != axes[0] or size > MAX_UNPACKED_BYTES:
                raise InputError(
                    f"{path}: shape {shape}; must have {axes[0]} axes and at most "
                    f"{MAX_UNPACKED_BYTES} bytes"
                )
            data = stream.read(size + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputError(
            f"{path}: not readable as an IDX file ({reason or error})"
        ) from error
    if len(data) != size:
        more = "more than" if len(data) > size else str(len(data))
        raise InputError(f"{path}: {more} bytes after its header; must be {size}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
