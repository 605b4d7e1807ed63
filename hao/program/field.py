"""A problem made ready to be searched: graph, grids, tables and areas, made once.

Combinations of widths under which the same lightest runs are possible form a `Group`:
their engines take the same cycles at the fewest bits, and are bounded together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hao.cost.area import StageArea, fixed_area, pool_lutram
from hao.cost.catalogue import Needs, column_area, word_bits
from hao.cost.columns import Setting
from hao.cost.widths import MAX_WORD_BITS
from hao.hw.resources import Resources
from hao.ir.partition import Role
from hao.program.bounded import Shapes
from hao.program.fit import DSP_PRICES, Measure, Room, priced_luts
from hao.program.graph import FAR, Widths, width_combinations
from hao.program.problem import Problem
from hao.program.space import Grid, make_grid, setting_of
from hao.program.sweep import Net, lightest, make_net
from hao.program.tables import Choice, Tables

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Combinations of widths with the same lightest runs.

    Attributes:
        widths: The combinations, cheapest first.
        light: Ways over the lightest runs; their cycles are the least of any way.
        roles: Stages that are built.
    """

    widths: tuple[Widths, ...]
    light: Net
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneArea:
    """What lane shapes of a stage take at least, by pixels at once.

    Attributes:
        surrogate: LUTs plus priced DSPs per price, of shape (prices, pixels, lanes).
        bram_18k: Of shape (pixels, lanes).
        columns_surrogate: The former per column, of shape (prices, pixels, columns).
        columns_bram: Block RAM per column, of shape (pixels, columns).
    """

    surrogate: Ints
    bram_18k: Ints
    columns_surrogate: Ints
    columns_bram: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Engines of some widths that an earlier search went through.

    Attributes:
        cycles: All with at most so many cycles at the fewest bits are held.
        cost: Accuracy cost that ways could have then; the fewest bits are of that.
        choice: The engines.
        least: Their cycles at the fewest bits.
        bound: Bounds of their accuracy cost within these cycles [micro-points].
    """

    cycles: int
    cost: int
    choice: Choice
    least: Ints
    bound: NDArray[np.float64]


class Field:
    """A problem made ready to be searched; what is computed once is kept.

    Args:
        problem: What to choose for.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.graph = problem.graph
        self.widths = width_combinations(self.graph)
        self._needs: list[Mapping[Role, Needs]] = []
        for widths in self.widths:
            if not any(widths.needs is known for known in self._needs):
                self._needs.append(widths.needs)
        self._tables: dict[bool, Tables] = {}
        self._areas: dict[tuple[object, ...], StageArea] = {}
        self._narrows: dict[tuple[Role, int, int, bool], NDArray[np.bool_]] = {}
        self._rooms: dict[tuple[object, ...], Room] = {}
        self._lights: dict[bytes, tuple[bytes, Net]] = {}
        self._lane_areas: dict[tuple[object, ...], LaneArea] = {}
        self.listed: dict[tuple[int, bool], Listed] = {}
        self.bounds: dict[tuple[object, ...], object] = {}
        self.shapes: dict[tuple[tuple[Role, ...], bool], Shapes] = {}

    @property
    def pixels(self) -> tuple[int, ...]:
        """Return the pixels at once on offer."""
        return self.problem.space.pixels

    def setting(self, px: int | Ints, double: bool) -> Setting:
        """Return what columns share at some pixels and buffering."""
        problem = self.problem
        return setting_of(problem.board, problem.act_bits, px, double_buffered=double)

    def tables(self, double: bool) -> Tables:
        """Return the tables at one buffering."""
        if double not in self._tables:
            grids = {}
            for role in Role:
                needs = [n[role] for n in self._needs if role in n]
                if needs:
                    setting = self.setting(1, double)
                    grids[role] = make_grid(role, needs, self.problem.space, setting)
            self._tables[double] = Tables(
                graph=self.graph,
                board=self.problem.board,
                act_bits=self.problem.act_bits,
                pixels=self.pixels,
                double_buffered=double,
                grids=grids,
            )
        return self._tables[double]

    @cached_property
    def limit(self) -> Resources:
        """Return what the fixed part of the engine leaves; nothing if it exceeds all.

        No stage fits into nothing, since every stage takes LUTs.
        """
        problem = self.problem
        fixed = fixed_area(
            problem.board,
            act_bits=problem.act_bits,
            residual=problem.residual,
            pool_words=problem.pool_words,
        )
        usable = problem.board.usable
        if fixed.shortfall(usable):
            return Resources()
        return Resources(
            dsp=usable.dsp - fixed.dsp,
            bram_18k=usable.bram_18k - fixed.bram_18k,
            lut=usable.lut - fixed.lut,
            ff=usable.ff - fixed.ff,
        )

    @cached_property
    def caps(self) -> Ints:
        """Return the LUTs plus priced DSPs that stages may take, per price of a DSP."""
        limit = self.limit
        return np.array([limit.lut + price * limit.dsp for price in DSP_PRICES])

    def room(self, widths: Widths, place: int, double: bool) -> Room:
        """Return the room for stages at one count of pixels.

        Args:
            widths: Widths of the stages.
            place: Index of the pixels at once.
            double: Whether the engine double-buffers.
        """
        number = self._number(widths)
        key = (*widths.bits.values(), number, place, double)
        if key not in self._rooms:
            grids = self.tables(double).grids
            problem = self.problem
            self._rooms[key] = Room(
                areas={
                    role: self._area(role, widths, number, double).at(place)
                    for role in widths.needs
                },
                held={
                    role: self._held_columns(role, widths, number, place, double)
                    for role in widths.needs
                },
                grids={role: grids[role] for role in widths.needs},
                limit=self.limit,
                lutram=problem.board.lutram
                - pool_lutram(
                    problem.board,
                    act_bits=problem.act_bits,
                    pool_words=problem.pool_words,
                ),
            )
        return self._rooms[key]

    def _narrow(
        self, role: Role, widths: Widths, number: int, place: int, double: bool
    ) -> NDArray[np.bool_]:
        """Return the columns whose words on streams the tools take."""
        key = (role, number, place, double)
        if key not in self._narrows:
            grid = self.tables(double).grids[role]
            bits = word_bits(
                grid.columns(np.arange(grid.words.size), widths.bits[role]),
                widths.needs[role],
                self.setting(self.pixels[place], double),
            )
            self._narrows[key] = bits <= MAX_WORD_BITS
        return self._narrows[key]

    def _number(self, widths: Widths) -> int:
        return next(i for i, n in enumerate(self._needs) if n is widths.needs)

    def _held_columns(
        self, role: Role, widths: Widths, number: int, place: int, double: bool
    ) -> NDArray[np.bool_]:
        """Return the columns that suit a stage's layers and whose words are narrow."""
        held: NDArray[np.bool_] = (
            self.tables(double).grids[role].held[self._held(role, number)]
        )
        return held & self._narrow(role, widths, number, place, double)

    def _held(self, role: Role, number: int) -> int:
        """Return the place of a set of needs in a grid's `held`."""
        return sum(role in needs for needs in self._needs[:number])

    def _area(self, role: Role, widths: Widths, number: int, double: bool) -> StageArea:
        """Return the area of a stage's columns, of shape (pixels, columns)."""
        bits = widths.bits[role]
        key = (role, bits, number, double)
        if key not in self._areas:
            grid = self.tables(double).grids[role]
            self._areas[key] = column_area(
                grid.columns(np.arange(grid.words.size), bits),
                widths.needs[role],
                self.setting(np.array(self.pixels)[:, None], double),
                ring=role is Role.DENSE,
            )
        return self._areas[key]

    def groups(self, widths: Sequence[Widths], spend: int) -> list[Group]:
        """Return the groups of combinations that ways of at most a cost can use.

        Args:
            widths: Combinations, cheapest first.
            spend: Most accuracy cost [micro-points].
        """
        graph = self.graph
        open_ = [w for w in widths if w.floor <= spend]
        if not open_:
            return []
        masks = graph.within(np.stack([w.allowed for w in open_]), spend)
        members: dict[tuple[object, ...], list[Widths]] = {}
        nets: dict[tuple[object, ...], Net] = {}
        for each, mask in zip(open_, masks, strict=True):
            light_key, net = self._light(mask)
            key = light_key, tuple(each.needs)
            members.setdefault(key, []).append(each)
            nets[key] = net
        return [
            Group(widths=tuple(found), light=nets[key], roles=tuple(found[0].needs))
            for key, found in members.items()
        ]

    def joint(
        self, widths: Sequence[Widths], roles: tuple[Role, ...], spend: int
    ) -> Group | None:
        """Return all combinations with the same stages as one, `None` if there are none.

        Its bounds hold for each of the groups that it is made of.

        Args:
            widths: Combinations, cheapest first.
            roles: Stages that are built.
            spend: Most accuracy cost [micro-points].
        """
        some = [w for w in widths if w.floor <= spend and tuple(w.needs) == roles]
        if not some:
            return None
        masks = self.graph.within(np.stack([w.allowed for w in some]), spend)
        _, net = self._light(masks.any(axis=0))
        return Group(widths=tuple(some), light=net, roles=roles)

    def _light(self, mask: NDArray[np.bool_]) -> tuple[bytes, Net]:
        """Return the net of the lightest of some arcs, and what it is known by."""
        packed = np.packbits(mask).tobytes()
        if packed not in self._lights:
            light = lightest(self.graph, mask)
            key = np.packbits(light).tobytes()
            known = next((v for v in self._lights.values() if v[0] == key), None)
            net = make_net(self.graph, light) if known is None else known[1]
            self._lights[packed] = key, net
        return self._lights[packed]

    def lane_area(self, every: Sequence[Widths], role: Role, double: bool) -> LaneArea:
        """Return what lane shapes of a stage take at least under any of some widths."""
        offers = {(w.bits[role], self._number(w)): w for w in every}
        key = (role, double, *sorted(offers))
        if key not in self._lane_areas:
            grid = self.tables(double).grids[role]
            shape = len(self.pixels), grid.words.size
            far = int(FAR)
            surrogate = np.full((len(DSP_PRICES), *shape), far, dtype=np.int64)
            columns_bram = np.full(shape, far, dtype=np.int64)
            for widths in offers.values():
                number = self._number(widths)
                area = self._area(role, widths, number, double)
                held = np.stack(
                    [
                        self._held_columns(role, widths, number, place, double)
                        for place in range(len(self.pixels))
                    ]
                )
                for price, least in zip(DSP_PRICES, surrogate, strict=True):
                    priced = np.where(held, priced_luts(area, price), far)
                    np.minimum(least, priced, out=least)
                bram = np.where(held, area.base.bram_18k, far)
                np.minimum(columns_bram, bram, out=columns_bram)
            self._lane_areas[key] = LaneArea(
                surrogate=_least_of(grid, surrogate),
                bram_18k=_least_of(grid, columns_bram),
                columns_surrogate=surrogate,
                columns_bram=columns_bram,
            )
        return self._lane_areas[key]

    def lane_measure(
        self, group: Group, role: Role, double: bool, measure: Measure
    ) -> Ints:
        """Return the least blocks of lane shapes, of shape (pixels, lanes).

        Args:
            group: Combinations of widths.
            role: The stage.
            double: Whether engines double-buffer.
            measure: How blocks are counted.
        """
        grid = self.tables(double).grids[role]
        offers = {(w.bits[role], self._number(w)): w for w in group.widths}
        result = np.full((len(self.pixels), grid.words.size), FAR, dtype=np.int64)
        for place in range(len(self.pixels)):
            for widths in offers.values():
                room = self.room(widths, place, double)
                base, step = measure.columns(room.areas[role])
                least = base + np.minimum(0, room.areas[role].steps * step)
                least = np.where(room.held[role], least, FAR)
                result[place] = np.minimum(result[place], least)
        return _least_of(grid, result)


def _least_of(grid: Grid, values: Ints) -> Ints:
    """Return the least over the columns of each lane shape; last axis: columns."""
    result = np.full((*values.shape[:-1], grid.lanes), FAR, dtype=np.int64)
    present, first = np.unique(grid.lane_of, return_index=True)
    if present.size:
        result[..., present] = np.minimum.reduceat(values, first, axis=-1)
    return result
