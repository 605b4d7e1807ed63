"""The loops of docs/engine.md, walked one iteration at a time and counted.

They share no formula with `hao.cost`: rows, columns, slots and words are enumerated.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hao.ir.layer import Linear
from hao.ir.partition import DenseLayer, DepthwiseLayer


@dataclass(frozen=True, slots=True)
class Walk:
    """Iterations of a stage.

    Attributes:
        lead: Of the window process before output row (or pixel group) 0.
        rows: Of the window process after that.
        array: Of the array process.
        together: Of the slower of both, row by row (depthwise: step by step).
    """

    lead: int
    rows: int
    array: int
    together: int


def input_rows(
    layer: DenseLayer | DepthwiseLayer, *, first: bool = True
) -> list[range]:
    """Return the input rows taken in before row 0, and while each row is made.

    What a stage sends (not `first`) must all be taken in, also below the last window.
    """
    if isinstance(layer, Linear):
        return [range(1), range(0)]
    arrived, steps = 0, []
    for row in range(layer.ofm.height):
        top = row * layer.stride - layer.padding.top
        met = [r for r in range(top, top + layer.kernel) if 0 <= r < layer.ifm.height]
        last = max([*met, 0, arrived - 1]) + 1
        steps.append(range(arrived, last))
        arrived = last
    # Row r is made while the rows of r + 1 come; beside the last comes what is left.
    return [*steps, range(0) if first else range(arrived, layer.ifm.height)]


def _words(channels: int, lanes: int) -> list[range]:
    return [range(c, min(c + lanes, channels)) for c in range(0, channels, lanes)]


def passes(layer: DenseLayer, simd: int, channels: int) -> list[list[tuple[int, int]]]:
    """Return the (tap, channel) products of every pass that sums one output value."""
    taps = 1 if isinstance(layer, Linear) else layer.kernel**2
    together = max(1, simd // channels)
    return [
        [(t, c) for t in range(tap, min(tap + together, taps)) for c in word]
        for tap in range(0, taps, together)
        for word in _words(channels, simd)
    ]


def row_words(layer: DenseLayer, simd: int, channels: int) -> int:
    """Count the words of an input row, several columns to a word where they fit."""
    if isinstance(layer, Linear):
        return len(_words(channels, simd))
    step = max(1, simd // channels) if layer.kernel > 1 else 1
    columns = range(0, layer.ifm.width, step)
    return sum(len(_words(channels, simd)) for _ in columns)


def _gather(layer: DenseLayer, simd: int, channels: int, px: int) -> int:
    """Count the cycles that read a window of packed taps, however its slots lie."""
    if isinstance(layer, Linear) or layer.kernel == 1 or simd // channels < 2:
        return 0
    taps, columns = simd // channels, (px - 1) * layer.stride + layer.kernel
    touched = max(
        len({(begin + i) // taps for i in range(columns)}) for begin in range(taps)
    )
    return sum(1 for _row in range(layer.kernel) for _slots in range(0, touched, px))


def walk_dense(
    layer: DenseLayer, *, simd: int, groups: int, px: int, channels: int
) -> Walk:
    """Walk a dense stage; `channels` of a pixel as it comes in."""
    feed = row_words(layer, simd, channels)
    gather = _gather(layer, simd, channels, px)
    lead, *during = (sum(feed for _ in rows) for rows in input_rows(layer))
    rows = array = 0
    for intake in during:
        left = 0
        sweep = 0
        for _pixels in range(0, layer.ofm.width, px):
            work = 0
            for _group in range(groups):
                for _pass in passes(layer, simd, channels):
                    work += 1
            # This window is gathered while the one before is sent.
            sweep += max(gather, left)
            left = work
            array += work
        sweep += left
        rows += max(sweep, intake)
    return Walk(lead=lead, rows=rows, array=array, together=rows)


def _new_columns(layer: DepthwiseLayer, px: int) -> Iterator[int]:
    """Yield the columns read for each group of pixels of a row."""
    wide = (px - 1) * layer.stride + layer.kernel
    begin = -layer.padding.left
    first = [c for c in range(begin, begin + wide) if 0 <= c < layer.ifm.width]
    for pixels in range(0, layer.ofm.width, px):
        # Beyond the left edge the columns past the map are read as zeros.
        yield max(1, len(first)) if pixels == 0 else px * layer.stride


def walk_depthwise(
    layer: DepthwiseLayer, *, pe: int, taps: int, px: int, first: bool
) -> Walk:
    """Walk a depthwise stage."""
    groups = range(0, layer.ifm.channels, pe)
    feed = 0
    for _column in range(0, layer.ifm.width, 1 if first else px):
        feed += len(groups)
    lead, *during = (sum(feed for _ in rows) for rows in input_rows(layer, first=first))
    rows = array = together = 0
    for intake in during:
        sweep = both = 0
        for columns in _new_columns(layer, px):
            for _group in groups:
                reads = len(range(0, columns, px))
                multiplies = len(range(0, layer.kernel**2, taps))
                sweep += reads
                array += multiplies
                both += max(reads, multiplies)
        rows += max(sweep, intake)
        together += max(both, intake)
    return Walk(lead=lead, rows=rows, array=array, together=together)


def walk_pointwise(
    layer: DenseLayer, *, simd: int, groups: int, px: int, first: bool, channels: int
) -> Walk:
    """Walk a pointwise stage."""
    feeds = []
    for _row in range(layer.ofm.height):
        for column in range(0, layer.ofm.width, px):
            words = 0
            for _pixel in range(column, min(column + px, layer.ofm.width)):
                words += len(_words(channels, simd))
            feeds.append(words if first else len(_words(channels, simd)))
    rows = array = 0
    for index in range(len(feeds)):
        work = 0
        for _group in range(groups):
            work += len(_words(channels, simd))
        array += work
        rows += max(work, *feeds[index + 1 : index + 2], 0)
    return Walk(lead=feeds[0], rows=rows, array=array, together=rows)


def walk_pack(
    layer: DenseLayer | DepthwiseLayer, *, pe: int, channels: int, px: int, beat: int
) -> int:
    """Count the cycles in which words are taken in or `channels` of a pixel leave."""
    cycles = 0
    for _row in range(layer.ofm.height):
        for left in range(0, layer.ofm.width, px):
            for _pixel in range(left, min(left + px, layer.ofm.width)):
                coming = [len(word) for word in _words(channels, pe)]
                # The last word comes with what fills the last beat up.
                coming[-1] += -channels % beat
                held = 0
                while coming or held:
                    cycles += 1
                    if held < beat and coming:
                        held += coming.pop(0)
                    if held >= beat:
                        held -= beat
    return cycles
