"""Ways that there are, to begin with: the best at some prices of accuracy.

Their costs are no optimum, but a limit: where no design is known, it keeps the labels
of `hao.program.labels` few.
"""

import numpy as np

from hao.program.periods import RunPeriods, Single
from hao.program.sweep import Net, sweep, took

FIRST_WAY = 1.05
"""Limit of the cost, relative to its bound, above which a way is sought first."""

TRIED = np.geomspace(0.5, 2.0, 9)
"""Prices of accuracy at which it is sought, relative to the sharpest (chosen here)."""


def priced_ways(
    net: Net, periods: RunPeriods, rate: float, double_buffered: bool
) -> list[tuple[int, int]]:
    """Return cycles and cost of the best ways at prices around a rate, for one engine.

    Args:
        net: What ways there are.
        periods: Of one engine.
        rate: Price of accuracy [cycles per micro-point].
        double_buffered: Whether weights load while another run computes.
    """
    found = []
    alone = periods.singles()
    prices = rate * TRIED
    swept = sweep(net, periods, double_buffered=double_buffered, rate=prices[:, None])
    to_go = swept.to_go[:, :, 0].T.tolist()
    for price, go in zip(prices.tolist(), to_go, strict=True):
        cycles = cost = node = 0
        here: Single | None = None
        while True:
            options = []
            finish = net.finishes.get(node)
            if finish is not None:
                last = 0 if here is None else here[0]
                options.append((last + price * finish.cost, last, finish.cost, -1))
            for entry in net.entries.get(node, ()):
                taken = took(here, alone[entry.run], double_buffered)
                value = taken + go[entry.stop] + price * entry.cost
                options.append((value, taken, entry.cost, entry.stop))
            _, last, more, stop = min(options)
            cycles, cost = cycles + last, cost + more
            if stop < 0:
                break
            node, here = net.stops[stop].end, alone[net.stops[stop].run]
        found.append((cycles, cost))
    return found
