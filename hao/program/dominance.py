"""Engines that others beat: in no run of theirs are they faster."""

import numpy as np
from numpy.typing import NDArray

from hao.program.periods import RunPeriods

Ints = NDArray[np.int64]

COMPARED = 200_000
"""Numbers that an engine is compared with before it is kept (chosen here).

Where prices depend on many options, engines have thousands of rows, hardly one of them
beats another in all, and comparing all with all took most of the time.
"""


def distinct(periods: RunPeriods, size: int) -> Ints:
    """Return one of all engines whose periods are equal, and every other engine.

    Engines are paired by a random sum of their rows and then compared row by row, so
    that no engine stands for one that differs.
    """
    rng = np.random.default_rng(0)
    total = np.zeros(size, dtype=np.uint64)
    for values in periods.arrays:
        factors = rng.integers(2**63, size=(len(values), 1), dtype=np.uint64)
        total = total + (values.astype(np.uint64) * factors).sum(axis=0)
    _, first, group = np.unique(total, return_index=True, return_inverse=True)
    twin = first[group.reshape(-1)]
    alone = twin == np.arange(size)
    for values in periods.arrays:
        if values.shape[1] > 1:
            alone |= (values != values[:, twin]).any(axis=0)
    return np.flatnonzero(alone)


def row_table(periods: RunPeriods, size: int) -> Ints:
    """Return the rows of all runs that differ between engines, (size, rows)."""
    rows = [
        values[~fixed]
        for values, fixed in zip(periods.arrays, periods.layout.fixed, strict=True)
        if not fixed.all()
    ]
    if not rows:
        return np.zeros((size, 0), dtype=np.int64)
    return np.ascontiguousarray(np.concatenate(rows).T)


def undominated(periods: RunPeriods, alive: Ints) -> Ints:
    """Return the engines of `alive` that none of the first kept ones beats in all rows.

    Args:
        periods: Of all engines.
        alive: Engines, the most promising first.
    """
    table = row_table(periods.take(alive), alive.size)
    most = max(1, COMPARED // max(1, table.shape[1]))
    kept: list[int] = []
    for place in range(alive.size):
        if not (table[kept[:most]] <= table[place]).all(axis=1).any():
            kept.append(place)
    return alive[kept]
