"""PyTorch's own modules that hold tensors, or pad, as pieces of a network."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from hao.errors import UnsupportedError
from hao.frontends.feature_map import per_channel
from hao.frontends.from_torch.call import TorchCall
from hao.frontends.from_torch.functions import around
from hao.frontends.piece_types import Array, Piece, Weight, Window
from hao.frontends.pieces import conv_piece, linear_piece
from hao.frontends.pointwise_pieces import affine_piece
from hao.frontends.taps import spread_taps
from hao.ir.layer import Padding


def read_conv(call: TorchCall) -> Piece:
    """Return the convolution of a Conv2d."""
    conv = call.of(nn.Conv2d)
    if conv.padding_mode != "zeros":
        raise UnsupportedError(
            f"{call.site.label}: padding_mode {conv.padding_mode!r}; handled: zeros; "
            "train with padding_mode='zeros'"
        )
    weight = Weight(values=_array_of(conv.weight))
    weight = spread_taps(call.site, weight, call.pair(5, "dilation"))
    kernel = (weight.values.shape[2], weight.values.shape[3])
    if conv.padding == "same":
        # PyTorch puts the odd one behind.
        padding = Padding.halved(kernel[0] - 1, kernel[1] - 1)
    elif conv.padding == "valid":
        padding = Padding()
    else:
        padding = around(call.pair(4, "padding"))
    return conv_piece(
        call.site,
        call.x,
        weight=weight,
        bias=None if conv.bias is None else _array_of(conv.bias),
        window=Window(kernel=kernel, stride=call.pair(3, "stride"), padding=padding),
        groups=conv.groups,
    )


def read_linear(call: TorchCall) -> Piece:
    """Return the layer of a Linear."""
    linear = call.of(nn.Linear)
    bias = None if linear.bias is None else _array_of(linear.bias)
    weight = Weight(values=_array_of(linear.weight))
    return linear_piece(call.site, call.x, weight=weight, bias=bias)


def read_batch_norm(call: TorchCall) -> Piece:
    """Return the scale and shift of a BatchNorm in evaluation mode."""
    norm = call.module
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    if norm.running_mean is None or norm.running_var is None:
        raise UnsupportedError(
            f"{call.site.label}: no running statistics; handled: "
            "track_running_stats=True; train with it"
        )
    mean = _array_of(norm.running_mean).astype(np.float64)
    scale = 1 / np.sqrt(_array_of(norm.running_var).astype(np.float64) + norm.eps)
    shift = -mean * scale
    if norm.affine:
        gamma = _array_of(norm.weight).astype(np.float64)
        scale = scale * gamma
        shift = _array_of(norm.bias).astype(np.float64) + shift * gamma
    kind = _array_of(norm.running_mean).dtype
    rank = len(call.x.dimensions)
    along = (1, -1) + (1,) * (rank - 2)
    label = call.site.label
    return affine_piece(
        call.site,
        call.x,
        scale=per_channel(call.x, scale.reshape(along), node=label).astype(kind),
        shift=per_channel(call.x, shift.reshape(along), node=label).astype(kind),
    )


def read_zero_pad(call: TorchCall) -> Piece:
    """Return the map with the padding of a ZeroPad2d."""
    left, right, top, bottom = call.of(nn.ZeroPad2d).padding
    own = Padding(top=top, left=left, bottom=bottom, right=right)
    return Piece(value=replace(call.x, padding=call.x.padding + own))


def _array_of(tensor: torch.Tensor) -> Array:
    """Return a tensor as an array of float32 or float64."""
    values = tensor.detach().cpu()
    if values.dtype not in (torch.float32, torch.float64):
        values = values.float()
    array: Array = values.numpy()
    return array
