"""A network with fewer channels, and the file in which a pruning keeps its state."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hao.answer.kept import Kept, load_kept
from hao.ir.channels import without_channels
from hao.ir.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned(Kept):
    """A network with fewer channels.

    Attributes:
        kept: Channels of the whole network that stay, by group.
        lanes: Lane counts of the last engine's stages that work on each group.
        cycles: Of a frame on that engine.
        start_cycles: Frame time of the whole network's fastest design.
        steps: Times that channels went.
    """

    kept: Mapping[str, tuple[int, ...]]
    lanes: Mapping[str, tuple[int, ...]]
    cycles: int
    start_cycles: int
    steps: int


def load_pruned(path: Path, whole: Network) -> Pruned | None:
    """Return the state that a file keeps, `None` if there is no such file.

    Args:
        path: Of the file.
        whole: The network before any channels went.

    Raises:
        InputError: It is not readable, or of another network.
    """
    return load_kept(
        path, whole, Pruned, lambda state: without_channels(state.network, state.kept)
    )
