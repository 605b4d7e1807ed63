"""The file in which a pruning keeps its state: parameters, and what else is known."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from hao.errors import InputError
from hao.ir.network import Network
from hao.npz import load_npz
from hao.quant.float_net import with_parameters

State = TypeVar("State", bound=BaseModel)

_PARAM = "param/"


def render_kept(state: BaseModel, network: Network) -> bytes:
    """Return a state and a network's parameters as the content of an .npz file."""
    arrays: dict[str, NDArray[np.generic]] = {
        "state": np.frombuffer(state.model_dump_json().encode(), dtype=np.uint8)
    }
    arrays |= {f"{_PARAM}{key}": array for key, array in network.params.items()}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def load_kept(
    path: Path,
    whole: Network,
    kind: type[State],
    changed: Callable[[Network, State], Network],
) -> tuple[State, Network] | None:
    """Return what a file keeps, `None` if there is no such file.

    Args:
        path: Of the file.
        whole: The network before the pruning.
        kind: Of the state.
        changed: The network without parameters as a state has it.

    Raises:
        InputError: It is not readable, or of another network.
    """
    if not path.exists():
        return None
    try:
        arrays = load_npz(path)
        state = kind.model_validate_json(arrays["state"].tobytes())
        params = {
            key.removeprefix(_PARAM): array
            for key, array in arrays.items()
            if key.startswith(_PARAM)
        }
        network = changed(replace(whole, params={}), state)
        return state, with_parameters(network, params)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise InputError(
            f"{path}: not readable as a pruning of network {whole.name!r}; delete it"
        ) from error
