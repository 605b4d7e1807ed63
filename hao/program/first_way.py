"""Ways that there are, to begin with: the best at some prices of accuracy.

Their costs are no optimum, but a limit: where no design is known, it keeps the labels
of `hao.program.labels` few.
"""

from collections.abc import Mapping

import numpy as np

from hao.program.sweep import Net, sweep
from hao.program.tables import Periods

FIRST_WAY = 1.05
"""Limit of the cost, relative to its bound, above which a way is sought first."""

TRIED = np.geomspace(0.5, 2.0, 9)
"""Prices of accuracy at which it is sought, relative to the sharpest (chosen here)."""


def priced_ways(
    net: Net, periods: Mapping[int, Periods], rate: float, double_buffered: bool
) -> list[tuple[int, int]]:
    """Return cycles and cost of the best ways at prices around a rate, for one engine.

    Args:
        net: What ways there are.
        periods: Of one engine.
        rate: Price of accuracy [cycles per micro-point].
        double_buffered: Whether weights load while another run computes.
    """
    found = []
    alone = {number: single(each) for number, each in periods.items()}
    prices = rate * TRIED
    swept = sweep(net, periods, double_buffered=double_buffered, rate=prices[:, None])
    to_go = swept.to_go[:, :, 0].T.tolist()
    for price, go in zip(prices.tolist(), to_go, strict=True):
        cycles = cost = node = 0
        here: tuple[int, ...] | None = None
        while True:
            options = []
            finish = net.finishes.get(node)
            if finish is not None:
                last = 0 if here is None else here[0]
                options.append((last + price * finish.cost, last, finish.cost, -1))
            for entry in net.entries.get(node, ()):
                took = _took(here, alone[entry.run], double_buffered)
                value = took + go[entry.stop] + price * entry.cost
                options.append((value, took, entry.cost, entry.stop))
            _, took, more, stop = min(options)
            cycles, cost = cycles + took, cost + more
            if stop < 0:
                break
            node, here = net.stops[stop].end, alone[net.stops[stop].run]
        found.append((cycles, cost))
    return found


def _took(
    here: tuple[int, ...] | None, after: tuple[int, ...], double_buffered: bool
) -> int:
    """Return the cycles from the start of a run, or of a frame, to that of the next."""
    if here is None:
        return max(after[3], after[4]) if double_buffered else after[5]
    if not double_buffered:
        return here[0] + after[5]
    return max(here[0], here[1] + after[3], here[2] + after[4])


def single(made: Periods) -> tuple[int, int, int, int, int, int]:
    """Return the periods of a single engine as integers."""
    alone, beside, ddr, opening, opening_ddr, serial = (
        int(value.item()) for value in made.arrays
    )
    return alone, beside, ddr, opening, opening_ddr, serial
