"""Integer networks as files: every integer, type and layer, and nothing else.

An `.npz` of plain arrays. `header` is the UTF-8 text of a JSON document with the
schema, the layers, the types of the maps and the mode of requantization; every other
entry is a parameter by "layer.parameter", in the narrowest signed type that holds it.
Equal networks give equal bytes: entries are sorted and carry no time.
"""

import io
import json
import zipfile
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from pydantic_core import to_jsonable_python

from hao.errors import InputError
from hao.ir.frame import FrameCoding
from hao.ir.integer import IntegerNetwork, MapType, Requantization
from hao.ir.network import Network
from hao.layer_file import FileTable, LayerEntry, explain, layer_type
from hao.npz import load_npz

SCHEMA = "hao.integers/2"
"""Name and version of the format; a change of its keys or their meaning raises it."""

_HEADER = "header"
_NARROWEST_FIRST = (np.int8, np.int16, np.int32, np.int64)
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time that every entry of the archive carries: the earliest that zip knows."""


class _Header(FileTable):
    schema_: Annotated[Literal["hao.integers/2"], Field(alias="schema")]
    name: str
    requantization: Requantization
    layers: list[LayerEntry]
    maps: dict[str, MapType]
    frame: FrameCoding | None = None


def render_integers(net: IntegerNetwork) -> bytes:
    """Return the bytes of the file of an integer network."""
    header: dict[str, object] = {
        "schema": SCHEMA,
        "name": net.network.name,
        "requantization": net.requantization.value,
        "layers": [
            {"type": layer_type(layer), "fields": to_jsonable_python(layer)}
            for layer in net.network.layers
        ],
        "maps": {
            layer.name: to_jsonable_python(net.maps[layer.name])
            for layer in net.network.layers
        },
    }
    if net.frame is not None:
        header["frame"] = to_jsonable_python(net.frame)
    text = json.dumps(header, indent=1, allow_nan=False).encode()
    arrays: dict[str, NDArray[np.generic]] = {
        key: _narrowed(np.asarray(array, dtype=np.int64))
        for key, array in net.network.params.items()
    }
    arrays[_HEADER] = np.frombuffer(text, dtype=np.uint8)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for key in sorted(arrays):
            entry = io.BytesIO()
            np.lib.format.write_array(entry, arrays[key], allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{key}.npy", _EPOCH), entry.getvalue())
    return buffer.getvalue()


def load_integers(path: Path) -> IntegerNetwork:
    """Return the integer network that a file holds.

    Raises:
        InputError: The file is missing, of another schema, or not consistent.
    """
    arrays = _arrays(path)
    try:
        header = _parsed(arrays.pop(_HEADER, None))
        params: dict[str, NDArray[np.generic]] = {}
        for key, array in arrays.items():
            if not np.issubdtype(array.dtype, np.signedinteger):
                raise InputError(f"parameter {key!r} is {array.dtype}; must be signed")
            params[key] = array.astype(np.int64)
        network = Network(
            name=header.name,
            layers=tuple(entry.fields for entry in header.layers),
            params=params,
        )
        return IntegerNetwork(
            network=network,
            maps=MappingProxyType(header.maps),
            requantization=header.requantization,
            frame=header.frame,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        return load_npz(path)
    except ValueError as error:
        raise InputError(
            f"{error}; not readable as a file of integers ({SCHEMA})"
        ) from error


def _parsed(stored: NDArray[np.generic] | None) -> _Header:
    if stored is None or stored.dtype != np.uint8:
        raise InputError(f"no header; must be a file of integers ({SCHEMA})")
    try:
        return _Header.model_validate_json(stored.tobytes())
    except ValidationError as error:
        raise InputError(f"header: {explain(error)}") from error


def _narrowed(array: NDArray[np.int64]) -> NDArray[np.generic]:
    for kind in _NARROWEST_FIRST:
        narrow: NDArray[np.generic] = array.astype(kind)
        if np.array_equal(narrow, array):
            return narrow
    raise AssertionError("int64 holds int64")
