"""When the input of a run comes from the DDR, which others read and write meanwhile.

The reader of the feature map, that of the residual and that of the next run's weights
begin together and take turns, beat by beat; the writer joins them with the first rows
that are finished. The first two stop where their buffers are full, so a reader waits
for others no longer than they have as much to move as it has.
"""

from dataclasses import dataclass

import numpy as np

from hao.cost.memory import (
    Moved,
    beside_cycles,
    ddr_cycles,
    port_cycles,
    read,
    shared_cycles,
)
from hao.cost.overheads import MAX_BURST_BEATS, OUTSTANDING_BURSTS
from hao.cost.words import Cycles
from hao.hw.board import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What is read and written beside the input of a run.

    Attributes:
        ifm: All that is read of the input.
        rows: Of the input, 1 where all of it is one pixel.
        residual: Read to be added to the output.
        ofm: Written while input comes.
        weights: Of the next run, or what stands for them [bytes].
        burst: Beats that are written in a row, 0 if unknown.
        board: Rates.
    """

    ifm: Moved
    rows: int
    residual: Moved
    ofm: Moved
    weights: Cycles
    burst: Cycles
    board: Board

    @property
    def row(self) -> Cycles:
        """Return what is read of a row [bytes]."""
        return np.asarray(self.ifm.port // self.rows)

    def first(self, moved: Cycles) -> Cycles:
        """Return the cycles until the first bytes of the input have come.

        Args:
            moved: So many, at most all are meant [bytes].
        """
        some = np.minimum(moved, self.ifm.port)
        own = np.maximum(port_cycles(some, self.board), ddr_cycles(some, self.board))
        for other in (self.weights, self.residual.port):
            own = own + beside_cycles(read(np.minimum(other, some)), self.board)
        return np.asarray(own)

    def last(self, written: Cycles, of: Cycles) -> Cycles:
        """Return the cycles until all input has come, weights not counted.

        Args:
            written: Of `of` equal parts of the output, those that may leave before.
            of: At least 1.
        """
        # What a port buffers need not have been written, and may have been read.
        held = OUTSTANDING_BURSTS * MAX_BURST_BEATS * self.board.port_bytes
        turns, added, made = self.ifm.port, self.residual, self.ofm
        least = added.port * written // of
        taken = np.maximum(
            least, np.minimum(np.minimum(added.port, least + held), turns)
        )
        most = made.port * written // of
        left = np.maximum(np.minimum(most, turns), most - held)
        others = [
            Moved(part, whole.ddr * part // np.maximum(whole.port, 1))
            for part, whole in ((taken, added), (left, made))
        ]
        return shared_cycles([self.ifm, *others], self.board, burst=self.burst)
