"""A network with fewer channels, and the file in which a pruning keeps its state."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.ir.channels import without_channels
from hao.ir.network import Network
from hao.npz import load_npz
from hao.quant.float_net import with_parameters


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


def render_pruned(pruned: Pruned) -> bytes:
    """Return the state of a pruning as the content of an .npz file."""
    arrays: dict[str, NDArray[np.generic]] = {
        "figures": np.array([pruned.cycles, pruned.start_cycles, pruned.steps])
    }
    for word, numbers in (("kept", pruned.kept), ("lanes", pruned.lanes)):
        arrays |= {f"{word}/{name}": np.array(own) for name, own in numbers.items()}
    arrays |= {f"param/{key}": array for key, array in pruned.network.params.items()}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def load_pruned(path: Path, whole: Network) -> Pruned | None:
    """Return the state that a file keeps, `None` if there is no such file.

    Args:
        path: Of the file.
        whole: The network before any channels went.

    Raises:
        InputError: It is not readable, or of another network.
    """
    if not path.exists():
        return None
    try:
        arrays = load_npz(path)

        def named(word: str) -> dict[str, NDArray[np.generic]]:
            start = f"{word}/"
            return {
                k[len(start) :]: a for k, a in arrays.items() if k.startswith(start)
            }

        kept = {name: tuple(a.tolist()) for name, a in named("kept").items()}
        narrow = without_channels(replace(whole, params={}), kept)
        cycles, start, steps = (int(x) for x in arrays["figures"])
        return Pruned(
            network=with_parameters(narrow, named("param")),
            kept=kept,
            lanes={name: tuple(a.tolist()) for name, a in named("lanes").items()},
            cycles=cycles,
            start_cycles=start,
            steps=steps,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not readable as a pruning of network {whole.name!r}; delete it"
        ) from error
