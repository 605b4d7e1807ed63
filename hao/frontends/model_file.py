"""A model of any kind that hao reads: a file, by its suffix, or a torch module.

torch is optional and slow to load, so its importer is imported where it is used.
"""

from pathlib import Path

from hao.errors import InputError
from hao.factory import is_factory
from hao.frontends.from_onnx.graph import load_graph
from hao.frontends.from_onnx.model import load_onnx
from hao.frontends.imported import ImportedNetwork
from hao.ir.tensor import ImageSize

SUFFIXES = (".onnx", ".qonnx")
"""Suffixes of files that can be read; pickled models are never loaded."""


def load_model(path: Path, *, image_size: ImageSize | None = None) -> ImportedNetwork:
    """Return the network of a model file.

    Args:
        path: The file, or `package.module:function` that makes a torch module.
        image_size: Height and width of the frame where the file leaves them open.

    Raises:
        InputError: The suffix is unknown, or the file is missing or malformed.
        UnsupportedError: The model holds something that is not handled; the error
            names all of it.
    """
    if is_factory(str(path)):
        from hao.frontends.from_torch.module import trace_factory

        return trace_factory(str(path), image_size)
    _check_suffix(path)
    return load_onnx(path, image_size=image_size)


def operators(path: Path, *, image_size: ImageSize | None = None) -> tuple[str, ...]:
    """Return the operator of every node that the outputs of a file depend on.

    Raises:
        InputError: The suffix is unknown, or the file is missing or malformed.
        UnsupportedError: Its frame cannot be told.
    """
    if is_factory(str(path)):
        from hao.frontends.from_torch.module import module_kinds

        return module_kinds(str(path))
    _check_suffix(path)
    return tuple(node.op for node in load_graph(path, image_size=image_size).nodes)


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: suffix {path.suffix!r}; must be {' or '.join(SUFFIXES)}, or "
            "package.module:function that makes a torch module (a pickled one is never "
            "loaded; export it with torch.onnx.export)"
        )
