"""Weights pruned in blocks that the engine skips: how many words of a layer are kept.

A word of a dense or pointwise stage holds the weights of `pe` output channels and
`simd` inputs of one kernel tap, and takes the array one cycle. Of every group of `pe`
output channels a layer keeps the same number of words, its density of them, rounded up;
the others are zeros, neither stored nor read nor multiplied. Which ones are kept
differs from group to group. At `simd` = 1 a word is one input channel and tap.

Layers whose frame comes in digits keep all words, and so does a layer of which a word
holds several taps (`hao.cost.latency.packed_taps`): pruned or not, it runs as ever.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.layer import Compute, Conv, Layer, Linear
from hao.ir.network import Network
from hao.ir.partition import DenseLayer, Invocation

Count = TypeVar("Count", int, NDArray[np.int64])
"""A count, or an array with one count per configuration."""

FULL = 100
"""Density of a layer that keeps all its words [%]."""


def check_density(density: int, place: str) -> None:
    """Check a density.

    Args:
        density: Share of the words that are kept [%].
        place: What it belongs to, for the message.

    Raises:
        InputError: It is not from 1 to 100.
    """
    if not 1 <= density <= FULL:
        raise InputError(f"{place}: density = {density} %; must be from 1 to {FULL}")


def density_of(layer: Layer) -> int:
    """Return the share of a layer's words that its weights leave [%]."""
    return layer.density if isinstance(layer, Conv | Linear) else FULL


def stored_density(layer: DenseLayer) -> int:
    """Return the share of its words that the engine runs over at least [%]."""
    whole = isinstance(layer, Conv) and layer.planes > 1
    return FULL if whole else layer.density


def kept_macs(layer: Compute) -> int:
    """Return a layer's multiply-accumulates of one frame, of the words it keeps.

    Rounded down: the words of whole groups that the engine runs over hold no fewer.
    """
    density = stored_density(layer) if isinstance(layer, Conv | Linear) else FULL
    return layer.macs * density // FULL


def kept_words(words: Count, density: int) -> Count:
    """Return how many of the words of an output group are kept: at least one.

    Args:
        words: Of one output group, in one pass.
        density: Share that is kept [%].
    """
    return -(-words * density // FULL)


def keep_largest(
    weight: NDArray[Any], words: NDArray[np.int64], pe: int, density: int
) -> NDArray[Any]:
    """Return weights of which the words with the least energy are zeros.

    Args:
        weight: Integers or floats, shape (ofm_channels, ...).
        words: Word of an output group that each weight of a channel lies in, from 0,
            shape (...).
        pe: Output channels of a group.
        density: Share of the words of each group that is kept [%].
    """
    channels, count = len(weight), int(words.max()) + 1
    groups = -(-channels // pe)
    flat = weight.reshape(channels, -1)
    energy = np.zeros((groups, count))
    group = np.arange(channels) // pe
    np.add.at(
        energy, (group[:, None], words.ravel()[None, :]), flat.astype(np.float64) ** 2
    )
    kept = kept_words(count, density)
    least = np.argsort(-energy, axis=1, kind="stable")[:, kept:]
    there = np.ones((groups, count), dtype=np.bool_)
    np.put_along_axis(there, least, False, axis=1)
    result = np.where(there[group][:, words.ravel()], flat, 0).astype(weight.dtype)
    return result.reshape(weight.shape)


def with_densities(network: Network, densities: Mapping[str, int]) -> Network:
    """Return a network whose layers keep so much of their words [%]; others all."""
    layers: tuple[Layer, ...] = tuple(
        _with_density(layer, densities.get(layer.name, FULL))
        if isinstance(layer, Conv | Linear)
        else layer
        for layer in network.layers
    )
    return Network(name=network.name, layers=layers, params=network.params)


def invocation_with_densities(
    run: Invocation, densities: Mapping[str, int]
) -> Invocation:
    """Return a run whose layers keep so much of their words [%]; others all."""
    dense, pointwise = (
        None if layer is None else _with_density(layer, densities.get(layer.name, FULL))
        for layer in (run.dense, run.pointwise)
    )
    return replace(run, dense=dense, pointwise=pointwise)


def _with_density(layer: DenseLayer, density: int) -> DenseLayer:
    return layer if layer.density == density else replace(layer, density=density)
