"""The free parameters of the engine, and the grid of stage configurations they span.

A *lane shape* of a stage is its parallelism: (simd, pe), or (pe, taps). A *column* is a
lane shape with, for dense and pointwise stages, a depth of the weight buffer. Weight
widths and pixels at once multiply both; cycles do not depend on the former, and are
priced for all of the latter at once (`hao.program.tables`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hao.cost.bram import URAM_WORDS, memory_bram18, uram
from hao.cost.catalogue import BUFFER_WORDS, LANES, TAPS, Needs
from hao.cost.columns import Columns, DenseColumns, DepthwiseColumns, Setting
from hao.cost.tiles import least_words
from hao.cost.words import dense_folds
from hao.hw.board import Board
from hao.ir.partition import Invocation, Role
from hao.ir.tensor import MIN_BITS

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ANY_WORDS = 1 << 40
"""Words of a weight buffer that holds everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The free parameters of the catalogue: which values each may take.

    Attributes:
        pixels: Pixels at once.
        lanes: Values of `simd` and `pe`.
        taps: Kernel taps at once.
        depths: Depths of the weight buffers [words].
        buffering: Whether weights are double-buffered: the choices on offer.
        shapes: `simd` and `pe` of dense or pointwise stages, where these are given.
        roles: Stage on which a layer runs, where that is given.
    """

    pixels: tuple[int, ...]
    lanes: tuple[int, ...] = LANES
    taps: tuple[int, ...] = TAPS
    depths: tuple[int, ...] = BUFFER_WORDS
    buffering: tuple[bool, ...] = (True, False)
    shapes: tuple[tuple[Role, tuple[int, int]], ...] = ()
    roles: tuple[tuple[str, Role], ...] = ()

    def lanes_of(self, role: Role) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the values of `simd` and `pe` of a dense or pointwise stage."""
        given = dict(self.shapes).get(role)
        if given is None:
            return self.lanes, self.lanes
        simd, pe = given
        return (simd,), (pe,)

    def allows(self, run: Invocation) -> bool:
        """Return whether a run has layers on the stages that are given, if any are."""
        given = dict(self.roles)
        return all(given.get(layer.name, role) is role for role, layer in run.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Configurations of one stage at one buffering, whatever its width and pixels.

    Attributes:
        role: The stage.
        first: `simd` of each lane shape; `pe` in a depthwise stage.
        second: `pe` of each lane shape; `taps` in a depthwise stage.
        lane_of: Lane shape of each column; ascending.
        words: Depth of the weight buffer of each column; 0 in a depthwise stage.
        in_uram: Which columns keep weights in URAM.
        starts: Where the columns of each lane shape begin, and where the last end.
        held: Per set of needs, which columns it offers.
    """

    role: Role
    first: Ints
    second: Ints
    lane_of: Ints
    words: Ints
    in_uram: Bools
    starts: Ints
    held: tuple[Bools, ...]

    @property
    def lanes(self) -> int:
        """Return the number of lane shapes."""
        return int(self.first.size)

    @property
    def lanes_in(self) -> Ints:
        """Return the channels that each lane shape takes from the stage before."""
        return self.first

    @property
    def lanes_out(self) -> Ints:
        """Return the channels that each lane shape hands to the stage behind."""
        return self.first if self.role is Role.DEPTHWISE else self.second

    def keep(self, columns: Bools) -> "Grid":
        """Return the grid with some of its columns; lane shapes keep their places."""
        lane_of = self.lane_of[columns]
        return replace(
            self,
            lane_of=lane_of,
            words=self.words[columns],
            in_uram=self.in_uram[columns],
            starts=np.searchsorted(lane_of, np.arange(self.lanes + 1)),
            held=tuple(held[columns] for held in self.held),
        )

    def holds(self, bits: int, board: Board) -> Bools:
        """Return the columns whose buffers the memory of a board holds.

        Args:
            bits: Of the weights, at least.
            board: Limits.
        """
        width = (self.first * self.second)[self.lane_of] * bits
        return _fits(width, self.words, self.in_uram, board)

    def shapes(self) -> Columns:
        """Return the lane shapes as columns whose buffers hold everything."""
        words = np.full(self.lanes, ANY_WORDS, dtype=np.int64)
        return self._columns(
            np.arange(self.lanes), words, np.zeros(self.lanes, dtype=np.bool_), 8
        )

    def columns(self, index: Ints, bits: int) -> Columns:
        """Return columns by index, for stages of so many weight bits."""
        return self._columns(
            self.lane_of[index], self.words[index], self.in_uram[index], bits
        )

    def _columns(self, lane: Ints, words: Ints, in_uram: Bools, bits: int) -> Columns:
        first, second = self.first[lane], self.second[lane]
        width = np.full(lane.size, bits, dtype=np.int64)
        if self.role is Role.DEPTHWISE:
            return DepthwiseColumns(pe=first, taps=second, weight_bits=width)
        return DenseColumns(
            simd=first,
            pe=second,
            weight_words=words,
            weight_bits=width,
            in_uram=in_uram,
        )


def make_grid(
    role: Role, needs: Sequence[Needs], space: Space, setting: Setting
) -> Grid:
    """Return the grid of a stage for every set of layers that it may have to run.

    Args:
        role: The stage.
        needs: The sets of layers.
        space: Free parameters.
        setting: Board, width of the activations, buffering.
    """
    if role is Role.DEPTHWISE:
        return depthwise_grid(needs, space)
    option = [np.array(lanes, dtype=np.int64) for lanes in space.lanes_of(role)]
    simd, pe = (grid.ravel() for grid in np.meshgrid(*option))
    offers = [_offered(need, simd, pe, space, setting) for need in needs]
    every = np.unique(np.concatenate(offers))
    # What exceeds the memory even at the fewest bits is part of no design.
    lane_of, in_uram, words_of = _unpacked(every)
    width = pe[lane_of] * simd[lane_of] * MIN_BITS
    every = every[_fits(width, words_of, in_uram, setting.board)]
    lane_of, in_uram, words_of = _unpacked(every)
    return Grid(
        role=role,
        first=simd,
        second=pe,
        lane_of=lane_of,
        words=words_of,
        in_uram=in_uram,
        starts=np.searchsorted(lane_of, np.arange(simd.size + 1)),
        held=tuple(np.isin(every, offer) for offer in offers),
    )


def _fits(width: Ints, words: Ints, in_uram: Bools, board: Board) -> Bools:
    """Return which buffers of some widths [bits] and words a board's memory holds."""
    usable = board.usable
    return np.where(
        in_uram,
        uram(width, words) <= usable.uram,
        memory_bram18(width, words) <= usable.bram_18k,
    )


def _offered(
    needs: Needs, simd: Ints, pe: Ints, space: Space, setting: Setting
) -> Ints:
    """Return the columns of a dense or pointwise stage, for `_unpacked`.

    A buffer of one block of URAM costs alike up to `URAM_WORDS`: it is offered at that
    depth and multiples.
    """
    useful, least = np.ones_like(simd), np.ones_like(simd)
    for layer in needs.dense:
        folds = dense_folds(layer, simd, act_bits=setting.act_bits, board=setting.board)
        useful = np.maximum(useful, folds * -(-layer.ofm.channels // pe))
        least = np.maximum(least, least_words(layer, simd, pe, setting))
    factor = 2 if setting.double_buffered else 1
    useful, least = factor * useful, factor * least
    depths = np.array(space.depths, dtype=np.int64)
    blocks = max(depths.max(initial=0) // URAM_WORDS, 1)
    offers = [depths]
    if setting.board.usable.uram:
        offers.append(URAM_WORDS * np.arange(1, blocks + 1))
    found = []
    for in_uram, offer in enumerate(offers):
        # A deeper buffer than all weights together is waste; the first is kept.
        words = np.minimum(offer[:, None], useful)
        shallower = np.concatenate([[0], offer[:-1]])[:, None]
        kept = (offer[:, None] >= least) & (useful > shallower)
        places = (2 * np.arange(simd.size) + in_uram) * ANY_WORDS + words
        found.append(places[kept])
    return np.unique(np.concatenate(found))


def _unpacked(places: Ints) -> tuple[Ints, Bools, Ints]:
    """Return lane shape, whether weights are in URAM, and words of packed columns."""
    return (
        places // (2 * ANY_WORDS),
        places // ANY_WORDS % 2 == 1,
        places % ANY_WORDS,
    )


def depthwise_grid(needs: Sequence[Needs], space: Space) -> Grid:
    """Return the grid of the depthwise stage, whose columns are its lane shapes."""
    kernels = [need.kernel**2 for need in needs]
    option = sorted({min(taps, most) for most in kernels for taps in space.taps})
    pe, taps = (
        grid.ravel()
        for grid in np.meshgrid(
            np.array(space.lanes, dtype=np.int64), np.array(option, dtype=np.int64)
        )
    )
    index = np.arange(pe.size)
    return Grid(
        role=Role.DEPTHWISE,
        first=pe,
        second=taps,
        lane_of=index,
        words=np.zeros_like(pe),
        in_uram=np.zeros(pe.size, dtype=np.bool_),
        starts=np.arange(pe.size + 1),
        held=tuple(
            np.isin(taps, [min(value, most) for value in space.taps])
            for most in kernels
        ),
    )


def setting_of(
    board: Board, act_bits: int, px: int | Ints, *, double_buffered: bool
) -> Setting:
    """Return the setting that columns share, at one count of pixels or at many."""
    return Setting(
        board=board,
        px=cast(int, px),
        act_bits=act_bits,
        double_buffered=double_buffered,
    )
