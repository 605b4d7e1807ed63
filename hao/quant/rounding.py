"""Which way is a weight rounded so that the sums of its layer change least?

First the weights move so that the layer, reading the quantized network's maps x', sums
up to what it does in floating point, reading x: by least squares, with H the mean of
x' x'^T over the windows and G that of (x - x') x'^T, they gain  w G (H + shrink)^-1.
The shrinkage keeps few frames from moving them far. Rounding to the targets of the
float network is the idea of Qronos (Zhang et al., arXiv:2505.11695).

Then GPTQ (Frantar et al., arXiv:2210.17323): weights are rounded one input after the
other, those of the most energy first, and what a rounding adds to the sums is taken out
by the weights that are not rounded yet. With U the upper Cholesky factor of the inverse
of H, the weights of input i move by  -(w_k - q_k) U_ki / U_kk  when k is rounded.

Brevitas has GPTQ, which serves as the test; it takes minutes for the depthwise layers
of a network, whose channels it does in turn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hao.errors import InputError
from hao.ir.layer import Compute, Depthwise, Linear
from hao.ir.tensor import QType
from hao.quant.modules import padded

MOST_TERMS = 6144
"""Products of a sum up to which roundings are fitted: H and its factor then take 600 MB
(chosen here; above lie the first dense layers of VGG and AlexNet)."""

DAMPING = 0.01
"""Part of the mean energy that is added to that of every input; Brevitas' default."""

SHRINKAGE = 0.1
"""The same for the step towards the float network's sums; on EfficientNet-Lite0 at 4
bits 0.1 and 0.01 keep as many classes, 0.1 loses less of the logits."""

BLOCK = 128
"""Inputs after which the weights behind them are moved; Brevitas' order of size."""

BATCH_VALUES = 2**23
"""Values of the windows that are held at a time, at most; chosen here."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Energy:
    """What a layer reads, as means over its windows, in doubles.

    Both have shape (groups, terms, terms); a group is a channel of a depthwise layer,
    or all channels.

    Attributes:
        own: Of x' x'^T, x' what it reads in the quantized network.
        missing: Of (x - x') x'^T, x what it reads in floating point.
    """

    own: Tensor
    missing: Tensor


def window_energy(layer: Compute, exact: Tensor, rounded: Tensor) -> Energy:
    """Return the energy of the windows of a layer.

    Args:
        layer: The layer.
        exact: What it reads in floating point, shape (batch, channels, height, width).
        rounded: What it reads in the quantized network, of the same shape.

    Raises:
        InputError: It reads values whose squares are too large to sum.
    """
    groups = layer.ofm.channels if isinstance(layer, Depthwise) else 1
    size = max(1, BATCH_VALUES // (groups * layer.terms * layer.ofm.pixels))
    own = torch.zeros(groups, layer.terms, layer.terms, dtype=torch.float64)
    missing = torch.zeros_like(own)
    for start in range(0, len(rounded), size):
        windows = _windows(layer, rounded[start : start + size])
        lost = _windows(layer, exact[start : start + size]) - windows
        own += (windows @ windows.transpose(1, 2)).double()
        missing += (lost @ windows.transpose(1, 2)).double()
    if not (own.isfinite().all() and missing.isfinite().all()):
        raise InputError(
            f"layer {layer.name!r}: squares of what it reads overflow single precision "
            "(3.4e38); the weights before it or the frames are too large, scale them "
            "down"
        )
    count = len(rounded) * layer.ofm.pixels
    return Energy(own=own / count, missing=missing / count)


def _windows(layer: Compute, x: Tensor) -> Tensor:
    """Return what is multiplied by weights, shape (groups, terms, windows)."""
    if isinstance(layer, Linear):
        return x.flatten(1).t()[None]
    inside = padded(x, layer.padding)
    if layer.kernel == 1:
        taps = inside[:, :, :: layer.stride, :: layer.stride].flatten(2)
    else:
        taps = nn.functional.unfold(inside, layer.kernel, stride=layer.stride)
    groups = layer.ofm.channels if isinstance(layer, Depthwise) else 1
    split = taps.reshape(len(x), groups, layer.terms, layer.ofm.pixels)
    return split.permute(1, 2, 0, 3).flatten(2)


def fitted_weights(
    weight: Tensor, energy: Energy, step: Tensor, quant: QType
) -> Tensor:
    """Return weights on their grid that keep the sums of a layer.

    Args:
        weight: Shape (ofm_channels, ...).
        energy: Of its windows.
        step: What a code stands for, shape (ofm_channels,).
        quant: Type of the codes.

    Returns:
        Doubles of the shape of `weight`.
    """
    own = energy.own.diagonal(dim1=1, dim2=2)
    rows = weight.double().reshape(len(own), -1, own.shape[-1])
    steps = step.double().reshape(len(own), -1, 1)
    gain = rows @ energy.missing
    damped = _damped(energy.own, SHRINKAGE)
    rows = rows + torch.linalg.solve(damped, gain.transpose(1, 2)).transpose(1, 2)
    order = own.argsort(dim=1, descending=True)
    in_turn = rows.gather(2, order[:, None].expand_as(rows))
    factor = _factor(_damped(energy.own, DAMPING), order)
    found = _rounded_in_turn(in_turn, factor, steps, quant)
    back = order.argsort(dim=1)
    sorted_back: Tensor = found.gather(2, back[:, None].expand_as(found))
    return sorted_back.reshape(weight.shape)


def _damped(energy: Tensor, part: float) -> Tensor:
    """Return energies with a part of their mean added to that of every input."""
    own = energy.diagonal(dim1=1, dim2=2)
    # Inputs that no frame uses are rounded to the nearest: 1 stands for any number.
    floor = part * own.mean(1, keepdim=True) + 1e-9 * own.mean()
    floor = torch.where(floor > 0, floor, 1.0)
    return energy + torch.diag_embed(floor.expand_as(own))


def _factor(energy: Tensor, order: Tensor) -> Tensor:
    """Return the upper Cholesky factor of the inverse, inputs in the given order."""
    down = energy.gather(1, order[:, :, None].expand_as(energy))
    both = down.gather(2, order[:, None].expand_as(energy))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(both))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor


def _rounded_in_turn(
    rows: Tensor, factor: Tensor, steps: Tensor, quant: QType
) -> Tensor:
    """Return rows rounded input by input; `rows` is used up."""
    terms = rows.shape[-1]
    found = torch.empty_like(rows)
    for first in range(0, terms, BLOCK):
        last = min(first + BLOCK, terms)
        errors = torch.empty_like(rows[:, :, first:last])
        for k in range(first, last):
            now = rows[:, :, k : k + 1]
            codes = torch.floor(now / steps + 0.5).clamp(quant.lowest, quant.highest)
            found[:, :, k : k + 1] = codes * steps
            error = (now - codes * steps) / factor[:, k, k].reshape(-1, 1, 1)
            errors[:, :, k - first : k - first + 1] = error
            rows[:, :, k + 1 : last] -= error * factor[:, k : k + 1, k + 1 : last]
        rows[:, :, last:] -= errors @ factor[:, first:last, last:]
    return found
