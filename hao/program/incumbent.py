"""A good feasible design of a branch, fast: the starting point of the proof.

Random engines are drawn from the columns that could still beat the best known, those
that do not fit the board are dropped, the rest are priced side by side; the best few
are improved stage by stage, each time scanning a whole catalogue. Nothing here is a
bound: the result only lets `hao.program` discard columns and branches, exactly.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hao.cost.columns import DepthwiseColumns
from hao.ir.partition import Role
from hao.program.branch import NEVER, Branch, Choice, latencies

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SAMPLES = 20_000
"""Random engines drawn per branch; a tenth of them fits the board (chosen here)."""

STARTS = 1
"""Of these, the best that are improved stage by stage (chosen here)."""


def lane_counts(branch: Branch, role: Role) -> Ints:
    """Return for each column of a stage the channels it exchanges with its neighbour.

    That is `pe` of dense and depthwise stages and `simd` of the pointwise stage.
    """
    columns = branch.stages[role].columns
    if isinstance(columns, DepthwiseColumns) or role is Role.DENSE:
        return columns.pe
    return columns.simd


def neighbours(branch: Branch) -> list[tuple[Role, Role]]:
    """Return the pairs of stages that exchange channel groups."""
    built = [role for role in Role if role in branch.stages]
    return list(pairwise(built))


def matches(branch: Branch, choice: Choice) -> Bools:
    """Return which choices have lane counts that divide each other."""
    result: Bools = np.ones(1, dtype=np.bool_)
    for left, right in neighbours(branch):
        a = lane_counts(branch, left)[choice[left]]
        b = lane_counts(branch, right)[choice[right]]
        result = result & ((a % b == 0) | (b % a == 0))
    return result


def dsp_steps(branch: Branch, choice: Choice) -> dict[Role, Ints]:
    """Return steps of lanes onto DSPs that save most LUTs per DSP, greedily."""
    roles = list(choice)
    saving = np.stack(
        np.broadcast_arrays(
            *(
                -branch.stages[r].area.step.lut[choice[r]]
                / np.maximum(branch.stages[r].area.step.dsp[choice[r]], 1)
                for r in roles
            )
        )
    )
    order = np.argsort(-saving, axis=0, kind="stable")
    left = np.full(order.shape[1:], branch.limit.dsp, dtype=np.int64)
    steps = {r: np.zeros(order.shape[1:], dtype=np.int64) for r in roles}
    for rank in range(len(roles)):
        for number, role in enumerate(roles):
            area = branch.stages[role].area
            cost = np.maximum(area.step.dsp[choice[role]], 1)
            turn = (order[rank] == number) & (saving[number] > 0)
            taken = np.where(
                turn, np.minimum(area.steps[choice[role]], left // cost), 0
            )
            steps[role] = steps[role] + taken
            left = left - taken * cost
    return steps


def fits(branch: Branch, choice: Choice, steps: Mapping[Role, Ints]) -> Bools:
    """Return which choices, with these steps, stay within the board."""
    totals = dict.fromkeys(("dsp", "bram_18k", "lut", "ff", "lutram"), np.int64(0))
    for role, index in choice.items():
        area = branch.stages[role].area
        for name in totals:
            base = getattr(area.base, name)[index]
            step = getattr(area.step, name)[index]
            totals[name] = totals[name] + base + steps[role] * step
    limit = branch.limit
    within: Bools = np.asarray(
        (totals["dsp"] <= limit.dsp)
        & (totals["bram_18k"] <= limit.bram_18k)
        & (totals["lut"] <= limit.lut)
        & (totals["ff"] <= limit.ff)
        & (totals["lutram"] <= branch.lutram)
    )
    return within


def legal(branch: Branch, choice: Choice) -> Bools:
    """Return which choices match lanes and fit the board with greedy DSP steps."""
    return matches(branch, choice) & fits(branch, choice, dsp_steps(branch, choice))


def find_incumbent(
    branch: Branch,
    candidates: Mapping[Role, Ints],
    *,
    samples: int = SAMPLES,
    starts: int = STARTS,
    seed: int = 0,
) -> tuple[int, dict[Role, int]] | None:
    """Return the latency [cycles] and columns of a good design, or `None`.

    Args:
        branch: Prices.
        candidates: Columns worth considering, per stage.
        samples: Engines drawn.
        starts: Of these, how many are improved.
        seed: Of the draw.
    """
    if any(index.size == 0 for index in candidates.values()):
        return None
    rng = np.random.default_rng(seed)
    drawn = {r: rng.choice(index, samples) for r, index in candidates.items()}
    keep = np.flatnonzero(legal(branch, drawn))
    if keep.size == 0:
        return None
    drawn = {role: index[keep] for role, index in drawn.items()}
    cycles, _ = latencies(branch, drawn)
    best: tuple[int, dict[Role, int]] | None = None
    for start in np.argsort(cycles, kind="stable")[:starts]:
        if cycles[start] >= NEVER:
            break
        point = {role: int(index[start]) for role, index in drawn.items()}
        found = _improve(branch, candidates, point, int(cycles[start]))
        if best is None or found[0] < best[0]:
            best = found
    return best


def _improve(
    branch: Branch, candidates: Mapping[Role, Ints], point: dict[Role, int], value: int
) -> tuple[int, dict[Role, int]]:
    """Return the end of a descent that replaces one stage at a time by its best."""
    improved = True
    while improved:
        improved = False
        for role in candidates:
            index = candidates[role]
            choice = {r: np.array([c]) for r, c in point.items()} | {role: index}
            keep = index[np.flatnonzero(legal(branch, choice))]
            if keep.size == 0:
                continue
            choice = {r: np.array([c]) for r, c in point.items()} | {role: keep}
            cycles, _ = latencies(branch, choice)
            place = int(np.argmin(cycles))
            if int(cycles[place]) < value:
                value = int(cycles[place])
                point = point | {role: int(keep[place])}
                improved = True
    return value, point
