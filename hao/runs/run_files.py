"""What a run directory holds besides its design: integers, frames, records.

weights.npz       the integer network (`hao.quant.weights_file`)
evaluation.npz    codes and labels of test frames, and what each network said to them
quantization.json how accurate each form of the network is on them
float.pt          float weights that come with the design, where channels were taken out
float.pt2, .onnx  the same network for use elsewhere
pruning.json      what that did
operations.npz    weights of the operations that stood beside blocks, as distilled
training/         checkpoints, so that a killed run resumes
hls/              the emitted project; in it, integers.npz where its integers are
                  not the run's own
build/            its compiled test bench
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from hao.errors import InputError
from hao.files import Held, held, read_file, recover
from hao.ir.integer import IntegerNetwork
from hao.ir.tensor import Shape
from hao.npz import load_npz
from hao.quant.weights_file import load_integers
from hao.report.hardware import Quantization
from hao.report.result import SearchResult
from hao.runs.design_file import FILE_NAME, load_design

WEIGHTS_FILE = "weights.npz"
FLOAT_STEM = "float"
FLOAT_FILE = f"{FLOAT_STEM}.pt"
PRUNING_FILE = "pruning.json"
OPERATIONS_FILE = "operations.npz"
EVALUATION_FILE = "evaluation.npz"
QUANTIZATION_FILE = "quantization.json"
TRAINING_FOLDER = "training"
PROJECT_FOLDER = "hls"
EMITTED_FILE = "integers.npz"
PROGRAM_FOLDER = "build"

MOST_RECORDED = 2**27
"""Most bytes of test frames that a run records, at two a code [bytes]; chosen here: 445
frames of 224 x 224 pixels."""

_BY_FRAME = frozenset({"labels", "float_class", "quantized_class"})


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


def run_integers(folder: Path) -> IntegerNetwork:
    """Return the integer network of a run."""
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise InputError(
            f"{folder}: no {WEIGHTS_FILE} in it; `hao quantize` makes it, and "
            "`hao emit-hls --weights random` does without"
        )
    return load_integers(path)


def load_operations(folder: Path) -> dict[str, NDArray[np.generic]]:
    """Return the weights of a run's operations, as they were distilled.

    Raises:
        InputError: The run has none, or they are not readable.
    """
    path = folder / OPERATIONS_FILE
    try:
        return load_npz(path)
    except ValueError as error:
        raise InputError(
            f"{path}: not readable as the weights of operations ({error}); search anew "
            "with --options operations"
        ) from error


def recorded_quantization(folder: Path) -> Quantization | None:
    """Return what quantization found, if the run has a record of it."""
    path = folder / QUANTIZATION_FILE
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Quantization).validate_json(read_file(path), strict=True)
    except (OSError, ValidationError) as error:
        raise _stale(path) from error


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """Test frames of a run, mixed, so that any first part has all classes alike.

    Attributes:
        codes: Integers of the network's input, shape (frames, channels, height, width).
        labels: Shape (frames,); `None` where frames are random, or have none.
        float_class: What the float network said to each; `None` if unknown.
        quantized_class: What the quantized network said, likewise.
    """

    codes: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None
    float_class: NDArray[np.int64] | None = None
    quantized_class: NDArray[np.int64] | None = None

    def first(self, count: int | None) -> "Evaluation":
        """Return the first frames, all if `count` is `None` or above their number."""
        return self._chosen(np.arange(len(self.codes))[:count])

    def covering(self, least: int, most: int) -> "Evaluation":
        """Return the first frame of every class, and others up to `least`, in order.

        Args:
            least: Frames at least, where there are so many.
            most: Frames at most, at least `least`; classes beyond are left out.
        """
        classes = self.labels if self.labels is not None else self.float_class
        firsts = np.arange(0)
        if classes is not None:
            firsts = np.sort(np.unique(classes, return_index=True)[1])[:most]
        others = np.setdiff1d(np.arange(len(self.codes)), firsts)
        more = others[: max(0, least - len(firsts))]
        return self._chosen(np.sort(np.concatenate([firsts, more])))

    def _chosen(self, frames: NDArray[np.int64]) -> "Evaluation":
        known = {name: getattr(self, name) for name in ("codes", *_BY_FRAME)}
        return Evaluation(
            **{name: a[frames] for name, a in known.items() if a is not None}
        )

    @property
    def float_top1(self) -> float | None:
        """Return how many of these frames the float network has right [percent]."""
        return self._share(self.float_class)

    @property
    def quantized_top1(self) -> float | None:
        """Return how many the quantized network has right [percent]."""
        return self._share(self.quantized_class)

    def _share(self, classes: NDArray[np.int64] | None) -> float | None:
        if classes is None or self.labels is None:
            return None
        return 100 * float(np.mean(classes == self.labels))


def recorded_frames(shape: Shape) -> int:
    """Return how many test frames of a shape a run records, at least 1."""
    return max(1, MOST_RECORDED // (2 * shape.elements))


def render_evaluation(evaluation: Evaluation) -> bytes:
    """Return the content of the file of test frames."""
    arrays = {"codes": evaluation.codes.astype(np.int16)}
    for name in _BY_FRAME:
        array = getattr(evaluation, name)
        if array is not None:
            arrays[name] = array
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def load_evaluation(path: Path, net: IntegerNetwork) -> Evaluation:
    """Return the test frames of a run, as integers of its network.

    Raises:
        InputError: The file cannot be read, or is of another network.
    """
    try:
        arrays = load_npz(path)
        codes = arrays["codes"]
    except (ValueError, KeyError) as error:
        raise _stale(path) from error
    shape, kind = net.network.input.ofm, net.maps[net.network.input.name]
    size = (shape.channels, shape.height, shape.width)
    known = {name: arrays[name] for name in _BY_FRAME & set(arrays)}
    fits = (
        np.issubdtype(codes.dtype, np.integer)
        and known
        and all(
            np.issubdtype(array.dtype, np.integer) and array.shape == codes.shape[:1]
            for array in known.values()
        )
        and codes.shape[1:] == size
        and codes.size > 0
        and kind.low <= codes.min()
        and codes.max() <= kind.high
    )
    if not fits:
        raise _stale(path)
    return Evaluation(
        codes=codes.astype(np.int64),
        **{name: array.astype(np.int64) for name, array in known.items()},
    )


def _stale(path: Path) -> InputError:
    return InputError(
        f"{path}: not readable, or of another network; `hao quantize --force` writes "
        "it anew"
    )
