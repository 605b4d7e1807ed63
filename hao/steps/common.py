"""What several steps share: whether packages are there, seeds, shares, checkpoints."""

import hashlib
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hao.answer.workers import Progress
from hao.errors import ToolError
from hao.ir.network import Network
from hao.runs.run_files import TRAINING_FOLDER

Given = TypeVar("Given", bound=np.generic)
Made = TypeVar("Made", bound=np.generic)

RANDOM_FRAMES = 2
"""Frames that are recorded where they are random and mean nothing (chosen here)."""

TELL_SECONDS = 2
"""From one line about a long step to the next, at least [s]."""


def check_torch() -> None:
    """Check that what quantization needs is installed.

    Raises:
        ToolError: torch or Brevitas is not.
    """
    check_installed("torch", "torch", "brevitas")


def check_installed(extra: str, *packages: str) -> None:
    """Check that packages are installed, which an extra of hao brings.

    Raises:
        ToolError: One is not.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ToolError(
            f"{missing[0]}: not installed; `pip install 'hao[{extra}]'` brings it",
            command=(missing[0],),
        )


def told(word: str, unit: str, progress: Progress) -> Callable[[int, int], None]:
    """Return what tells of a long step, every few seconds."""
    told = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            progress(f"{word}: {done} of {total} {unit}")

    return tell


def epoch_line(word: str, progress: Progress) -> Callable[..., None]:
    """Return what tells of every epoch of a training."""
    from hao.quant.train import EpochReport

    def show(report: EpochReport) -> None:
        progress(
            f"{word} epoch {report.epoch}/{report.epochs}: loss {report.loss:.3f}, "
            f"{100 * report.accuracy:.2f} % of the validation frames"
        )

    return show


def checkpoint_path(folder: Path, word: str, *start: object) -> Path:
    """Return the file that keeps the state of a training.

    Another start (settings, bits, layers, parameters, data) has another file, so that
    one run may train again with other settings, and still resume.
    """
    from hao.quant.dataset import Dataset

    digest = hashlib.sha256()
    for part in start:
        if isinstance(part, Network):
            digest.update(repr(part.layers).encode())
            for key, array in sorted(part.params.items()):
                digest.update(key.encode() + array.tobytes())
        elif isinstance(part, Dataset):
            digest.update(part.train.fingerprint())
        else:
            digest.update(repr(part).encode())
    return folder / TRAINING_FOLDER / f"{word}-{digest.hexdigest()[:12]}.pt"


def in_batches(
    run: Callable[[NDArray[Given]], NDArray[Made]],
    frames: NDArray[Given],
    size: int = 64,
) -> NDArray[Made]:
    """Return what a function of frames makes of all of them, some at a time."""
    parts = [run(frames[start : start + size]) for start in range(0, len(frames), size)]
    return np.concatenate(parts)


def share(classes: NDArray[np.int64], labels: NDArray[np.int64] | None) -> float | None:
    """Return how many classes are those of the labels [percent]; `None` without."""
    if labels is None:
        return None
    return 100 * float(np.mean(classes == labels))
