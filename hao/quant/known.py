"""Data sets that are known by name: scikit-learn's digits, and Fashion-MNIST."""

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from hao.errors import InputError
from hao.ir.tensor import Shape

DIGITS = "digits"
"""Name of scikit-learn's digits: 1797 greyscale images of 8x8 pixels."""

FASHION = "fashion-mnist"
"""Name of Fashion-MNIST: 70,000 greyscale images of garments, 28x28 pixels, 10 classes
(Xiao, Rasul and Vollgraf, arXiv:1708.07747)."""

FASHION_VARIABLE = "HAO_FASHION_MNIST"
FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where its IDX files are: the environment variable names a folder, or else where the
package dataset-fashion-mnist of Debian and Ubuntu puts them."""

CLASS_NAMES = {
    DIGITS: tuple("0123456789"),
    FASHION: (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}
"""Names of the classes; source: README of Fashion-MNIST."""

_DIGITS_MAX = 16
_GREY = 1


def digits(shape: Shape) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the digits, enlarged between their pixels, and their labels.

    Raises:
        InputError: The shape has more than one channel.
    """
    if shape.channels != _GREY:
        raise InputError(f"data set 'digits' is greyscale; the network reads {shape}")
    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images.astype(np.float32) / _DIGITS_MAX)
    enlarged = torch.nn.functional.interpolate(
        pixels[:, None],
        size=(shape.height, shape.width),
        mode="bilinear",
        align_corners=False,
    )
    frames: NDArray[np.float32] = enlarged.numpy()
    return frames, bunch.target.astype(np.int64)


def fashion_folder() -> Path:
    """Return the folder of the IDX files of Fashion-MNIST.

    Raises:
        InputError: It is not there.
    """
    named = os.environ.get(FASHION_VARIABLE)
    folder = Path(named) if named else FASHION_FOLDER
    if not folder.is_dir():
        raise InputError(
            f"data set {FASHION!r}: no folder {folder}; `apt install "
            "dataset-fashion-mnist` or tools/fetch_fashion_mnist.py brings it, and "
            f"{FASHION_VARIABLE} names another folder"
        )
    return folder
