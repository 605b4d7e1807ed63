"""A network that keeps a part of its words, and the file in which its state is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from hao.answer.kept import Kept, load_kept
from hao.ir.network import Network
from hao.ir.sparsity import with_densities
from hao.program.space import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsified(Kept):
    """A network that keeps a part of its words.

    Attributes:
        densities: Share of its words that a layer keeps [percent]; others keep all.
        space: Engines in whose words its weights are pruned.
        words: Words of an output group, kept and all, of layers that may be pruned.
        cycles: Of a frame on the best of these engines.
        start_cycles: Frame time of the whole network's fastest design.
    """

    densities: Mapping[str, Annotated[int, Field(ge=1, le=100)]]
    space: Space
    words: Mapping[str, tuple[int, int]]
    cycles: int
    start_cycles: int


def load_sparsified(path: Path, whole: Network) -> Sparsified | None:
    """Return what a file keeps, `None` if there is no such file.

    Args:
        path: Of the file.
        whole: The network before any words went.

    Raises:
        InputError: It is not readable, or of another network.
    """
    return load_kept(
        path,
        whole,
        Sparsified,
        lambda state: with_densities(state.network, state.densities),
    )
