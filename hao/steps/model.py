"""A network of the user's own, from a torch module in memory."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from hao.errors import ArgumentError
from hao.ir.network import Network
from hao.ir.tensor import Shape
from hao.steps.common import check_installed


@runtime_checkable
class HasShape(Protocol):
    """Something like a tensor, of which the shape alone is read."""

    @property
    def shape(self) -> Sequence[int]:
        """Return the sizes, outermost first."""
        ...


def from_torch(module: object, example: HasShape | Sequence[int]) -> Network:
    """Return the network that a torch module computes, with its weights.

    Args:
        module: A `torch.nn.Module` of one input (batch, channels, height, width) and
            one output; it is left as it is.
        example: An input of the module, or the sizes of one frame
            (channels, height, width).

    Raises:
        ArgumentError: `module` is no torch module, or `example` has other axes.
        InputError: Shapes disagree, or weights are not finite.
        UnsupportedError: The module cannot be traced, or calls something that is not
            handled; the message names it.
        ToolError: torch is not installed.
    """
    check_installed("torch", "torch")
    from hao.frontends.from_torch.module import as_module, trace_torch

    sizes = example.shape if isinstance(example, HasShape) else example
    match tuple(sizes) if isinstance(sizes, Sequence) else ():
        case (int(channels), int(height), int(width)):
            pass
        case (_, int(channels), int(height), int(width)):
            pass
        case _:
            raise ArgumentError(
                f"`example` = {sizes}; must be (channels, height, width), or an input"
            )
    shape = Shape(channels=channels, height=height, width=width)
    return trace_torch(as_module(module), shape).network
