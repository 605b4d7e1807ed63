"""ONNX operators that change no map as files use them, and do as others might.

Exporters leave a Resize to the size that a map has, a Slice that takes all of it, an
Expand to its own shape. These are read as nothing; where they do more they are refused
as operators that the engine does not have. Source of every default: the operator
specification, onnx/docs/Operators.md, opsets 7 to 23.
"""

import numpy as np

from hao.errors import InputError
from hao.frontends.from_onnx.elementwise import read_identity
from hao.frontends.from_onnx.reasons import refused
from hao.frontends.from_onnx.values import NodeCall, Result


def read_resize(call: NodeCall) -> Result:
    """Return the map where Resize or Upsample keeps its size.

    Raises:
        InputError: Its scales are a text.
        UnsupportedError: It does not.
    """
    x = call.feature_map()
    given = [call.optional(position) for position in range(1, len(call.operands))]
    wanted = [one.values.astype(np.float64).ravel() for one in given if one is not None]
    scales = call.node.attributes.get("scales")
    if isinstance(scales, str):
        raise InputError(f"{call.label}: attribute scales is not a list of numbers")
    if scales is not None:
        wanted.append(np.array(scales, dtype=np.float64))
    sizes = np.array(x.sizes, dtype=np.float64)
    # A region of interest, the other operand, has two numbers for each dimension.
    known = [one for one in wanted if one.shape == sizes.shape]
    if any(np.all(one == 1) or np.array_equal(one, sizes) for one in known):
        return read_identity(call)
    raise refused(call.node)


def read_slice(call: NodeCall) -> Result:
    """Return the map where a Slice takes all of it.

    Raises:
        InputError: It lists other numbers of starts and ends.
        UnsupportedError: It takes a part.
    """
    sizes = call.feature_map().sizes
    starts = call.integers(1, "starts") or ()
    ends = call.integers(2, "ends") or ()
    axes = call.integers(3, "axes") or tuple(range(len(starts)))
    steps = call.integers(4, "steps") or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise InputError(f"{call.label}: starts {starts}, ends {ends}, axes {axes}")
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if not -len(sizes) <= axis < len(sizes):
            raise InputError(f"{call.label}: axis {axis} of a tensor of {sizes}")
        size = sizes[axis]
        if step != 1 or not (start == 0 or start <= -size) or end < size:
            raise refused(call.node)
    return read_identity(call)


def read_expand(call: NodeCall) -> Result:
    """Return the map where an Expand or a Tile leaves it as it is.

    Raises:
        UnsupportedError: It makes more of it.
    """
    sizes = call.feature_map().sizes
    wanted = call.integers(1, "shape") or ()
    aligned = sizes[len(sizes) - len(wanted) :]
    tiles = call.node.op == "Tile"
    alike = [
        want in ((1,) if tiles else (1, size))
        for want, size in zip(wanted, aligned, strict=False)
    ]
    if len(wanted) <= len(sizes) and all(alike):
        return read_identity(call)
    raise refused(call.node)
