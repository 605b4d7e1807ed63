"""Weights of convolutions that the engine has not, as weights of those it has.

Kernels that skip pixels, that are not square, and groups become dense square kernels
with zeros where the file has no weight: equal products, and more of them.
"""

from dataclasses import replace

import numpy as np

from hao.errors import UnsupportedError
from hao.frontends.piece_types import Array, NodeSite, Weight
from hao.ir.partition import MAX_KERNEL


def spread_taps(site: NodeSite, weight: Weight, dilations: tuple[int, int]) -> Weight:
    """Return weights of a dilated kernel, with taps of 0 where it skips pixels.

    Args:
        site: Where it stands.
        weight: Shape (ofm_channels, ifm_channels / groups, height, width).
        dilations: How far apart taps are, by height and width.

    Raises:
        UnsupportedError: It spreads over more pixels than the engine's kernels do.
    """
    rows, columns = dilations
    shape = weight.values.shape
    sizes = ((shape[2] - 1) * rows + 1, (shape[3] - 1) * columns + 1)
    if dilations == (1, 1):
        return weight
    if max(sizes) > MAX_KERNEL:
        raise UnsupportedError(
            f"{site.label}: a kernel of {shape[2]}x{shape[3]} with dilations {rows} "
            f"and {columns} spreads over {sizes[0]}x{sizes[1]} pixels; handled: up to "
            f"{MAX_KERNEL}x{MAX_KERNEL}; use less dilation, or more layers"
        )
    spread = np.zeros((*shape[:2], *sizes), dtype=weight.values.dtype)
    spread[:, :, ::rows, ::columns] = weight.values
    return replace(weight, values=spread)


def square_taps(weight: Array, kernel: int) -> Array:
    """Return weights whose kernel is square, zeros below and on the right."""
    rows, columns = kernel - weight.shape[2], kernel - weight.shape[3]
    if rows == columns == 0:
        return weight
    return np.pad(weight, ((0, 0), (0, 0), (0, rows), (0, columns)))


def dense_groups(weight: Array, groups: int) -> Array:
    """Return weights over all input channels, zeros outside a channel's group."""
    outputs, inputs = len(weight) // groups, weight.shape[1]
    dense = np.zeros(
        (len(weight), groups * inputs, *weight.shape[2:]), dtype=weight.dtype
    )
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        dense[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return dense
