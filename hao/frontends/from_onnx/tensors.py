"""Arrays stored in an ONNX file or beside it, trusting neither.

An array that lies in another file is read only from inside the folder of the model,
links followed. Every size is checked against the bytes that are there before an array
is made.
"""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from hao.errors import InputError, UnsupportedError
from hao.frontends.piece_types import Array
from hao.ir.tensor import ImageSize, height_and_width


def stored_array(tensor: onnx.TensorProto, path: Path) -> Array:
    """Return the array that a tensor of the model at `path` stores.

    Raises:
        InputError: Data and shape disagree, or the data lies outside the folder of
            the model.
        UnsupportedError: The data is missing.
    """
    place = f"{path}: tensor {tensor.name!r}"
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return tensor_values(tensor, place)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    inline = onnx.TensorProto()
    inline.CopyFrom(tensor)
    inline.ClearField("external_data")
    inline.data_location = onnx.TensorProto.DEFAULT
    inline.raw_data = _external(place, path.parent, entries)
    return tensor_values(inline, place)


def _external(place: str, folder: Path, entries: Mapping[str, str]) -> bytes:
    """Return bytes that a model keeps in another file of its own folder."""
    location = entries.get("location", "")
    root = folder.resolve()
    try:
        target = (root / location).resolve()
        if not location or not target.is_relative_to(root):
            raise InputError(
                f"{place}: keeps its data in {location!r}; must be a file in the "
                "folder of the model"
            )
        if not target.is_file():
            raise UnsupportedError(
                f"{place}: its data file {location!r} is missing; handled: models with "
                "their weights; put the file beside the model"
            )
        size = target.stat().st_size
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size - offset)))
        if offset < 0 or length < 0 or offset + length > size:
            raise InputError(
                f"{place}: bytes {offset} to {offset + length} of {location!r}, which "
                f"has {size}"
            )
        with target.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        raise InputError(f"{place}: {location!r}: {error.strerror}") from error
    except RuntimeError as error:  # of Path.resolve, before Python 3.13
        raise InputError(f"{place}: {location!r}: links go in a circle") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{place}: bad reference to {location!r}: {error}") from error


def tensor_values(tensor: onnx.TensorProto, place: str) -> Array:
    """Return the array of a tensor that holds its own data.

    Args:
        tensor: Not checked yet.
        place: What errors call it.

    Raises:
        InputError: Data and shape disagree.
        UnsupportedError: There is no data.
    """
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise UnsupportedError(f"{place}: refers to another file; handled: inline data")
    if min(tensor.dims, default=0) < 0:
        raise InputError(f"{place}: shape {tuple(tensor.dims)}; must not be negative")
    filled = any(field.name.endswith("_data") for field, _ in tensor.ListFields())
    if prod(tensor.dims) and not filled:
        raise UnsupportedError(
            f"{place}: has a shape but no data; handled: models with their weights"
        )
    try:
        return real_numbers(place, np.asarray(numpy_helper.to_array(tensor)))
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{place}: data does not fit shape {tuple(tensor.dims)}: {error}"
        ) from error


def real_numbers(place: str, values: Array) -> Array:
    """Return an array that NumPy computes with: bfloat16 becomes single precision.

    Raises:
        UnsupportedError: It holds texts or complex numbers.
    """
    if values.dtype.kind in "OSUc":
        held = "complex numbers" if values.dtype.kind == "c" else "text"
        raise UnsupportedError(f"{place}: holds {held}; handled: real numbers")
    return values.astype(np.float32) if values.dtype.name == "bfloat16" else values


def open_sizes(found: Sequence[int], image_size: ImageSize | None) -> dict[int, int]:
    """Return height and width by their dimensions, where a frame leaves one open.

    Args:
        found: Sizes of the frame, channels first or last; 0 where it is open.
        image_size: What the frame is to have [pixels].

    Raises:
        InputError: A size is out of range.
    """
    if image_size is None or len(found) != 4:
        return {}
    height, width = height_and_width(image_size)
    for first, channels in ((2, 1), (1, 3)):
        own = found[first], found[first + 1]
        if found[channels] > 0 and own[0] in (0, height) and own[1] in (0, width):
            return {first: height, first + 1: width}
    return {}
