"""All engines below a latency limit, best first: the exact search over the catalogue.

Triples of relaxed columns (`hao.program.reduction`) are taken in the order of their
lower bound. Each is priced exactly with its best partition, then with every depth of
its buffers; the best latency found so far ends the search as soon as no bound is below
it. The result is proven: every engine of the space that is not returned is slower than
the limit that is returned with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.branch import NEVER, Branch, Choice, latencies
from hao.program.incumbent import dsp_steps, find_incumbent, fits
from hao.program.reduction import Relaxed, bound_chains, fitting, least_prices, relax

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STEP = 65_536
"""Triples priced between two looks at the best known (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One engine: its branch, a column per stage, DSP steps and least latency."""

    branch: int
    columns: Mapping[Role, int]
    steps: Mapping[Role, int]
    cycles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineList:
    """Engines in order of latency.

    Attributes:
        engines: Every engine of the space with at most `limit` cycles, best first,
            and perhaps some slower ones.
        limit: Cycles up to which the list is complete.
        priced: Engines and relaxed triples that were priced.
    """

    engines: tuple[Found, ...]
    limit: int
    priced: int


@dataclass(frozen=True, slots=True)
class _Slack:
    """How much slower than the best an engine may be."""

    cycles: int
    percent: int

    def above(self, best: int) -> int:
        return best + self.cycles + best * self.percent // 100


@dataclass(frozen=True, slots=True)
class _Pool:
    """Relaxed triples of one branch with their lower bounds.

    Attributes:
        branch: Catalogues and exact prices.
        prices: The branch with the prices of some stages relaxed, by these stages.
        relaxed: Relaxed columns of every stage.
        choice: Triples of their indices.
        bound: Lower bound of each triple's latency.
    """

    branch: Branch
    prices: Mapping[frozenset[Role], Branch]
    relaxed: Mapping[Role, Relaxed]
    choice: Choice
    bound: Ints


def find_engines(
    branches: Sequence[Branch],
    *,
    limit: int,
    slack: int = 0,
    slack_percent: int = 0,
    most: int = 64,
) -> EngineList:
    """Return the engines whose latency is within `slack` of the best, or of the limit.

    Args:
        branches: Branches of the design space.
        limit: Only engines of at most so many cycles are of interest.
        slack: How far above the best latency to keep engines [cycles].
        slack_percent: Further slack, relative to the best latency [percent].
        most: Keep at most so many engines; if more qualify, the list is complete
            only below the latency of the last one kept.
    """
    allowed = _Slack(slack, slack_percent)
    cut = limit
    if slack < limit:
        cut = min(cut, allowed.above(_first_limit(branches, limit)))
    pools = [_pool(branch, cut) for branch in branches]
    if not pools:
        return EngineList(engines=(), limit=limit, priced=0)
    order_branch = np.concatenate(
        [np.full(pool.bound.size, i) for i, pool in enumerate(pools)]
    )
    order_row = np.concatenate([np.arange(pool.bound.size) for pool in pools])
    bound = np.concatenate([pool.bound for pool in pools])
    order = np.argsort(bound, kind="stable")
    found: list[Found] = []
    priced = 0
    full = False
    for start in range(0, order.size, STEP):
        rows = order[start : start + STEP]
        if bound[rows[0]] > cut:
            break
        rows = rows[bound[rows] <= cut]
        priced += rows.size
        for number in np.unique(order_branch[rows]):
            mine = order_row[rows[order_branch[rows] == number]]
            count, new = _price(pools[number], int(number), mine, cut, allowed)
            priced += count
            found = sorted(found + new, key=_rank)
            if found:
                cut = min(cut, allowed.above(found[0].cycles))
            found = [engine for engine in found if engine.cycles <= cut]
            if len(found) >= most:
                found, full = found[:most], True
                cut = min(cut, found[-1].cycles)
    # Others may be as slow as the last one kept.
    complete = cut - 1 if full else cut
    return EngineList(engines=tuple(found), limit=complete, priced=priced)


def _first_limit(branches: Sequence[Branch], limit: int) -> int:
    """Return the latency of a quickly found engine, or `limit` if none is below it."""
    known = limit
    for branch in branches[: (len(branches) + 1) // 2 : 2]:
        candidates = {r: np.arange(len(c)) for r, c in branch.stages.items()}
        incumbent = find_incumbent(branch, candidates)
        if incumbent is not None:
            known = min(known, incumbent[0])
    return known


def _rank(engine: Found) -> tuple[int, int, tuple[int, ...]]:
    """Return the key by which engines are ordered: latency, then place."""
    return engine.cycles, engine.branch, tuple(engine.columns.values())


def _pool(branch: Branch, limit: int) -> _Pool:
    """Return the triples of a branch whose lower bound is within the limit."""
    relaxed = {role: relax(branch, role) for role in branch.stages}
    if any(r.deepest.size == 0 for r in relaxed.values()):
        none = np.zeros(0, dtype=np.int64)
        return _Pool(branch, {}, relaxed, dict.fromkeys(relaxed, none), none)
    # The depthwise stage has one depth: relaxing it changes nothing but its indices.
    stepwise: dict[frozenset[Role], Branch] = {}
    for built in ((), (Role.DENSE,), (Role.DENSE, Role.POINTWISE)):
        left = frozenset(relaxed) - frozenset(built)
        stepwise[left] = least_prices(branch, {role: relaxed[role] for role in left})
    bounds = bound_chains(stepwise[frozenset(relaxed)], relaxed)
    choice = fitting(branch, relaxed, bounds.multipliers_needed(limit + 1))
    bound = bounds.latency(relaxed, choice)
    keep = np.flatnonzero(bound <= limit)
    triples = {role: index[keep] for role, index in choice.items()}
    return _Pool(branch, stepwise, relaxed, triples, bound[keep])


def _price(
    pool: _Pool, number: int, rows: Ints, cut: int, slack: _Slack
) -> tuple[int, list[Found]]:
    """Return how many engines were priced, and those of at most `cut` cycles."""
    branch = pool.branch
    # Relaxed columns give way to their members stage by stage, so that most are
    # dropped before all depths of all stages are multiplied out.
    choice: Choice = {role: index[rows] for role, index in pool.choice.items()}
    relaxed = set(choice)
    priced = 0
    for role in (None, Role.DENSE, Role.POINTWISE):
        if role is not None and role not in relaxed:
            continue
        if role is not None:
            choice = _members(pool, choice, role)
            relaxed.discard(role)
        choice = _take(choice, np.flatnonzero(_blocks(pool, choice, relaxed)))
        prices = pool.prices[frozenset(relaxed)]
        cycles, _ = latencies(prices, choice)
        priced += cycles.size
        keep = np.flatnonzero(cycles <= min(cut, int(NEVER) - 1))
        choice = _take(choice, keep)
        if keep.size == 0:
            return priced, []
    exact = cycles[keep]
    order = np.argsort(exact, kind="stable")
    choice = {
        role: pool.relaxed[role].members[index] if role in relaxed else index
        for role, index in _take(choice, order).items()
    }
    return priced, _legal(branch, number, choice, exact[order], slack)


def _take(choice: Choice, rows: Ints) -> Choice:
    return {role: index[rows] for role, index in choice.items()}


def _blocks(pool: _Pool, choice: Choice, relaxed: set[Role]) -> NDArray[np.bool_]:
    """Return which choices stay within the block RAM, relaxed stages at their least."""
    total = np.zeros(1, dtype=np.int64)
    for role, index in choice.items():
        if role in relaxed:
            total = total + pool.relaxed[role].bram_18k[index]
        else:
            total = total + pool.branch.stages[role].area.base.bram_18k[index]
    fine: NDArray[np.bool_] = total <= pool.branch.limit.bram_18k
    return fine


def _members(pool: _Pool, choice: Choice, role: Role) -> Choice:
    """Return the choices with the relaxed columns of one stage replaced by members."""
    relaxed = pool.relaxed[role]
    start = relaxed.first[choice[role]]
    count = relaxed.first[choice[role] + 1] - start
    source = np.repeat(np.arange(count.size), count)
    offset = np.arange(source.size) - np.repeat(np.cumsum(count) - count, count)
    result = dict(_take(choice, source))
    result[role] = relaxed.members[start[source] + offset]
    return result


def _legal(
    branch: Branch, number: int, choice: Choice, cycles: Ints, slack: _Slack
) -> list[Found]:
    """Return the engines that fit the board with some integer DSP steps.

    They come in order of `cycles`, up to `slack` above the first that fits.
    """
    steps = dsp_steps(branch, choice)
    fine = fits(branch, choice, steps)
    found: list[Found] = []
    for row in range(cycles.size):
        if found and cycles[row] > slack.above(found[0].cycles):
            break
        columns = {role: int(index[row]) for role, index in choice.items()}
        taken: Mapping[Role, int] | None
        if fine[row]:
            taken = {role: int(value[row]) for role, value in steps.items()}
        else:
            taken = exact_steps(branch, columns)
        if taken is not None:
            found.append(
                Found(
                    branch=number,
                    columns=columns,
                    steps=taken,
                    cycles=int(cycles[row]),
                )
            )
    return found


def exact_steps(branch: Branch, columns: Mapping[Role, int]) -> dict[Role, int] | None:
    """Return DSP steps with which an engine fits the board, or `None` if none do.

    All combinations of steps are tried, side by side; of those that fit, the one with
    the fewest LUTs is returned.
    """
    roles = list(columns)
    area = {role: branch.stages[role].area for role in roles}
    grids = np.meshgrid(
        *(np.arange(int(area[r].steps[columns[r]]) + 1) for r in roles), indexing="ij"
    )
    totals = {}
    for kind in ("dsp", "lut", "ff", "bram_18k", "lutram"):
        totals[kind] = sum(
            int(getattr(area[r].base, kind)[columns[r]])
            + grid * int(getattr(area[r].step, kind)[columns[r]])
            for r, grid in zip(roles, grids, strict=True)
        )
    limit = branch.limit
    fine: Bools = np.asarray(
        (totals["dsp"] <= limit.dsp)
        & (totals["lut"] <= limit.lut)
        & (totals["ff"] <= limit.ff)
        & (totals["bram_18k"] <= limit.bram_18k)
        & (totals["lutram"] <= branch.lutram)
    )
    if not np.any(fine):
        return None
    place = np.unravel_index(
        np.argmin(np.where(fine, totals["lut"], np.iinfo(np.int64).max)), fine.shape
    )
    return {role: int(where) for role, where in zip(roles, place, strict=True)}
