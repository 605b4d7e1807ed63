"""A network that keeps a part of its words, and the file in which its state is kept."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hao.errors import InputError
from hao.ir.network import Network
from hao.ir.partition import Role
from hao.ir.sparsity import density_of, with_densities
from hao.npz import load_npz
from hao.program.problem import DEFAULT_SPACE
from hao.program.space import Space
from hao.quant.float_net import with_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsified:
    """A network that keeps a part of its words.

    Attributes:
        network: With parameters and densities.
        space: Engines in whose words its weights are pruned.
        words: Words of an output group, kept and all, of layers that may be pruned.
        cycles: Of a frame on the best of these engines.
        start_cycles: Frame time of the whole network's fastest design.
    """

    network: Network
    space: Space
    words: Mapping[str, tuple[int, int]]
    cycles: int
    start_cycles: int


class _State(BaseModel):
    """What a file keeps beside the parameters."""

    model_config = ConfigDict(extra="forbid", strict=False)

    densities: dict[str, Annotated[int, Field(ge=1, le=100)]]
    words: dict[str, tuple[int, int]]
    pixels: tuple[int, ...]
    buffering: tuple[bool, ...]
    shapes: tuple[tuple[Role, tuple[int, int]], ...]
    roles: tuple[tuple[str, Role], ...]
    cycles: int
    start_cycles: int


def render_sparsified(found: Sparsified) -> bytes:
    """Return what a file keeps, as the content of an .npz file."""
    space = found.space
    state = _State(
        densities={x.name: density_of(x) for x in found.network.compute_layers},
        words=dict(found.words),
        pixels=space.pixels,
        buffering=space.buffering,
        shapes=space.shapes,
        roles=space.roles,
        cycles=found.cycles,
        start_cycles=found.start_cycles,
    )
    arrays: dict[str, NDArray[np.generic]] = {
        "state": np.frombuffer(state.model_dump_json().encode(), dtype=np.uint8)
    }
    arrays |= {f"param/{key}": array for key, array in found.network.params.items()}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def load_sparsified(path: Path, whole: Network) -> Sparsified | None:
    """Return what a file keeps, `None` if there is no such file.

    Args:
        path: Of the file.
        whole: The network before any words went.

    Raises:
        InputError: It is not readable, or of another network.
    """
    if not path.exists():
        return None
    try:
        arrays = load_npz(path)
        state = _State.model_validate_json(arrays["state"].tobytes())
        params = {
            key.removeprefix("param/"): array
            for key, array in arrays.items()
            if key.startswith("param/")
        }
        pruned = with_densities(replace(whole, params={}), state.densities)
        return Sparsified(
            network=with_parameters(pruned, params),
            space=replace(
                DEFAULT_SPACE,
                pixels=state.pixels,
                buffering=state.buffering,
                shapes=state.shapes,
                roles=state.roles,
            ),
            words=state.words,
            cycles=state.cycles,
            start_cycles=state.start_cycles,
        )
    except (ValueError, KeyError, ValidationError) as error:
        raise InputError(
            f"{path}: not readable as a pruning of network {whole.name!r}; delete it"
        ) from error
