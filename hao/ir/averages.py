"""By how many pixels an average divides, border included.

Padding that an average leaves out makes it divide by fewer pixels at the border. Sums
there are multiplied first, so that one division does for all: with L the least common
multiple of 1 to the kernel's size, a window of r rows and c columns counts
(L / r) * (L / c) times, and every sum is of L * L pixels. That is exact in integers.
"""

from math import lcm

import numpy as np
from numpy.typing import NDArray

from hao.ir.layer import GlobalAveragePool, Padding, Pool


def kernel_shares(kernel: int) -> tuple[int, ...]:
    """Return how often a row or column counts where a window has 1 to `kernel`."""
    whole = lcm(*range(1, kernel + 1))
    return tuple(whole // count for count in range(1, kernel + 1))


def mean_pixels(layer: Pool | GlobalAveragePool) -> int:
    """Return the pixels of every sum that an average divides."""
    if isinstance(layer, GlobalAveragePool):
        return layer.ifm.pixels
    if layer.uncounted == Padding():
        return layer.kernel**2
    return kernel_shares(layer.kernel)[0] ** 2


def counted_pixels(layer: Pool) -> NDArray[np.int64]:
    """Return the pixels that each average divides by, shape (ofm_height, ofm_width)."""
    rows, columns = _counted(layer)
    return np.outer(rows, columns)


def border_factors(layer: Pool) -> NDArray[np.int64]:
    """Return by what sums are multiplied, shape (ofm_height, ofm_width).

    1 where all padding counts; otherwise `mean_pixels` over the pixels that count.
    """
    if layer.uncounted == Padding():
        return np.ones((layer.ofm.height, layer.ofm.width), dtype=np.int64)
    shares = np.array(kernel_shares(layer.kernel))
    rows, columns = _counted(layer)
    return np.outer(shares[rows - 1], shares[columns - 1])


def _counted(layer: Pool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and the columns of each window that count."""
    pads, out = layer.padding, layer.uncounted
    height = layer.ifm.height + pads.top + pads.bottom
    width = layer.ifm.width + pads.left + pads.right
    rows = np.arange(layer.ofm.height, dtype=np.int64) * layer.stride
    columns = np.arange(layer.ofm.width, dtype=np.int64) * layer.stride
    return (
        np.minimum(rows + layer.kernel, height - out.bottom)
        - np.maximum(rows, out.top),
        np.minimum(columns + layer.kernel, width - out.right)
        - np.maximum(columns, out.left),
    )
