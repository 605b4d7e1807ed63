"""A network that keeps a part of its words, and the file in which its state is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hao.answer.kept import load_kept, render_kept
from hao.ir.network import Network
from hao.ir.partition import Role
from hao.ir.sparsity import density_of, with_densities
from hao.program.problem import DEFAULT_SPACE
from hao.program.space import Space


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
    return render_kept(state, found.network)


def load_sparsified(path: Path, whole: Network) -> Sparsified | None:
    """Return what a file keeps, `None` if there is no such file.

    Args:
        path: Of the file.
        whole: The network before any words went.

    Raises:
        InputError: It is not readable, or of another network.
    """
    found = load_kept(
        path, whole, _State, lambda bare, state: with_densities(bare, state.densities)
    )
    if found is None:
        return None
    state, network = found
    return Sparsified(
        network=network,
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
