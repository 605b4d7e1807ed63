"""What long benchmarks share: results that outlive a kill, networks trained once."""

import csv
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hao.ir.network import Network
from hao.npz import load_npz
from hao.quant.dataset import Dataset, Split, load_dataset
from hao.quant.float_net import with_parameters
from hao.quant.train import FLOAT_SETTINGS, train_float

EPOCHS = {"digits": 20, "fashion-mnist": 5}
"""Of float training, which leave 88 % of the noisy digits and 86 % of the garments."""

FASHION_FRAMES = {"train": 8000, "validation": 1024, "test": 1500}
"""Frames of Fashion-MNIST that are used, the first of each part: what one core does."""


class Rows:
    """Rows of a CSV file that are written as they come, and skipped when known.

    Args:
        path: Made with its folder at the first row.
        keys: Columns that tell rows apart.
    """

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        self._path, self._keys = path, tuple(keys)
        self.rows: list[dict[str, str]] = []
        if path.exists():
            with path.open(encoding="utf-8", newline="") as stream:
                self.rows = list(csv.DictReader(stream))

    def where(self, **values: object) -> list[dict[str, str]]:
        """Return the rows that have these values."""
        wanted = {key: str(value) for key, value in values.items()}
        return [row for row in self.rows if wanted.items() <= row.items()]

    def add(self, row: Mapping[str, object]) -> None:
        """Append a row; all rows of a file have the same columns."""
        text = {key: str(value) for key, value in row.items()}
        assert not self.where(**{key: text[key] for key in self._keys}), text
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = not self._path.exists()
        with self._path.open("a", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(text))
            if new:
                writer.writeheader()
            writer.writerow(text)
        self.rows.append(text)


def spread(values: Sequence[float]) -> str:
    """Return mean, standard deviation and number of values; "-" for none."""
    if not values:
        return "-"
    apart = f" +- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{apart} ({len(values)})"


def known_data(name: str, network: Network) -> Dataset:
    """Return a data set by name, of Fashion-MNIST as many frames as one core trains on.

    Raises:
        InputError: Fashion-MNIST is not installed.
    """
    whole = load_dataset(name, network.input.ofm)
    if name != "fashion-mnist":
        return whole

    def first(split: Split, part: str) -> Split:
        count = FASHION_FRAMES[part]
        return Split(frames=split.frames[:count], labels=split.labels[:count])

    return replace(
        whole,
        train=first(whole.train, "train"),
        validation=first(whole.validation, "validation"),
        test=first(whole.test, "test"),
    )


def trained(
    network: Network, dataset: Dataset, *, epochs: int, seed: int, path: Path
) -> Network:
    """Return a trained network; one that was trained before comes from its file."""
    if path.exists():
        return with_parameters(network, load_npz(path))
    settings = replace(FLOAT_SETTINGS, epochs=epochs, seed=seed)
    found = train_float(network, dataset, settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, allow_pickle=False, **found.params)
    part.replace(path)
    return found
