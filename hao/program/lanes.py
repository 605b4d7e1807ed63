"""Lane shapes of all stages that match, may fit the board, and may be in time.

Each triple of lane shapes gets a lower bound of its latency: chain by chain, the most
of what any of its stages needs with the others at their best, and the chain's products
divided by all multipliers. Buffers are taken at their smallest, DSP lanes in fractions
(for each of several prices of a DSP in LUTs, the sum of what each stage takes at least
must stay below the board's), widths at their narrowest. So what is left out takes more
cycles than the limit or exceeds the board.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hao.ir.partition import Role
from hao.program.field import Field, Group
from hao.program.graph import FAR
from hao.program.periods import stage_periods
from hao.program.sweep import chain_products, chain_sweeps
from hao.program.tables import Choice, Priced
from hao.program.triples import (
    Bools,
    Chains,
    Floats,
    Ints,
    Lanes,
    Prices,
    Sizes,
    Triples,
)

_Listing = tuple[int, list[tuple[Ints, Lanes]], Iterator[tuple[Ints, Lanes]]]
"""A limit, the lane shapes within it that were listed, and those that follow."""


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

    def each(self, limit: int, sizes: Sizes | None = None) -> Iterator[Choice]:
        """Yield the lane shapes whose engines may fit and be in time, by pixels.

        Args:
            limit: Most cycles.
            sizes: What they may take of measured blocks, if that is limited.
        """
        for place in range(len(self._field.pixels)):
            parts = list(self._parts(place, limit, sizes))
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

    def _parts(
        self, place: int, limit: int, sizes: Sizes | None = None
    ) -> Iterator[Lanes]:
        """Yield the lane shapes at one count of pixels, some at a time."""
        before = int(self._opening[place])
        triples = Triples(self._field, self.prices, self._chains, place, limit - before)
        keep = {role: self._keep[role][place] for role in self._group.roles}
        return triples.within(keep, None if sizes is None else sizes.at(place))


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


def _bound_chains(
    group: Group,
    double: bool,
    tables: Priced,
    keep: Mapping[Role, Bools],
) -> tuple[Chains, Ints]:
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
        Chains({r: c[first] for r, c in cycles.items()}, products[first], times),
        np.broadcast_to(opening, (size, 1))[:, 0],
    )


def _least_lane(cycles: Ints) -> Ints:
    """Return the least over lane shapes, of shape (pixels, 1) or ()."""
    array = np.asarray(cycles)
    return array if array.ndim == 0 else array.min(axis=1, keepdims=True)
