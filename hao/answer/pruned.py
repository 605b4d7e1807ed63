"""A network with fewer channels, and the file in which a pruning keeps its state."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from hao.answer.kept import load_kept, render_kept
from hao.ir.channels import without_channels
from hao.ir.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """A network with fewer channels.

    Attributes:
        network: With parameters.
        kept: Channels of the whole network that stay, by group.
        lanes: Lane counts of the last engine's stages that work on each group.
        cycles: Of a frame on that engine.
        start_cycles: Frame time of the whole network's fastest design.
        steps: Times that channels went.
    """

    network: Network
    kept: Mapping[str, tuple[int, ...]]
    lanes: Mapping[str, tuple[int, ...]]
    cycles: int
    start_cycles: int
    steps: int


class _State(BaseModel):
    """What a file keeps beside the parameters."""

    model_config = ConfigDict(extra="forbid", strict=False)

    kept: dict[str, tuple[int, ...]]
    lanes: dict[str, tuple[int, ...]]
    cycles: int
    start_cycles: int
    steps: int


def render_pruned(pruned: Pruned) -> bytes:
    """Return the state of a pruning as the content of an .npz file."""
    state = _State(
        kept=dict(pruned.kept),
        lanes=dict(pruned.lanes),
        cycles=pruned.cycles,
        start_cycles=pruned.start_cycles,
        steps=pruned.steps,
    )
    return render_kept(state, pruned.network)


def load_pruned(path: Path, whole: Network) -> Pruned | None:
    """Return the state that a file keeps, `None` if there is no such file.

    Args:
        path: Of the file.
        whole: The network before any channels went.

    Raises:
        InputError: It is not readable, or of another network.
    """
    found = load_kept(
        path, whole, _State, lambda bare, state: without_channels(bare, state.kept)
    )
    if found is None:
        return None
    state, network = found
    return Pruned(
        network=network,
        kept=state.kept,
        lanes=state.lanes,
        cycles=state.cycles,
        start_cycles=state.start_cycles,
        steps=state.steps,
    )
