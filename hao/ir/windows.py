"""Sums and maxima over sliding windows, in whatever number type they are given.

The loop nests behind convolution and pooling, without scales, biases or activations.
Integers stay integers: the caller sees to it that the type holds the sums. Feature
maps have shape (batch, channels, height, width).
"""

from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hao.ir.layer import Padding

Number = TypeVar("Number", bound=np.number)


def pad_pixels(
    x: NDArray[Number], padding: Padding, *, fill: Number
) -> NDArray[Number]:
    """Return (batch, channels, height, width) with padding around every map."""
    if padding == Padding():
        return x
    rows = (padding.top, padding.bottom)
    columns = (padding.left, padding.right)
    widths = ((0, 0), (0, 0), rows, columns)
    return np.pad(x, widths, constant_values=fill)


def dense_sums(
    x: NDArray[Number], weight: NDArray[Number], *, stride: int, padding: Padding
) -> NDArray[Number]:
    """Return the sums of products of a dense convolution, without bias.

    Args:
        x: Shape (batch, ifm_channels, ifm_height, ifm_width).
        weight: Shape (ofm_channels, ifm_channels, kernel, kernel).
        stride: At least 1, in both directions.
        padding: Filled with zeros.

    Returns:
        Shape (batch, ofm_channels, ofm_height, ofm_width).
    """
    padded = pad_pixels(x, padding, fill=_zero(x))
    ofm_channels, terms = weight.shape[0], weight[0].size
    kernel = weight.shape[2]
    rows = weight.reshape(ofm_channels, terms)
    windows = sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    height, width = windows.shape[2:4]
    sums = np.empty((len(x), ofm_channels, height, width), dtype=x.dtype)
    for frame, out in zip(windows, sums, strict=True):
        # (ifm_channels, height, width, K, K) to one column of terms per pixel.
        columns = frame.transpose(0, 3, 4, 1, 2).reshape(terms, height * width)
        out[...] = (rows @ columns).reshape(ofm_channels, height, width)
    return sums


def depthwise_sums(
    x: NDArray[Number], weight: NDArray[Number], *, stride: int, padding: Padding
) -> NDArray[Number]:
    """Return the sums of products of a depthwise convolution, without bias.

    Args:
        x: Shape (batch, channels, ifm_height, ifm_width).
        weight: Shape (channels, 1, kernel, kernel).
        stride: At least 1, in both directions.
        padding: Filled with zeros.

    Returns:
        Shape (batch, channels, ofm_height, ofm_width).
    """
    padded = pad_pixels(x, padding, fill=_zero(x))
    kernel = weight.shape[2]
    taps = _taps(padded, kernel, stride)
    sums = np.zeros(taps[0].shape, dtype=x.dtype)
    for index, tap in enumerate(taps):
        row, column = divmod(index, kernel)
        sums += np.multiply(tap, weight[:, 0, row, column].reshape(1, -1, 1, 1))
    return sums


def window_sum(
    x: NDArray[Number], *, kernel: int, stride: int, padding: Padding
) -> NDArray[Number]:
    """Return the sum over each window of (batch, channels, height, width)."""
    padded = pad_pixels(x, padding, fill=_zero(x))
    taps = _taps(padded, kernel, stride)
    sums = np.zeros(taps[0].shape, dtype=x.dtype)
    for tap in taps:
        sums += tap
    return sums


def window_maximum(
    x: NDArray[Number], *, kernel: int, stride: int, padding: Padding, lowest: Number
) -> NDArray[Number]:
    """Return the maximum over each window; `lowest` fills the padding."""
    taps = _taps(pad_pixels(x, padding, fill=lowest), kernel, stride)
    best = taps[0].copy()
    for tap in taps[1:]:
        np.maximum(best, tap, out=best)
    return best


def _zero(x: NDArray[Number]) -> Number:
    zero: Number = x.dtype.type(0)
    return zero


def _taps(padded: NDArray[Number], kernel: int, stride: int) -> list[NDArray[Number]]:
    """Return for each of the kernel x kernel taps the pixels that it meets."""
    rows = (padded.shape[2] - kernel) // stride * stride + 1
    columns = (padded.shape[3] - kernel) // stride * stride + 1
    return [
        padded[:, :, row : row + rows : stride, column : column + columns : stride]
        for row in range(kernel)
        for column in range(kernel)
    ]
