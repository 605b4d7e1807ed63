"""What a configuration of a stage is to the cost model, alone and in bulk.

A *column* is one configuration of one stage. `DenseColumns` and `DepthwiseColumns`
hold many; a design is the case of one column per stage. `Setting` is what all columns
of a comparison share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hao.cost.memory import beat_channels
from hao.engine.stages import DenseStage, Engine
from hao.hw.board import Board
from hao.ir.partition import Role

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
WeightBits = Mapping[str, int]
"""Weight bits by layer name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseColumns:
    """Configurations of a dense or pointwise stage, arrays of one length.

    `in_uram` says whose weights are in URAM.
    """

    simd: Ints
    pe: Ints
    weight_words: Ints
    weight_bits: Ints
    in_uram: Bools

    def __len__(self) -> int:
        return int(self.simd.size)

    def take(self, index: Ints) -> "DenseColumns":
        """Return the columns at `index`."""
        return DenseColumns(
            simd=self.simd[index],
            pe=self.pe[index],
            weight_words=self.weight_words[index],
            weight_bits=self.weight_bits[index],
            in_uram=self.in_uram[index],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthwiseColumns:
    """Configurations of the depthwise stage, arrays of one length."""

    pe: Ints
    taps: Ints
    weight_bits: Ints

    def __len__(self) -> int:
        return int(self.pe.size)

    def take(self, index: Ints) -> "DepthwiseColumns":
        """Return the columns at `index`."""
        return DepthwiseColumns(
            pe=self.pe[index],
            taps=self.taps[index],
            weight_bits=self.weight_bits[index],
        )


Columns = DenseColumns | DepthwiseColumns


def engine_columns(engine: Engine) -> dict[Role, Columns]:
    """Return the stages of an engine as columns of length one."""
    result: dict[Role, Columns] = {}
    for role in (Role.DENSE, Role.POINTWISE, Role.DEPTHWISE):
        stage = engine.stage(role)
        if isinstance(stage, DenseStage):
            result[role] = DenseColumns(
                simd=np.array([stage.simd]),
                pe=np.array([stage.pe]),
                weight_words=np.array([stage.weight_words]),
                weight_bits=np.array([stage.weight_bits]),
                in_uram=np.array([stage.weights_in_uram]),
            )
        elif stage is not None:
            result[role] = DepthwiseColumns(
                pe=np.array([stage.pe]),
                taps=np.array([stage.taps]),
                weight_bits=np.array([stage.weight_bits]),
            )
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all columns of a comparison share.

    Attributes:
        board: Clock, ports and DDR.
        px: Pixels at once. To price many counts side by side, an array stands in its
            place: of shape (p, 1) for each column at each of p counts, or of the
            columns' own shape.
        act_bits: Width of the activations.
        double_buffered: Weights of the next segment load while one computes.
        aligned_tiles: Tiles begin at whole beats, each pixel of a tile waits for the
            response to the one before, weights are read from the start of a run on, and
            means are made one by one, as in this engine. Other accelerators write
            single channels and do not wait; what they load when is not known.
    """

    board: Board
    px: int
    act_bits: int
    double_buffered: bool
    aligned_tiles: bool = True

    @classmethod
    def of(cls, engine: Engine, board: Board, *, aligned_tiles: bool = True) -> Self:
        """Return the setting of an engine on a board."""
        return cls(
            board=board,
            px=engine.px,
            act_bits=engine.act_bits,
            double_buffered=engine.double_buffered,
            aligned_tiles=aligned_tiles,
        )

    @property
    def tile_channels(self) -> int:
        """Return the channels that a tile begins at a multiple of."""
        return beat_channels(self.act_bits, self.board) if self.aligned_tiles else 1
