"""A bound that needs no search: products of a frame, and multipliers of a board."""

from functools import cache
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hao.cost.area import DenseShape, dense_area, fixed_area
from hao.hw.board import Board
from hao.ir.change import Bits, Channels, Keep, LeaveOut, Replace
from hao.ir.channels import without_channels
from hao.ir.layer import Depthwise
from hao.ir.sparsity import kept_macs, with_densities
from hao.program.fit import DSP_PRICES, priced_luts
from hao.program.problem import Problem
from hao.program.space import Space

Ints = NDArray[np.int64]

_DEEP = 1 << 30
"""Words of a memory that is surely block RAM, which takes no LUTs."""


def least_cycles(problem: Problem) -> int:
    """Return a lower bound of any design's latency, from its products alone [cycles].

    Dense and pointwise products are made by the multipliers of both stages; how many a
    board holds is bounded by LUTs and DSPs at several prices, for lanes without
    buffers. Of groups of channels the narrowest counts, of layers that may be pruned
    the fewest words. Where blocks may be left out or
    replaced, only what lies outside of all of them counts: nothing here, so the bound
    is 0.
    """
    widths = set()
    densities: dict[str, int] = {}
    fewest: dict[str, tuple[int, ...]] = {}
    for option in problem.options:
        match option.change:
            case Bits():
                widths.add(option.change.lane_bits)
                kept = option.change.density
                densities[option.layer] = min(kept, densities.get(option.layer, kept))
            case LeaveOut() | Replace():
                return 0
            case Channels():
                channels = option.change.kept
                fewest[option.layer] = min(
                    channels, fewest.get(option.layer, channels), key=len
                )
            case Keep():
                continue
            case _:
                assert_never(option.change)
    network = with_densities(without_channels(problem.network, fewest), densities)
    products = sum(
        kept_macs(layer)
        for layer in network.compute_layers
        if not isinstance(layer, Depthwise)
    )
    most = _most_multipliers(
        BoardKey(problem.board), problem.act_bits, tuple(sorted(widths)), problem.space
    )
    return int(products / most) if most else 0


class BoardKey:
    """A board as a key of a cache: equal boards are one."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoardKey) and self.board == other.board

    def __hash__(self) -> int:
        board = self.board
        return hash((board.name, board.clock_khz, board.usable.lut, board.usable.dsp))


@cache
def _most_multipliers(
    key: BoardKey, act_bits: int, widths: tuple[int, ...], space: Space
) -> float:
    """Return the most multipliers of dense and pointwise stages that a board holds."""
    board = key.board
    fixed = fixed_area(board, act_bits=act_bits, residual=False, pool_words=0)
    lut = max(board.usable.lut - fixed.lut, 0)
    lanes = space.lanes
    simd, pe = lane_pairs(lanes, lanes)
    made = np.array(space.pixels)[:, None] * simd * pe
    # Either stage may be the cheaper one: a calibration corrects them apart.
    cheapest = np.minimum.reduce(
        [
            (bare_lanes(key, act_bits, bits, space.pixels, (lanes, lanes), ring) / made)
            for bits in widths
            for ring in (True, False)
        ]
    ).min(axis=(1, 2))
    room = lut + np.array(DSP_PRICES) * max(board.usable.dsp - fixed.dsp, 0)
    bounds = room[cheapest > 0] / cheapest[cheapest > 0]
    return float(bounds.min(initial=np.inf)) if bounds.size else 0.0


def lane_pairs(simd: tuple[int, ...], pe: tuple[int, ...]) -> tuple[Ints, Ints]:
    """Return `simd` and `pe` of every lane shape, in the order of a grid."""
    first, second = np.meshgrid(
        np.array(simd, dtype=np.int64), np.array(pe, dtype=np.int64)
    )
    return first.ravel(), second.ravel()


@cache
def bare_lanes(
    key: BoardKey,
    act_bits: int,
    bits: int,
    pixels: tuple[int, ...],
    lanes: tuple[tuple[int, ...], tuple[int, ...]],
    ring: bool,
) -> Ints:
    """Return the LUTs plus priced DSPs of lanes without the LUTs of any buffer.

    Args:
        key: The board.
        act_bits: Width of the activations.
        bits: Weight width of the stage.
        pixels: Pixels at once.
        lanes: Values of `simd` and of `pe`.
        ring: Of the dense stage, else of the pointwise one.

    Returns:
        Of shape (prices of a DSP, pixels, lane shapes).
    """
    simd, pe = lane_pairs(*lanes)
    deep = np.full_like(simd, _DEEP)
    shape = DenseShape(
        simd=simd,
        pe=pe,
        weight_bits=np.full_like(simd, bits),
        weight_words=deep,
        weights_in_uram=np.zeros(simd.size, dtype=np.bool_),
        feature_words=deep,
        channel_words=deep,
        pack_words=deep,
        terms=1,
    )
    px = np.array(pixels)[:, None]
    area = dense_area(shape, px=px, act_bits=act_bits, board=key.board, ring=ring)
    whole = len(pixels), simd.size
    return np.stack([np.broadcast_to(priced_luts(area, p), whole) for p in DSP_PRICES])
