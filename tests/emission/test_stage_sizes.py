"""Sizes of the emitted stages are those that were priced."""

from dataclasses import replace

import pytest

from hao.cost.blocks import CHAIN_MAX, cascade_length
from hao.cost.packing import Sharing, packing
from hao.emission.stage_sizes import dense_slices
from hao.engine.stages import DenseStage
from hao.hw.board import Board
from hao.hw.board_file import load_board

BOARDS = [load_board(name) for name in ("zu3eg", "pynq-z2")]
DENSE = DenseStage(
    simd=16,
    pe=8,
    weight_bits=8,
    dsp_pairs=4,
    weight_words=64,
    feature_words=64,
    channel_words=8,
    pack_words=2,
    terms=144,
)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.dsp_type.name)
@pytest.mark.parametrize("bits", [(8, 8), (4, 8), (5, 5), (4, 4), (3, 6), (2, 2)])
@pytest.mark.parametrize("px", [1, 2])
def test_a_cascade_is_as_long_as_it_is_priced(
    board: Board, bits: tuple[int, int], px: int
) -> None:
    weight, act = bits
    kinds = (Sharing.QUAD, Sharing.PAIR)[px % 2 :]
    priced = (
        packing(kind, board.dsp_type, weight_bits=weight, act_bits=act)
        for kind in kinds
    )
    found = next((each for each in priced if each is not None), None)
    made = dense_slices(
        replace(DENSE, weight_bits=weight), act_bits=act, px=px, board=board
    )
    if found is None:
        assert (made.sharing, made.chain) == (1, CHAIN_MAX)
    else:
        assert made.sharing == found.products
        assert made.field == found.field_bits
        # Longer ones were not synthesized, shorter ones split more sums than priced.
        assert made.chain == min(found.depth, 4) == cascade_length(found.depth)
