"""The engine in an integer program: columns of stages, DSP lanes, and the board.

`EngineRows` writes these parts of `hao.program.formulation`, and takes its other rows,
which have coefficients over the columns in play.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hao.cost.columns import Columns, Setting
from hao.ir.partition import Role
from hao.program.exact import Apart
from hao.program.fit import KINDS, Measure, Room, lanes_match, neighbours
from hao.program.graph import Graph
from hao.program.rows import Rows, Variables

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Terms = list[tuple[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What an integer program chooses from.

    Attributes:
        graph: All arcs.
        arcs: Indices of those in play; each on a way from end to end.
        columns: Columns in play of each stage, indices of its grid.
        stages: These columns as the cost model takes them.
        room: Areas and limits.
        setting: Board, pixels at once, widths of activations, buffering.
        measure: Of what blocks to be made small, where that is the objective.
        apart: Earlier answers to stay apart from; arcs cost what it says then.
    """

    graph: Graph
    arcs: tuple[int, ...]
    columns: Mapping[Role, Ints]
    stages: Mapping[Role, Columns]
    room: Room
    setting: Setting
    measure: Measure
    apart: Apart | None = None


class EngineRows:
    """Variables and rows of a program, those of the engine to begin with.

    Args:
        play: What the program chooses from.
    """

    def __init__(self, play: Play) -> None:
        self._play = play
        self.variables = Variables()
        self.rows = Rows()
        self.first: dict[Role, int] = {}
        self.steps = self._engine()

    def _engine(self) -> dict[Role, tuple[tuple[int, Ints], ...]]:
        """Write one column per stage, matching lanes, DSP steps and the board."""
        play, room = self._play, self._play.room
        for role, index in play.columns.items():
            base, _ = play.measure.columns(room.areas[role])
            self.first[role] = len(self.variables.names)
            for column in index:
                self.variables.add(
                    f"x[{role.value},{column}]", 1, True, measure=float(base[column])
                )
            self.add(f"one[{role.value}]", "=", 1, [], [(role, np.ones(index.size))])
        self._matches()
        used: dict[str, Terms] = {kind: [] for kind in KINDS}
        steps: dict[Role, tuple[tuple[int, Ints], ...]] = {}
        for role, index in play.columns.items():
            area = room.areas[role]
            _, per_step = play.measure.columns(area)
            step = np.stack([getattr(area.step, kind)[index] for kind in KINDS])
            kinds, group = np.unique(step, axis=1, return_inverse=True)
            groups = []
            for number, values in enumerate(kinds.T):
                members = group.reshape(-1) == number
                most = int(area.steps[index][members].max())
                if most == 0:
                    continue
                saved = float(per_step[index][members][0])
                variable = self.variables.add(
                    f"e[{role.value},{number}]", most, True, measure=saved
                )
                groups.append((variable, np.flatnonzero(members)))
                self.add(
                    f"step[{role.value},{number}]",
                    "<",
                    0,
                    [(variable, 1.0)],
                    [(role, -(area.steps[index] * members))],
                )
                for kind, value in zip(KINDS, values, strict=True):
                    used[kind].append((variable, float(value)))
            steps[role] = tuple(groups)
        for kind, limit in room.limits.items():
            taken = [
                (role, getattr(room.areas[role].base, kind)[index])
                for role, index in play.columns.items()
            ]
            self.add(kind, "<", limit, used[kind], taken)
        return steps

    def _matches(self) -> None:
        """Write that neighbouring stages exchange channel groups."""
        play = self._play
        for left, right in neighbours(play.columns):
            grids = play.room.grids
            lanes = {
                left: grids[left].lanes_out[grids[left].lane_of[play.columns[left]]],
                right: grids[right].lanes_in[grids[right].lane_of[play.columns[right]]],
            }
            for near, far in ((left, right), (right, left)):
                for count in np.unique(lanes[near]):
                    mate = lanes_match(lanes[far], count)
                    if not mate.all():
                        self.add(
                            f"match[{near.value},{far.value},{count}]",
                            "<",
                            0,
                            [],
                            [
                                (near, (lanes[near] == count).astype(np.float64)),
                                (far, -mate.astype(np.float64)),
                            ],
                        )

    def add(
        self,
        name: str,
        sense: str,
        rhs: float,
        entries: Terms,
        columns: Sequence[tuple[Role, Ints | Floats]] = (),
    ) -> None:
        """Write a row; `columns` are coefficients over a stage's columns in play."""
        every = list(entries)
        for role, values in columns:
            start = self.first[role]
            every += [(start + i, float(v)) for i, v in enumerate(values) if v]
        self.rows.add(name, sense, rhs, every)
