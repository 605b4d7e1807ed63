"""NumPy archives (.npz), read without pickle and never larger than they may be.

What an archive unpacks to is added up from its own table and from the headers of its
arrays before anything is unpacked: a small file may unpack to any size.
"""

import zipfile
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAX_UNPACKED_BYTES = 2**30
"""Most bytes that all arrays of an archive have together [bytes]; chosen here: the
weights of VGG-19 have 575 MB, CIFAR-10 in float32 has 737 MB."""

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def load_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an archive by name.

    Raises:
        ValueError: It is not there, no archive, broken, larger than
            `MAX_UNPACKED_BYTES` unpacked, or holds Python objects.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: not a file, but a directory, a pipe or a device")
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)
            if total > MAX_UNPACKED_BYTES:
                raise ValueError(
                    f"unpacks to {total} bytes; must be at most {MAX_UNPACKED_BYTES}"
                )
            return {
                entry.filename.removesuffix(".npy"): _array(archive, entry)
                for entry in entries
            }
    except (
        *(OSError, EOFError, KeyError, NotImplementedError, RuntimeError),
        *(zipfile.BadZipFile, zlib.error, ValueError, SyntaxError, OverflowError),
    ) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path}: {reason or error}") from error


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[np.generic]:
    """Return one array, if its header tells the size that the archive does."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{entry.filename}: of format {version}; must be 1.0, 2.0")
        shape, _, kind = _HEADERS[version](file)
        told = prod(shape) * kind.itemsize
        if kind.hasobject or min(shape, default=0) < 0 or told > entry.file_size:
            raise ValueError(
                f"{entry.filename}: {kind} of {shape}; must be numbers, and "
                f"{entry.file_size} bytes at most"
            )
    with archive.open(entry) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
