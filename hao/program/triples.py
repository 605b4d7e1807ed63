"""Lane shapes at one count of pixels that match, fit the board, and are in time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.field import Field, LaneArea
from hao.program.fit import lanes_match
from hao.program.graph import FAR
from hao.program.tables import Priced

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

CHAINS = 6
"""Chains whose bounds are added between two looks at the limit (chosen here)."""

Lanes = dict[Role, Ints]
"""Lane shapes of each stage, arrays of one length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What lane shapes are bounded by.

    Attributes:
        tables: What runs take at least.
        areas: What lane shapes of each stage take of the board at least.
    """

    tables: Priced
    areas: Mapping[Role, LaneArea]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Limits on the measured blocks of lane shapes.

    Attributes:
        blocks: What each stage takes at least, of shape (pixels, lanes).
        above: Triples of no more than that are left out.
        most: Those of more are.
    """

    blocks: Mapping[Role, Ints]
    above: int
    most: int

    def at(self, place: int) -> "Sizes":
        """Return the limits at one count of pixels; blocks of shape (lanes,)."""
        blocks = {role: own[place] for role, own in self.blocks.items()}
        return replace(self, blocks=blocks)

    def small(self, keep: Mapping[Role, Bools]) -> dict[Role, Bools]:
        """Return the lane shapes which, beside the smallest others, may be small."""
        least = {r: np.where(k, self.blocks[r], FAR).min() for r, k in keep.items()}
        room = self.most - sum(least.values())
        return {r: k & (self.blocks[r] - least[r] <= room) for r, k in keep.items()}

    def hold(self, chosen: Lanes) -> Bools:
        """Return which lane shapes together take as many blocks as is asked for."""
        total = sum((self.blocks[r][at] for r, at in chosen.items()), np.int64(0))
        return np.asarray((total > self.above) & (total <= self.most))


@dataclass(frozen=True, slots=True)
class Chains:
    """Lower bounds of chains of positions; chains that are alike are one.

    Cycles are whole numbers as floats, which add up exactly below 2**53.

    Attributes:
        cycles: Per stage, of shape (chains, pixels, lanes).
        products: Of dense and pointwise layers.
        times: How many chains each one stands for.
    """

    cycles: Mapping[Role, Floats]
    products: Floats
    times: Floats


class Triples:
    """Lane shapes at one count of pixels.

    Args:
        field: What is searched.
        prices: What lane shapes take at least.
        chains: Bounds of every chain.
        place: Index of the pixels at once.
        limit: Most cycles of all chains.
    """

    def __init__(
        self,
        field: Field,
        prices: Prices,
        chains: Chains,
        place: int,
        limit: float,
    ) -> None:
        self._grids, areas = prices.tables.grids, prices.areas
        self._room, self._caps = field.limit, field.caps
        self._cycles = {r: c[:, place] for r, c in chains.cycles.items()}
        self._products, self._times = chains.products, chains.times
        self._surrogate = {r: a.surrogate[:, place] for r, a in areas.items()}
        self._bram = {r: a.bram_18k[place] for r, a in areas.items()}
        self._limit = limit
        px = field.pixels[place]
        # Dense and pointwise stages make the products of a chain.
        self._multipliers: dict[Role, Ints] = {
            role: px * self._grids[role].first * self._grids[role].second
            for role in self._cycles
            if role is not Role.DEPTHWISE
        }
        self._needed = 0

    @cached_property
    def _looks(self) -> list["_Look"]:
        """Return the chains, the longest first, some at a time."""
        order = np.argsort(-self._products * self._times, kind="stable")
        return [
            _Look(
                cycles={role: cycles[some] for role, cycles in self._cycles.items()},
                products=self._products[some],
                times=self._times[some],
                ahead={r: self._times[left] @ c[left] for r, c in self._cycles.items()},
            )
            for start in range(0, order.size, CHAINS)
            for some, left in [np.split(order[start:], [CHAINS])]
        ]

    def within(
        self, keep: Mapping[Role, Bools], sizes: Sizes | None
    ) -> Iterator[Lanes]:
        """Yield the triples within the limit, by the lane shape of the depthwise stage.

        Args:
            keep: Lane shapes worth considering.
            sizes: What they may take of measured blocks here, if that is limited.
        """
        cycles = self._cycles
        if sizes is not None:
            keep = sizes.small(keep)
        floors = {r: np.where(keep[r], c, FAR).min(axis=1) for r, c in cycles.items()}
        floor = np.maximum.reduce(list(floors.values()))
        if np.minimum(floor, FAR) @ self._times > self._limit:
            return
        self._needed = self._multipliers_needed(floor)
        alive: dict[Role, Ints] = {}
        for role in cycles:
            others = [floors[r] for r in cycles if r is not role]
            rest = np.maximum.reduce(others)[:, None] if others else 0
            least = self._times @ np.maximum(cycles[role], rest)
            alive[role] = np.flatnonzero(keep[role] & (least <= self._limit))
            if alive[role].size == 0:
                return
        every: list[int | None] = [None]
        if Role.DEPTHWISE in cycles:
            every = [int(x) for x in alive[Role.DEPTHWISE]]
        for lane in every:
            found = self._pairs(alive, lane, sizes)
            if found is not None:
                yield {role: found[role] for role in cycles}

    def _multipliers_needed(self, floor: Floats) -> int:
        """Return the multipliers below which the limit is out of reach.

        A chain takes at least what its transfers take, and its products divided by all
        multipliers of both stages.
        """
        if not self._products.any():
            return 0
        low, high = 0, 1 << 22
        while high - low > 1:
            middle = (low + high) // 2
            longest = np.maximum(floor, np.ceil(self._products / middle))
            if longest @ self._times <= self._limit:
                high = middle
            else:
                low = middle
        return high

    def _pairs(
        self, alive: Mapping[Role, Ints], lane: int | None, sizes: Sizes | None
    ) -> Lanes | None:
        """Return the dense and pointwise lanes that go with a depthwise lane shape."""
        outer = list(self._multipliers)
        caps, blocks = self._caps, self._room.bram_18k
        if lane is not None:
            caps = caps - self._surrogate[Role.DEPTHWISE][:, lane]
            blocks -= int(self._bram[Role.DEPTHWISE][lane])
        beside = {} if lane is None else {Role.DEPTHWISE: np.array([lane])}
        if not outer:
            fits = self._needed <= 0 and blocks >= 0 and bool((caps >= 0).all())
            if sizes is not None:
                fits = fits and bool(sizes.hold(beside).all())
            return self._within_limit(beside) if fits else None
        sides = {role: self._beside(role, alive[role], lane) for role in outer}
        if any(side.size == 0 for side in sides.values()):
            return None
        chosen = sides
        if len(outer) == 2:
            chosen = self._together(sides, caps, sizes, beside)
        elif sizes is not None:
            chosen = _those(sides, sizes.hold(sides | beside))
        made = sum(self._multipliers[r][index] for r, index in chosen.items())
        bram = sum(self._bram[r][index] for r, index in chosen.items())
        chosen = _those(chosen, (made >= self._needed) & (bram <= blocks))
        for number, cap in enumerate(caps):
            if not chosen[outer[0]].size:
                return None
            lut = sum(self._surrogate[r][number][i] for r, i in chosen.items())
            chosen = _those(chosen, lut <= cap)
        if lane is not None:
            chosen[Role.DEPTHWISE] = np.full(chosen[outer[0]].size, lane)
        return self._within_limit(chosen)

    def _together(
        self, sides: Lanes, caps: Ints, sizes: Sizes | None, beside: Lanes
    ) -> Lanes:
        """Return the pairs of lane shapes that match and that one price leaves.

        Args:
            sides: Lane shapes of two stages.
            caps: LUTs plus priced DSPs that both may take.
            sizes: What they may take of measured blocks, if that is limited.
            beside: Lane shape of the stage between them, which matches both.
        """
        (left, first), (right, second) = sides.items()
        # At a price of a DSP in the middle, most pairs exceed the board.
        middle = len(caps) // 2
        room = caps[middle] - self._surrogate[right][middle, second]
        fine = self._surrogate[left][middle, first, None] <= room
        if sizes is not None:
            fine &= sizes.hold({left: first[:, None], right: second} | beside)
        if not beside:
            fine &= lanes_match(
                self._grids[left].lanes_out[first, None],
                self._grids[right].lanes_in[second],
            )
        i, j = np.nonzero(fine)
        return {left: first[i], right: second[j]}

    def _beside(self, role: Role, alive: Ints, lane: int | None) -> Ints:
        """Return the lane shapes of a stage that go with a depthwise lane shape."""
        if lane is None:
            return alive
        grid = self._grids[role]
        facing = grid.lanes_out if role is Role.DENSE else grid.lanes_in
        own = self._grids[Role.DEPTHWISE].first[lane]
        index = alive[lanes_match(facing[alive], own)]
        beside = self._cycles[Role.DEPTHWISE][:, lane, None]
        least = self._times @ np.maximum(self._cycles[role][:, index], beside)
        return index[least <= self._limit]

    def _within_limit(self, chosen: Lanes) -> Lanes | None:
        """Return the lane shapes whose bounds, chain by chain, keep the limit."""
        size = next(iter(chosen.values())).size
        total = np.zeros(size)
        made = np.zeros(size, dtype=np.int64)
        for role, lanes in self._multipliers.items():
            made = made + lanes[chosen[role]]
        made = np.maximum(made, 1)
        for look in self._looks:
            longest = np.ceil(look.products[:, None] / made)
            for role, index in chosen.items():
                cycles = look.cycles[role].take(index, axis=1)
                np.maximum(longest, cycles, out=longest)
            total = total + look.times @ longest
            rest = np.zeros(total.size)
            for role, index in chosen.items():
                np.maximum(rest, look.ahead[role].take(index), out=rest)
            fine = total + rest <= self._limit
            if not fine.all():
                chosen, total, made = _those(chosen, fine), total[fine], made[fine]
            if total.size == 0:
                return None
        return chosen


def _those(chosen: Lanes, fine: Bools) -> Lanes:
    """Return some of the lane shapes that are chosen."""
    return {role: index[fine] for role, index in chosen.items()}


@dataclass(frozen=True, slots=True)
class _Look:
    """Some chains at one count of pixels.

    Attributes:
        cycles: Per stage, of shape (chains, lanes).
        products: Of dense and pointwise layers.
        times: How many chains each one stands for.
        ahead: Per stage, what the chains behind them take at least, by lanes.
    """

    cycles: Mapping[Role, Floats]
    products: Floats
    times: Floats
    ahead: Mapping[Role, Floats]
