"""Lane shapes of all stages that match, may fit the board, and may be in time.

Each triple of lane shapes gets a lower bound of its latency: chain by chain, the most
of what any of its stages needs with the others at their best, and the chain's products
divided by all multipliers. Buffers are taken at their smallest, DSP lanes in fractions
(for each of several prices of a DSP in LUTs, the sum of what each stage takes at least
must stay below the board's), widths at their narrowest. So what is left out takes more
cycles than the limit or exceeds the board.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.field import Field, Group, LaneArea
from hao.program.fit import lanes_match
from hao.program.graph import FAR
from hao.program.periods import stage_periods
from hao.program.sweep import chain_products, chain_sweeps
from hao.program.tables import Choice, Priced

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

CHAINS = 6
"""Chains whose bounds are added between two looks at the limit (chosen here)."""

Lanes = dict[Role, Ints]
"""Lane shapes of each stage, arrays of one length."""

_Listing = tuple[int, list[tuple[Ints, Lanes]], Iterator[tuple[Ints, Lanes]]]
"""A limit, the lane shapes within it that were listed, and those that follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What lane shapes are bounded by.

    Attributes:
        tables: What runs take at least.
        areas: What lane shapes of each stage take of the board at least.
    """

    tables: Priced
    areas: Mapping[Role, LaneArea]


class LaneBounds:
    """Lower bounds of the lane shapes of one group at one buffering.

    Args:
        field: What is searched.
        group: Combinations of widths.
        double: Whether engines double-buffer.
        prices: What they are bounded by.
    """

    def __init__(
        self, field: Field, group: Group, double: bool, prices: Prices
    ) -> None:
        self._field, self._group, self.prices = field, group, prices
        caps = field.caps
        self._keep = {
            role: (area.bram_18k <= field.limit.bram_18k)
            & (area.surrogate <= caps[:, None, None]).all(axis=0)
            for role, area in prices.areas.items()
        }
        self._chains, self._opening = _bound_chains(
            group, double, prices.tables, self._keep
        )
        self._begun: _Listing | None = None

    @property
    def least(self) -> int:
        """Return a lower bound of the cycles of every engine."""
        floors = [
            np.where(self._keep[role], cycles, FAR).min(axis=2)
            for role, cycles in self._chains.cycles.items()
        ]
        floor = self._chains.times @ np.maximum.reduce(floors)
        return int(np.min(np.minimum(floor, FAR) + self._opening))

    def each(self, limit: int) -> Iterator[Choice]:
        """Yield the lane shapes whose engines may fit and be in time, by pixels.

        Args:
            limit: Most cycles.
        """
        for place in range(len(self._field.pixels)):
            parts = list(self._parts(place, limit))
            if parts:
                lanes = {r: np.concatenate([p[r] for p in parts]) for r in parts[0]}
                size = next(iter(lanes.values())).size
                yield Choice(pixels=np.full(size, place), lanes=lanes, columns={})

    def some(self, limit: int, most: int) -> tuple[Choice, bool]:
        """Return the same lane shapes until they are many, and whether that is all.

        Args:
            limit: Most cycles.
            most: With more than that, no further ones are listed.
        """
        parts: list[tuple[Ints, Lanes]] = []
        size = 0
        for pixels, lanes in self._listed(limit):
            parts.append((pixels, lanes))
            size += pixels.size
            if size > most:
                return self._joined(parts), False
        return self._joined(parts), True

    def _listed(self, limit: int) -> Iterator[tuple[Ints, Lanes]]:
        """Yield lane shapes with their pixels; those of the limit before are kept."""
        if self._begun is None or self._begun[0] != limit:
            self._begun = limit, [], self._every(limit)
        _, known, more = self._begun
        yield from known
        for part in more:
            known.append(part)
            yield part

    def _every(self, limit: int) -> Iterator[tuple[Ints, Lanes]]:
        for place in range(len(self._field.pixels)):
            for lanes in self._parts(place, limit):
                yield np.full(next(iter(lanes.values())).size, place), lanes

    def _joined(self, parts: Sequence[tuple[Ints, Lanes]]) -> Choice:
        none = np.zeros(0, dtype=np.int64)
        return Choice(
            pixels=np.concatenate([none, *(pixels for pixels, _ in parts)]),
            lanes={
                role: np.concatenate([none, *(lanes[role] for _, lanes in parts)])
                for role in self._group.roles
            },
            columns={},
        )

    def _parts(self, place: int, limit: int) -> Iterator[Lanes]:
        """Yield the lane shapes at one count of pixels, some at a time."""
        before = int(self._opening[place])
        triples = _Triples(
            self._field, self.prices, self._chains, place, limit - before
        )
        return triples.within(
            {role: self._keep[role][place] for role in self._group.roles}
        )


def lane_bounds(field: Field, group: Group, double: bool) -> LaneBounds:
    """Return the bounds of a group's lane shapes: made once, kept with the field."""
    key = bounds_key(group, double)
    made = field.bounds.get(key)
    if not isinstance(made, LaneBounds):
        areas = {r: field.lane_area(group.widths, r, double) for r in group.roles}
        prices = Prices(tables=field.tables(double), areas=areas)
        made = LaneBounds(field, group, double, prices)
        field.bounds[key] = made
    return made


def bounds_key(group: Group, double: bool) -> tuple[object, ...]:
    """Return what the bounds of a group's lane shapes depend on."""
    widths = tuple((*w.bits.values(), w.passes, w.skips) for w in group.widths)
    return group.light.form, group.roles, widths, double


@dataclass(frozen=True, slots=True)
class _Chains:
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


def _bound_chains(
    group: Group,
    double: bool,
    tables: Priced,
    keep: Mapping[Role, Bools],
) -> tuple[_Chains, Ints]:
    """Return the bounds of every chain, and the cycles before the first, by pixels."""
    net = group.light
    products = np.array(chain_products(net), dtype=np.float64)
    size = len(next(iter(keep.values())))
    opening = np.zeros((size, 1), dtype=np.int64)
    cycles: dict[Role, Floats] = {}
    known: dict[tuple[Role, int], Ints] = {}
    for role in group.roles:
        periods = stage_periods(tables, role, net.runs, keep, known)
        shape = (size, tables.grids[role].lanes)
        cycles[role] = np.empty((products.size, *shape))
        for number, chain in enumerate(
            chain_sweeps(net, periods, double_buffered=double)
        ):
            cycles[role][number] = np.minimum(chain, FAR)
        if double:
            firsts = [_least_lane(periods[e.run].serial) for e in net.entries[0]]
            least = np.minimum.reduce(np.broadcast_arrays(*firsts))
            opening = np.maximum(opening, least)
    alike: dict[bytes, list[int]] = {}
    for number in range(products.size):
        key = products[number].tobytes()
        for bound in cycles.values():
            key += bound[number].tobytes()
        alike.setdefault(key, []).append(number)
    first = [numbers[0] for numbers in alike.values()]
    times = np.array([len(numbers) for numbers in alike.values()], dtype=np.float64)
    return (
        _Chains({r: c[first] for r, c in cycles.items()}, products[first], times),
        np.broadcast_to(opening, (size, 1))[:, 0],
    )


def _least_lane(cycles: Ints) -> Ints:
    """Return the least over lane shapes, of shape (pixels, 1) or ()."""
    array = np.asarray(cycles)
    return array if array.ndim == 0 else array.min(axis=1, keepdims=True)


class _Triples:
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
        chains: _Chains,
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

    def within(self, keep: Mapping[Role, Bools]) -> Iterator[Lanes]:
        """Yield the triples within the limit, by the lane shape of the depthwise stage.

        Args:
            keep: Lane shapes worth considering.
        """
        cycles = self._cycles
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
            found = self._pairs(alive, lane)
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

    def _pairs(self, alive: Mapping[Role, Ints], lane: int | None) -> Lanes | None:
        """Return the dense and pointwise lanes that go with a depthwise lane shape."""
        outer = list(self._multipliers)
        caps, blocks = self._caps, self._room.bram_18k
        if lane is not None:
            caps = caps - self._surrogate[Role.DEPTHWISE][:, lane]
            blocks -= int(self._bram[Role.DEPTHWISE][lane])
        if not outer:
            assert lane is not None
            fits = self._needed <= 0 and blocks >= 0 and bool((caps >= 0).all())
            chosen = {Role.DEPTHWISE: np.array([lane])}
            return self._within_limit(chosen) if fits else None
        sides = [self._beside(role, alive[role], lane) for role in outer]
        if any(side.size == 0 for side in sides):
            return None
        first = sides[0]
        lut, made = (
            self._surrogate[outer[0]][:, first],
            self._multipliers[outer[0]][first],
        )
        if len(outer) == 1:
            ok = (lut <= caps[:, None]).all(axis=0) & (made >= self._needed)
            ok &= self._bram[outer[0]][first] <= blocks
            chosen = {outer[0]: first[ok]}
        else:
            second = sides[1]
            fits_ = made[:, None] + self._multipliers[outer[1]][second] >= self._needed
            bram = self._bram[outer[0]][first][:, None] + self._bram[outer[1]][second]
            fits_ &= bram <= blocks
            if lane is None:
                fits_ &= lanes_match(
                    self._grids[outer[0]].lanes_out[first][:, None],
                    self._grids[outer[1]].lanes_in[second],
                )
            i, j = np.nonzero(fits_)
            other = self._surrogate[outer[1]][:, second]
            for number, cap in enumerate(caps):
                fine = lut[number][i] + other[number][j] <= cap
                i, j = i[fine], j[fine]
            chosen = {outer[0]: first[i], outer[1]: second[j]}
        if lane is not None:
            chosen[Role.DEPTHWISE] = np.full(chosen[outer[0]].size, lane)
        return self._within_limit(chosen)

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
        weight = self._products * self._times
        order = np.argsort(-weight, kind="stable")
        size = next(iter(chosen.values())).size
        total = np.zeros(size)
        made = np.zeros(size, dtype=np.int64)
        for role, lanes in self._multipliers.items():
            made = made + lanes[chosen[role]]
        made = np.maximum(made, 1)
        for start in range(0, order.size, CHAINS):
            for chain in order[start : start + CHAINS]:
                longest = np.ceil(self._products[chain] / made)
                for role, index in chosen.items():
                    longest = np.maximum(longest, self._cycles[role][chain][index])
                total = total + self._times[chain] * longest
            left = order[start + CHAINS :]
            rest = np.zeros(total.size)
            if left.size:
                for role, index in chosen.items():
                    ahead = self._times[left] @ self._cycles[role][left]
                    rest = np.maximum(rest, ahead[index])
            fine = total + rest <= self._limit
            if not fine.all():
                chosen = {role: index[fine] for role, index in chosen.items()}
                total, made = total[fine], made[fine]
            if total.size == 0:
                return None
        return chosen
