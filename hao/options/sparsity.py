"""How many words may a layer keep, and what does each share cost in accuracy?

A word holds the weights of `pe` output channels and `simd` inputs, and takes the array
a cycle. A layer keeps the same number of words of every output group, its density
(`hao.ir.sparsity`); so cycles, bytes and tiles follow exactly from it, down to where
the DDR binds, and the program prices a density as it prices bits. Which words stay is
decided by score: the best ones of each group.

What a density costs follows from a few that were measured: between them, the share of
the scores that is lost says how far along the cost is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hao.ir.change import Bits
from hao.ir.layer import Compute, Conv, Depthwise
from hao.ir.sparsity import TAP_BITS
from hao.options.measured import cost_between
from hao.options.option import MICRO, Option

DENSITIES = (75, 50, 37, 25)
"""Shares of the words that are offered besides all of them [%] (chosen here)."""

DensityCosts = Mapping[str, Mapping[int, int]]
"""Top-1 that each density costs, by layer [1e-6 points]."""


def why_whole(layer: Compute) -> str | None:
    """Return why a layer keeps all its words, or `None` if it may be pruned."""
    if isinstance(layer, Depthwise):
        return "depthwise: it has no words to leave out"
    if layer.weight is not None:
        return "its file fixes its weights"
    if isinstance(layer, Conv) and layer.planes > 1:
        return "its frame comes in digits"
    if isinstance(layer, Conv) and layer.kernel > 1 << TAP_BITS:
        return f"the list of its words names kernels of up to {1 << TAP_BITS}"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossCurve:
    """What leaving out words of a layer costs.

    Attributes:
        points: Share of the layer's scores that was lost, rising, and the top-1 that
            it cost [points].
        least: Top-1 that losing all scores costs at least [points]: no cost is taken
            as less than that of its share, so that of layers whose measured loss drowns
            in noise those go first that lose least.
    """

    points: tuple[tuple[float, float], ...]
    least: float = 0.0

    def cost(self, lost: float) -> float:
        """Return what losing so much of the scores costs [points].

        Args:
            lost: Share, from 0 to 1.
        """
        return max(cost_between(lost, self.points), self.least * lost)

    def cost_micro(self, lost: float) -> int:
        """Return the same as the integer that options have [1e-6 points]."""
        return round(self.cost(lost) * MICRO)


def density_options(
    options: Iterable[Option], costs: DensityCosts
) -> tuple[Option, ...]:
    """Return options with those of layers that keep fewer words behind them.

    Every number of bits in one pass is offered at every density; what both cost adds
    up.

    Args:
        options: Of bits, and of other things.
        costs: Of the densities on offer besides all words.
    """
    whole = tuple(options)
    pruned = [
        replace(
            option,
            change=replace(option.change, density=density),
            cost_micro=option.cost_micro + cost,
        )
        for option in whole
        if isinstance(option.change, Bits) and option.change.passes == 1
        for density, cost in costs.get(option.layer, {}).items()
    ]
    return (*whole, *pruned)
