"""What stage configurations take of a board, and with which DSP lanes engines fit.

Per combination of widths, pixels at once and buffering, every stage has an area per
column: with all lanes in LUTs, and per step of lanes onto DSPs (`hao.cost.area`). An
engine fits if some number of steps of each stage keeps the sum within the board.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hao.cost.area import StageArea
from hao.hw.resources import Resources
from hao.ir.partition import Role
from hao.program.space import Grid

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

KINDS = ("dsp", "bram_18k", "uram", "lut", "ff", "lutram")


CELLS = 1_000_000
"""Engines times combinations of steps that are tried at once (chosen here)."""

DSP_PRICES = (0, 20, 40, 60, 80, 100, 130, 170)
"""Prices of a DSP in LUTs at which the board's limits are added up (chosen here)."""


def priced_luts(area: StageArea, price: int) -> Ints:
    """Return the LUTs plus priced DSPs that each column takes at least."""
    step = area.step.lut + price * area.step.dsp
    base = area.base.lut + price * area.base.dsp
    result: Ints = base + np.minimum(0, area.steps * step)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A weighted sum of blocks, to be made small: weights per block."""

    dsp: int = 0
    bram_18k: int = 0
    uram: int = 0
    lut: int = 1
    ff: int = 0

    def of(self, resources: Resources) -> int:
        """Return the measure of counts."""
        return (
            self.dsp * resources.dsp
            + self.bram_18k * resources.bram_18k
            + self.uram * resources.uram
            + self.lut * resources.lut
            + self.ff * resources.ff
        )

    def columns(self, area: StageArea) -> tuple[Ints, Ints]:
        """Return the measure per column with all lanes in LUTs, and per step."""
        values = []
        for part in (area.base, area.step):
            values.append(
                self.dsp * part.dsp
                + self.bram_18k * part.bram_18k
                + self.uram * part.uram
                + self.lut * part.lut
                + self.ff * part.ff
            )
        return values[0], values[1]


FEWEST_LUTS = Measure(lut=512, bram_18k=1)
"""LUTs, and of as many the block RAMs.

Source: chosen here; 512 block RAMs weigh as one LUT, and small devices have fewer.
"""


@dataclass(frozen=True, kw_only=True)
class Room:
    """A board's room for stages of given widths, pixels at once and buffering.

    Attributes:
        areas: Area of every column of each stage's grid.
        held: Columns whose buffers suit the layers of each stage.
        grids: The grids.
        limit: What stages may take.
        lutram: LUTs that they may use as memory.
    """

    areas: Mapping[Role, StageArea]
    held: Mapping[Role, Bools]
    grids: Mapping[Role, Grid]
    limit: Resources
    lutram: int

    @cached_property
    def limits(self) -> dict[str, int]:
        """Return the limits by kind."""
        counts = self.limit.as_dict()
        return {k: counts.get(k, self.lutram) for k in KINDS}

    def fits(self, columns: Mapping[Role, Ints], steps: Mapping[Role, Ints]) -> Bools:
        """Return which engines, with these DSP steps, stay within the board."""
        totals: dict[str, Ints] = dict.fromkeys(KINDS, np.zeros(1, dtype=np.int64))
        fine: Bools = np.ones(1, dtype=np.bool_)
        for role, index in columns.items():
            area = self.areas[role]
            fine = fine & self.held[role][index]
            for kind in KINDS:
                base = getattr(area.base, kind)[index]
                step = getattr(area.step, kind)[index]
                totals[kind] = totals[kind] + base + steps[role] * step
        for kind, limit in self.limits.items():
            fine = fine & (totals[kind] <= limit)
        return fine

    def could_fit(self, columns: Mapping[Role, Ints]) -> Bools:
        """Return which engines are not ruled out with fractions of DSP steps.

        Memories do not depend on steps; LUTs are least where the steps that save most
        of them per DSP come first.
        """
        size = next(iter(columns.values())).size
        fine: Bools = np.ones(size, dtype=np.bool_)
        limits = self.limits
        for kind in ("bram_18k", "uram", "lutram", "ff"):
            total: Ints = np.zeros(size, dtype=np.int64)
            for role, index in columns.items():
                area = self.areas[role]
                step = area.steps * np.minimum(getattr(area.step, kind), 0)
                total = total + (getattr(area.base, kind) + step)[index]
            fine &= total <= limits[kind]
        lut = np.zeros(size, dtype=np.float64)
        for role, index in columns.items():
            fine &= self.held[role][index]
            lut += self.areas[role].base.lut[index]
        steps = self._steps(columns, whole=False)
        for role, index in columns.items():
            lut += steps[role] * self.areas[role].step.lut[index]
        fine &= self._spare(columns) >= 0
        result: Bools = fine & (lut <= limits["lut"] + 1e-6)
        return result

    def _spare(self, columns: Mapping[Role, Ints]) -> Ints:
        """Return the DSPs that are left for lanes."""
        size = next(iter(columns.values())).size
        left = np.full(size, self.limit.dsp, dtype=np.int64)
        for role, index in columns.items():
            left = left - self.areas[role].base.dsp[index]
        return left

    def greedy_steps(self, columns: Mapping[Role, Ints]) -> dict[Role, Ints]:
        """Return steps of lanes onto DSPs that save most LUTs per DSP, greedily."""
        return {
            role: steps.astype(np.int64)
            for role, steps in self._steps(columns, whole=True).items()
        }

    def _steps(
        self, columns: Mapping[Role, Ints], *, whole: bool
    ) -> dict[Role, Floats]:
        roles = list(columns)
        saving = np.stack(
            [
                -self.areas[r].step.lut[columns[r]]
                / np.maximum(self.areas[r].step.dsp[columns[r]], 1)
                for r in roles
            ]
        )
        order = np.argsort(-saving, axis=0, kind="stable")
        left = np.maximum(self._spare(columns), 0).astype(np.float64)
        steps = {r: np.zeros(order.shape[1:]) for r in roles}
        for rank in range(len(roles)):
            for number, role in enumerate(roles):
                area, index = self.areas[role], columns[role]
                cost = np.maximum(area.step.dsp[index], 1)
                room = left // cost if whole else left / cost
                turn = (order[rank] == number) & (saving[number] > 0)
                taken = np.where(turn, np.minimum(area.steps[index], room), 0.0)
                steps[role] = steps[role] + taken
                left = left - taken * cost
        return steps

    def fits_somehow(self, columns: Mapping[Role, Ints]) -> Bools:
        """Return which engines fit with some steps; exact, many side by side."""
        fine = self.could_fit(columns)
        rows = np.flatnonzero(fine)
        sure = self.fits(
            {role: index[rows] for role, index in columns.items()},
            self.greedy_steps({role: index[rows] for role, index in columns.items()}),
        )
        rows = rows[~sure]
        most = [
            int(self.areas[r].steps[columns[r][rows]].max(initial=0)) for r in columns
        ]
        chunk = max(1, CELLS // int(np.prod([count + 1 for count in most])))
        for start in range(0, rows.size, chunk):
            some = rows[start : start + chunk]
            fine[some] = self._any_steps({r: i[some] for r, i in columns.items()}, most)
        return fine

    def _any_steps(self, columns: Mapping[Role, Ints], most: Sequence[int]) -> Bools:
        """Return which engines fit with any combination of steps up to `most`."""
        axes = len(most)
        fine: Bools = np.ones((1,) * (axes + 1), dtype=np.bool_)
        steps = {}
        for number, (role, index) in enumerate(columns.items()):
            shape = [1] * (axes + 1)
            shape[number + 1] = most[number] + 1
            steps[role] = np.arange(most[number] + 1).reshape(shape)
            own = self.areas[role].steps[index].reshape((-1,) + (1,) * axes)
            fine = fine & (steps[role] <= own)
        for kind, limit in self.limits.items():
            total: Ints = np.zeros((1,) * (axes + 1), dtype=np.int64)
            for role, index in columns.items():
                area = self.areas[role]
                base = getattr(area.base, kind)[index].reshape((-1,) + (1,) * axes)
                step = getattr(area.step, kind)[index].reshape((-1,) + (1,) * axes)
                total = total + base + step * steps[role]
            fine = fine & (total <= limit)
        result: Bools = np.any(fine.reshape(fine.shape[0], -1), axis=1)
        return result

    def best_steps(
        self, columns: Mapping[Role, int], measure: Measure = FEWEST_LUTS
    ) -> dict[Role, int] | None:
        """Return the DSP steps with which one engine fits and measures least.

        All combinations are tried, side by side; of equals, the first is taken.

        Args:
            columns: Column of each stage.
            measure: What to make small.

        Returns:
            `None` if no combination fits.
        """
        if not all(bool(self.held[role][c]) for role, c in columns.items()):
            return None
        roles = list(columns)
        grids = np.meshgrid(
            *(np.arange(int(self.areas[r].steps[columns[r]]) + 1) for r in roles),
            indexing="ij",
        )
        fine: Bools = np.ones(grids[0].shape, dtype=np.bool_)
        totals = {}
        for kind, limit in self.limits.items():
            total = np.zeros(grids[0].shape, dtype=np.int64)
            for role, grid in zip(roles, grids, strict=True):
                area, index = self.areas[role], columns[role]
                base, step = getattr(area.base, kind), getattr(area.step, kind)
                total = total + int(base[index]) + grid * int(step[index])
            totals[kind] = total
            fine &= total <= limit
        if not fine.any():
            return None
        value = (
            measure.dsp * totals["dsp"]
            + measure.bram_18k * totals["bram_18k"]
            + measure.lut * totals["lut"]
            + measure.ff * totals["ff"]
        )
        value = np.where(fine, value, np.iinfo(np.int64).max)
        place = np.unravel_index(np.argmin(value), value.shape)
        return {role: int(where) for role, where in zip(roles, place, strict=True)}

    def measured(
        self,
        columns: Mapping[Role, int],
        steps: Mapping[Role, int],
        measure: Measure = FEWEST_LUTS,
    ) -> int:
        """Return the measure of one engine's stages."""
        total = 0
        for role, index in columns.items():
            base, step = measure.columns(self.areas[role])
            total += int(base[index]) + steps[role] * int(step[index])
        return total

    def least_measures(
        self, columns: Mapping[Role, Ints], measure: Measure = FEWEST_LUTS
    ) -> Ints:
        """Return a lower bound of each engine's measure: every stage by itself."""
        total: Ints = np.zeros(1, dtype=np.int64)
        for role, index in columns.items():
            area = self.areas[role]
            base, step = measure.columns(area)
            total = total + base[index] + np.minimum(0, area.steps * step)[index]
        return total


def lanes_match(left: Ints, right: Ints) -> Bools:
    """Return which lane counts divide each other."""
    result: Bools = (left % right == 0) | (right % left == 0)
    return result


def neighbours(roles: Mapping[Role, object]) -> Iterator[tuple[Role, Role]]:
    """Yield the pairs of stages that exchange channel groups."""
    yield from pairwise(role for role in Role if role in roles)
