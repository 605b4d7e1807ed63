"""One alternative for a layer or a block, and what taking it costs in accuracy.

An integer program sees sites with options by index, each with a cost; what an option
does to the network is the closed union `hao.ir.change.Change`. A kind that is added
there changes its generator and `hao.options.frame`, which says what runs under it, not
the program. Costs are integers, so that the program and its check add up the same.
"""

from dataclasses import dataclass

from hao.errors import InputError
from hao.ir.change import Change

MICRO = 1_000_000
"""Cost units in one point of top-1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One alternative for one layer or block.

    Attributes:
        layer: Name of the layer; of a block, the layer that makes its result.
        change: What the layer or block becomes.
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
