"""Fashion-MNIST as its Debian package has it: sizes, classes, first labels.

Skipped where the package is not installed; .ci/run installs it.
"""

from pathlib import Path

import numpy as np
import pytest

from hao.errors import InputError
from hao.ir.tensor import Shape
from hao.quant.dataset import Dataset, load_dataset
from hao.quant.known import FASHION_VARIABLE, fashion_folder

SHAPE = Shape(channels=1, height=28, width=28)


@pytest.fixture(scope="module")
def fashion() -> Dataset:
    try:
        fashion_folder()
    except InputError as error:
        pytest.skip(str(error))
    return load_dataset("fashion-mnist", SHAPE)


def test_fashion_mnist_has_its_published_sizes(fashion: Dataset) -> None:
    sizes = [len(fashion.train), len(fashion.validation), len(fashion.test)]
    assert (sizes, fashion.classes) == ([54_000, 6_000, 10_000], 10)
    for split, count in ((fashion.train, 5400), (fashion.test, 1000)):
        assert np.bincount(split.labels).tolist() == [count] * 10
    assert not fashion.drawn
    assert fashion.test.frames[:1].max() <= 1


def test_trousers_are_taller_than_sneakers(fashion: Dataset) -> None:
    # Class 1 is Trouser, class 7 Sneaker (README of the data set).
    lit = fashion.test.frames[:1000][:, 0] > 0.2
    tall = lit.any(axis=2).sum(axis=1) - lit.any(axis=1).sum(axis=1)
    labels = fashion.test.labels[:1000]
    assert tall[labels == 1].min() > tall[labels == 7].max()


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FASHION_VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"no folder .*absent; `apt install dataset-f"):
        load_dataset("fashion-mnist", SHAPE)
