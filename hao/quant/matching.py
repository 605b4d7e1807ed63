"""Which tensors of a state dict belong to which layer: by shape and order.

Names differ from one library to the next; shapes and their order hardly do. Tensors are
grouped by name into layers (a weight, perhaps a bias) and batch norms. A batch norm
belongs to the layer whose name begins its own, or else to one before it of as many
channels that has none: the one of the most similar name, the last of them. Of every
shape, the layers of the file then go to those of the network in their order; shortcuts,
where both sides name them, only to shortcuts. A file sorted by name (as safetensors) is
read in the order of the numbers in its names. Where layers of one shape stand in
another order than the rest of the file lets expect, the match is doubtful. A mapping of
the user's own goes before all that.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from os.path import commonprefix

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.layer import Compute, Linear, weight_shape
from hao.ir.network import Network

Real = NDArray[np.float64]

TORCH_EPS, OTHER_EPS = 1e-5, 1e-3
"""What batch norms add to variances; sources: torch.nn.BatchNorm2d; Keras'
BatchNormalization, TF-slim and efficientnet-pytorch."""

_WEIGHTS = ("weight", "kernel", "weights", "depthwise_kernel", "depthwise_weights")
_BIASES = ("bias", "biases")
_GAINS, _SHIFTS = ("weight", "gamma", "scale"), ("bias", "beta", "offset")
MEANS = ("running_mean", "moving_mean", "mean")
_VARIANCES = ("running_var", "moving_variance", "moving_var", "var")
_CHANNELS_LAST = ("kernel", "weights", "depthwise_kernel", "depthwise_weights")
_SHORTCUT = re.compile(r"downsample|shortcut|skip|identity|_0_conv")
_EFFICIENTNET = re.compile(r"(^|\.)_conv_stem$")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchNorm:
    """A batch norm of a file; shape (channels,) each."""

    name: str
    gain: Real
    shift: Real
    mean: Real
    variance: Real


@dataclass(slots=True, kw_only=True, eq=False)
class Stored:
    """A layer of a file.

    Attributes:
        name: In the file.
        weight: Shape (ofm_channels, ...), channels first; a 1x1 window has no axes.
        bias: Shape (ofm_channels,), or `None`.
        channels_last: Whether the file has channels last.
        norm: The batch norm behind it, or `None`.
    """

    name: str
    weight: Real
    bias: Real | None
    channels_last: bool
    norm: BatchNorm | None = None

    @property
    def is_shortcut(self) -> bool:
        """Return whether its name says that it is beside a block."""
        return _SHORTCUT.search(self.name) is not None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matched:
    """Layers of a network with those of a file.

    Attributes:
        pairs: In the order of the network.
        unused: Names of layers of the file that the network does not have.
        doubtful: Names of layers that share a shape and stand in an unexpected order.
    """

    pairs: tuple[tuple[Compute, Stored], ...]
    unused: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


_Group = dict[str, NDArray[np.generic]]
"""Tensors of one name, by their last word."""


def stored_layers(
    tensors: Mapping[str, NDArray[np.generic]], *, by_name: bool
) -> tuple[Stored, ...]:
    """Return the layers of a state dict, each with the batch norm behind it.

    Args:
        tensors: By name.
        by_name: Whether they are sorted by name, so that numbers in names count.

    Raises:
        InputError: A batch norm has no layer, or tensors of other shapes.
    """
    groups: dict[str, _Group] = {}
    if by_name:
        tensors = {key: tensors[key] for key in sorted(tensors, key=_natural)}
    for key, array in tensors.items():
        name, word = re.match(r"(?:(.*)[./])?(.*?)(?::0)?$", key).groups()  # type: ignore[union-attr] # it matches all
        if np.issubdtype(array.dtype, np.floating):
            groups.setdefault(name or "", {})[word] = array
    layers = [found for name, g in groups.items() if (found := _stored(name, g))]
    places = {name: number for number, name in enumerate(groups)}
    for name, group in groups.items():
        if norm := _norm(name, group):
            before = [layer for layer in layers if places[layer.name] < places[name]]
            _owner(norm, layers, before).norm = norm
    return tuple(layers)


def _first(group: _Group, words: Sequence[str]) -> Real | None:
    found = (group[word] for word in words if word in group)
    return next((array.astype(np.float64, copy=False) for array in found), None)


def _stored(name: str, group: _Group) -> Stored | None:
    weight = _first(group, _WEIGHTS)
    if weight is None or weight.ndim not in (2, 4):
        return None
    word = next(word for word in _WEIGHTS if word in group)
    last = word in _CHANNELS_LAST
    if last and weight.ndim == 2:
        weight = weight.T
    elif last and word.startswith("depthwise"):
        rows, columns, channels, times = weight.shape
        moved = weight.transpose(2, 3, 0, 1)
        weight = moved.reshape(channels * times, 1, rows, columns)
    elif last:
        weight = weight.transpose(3, 2, 0, 1)
    if weight.ndim == 4 and weight.shape[2:] == (1, 1):
        weight = weight[:, :, 0, 0]
    return Stored(
        name=name,
        weight=weight,
        bias=_first(group, _BIASES),
        channels_last=last,
    )


def _norm(name: str, group: _Group) -> BatchNorm | None:
    mean, variance = _first(group, MEANS), _first(group, _VARIANCES)
    if mean is None or variance is None:
        return None
    gain, shift = _first(group, _GAINS), _first(group, _SHIFTS)
    gain = np.ones_like(mean) if gain is None else gain
    shift = np.zeros_like(mean) if shift is None else shift
    shapes = {array.shape for array in (gain, shift, mean, variance)}
    if shapes != {(mean.size,)}:
        raise InputError(
            f"batch norm {name!r} of the file: tensors of shapes "
            f"{', '.join(map(str, sorted(shapes)))}; must all be (channels,)"
        )
    return BatchNorm(name=name, gain=gain, shift=shift, mean=mean, variance=variance)


def _owner(norm: BatchNorm, layers: list[Stored], before: list[Stored]) -> Stored:
    """Return the layer that a batch norm comes behind."""
    for layer in layers:
        if layer.name and norm.name.startswith((f"{layer.name}/", f"{layer.name}.")):
            return layer
    fits = [s for s in layers if s.norm is None and len(s.weight) == len(norm.mean)]
    if not fits:
        raise InputError(
            f"batch norm {norm.name!r} of {len(norm.mean)} channels follows no layer "
            "of as many without one; fold it into one before"
        )
    fits = [layer for layer in fits if layer in before] or fits

    def alike(layer: Stored) -> tuple[int, int]:
        ends = (layer.name, norm.name), (layer.name[::-1], norm.name[::-1])
        # Letters count, not folders.
        common = sum(len(commonprefix(pair)) for pair in ends)  # noqa: RUF071
        return common, layers.index(layer)

    return max(fits, key=alike)


def match(
    network: Network,
    stored: Sequence[Stored],
    mapping: Mapping[str, str],
    *,
    by_name: bool,
) -> Matched:
    """Return the layer of the file for every layer of the network.

    Args:
        network: Its compute layers are sought.
        stored: Layers of the file.
        mapping: Names in the file by names of layers; may be empty or hold some.
        by_name: Whether the file is sorted by name.

    Raises:
        InputError: A layer has none, a name is unknown, or it is not known which of
            several belongs.
    """
    named = {layer.name: layer for layer in stored}
    ours = {layer.name: layer for layer in network.compute_layers}
    chosen: dict[str, Stored] = {}
    for name, theirs in mapping.items():
        if name not in ours or theirs not in named:
            raise InputError(
                f"mapping of {name!r} to {theirs!r}; must be layers of the network and "
                "of the file"
            )
        if named[theirs].weight.shape != _shape(ours[name]):
            raise _misfit(network, ours[name], named[theirs])
        chosen[name] = named[theirs]
    taken = {id(layer) for layer in chosen.values()}
    left = [layer for layer in stored if id(layer) not in taken]
    chosen |= _by_shape(
        network, [layer for name, layer in ours.items() if name not in chosen], left
    )
    pairs = tuple((layer, chosen[layer.name]) for layer in network.compute_layers)
    used = {id(layer) for _, layer in pairs}
    return Matched(
        pairs=pairs,
        unused=tuple(layer.name for layer in stored if id(layer) not in used),
        doubtful=_doubtful(
            [pair for pair in pairs if pair[0].name not in mapping],
            stored,
            by_name=by_name,
        ),
    )


def _doubtful(
    pairs: Sequence[tuple[Compute, Stored]], stored: Sequence[Stored], *, by_name: bool
) -> tuple[str, ...]:
    """Return the first two layers that are out of order, if either shares its shape.

    In a file that is sorted by name, the order within one part of a module says
    nothing, nor does that of layers of other shapes: only parts are compared, and
    layers of one part and shape that no numbers tell apart.
    """
    parts = list(dict.fromkeys(_part(layer.name) for layer in stored))
    counts = Counter(layer.weight.shape for layer in stored)
    rows = [
        (
            layer.name,
            parts.index(_part(theirs.name)) if by_name else stored.index(theirs),
            counts[theirs.weight.shape] > 1,
            (theirs.weight.shape, _numbers(theirs.name)),
        )
        for layer, theirs in pairs
        if not _beside(layer, theirs)
    ]
    if by_name:
        rows = [row for row in rows if row[2]]
    for (one, before, shared, kind), (other, after, also, like) in pairwise(rows):
        unclear = by_name and before == after and kind == like
        if unclear or (before > after and (shared or also)):
            return one, other
    return ()


def _part(name: str) -> str:
    """Return the part of a module that a layer's name stands in."""
    return re.sub(r"[^./]*$", "", name)


def _numbers(name: str) -> list[str]:
    return re.findall(r"\d+", name)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what orders names by the numbers in them."""
    return [
        (int(word), "") if word.isdigit() else (-1, word)
        for word in re.split(r"(\d+)", name)
    ]


def _beside(layer: Compute, stored: Stored) -> bool:
    return stored.is_shortcut or _SHORTCUT.search(layer.name) is not None


def _by_shape(
    network: Network, layers: Sequence[Compute], stored: Sequence[Stored]
) -> dict[str, Stored]:
    chosen: dict[str, Stored] = {}
    for shape in dict.fromkeys(_shape(layer) for layer in layers):
        ours = [layer for layer in layers if _shape(layer) == shape]
        theirs = [layer for layer in stored if layer.weight.shape == shape]
        if len(ours) > len(theirs):
            wanting = ours[len(theirs)]
            raise _missing(network, wanting, layers, stored)
        if len(ours) < len(theirs):
            extra = theirs[len(ours)].name
            raise InputError(
                f"{len(theirs)} layers of the file have weights of shape {shape}, "
                f"{len(ours)} of network {network.name!r}, such as {ours[0].name!r}; "
                f"`mapping` = FILE says which belong, such as {extra!r}"
            )
        sides = [layer for layer in ours if _SHORTCUT.search(layer.name)]
        their_sides = [layer for layer in theirs if layer.is_shortcut]
        if len(sides) == len(their_sides):
            ours = [layer for layer in ours if layer not in sides] + sides
            theirs = [layer for layer in theirs if not layer.is_shortcut] + their_sides
        chosen |= {one.name: two for one, two in zip(ours, theirs, strict=True)}
    return chosen


def _shape(layer: Compute) -> tuple[int, ...]:
    """Return the shape of a layer's weights, without the axes of a 1x1 window."""
    shape = weight_shape(layer)
    return shape[:2] if shape[2:] == (1, 1) else shape


def _missing(
    network: Network,
    layer: Compute,
    layers: Sequence[Compute],
    stored: Sequence[Stored],
) -> InputError:
    """Return what says that the file has no layer of a shape."""
    if layer is network.compute_layers[0] and stored:
        return _misfit(network, layer, stored[0])
    needed = {_shape(other) for other in layers}
    others = [s for s in stored if s.weight.shape not in needed]
    place = list(layers).index(layer) / len(layers)
    if others:
        near = min(others, key=lambda s: abs(stored.index(s) / len(stored) - place))
        return _misfit(network, layer, near)
    return InputError(
        f"layer {layer.name!r} of network {network.name!r} has weights of shape "
        f"{_shape(layer)}; too few of the file's {len(stored)} layers have"
    )


def _misfit(network: Network, layer: Compute, near: Stored) -> InputError:
    want, has = _shape(layer), near.weight.shape
    why = "must be of one shape"
    if layer is network.compute_layers[-1] and has[1:] == want[1:]:
        why = f"it tells {has[0]} classes apart, the network {want[0]}"
        if has[0] == want[0] + 1:
            why += " (TF has one for the background: leave its row out)"
    elif (
        layer.input == network.input.name and has[2:] == want[2:] and has[1] != want[1]
    ):
        why = f"it reads {has[1]} channels, the network {want[1]}"
    return InputError(
        f"layer {layer.name!r} of network {network.name!r} has weights of shape "
        f"{want}, {near.name!r} of the file {tuple(has)}; {why}"
    )


def default_eps(stored: Sequence[Stored]) -> float:
    """Return what batch norms of a library add to variances, told by its names."""
    if any(s.channels_last or _EFFICIENTNET.search(s.name) for s in stored):
        return OTHER_EPS
    return TORCH_EPS


def folded_parameters(layer: Compute, stored: Stored, eps: float) -> tuple[Real, Real]:
    """Return a layer's weight and bias with its batch norm folded in.

    Args:
        layer: The weight gets its shape.
        stored: The layer of the file.
        eps: Added to the variance.

    Raises:
        InputError: Its bias is of another shape.
    """
    weight = stored.weight
    bias = np.zeros(len(weight)) if stored.bias is None else stored.bias
    if bias.shape != (len(weight),):
        raise InputError(
            f"layer {stored.name!r} of the file: bias of shape {bias.shape}; must be "
            f"({len(weight)},)"
        )
    ifm = layer.ifm
    if isinstance(layer, Linear) and stored.channels_last:
        # A map that was flattened with its channels last.
        apart = weight.reshape(len(weight), ifm.height, ifm.width, ifm.channels)
        weight = apart.transpose(0, 3, 1, 2).reshape(len(weight), -1)
    whole = weight.reshape(weight_shape(layer))
    norm = stored.norm
    if norm is None:
        return whole, bias
    gain = norm.gain / np.sqrt(norm.variance + eps)
    by_row = gain.reshape(-1, *[1] * (whole.ndim - 1))
    return whole * by_row, (bias - norm.mean) * gain + norm.shift
