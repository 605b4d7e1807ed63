"""Choose a CNN, the bits of every layer and its FPGA accelerator together.

`hao.search`, `hao.quantize`, `hao.emit` and the other steps, their requests and
results, are those of `hao.flow`, where reading starts. Importing this package loads no
solver, no torch and no ONNX: a name is looked up when it is first used.

    import hao

    result = hao.search(hao.SearchRequest(board="zu3eg", fps=50))
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hao.flow import *  # noqa: F403

__version__ = "0.1.0"


@cache
def _homes() -> dict[str, str]:
    """Return the names of all steps, requests and results, with where each stands.

    `hao.flow` is read, not imported: importing it loads all that the steps load.
    """
    import ast
    from pathlib import Path

    index = ast.parse(Path(__file__).with_name("flow.py").read_text(encoding="utf-8"))
    return {
        name.name: node.module
        for node in index.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for name in node.names
    }


def __getattr__(name: str) -> object:
    """Return a step, a request or a result by its name."""
    # `hao.flow` is looked up while it is imported; it is no name of the index.
    if name.startswith("_") or name not in _homes():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_homes()[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the names of all steps, requests and results."""
    return sorted({*(n for n in globals() if n.startswith("_")), *_homes()})
