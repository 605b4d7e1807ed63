"""How many channels may a group keep, and what does each number cost in accuracy?

A stage takes a pass for every `pe` channels that it makes and every `simd` channels
that it reads, so between two multiples of these no design gets faster, only less
accurate. `offered_widths` therefore offers multiples of the lane counts of the stages
that make, pass on and read a group's channels, those of all of them first.

Which channels stay is decided by score: the best ones. What that costs follows from a
few numbers of channels whose loss was measured; between them, the lost scores say how
far along the cost is. It never falls as channels do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lcm, log1p

import numpy as np
from numpy.typing import NDArray

from hao.ir.change import Channels
from hao.options.measured import cost_between
from hao.options.option import MICRO, Option

MOST_WIDTHS = 5
"""Numbers of channels offered per group, unless asked otherwise (chosen here)."""

LEAST_LOSS = 0.05
"""Losses of a whole network below this count as this [nats] (chosen here)."""


def offered_widths(
    channels: int, lanes: Sequence[int], *, least: int = 1, most: int = MOST_WIDTHS
) -> tuple[int, ...]:
    """Return the numbers of channels that a group is offered, all of them first.

    Args:
        channels: That it has.
        lanes: Of the stages that make, pass on and read them, at least one.
        least: Fewest to offer, where a multiple of lanes is no less.
        most: Numbers to offer at most, at least 2.
    """
    steps = sorted({k for lane in lanes for k in range(lane, channels, lane)})
    steps = [k for k in steps if k >= least] or steps[:1]
    if len(steps) > most - 1:
        whole = lcm(*lanes)
        wanted = np.linspace(channels, steps[0], most)[1:]
        # A multiple of all lanes is worth going a little further for.
        reach = (channels - steps[0]) / (4 * (most - 1))
        chosen = {
            min(steps, key=lambda k: abs(k - w) - (reach if k % whole == 0 else 0))
            for w in wanted
        }
        steps = sorted(chosen)
    return (channels, *reversed(steps))


def kept_by_score(scores: NDArray[np.float64], width: int) -> tuple[int, ...]:
    """Return the channels of the highest scores, ascending; of equals, the first."""
    order = np.argsort(-scores, kind="stable")
    return tuple(sorted(order[:width].tolist()))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCosts:
    """What keeping fewer channels of a group costs.

    Attributes:
        scores: Of every channel.
        points: Numbers of channels whose cost was measured, descending, below all.
        costs: Top-1 that each of them costs [points]; negative ones count as none.
        base_loss: Of the whole network [nats], above 0. A score is the first-order
            rise of the loss where its channel goes.
        points_per_fold: Top-1 that is lost where the loss grows by a factor e [points].
            No cost is taken as less than that of the lost scores, so that channels
            whose measured loss drowns in noise go last.
    """

    scores: NDArray[np.float64]
    points: tuple[int, ...]
    costs: tuple[float, ...]
    base_loss: float = 1.0
    points_per_fold: float = 0.0

    def cost(self, width: int) -> float:
        """Return what keeping so many channels costs [points].

        Beyond the measured numbers it goes on as the lost scores do.
        """
        lost = [self._lost(point) for point in self.points]
        own = self._lost(width)
        measured = cost_between(own, tuple(zip(lost, self.costs, strict=True)))
        return max(measured, self.points_per_fold * log1p(own / self.base_loss))

    def _lost(self, width: int) -> float:
        ordered = np.sort(self.scores)
        return float(ordered[: self.scores.size - width].sum())


def channel_options(
    costs: Mapping[str, GroupCosts], widths: Mapping[str, Sequence[int]]
) -> tuple[Option, ...]:
    """Return the options of groups, the most channels first.

    Args:
        costs: By group.
        widths: Numbers of channels on offer, descending, by group.
    """
    return tuple(
        Option(
            layer=name,
            change=Channels(kept_by_score(costs[name].scores, width)),
            cost_micro=round(costs[name].cost(width) * MICRO),
        )
        for name, offered in widths.items()
        for width in offered
    )
