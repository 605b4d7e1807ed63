"""Engines that others beat: in no run of theirs are they faster."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hao.program.tables import Periods

Ints = NDArray[np.int64]

COMPARED = 200_000
"""Numbers that an engine is compared with before it is kept (chosen here).

Where prices depend on many options, engines have thousands of rows, hardly one of them
beats another in all, and comparing all with all took most of the time.
"""


def distinct(periods: Mapping[int, Periods], size: int) -> Ints:
    """Return one of all engines whose periods are equal, and every other engine.

    Engines are paired by a random sum of their rows and then compared row by row, so
    that no engine stands for one that differs.
    """
    rows = [v for made in periods.values() for v in made.arrays if v.ndim]
    rng = np.random.default_rng(0)
    total = np.zeros(size, dtype=np.uint64)
    for values in rows:
        total = total + values.astype(np.uint64) * rng.integers(2**63, dtype=np.uint64)
    _, first, group = np.unique(total, return_index=True, return_inverse=True)
    twin = first[group.reshape(-1)]
    alone = twin == np.arange(size)
    for values in rows:
        alone |= values != values[twin]
    return np.flatnonzero(alone)


def row_table(periods: Mapping[int, Periods], size: int) -> Ints:
    """Return the rows of all runs that differ between engines, (size, rows)."""
    rows = [v for made in periods.values() for v in made.arrays if v.ndim]
    return np.stack(rows, axis=1) if rows else np.zeros((size, 0), dtype=np.int64)


def undominated(periods: Mapping[int, Periods], alive: Ints) -> Ints:
    """Return the engines of `alive` that none of the first kept ones beats in all rows.

    Args:
        periods: Of all engines.
        alive: Engines, the most promising first.
    """
    table = row_table({n: made.take(alive) for n, made in periods.items()}, alive.size)
    most = max(1, COMPARED // max(1, table.shape[1]))
    kept: list[int] = []
    for place in range(alive.size):
        if not (table[kept[:most]] <= table[place]).all(axis=1).any():
            kept.append(place)
    return alive[kept]
