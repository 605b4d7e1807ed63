"""State dicts as people have them: torch, safetensors, NumPy, or a module itself.

What lies around the tensors (a checkpoint with an optimiser, `module.` of a parallel
run) is taken off here; which tensor belongs to which layer is `hao.quant.matching`'s.
Nothing is unpickled but tensors.
"""

import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hao.errors import InputError
from hao.factory import is_factory, made_by
from hao.npz import MAX_UNPACKED_BYTES
from hao.quant.arrays import npz_arrays

WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network"),
    *("params", "weights", "module", "state_dict_ema", "ema"),
)
"""Keys under which a checkpoint keeps its tensors, in the order they are looked for."""

_DEPTH = 3
"""Wrappers around one another, at most."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """Tensors by name, in the order of the file.

    Attributes:
        tensors: float64 or integers, of any shape.
        eps: What batch norms add to their variances, by name, where a module says it.
        notes: What was taken off, a sentence each.
        by_name: Whether they are sorted by name, so that their order says nothing else.
    """

    tensors: Mapping[str, NDArray[np.generic]]
    eps: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()
    by_name: bool = False


def load_state(source: Path) -> State:
    """Return the tensors of a file, or of a module that a function makes.

    Args:
        source: An `.npz`, a `.safetensors`, a torch file of tensors, or
            `package.module:function` that returns a `torch.nn.Module`.

    Raises:
        InputError: It cannot be read, or holds something else.
        UnsupportedError: The function raised something.
    """
    if is_factory(str(source)):
        return _module_state(made_by(str(source), "model", nn.Module))
    if source.suffix not in (".npz", ".safetensors"):
        return _torch_state(source)
    if source.suffix == ".npz":
        tensors = npz_arrays(source)
    else:
        tensors = _checked(source, _safe_tensors(source))
    return State(tensors=tensors, by_name=list(tensors) == sorted(tensors))


def _module_state(module: nn.Module) -> State:
    eps = {
        name: float(part.eps)
        for name, part in module.named_modules()
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d)
    }
    tensors = {key: _array(value) for key, value in module.state_dict().items()}
    return State(tensors=tensors, eps=MappingProxyType(eps))


def _safe_tensors(path: Path) -> dict[str, Tensor]:
    _check_file(path)
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{path}: not readable as safetensors ({reason or error})"
        ) from error


def _torch_state(path: Path) -> State:
    _check_unpacked(path)
    try:
        with warnings.catch_warnings():
            # What torch finds strange before it gives up; what is wrong is said below.
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a broken pickle meets
        raise InputError(
            f"{path}: not readable as a torch state dict (weights only); "
            "torch.save(model.state_dict(), ...) writes one"
        ) from error
    around: list[str] = []
    while len(around) < _DEPTH and isinstance(found, dict):
        inside = [key for key in WRAPPERS if _holds_tensors(found.get(key))]
        if not inside:
            break
        around.append(inside[0])
        found = found[inside[0]]
    if not isinstance(found, dict):
        raise InputError(f"{path}: must hold a state dict, tensors by name")
    tensors = {
        key: value
        for key, value in found.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    # What is beside tensors in a wrapper (a count of epochs) is not looked at.
    if not tensors or (not around and len(tensors) < len(found)):
        raise InputError(f"{path}: must hold a state dict, tensors by name")
    notes = (f"taken from {'.'.join(around)!r} of the file",) if around else ()
    return State(tensors=_checked(path, tensors), notes=notes)


def _holds_tensors(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return any(
        isinstance(part, Tensor) or _holds_tensors(part) for part in value.values()
    )


def _checked(
    path: Path, tensors: Mapping[str, Tensor]
) -> dict[str, NDArray[np.generic]]:
    total = sum(8 * value.numel() for value in tensors.values())
    if total > 2 * MAX_UNPACKED_BYTES:
        # A tensor may repeat a few numbers over any shape.
        raise InputError(
            f"{path}: {total} bytes in double precision; must be at most "
            f"{2 * MAX_UNPACKED_BYTES}"
        )
    return {key: _array(value) for key, value in tensors.items()}


def _check_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: not a file; must be a torch state dict or an .npz")


def _check_unpacked(path: Path) -> None:
    """Check that a zip archive, as torch.save writes them, unpacks to what may be.

    Raises:
        InputError: It does not.
    """
    _check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return  # torch says what is wrong, or reads its older format
    if total > MAX_UNPACKED_BYTES:
        raise InputError(
            f"{path}: unpacks to {total} bytes; must be at most {MAX_UNPACKED_BYTES}"
        )


def _array(tensor: Tensor) -> NDArray[np.generic]:
    """Return a tensor as float64, or as the integers that it holds."""
    plain = tensor.detach().cpu()
    if plain.is_floating_point():
        plain = plain.double()
    array: NDArray[np.generic] = plain.numpy().copy()
    return array
