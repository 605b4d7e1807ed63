"""A problem made ready to be searched: graph, grids, tables and areas, made once.

Combinations of widths under which the same lightest runs are possible form a `Group`:
their engines take the same cycles at the fewest bits, and are bounded together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hao.cost.area import StageArea, pool_lutram
from hao.cost.catalogue import Needs, column_area, word_bits
from hao.cost.columns import Setting
from hao.cost.widths import MAX_WORD_BITS
from hao.hw.resources import Resources
from hao.ir.partition import Role
from hao.program.bounded import Shapes
from hao.program.fit import DSP_PRICES, Measure, Room, priced_luts
from hao.program.graph import FAR, Widths, at_costs_of, width_combinations
from hao.program.problem import Problem
from hao.program.roster import Rosters
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
        spend: Most accuracy cost of these ways [micro-points].
    """

    widths: tuple[Widths, ...]
    light: Net
    roles: tuple[Role, ...]
    spend: int


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


@dataclass(slots=True)
class _Shared:
    """What fields of problems that differ in accuracy costs have in common.

    Attributes:
        needs: Layers that stages may have to run, by number.
        tables: Prices by buffering.
    """

    needs: list[Mapping[Role, Needs]]
    tables: dict[bool, Tables] = field(default_factory=dict)
    areas: dict[tuple[object, ...], StageArea] = field(default_factory=dict)
    narrows: dict[tuple[Role, int, int, bool], NDArray[np.bool_]] = field(
        default_factory=dict
    )
    rooms: dict[tuple[object, ...], Room] = field(default_factory=dict)
    lane_areas: dict[tuple[object, ...], LaneArea] = field(default_factory=dict)
    bounds: dict[tuple[object, ...], object] = field(default_factory=dict)
    shapes: dict[tuple[tuple[Role, ...], bool], Shapes] = field(default_factory=dict)
    rosters: dict[bool, Rosters] = field(default_factory=dict)


class Field:
    """A problem made ready to be searched; what is computed once is kept.

    Args:
        problem: What to choose for.
        like: Field of a problem that differs in accuracy costs only, if there is one:
            what does not depend on these is shared with it.
    """

    def __init__(self, problem: Problem, like: "Field | None" = None) -> None:
        self.problem = problem
        self.graph = problem.graph
        self.asked_again = like is not None
        self._lights: dict[bytes, tuple[bytes, Net]] = {}
        self.listed: dict[tuple[int, bool], Listed] = {}
        self.shapes: dict[tuple[tuple[Role, ...], bool], Shapes] = {}
        self.quick: dict[tuple[object, ...], tuple[int, Choice | None]] = {}
        if like is None:
            self.widths: list[Widths] = width_combinations(self.graph)
            self._shared: _Shared = _Shared([])
            for widths in self.widths:
                if not any(widths.needs is known for known in self._shared.needs):
                    self._shared.needs.append(widths.needs)
        else:
            self.widths = at_costs_of(self.graph, like.widths)
            self._shared = like._shared

    @property
    def bounds(self) -> dict[tuple[object, ...], object]:
        """Return the bounds of lane shapes, by what they are of."""
        return self._shared.bounds

    @property
    def rosters(self) -> dict[bool, Rosters]:
        """Return the rosters by buffering."""
        return self._shared.rosters

    @property
    def shapes_at_any_cost(self) -> dict[tuple[tuple[Role, ...], bool], Shapes]:
        """Return the lane shapes that were bounded whatever they cost."""
        return self._shared.shapes

    @property
    def pixels(self) -> tuple[int, ...]:
        """Return the pixels at once on offer."""
        return self.problem.space.pixels

    def setting(self, px: int | Ints, double: bool) -> Setting:
        """Return what columns share at some pixels and buffering."""
        problem = self.problem
        return setting_of(problem.board, problem.act_bits, px, double_buffered=double)

    def needs(self, role: Role) -> list[Needs]:
        """Return the sets of layers that a stage may have to run."""
        return [needs[role] for needs in self._shared.needs if role in needs]

    def tables(self, double: bool) -> Tables:
        """Return the tables at one buffering."""
        if double not in self._shared.tables:
            grids = {}
            for role in Role:
                needs = self.needs(role)
                if needs:
                    setting = self.setting(1, double)
                    grid = make_grid(role, needs, self.problem.space, setting)
                    if role is not Role.DEPTHWISE:  # its lane shapes are its columns
                        grid = grid.keep(self._may_fit(grid, double))
                    grids[role] = grid
            self._shared.tables[double] = Tables(
                graph=self.graph,
                board=self.problem.board,
                act_bits=self.problem.act_bits,
                pixels=self.pixels,
                double_buffered=double,
                grids=grids,
            )
        return self._shared.tables[double]

    def _may_fit(self, grid: Grid, double: bool) -> NDArray[np.bool_]:
        """Return the columns that fit the board at some pixels and some widths.

        What does not is part of no design, and need not be priced.
        """
        offers = {
            (w.bits[grid.role], self._number(w)): w
            for w in self.widths
            if grid.role in w.needs
        }
        fine = np.zeros(grid.words.size, dtype=np.bool_)
        for widths in offers.values():
            area = self._area_of(grid, widths, double)
            surrogate = np.stack([priced_luts(area, price) for price in DSP_PRICES])
            fits = (surrogate <= self.caps[:, None, None]).all(axis=0)
            fits &= area.base.bram_18k <= self.limit.bram_18k
            fits &= area.base.uram <= self.limit.uram
            fine |= fits.any(axis=0)
        return fine

    @cached_property
    def limit(self) -> Resources:
        """Return what the fixed part of the engine leaves; nothing if it exceeds all.

        No stage fits into nothing, since every stage takes LUTs.
        """
        fixed, usable = self.problem.fixed, self.problem.board.usable
        if fixed.shortfall(usable):
            return Resources()
        return Resources(
            dsp=usable.dsp - fixed.dsp,
            bram_18k=usable.bram_18k - fixed.bram_18k,
            uram=usable.uram - fixed.uram,
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
        if key not in self._shared.rooms:
            grids = self.tables(double).grids
            problem = self.problem
            self._shared.rooms[key] = Room(
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
        return self._shared.rooms[key]

    def _narrow(
        self, role: Role, widths: Widths, number: int, place: int, double: bool
    ) -> NDArray[np.bool_]:
        """Return the columns whose words on streams the tools take."""
        key = (role, number, place, double)
        if key not in self._shared.narrows:
            grid = self.tables(double).grids[role]
            bits = word_bits(
                grid.columns(np.arange(grid.words.size), widths.bits[role]),
                widths.needs[role],
                self.setting(self.pixels[place], double),
            )
            self._shared.narrows[key] = bits <= MAX_WORD_BITS
        return self._shared.narrows[key]

    def _number(self, widths: Widths) -> int:
        return next(i for i, n in enumerate(self._shared.needs) if n is widths.needs)

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
        return sum(role in needs for needs in self._shared.needs[:number])

    def _area(self, role: Role, widths: Widths, number: int, double: bool) -> StageArea:
        """Return the area of a stage's columns, of shape (pixels, columns)."""
        bits = widths.bits[role]
        key = (role, bits, number, double)
        if key not in self._shared.areas:
            grid = self.tables(double).grids[role]
            self._shared.areas[key] = self._area_of(grid, widths, double)
        return self._shared.areas[key]

    def _area_of(self, grid: Grid, widths: Widths, double: bool) -> StageArea:
        """Return the area of a grid's columns, of shape (pixels, columns)."""
        return column_area(
            grid.columns(np.arange(grid.words.size), widths.bits[grid.role]),
            widths.needs[grid.role],
            self.setting(np.array(self.pixels)[:, None], double),
            ring=grid.role is Role.DENSE,
        )

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
            light_key, net = self.light(mask)
            key = light_key, tuple(each.needs)
            members.setdefault(key, []).append(each)
            nets[key] = net
        return [
            Group(
                widths=tuple(found),
                light=nets[key],
                roles=tuple(found[0].needs),
                spend=spend,
            )
            for key, found in members.items()
        ]

    def by_stages(self, widths: Sequence[Widths], spend: int) -> list[Group]:
        """Return the combinations that ways of at most a cost can use, by stages.

        Args:
            widths: Combinations, cheapest first.
            spend: Most accuracy cost [micro-points].
        """
        stages = dict.fromkeys(sorted((tuple(w.needs) for w in widths), key=len))
        found = [self.joint(widths, roles, spend) for roles in stages]
        return [group for group in found if group is not None]

    def joint(
        self, widths: Sequence[Widths], roles: tuple[Role, ...], spend: int
    ) -> Group | None:
        """Return all combinations of the same stages as one, `None` if there is none.

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
        _, net = self.light(np.logical_or.reduce(masks))
        return Group(widths=tuple(some), light=net, roles=roles, spend=spend)

    def light(self, mask: NDArray[np.bool_]) -> tuple[bytes, Net]:
        """Return what the lightest of some arcs are known by, and their net."""
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
        if key not in self._shared.lane_areas:
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
            self._shared.lane_areas[key] = LaneArea(
                surrogate=_least_of(grid, surrogate),
                bram_18k=_least_of(grid, columns_bram),
                columns_surrogate=surrogate,
                columns_bram=columns_bram,
            )
        return self._shared.lane_areas[key]

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
