"""Why operations are refused that users are likely to meet, and what to do instead."""

SMOOTH = "no smooth functions inside a network; train with ReLU or ReLU6 instead"
ENLARGES = "maps never grow; classify, or leave what enlarges the map to the host"
NORM = "statistics of the frame at hand; train with BatchNormalization instead"
ATTENTION = "no products of two maps; use convolutions instead"
LOOPS = "no recurrence and no branches; unroll the model, or use convolutions"
SPLITS = "maps are neither split nor joined; add maps of equal channels instead"
FLAT = (
    "windows are two-dimensional; write those over a signal with height 1 (Conv2d, "
    "MaxPool2d), and volumes as channels of a map"
)


def for_each(reason: str, operators: str) -> dict[str, str]:
    """Return a reason by each of the operators that a text lists."""
    return dict.fromkeys(operators.split(), reason)
