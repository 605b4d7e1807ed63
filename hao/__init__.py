"""Choose a CNN, the bits of every layer and its FPGA accelerator together.

`hao.search`, `hao.quantize`, `hao.emit` and the other steps, their requests and
results, are those of `hao.flow`, where reading starts. Importing this package loads no
solver, no torch and no ONNX: a name is looked up when it is first used.

    import hao

    result = hao.search(hao.SearchRequest(board="zu3eg", fps=50))
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hao.flow import *  # noqa: F403

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Return a step, a request or a result by its name."""
    if name.startswith("_") or name == "flow":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    flow = import_module("hao.flow")
    if name not in flow.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(flow, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the names of all steps, requests and results."""
    return sorted({*globals(), *import_module("hao.flow").__all__})
