"""What a run that waits for its input holds back.

Nothing moves in a pipeline that waits, so outputs leave it only when as many further
inputs have come as it has iterations (docs/engine.md, "Processes of one step").

Source: derived here; worked by hand in tests/cost/test_paths.py and compared with the
cycle replay in tests/emission/test_replayed_cycles.py.
"""

from dataclasses import dataclass

import numpy as np

from hao.cost.arrival import Arrival
from hao.cost.latency import StageTimes, rows_needed
from hao.cost.overheads import ARRAY_DEPTH, UNPACK_DEPTH, WINDOW_DEPTH
from hao.cost.words import Cycles
from hao.ir.layer import Linear
from hao.ir.partition import DenseLayer, DepthwiseLayer, Role

EMPTIED = 8
"""Of the input behind what the first output needs, a stage waits for this part at most.

Source: chosen here: with it the frames of random pruned networks are nearest to their
replay (docs/cost_model.md). Where maps are small, input ends before pipelines are full.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """The stages of a run, and when its input comes.

    Attributes:
        stages: In use, in order.
        times: Of each of them.
        arrival: Of the input; `None` if nothing waits for it.
        ahead: Input rows that are read before the first output row leaves.
    """

    stages: tuple[tuple[Role, DenseLayer | DepthwiseLayer], ...]
    times: dict[Role, StageTimes]
    arrival: Arrival | None
    ahead: int

    @property
    def _input(self) -> Arrival:
        assert self.arrival is not None
        return self.arrival

    def last_input(self) -> Cycles:
        """Return the cycles of the DDR until all input has come."""
        arrival = self._input
        whole = arrival.row * arrival.rows
        # Stages that follow hold about as much as the first one does.
        held = self.in_flight() * len(self.stages)
        written = np.maximum(whole - arrival.row * self.ahead - held, 0)
        return arrival.last(written, np.maximum(whole, 1))

    def opening(self, px: Cycles | int) -> Cycles:
        """Return the input that the first stage needs to begin [bytes].

        Args:
            px: Pixels at once, one count or an array.
        """
        arrival = self._input
        role, layer = self.stages[0]
        if role is Role.POINTWISE and not isinstance(layer, Linear):
            groups = -(-layer.ofm.width // np.asarray(px))
            return np.asarray(arrival.row // groups)
        return arrival.row * rows_needed(layer)

    def in_flight(self) -> Cycles:
        """Return what the first stage holds of an input that it waits for [bytes].

        Nothing moves in a pipeline that waits, so as much input as there are iterations
        in it must come before its first output leaves.
        """
        arrival = self._input
        role, layer = self.stages[0]
        own = self.times[role]
        stride = 1 if isinstance(layer, Linear) else layer.stride
        row = arrival.row * stride
        unpack = np.maximum(own.intake // arrival.rows, 1)
        held = row * ARRAY_DEPTH // own.trips + row * WINDOW_DEPTH // own.row
        return np.asarray(held + arrival.row * UNPACK_DEPTH // unpack)

    def held(self, index: int) -> Cycles:
        """Return how long a stage that waits for window or input holds outputs back."""
        role, layer = self.stages[index]
        own = self.times[role]
        waiting = ARRAY_DEPTH * (own.row - own.trips) // own.trips
        fed = np.minimum(waiting, (layer.ofm.height - 1) * own.row)
        arrival = self.arrival
        if arrival is None or index == 0:
            return np.asarray(fed)
        # A later stage waits longer where the rows of the input come slowly.
        first = self.stages[0][1]
        ratio = max(1, first.ofm.height // max(1, layer.ofm.height))
        row = arrival.first(arrival.row)
        idle = np.maximum(row * ratio - own.row, 0)
        lag = ARRAY_DEPTH * idle // own.trips + WINDOW_DEPTH * idle // own.row
        left = max(arrival.rows - self.ahead, 0) * row // EMPTIED
        return np.asarray(np.maximum(fed, np.minimum(waiting + lag, left)))
