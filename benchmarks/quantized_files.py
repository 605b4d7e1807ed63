"""Public quantized files from ONNX to simulated hardware: docs/models.md.

    python benchmarks/quantized_files.py FILE.onnx...

Runs the commands that a user types, with seeded frames in place of data: pictures that
are coarse at random with noise over them, vectors of normal numbers. Prints what
`hao quantize` compared with the file, what `hao simulate` compared with the integers,
and the model's cycles beside the replayed ones. Where files are: docs/models.md.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from hao.model import load_buildable

FRAMES, FEW = 60, 12
"""Test frames, and those of large pictures."""

LARGE = 20_000
"""Values of a large picture."""

SIMULATED = 2
"""Frames that are simulated."""

CELLS = 4
"""Coarse cells along a side of a picture."""


def write_frames(path: Path, shape: tuple[int, int, int]) -> None:
    """Write an .npz file of frames with labels that mean nothing."""
    rng = np.random.default_rng(0)
    count = FRAMES if np.prod(shape) < LARGE else FEW
    frames = rng.normal(size=(2 * count, *shape))
    if shape[1] > 1:
        coarse = rng.random((2 * count, shape[0], CELLS, CELLS))
        rows, columns = (np.arange(size) * CELLS // size for size in shape[1:])
        fine = rng.random((2 * count, *shape))
        frames = 0.6 * coarse[:, :, rows][..., columns] + 0.4 * fine
    x, y = frames.astype(np.float32), np.arange(2 * count) % 2
    np.savez(
        path,
        x_train=x[:count],
        x_test=x[count:],
        y_train=y[:count],
        y_test=y[count:],
    )


def hao(folder: Path, *words: str) -> str:
    """Return what a command prints."""
    command = [str(Path(sys.executable).parent / "hao"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"hao {' '.join(words)}: {done.stderr}")
    return done.stdout


def row(path: Path) -> str:
    """Return a row of the table of docs/models.md."""
    shape = load_buildable(path).network.input.ofm
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = (shape.channels, shape.height, shape.width)
        write_frames(folder / "data.npz", size)
        target = ("--board", "zu3eg", "--objective", "latency", "--quiet")
        hao(folder, "search", "--model", str(path), "--run", "t", *target)
        given = ("--data", "data.npz", "--weights", str(path), "--quiet")
        said = hao(folder, "quantize", "runs/t", "--method", "ptq", *given)
        hao(folder, "emit-hls", "runs/t")
        ran = hao(folder, "simulate", "runs/t", "--images", str(SIMULATED), "--quiet")
    codes = re.search(r"(\d+ of \d+) output codes .* in ([\d.]+ %)", said)
    own = re.search(r"(\d+ of \d+) integers differ", said)
    bytes_ = re.search(r"(\d+) bytes in \d+ images differ", ran)
    cycles = re.search(r"^total +(\d+) +(\d+)", ran, re.MULTILINE)
    found = [
        *(codes.groups() if codes else ("not quantized", "")),
        own[1] if own else "",
        bytes_[1] if bytes_ else "",
        *(cycles.groups() if cycles else ()),
    ]
    return f"| {path.stem} | {' | '.join(found)} |"


def main() -> None:
    """Print the table of the files that are named."""
    files = [Path(name).resolve() for name in sys.argv[1:]]
    if not files:
        print("name files; docs/models.md says where public ones are")
        return
    print(
        "| file | output codes that differ | class agrees | integers | bytes simulated"
        " | model | replayed |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for path in files:
        print(row(path), flush=True)


if __name__ == "__main__":
    main()
