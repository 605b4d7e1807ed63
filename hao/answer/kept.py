"""What a pruning left of a network, and the file in which it keeps that."""

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, InstanceOf, TypeAdapter, ValidationError
from pydantic_core import from_json

from hao.errors import InputError
from hao.files import write_file
from hao.ir.change import Channels, Scheme
from hao.ir.channels import without_channels
from hao.ir.network import Network
from hao.ir.sparsity import with_densities
from hao.npz import load_npz
from hao.program.space import Space
from hao.quant.float_net import with_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(ABC):
    """What a pruning left of a network, before it is trained again.

    Attributes:
        network: With parameters.
        before: Channels of every group that may be narrower; or words of an output
            group of every layer that may be pruned.
        after: What of these stays.
        cycles: Of a frame on its best engine.
        start_cycles: Of a frame on the whole network's fastest design.
        space: Engines that it may run on; `None` for all.
    """

    network: InstanceOf[Network]
    before: Mapping[str, int]
    after: Mapping[str, int]
    cycles: int
    start_cycles: int
    space: Space | None = None

    @property
    def changes(self) -> Scheme:
        """Return what a design names that its layers do not say."""
        return {}

    @abstractmethod
    def taken_from(self, whole: Network) -> Network:
        """Return the layers that the pruning leaves of a network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned(Kept):
    """A network with fewer channels.

    Attributes:
        kept: Channels of the whole network that stay, by group.
        lanes: Lane counts of the last engine's stages that work on each group.
        steps: Times that channels went.
    """

    kept: Mapping[str, tuple[int, ...]]
    lanes: Mapping[str, tuple[int, ...]]
    steps: int

    @property
    def changes(self) -> Scheme:
        """Return the channels of groups that are narrower."""
        return {
            name: Channels(kept)
            for name, kept in self.kept.items()
            if len(kept) < self.before[name]
        }

    def taken_from(self, whole: Network) -> Network:
        """Return a network with the channels that stay."""
        return without_channels(whole, self.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsified(Kept):
    """A network that keeps a part of its words.

    Attributes:
        densities: Share of its words that a layer keeps [percent]; others keep all.
    """

    densities: Mapping[str, Annotated[int, Field(ge=1, le=100)]]

    def taken_from(self, whole: Network) -> Network:
        """Return a network that keeps as many words."""
        return with_densities(whole, self.densities)


State = TypeVar("State", bound=Kept)

_PARAM = "param/"


def save_kept(path: Path, state: Kept) -> None:
    """Write what a pruning left as an .npz file."""
    text = TypeAdapter(type(state)).dump_json(state, exclude={"network"})
    arrays: dict[str, NDArray[np.generic]] = {"state": np.frombuffer(text, np.uint8)}
    params = state.network.params
    arrays |= {f"{_PARAM}{key}": array for key, array in params.items()}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content.getvalue())


def load_kept(path: Path, whole: Network, kind: type[State]) -> State | None:
    """Return what a file keeps, `None` if there is no such file.

    Args:
        path: Of the file.
        whole: The network before the pruning.
        kind: Of the state.

    Raises:
        InputError: It is not readable, or of another network.
    """
    if not path.exists():
        return None
    try:
        arrays = load_npz(path)
        bare = replace(whole, params={})
        values = {**from_json(arrays["state"].tobytes()), "network": bare}
        state = TypeAdapter(kind).validate_python(values)
        params = {
            key.removeprefix(_PARAM): array
            for key, array in arrays.items()
            if key.startswith(_PARAM)
        }
        return replace(state, network=with_parameters(state.taken_from(bare), params))
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise InputError(
            f"{path}: not readable as a pruning of network {whole.name!r}; delete it"
        ) from error
