"""Why operations are refused that users are likely to meet, and what to do instead."""

from collections.abc import Mapping

SMOOTH = "no smooth functions inside a network; train with ReLU or ReLU6 instead"
ENLARGES = "maps never grow; classify, or leave what enlarges the map to the host"
NORM = "statistics of the frame at hand; train with BatchNormalization instead"
ATTENTION = "no products of two maps; use convolutions instead"
LOOPS = "no recurrence and no branches; unroll the model, or use convolutions"
SPLITS = "maps are neither split nor joined; add maps of equal channels instead"
SLOPES = "slopes below 0; train with ReLU or ReLU6 instead"
PATCHES = "pixels and channels keep their places; train without shuffles and patches"
PADDING = "maps are padded by zeros; train so"
FLAT = (
    "windows are two-dimensional; write those over a signal with height 1 (Conv2d, "
    "MaxPool2d), and volumes as channels of a map"
)


def by_operator(table: Mapping[str, str]) -> dict[str, str]:
    """Return the reason for each of the operators that a table lists by reason."""
    return {each: reason for reason, listed in table.items() for each in listed.split()}
