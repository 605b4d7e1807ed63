"""The file in which a pruning keeps its state: parameters, and what else is known."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import InstanceOf, TypeAdapter, ValidationError
from pydantic_core import from_json

from hao.errors import InputError
from hao.ir.network import Network
from hao.npz import load_npz
from hao.quant.float_net import with_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a pruning left of a network.

    Attributes:
        network: With parameters.
    """

    network: InstanceOf[Network]


State = TypeVar("State", bound=Kept)

_PARAM = "param/"


def render_kept(state: Kept) -> bytes:
    """Return what a pruning left as the content of an .npz file."""
    text = TypeAdapter(type(state)).dump_json(state, exclude={"network"})
    arrays: dict[str, NDArray[np.generic]] = {"state": np.frombuffer(text, np.uint8)}
    params = state.network.params
    arrays |= {f"{_PARAM}{key}": array for key, array in params.items()}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def load_kept(
    path: Path, whole: Network, kind: type[State], changed: Callable[[State], Network]
) -> State | None:
    """Return what a file keeps, `None` if there is no such file.

    Args:
        path: Of the file.
        whole: The network before the pruning.
        kind: Of the state.
        changed: The network that a state leaves of its own, which is the whole one
            without parameters.

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
        return replace(state, network=with_parameters(changed(state), params))
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise InputError(
            f"{path}: not readable as a pruning of network {whole.name!r}; delete it"
        ) from error
