"""One alternative for a layer, and what taking it costs in accuracy.

An integer program sees a layer, a cost and an opaque change, and picks one option per
layer. Kinds of change form the closed union `Change`: bits now; a kind added to it
(channels, sparsity, operation) changes its generator and the code that prices it, not
the program. Costs are integers, so that the program and its check add up the same.
"""

from dataclasses import dataclass

from hao.errors import InputError
from hao.ir.tensor import MAX_BITS, MIN_BITS

MICRO = 1_000_000
"""Cost units in one point of top-1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bits:
    """The layer's weights have so many bits, from 2 to 8.

    Raises:
        InputError: Bits outside that range.
    """

    weight_bits: int

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.weight_bits <= MAX_BITS:
            raise InputError(
                f"weight_bits = {self.weight_bits}; "
                f"must be from {MIN_BITS} to {MAX_BITS}"
            )


Change = Bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One alternative for one layer.

    Attributes:
        layer: Name of the layer.
        change: What the layer becomes.
        cost_micro: Top-1 that it costs [1e-6 points], at least 0.

    Raises:
        InputError: A negative cost.
    """

    layer: str
    change: Change
    cost_micro: int

    def __post_init__(self) -> None:
        if self.cost_micro < 0:
            raise InputError(
                f"option of layer {self.layer!r}: cost_micro = {self.cost_micro}; "
                "must be at least 0"
            )

    @property
    def cost_points(self) -> float:
        """Return the cost in points of top-1."""
        return self.cost_micro / MICRO
