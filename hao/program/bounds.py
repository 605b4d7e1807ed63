"""Least cycles of every chain of a network for each column of one stage.

A chain is a run of positions that no segment reaches across; every partition covers
each chain by itself, so bounds of chains add up to a bound of the frame. They tighten
the integer program (`hao.program.build`) and discard engines before it is built
(`hao.program.reduction`).
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hao.cost.paths import Path
from hao.ir.partition import Role
from hao.program.branch import NEVER, Branch

Ints = NDArray[np.int64]


def chain_bounds(branch: Branch, role: Role, size: int) -> list[tuple[int, int, Ints]]:
    """Return for every chain the least cycles that each column of `role` allows.

    These are the sum of periods, and without double buffering of the loads. The other
    stages are taken at their best, segment by segment and path by path, so the result
    is a lower bound for whatever they are.

    Args:
        branch: Prices.
        role: A stage.
        size: Its columns.

    Returns:
        (first position, last position, cycles of shape (columns,)) per chain.
    """
    segments = branch.partition.segments
    positions = len(branch.partition.positions)
    double = branch.setting.double_buffered
    crossing = np.zeros(positions + 1, dtype=np.bool_)
    for segment in segments:
        crossing[segment.start + 1 : segment.end + 1] = True
    starts: list[list[int]] = [[] for _ in range(positions + 1)]
    for index, segment in enumerate(segments):
        starts[segment.start].append(index)
    edges = [p for p in range(positions + 1) if not crossing[p]]
    result = []
    for low, high in pairwise(edges):
        best = {high: np.zeros(size, dtype=np.int64)}
        for position in range(high - 1, low - 1, -1):
            options = []
            for index in starts[position]:
                segment = segments[index]
                if segment.end + 1 not in best:
                    continue
                value = _least_period(branch, index, role, size)
                after = starts[segment.end + 1]
                if double and after:
                    value = np.maximum(
                        value, min(_least(branch.prices[i].opening) for i in after)
                    )
                    ddr = branch.prices[index].ddr
                    moved: Ints | int = ddr.constant + min(
                        _least(branch.prices[i].opening_ddr) for i in after
                    )
                    for other, cycles in ddr.terms.items():
                        moved = moved + (cycles if other is role else int(cycles.min()))
                    value = np.maximum(value, moved)
                if not double:
                    value = value + max(branch.loads[index], branch.ddr_loads[index])
                options.append(value + best[segment.end + 1])
            if options:
                best[position] = np.minimum.reduce(options)
        result.append((low, high - 1, best[low]))
    return result


def _least(path: Path) -> int:
    """Return the least value of a row over all columns."""
    return path.constant + sum(int(c.min(initial=NEVER)) for c in path.terms.values())


def least_opening(branch: Branch) -> int:
    """Return the least cycles of weights before anything runs, double-buffered."""
    return min(
        max(_least(branch.prices[i].opening), _least(branch.prices[i].opening_ddr))
        for i in branch.starting(0)
    )


def _least_period(branch: Branch, index: int, role: Role, size: int) -> Ints:
    """Return the least period of a segment for each column of `role`."""
    price = branch.prices[index]
    value = np.full(size, price.ddr.constant, dtype=np.int64)
    for path in price.paths:
        here = np.full(size, path.constant, dtype=np.int64)
        for other, cycles in path.terms.items():
            if other is role:
                here = here + cycles
            else:
                here = here + int(cycles[price.feasible[other]].min(initial=NEVER))
        value = np.maximum(value, here)
    if role in price.feasible:
        value = np.where(price.feasible[role], value, NEVER)
    return value
