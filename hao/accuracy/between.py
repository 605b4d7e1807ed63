"""What top-1 has a network at an image size or width between two that were published?

A checkpoint that was evaluated, or a recipe that was trained, at several image sizes
loses nearly in proportion to 1 / size as frames get smaller. So at a size between two
neighbouring published ones, top-1 is interpolated linearly in 1 / size. Left out and
predicted from their neighbours, the 20 inner sizes of the shipped table (MobileNetV1
and V2) are hit within 0.31 points on average and 1.08 at most, with a bias of 0.02;
linear in the size or its logarithm the bias is -0.6 and -0.3. Neighbours are then twice
as far apart as in what is offered, so the error of these is smaller.

The same holds of networks that one recipe trained at several widths, at one image size:
top-1 is interpolated linearly in 1 / width. Left out, the 20 inner widths of
MobileNetV1 and V2 are hit within 0.49 points on average and 1.78 at most (bias 0.20;
linear in the width -1.9, in its logarithm -0.8). Depths are not interpolated, nor is
anything beyond the published sizes and widths.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from types import MappingProxyType

from hao.accuracy.published import (
    Between,
    FloatRow,
    Precision,
    PublishedNetwork,
    load_float_rows,
    published_networks,
)
from hao.zoo import name_of_width, width_of

SIZE_STEP = 16
"""Sizes on offer are multiples of this [pixels]; all published ones are."""

WIDTH_STEP = 10
"""Widths on offer are multiples of this [%]."""

ERRORS = {Between.SIZES: (0.31, 1.08), Between.WIDTHS: (0.49, 1.78)}
"""Mean and largest error of what was published and left out [points]; tests compute all
anew."""


def _series(rows: Sequence[FloatRow]) -> list[list[FloatRow]]:
    """Return the rows of each checkpoint or recipe of the zoo, by rising size."""
    found: dict[tuple[str, ...], list[FloatRow]] = defaultdict(list)
    for row in rows:
        if row.network is not None and row.precision is Precision.FP32:
            key = (row.network, row.architecture, row.width, row.recipe, row.source)
            found[key].append(row)
    return [sorted(found[key], key=lambda r: r.image_size) for key in sorted(found)]


def _between(small: FloatRow, large: FloatRow, size: int) -> float:
    """Return top-1 at a size between those of two rows [percent]."""
    return _at((small.image_size, small.top1), (large.image_size, large.top1), size)


def _at(small: tuple[int, float], large: tuple[int, float], value: int) -> float:
    """Return what is linear in the inverse of a value, between two values with it."""
    one, other = 1 / small[0], 1 / large[0]
    share = (one - 1 / value) / (one - other)
    return small[1] + share * (large[1] - small[1])


def interpolated_networks(
    rows: Sequence[FloatRow],
) -> Mapping[tuple[str, int], PublishedNetwork]:
    """Return networks at sizes between published ones, by (zoo name, image size).

    The recipe is the one with the highest top-1 at that size. Sizes at which a network
    was published are left out, and those at which it would do no better than what was
    published at a smaller one.
    """
    known: dict[tuple[str, int], float] = {}
    for row in rows:
        if row.network is not None and row.precision is Precision.FP32:
            key = (row.network, row.image_size)
            known[key] = max(known.get(key, 0.0), row.top1)
    found: dict[tuple[str, int], FloatRow] = {}
    for series in _series(rows):
        for small, large in pairwise(series):
            assert small.network is not None
            first = small.image_size // SIZE_STEP + 1
            for size in range(first * SIZE_STEP, large.image_size, SIZE_STEP):
                key, top1 = (small.network, size), _between(small, large, size)
                best = found[key].top1 if key in found else 0.0
                if key not in known and top1 > max(best, _smaller(known, key)):
                    found[key] = replace(small, image_size=size, top1=top1)
    return _networks(found, Between.SIZES)


def _networks(
    found: Mapping[tuple[str, int], FloatRow], interpolated: Between
) -> Mapping[tuple[str, int], PublishedNetwork]:
    """Return interpolated rows as networks, by rising (zoo name, image size)."""
    return MappingProxyType(
        {
            key: PublishedNetwork(
                name=key[0],
                image_size=key[1],
                best=row,
                quantized=(),
                interpolated=interpolated,
            )
            for key, row in sorted(found.items())
        }
    )


def _widths(rows: Sequence[FloatRow]) -> list[list[tuple[int, FloatRow]]]:
    """Return width [%] and row of each line, recipe and image size, by rising width."""
    found: dict[tuple[str, str, str, int], list[tuple[int, FloatRow]]] = {}
    for row in rows:
        known = None if row.network is None else width_of(row.network)
        if known is not None and row.precision is Precision.FP32:
            line, width = known
            key = (line, row.recipe, row.source, row.image_size)
            found.setdefault(key, []).append((width, row))
    return [sorted(found[key], key=lambda each: each[0]) for key in sorted(found)]


def interpolated_widths(
    rows: Sequence[FloatRow],
) -> Mapping[tuple[str, int], PublishedNetwork]:
    """Return networks of widths between published ones, by (zoo name, image size).

    At image sizes at which both neighbours were published with one recipe; of several
    recipes, the one with the highest top-1. What was published itself is left out.
    """
    known = {(row.network, row.image_size) for row in rows}
    found: dict[tuple[str, int], FloatRow] = {}
    for series in _widths(rows):
        for (low, small), (high, large) in pairwise(series):
            assert small.network is not None
            line, _ = width_of(small.network) or ("", 0)
            first = low // WIDTH_STEP + 1
            for width in range(first * WIDTH_STEP, high, WIDTH_STEP):
                name = name_of_width(line, width)
                if name is None or (name, small.image_size) in known:
                    continue
                key = (name, small.image_size)
                top1 = _at((low, small.top1), (high, large.top1), width)
                if key not in found or top1 > found[key].top1:
                    found[key] = replace(
                        small,
                        network=name,
                        architecture=f"{line} between {low} and {high} % width",
                        width=f"{width / 100:g}",
                        top1=top1,
                        params=0,
                    )
    return _networks(found, Between.WIDTHS)


def _smaller(known: Mapping[tuple[str, int], float], key: tuple[str, int]) -> float:
    """Return the best top-1 of a network at a smaller size than that of a key."""
    network, size = key
    return max(t for (other, at), t in known.items() if other == network and at < size)


@cache
def networks_between() -> Mapping[tuple[str, int], PublishedNetwork]:
    """Return those of the shipped accuracies.

    Raises:
        InputError: The shipped file is missing or malformed.
    """
    return interpolated_networks(load_float_rows())


@cache
def widths_between() -> Mapping[tuple[str, int], PublishedNetwork]:
    """Return networks of widths between those of the shipped accuracies.

    Raises:
        InputError: The shipped file is missing or malformed.
    """
    return interpolated_widths(load_float_rows())


@cache
def known_networks() -> Mapping[tuple[str, int], PublishedNetwork]:
    """Return published and interpolated networks by (zoo name, image size).

    Raises:
        InputError: The shipped file is missing or malformed.
    """
    return MappingProxyType(
        {**published_networks(), **networks_between(), **widths_between()}
    )
