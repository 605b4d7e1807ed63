"""How a tensor of a file lies over the feature map of a layer.

Files flatten, transpose, squeeze and pad feature maps; layers know one order,
(batch, channels, height, width). A `FeatureMap` says which axes each dimension of the
tensor runs over, outermost first: after a transpose to channels-last and a flatten,
an OFM of 8x4x4 is ((), (HEIGHT, WIDTH, CHANNEL)). Axes of size 1 are left out, so that
squeezing changes nothing that matters. Moving data around is then arithmetic on
tuples; no layer is needed, and an order that no layer can follow is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import prod

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError, UnsupportedError
from hao.ir.layer import Padding
from hao.ir.tensor import Shape


class Axis(Enum):
    """Axis of a batch of feature maps."""

    BATCH = "batch"
    CHANNEL = "channel"
    HEIGHT = "height"
    WIDTH = "width"


Dimension = tuple[Axis, ...]

CHANNELS_FIRST = (Axis.BATCH, Axis.CHANNEL, Axis.HEIGHT, Axis.WIDTH)
CHANNELS_LAST = (Axis.BATCH, Axis.HEIGHT, Axis.WIDTH, Axis.CHANNEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMap:
    """A tensor that depends on the input of the network.

    Attributes:
        layer: Layer whose OFM it holds.
        batch: Frames in the tensor.
        shape: OFM of the layer.
        dimensions: For each dimension of the tensor the axes it runs over, outermost
            first; empty for size 1.
        padding: Zeros around the OFM that the next window layer has to take in.
        nonnegative: No value is below 0.
    """

    layer: str
    batch: int
    shape: Shape
    dimensions: tuple[Dimension, ...]
    padding: Padding = field(default_factory=Padding)
    nonnegative: bool = False

    def size(self, axis: Axis) -> int:
        """Return the size of an axis."""
        match axis:
            case Axis.BATCH:
                return self.batch
            case Axis.CHANNEL:
                return self.shape.channels
            case Axis.HEIGHT:
                return self.shape.height
            case Axis.WIDTH:
                return self.shape.width

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the shape of the tensor in the file, without pending padding."""
        return tuple(prod(map(self.size, axes)) for axes in self.dimensions)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Return all axes larger than 1, in memory order."""
        return tuple(axis for axes in self.dimensions for axis in axes)

    def arranged(self, order: Sequence[Axis]) -> bool:
        """Return whether each dimension is the one axis that `order` names."""
        return self.dimensions == one_axis_each(self, order)

    def after(self, layer: str, shape: Shape, *, nonnegative: bool) -> "FeatureMap":
        """Return the map of a layer that kept the arrangement; sizes may become 1."""
        moved = replace(
            self,
            layer=layer,
            shape=shape,
            padding=Padding(),
            nonnegative=nonnegative,
        )
        kept = tuple(
            tuple(axis for axis in axes if moved.size(axis) > 1)
            for axes in self.dimensions
        )
        return replace(moved, dimensions=kept)


def one_axis_each(
    feature_map: FeatureMap, order: Sequence[Axis]
) -> tuple[Dimension, ...]:
    """Return dimensions of one axis each; empty where an axis has size 1."""
    return tuple((axis,) if feature_map.size(axis) > 1 else () for axis in order)


def stand_in(
    layer: str, sizes: Sequence[int], *, like: FeatureMap | None
) -> FeatureMap:
    """Return a map for what an operator makes that cannot be read.

    It only lets the rest of a file be looked at; no network is made of it.

    Args:
        layer: Name for it.
        sizes: Shape of the tensor; empty if unknown.
        like: What the operator reads, whose shape is taken where none is known.
    """
    if len(sizes) == 4 and min(sizes) > 0:
        # A map of one pixel or channel is arranged both ways: first is meant then.
        orders: tuple[Sequence[Axis], ...] = (CHANNELS_FIRST, CHANNELS_LAST)
        fitting = [one for one in orders if like is not None and like.arranged(one)]
        order = next(iter(fitting), CHANNELS_FIRST)
        channels, height, width = (sizes[order.index(a)] for a in CHANNELS_FIRST[1:])
        shape = Shape(channels=channels, height=height, width=width)
    elif len(sizes) == 2 and min(sizes) > 0:
        shape = Shape(channels=sizes[1], height=1, width=1)
        order = CHANNELS_FIRST[:2]
    elif like is not None:
        return replace(like, padding=Padding())
    else:
        shape, order = Shape(channels=1, height=1, width=1), CHANNELS_FIRST
    made = FeatureMap(
        layer=layer, batch=sizes[0] if sizes else 1, shape=shape, dimensions=()
    )
    return replace(made, dimensions=one_axis_each(made, order))


def transpose(feature_map: FeatureMap, permutation: Sequence[int]) -> FeatureMap:
    """Return the tensor with its dimensions in another order.

    Args:
        feature_map: The tensor before.
        permutation: For each new dimension the old one.
    """
    moved = tuple(feature_map.dimensions[i] for i in permutation)
    return replace(feature_map, dimensions=moved)


def reshape(feature_map: FeatureMap, sizes: Sequence[int], *, node: str) -> FeatureMap:
    """Return the tensor with its dimensions merged, or split where axes meet.

    Args:
        feature_map: The tensor before.
        sizes: New shape, with as many elements as the old one; one size may be -1,
            for what is left.
        node: What to call the operator in an error.

    Raises:
        InputError: The sizes do not fit.
        UnsupportedError: A new dimension begins or ends inside an axis.
    """
    elements = prod(feature_map.sizes)
    known = prod(size for size in sizes if size != -1)
    rest = elements // known if known > 0 else 0
    filled = tuple(rest if size == -1 else size for size in sizes)
    if prod(filled) != elements or min(filled, default=1) < 1:
        raise InputError(f"{node}: reshapes {feature_map.sizes} to {tuple(sizes)}")
    dimensions = regroup(feature_map, feature_map.axes, filled)
    if dimensions is None:
        raise UnsupportedError(
            f"{node}: reshapes {feature_map.sizes} to {tuple(sizes)}, which cuts "
            "through channels or rows; handled: flattening, adding or removing sizes "
            "of 1; train without channel shuffles and patches"
        )
    return replace(feature_map, dimensions=dimensions)


def regroup(
    feature_map: FeatureMap, axes: Sequence[Axis], sizes: Sequence[int]
) -> tuple[Dimension, ...] | None:
    """Return which axes each of `sizes` runs over; None if one ends inside an axis.

    Args:
        feature_map: Gives the sizes of the axes.
        axes: Memory order; axes of size 1 need not be left out.
        sizes: Shape of the tensor.
    """
    left = [axis for axis in axes if feature_map.size(axis) > 1]
    dimensions: list[Dimension] = []
    for size in sizes:
        dimension: list[Axis] = []
        while prod(map(feature_map.size, dimension)) < size and left:
            dimension.append(left.pop(0))
        if prod(map(feature_map.size, dimension)) != size:
            return None
        dimensions.append(tuple(dimension))
    return None if left else tuple(dimensions)


def per_channel(
    feature_map: FeatureMap, constant: NDArray[np.generic], *, node: str
) -> NDArray[np.generic]:
    """Return a constant that meets the tensor elementwise as one value per channel.

    Returns:
        Shape (1,) if it is the same everywhere, else (channels,).

    Raises:
        UnsupportedError: The constant varies along another axis, or is larger than
            the tensor.
    """
    if constant.size == 1:
        return constant.reshape(1)
    missing = len(feature_map.dimensions) - constant.ndim
    split: list[int] = []
    axes: list[Axis] = []
    if missing >= 0:
        aligned = (1,) * missing + constant.shape
        for size, whole, dimension in zip(
            aligned, feature_map.sizes, feature_map.dimensions, strict=True
        ):
            if size not in (1, whole):
                break
            axes.extend(dimension)
            split.extend(feature_map.size(a) if size > 1 else 1 for a in dimension)
        else:
            return _along_channels(constant.reshape(split), axes, node)
    raise UnsupportedError(
        f"{node}: a constant of shape {constant.shape} meets a feature map of shape "
        f"{feature_map.sizes}; handled: one value, or one per channel"
    )


def _along_channels(
    split: NDArray[np.generic], axes: Sequence[Axis], node: str
) -> NDArray[np.generic]:
    """Return the values along the channel axis of an array of one axis each."""
    for position, axis in enumerate(axes):
        if axis is Axis.CHANNEL or split.shape[position] == 1:
            continue
        first = split.take([0], axis=position)
        if not np.array_equal(np.broadcast_to(first, split.shape), split):
            raise UnsupportedError(
                f"{node}: a constant varies along the {axis.value}; handled: one "
                "value, or one per channel"
            )
        split = first
    return split.reshape(-1)
