"""Long steps over frames: how many are taken at a time, and how many are done."""

from collections.abc import Callable

from hao.ir.network import Network

_HELD_VALUES = 2**27
"""Values of all maps of a batch that are held at a time, at most; chosen here: 1 GB in
double precision."""

Counted = Callable[[int, int], None]
"""Told how many frames, or other steps, are done, and of how many."""


def uncounted(done: int, total: int) -> None:
    """Do nothing with the progress of a step."""


def batch_size(network: Network, most: int) -> int:
    """Return how many frames are taken at a time, from 1 to `most`."""
    values = sum(layer.ofm.elements for layer in network.layers)
    return max(1, min(most, _HELD_VALUES // values))
