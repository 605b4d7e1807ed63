"""A model file of any kind that hao reads, by its suffix."""

from pathlib import Path

from hao.errors import InputError
from hao.frontends.imported import ImportedNetwork
from hao.frontends.onnx import load_onnx

SUFFIXES = (".onnx", ".qonnx")
"""Suffixes of files that can be read; pickled models are never loaded."""


def load_model(path: Path) -> ImportedNetwork:
    """Return the network of a model file.

    Raises:
        InputError: The suffix is unknown, or the file is missing or malformed.
        UnsupportedError: The model holds something that is not handled.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: suffix {path.suffix!r}; must be {' or '.join(SUFFIXES)} (a "
            "pickled torch model is never loaded; export it with torch.onnx.export)"
        )
    return load_onnx(path)
