"""NumPy archives (.npz), read whole and without pickle."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def load_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an archive by name.

    Raises:
        ValueError: It is not there, no archive, broken, or holds Python objects.
    """
    try:
        # Opened here: NumPy leaves a broken archive open.
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError(f"{path}: a bare array; must be an archive")
            with file:
                return {name: np.asarray(file[name]) for name in file.files}
    except (
        *(OSError, EOFError, KeyError, NotImplementedError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise ValueError(f"{path}: {error}") from error
