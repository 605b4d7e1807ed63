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
from dataclasses import dataclass, replace
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

GROUP_BITS, TAP_BITS = 10, 3
"""Bits of an entry of the list of kept words (docs/engine.md, "Weights in DDR").

The low ones name the group of `simd` input channels; above them column and row of the
kernel tap have `TAP_BITS` each.
"""


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


def list_holds(groups: Count, layer: DenseLayer) -> bool | NDArray[np.bool_]:
    """Return whether every word of an output group has a place in a list.

    Args:
        groups: Of `simd` input channels each.
        layer: Its kernel.
    """
    kernel = layer.kernel if isinstance(layer, Conv) else 1
    return (groups <= 1 << GROUP_BITS) & (kernel <= 1 << TAP_BITS)


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """How the weights of a layer lie in the words of a stage.

    Attributes:
        place: Word of an output group that each weight of a channel lies in, from 0,
            in the shape of a channel's weights.
        pe: Output channels of a group.
    """

    place: NDArray[np.int64]
    pe: int

    @property
    def count(self) -> int:
        """Return the words of an output group."""
        return int(self.place.max()) + 1

    def sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the sum of some values of the weights in each word.

        Args:
            values: Shape (ofm_channels, ...).

        Returns:
            Shape (groups, words).
        """
        group = np.arange(len(values)) // self.pe
        found = np.zeros((-(-len(values) // self.pe), self.count))
        flat = values.reshape(len(values), -1).astype(np.float64)
        np.add.at(found, (group[:, None], self.place.ravel()[None, :]), flat)
        return found

    def mask(
        self, scores: NDArray[np.float64], density: int, channels: int
    ) -> NDArray[np.bool_]:
        """Return which weights stay: those in the words of the highest scores.

        Args:
            scores: Of words, shape (groups, words); of equals, the first stay.
            density: Share of the words of each group that is kept [%].
            channels: Output channels.

        Returns:
            Shape (ofm_channels, ...).
        """
        least = np.argsort(-scores, axis=1, kind="stable")
        there = np.ones(scores.shape, dtype=np.bool_)
        gone = least[:, kept_words(self.count, density) :]
        np.put_along_axis(there, gone, False, axis=1)
        flat = there[np.arange(channels) // self.pe][:, self.place.ravel()]
        return flat.reshape(channels, *self.place.shape)

    def lost(self, scores: NDArray[np.float64], density: int) -> float:
        """Return the share of all scores that goes with the words which do not stay.

        Args:
            scores: Of words, at least 0, shape (groups, words).
            density: Share of the words of each group that is kept [%].
        """
        ordered = np.sort(scores, axis=1)
        gone = self.count - kept_words(self.count, density)
        total = float(scores.sum())
        return float(ordered[:, :gone].sum()) / total if total > 0 else 0.0


def keep_largest(weight: NDArray[Any], words: Words, density: int) -> NDArray[Any]:
    """Return weights of which the words with the least energy are zeros.

    Args:
        weight: Integers or floats, shape (ofm_channels, ...).
        words: How they lie in words.
        density: Share of the words of each group that is kept [%].
    """
    energy = words.sums(weight.astype(np.float64) ** 2)
    kept = words.mask(energy, density, len(weight))
    return np.where(kept, weight, 0).astype(weight.dtype)


def with_densities(network: Network, densities: Mapping[str, int]) -> Network:
    """Return a network whose layers keep so much of their words [%]; others all."""
    return network.with_layers(
        lambda x: (
            _with_density(x, densities.get(x.name, FULL))
            if isinstance(x, Conv | Linear)
            else x
        )
    )


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
