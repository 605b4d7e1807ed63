"""The layers with weights or windows that operators become, one function per kind.

Importers translate the spelling of their format and call these functions with plain
numbers; what the network can hold, and what is refused, is decided here once. A
`Piece` is what one operator adds to the network.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from hao.errors import InputError, UnsupportedError
from hao.frontends.feature_map import (
    CHANNELS_FIRST,
    Axis,
    FeatureMap,
    one_axis_each,
)
from hao.frontends.piece_types import (
    Array,
    NodeSite,
    Order,
    Piece,
    Weight,
    Window,
    check_no_padding,
)
from hao.frontends.taps import dense_groups, square_taps
from hao.ir.layer import (
    Conv,
    Depthwise,
    GlobalAveragePool,
    Linear,
    Padding,
    Pool,
    PoolKind,
    window_shape,
)
from hao.ir.tensor import Shape


def conv_piece(
    site: NodeSite,
    x: FeatureMap,
    *,
    weight: Weight,
    bias: Array | None,
    window: Window,
    groups: int,
    order: Order = CHANNELS_FIRST,
) -> Piece:
    """Return a dense or depthwise convolution.

    Groups that are no depthwise convolution are run dense, with weights of 0 between
    the groups; a rectangular kernel as a square one, with taps of weight 0.

    Args:
        site: Where it stands.
        x: Its input, arranged in `order`.
        weight: Shape (ofm_channels, ifm_channels / groups, height, width).
        bias: Shape (ofm_channels,), or None.
        window: Its kernel must be that of the weights.
        groups: Divides both numbers of channels.
        order: Of the tensors before and after.

    Raises:
        InputError: Shapes disagree.
        UnsupportedError: Two strides, or another arrangement.
    """
    _check_arranged(site, x, order)
    ifm_channels, ofm_channels = x.shape.channels, weight.values.shape[0]
    if groups < 1 or ifm_channels % groups or ofm_channels % groups:
        raise InputError(
            f"{site.label}: {groups} groups of {ifm_channels} to {ofm_channels} "
            "channels; must divide both"
        )
    _check_weights(site, weight, (ofm_channels, ifm_channels // groups, *window.kernel))
    window = window.square(site, x, taps=True)
    kernel, stride = window.kernel[0], window.stride[0]
    weight = replace(weight, values=square_taps(weight.values, kernel))
    depthwise = groups > 1 and groups == ifm_channels == ofm_channels
    notes: tuple[str, ...] = ()
    if groups > 1 and not depthwise:
        weight = replace(weight, values=dense_groups(weight.values, groups))
        notes = (
            f"{site.label}: {groups} groups of {ifm_channels // groups} to "
            f"{ofm_channels // groups} channels are run as one dense convolution with "
            f"zeros between the groups, {groups} times the products",
        )
    padding = x.padding + window.padding
    kind = Depthwise if depthwise else Conv
    ofm = _ofm(site, x, ofm_channels, kernel=kernel, stride=stride, padding=padding)
    layer = kind(
        name=site.layer,
        input=x.layer,
        ifm=x.shape,
        ofm=ofm,
        kernel=kernel,
        stride=stride,
        padding=padding,
        bias=bias is not None,
        weight=weight.quant,
    )
    after = x.after(site.layer, ofm, nonnegative=False)
    value = replace(after, dimensions=one_axis_each(after, order))
    return Piece(
        value=value,
        layers=(layer,),
        params=_compute_params(site, weight, bias, ofm_channels),
        notes=notes,
    )


def linear_piece(
    site: NodeSite, x: FeatureMap, *, weight: Weight, bias: Array | None
) -> Piece:
    """Return a fully connected layer over the last dimension of a tensor.

    Over channels alone, on a map of several pixels, it is a 1x1 convolution.

    Args:
        site: Where it stands.
        x: Its last dimension runs over all that one frame has, or its channels.
        weight: Shape (ofm_channels, features), features in the order of the file.
        bias: Shape (ofm_channels,), or None.

    Raises:
        InputError: Shapes disagree.
        UnsupportedError: It mixes frames or leaves some axis of a frame apart.
    """
    check_no_padding(site, x)
    features = x.dimensions[-1] if x.dimensions else ()
    frame_axes = {axis for axis in CHANNELS_FIRST[1:] if x.size(axis) > 1}
    if features == (Axis.CHANNEL,) and set(features) != frame_axes:
        return _pointwise_piece(site, x, weight=weight, bias=bias)
    if set(features) != frame_axes:
        raise UnsupportedError(
            f"{site.label}: multiplies the last dimension of {x.sizes} only; handled: "
            "tensors flattened to (batch, features), or channels in the last dimension"
        )
    ofm_channels = weight.values.shape[0]
    _check_weights(site, weight, (ofm_channels, x.shape.elements))
    ofm = Shape(channels=ofm_channels, height=1, width=1)
    layer = Linear(
        name=site.layer,
        input=x.layer,
        ifm=x.shape,
        ofm=ofm,
        bias=bias is not None,
        weight=weight.quant,
    )
    ordered = replace(
        weight, values=_channels_first_columns(weight.values, x, features)
    )
    after = x.after(site.layer, ofm, nonnegative=False)
    last = (Axis.CHANNEL,) if ofm_channels > 1 else ()
    return Piece(
        value=replace(after, dimensions=(*after.dimensions[:-1], last)),
        layers=(layer,),
        params=_compute_params(site, ordered, bias, ofm_channels),
    )


def _pointwise_piece(
    site: NodeSite, x: FeatureMap, *, weight: Weight, bias: Array | None
) -> Piece:
    """Return a 1x1 convolution of a tensor whose last dimension is the channels."""

    def on_taps(values: Array) -> Array:
        return values if values.ndim < 2 else values[:, :, None, None]

    taps = replace(
        weight,
        values=on_taps(weight.values),
        scale=on_taps(weight.scale),
        zero_point=on_taps(weight.zero_point),
    )
    first = replace(x, dimensions=one_axis_each(x, CHANNELS_FIRST))
    window = Window(kernel=(1, 1))
    piece = conv_piece(site, first, weight=taps, bias=bias, window=window, groups=1)
    last = (Axis.CHANNEL,) if piece.value.shape.channels > 1 else ()
    return replace(
        piece, value=replace(piece.value, dimensions=(*x.dimensions[:-1], last))
    )


def pool_piece(
    site: NodeSite,
    x: FeatureMap,
    *,
    kind: PoolKind,
    window: Window,
    uncounted: Padding | None = None,
    order: Order = CHANNELS_FIRST,
) -> Piece:
    """Return a pooling layer; an average over the whole map becomes a global one.

    Args:
        site: Where it stands.
        x: Its input, arranged in `order`.
        kind: What a window computes.
        window: Its size, and its own padding.
        uncounted: Part of that padding by which an average does not divide; `None`
            for none.
        order: Of the tensors before and after.

    Raises:
        InputError: The window does not fit.
        UnsupportedError: A rectangular window inside a map, another arrangement, zeros
            around a map whose maximum they could change, or a maximum of padding alone.
    """
    _check_arranged(site, x, order)
    whole = window.kernel == (x.shape.height, x.shape.width)
    padding = x.padding + window.padding
    if kind is PoolKind.AVERAGE and whole and padding == Padding():
        return global_average_piece(site, x)
    square = window.square(site, x, taps=False)
    kernel, stride = square.kernel[0], square.stride[0]
    grown = square.uncounted(window, counts=True)
    padding += grown
    channels = x.shape.channels
    ofm = _ofm(site, x, channels, kernel=kernel, stride=stride, padding=padding)
    if kind is PoolKind.MAX:
        _check_picks(site, x, ofm, (kernel, stride), padding)
    else:
        uncounted = (uncounted or Padding()) + grown
    layer = Pool(
        name=site.layer,
        input=x.layer,
        ifm=x.shape,
        ofm=ofm,
        kernel=kernel,
        stride=stride,
        padding=padding,
        kind=kind,
        uncounted=uncounted or Padding(),
    )
    value = x.after(site.layer, ofm, nonnegative=x.nonnegative)
    return Piece(value=value, layers=(layer,))


def _check_picks(
    site: NodeSite,
    x: FeatureMap,
    ofm: Shape,
    window: tuple[int, int],
    padding: Padding,
) -> None:
    """Refuse a maximum that zeros could change, or some of whose windows have none."""
    if x.padding != Padding() and not x.nonnegative:
        raise UnsupportedError(
            f"{site.label}: takes the maximum over padded zeros; handled: zeros "
            "around values that are not negative, or padding by the pool itself"
        )
    kernel, stride = window
    begins = max(padding.top, padding.left)
    low = (ofm.height - 1) * stride >= padding.top + x.shape.height
    right = (ofm.width - 1) * stride >= padding.left + x.shape.width
    if begins >= kernel or low or right:
        raise UnsupportedError(
            f"{site.label}: takes the maximum of padding alone; handled: windows with "
            "a pixel; pad by less than the kernel"
        )


def global_average_piece(site: NodeSite, x: FeatureMap) -> Piece:
    """Return the average over all pixels; nothing where there is one pixel."""
    check_no_padding(site, x)
    if x.shape.pixels == 1:
        return Piece(value=x)
    ofm = Shape(channels=x.shape.channels, height=1, width=1)
    layer = GlobalAveragePool(name=site.layer, input=x.layer, ifm=x.shape, ofm=ofm)
    value = x.after(site.layer, ofm, nonnegative=x.nonnegative)
    return Piece(value=value, layers=(layer,))


def pixels_piece(
    site: NodeSite,
    x: FeatureMap,
    kind: PoolKind,
    *,
    dimensions: Collection[int],
    dropped: Collection[int],
) -> Piece:
    """Return the mean or maximum over some dimensions of a tensor, if all are pixels.

    Args:
        site: Where it stands.
        x: Its input.
        kind: Mean or maximum.
        dimensions: That it goes over.
        dropped: Those that do not stay, with size 1.

    Raises:
        UnsupportedError: It runs over channels, frames, or some pixels only.
    """
    axes = {axis for d in dimensions for axis in x.dimensions[d]}
    pixels = {a for a in (Axis.HEIGHT, Axis.WIDTH) if x.size(a) > 1}
    if axes != pixels:
        raise UnsupportedError(
            f"{site.label}: goes over axes {tuple(sorted(dimensions))} of {x.sizes}; "
            "handled: over height and width"
        )
    if kind is PoolKind.MAX and pixels:
        window = Window(kernel=(x.shape.height, x.shape.width))
        # In which order it goes over them does not matter.
        check_no_padding(site, x)
        plain = replace(x, dimensions=one_axis_each(x, CHANNELS_FIRST))
        piece = pool_piece(site, plain, kind=kind, window=window)
    else:
        piece = global_average_piece(site, x)
    left = tuple(
        tuple(axis for axis in dimension if axis not in pixels)
        for position, dimension in enumerate(x.dimensions)
        if position not in dropped
    )
    return replace(piece, value=replace(piece.value, dimensions=left))


def _compute_params(
    site: NodeSite, weight: Weight, bias: Array | None, ofm_channels: int
) -> dict[str, Array]:
    params = {f"{site.layer}.weight": weight.values}
    if bias is not None:
        if bias.size not in (1, ofm_channels):
            raise InputError(
                f"{site.label}: bias of shape {bias.shape}; must be ({ofm_channels},)"
            )
        params[f"{site.layer}.bias"] = np.broadcast_to(bias.ravel(), (ofm_channels,))
    if weight.quant is not None:
        rank = weight.values.ndim
        params[f"{site.layer}.weight_scale"] = _per_row(site, weight.scale, rank)
        params[f"{site.layer}.weight_zero_point"] = _per_row(
            site, weight.zero_point, rank
        )
    return params


def _per_row(site: NodeSite, values: Array, rank: int) -> Array:
    """Return (1,), or (ofm_channels,) from values that vary along the first axis."""
    if values.size == 1:
        return values.reshape(1)
    if values.ndim == rank and prod(values.shape[1:]) == 1:
        return values.reshape(-1)
    raise UnsupportedError(
        f"{site.label}: weight scales of shape {values.shape}; handled: one value, or "
        "one per output channel; quantize weights along axis 0"
    )


def _channels_first_columns(
    weight: Array, x: FeatureMap, features: Sequence[Axis]
) -> Array:
    """Return weight columns reordered from the order of the file to the layer's."""
    order = [axis for axis in CHANNELS_FIRST if axis in features]
    split = weight.reshape(len(weight), *(x.size(axis) for axis in features))
    positions = [0, *(1 + list(features).index(axis) for axis in order)]
    return split.transpose(positions).reshape(weight.shape)


def _check_arranged(site: NodeSite, x: FeatureMap, order: Order) -> None:
    if not x.arranged(order):
        names = ", ".join(axis.value for axis in order)
        raise UnsupportedError(
            f"{site.label}: reads a tensor of shape {x.sizes} that is not arranged as "
            f"({names})"
        )


def _check_weights(site: NodeSite, weight: Weight, shape: tuple[int, ...]) -> None:
    if weight.values.shape != shape:
        raise InputError(
            f"{site.label}: weights of shape {weight.values.shape}; must be {shape}"
        )


def _ofm(
    site: NodeSite,
    x: FeatureMap,
    channels: int,
    *,
    kernel: int,
    stride: int,
    padding: Padding,
) -> Shape:
    if kernel < 1 or stride < 1:
        raise InputError(
            f"{site.label}: kernel {kernel}, stride {stride}; must be at least 1"
        )
    try:
        return window_shape(
            x.shape, channels=channels, kernel=kernel, stride=stride, padding=padding
        )
    except InputError as error:
        raise InputError(f"{site.label}: {error}") from error
