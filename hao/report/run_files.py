"""What a run directory holds besides its design: integers, frames, records.

weights.npz       the integer network (`hao.quant.weights_file`)
evaluation.npz    codes and labels of the test frames
quantization.json how accurate each form of the network is on them
training/         checkpoints, so that a killed run resumes
hls/              the emitted project; in it, integers.npz where its integers are
                  not the run's own
build/            its compiled test bench
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from hao.errors import InputError
from hao.files import Held, held, recover
from hao.ir.integer import IntegerNetwork
from hao.npz import load_npz
from hao.quant.weights_file import load_integers
from hao.report.design_file import FILE_NAME, load_design
from hao.report.hardware import Quantization
from hao.report.result import SearchResult

WEIGHTS_FILE = "weights.npz"
EVALUATION_FILE = "evaluation.npz"
QUANTIZATION_FILE = "quantization.json"
TRAINING_FOLDER = "training"
PROJECT_FOLDER = "hls"
EMITTED_FILE = "integers.npz"
PROGRAM_FOLDER = "build"


def opened_run(run: Path) -> tuple[SearchResult, Path]:
    """Return a run's result, and its directory."""
    recover(run)
    result = load_design(run)
    if result.run is None:
        raise InputError(f"{run}: a design file alone; must be a run directory")
    return result, result.run


@contextmanager
def held_run(folder: Path) -> Iterator[Held]:
    """Keep other commands from changing a run; what killed ones left is cleared first.

    Raises:
        InputError: Another command holds it, or it cannot be opened.
    """
    recover(folder / TRAINING_FOLDER)
    with held(folder, mark=FILE_NAME) as run:
        yield run


def check_absent(path: Path, *, force: bool) -> None:
    """Check that a file is not there, or may be replaced."""
    if os.path.lexists(path) and not force:
        raise InputError(f"{path}: exists; --force replaces it")


def run_integers(folder: Path) -> IntegerNetwork:
    """Return the integer network of a run."""
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise InputError(
            f"{folder}: no {WEIGHTS_FILE} in it; `hao quantize` makes it, or use "
            "--weights random"
        )
    return load_integers(path)


def recorded_quantization(folder: Path) -> Quantization | None:
    """Return what quantization found, if the run has a record of it."""
    path = folder / QUANTIZATION_FILE
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Quantization).validate_json(path.read_bytes(), strict=True)
    except (OSError, ValidationError) as error:
        raise _stale(path) from error


def evaluation_frames(
    path: Path, net: IntegerNetwork
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the test frames and labels of a run, as integers of its network."""
    try:
        arrays = load_npz(path)
        codes, labels = arrays["codes"], arrays["labels"]
    except (ValueError, KeyError) as error:
        raise _stale(path) from error
    shape, kind = net.network.input.ofm, net.maps[net.network.input.name]
    size = (shape.channels, shape.height, shape.width)
    fits = (
        np.issubdtype(codes.dtype, np.integer)
        and np.issubdtype(labels.dtype, np.integer)
        and codes.shape == (len(labels), *size)
        and labels.ndim == 1
        and codes.size > 0
        and kind.low <= codes.min()
        and codes.max() <= kind.high
    )
    if not fits:
        raise _stale(path)
    return codes.astype(np.int64), labels.astype(np.int64)


def _stale(path: Path) -> InputError:
    return InputError(
        f"{path}: not readable, or of another network; `hao quantize --force` writes "
        "it anew"
    )
