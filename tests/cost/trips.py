"""Iterations of the loops of one stage that runs one layer, as plain integers.

What the emitted code counts (docs/engine.md, "Processes of one step"), for one tile of
one run: to be compared with the replay. `hao.cost.latency` prices the same loops for
arrays of configurations; here each is added up row by row. Iterations in which an array
only waits for the weights of the next run are not counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never

from hao.cost.memory import input_channels, rows_used
from hao.hw.board import Board
from hao.intmath import ceil_div
from hao.ir.layer import Conv, Depthwise, Linear, Pool
from hao.ir.partition import DenseLayer, DepthwiseLayer
from hao.ir.sparsity import kept_words, stored_density


@dataclass(frozen=True, slots=True)
class StageTrips:
    """Iterations of the two processes of a stage.

    Attributes:
        window: Of the process that keeps rows or vectors, all that it takes in
            beforehand included.
        array: Of the process that multiplies.
    """

    window: int
    array: int


def _needs(layer: DenseLayer | DepthwiseLayer, *, first: bool) -> Sequence[int]:
    """Return the input rows needed by each output row, and those taken in at the end.

    From DDR (`first`) no rows come that no window meets; from a stage, all do.
    """
    match layer:
        case Linear():
            return (1, 1)
        case Conv() | Depthwise() | Pool():
            rows = rows_used(layer) if first else layer.ifm.height
            below = layer.kernel - layer.padding.top
            outputs = range(layer.ofm.height + 1)
            return tuple(min(rows, max(1, r * layer.stride + below)) for r in outputs)
        case _:
            assert_never(layer)


def _window(needs: Sequence[int], *, sweep: int, feed: int) -> int:
    rows = [max(sweep, (after - before) * feed) for before, after in pairwise(needs)]
    return needs[0] * feed + sum(rows)


def dense_trips(
    layer: DenseLayer,
    *,
    simd: int,
    px: int,
    groups: int,
    act_bits: int,
    board: Board,
) -> StageTrips:
    """Return the iterations of `dense_window` and `dense_array`.

    Args:
        layer: A convolution, or a linear layer as a 1x1 one.
        simd: Multipliers per lane.
        px: Pixels at once.
        groups: Output groups of the tile.
        act_bits: Width of the activations.
        board: Sets the beat, and with it the pixels of a linear layer.

    Source: docs/engine.md; equal to walked loops in tests/cost/test_trips.py.
    """
    channels = input_channels(layer, act_bits, board)
    width, kernel, stride = 1, 1, 1
    if not isinstance(layer, Linear):
        width, kernel, stride = layer.ifm.width, layer.kernel, layer.stride
    taps = simd // channels if kernel > 1 else 1
    xgroups = ceil_div(layer.ofm.width, px)
    if taps < 2:
        words = ceil_div(channels, simd)
        kept = kept_words(kernel**2 * words, stored_density(layer))
        work = groups * layer.passes * kept
        sweep, feed = xgroups * work, width * words
    else:
        slots = ceil_div((px - 1) * stride + kernel - 1, taps) + 1
        gather = kernel * ceil_div(slots, px)
        work = groups * layer.passes * ceil_div(kernel**2, taps)
        sweep = gather + (xgroups - 1) * max(gather, work) + work
        feed = ceil_div(width, taps)
    return StageTrips(
        window=_window(_needs(layer, first=True), sweep=sweep, feed=feed),
        array=layer.ofm.height * xgroups * work,
    )


def depthwise_trips(
    layer: DepthwiseLayer, *, pe: int, taps: int, px: int, first: bool
) -> StageTrips:
    """Return the iterations of `depthwise_window` and `depthwise_array`.

    Args:
        layer: A depthwise convolution or a pool.
        pe: Channels at once.
        taps: Kernel taps at once.
        px: Pixels at once.
        first: The stage reads from DDR.

    Source: docs/engine.md; equal to walked loops in tests/cost/test_trips.py.
    """
    groups = ceil_div(layer.ifm.channels, pe)
    xgroups = ceil_div(layer.ofm.width, px)
    columns = (px - 1) * layer.stride + layer.kernel - layer.padding.left
    opening = max(1, ceil_div(min(layer.ifm.width, columns), px))
    sweep = groups * (opening + (xgroups - 1) * layer.stride)
    feed = groups * (layer.ifm.width if first else ceil_div(layer.ifm.width, px))
    return StageTrips(
        window=_window(_needs(layer, first=first), sweep=sweep, feed=feed),
        array=layer.ofm.height * xgroups * groups * ceil_div(layer.kernel**2, taps),
    )


def pointwise_trips(
    layer: DenseLayer,
    *,
    simd: int,
    px: int,
    groups: int,
    first: bool,
    act_bits: int,
    board: Board,
) -> StageTrips:
    """Return the iterations of `pointwise_vectors` and `pointwise_array`.

    Arguments as in `dense_trips`, and `first`: the stage reads from DDR.

    Source: docs/engine.md; equal to walked loops in tests/cost/test_trips.py.
    """
    folds = ceil_div(input_channels(layer, act_bits, board), simd)
    width = layer.ofm.width
    pixels = [min(px, width - x) for x in range(0, width, px)]
    feeds = [n * folds if first else folds for n in pixels] * layer.ofm.height
    work = groups * layer.passes * kept_words(folds, stored_density(layer))
    return StageTrips(
        window=feeds[0] + sum(max(work, feed) for feed in (*feeds[1:], 0)),
        array=len(feeds) * work,
    )
