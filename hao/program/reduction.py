"""Relaxations that discard most of the catalogue exactly.

The integer program of a whole catalogue has a weak linear relaxation: a fraction of a
deep buffer here and of a wide stage there look cheaper than any real engine. So before
it is built, engines are discarded that provably cannot be in the optimum, in bulk:

1. Columns that differ in buffer depth only are merged into one *relaxed* column with
   the least of every row of cycles and of every resource. (The deepest buffer mostly
   has the least cycles, but a shallower one may cut a layer into tiles that overlap
   better with the loading of the next weights.)
2. All triples of relaxed columns are enumerated that match lanes and satisfy the
   board's limits with fractional DSP steps (for each of several prices of a DSP in
   LUTs, the sum of what each stage takes at least must stay below the board's).
3. Each triple gets a lower bound of its latency: chain by chain, the most of what any
   of its stages needs with the others at their best, and the chain's products divided
   by all multipliers.

`hao.program.engines` goes through the triples in the order of that bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hao.cost.columns import DenseColumns
from hao.cost.paths import Path
from hao.cost.prices import SegmentPrice
from hao.ir.layer import Depthwise, Pool
from hao.ir.partition import Role
from hao.program.bounds import chain_bounds, least_opening
from hao.program.branch import DSP_PRICES, Branch, Choice
from hao.program.incumbent import lane_counts

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
AnyCount = TypeVar("AnyCount", np.int64, np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxed:
    """Relaxed columns of a stage: equal but for the depth of the weight buffer.

    Attributes:
        deepest: Column with the deepest buffer of each group; stands for its lanes.
        members: Columns sorted by group.
        first: Where each group starts in `members`; one more entry ends the last.
        lanes: Channels exchanged with the neighbouring stage.
        multipliers: Multipliers for dense and pointwise products.
        surrogate: LUTs plus priced DSPs that each takes at least, per DSP price.
        bram_18k: Block RAM that each takes at least.
    """

    deepest: Ints
    members: Ints
    first: Ints
    lanes: Ints
    multipliers: Ints
    surrogate: Ints
    bram_18k: Ints

    def least(self, values: NDArray[AnyCount]) -> NDArray[AnyCount]:
        """Return the least of a value per column over each group."""
        if self.members.size == 0:
            return values
        result: NDArray[AnyCount] = np.minimum.reduceat(
            values[self.members], self.first[:-1]
        )
        return result


def relax(branch: Branch, role: Role) -> Relaxed:
    """Return the relaxed columns of one stage."""
    catalogue = branch.stages[role]
    columns, area = catalogue.columns, catalogue.area
    surrogate = np.stack(
        [
            area.base.lut
            + np.minimum(0, area.steps * (area.step.lut + price * area.step.dsp))
            for price in DSP_PRICES
        ]
    )
    if isinstance(columns, DenseColumns):
        key = np.stack([columns.simd, columns.pe, columns.weight_bits])
        _, group = np.unique(key, axis=1, return_inverse=True)
        group = group.reshape(-1)
        count = int(group.max(initial=-1)) + 1
        order = np.lexsort((columns.weight_words, group))
        deepest = np.zeros(count, dtype=np.int64)
        deepest[group[order]] = order
        least = np.full((len(DSP_PRICES), count), np.iinfo(np.int64).max)
        for number in range(len(DSP_PRICES)):
            np.minimum.at(least[number], group, surrogate[number])
        bram = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(bram, group, area.base.bram_18k)
        multipliers = (columns.simd * columns.pe * branch.setting.px)[deepest]
    else:
        group = np.arange(len(columns))
        deepest, least, bram = group, surrogate, area.base.bram_18k
        multipliers = np.zeros(len(columns), dtype=np.int64)
    members = np.argsort(group, kind="stable")
    return Relaxed(
        deepest=deepest,
        members=members,
        first=np.searchsorted(group[members], np.arange(deepest.size + 1)),
        lanes=lane_counts(branch, role)[deepest],
        multipliers=multipliers,
        surrogate=least,
        bram_18k=bram,
    )


def least_prices(branch: Branch, relaxed: Mapping[Role, Relaxed]) -> Branch:
    """Return the branch with prices per relaxed column: the least of its group.

    Stages that are not in `relaxed` keep their prices.

    Only prices are reduced; the catalogues stay those of `branch`.
    """
    known: dict[int, SegmentPrice] = {}
    prices = []
    for price in branch.prices:
        if id(price) not in known:
            known[id(price)] = _least_price(price, relaxed)
        prices.append(known[id(price)])
    return replace(branch, prices=tuple(prices))


def _least_price(price: SegmentPrice, relaxed: Mapping[Role, Relaxed]) -> SegmentPrice:
    def least(terms: Mapping[Role, Ints]) -> dict[Role, Ints]:
        return {
            role: relaxed[role].least(cycles) if role in relaxed else cycles
            for role, cycles in terms.items()
        }

    def least_path(path: Path) -> Path:
        return Path(path.label, path.constant, least(path.terms))

    rows = [*price.paths, price.beside, price.ddr]

    def opening(path: Path) -> Path:
        """Return a lower bound of the opening that goes with the least of any row.

        A shallow buffer opens with few weights but loads the others later. In a frame,
        the opening is followed by one of the segment's rows; so what may be counted
        before the least of that row is the least of their sum, less that least.
        """
        terms = {}
        for role, cycles in path.terms.items():
            if role not in relaxed:
                terms[role] = cycles
                continue
            together = [
                relaxed[role].least(cycles + row.terms[role])
                - relaxed[role].least(row.terms[role])
                for row in rows
                if role in row.terms
            ]
            terms[role] = np.minimum.reduce(together)
        return Path(path.label, path.constant, terms)

    return SegmentPrice(
        opening=opening(price.opening),
        opening_ddr=opening(price.opening_ddr),
        paths=tuple(least_path(path) for path in price.paths),
        tiled=least(price.tiled),
        ddr=least_path(price.ddr),
        beside=least_path(price.beside),
        tiles=least(price.tiles),
        feasible={
            role: ~relaxed[role].least(~feasible) if role in relaxed else feasible
            for role, feasible in price.feasible.items()
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainBounds:
    """Lower bounds of the cycles of every chain.

    Attributes:
        cycles: Per stage, of shape (chains, relaxed columns).
        macs: Products of the dense and pointwise layers of each chain.
        opening: Cycles before the first segment starts.
    """

    cycles: Mapping[Role, Ints]
    macs: Ints
    opening: int

    def multipliers_needed(self, limit: int) -> int:
        """Return the multipliers below which `limit` cycles are out of reach.

        A chain takes at least its transfers, and its dense and pointwise products
        divided by all multipliers of both stages.
        """
        if not self.macs.any():
            return 0
        floor = np.max([c.min(axis=1) for c in self.cycles.values()], axis=0)
        low, high = 0, 1 << 20
        while high - low > 1:
            middle = (low + high) // 2
            total = int(np.maximum(floor, -(-self.macs // middle)).sum())
            if total + self.opening < limit:
                high = middle
            else:
                low = middle
        return low + 1

    def latency(self, relaxed: Mapping[Role, Relaxed], choice: Choice) -> Ints:
        """Return the lower bound of the latency of many triples [cycles]."""
        multipliers = sum(relaxed[role].multipliers[i] for role, i in choice.items())
        reciprocal = 1 / np.maximum(multipliers, 1)
        total = np.full(reciprocal.shape, self.opening, dtype=np.float64)
        for chain, macs in enumerate(self.macs):
            longest = reciprocal * float(macs)
            for role, index in choice.items():
                np.maximum(longest, self.cycles[role][chain][index], out=longest)
            total += longest
        return np.ceil(total - 1e-3).astype(np.int64)


def bound_chains(branch: Branch, relaxed: Mapping[Role, Relaxed]) -> ChainBounds:
    """Return the lower bounds of every chain for all relaxed columns.

    Args:
        branch: Of `least_prices`.
        relaxed: Relaxed columns per stage.
    """
    bounds = {
        role: chain_bounds(branch, role, columns.deepest.size)
        for role, columns in relaxed.items()
    }
    chains = next(iter(bounds.values()))
    starts = [low for low, _, _ in chains]
    macs = np.zeros(len(starts), dtype=np.int64)
    counted = set()
    for segment in branch.partition.segments:
        for _, layer in segment.invocation.stages:
            if isinstance(layer, Depthwise | Pool) or layer.name in counted:
                continue
            counted.add(layer.name)
            macs[np.searchsorted(starts, segment.start, side="right") - 1] += layer.macs
    opening = 0
    if branch.setting.double_buffered:
        opening = least_opening(branch)
    return ChainBounds(
        cycles={
            role: np.stack([cycles for _, _, cycles in rows])
            for role, rows in bounds.items()
        },
        macs=macs,
        opening=opening,
    )


def fitting(
    branch: Branch, relaxed: Mapping[Role, Relaxed], needed: int
) -> dict[Role, Ints]:
    """Return all triples of relaxed columns that match lanes and may fit the board."""
    roles = list(relaxed)
    outer = [role for role in (Role.DENSE, Role.POINTWISE) if role in relaxed]
    caps: Ints = np.array(
        [branch.limit.lut + p * branch.limit.dsp for p in DSP_PRICES], dtype=np.int64
    )
    found: dict[Role, list[Ints]] = {role: [] for role in roles}
    middle = relaxed.get(Role.DEPTHWISE)
    for index in range(middle.lanes.size if middle is not None else 1):
        left: list[Ints] = []
        for role in outer:
            lanes = relaxed[role].lanes
            mate = np.ones(lanes.size, dtype=np.bool_)
            if middle is not None:
                own = middle.lanes[index]
                mate = (lanes % own == 0) | (own % lanes == 0)
            left.append(np.flatnonzero(mate))
        room = caps if middle is None else caps - middle.surrogate[:, index]
        blocks = branch.limit.bram_18k
        if middle is not None:
            blocks -= int(middle.bram_18k[index])
        for choice in _pairs(
            relaxed, outer, left, room, blocks, needed, middle is None
        ):
            for role, chosen in choice.items():
                found[role].append(chosen)
            if middle is not None:
                size = next((chosen.size for chosen in choice.values()), 1)
                found[Role.DEPTHWISE].append(np.full(size, index))
    return {
        role: np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        for role, parts in found.items()
    }


def _pairs(
    relaxed: Mapping[Role, Relaxed],
    outer: list[Role],
    left: list[Ints],
    room: Ints,
    blocks: int,
    needed: int,
    adjacent: bool,
) -> list[dict[Role, Ints]]:
    """Return the pairs (or single columns) of the outer stages within what is left."""
    if not outer:
        fine = needed <= 0 and blocks >= 0 and bool((room >= 0).all())
        return [{}] if fine else []
    first = relaxed[outer[0]]
    rows = left[0]
    if len(outer) == 1:
        fits = (first.surrogate[:, rows] <= room[:, None]).all(axis=0)
        fits &= first.bram_18k[rows] <= blocks
        fits &= first.multipliers[rows] >= needed
        return [{outer[0]: rows[fits]}]
    second = relaxed[outer[1]]
    columns = left[1]
    ok = first.multipliers[rows][:, None] + second.multipliers[columns] >= needed
    ok &= first.bram_18k[rows][:, None] + second.bram_18k[columns] <= blocks
    for number in range(room.size):
        total = (
            first.surrogate[number][rows][:, None] + second.surrogate[number][columns]
        )
        ok &= total <= room[number]
    if adjacent:
        a, b = first.lanes[rows][:, None], second.lanes[columns]
        ok &= (a % b == 0) | (b % a == 0)
    i, j = np.nonzero(ok)
    return [{outer[0]: rows[i], outer[1]: columns[j]}]
