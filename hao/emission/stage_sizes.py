"""The constants of a stage as the emitted code is built for them.

They follow from the engine's record and the weight widths that occur: how many products
a DSP slice holds, how wide accumulators are, how many lanes a unit of weights brings.
"""

from dataclasses import dataclass

from hao.cost.blocks import CHAIN_MAX, cascade_length
from hao.cost.packing import Sharing, packing
from hao.engine.stages import DenseStage, DepthwiseStage
from hao.hw.board import Board
from hao.ir.integer import accumulator_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """How a stage's DSP slices are used.

    Attributes:
        sharing: Products of a slice: 1, 2 or 4.
        field: Bits between neighbouring products; 1 where there is one product.
        chain: Slices added in one cascade, before the products are split.
    """

    sharing: int
    field: int
    chain: int


def dense_slices(stage: DenseStage, *, act_bits: int, px: int, board: Board) -> Slices:
    """Return how a dense or pointwise stage packs its products."""
    kinds = (Sharing.QUAD, Sharing.PAIR) if px % 2 == 0 else (Sharing.PAIR,)
    return _slices(kinds, stage.weight_bits, act_bits, board)


def depthwise_slices(
    stage: DepthwiseStage, *, act_bits: int, px: int, board: Board
) -> Slices:
    """Return how the depthwise stage packs its products."""
    kinds = (Sharing.PIXEL_PAIR,) if px % 2 == 0 else ()
    return _slices(kinds, stage.weight_bits, act_bits, board)


def _slices(
    kinds: tuple[Sharing, ...], weight_bits: int, act_bits: int, board: Board
) -> Slices:
    for kind in kinds:
        found = packing(
            kind, board.dsp_type, weight_bits=weight_bits, act_bits=act_bits
        )
        if found is not None:
            return Slices(
                sharing=found.products,
                field=found.field_bits,
                chain=cascade_length(found.depth),
            )
    return Slices(sharing=1, field=1, chain=CHAIN_MAX)


def dense_acc_bits(stage: DenseStage, act_bits: int) -> int:
    """Return the width of a dense or pointwise stage's accumulators."""
    return accumulator_bits(
        stage.weight_bits, act_bits, stage.terms, biased=not stage.multiplies
    )


def depthwise_acc_bits(stage: DepthwiseStage, act_bits: int) -> int:
    """Return the width of the depthwise stage's accumulators."""
    return accumulator_bits(
        stage.weight_bits, act_bits, stage.kernel**2, biased=not stage.multiplies
    )
