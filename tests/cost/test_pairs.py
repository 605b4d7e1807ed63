"""A start of several frames against the sum over the shares that each one loads."""

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from hao.cost.loads import loading_rows, stage_loads
from hao.cost.overheads import load_overhead
from hao.cost.pairs import besides, paired
from hao.cost.paths import Path
from hao.intmath import ceil_div
from hao.ir.partition import Role
from tests.cost.samples import conv, dense_columns, invocation, setting, shape


def summed(alone: int, delay: int, shares: list[int]) -> int:
    """Return the cycles of frames one by one: each computes, or loads its share."""
    return sum(max(alone, delay + share) for share in shares)


def priced(alone: int, delay: int, load: int, left: int, batch: int) -> int:
    rows = besides(batch * alone, batch * delay, 0, (0, 0), batch=batch)
    arrays = [np.asarray(cycles) for cycles in (*rows[:-2:2], load, left)]
    return int(paired(np.asarray(batch * alone), arrays[:2], arrays[2:]))


def test_frames_take_no_longer_than_priced_and_two_exactly_as_long() -> None:
    rng = random.Random(0)
    exact = 0
    for _ in range(2_000):
        batch, groups = rng.randint(2, 8), rng.randint(1, 40)
        each, alone = rng.randint(1, 50), rng.randint(1, 300)
        delay = rng.randint(0, alone)
        pruned = rng.random() < 0.3
        # As the emitted steps load them (hao.emission.steps).
        ends = [groups * i // batch for i in range(batch + 1)]
        shares = [each * (b - a) for a, b in pairwise(ends)]
        if pruned:
            shares = [each * groups, *[0] * (batch - 1)]
        least = 0 if pruned else each * (groups // batch)
        load = each * groups
        took = summed(alone, delay, shares)
        found = priced(alone, delay, load, load - (batch - 1) * least, batch)
        assert took <= found
        exact += took == found
        if batch == 2 or pruned:
            assert took == found
    assert exact > 1_500


@pytest.mark.parametrize("density", [100, 50])
def test_what_is_left_for_a_frame_by_hand(density: int) -> None:
    # 20 channels in groups of 8: three groups, of which two frames take 1 and 2; all of
    # a pruned layer comes with the first.
    layer = replace(conv(shape(16, 6, 6), 20, 3, name="a"), density=density)
    run = invocation(dense=layer)
    columns = {Role.DENSE: dense_columns([8], [8], [1 << 20])}
    shared = setting()
    shared = replace(shared, board=replace(shared.board, batch=2))
    rows = loading_rows(run, stage_loads(run, columns, {"a": 8}, shared), shared)

    def value(path: Path) -> int:
        return path.constant + sum(int(term[0]) for term in path.terms.values())

    port, ddr, left, left_ddr, *_ = map(value, rows)
    start = load_overhead(1)
    part = (2, 3) if density == 100 else (1, 1)
    assert left - start == ceil_div((port - 2 * start) * part[0], part[1])
    assert left_ddr == ceil_div(ddr * part[0], part[1])
